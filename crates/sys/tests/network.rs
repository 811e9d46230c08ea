//! The kernel's network, in namespaces that each test makes: devices and addresses over netlink,
//! adverts, gratuitous ARP, addresses of other nodes.

extern crate outlast_sys as sys;

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;

use sys::netlink::{Address, AddressOptions, Change, Monitor, Netlink, Route};
use sys::vrrp::Form;
use sys::{arp, netns, socket, vrrp};

mod network {
    pub(crate) mod cable;
    mod macvlan;
    mod monitor;
    mod nft;
    mod v6;
}

use network::cable::{Cable, inside, may_make_networks, wait_for};

const VIP: Ipv4Addr = Ipv4Addr::new(10, 79, 0, 40);
const VIP6: &str = "2001:db8::40";

#[test]
fn an_address_comes_and_goes_and_is_listed() {
    if !may_make_networks("an_address_comes_and_goes_and_is_listed") {
        return;
    }
    let cable = Cable::new();
    inside(&cable.left, || {
        let netlink = Netlink::open().unwrap();
        let device = netlink.link("eth0").unwrap().unwrap();
        assert!(device.up && device.carrier && device.mac != [0; 6], "{device:?}");
        assert_eq!(netlink.first_ipv4(device.index).unwrap(), Some(Cable::LEFT));
        for ip in [IpAddr::V4(VIP), VIP6.parse().unwrap()] {
            let prefix = if ip.is_ipv4() { 32 } else { 128 };
            let address = Address { index: device.index, ip, prefix };
            let options = AddressOptions::default();
            assert!(netlink.add_address(device.index, ip, prefix, options).unwrap());
            assert!(!netlink.add_address(device.index, ip, prefix, options).unwrap());
            assert!(netlink.addresses().unwrap().contains(&address), "{address}");
            assert!(netlink.delete_address(device.index, ip, prefix).unwrap());
            assert!(!netlink.delete_address(device.index, ip, prefix).unwrap());
            assert!(!netlink.addresses().unwrap().contains(&address), "{address}");
        }
        // Found by the address alone, whatever its prefix.
        let labelled = AddressOptions { label: Some("eth0:vip"), ..AddressOptions::default() };
        netlink.add_address(device.index, VIP.into(), 24, labelled).unwrap();
        assert_eq!(netlink.delete_everywhere(VIP.into()).unwrap(), 1);
        assert_eq!(netlink.delete_everywhere(VIP.into()).unwrap(), 0);
        assert_eq!(netlink.first_ipv4(device.index).unwrap(), Some(Cable::LEFT));
        assert!(!netlink.delete_address(9999, VIP.into(), 32).unwrap());
        assert!(
            netlink.add_address(9999, VIP.into(), 32, AddressOptions::default()).is_err(),
            "a device that does not exist takes no address"
        );
        assert_eq!(netlink.link("eth9").unwrap(), None);
    });
}

#[test]
fn a_route_is_made_before_another_and_only_exactly_that_one_is_removed() {
    if !may_make_networks("a_route_is_made_before_another_and_only_exactly_that_one_is_removed") {
        return;
    }
    let cable = Cable::new();
    inside(&cable.left, || {
        let netlink = Netlink::open().unwrap();
        let index = netlink.link("eth0").unwrap().unwrap().index;
        let own: Ipv4Addr = [192, 0, 2, 1].into();
        netlink.add_address(index, own.into(), 32, AddressOptions::default()).unwrap();
        let there: Ipv4Addr = [198, 51, 100, 1].into();
        // The address from which the kernel would send there.
        let way = || {
            let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
            socket.connect((there, 9)).ok().map(|()| socket.local_addr().unwrap().ip())
        };
        assert_eq!(way(), None);
        let route = Route {
            destination: Ipv4Addr::UNSPECIFIED.into(),
            prefix: 0,
            via: Some(Cable::RIGHT.into()),
            index: Some(index),
            source: None,
            table: 254,
            metric: None,
            scope: 0,
            protocol: 4,
        };
        let second = Route { via: None, source: Some(own.into()), ..route };
        assert!(netlink.make_route(&route).unwrap());
        assert!(!netlink.make_route(&route).unwrap());
        assert_eq!(way(), Some(Cable::LEFT.into()));
        assert!(netlink.make_route(&second).unwrap(), "beside another to the same network");
        assert_eq!(way(), Some(own.into()));
        for other in [
            Route { protocol: 18, ..second },
            Route { scope: 253, ..second },
            Route { table: 253, ..second },
            Route { metric: Some(7), ..second },
            Route { prefix: 1, ..second },
        ] {
            assert!(!netlink.delete_route(&other).unwrap(), "{other:?}");
        }
        assert!(netlink.delete_route(&second).unwrap());
        assert_eq!(way(), Some(Cable::LEFT.into()));
        assert!(netlink.delete_route(&route).unwrap());
        assert!(!netlink.delete_route(&route).unwrap());
        assert_eq!(way(), None);
        let v6 = Route {
            destination: "2001:db8:9::".parse().unwrap(),
            prefix: 64,
            via: None,
            metric: Some(7),
            table: 1000,
            ..route
        };
        assert!(netlink.make_route(&v6).unwrap());
        assert!(!netlink.make_route(&v6).unwrap());
        assert!(!netlink.delete_route(&Route { table: 254, ..v6 }).unwrap());
        assert!(netlink.delete_route(&v6).unwrap());
        assert!(!netlink.delete_route(&v6).unwrap());
        let nowhere = Route { via: Some(Ipv4Addr::new(203, 0, 113, 1).into()), ..route };
        assert!(netlink.make_route(&nowhere).is_err(), "no network of ours has that gateway");
        assert!(!netlink.delete_route(&nowhere).unwrap());
    });
}

