use std::net::Ipv6Addr;

use config::vip::{Address, Checksum, Key, Protocol};

use super::super::packet::{GROUP, GROUP_V6, MAX_LENGTH, TTL, encode_signed, read};
use super::*;

const SOURCE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 10));
const SOURCE_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x10));
const TO: Path = Path { source: SOURCE, destination: IpAddr::V4(GROUP) };
/// To which the checksum of the published vector is made.
const PEER_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x20));
const TO_V6: Path = Path { source: SOURCE_V6, destination: PEER_V6 };

/// Both of keepalived 2.4 (`test/auth_hmac_test.c`): key 00 to 1f, id 1, router 51, priority 200, half a second.
const V4: &str = "3133c80100644402c0000264\
                  010100006800000080000000\
                  1b84bc4e8e43892dc6d98448f8ee2265";
const V6: &str = "3133c8010064a2e9fe800000000000000000000000000100\
                  010100006800000080000000\
                  c8c56146ebfd66ee10ec4d8186461b78";
const AT: Duration = Duration::new(0x6800_0000, 500_000_000);

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    let text = digits.map(|pair| std::str::from_utf8(pair).expect("digits"));
    text.map(|pair| u8::from_str_radix(pair, 16).expect("digits")).collect()
}

fn hmac(mode: Mode, replay: Replay) -> Hmac {
    let key = |id, first: u8| Key { id, value: KeyValue::Bytes((first..first + 32).collect()) };
    Hmac { keys: vec![key(1, 0), key(2, 7)], active: 1, replay, mode }
}

const IN_FIVE: Replay = Replay::Time { window: 5 };

fn group(is_v6: bool) -> Vip {
    let ip = if is_v6 { "fe80::100" } else { "192.0.2.100" };
    let address = Address::plain(ip.parse().expect("an address"));
    Vip {
        protocol: Protocol::V3 { sends: Checksum::Pseudo },
        hmac: Some(hmac(Mode::Enforce, IN_FIVE)),
        ..Vip::plain("internal", "eth0", 51, vec![address])
    }
}

fn guard(mode: Mode, replay: Replay) -> Guard {
    Guard::of(&Vip { hmac: Some(hmac(mode, replay)), ..group(false) }).expect("it has keys")
}

fn signed(vip: &Vip, by: &mut Guard, path: Path, wall: Duration) -> Vec<u8> {
    let mut out = vec![0; MAX_LENGTH];
    let signature = by.sign(wall).expect("it signs");
    let length = encode_signed(vip, 200, path, &signature, &mut out);
    out.truncate(length);
    out
}

fn judge(guard: &mut Guard, image: &[u8], path: Path, wall: Duration) -> Result<(), Refusal> {
    let (advert, trailer) = read(image, TTL, path).map_err(Refusal::from)?;
    guard.judge(&group(path.source.is_ipv6()), path, (&advert, trailer), wall)
}

#[test]
fn signs_as_keepalived_2_4_does_and_takes_what_it_signed() {
    let mut of_v4 = Guard::of(&group(false)).expect("it has keys");
    // Of IPv4 it has the checksum of the message alone.
    let vip = Vip { protocol: Protocol::V3 { sends: Checksum::Message }, ..group(false) };
    let made = signed(&vip, &mut of_v4, TO, AT);
    assert_eq!(made, bytes(V4));
    let mut of_v6 = Guard::of(&group(true)).expect("it has keys");
    assert_eq!(signed(&group(true), &mut of_v6, TO_V6, AT), bytes(V6));
    for (image, path) in [(made, TO), (bytes(V6), TO_V6)] {
        let mut other = guard(Mode::Enforce, IN_FIVE);
        assert_eq!(judge(&mut other, &image, path, AT), Ok(()));
    }
}

