//! What the answers to all questions say: how long nobody answered, whether two did, how often another one did.

use std::time::Duration;

use base::Time;

use super::sampler::EVERY;
use crate::watch::Mac;

/// A node that answers later may have got the question after the address had moved to it.
const AT_ONCE: Duration = Duration::from_millis(2);
/// Questions that say who holds the address at the end.
const LAST: usize = 50;

/// How a node was asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Way {
    Arp,
    Syn,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Answer {
    pub(crate) way: Way,
    pub(crate) mac: Mac,
    /// Since the question.
    pub(crate) after: Duration,
}

/// One question, and who answered it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) at: Time,
    pub(crate) answers: Vec<Answer>,
}

impl Asked {
    pub(crate) fn hear(&mut self, way: Way, mac: Mac, after: Duration) {
        if !self.answers.iter().any(|answer| answer.way == way && answer.mac == mac) {
            self.answers.push(Answer { way, mac, after });
        }
    }

    #[must_use]
    pub(crate) fn first(&self) -> Option<Mac> {
        self.answers.first().map(|answer| answer.mac)
    }

    /// Whether this node answered, in both ways, and nobody else.
    #[must_use]
    pub(crate) fn only(&self, mac: Mac) -> bool {
        self.answers.len() == 2 && self.answers.iter().all(|answer| answer.mac == mac)
    }

    fn is_answered(&self, way: Way) -> bool {
        self.answers.iter().any(|answer| answer.way == way)
    }

    /// Two nodes that answered it at once.
    fn is_double(&self) -> bool {
        let mut at_once = self.answers.iter().filter(|answer| answer.after <= AT_ONCE);
        let first = at_once.next().map(|answer| answer.mac);
        at_once.any(|answer| Some(answer.mac) != first)
    }

    /// The node that answered, if it was one.
    fn alone(&self) -> Option<Mac> {
        let mac = self.first()?;
        self.answers.iter().all(|answer| answer.mac == mac).then_some(mac)
    }
}

/// Longest time between two of these moments, less the schedule; the time before the first and after the last counts.
#[must_use]
pub(crate) fn longest_gap(
    moments: impl Iterator<Item = Time>,
    (from, end): (Time, Time),
    every: Duration,
) -> Duration {
    let mut last = from;
    let mut longest = Duration::ZERO;
    for at in moments.filter(|at| *at >= from && *at <= end).chain([end]) {
        longest = longest.max(at.since(last));
        last = at;
    }
    longest.saturating_sub(every)
}

/// How long nobody answered in that way.
#[must_use]
pub(crate) fn silence(asked: &[Asked], way: Way, span: (Time, Time)) -> Duration {
    let answered = asked.iter().filter(|asked| asked.is_answered(way));
    longest_gap(answered.map(|asked| asked.at), span, EVERY)
}

/// Questions that two nodes answered at once.
#[must_use]
pub(crate) fn doubles(asked: &[Asked]) -> u32 {
    count(asked.iter().filter(|asked| asked.is_double()))
}

/// Most nodes that answered one question, however late.
#[must_use]
pub(crate) fn most_holders(asked: &[Asked]) -> u32 {
    let holders = |asked: &Asked| {
        let mut macs: Vec<Mac> = asked.answers.iter().map(|answer| answer.mac).collect();
        macs.sort_unstable();
        macs.dedup();
        count(macs.iter())
    };
    asked.iter().map(holders).max().unwrap_or(0)
}

/// How often another node answered than the one before.
#[must_use]
pub(crate) fn moves(asked: &[Asked]) -> u32 {
    let holders: Vec<Mac> = asked.iter().filter_map(Asked::alone).collect();
    count(holders.windows(2).filter(|pair| pair[0] != pair[1]))
}

/// The node that alone answered what was asked last.
#[must_use]
pub(crate) fn holder_at_the_end(asked: &[Asked]) -> Option<Mac> {
    let mut last = asked.iter().rev().take(LAST).filter(|asked| !asked.answers.is_empty());
    let holder = last.next()?.alone()?;
    last.all(|asked| asked.alone() == Some(holder)).then_some(holder)
}

fn count<T>(items: impl Iterator<Item = T>) -> u32 {
    u32::try_from(items.count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Mac = [2, 0, 0, 0, 0, 1];
    const B: Mac = [2, 0, 0, 0, 0, 2];

    fn at(ms: u64) -> Time {
        Time::ZERO + Duration::from_millis(ms)
    }

    /// Answered by ARP and by TCP, after so many microseconds.
    fn asked(ms: u64, answers: &[(Mac, u64)]) -> Asked {
        let mut asked = Asked { at: at(ms), answers: vec![] };
        for (mac, after) in answers {
            asked.hear(Way::Arp, *mac, Duration::from_micros(*after));
            asked.hear(Way::Syn, *mac, Duration::from_micros(*after));
        }
        asked
    }

    #[test]
    fn silence_is_from_the_last_answer_to_the_next_one_less_the_schedule() {
        let all: Vec<Asked> = (0..50)
            .map(|ms| asked(ms, if (10..22).contains(&ms) { &[] } else { &[(A, 90)] }))
            .collect();
        let span = (at(0), at(49));
        assert_eq!(silence(&all, Way::Arp, span), Duration::from_millis(12));
        assert_eq!(silence(&all, Way::Syn, span), Duration::from_millis(12));
    }

    #[test]
    fn silence_that_does_not_end_counts_to_the_end() {
        let all: Vec<Asked> =
            (0..50).map(|ms| asked(ms, if ms < 10 { &[(A, 90)] } else { &[] })).collect();
        assert_eq!(silence(&all, Way::Arp, (at(0), at(50))), Duration::from_millis(40));
        assert_eq!(silence(&[], Way::Arp, (at(0), at(50))), Duration::from_millis(49));
    }

    #[test]
    fn two_answers_to_one_question_are_two_holders_unless_one_is_late() {
        let all =
            [asked(0, &[(A, 90)]), asked(1, &[(A, 90), (B, 120)]), asked(2, &[(A, 80), (B, 3000)])];
        assert_eq!((doubles(&all), most_holders(&all)), (1, 2));
        let mut ways = Asked { at: at(3), answers: vec![] };
        ways.hear(Way::Arp, A, Duration::ZERO);
        ways.hear(Way::Syn, B, Duration::ZERO);
        assert_eq!(doubles(&[ways]), 1);
    }

    #[test]
    fn silence_between_two_answers_of_one_node_is_no_move() {
        let all = [&[(A, 9)][..], &[], &[(A, 9)], &[(B, 9)], &[(B, 9)]];
        let all: Vec<Asked> = (0..).zip(all).map(|(ms, answers)| asked(ms, answers)).collect();
        assert_eq!((moves(&all), holder_at_the_end(&all)), (1, None));
        assert_eq!(holder_at_the_end(&all[3..]), Some(B));
        assert_eq!(holder_at_the_end(&all[1..2]), None);
    }
}
