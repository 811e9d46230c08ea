//! What is forged, and what comes from strangers, at the processes of a real node.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/lonely.rs"]
mod lonely;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::process::Command;

use api::RefusedAdvert;
use lonely::{Lonely, OUTLAST, OWN, alone, has_vip, until};
use sys::netlink::{AddressOptions, Netlink};
use sys::vrrp;

const CLUSTER: &str = r#"[cluster]
name = "lonely"
secret_file = "secret"
haproxy = "haproxy.cfg"
run_dir = "FOLDER/run"
state_dir = "FOLDER/state"
[node.node01]
networks = { management = "10.79.0.41" }
[node.node02]
networks = { management = "10.79.0.42" }
[vip.internal]
address = "10.79.0.40"
router_id = 121
"#;
/// The agent's, and beside it the vip process's.
const PORTS: [u16; 2] = [7411, 7412];
const PEER: [u8; 4] = [10, 79, 0, 42];
const STRANGER: [u8; 4] = [10, 79, 0, 99];

/// By its head a packet of `kind` from node02 to node01: `engine::packet` has the form.
fn forged(kind: u8) -> Vec<u8> {
    let mut packet = b"OUTL\x02".to_vec();
    packet.extend([kind, 0, 1, 0, 0, 0, 0]);
    packet.extend(u64::MAX.to_be_bytes());
    packet.extend(1_u64.to_be_bytes());
    packet.resize(packet.len() + 64, 0x5a);
    packet
}

#[test]
fn forged_packets_are_counted_by_agent_and_vip_process_and_strangers_are_not_read() {
    const TEST: &str =
        "forged_packets_are_counted_by_agent_and_vip_process_and_strangers_are_not_read";
    alone(TEST, || {
        let netlink = Netlink::open().expect("this is a namespace of the test");
        for address in [PEER, STRANGER] {
            // On the loopback device: this machine sends from them to itself.
            netlink.add_address(1, address.into(), 32, AddressOptions::default()).unwrap();
        }
        let mut node = Lonely::new();
        node.write("outlast.toml", CLUSTER);
        let command = node.command();
        node.start_with(command);
        until("it holds", has_vip);
        let send = |from: [u8; 4], kind: u8, port: u16| {
            let socket = UdpSocket::bind(SocketAddr::from((from, 0))).unwrap();
            for _ in 0..20 {
                socket.send_to(&forged(kind), SocketAddr::from((OWN, port))).unwrap();
            }
        };
        // A beat and a hand-over; of 20 some may come before a socket is open.
        until("both processes have seen forged packets and kept strangers out", || {
            for (kind, port) in [1, 3].into_iter().zip(PORTS) {
                send(PEER, kind, port);
                send(STRANGER, kind, port);
            }
            let status = node.try_status();
            status.is_some_and(|status| {
                [status.refused, status.vip_refused].iter().all(|refused| {
                    refused.forged > 0 && refused.unread > 0 && refused.unreadable == 0
                })
            })
        });
        assert!(has_vip(), "nobody gives an address up because of them");
        let mut status = Command::new(OUTLAST);
        let said = status.arg("status").arg("--run-dir").arg(node.path("run")).output().unwrap();
        let said = String::from_utf8_lossy(&said.stdout);
        for who in ["agent", "vip"] {
            let line = format!("datagrams to the {who} that were not believed: ");
            assert!(said.contains(&line), "{said}");
        }
    });
}

/// An advert of the weakest for the virtual IP (RFC 3768 5.1).
fn advert(router_id: u8, interval: u8, password: [u8; 8], address: [u8; 4]) -> Vec<u8> {
    let mut bytes = vec![0x21, router_id, 1, 1, 1, interval, 0, 0];
    bytes.extend(address);
    bytes.extend(password);
    summed(bytes)
}

/// With its checksum over the message alone, which both versions know.
fn summed(mut bytes: Vec<u8>) -> Vec<u8> {
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]));
    let sum = words.sum::<u32>();
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    bytes[6..8].copy_from_slice(&(!u16::try_from(sum).expect("folded twice")).to_be_bytes());
    bytes
}

fn outlast(node: &Lonely, words: &[&str]) -> String {
    let mut command = Command::new(OUTLAST);
    let said = command.args(words).arg("--run-dir").arg(node.path("run")).output();
    let said = said.expect("the tool runs");
    String::from_utf8_lossy(&said.stdout).into_owned()
}

