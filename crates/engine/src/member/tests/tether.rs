//! Connections between controllers: who gets them, and what their end makes this node do.

use super::*;

/// Node 0 and two others that it hears on both networks every 100 ms, as long as they speak.
struct Tied {
    member: Member,
    others: [Option<Member>; 2],
    now: u64,
    /// Connections that are ordered: time, node, network.
    ties: Vec<(u64, u16, u8)>,
    /// Questions for one node alone.
    asks: Vec<(u64, u16, u8)>,
    /// When all are told.
    beats: Vec<(u64, u8)>,
    /// Time, node, verdict, rule.
    said: Vec<(u64, u16, &'static str, &'static str)>,
}

impl Tied {
    /// At 2 s; both others have a tether on both networks.
    fn settled() -> Self {
        let mut tied = Self::new();
        tied.pass(1000);
        for (node, network) in [(1, 0), (1, 1), (2, 0), (2, 1)] {
            tied.give(Input::Tether { node, network, holds: true });
        }
        tied.pass(1000);
        tied.forget();
        tied
    }

    fn new() -> Self {
        Self {
            member: member(0, 100, at(0)),
            others: [1, 2].map(|node| Some(member(node, 100, at(0)))),
            now: 0,
            ties: vec![],
            asks: vec![],
            beats: vec![],
            said: vec![],
        }
    }

    fn forget(&mut self) {
        (self.ties, self.asks) = (vec![], vec![]);
        (self.beats, self.said) = (vec![], vec![]);
    }

    fn give(&mut self, input: Input<'_>) {
        let mut out = Buffer::new();
        self.member.step(at(self.now), input, &mut out);
        for action in out.drain() {
            match action {
                Action::Tether { node, network } => self.ties.push((self.now, node, network)),
                Action::Ask { node, network } => self.asks.push((self.now, node, network)),
                Action::Beat { network } => self.beats.push((self.now, network)),
                Action::Opinion { node, verdict, rule } => {
                    self.said.push((self.now, node, verdict.word(), rule.name));
                }
                Action::Verdict { .. }
                | Action::Choices
                | Action::Holds { .. }
                | Action::Duty { .. }
                | Action::Carried { .. }
                | Action::Question { .. }
                | Action::Answer { .. }
                | Action::Outdated { .. }
                | Action::Event { .. } => {}
            }
        }
    }

    fn hear(&mut self, node: u16) {
        let Some(other) = &mut self.others[usize::from(node) - 1] else { return };
        let packets = [0, 1].map(|network| (network, beat(other, network)));
        for (network, bytes) in packets {
            self.give(Input::Packet { network, bytes: &bytes });
        }
    }

    /// The others speak 37 ms after this node does.
    fn pass(&mut self, millis: u64) {
        for _ in 0..millis {
            self.now += 1;
            if self.now % 100 == 37 {
                self.hear(1);
                self.hear(2);
            }
            if self.member.deadline() <= at(self.now) {
                self.give(Input::Timeout);
            }
        }
    }

    fn closes(&mut self, node: u16, network: u8) {
        self.give(Input::Tether { node, network, holds: false });
    }

    fn evidence(&self, node: u16) -> Vec<String> {
        let seen = self.member.evidence(node, at(self.now)).into_iter();
        let tethers = seen.filter(|sighting| sighting.kind == crate::evidence::Kind::Tether);
        tethers.map(|sighting| sighting.what).collect()
    }
}

#[test]
fn a_controller_that_is_heard_gets_tethers_and_new_ones_with_a_new_life() {
    let mut tied = Tied::new();
    tied.pass(36);
    assert_eq!(tied.ties, [], "nobody is heard yet");
    tied.pass(100);
    // With the beats that tell of them.
    assert_eq!(tied.ties, [(37, 1, 0), (37, 1, 1), (47, 2, 0), (47, 2, 1)]);
    for (node, network, holds) in [(1, 0, true), (1, 1, true), (2, 0, true), (2, 1, false)] {
        tied.give(Input::Tether { node, network, holds });
    }
    assert_eq!(tied.evidence(1), ["not closed, on 2 networks: without power nobody closes one"]);
    tied.ties.clear();
    tied.pass(7000);
    assert_eq!(tied.ties, [(5047, 2, 1)], "who lets nobody in is asked seldom");
    tied.ties.clear();
    tied.others[0] = Some(member(1, 101, at(tied.now)));
    tied.pass(200);
    assert_eq!(tied.ties, [(7147, 1, 0), (7147, 1, 1)], "the others had one of its former process");
    assert_eq!(tied.asks, []);
}

