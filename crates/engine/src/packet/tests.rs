use proptest::prelude::*;

use super::*;

fn seal(secret: &[u8], cluster: &str, sender: u16) -> Seal {
    Seal::new(secret, cluster, sender, 1_700_000_000_000)
}

fn sealed(seal: &mut Seal, kind: Kind, network: u8, body: &[u8]) -> Vec<u8> {
    let mut out = [0; MAX_PACKET];
    let length = seal.seal(kind, network, body, &mut out);
    out[..length].to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The wire format. A change of this text is a change of the version byte.
#[test]
fn a_packet_on_the_wire() {
    let bytes = sealed(&mut seal(&[7; 32], "cloud", 2), Kind::HandOver, 1, b"body");
    expect_test::expect!["4f55544c0103000201000000018bcfe568000000000000000001626f64793aaa302a290e66840021a369df60038b"].assert_eq(&hex(&bytes));
}

#[test]
fn what_was_sealed_is_opened() {
    let (mut from, to) = (seal(b"secret", "cloud", 2), seal(b"secret", "cloud", 0));
    sealed(&mut from, Kind::Beat, 0, b"");
    let bytes = sealed(&mut from, Kind::Hello, 1, b"body");
    let incarnation = 1_700_000_000_000;
    let expected =
        Opened { sender: 2, network: 1, kind: Kind::Hello, incarnation, seq: 2, body: b"body" };
    assert_eq!(to.open(&bytes), Ok(expected));
}

#[test]
fn another_key_or_another_cluster_is_not_heard() {
    let to = seal(b"secret", "cloud", 0);
    for (secret, cluster) in [(&b"Secret"[..], "cloud"), (b"secret", "clouds"), (b"", "")] {
        let bytes = sealed(&mut seal(secret, cluster, 2), Kind::Beat, 0, b"body");
        assert_eq!(to.open(&bytes), Err(OpenError::Seal), "{cluster}");
    }
}

#[test]
fn every_changed_bit_is_noticed() {
    let to = seal(b"secret", "cloud", 0);
    let bytes = sealed(&mut seal(b"secret", "cloud", 2), Kind::Beat, 0, b"body");
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(to.open(&changed).is_err(), "bit {bit}");
    }
}

#[test]
fn lengths_that_cannot_be_are_refused() {
    let mut from = seal(b"secret", "cloud", 2);
    let mut out = [0; MAX_PACKET + 1];
    assert_eq!(from.seal(Kind::Beat, 0, &[0; MAX_BODY], &mut out), MAX_PACKET);
    assert_eq!(from.seal(Kind::Beat, 0, &[0; MAX_BODY + 1], &mut out), 0);
    assert_eq!(from.seal(Kind::Beat, 0, &[0; 10], &mut out[..51]), 0);
    for length in [0, 1, HEADER + TAG - 1, MAX_PACKET + 1] {
        assert_eq!(from.open(&out[..length]), Err(OpenError::Length), "{length}");
    }
}

#[test]
fn an_unknown_version_is_named_before_the_seal_is_tried() {
    let mut from = seal(b"secret", "cloud", 2);
    let mut bytes = sealed(&mut from, Kind::Beat, 0, b"");
    bytes[4] = 9;
    assert_eq!(from.open(&bytes), Err(OpenError::Version(9)));
    assert_eq!(
        OpenError::Version(9).to_string(),
        "the packet has version 9, this program speaks 1"
    );
}

#[test]
fn a_key_stays_out_of_logs() {
    let shown = format!("{:?}", seal(b"secret", "cloud", 2));
    assert_eq!(shown, "Seal { sender: 2, incarnation: 1700000000000, seq: 0, .. }");
}

const fn packet(
    sender: u16,
    network: u8,
    kind: Kind,
    incarnation: u64,
    seq: u64,
) -> Opened<'static> {
    Opened { sender, network, kind, incarnation, seq, body: b"" }
}

#[test]
fn a_packet_is_news_once_and_only_in_order() {
    let mut replay = Replay::new();
    for (incarnation, seq, expected) in [
        (5, 1, true),
        (5, 1, false),
        (5, 3, true),
        (5, 2, false),
        (4, 9, false),
        (6, 1, true),
        (5, 4, false),
    ] {
        let this = packet(2, 1, Kind::Beat, incarnation, seq);
        assert_eq!(replay.is_news(&this), expected, "{incarnation} {seq}");
    }
}

/// Network, kind, incarnation, number, is it news?
type Step = (u8, Kind, u64, u64, bool);

