//! The file that neutron's L3 agent writes for a highly available router, as `keepalived` runs it and as we do.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/lonely.rs"]
mod lonely;

use std::collections::BTreeSet;
use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use api::Role;
use lonely::{Lonely, OUTLAST, alone, kill, runs, until};
use sys::netlink::{AddressOptions, Netlink, Route};

/// As `neutron/agent/linux/keepalived.py` builds it; adverts each second instead of each two.
const FILE: &str = "global_defs {
    notification_email_from neutron@openstack.local
    router_id neutron
}
vrrp_instance VR_1 {
    state BACKUP
    interface ha-1
    virtual_router_id 1
    priority 50
    garp_master_delay 60
    nopreempt
    advert_int 1
    track_interface {
        ha-1
    }
    virtual_ipaddress {
        169.254.0.1/24 dev ha-1
    }
    virtual_ipaddress_excluded {
        10.1.0.1/24 dev qr-1 no_track
        172.24.4.10/24 dev qg-1 no_track
        FLOATING/32 dev qg-1 no_track
        2001:db8:1::1/64 dev qr-1 no_track
        fe80::f816:3eff:fe00:1/64 dev qg-1 scope link no_track
    }
    virtual_routes {
        0.0.0.0/0 via 172.24.4.1 dev qg-1 no_track protocol static
        EXTRA via 10.1.0.9 no_track protocol static
        10.7.0.0/16 via 10.1.0.8 no_track protocol static
        10.7.0.0/16 via 10.1.0.9 no_track protocol static
        2001:db8:9::/64 via 2001:db8:1::9 no_track protocol static
        172.24.5.0/24 dev qg-1 scope link no_track protocol static
    }
}";

fn file(floating: &str, extra: &str) -> String {
    FILE.replace("FLOATING", floating).replace("EXTRA", extra)
}

/// Devices of a router's namespace; what is behind them answers nothing.
fn devices() {
    let netlink = Netlink::open().expect("a socket");
    for name in ["ha-1", "qr-1", "qg-1"] {
        let peer = format!("{name}-far");
        netlink.create_veth(name, &peer, None).expect("a cable");
        for end in [name, &peer] {
            netlink.set_up(index(end), true).expect("it is there");
        }
    }
    add("ha-1", [169, 254, 192, 5], 18);
}

fn add(device: &str, ip: [u8; 4], prefix: u8) {
    let netlink = Netlink::open().expect("a socket");
    let options = AddressOptions::default();
    netlink.add_address(index(device), ip.into(), prefix, options).expect("it is there");
}

fn index(name: &str) -> u32 {
    let netlink = Netlink::open().expect("a socket");
    netlink.link(name).expect("an answer").expect("the device is there").index
}

/// Addresses and routes of this namespace that a router has only while it is the primary one.
fn held() -> BTreeSet<String> {
    let mut all = addresses();
    let text = fs::read_to_string("/proc/net/route").expect("it is there");
    let columns = text.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    // Device, network, gateway, metric, mask.
    let routes = columns.filter(|route| route[0].starts_with('q'));
    all.extend(routes.map(|route| [0, 1, 2, 6, 7].map(|column| route[column]).join(" ")));
    let text = fs::read_to_string("/proc/net/ipv6_route").expect("it is there");
    all.extend(text.lines().filter(|line| line.starts_with("20010db800090000")).map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        format!("{} {} via {} on {}", words[0], words[1], words[4], words[9])
    }));
    all
}

fn addresses() -> BTreeSet<String> {
    let found = Netlink::open().and_then(|netlink| netlink.addresses()).expect("an answer");
    let prefixes = ["169.254.0.", "10.1.", "172.24.", "2001:db8", "fe80::f816"];
    let is_routers = |text: &String| prefixes.iter().any(|prefix| text.starts_with(prefix));
    found.iter().map(|at| format!("{}/{}", at.ip, at.prefix)).filter(is_routers).collect()
}

fn has(part: &str) -> bool {
    held().iter().any(|line| line.contains(part))
}

