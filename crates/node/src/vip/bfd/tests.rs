use std::net::{IpAddr, Ipv4Addr, UdpSocket};

use config::vip::TrackedBfd;
use sys::netns;

use super::*;
use crate::vip::tests::network::may_make_networks;

const NEIGHBOR: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
const US: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// Of one version of IP on one link.
const FIRST: u64 = TOKEN;
const BATCH: usize = 64;

fn sessions() -> Sessions {
    let mut vip = Vip::plain("v", "lo", 7, vec![]);
    let session = BfdSession::plain("way", IpAddr::V4(NEIGHBOR));
    vip.track_bfds.push(TrackedBfd { session, weight: 0, reversed: false });
    Sessions::new(&[vip], &[], 1, sys::clock::now())
}

fn in_a_network(test: &str, work: impl FnOnce() + Send) {
    if may_make_networks(&format!("vip::bfd::tests::{test}")) {
        let netns = netns::create().unwrap();
        netns::within(netns.as_fd(), work).unwrap();
    }
}

fn speaks(from: Ipv4Addr) -> UdpSocket {
    let socket = UdpSocket::bind((from, 0)).unwrap();
    socket.set_ttl(255).unwrap();
    socket.connect((US, PORT)).unwrap();
    socket
}

/// A packet as it says itself that it is down.
fn packet() -> Vec<u8> {
    let config = Config {
        number: 9,
        min_rx: RETRY,
        min_tx: RETRY,
        idle_tx: RETRY,
        multiplier: 3,
        passive: false,
    };
    let (mut session, mut out) = (Session::new(config, 1, Time::ZERO), Buffer::new());
    session.step(Time::ZERO, Told::Timeout, &mut out);
    let Some(Action::Send(packet)) = out.iter().next() else { panic!("it speaks first") };
    packet.encode()[..LENGTH].to_vec()
}

#[test]
fn a_flood_of_strangers_is_not_heard_and_one_of_a_neighbour_is_read_in_turns() {
    let test = "a_flood_of_strangers_is_not_heard_and_one_of_a_neighbour_is_read_in_turns";
    in_a_network(test, || {
        let (mut sessions, poller) = (sessions(), Poller::new().unwrap());
        assert!(sessions.open(&poller, sys::clock::now()).is_empty(), "nothing is refused");
        let (stranger, neighbor) = (speaks(STRANGER), speaks(NEIGHBOR));
        for _ in 0..1000 {
            stranger.send(&packet()).unwrap();
        }
        assert_eq!(sessions.receive(FIRST).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        for _ in 0..2 * BATCH {
            neighbor.send(&packet()).unwrap();
        }
        let now = sys::clock::now();
        let mut ready = Vec::new();
        poller.wait(&mut ready, Some(Duration::ZERO)).unwrap();
        assert_eq!(ready.len(), 1);
        let mut read = 0;
        while sessions.may_read(FIRST, &poller, now) {
            assert!(sessions.receive(FIRST).unwrap().is_some(), "it is of the session");
            read += 1;
        }
        assert_eq!(read, BATCH, "the rest waits for the next turn");
        poller.wait(&mut ready, Some(Duration::ZERO)).unwrap();
        assert!(ready.is_empty(), "nobody is woken by it until then");
        assert!(sessions.deadline() <= now + TURN);
        sessions.wake(&poller, now + TURN);
        poller.wait(&mut ready, Some(Duration::ZERO)).unwrap();
        assert_eq!(ready.len(), 1);
        let later = now + TURN;
        let left = (0..).take_while(|_| {
            sessions.may_read(FIRST, &poller, later) && sessions.receive(FIRST).is_ok()
        });
        assert_eq!(left.count(), BATCH);
    });
}

#[test]
fn a_way_that_has_no_socket_is_told_once_and_once_when_it_has_one() {
    in_a_network("a_way_that_has_no_socket_is_told_once_and_once_when_it_has_one", || {
        let (mut sessions, poller) = (sessions(), Poller::new().unwrap());
        let taken = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT)).unwrap();
        let now = sys::clock::now();
        let news = sessions.open(&poller, now);
        let [(way, Some(error))] = &news[..] else { panic!("{news:?}") };
        assert_eq!((way.as_str(), error.kind()), ("way to 127.0.0.2", io::ErrorKind::AddrInUse));
        for round in 1..4 {
            assert!(sessions.open(&poller, now + RETRY * round).is_empty(), "it was told");
        }
        drop(taken);
        let now = now + RETRY * 4;
        let news = sessions.open(&poller, now);
        assert!(matches!(&news[..], [(way, None)] if way == "way to 127.0.0.2"), "{news:?}");
        assert!(sessions.open(&poller, now + RETRY).is_empty());
    });
}
