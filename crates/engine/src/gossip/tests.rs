use proptest::prelude::*;

use super::wire::{Claim, Id};
use super::*;
use crate::packet::{MAX_PACKET, PairSecret};

const CONTROLLERS: u16 = 3;
const NODES: u16 = 6;
const COMPUTE: u16 = 4;

fn at(millis: u64) -> Time {
    Time::from_nanos(1_000_000_000) + Duration::from_millis(millis)
}

fn node(me: u16) -> Gossip {
    let mut on = [false; MAX_NETWORKS];
    on[..2].fill(true);
    let roster = Roster {
        controllers: CONTROLLERS,
        networks: vec!["mgmt".to_owned(), "storage".to_owned()],
        on: vec![on; usize::from(NODES)],
        detect: Duration::from_secs(1),
    };
    let mut gossip = Gossip::new(roster, me, seal(me, 1), 7, at(0));
    if me < CONTROLLERS {
        gossip.step(at(0), Input::Quorum(true), &mut vec![]);
    }
    gossip
}

fn seal(me: u16, life: u64) -> Seal {
    let mut seal = Seal::new("cloud", me, life);
    for peer in (0..NODES).filter(|peer| *peer != me) {
        seal.accept(peer, 0, &PairSecret::shared(&[7; 32], "cloud", me, peer));
    }
    seal
}

/// What `from` says, sealed, reaches `to` on network 0.
fn say(now: Time, from: &mut Seal, part: &Part<'_>, (to, me): (&mut Gossip, u16)) -> Vec<Action> {
    let mut body = vec![];
    part.encode(&mut body);
    let mut packet = [0; MAX_PACKET];
    let length = from.seal(Kind::Gossip, (me, 0), &body, &mut packet);
    let mut out = vec![];
    to.step(now, Input::Packet { network: 0, bytes: &packet[..length] }, &mut out);
    out
}

fn verdicts(out: &[Action]) -> Vec<(u16, Verdict)> {
    let verdict = |action: &Action| match action {
        Action::Opinion { node, verdict, .. } => Some((*node, *verdict)),
        Action::Send { .. }
        | Action::Verdict { .. }
        | Action::Duty { .. }
        | Action::Tether { .. }
        | Action::Carried { .. } => None,
    };
    out.iter().filter_map(verdict).collect()
}

/// Time goes on until `until`; nobody answers.
fn wait(gossip: &mut Gossip, until: Time) -> Vec<Action> {
    let mut out = vec![];
    while gossip.deadline() <= until {
        gossip.step(gossip.deadline(), Input::Timeout, &mut out);
    }
    out
}

#[test]
fn a_compute_node_that_comes_and_goes_within_its_window_is_in_no_quarantine_and_after_it_is() {
    let mut gossip = node(0);
    let quarantined = |gossip: &Gossip, now: Time| gossip.more[&COMPUTE].quarantined_until > now;
    let comes_back = |gossip: &mut Gossip, from: u64| {
        (0..crate::member::FLAPS as u64).for_each(|n| gossip.returned(at(from + n), COMPUTE));
    };
    comes_back(&mut gossip, 100);
    assert!(quarantined(&gossip, at(200)), "it came and went too often");
    let planned = |planned| Input::Planned { node: COMPUTE, planned };
    gossip.step(at(200), planned(true), &mut vec![]);
    assert!(!quarantined(&gossip, at(200)), "what came before is forgiven");
    comes_back(&mut gossip, 300);
    assert!(!quarantined(&gossip, at(400)), "it is planned");
    gossip.step(at(400), planned(false), &mut vec![]);
    comes_back(&mut gossip, 500);
    assert!(quarantined(&gossip, at(600)), "its window is over");
}

fn claim(everywhere: bool) -> Part<'static> {
    let silent = if everywhere { [0, 1].into_iter().collect() } else { Default::default() };
    let claims = vec![Claim { node: COMPUTE, life: 1, silent, everywhere, ..Claim::default() }];
    Part::Claims { claims, heard: None }
}

#[test]
fn a_node_that_answers_nobody_is_unreachable_once_a_majority_of_the_controllers_says_so() {
    let mut gossip = node(0);
    let (mut compute, mut second) = (seal(COMPUTE, 1), seal(1, 1));
    let out = say(at(1), &mut compute, &Part::Answer(0, None), (&mut gossip, 0));
    assert_eq!(verdicts(&out), [(COMPUTE, Verdict::Alive)], "heard for the first time");
    let mut out = wait(&mut gossip, at(5000));
    out.retain(|action| matches!(action, Action::Opinion { .. }));
    assert!(!verdicts(&out).contains(&(COMPUTE, Verdict::Unreachable)), "one is no majority");
    let out = say(at(5001), &mut second, &claim(true), (&mut gossip, 0));
    assert_eq!(verdicts(&out), [(COMPUTE, Verdict::Unreachable)]);
    assert_eq!(gossip.opinion(COMPUTE).rule.name, "unanswered");
    let out = say(at(5002), &mut compute, &Part::Answer(0, None), (&mut gossip, 0));
    assert_eq!(verdicts(&out), [(COMPUTE, Verdict::Alive)], "one packet is enough");
}

