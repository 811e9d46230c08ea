use config::vip::{Address, Checksum, Protocol};
use proptest::prelude::*;

use super::sum::sum;
use super::*;

mod v3;
mod v6;

const VIP: Ipv4Addr = Ipv4Addr::new(10, 79, 0, 40);
const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 79, 0, 41);
const TO_ALL: Path = Path { source: IpAddr::V4(ROUTER), destination: IpAddr::V4(GROUP) };
const SECOND: Duration = Duration::from_secs(1);

/// Sent by keepalived 2.2.7: router 51, priority 100, 1 s, 10.79.0.40, `auth_pass secret12`.
const KEEPALIVED_PASS: [u8; 20] = [
    0x21, 0x33, 0x64, 0x01, 0x01, 0x01, 0x01, 0xd5, 0x0a, 0x4f, 0x00, 0x28, 0x73, 0x65, 0x63, 0x72,
    0x65, 0x74, 0x31, 0x32,
];
/// The same without authentication.
const KEEPALIVED_NONE: [u8; 20] = [
    0x21, 0x33, 0x64, 0x01, 0x00, 0x01, 0x70, 0x53, 0x0a, 0x4f, 0x00, 0x28, 0, 0, 0, 0, 0, 0, 0, 0,
];

fn group(vips: &[Ipv4Addr]) -> Vip {
    let addresses = vips.iter().map(|ip| Address::plain((*ip).into())).collect();
    Vip::plain("internal", "eth0", 51, addresses)
}

fn advert(vip: &Vip, priority: u8, path: Path) -> Vec<u8> {
    let mut out = vec![0; MAX_LENGTH];
    let length = encode(vip, priority, path, &mut out);
    out.truncate(length);
    out
}

fn written(priority: u8, seconds: u8, password: Option<[u8; 8]>, vips: &[Ipv4Addr]) -> Vec<u8> {
    let advert_interval = SECOND * seconds.into();
    advert(&Vip { advert_interval, password, ..group(vips) }, priority, TO_ALL)
}

fn read(bytes: &[u8], ttl: u8) -> Result<Advert<'_>, DecodeError> {
    decode(bytes, ttl, TO_ALL)
}

#[test]
fn writes_what_keepalived_writes() {
    assert_eq!(written(100, 1, Some(*b"secret12"), &[VIP]), KEEPALIVED_PASS);
    assert_eq!(written(100, 1, None, &[VIP]), KEEPALIVED_NONE);
}

#[test]
fn reads_what_keepalived_writes() {
    let advert = read(&KEEPALIVED_PASS, 255).unwrap();
    assert_eq!((advert.router_id, advert.priority, advert.interval), (51, 100, SECOND));
    assert_eq!((advert.protocol, advert.password), (Protocol::V2, Some(*b"secret12")));
    assert_eq!(advert.addresses.iter().collect::<Vec<_>>(), [IpAddr::V4(VIP)]);
    assert_eq!(read(&KEEPALIVED_NONE, 255).unwrap().password, None);
}

/// Changes bytes of a good advert and corrects the checksum, so that only the change is judged.
fn changed(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = KEEPALIVED_PASS.to_vec();
    change(&mut bytes);
    if bytes.len() >= HEAD {
        bytes[6..8].copy_from_slice(&[0, 0]);
        let checksum = !sum(None, &bytes);
        bytes[6..8].copy_from_slice(&checksum.to_be_bytes());
    }
    bytes
}

