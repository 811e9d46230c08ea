//! Version 3 for IPv4.

use super::*;

/// Sent by keepalived 2.2.7 to all: router 51, priority 100, 0.1 s, 10.79.0.40.
const KEEPALIVED: [u8; 12] =
    [0x31, 0x33, 0x64, 0x01, 0x00, 0x0a, 0x75, 0x43, 0x0a, 0x4f, 0x00, 0x28];
/// Its goodbye.
const KEEPALIVED_GOODBYE: [u8; 12] =
    [0x31, 0x33, 0x00, 0x01, 0x00, 0x0a, 0xd9, 0x43, 0x0a, 0x4f, 0x00, 0x28];
/// By unicast to [`PEER`].
const KEEPALIVED_UNICAST: [u8; 12] =
    [0x31, 0x33, 0x64, 0x01, 0x00, 0x0a, 0x4a, 0xdd, 0x0a, 0x4f, 0x00, 0x28];
/// The first one with the checksum of RFC 9568 §5.2.8.
const MESSAGE_ONLY: [u8; 12] =
    [0x31, 0x33, 0x64, 0x01, 0x00, 0x0a, 0x60, 0x4a, 0x0a, 0x4f, 0x00, 0x28];

const PEER: Ipv4Addr = Ipv4Addr::new(10, 79, 0, 42);
const TO_PEER: Path = Path { source: IpAddr::V4(ROUTER), destination: IpAddr::V4(PEER) };
const PSEUDO: Protocol = Protocol::V3 { sends: Checksum::Pseudo };
const MESSAGE: Protocol = Protocol::V3 { sends: Checksum::Message };

fn of(protocol: Protocol, centiseconds: u16, vips: &[Ipv4Addr]) -> Vip {
    let advert_interval = Duration::from_millis(10) * centiseconds.into();
    Vip { protocol, advert_interval, ..group(vips) }
}

#[test]
fn writes_what_keepalived_writes() {
    let vip = of(PSEUDO, 10, &[VIP]);
    assert_eq!(advert(&vip, 100, TO_ALL), KEEPALIVED);
    assert_eq!(advert(&vip, 0, TO_ALL), KEEPALIVED_GOODBYE);
    assert_eq!(advert(&vip, 100, TO_PEER), KEEPALIVED_UNICAST);
    assert_eq!(advert(&of(MESSAGE, 10, &[VIP]), 100, TO_ALL), MESSAGE_ONLY);
    assert_eq!(advert(&of(MESSAGE, 10, &[VIP]), 100, TO_PEER), MESSAGE_ONLY);
}

#[test]
fn reads_both_checksums_and_says_which() {
    let rows = [
        (KEEPALIVED, TO_ALL, 100, PSEUDO),
        (KEEPALIVED_GOODBYE, TO_ALL, 0, PSEUDO),
        (KEEPALIVED_UNICAST, TO_PEER, 100, PSEUDO),
        (MESSAGE_ONLY, TO_ALL, 100, MESSAGE),
        (MESSAGE_ONLY, TO_PEER, 100, MESSAGE),
    ];
    for (bytes, path, priority, protocol) in rows {
        let read = decode(&bytes, 255, path).unwrap();
        assert_eq!((read.router_id, read.priority, read.protocol), (51, priority, protocol));
        assert_eq!((read.interval, read.password), (Duration::from_millis(100), None));
        assert_eq!(read.addresses.iter().collect::<Vec<_>>(), [IpAddr::V4(VIP)]);
    }
    // A pseudo header binds a packet to those between whom it goes.
    assert_eq!(decode(&KEEPALIVED, 255, TO_PEER), Err(DecodeError::Checksum));
    assert_eq!(decode(&KEEPALIVED_UNICAST, 255, TO_ALL), Err(DecodeError::Checksum));
}

/// Changes bytes of a good advert and corrects the checksum, so that only the change is judged.
fn changed(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = KEEPALIVED.to_vec();
    change(&mut bytes);
    if bytes.len() >= HEAD {
        bytes[6..8].copy_from_slice(&[0, 0]);
        let checksum = !sum(Some(TO_ALL), &bytes);
        bytes[6..8].copy_from_slice(&checksum.to_be_bytes());
    }
    bytes
}

