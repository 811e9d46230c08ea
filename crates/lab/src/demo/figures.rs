//! From what the client and the watcher recorded to the figures of the table.

use std::collections::BTreeMap;

use base::Time;
use serde::Serialize;

use super::promise::SLOW_MS;
use crate::client::{Outcome, Port, Run, Sample};
use crate::watch::Watched;

/// What one run of one scenario cost, as a client saw it.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Figures {
    /// Longest time between two good answers, less the schedule; the worse of the judged ports.
    pub(crate) outage_ms: f64,
    pub(crate) requests: u32,
    pub(crate) failed: u32,
    /// Answered, but later than a second after the scheduled start.
    pub(crate) slow: u32,
    /// Of the answered ones.
    pub(crate) longest_ms: f64,
    /// ARP probes that two nodes answered.
    pub(crate) two_holders: u32,
    /// Nodes that answered the last probes.
    pub(crate) holders: u32,
    /// Who alone answered before the fault, and at the end.
    pub(crate) holder_before: Option<String>,
    pub(crate) holder_after: Option<String>,
    /// Changes of the node that answers.
    pub(crate) moves: u32,
    /// Times a write was acknowledged by one database server while a session on another lived.
    pub(crate) two_writers: u32,
    /// Changes of the database server that answers.
    pub(crate) database_moves: u32,
    /// From the fault (or the start) to the first good answer.
    pub(crate) first_answer_ms: f64,
    /// Since when, counted from the fault, the longest outage was over.
    pub(crate) back_at_ms: f64,
    /// The longest stall of an idle thread during the run.
    pub(crate) stalled_ms: f64,
    /// Requests by the reason they failed for.
    pub(crate) failures: BTreeMap<String, u32>,
    /// The same per port, those that are not judged too.
    pub(crate) ports: BTreeMap<&'static str, PortFigures>,
    /// Failed and slow requests, for the judgement.
    #[serde(skip)]
    pub(crate) bad: Vec<Bad>,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct PortFigures {
    pub(crate) outage_ms: f64,
    pub(crate) back_at_ms: f64,
    pub(crate) first_answer_ms: f64,
    pub(crate) failed: u32,
}

/// A request that failed or was slow.
#[derive(Clone, Debug)]
pub(crate) struct Bad {
    /// Since the fault; negative before it.
    pub(crate) started_ms: f64,
    pub(crate) took_ms: f64,
    pub(crate) why: Option<String>,
}

/// What happened when, for the counting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) fault: Time,
    /// No request is scheduled after it.
    pub(crate) end: Time,
    /// Which ports count.
    pub(crate) judged: &'static [Port],
}

impl Figures {
    #[must_use]
    pub(crate) fn new(run: &Run, watched: &Watched, span: Span, stalled_ms: f64) -> Self {
        let mut figures = Self { stalled_ms, ..Self::default() };
        for port in [Port::Api, Port::Database] {
            let samples: Vec<&Sample> = run.samples.iter().filter(|s| s.port == port).collect();
            let mut line = gaps(&samples, span, run.interval);
            line.failed = count(samples.iter().filter(|s| s.failure().is_some()));
            figures.ports.insert(port.name(), line);
            if span.judged.contains(&port) {
                figures.count(&samples, span.fault);
                figures.outage_ms = figures.outage_ms.max(line.outage_ms);
                figures.back_at_ms = figures.back_at_ms.max(line.back_at_ms);
                figures.first_answer_ms = figures.first_answer_ms.max(line.first_answer_ms);
            }
        }
        figures.two_writers = two_writers(run);
        figures.database_moves = database_moves(run);
        figures.two_holders = watched.doubles();
        figures.moves = watched.moves();
        figures.holders = watched.holders_at_the_end();
        figures
    }

    fn count(&mut self, samples: &[&Sample], fault: Time) {
        for sample in samples {
            self.requests += 1;
            let took_ms = ms(sample.ended - sample.scheduled);
            let why = sample.failure();
            if let Some(why) = &why {
                self.failed += 1;
                *self.failures.entry(why.clone()).or_default() += 1;
            } else {
                self.longest_ms = self.longest_ms.max(took_ms);
                self.slow += u32::from(took_ms > SLOW_MS);
            }
            if why.is_some() || took_ms > SLOW_MS {
                let started_ms = signed_ms(sample.scheduled, fault);
                self.bad.push(Bad { started_ms, took_ms, why });
            }
        }
    }
}

/// The longest time without a good answer, where it ended, and the first answer after the fault.
fn gaps(samples: &[&Sample], span: Span, interval: std::time::Duration) -> PortFigures {
    let mut good: Vec<Time> =
        samples.iter().filter(|s| s.failure().is_none()).map(|s| s.ended).collect();
    good.sort_unstable();
    let first = good.iter().find(|t| **t > span.fault);
    let first_answer_ms = ms(*first.unwrap_or(&span.end) - span.fault);
    // Answers that came after the schedule ended count; where none came, the end does.
    let mut last = *good.first().unwrap_or(&span.fault);
    let (mut outage, mut back) = (std::time::Duration::ZERO, span.fault);
    for &at in good.iter().chain(std::iter::once(&span.end)) {
        let gap = at.since(last).saturating_sub(interval);
        if gap > outage {
            (outage, back) = (gap, at);
        }
        last = last.max(at);
    }
    PortFigures {
        outage_ms: ms(outage),
        back_at_ms: ms(back - span.fault),
        first_answer_ms,
        failed: 0,
    }
}

/// A session lives from its first to its last acknowledged write. An answer of another server in
/// between means two servers in use.
fn two_writers(run: &Run) -> u32 {
    let mut lives: BTreeMap<u32, (&str, Time, Time)> = BTreeMap::new();
    for write in &run.writes {
        let life =
            lives.entry(write.session).or_insert((write.server.as_str(), write.at, write.at));
        life.2 = write.at;
    }
    let mut answers: Vec<(&str, Time)> =
        run.writes.iter().map(|w| (w.server.as_str(), w.at)).collect();
    let short = run.samples.iter().filter(|s| s.port == Port::Database);
    answers.extend(short.filter_map(|s| match &s.outcome {
        Outcome::Answered(server) => Some((server.as_str(), s.ended)),
        Outcome::Failed(_) => None,
    }));
    count(answers.iter().filter(|(server, at)| {
        lives.values().any(|(other, from, to)| other != server && from < at && at < to)
    }))
}

/// How often another server answered a short session than the one before.
fn database_moves(run: &Run) -> u32 {
    let short = run.samples.iter().filter(|s| s.port == Port::Database);
    let mut answers: Vec<(Time, &str)> = short
        .filter_map(|s| match &s.outcome {
            Outcome::Answered(server) => Some((s.ended, server.as_str())),
            Outcome::Failed(_) => None,
        })
        .collect();
    answers.sort_unstable();
    count(answers.windows(2).filter(|pair| pair[0].1 != pair[1].1))
}

fn count<T>(items: impl Iterator<Item = T>) -> u32 {
    u32::try_from(items.count()).unwrap_or(u32::MAX)
}

pub(crate) fn ms(span: std::time::Duration) -> f64 {
    (span.as_secs_f64() * 10_000.0).round() / 10.0
}

fn signed_ms(at: Time, origin: Time) -> f64 {
    if at >= origin { ms(at - origin) } else { -ms(origin - at) }
}

#[cfg(test)]
mod tests;
