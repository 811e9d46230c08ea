//! Connections to an address that is on another node now.
//!
//! ```text
//!   client ── what it sends ──> the other node: reset                 client, same port again ── SYN ──> this node, later
//!   this node ── what it sent last, again and again ──> nowhere                    <── challenge, and not let in ──'
//! ```
//! What such a connection sent is never acknowledged: the client's answers go to the other node, which resets it there. The kernel of this
//! node keeps it for minutes, and when the address comes back meanwhile, a client that uses the port again is answered with a challenge
//! (RFC 5961 4.2) in place of being let in, and asks again: Linux after some 10 ms, others after a second. So they end as if they had been reset here, too. Idle ones are
//! kept: their clients know of no other node.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api::{VipRole, VipState};
use base::Time;
use sys::netlink::Connections;

use super::names::Names;
use super::{Agent, lock};

/// How long after it went elsewhere: a request under way is answered within that, by who serves it, to nobody.
const LOOKS_FOR: Duration = Duration::from_secs(60);
/// Of one address at one look: the kernel takes some microseconds for each.
const MOST: usize = 2000;
/// Addresses at one look.
const MOST_VIPS: usize = 32;

/// Of all addresses of this node.
#[derive(Debug, Default)]
pub(super) struct Stale {
    /// Since when it is elsewhere, by instance.
    since: BTreeMap<u16, Time>,
    /// Those that this node held.
    held: BTreeMap<u16, bool>,
    connections: Option<Connections>,
    /// The kernel does not end connections.
    refused: bool,
}

impl Stale {
    /// Which instances are to be looked after, with what each now is. `me`: position in the cluster file.
    pub(super) fn learn<'a>(
        &mut self,
        now: Time,
        me: u16,
        states: impl Iterator<Item = &'a VipState>,
    ) -> Vec<u16> {
        for state in states {
            let held = self.held.entry(state.instance).or_default();
            *held |= state.holding;
            let elsewhere = match &state.vip_lease {
                Some(lease) => lease.holder.is_some_and(|holder| holder != me),
                // A backup hears a stronger one, or will take it: who never held it has no connections of it.
                None => *held && state.role == VipRole::Backup,
            };
            if state.holding || !elsewhere {
                self.since.remove(&state.instance);
            } else {
                self.since.entry(state.instance).or_insert(now);
            }
        }
        let recent = self.since.iter().filter(|(_, since)| now.since(**since) <= LOOKS_FOR);
        recent.map(|(instance, _)| *instance).take(MOST_VIPS).collect()
    }

    /// Ends what cannot end otherwise.
    pub(super) fn end(&mut self, names: &Names, instances: &[u16]) {
        let vips = instances.iter().filter_map(|number| names.vips.get(usize::from(*number)));
        let addresses = vips.flat_map(|vip| &vip.addresses).filter_map(|text| text.parse().ok());
        for ip in addresses {
            if self.refused {
                return;
            }
            if self.connections.is_none() {
                self.connections = Connections::open().ok();
            }
            let Some(connections) = &self.connections else { return };
            // It is as without this then.
            self.refused = connections.end_unanswered(ip, MOST).is_err();
        }
    }
}

impl Agent<'_> {
    pub(super) fn end_stale(&mut self, now: Time) {
        let (names, instances) = {
            let core = lock(&self.core);
            let instances = self.stale.learn(now, core.me, core.picture.vips());
            (Arc::clone(&core.picture.files), instances)
        };
        self.stale.end(&names, &instances);
    }
}

#[cfg(test)]
mod tests {
    use api::LeaseState;

    use super::*;

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    fn state(role: VipRole, vip_lease: Option<LeaseState>) -> VipState {
        VipState {
            instance: 0,
            role,
            holding: role == VipRole::Master,
            successor: None,
            successor_life: None,
            cause: None,
            term: 1,
            disabled_scripts: vec![],
            interface: None,
            in_use_by: None,
            vip_lease,
            priority: None,
            took: None,
        }
    }

    fn by_votes(holder: Option<u16>) -> VipState {
        let role = if holder == Some(0) { VipRole::Master } else { VipRole::Backup };
        state(role, Some(LeaseState { holder, ..LeaseState::default() }))
    }

    #[test]
    fn an_address_that_went_elsewhere_is_looked_after_for_a_minute() {
        let mut stale = Stale::default();
        let mut look = |second, holder| stale.learn(at(second), 0, [by_votes(holder)].iter()).len();
        assert_eq!(look(10, Some(0)), 0, "it is here");
        assert_eq!(look(11, None), 0, "nobody has it, and it may come back");
        assert_eq!(look(12, Some(2)), 1);
        assert_eq!(look(72, Some(2)), 1);
        assert_eq!(look(73, Some(2)), 0, "long enough");
        assert_eq!(look(74, Some(0)), 0);
        assert_eq!(look(75, Some(1)), 1, "anew");
    }

    #[test]
    fn of_vrrp_only_one_that_was_here_is_looked_after() {
        let mut stale = Stale::default();
        let mut look = |second, role| stale.learn(at(second), 0, [state(role, None)].iter()).len();
        assert_eq!(look(1, VipRole::Backup), 0);
        assert_eq!(look(2, VipRole::Master), 0);
        assert_eq!(look(3, VipRole::Fault), 0, "nobody may have it");
        assert_eq!(look(4, VipRole::Backup), 1);
    }
}
