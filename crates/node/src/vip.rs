//! The vip process: performs what `engine::vip` orders, on one real-time thread.
//!
//! ```text
//!   adverts (IP 112) ─┐                        ┌─ addresses (netlink), gratuitous ARP
//!   sealed messages ──┼─> engine::vip::Vip ──> ┼─ adverts, sealed messages
//!   devices, scripts ─┤   one per instance     └─ Report::Vip, Report::Event
//!   orders ───────────┘
//! ```
//! When the supervisor's end of the channel closes, the process hands over and ends: an address
//! without a supervisor would stay with nobody to take it down.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use api::{Report, Start};
use base::Time;
use config::cluster::Cluster;
use engine::Buffer;
use engine::vip::refusals::Refusals;
use engine::vip::{Action, Input, together as held_together};
use sys::channel::Channel;
use sys::netlink::{Monitor, Netlink};
use sys::poll::{Interest, Poller, Ready};

use self::around::Around;
use self::instance::Instance;
use self::lease::VipLeases;
use self::outlet::Outlet;
use self::probe::{PROBES, Probes};
use self::process::Process;
use self::scripts::guard::Refused;
use self::slow::Slow;
use self::tape::Tape;
use self::together::Together;
use self::wire::Wire;
use self::words::Words;
use crate::files::Texts;
use crate::launch::Interfaces;
pub(crate) use error::VipError;

mod around;
mod begin;
mod bfd;
pub(crate) mod closing;
mod devices;
mod error;
mod gate;
mod hear;
mod heir;
mod instance;
pub(crate) mod keys;
mod late;
mod lease;
mod leftovers;
mod line;
pub(crate) mod namespace;
mod orders;
mod outlet;
mod perform;
mod probe;
mod process;
mod promote;
pub(crate) mod put_back;
pub(crate) mod rescue;
pub(crate) mod routes;
mod say;
pub(crate) mod scripts;
mod slow;
mod source;
mod taking;
mod tape;
mod tell;
#[cfg(test)]
mod tests;
mod together;
mod virtual_mac;
mod watch;
mod wire;
mod words;

/// Epoll tokens: the channel, the device monitor, what is tracked, what another thread did, what check scripts say, then sockets.
const CHANNEL: u64 = 0;
const MONITOR: u64 = 1;
const WATCH: u64 = 2;
const SLOW: u64 = 3;
const CHECKS: u64 = 8;
const SOCKETS: u64 = 16;
/// Above the balancer and everything ordinary: a late advert costs all clients.
const PRIORITY: u8 = 50;

/// `fds`: of one that goes on in the place of another.
pub(crate) fn run(
    channel: &Channel,
    mut start: Start,
    texts: Texts,
    fds: Vec<OwnedFd>,
) -> Result<(), VipError> {
    let goes_on = start.heir;
    let mut fds = fds.into_iter().filter(|_| goes_on);
    let (way, cells) = (fds.next().map(Channel::from_fd), fds.next());
    let mut driver = Driver::over(channel.into(), &start, &texts, cells)?;
    let realtime = sys::schedule::realtime(PRIORITY);
    let locked = sys::memory::lock_all();
    if let Some(way) = way {
        // One that is left nothing is not needed: the process before goes on, or its supervisor does something else.
        let Some((left, sockets)) = driver.wait_for_bequest(&way)? else { return Ok(()) };
        start.adopt = driver.inherit(&left, sockets)?;
    }
    driver.tell(&Report::Ready { generation: start.generation });
    // A plain user has neither right: the node then holds its addresses as well as it can.
    if let Err(error) = realtime.and(locked) {
        driver.tell(&Report::Event(tell::ordinary(&start.node, &error)));
    }
    for refused in std::mem::take(&mut driver.refused) {
        let event = tell::disabled(&driver.instances[refused.instance], &start.node, &refused);
        driver.tell(&Report::Event(event));
    }
    driver.begin(&start);
    let ended = driver.serve();
    driver.tape.close();
    ended
}

