use proptest::prelude::*;

use super::*;

fn at(millis: u64) -> Time {
    Time::ZERO + Duration::from_millis(millis)
}

/// Node 0 listens to node 1, whose log is `log`; the way between them loses what the test says.
struct Story {
    listener: Timeline,
    teller: Timeline,
    log: Vec<u64>,
    incarnation: u64,
    now: u64,
    /// Asked before each datagram: is it lost?
    lost: Box<dyn FnMut() -> bool>,
    kept: Vec<u64>,
    skipped: u64,
    questions: usize,
}

impl Story {
    fn new(log: impl IntoIterator<Item = u64>) -> Self {
        Self {
            listener: Timeline::new(2),
            teller: Timeline::new(2),
            log: log.into_iter().collect(),
            incarnation: 1,
            now: 0,
            lost: Box::new(|| false),
            kept: vec![],
            skipped: 0,
            questions: 0,
        }
    }

    fn listen(&mut self, input: Input) {
        let mut out = Buffer::new();
        self.listener.step(at(self.now), input, &mut out);
        assert!(self.listener.deadline() > at(self.now), "busy loop after {input:?}");
        for action in out.drain() {
            match action {
                Action::Ask { node, network, after } => {
                    assert_eq!((node, network), (1, 0));
                    self.questions += 1;
                    if !(self.lost)() {
                        self.ask(after);
                    }
                }
                Action::Keep { node, number, skipped } => {
                    assert_eq!(node, 1);
                    self.kept.push(number);
                    self.skipped += skipped;
                }
                Action::Answer { .. } => panic!("nobody asks the listener"),
            }
        }
    }

    fn ask(&mut self, after: u64) {
        let mut out = Buffer::new();
        self.teller.step(at(self.now), Input::Asked { node: 0, network: 0, after }, &mut out);
        for action in out.drain() {
            let Action::Answer { node: 0, after, .. } = action else { panic!("{action:?}") };
            let mut previous = after;
            let burst: Vec<_> = self.log.iter().copied().filter(|n| *n > after).collect();
            for number in burst.into_iter().take(BURST) {
                if !(self.lost)() {
                    self.listen(Input::Told { node: 1, previous, number });
                }
                previous = number;
            }
        }
    }

    /// Beats of the teller while the time passes.
    fn pass(&mut self, millis: u64) {
        let end = self.now + millis;
        while self.now < end {
            self.now += 50;
            if self.now.is_multiple_of(250) && !(self.lost)() {
                self.beat();
            }
            if self.listener.deadline() <= at(self.now) {
                self.listen(Input::Timeout);
            }
        }
    }

    fn beat(&mut self) {
        let (newest, incarnation) = (self.log.last().copied().unwrap_or(0), self.incarnation);
        self.listen(Input::Heard { node: 1, network: 0, incarnation, newest });
    }
}

#[test]
fn what_a_peer_has_to_tell_is_fetched_once_and_in_order() {
    let mut story = Story::new(1..=40);
    story.pass(1500);
    assert_eq!(story.kept, (1..=40).collect::<Vec<_>>());
    assert_eq!((story.skipped, story.questions), (0, 3));
    story.log.push(41);
    story.pass(500);
    assert_eq!((story.kept.last(), story.questions), (Some(&41), 4));
}

#[test]
fn of_a_long_log_the_older_part_is_skipped_and_that_is_said() {
    let mut story = Story::new(1..=1000);
    story.pass(6000);
    assert_eq!(story.kept, (745..=1000).collect::<Vec<_>>());
    assert_eq!(story.skipped, 744);
}

#[test]
fn a_log_with_holes_is_followed_over_them() {
    let mut story = Story::new((1..=20).chain(500..=510));
    story.pass(3000);
    assert_eq!(story.kept, (500..=510).collect::<Vec<_>>());
    story.log.extend([520, 530]);
    story.pass(1000);
    assert_eq!(story.kept[11..], [520, 530]);
    assert_eq!(story.skipped, 499 + 9 + 9);
}

