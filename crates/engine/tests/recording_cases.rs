//! Verdicts on nodes that are watched by gossip, recorded with their cases and judged again.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod golden;

use std::time::Duration;

use base::Time;
use outlast_engine::gossip::{Action, Gossip, Input, Roster};
use outlast_engine::packet::{MAX_NETWORKS, MAX_PACKET, Seal};
use outlast_engine::replay::{CaseFact, End, Head, Names, Recorder, Recording};

const NODES: u16 = 6;
const CONTROLLERS: u16 = 3;

fn names() -> Names {
    let nodes = (0..NODES).map(|node| format!("node{node:02}")).collect();
    Names { nodes, networks: vec!["management".to_owned()], instances: vec![] }
}

/// Three controllers and three compute nodes that gossip; what the first concludes is recorded.
struct Cloud {
    machines: Vec<Option<Gossip>>,
    now: u64,
    recorder: Recorder,
    bytes: Vec<u8>,
}

fn at(millis: u64) -> Time {
    Time::ZERO + Duration::from_millis(millis)
}

impl Cloud {
    fn new() -> Self {
        let machine = |me: u16| {
            let mut on = [false; MAX_NETWORKS];
            on[0] = true;
            let roster = Roster {
                controllers: CONTROLLERS,
                networks: names().networks,
                on: vec![on; usize::from(NODES)],
                detect: Duration::from_secs(1),
            };
            let seal = Seal::shared(&[7; 32], "cloud", NODES.into(), me, 100);
            Some(Gossip::new(roster, me, seal, u64::from(me), at(0)))
        };
        let head = Head::new("0.1.0", "node00", names(), 1_000_000, at(0));
        let (recorder, bytes) = Recorder::begin_cases(head);
        Self { machines: (0..NODES).map(machine).collect(), now: 0, recorder, bytes }
    }

    fn give(&mut self, node: u16, input: Input<'_>) {
        let mut todo = vec![];
        let Some(machine) = &mut self.machines[usize::from(node)] else { return };
        machine.step(at(self.now), input, &mut todo);
        for action in todo {
            match action {
                Action::Send { to, network, body } => {
                    let mut packet = [0; MAX_PACKET];
                    let machine = self.machines[usize::from(node)].as_mut().unwrap();
                    let length = machine.seal(to, network, &body, &mut packet);
                    let bytes = &packet[..length];
                    self.give(to, Input::Packet { network, bytes });
                }
                Action::Opinion { node: about, verdict, rule, case } if node == 0 => {
                    let fact = CaseFact { node: about, case: *case };
                    self.recorder.note_case(&fact, verdict, rule);
                }
                Action::Opinion { .. }
                | Action::Verdict { .. }
                | Action::Duty { .. }
                | Action::Tether { .. }
                | Action::Carried { .. } => {}
            }
        }
    }

    fn pass(&mut self, millis: u64) {
        for _ in 0..millis / 10 {
            self.now += 10;
            for node in 0..NODES {
                let machine = self.machines[usize::from(node)].as_ref();
                if machine.is_some_and(|machine| machine.deadline() <= at(self.now)) {
                    self.give(node, Input::Timeout);
                }
            }
        }
    }

    /// A node that crashes, one that is failing, one that leaves.
    fn told() -> Vec<u8> {
        let mut cloud = Self::new();
        (0..CONTROLLERS).for_each(|node| cloud.give(node, Input::Quorum(true)));
        cloud.pass(8000);
        cloud.machines[3] = None;
        cloud.pass(8000);
        cloud.give(0, Input::Failing { node: 4, failing: true });
        cloud.pass(4000);
        cloud.give(5, Input::Leave);
        cloud.machines[5] = None;
        cloud.pass(4000);
        cloud.bytes.extend(cloud.recorder.block());
        cloud.bytes
    }
}

#[test]
fn every_case_of_the_gossip_is_judged_again_as_it_was() {
    let file = Cloud::told();
    let recording = Recording::open(&file).unwrap();
    let mut play = recording.play().unwrap();
    let mut told = vec![];
    for step in &mut play {
        assert!(step.is_same(), "{step:?}");
        let words: Vec<_> = step.replayed.iter().map(|said| said.words(&names())).collect();
        told.push(format!("{} -> {}", step.fact.words(&names()), words.join("; ")));
    }
    assert_eq!(play.end(), End::Whole);
    let told = told.join("\n");
    for (case, verdict) in [
        (
            "a case about node03: a majority of the controllers asked it and had no answer",
            "node03 is unreachable; rule unanswered",
        ),
        (
            "a case about node04: it answers; all of its servers fail for ",
            "node04 is suspect; rule not-serving",
        ),
        ("a case about node05: it answers; it said goodbye", "node05 is leaving; rule goodbye"),
    ] {
        let is_it = |line: &str| line.starts_with(case) && line.contains(verdict);
        assert!(told.lines().any(is_it), "{case} ... {verdict} in\n{told}");
    }
}

#[test]
fn a_case_that_had_another_verdict_is_found() {
    let file = Cloud::told();
    let recording = Recording::open(&file).unwrap();
    let facts = recording.facts();
    let head = Head::new("0.1.0", "node00", names(), 1_000_000, at(0));
    let (mut recorder, mut bytes) = Recorder::begin_cases(head);
    let other = &outlast_engine::verdict::RULES[0];
    for (_, fact, _) in &facts {
        let outlast_engine::replay::Fact::Case(fact) = fact else { panic!("{fact:?}") };
        recorder.note_case(fact, outlast_engine::verdict::Verdict::Unknown, other);
    }
    bytes.extend(recorder.block());
    let recording = Recording::open(&bytes).unwrap();
    assert!(recording.play().unwrap().all(|step| !step.is_same()));
}

/// What `outlast replay` is tested with, and what keeps the form of the files.
#[test]
fn the_form_of_cases_on_disk_is_that_of_the_golden_file() {
    let file = Cloud::told();
    golden::keeps("gossip-1.rec", &file);
}
