//! Version 3 for IPv6.

use super::*;

/// Sent by keepalived 2.2.7 to all: router 51, priority 100, 0.1 s, fe80::40 and 2001:db8::40.
const KEEPALIVED: &str =
    "31336402000a4097fe80000000000000000000000000004020010db8000000000000000000000040";
/// Its goodbye.
const KEEPALIVED_GOODBYE: &str =
    "31330002000aa497fe80000000000000000000000000004020010db8000000000000000000000040";
/// From 2001:db8::41 to its peer 2001:db8::42, with a hop limit of 64.
const KEEPALIVED_UNICAST: &str =
    "31336402000ae178fe80000000000000000000000000004020010db8000000000000000000000040";

fn bytes(hex: &str) -> Vec<u8> {
    let pair = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(pair).collect()
}

fn path(source: &str, destination: &str) -> Path {
    Path { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
}

fn to_all() -> Path {
    let path = path("fe80::ff:fe00:41", "ff02::12");
    assert_eq!(path.destination, IpAddr::V6(GROUP_V6));
    path
}

fn to_peer() -> Path {
    path("2001:db8::41", "2001:db8::42")
}

fn vips() -> Vec<IpAddr> {
    ["fe80::40", "2001:db8::40"].map(|ip| ip.parse().unwrap()).to_vec()
}

fn of(centiseconds: u16, vips: &[IpAddr]) -> Vip {
    Vip {
        protocol: Protocol::V3 { sends: Checksum::Pseudo },
        advert_interval: Duration::from_millis(10) * centiseconds.into(),
        ..Vip::plain("six", "eth0", 51, vips.iter().copied().map(Address::plain).collect())
    }
}

#[test]
fn writes_over_ipv6_what_keepalived_writes() {
    let vip = of(10, &vips());
    assert_eq!(advert(&vip, 100, to_all()), bytes(KEEPALIVED));
    assert_eq!(advert(&vip, 0, to_all()), bytes(KEEPALIVED_GOODBYE));
    assert_eq!(advert(&vip, 100, to_peer()), bytes(KEEPALIVED_UNICAST));
    // There is one checksum, whatever is said of that of IPv4.
    let as_v2 = Vip { protocol: Protocol::V3 { sends: Checksum::Message }, ..vip };
    assert_eq!(advert(&as_v2, 100, to_all()), bytes(KEEPALIVED));
}

#[test]
fn reads_over_ipv6_what_keepalived_writes() {
    let rows = [
        (KEEPALIVED, to_all(), 255, 100),
        (KEEPALIVED_GOODBYE, to_all(), 255, 0),
        (KEEPALIVED_UNICAST, to_peer(), 64, 100),
    ];
    for (hex, path, hops, priority) in rows {
        let bytes = bytes(hex);
        let read = decode(&bytes, hops, path).unwrap();
        assert_eq!((read.router_id, read.priority, read.password), (51, priority, None));
        assert_eq!(read.interval, Duration::from_millis(100));
        assert_eq!(read.addresses.iter().collect::<Vec<_>>(), vips());
        assert!(read.addresses.contains(vips()[1]) && !read.addresses.contains(VIP.into()));
    }
    // A pseudo header binds a packet to those between whom it goes.
    assert_eq!(decode(&bytes(KEEPALIVED), 255, to_peer()), Err(DecodeError::Checksum));
}

/// Whoever reaches a router may send to it alone, from wherever it is.
#[test]
fn a_group_without_peers_obeys_only_what_is_for_all_of_the_link() {
    let own = |last| IpAddr::from([10, 79, 0, last]);
    let v4_to_peer = Path { source: own(41), destination: own(42) };
    let (source, ttl) = (Some(Refusal::Source), Some(Refusal::Ttl));
    let rows = [
        (to_all(), 255, None, None),
        (to_peer(), 255, source, None),
        (to_peer(), 254, ttl, None),
        (to_peer(), 64, ttl, None),
        (path("fe80::ff:fe00:41", "fe80::ff:fe00:42"), 64, ttl, None),
        (TO_ALL, 255, None, None),
        (v4_to_peer, 255, source, None),
    ];
    let (vip, of_v4) = (of(10, &vips()), group(&[VIP]));
    for (path, hops, of_all, of_peers) in rows {
        let vip = if path.source.is_ipv6() { &vip } else { &of_v4 };
        let listing = Vip { unicast_peers: vec![path.source], ..vip.clone() };
        assert_eq!(path.refused_by(vip, hops), of_all, "{path:?} {hops}");
        assert_eq!(path.refused_by(&listing, hops), of_peers, "{path:?} {hops}");
    }
}

#[test]
fn bad_adverts_are_named() {
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = bytes(KEEPALIVED);
        change(&mut bytes);
        bytes[6..8].copy_from_slice(&[0, 0]);
        let checksum = !sum(Some(to_all()), &bytes);
        bytes[6..8].copy_from_slice(&checksum.to_be_bytes());
        bytes
    };
    let message_only = {
        let mut bytes = changed(&|b| b[6..8].copy_from_slice(&[0, 0]));
        bytes[6..8].copy_from_slice(&[0, 0]);
        let checksum = !sum(None, &bytes);
        bytes[6..8].copy_from_slice(&checksum.to_be_bytes());
        bytes
    };
    let length = |count, length| DecodeError::Length { count, length };
    let rows: [(&str, Vec<u8>, u8, DecodeError); 8] = [
        ("hops 254", changed(&|_| {}), 254, DecodeError::Ttl(254)),
        ("version 2", changed(&|b| b[0] = 0x21), 255, DecodeError::Version(2)),
        ("type 2", changed(&|b| b[0] = 0x32), 255, DecodeError::Type(2)),
        ("count 0", changed(&|b| b[3] = 0), 255, DecodeError::NoAddress),
        ("count of IPv4", changed(&|b| b[3] = 8), 255, length(8, 40)),
        ("half an address", changed(&|b| b.truncate(32)), 255, length(2, 32)),
        ("interval 0", changed(&|b| b[5] = 0), 255, DecodeError::NoInterval),
        ("the checksum of the message", message_only, 255, DecodeError::Checksum),
    ];
    for (name, bytes, hops, error) in rows {
        assert_eq!(decode(&bytes, hops, to_all()), Err(error), "{name}");
    }
}

