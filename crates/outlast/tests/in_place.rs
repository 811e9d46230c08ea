//! SIGHUP while an address is held: what stays is never gone, and nothing moves.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/lonely.rs"]
mod lonely;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use lonely::{Lonely, OUTLAST, VIP, alone, has_vip, until};
use sys::netlink::Netlink;

/// Held all the time: as long as the device's own network, and with a network of its own.
const OTHER: Ipv4Addr = Ipv4Addr::new(10, 91, 0, 2);

fn file(round: usize) -> String {
    let options = [
        "label eth0:a",
        "label eth0:b scope link",
        "brd 10.79.0.255",
        "scope site label eth0:a brd 10.79.0.254",
    ][round % 4];
    let priority = 100 + round % 7;
    let interval = 1 + round % 2;
    // The first address of its network goes, or is made anew, and the second stays.
    let first = ["10.91.0.1/24", "10.91.0.9/24", "10.91.0.1/24 label eth0:x"][round % 3];
    let excluded = ["10.92.0.1/24", "10.92.0.2/24"][round % 2];
    let gateway = 1 + round % 5;
    format!(
        "vrrp_script good {{
    script \"/bin/true\"
    interval {interval}
}}
vrrp_instance internal {{
    interface eth0
    virtual_router_id 121
    priority {priority}
    nopreempt
    advert_int {interval}
    virtual_ipaddress {{
        {VIP} dev eth0 {options}
        {first} dev eth0
        {OTHER}/24 dev eth0
    }}
    virtual_ipaddress_excluded {{
        {excluded} dev eth0
    }}
    virtual_routes {{
        198.51.100.0/24 via 10.79.0.{gateway} dev eth0
    }}
    track_script {{
        good
    }}
}}
"
    )
}

/// Connects to the virtual IP all the time, and looks whether both are there.
struct Client {
    ending: Arc<AtomicBool>,
    running: JoinHandle<(usize, Vec<String>)>,
}

impl Client {
    fn start(port: u16) -> Self {
        let ending = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&ending);
        let running = std::thread::spawn(move || {
            let netlink = Netlink::open().expect("a socket");
            let (mut served, mut failed) = (0, Vec::new());
            while !is_over.load(Ordering::Relaxed) {
                // Not to the other one: its clients here would speak from the first address of its network, which goes.
                let to = (IpAddr::from(VIP), port).into();
                match TcpStream::connect_timeout(&to, Duration::from_secs(2)) {
                    Ok(_) => served += 1,
                    Err(error) => failed.push(format!("{VIP}: {error}")),
                }
                let there = netlink.addresses().expect("an answer");
                for ip in [VIP, OTHER] {
                    if !there.iter().any(|address| address.ip == ip) {
                        failed.push(format!("{ip} was gone"));
                    }
                }
            }
            (served, failed)
        });
        Self { ending, running }
    }

    fn end(self) {
        self.ending.store(true, Ordering::Relaxed);
        let (served, failed) = self.running.join().expect("it does not panic");
        assert!(failed.is_empty(), "{} of {served}: {:?}", failed.len(), &failed[..1]);
        assert!(served > 100, "it asked {served} times only");
    }
}

/// A listener on every address, which takes whoever comes.
fn listen() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a port");
    let port = listener.local_addr().expect("it is bound").port();
    std::thread::spawn(move || listener.incoming().for_each(drop));
    port
}

fn start(node: &mut Lonely, text: &str) {
    node.write("keepalived.conf", text);
    let program = node.path("keepalived");
    symlink(OUTLAST, &program).expect("a name");
    let mut command = Command::new(program);
    command.args(["-nlP", "-f"]).arg(node.path("keepalived.conf"));
    command.arg("-p").arg(node.path("pid")).arg("-r").arg(node.path("vrrp"));
    node.start_with(command);
    let folder = format!("/run/outlast/keepalived-{}", node.pid());
    symlink(folder, node.path("run")).expect("a name");
    until("it holds the address", has_vip);
}

/// At one moment: a signal before may be answered only now.
fn replace(node: &Lonely, text: &str) {
    node.write("next", text);
    std::fs::rename(node.path("next"), node.path("keepalived.conf")).expect("its own folder");
}

fn count(node: &Lonely) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for event in node.events() {
        *counts.entry(event.what).or_default() += 1;
    }
    counts
}

fn labels() -> String {
    let output = Command::new("ip").args(["-4", "-o", "address", "show", "dev", "eth0"]).output();
    String::from_utf8_lossy(&output.expect("ip is there").stdout).into_owned()
}

