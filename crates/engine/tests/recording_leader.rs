//! What a coordinator went through, recorded and played again.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod golden;

use std::time::Duration;

use base::Time;
use outlast_engine::Buffer;
use outlast_engine::intent::{self, Action, Input, LEADER, Leader, Step, Wish};
use outlast_engine::kv::{Command, Entry, Kv, Outcome, Transaction, acquire, acquired};
use outlast_engine::replay::{End, Head, LeaderFact, Machine, Names, Recorder, Recording};

fn at(millis: u64) -> Time {
    Time::ZERO + Duration::from_millis(millis)
}

/// One coordinator with the store that it writes; all its recordings.
struct Cloud {
    store: Kv,
    leader: Option<Leader>,
    now: u64,
    asker: u64,
    recorders: Vec<(Recorder, Vec<u8>)>,
    steps: usize,
}

impl Cloud {
    fn new() -> Self {
        let store = Kv::default();
        Self { store, leader: None, now: 0, asker: 0, recorders: vec![], steps: 0 }
    }

    fn record(&mut self) {
        let nodes = (1..=3).map(|node| format!("node0{node}")).collect();
        let names = Names { nodes, networks: vec!["management".to_owned()], instances: vec![] };
        let head = Head::new("0.1.0", "node01", names, 1_000_000, at(self.now));
        self.recorders.push(Recorder::begin_leader(head, self.leader.as_ref()));
    }

    fn note(&mut self, fact: &LeaderFact, out: &Buffer<Action>) {
        self.steps += 1;
        let now = at(self.now);
        for (recorder, bytes) in &mut self.recorders {
            recorder.note_leader(now, fact, out);
            if recorder.waiting() > 2000 {
                bytes.extend(recorder.block());
            }
        }
    }

    fn transact(&mut self, transaction: Transaction) -> Outcome {
        let command = Command::Transact(transaction);
        self.store.apply(&Entry { clock: self.now, command }).unwrap()
    }

    /// The store gives it the name, and it reads what is open.
    fn begin(&mut self, holder: &str) {
        let granted = self.transact(acquire(LEADER, holder, 8000));
        let token = acquired(&granted).unwrap();
        let (last, open) = intent::opened(&self.transact(intent::read()));
        let intents = intent::found(&self.transact(intent::read_each(&open)));
        let alone_from = at(self.now + 6000);
        let leader = Leader::new(at(self.now), (7, token), last, intents.clone());
        self.leader = Some(leader.beside(alone_from));
        let fact = LeaderFact::Begins { incarnation: 7, token, last, alone_from, intents };
        self.note(&fact, &Buffer::new());
        self.give(Input::Timeout);
    }

    /// The name goes with the time limit of the store.
    fn end(&mut self) {
        self.leader = None;
        self.note(&LeaderFact::Ends, &Buffer::new());
        self.now += 9000;
        let command = Command::Expire;
        self.store.apply(&Entry { clock: self.now, command }).unwrap();
    }

    fn give(&mut self, input: Input) {
        let Some(leader) = &mut self.leader else { return };
        let mut out = Buffer::new();
        leader.step(at(self.now), input.clone(), &mut out);
        self.note(&LeaderFact::Told(input), &out);
        for action in out.drain() {
            if let Action::Commit { commit, transaction } = action {
                let outcome = self.transact(transaction);
                self.now += 1;
                self.give(Input::Applied { commit, outcome });
            }
        }
    }

    fn ask(&mut self, what: &str, object: &str, steps: &[(&str, &str)]) {
        self.asker += 1;
        let step = |(node, verb): &(&str, &str)| Step {
            node: (*node).to_owned(),
            verb: (*verb).to_owned(),
            object: object.to_owned(),
        };
        let wish = Wish {
            what: what.to_owned(),
            object: object.to_owned(),
            by: "uid 0 (pid 812) on node02".to_owned(),
            at_ms: 1_790_000_000_000,
            steps: steps.iter().map(step).collect(),
            objection: None,
            calls_off: what == "resume",
        };
        self.give(Input::Asked { asker: self.asker, wish });
    }

    fn pass(&mut self, millis: u64) {
        self.now += millis;
        while self.leader.as_ref().is_some_and(|leader| leader.deadline() <= at(self.now)) {
            self.give(Input::Timeout);
        }
    }

