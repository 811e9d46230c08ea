//! What is said over and over: the first time is news, the same again is counted.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::Time;

/// Things that were heard of late, each with how often it was heard again.
#[derive(Debug)]
pub struct Repeats<K> {
    quiet: Duration,
    count_every: Duration,
    room: usize,
    heard: BTreeMap<K, Heard>,
    /// For which there was no room.
    others: u64,
    others_at: Time,
}

#[derive(Clone, Copy, Debug)]
struct Heard {
    last: Time,
    told: Time,
    again: u64,
}

impl<K: Clone + Ord> Repeats<K> {
    /// The same is news again after `quiet` without it. What goes on for longer is counted out every
    /// `count_every`. `room` things are known at once; what more there is, is only counted.
    #[must_use]
    pub const fn new(quiet: Duration, count_every: Duration, room: usize) -> Self {
        let heard = BTreeMap::new();
        Self { quiet, count_every, room, heard, others: 0, others_at: Time::ZERO }
    }

    /// Whether it is news; if not, it is counted.
    pub fn hear(&mut self, key: &K, now: Time) -> bool {
        if let Some(heard) = self.heard.get_mut(key) {
            let is_news = now.since(heard.last) >= self.quiet && heard.again == 0;
            heard.last = now;
            if is_news {
                heard.told = now;
            } else {
                heard.again += 1;
            }
            return is_news;
        }
        if self.heard.len() >= self.room {
            self.heard.retain(|_, heard| heard.again > 0 || now.since(heard.last) < self.quiet);
        }
        let is_news = self.heard.len() < self.room;
        if is_news {
            self.heard.insert(key.clone(), Heard { last: now, told: now, again: 0 });
        } else {
            if self.others == 0 {
                self.others_at = now;
            }
            self.others += 1;
        }
        is_news
    }

    /// What was heard again and is to be told now, each with how often; `None` is all that there was no room for.
    pub fn due(&mut self, now: Time) -> Vec<(Option<K>, u64)> {
        let (quiet, count_every) = (self.quiet, self.count_every);
        let mut due = vec![];
        self.heard.retain(|key, heard| {
            let is_over = now.since(heard.last) >= quiet;
            if heard.again > 0 && (is_over || now.since(heard.told) >= count_every) {
                due.push((Some(key.clone()), std::mem::take(&mut heard.again)));
                heard.told = now;
            }
            !is_over
        });
        if self.others > 0 && now.since(self.others_at) >= quiet {
            due.push((None, std::mem::take(&mut self.others)));
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const HOUR: Duration = Duration::from_secs(3600);

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn the_same_again_is_counted_and_the_count_is_told_once_it_is_over() {
        let mut repeats = Repeats::new(MINUTE, HOUR, 8);
        assert!(repeats.hear(&"drain", at(0)) && repeats.hear(&"ready", at(0)));
        assert!(!repeats.hear(&"drain", at(59)) && !repeats.hear(&"drain", at(100)));
        assert_eq!(repeats.due(at(159)), [], "it may go on");
        assert_eq!(repeats.due(at(160)), [(Some("drain"), 2)]);
        assert!(repeats.hear(&"drain", at(161)), "after a quiet minute it is news again");
        assert_eq!(repeats.due(at(9999)), [], "told once");
    }

    #[test]
    fn what_goes_on_for_ever_is_counted_out_every_hour() {
        let mut repeats = Repeats::new(MINUTE, HOUR, 8);
        let mut lines = 0;
        for second in (0..86_400).step_by(10) {
            lines += usize::from(repeats.hear(&"ready", at(second)));
            lines += repeats.due(at(second)).len();
        }
        assert_eq!(lines, 24, "a day of a question each ten seconds");
    }

    #[test]
    fn of_more_than_there_is_room_for_only_the_number_is_told() {
        let mut repeats = Repeats::new(MINUTE, HOUR, 8);
        let news = (0..1000).filter(|key| repeats.hear(key, at(0))).count();
        assert_eq!((news, repeats.heard.len()), (8, 8));
        assert_eq!(repeats.due(at(59)), []);
        assert_eq!(repeats.due(at(60)), [(None, 992)]);
        // Whoever is heard no more makes room, without anybody asking for what is due.
        assert!((2000..2008).all(|key| repeats.hear(&key, at(61))));
        assert!((3000..3008).all(|key| repeats.hear(&key, at(121))));
    }
}
