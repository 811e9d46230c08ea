use proptest::prelude::*;

use super::*;

const NODES: usize = 4;

fn seal(secret: &[u8], cluster: &str, sender: u16) -> Seal {
    Seal::shared(secret, cluster, NODES, sender, 1_700_000_000_000)
}

fn sealed(seal: &mut Seal, kind: Kind, to: (u16, u8), body: &[u8]) -> Vec<u8> {
    let mut out = [0; MAX_PACKET];
    let length = seal.seal(kind, to, body, &mut out);
    out[..length].to_vec()
}

/// Only whether it opens, and why not.
fn tried(seal: &mut Seal, bytes: &[u8]) -> Result<(), OpenError> {
    seal.open(bytes, &mut [0; MAX_BODY]).map(|_| ())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The wire format, as `AESGCMSIV` of Python's `cryptography` seals it, too. A change of this text is a change of the
/// version byte.
#[test]
fn a_packet_on_the_wire() {
    let bytes = sealed(&mut seal(&[7; 32], "cloud", 2), Kind::HandOver, (0, 1), b"body");
    expect_test::expect!["4f55544c02030002000001000000018bcfe5680000000000000000018c1d354e60fe925c54f8b3fb58866136f3116ae3"].assert_eq(&hex(&bytes));
}

/// The same by hand with the `hmac` of Python, to be sure that it is what RFC 5869 says.
#[test]
fn the_keys_of_a_pair() {
    let secret = PairSecret::shared(&[7; 32], "cloud", 2, 0);
    let mut ring = Ring::default();
    ring.accept(0, &secret, "cloud", 2, 0);
    let key = ring.key(0).unwrap();
    expect_test::expect!["7b60f7f178c5c6d530763af884a5c114924705719842053700bfd24f96c907a7"]
        .assert_eq(&hex(&*key.out));
    expect_test::expect!["b622a8e6f479532ed71193b325bdfee51274cdffb2ebfecd6ab586a388df59b6"]
        .assert_eq(&hex(&*key.inward));
}

#[test]
fn what_was_sealed_is_opened() {
    let (mut from, mut to) = (seal(b"secret", "cloud", 2), seal(b"secret", "cloud", 0));
    sealed(&mut from, Kind::Beat, (0, 0), b"");
    sealed(&mut from, Kind::Beat, (1, 0), b"");
    let bytes = sealed(&mut from, Kind::Hello, (0, 1), b"body");
    let incarnation = 1_700_000_000_000;
    let expected =
        Opened { sender: 2, network: 1, kind: Kind::Hello, incarnation, seq: 2, body: b"body" };
    assert_eq!(to.open(&bytes, &mut [0; MAX_BODY]), Ok(expected));
}

#[test]
fn nothing_of_a_body_can_be_read_on_the_way() {
    let body = b"who holds what, and how busy it is";
    let bytes = sealed(&mut seal(b"secret", "cloud", 2), Kind::Beat, (0, 0), body);
    assert!(!bytes.windows(8).any(|seen| body.windows(8).any(|part| part == seen)));
    let again = sealed(&mut seal(b"secret", "cloud", 2), Kind::Beat, (1, 0), body);
    assert_ne!(bytes[HEADER..], again[HEADER..], "each pair has its own key");
}

#[test]
fn another_key_or_another_cluster_is_not_heard() {
    let mut to = seal(b"secret", "cloud", 0);
    for (secret, cluster) in [(&b"Secret"[..], "cloud"), (b"secret", "clouds"), (b"", "")] {
        let bytes = sealed(&mut seal(secret, cluster, 2), Kind::Beat, (0, 0), b"body");
        assert_eq!(tried(&mut to, &bytes), Err(OpenError::Forged), "{cluster}");
    }
}

/// Node 0 with a secret of its own for each pair, as a trust store hands them out.
fn pairs(me: u16) -> Seal {
    let mut seal = Seal::new("cloud", me, 1);
    for peer in 0..3 {
        let (low, high) = (me.min(peer), me.max(peer));
        let of_pair = u8::try_from(low * 16 + high).unwrap();
        seal.accept(peer, 0, &PairSecret::new([of_pair; 32]));
    }
    seal
}

/// Node 2 is a compute node in a thief's hands, node 1 a controller.
#[test]
fn a_stolen_compute_node_cannot_speak_for_a_controller() {
    let (mut thief, mut victim, mut controller) = (pairs(2), pairs(0), pairs(1));
    let mut bytes = sealed(&mut thief, Kind::HandOver, (0, 0), b"you hold");
    assert_eq!(tried(&mut victim, &bytes), Ok(()), "for itself it may speak");
    bytes[6..8].copy_from_slice(&1_u16.to_be_bytes());
    assert_eq!(tried(&mut victim, &bytes), Err(OpenError::Forged), "another name on it");
    let mut twin = Seal::new("cloud", 1, 1);
    twin.accept(0, 0, &PairSecret::new([0x02; 32]));
    let bytes = sealed(&mut twin, Kind::HandOver, (0, 0), b"you hold");
    assert_eq!(tried(&mut victim, &bytes), Err(OpenError::Forged), "with the key it has");
    let bytes = sealed(&mut controller, Kind::HandOver, (2, 0), b"you hold");
    assert_eq!(tried(&mut victim, &bytes), Err(OpenError::Receiver(2)), "passed on");
    let mut passed = bytes;
    passed[8..10].copy_from_slice(&0_u16.to_be_bytes());
    assert_eq!(tried(&mut victim, &passed), Err(OpenError::Forged), "passed on, another receiver");
}

#[test]
fn what_comes_back_to_its_sender_does_not_open() {
    let (mut from, mut to) = (seal(b"secret", "cloud", 2), seal(b"secret", "cloud", 0));
    let mut bytes = sealed(&mut from, Kind::Beat, (0, 0), b"body");
    assert_eq!(tried(&mut from, &bytes), Err(OpenError::Receiver(0)));
    bytes[6..10].copy_from_slice(&[0, 0, 0, 2]);
    assert_eq!(tried(&mut from, &bytes), Err(OpenError::Forged), "the other direction's key");
    bytes[6..10].copy_from_slice(&[0, 2, 0, 2]);
    assert_eq!(tried(&mut from, &bytes), Err(OpenError::Stranger(2)), "nobody talks to itself");
    bytes[6..10].copy_from_slice(&[0, 9, 0, 0]);
    assert_eq!(tried(&mut to, &bytes), Err(OpenError::Stranger(9)));
}

#[test]
fn every_changed_bit_is_noticed() {
    let mut to = seal(b"secret", "cloud", 0);
    let bytes = sealed(&mut seal(b"secret", "cloud", 2), Kind::Beat, (0, 0), b"body");
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(tried(&mut to, &changed).is_err(), "bit {bit}");
    }
}

