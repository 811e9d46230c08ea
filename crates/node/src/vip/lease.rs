//! Virtual IPs with a vip lease: one machine (`engine::vip::lease`) for all of them, beside the VRRP of the others.
//!
//! ```text
//!   beats of others ──┐                 ┌─ cells of the gate (the kernel looks at its clock)
//!   devices, scripts ─┼─> VipLease ─────┼─ addresses, gratuitous ARP
//!   orders ───────────┘   (step)        └─ beats, on every network
//! ```
//! What it owes the machine (`docs/decisions/0018`): `now` is read after a beat was received; every cell is written after
//! each step, before its orders are performed; those are performed in order, and all of them before the next step.

use std::os::fd::OwnedFd;
use std::time::Duration;

use api::{LeaseLeft, Report, Start};
use base::Time;
use config::cluster::Cluster;
use config::vip::Vip;
use engine::Buffer;
use engine::vip::Input;
use engine::vip::lease::{
    self, Action, BEAT, CALM, Config, Fact, MAX_SEATS, Rule, SPAN, SeatConfig, VipLease, Voters,
    pace,
};
use engine::vip::silence::Silence;
use sys::poll::Ready;

use super::gate::Guard;
use super::instance::{Instance, Kept};
use super::taking::Taking;
use super::{Driver, End, VipError, tell};

/// A process that ends speaks once more; its beat may wait for an eighth of one.
const LAST_WORD: Duration = Duration::from_millis(20);

/// How often the machine is told how late its process is: a thousandth changes no faster.
const MEASURED_EACH: Duration = Duration::from_secs(1);

/// What has been given up stays behind its filters for so long: the kernel holds the lock of all networks while it takes
/// them off, and who follows on this same kernel (nodes in containers) needs that lock to take the address.
const HANDED_OVER: Duration = Duration::from_millis(50);

/// What came of the claims of one step, by seat.
#[derive(Clone, Copy, Debug, Default)]
struct Done {
    /// The kernel did not take them.
    refused: Seats,
    taken: Seats,
}

/// Some of [`MAX_SEATS`].
#[derive(Clone, Copy, Debug, Default)]
struct Seats(u64);

const _: () = assert!(MAX_SEATS <= 64, "a bit for each");

impl Seats {
    const fn add(&mut self, seat: usize) {
        self.0 |= 1 << seat;
    }

    const fn has(self, seat: usize) -> bool {
        self.0 & (1 << seat) != 0
    }

    fn iter(self) -> impl Iterator<Item = usize> {
        (0..MAX_SEATS).filter(move |seat| self.has(*seat))
    }
}

/// Of one node.
pub(super) struct VipLeases {
    pub(super) machine: VipLease,
    /// Which instance a seat is: first those that this node may hold.
    pub(super) instances: Vec<usize>,
    /// So many of them.
    pub(super) own: usize,
    actions: Buffer<Action>,
    pub(super) guard: Guard,
    /// The last beat said that nothing is claimed here.
    said_idle: bool,
    silence: Silence,
    /// When it is told next how late it is.
    pub(super) measures_at: Time,
    /// How late the process before was, until it is known of this one.
    pub(super) usual: Option<Duration>,
    /// As it was told.
    wish: Option<Duration>,
    /// What was least left of each own seat, since that was told.
    least: [Option<Duration>; MAX_SEATS],
}

