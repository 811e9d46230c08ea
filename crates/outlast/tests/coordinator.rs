//! Who coordinates, by real processes: an order that comes late, under a token that is old by then, and a
//! coordinator that is put on standby.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/lonely.rs"]
mod lonely;

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/trio.rs"]
mod trio;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use api::{Coordinator, Duty, IntentState, Role, Standing};
use lonely::{alone, kill, until};
use trio::{NODES, Trio};

/// Where beats are sent, and orders.
const PORT: u16 = 7411;
/// Of `engine::packet`: where the kind is, and which one carries orders.
const KIND: usize = 5;
const ERRAND: u8 = 6;
/// The node that is only reached through [`Relays`].
const FAR: &str = "node04";

const fn address(network: u8, host: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, network, host))
}

/// What stands between three nodes and a fourth: each side sees the other at an address of the relay, and
/// what one of them orders can be held back.
#[derive(Default)]
struct Relays {
    /// Whose orders are held back, by the last byte of its address.
    silenced: Mutex<Option<u8>>,
    /// Packets and the sockets by which they go on.
    held: Mutex<Vec<Held>>,
}

type Held = (Arc<UdpSocket>, SocketAddr, Vec<u8>);

impl Relays {
    /// The fourth node is `.5` and is seen at `.9`; `.2` to `.4` are seen there at `.12` to `.14`.
    fn start() -> Arc<Self> {
        let relays = Arc::new(Self::default());
        for network in [0, 1] {
            let bound = |host: u8| {
                let socket = UdpSocket::bind((address(network, host), PORT));
                Arc::new(socket.expect("an address of the loopback"))
            };
            let (far, near) = (bound(9), [12, 13, 14].map(bound));
            for (host, shown) in (2..).zip(&near) {
                let (here, shown, to) =
                    (Arc::clone(&far), Arc::clone(shown), address(network, host));
                std::thread::spawn(move || back(&shown, &here, (to, PORT).into()));
            }
            let relays = Arc::clone(&relays);
            std::thread::spawn(move || {
                relays.there(&far, &near, (address(network, 5), PORT).into());
            });
        }
        relays
    }

    /// From the three to the fourth.
    fn there(&self, from: &UdpSocket, as_whom: &[Arc<UdpSocket>], to: SocketAddr) {
        let mut bytes = [0; 2048];
        loop {
            let Ok((length, sender)) = from.recv_from(&mut bytes) else { continue };
            let IpAddr::V4(ip) = sender.ip() else { continue };
            let host = ip.octets()[3];
            let Some(socket) = as_whom.get(usize::from(host.wrapping_sub(2))) else { continue };
            let packet = &bytes[..length];
            let silenced = *self.silenced.lock().expect("no thread panicked");
            if silenced == Some(host) && packet.get(KIND) == Some(&ERRAND) {
                let mut held = self.held.lock().expect("no thread panicked");
                held.push((Arc::clone(socket), to, packet.to_vec()));
            } else {
                // As on any network it may be lost.
                let _ = socket.send_to(packet, to);
            }
        }
    }

    fn silence(&self, host: Option<u8>) {
        *self.silenced.lock().expect("no thread panicked") = host;
    }

    fn holds(&self) -> bool {
        !self.held.lock().expect("no thread panicked").is_empty()
    }

    fn let_go(&self) {
        for (socket, to, packet) in self.held.lock().expect("no thread panicked").drain(..) {
            socket.send_to(&packet, to).expect("the loopback takes it");
        }
    }
}

/// From the fourth to one of the three.
fn back(from: &UdpSocket, as_whom: &UdpSocket, to: SocketAddr) {
    let mut bytes = [0; 2048];
    loop {
        let Ok((length, _)) = from.recv_from(&mut bytes) else { continue };
        let _ = as_whom.send_to(&bytes[..length], to);
    }
}

/// Three members of the store, and a fourth node behind relays.
fn four() -> (Trio, Arc<Relays>) {
    let relays = Relays::start();
    let far = |host: u8| {
        format!(
            "[node.{FAR}]\nnetworks = {{ management = \"127.0.0.{host}\", storage = \"127.0.1.{host}\" }}\n"
        )
    };
    let members = "members = [\"node01\", \"node02\", \"node03\"]";
    let mut trio = Trio::with(members, &far(9));
    let mut text = std::fs::read_to_string(trio.config_file("node01")).expect("it was written");
    for host in [2, 3, 4] {
        for network in [0, 1] {
            let (real, shown) = (address(network, host), address(network, host + 10));
            text = text.replace(&format!("\"{real}\""), &format!("\"{shown}\""));
        }
    }
    // Its folder is the one that was made for a compute node: it has that one's address.
    let folder = |node: &str| trio.files.path(node);
    std::fs::rename(folder(trio::COMPUTE), folder(FAR)).expect("it was made");
    trio.files.write(&format!("{FAR}/outlast.toml"), &text.replace(&far(9), &far(5)));
    trio.start(FAR);
    until("everybody hears the fourth", || {
        NODES.into_iter().chain([FAR]).all(|node| {
            let nodes = trio.status(node).map(|status| status.nodes).unwrap_or_default();
            nodes.len() == 4 && nodes.iter().all(|line| line.state.standing == Standing::Alive)
        })
    });
    (trio, relays)
}