fn page(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text)
}

#[test]
fn adverts_that_are_not_obeyed_are_told_by_reason_and_from_whom() {
    alone("adverts_that_are_not_obeyed_are_told_by_reason_and_from_whom", || {
        const SECRET: [u8; 8] = *b"ourword\0";
        const VIP: [u8; 4] = [10, 79, 0, 40];
        const DASHBOARD: u16 = 7480;
        let mut node = Lonely::new();
        let dashboard = format!("[dashboard]\nlisten = \"127.0.0.1:{DASHBOARD}\"\n");
        node.write("outlast.toml", &format!("{CLUSTER}password = \"ourword\"\n{dashboard}"));
        let command = node.command();
        node.start_with(command);
        until("it holds", has_vip);
        // The other end of its cable.
        let foreign = vrrp::Socket::open("wire", true).unwrap();
        let mut no_sum = advert(121, 1, SECRET, VIP);
        no_sum[7] ^= 1;
        let newer = [0x31, 121, 1, 1, 0, 100, 0, 0].into_iter().chain(VIP);
        let newer = summed(newer.collect());
        let sound = advert(121, 1, SECRET, VIP);
        use RefusedAdvert::*;
        let cases: [(RefusedAdvert, u8, Vec<u8>); 9] = [
            (Password, 255, advert(121, 1, *b"another\0", VIP)),
            (Interval, 255, advert(121, 2, SECRET, VIP)),
            (Addresses, 255, advert(121, 1, SECRET, [10, 79, 0, 50])),
            (Ttl, 254, sound.clone()),
            (Version, 255, newer),
            (Checksum, 255, no_sum),
            (Malformed, 255, sound[..18].to_vec()),
            (RouterId, 255, advert(122, 1, SECRET, VIP)),
            // Too short to be for anybody.
            (Malformed, 255, vec![0x21]),
        ];
        until("all are told", || {
            for (number, (_, ttl, bytes)) in (0..).zip(&cases) {
                foreign.send_with(*ttl, from(number).into(), vrrp::GROUP.into(), bytes).unwrap();
            }
            let Some(status) = node.try_status() else { return false };
            (0..).zip(&cases).all(|(number, (reason, _, bytes))| {
                let of = (*reason != RouterId && bytes.len() > 1).then_some("internal");
                status.adverts_refused.iter().any(|told| {
                    (told.reason, told.vip.as_deref()) == (*reason, of)
                        && told.source == Some(from(number).into())
                        && told.count > 0
                        && told.interface == "eth0"
                })
            })
        });
        assert_eq!(node.status().adverts_refused.len(), cases.len(), "nothing else is counted");
        let why = outlast(&node, &["why", "vip/internal"]);
        let status = outlast(&node, &["status"]);
        for text in [&why, &status] {
            assert!(text.contains("with another password (last from 10.79.0.200)"), "{text}");
        }
        assert!(
            !status.contains("router id"),
            "another group on the link is nobody's fault: {status}"
        );
        assert!(
            outlast(&node, &["status", "--all"]).contains("with the router id of no virtual IP")
        );
        let metric = "outlast_vip_adverts_refused_total{vip=\"internal\",interface=\"eth0\",reason=\"password\"}";
        until("it is counted in the metrics", || {
            page(DASHBOARD, "/metrics").is_some_and(|page| page.contains(metric))
        });
        one_event_for_each(&node, cases.len() - 1);
        assert!(has_vip(), "nobody gives an address up because of them");
    });
}

/// The address that the case of that number comes from.
fn from(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 79, 0, 200 + number)
}

fn one_event_for_each(node: &Lonely, reasons: usize) {
    // One event for each reason but that of another group, however many came.
    let told = || {
        let all = node.events();
        all.into_iter().filter(|event| event.what == "vip-adverts-refused").collect::<Vec<_>>()
    };
    until("events tell the first of each", || told().len() >= reasons);
    assert_eq!(told().len(), reasons);
    let (of_vip, rest): (Vec<_>, Vec<_>) =
        told().into_iter().partition(|event| event.object == "vip/internal");
    assert_eq!((of_vip.len(), rest.len()), (7, 1), "{rest:?}");
    let said = "with another password (last from 10.79.0.200)";
    assert!(of_vip.iter().any(|event| event.evidence.contains(said)), "{of_vip:?}");
}