/// One network namespace: its sockets, its devices, its instances. A node has one, with a supervisor; a process of routers
/// has one for each of them.
struct Driver<'a> {
    line: Outlet<'a>,
    words: Words,
    poller: Poller,
    netlink: Netlink,
    monitor: Monitor,
    instances: Vec<Instance>,
    /// Of those instances that have one.
    vip_leases: Option<VipLeases>,
    wire: Wire,
    probes: Probes,
    together: Together,
    around: Around,
    tape: Tape,
    /// Names of nodes by position.
    nodes: Vec<String>,
    /// Names of the cluster's networks by position.
    networks: Vec<String>,
    /// Those that are proven dead, by position.
    proven: BTreeSet<u16>,
    node: String,
    breaks: Vec<api::Break>,
    actions: Buffer<Action>,
    bytes: Vec<u8>,
    /// Nothing is told of instances yet.
    begins: bool,
    end: Option<End>,
    /// Who waits for what this one leaves.
    heir: Option<heir::Heir>,
    /// Not told yet.
    refused: Vec<Refused>,
    /// What came and was not obeyed.
    refusals: Refusals,
    process: Process,
}

/// How the process ends.
#[derive(Clone, Copy, Eq, PartialEq)]
enum End {
    /// Release, hand over, go.
    Stop,
    /// A successor process has adopted everything.
    Retire,
    /// Another one waits for what this one leaves.
    Succeed,
}

/// Waits for orders and for what the kernel tells.
fn poller(orders: Option<&Channel>, monitor: &Monitor) -> io::Result<Poller> {
    let poller = Poller::new()?;
    if let Some(channel) = orders {
        poller.add(channel.as_fd(), CHANNEL, Interest::READ)?;
    }
    poller.add(monitor.as_fd(), MONITOR, Interest::READ)?;
    Ok(poller)
}

/// Of all nodes, by position.
fn names(cluster: Option<&Cluster>) -> Vec<String> {
    let nodes = cluster.iter().flat_map(|cluster| &cluster.nodes);
    nodes.map(|node| node.name.clone()).collect()
}

/// Of all networks, by position.
fn networks(cluster: Option<&Cluster>) -> Vec<String> {
    cluster.map(|cluster| cluster.networks.clone()).unwrap_or_default()
}

/// The cluster, this node's place in it, and the shared secret; without that there are only RFC timers.
fn ours<'a>(
    mode: api::Mode,
    cluster: Option<&'a Cluster>,
    me: Option<usize>,
    texts: &'a Texts,
) -> Option<(&'a Cluster, usize, &'a [u8])> {
    let secret = texts.secret.as_deref().filter(|_| mode == api::Mode::Adaptive);
    Some((cluster?, me?, secret?))
}

impl<'a> Driver<'a> {
    fn new(outlet: impl Into<Outlet<'a>>, start: &Start, texts: &Texts) -> Result<Self, VipError> {
        Self::over(outlet.into(), start, texts, None)
    }