impl VipLeases {
    /// None: no instance has a vip lease.
    pub(super) fn new(
        vips: &[Vip],
        ours: Option<(&Cluster, usize)>,
        start: &Start,
        network_of: &dyn Fn(&str) -> Option<u8>,
        (cells, now): (Option<OwnedFd>, Time),
    ) -> Result<Option<Self>, VipError> {
        let own = vips.iter().enumerate().filter(|(_, vip)| vip.has_lease && !vip.votes_only);
        let others = vips.iter().enumerate().filter(|(_, vip)| vip.votes_only);
        let (instances, voted): (Vec<usize>, Vec<&Vip>) = own.clone().chain(others).unzip();
        let own = own.count();
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
            networks: u8::try_from(cluster.networks.len()).unwrap_or(u8::MAX),
            voters,
            beat: cluster.vip_beat,
            span: pace::span(cluster.vip_beat),
            referred: cluster
                .reference
                .iter()
                .map(|point| bit(point.network))
                .fold(0, |a, b| a | b),
            settle: cluster.detect,
            calm: CALM,
            seats: seats(&voted, cluster, network_of),
        };
        let (goes_on, guard) = (cells.is_some(), Guard::new(&voted[..own], cluster, me, cells));
        if goes_on && guard.gate.is_none() {
            let why = guard.not_enforced().unwrap_or_default();
            let why = format!("the gate cannot be taken over: {why}");
            return Err(VipError::Config(vec![why]));
        }
        let silence = Silence::new(config.nodes, SPAN, BEAT * 2, now);
        Ok(Some(Self {
            machine: VipLease::new(&config, now),
            instances,
            own,
            actions: Buffer::new(),
            guard,
            said_idle: true,
            silence,
            measures_at: now,
            usual: None,
            wish: None,
            least: [None; MAX_SEATS],
        }))
    }

    /// The seat of an instance.
    pub(super) fn seat_of(&self, instance: usize) -> Option<usize> {
        self.instances.iter().position(|of| *of == instance)
    }

    pub(super) fn deadline(&self) -> Time {
        self.machine.deadline().min(self.guard.again())
    }

    /// What the kernel lets through from now on.
    /// Of each own seat that is held, what is left of its vip lease.
    fn left(&self, now: Time) -> impl Iterator<Item = (usize, Duration)> {
        let until = (0..self.own.min(MAX_SEATS)).map(|seat| (seat, self.machine.until(seat)));
        // Who holds without a majority has no end.
        let held = until.filter(|(_, until)| *until > Time::ZERO && *until < Time::NEVER);
        held.map(move |(seat, until)| (seat, until.since(now)))
    }

    pub(super) fn holds(&self) -> bool {
        self.left(Time::ZERO).next().is_some()
    }

    /// Before it is renewed: that is when it is least.
    fn note_left(&mut self, now: Time) {
        for seat in 0..self.own.min(MAX_SEATS) {
            let until = self.machine.until(seat);
            if until > Time::ZERO && until < Time::NEVER {
                let left = until.since(now);
                let least = self.least[seat].unwrap_or(left);
                self.least[seat] = Some(least.min(left));
            }
        }
    }

    /// Into memory that has room for all seats.
    pub(super) fn tell_left(&mut self, now: Time, told: &mut Vec<LeaseLeft>) {
        let micros = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        told.extend(self.left(now).map(|(seat, left)| LeaseLeft {
            instance: u16::try_from(self.instances[seat]).unwrap_or(u16::MAX),
            left_us: micros(left),
            least_us: micros(self.least[seat].map_or(left, |least| least.min(left))),
        }));
        self.least = [None; MAX_SEATS];
    }

    fn write_cells(&self) {
        if let Some(gate) = &self.guard.gate {
            (0..self.own).for_each(|seat| gate.set(seat, self.machine.until(seat)));
        }
    }
}

fn bit(network: usize) -> u8 {
    u32::try_from(network).ok().and_then(|network| 1_u8.checked_shl(network)).unwrap_or(0)
}

pub(super) fn of_leases(instances: &[Instance]) -> impl Iterator<Item = &Vip> {
    let own = instances.iter().filter(|it| it.seat.is_some() && !it.vip.votes_only);
    own.map(|instance| &instance.vip)
}

/// `network_of`: which network of the cluster is on a device.
pub(super) fn seat(
    vip: &Vip,
    cluster: &Cluster,
    network_of: &dyn Fn(&str) -> Option<u8>,
) -> SeatConfig {
    let written = cluster.vips.iter().find(|written| written.name == vip.name);
    let order = written.map(|written| written.order.as_slice()).unwrap_or_default();
    let order = order.iter().filter_map(|node| u16::try_from(*node).ok()).collect();
    let network = written.and_then(|written| match &written.interface {
        Some(device) => network_of(device),
        // It is on the device of its network, also of one that is not there yet.
        None => u8::try_from(written.network).ok(),
    });
    // As long as a backup of VRRP takes to miss a holder, so long a cold start listens for one.
    let (listens, rule) = (vip.advert_interval * 3, Rule::default());
    SeatConfig {
        vip: vip.clone(),
        order,
        network,
        listens,
        needs_proof: written.is_some_and(|written| written.needs_proof),
        last_man: written.and_then(|written| written.last_man),
        rule,
    }
}