#[test]
fn a_tether_that_is_closed_makes_this_node_ask_that_one_and_concludes_nothing() {
    let mut tied = Tied::settled();
    tied.pass(40);
    tied.closes(1, 1);
    assert_eq!(tied.evidence(1), ["closed without a goodbye"]);
    tied.pass(10_000);
    assert_eq!(tied.asks, [(2040, 1, 1), (2060, 1, 0), (2080, 1, 1), (2100, 1, 0)]);
    assert_eq!(tied.said, [], "anybody can cut one");
    assert_eq!(tied.ties.first(), Some(&(3047, 1, 1)), "it is had again soon ...");
    assert_eq!(tied.ties.get(1), Some(&(8047, 1, 1)), "... and seldom if that is not possible");
    let others = tied.beats.iter().filter(|(now, _)| *now < 3000).count();
    assert_eq!(others, 20, "nobody else is told more often");
}

#[test]
fn a_tether_that_is_closed_and_two_refusals_are_doubt_after_50_ms() {
    let mut tied = Tied::settled();
    tied.pass(40);
    tied.others[0] = None;
    tied.closes(1, 0);
    tied.closes(1, 1);
    assert_eq!(tied.asks, [(2040, 1, 0)], "of a kernel that grants few refusals one is asked");
    tied.pass(1);
    tied.give(Input::Refused { node: 1 });
    tied.pass(50);
    assert_eq!(tied.asks[1..], [(2091, 1, 1)]);
    assert_eq!(tied.said, []);
    tied.give(Input::Refused { node: 1 });
    assert_eq!(tied.said, [(2091, 1, "suspect", "agent-gone")]);
    tied.pass(100);
    assert_eq!(tied.asks.len(), 2, "it is known");
}

#[test]
fn what_was_on_its_way_when_a_tether_was_closed_does_not_end_the_asking() {
    let mut tied = Tied::settled();
    tied.pass(30);
    tied.closes(1, 0);
    tied.pass(3);
    tied.give(Input::Refused { node: 1 });
    tied.pass(4);
    tied.others[0] = None;
    assert_eq!(tied.now, 2037);
    tied.pass(60);
    assert_eq!(tied.asks, [(2030, 1, 0), (2083, 1, 1)]);
    tied.give(Input::Refused { node: 1 });
    tied.pass(50);
    tied.give(Input::Refused { node: 1 });
    assert_eq!(tied.said, [(2147, 1, "suspect", "agent-gone")]);
}

#[test]
fn who_said_goodbye_or_started_anew_is_not_asked() {
    let mut tied = Tied::settled();
    tied.others[0].as_mut().unwrap().said.leaving = true;
    // Its end may come before its last word, which goes another way.
    tied.closes(1, 1);
    assert_eq!(tied.evidence(1), ["closed without a goodbye"]);
    tied.forget();
    tied.hear(1);
    assert_eq!(tied.evidence(1), ["not closed, on 1 network: without power nobody closes one"]);
    tied.closes(1, 0);
    assert_eq!(tied.evidence(1), [""; 0]);
    tied.give(Input::Refused { node: 1 });
    tied.closes(2, 0);
    tied.others[1] = Some(member(2, 101, at(tied.now)));
    tied.hear(2);
    tied.pass(100);
    assert_eq!(tied.asks, [(2000, 2, 0)]);
    assert_eq!(tied.said, [(2000, 1, "leaving", "goodbye")]);
}

#[test]
fn who_refused_a_beat_is_asked_again_alone_and_nobody_else_sooner() {
    let mut tied = Tied::settled();
    tied.others[1] = None;
    tied.pass(1);
    tied.give(Input::Refused { node: 2 });
    tied.pass(2);
    // The second network says the same a moment later.
    tied.give(Input::Refused { node: 2 });
    tied.pass(48);
    tied.give(Input::Refused { node: 2 });
    assert_eq!(tied.asks, [(2051, 2, 0)]);
    assert_eq!(tied.said, [(2051, 2, "suspect", "agent-gone")]);
    assert_eq!(tied.beats, [(2047, 0), (2047, 1)], "as they are due");
}