#[test]
fn lengths_that_cannot_be_are_refused() {
    let mut from = seal(b"secret", "cloud", 2);
    let mut out = [0; MAX_PACKET + 1];
    assert_eq!(from.seal(Kind::Beat, (0, 0), &[0; MAX_BODY], &mut out), MAX_PACKET);
    assert_eq!(from.seal(Kind::Beat, (0, 0), &[0; MAX_BODY + 1], &mut out), 0);
    assert_eq!(from.seal(Kind::Beat, (0, 0), &[0; 10], &mut out[..53]), 0);
    assert_eq!(from.seal(Kind::Beat, (2, 0), b"", &mut out), 0, "to itself");
    assert_eq!(from.seal(Kind::Beat, (9, 0), b"", &mut out), 0, "to nobody");
    for length in [0, 1, HEADER + TAG - 1, MAX_PACKET + 1] {
        assert_eq!(tried(&mut from, &out[..length]), Err(OpenError::Length), "{length}");
    }
}

#[test]
fn an_unknown_version_is_named_before_the_seal_is_tried() {
    let mut from = seal(b"secret", "cloud", 2);
    let mut bytes = sealed(&mut from, Kind::Beat, (0, 0), b"");
    bytes[4] = 9;
    assert_eq!(tried(&mut from, &bytes), Err(OpenError::Version(9)));
    assert_eq!(
        OpenError::Version(9).to_string(),
        "the packet has version 9, this program speaks 2"
    );
}

#[test]
fn a_key_stays_out_of_logs() {
    let shown = format!("{:?}", seal(b"secret", "cloud", 2));
    assert_eq!(shown, "Seal { sender: 2, incarnation: 1700000000000, .. }");
    assert_eq!(format!("{:?}", PairSecret::new([7; 32])), "PairSecret(..)");
}

/// Two nodes under key 0 of their pair.
fn couple() -> (Seal, Seal) {
    let secret = PairSecret::new([1; 32]);
    let (mut a, mut b) = (Seal::new("cloud", 0, 1), Seal::new("cloud", 1, 1));
    a.accept(1, 0, &secret);
    b.accept(0, 0, &secret);
    (a, b)
}

/// Each says something to the other, and both understand; tells under which keys.
fn both_hear(a: &mut Seal, b: &mut Seal) -> (u8, u8) {
    let (to_b, to_a) = (sealed(a, Kind::Beat, (1, 0), b"a"), sealed(b, Kind::Beat, (0, 0), b"b"));
    assert_eq!((tried(b, &to_b), tried(a, &to_a)), (Ok(()), Ok(())));
    (to_b[11], to_a[11])
}

