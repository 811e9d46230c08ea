//! Whether an address is lost: held by nobody for longer than a move takes.

use std::collections::BTreeMap;
use std::time::Duration;

use base::Time;

/// Looks at who says that he holds what.
#[derive(Debug, Default)]
pub struct Vigil {
    /// Since when nobody does; none: that was told.
    unheld: BTreeMap<String, Option<Time>>,
}

impl Vigil {
    /// Whether to tell now that nobody has held it for `long`; once until it is held again.
    pub fn look(&mut self, now: Time, object: &str, is_held: bool, long: Duration) -> bool {
        if is_held {
            self.unheld.remove(object);
            return false;
        }
        let since = self.unheld.entry(object.to_owned()).or_insert(Some(now));
        since.take_if(|since| now >= *since + long).is_some()
    }

    /// Somebody said that he took it: whether he holds it is seen later, and he may be gone by then.
    pub fn moved(&mut self, now: Time, object: &str) {
        if let Some(since) = self.unheld.get_mut(object) {
            *since = Some(now);
        }
    }

    /// Whoever was not in office did not look.
    pub fn forget(&mut self) {
        self.unheld.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_is_told_once_and_a_move_is_none() {
        let mut vigil = Vigil::default();
        let mut look = |ms: u64, is_held| {
            let now = Time::from_nanos(ms * 1_000_000);
            vigil.look(now, "vip/a", is_held, Duration::from_secs(5))
        };
        assert!(!look(0, false) && !look(4_999, false), "it may be moving");
        assert!(!look(5_000, true) && !look(6_000, false), "it was");
        assert!(!look(10_999, false) && look(11_000, false));
        assert!(!look(60_000, false), "once");
        assert!(!look(61_000, true) && !look(62_000, false) && look(67_000, false));
    }

    /// It was told that nobody holds it; somebody takes it and is gone before he is seen.
    #[test]
    fn who_takes_it_and_is_gone_at_once_has_lost_it_again() {
        let mut vigil = Vigil::default();
        let s = |seconds: u64| Time::from_nanos(seconds * 1_000_000_000);
        let long = Duration::from_secs(5);
        assert!(!vigil.look(s(0), "vip/a", false, long) && vigil.look(s(5), "vip/a", false, long));
        vigil.moved(s(60), "vip/a");
        assert!(!vigil.look(s(64), "vip/a", false, long), "he may still be seen");
        assert!(vigil.look(s(65), "vip/a", false, long));
        vigil.moved(s(70), "vip/b");
        assert!(!vigil.look(s(71), "vip/b", true, long), "of others nothing is made up");
    }
}