#[test]
fn fifty_changes_at_sighup_cost_no_client_anything_and_move_nothing() {
    alone("fifty_changes_at_sighup_cost_no_client_anything_and_move_nothing", || {
        let mut node = Lonely::new();
        start(&mut node, &file(0));
        let port = listen();
        let client = Client::start(port);
        for round in 1..=50 {
            replace(&node, &file(round));
            node.signal("HUP");
            // Each fifth is followed at once by another one, as careless agents do it.
            if round.is_multiple_of(5) {
                node.signal("HUP");
                continue;
            }
            let line =
                |ip: &str| labels().lines().find(|line| line.contains(ip)).map(str::to_owned);
            let has = |ip: &str, words: &str| line(ip).is_some_and(|line| line.contains(words));
            let vip = format!("inet {VIP}/32 ");
            let made = [
                "scope global eth0:a",
                "scope link eth0:b",
                "brd 10.79.0.255 scope global eth0\\",
                "brd 10.79.0.254 scope site eth0:a",
            ][round % 4];
            until(&format!("round {round} is made: {made}"), || has(&vip, made));
            let excluded = ["10.92.0.1/24", "10.92.0.2/24"][round % 2];
            until("the excluded one has changed", || line(excluded).is_some());
        }
        until("it is quiet", || labels().contains("10.92.0.1/24"));
        client.end();
        // The agent may be a new one, which does not answer yet.
        let mut events = BTreeMap::new();
        until("the agent tells of it", || {
            events = count(&node);
            events.contains_key("vip-claimed")
        });
        assert_eq!(events.get("vip-claimed"), Some(&1), "{events:?} {}", node.log());
        assert_eq!(events.get("vip-released"), None, "{events:?}");
        node.signal("TERM");
        assert_eq!(node.ended().code(), Some(0), "{}", node.log());
        // Nothing of what was made on the way is left: the node's own address alone.
        assert_eq!(labels().lines().count(), 1, "{}", labels());
    });
}

const TWO: &str = "vrrp_instance goes {
    interface eth0
    virtual_router_id 122
    advert_int 1
    virtual_ipaddress {
        10.91.0.2/24 dev eth0
    }
}
";

#[test]
fn one_that_leaves_the_file_is_given_up_in_order_and_the_others_are_held_on() {
    alone("one_that_leaves_the_file_is_given_up_in_order_and_the_others_are_held_on", || {
        let mut node = Lonely::new();
        let stays = TWO.replace("goes", "stays").replace("122", "121");
        let stays = stays.replace("10.91.0.2/24", &VIP.to_string());
        start(&mut node, &format!("{stays}{TWO}"));
        until("both are held", || labels().contains("10.91.0.2/24"));
        // Both ends of the cable are here: the far one hears what comes from an address of this node.
        for of in ["all", "wire"] {
            sys::netns::set_sysctl(&format!("net.ipv4.conf.{of}.accept_local"), "1")
                .expect("root may");
            sys::netns::set_sysctl(&format!("net.ipv4.conf.{of}.rp_filter"), "0")
                .expect("root may");
        }
        let adverts = sys::vrrp::Socket::open("wire", true).expect("a socket of the far end");
        let mut buffer = [0; 256];
        until("the far end hears it", || adverts.receive(&mut buffer).is_ok());
        node.write("keepalived.conf", &stays);
        node.signal("HUP");
        let mut gone = false;
        until("it says goodbye, and has let go before", || {
            while let Ok(heard) = adverts.receive(&mut buffer) {
                let packet = &buffer[heard.payload];
                // VRRP version 2: router id, priority.
                if packet[1] == 122 && packet[2] == 0 {
                    gone = !labels().contains("10.91.0.2/24");
                    return true;
                }
            }
            false
        });
        assert!(gone, "somebody else may hold it, and it is still here");
        until("the file is in force", || count(&node).contains_key("reloaded"));
        assert!(has_vip());
        let events = node.events();
        let of = |what: &str, object: &str| {
            events.iter().filter(|event| event.what == what && event.object == object).count()
        };
        assert_eq!(of("vip-released", "vip/goes"), 1, "{}", node.log());
        assert_eq!(of("vip-claimed", "vip/stays"), 1, "{}", node.log());
        assert_eq!(of("vip-released", "vip/stays"), 0, "{}", node.log());
        node.signal("TERM");
        assert_eq!(node.ended().code(), Some(0), "{}", node.log());
    });
}