#[test]
fn a_new_key_takes_over_without_a_packet_lost() {
    let (mut a, mut b) = couple();
    let new = PairSecret::new([2; 32]);
    assert_eq!(both_hear(&mut a, &mut b), (0, 0));
    a.accept(1, 1, &new);
    assert_eq!(both_hear(&mut a, &mut b), (0, 0), "only one knows it");
    b.accept(0, 1, &new);
    assert_eq!(both_hear(&mut a, &mut b), (0, 0), "both know it, nobody speaks it");
    let late = sealed(&mut b, Kind::Beat, (0, 0), b"on its way");
    assert!(a.speak(1, 1));
    assert_eq!(both_hear(&mut a, &mut b), (1, 0), "told to");
    assert_eq!(tried(&mut a, &late), Ok(()), "the old one still opens");
    assert_eq!(both_hear(&mut a, &mut b), (1, 1), "who hears the new one answers in it");
    a.forget_others(1);
    b.forget_others(0);
    assert_eq!(both_hear(&mut a, &mut b), (1, 1));
    assert_eq!(tried(&mut a, &late), Err(OpenError::Key(0)), "a thief of the old key says nothing");
    assert!(!a.speak(1, 0), "what is forgotten is not spoken");
}

#[test]
fn numbers_go_on_through_a_change_of_keys() {
    let (mut a, mut b) = couple();
    let mut replay = Replay::new();
    for epoch in 0..20 {
        let secret = PairSecret::new([epoch; 32]);
        a.accept(1, epoch, &secret);
        b.accept(0, epoch, &secret);
        a.speak(1, epoch);
        let bytes = sealed(&mut a, Kind::Beat, (1, 0), b"");
        let mut body = [0; MAX_BODY];
        let opened = b.open(&bytes, &mut body).unwrap();
        assert_eq!(opened.seq, u64::from(epoch) + 1);
        assert!(replay.is_news(&opened));
    }
}

