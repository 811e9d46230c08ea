//! Routes and rules of an instance that is held, and what somebody else took away of it and stands again.

use std::net::IpAddr;
use std::time::Duration;

use api::{Event, Report};
use base::Time;
use engine::vip::Input;

use sys::netlink::Netlink;

use super::instance::Instance;
use super::{Driver, routes};

/// Whoever takes it away again and again is not told of each time.
const TOLD_EVERY: Duration = Duration::from_secs(10);
/// So many of them are named.
const NAMED: usize = 4;

/// What was put back and is not told yet.
#[derive(Debug, Default)]
pub(crate) struct PutBack {
    what: Vec<String>,
    times: u32,
    told_at: Option<Time>,
}

impl PutBack {
    pub(crate) fn note(&mut self, what: impl IntoIterator<Item = String>) {
        for what in what {
            self.times = self.times.saturating_add(1);
            if !self.what.contains(&what) {
                self.what.push(what);
            }
        }
    }

    /// When something is to be told, if something is.
    pub(crate) fn deadline(&self) -> Time {
        let told = self.told_at.filter(|_| self.times > 0);
        told.map_or(Time::NEVER, |told| told + TOLD_EVERY)
    }

    /// What is to be told now, in words.
    pub(crate) fn news(&mut self, now: Time) -> Option<String> {
        let is_early = self.told_at.is_some_and(|told| now.since(told) < TOLD_EVERY);
        if self.times == 0 || is_early {
            return None;
        }
        self.told_at = Some(now);
        let what = std::mem::take(&mut self.what);
        let more = what.len().saturating_sub(NAMED);
        let named = what.into_iter().take(NAMED).collect::<Vec<_>>().join("; ");
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let times = match std::mem::take(&mut self.times) {
            1 => String::new(),
            times => format!(", {times} times in all"),
        };
        Some(format!("{named}{more}{times}"))
    }
}

impl Instance {
    /// It is held, and routes or rules go with it.
    pub(super) fn has_ways(&self) -> bool {
        self.held && !self.vip.ways.is_empty()
    }

    /// Of one that is held: those that are missing; which they were.
    pub(super) fn make_ways(&mut self, netlink: &Netlink) -> Vec<String> {
        let done = routes::make(netlink, &self.vip.ways);
        self.routes_refused = done.failed.join("; ");
        done.made
    }

    /// As the event log knows it.
    pub(super) fn ways_were_refused(&self) -> bool {
        !self.routes_told.is_empty()
    }

    /// What the kernel did not do with routes, if the event log does not know it yet; empty: it did all.
    pub(super) fn routes_news(&mut self) -> Option<String> {
        let is_news = self.routes_refused != self.routes_told;
        self.routes_told.clone_from(&self.routes_refused);
        // Of an address that went, only what stays is of interest.
        let is_news = is_news && (self.held || !self.routes_refused.is_empty());
        is_news.then(|| self.routes_refused.clone())
    }
}

impl Driver<'_> {
    pub(super) fn tell_put_back(&mut self, number: usize) {
        if let Some(what) = self.instances[number].put_back.news(sys::clock::now()) {
            let event = event(&self.instances[number], &self.node, &what);
            self.tell(&Report::Event(event));
        }
    }

    /// An address of an instance is gone that it holds.
    pub(super) fn put_address_back(&mut self, number: usize, ip: IpAddr) {
        let is_there = |driver: &Self| {
            let there = driver.netlink.addresses().unwrap_or_default();
            there.iter().any(|address| address.ip == ip)
        };
        // What this program takes off to make it anew is there again.
        let was_there = is_there(self);
        self.step(number, Input::AddressLost);
        if !was_there && self.instances[number].held && is_there(self) {
            self.instances[number].put_back.note([ip.to_string()]);
            self.tell_put_back(number);
        }
    }
}

fn event(instance: &Instance, node: &str, what: &str) -> Event {
    Event {
        at_ms: sys::clock::wall_ms(),
        node: node.to_owned(),
        what: "vip-put-back".to_owned(),
        object: format!("vip/{}", instance.vip.name),
        evidence: format!("{what}: gone, and not by this program"),
        decision: "put it back: the address is held here".to_owned(),
        action: "it stands again".to_owned(),
        ..Event::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_it_away_again_and_again_is_told_of_at_times_with_the_number() {
        let at = |seconds: u64| Time::from_nanos(seconds * 1_000_000_000);
        let mut put_back = PutBack::default();
        assert_eq!(put_back.news(at(1)), None);
        put_back.note(["10.0.0.9".to_owned()]);
        assert_eq!(put_back.news(at(1)).as_deref(), Some("10.0.0.9"));
        for _ in 0..3 {
            put_back.note(["10.0.0.9".to_owned(), "a route".to_owned()]);
            assert_eq!(put_back.news(at(5)), None);
        }
        assert_eq!(put_back.news(at(11)).as_deref(), Some("10.0.0.9; a route, 6 times in all"));
        assert_eq!(put_back.news(at(30)), None);
        put_back.note((0..6).map(|number| format!("r{number}")));
        let told = put_back.news(at(40));
        assert_eq!(told.as_deref(), Some("r0; r1; r2; r3 and 2 more, 6 times in all"));
    }
}