#[test]
fn only_addresses_of_ipv6_are_named_and_not_more_than_go_into_a_packet() {
    let mut all = vips();
    all.insert(1, VIP.into());
    assert_eq!(advert(&of(10, &all), 100, to_all()), bytes(KEEPALIVED));
    let many: Vec<IpAddr> = (0..100_u128).map(|ip| Ipv6Addr::from(ip).into()).collect();
    let bytes = advert(&of(10, &many), 100, to_all());
    assert_eq!(bytes.len(), HEAD + MOST_V6 * 16);
    let read = decode(&bytes, 255, to_all()).unwrap();
    assert_eq!(read.addresses.iter().collect::<Vec<_>>(), many[..MOST_V6]);
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        priority: u8,
        centiseconds in 1_u16..=0x0fff,
        source: u128,
        destination: u128,
        vips in prop::collection::vec(any::<u128>(), 1..=MOST_V6),
    ) {
        let [source, destination] = [source, destination].map(|ip| Ipv6Addr::from(ip).into());
        let path = Path { source, destination };
        let vips: Vec<IpAddr> = vips.into_iter().map(|ip| Ipv6Addr::from(ip).into()).collect();
        let bytes = advert(&of(centiseconds, &vips), priority, path);
        let read = decode(&bytes, 255, path).unwrap();
        prop_assert_eq!((read.priority, read.addresses.iter().collect::<Vec<_>>()), (priority, vips));
    }

    #[test]
    fn one_flipped_bit_is_never_the_same_advert(byte in 0_usize..40, bit in 0_u8..8) {
        let mut bytes = bytes(KEEPALIVED);
        bytes[byte] ^= 1 << bit;
        prop_assert!(decode(&bytes, 255, to_all()).is_err());
    }
}