#[test]
fn a_long_list_of_addresses_comes_in_several_parts() {
    if !may_make_networks("a_long_list_of_addresses_comes_in_several_parts") {
        return;
    }
    const MANY: u16 = 600;
    let cable = Cable::new();
    let count = inside(&cable.left, || {
        let netlink = Netlink::open().unwrap();
        let device = netlink.link("eth0").unwrap().unwrap().index;
        for number in 0..MANY {
            let [high, low] = number.to_be_bytes();
            let ip = Ipv4Addr::new(10, 80, high, low).into();
            netlink.add_address(device, ip, 32, AddressOptions::default()).unwrap();
        }
        let addresses = netlink.addresses().unwrap();
        addresses.iter().filter(|address| address.prefix == 32 && address.ip.is_ipv4()).count()
    });
    assert_eq!(count, usize::from(MANY));
}

#[test]
fn the_monitor_tells_of_addresses_and_of_a_lost_carrier() {
    if !may_make_networks("the_monitor_tells_of_addresses_and_of_a_lost_carrier") {
        return;
    }
    let cable = Cable::new();
    let mut monitor = inside(&cable.left, || Monitor::open().unwrap());
    let device = inside(&cable.left, || {
        let netlink = Netlink::open().unwrap();
        let device = netlink.link("eth0").unwrap().unwrap().index;
        netlink.add_address(device, VIP.into(), 32, AddressOptions::default()).unwrap();
        netlink.delete_address(device, VIP.into(), 32).unwrap();
        device
    });
    let address = Address { index: device, ip: VIP.into(), prefix: 32 };
    hear(&mut monitor, |change| *change == Change::Address { address, gone: false });
    hear(&mut monitor, |change| *change == Change::Address { address, gone: true });
    // The other end of the cable goes down: ours loses its carrier.
    cable.switch_right(false);
    hear(
        &mut monitor,
        |change| matches!(change, Change::Link { link, gone: false } if link.name == "eth0" && link.up && !link.carrier),
    );
    cable.switch_right(true);
    hear(
        &mut monitor,
        |change| matches!(change, Change::Link { link, gone: false } if link.carrier),
    );
    inside(&cable.left, || Netlink::open().unwrap().delete_link(device).unwrap());
    hear(
        &mut monitor,
        |change| matches!(change, Change::Link { link, gone: true } if link.index == device),
    );
}

#[test]
fn a_port_that_leaves_a_switch_is_not_gone() {
    if !may_make_networks("a_port_that_leaves_a_switch_is_not_gone") {
        return;
    }
    let cable = Cable::new();
    let changes = inside(&cable.left, || {
        let netlink = Netlink::open().unwrap();
        netlink.create_bridge("br0").unwrap();
        let bridge = netlink.link("br0").unwrap().unwrap().index;
        let port = netlink.link("eth0").unwrap().unwrap().index;
        netlink.set_master(port, Some(bridge)).unwrap();
        netlink.set_isolated(port, true).unwrap();
        let mut monitor = Monitor::open().unwrap();
        netlink.set_master(port, None).unwrap();
        netlink.set_up(bridge, true).unwrap();
        let mut changes = Vec::new();
        // The kernel tells in order, and the last of it is about the switch itself.
        loop {
            wait_for(monitor.as_fd());
            while let Some(change) = monitor.next().unwrap() {
                changes.push(change);
            }
            let last = |change: &Change| matches!(change, Change::Link { link, .. } if link.index == bridge && link.up);
            if changes.iter().any(last) {
                return changes;
            }
        }
    });
    let gone = |change: &&Change| matches!(change, Change::Link { gone: true, .. });
    assert_eq!(changes.iter().find(gone), None);
}