    /// A story with every kind of input; a second recording begins in the middle.
    fn told() -> Self {
        let mut cloud = Self::new();
        cloud.record();
        cloud.begin("node01");
        let drain = [("node02", "drain"), ("node02", "standby")];
        cloud.ask("drain", "node/node02", &drain);
        cloud.ask("drain", "node/node02", &drain);
        cloud.ask("nothing", "node/node01", &[]);
        cloud.pass(600);
        cloud.give(Input::Hindered { number: 1, step: 0, why: "12 requests".to_owned() });
        cloud.record();
        cloud.give(Input::Answered { number: 1, step: 0, outcome: Ok(()) });
        cloud.ask("move", "vip/internal", &[("node01", "hand-over")]);
        let why = "the address is not held here".to_owned();
        cloud.give(Input::Answered { number: 4, step: 0, outcome: Err(why) });
        cloud.ask("resume", "node/node02", &[("node02", "resume")]);
        cloud.end();
        cloud.begin("node02");
        for _ in 0..5 {
            let why = "node02 is unreachable".to_owned();
            cloud.give(Input::Gone { number: 5, step: 0, why });
            cloud.pass(1000);
        }
        cloud.give(Input::Stale);
        cloud.end();
        cloud
    }

    fn files(&mut self) -> Vec<Vec<u8>> {
        let whole = |(recorder, bytes): &mut (Recorder, Vec<u8>)| {
            bytes.extend(recorder.block());
            bytes.clone()
        };
        self.recorders.iter_mut().map(whole).collect()
    }
}

#[test]
fn whatever_a_coordinator_went_through_it_decides_the_same_again_from_any_moment_on() {
    let mut cloud = Cloud::told();
    let files = cloud.files();
    for (number, file) in files.iter().enumerate() {
        let recording = Recording::open(file).unwrap();
        assert!(!recording.head.has_a_pace());
        let mut play = recording.play().unwrap();
        let mut steps = 0;
        for step in &mut play {
            assert!(step.is_same(), "{step:?}");
            steps += 1;
        }
        assert_eq!(play.end(), End::Whole);
        let is_first = number == 0;
        assert!(steps == cloud.steps || (!is_first && steps > 10), "{steps} of {}", cloud.steps);
        assert_eq!(play.machine().kept(), Machine::Leader(Box::new(None)).kept());
    }
}

/// In the middle of an office the state is kept whole: each input, given to the revived one, has the same effect.
#[test]
fn a_coordinator_that_is_kept_at_any_step_is_the_same_one() {
    let mut cloud = Cloud::told();
    let file = cloud.files().remove(0);
    let recording = Recording::open(&file).unwrap();
    let mut play = recording.play().unwrap();
    while let Some(_step) = play.next() {
        let again = play.machine().again().unwrap();
        assert_eq!(again.kept(), play.machine().kept());
    }
}

