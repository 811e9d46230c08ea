//! Whether an advert is for an instance, and to be obeyed.

use std::net::IpAddr;

use base::Time;
use config::vip::Protocol;

use super::{Advert, Vip};

impl Vip {
    /// RFC 3768 §7.1 and RFC 9568 §7.1, the part that depends on the instance.
    pub(super) fn admits(&mut self, now: Time, source: IpAddr, advert: &Advert<'_>) -> bool {
        let vip = &self.config.vip;
        let counter = if source == self.config.source {
            return false; // our own, looped back
        } else if advert.router_id != vip.router_id {
            &mut self.counters.router_id
        } else if !vip.unicast_peers.is_empty() && !vip.unicast_peers.contains(&source) {
            &mut self.counters.source
        } else if advert.addresses.is_v6() != vip.is_v6()
            || advert.protocol.version() != vip.protocol.version()
        {
            &mut self.counters.version
        } else if vip.protocol == Protocol::V2 && advert.interval != vip.advert_interval {
            &mut self.counters.interval
        } else if advert.password != vip.password {
            &mut self.counters.password
        } else {
            // keepalived 2.2 drops an advert with another list, 2.4 accepts it: one forgotten line
            // in one file is no reason for two holders.
            let same = |a: &config::vip::Address| {
                a.ip.is_ipv6() != vip.is_v6() || advert.addresses.contains(a.ip)
            };
            self.counters.addresses += u64::from(!vip.advertised().all(same));
            self.counters.obeyed += 1;
            self.counters.other_interval += u64::from(advert.interval != vip.advert_interval);
            let is_ours = self.config.peers.is_empty() || self.peers.spoke(now, source);
            self.counters.foreign += u64::from(!is_ours && self.stranger.stays(now, source));
            return true;
        };
        *counter += 1;
        false
    }
}