#[test]
fn an_advert_crosses_the_cable_with_its_ttl() {
    if !may_make_networks("an_advert_crosses_the_cable_with_its_ttl") {
        return;
    }
    let cable = Cable::new();
    let sender = inside(&cable.left, || vrrp::Socket::open("eth0", true).unwrap());
    let receiver = inside(&cable.right, || vrrp::Socket::open("eth0", true).unwrap());
    let mut buffer = [0; 256];
    // To the group, to the peer, and from an address that this node does not have.
    for (source, to) in
        [(Cable::LEFT, vrrp::GROUP), (Cable::LEFT, Cable::RIGHT), (VIP, vrrp::GROUP)]
    {
        let (source, to) = (source.into(), to.into());
        sender.send(source, to, b"advert").unwrap();
        wait_for(receiver.as_fd());
        let received = receiver.receive(&mut buffer).unwrap();
        assert_eq!((received.source, received.destination, received.ttl), (source, to, 255));
        assert_eq!(&buffer[received.payload], b"advert");
    }
    let own = sender.receive(&mut buffer).unwrap_err();
    assert_eq!(own.kind(), std::io::ErrorKind::WouldBlock, "adverts come back to their sender");
    let long = sender.send(Cable::LEFT.into(), vrrp::GROUP.into(), &[0; 2000]).unwrap_err();
    assert_eq!(long.kind(), std::io::ErrorKind::InvalidInput);
}

