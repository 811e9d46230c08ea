//! What the supervisor orders.

use std::collections::BTreeSet;
use std::io;

use api::{Change, Order, Report, Standing};
use engine::vip::{Balancer, Input};
use sys::channel::Channel;

use super::heir::Heir;
use super::{Driver, End};

impl Driver<'_> {
    pub(super) fn orders(&mut self) {
        let Some(channel) = self.line.channel() else { return };
        let mut fds = Vec::new();
        loop {
            match channel.receive(&mut self.bytes, &mut fds) {
                Ok(0) => {
                    self.end = Some(End::Stop);
                    return;
                }
                Ok(length) => match api::decode::<Order>(&self.bytes[..length]) {
                    Ok(Order::Keys) => self.wire.renew(fds.pop()),
                    Ok(Order::Succeed { oldest, newest }) => {
                        let way = fds.pop().map(Channel::from_fd);
                        self.heir = way.map(|way| Heir { way, oldest, newest });
                        self.end = Some(End::Succeed);
                        return;
                    }
                    Ok(order) => self.order(&order),
                    Err(_) => {}
                },
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {
                    self.end = Some(End::Stop);
                    return;
                }
            }
        }
    }

    /// What was counted; `clear`: counting begins anew.
    pub(super) fn counted(&mut self, clear: bool) -> Vec<api::VipCounts> {
        let counts = self.instances.iter().map(super::Instance::counted).collect();
        if clear {
            self.instances.iter_mut().for_each(|one| one.counts = api::VipCounts::default());
        }
        counts
    }

    /// Exactly these are proven dead.
    fn proven(&mut self, names: &[String]) {
        let position = |name: &String| self.nodes.iter().position(|other| other == name);
        let at = names.iter().filter_map(position).filter_map(|at| u16::try_from(at).ok());
        let now: BTreeSet<u16> = at.collect();
        let before = std::mem::replace(&mut self.proven, now.clone());
        for node in before.symmetric_difference(&now) {
            self.step_all(Input::Proven { node: *node, dead: now.contains(node) });
        }
    }

    /// Of all networks, those of which nothing is known too.
    fn references(&mut self, references: &api::References) {
        let names = self.networks.clone();
        for (network, name) in (0..).zip(&names) {
            let answers = if references.answering.contains(name) {
                Some(true)
            } else {
                references.silent.contains(name).then_some(false)
            };
            let told = engine::vip::lease::Input::Reference { network, answers };
            self.step_leases(sys::clock::now(), told);
        }
    }

    fn move_to(&mut self, number: usize, node: u16) {
        if number < self.instances.len() {
            self.step(number, Input::MoveTo { node });
        }
    }

    fn anywhere(&mut self, number: usize) {
        if let Some(at) = self.vip_leases.as_ref().and_then(|all| all.place_of(number)) {
            let told = engine::vip::lease::Input::Anywhere { vip: at.seat };
            self.step_leases(sys::clock::now(), told);
        }
    }

    fn coordinates(&mut self, on: bool) {
        self.step_leases(sys::clock::now(), engine::vip::lease::Input::Coordinates(on));
    }

    fn order(&mut self, order: &Order) {
        match order {
            Order::Ping(number) => self.tell(&Report::Pong(*number)),
            Order::Stop => self.end = Some(End::Stop),
            Order::GiveUp { instances } => {
                for number in instances.iter().map(|number| usize::from(*number)) {
                    if number < self.instances.len() {
                        self.step(number, Input::Stop);
                    }
                }
            }
            Order::Retire => self.end = Some(End::Retire),
            Order::Change(Change::Balancer(state)) => {
                let balancer = match state {
                    api::BalancerState::Serving => Balancer::Serving,
                    api::BalancerState::Replacing | api::BalancerState::Absent => {
                        Balancer::Replacing
                    }
                    api::BalancerState::Failed => Balancer::Failed,
                };
                self.step_all(Input::Balancer(balancer));
            }
            Order::Change(Change::Node(state)) => {
                let gone = matches!(state.standing, Standing::Suspect | Standing::Left);
                let position = self.nodes.iter().position(|name| *name == state.node);
                let node = position.filter(|_| gone).and_then(|p| u16::try_from(p).ok());
                if let Some(node) = node {
                    self.step_all(Input::PeerLost { node });
                }
                self.agent_heard(&state.node, state.standing == Standing::Alive);
            }
            Order::Change(Change::Duty(duty)) => self.step_all(Input::Standby(!duty.is_on())),
            Order::Change(Change::Proven(names)) => self.proven(names),
            Order::Change(Change::References(references)) => self.references(references),
            Order::Change(Change::Coordinates(on)) => self.coordinates(*on),
            Order::Change(Change::Voters(list)) => self.voters(list.as_ref()),
            Order::Count { clear } => {
                let counts = self.counted(*clear);
                self.tell(&Report::Counts(counts));
            }
            Order::Move { instance, to } => self.move_to(usize::from(*instance), *to),
            Order::Anywhere { instance } => self.anywhere(usize::from(*instance)),
            Order::Change(
                Change::Servers(_)
                | Change::Choice(_)
                | Change::Vip(_)
                | Change::Process(_)
                | Change::Dashboard(_)
                | Change::Store(_)
                | Change::Refused(_)
                | Change::Adverts(_)
                | Change::VipProcess(_)
                | Change::Silence { .. },
            )
            | Order::Start(_)
            | Order::Activate
            | Order::Drain
            | Order::Succeed { .. }
            | Order::Keys
            | Order::Refused { .. }
            | Order::Use { .. }
            | Order::Relay(..) => {}
        }
    }
}
