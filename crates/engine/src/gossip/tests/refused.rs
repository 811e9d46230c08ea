//! What the kernel of a compute node says: refusals and closed tethers.

use super::*;
use crate::evidence::Kind as Seen;

const NETWORKS: [u8; 2] = [0, 1];

/// A controller that has heard a compute node on both networks and is tethered to it there.
fn controller() -> (Gossip, Vec<Action>) {
    let mut gossip = node(0);
    let out = answer(at(1), &mut gossip, 0, 1);
    answer(at(1), &mut gossip, 1, 2);
    for network in NETWORKS {
        tether(at(2), &mut gossip, network, true);
    }
    // Whatever asks it after its start is over.
    wait(&mut gossip, at(2));
    for (network, seq) in [(0, 3), (1, 4)] {
        answer(at(3), &mut gossip, network, seq);
    }
    wait(&mut gossip, at(90));
    (gossip, out)
}

fn answer(now: Time, gossip: &mut Gossip, network: u8, seq: u64) -> Vec<Action> {
    let mut body = vec![];
    Part::Answer(0, None).encode(&mut body);
    let kind = Kind::Gossip;
    let packet = Opened { sender: COMPUTE, network, kind, incarnation: 1, seq, body: &body };
    let mut out = vec![];
    gossip.step(now, Input::Opened { network, packet }, &mut out);
    out
}

fn tether(now: Time, gossip: &mut Gossip, network: u8, holds: bool) {
    gossip.step(now, Input::Tether { node: COMPUTE, network, holds }, &mut vec![]);
}

fn refused(now: Time, gossip: &mut Gossip, network: u8) -> Vec<(u16, Verdict)> {
    let mut out = vec![];
    gossip.step(now, Input::Refused { node: COMPUTE, network }, &mut out);
    verdicts(&out)
}

/// The networks on which the compute node is asked.
fn asked(out: &[Action]) -> Vec<u8> {
    let on = |action: &Action| match action {
        Action::Send { to, network, body } => {
            let is_asked = *to == COMPUTE && matches!(Part::decode(body), Some(Part::Probe(_)));
            is_asked.then_some(*network)
        }
        Action::Verdict { .. }
        | Action::Opinion { .. }
        | Action::Duty { .. }
        | Action::Tether { .. }
        | Action::Carried { .. } => None,
    };
    out.iter().filter_map(on).collect()
}

#[test]
fn a_compute_node_whose_kernel_refuses_on_every_network_is_in_doubt_after_50_ms() {
    let (mut gossip, out) = controller();
    let tied = out.iter().filter(|action| matches!(action, Action::Tether { node: COMPUTE, .. }));
    assert_eq!(tied.count(), 2, "one on each network: {out:?}");
    NETWORKS.iter().for_each(|network| tether(at(100), &mut gossip, *network, false));
    assert_eq!(gossip.opinion(COMPUTE).verdict, Verdict::Alive, "a hint decides nothing");
    let out = wait(&mut gossip, at(100));
    assert_eq!(asked(&out), NETWORKS, "it is asked at once: {out:?}");
    for network in NETWORKS {
        assert_eq!(refused(at(101), &mut gossip, network), [], "one refusal may be a restart");
    }
    let out = wait(&mut gossip, at(151));
    assert_eq!(asked(&out), NETWORKS, "again after 50 ms: {out:?}");
    assert_eq!(refused(at(152), &mut gossip, 1), [(COMPUTE, Verdict::Suspect)]);
    assert_eq!(gossip.opinion(COMPUTE).rule.name, "agent-gone");
    let seen = gossip.evidence(COMPUTE, at(153));
    let kinds: Vec<_> = seen.iter().map(|sighting| sighting.kind).take(3).collect();
    assert_eq!(kinds, [Seen::Refusal, Seen::Refusal, Seen::Tether], "{seen:?}");
    let told = out.iter().filter(|action| {
        matches!(action, Action::Send { to: 1 | 2, body, .. }
            if matches!(Part::decode(body), Some(Part::Missed(_))))
    });
    assert_eq!(told.count(), 4, "the other controllers begin to ask: {out:?}");
    let out = answer(at(160), &mut gossip, 0, 9);
    assert_eq!(verdicts(&out), [(COMPUTE, Verdict::Alive)], "one packet is enough");
}

#[test]
fn what_one_network_refuses_while_another_is_heard_is_no_doubt() {
    let (mut gossip, _) = controller();
    let mut seq = 10;
    for moment in (100..3000).step_by(20) {
        let out = wait(&mut gossip, at(moment));
        for network in asked(&out) {
            if network == 0 {
                assert_eq!(refused(at(moment + 1), &mut gossip, 0), []);
            } else {
                seq += 1;
                assert_eq!(verdicts(&answer(at(moment + 2), &mut gossip, 1, seq)), []);
            }
        }
        let refusals = refused(at(moment + 3), &mut gossip, 0);
        assert_eq!(refusals, [], "a firewall of one network is not the end of a process");
    }
    assert_ne!(gossip.opinion(COMPUTE).verdict, Verdict::Suspect);
}