/// The image of the vector over IPv6 with one change; its checksum is made right, as any sender can.
#[test]
fn nothing_that_was_signed_can_be_changed() {
    let rows = [
        ("priority", 2, Refusal::Signature),
        ("interval", 5, Refusal::Signature),
        ("an address", 20, Refusal::Signature),
        ("seconds", 31, Refusal::Signature),
        ("the counter", 35, Refusal::Signature),
        ("the tag", 40, Refusal::Signature),
        ("the type", 24, Refusal::Malformed),
        ("what is reserved", 27, Refusal::Malformed),
    ];
    for (what, at, refusal) in rows {
        let mut image = bytes(V6);
        image[at] ^= 1;
        repair(&mut image);
        let found = judge(&mut guard(Mode::Enforce, IN_FIVE), &image, TO_V6, AT);
        assert_eq!(found, Err(refusal), "{what}");
    }
    let mut image = bytes(V6);
    image[25] = 9;
    repair(&mut image);
    let found = judge(&mut guard(Mode::Enforce, IN_FIVE), &image, TO_V6, AT);
    assert_eq!(found, Err(Refusal::UnknownKey));
    image[25] = 2;
    repair(&mut image);
    let found = judge(&mut guard(Mode::Enforce, IN_FIVE), &image, TO_V6, AT);
    assert_eq!(found, Err(Refusal::Signature), "another key of ours");
    let other = Path { source: "fe80::11".parse().expect("an address"), ..TO_V6 };
    let mut image = bytes(V6);
    repair_for(&mut image, other);
    let found = judge(&mut guard(Mode::Enforce, IN_FIVE), &image, other, AT);
    assert_eq!(found, Err(Refusal::Signature), "another source");
    let elsewhere = Path { destination: IpAddr::V6(GROUP_V6), ..TO_V6 };
    let mut image = bytes(V6);
    repair_for(&mut image, elsewhere);
    let found = judge(&mut guard(Mode::Enforce, IN_FIVE), &image, elsewhere, AT);
    assert_eq!(found, Ok(()), "where it goes is not signed");
    let mut image = bytes(V6);
    image[1] ^= 1;
    repair(&mut image);
    let (advert, trailer) = read(&image, TTL, TO_V6).expect("its form is good");
    let vip = Vip { router_id: 50, ..group(true) };
    let found = guard(Mode::Enforce, IN_FIVE).judge(&vip, TO_V6, (&advert, trailer), AT);
    assert_eq!(found, Err(Refusal::Signature), "another group with the same key");
}

fn repair(image: &mut [u8]) {
    repair_for(image, TO_V6);
}

/// RFC 1071 over a pseudo header of IPv6, by hand.
fn repair_for(image: &mut [u8], path: Path) {
    image[6..8].copy_from_slice(&[0; 2]);
    let octets = |ip: IpAddr| match ip {
        IpAddr::V6(ip) => ip.octets(),
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
    };
    let length = u8::try_from(image.len()).expect("short");
    let pseudo = [&octets(path.source)[..], &octets(path.destination), &[0, length, 0, 112]];
    let all = [&pseudo.concat()[..], image].concat();
    let mut sum: u32 = all.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let sum = !u16::try_from(sum).expect("folded");
    image[6..8].copy_from_slice(&sum.to_be_bytes());
}

#[test]
fn what_is_not_signed_is_obeyed_only_on_the_way_there() {
    let vip = Vip { hmac: None, ..group(false) };
    let mut out = [0; MAX_LENGTH];
    let length = super::super::packet::encode(&vip, 200, TO, &mut out);
    let rows = [
        (Mode::Enforce, Err(Refusal::Unsigned), true),
        (Mode::Permissive, Ok(()), true),
        (Mode::ReceiveOnly, Ok(()), false),
    ];
    for (mode, found, signs) in rows {
        let mut guard = guard(mode, IN_FIVE);
        assert_eq!(judge(&mut guard, &out[..length], TO, AT), found, "{mode:?}");
        assert_eq!(guard.sign(AT).is_some(), signs, "{mode:?}");
        // A signature that is there is judged.
        let mut image = bytes(V4);
        image[11] ^= 1;
        image[6..8].copy_from_slice(&[0; 2]);
        let sum = image[..12].chunks(2).fold(0_u32, |sum, pair| {
            let sum = sum + (u32::from(pair[0]) << 8 | u32::from(pair[1]));
            (sum & 0xffff) + (sum >> 16)
        });
        let sum = !u16::try_from(sum).expect("folded");
        image[6..8].copy_from_slice(&sum.to_be_bytes());
        assert_eq!(judge(&mut guard, &image, TO, AT), Err(Refusal::Signature), "{mode:?}");
    }
}