const STORIES: [(&str, &[Step]); 7] = [
    (
        "a recorded hand-over after a new hello",
        &[
            (0, Kind::Hello, 5, 1, true),
            (0, Kind::Hello, 6, 1, true),
            (0, Kind::HandOver, 5, 2, false),
            (0, Kind::HandOver, 6, 2, true),
        ],
    ),
    (
        "on a network where nothing was heard",
        &[
            (0, Kind::Hello, 6, 1, true),
            (1, Kind::HandOver, 5, 9, false),
            (1, Kind::Hello, 5, 9, false),
            (1, Kind::Hello, 6, 2, true),
        ],
    ),
    (
        "a rescue by the supervisor, then the restarted process",
        &[
            (0, Kind::Hello, 5, 9, true),
            (0, Kind::HandOver, 6, 1, true),
            (1, Kind::HandOver, 6, 2, true),
            (1, Kind::Hello, 5, 10, false),
            (0, Kind::HandOver, 6, 1, false),
            (0, Kind::Hello, 7, 1, true),
            (1, Kind::HandOver, 6, 3, false),
            (0, Kind::HandOver, 7, 3, true),
        ],
    ),
    (
        "a new incarnation counts from the start everywhere",
        &[
            (0, Kind::Hello, 5, 100, true),
            (1, Kind::HandOver, 5, 101, true),
            (0, Kind::Hello, 6, 1, true),
            (1, Kind::HandOver, 6, 2, true),
            (1, Kind::HandOver, 6, 2, false),
        ],
    ),
    (
        "an agent that started later than the vip process",
        &[
            (0, Kind::Hello, 5, 1, true),
            (0, Kind::Beat, 8, 1, true),
            (0, Kind::Hello, 5, 2, true),
            (0, Kind::HandOver, 5, 3, true),
        ],
    ),
    (
        "a vip process that started later than the agent",
        &[
            (0, Kind::Beat, 5, 1, true),
            (0, Kind::HandOver, 8, 1, true),
            (0, Kind::Beat, 5, 2, true),
            (1, Kind::Beat, 4, 3, false),
        ],
    ),
    (
        "a network beyond the limit tells nothing",
        &[
            (0, Kind::Hello, 5, 1, true),
            (8, Kind::Hello, 6, 1, false),
            (0, Kind::Hello, 5, 2, true),
        ],
    ),
];

#[test]
fn what_a_sender_said_before_its_restart_is_no_news() {
    for (story, packets) in STORIES {
        let mut replay = Replay::new();
        for (step, (network, kind, incarnation, seq, expected)) in packets.iter().enumerate() {
            let this = packet(2, *network, *kind, *incarnation, *seq);
            assert_eq!(replay.is_news(&this), *expected, "{story}, step {step}");
        }
        assert!(replay.is_news(&packet(3, 0, Kind::Hello, 1, 1)), "{story}: another sender");
    }
}

#[test]
fn senders_networks_and_kinds_are_counted_apart() {
    let mut replay = Replay::new();
    for this in [
        packet(2, 1, Kind::Beat, 5, 9),
        packet(3, 1, Kind::Beat, 5, 1),
        packet(2, 0, Kind::Beat, 5, 1),
        packet(2, 1, Kind::Hello, 5, 1),
        packet(2, 1, Kind::HandOver, 5, 1),
        packet(63, 7, Kind::HandOver, 5, 1),
    ] {
        assert!(replay.is_news(&this), "{this:?}");
    }
    assert!(!replay.is_news(&packet(64, 1, Kind::Beat, 5, 1)));
    assert!(!replay.is_news(&packet(2, 8, Kind::Beat, 5, 1)));
}

proptest! {
    #[test]
    fn random_bytes_never_open_and_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..1300)) {
        prop_assert!(seal(b"secret", "cloud", 0).open(&bytes).is_err());
    }

    #[test]
    fn random_bytes_behind_a_good_head_never_open(tail in prop::collection::vec(any::<u8>(), 0..200)) {
        let bytes = [&b"OUTL\x01\x01"[..], &tail].concat();
        prop_assert!(seal(b"secret", "cloud", 0).open(&bytes).is_err());
    }

    #[test]
    fn every_body_comes_back(sender: u16, network: u8, body in prop::collection::vec(any::<u8>(), 0..=MAX_BODY)) {
        let mut both = seal(b"secret", "cloud", sender);
        let bytes = sealed(&mut both, Kind::Beat, network, &body);
        let opened = both.open(&bytes).unwrap();
        prop_assert_eq!((opened.sender, opened.network, opened.body), (sender, network, &body[..]));
    }
}