/// All of them, each with its place beside the others.
fn seats(
    voted: &[&Vip],
    cluster: &Cluster,
    network_of: &dyn Fn(&str) -> Option<u8>,
) -> Vec<SeatConfig> {
    let written = |name: &str| cluster.vips.iter().find(|written| written.name == name);
    let seat_of = |name: &str| voted.iter().position(|vip| vip.name == name);
    let ruled = |vip: &&Vip| {
        let seat = seat(vip, cluster, network_of);
        let Some(written) = written(&vip.name) else { return seat };
        // A group has the number of the first address that is in it.
        let group = written.spread.as_ref().and_then(|group| {
            let first = cluster.vips.iter().position(|other| other.spread.as_ref() == Some(group));
            u16::try_from(first?).ok()
        });
        let others = written.apart_from.iter().filter_map(|other| cluster.vips.get(*other));
        let apart = others.filter_map(|other| u32::try_from(seat_of(&other.name)?).ok());
        let apart = apart.fold(0, |all, at| all | 1_u64.checked_shl(at).unwrap_or(0));
        SeatConfig { rule: Rule { group, apart, follows: written.follows }, ..seat }
    };
    voted.iter().map(ruled).collect()
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
        Input::Measure { index, weight } => fact(Fact::Measure { index, weight }),
        Input::Advert { .. }
        | Input::Hello { .. }
        | Input::HandOver(_)
        | Input::InUse { .. }
        | Input::Together(_)
        | Input::PeerLost { .. } => None,
    }
}

