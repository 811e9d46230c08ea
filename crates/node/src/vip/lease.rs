//! Virtual IPs with a vip lease: one machine (`engine::vip::lease`) for all of them, beside the VRRP of the others.
//!
//! ```text
//!   beats of others ──┐                 ┌─ cells of the gate (the kernel looks at its clock)
//!   devices, scripts ─┼─> VipLease ─────┼─ addresses, gratuitous ARP
//!   orders ───────────┘   (step)        └─ beats, on every network
//! ```
//! What it owes the machine (`docs/decisions/0018`): `now` is read after a beat was received; every cell is written after
//! each step, before its orders are performed; those are performed in order, and all of them before the next step.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use api::{Report, Start};
use base::Time;
use config::cluster::Cluster;
use config::vip::Vip;
use engine::Buffer;
use engine::vip::Input;
use engine::vip::lease::taken::{Answer, Taken};
use engine::vip::lease::{self, Action, BEAT, Config, Fact, SPAN, SeatConfig, VipLease, Voters};
use sys::bpf::gate::{self, Gate};
use sys::netlink::Netlink;
use sys::poll::Ready;

use super::instance::{Instance, Kept};
use super::{Driver, VipError, tell};
use crate::launch::Interfaces;

/// A process that ends speaks once more; its beat may wait for an eighth of one.
const LAST_WORD: Duration = Duration::from_millis(20);

/// Of one node.
pub(super) struct VipLeases {
    pub(super) machine: VipLease,
    /// Which instance a seat is.
    instances: Vec<usize>,
    actions: Buffer<Action>,
    guard: Guard,
    /// The last beat said that nothing is claimed here.
    said_idle: bool,
}

/// The gate and where it has to be.
struct Guard {
    /// None: the kernel does not take it.
    gate: Option<Gate>,
    refused: Option<String>,
    /// Addresses of this node on the cluster's networks.
    own: Vec<IpAddr>,
    /// By name of a device: its number where the gate is on it, or why it is not.
    devices: BTreeMap<String, Result<u32, Option<String>>>,
    taken: Taken,
}

impl VipLeases {
    /// None: no instance has a vip lease.
    pub(super) fn new(
        vips: &[Vip],
        ours: Option<(&Cluster, usize)>,
        start: &Start,
        now: Time,
    ) -> Result<Option<Self>, VipError> {
        let voted = vips.iter().enumerate().filter(|(_, vip)| vip.has_lease);
        let (instances, voted): (Vec<usize>, Vec<&Vip>) = voted.unzip();
        if voted.is_empty() {
            return Ok(None);
        }
        let unable = |why: &str| VipError::Config(vec![format!("no vip lease works: {why}")]);
        let (cluster, me) = ours.ok_or_else(|| unable("there is no secret of the cluster"))?;
        let nodes: Vec<u16> = (0..).zip(cluster.controllers()).map(|(node, _)| node).collect();
        let voters = Voters::new(None, &nodes).ok_or_else(|| unable("too many controllers"))?;
        let config = Config {
            node: u16::try_from(me).map_err(|_many| unable("too many nodes"))?,
            life: start.life,
            closed: start.closed,
            nodes: u16::try_from(nodes.len()).map_err(|_many| unable("too many nodes"))?,
            voters,
            beat: BEAT,
            span: SPAN,
            seats: voted.iter().map(|vip| seat(vip, cluster)).collect(),
        };
        let guard = Guard::new(&voted, cluster, me);
        Ok(Some(Self {
            machine: VipLease::new(&config, now),
            instances,
            actions: Buffer::new(),
            guard,
            said_idle: true,
        }))
    }

    /// The seat of an instance.
    pub(super) fn seat_of(&self, instance: usize) -> Option<usize> {
        self.instances.iter().position(|of| *of == instance)
    }

    pub(super) fn deadline(&self) -> Time {
        self.machine.deadline()
    }

    /// What the kernel lets through from now on.
    fn write_cells(&self) {
        if let Some(gate) = &self.guard.gate {
            (0..self.instances.len()).for_each(|seat| gate.set(seat, self.machine.until(seat)));
        }
    }
}

fn of_leases(instances: &[Instance]) -> impl Iterator<Item = &Vip> {
    instances.iter().filter(|instance| instance.seat.is_some()).map(|instance| &instance.vip)
}

pub(super) fn seat(vip: &Vip, cluster: &Cluster) -> SeatConfig {
    let written = cluster.vips.iter().find(|written| written.name == vip.name);
    let order = written.map(|written| written.order.as_slice()).unwrap_or_default();
    let order = order.iter().filter_map(|node| u16::try_from(*node).ok()).collect();
    SeatConfig { vip: vip.clone(), order }
}