#[test]
fn one_network_that_refuses_is_no_doubt_while_the_answers_on_the_other_are_lost() {
    let (mut gossip, _) = controller();
    assert_eq!(refused(at(100), &mut gossip, 0), [], "it makes this controller ask");
    assert_eq!(asked(&wait(&mut gossip, at(100))), NETWORKS);
    for moment in [101, 160, 210] {
        assert_eq!(refused(at(moment), &mut gossip, 0), [], "at {moment} ms");
        wait(&mut gossip, at(moment));
    }
    assert_eq!(refused(at(220), &mut gossip, 1), [(COMPUTE, Verdict::Suspect)], "now both");
}

#[test]
fn a_forged_refusal_delays_no_word_about_a_network_on_which_a_living_node_is_silent() {
    let window = Duration::from_millis(500);
    let (mut gossip, _) = controller();
    assert_eq!(refused(at(100), &mut gossip, 0), [], "it makes this controller ask");
    assert_eq!(asked(&wait(&mut gossip, at(100))), NETWORKS);
    answer(at(101), &mut gossip, 0, 10);
    let silent =
        |gossip: &Gossip| gossip.confirm.as_ref().unwrap().watched(COMPUTE).unwrap().silent;
    // As late as it can come: all networks are asked once more.
    let late = at(100) + window - Duration::from_millis(1);
    let out = wait(&mut gossip, late);
    assert!(!asked(&out).contains(&0), "it has answered there");
    assert_eq!(refused(late, &mut gossip, 0), []);
    assert_eq!(asked(&wait(&mut gossip, late)), NETWORKS);
    assert!(silent(&gossip).is_empty());
    let out = wait(&mut gossip, late + window / 5);
    assert_eq!(silent(&gossip), [1].into_iter().collect(), "it was silent for a whole window");
    let told = |action: &Action| {
        matches!(action, Action::Send { to: 1 | 2, body, .. }
            if matches!(Part::decode(body), Some(Part::Claims { claims, .. })
                if claims.iter().any(|claim| claim.silent.has(1) && !claim.silent.has(0))))
    };
    assert!(out.iter().any(told), "{out:?}");
    // What was heard before the refusal has its whole window anew.
    wait(&mut gossip, late + window - Duration::from_millis(1));
    assert_eq!(silent(&gossip), [1].into_iter().collect());
    wait(&mut gossip, late + window);
    assert_eq!(silent(&gossip), NETWORKS.into_iter().collect());
}

#[test]
fn a_tether_that_is_closed_while_the_node_answers_and_one_that_was_never_had_are_nothing() {
    let (mut gossip, _) = controller();
    tether(at(100), &mut gossip, 0, false);
    let out = wait(&mut gossip, at(100));
    assert_eq!(asked(&out), NETWORKS);
    for (network, seq) in [(0, 20), (1, 21)] {
        answer(at(101), &mut gossip, network, seq);
    }
    wait(&mut gossip, at(2000));
    assert_eq!(gossip.opinion(COMPUTE).verdict, Verdict::Alive, "the way of one connection broke");
    let mut stranger = node(0);
    tether(at(100), &mut stranger, 0, false);
    refused(at(101), &mut stranger, 0);
    assert_eq!(stranger.opinion(COMPUTE).verdict, Verdict::Unknown);
}

#[test]
fn a_new_life_forgets_the_refusals_of_the_one_before_and_gets_tethers_of_its_own() {
    let (mut gossip, _) = controller();
    NETWORKS.iter().for_each(|network| tether(at(100), &mut gossip, *network, false));
    wait(&mut gossip, at(100));
    NETWORKS.iter().for_each(|network| drop(refused(at(101), &mut gossip, *network)));
    let mut body = vec![];
    Part::Answer(0, None).encode(&mut body);
    let kind = Kind::Gossip;
    let packet = Opened { sender: COMPUTE, network: 0, kind, incarnation: 2, seq: 1, body: &body };
    let mut out = vec![];
    gossip.step(at(140), Input::Opened { network: 0, packet }, &mut out);
    let tied = out.iter().filter(|action| matches!(action, Action::Tether { node: COMPUTE, .. }));
    assert_eq!(tied.count(), 2, "{out:?}");
    for network in NETWORKS {
        assert_eq!(refused(at(152), &mut gossip, network), [], "that was about the old one");
    }
    assert_eq!(gossip.opinion(COMPUTE).verdict, Verdict::Alive);
}

/// Refused twice, 50 ms apart, on both networks: it is in doubt here, at 152 ms.
fn doubting() -> Gossip {
    let (mut gossip, _) = controller();
    NETWORKS.iter().for_each(|network| tether(at(100), &mut gossip, *network, false));
    wait(&mut gossip, at(100));
    NETWORKS.iter().for_each(|network| drop(refused(at(101), &mut gossip, *network)));
    wait(&mut gossip, at(151));
    assert_eq!(refused(at(152), &mut gossip, 0), [(COMPUTE, Verdict::Suspect)]);
    gossip
}