    /// `cells`: the memory of a gate that is there.
    fn over(
        outlet: Outlet<'a>,
        start: &Start,
        texts: &Texts,
        cells: Option<OwnedFd>,
    ) -> Result<Self, VipError> {
        let loaded = config::load(texts.sources());
        let cluster = loaded.cluster.as_ref();
        let me = cluster.and_then(|c| c.nodes.iter().position(|node| node.name == start.node));
        let monitor = devices::watch(&loaded).map_err(VipError::Netlink)?;
        let interfaces = Interfaces::read();
        let mut vips = namespace::vips(&loaded, me, texts, &interfaces)?;
        let refused = scripts::guard::refuse(&mut vips);
        let poller = poller(outlet.channel(), &monitor).map_err(VipError::Poll)?;
        let (netlink, now) = (Netlink::open().map_err(VipError::Netlink)?, sys::clock::now());
        let ours = ours(start.mode, cluster, me, texts);
        let wire = Wire::new(&vips, ours, start.life);
        let virtual_ips = source::virtual_ips(&vips, &start.leftovers);
        let around = Around::new(&vips, start, &poller, now).map_err(VipError::Poll)?;
        let context = instance::Context {
            cluster,
            me,
            life: start.life,
            begins: start.generation <= 1,
            interfaces: &interfaces,
            ours: ours.is_some(),
            refused: &refused,
            virtual_ips: &virtual_ips,
            slow: around.slow.as_ref().map(Slow::orders),
        };
        let of = ours
            .map(|(cluster, me, secret)| (cluster, me, crate::secret::joined(secret, &start.node)));
        let own = instance::own_addresses(&context);
        let network_of = |device: &str| instance::network_of(device, &own, &interfaces);
        let vip_leases = VipLeases::new(&vips, of, start, &network_of, (cells, now))?;
        let (probes, together) = (Probes::new(&vips), Together::new(&vips));
        let seat = |number: u16| vip_leases.as_ref()?.place_of(usize::from(number));
        let is_adopted = |number: &u16| start.adopt.contains(number);
        let made = |(number, vip)| {
            Instance::new(number, vip, &context, &netlink, is_adopted(&number), seat(number), now)
        };
        let instances: Vec<Instance> = (0..).zip(vips).map(made).collect();
        Ok(Self {
            bytes: outlet.room(),
            line: outlet,
            words: Words::new(),
            poller,
            netlink,
            monitor,
            tape: Tape::start(start, cluster, &instances),
            instances,
            vip_leases,
            wire,
            probes,
            together,
            around,
            nodes: names(cluster),
            networks: networks(cluster),
            proven: BTreeSet::new(),
            node: start.node.clone(),
            breaks: start.breaks.clone(),
            actions: Buffer::new(),
            begins: true,
            end: None,
            heir: None,
            refused,
            refusals: Refusals::default(),
            process: Process::new(now),
        })
    }

    fn breaks(&self, what: api::Break) -> bool {
        self.breaks.contains(&what)
    }

    fn serve(&mut self) -> Result<(), VipError> {
        let mut ready = Vec::with_capacity(32);
        loop {
            while self.end.is_none() {
                self.turn(&mut ready)?;
            }
            if self.end != Some(End::Succeed) {
                break;
            }
            if self.hand_on() {
                return Ok(());
            }
            // Nobody has what this one has: it goes on.
            self.end = None;
        }
        self.leave_leases(&mut ready)?;
        match self.end {
            Some(End::Stop) => {
                self.step_all(Input::Stop);
                self.end_links();
            }
            // Its last word: what the next process adopts.
            Some(End::Retire | End::Succeed) | None => {
                self.tell_states();
            }
        }
        Ok(())
    }

    fn turn(&mut self, ready: &mut Vec<Ready>) -> Result<(), VipError> {
        let now = sys::clock::now();
        let deadline = self.due().min(self.deadline());
        let wait = (deadline != Time::NEVER).then(|| deadline.since(now));
        self.turn_after(wait, ready)
    }

    /// None: waits until something comes.
    fn turn_after(
        &mut self,
        wait: Option<Duration>,
        ready: &mut Vec<Ready>,
    ) -> Result<(), VipError> {
        let due = self.due();
        self.poller.wait(ready, wait).map_err(VipError::Poll)?;
        self.process.woke(sys::clock::now(), due);
        for event in ready.iter() {
            // What comes behind that stays where it is: this process reads it if nobody takes over.
            if self.end == Some(End::Succeed) {
                return Ok(());
            }
            match event.token {
                CHANNEL => self.orders(),
                MONITOR => self.devices(),
                WATCH | SLOW | CHECKS => {}
                token if (bfd::TOKEN..SOCKETS).contains(&token) => self.hear_bfd(token),
                token if token >= PROBES => self.probed(token),
                token => self.packets(token),
            }
        }
        if self.end != Some(End::Succeed) {
            self.pass_time();
        }
        self.around.lost_thread.map_or(Ok(()), |name| Err(VipError::Thread(name)))
    }

