//! Connections between controllers, which a kernel closes when a process ends: the hint may be lost, late, or false.

use super::net::{Frame, Packet};
use super::queue::Machine;
use super::version::Version;
use super::{MANAGEMENT, World};

impl World {
    /// A controller connects to another one, where that is possible; of the former version none lets anybody in.
    pub(super) fn tie(&mut self, host: u16, to: u16, network: u8) {
        let is_former = |at: u16| self.hosts[usize::from(at)].version == Version::Former;
        let is_up = |at: u16| self.hosts[usize::from(at)].carrier[usize::from(network)];
        let reaches = self.nets.joins(network, host, to) && is_up(host) && is_up(to);
        let node = &self.hosts[usize::from(to)];
        // Whose process stands still is let in by its kernel.
        let is_there = node.power != super::Power::Off && node.agent.machine.is_some();
        if !reaches || !is_there || is_former(host) || is_former(to) {
            return;
        }
        let node = &mut self.hosts[usize::from(to)];
        node.tethers.retain(|known| *known != (host, network));
        node.tethers.push((host, network));
        self.tell_tether((to, host), network, true);
    }

    /// The agent of a host has ended, and its kernel lives on.
    pub(super) fn close_tethers(&mut self, host: u16) {
        for (from, network) in std::mem::take(&mut self.hosts[usize::from(host)].tethers) {
            self.tell_tether((host, from), network, false);
        }
    }

    /// Somebody in between ends a connection, or says so.
    pub(super) fn cut_tether(&mut self, host: u16) {
        let of = u16::try_from(self.chance.below(u64::from(self.controllers))).unwrap_or(0);
        let network = if self.chance.permille(500) { MANAGEMENT } else { self.nets.count - 1 };
        if host < self.controllers && of != host {
            let frame = Frame::Tether { of, holds: false };
            self.send(Packet { from: host, to: host, network, frame });
        }
    }

    fn tell_tether(&mut self, (of, to): (u16, u16), network: u8, holds: bool) {
        self.send(Packet { from: of, to, network, frame: Frame::Tether { of, holds } });
    }

    /// The agent reads what its kernel says of a connection.
    pub(super) fn read_tether(&mut self, host: u16, (of, network): (u16, u8), holds: bool) {
        self.agent(host, engine::member::Input::Tether { node: of, network, holds });
        self.plan(host, Machine::Agent);
    }

    /// A kernel refuses: what is concluded from it may be.
    pub(super) fn refuse(&mut self, host: u16, to: u16, network: u8) {
        self.hosts[usize::from(host)].has_refused = true;
        self.send(Packet { from: host, to, network, frame: Frame::Refusal });
    }

    /// Nobody is taken for gone of whom no kernel said so, however many connections are closed.
    pub(super) fn judge_refusal(&mut self, host: u16, of: u16) {
        if !self.hosts[usize::from(of)].has_refused {
            let what = format!("takes host {of} for gone, whose kernel refused nobody");
            self.fail("S detection", host, &what);
        }
    }
}
