//! Which wishes of the statistics socket are a line in the audit log each, and which are counted.

use std::time::Duration;

use api::Wished;
use base::{Repeats, Time};

/// The same wish of the same user is a line again after so long without it: tools set what they want every few seconds.
const SAME_WISH: Duration = Duration::from_secs(60);
/// Of what goes on for longer the number is a line so often.
const COUNT_EVERY: Duration = Duration::from_secs(3600);
/// Wishes (user, server and state) that are told apart at once; of more only the number is a line, once in
/// [`SAME_WISH`]. With what the audit log holds, nobody who repeats himself or names many servers puts out what others did.
const MOST_APART: usize = 256;

#[derive(Debug)]
pub(super) struct Wishes(Repeats<(String, String, &'static str)>);

impl Default for Wishes {
    fn default() -> Self {
        Self(Repeats::new(SAME_WISH, COUNT_EVERY, MOST_APART))
    }
}

impl Wishes {
    /// What is told of it at once; nothing where it is counted.
    pub(super) fn wished(
        &mut self,
        by: String,
        server: String,
        to: &'static str,
        now: Time,
    ) -> Option<Wished> {
        // Each call of a tool is another process.
        let who = by.split(" (pid ").next().unwrap_or_default().to_owned();
        let is_news = self.0.hear(&(who, server.clone(), to), now);
        is_news.then(|| Wished { by, server, to: to.to_owned(), more: 0 })
    }

    /// Those that were counted and are to be told; `lost` were to be told and could not be.
    pub(super) fn counted(&mut self, lost: u64, now: Time) -> Vec<Wished> {
        let mut others = lost;
        let mut counted = vec![];
        for (wish, more) in self.0.due(now) {
            match wish {
                Some((by, server, to)) => {
                    counted.push(Wished { by, server, to: to.to_owned(), more });
                }
                None => others += more,
            }
        }
        if others > 0 {
            let (by, server, to) = ("several".to_owned(), String::new(), String::new());
            counted.push(Wished { by, server, to, more: others });
        }
        counted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn the_same_wish_of_the_same_user_is_one_line_and_a_number() {
        let mut wishes = Wishes::default();
        let mut says = |uid: u32, pid: u32, to, second| {
            let by = format!("uid {uid} (pid {pid})");
            wishes.wished(by, "api/one".to_owned(), to, at(second)).is_some()
        };
        assert!(says(0, 1, "drain", 0));
        assert!(!says(0, 2, "drain", 10), "by another process of the same user");
        assert!(!says(0, 3, "drain", 20));
        assert!(says(7, 4, "drain", 20), "another user");
        assert!(says(0, 5, "ready", 21), "another state");
        assert_eq!(wishes.counted(0, at(79)), []);
        let more = Wished {
            by: "uid 0".to_owned(),
            server: "api/one".to_owned(),
            to: "drain".to_owned(),
            more: 2,
        };
        assert_eq!(wishes.counted(0, at(80)), [more]);
    }

    #[test]
    fn a_flood_is_few_lines_and_every_wish_of_it_is_in_a_number() {
        let mut wishes = Wishes::default();
        let (mut lines, mut written) = (0, 0);
        for second in 0..600 {
            for n in 0..100 {
                let server = format!("api/s{}", (second * 100 + n) % 1000);
                let told = wishes.wished("uid 7 (pid 9)".to_owned(), server, "drain", at(second));
                (lines, written) =
                    (lines + u64::from(told.is_some()), written + u64::from(told.is_some()));
            }
            for wished in wishes.counted(0, at(second)) {
                (lines, written) = (lines + 1, written + wished.more);
            }
        }
        written += wishes.counted(3, Time::NEVER).iter().map(|wished| wished.more).sum::<u64>();
        assert_eq!(written, 60_000 + 3, "every one is counted once, and what was lost");
        assert!(lines < 1000, "{lines} lines in ten minutes");
    }
}
