//! What one controller found reaches another over a third one.

use super::*;
use crate::gossip::confirm::CLAIM_FRESH;
use crate::gossip::wire::{AGE, MAX_CLAIMS, MAX_PASSED, Passed};
use crate::reach::Nodes;

const FIVE: u16 = 5;
const GONE: u16 = 5;
/// As few compute nodes as there are here: what is not told again counts so long.
const FRESH: u64 = 8000;

/// A controller of five that knows of a compute node.
fn controller(me: u16, computes: u16) -> Gossip {
    let nodes = FIVE + computes;
    let mut on = [false; MAX_NETWORKS];
    on[0] = true;
    let roster = Roster {
        controllers: FIVE,
        networks: vec!["mgmt".to_owned()],
        on: vec![on; usize::from(nodes)],
        detect: Duration::from_secs(1),
    };
    let mut gossip = Gossip::new(roster, me, Seal::new("cloud", me, 1), 7, at(0));
    gossip.step(at(0), Input::Quorum(true), &mut vec![]);
    tell(at(1), (GONE, 1), &Part::Answer(0, None), &mut gossip);
    gossip
}

/// What `from` says with a packet of this number reaches a controller.
fn tell(now: Time, (from, seq): (u16, u64), part: &Part<'_>, to: &mut Gossip) -> Vec<Action> {
    let mut body = vec![];
    part.encode(&mut body);
    let (network, kind, body) = (0, Kind::Gossip, &body[..]);
    let packet = Opened { sender: from, network, kind, incarnation: 1, seq, body };
    let mut out = vec![];
    to.step(now, Input::Opened { network, packet }, &mut out);
    out
}

fn silent(node: u16) -> Claim {
    let silent = [0].into_iter().collect();
    Claim { node, life: 1, silent, everywhere: true, ..Claim::default() }
}

fn claims(claims: Vec<Claim>, heard: &[u16]) -> Part<'static> {
    Part::Claims { claims, heard: Some(heard.iter().copied().collect()) }
}

/// The bodies that are sent to that node.
fn sent(out: &[Action], node: u16) -> impl Iterator<Item = Part<'_>> {
    out.iter().filter_map(move |action| match action {
        Action::Send { to, body, .. } if *to == node => Part::decode(body),
        Action::Send { .. }
        | Action::Verdict { .. }
        | Action::Opinion { .. }
        | Action::Duty { .. }
        | Action::Tether { .. }
        | Action::Carried { .. } => None,
    })
}

/// Of what is sent to that node, what is passed on, by packet.
fn passed(out: &[Action], node: u16) -> Vec<Vec<Passed>> {
    let passed = |part| if let Part::Passed(passed) = part { Some(passed) } else { None };
    sent(out, node).filter_map(passed).collect()
}

/// The newest claims that are sent to that node: of whom, and whom the sender hears.
fn said(out: &[Action], node: u16) -> (Vec<Claim>, Nodes) {
    let said = |part| {
        if let Part::Claims { claims, heard: Some(heard) } = part {
            Some((claims, heard))
        } else {
            None
        }
    };
    sent(out, node).filter_map(said).last().expect("claims are told")
}

#[test]
fn a_claim_reaches_who_does_not_hear_its_controller_over_one_that_hears_both() {
    let (mut first, mut second) = (controller(0, 1), controller(1, 1));
    let mut out = wait(&mut first, at(4000));
    out.extend(tell(at(4001), (1, 1), &claims(vec![silent(GONE)], &[0, 2]), &mut first));
    assert!(!verdicts(&out).contains(&(GONE, Verdict::Unreachable)), "two of five say so");
    let out = wait(&mut first, at(5500));
    let (told, heard) = said(&out, 1);
    assert_eq!((told.as_slice(), heard), ([silent(GONE)].as_slice(), Nodes::one(1)));

    tell(at(5400), (2, 1), &claims(vec![silent(GONE)], &[1]), &mut second);
    let out = tell(at(5500), (0, 1), &claims(told, &[1]), &mut second);
    let answer = passed(&out, 0);
    let age = Duration::from_millis(250);
    assert_eq!(answer, [[Passed { by: 2, hops: 1, age, claim: silent(GONE) }]]);
    let out = tell(at(5501), (1, 2), &Part::Passed(answer.concat()), &mut first);
    assert_eq!(
        verdicts(&out),
        [(GONE, Verdict::Unreachable)],
        "three of five, one of them heard of"
    );
    let seen = first.evidence(GONE, at(5501));
    let told = seen.iter().find(|sighting| sighting.what.contains("controller 2"));
    assert_eq!(told.unwrap().what, "controller 2 has no answer of it, others say");
}

#[test]
fn who_hears_a_node_is_heard_of_over_others_and_outweighs_them() {
    let mut first = controller(0, 1);
    wait(&mut first, at(4000));
    let hears = Claim { silent: Default::default(), everywhere: false, ..silent(GONE) };
    let heard = Passed { by: 2, hops: 1, age: AGE, claim: hears };
    let missed = Passed { by: 3, hops: 2, age: AGE, claim: silent(GONE) };
    tell(at(4001), (1, 1), &Part::Passed(vec![heard, missed]), &mut first);
    let out = tell(at(4002), (1, 2), &claims(vec![silent(GONE)], &[]), &mut first);
    assert!(!verdicts(&out).contains(&(GONE, Verdict::Unreachable)), "three of five miss it");
    assert!(!first.confirm.as_ref().unwrap().agreed(at(4500), GONE).unanswered);
}

