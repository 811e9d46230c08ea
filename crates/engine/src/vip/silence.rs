//! Which nodes are silent to the vip process: an opinion, much earlier than that of the agents.
//!
//! A node whose last vip beat is longer ago than one vip lease, on every network, is silent; the next beat ends that. It is
//! not proven to be dead, so nothing is concluded but what can be taken back: no new request goes to its servers while others
//! are up. A process that ended in order said so, and its silence means nothing.
//!
//! Who did not run for a while accuses nobody: what came meanwhile is unread.

use std::time::Duration;

use base::Time;

/// Of the nodes of a cluster, as one of them hears it.
#[derive(Clone, Debug)]
pub struct Silence {
    /// By position: whether it is told as silent.
    told: Vec<bool>,
    /// So long nothing is heard of a silent node.
    after: Duration,
    /// Who looks less often than this did not run.
    stall: Duration,
    looked: Time,
    /// Since when it has run without a stall.
    awake: Time,
}

impl Silence {
    /// Of so many nodes.
    #[must_use]
    pub fn new(nodes: u16, after: Duration, stall: Duration, now: Time) -> Self {
        Self { told: vec![false; usize::from(nodes)], after, stall, looked: now, awake: now }
    }

    /// To be called before any number of [`Self::news`].
    pub fn look(&mut self, now: Time) {
        if now.since(self.looked) > self.stall {
            self.awake = now;
        }
        self.looked = now;
    }

    /// A node that became silent (true), or is silent no more. `heard`: when a node was heard last; none: never, or it
    /// said that it ends. None: nothing changed since the last time.
    pub fn news(&mut self, heard: impl Fn(u16) -> Option<Time>) -> Option<(u16, bool)> {
        for (node, told) in (0..).zip(&mut self.told) {
            let awake = if *told { Time::ZERO } else { self.awake };
            let silent = |heard: Time| self.looked.since(heard.max(awake)) > self.after;
            let silent = heard(node).is_some_and(silent);
            if silent != *told {
                *told = silent;
                return Some((node, silent));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Time {
        Time::from_nanos(ms * 1_000_000)
    }

    const fn span(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Looks each 10 ms, as beats make it.
    fn silence(until: u64) -> Silence {
        let mut silence = Silence::new(3, span(35), span(20), ms(0));
        (0..=until).step_by(10).for_each(|at| silence.look(ms(at)));
        silence
    }

    #[test]
    fn who_was_heard_and_is_not_for_a_vip_lease_is_silent_until_its_next_beat() {
        let mut silence = silence(100);
        let at = |heard: [Option<u64>; 3]| move |node: u16| heard[usize::from(node)].map(ms);
        assert_eq!(
            silence.news(at([None, Some(70), Some(65)])),
            None,
            "just 35 ms, and never heard"
        );
        assert_eq!(silence.news(at([None, Some(64), Some(60)])), Some((1, true)));
        assert_eq!(silence.news(at([None, Some(64), Some(60)])), Some((2, true)));
        assert_eq!(silence.news(at([None, Some(64), Some(60)])), None, "told once");
        assert_eq!(silence.news(at([None, Some(64), Some(101)])), Some((2, false)));
        assert_eq!(silence.news(at([None, Some(64), Some(101)])), None);
    }

    #[test]
    fn who_says_that_it_ends_is_not_silent_and_no_more_if_it_was() {
        let mut silence = silence(100);
        assert_eq!(silence.news(|_| None), None);
        assert_eq!(silence.news(|node| (node == 1).then_some(ms(10))), Some((1, true)));
        assert_eq!(silence.news(|_| None), Some((1, false)));
    }

    #[test]
    fn who_did_not_run_takes_its_own_deafness_for_nobodys_silence() {
        let mut silence = silence(100);
        silence.look(ms(200));
        assert_eq!(silence.news(|_| Some(ms(100))), None);
        silence.look(ms(220));
        silence.look(ms(235));
        assert_eq!(silence.news(|_| Some(ms(100))), None, "35 ms awake");
        silence.look(ms(236));
        assert_eq!(silence.news(|node| (node == 2).then_some(ms(100))), Some((2, true)));
        // One that is told stays so over a stall until something is heard.
        silence.look(ms(300));
        assert_eq!(silence.news(|node| (node == 2).then_some(ms(100))), None);
        assert_eq!(silence.news(|node| (node == 2).then_some(ms(290))), Some((2, false)));
    }
}
