//! How long a process waited for a processor: what it did not hear meanwhile says nothing of the others.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// A wait within one such time is told as one.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Looks at the first thread of every process there is: that of an agent hears the others.
#[derive(Debug)]
pub(super) struct Turns {
    stop: Arc<AtomicBool>,
    worst_ns: Arc<AtomicU64>,
}

impl Turns {
    /// # Errors
    /// When there is no thread to be had.
    pub(super) fn start() -> io::Result<Self> {
        let turns = Self { stop: Arc::default(), worst_ns: Arc::default() };
        let (stop, worst) = (Arc::clone(&turns.stop), Arc::clone(&turns.worst_ns));
        std::thread::Builder::new().name("turns".into()).spawn(move || {
            let mut waited = BTreeMap::new();
            while !stop.load(Ordering::Relaxed) {
                let now: BTreeMap<_, _> = all_waited().collect();
                worst.fetch_max(worst_between(&waited, &now), Ordering::Relaxed);
                waited = now;
                std::thread::sleep(LOOK_EVERY);
            }
        })?;
        Ok(turns)
    }

    /// The longest wait since the last question.
    #[must_use]
    pub(super) fn take_worst(&self) -> Duration {
        Duration::from_nanos(self.worst_ns.swap(0, Ordering::Relaxed))
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Per process, for how long (ns) it was ready and had no processor since it began.
fn all_waited() -> impl Iterator<Item = (i32, u64)> {
    let of =
        |pid| Some((pid, waited(&fs::read_to_string(format!("/proc/{pid}/schedstat")).ok()?)?));
    sys::process::table::all().into_iter().filter_map(move |entry| of(entry.pid))
}

/// `time on a processor (ns), time that it waited for one (ns), turns` (proc(5), sched-stats.rst).
fn waited(text: &str) -> Option<u64> {
    text.split_whitespace().nth(1)?.parse().ok()
}

/// Of those that were there before.
fn worst_between(before: &BTreeMap<i32, u64>, now: &BTreeMap<i32, u64>) -> u64 {
    let grown = now.iter().filter_map(|(pid, ns)| ns.checked_sub(*before.get(pid)?));
    grown.max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_wait_is_of_a_process_that_was_there_before() {
        let at = |list: &[(i32, u64)]| list.iter().copied().collect::<BTreeMap<_, _>>();
        let (before, now) =
            (at(&[(1, 50), (2, 7), (3, 9)]), at(&[(1, 60), (2, 37), (3, 4), (4, 99)]));
        assert_eq!(worst_between(&before, &now), 30);
        assert_eq!(worst_between(&now, &now), 0);
        assert_eq!((waited("123 456 7\n"), waited("123\n")), (Some(456), None));
    }

    #[test]
    fn this_process_is_among_them() {
        let own = i32::try_from(std::process::id()).expect("a pid");
        assert!(all_waited().any(|(pid, _)| pid == own));
    }
}