/// The cases that keepalived was judged by (research/vrrp.md 4.2), those for version 3.
#[test]
fn bad_adverts_are_named() {
    let length = |count, length| DecodeError::Length { count, length };
    let mut broken = KEEPALIVED.to_vec();
    broken[6] ^= 1;
    let rows: [(&str, Vec<u8>, u8, DecodeError); 13] = [
        ("ttl 254", changed(|_| {}), 254, DecodeError::Ttl(254)),
        ("cut head", changed(|b| b.truncate(7)), 255, DecodeError::Short(7)),
        ("version 4", changed(|b| b[0] = 0x41), 255, DecodeError::Version(4)),
        ("type 2", changed(|b| b[0] = 0x32), 255, DecodeError::Type(2)),
        ("count 0", changed(|b| b[3] = 0), 255, DecodeError::NoAddress),
        (
            "count 0, no address",
            changed(|b| {
                b.truncate(8);
                b[3] = 0;
            }),
            255,
            DecodeError::NoAddress,
        ),
        ("no address", changed(|b| b.truncate(8)), 255, length(1, 8)),
        ("count too large", changed(|b| b[3] = 3), 255, length(3, 12)),
        ("count too small", changed(|b| b.extend([0; 4])), 255, length(1, 16)),
        ("a password behind", changed(|b| b.extend(*b"secret12")), 255, length(1, 20)),
        ("trailing byte", changed(|b| b.push(0)), 255, length(1, 13)),
        ("interval 0", changed(|b| b[5] = 0), 255, DecodeError::NoInterval),
        ("bad checksum", broken, 255, DecodeError::Checksum),
    ];
    for (name, bytes, ttl, error) in rows {
        assert_eq!(read(&bytes, ttl), Err(error), "{name}");
    }
}

#[test]
fn reserved_bits_say_nothing() {
    let bytes = changed(|b| b[4] = 0x50);
    assert_eq!(read(&bytes, 255).unwrap().interval, Duration::from_millis(100));
    let only_they = changed(|b| [b[4], b[5]] = [0xf0, 0]);
    assert_eq!(read(&only_they, 255), Err(DecodeError::NoInterval));
}

#[test]
fn an_interval_fills_its_twelve_bits_and_no_more() {
    for (centiseconds, said) in [(1, [0, 1]), (0x0fff, [0x0f, 0xff]), (0x1000, [0x0f, 0xff])] {
        assert_eq!(advert(&of(PSEUDO, centiseconds, &[VIP]), 1, TO_ALL)[4..6], said);
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        priority: u8,
        centiseconds in 1_u16..=0x0fff,
        pseudo: bool,
        source: u32,
        destination: u32,
        vips in prop::collection::vec(any::<u32>().prop_map(Ipv4Addr::from), 1..=255),
    ) {
        let [source, destination] = [source, destination].map(|ip| Ipv4Addr::from(ip).into());
        let path = Path { source, destination };
        let vip = of(if pseudo { PSEUDO } else { MESSAGE }, centiseconds, &vips);
        let bytes = advert(&vip, priority, path);
        let read = decode(&bytes, 255, path).unwrap();
        prop_assert_eq!(read.priority, priority);
        prop_assert_eq!(read.interval, vip.advert_interval);
        let vips: Vec<IpAddr> = vips.into_iter().map(IpAddr::V4).collect();
        prop_assert_eq!(read.addresses.iter().collect::<Vec<_>>(), vips);
        // Both sums of a message are the same where its addresses add up to nothing.
        prop_assert!(read.protocol == vip.protocol || !pseudo);
    }

    #[test]
    fn one_flipped_bit_is_never_the_same_advert(byte in 0_usize..12, bit in 0_u8..8) {
        let mut bytes = KEEPALIVED;
        bytes[byte] ^= 1 << bit;
        prop_assert!(read(&bytes, 255).is_err());
    }
}
