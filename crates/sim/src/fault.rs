//! What can be done to the cloud.

use base::Time;
use engine::member;
use engine::vip::{Balancer, Input};

use crate::network::{NETWORKS, Weather};
use crate::node::Power;
use crate::{Chance, Sim};

impl Sim {
    /// The node goes dark: nothing says goodbye.
    pub fn cut_power(&mut self, name: &str) {
        let index = self.find(name);
        self.disturb(index, "loses power");
        let node = &mut self.nodes[index];
        node.power = Power::Off;
        (node.vip, node.agent, node.frozen_at) = (None, None, None);
        (node.held, node.spawn_at) = (false, Time::NEVER);
        node.inbox.clear();
    }

    /// The node boots, with its links up unless they were taken down.
    pub fn give_power(&mut self, name: &str) {
        let index = self.find(name);
        if self.nodes[index].power == Power::Off {
            self.disturb(index, "has power");
            self.boot(index);
        }
    }

    /// SIGKILL: the supervisor buries it and starts a new one.
    pub fn kill_vip(&mut self, name: &str) {
        let index = self.find(name);
        if self.nodes[index].vip.is_some() && self.nodes[index].runs() {
            self.bury(index, "loses its vip process");
        }
    }

    /// SIGSTOP: the supervisor notices after a while.
    pub fn freeze_vip(&mut self, name: &str) {
        let index = self.find(name);
        if self.nodes[index].acts() {
            self.disturb(index, "has its vip process frozen");
            self.nodes[index].frozen_at = Some(self.now);
        }
    }

    /// SIGCONT, if the supervisor has not killed it.
    pub fn thaw_vip(&mut self, name: &str) {
        let index = self.find(name);
        if self.nodes[index].runs() && self.nodes[index].frozen_at.is_some() {
            self.disturb(index, "has its vip process thawed");
            self.nodes[index].frozen_at = None;
            self.read_inbox(index);
        }
    }

    /// The whole machine stands still, as a virtual machine that is moved.
    pub fn pause(&mut self, name: &str) {
        let index = self.find(name);
        if self.nodes[index].runs() {
            self.shake(index, "stands still");
            self.nodes[index].power = Power::Paused;
        }
    }

    /// It goes on; its processes find old packets and late timers.
    pub fn resume(&mut self, name: &str) {
        let index = self.find(name);
        if self.nodes[index].power == Power::Paused {
            self.shake(index, "goes on");
            self.nodes[index].power = Power::On;
            if let Some(frozen_at) = &mut self.nodes[index].frozen_at {
                *frozen_at = self.now; // its supervisor did not count either
            } else {
                self.read_inbox(index);
            }
            self.agent(index, member::Input::Timeout);
        }
    }

    /// Orders of the supervisor and the kernel's news wait beside the packets.
    fn read_inbox(&mut self, index: usize) {
        let (up, balancer) = (self.nodes[index].carrier[0], self.nodes[index].balancer);
        while let Some((network, frame)) = self.nodes[index].inbox.pop_front() {
            self.read(index, network, frame);
        }
        self.vip(index, Input::Carrier { interface: 0, up });
        self.vip(index, Input::Balancer(balancer));
        self.vip(index, Input::Timeout);
    }

    /// Its link to the network of the address loses the carrier.
    pub fn link_down(&mut self, name: &str) {
        self.link(name, false);
    }

    pub fn link_up(&mut self, name: &str) {
        self.link(name, true);
    }

    fn link(&mut self, name: &str, up: bool) {
        let index = self.find(name);
        if self.nodes[index].carrier[0] == up {
            return;
        }
        self.disturb(index, if up { "has its link back" } else { "loses its link" });
        self.nodes[index].carrier[0] = up;
        if self.nodes[index].acts() {
            self.vip(index, Input::Carrier { interface: 0, up });
        }
        self.agent(index, member::Input::Carrier { network: 0, up });
    }

    /// What the supervisor says about the balancer of this node.
    pub fn balancer(&mut self, name: &str, balancer: Balancer) {
        let index = self.find(name);
        if self.nodes[index].balancer == balancer {
            return;
        }
        let state = format!("{balancer:?}").to_lowercase();
        self.disturb(index, &format!("has its balancer {state}"));
        self.nodes[index].balancer = balancer;
        if self.nodes[index].acts() {
            self.vip(index, Input::Balancer(balancer));
        }
    }

    /// The program ends in order.
    pub fn stop(&mut self, name: &str) {
        let index = self.find(name);
        if self.nodes[index].acts() {
            self.disturb(index, "is stopped");
            self.vip(index, Input::Stop);
            self.nodes[index].vip = None;
            self.agent(index, member::Input::Leave);
            self.nodes[index].agent = None;
        }
    }

    /// The program starts again after [`Sim::stop`].
    pub fn start(&mut self, name: &str) {
        let index = self.find(name);
        if self.nodes[index].runs() && self.nodes[index].vip.is_none() {
            self.disturb(index, "is started");
            self.boot(index);
        }
    }

    /// The switch of one network forgets the node; its carrier stays.
    pub fn cut(&mut self, name: &str, network: u8) {
        let index = self.find(name);
        self.shake(index, &format!("is cut from network {network}"));
        self.network.cut(index, network);
    }

    /// The two do not hear each other on one network.
    pub fn part(&mut self, a: &str, b: &str, network: u8) {
        let (a, b) = (self.find(a), self.find(b));
        let other = self.nodes[b].name.clone();
        self.shake(a, &format!("is apart from {other} on network {network}"));
        self.network.part(a, b, network);
    }

    /// Both networks fall into these nodes and all others.
    pub fn split(&mut self, side: &[&str]) {
        let inside: Vec<usize> = side.iter().map(|name| self.find(name)).collect();
        self.shake_all(&format!("split off: {}", side.join(", ")));
        for a in &inside {
            for b in (0..self.nodes.len()).filter(|b| !inside.contains(b)) {
                (0..NETWORKS).for_each(|network| self.network.part(*a, b, network));
            }
        }
    }

    /// All cuts are mended.
    pub fn heal(&mut self) {
        self.shake_all("the networks are whole");
        self.network.heal();
    }

    pub fn weather(&mut self, weather: Weather) {
        self.shake_all(&format!("{weather:?}"));
        self.network.weather = weather;
    }

    /// For random scenarios: the same seed as everything else.
    pub const fn chance(&mut self) -> &mut Chance {
        &mut self.chance
    }

    pub(crate) fn disturb(&mut self, index: usize, what: &str) {
        self.disturbed_at = self.now;
        let what = format!("-- {} {what}", self.nodes[index].name);
        self.note(&what);
    }

    fn shake(&mut self, index: usize, what: &str) {
        self.shaken_at = self.now;
        self.disturb(index, what);
    }

    fn shake_all(&mut self, what: &str) {
        (self.disturbed_at, self.shaken_at) = (self.now, self.now);
        self.note(&format!("-- {what}"));
    }

    fn note(&mut self, what: &str) {
        let at = self.now.to_string();
        self.log += &format!("{at:<8} {what}\n");
    }

    fn find(&self, name: &str) -> usize {
        let found = self.nodes.iter().position(|node| node.name == name);
        found.unwrap_or_else(|| panic!("there is no node {name}"))
    }
}
