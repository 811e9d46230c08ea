//! A server that is farther than those beside it: the way to it is made long by a neighbour that says late where it is.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/lonely.rs"]
mod lonely;

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use lonely::{Lonely, alone, free_port, until};
use sys::arp;
use sys::netlink::{AddressOptions, Netlink};
use sys::netns;
use sys::poll::{Interest, Poller};

const FAR: Ipv4Addr = Ipv4Addr::new(10, 79, 0, 60);
const NEAR: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 79, 0, 61), Ipv4Addr::new(10, 79, 0, 62)];
const NODE: Ipv4Addr = lonely::OWN;
const SERVER: u16 = 9000;
/// A connect takes this long at least: more than any to a server that is near is waited for.
const WAY: Duration = Duration::from_millis(70);
/// As `engine::balance` waits for one that is far, or of which nothing is known.
const FAR_PATIENCE: Duration = Duration::from_millis(200);
/// Requests: a few for each thread until it has met all servers, and those that count.
const FIRST: usize = 24;
const LATER: usize = 24;
/// A hardware address that nobody has.
const NOBODY: [u8; 6] = [2, 0, 0, 0, 0, 0x77];

/// Where the servers are, on the other end of the node's cable.
struct Town {
    namespace: OwnedFd,
}

impl Town {
    fn build() -> Self {
        let namespace = netns::create().expect("a namespace of the test's own");
        let netlink = Netlink::open().expect("the kernel answers");
        let link = |name: &str| netlink.link(name).expect("the kernel answers");
        let wire = link("wire").expect("the test made it").index;
        netlink.set_netns(wire, namespace.as_fd()).expect("a device can be moved");
        let node = link("eth0").expect("the test made it");
        let mac = netns::within(namespace.as_fd(), move || furnish(node.mac));
        let mac = mac.expect("a namespace can be entered");
        for near in NEAR {
            netlink.set_neighbour(node.index, near, mac).expect("a neighbour can be set");
        }
        let town = Self { namespace };
        town.serve(FAR, "far");
        town.serve(NEAR[0], "near1");
        town.serve(NEAR[1], "near2");
        town.says_late();
        town
    }

    /// Answers each request with that name.
    fn serve(&self, ip: Ipv4Addr, name: &'static str) {
        let listens = move || TcpListener::bind((ip, SERVER)).expect("it is its address");
        let listener = netns::within(self.namespace.as_fd(), listens).expect("it can be entered");
        std::thread::spawn(move || {
            for mut guest in listener.incoming().flatten() {
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{name}",
                    name.len()
                );
                std::thread::spawn(move || {
                    let mut bytes = [0; 1024];
                    // A connect that nobody waited for says nothing.
                    if guest.read(&mut bytes).is_ok_and(|read| read > 0) {
                        let _ = guest.write_all(answer.as_bytes());
                    }
                });
            }
        });
    }

    /// Whoever asks where the far one is waits for a whole way.
    fn says_late(&self) {
        let opens = || arp::Socket::open_to_hear("wire").expect("ARP can be heard");
        let socket = netns::within(self.namespace.as_fd(), opens).expect("it can be entered");
        std::thread::spawn(move || {
            let poller = Poller::new().expect("it can be waited for");
            poller.add(socket.as_fd(), 0, Interest::READ).expect("it can be waited for");
            let mut ready = Vec::new();
            loop {
                while let Ok(heard) = socket.receive() {
                    if heard.target == FAR && !heard.reply {
                        std::thread::sleep(WAY);
                        socket.answer(FAR, &heard).expect("it can be answered");
                    }
                }
                poller.wait(&mut ready, None).expect("it can be waited for");
            }
        });
    }
}

/// The node knows no more where the far one is, and nothing is under way there: what comes late would ask where it is, and the next
/// connect would be nearer.
fn forgets() {
    until("what is under way comes through", || !is_under_way());
    on_device(|netlink, index| netlink.delete_neighbour(index, FAR));
}

/// Whether a connection of this node to the far one is in another state than `TIME_WAIT` (proc_net_tcp(5)).
fn is_under_way() -> bool {
    let far = format!("{:08X}:{SERVER:04X}", u32::from_le_bytes(FAR.octets()));
    let all = fs::read_to_string("/proc/net/tcp").expect("the kernel tells");
    let mut states = all.lines().filter_map(|line| {
        let mut words = line.split_whitespace().skip(2);
        (words.next() == Some(far.as_str())).then(|| words.next())
    });
    states.any(|state| state != Some("06"))
}

