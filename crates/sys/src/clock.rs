//! The two clocks: one that only goes forward, one that people read.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use base::Time;

/// Now, on `CLOCK_BOOTTIME`: the same origin in every process of the machine. It counts what the
/// machine slept, so that what was promised before has ended after, and it is the clock with which
/// the kernel compares moments that a process gives it ([`crate::bpf::gate`]).
#[must_use]
pub fn now() -> Time {
    let now = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
    Time::from_nanos(seconds * 1_000_000_000 + nanos)
}

/// Now, for people.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place where the wall clock is read")]
pub fn wall() -> SystemTime {
    SystemTime::now()
}

/// Milliseconds since 1970 (UTC), for people and event logs.
#[must_use]
pub fn wall_ms() -> u64 {
    u64::try_from(since_1970().as_millis()).unwrap_or(u64::MAX)
}

/// The same as exactly as the machine knows it; of a clock before 1970 nothing.
#[must_use]
pub fn since_1970() -> Duration {
    wall().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_does_not_go_back() {
        let before = now();
        assert!(now() >= before);
        assert!(before > Time::ZERO);
    }
}