impl Guard {
    fn new(voted: &[&Vip], cluster: &Cluster, me: usize) -> Self {
        let own = cluster.nodes.get(me).map(|node| node.addresses.iter().flatten().copied());
        let addresses: Vec<Vec<_>> = voted
            .iter()
            .map(|vip| vip.addresses.iter().map(|address| address.ip).collect())
            .collect();
        let (gate, refused) = match Gate::open(&addresses) {
            Ok(gate) => (Some(gate), None),
            Err(error) => (None, Some(base::Chain(&error).to_string())),
        };
        let own = own.map(Iterator::collect).unwrap_or_default();
        Self { gate, refused, own, devices: BTreeMap::new(), taken: Taken::default() }
    }

    /// On the devices of the addresses and of the cluster's networks, as they are now: a kernel answers ARP for an
    /// address of one device on another, too.
    fn stand_everywhere<'a>(&mut self, netlink: &Netlink, voted: impl Iterator<Item = &'a Vip>) {
        let (interfaces, links) = (Interfaces::read(), netlink.links().unwrap_or_default());
        let networks = self.own.iter().filter_map(|address| interfaces.of(*address));
        let of_vips = voted.flat_map(Vip::places).map(|(_, _, name)| name.to_owned());
        for name in networks.chain(of_vips).filter(|name| !name.is_empty()) {
            self.devices.entry(name).or_insert(Err(None));
        }
        for name in self.devices.keys().cloned().collect::<Vec<_>>() {
            let link = links.iter().find(|link| link.name == name && !link.loopback);
            self.stand_on(netlink, &name, link.map(|link| link.index));
        }
    }

    /// Puts the gate on a device, which may be new or gone.
    fn stand_on(&mut self, netlink: &Netlink, name: &str, index: Option<u32>) {
        let Some(known) = self.devices.get_mut(name) else { return };
        let (Some(gate), Some(index)) = (&mut self.gate, index) else {
            *known = Err(None);
            return;
        };
        if *known == Ok(index) && gate.is_attached(netlink, index).unwrap_or(false) {
            return;
        }
        let attached = gate.attach(netlink, index);
        *known = attached.map(|()| index).map_err(|error| Some(base::Chain(&error).to_string()));
    }

    /// The gate is on that device no more, as far as is known without asking for another one.
    fn is_missing(&self, netlink: &Netlink, index: u32) -> Option<String> {
        let gate = self.gate.as_ref()?;
        let known = self.devices.iter().find(|(_, known)| **known == Ok(index));
        let (name, _) = known.filter(|_| !gate.is_attached(netlink, index).unwrap_or(true))?;
        Some(name.clone())
    }

    fn leave(&mut self, netlink: &Netlink) {
        let Some(gate) = &mut self.gate else { return };
        for index in self.devices.values().filter_map(|known| known.as_ref().ok()) {
            // What is left of it is taken off by the supervisor.
            let _ = gate.detach(netlink, *index);
        }
    }

    /// Why the kernel does not end vip leases; a device that is not there needs no gate.
    fn not_enforced(&self) -> Option<String> {
        let of = |(name, known): (&String, &Result<u32, Option<String>>)| {
            let why = known.as_ref().err()?.as_ref()?;
            Some(format!("{name}: {why}"))
        };
        self.refused.clone().or_else(|| self.devices.iter().find_map(of))
    }
}

/// What an instance is told, for its seat; none: it means nothing to a vip lease.
fn input<'a>(vip: usize, input: Input<'a>) -> Option<lease::Input<'a>> {
    let fact = |fact| Some(lease::Input::Fact { vip, fact });
    match input {
        Input::Script { index, passed } => fact(Fact::Script { index, passed }),
        Input::Carrier { interface, up } => fact(Fact::Carrier { interface, up }),
        Input::NoDevice { interface } => fact(Fact::NoDevice { interface }),
        Input::Network { .. } => fact(Fact::Network),
        Input::Balancer(balancer) => Some(lease::Input::Balancer(balancer)),
        Input::Standby(on) => Some(lease::Input::Standby(on)),
        Input::Proven { node, dead } => Some(lease::Input::Proven { node, dead }),
        Input::MoveTo { node } => Some(lease::Input::MoveTo { vip, node }),
        Input::Refused => Some(lease::Input::Refused { vip }),
        Input::AddressLost => Some(lease::Input::AddressLost { vip }),
        Input::Stop => Some(lease::Input::Stop),
        Input::Timeout => Some(lease::Input::Timeout),
        Input::Advert { .. }
        | Input::Hello { .. }
        | Input::HandOver(_)
        | Input::PeerLost { .. } => None,
    }
}