/// The end of the cable where the servers are: its hardware address.
fn furnish(node: [u8; 6]) -> [u8; 6] {
    let netlink = Netlink::open().expect("the kernel answers");
    let link = |name: &str| netlink.link(name).expect("the kernel answers").expect("it is here");
    let index = link("wire").index;
    for ip in [FAR, NEAR[0], NEAR[1]] {
        let added = netlink.add_address(index, ip.into(), 24, AddressOptions::default());
        added.expect("an address can be added");
    }
    netlink.set_up(index, true).expect("a device can be used");
    netlink.set_neighbour(index, NODE, node).expect("a neighbour can be set");
    // The test answers in place of the kernel.
    netns::set_sysctl("net.ipv4.conf.wire.arp_ignore", "8").expect("a switch of its own");
    link("wire").mac
}

fn on_device(work: impl Fn(&Netlink, u32) -> std::io::Result<()>) {
    let netlink = Netlink::open().expect("the kernel answers");
    let link = netlink.link("eth0").expect("the kernel answers").expect("the test made it");
    work(&netlink, link.index).expect("the kernel does it");
}

fn balancer(port: u16) -> String {
    let server = |(name, ip): (&str, Ipv4Addr)| format!(" server {name} {ip}:{SERVER}\n");
    let servers = [("far", FAR), ("near1", NEAR[0]), ("near2", NEAR[1])];
    format!(
        "defaults\n mode http\n timeout connect 2s\n timeout client 5s\n timeout server 5s\n\
         listen web\n bind 127.0.0.1:{port}\n balance roundrobin\n{}",
        servers.map(server).concat()
    )
}

const CLUSTER: &str = "[cluster]\nname = \"test\"\nsecret_file = \"secret\"\nhaproxy = \"haproxy.cfg\"\n\
    run_dir = \"FOLDER/run\"\nstate_dir = \"FOLDER/state\"\n\
    [node.node01]\nnetworks = { management = \"10.79.0.41\" }\n";

/// Who answered one request on a connection of its own, and after how long.
fn ask(port: u16) -> std::io::Result<(String, Duration)> {
    let (begin, limit) = (sys::clock::now(), Duration::from_secs(5));
    let mut client = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), limit)?;
    client.set_read_timeout(Some(limit))?;
    client.write_all(b"GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    client.read_to_string(&mut answer)?;
    let is_good = answer.starts_with("HTTP/1.1 200");
    let name = answer.rsplit("\r\n\r\n").next().filter(|_| is_good).unwrap_or_default();
    Ok((name.to_owned(), sys::clock::now().since(begin)))
}

fn suspects(node: &Lonely) -> Vec<String> {
    let servers = node.status().servers.into_iter();
    servers.filter(|server| server.suspect).map(|server| server.server).collect()
}

fn a_far_server_gets_its_share_and_a_near_one_that_dies_is_left_soon() {
    let _town = Town::build();
    let mut node = Lonely::new();
    let port = free_port();
    node.write("haproxy.cfg", &balancer(port));
    node.write("outlast.toml", CLUSTER);
    let secret = fs::Permissions::from_mode(0o600);
    fs::set_permissions(node.path("secret"), secret).expect("a mode can be set");
    let command = node.command();
    node.start_with(command);
    until("the balancer serves", || {
        forgets();
        ask(port).is_ok_and(|(who, _)| who.starts_with("near") || who == "far")
    });

    let asked: Vec<(String, Duration)> = (0..FIRST + LATER)
        .map(|_| {
            forgets();
            ask(port).expect("an answer")
        })
        .collect();
    let of = |name: &str| asked[FIRST..].iter().filter(|(who, _)| who == name).count();
    let share = [of("far"), of("near1"), of("near2")];
    eprintln!("the last {LATER} of {} requests: {share:?}", asked.len());
    assert!(asked.iter().all(|(who, _)| !who.is_empty()), "{asked:?}");
    assert!(share[0] >= LATER / 6, "the far one gets none: {asked:?}");
    assert_eq!(suspects(&node), [""; 0], "nobody is bad");

    // The way to a near one ends.
    on_device(|netlink, index| netlink.set_neighbour(index, NEAR[0], NOBODY));
    let mut took = vec![];
    until("it is known that it is silent", || {
        forgets();
        let (who, span) = ask(port).expect("an answer");
        assert_ne!(who, "near1");
        if who == "near2" {
            took.push(span);
        }
        suspects(&node) == ["near1"]
    });
    eprintln!("answered by the other near one after {took:?}");
    let raced: Vec<_> = took.iter().filter(|span| **span > Duration::from_millis(40)).collect();
    assert!(raced.iter().any(|span| **span < FAR_PATIENCE), "{took:?}");
}

#[test]
fn a_server_that_is_far_is_learned_and_a_near_one_is_waited_for_as_before() {
    let name = "a_server_that_is_far_is_learned_and_a_near_one_is_waited_for_as_before";
    alone(name, a_far_server_gets_its_share_and_a_near_one_that_dies_is_left_soon);
}
