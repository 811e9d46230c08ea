//! Devices that bounce: a change of one counts when it has lasted (`interface_up_down_delays`).

use std::collections::BTreeMap;
use std::time::Duration;

use base::Time;

/// How long a change of a device has to last.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Delays {
    pub down: Duration,
    pub up: Duration,
}

/// All devices of a node that have delays.
#[derive(Clone, Debug, Default)]
pub struct Bounces(BTreeMap<String, Bounce>);

#[derive(Clone, Copy, Debug, Default)]
struct Bounce {
    delays: Delays,
    /// As it counts; none: it was not seen yet.
    counts: Option<bool>,
    /// What it may become, and when.
    becomes: Option<(bool, Time)>,
}

impl Bounces {
    #[must_use]
    pub fn new(delays: impl IntoIterator<Item = (String, Delays)>) -> Self {
        let bounce = |delays| Bounce { delays, ..Bounce::default() };
        Self(delays.into_iter().map(|(name, delays)| (name, bounce(delays))).collect())
    }

    /// A device is as it is told; what counts now. The first word counts at once. One that is not there is told by
    /// [`Self::gone`].
    pub fn is_up(&mut self, now: Time, device: &str, up: bool) -> bool {
        let Some(bounce) = self.0.get_mut(device) else { return up };
        let Some(counts) = bounce.counts else {
            bounce.counts = Some(up);
            return up;
        };
        if up == counts {
            bounce.becomes = None;
            return counts;
        }
        let delay = if up { bounce.delays.up } else { bounce.delays.down };
        let waits = bounce.becomes.filter(|(becomes, _)| *becomes == up);
        let (_, at) = waits.unwrap_or((up, now + delay));
        if now < at {
            bounce.becomes = Some((up, at));
            return counts;
        }
        (bounce.counts, bounce.becomes) = (Some(up), None);
        up
    }

    /// It is not there: that counts at once, and what it is when it comes back.
    pub fn gone(&mut self, device: &str) {
        if let Some(bounce) = self.0.get_mut(device) {
            (bounce.counts, bounce.becomes) = (None, None);
        }
    }

    /// When a change has lasted.
    #[must_use]
    pub fn deadline(&self) -> Time {
        let waits = self.0.values().filter_map(|bounce| bounce.becomes);
        waits.map(|(_, at)| at).min().unwrap_or(Time::NEVER)
    }

    /// The next device whose change has lasted, and what it is.
    pub fn next(&mut self, now: Time) -> Option<(String, bool)> {
        let lasted = |bounce: &Bounce| bounce.becomes.filter(|(_, at)| now >= *at);
        let mut all = self.0.iter_mut();
        let (name, bounce, up) =
            all.find_map(|(name, it)| lasted(it).map(|(up, _)| (name, it, up)))?;
        (bounce.counts, bounce.becomes) = (Some(up), None);
        Some((name.clone(), up))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Time {
        Time::from_nanos(ms * 1_000_000)
    }

    fn bounces() -> Bounces {
        let delays = Delays { down: Duration::from_millis(100), up: Duration::from_millis(300) };
        Bounces::new([("eth0".to_owned(), delays)])
    }

    #[test]
    fn a_change_counts_when_it_has_lasted_and_one_that_does_not_last_never() {
        let mut all = bounces();
        assert!(all.is_up(ms(0), "eth0", true), "what it is at first counts at once");
        assert!(all.is_up(ms(10), "eth0", false));
        assert_eq!(all.deadline(), ms(110));
        assert!(all.is_up(ms(50), "eth0", true));
        assert_eq!((all.deadline(), all.next(ms(500))), (Time::NEVER, None));
        // Told again and again it does not begin anew.
        assert!(all.is_up(ms(600), "eth0", false) && all.is_up(ms(690), "eth0", false));
        assert_eq!(all.next(ms(699)), None);
        assert_eq!(all.next(ms(700)), Some(("eth0".to_owned(), false)));
        assert!(!all.is_up(ms(710), "eth0", true));
        assert_eq!(all.deadline(), ms(1010));
        assert!(all.is_up(ms(1010), "eth0", true), "it is told when it has lasted");
        assert_eq!(all.next(ms(2000)), None);
    }

    #[test]
    fn one_that_is_gone_counts_at_once_and_one_without_delays_too() {
        let mut all = bounces();
        all.is_up(ms(0), "eth0", true);
        all.is_up(ms(1), "eth0", false);
        all.gone("eth0");
        assert_eq!(all.deadline(), Time::NEVER);
        assert!(!all.is_up(ms(2), "eth0", false));
        assert!(all.is_up(ms(3), "eth1", true) && !all.is_up(ms(3), "eth1", false));
    }
}
