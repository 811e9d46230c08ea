//! Reports that wait because the supervisor does not read.

use std::collections::VecDeque;

use api::Report;

/// More are dropped: the next report on the same server says the same.
const MOST_WAITING: usize = 256;
/// Of wishes, which whoever may use the statistics socket can say thousands of; what is dropped is counted.
const MOST_WISHES: usize = MOST_WAITING / 2;
/// Beside all others, for the answers by which the supervisor knows that this process lives.
const FOR_ANSWERS: usize = super::MOST_AWAITED;

/// The queue, with room for each kind that no other kind can take away.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    reports: VecDeque<Vec<u8>>,
    lost_wishes: u64,
}

/// How many may wait before a report for it to be kept.
const fn room(report: &Report) -> usize {
    if matches!(report, Report::Pong(_) | Report::Ready { .. } | Report::Serving { .. }) {
        MOST_WAITING + FOR_ANSWERS
    } else if matches!(report, Report::Wished(_)) {
        MOST_WISHES
    } else {
        MOST_WAITING
    }
}

impl Waiting {
    pub(super) fn keep(&mut self, report: &Report) {
        if self.reports.len() < room(report) {
            let mut bytes = Vec::new();
            api::encode(report, &mut bytes);
            self.reports.push_back(bytes);
        } else if let Report::Wished(wished) = report {
            self.lost_wishes += wished.more.max(1);
        }
    }

    /// Gives the oldest ones to `send` until it takes none.
    pub(super) fn send(&mut self, send: &mut dyn FnMut(&[u8]) -> bool) {
        while self.reports.front().is_some_and(|bytes| send(bytes)) {
            self.reports.pop_front();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.reports.is_empty()
    }

    /// Wishes that were dropped since this was asked last; none as long as there is no room to tell of them.
    pub(super) fn take_lost_wishes(&mut self) -> u64 {
        if self.reports.len() < MOST_WISHES { std::mem::take(&mut self.lost_wishes) } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_wishes_takes_no_room_from_answers_and_what_is_dropped_is_counted() {
        let mut waiting = Waiting::default();
        let wish = Report::Wished(api::Wished {
            by: "uid 0 (pid 812)".to_owned(),
            server: "api/one".to_owned(),
            to: "drain".to_owned(),
            more: 0,
        });
        (0..1000).for_each(|_| waiting.keep(&wish));
        assert_eq!(waiting.reports.len(), MOST_WISHES);
        assert_eq!(waiting.take_lost_wishes(), 0, "that would be dropped as well");
        (0..1000).for_each(|_| waiting.keep(&Report::Event(api::Event::default())));
        assert_eq!(waiting.reports.len(), MOST_WAITING);
        (0..4).for_each(|number| waiting.keep(&Report::Pong(number)));
        let mut sent = vec![];
        waiting.send(&mut |bytes| {
            sent.push(api::decode::<Report>(bytes).unwrap());
            true
        });
        assert!(waiting.is_empty());
        let pongs = sent.iter().filter(|report| matches!(report, Report::Pong(_))).count();
        assert_eq!((pongs, sent.len()), (4, MOST_WAITING + 4));
        let lost = (1000 - MOST_WISHES) as u64;
        assert_eq!((waiting.take_lost_wishes(), waiting.take_lost_wishes()), (lost, 0));
    }

    #[test]
    fn nothing_is_lost_that_the_other_side_does_not_take_yet() {
        let mut waiting = Waiting::default();
        waiting.keep(&Report::Pong(1));
        waiting.send(&mut |_| false);
        assert!(!waiting.is_empty());
    }
}