#[test]
fn what_is_told_of_a_coordinator_has_orders_commits_and_reasons() {
    let file = Cloud::told().files().remove(0);
    let recording = Recording::open(&file).unwrap();
    let names = &recording.head.names;
    let mut told = String::new();
    for step in recording.play().unwrap() {
        told += &format!("{:.3} {}\n", step.since.as_secs_f64(), step.fact.words(names));
        for decision in &step.replayed {
            told += &format!("  {}\n", decision.words(names));
        }
    }
    expect_test::expect![[r#"
        0.000 this node coordinates by token 1; the last intent is 0, 0 are open
        0.000 time went on
        0.000 question 1: drain node/node02 for uid 0 (pid 812) on node02
          commit 1: put intent/00000000000000000001, put intent-last, put intent-open/node/node02, digest baca4eb5
        0.001 commit 1 was applied, revision 2
          answer question 1: it is intent 1
          order node02: drain node/node02 (step 0 of intent 1, token 1)
        0.001 question 2: drain node/node02 for uid 0 (pid 812) on node02
          commit 2: put intent/00000000000000000002, put intent-last, put intent-open/node/node02, digest a6b45c39
        0.002 commit 2 was not applied: something else is there, revision 2
          commit 3: put intent/00000000000000000002, put intent-last, digest e3a0ad43
        0.003 commit 3 was applied, revision 3
          answer question 2: refused, intent 1 about node/node02 is under way
        0.003 question 3: nothing node/node01 for uid 0 (pid 812) on node02
          commit 4: put intent/00000000000000000003, put intent-last, digest f6370e39
        0.004 commit 4 was applied, revision 4
          answer question 3: refused, an intent has 1 to 32 steps, this has 0
        0.604 time went on
          order node02: drain node/node02 (step 0 of intent 1, token 1)
        0.604 step 0 of intent 1 is not done yet: 12 requests
          commit 5: put intent/00000000000000000001, digest f6d59e14
        0.605 commit 5 was applied, revision 5
        0.605 step 0 of intent 1 is done
          commit 6: put intent/00000000000000000001, digest 5a39454b
        0.606 commit 6 was applied, revision 6
          order node02: standby node/node02 (step 1 of intent 1, token 1)
        0.606 question 4: move vip/internal for uid 0 (pid 812) on node02
          commit 7: put intent/00000000000000000004, put intent-last, put intent-open/vip/internal, digest 59d96fc5
        0.607 commit 7 was applied, revision 7
          answer question 4: it is intent 4
          order node01: hand-over vip/internal (step 0 of intent 4, token 1)
        0.607 step 0 of intent 4 failed: the address is not held here
          commit 8: put intent/00000000000000000004, delete intent-open/vip/internal, digest 802eecc8
        0.608 commit 8 was applied, revision 8
        0.608 question 5: resume node/node02 for uid 0 (pid 812) on node02
          commit 9: put intent/00000000000000000001, delete intent-open/node/node02, digest 26d2859f
        0.609 commit 9 was applied, revision 9
          commit 10: put intent/00000000000000000005, put intent-last, put intent-open/node/node02, digest 78cda63f
        0.610 commit 10 was applied, revision 10
          answer question 5: it is intent 5
          order node02: resume node/node02 (step 0 of intent 5, token 1)
        0.610 this node coordinates no longer
        9.610 this node coordinates by token 12; the last intent is 5, 1 are open
        9.610 time went on
          order node02: resume node/node02 (step 0 of intent 5, token 12)
        9.610 the node of step 0 of intent 5 is gone: node02 is unreachable
        10.610 time went on
          order node02: resume node/node02 (step 0 of intent 5, token 12)
        10.610 the node of step 0 of intent 5 is gone: node02 is unreachable
        11.610 time went on
          order node02: resume node/node02 (step 0 of intent 5, token 12)
        11.610 the node of step 0 of intent 5 is gone: node02 is unreachable
        12.610 time went on
          order node02: resume node/node02 (step 0 of intent 5, token 12)
        12.610 the node of step 0 of intent 5 is gone: node02 is unreachable
        13.610 time went on
          order node02: resume node/node02 (step 0 of intent 5, token 12)
        13.610 the node of step 0 of intent 5 is gone: node02 is unreachable
        14.610 time went on
          order node02: resume node/node02 (step 0 of intent 5, token 12)
        14.610 a receiver knows a later coordinator
          act no more: the store knows a later coordinator
        14.610 this node coordinates no longer
    "#]].assert_eq(&told);
}

/// A recording that is played against other decisions says so: the digest stands for all of a commit.
#[test]
fn a_commit_that_differs_in_its_values_only_is_another_decision() {
    let mut told = vec![];
    for by in ["uid 0 on node01", "uid 7 on node01"] {
        let mut cloud = Cloud::new();
        cloud.record();
        cloud.begin("node01");
        let steps = vec![Step {
            node: "node01".to_owned(),
            verb: "standby".to_owned(),
            object: "node/node01".to_owned(),
        }];
        let (what, object, by) = ("standby".to_owned(), "node/node01".to_owned(), by.to_owned());
        let wish = Wish { what, object, by, steps, ..Wish::default() };
        cloud.give(Input::Asked { asker: 1, wish });
        let file = cloud.files().remove(0);
        let facts = Recording::open(&file).unwrap().facts();
        told.extend(facts.into_iter().map(|(_, _, said)| said).filter(|said| !said.is_empty()));
    }
    let (one, other) = told.split_at(told.len() / 2);
    assert_eq!(one.len(), other.len());
    assert!(one != other, "{one:?}");
}

/// What `outlast replay` is tested with, and what keeps the form of the files.
#[test]
fn the_form_of_a_coordinator_on_disk_is_that_of_the_golden_file() {
    let file = Cloud::told().files().remove(0);
    golden::keeps("coordinator-1.rec", &file);
}