#[test]
fn a_restart_goes_on_and_a_lost_log_begins_anew() {
    let mut story = Story::new(1..=10);
    story.pass(1000);
    story.incarnation = 2;
    story.log.push(11);
    story.pass(1000);
    assert_eq!(story.kept, (1..=11).collect::<Vec<_>>());
    (story.incarnation, story.log) = (3, vec![1, 2]);
    story.pass(1000);
    assert_eq!(story.kept[11..], [1, 2]);
    assert_eq!(story.skipped, 0);
}

#[test]
fn a_restart_whose_first_beats_do_not_say_what_is_newest_tells_nothing_again() {
    let mut story = Story::new(1..=40);
    story.pass(2000);
    let questions = story.questions;
    story.incarnation = 2;
    let heard = Input::Heard { node: 1, network: 0, incarnation: 2, newest: 0 };
    story.listen(heard);
    story.pass(2000);
    assert_eq!((story.kept.len(), story.questions), (40, questions));
    // It is decided by the first beat that says something, so a lost log is still seen.
    (story.incarnation, story.log) = (3, vec![1, 2]);
    story.listen(Input::Heard { node: 1, network: 0, incarnation: 3, newest: 0 });
    story.pass(1000);
    assert_eq!(story.kept[40..], [1, 2]);
}

#[test]
fn a_beat_that_is_late_on_another_network_changes_nothing() {
    let mut story = Story::new(1..=10);
    story.pass(500);
    story.listen(Input::Heard { node: 1, network: 0, incarnation: 1, newest: 3 });
    story.listen(Input::Heard { node: 1, network: 0, incarnation: 0, newest: 900 });
    story.pass(1000);
    assert_eq!(story.kept, (1..=10).collect::<Vec<_>>());
}

#[test]
fn a_silent_peer_is_not_asked_for_ever() {
    let mut story = Story::new(1..=10);
    story.lost = Box::new(|| true);
    story.beat();
    for _ in 0..100 {
        story.now += 100;
        story.listen(Input::Timeout);
    }
    assert_eq!(story.questions, 4);
    assert_eq!(story.listener.deadline(), Time::NEVER);
}

#[test]
fn a_flood_of_questions_gets_four_answers_a_second() {
    let mut timeline = Timeline::new(2);
    let mut answers = 0;
    for millis in 0..3000 {
        let mut out = Buffer::new();
        timeline.step(at(millis), Input::Asked { node: 1, network: 0, after: 0 }, &mut out);
        answers += out.len();
    }
    assert_eq!(answers, 12);
}

#[test]
fn what_nobody_asked_for_is_not_kept() {
    let mut story = Story::new(1..=3);
    story.lost = Box::new(|| true);
    story.listen(Input::Told { node: 1, previous: 0, number: 1 });
    story.beat();
    story.listen(Input::Told { node: 1, previous: 0, number: u64::MAX });
    story.listen(Input::Told { node: 1, previous: 1, number: 2 });
    story.listen(Input::Told { node: 9, previous: 0, number: 1 });
    assert_eq!(story.kept, []);
    story.listen(Input::Told { node: 1, previous: 0, number: 1 });
    assert_eq!(story.kept, [1]);
}

#[test]
fn many_peers_are_asked_in_portions() {
    let mut timeline = Timeline::new(MAX_NODES);
    let mut asked = 0;
    for node in 0..64 {
        let heard = Input::Heard { node, network: 0, incarnation: 1, newest: 5 };
        let mut out = Buffer::new();
        timeline.step(at(0), heard, &mut out);
        asked += out.len();
        assert_eq!(out.lost(), 0);
    }
    assert_eq!(asked, 64);
    let mut out = Buffer::new();
    timeline.step(at(250), Input::Timeout, &mut out);
    assert_eq!(out.len(), MAX_QUESTIONS);
    assert!(timeline.deadline() <= at(250), "the others are due at once");
}

proptest! {
    /// Whatever is lost: nothing comes twice or out of order, and it all comes in the end.
    #[test]
    fn lost_datagrams_are_asked_again(lost in prop::collection::vec(prop::bool::weighted(0.4), 1..400)) {
        let mut story = Story::new(1..=60);
        let mut fate = lost.into_iter();
        story.lost = Box::new(move || fate.next().unwrap_or(false));
        story.pass(200_000);
        prop_assert_eq!(story.kept, (1..=60).collect::<Vec<_>>());
    }
}