#[test]
fn who_is_revoked_is_neither_heard_nor_told() {
    let (mut a, mut b) = couple();
    let bytes = sealed(&mut b, Kind::Beat, (0, 0), b"");
    a.revoke(1);
    assert_eq!(tried(&mut a, &bytes), Err(OpenError::Stranger(1)));
    assert_eq!(sealed(&mut a, Kind::Beat, (1, 0), b""), b"");
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

/// What is asked and told may overtake each other on the way: each counts once. Rows: number, is it news?
#[test]
fn told_events_count_once_in_any_order_within_the_window() {
    let mut replay = Replay::new();
    for (seq, expected) in [
        (0, false),
        (2, true),
        (1, true),
        (1, false),
        (2, false),
        (65, true),
        (3, true),
        (3, false),
        (2, false),
        (1, false),
        (1000, true),
        (937, true),
        (936, false),
        (937, false),
        (999, true),
    ] {
        let this = packet(2, 1, Kind::Told, 5, seq);
        assert_eq!(replay.is_news(&this), expected, "{seq}");
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
        prop_assert!(tried(&mut seal(b"secret", "cloud", 0), &bytes).is_err());
    }

    #[test]
    fn random_bytes_behind_a_good_head_never_open(tail in prop::collection::vec(any::<u8>(), 34..200)) {
        let bytes = [&b"OUTL\x02\x01\0\x01\0\0\0\0"[..], &tail].concat();
        prop_assert_eq!(tried(&mut seal(b"secret", "cloud", 0), &bytes), Err(OpenError::Forged));
    }

    #[test]
    fn every_body_comes_back(network: u8, body in prop::collection::vec(any::<u8>(), 0..=MAX_BODY)) {
        let (mut from, mut to) = (seal(b"secret", "cloud", 3), seal(b"secret", "cloud", 1));
        let bytes = sealed(&mut from, Kind::Beat, (1, network), &body);
        let mut buffer = [0; MAX_BODY];
        let opened = to.open(&bytes, &mut buffer).unwrap();
        prop_assert_eq!((opened.sender, opened.network, opened.body), (3, network, &body[..]));
    }

    #[test]
    fn no_packet_is_news_twice(numbers in prop::collection::vec(1_u64..200, 0..300)) {
        let mut replay = Replay::new();
        let mut seen = std::collections::BTreeSet::new();
        for seq in numbers {
            let news = replay.is_news(&packet(2, 1, Kind::Question, 5, seq));
            prop_assert!(!news || seen.insert(seq), "{} twice", seq);
        }
    }
}

/// Every pair of keys through a change of both nodes' parts, as the trust folder tells them at its own time.
#[test]
fn both_nodes_change_their_part_of_the_keys_and_every_packet_opens() {
    let secret = |number: u8| (number, PairSecret::new([number; 32]));
    let set = |numbers: &[u8]| numbers.iter().map(|number| secret(*number)).collect::<Vec<_>>();
    let [mut a, mut b] = [0, 1].map(|me| Seal::new("cloud", me, 1));
    let beat = |from: &mut Seal, to: u16| {
        let mut packet = [0; MAX_PACKET];
        let length = from.seal(Kind::Beat, (to, 0), b"x", &mut packet);
        packet[..length].to_vec()
    };
    let speaks = |a: &mut Seal, b: &mut Seal, expected: [u8; 2]| {
        for _ in 0..2 {
            let packet = beat(a, 1);
            assert!(b.open(&packet, &mut [0; MAX_BODY]).is_ok(), "{}", packet[11]);
            let packet = beat(b, 0);
            assert!(a.open(&packet, &mut [0; MAX_BODY]).is_ok(), "{}", packet[11]);
        }
        assert_eq!([beat(a, 1)[11], beat(b, 0)[11]], expected);
    };
    a.renew(1, &set(&[0]), 0);
    b.renew(0, &set(&[0]), 0);
    speaks(&mut a, &mut b, [0, 0]);
    // a has a new key and tells nobody yet, then b learns of it and speaks it, so a does.
    a.renew(1, &set(&[0, 0x10]), 0);
    speaks(&mut a, &mut b, [0, 0]);
    b.renew(0, &set(&[0, 0x10]), 0x10);
    speaks(&mut a, &mut b, [0x10, 0x10]);
    // Told the same again, it does not go back.
    a.renew(1, &set(&[0, 0x10]), 0);
    speaks(&mut a, &mut b, [0x10, 0x10]);
    // Now b, while the former key of a is still opened.
    b.renew(0, &set(&[0, 0x10, 0x01, 0x11]), 0x10);
    speaks(&mut a, &mut b, [0x10, 0x10]);
    a.renew(1, &set(&[0, 0x10, 0x01, 0x11]), 0x01);
    speaks(&mut a, &mut b, [0x01, 0x01]);
    // At its end each forgets at its own time.
    a.renew(1, &set(&[0x10, 0x11]), 0x11);
    b.renew(0, &set(&[0x10, 0x01, 0x11]), 0x11);
    speaks(&mut a, &mut b, [0x11, 0x11]);
    b.renew(0, &set(&[0x11]), 0x11);
    speaks(&mut a, &mut b, [0x11, 0x11]);
    a.renew(1, &set(&[]), 0);
    assert_eq!(a.seal(Kind::Beat, (1, 0), b"x", &mut [0; MAX_PACKET]), 0, "no key, no word");
}

#[test]
fn a_process_that_goes_on_for_another_counts_on_and_takes_nothing_old_for_new() {
    let (mut from, mut to) = (seal(b"secret", "cloud", 2), seal(b"secret", "cloud", 0));
    let mut heard = Replay::new();
    let mut is_news = |heard: &mut Replay, bytes: &[u8]| {
        let mut body = [0; MAX_BODY];
        let opened = to.open(bytes, &mut body);
        heard.is_news(&opened.expect("it is for this node"))
    };
    let recorded = sealed(&mut from, Kind::HandOver, (0, 1), b"take it");
    let late = sealed(&mut from, Kind::VipBeat, (0, 0), b"I live");
    let beat = sealed(&mut from, Kind::VipBeat, (0, 1), b"I live");
    assert!(is_news(&mut heard, &recorded) && is_news(&mut heard, &beat));

    let mut next = Replay::new();
    heard.newest().for_each(|newest| next.go_on(newest));
    assert!(!is_news(&mut next, &recorded) && !is_news(&mut next, &beat));
    assert!(is_news(&mut next, &late), "nothing newer came on that network");

    let mut other = seal(b"secret", "cloud", 2);
    other.go_on(from.newest());
    let bytes = sealed(&mut other, Kind::VipBeat, (0, 1), b"I live");
    assert!(is_news(&mut next, &bytes), "the number of no packet comes twice");
    assert_eq!(other.newest(), from.newest() + 1);
}

#[test]
fn numbers_go_on_to_whom_the_next_process_meets_later_too() {
    let secret = || PairSecret::shared(b"secret", "cloud", 0, 1);
    let (mut before, mut next) = (Seal::new("cloud", 0, 5), Seal::new("cloud", 0, 5));
    before.accept(1, 0, &secret());
    (0..7).for_each(|_| drop(sealed(&mut before, Kind::VipBeat, (1, 0), b"")));
    next.go_on(before.newest());
    next.accept(1, 0, &secret());
    sealed(&mut next, Kind::VipBeat, (1, 0), b"");
    assert_eq!(next.newest(), 8);
    next.revoke(1);
    next.renew(1, &[(0, secret())], 0);
    sealed(&mut next, Kind::VipBeat, (1, 0), b"");
    assert_eq!(next.newest(), 9);
}
