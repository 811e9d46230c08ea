//! What one fault, or one heal, cost: a line of JSON.

use std::time::Duration;

use base::Time;
use serde::{Deserialize, Serialize};

use super::seen::{self, Asked, Way};
use crate::client::{Run, Sample};

/// Answered later than this after it was due is late.
pub(crate) const LATE: Duration = Duration::from_millis(100);

/// Times are in milliseconds.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Case {
    /// `outlast`, `outlast-vrrp` or `keepalived`.
    pub program: String,
    /// The name of the fault, or of the heal.
    pub fault: String,
    /// What is healed; none: this is no heal.
    #[serde(default)]
    pub heals: Option<String>,
    pub run: u32,
    /// Who alone answered before, and at the end.
    pub before: Option<String>,
    pub after: Option<String>,
    /// How long no node answered, by ARP and by TCP.
    pub arp_ms: f64,
    pub tcp_ms: f64,
    /// The longest time between the starts of two good requests, less the schedule: of what waits and is answered in the end it is
    /// nothing.
    pub request_ms: f64,
    /// The same between two good answers; what a loaded machine takes for a request is in it.
    pub answer_ms: f64,
    pub requests: u32,
    pub failed: u32,
    /// Answered, but later than 100 ms after they were due.
    pub late: u32,
    /// Of the answered ones.
    pub longest_ms: f64,
    /// When the last failed or late request was due, counted from the fault; none: there was none.
    pub impaired_until_ms: Option<f64>,
    /// The first of the failed ones, and the last: when they were due, counted from the fault, and why they failed.
    #[serde(default)]
    pub failures: Vec<String>,
    /// Questions that two nodes answered at once.
    pub doubles: u32,
    /// The same since the time before that was looked at.
    pub doubles_between: u32,
    /// Nodes that answered one question, however late.
    pub most_holders: u32,
    pub moves: u32,
    /// The longest stall of an idle thread of the highest priority.
    pub stalled_ms: f64,
    /// How long it took to do it.
    pub struck_ms: f64,
    /// Some node answers at the end.
    pub held: bool,
}

/// From the deed to the end of the time that was looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) from: Time,
    pub(crate) end: Time,
    pub(crate) stalled: Duration,
}

/// So many failed requests are told with their reason.
const TOLD: usize = 5;
/// Before the deed: the last answers of a node that works.
const BEFORE: Duration = Duration::from_millis(20);

impl Case {
    /// What the sampler saw.
    pub(crate) fn sampled(asked: &[Asked], window: Window) -> Self {
        let span = (window.from - BEFORE, window.end);
        Self {
            arp_ms: ms(seen::silence(asked, Way::Arp, span)),
            tcp_ms: ms(seen::silence(asked, Way::Syn, span)),
            doubles: seen::doubles(asked),
            most_holders: seen::most_holders(asked),
            moves: seen::moves(asked),
            held: seen::holder_at_the_end(asked).is_some(),
            stalled_ms: ms(window.stalled),
            ..Self::default()
        }
    }

    /// What the client saw.
    pub(crate) fn count(&mut self, run: &Run, window: Window) {
        let span = (window.from - BEFORE, window.end);
        let within = |at: Time| at >= span.0 && at <= span.1;
        let good = run.samples.iter().filter(|sample| sample.failure().is_none());
        let gap = |moment: fn(&Sample) -> Time| {
            let mut moments: Vec<Time> = good.clone().map(moment).collect();
            moments.sort_unstable();
            seen::longest_gap(moments.into_iter(), span, run.interval)
        };
        self.request_ms = ms(gap(|sample| sample.scheduled));
        self.answer_ms = ms(gap(|sample| sample.ended));
        for sample in run.samples.iter().filter(|sample| within(sample.scheduled)) {
            self.requests += 1;
            let (took, failure) = (sample.ended.since(sample.scheduled), sample.failure());
            let bad = failure.is_some();
            self.failed += u32::from(bad);
            if let Some(why) = failure {
                let at = ms(sample.scheduled.since(window.from));
                // The last one is told in any case: it may have nothing to do with the others.
                self.failures.truncate(TOLD - 1);
                self.failures.push(format!("{at} ms, for {} ms: {why}", ms(took)));
            }
            self.late += u32::from(!bad && took > LATE);
            if !bad {
                self.longest_ms = self.longest_ms.max(ms(took));
            }
            if (bad || took > LATE) && sample.scheduled >= window.from {
                let until = ms(sample.scheduled.since(window.from));
                self.impaired_until_ms =
                    Some(self.impaired_until_ms.map_or(until, |x| x.max(until)));
            }
        }
    }
}

pub(crate) fn ms(span: Duration) -> f64 {
    (span.as_secs_f64() * 1e5).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Outcome, Port};
    use crate::vip::sampler::EVERY;

    fn at(ms: u64) -> Time {
        Time::ZERO + Duration::from_millis(1000 + ms)
    }

    #[test]
    fn failed_and_late_requests_are_counted_with_the_moment_of_the_last_one() {
        let sample = |due, took, good| Sample {
            port: Port::Api,
            scheduled: at(due),
            ended: at(due + took),
            outcome: if good { Outcome::Answered("a".into()) } else { Outcome::Failed("x".into()) },
        };
        let samples = (0..200)
            .map(|due| match due {
                30..40 => sample(due, 400, false),
                60 => sample(due, 130, true),
                due => sample(due, 1, true),
            })
            .collect();
        let run = Run { samples, interval: Duration::from_millis(1), ..Run::default() };
        let window = Window { from: at(25), end: at(199), stalled: Duration::ZERO };
        let mut case = Case::default();
        case.count(&run, window);
        assert_eq!((case.failed, case.late, case.requests), (10, 1, 195));
        assert_eq!(case.failures.len(), TOLD);
        assert_eq!(case.failures[0], "5 ms, for 400 ms: x");
        assert_eq!(case.failures[TOLD - 1], "14 ms, for 400 ms: x");
        assert_eq!((case.request_ms, case.longest_ms), (10.0, 130.0));
        assert_eq!(case.impaired_until_ms, Some(35.0));
    }

    #[test]
    fn requests_that_wait_and_are_answered_in_the_end_had_no_answer_meanwhile() {
        let sample = |due| Sample {
            port: Port::Api,
            scheduled: at(due),
            ended: at(due.max(if due < 50 { 80 } else { 0 }) + 1),
            outcome: Outcome::Answered("a".into()),
        };
        let run =
            Run { samples: (0..200).map(sample).collect(), interval: EVERY, ..Run::default() };
        let mut case = Case::default();
        case.count(&run, Window { from: at(25), end: at(199), stalled: Duration::ZERO });
        assert_eq!((case.failed, case.request_ms, case.answer_ms), (0, 0.0, 45.0));
    }
}