impl Driver<'_> {
    /// A device that one of the cluster's networks is on can be used, or cannot.
    pub(super) fn link_of_network(&mut self, device: &str, up: bool) {
        for network in 0..self.networks.len() {
            let is_on =
                self.vip_leases.as_ref().is_some_and(|all| all.guard.is_on(network, device));
            if let Some(network) = u8::try_from(network).ok().filter(|_| is_on) {
                self.step_leases(sys::clock::now(), lease::Input::Link { network, up });
            }
        }
    }

    /// The agent of this node hears that of another one, or does not.
    pub(super) fn agent_heard(&mut self, name: &str, heard: bool) {
        let position = self.nodes.iter().position(|known| known == name);
        if let Some(node) = position.and_then(|position| u16::try_from(position).ok()) {
            self.step_leases(sys::clock::now(), lease::Input::Agent { node, heard });
        }
    }

    pub(super) fn hear_beat(&mut self, network: u8, from: u16, life: u64, body: &[u8]) {
        self.step_leases(sys::clock::now(), lease::Input::Beat { network, from, life, body });
    }

    /// What the instance of a seat is told.
    pub(super) fn step_seat(&mut self, seat: usize, now: Time, told: Input<'_>) {
        if let Some(told) = input(seat, told) {
            self.step_leases(now, told);
        }
    }

    pub(super) fn step_leases(&mut self, now: Time, told: lease::Input<'_>) {
        let Some(all) = &mut self.vip_leases else { return };
        all.note_left(now);
        all.machine.step(now, told, &mut all.actions);
        all.write_cells();
        let actions = std::mem::take(&mut all.actions);
        let (mut looks, mut done) = (true, Done::default());
        for action in actions.iter() {
            if matches!(action, Action::Claim { .. }) && std::mem::take(&mut looks) {
                // Somebody may have taken it off a device meanwhile. Once for all claims: a vip lease is short.
                self.look_at_gate();
            }
            self.perform_lease(*action, now, &mut done);
        }
        for seat in done.taken.iter() {
            if let Some(number) = self.look_at_seat(seat) {
                self.note_moved(number, now);
            }
        }
        for vip in done.refused.iter() {
            self.step_leases(sys::clock::now(), lease::Input::Refused { vip });
        }
    }

    fn perform_lease(&mut self, action: Action, began: Time, done: &mut Done) {
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
                let instance = &mut self.instances[number];
                let held = instance.held;
                if !instance.claim(&self.netlink) {
                    done.refused.add(seat);
                } else if !held {
                    let gained = instance.seat.as_ref().and_then(|seat| seat.view.gained);
                    instance.taking = Some(Taking::by_votes(gained, began));
                    // Told when all of the step is done: neighbours and other addresses wait for that.
                    done.taken.add(seat);
                }
            }
            Action::Release { .. } => {
                self.tell(&Report::Busy);
                self.instances[number].taking = None;
                let released = self.instances[number].release(&self.netlink);
                self.released(number, began, released);
            }
            Action::Announce { .. } if done.refused.has(seat) => {}
            Action::Announce { .. } => {
                self.instances[number].announce();
                self.instances[number].note_announced();
            }
            Action::Report { .. } => {
                self.tell_state(number);
                let fault = self.instances[number].fault_news(began, false);
                if let Some(fault) = fault {
                    self.tell_fault(number, fault);
                }
                if let Some(alone) = self.instances[number].alone_news() {
                    let event = tell::alone(&self.instances[number], &self.node, alone);
                    self.tell(&Report::Event(event));
                }
                if let Some(awaited) = self.instances[number].awaits_news() {
                    let event =
                        tell::unproven(&self.instances[number], &self.node, &self.nodes, awaited);
                    self.tell(&Report::Event(event));
                }
            }
            Action::Close { .. } | Action::Beat => {}
        }
    }

    /// Of whom nothing is heard any more, and of whom something is again.
    pub(super) fn tell_silence(&mut self, now: Time) {
        let Some(all) = &mut self.vip_leases else { return };
        all.silence.look(now);
        while let Some(all) = &mut self.vip_leases
            && let Some((node, silent)) = all.silence.news(|node| all.machine.heard(node))
        {
            self.tell(&Report::Silence { node, silent });
        }
    }

    /// How late this process is once in a thousand times, and what came of that.
    pub(super) fn measure(&mut self, now: Time) {
        let Some(all) = self.vip_leases.as_mut().filter(|all| now >= all.measures_at) else {
            return;
        };
        all.measures_at = now + MEASURED_EACH;
        let usual = self.process.lateness.usual().or(all.usual);
        self.step_leases(now, lease::Input::Late(usual));
        let Some(all) = &mut self.vip_leases else { return };
        let pace = all.machine.pace();
        let is_known = pace.usual.is_some() && pace.wanted < BEAT;
        if is_known && all.wish.replace(pace.wish) != Some(pace.wish) {
            self.tell(&Report::Event(tell::beats(&self.node, &pace)));
        }
    }

    fn beat(&mut self) {
        if let Some(all) = &mut self.vip_leases {
            all.said_idle = all.machine.is_idle();
            self.wire.beat(&all.machine);
        }
    }

    /// What the seat thinks now, where the instance shows it.
    pub(super) fn look_at_seat(&mut self, seat: usize) -> Option<usize> {
        let all = self.vip_leases.as_ref()?;
        let number = *all.instances.get(seat)?;
        let (view, heir) = (all.machine.view(seat)?, all.machine.heir(seat));
        let (objection, votes) = (all.machine.objection(seat), all.machine.votes());
        let failed = all.machine.failed(seat);
        if let Some(seat) = &mut self.instances[number].seat {
            (seat.view, seat.heir, seat.objection, seat.votes) = (view, heir, objection, votes);
            seat.failed = failed;
        }
        Some(number)
    }

    fn note_moved(&mut self, number: usize, began: Time) {
        self.instances[number].note_moved();
        self.tell_moved(number, began);
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
        let hands_over = self.vip_leases.as_ref().is_some_and(|all| !all.said_idle);
        let end = sys::clock::now() + LAST_WORD;
        self.step_leases(sys::clock::now(), lease::Input::Stop);
        while self.vip_leases.as_ref().is_some_and(|all| !all.said_idle) {
            if sys::clock::now() >= end {
                break;
            }
            self.turn(ready)?;
        }
        if hands_over && self.end == Some(End::Stop) {
            std::thread::sleep(HANDED_OVER);
        }
        let kept = |instance: &Instance| instance.seat.as_ref().is_some_and(|seat| seat.kept);
        if let Some(all) = self.vip_leases.as_mut().filter(|_| !self.instances.iter().any(kept)) {
            all.guard.leave(&self.netlink);
        }
        Ok(())
    }
}
