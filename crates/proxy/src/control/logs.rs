//! When to speak of lost log lines: at the first loss, once a minute while it lasts, at its end.

use std::time::Duration;

use base::Time;

/// A target that loses lines is spoken of this often: a log server that is down for a night shall
/// not fill the event log.
const AGAIN: Duration = Duration::from_secs(60);

/// Without a loss for so long, and with lines that were taken, a target is well again. Longer than a
/// log server takes to start.
const WELL: Duration = Duration::from_secs(10);

/// What is known of one target. Looked at once a second.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Watch {
    /// Of the last look.
    lost: u64,
    losing: Option<Losing>,
}

#[derive(Clone, Copy, Debug)]
struct Losing {
    /// Lines lost before it began, and before the last word.
    before: u64,
    told: u64,
    told_at: Time,
    /// Since when nothing more was lost, and what had been taken by then.
    quiet: Option<(Time, u64)>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Saying {
    /// So many lines were lost since the last word.
    Lost(u64),
    /// None any more; so many were lost in all this time.
    Well(u64),
}

impl Watch {
    /// `lost` and `taken`: all lines so far.
    pub(super) fn look(&mut self, now: Time, lost: u64, taken: u64) -> Option<Saying> {
        let before = std::mem::replace(&mut self.lost, lost);
        let more = lost > before;
        let Some(losing) = &mut self.losing else {
            let begins = Losing { before, told: lost, told_at: now, quiet: None };
            self.losing = more.then_some(begins);
            return more.then(|| Saying::Lost(lost - before));
        };
        if more {
            losing.quiet = None;
        }
        if now.since(losing.told_at) >= AGAIN && lost > losing.told {
            let lines = lost - std::mem::replace(&mut losing.told, lost);
            losing.told_at = now;
            return Some(Saying::Lost(lines));
        }
        if !more {
            let (since, taken_then) = *losing.quiet.get_or_insert((now, taken));
            if now.since(since) >= WELL && taken > taken_then {
                let lines = lost - losing.before;
                self.losing = None;
                return Some(Saying::Well(lines));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn a_night_without_a_log_server_is_told_once_a_minute() {
        let mut watch = Watch::default();
        let said: Vec<_> = (0..600)
            .filter_map(|second| watch.look(at(second), (second + 1) * 5, 0).map(|s| (second, s)))
            .collect();
        assert_eq!(said.len(), 10);
        assert_eq!(said[0], (0, Saying::Lost(5)));
        assert_eq!(said[1], (60, Saying::Lost(300)));
    }

    #[test]
    fn the_end_is_told_when_lines_were_taken_for_a_while_and_all_lost_ones_are_in_it() {
        let mut watch = Watch::default();
        assert_eq!(watch.look(at(0), 0, 7), None);
        assert_eq!(watch.look(at(1), 3, 7), Some(Saying::Lost(3)));
        assert_eq!(watch.look(at(2), 4, 8), None);
        // Nobody logs: nothing is known.
        assert_eq!(watch.look(at(30), 4, 8), None);
        assert_eq!(watch.look(at(45), 4, 8), None);
        assert_eq!(watch.look(at(46), 4, 9), Some(Saying::Well(4)));
        assert_eq!(watch.look(at(47), 4, 10), None);
        assert_eq!(watch.look(at(48), 5, 10), Some(Saying::Lost(1)));
    }

    #[test]
    fn one_loss_begins_the_wait_anew() {
        let mut watch = Watch::default();
        watch.look(at(0), 1, 0);
        assert_eq!(watch.look(at(5), 1, 1), None);
        assert_eq!(watch.look(at(14), 2, 5), None);
        assert_eq!(watch.look(at(15), 2, 6), None);
        assert_eq!(watch.look(at(24), 2, 7), None);
        assert_eq!(watch.look(at(25), 2, 8), Some(Saying::Well(2)));
    }
}