    /// When a machine has to be asked next: what others wait for.
    fn due(&self) -> Time {
        let machines = self.instances.iter().filter(|instance| instance.seat.is_none());
        let machines = machines.map(|instance| instance.machine.deadline()).min();
        let voted = self.vip_leases.as_ref().map_or(Time::NEVER, |all| all.machine.deadline());
        machines.unwrap_or(Time::NEVER).min(voted)
    }

    /// When something else is to be done.
    fn deadline(&self) -> Time {
        let gate = self.vip_leases.as_ref().map_or(Time::NEVER, |all| all.guard.again());
        let measures = self.vip_leases.as_ref().map_or(Time::NEVER, |all| all.measures_at);
        let gate = gate.min(measures).min(self.line.deadline(sys::clock::now()));
        let gate = gate.min(self.rests_at()).min(self.around.deadline());
        gate.min(self.wire.deadline()).min(self.refusals.deadline())
    }

    fn pass_time(&mut self) {
        let now = sys::clock::now();
        self.note_late(now);
        for number in 0..self.instances.len() {
            let instance = &self.instances[number];
            if instance.seat.is_none() && now >= instance.machine.deadline() {
                self.step(number, Input::Timeout);
            }
        }
        if self.vip_leases.as_ref().is_some_and(|all| now >= all.deadline()) {
            self.step_leases(now, engine::vip::lease::Input::Timeout);
            self.try_gate_again(now);
        }
        if now >= self.wire.retry_at() {
            self.tell(&Report::Busy);
        }
        self.wire.open_missing(&self.poller, now);
        self.wire.wake(&self.poller, now);
        self.let_rest(now);
        self.measure(now);
        self.note_first_answers(now);
        self.tell_silence(now);
        self.end_probes();
        self.tell_refused(now);
        if let Some(refused) = self.wire.news_of_refused(now) {
            self.tell(&Report::Refused(refused));
        }
        if let Some(all) = &mut self.vip_leases {
            self.process.goes_by(|told| all.electorate_news(told));
        }
        if let Some(told) = self.process.news(now, self.vip_leases.as_mut(), &self.nodes) {
            let report = Report::VipProcess(told);
            self.tell(&report);
            if let Report::VipProcess(told) = report {
                self.process.was_told(told);
            }
        }
        if let Some(lost) = self.line.flush() {
            self.tell(&Report::Event(tell::lost(&self.node, lost)));
            // How it is now, of which some may have been.
            self.tell_states();
        }
        if let Some(event) = self.tape.news(&self.node) {
            self.tell(&Report::Event(event));
        }
        self.pass_time_of_bfd(now);
        self.pass_time_of_devices(now);
        self.hear_slow();
        self.hear_watch();
    }

    fn step(&mut self, number: usize, input: Input<'_>) {
        self.step_at(number, sys::clock::now(), input);
    }

    /// A process that retires holds what it holds: what comes in the same turn would be claimed for nobody. One that is succeeded
    /// reads no more in that turn. One that stops goes on until then, so that it names nobody of whom it has just heard that it is gone.
    fn step_at(&mut self, number: usize, now: Time, input: Input<'_>) {
        if let Some(seat) = &self.instances[number].seat {
            return self.step_seat(seat.place, now, input);
        }
        if self.end == Some(End::Retire) {
            return;
        }
        self.feed(number, now, input);
        if self.instances[number].vip.sync_group.is_some() {
            let of_all = held_together::tells_of_all(&input, &self.actions);
            self.settle(number, now);
            self.tell_of_others(number, of_all);
        } else {
            let actions = std::mem::take(&mut self.actions);
            let mut done = self.done(number, now);
            actions.iter().for_each(|action| self.obey(number, *action, &mut done));
            self.conclude(number, &done);
        }
    }

    /// What the machine orders is in `actions` afterwards.
    fn feed(&mut self, number: usize, now: Time, input: Input<'_>) {
        self.tape.before(now, &self.instances);
        self.instances[number].machine.step(now, input, &mut self.actions);
        self.tape.after(now, &self.instances[number], &input, &self.actions);
    }

    fn step_all(&mut self, input: Input<'_>) {
        for number in 0..self.instances.len() {
            self.step(number, input);
        }
    }
}
