//! What is forged, and what comes from strangers, at the processes of a real node.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/lonely.rs"]
mod lonely;

use std::net::{SocketAddr, UdpSocket};
use std::process::Command;

use lonely::{Lonely, OUTLAST, OWN, alone, has_vip, until};
use sys::netlink::{AddressOptions, Netlink};

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
