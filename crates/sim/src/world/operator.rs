//! What operators order: an address is moved, a controller is put at rest and comes back.
//!
//! A command is refused where the product refuses it before anything is done: nobody answers, nobody else
//! could hold, or the holder has not heard that the other one could.

use engine::vip::Input;

use super::World;
use super::queue::Machine;

impl World {
    /// At rest it hands over, holds nothing and is named by nobody, over all restarts.
    pub(super) fn rest(&mut self, host: u16, rests: bool) {
        let mut others = (0..self.controllers).filter(|other| *other != host);
        let has_other = others.any(|other| self.hosts[usize::from(other)].eligible());
        let node = &mut self.hosts[usize::from(host)];
        if host >= self.controllers || !node.vip_acts() || (rests && !has_other) {
            return;
        }
        node.rests = rests;
        self.vip(host, Input::Standby(rests));
        self.plan(host, Machine::Vip);
    }

    /// The holder names that one.
    pub(super) fn move_to(&mut self, host: u16) {
        let node = |host: u16| &self.hosts[usize::from(host)];
        let mut all = 0..self.controllers;
        let holder = all.find(|host| node(*host).held && node(*host).vip_acts());
        let Some(holder) = holder.filter(|holder| *holder != host && host < self.controllers)
        else {
            return;
        };
        if node(host).eligible() && self.has_heard_able(holder, host) {
            self.vip(holder, Input::MoveTo { node: host });
            self.plan(holder, Machine::Vip);
        }
    }
}