#[test]
fn a_sender_that_did_not_join_hears_nothing_of_the_group() {
    if !may_make_networks("a_sender_that_did_not_join_hears_nothing_of_the_group") {
        return;
    }
    let cable = Cable::new();
    let sender = inside(&cable.left, || vrrp::Socket::open("eth0", true).unwrap());
    let (joined, other) = inside(&cable.right, || {
        let joined = vrrp::Socket::open("eth0", true).unwrap();
        (joined, vrrp::Socket::open("eth0", false).unwrap())
    });
    sender.send(Cable::LEFT.into(), vrrp::GROUP.into(), b"advert").unwrap();
    wait_for(joined.as_fd());
    let error = other.receive(&mut [0; 256]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn a_gratuitous_arp_is_heard_on_the_other_side() {
    if !may_make_networks("a_gratuitous_arp_is_heard_on_the_other_side") {
        return;
    }
    let cable = Cable::new();
    let speaker = inside(&cable.left, || arp::Socket::open("eth0").unwrap());
    let listener = inside(&cable.right, || arp::Socket::open_to_hear("eth0").unwrap());
    speaker.announce(VIP).unwrap();
    for reply in [false, true] {
        let heard = hear_about(&listener, VIP);
        assert_eq!((heard.reply, heard.sender, heard.target), (reply, VIP, VIP));
        assert_eq!(heard.sender_mac, speaker.mac());
    }
    speaker.announce_v6(VIP6.parse().unwrap()).unwrap();
}

#[test]
fn who_has_an_address_answers_a_probe() {
    if !may_make_networks("who_has_an_address_answers_a_probe") {
        return;
    }
    let cable = Cable::new();
    let asker = inside(&cable.left, || arp::Socket::open_to_hear("eth0").unwrap());
    inside(&cable.right, || {
        let netlink = Netlink::open().unwrap();
        let device = netlink.link("eth0").unwrap().unwrap().index;
        netlink.add_address(device, VIP.into(), 32, AddressOptions::default()).unwrap();
    });
    asker.probe(Cable::LEFT, VIP).unwrap();
    let heard = hear_about(&asker, VIP);
    assert!(heard.reply && heard.sender == VIP, "{heard:?}");
}

#[test]
fn an_address_that_comes_later_serves_who_listened_before() {
    if !may_make_networks("an_address_that_comes_later_serves_who_listened_before") {
        return;
    }
    let cable = Cable::new();
    let options = socket::Listen { transparent: true, ..socket::Listen::default() };
    let listener = inside(&cable.left, || socket::listen_tcp((VIP, 0).into(), &options).unwrap());
    let address = socket::local(listener.as_fd()).unwrap();
    inside(&cable.left, || {
        let netlink = Netlink::open().unwrap();
        let device = netlink.link("eth0").unwrap().unwrap().index;
        netlink.add_address(device, VIP.into(), 32, AddressOptions::default()).unwrap();
    });
    let _client = inside(&cable.right, || {
        let netlink = Netlink::open().unwrap();
        netlink.add_route(Cable::LEFT.into()).unwrap();
        socket::connect_tcp(address).unwrap()
    });
    wait_for(listener.as_fd());
    let (_server, from) = socket::accept(listener.as_fd()).unwrap();
    assert!(matches!(from, socket::Peer::Tcp(from) if from.ip() == Cable::RIGHT));
}

#[test]
fn a_neighbour_at_a_hardware_address_of_nobody_is_cut_off_one_way() {
    if !may_make_networks("a_neighbour_at_a_hardware_address_of_nobody_is_cut_off_one_way") {
        return;
    }
    let cable = Cable::new();
    let bind = |ip| std::net::UdpSocket::bind((ip, 7000)).unwrap();
    let left = inside(&cable.left, || bind(Cable::LEFT));
    let right = inside(&cable.right, || bind(Cable::RIGHT));
    let set = |mac: Option<[u8; 6]>| {
        inside(&cable.left, || {
            let netlink = Netlink::open().unwrap();
            let device = netlink.link("eth0").unwrap().unwrap().index;
            match mac {
                Some(mac) => netlink.set_neighbour(device, Cable::RIGHT, mac).unwrap(),
                None => netlink.delete_neighbour(device, Cable::RIGHT).unwrap(),
            }
        });
    };
    set(Some([2, 0, 0, 0, 0, 0xff]));
    left.send_to(b"lost", (Cable::RIGHT, 7000)).unwrap();
    right.send_to(b"heard", (Cable::LEFT, 7000)).unwrap();
    let mut bytes = [0; 16];
    wait_for(left.as_fd());
    assert_eq!(left.recv(&mut bytes).unwrap(), 5);
    set(None);
    set(None);
    left.send_to(b"again", (Cable::RIGHT, 7000)).unwrap();
    wait_for(right.as_fd());
    let length = right.recv(&mut bytes).unwrap();
    assert_eq!(&bytes[..length], b"again", "the first one was lost");
}

#[test]
fn a_parameter_is_set_in_one_namespace_only() {
    if !may_make_networks("a_parameter_is_set_in_one_namespace_only") {
        return;
    }
    let cable = Cable::new();
    let read = || std::fs::read_to_string("/proc/sys/net/ipv4/ip_nonlocal_bind").unwrap();
    inside(&cable.left, || netns::set_sysctl("net.ipv4.ip_nonlocal_bind", "1").unwrap());
    assert_eq!(inside(&cable.left, read).trim(), "1");
    assert_eq!(inside(&cable.right, read).trim(), "0");
}

#[test]
fn a_child_is_started_in_another_namespace() {
    if !may_make_networks("a_child_is_started_in_another_namespace") {
        return;
    }
    let cable = Cable::new();
    let options = sys::process::SpawnOptions {
        netns: Some(cable.left.as_fd()),
        ..sys::process::SpawnOptions::default()
    };
    let script = format!("grep -q {} /proc/net/fib_trie", Cable::LEFT);
    let words = ["-c".as_ref(), script.as_ref()];
    let shell = std::path::Path::new("/bin/sh");
    let child = sys::process::spawn(shell, None, &words, None, options).unwrap();
    assert_eq!(child.wait().unwrap(), sys::process::Exit::Code(0));
}

/// Reads changes until the expected one.
fn hear(monitor: &mut Monitor, expected: impl Fn(&Change) -> bool) {
    loop {
        while let Some(change) = monitor.next().expect("the monitor is open") {
            if expected(&change) {
                return;
            }
        }
        wait_for(monitor.as_fd());
    }
}

/// The next message of the one who says that `ip` is at its place.
fn hear_about(listener: &arp::Socket, ip: Ipv4Addr) -> arp::Heard {
    loop {
        wait_for(listener.as_fd());
        match listener.receive() {
            Ok(heard) if heard.sender == ip => return heard,
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
        }
    }
}

/// An advert of one address by its bytes (RFC 3768 5.1); nobody here looks at its checksum.
fn advert(router_id: u8, interval: u8, password: Option<&[u8; 8]>) -> Vec<u8> {
    let mut bytes = vec![0x21, router_id, 100, 1, u8::from(password.is_some()), interval, 0, 0];
    bytes.extend([10, 79, 0, 40]);
    bytes.extend(password.unwrap_or(&[0; 8]));
    bytes
}

#[test]
fn what_may_have_to_be_obeyed_has_a_socket_of_its_own_and_nothing_is_lost_between_the_two() {
    const TEST: &str =
        "what_may_have_to_be_obeyed_has_a_socket_of_its_own_and_nothing_is_lost_between_the_two";
    if !may_make_networks(TEST) {
        return;
    }
    let cable = Cable::new();
    let sender = inside(&cable.left, || vrrp::Socket::open("eth0", true).unwrap());
    let plain = Form::V2 { interval: 1, password: None };
    let secret = Form::V2 { interval: 3, password: Some(*b"secret\0\0") };
    let wanted = [(51, plain), (53, Form::V3), (52, secret), (54, Form::V3)]
        .map(|(router_id, form)| vrrp::Wanted { router_id, form });
    let parts = [vrrp::Part::Wanted, vrrp::Part::Rest].map(|part| {
        inside(&cable.right, || {
            let socket = vrrp::Socket::open("eth0", true).unwrap();
            socket.hear(part, &wanted).unwrap();
            socket
        })
    });
    let cut = |length: usize| advert(52, 3, Some(b"secret\0\0"))[..length].to_vec();
    let cases = [
        (255, advert(51, 1, None), true),
        // Without a password its field is nobody's business, and where it is asked for it has to be there.
        (255, [advert(51, 1, None), vec![7; 8]].concat(), true),
        (255, advert(52, 3, Some(b"secret\0\0")), true),
        (254, advert(51, 1, None), false),
        (255, advert(50, 1, None), false),
        (255, advert(51, 2, None), false),
        (255, advert(51, 1, Some(b"secret\0\0")), false),
        (255, advert(52, 3, None), false),
        (255, advert(52, 3, Some(b"secret\0s")), false),
        (255, advert(52, 3, Some(b"Secret\0\0")), false),
        // Version 3 has no place for a password, and any interval.
        (255, [&[0x31], &advert(53, 7, None)[1..12]].concat(), true),
        (255, [&[0x31], &advert(54, 0, None)[1..12]].concat(), true),
        (255, [&[0x31], &advert(54, 0, None)[1..8]].concat(), true),
        (255, [&[0x31], &advert(54, 0, None)[1..7]].concat(), false),
        (254, [&[0x31], &advert(53, 7, None)[1..12]].concat(), false),
        (255, [&[0x31], &advert(55, 7, None)[1..12]].concat(), false),
        (255, advert(53, 7, None), false),
        (255, [&[0x41], &advert(53, 7, None)[1..12]].concat(), false),
        // Another version, no whole head, fewer bytes than its count of addresses says.
        (255, [&[0x31], &advert(51, 1, None)[1..]].concat(), false),
        (255, cut(7), false),
        (255, cut(16), false),
        (255, cut(19), false),
        (255, vec![], false),
        (255, [&advert(52, 3, Some(b"secret\0\0"))[..3], &[255], &cut(20)[4..]].concat(), false),
    ];
    for (number, (ttl, bytes, is_wanted)) in (0_u8..).zip(&cases) {
        // The source says which one it was.
        let source = Ipv4Addr::new(10, 9, 9, number).into();
        sender.send_with(*ttl, source, vrrp::GROUP.into(), bytes).unwrap();
        let [heard, silent] = if *is_wanted { [0, 1] } else { [1, 0] }.map(|at| &parts[at]);
        wait_for(heard.as_fd());
        assert_eq!(heard.receive(&mut [0; 256]).unwrap().source, source, "{bytes:02x?}");
        let other = silent.receive(&mut [0; 256]).unwrap_err();
        assert_eq!(other.kind(), std::io::ErrorKind::WouldBlock, "{bytes:02x?}");
    }
    for part in &parts {
        assert_eq!(socket::dropped(part.as_fd()).unwrap(), 0, "the other one's is no loss");
    }
}