impl Driver<'_> {
    /// Before anything else is done: what a process before this one let through is shut. The supervisor gets the means
    /// to shut what this one will.
    pub(super) fn shut_gate(&mut self) {
        let Some(all) = &mut self.vip_leases else {
            if self.wire.is_sealed() {
                // Of a process that died, when the file said something else.
                for link in self.netlink.links().unwrap_or_default() {
                    let _ = gate::detach(&self.netlink, link.index);
                }
            }
            return;
        };
        all.guard.stand_everywhere(&self.netlink, of_leases(&self.instances));
        if let Some(gate) = &all.guard.gate {
            let mut bytes = Vec::with_capacity(64);
            let cells = u16::try_from(all.instances.len()).unwrap_or(u16::MAX);
            api::encode(&Report::Gate { cells }, &mut bytes);
            // The kernel ends what this process opens, whether or not the supervisor can.
            let _unheard = self.channel.send(&bytes, &[gate.fd()]);
        }
        self.tell_enforced();
    }

    /// What a device says about the gate on it, before its carrier lets an address come.
    pub(super) fn guard_device(&mut self, name: &str, index: Option<u32>) {
        if let Some(all) = &mut self.vip_leases {
            all.guard.stand_on(&self.netlink, name, index);
            self.tell_enforced();
        }
    }

    /// An address came: a network of the cluster may be on another device than before.
    pub(super) fn guard_networks(&mut self, came: IpAddr) {
        if let Some(all) = self.vip_leases.as_mut().filter(|all| all.guard.own.contains(&came)) {
            all.guard.stand_everywhere(&self.netlink, of_leases(&self.instances));
            self.tell_enforced();
        }
    }

    /// Somebody may have taken the gate off a device. `lost`: it is not known off which.
    pub(super) fn guard_filters(&mut self, changed: &[u32], lost: bool) {
        let Some(all) = &mut self.vip_leases else { return };
        let now = sys::clock::now();
        let on = all.guard.devices.values().filter_map(|known| known.as_ref().ok().copied());
        let on: Vec<u32> = on.filter(|index| lost || changed.contains(index)).collect();
        for index in on {
            let Some(all) = &mut self.vip_leases else { return };
            let Some(name) = all.guard.is_missing(&self.netlink, index) else { continue };
            let told = match all.guard.taken.answer(now) {
                Answer::PutBack { told } => {
                    all.guard.stand_on(&self.netlink, &name, Some(index));
                    told.filter(|_| all.guard.devices.get(&name) == Some(&Ok(index)))
                }
                Answer::Leave => {
                    let why = "somebody takes it off again and again".to_owned();
                    all.guard.devices.insert(name.clone(), Err(Some(why)));
                    None
                }
            };
            if let Some(times) = told {
                self.tell(&Report::Event(tell::taken(&self.node, &name, times, now)));
            }
            self.tell_enforced();
        }
    }

    fn tell_enforced(&mut self) {
        let Some(all) = &self.vip_leases else { return };
        let why = all.guard.not_enforced();
        let seats = all.instances.clone();
        let told = &self.instances[seats[0]].seat;
        if told.as_ref().is_none_or(|seat| seat.not_enforced == why) {
            return;
        }
        let names: Vec<String> = seats
            .iter()
            .map(|number| format!("vip/{}", self.instances[*number].vip.name))
            .collect();
        self.tell(&Report::Event(tell::enforced(&self.node, &names, why.as_deref())));
        for number in seats {
            if let Some(seat) = &mut self.instances[number].seat {
                seat.not_enforced.clone_from(&why);
            }
            self.tell(&Report::Vip(tell::state(&self.instances[number])));
        }
    }

    pub(super) fn hear_beat(&mut self, from: u16, life: u64, body: &[u8]) {
        self.step_leases(sys::clock::now(), lease::Input::Beat { from, life, body });
    }

    /// What the instance of a seat is told.
    pub(super) fn step_seat(&mut self, seat: usize, now: Time, told: Input<'_>) {
        if let Some(told) = input(seat, told) {
            self.step_leases(now, told);
        }
    }

    pub(super) fn step_leases(&mut self, now: Time, told: lease::Input<'_>) {
        let Some(all) = &mut self.vip_leases else { return };
        all.machine.step(now, told, &mut all.actions);
        all.write_cells();
        let actions = std::mem::take(&mut all.actions);
        let mut refused = Vec::new();
        for action in actions.iter() {
            self.perform_lease(*action, now, &mut refused);
        }
        for vip in refused {
            self.step_leases(sys::clock::now(), lease::Input::Refused { vip });
        }
    }

    /// `refused`: the seats whose addresses the kernel did not take in this step.
    fn perform_lease(&mut self, action: Action, began: Time, refused: &mut Vec<usize>) {
        let seat = match action {
            Action::Close { .. } => return,
            Action::Beat => return self.beat(),
            Action::Claim { vip }
            | Action::Release { vip }
            | Action::Announce { vip }
            | Action::Report { vip } => vip,
        };
        let Some(number) = self.look_at_seat(seat) else { return };
        match action {
            Action::Claim { .. } => {
                self.tell(&Report::Busy);
                let held = self.instances[number].held;
                if !self.claim_behind_gate(number) {
                    refused.push(seat);
                } else if !held {
                    self.note_moved(number, began);
                }
            }
            Action::Release { .. } => {
                self.tell(&Report::Busy);
                let released = self.instances[number].release(&self.netlink);
                self.released(number, began, released);
            }
            Action::Announce { .. } if refused.contains(&seat) => {}
            Action::Announce { .. } => self.instances[number].announce(),
            Action::Report { .. } => {
                self.tell(&Report::Vip(tell::state(&self.instances[number])));
                let fault = self.instances[number].fault_news(began, false);
                if let Some(fault) = fault {
                    let event = tell::fault(&self.instances[number], &self.node, fault);
                    self.tell(&Report::Event(event));
                }
            }
            Action::Close { .. } | Action::Beat => {}
        }
    }

    fn beat(&mut self) {
        if let Some(all) = &mut self.vip_leases {
            all.said_idle = all.machine.is_idle();
            self.wire.beat(&all.machine);
        }
    }

    /// What the seat thinks now, where the instance shows it.
    fn look_at_seat(&mut self, seat: usize) -> Option<usize> {
        let all = self.vip_leases.as_ref()?;
        let number = *all.instances.get(seat)?;
        let (view, heir) = (all.machine.view(seat)?, all.machine.heir(seat));
        let (objection, votes) = (all.machine.objection(seat), all.machine.votes());
        if let Some(seat) = &mut self.instances[number].seat {
            (seat.view, seat.heir, seat.objection, seat.votes) = (view, heir, objection, votes);
        }
        Some(number)
    }

    /// Somebody may have taken the gate off a device meanwhile.
    fn claim_behind_gate(&mut self, number: usize) -> bool {
        if let Some(all) = &mut self.vip_leases {
            all.guard.stand_everywhere(&self.netlink, of_leases(&self.instances));
            self.tell_enforced();
        }
        self.instances[number].claim(&self.netlink)
    }

    fn note_moved(&mut self, number: usize, began: Time) {
        self.instances[number].note_moved();
        let event = tell::event(&self.instances[number], &self.node, &self.nodes, began);
        self.tell(&Report::Event(event));
        self.tell_routes(number);
    }

    fn released(&mut self, number: usize, began: Time, released: Result<(), Kept>) {
        if let Some(seat) = &mut self.instances[number].seat {
            seat.kept = released.is_err();
        }
        match released {
            Ok(()) => self.note_moved(number, began),
            Err(kept) => {
                let event = tell::release_failed(&self.instances[number], &self.node, &kept);
                self.tell(&Report::Event(event));
            }
        }
    }

    /// Gives everything up, says so, and takes the gate off. Others are heard meanwhile.
    pub(super) fn leave_leases(&mut self, ready: &mut Vec<Ready>) -> Result<(), VipError> {
        if self.vip_leases.is_none() {
            return Ok(());
        }
        let end = sys::clock::now() + LAST_WORD;
        self.step_leases(sys::clock::now(), lease::Input::Stop);
        while self.vip_leases.as_ref().is_some_and(|all| !all.said_idle) {
            if sys::clock::now() >= end {
                break;
            }
            self.turn(ready)?;
        }
        let kept = |instance: &Instance| instance.seat.as_ref().is_some_and(|seat| seat.kept);
        if let Some(all) = self.vip_leases.as_mut().filter(|_| !self.instances.iter().any(kept)) {
            all.guard.leave(&self.netlink);
        }
        Ok(())
    }
}