#[test]
fn a_controller_without_majority_and_reference_points_doubts_no_compute_node_until_one_answers() {
    let mut gossip = node(0);
    let mut compute = seal(COMPUTE, 1);
    say(at(1), &mut compute, &Part::Answer(0, None), (&mut gossip, 0));
    let mut out = vec![];
    gossip.step(at(2), Input::Reference(false), &mut out);
    gossip.step(at(2), Input::Quorum(false), &mut out);
    out.extend(wait(&mut gossip, at(5000)));
    assert!(verdicts(&out).is_empty(), "{:?}", verdicts(&out));
    assert_eq!(gossip.opinion(COMPUTE).rule.name, "own-reference");
    assert_eq!(gossip.standing(COMPUTE), Standing::Alive);
    assert!(gossip.against_itself(at(5000)).has(crate::own::Reason::Reference));
    out.clear();
    gossip.step(at(5000), Input::Reference(true), &mut out);
    out.extend(wait(&mut gossip, at(8000)));
    assert_eq!(verdicts(&out), [(COMPUTE, Verdict::Suspect)]);
    assert_eq!(gossip.opinion(COMPUTE).rule.name, "own-quorum");
}

#[test]
fn a_controller_that_has_an_answer_outweighs_those_that_have_none() {
    let mut gossip = node(0);
    let (mut compute, mut second, mut third) = (seal(COMPUTE, 1), seal(1, 1), seal(2, 1));
    say(at(1), &mut compute, &Part::Answer(0, None), (&mut gossip, 0));
    wait(&mut gossip, at(5000));
    say(at(5001), &mut third, &claim(false), (&mut gossip, 0));
    let out = say(at(5002), &mut second, &claim(true), (&mut gossip, 0));
    assert!(!verdicts(&out).contains(&(COMPUTE, Verdict::Unreachable)));
}

/// Two of three controllers say that it does not answer on network 1; that this node was standing still since
/// then confirms nothing, whatever it hears first.
#[test]
fn the_time_that_a_controller_stood_still_confirms_no_cut() {
    let mut gossip = node(0);
    let (mut compute, mut second, mut third) = (seal(COMPUTE, 1), seal(1, 1), seal(2, 1));
    say(at(1), &mut compute, &Part::Answer(0, None), (&mut gossip, 0));
    let claim = |silent: &[u8]| {
        let silent = silent.iter().copied().collect();
        let claims = vec![Claim { node: COMPUTE, life: 1, silent, ..Claim::default() }];
        Part::Claims { claims, heard: None }
    };
    say(at(10), &mut second, &claim(&[1]), (&mut gossip, 0));
    say(at(12), &mut third, &claim(&[1]), (&mut gossip, 0));
    let agreed = gossip.confirm.as_ref().unwrap().agreed(at(12), COMPUTE);
    assert!(agreed.cut.has(1), "two of three say so");
    let mut said = say(at(900), &mut second, &claim(&[1]), (&mut gossip, 0));
    said.extend(say(at(901), &mut third, &claim(&[]), (&mut gossip, 0)));
    assert_eq!(verdicts(&said), []);
    // Seen running, the same is a cut after the usual time.
    let mut gossip = node(0);
    say(at(1), &mut compute, &Part::Answer(1, None), (&mut gossip, 0));
    say(at(10), &mut second, &claim(&[1]), (&mut gossip, 0));
    say(at(12), &mut third, &claim(&[1]), (&mut gossip, 0));
    let mut said = vec![];
    for moment in (20..300).step_by(10) {
        said.extend(say(at(moment), &mut compute, &Part::Answer(1, None), (&mut gossip, 0)));
    }
    let cut_off = Verdict::CutOff { networks: [1].into_iter().collect() };
    assert_eq!(verdicts(&said), [(COMPUTE, cut_off)]);
}

#[test]
fn only_controllers_ask_and_claim() {
    let mut gossip = node(COMPUTE);
    let (mut controller, mut other) = (seal(0, 1), seal(5, 1));
    let out = say(at(1), &mut controller, &Part::Probe(9), (&mut gossip, COMPUTE));
    let answer = Action::part((0, 0), &Part::Answer(9, Some(Said::default())));
    assert!(out.contains(&answer), "{out:?}");
    let out = say(at(2), &mut other, &Part::Probe(9), (&mut gossip, COMPUTE));
    assert!(!out.iter().any(|action| matches!(action, Action::Send { .. })), "{out:?}");
    let mut controller = node(0);
    let out = say(at(3), &mut seal(5, 2), &claim(true), (&mut controller, 0));
    assert_eq!(verdicts(&out), [(5, Verdict::Alive)], "it lives, and its claim counts nothing");
    assert_eq!((gossip.refused().stranger, controller.refused().stranger), (1, 1));
}