#[test]
fn what_was_sent_before_is_not_taken_again() {
    let second = Duration::from_secs(1);
    let (mut sender, mut receiver) = (guard(Mode::Enforce, IN_FIVE), guard(Mode::Enforce, IN_FIVE));
    let vip = group(false);
    let first = signed(&vip, &mut sender, TO, AT);
    let next = signed(&vip, &mut sender, TO, AT);
    assert_eq!(judge(&mut receiver, &next, TO, AT), Ok(()));
    for old in [&first, &next] {
        assert_eq!(judge(&mut receiver, old, TO, AT + second), Err(Refusal::Replayed));
    }
    // Another receiver has not had it.
    assert_eq!(judge(&mut guard(Mode::Enforce, IN_FIVE), &next, TO, AT), Ok(()));
    let ages = [(5, Ok(())), (6, Err(Refusal::Stale))];
    for (seconds, found) in ages {
        for wall in [AT + second * seconds, AT - second * seconds] {
            let mut receiver = guard(Mode::Enforce, IN_FIVE);
            assert_eq!(judge(&mut receiver, &next, TO, wall), found, "{seconds} s");
        }
    }
}

#[test]
fn a_clock_that_was_set_back_silences_a_sender_for_no_longer_than_the_window() {
    let (vip, hour) = (group(false), Duration::from_secs(3600));
    let (mut sender, mut receiver) = (guard(Mode::Enforce, IN_FIVE), guard(Mode::Enforce, IN_FIVE));
    let before = signed(&vip, &mut sender, TO, AT + hour);
    assert_eq!(judge(&mut receiver, &before, TO, AT + hour), Ok(()));
    // Both clocks are right now; a stamp by which nothing can be ordered any more is forgotten.
    let after = signed(&vip, &mut sender, TO, AT);
    assert_eq!(judge(&mut receiver, &after, TO, AT), Ok(()));
    assert_eq!(judge(&mut receiver, &after, TO, AT), Err(Refusal::Replayed));
    // A step that is smaller than the window only makes it count on.
    let again = signed(&vip, &mut sender, TO, AT - Duration::from_secs(3));
    assert_eq!(judge(&mut receiver, &again, TO, AT), Ok(()));
    // Who goes by no clock never goes back, and takes nothing that does.
    let mut sender = guard(Mode::Enforce, Replay::Monotonic);
    let mut receiver = guard(Mode::Enforce, Replay::Monotonic);
    let before = signed(&vip, &mut sender, TO, AT + hour);
    let after = signed(&vip, &mut sender, TO, AT);
    assert_eq!(judge(&mut receiver, &before, TO, Duration::ZERO), Ok(()));
    assert_eq!(judge(&mut receiver, &after, TO, Duration::ZERO), Ok(()));
    assert_eq!(judge(&mut receiver, &before, TO, AT + hour), Err(Refusal::Replayed));
}

#[test]
fn who_has_no_key_makes_nobody_be_forgotten() {
    let vip = group(false);
    let from = |last: u8| Path { source: IpAddr::from([198, 51, 100, last]), ..TO };
    let mut receiver = guard(Mode::Enforce, IN_FIVE);
    let own = signed(&vip, &mut guard(Mode::Enforce, IN_FIVE), from(1), AT);
    assert_eq!(judge(&mut receiver, &own, from(1), AT), Ok(()));
    for last in 2..100 {
        let mut forger = guard(Mode::Enforce, IN_FIVE);
        forger.hmac.keys[0].value = KeyValue::Bytes(vec![last; 32]);
        let forged = signed(&vip, &mut forger, from(last), AT);
        assert_eq!(judge(&mut receiver, &forged, from(last), AT), Err(Refusal::Signature));
    }
    assert_eq!(judge(&mut receiver, &own, from(1), AT), Err(Refusal::Replayed));
    // Of so many as have one, those are known that were heard last.
    for last in 2..=5 {
        let other = signed(&vip, &mut guard(Mode::Enforce, IN_FIVE), from(last), AT);
        assert_eq!(judge(&mut receiver, &other, from(last), AT), Ok(()));
    }
    assert_eq!(receiver.senders.len(), SENDERS);
    assert_eq!(judge(&mut receiver, &own, from(1), AT), Ok(()), "it is one of five");
}

