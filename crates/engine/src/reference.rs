//! Whether the reference points of this node answer: addresses beside the cluster, mostly gateways, that are pinged.
//!
//! ```text
//!   Ask every point, two beats apart  --->  Answer  --->  answers
//!                    no answer of any point for the detection time less four beats  --->  gone
//! ```
//!
//! That they are gone is known before any peer can be missed: a question is out within two beats after
//! the last answer, and two beats are left. A point that has never answered says nothing, as a filter may
//! keep it silent for ever. By itself it accuses nobody and silences nobody: [`crate::member`] asks what else is lost.

use std::time::Duration;

use base::Time;

use crate::verdict::Times;

/// As many as there may be in the cluster file: two on each of eight networks.
pub const MOST: usize = config::cluster::MOST_REFERENCES;
/// A late answer to one of so many of the last questions still counts: as many as are asked until it is gone.
const OPEN: u64 = 8;

/// What was seen of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Input {
    /// The point at that position answered this question.
    Answer {
        point: usize,
        number: u64,
    },
    Timeout,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// Ping the point at that position.
    Ask { point: usize, number: u64 },
    /// Whether any of them answers, which is another word than the last one.
    Answers(bool),
}

/// What is known of one point.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Seen {
    /// It answered, and the newest questions are not unanswered for too long.
    pub answers: bool,
    /// Age of its last answer; none before the first.
    pub age: Option<Duration>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Point {
    /// When the first question was asked that it has not answered.
    asked_at: Option<Time>,
    answered_at: Option<Time>,
    /// The newest question that it answered.
    answered: u64,
}

/// All reference points.
#[derive(Clone, Debug)]
pub struct Reference {
    times: Times,
    points: Vec<Point>,
    /// Of the newest question.
    number: u64,
    ask_at: Time,
    answers: bool,
}

impl Reference {
    /// Of so many points; of more than [`MOST`] the first.
    #[must_use]
    pub fn new(points: usize, times: Times, now: Time) -> Self {
        let points = vec![Point::default(); points.min(MOST)];
        Self { times, points, number: 0, ask_at: now, answers: true }
    }

    /// The only way in.
    pub fn step(&mut self, now: Time, input: Input, out: &mut Vec<Action>) {
        if now > self.ask_at && now.since(self.ask_at) > self.times.confirm() {
            // Nobody read answers while this node stood still. Two beats are as if they had passed: what it knows
            // then it has to know before its patience with peers ends.
            let passed = u64::try_from(self.every().as_nanos()).unwrap_or(u64::MAX);
            let asked_at = Time::from_nanos(now.as_nanos().saturating_sub(passed));
            self.points.iter_mut().for_each(|point| point.asked_at = Some(asked_at));
        }
        let is_answered = match input {
            Input::Answer { point, number } => self.answered(now, point, number),
            Input::Timeout => false,
        };
        let answers = is_answered || self.answers && !self.are_gone(now);
        if answers != self.answers {
            self.answers = answers;
            out.push(Action::Answers(answers));
        }
        if now >= self.ask_at && !self.points.is_empty() {
            self.ask_at = now + self.every();
            self.number += 1;
            for (at, point) in self.points.iter_mut().enumerate() {
                point.asked_at.get_or_insert(now);
                out.push(Action::Ask { point: at, number: self.number });
            }
        }
    }

    /// True: it counts. Of the last questions, and none twice: whoever sends old answers again proves nothing.
    fn answered(&mut self, now: Time, point: usize, number: u64) -> bool {
        let newest = self.number;
        let Some(point) = self.points.get_mut(point) else { return false };
        let counts = number <= newest && number > point.answered && number + OPEN > newest;
        if counts {
            point.answered = number;
            point.answered_at = Some(now);
            point.asked_at = (number < newest).then_some(now);
        }
        counts
    }

    /// When the machine next wants [`Input::Timeout`].
    #[must_use]
    pub fn deadline(&self) -> Time {
        if self.points.is_empty() {
            return Time::NEVER;
        }
        let gone_at =
            |point: &Point| point.asked_at.map_or(Time::NEVER, |at| at + self.times.unanswered());
        let gone_at = self.known().map(gone_at).max().unwrap_or(Time::NEVER);
        if self.answers { self.ask_at.min(gone_at) } else { self.ask_at }
    }

    /// Whether any of them answers, or none ever did.
    #[must_use]
    pub const fn answers(&self) -> bool {
        self.answers
    }

    /// What is known of the point at that position.
    #[must_use]
    pub fn seen(&self, point: usize, now: Time) -> Seen {
        let Some(point) = self.points.get(point) else { return Seen { answers: false, age: None } };
        let answers = point.answered_at.is_some() && !self.is_gone(point, now);
        Seen { answers, age: point.answered_at.map(|at| now.since(at)) }
    }

    /// Of the points at these positions: whether one of them answers, or none of them does that did before; none: none
    /// ever did, so that nothing is known.
    pub fn answer_of(&self, points: impl Iterator<Item = usize>, now: Time) -> Option<bool> {
        let known = points.filter_map(|at| self.points.get(at));
        let known = known.filter(|point| point.answered_at.is_some());
        known.fold(None, |any, point| Some(any == Some(true) || !self.is_gone(point, now)))
    }

    fn every(&self) -> Duration {
        self.times.beat_every() * 2
    }