fn shown(trio: &Trio, node: &str) -> Coordinator {
    let status = trio.status(node);
    status.and_then(|status| status.coordinator).map(|shown| *shown).unwrap_or_default()
}

#[test]
fn an_order_that_comes_late_from_a_coordinator_that_was_paused_is_refused_and_counted() {
    alone(
        "an_order_that_comes_late_from_a_coordinator_that_was_paused_is_refused_and_counted",
        || {
            let (trio, relays) = four();
            let (before, sleeper) = trio.leads();
            let place = NODES.iter().position(|node| *node == sleeper).expect("one of three");
            relays.silence(Some(u8::try_from(place + 2).expect("a small number")));
            let other = NODES.into_iter().find(|node| *node != sleeper).expect("one of three");
            let mut tool = trio.typed(other, &["node", "standby", FAR]);
            let tool = tool.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
            let mut tool = tool.expect("the tool runs");
            // It has decided, and ordered.
            until("its order is on its way", || relays.holds());
            let agent = trio.agent(sleeper);
            kill(trio.supervisor(sleeper), "STOP");
            kill(agent, "STOP");
            until("another one goes on", || {
                let intents = trio.intents(other);
                intents.first().is_some_and(|intent| intent.state == IntentState::Done)
            });
            assert_eq!(trio.duty(FAR), Some(Duty::Standby));
            assert_eq!(shown(&trio, FAR).stale_orders, 0);
            let now = shown(&trio, other);
            assert!(now.node != sleeper && now.token > before, "{now:?} after {before}");
            // What it had ordered arrives now.
            relays.let_go();
            until("it is refused", || shown(&trio, FAR).stale_orders > 0);
            let told = trio.events(FAR, "stale-order-refused");
            let expected = format!(
                "a step of intent 1 came under token {before}, and {} is known here",
                now.token
            );
            assert_eq!(told.first().map(|event| event.evidence.as_str()), Some(expected.as_str()));
            let (_, said) = trio.types(FAR, &["status"]);
            assert!(
                said.contains("orders of former coordinators that were refused here: "),
                "{said}"
            );
            // And when it goes on itself.
            relays.silence(None);
            kill(agent, "CONT");
            kill(trio.supervisor(sleeper), "CONT");
            until("it knows that it coordinates no more", || {
                let ended = trio.events(sleeper, "coordinator-ended");
                ended.iter().any(|event| event.evidence.starts_with(&format!("token {before}: ")))
            });
            let (_, log) = trio.types(FAR, &["audit"]);
            assert_eq!(log.matches("node standby node04: done").count(), 1, "{log}");
            // Its answer may have come by the other one, or it gave up waiting.
            tool.wait().expect("it ends");
        },
    );
}

#[test]
fn a_coordinator_on_standby_gives_the_name_away_and_all_say_who_has_it() {
    alone("a_coordinator_on_standby_gives_the_name_away_and_all_say_who_has_it", || {
        let trio = Trio::new("");
        let (before, first) = trio.leads();
        let all_say = |who: &str, token: u64| {
            NODES.iter().all(|node| {
                let shown = shown(&trio, node);
                shown.node == who && shown.token == token && shown.since_ms > 0
            })
        };
        until("all say so", || all_say(first, before));
        let (_, said) = trio.types(first, &["status"]);
        assert!(
            said.contains(&format!("{first} coordinates under token {before}, seen")),
            "{said}"
        );
        let (code, said) = trio.types(first, &["node", "standby", first]);
        assert_eq!(code, Some(0), "{said}");
        until("another one has the name", || trio.leads().1 != first);
        let (token, second) = trio.leads();
        until("all say so", || all_say(second, token));
        let ended = trio.events(first, "coordinator-ended");
        assert!(
            ended.iter().any(|event| event.evidence.contains("this node is at rest")),
            "{ended:?}"
        );
        // Everybody at rest: somebody decides all the same, or nobody came back.
        for node in NODES.into_iter().filter(|node| *node != first) {
            let (code, said) = trio.types(node, &["node", "standby", node]);
            assert_eq!(code, Some(0), "{said}");
        }
        for node in NODES {
            let (code, said) = trio.types(node, &["node", "resume", node]);
            assert_eq!(code, Some(0), "{said}");
        }
        let last = NODES.iter().filter_map(|node| trio.pid(node, Role::Agent)).count();
        assert_eq!(last, 3, "nobody was replaced for it");
    });
}
