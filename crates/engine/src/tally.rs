//! How many lines an event log gets when many nodes are told of at once.
//!
//! ```text
//!   the first SINGLY of a kind within WINDOW ---> a line each
//!   all others                               ---> one line with their number, when the window ends
//! ```
//!
//! A rack that loses power is hundreds of compute nodes with several events each: a log that has a thousand lines
//! of them has forgotten what came before, and nobody reads it.

use std::collections::BTreeMap;
use std::time::Duration;

use base::Time;

/// So many are told one by one: as many as somebody reads.
pub const SINGLY: usize = 10;
/// From the first of a kind to the line about the rest: a rack is unreachable within one of them.
pub const WINDOW: Duration = Duration::from_secs(5);
/// Nodes that such a line names; it says how many more there are.
pub const NAMED: usize = 10;

/// What was not told one by one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rest {
    /// As it was counted by.
    pub kind: &'static str,
    /// Of how many nodes; of one that came more than once, as often.
    pub count: usize,
    /// The first of them, at most [`NAMED`].
    pub nodes: Vec<u16>,
}

/// Counts by kind.
#[derive(Debug, Default)]
pub struct Tally {
    windows: BTreeMap<&'static str, Window>,
}

#[derive(Debug)]
struct Window {
    until: Time,
    singly: usize,
    rest: usize,
    nodes: Vec<u16>,
}

impl Tally {
    /// Something of this kind is to be told of a node; true: it gets a line of its own.
    pub fn is_told(&mut self, now: Time, kind: &'static str, node: u16) -> bool {
        let fresh = || Window { until: now + WINDOW, singly: 0, rest: 0, nodes: vec![] };
        let window = self.windows.entry(kind).or_insert_with(fresh);
        if window.rest == 0 && window.until <= now {
            *window = fresh();
        }
        if window.singly < SINGLY {
            window.singly += 1;
            return true;
        }
        window.rest += 1;
        if window.nodes.len() < NAMED && !window.nodes.contains(&node) {
            window.nodes.push(node);
        }
        false
    }

    /// When [`Self::rest`] has something; [`Time::NEVER`]: nothing was left out.
    #[must_use]
    pub fn deadline(&self) -> Time {
        let waiting = self.windows.values().filter(|window| window.rest > 0);
        waiting.map(|window| window.until).min().unwrap_or(Time::NEVER)
    }

    /// What is told in one line now: of each kind whose window ended.
    pub fn rest(&mut self, now: Time) -> Vec<Rest> {
        let mut told = vec![];
        self.windows.retain(|kind, window| {
            if now < window.until {
                return true;
            }
            if window.rest > 0 {
                let nodes = std::mem::take(&mut window.nodes);
                told.push(Rest { kind, count: window.rest, nodes });
            }
            false
        });
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::ZERO + Duration::from_millis(millis)
    }

    #[test]
    fn of_hundreds_at_once_ten_have_a_line_and_the_rest_one_with_its_number() {
        let mut tally = Tally::default();
        let singly = (0..300).filter(|node| tally.is_told(at(*node), "unreachable", 5)).count();
        assert_eq!(singly, SINGLY);
        assert!(tally.is_told(at(300), "alive", 5), "each kind for itself");
        assert_eq!(tally.deadline(), at(0) + WINDOW);
        assert_eq!(tally.rest(at(4999)), []);
        let rest = Rest { kind: "unreachable", count: 290, nodes: vec![5] };
        assert_eq!(tally.rest(at(5000)), [rest]);
        assert_eq!((tally.deadline(), tally.rest(at(60_000))), (Time::NEVER, vec![]));
    }

    #[test]
    fn a_few_now_and_then_are_told_one_by_one_for_ever() {
        let mut tally = Tally::default();
        assert!((0..1000).all(|turn| tally.is_told(at(turn * 500), "alive", 1)));
        assert_eq!(tally.deadline(), Time::NEVER);
    }

    #[test]
    fn a_line_names_the_first_of_them_and_counts_all() {
        let mut tally = Tally::default();
        for node in 0..50 {
            let _ = tally.is_told(at(0), "left", node);
        }
        let rest = tally.rest(at(9000));
        assert_eq!(rest, [Rest { kind: "left", count: 40, nodes: (10..20).collect() }]);
        assert!(tally.is_told(at(9000), "left", 1), "the next window");
    }
}