/// Whether members are told that it is gone.
fn is_told(gossip: &Gossip) -> bool {
    let told = gossip.circles.iter().flatten().map(|circle| circle.fellow(COMPUTE).down);
    let told: Vec<bool> = told.collect();
    assert!(told == [true, true] || told == [false, false], "on all networks or on none: {told:?}");
    told[0]
}

/// What `from` found of that life of the compute node.
fn claims(now: Time, (from, seq): (u16, u64), (life, gone): (u64, bool), to: &mut Gossip) {
    claim(now, (from, seq), Claim { node: COMPUTE, life, gone, ..Claim::default() }, to);
}

fn claim(now: Time, (from, seq): (u16, u64), claim: Claim, to: &mut Gossip) {
    let mut body = vec![];
    Part::Claims { claims: vec![claim], heard: None }.encode(&mut body);
    let kind = Kind::Gossip;
    let packet = Opened { sender: from, network: 0, kind, incarnation: 1, seq, body: &body };
    to.step(now, Input::Opened { network: 0, packet }, &mut vec![]);
}

#[test]
fn what_a_majority_of_the_controllers_was_refused_is_told_to_all_members() {
    let mut gossip = doubting();
    let told = wait(&mut gossip, at(153));
    let claimed = told.iter().filter(|action| {
        matches!(action, Action::Send { to: 1 | 2, body, .. }
            if matches!(Part::decode(body), Some(Part::Claims { claims, .. })
                if claims.iter().any(|claim| claim.gone && claim.node == COMPUTE)))
    });
    assert_eq!(claimed.count(), 4, "both others on both networks: {told:?}");
    assert!(!is_told(&gossip), "one of three is no majority");
    claims(at(154), (1, 1), (1, true), &mut gossip);
    assert!(is_told(&gossip));
    let said = gossip.evidence(COMPUTE, at(155));
    let by_another = "controller 1 is refused by its kernel";
    assert!(said.iter().any(|sighting| sighting.what == by_another), "{said:?}");
}

#[test]
fn no_word_of_compute_nodes_of_another_life_or_out_of_date_makes_a_majority() {
    for (from, life, gone, when) in [(5, 1, true, 154), (1, 0, true, 154), (1, 1, false, 154)] {
        let mut gossip = doubting();
        claims(at(when), (from, 1), (life, gone), &mut gossip);
        assert!(!is_told(&gossip), "{from} {life} {gone}");
    }
    let (mut gossip, _) = controller();
    claims(at(91), (1, 1), (1, true), &mut gossip);
    assert!(!is_told(&gossip), "this controller was refused nothing");
    let mut gossip = doubting();
    claims(at(154), (1, 1), (2, true), &mut gossip);
    assert!(!is_told(&gossip), "it has started again");
    // It answers: what was refused before is over, and the others hear that.
    let mut gossip = doubting();
    answer(at(160), &mut gossip, 1, 9);
    claims(at(161), (1, 1), (1, true), &mut gossip);
    assert!(!is_told(&gossip));
    let told = wait(&mut gossip, at(162));
    let withdrawn = |action: &Action| {
        matches!(action, Action::Send { to: 2, body, .. }
            if matches!(Part::decode(body), Some(Part::Claims { claims, .. })
                if claims.iter().any(|claim| !claim.gone && claim.node == COMPUTE)))
    };
    assert!(told.iter().any(withdrawn), "{told:?}");
}

#[test]
fn a_controller_without_a_majority_tells_nobody_of_its_doubt() {
    let mut gossip = doubting();
    gossip.step(at(153), Input::Quorum(false), &mut vec![]);
    claims(at(154), (1, 1), (1, true), &mut gossip);
    assert!(!is_told(&gossip));
}

/// It answers on one network alone, two of three controllers say so: what its kernel refuses there is enough.
#[test]
fn a_node_that_is_cut_off_on_one_network_is_in_doubt_once_its_kernel_refuses_on_the_other() {
    let (mut gossip, _) = controller();
    let networks = [1].into_iter().collect();
    let cut = Claim { node: COMPUTE, life: 1, silent: networks, ..Claim::default() };
    claim(at(100), (1, 1), cut, &mut gossip);
    for (moment, seq) in (100..3000).step_by(20).zip(10..) {
        wait(&mut gossip, at(moment));
        answer(at(moment), &mut gossip, 0, seq);
    }
    assert_eq!(gossip.opinion(COMPUTE).verdict, Verdict::CutOff { networks });
    tether(at(3000), &mut gossip, 0, false);
    assert_eq!(asked(&wait(&mut gossip, at(3000))), NETWORKS);
    assert_eq!(refused(at(3001), &mut gossip, 0), []);
    wait(&mut gossip, at(3051));
    assert_eq!(refused(at(3052), &mut gossip, 0), [(COMPUTE, Verdict::Suspect)]);
    assert_eq!(gossip.opinion(COMPUTE).rule.name, "agent-gone");
    claim(at(3053), (1, 2), Claim { gone: true, ..cut }, &mut gossip);
    assert!(is_told(&gossip));
    let out = answer(at(3060), &mut gossip, 0, 1000);
    assert_eq!(verdicts(&out), [(COMPUTE, Verdict::CutOff { networks })], "as it was before");
}
