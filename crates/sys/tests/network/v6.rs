//! Adverts over IPv6, in namespaces that each test makes.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;

use sys::netlink::{AddressOptions, Netlink};
use sys::vrrp::{Form, GROUP_V6, Part, Socket, Wanted};

use super::cable::{Cable, inside, may_make_networks, wait_for};

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// With an address at each end.
fn cable() -> Cable {
    let cable = Cable::new();
    for (end, own) in [(&cable.left, "fd79::41"), (&cable.right, "fd79::42")] {
        inside(end, || {
            let netlink = Netlink::open().expect("a netlink socket");
            let device = netlink.link("eth0").expect("the kernel answers").expect("it is there");
            let added = netlink.add_address(device.index, ip(own), 64, AddressOptions::default());
            added.expect("the device is up");
        });
    }
    cable
}

#[test]
fn an_advert_over_ipv6_crosses_the_cable_with_its_hop_limit() {
    if !may_make_networks("network::v6::an_advert_over_ipv6_crosses_the_cable_with_its_hop_limit") {
        return;
    }
    let cable = cable();
    let sender = inside(&cable.left, || Socket::open_v6("eth0", true).unwrap());
    let receiver = inside(&cable.right, || Socket::open_v6("eth0", true).unwrap());
    let mut buffer = [0; 256];
    // To the group from addresses of the link that this node does not have, and to the peer.
    for (source, to, hops) in [
        ("fe80::41", GROUP_V6.into(), 255),
        ("fe80::99", GROUP_V6.into(), 255),
        ("fd79::41", ip("fd79::42"), 255),
        ("fe80::41", GROUP_V6.into(), 254),
    ] {
        sender.send_with(hops, ip(source), to, b"advert").unwrap();
        wait_for(receiver.as_fd());
        let received = receiver.receive(&mut buffer).unwrap();
        let read = (received.source, received.destination, received.ttl);
        assert_eq!(read, (ip(source), to, hops));
        assert_eq!(&buffer[received.payload], b"advert");
    }
    let own = sender.receive(&mut buffer).unwrap_err();
    assert_eq!(own.kind(), ErrorKind::WouldBlock, "adverts come back to their sender");
    sender.send(ip("fe80::41"), GROUP_V6.into(), &[7; 300]).unwrap();
    wait_for(receiver.as_fd());
    let cut = receiver.receive(&mut buffer).unwrap_err();
    assert_eq!(cut.kind(), ErrorKind::InvalidData, "half a packet is none");
    let v4 = Ipv4Addr::new(10, 79, 0, 41).into();
    for (source, to, length) in [(v4, v4, 1), (ip("fe80::41"), ip("fd79::42"), 2000)] {
        let error = sender.send(source, to, &vec![0; length]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}

#[test]
fn who_forwards_on_a_device_is_a_router_there() {
    if !may_make_networks("network::v6::who_forwards_on_a_device_is_a_router_there") {
        return;
    }
    let cable = cable();
    inside(&cable.left, || {
        assert!(!sys::arp::is_router("eth0"));
        std::fs::write("/proc/sys/net/ipv6/conf/eth0/forwarding", "1").unwrap();
        assert!(sys::arp::is_router("eth0") && !sys::arp::is_router("eth9"));
    });
    assert!(!inside(&cable.right, || sys::arp::is_router("eth0")));
}

#[test]
fn what_may_have_to_be_obeyed_over_ipv6_has_a_socket_of_its_own() {
    if !may_make_networks(
        "network::v6::what_may_have_to_be_obeyed_over_ipv6_has_a_socket_of_its_own",
    ) {
        return;
    }
    let cable = cable();
    let sender = inside(&cable.left, || Socket::open_v6("eth0", true).unwrap());
    let wanted = [51, 53].map(|router_id| Wanted { router_id, form: Form::V3 });
    let parts = [Part::Wanted, Part::Rest].map(|part| {
        inside(&cable.right, || {
            let socket = Socket::open_v6("eth0", true).unwrap();
            socket.hear(part, &wanted).unwrap();
            socket
        })
    });
    let advert = |first: u8, router_id: u8| {
        [&[first, router_id, 100, 1, 0, 10, 0, 0][..], &[0; 16]].concat()
    };
    let cases = [
        (advert(0x31, 51), true),
        (advert(0x31, 53), true),
        (advert(0x31, 53)[..8].to_vec(), true),
        (advert(0x31, 52), false),
        (advert(0x21, 51), false),
        (advert(0x31, 51)[..7].to_vec(), false),
        (vec![], false),
    ];
    for (number, (bytes, is_wanted)) in (0x1000_u16..).zip(&cases) {
        // The source says which one it was.
        let source = ip(&format!("fe80::{number:x}"));
        sender.send(source, GROUP_V6.into(), bytes).unwrap();
        let [heard, silent] = if *is_wanted { [0, 1] } else { [1, 0] }.map(|at| &parts[at]);
        wait_for(heard.as_fd());
        assert_eq!(heard.receive(&mut [0; 256]).unwrap().source, source, "{bytes:02x?}");
        let other = silent.receive(&mut [0; 256]).unwrap_err();
        assert_eq!(other.kind(), ErrorKind::WouldBlock, "{bytes:02x?}");
    }
}
