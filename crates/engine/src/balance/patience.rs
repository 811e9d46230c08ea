//! How long a connect to a server may be silent.

use std::time::Duration;

/// Of servers of which none was met yet, and of one that is far away: far above any round trip inside a data centre,
/// far below the second in which the kernel repeats a lost SYN.
pub const MOST: Duration = Duration::from_millis(200);
/// Of one that is near: some ten times what a busy machine of ours takes to see that it is connected, and soon enough for a
/// client that is promised an answer within 100 ms of a node's death or return.
pub const LEAST: Duration = Duration::from_millis(50);
/// So many times what connects to it take.
const TIMES: u32 = 4;
/// Of these, smoothed: one slow connect of so many is forgotten.
const SMOOTHED: u32 = 8;

/// What one data thread has seen of one server.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Patience {
    usual: Option<Duration>,
}

impl Patience {
    /// A connect took so long until this thread saw it.
    pub fn connected(&mut self, took: Duration) {
        let usual = self.usual.map(|usual| (usual * (SMOOTHED - 1) + took) / SMOOTHED);
        self.usual = Some(usual.unwrap_or(took));
    }

    /// From here on a second connect is worth its price, and the silence speaks against the server; none: it was never met.
    #[must_use]
    pub fn limit(self) -> Option<Duration> {
        self.usual.map(|usual| (usual * TIMES).clamp(LEAST, MOST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(connects: &[u64]) -> u128 {
        let mut patience = Patience::default();
        connects.iter().for_each(|millis| patience.connected(Duration::from_millis(*millis)));
        patience.limit().unwrap().as_millis()
    }

    #[test]
    fn a_server_is_given_four_times_what_its_connects_take_within_bounds() {
        assert_eq!(Patience::default().limit(), None, "nothing is known of it");
        assert_eq!(after(&[0]), 50);
        assert_eq!(after(&[20; 40]), 80, "another town");
        assert_eq!(after(&[70; 40]), 200);
        assert_eq!(after(&[1, 1, 1, 80]), 50, "one slow one changes little");
        assert_eq!(after(&[70, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]), 50);
    }
}