#[test]
fn what_a_compute_node_says_against_itself_is_doubt_and_its_duty_is_told() {
    use crate::evidence::Ailment;
    let mut compute = node(COMPUTE);
    let mut said = Said { duty: crate::duty::Duty::Standby, ..Said::default() };
    said.ailments.set(Ailment::Mount, true);
    let mut out = vec![];
    compute.step(at(1), Input::Say(said), &mut out);
    let sent = |to: u16| Action::part((to, 0), &Part::Said(said));
    assert!((0..CONTROLLERS).all(|to| out.contains(&sent(to))), "all controllers hear it at once");
    out.clear();
    let load =
        crate::member::Load { cpu_percent: 9, memory_percent: 9, fibre_online: 0, fibre_ports: 0 };
    compute.step(at(2), Input::Say(Said { load: Some(load), ..said }), &mut out);
    let is_sent = |action: &Action| matches!(action, Action::Send { .. });
    assert!(!out.iter().any(is_sent), "another load waits for the next answer: {out:?}");

    let mut controller = node(0);
    let mut keys = seal(COMPUTE, 1);
    let out = say(at(1), &mut keys, &Part::Said(said), (&mut controller, 0));
    assert!(out.contains(&Action::Duty { node: COMPUTE }), "{out:?}");
    assert_eq!(controller.duty(COMPUTE), said.duty);
    for moment in 1..100 {
        let now = at(moment * 100);
        controller.step(now, Input::Timeout, &mut vec![]);
        say(now, &mut keys, &Part::Answer(0, Some(said)), (&mut controller, 0));
    }
    let judged = controller.opinion(COMPUTE);
    assert_eq!((judged.verdict, judged.rule.name), (Verdict::Suspect, "ailing"));
}

#[test]
fn controllers_give_orders_and_compute_nodes_answer_never_the_other_way() {
    let carried = |me: u16, sender: u16, kind: Kind| {
        let mut gossip = node(me);
        let packet = Opened { sender, network: 0, kind, incarnation: 1, seq: 1, body: b"do" };
        let mut out = vec![];
        gossip.step(at(1), Input::Opened { network: 0, packet }, &mut out);
        let is_carried = out.iter().any(|action| matches!(action, Action::Carried { .. }));
        assert_eq!(gossip.refused().stranger, u64::from(!is_carried));
        is_carried
    };
    assert!(carried(COMPUTE, 0, Kind::Errand) && carried(0, COMPUTE, Kind::Answer));
    assert!(!carried(0, COMPUTE, Kind::Errand), "a stolen compute node orders nothing");
    assert!(!carried(5, COMPUTE, Kind::Errand) && !carried(COMPUTE, 0, Kind::Answer));
    assert!(!carried(0, COMPUTE, Kind::Beat));
}

#[test]
fn what_is_recorded_and_sent_again_is_refused() {
    let mut gossip = node(COMPUTE);
    let mut body = vec![];
    Part::Probe(9).encode(&mut body);
    let mut packet = [0; MAX_PACKET];
    let length = seal(0, 1).seal(Kind::Gossip, (COMPUTE, 0), &body, &mut packet);
    for _ in 0..2 {
        let bytes = &packet[..length];
        gossip.step(at(1), Input::Packet { network: 0, bytes }, &mut vec![]);
    }
    gossip.step(at(2), Input::Packet { network: 1, bytes: &packet[..length] }, &mut vec![]);
    assert_eq!((gossip.refused().replay, gossip.refused().network), (1, 1));
}

#[test]
fn what_many_nodes_are_told_has_a_bound() {
    let mut body = vec![];
    let full = Claim { life: LIFE, left: true, everywhere: true, gone: true, ..Claim::default() };
    let heard = Some(crate::reach::Nodes::first(32));
    Part::Claims { claims: vec![full; wire::MAX_CLAIMS], heard }.encode(&mut body);
    assert_eq!(body.len(), 1006);
    assert_eq!(print_again(&body), Some(body));
    let rumour = vec![1; wire::MAX_RUMOUR + 1];
    let too_long = [&[1, 1][..], &rumour].concat();
    assert_eq!(print_again(&too_long), None);
    assert!(print_again(&too_long[..too_long.len() - 1]).is_some());
}

#[test]
fn a_new_life_wins_over_the_one_before() {
    use foca::Identity;
    let (old, new) = (Id { node: 1, life: 5 }, Id { node: 1, life: 6 });
    assert!(new.win_addr_conflict(&old) && !old.win_addr_conflict(&new));
    assert_eq!(old.renew(), Some(new));
}

mod passed;
mod refused;

proptest! {
    #[test]
    fn any_body_is_read_without_panic_and_the_same_again(
        body in prop::collection::vec(any::<u8>(), 0..1156)
    ) {
        if let Some(again) = print_again(&body) {
            prop_assert!(again.len() <= body.len());
            prop_assert_eq!(print_again(&again), Some(again));
        }
        let mut gossip = node(0);
        let packet = Opened {
            sender: COMPUTE, network: 0, kind: Kind::Gossip, incarnation: 1, seq: 1, body: &body,
        };
        gossip.step(at(1), Input::Opened { network: 0, packet }, &mut vec![]);
    }
}
