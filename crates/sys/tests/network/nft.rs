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
    tables.let_in("outlast.test").unwrap();
    for ip in all {
        assert!(is_reached(&cable, ip), "{ip}");
    }
    tables.keep_out("outlast.test", &places[..1]).unwrap();
    assert!(!is_reached(&cable, all[0]) && is_reached(&cable, all[1]));
    tables.forget("outlast.test");
    assert!(is_reached(&cable, all[0]));
    // One that is not there.
    tables.let_in("outlast.test").unwrap();
    tables.forget("outlast.test");
}
