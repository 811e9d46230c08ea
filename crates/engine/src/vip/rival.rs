//! What follows from the word of somebody who holds, or held.

use std::net::IpAddr;
use std::time::Duration;

use base::Time;

use super::{Action, Cause, Delay, ECHO, Rank, Search, State, Vip};
use crate::Buffer;

impl Vip {
    /// Somebody says that it is master, or (priority 0) no longer; an advert says its interval.
    pub(super) fn hear(
        &mut self,
        now: Time,
        from: Rank,
        interval: Option<Duration>,
        out: &mut Buffer<Action>,
    ) {
        if from.priority > 0 {
            self.search = Search::OVER;
        }
        let until = now + self.skew();
        let living = self.interval * 2;
        match &mut self.state {
            // Somebody of the group has it, and nobody else.
            State::Fault if from.priority > 0 => self.facts.taken_until(Time::ZERO),
            State::Fault | State::Stopped => {}
            State::Backup { take_over_at, not_before, reason } => {
                if from.priority == 0 {
                    self.obeyed.forget(from.address);
                    if self.obeyed.within(now, living).next().is_some() {
                        return; // of two that do not hear each other, the other one goes on
                    }
                    let sooner = (*take_over_at).min(until).max(*not_before);
                    if sooner < *take_over_at {
                        (*take_over_at, *reason) = (sooner, Cause::Goodbye);
                    }
                } else if !self.config.vip.preempt || from.priority >= self.priority() {
                    if from.priority >= self.priority() {
                        self.delay = Delay::default();
                    }
                    self.obey(now, from.address, interval);
                } else if self.peers.have(from.address) {
                    // Weaker, and ours: it will name us. A claim would make two for a moment.
                    self.learn(interval);
                    self.follow(now);
                } else if self.delay.runs(now, from.address, self.config.vip.preempt_delay) {
                    self.obey(now, from.address, interval);
                }
                // A weaker master of somebody else, that we may preempt: the timer runs on (RFC 3768
                // §6.4.2).
            }
            State::Master { since, heir_of, .. } => {
                let (since, heir_of) = (*since, *heir_of);
                if from.priority == 0 {
                    // It let go of what clients may have found at it.
                    self.answer(now, out);
                } else if !self.is_echo(now, since, heir_of, from.address) {
                    self.settle(now, from, interval, out);
                }
            }
        }
    }

    /// Whether a router that says of itself that it holds the address, by an advert that was obeyed, is weaker than this
    /// node, which holds it and goes on.
    #[must_use]
    pub fn outdoes(&self, now: Time, source: IpAddr, priority: u8) -> bool {
        let State::Master { since, heir_of, .. } = self.state else { return false };
        priority > 0
            && !self.is_echo(now, since, heir_of, source)
            && Rank { priority, address: source } <= self.rank()
    }

    /// What the node said that named this one, before it let go.
    fn is_echo(&self, now: Time, since: Time, heir_of: Option<u16>, source: IpAddr) -> bool {
        now.since(since) < self.at_most(ECHO)
            && heir_of.is_some_and(|node| self.peers.owns(node, source))
    }

    /// Two masters: both act, in an order that ends with the winner's gratuitous ARP.
    fn settle(
        &mut self,
        now: Time,
        rival: Rank,
        interval: Option<Duration>,
        out: &mut Buffer<Action>,
    ) {
        if rival > self.rank() {
            out.push(Action::Release);
            // Not a claim: the winner may not have heard of us, and must know that clients did.
            out.push(Action::Advertise { priority: self.priority() });
            self.cause = Some(Cause::Stronger);
            self.obey(now, rival.address, interval);
        } else {
            self.answer(now, out);
        }
    }
}