#[test]
fn of_whom_nobody_knows_no_tag_is_made() {
    let vip = Vip { unicast_peers: vec![IpAddr::from([198, 51, 100, 9])], ..group(false) };
    let mut receiver = Guard::of(&vip).expect("it has keys");
    let image = signed(&group(false), &mut guard(Mode::Enforce, IN_FIVE), TO, AT);
    let (advert, trailer) = read(&image, TTL, TO).expect("its form is good");
    let found = receiver.judge(&vip, TO, (&advert, trailer), AT);
    assert_eq!(found, Err(Refusal::Source));
    let second = Vip { protocol: Protocol::V2, ..group(false) };
    let found = receiver.judge(&second, TO, (&advert, trailer), AT);
    assert_eq!(found, Err(Refusal::Version));
}

#[test]
fn what_a_router_forwarded_from_a_peer_is_obeyed_where_every_advert_is_signed() {
    let ours = IpAddr::from([198, 51, 100, 20]);
    let path = Path { source: SOURCE, destination: ours };
    let peers = |mode: Option<Mode>| Vip {
        unicast_peers: vec![SOURCE],
        hmac: mode.map(|mode| hmac(mode, IN_FIVE)),
        ..group(false)
    };
    let rows = [
        (None, Some(Refusal::Ttl)),
        (Some(Mode::ReceiveOnly), Some(Refusal::Ttl)),
        (Some(Mode::Permissive), Some(Refusal::Ttl)),
        (Some(Mode::Enforce), None),
    ];
    for (mode, found) in rows {
        assert_eq!(path.refused_by(&peers(mode), 254), found, "{mode:?}");
        assert_eq!(path.refused_by(&peers(mode), 255), None, "{mode:?}");
    }
    // For all of a link nothing is obeyed that is not of it, and nothing that is for one router only.
    assert_eq!(path.refused_by(&group(false), 254), Some(Refusal::Ttl));
    let image = signed(&group(false), &mut guard(Mode::Enforce, IN_FIVE), TO, AT);
    assert_eq!(read(&image, 254, TO).map_err(Refusal::from), Err(Refusal::Ttl));
}

#[test]
fn an_advert_of_version_2_is_signed_with_what_stands_for_a_password() {
    let vip = Vip { protocol: Protocol::V2, ..group(false) };
    let image = signed(&vip, &mut guard(Mode::Enforce, IN_FIVE), TO, AT);
    assert_eq!(image.len(), 8 + 4 + 8 + 28);
    let (advert, trailer) = read(&image, TTL, TO).expect("its form is good");
    let mut receiver = guard(Mode::Enforce, IN_FIVE);
    assert_eq!(receiver.judge(&vip, TO, (&advert, trailer), AT), Ok(()));
    assert_eq!(advert.password, None);
}

#[test]
fn the_longest_that_is_signed_goes_into_one_packet() {
    let addresses =
        (0..200).map(|last| Address::plain(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, last).into()));
    let vip = Vip { addresses: addresses.collect(), ..group(true) };
    let image = signed(&vip, &mut guard(Mode::Enforce, IN_FIVE), TO_V6, AT);
    assert_eq!((image[3], image.len()), (89, 1460));
    assert_eq!(judge(&mut guard(Mode::Enforce, IN_FIVE), &image, TO_V6, AT), Ok(()));
}
