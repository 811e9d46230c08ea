//! What a scenario promises, and whether a measured run kept it.

use serde::Serialize;

use super::figures::Figures;

/// A request is slow from here on (milliseconds).
pub(crate) const SLOW_MS: f64 = 1000.0;

/// The limits of one scenario. What is none is not judged.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Promise {
    /// Longest time without a good answer, on each port the scenario judges.
    pub(crate) outage_ms: Option<u32>,
    /// Changes of the node that answers for the virtual IP, at most.
    pub(crate) moves: Option<u32>,
    /// Requests that failed, at most.
    pub(crate) failed: Option<u32>,
    /// From the first answer after the outage on, no request fails or takes over a second.
    pub(crate) quick_after_outage: bool,
    /// Of the requests that start this much later than the fault, none fails or takes over a second.
    pub(crate) quick_from_ms: Option<u32>,
    /// Whatever fails does so with this status, this late.
    pub(crate) only_failure: Option<OnlyFailure>,
    /// No two database servers have live sessions at once.
    pub(crate) one_writer: bool,
    /// Changes of the database server that answers, at most.
    pub(crate) database_moves: Option<u32>,
    /// The first good answer comes this long after the start.
    pub(crate) first_answer_ms: Option<u32>,
}

/// The one way in which a request may fail.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct OnlyFailure {
    pub(crate) status: u16,
    pub(crate) at_ms: u32,
}

/// How far beside its moment an expected failure may be: timers of 5 s on a loaded machine (ms).
const FAILURE_TOLERANCE_MS: f64 = 500.0;

impl Promise {
    /// Whether there is a number to be held to.
    #[must_use]
    pub(crate) fn is_numeric(&self) -> bool {
        self.outage_ms.is_some()
            || self.failed.is_some()
            || self.quick_from_ms.is_some()
            || self.first_answer_ms.is_some()
            || self.only_failure.is_some()
            || self.one_writer
    }

    /// The promise in words, as the table and `--list` show it.
    #[must_use]
    pub(crate) fn text(&self) -> String {
        let mut parts = Vec::new();
        if let Some(ms) = self.first_answer_ms {
            parts.push(format!("first answer <= {ms} ms"));
        }
        if let Some(ms) = self.outage_ms {
            parts.push(format!("outage <= {ms} ms"));
        }
        if let Some(moves) = self.moves {
            parts.push(if moves == 0 { "no move".into() } else { format!("moves <= {moves}") });
        }
        if let Some(failed) = self.failed {
            parts.push(format!("{failed} failed"));
        }
        if self.quick_after_outage {
            parts.push("then none > 1 s".into());
        }
        if let Some(ms) = self.quick_from_ms {
            parts.push(format!("none > 1 s from {ms} ms on"));
        }
        if let Some(only) = self.only_failure {
            parts.push(format!("failures only {} at {} ms", only.status, only.at_ms));
        }
        if self.one_writer {
            parts.push("never two databases in use".into());
        }
        if let Some(moves) = self.database_moves {
            parts.push(format!("database moves <= {moves}"));
        }
        parts.push("0 double holders".into());
        parts.join(", ")
    }

    /// Every way in which the run broke the promise; empty: kept.
    #[must_use]
    pub(crate) fn misses(&self, seen: &Figures) -> Vec<String> {
        let mut misses = Vec::new();
        let over = |what: &str, got: f64, limit: Option<u32>| {
            limit.filter(|l| got > f64::from(*l)).map(|l| format!("{what} {got:.0} > {l}"))
        };
        misses.extend(over("outage", seen.outage_ms, self.outage_ms));
        misses.extend(over("moves", f64::from(seen.moves), self.moves));
        let moves = f64::from(seen.database_moves);
        misses.extend(over("database moves", moves, self.database_moves));
        misses.extend(over("failed", f64::from(seen.failed), self.failed));
        misses.extend(over("first answer", seen.first_answer_ms, self.first_answer_ms));
        if seen.two_holders > 0 {
            misses.push(format!("two holders in {} probes", seen.two_holders));
        }
        if seen.holders == 0 {
            misses.push("nobody answers for the virtual IP at the end".into());
        }
        if self.one_writer && seen.two_writers > 0 {
            misses.push(format!("two databases in use at once, {} times", seen.two_writers));
        }
        if self.quick_after_outage {
            misses.extend(late(seen, seen.back_at_ms, "after the outage"));
        }
        if let Some(from) = self.quick_from_ms {
            misses.extend(late(seen, f64::from(from), &format!("from {from} ms on")));
        }
        misses.extend(self.only_failure.and_then(|only| other_failures(seen, only)));
        misses
    }
}

fn late(seen: &Figures, from_ms: f64, when: &str) -> Option<String> {
    let late = seen.bad.iter().filter(|bad| bad.started_ms > from_ms);
    let count = late.filter(|bad| bad.why.is_some() || bad.took_ms > SLOW_MS).count();
    (count > 0).then(|| format!("{count} failed or slow {when}"))
}

fn other_failures(seen: &Figures, only: OnlyFailure) -> Option<String> {
    let expected = format!("HTTP {}", only.status);
    let failures = seen.bad.iter().filter_map(|bad| bad.why.as_ref().map(|why| (bad, why)));
    let others = failures.filter(|(bad, why)| {
        **why != expected || (bad.took_ms - f64::from(only.at_ms)).abs() > FAILURE_TOLERANCE_MS
    });
    let count = others.count();
    (count > 0).then(|| format!("{count} failed otherwise than {expected} at {} ms", only.at_ms))
}

#[cfg(test)]
mod tests {
    use super::super::figures::Bad;
    use super::*;

    fn quiet() -> Figures {
        Figures { holders: 1, ..Figures::default() }
    }

    #[test]
    fn a_promise_without_a_number_is_none() {
        assert!(!Promise { moves: Some(0), ..Promise::default() }.is_numeric());
        assert!(Promise { outage_ms: Some(50), ..Promise::default() }.is_numeric());
    }

    #[test]
    fn two_holders_break_every_promise() {
        let seen = Figures { two_holders: 1, ..quiet() };
        assert_eq!(Promise::default().misses(&seen), ["two holders in 1 probes"]);
    }

    #[test]
    fn slow_requests_count_only_from_their_moment_on() {
        let promise = Promise { quick_from_ms: Some(1500), ..Promise::default() };
        let slow = |started_ms| Bad { started_ms, took_ms: 1200.0, why: None };
        let seen = Figures { bad: vec![slow(1400.0)], ..quiet() };
        assert!(promise.misses(&seen).is_empty());
        let seen = Figures { bad: vec![slow(1600.0)], ..quiet() };
        assert_eq!(promise.misses(&seen), ["1 failed or slow from 1500 ms on"]);
    }

    #[test]
    fn only_the_expected_failure_is_forgiven() {
        let only = OnlyFailure { status: 504, at_ms: 5000 };
        let promise = Promise { only_failure: Some(only), ..Promise::default() };
        let bad = |why: &str, took_ms| Bad { started_ms: 1.0, took_ms, why: Some(why.into()) };
        let seen = Figures { bad: vec![bad("HTTP 504", 5003.0)], ..quiet() };
        assert!(promise.misses(&seen).is_empty());
        let seen = Figures { bad: vec![bad("HTTP 504", 900.0), bad("reset", 5000.0)], ..quiet() };
        assert_eq!(promise.misses(&seen), ["2 failed otherwise than HTTP 504 at 5000 ms"]);
    }
}
