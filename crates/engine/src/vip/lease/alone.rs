//! Whether a node is the last one: it hears nobody, and nothing says that it is the one which is cut off.

use base::Time;

use super::beat::Reach;

/// See the module. Asked only where an operator allowed it (`last_man`): nothing here tells a cluster whose other nodes are
/// gone from one that is cut in two.
#[derive(Clone, Copy, Debug)]
pub(super) struct Alone {
    /// Since when no vip beat of anybody came.
    since: Option<Time>,
    /// Bits of nodes whose agents are heard by the agent of this one.
    agents: u32,
    /// Bits of networks of this node whose devices cannot be used.
    down: u8,
    /// Bits of networks with reference points.
    referred: u8,
    /// This node holds something without a majority.
    pub holds: bool,
}

impl Alone {
    pub(super) const fn new(referred: u8) -> Self {
        Self { since: None, agents: 0, down: 0, referred, holds: false }
    }

    pub(super) fn listens(&mut self, now: Time, hears_nobody: bool) {
        self.since = hears_nobody.then(|| self.since.unwrap_or(now));
    }

    pub(super) const fn since(&self) -> Option<Time> {
        self.since
    }

    pub(super) const fn hears_nobody(&self) -> bool {
        self.since.is_some() && self.agents == 0
    }

    pub(super) fn hears_agent(&mut self, node: u16, heard: bool) {
        let bit = 1_u32.checked_shl(u32::from(node)).unwrap_or(0);
        self.agents = if heard { self.agents | bit } else { self.agents & !bit };
    }

    pub(super) const fn links(&mut self, network: u8, up: bool) {
        let bit = if network < 8 { 1 << network } else { 0 };
        self.down = if up { self.down & !bit } else { self.down | bit };
    }

    /// All of its networks have a carrier; of the reference points one answers, on each of `networks` that has any.
    pub(super) fn is_well(&self, networks: u8, reach: Reach) -> bool {
        let asked = self.referred & networks;
        let answers = if asked == 0 {
            self.referred == 0 || reach.reached & self.referred != 0
        } else {
            reach.reached & asked == asked
        };
        self.down == 0 && answers
    }
}