#[test]
fn what_is_passed_on_dies_with_the_claim_itself() {
    let mut second = controller(1, 1);
    tell(at(1000), (2, 1), &claims(vec![silent(GONE)], &[]), &mut second);
    let ask = claims(vec![silent(GONE)], &[1]);
    let out = tell(at(1000 + FRESH - 100), (0, 1), &ask, &mut second);
    let old = passed(&out, 0).concat();
    assert_eq!(old.iter().map(|passed| passed.by).collect::<Vec<_>>(), [2]);
    assert!(old[0].age >= Duration::from_millis(FRESH - 100));
    let out = tell(at(1000 + FRESH), (0, 2), &ask, &mut second);
    assert!(passed(&out, 0).is_empty(), "it counts no more");

    // It counts no longer where it is passed on to, nor does it outweigh what is newer.
    let fresh = |gossip: &Gossip, now| {
        let confirm = gossip.confirm.as_ref().unwrap();
        confirm.claims(GONE, now).map(|(what, _)| what).collect::<Vec<_>>()
    };
    let mut first = controller(0, 1);
    let (by, hops, claim) = (2, 1, silent(GONE));
    let young = Passed { by, hops, age: Duration::from_secs(4), claim };
    tell(at(10_000), (1, 1), &Part::Passed(vec![young]), &mut first);
    let late = Passed {
        age: Duration::from_secs(6),
        claim: Claim { everywhere: false, ..claim },
        ..young
    };
    tell(at(10_001), (1, 2), &Part::Passed(vec![late]), &mut first);
    let told = ["controller 2 has no answer of it, others say"];
    assert_eq!(fresh(&first, at(13_999)), told);
    assert!(fresh(&first, at(14_001)).is_empty(), "eight seconds after it was told");
    assert!(Duration::from_millis(FRESH) < CLAIM_FRESH);
}

#[test]
fn nothing_is_passed_on_that_is_heard_or_not_asked_for_or_makes_no_sense() {
    let mut second = controller(1, 1);
    tell(at(1000), (2, 1), &claims(vec![silent(GONE)], &[]), &mut second);
    let before = Part::Claims { claims: vec![silent(GONE)], heard: None };
    let is_answered = |gossip: &mut Gossip, seq, part: &Part<'_>| {
        !passed(&tell(at(1001), (0, seq), part, gossip), 0).is_empty()
    };
    assert!(!is_answered(&mut second, 1, &before), "the version before does not know of it");
    assert!(!is_answered(&mut second, 2, &claims(vec![silent(GONE)], &[1, 2])));
    assert!(is_answered(&mut second, 3, &claims(vec![silent(GONE)], &[1])));

    let mut first = controller(0, 1);
    let good = Passed { by: 2, hops: 4, age: AGE, claim: silent(GONE) };
    let bad = [
        Passed { by: 0, ..good },
        Passed { by: 1, ..good },
        Passed { by: FIVE, ..good },
        Passed { hops: 0, ..good },
        Passed { hops: 5, ..good },
        Passed { age: Duration::from_millis(FRESH), ..good },
        Passed { claim: Claim { left: true, ..silent(GONE) }, ..good },
    ];
    tell(at(2), (1, 1), &Part::Passed(bad.to_vec()), &mut first);
    let known = |gossip: &Gossip| gossip.confirm.as_ref().unwrap().claims(GONE, at(2)).count();
    assert_eq!(known(&first), 0);
    tell(at(2), (1, 2), &Part::Passed(vec![good]), &mut first);
    assert_eq!(known(&first), 1);
    let out = tell(at(2001), (1, 3), &claims(vec![silent(GONE)], &[0]), &mut first);
    assert!(passed(&out, 1).is_empty(), "over no more than four");
    tell(at(3), (GONE, 2), &Part::Passed(vec![good]), &mut first);
    assert_eq!(first.refused().stranger, 1, "compute nodes pass nothing on");
}

/// A hundred nodes are gone, and four controllers say so to one whom a fifth one asks who hears nobody else.
#[test]
fn what_answers_one_packet_has_a_bound_and_all_is_passed_on_in_turn() {
    let mut second = controller(1, 100);
    let all: Vec<Claim> = (FIVE..FIVE + 100).map(silent).collect();
    assert_eq!(all.len(), MAX_CLAIMS);
    for by in 2..FIVE {
        tell(at(1000), (by, 1), &claims(all.clone(), &[]), &mut second);
    }
    tell(at(1000), (0, 1), &claims(all.clone(), &[1, 2, 3, 4]), &mut second);
    let mut known = std::collections::BTreeSet::new();
    for seq in 2..4 {
        let answers = passed(&tell(at(1001), (0, seq), &claims(all.clone(), &[1]), &mut second), 0);
        assert!(answers.len() <= 4 && answers.iter().all(|some| some.len() <= MAX_PASSED));
        known.extend(answers.concat().iter().map(|passed| (passed.by, passed.claim.node)));
    }
    assert_eq!(known.len(), 300);
}
