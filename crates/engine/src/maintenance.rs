//! Maintenance windows: a time in which what happens to a node, or to all, is planned.
//!
//! A window changes what is *told* and what *recovery may do*. Verdicts stay true, and traffic goes where it goes:
//! a standby is for that. It ends by itself: the key in the store has a time limit by the cluster's clock, and
//! every node asks the wall clock besides, so that a node without the store does not believe in it for ever.

use std::time::Duration;

/// Keys of windows, one per node and one for all.
pub const WINDOWS: &str = "maintenance/";
/// The name that stands for all nodes; no node is called so.
pub const ALL: &str = "cluster";
/// A window of a week that somebody forgot hides a week of losses; more is no maintenance.
pub const MAX_LENGTH: Duration = Duration::from_secs(7 * 24 * 3600);
/// Shorter ones would be over before everybody knows.
pub const MIN_LENGTH: Duration = Duration::from_secs(60);
/// Wall clocks of nodes may differ by this; the store's own limit ends a window in time.
pub const SLACK: Duration = Duration::from_secs(60);

/// When something is planned, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Window<'a> {
    /// None: all nodes.
    pub node: Option<&'a str>,
    pub begin_ms: u64,
    pub end_ms: u64,
}

impl Window<'_> {
    /// Whether it says something about this node now.
    #[must_use]
    pub fn covers(&self, node: &str, now_ms: u64) -> bool {
        let slack = u64::try_from(SLACK.as_millis()).unwrap_or(0);
        let is_on = self.begin_ms <= now_ms.saturating_add(slack)
            && now_ms < self.end_ms.saturating_add(slack);
        is_on && self.node.is_none_or(|name| name == node)
    }
}

/// Where a window for this node, or for all, is in the store.
#[must_use]
pub fn key(node: Option<&str>) -> String {
    format!("{WINDOWS}{}", node.unwrap_or(ALL))
}

/// Whether recovery of what runs on this node may begin now. What was begun before goes on: half a recovery is worse
/// than either.
#[must_use]
pub fn may_recover<'a>(
    mut windows: impl Iterator<Item = Window<'a>>,
    node: &str,
    now_ms: u64,
) -> bool {
    !windows.any(|window| window.covers(node, now_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;

    fn window(node: Option<&str>) -> Window<'_> {
        Window { node, begin_ms: 10 * HOUR, end_ms: 12 * HOUR }
    }

    #[test]
    fn recovery_does_not_begin_for_a_node_in_its_window() {
        let may = |windows: &[Window<'static>], node, hour| {
            may_recover(windows.iter().copied(), node, hour * HOUR)
        };
        assert!(!may(&[window(Some("a"))], "a", 11));
        assert!(may(&[window(Some("a"))], "b", 11), "it is of another node");
        assert!(may(&[window(Some("a"))], "a", 13), "it is over");
        assert!(may(&[window(Some("a"))], "a", 9), "it is to come");
        assert!(!may(&[window(None)], "b", 11), "it is of all nodes");
        assert!(may(&[], "a", 11));
    }

    #[test]
    fn a_clock_that_is_a_little_late_or_early_ends_no_window_too_soon() {
        let a = window(Some("a"));
        assert!(a.covers("a", 12 * HOUR + 59_000) && !a.covers("a", 12 * HOUR + 60_000));
        assert!(a.covers("a", 10 * HOUR - 60_000) && !a.covers("a", 10 * HOUR - 60_001));
    }
}