/// The kernel has a way there.
fn has_way_to(ip: &str) -> bool {
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a port");
    socket.connect((ip, 9)).is_ok()
}

const ELSEWHERE: &str = "198.51.100.1";

fn is_primary() -> bool {
    has("169.254.0.1/24") && has_way_to(ELSEWHERE)
}

fn keepalived(node: &Lonely) -> PathBuf {
    let program = node.path("keepalived");
    symlink(OUTLAST, &program).expect("a name");
    program
}

/// As neutron calls it.
fn command(node: &Lonely, program: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg("-P").arg("-f").arg(node.path("keepalived.conf"));
    command.arg("-p").arg(node.path("pid")).arg("-r").arg(node.path("pid-vrrp")).arg("-D");
    command
}

/// In the foreground, with a folder in which it can be asked.
fn start(node: &mut Lonely) {
    let mut command = command(node, &keepalived(node));
    command.args(["-n", "-l"]);
    node.start_with(command);
    let folder = format!("/run/outlast/keepalived-{}", node.pid());
    symlink(folder, node.path("run")).expect("a name");
    until("it is the primary", is_primary);
}

fn ends(node: &mut Lonely) {
    node.signal("TERM");
    assert_eq!(node.ended().code(), Some(0), "{}", node.log());
    assert_eq!(held(), BTreeSet::new());
}

/// What that program gives a router, called and ended as neutron does it.
fn given_by(program: &Path, node: &Lonely) -> BTreeSet<String> {
    let status = command(node, program).status();
    assert!(status.expect("it runs").success());
    let pid = |name: &str| fs::read_to_string(node.path(name)).ok()?.trim().parse::<i32>().ok();
    let pids = || [pid("pid"), pid("pid-vrrp")].map(|pid| pid.filter(|pid| runs(*pid)));
    until("both numbers are there", || !pids().contains(&None));
    let pid = pids()[0].expect("it runs");
    // By this neutron knows whose process it is.
    let words = fs::read_to_string(format!("/proc/{pid}/cmdline")).expect("it runs");
    assert!(words.contains(&node.path("keepalived.conf").display().to_string()), "{words}");
    until("it is the primary", || {
        is_primary() && has("2001:db8:1::1") && has("20010db800090000") && has("qg-1 000518AC")
    });
    let found = held();
    // Exactly as it is written: the kernel removes no other by these words.
    let route = Route {
        destination: [172, 24, 5, 0].into(),
        prefix: 24,
        via: None,
        index: Some(index("qg-1")),
        source: None,
        table: 254,
        metric: None,
        scope: 253,
        protocol: 4,
    };
    let netlink = Netlink::open().expect("a socket");
    let deleted = netlink.delete_route(&route).expect("root may");
    assert!(deleted, "{} made another: {found:?}", program.display());
    kill(pid, "TERM");
    until("it is gone", || !runs(pid));
    until("nothing stays", || held().is_empty());
    found
}

#[test]
fn a_router_of_neutron_has_the_addresses_and_routes_that_keepalived_gives_it() {
    let test = "a_router_of_neutron_has_the_addresses_and_routes_that_keepalived_gives_it";
    alone(test, || {
        devices();
        let node = Lonely::new();
        node.write("keepalived.conf", &file("172.24.4.77", "10.9.0.0/16"));
        let ours = given_by(&keepalived(&node), &node);
        let peer = Path::new("keepalived");
        if Command::new(peer).arg("--version").output().is_err() {
            let test = "outlast::a_router_of_neutron_has_the_addresses_and_routes_that_keepalived_gives_it";
            return lab::skip::note(test, "keepalived is not installed");
        }
        assert_eq!(given_by(peer, &node), ours);
    });
}

/// Looks all the time, until it is ended, whether what stays is there.
struct Watch {
    ending: Arc<AtomicBool>,
    watching: JoinHandle<Result<(), String>>,
}