    fn is_gone(&self, point: &Point, now: Time) -> bool {
        point.asked_at.is_some_and(|asked| now >= asked + self.times.unanswered())
    }

    /// Those that have answered before.
    fn known(&self) -> impl Iterator<Item = &Point> {
        self.points.iter().filter(|point| point.answered_at.is_some())
    }

    /// There are some, and none answers.
    fn are_gone(&self, now: Time) -> bool {
        self.known().next().is_some() && self.known().all(|point| self.is_gone(point, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::ZERO + Duration::from_millis(millis)
    }

    /// Points that answer as long as they are told to, asked in virtual time.
    struct Bench {
        machine: Reference,
        now: Time,
        said: Vec<(Time, bool)>,
        asked: usize,
    }

    impl Bench {
        fn new(points: usize) -> Self {
            let machine = Reference::new(points, Times::default(), Time::ZERO);
            Self { machine, now: Time::ZERO, said: vec![], asked: 0 }
        }

        fn feed(&mut self, input: Input) -> Vec<(usize, u64)> {
            let mut out = vec![];
            self.machine.step(self.now, input, &mut out);
            let mut asks = vec![];
            for action in out {
                match action {
                    Action::Ask { point, number } => asks.push((point, number)),
                    Action::Answers(answers) => self.said.push((self.now, answers)),
                }
            }
            self.asked += asks.len();
            asks
        }

        /// Until then; those of `who` answer at once.
        fn run(&mut self, until: Time, who: &[usize]) {
            while self.machine.deadline() <= until {
                self.now = self.machine.deadline().max(self.now);
                for (point, number) in self.feed(Input::Timeout) {
                    if who.contains(&point) {
                        let again = self.feed(Input::Answer { point, number });
                        assert!(again.is_empty(), "an answer asks nothing");
                    }
                }
            }
            self.now = until;
        }
    }

    #[test]
    fn all_are_gone_before_a_peer_can_be_missed_and_one_answer_brings_them_back() {
        let mut bench = Bench::new(2);
        bench.run(at(10_000), &[0, 1]);
        assert_eq!(
            (bench.said.len(), bench.asked),
            (0, 102),
            "asked five times a second, and well"
        );
        bench.run(at(15_000), &[1]);
        assert!(bench.said.is_empty(), "one of them is enough");
        assert!(
            !bench.machine.seen(0, bench.now).answers && bench.machine.seen(1, bench.now).answers
        );
        bench.run(at(18_000), &[]);
        let (gone, answers) = bench.said[0];
        let took = gone.since(at(15_000));
        assert!(
            !answers && took >= Duration::from_millis(600) && took <= Duration::from_millis(800)
        );
        bench.run(at(20_000), &[0]);
        assert!(bench.said[1].1 && bench.said.len() == 2, "{:?}", bench.said);
        assert!(bench.said[1].0.since(at(18_000)) <= Duration::from_millis(200));
    }

    #[test]
    fn points_that_never_answered_say_nothing() {
        let mut bench = Bench::new(3);
        bench.run(at(60_000), &[]);
        assert!(bench.said.is_empty() && bench.machine.answers());
        let never = Seen { answers: false, age: None };
        assert_eq!(bench.machine.seen(0, bench.now), never);
        assert_eq!(Bench::new(0).machine.deadline(), Time::NEVER, "none is asked");
    }

    #[test]
    fn what_nobody_read_while_this_node_stood_still_counts_against_nobody() {
        let mut bench = Bench::new(1);
        bench.run(at(5000), &[0]);
        bench.run(at(5300), &[]);
        bench.now = at(65_000);
        let _ = bench.feed(Input::Timeout);
        assert!(bench.said.is_empty(), "{:?}", bench.said);
        bench.run(at(66_000), &[]);
        assert_eq!(bench.said.len(), 1, "it runs, and nothing came");
    }

    #[test]
    fn an_answer_that_comes_again_or_was_never_asked_for_is_none() {
        let mut bench = Bench::new(1);
        bench.run(at(1000), &[0]);
        for number in [0, 1, 5, u64::MAX] {
            let _ = bench.feed(Input::Answer { point: 0, number });
        }
        let _ = bench.feed(Input::Answer { point: 9, number: 6 });
        bench.run(at(3000), &[]);
        assert_eq!(bench.said.len(), 1, "it is gone all the same");
        // A late answer, to a question of a second ago, is one.
        let newest = bench.machine.number;
        let _ = bench.feed(Input::Answer { point: 0, number: newest - 5 });
        assert_eq!(bench.said.len(), 2);
    }

    #[test]
    fn at_every_setting_they_are_gone_two_beats_before_a_peer_can_be_missed() {
        for millis in [300, 1000, 3000, 10_000, 30_000] {
            let mut bench = Bench::new(1);
            let detect = Duration::from_millis(millis);
            bench.machine = Reference::new(1, Times::new(detect), Time::ZERO);
            bench.run(Time::ZERO + detect * 3, &[0]);
            let cut = bench.now;
            bench.run(cut + detect * 2, &[]);
            let took = bench.said[0].0.since(cut);
            assert!(
                took * 10 >= detect * 5
                    && took <= detect.saturating_sub(bench.machine.times.beat_every() * 2),
                "{millis}: {took:?}"
            );
        }
    }
}
