//! Bodies as they travel.

use super::super::news::{Question, Told};
use super::*;
use crate::duty::Duty;
use crate::evidence::{Ailment, Ailments};
use crate::reach::{Nodes, Row};

/// The body of the wire format. A change of this text is a change of its version byte.
#[test]
fn a_beat_on_the_wire() {
    let load = Load { cpu_percent: 12, memory_percent: 40, fibre_online: 1, fibre_ports: 2 };
    let (load, events) = (Some(load), 700);
    let stall = Duration::from_millis(300);
    let mut beat = Beat { leaving: true, holds: 5, load, events, stall, ..Beat::default() };
    beat.choices.push(choice(Choice::hash("mariadb"), Choice::hash("node01"), 3, 2));
    beat.ailments.set(Ailment::Mount, true);
    beat.networks = 2;
    beat.duty = Duty::Draining;
    let mut row = Row { node: 1, life: 9, version: 4, known: Nodes::first(3), ..Row::default() };
    row.lost[1].insert(2);
    beat.rows.push(row);
    let mut out = [0; beat::MAX_LENGTH];
    let length = beat.encode(&mut out);
    let hex: String = out[..length].iter().map(|byte| format!("{byte:02x}")).collect();
    expect_test::expect![
        "040300000000000000050c28010200000000000002bc010e0e65e3e10c73020000000000000003000202012c0201000100000000000000090000000400000000000000070000000000000000000000000000000402"
    ]
    .assert_eq(&hex);
    assert_eq!(Beat::decode(&out[..length]), beat);
}

#[test]
fn gossip_of_a_peer_is_no_beat() {
    let mut story = Story::new();
    let mut packet = [0; MAX_PACKET];
    let length = seal(SECRET, "cloud", 1, 100).seal(Kind::Gossip, (0, 0), b"", &mut packet);
    story.give(Input::Packet { network: 0, bytes: &packet[..length] });
    assert_eq!((story.said.as_str(), story.member.refused().stranger), ("", 1));
    assert_eq!(story.member.standing(1), Standing::Unknown);
}

#[test]
fn a_beat_that_cannot_be_read_says_nothing() {
    let body = |count: u8, choices: usize| {
        let mut body = vec![0; 23 + choices * 18];
        (body[0], body[1], body[22]) = (2, 1, count);
        Beat::decode(&body)
    };
    let readable = Beat { leaving: true, ..Beat::default() };
    assert_eq!(body(0, 0), readable);
    assert_eq!(body(16, 16).choices.len(), 16);
    for (count, choices) in [(17, 17), (1, 0), (2, 1)] {
        assert_eq!(body(count, choices), Beat::default(), "{count} {choices}");
    }
    assert_eq!(Beat::decode(&[1; 41]), Beat::default(), "a version too old");
    let with = |reach: &[u8]| {
        let mut body = vec![0; 23];
        (body[0], body[1]) = (3, 1);
        body.extend_from_slice(reach);
        Beat::decode(&body)
    };
    assert_eq!(with(&[0, 0, 0, 0, 0]), readable);
    for (reach, why) in [
        (&[][..], "no reach"),
        (&[0, 0, 0, 9, 0], "more networks than there can be"),
        (&[0, 0, 0, 1, 6], "more rows than there can be"),
        (&[0, 0, 0, 1, 1, 7], "a row cut short"),
    ] {
        assert_eq!(with(reach), Beat::default(), "{why}");
    }
    assert_eq!(Beat::decode(&[]), Beat::default());
}

#[test]
fn what_a_later_version_adds_behind_a_beat_is_ignored() {
    let beat = Beat { holds: 5, events: 9, ..Beat::default() };
    let mut out = [0; beat::MAX_LENGTH];
    let length = beat.encode(&mut out);
    let mut longer = out[..length].to_vec();
    longer.extend_from_slice(b"more");
    longer[0] = 5;
    assert_eq!(Beat::decode(&longer), beat);
}

#[test]
fn a_beat_of_a_version_without_duties_says_that_its_node_is_on_duty() {
    let beat = Beat { holds: 5, duty: Duty::Standby, ..Beat::default() };
    let mut out = [0; beat::MAX_LENGTH];
    let length = beat.encode(&mut out);
    assert_eq!(Beat::decode(&out[..length]), beat);
    assert_eq!(Beat::decode(&out[..length - 1]), Beat::default(), "cut short");
    out[0] = 3;
    assert_eq!(Beat::decode(&out[..length - 1]), Beat { duty: Duty::On, ..beat });
    assert_eq!(print_again(&out[..length]).as_deref(), Some(&out[..length - 1]));
}

#[test]
fn questions_and_answers_on_the_wire() {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let question = Question { to: 2, after: 700 };
    expect_test::expect!["01000200000000000002bc"].assert_eq(&hex(&question.encode()));
    assert_eq!(Question::decode(&question.encode()), Some(question));
    assert_eq!(Question::decode(&question.encode()[..10]), None);
    let mut out = [0; MAX_BODY];
    let told = Told { to: 2, previous: 700, number: 703, text: b"text" };
    let length = told.encode(&mut out).unwrap();
    expect_test::expect!["01000200000000000002bc00000000000002bf74657874"]
        .assert_eq(&hex(&out[..length]));
    assert_eq!(Told::decode(&out[..length]), Some(told));
    let long = [0; MAX_TEXT + 1];
    assert_eq!(Told { text: &long, ..told }.encode(&mut out), None);
}

#[test]
fn names_are_hashed_by_fnv_1a() {
    assert_eq!(
        [Choice::hash(""), Choice::hash("a"), Choice::hash("foobar")],
        [0x811c_9dc5, 0xe40c_292c, 0xbf9c_f968]
    );
}

proptest! {
    #[test]
    fn no_body_panics_and_every_beat_comes_back(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        leaving: bool, holds: u64, events: u64, load in any::<Option<[u8; 4]>>(),
        choices in prop::collection::vec(any::<(u32, u32, u64, u16)>(), 0..=16),
        ailments in 0..16_u8, duty in 0..3_u8, stall: u16, networks in 0..=8_u8,
        rows in prop::collection::vec(any::<(u16, u64, u32, u64, [u64; 8])>(), 0..=5),
    ) {
        Beat::decode(&bytes);
        let choices = choices.into_iter().map(|(proxy, server, term, by)| choice(proxy, server, term, by)).collect();
        let load = load.map(|[cpu, memory, online, ports]| Load {
            cpu_percent: cpu % 101,
            memory_percent: memory % 101,
            fibre_online: online.min(ports),
            fibre_ports: ports,
        });
        let rows = rows.into_iter().map(|(node, life, version, known, lost)| {
            let mut row = Row { node, life, version, known: Nodes::from_bits(known), ..Row::default() };
            for (to, bits) in row.lost.iter_mut().zip(lost).take(networks.into()) {
                *to = Nodes::from_bits(bits);
            }
            row
        });
        let beat = Beat {
            leaving, holds, load, events, choices, networks,
            ailments: Ailments::from_byte(ailments),
            duty: Duty::ALL[usize::from(duty)],
            stall: Duration::from_millis(stall.into()),
            rows: rows.collect(),
        };
        let mut out = [0; beat::MAX_LENGTH];
        let length = beat.encode(&mut out);
        prop_assert_eq!(Beat::decode(&out[..length]), beat);
    }
}