/// The cases that keepalived was judged by (research/vrrp.md 4.2), those for version 2. What depends
/// on the instance (router id, interval, password) is in the tests of the machine.
#[test]
fn bad_adverts_are_named() {
    let length = |count, length| DecodeError::Length { count, length };
    let rows: [(&str, Vec<u8>, u8, DecodeError); 16] = [
        ("ttl 254", changed(|_| {}), 254, DecodeError::Ttl(254)),
        ("empty", vec![], 255, DecodeError::Short(0)),
        ("cut head", changed(|b| b.truncate(7)), 255, DecodeError::Short(7)),
        ("version 1", changed(|b| b[0] = 0x11), 255, DecodeError::Version(1)),
        ("the head of version 3", changed(|b| b[0] = 0x31), 255, length(1, 20)),
        ("version 4", changed(|b| b[0] = 0x41), 255, DecodeError::Version(4)),
        ("type 2", changed(|b| b[0] = 0x22), 255, DecodeError::Type(2)),
        ("count 0", changed(|b| b[3] = 0), 255, DecodeError::NoAddress),
        ("count 0, short", changed(|b| b.truncate(8)), 255, length(1, 8)),
        ("count too large", changed(|b| b[3] = 3), 255, length(3, 20)),
        ("count too small", changed(|b| b.extend([0; 4])), 255, length(1, 24)),
        ("trailing byte", changed(|b| b.push(0)), 255, length(1, 21)),
        ("no password field", changed(|b| b.truncate(12)), 255, length(1, 12)),
        ("auth AH", changed(|b| b[4] = 2), 255, DecodeError::Authentication(2)),
        ("interval 0", changed(|b| b[5] = 0), 255, DecodeError::NoInterval),
        (
            "bad checksum",
            {
                let mut bytes = KEEPALIVED_PASS.to_vec();
                bytes[7] ^= 1;
                bytes
            },
            255,
            DecodeError::Checksum,
        ),
    ];
    for (name, bytes, ttl, error) in rows {
        assert_eq!(read(&bytes, ttl), Err(error), "{name}");
    }
}

#[test]
fn the_checksum_covers_the_password() {
    let mut bytes = KEEPALIVED_PASS;
    bytes[19] ^= 1;
    assert_eq!(read(&bytes, 255), Err(DecodeError::Checksum));
}

#[test]
fn a_goodbye_is_priority_0() {
    let bytes = written(0, 1, None, &[VIP]);
    assert_eq!(read(&bytes, 255).unwrap().priority, 0);
}

#[test]
fn the_256th_address_is_left_out() {
    let vips: Vec<_> = (0..300_u32).map(Ipv4Addr::from).collect();
    let bytes = written(100, 1, None, &vips);
    assert_eq!(bytes.len(), HEAD + 255 * 4 + PASSWORD);
    assert_eq!(read(&bytes, 255).unwrap().addresses.len(), 255);
}

#[test]
fn errors_read_as_a_sentence() {
    assert_eq!(DecodeError::Ttl(64).to_string(), "time to live 64 where 255 is required");
    assert_eq!(DecodeError::Version(4).to_string(), "VRRP version 4, expected 2 or 3");
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        priority: u8,
        interval in 1_u8..,
        password: Option<[u8; 8]>,
        vips in prop::collection::vec(any::<u32>().prop_map(Ipv4Addr::from), 1..=255),
    ) {
        let bytes = written(priority, interval, password, &vips);
        let advert = read(&bytes, 255).unwrap();
        prop_assert_eq!(advert.priority, priority);
        prop_assert_eq!(advert.interval, SECOND * interval.into());
        prop_assert_eq!(advert.password, password);
        let vips: Vec<IpAddr> = vips.into_iter().map(IpAddr::V4).collect();
        prop_assert_eq!(advert.addresses.iter().collect::<Vec<_>>(), vips);
    }

    #[test]
    fn random_bytes_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..64),
        first: Option<bool>,
    ) {
        let mut bytes = bytes;
        if let (Some(old), Some(byte)) = (first, bytes.first_mut()) {
            *byte = if old { 0x21 } else { 0x31 };
        }
        let _ = read(&bytes, 255);
    }

    #[test]
    fn one_flipped_bit_is_never_the_same_advert(byte in 0_usize..20, bit in 0_u8..8) {
        let mut bytes = KEEPALIVED_PASS;
        bytes[byte] ^= 1 << bit;
        prop_assert!(read(&bytes, 255).is_err());
    }
}