impl Watch {
    fn start(stays: &'static [&'static str]) -> Self {
        let ending = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&ending);
        let watching = std::thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                let addresses = addresses();
                if let Some(gone) = stays.iter().find(|address| !addresses.contains(**address)) {
                    return Err(format!("{gone} was gone: {addresses:?}"));
                }
                if !has_way_to(ELSEWHERE) {
                    return Err("there was no way out".to_owned());
                }
            }
            Ok(())
        });
        Self { ending, watching }
    }

    fn end(self) {
        self.ending.store(true, Ordering::Relaxed);
        assert_eq!(self.watching.join().expect("it does not panic"), Ok(()));
    }
}

#[test]
fn a_router_of_neutron_that_changes_at_sighup_keeps_what_stays() {
    alone("a_router_of_neutron_that_changes_at_sighup_keeps_what_stays", || {
        devices();
        let mut node = Lonely::new();
        node.write("keepalived.conf", &file("172.24.4.77", "10.9.0.0/16"));
        start(&mut node);
        let watch = Watch::start(&["169.254.0.1/24", "10.1.0.1/24", "172.24.4.10/24"]);
        // Another floating address, another route of the tenant.
        node.write("keepalived.conf", &file("172.24.4.88", "10.8.0.0/16"));
        node.signal("HUP");
        until("the new ones are there", || has("172.24.4.88/32") && has("qr-1 0000080A"));
        until("the old ones are gone", || !has("172.24.4.77/32") && !has("qr-1 0000090A"));
        assert!(has("qr-1 0000070A 0800010A") && has("qr-1 0000070A 0900010A"), "{:?}", held());
        // Another gateway: there is always one.
        let text = file("172.24.4.88", "10.8.0.0/16").replace("via 172.24.4.1 ", "via 172.24.4.2 ");
        node.write("keepalived.conf", &text);
        node.signal("HUP");
        until("the new gateway is there", || has("qg-1 00000000 020418AC"));
        until("the old gateway is gone", || !has("qg-1 00000000 010418AC"));
        watch.end();
        let events = node.events();
        let moves = events.iter().filter(|event| event.what == "vip-claimed").count();
        assert_eq!(moves, 1, "{}", node.log());
        ends(&mut node);
    });
}

#[test]
fn routes_come_back_with_their_device_and_none_outlives_the_vip_process() {
    alone("routes_come_back_with_their_device_and_none_outlives_the_vip_process", || {
        devices();
        let mut node = Lonely::new();
        node.write("keepalived.conf", &file("172.24.4.77", "10.9.0.0/16"));
        start(&mut node);
        // The kernel takes the routes of a device that is switched off.
        let netlink = Netlink::open().expect("a socket");
        netlink.set_up(index("qg-1"), false).expect("it is there");
        until("they are gone", || !has_way_to(ELSEWHERE));
        netlink.set_up(index("qg-1"), true).expect("it is there");
        until("they come back", || is_primary() && has("qg-1 000518AC"));
        // It does nothing any more: the supervisor takes all of it off.
        kill(node.process(Role::Vip), "STOP");
        until("nothing is left of it", || held().is_empty());
        until("it is the primary again", is_primary);
        ends(&mut node);
    });
}

#[test]
fn a_route_that_the_kernel_refuses_costs_no_address_and_is_told() {
    alone("a_route_that_the_kernel_refuses_costs_no_address_and_is_told", || {
        devices();
        let mut node = Lonely::new();
        let text = file("172.24.4.77", "10.9.0.0/16");
        let text = text.replace("10.9.0.0/16 via 10.1.0.9", "10.9.0.0/16 via 192.0.2.9");
        node.write("keepalived.conf", &text);
        start(&mut node);
        let told = |what: &str, of: &str| {
            node.events().iter().any(|event| event.what == what && event.evidence.contains(of))
        };
        until("it is told", || told("vip-routes-refused", "10.9.0.0/16 via 192.0.2.9"));
        // The network of that gateway comes.
        add("qr-1", [192, 0, 2, 1], 24);
        until("it is made", || has("qr-1 0000090A"));
        until("that is told", || told("vip-routes-made", ""));
        let netlink = Netlink::open().expect("a socket");
        netlink.delete_everywhere([192, 0, 2, 1].into()).expect("root may");
        ends(&mut node);
    });
}
