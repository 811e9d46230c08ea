//! Addresses that are here for others alone.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use sys::netlink::{AddressOptions, Netlink};
use sys::nft::Tables;

use super::cable::{Cable, inside, may_make_networks};
use crate::VIP;

const GLOBAL: Ipv6Addr = Ipv6Addr::new(0xfd79, 0, 0, 0, 0, 0, 0, 0x40);
const OF_RIGHT: Ipv6Addr = Ipv6Addr::new(0xfd79, 0, 0, 0, 0, 0, 0, 0x42);

/// Nobody listens: who is reached refuses, who is not is silent.
fn is_reached(cable: &Cable, ip: IpAddr) -> bool {
    let connect = || TcpStream::connect_timeout(&(ip, 9).into(), Duration::from_millis(300));
    match inside(&cable.right, connect) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => true,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
            false
        }
        Ok(stream) => panic!("somebody listens: {stream:?}"),
    }
}

fn knows(cable: &Cable, ip: IpAddr) -> bool {
    let _asked = is_reached(cable, ip);
    let SocketAddr::V4(_) = SocketAddr::new(ip, 9) else { return true };
    let text = inside(&cable.right, || std::fs::read_to_string("/proc/thread-self/net/arp"));
    let text = text.expect("the kernel lists its neighbours");
    text.lines()
        .any(|line| line.starts_with(&ip.to_string()) && !line.contains("00:00:00:00:00:00"))
}

#[test]
fn what_is_kept_out_is_answered_for_and_not_reached() {
    if !may_make_networks("nft::what_is_kept_out_is_answered_for_and_not_reached") {
        return;
    }
    let cable = Cable::new();
    let all: [IpAddr; 2] = [VIP.into(), GLOBAL.into()];
    let index = inside(&cable.left, || {
        let netlink = Netlink::open().unwrap();
        let index = netlink.link("eth0").unwrap().unwrap().index;
        for ip in all {
            let prefix = if ip.is_ipv4() { 24 } else { 64 };
            netlink.add_address(index, ip, prefix, AddressOptions::default()).unwrap();
        }
        index
    });
    inside(&cable.right, || {
        let netlink = Netlink::open().unwrap();
        let device = netlink.link("eth0").unwrap().unwrap().index;
        netlink.add_address(device, OF_RIGHT.into(), 64, AddressOptions::default()).unwrap();
    });
    let tables = inside(&cable.left, Tables::open).unwrap();
    let end = sys::clock::now() + Duration::from_secs(20);
    for ip in all {
        while !is_reached(&cable, ip) {
            assert!(sys::clock::now() < end, "{ip} is not reached before");
        }
    }
    let places: Vec<(IpAddr, u32)> = all.map(|ip| (ip, index)).to_vec();
    // Twice: what is there is replaced.
    tables.keep_out("outlast.test", &places).unwrap();
    tables.keep_out("outlast.test", &places).unwrap();
    for ip in all {
        assert!(!is_reached(&cable, ip), "{ip}");
        assert!(knows(&cable, ip), "{ip}");
    }
    assert!(is_reached(&cable, Cable::LEFT.into()), "the node's own address is");
    assert_eq!(tables.names().unwrap(), ["outlast.test"], "of both families, once");
    tables.forget(["outlast.test"]).unwrap();
    for ip in all {
        assert!(is_reached(&cable, ip), "{ip}");
    }
    tables.keep_out("outlast.test", &places[..1]).unwrap();
    assert!(!is_reached(&cable, all[0]) && is_reached(&cable, all[1]));
    // Those that are not there are no mistake, and nothing of the others is done where one cannot be.
    tables.forget(["outlast.none", "outlast.test"]).unwrap();
    assert!(is_reached(&cable, all[0]));
    assert_eq!(tables.names().unwrap(), Vec::<String>::new());
    tables.forget(["outlast.none"]).unwrap();
}

#[test]
fn what_was_said_of_a_batch_that_was_refused_is_not_taken_for_the_next_one() {
    let test = "nft::what_was_said_of_a_batch_that_was_refused_is_not_taken_for_the_next_one";
    if !may_make_networks(test) {
        return;
    }
    let cable = Cable::new();
    let tables = inside(&cable.left, Tables::open).unwrap();
    let places = |count: u8| -> Vec<(IpAddr, u32)> {
        (0..count).map(|last| (IpAddr::from([10, 79, 1, last]), 0)).collect()
    };
    // No name of a table is so long: each of its messages is refused, and each of them is answered.
    let long = "x".repeat(300);
    for round in 0..3 {
        assert!(tables.keep_out(&long, &places(20)).is_err(), "{round}: a name that is too long");
        tables.keep_out("outlast.good", &places(20)).unwrap();
        assert_eq!(tables.names().unwrap(), ["outlast.good"], "{round}");
        tables.forget(["outlast.good"]).unwrap();
        assert_eq!(tables.names().unwrap(), Vec::<String>::new(), "{round}");
    }
    // More messages than confirmations that the kernel keeps for one who reads none meanwhile.
    let many: Vec<(IpAddr, u32)> = (1..4)
        .flat_map(|third| (0..200).map(move |last| (IpAddr::from([10, 79, third, last]), 0)))
        .collect();
    tables.keep_out("outlast.many", &many).unwrap();
    tables.forget(["outlast.many"]).unwrap();
}
