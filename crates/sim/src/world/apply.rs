//! Does what a script says to the world.

use std::time::Duration;

use base::Time;
use engine::member;
use engine::vip::{Balancer, Input};

use super::fault::{Fault, Verb};
use super::host::{Power, Process};
use super::mail::StoreWeather;
use super::net::{Frame, Weather};
use super::queue::{Due, Machine};
use super::{MANAGEMENT, NO_TIME, World};

/// Away for longer, a vip process must notice: a greeting missed, and the lateness it allows.
const NOTICED: Duration = Duration::from_millis(800);

impl World {
    pub(super) fn plan_step(&mut self) {
        if let Some((at, _)) = self.script.steps.get(self.next_step) {
            self.queue.push(Time::ZERO + *at, Due::Step);
        }
    }

    pub(super) fn step(&mut self) {
        let (_, fault) = self.script.steps[self.next_step];
        self.next_step += 1;
        self.disturb(fault);
        self.plan_step();
    }

    /// Does it now.
    pub(crate) fn disturb(&mut self, fault: Fault) {
        self.faults += 1;
        self.hash = super::mix(self.hash, fault.verb as u64);
        if let Some(story) = &mut self.story {
            let (at, told) = (self.now.to_string(), fault.tell(&self.names));
            story.push_str(&format!("{at:<9} -- {told}\n"));
        }
        let handed = self.handed.take();
        self.apply(fault);
        // What else is done at the same moment comes after the name was called.
        if self.disturbed_at < self.now {
            self.handed = self.handed.or(handed);
        }
        for host in 0..self.controllers {
            self.inspect_host(host);
        }
    }

    fn apply(&mut self, fault: Fault) {
        let Fault { verb, host, other, side, network, amounts } = fault;
        match verb {
            Verb::Replay => return self.replay(host, network),
            Verb::Forge => return self.forge(host, network),
            // They touch nothing but the store and what acts on it, and who is proven dead.
            Verb::Ask => return self.ask(host, other, amounts[0]),
            Verb::Window => return self.window(host, amounts[0]),
            Verb::KernelKeeps => self.hosts[usize::from(host)].kernel.keeps(amounts[0] != 0),
            Verb::DeposeStore => return self.shake_store(),
            Verb::StoreWeather => return self.store_weather(amounts),
            Verb::Prove | Verb::TakeBack => return self.prove(host, verb == Verb::Prove),
            Verb::DiskLies | Verb::DiskTears | Verb::DiskFull | Verb::SlowDisk | Verb::FlipDisk => {
                return self.harm_disk(fault);
            }
            Verb::BmcPower
            | Verb::BmcLink
            | Verb::BmcLies
            | Verb::BmcLate
            | Verb::Fence
            | Verb::ConfirmOff => return self.touch_bmc(fault),
            Verb::PowerOff => self.power_off(host),
            Verb::PowerOn => self.power_on(host),
            Verb::Pause => self.pause(host),
            Verb::Resume => self.resume(host),
            Verb::Slow => self.slow(host, amounts[0]),
            Verb::KillVip => self.kill_vip(host),
            Verb::FreezeVip => self.freeze(host, Machine::Vip),
            Verb::ThawVip => self.thaw(host, Machine::Vip),
            Verb::KillAgent => self.kill_agent(host),
            Verb::FreezeAgent => self.freeze(host, Machine::Agent),
            Verb::ThawAgent => self.thaw(host, Machine::Agent),
            Verb::KillNode => self.kill_node(host),
            Verb::Stop => self.stop(host),
            Verb::Start => self.start(host),
            Verb::LinkDown => self.link(host, network, false),
            Verb::LinkUp => self.link(host, network, true),
            Verb::Cut => self.nets.cut(network, host),
            Verb::OneWay => {
                self.marks.note(super::Mark::HeardOneWay);
                self.nets.one_way(network, host, other);
            }
            Verb::Part => self.nets.part(network, host, other),
            Verb::Split => self.split(network, side),
            Verb::Join => self.nets.heal(),
            Verb::ReferenceDown | Verb::ReferenceUp => self.reference(network, verb),
            Verb::Weather => {
                let ([lost, doubled], late) = weather(amounts);
                self.nets.weather[usize::from(network)] = Weather { lost, doubled, late };
            }
            Verb::Rest | Verb::Duty => self.rest(host, verb == Verb::Rest),
            Verb::Move => self.move_to(host),
            Verb::BalancerFails => self.balancer(host, Balancer::Failed),
            Verb::BalancerIsReplaced => self.balancer(host, Balancer::Replacing),
            Verb::BalancerServes => self.balancer(host, Balancer::Serving),
            Verb::Drift => {
                self.hosts[usize::from(host)].clock.drift(self.now, amounts[0]);
                self.plan_all(host);
            }
            Verb::Version => self.change_version(host, amounts[0]),
            Verb::SetClock => self.hosts[usize::from(host)].wall += amounts[0],
            Verb::LoseDisk => self.lose_disk(host),
            Verb::Mend => self.mend(),
        }
        self.was_disturbed(verb);
        self.look_around();
    }

    pub(super) fn note_disturbed(&mut self) {
        if self.disturbed_at < self.now {
            self.disturbed_before = self.disturbed_at;
        }
        self.disturbed_at = self.now;
    }

    fn was_disturbed(&mut self, verb: Verb) {
        self.note_disturbed();
        if verb.shakes() {
            self.shaken_at = self.now;
        }
        self.mended_at = (verb == Verb::Mend).then_some(self.now);
    }

    fn shake_store(&mut self) {
        self.store.shaken_at = self.now;
        self.depose_store();
    }

    fn store_weather(&mut self, amounts: [i64; 3]) {
        let ([refused, unanswered], late) = weather(amounts);
        self.store.weather = StoreWeather { refused, unanswered, late };
        self.store.shaken_at = self.now;
    }

    /// What only faults change.
    fn look_around(&mut self) {
        let hindered = |host: &super::Host| host.slow > NO_TIME || host.is_outdated();
        self.is_calm = self.nets.is_calm() && !self.hosts.iter().any(hindered);
        self.count_majorities();
        self.count_alone();
        let whole = |host: &u16| !self.nets.is_cut(MANAGEMENT, *host);
        let all = || (0..self.controllers).filter(whole);
        self.is_torn = all().any(|a| all().any(|b| a != b && !self.nets.carries(MANAGEMENT, a, b)));
    }

    pub(super) fn boot(&mut self, host: u16) {
        self.hosts[usize::from(host)].power = Power::On;
        self.hosts[usize::from(host)].is_stopped = false;
        self.hosts[usize::from(host)].refuses = false;
        self.is_switched_on(host);
        self.read_lives(host);
        self.start_agent(host);
        if host < self.controllers {
            self.start_vip(host);
        }
    }

    fn reference(&mut self, network: u8, verb: Verb) {
        self.nets.reference_down[usize::from(network)] = verb == Verb::ReferenceDown;
    }

    fn power_on(&mut self, host: u16) {
        if self.hosts[usize::from(host)].power == Power::Off {
            self.boot(host);
        }
    }

    fn power_off(&mut self, host: u16) {
        self.forget_inboxes(host);
        let node = &mut self.hosts[usize::from(host)];
        if node.runs() {
            node.ran_until = self.now;
        }
        node.power = Power::Off;
        node.held = false;
        node.tethers.clear();
        node.kernel.is_off();
        node.agent = Process { turn_at: node.agent.turn_at, ..Process::default() };
        node.vip = Process { turn_at: node.vip.turn_at, ..Process::default() };
        node.known.fill(member::Standing::Unknown);
        node.dead = 0;
        self.close_office(host);
        self.disk_loses_power(host);
    }

    fn forget_inboxes(&mut self, host: u16) {
        let node = &mut self.hosts[usize::from(host)];
        node.vip.inbox.clear();
        for (_, _, frame) in std::mem::take(&mut node.agent.inbox) {
            if let Frame::Letter(letter) = frame {
                self.nets.drop_copy(letter);
            }
        }
    }

    fn pause(&mut self, host: u16) {
        let node = &mut self.hosts[usize::from(host)];
        if node.power == Power::On {
            node.power = Power::Paused;
            (node.paused_at, node.ran_until) = (self.now, self.now);
        }
    }

    fn resume(&mut self, host: u16) {
        let node = &mut self.hosts[usize::from(host)];
        if node.power != Power::Paused {
            return;
        }
        node.power = Power::On;
        let gap = self.now.since(node.paused_at);
        // Its supervisor did not count either.
        if let Some(frozen_at) = &mut node.vip.frozen_at {
            *frozen_at = self.now;
        }
        let (vip, agent) = (node.vip_acts(), node.agent_acts());
        if vip {
            self.wake_vip(host);
        }
        if agent {
            self.wake_agent(host, gap);
        }
        self.plan_all(host);
    }

    fn freeze(&mut self, host: u16, machine: Machine) {
        let node = &mut self.hosts[usize::from(host)];
        match machine {
            Machine::Vip if node.vip_acts() => node.vip.frozen_at = Some(self.now),
            Machine::Agent if node.agent_acts() => node.agent.frozen_at = Some(self.now),
            Machine::Vip | Machine::Agent => {}
        }
        self.plan(host, machine);
    }

    fn thaw(&mut self, host: u16, machine: Machine) {
        let node = &mut self.hosts[usize::from(host)];
        if !node.runs() {
            return;
        }
        match machine {
            Machine::Vip => {
                if node.vip.frozen_at.take().is_some() {
                    self.wake_vip(host);
                }
            }
            Machine::Agent => {
                if let Some(since) = node.agent.frozen_at.take() {
                    self.wake_agent(host, self.now.since(since));
                }
            }
        }
        self.plan(host, machine);
    }

    /// Orders of the supervisor and the kernel's news wait beside the packets.
    fn wake_vip(&mut self, host: u16) {
        let local = self.local(host);
        let ear = &mut self.ears[usize::from(host)];
        (ear.woke_at, ear.slept) = (Some(self.now), local.since(ear.stepped_at) > NOTICED);
        let node = &self.hosts[usize::from(host)];
        let (up, balancer) = (node.carrier[0], node.balancer);
        if self.chance.one_in(2) {
            self.vip(host, Input::Timeout);
        }
        while let Some((from, network, frame)) = self.hosts[usize::from(host)].vip.inbox.pop_front()
        {
            self.read(host, from, network, frame);
        }
        self.vip(host, Input::Carrier { interface: 0, up });
        self.vip(host, Input::Balancer(balancer));
        self.is_told_of_deaths(host);
        self.vip(host, Input::Timeout);
    }

    fn wake_agent(&mut self, host: u16, gap: Duration) {
        let local = self.local(host);
        self.oracle.wakes(host, local, gap);
        self.hearing.wakes(host, self.now, gap);
        self.stood_still(host, gap);
        if gap > self.oracle.gap && self.oracle.would_accuse(host, local) {
            self.marks.note(super::Mark::SuspectedItself);
        }
        if self.chance.one_in(2) {
            self.agent(host, member::Input::Timeout);
        }
        self.reads_store(host);
        let carrier = self.hosts[usize::from(host)].carrier;
        for (network, up) in (0..self.nets.count).zip(carrier) {
            self.agent(host, member::Input::Carrier { network, up });
        }
        let inbox = |world: &mut Self| world.hosts[usize::from(host)].agent.inbox.pop_front();
        while let Some((from, network, frame)) = inbox(self) {
            self.read(host, from, network, frame);
        }
        self.agent(host, member::Input::Timeout);
        self.plan_office(host);
    }

    fn slow(&mut self, host: u16, millis: i64) {
        let local = self.local(host);
        self.oracle.is_hindered(host, local);
        let node = &mut self.hosts[usize::from(host)];
        node.slow = Duration::from_millis(u64::try_from(millis).unwrap_or(0));
        node.slowest = node.slowest.max(node.slow);
        if let Some(ear) = self.ears.get_mut(usize::from(host)) {
            ear.hindered_at = Some(self.now);
        }
        self.plan_all(host);
    }

    pub(super) fn kill_vip(&mut self, host: u16) {
        let node = &self.hosts[usize::from(host)];
        if node.vip.machine.is_some() && node.runs() {
            self.bury(host);
        }
    }

    pub(super) fn kill_agent(&mut self, host: u16) {
        let node = &self.hosts[usize::from(host)];
        if node.agent.machine.is_none() || !node.runs() {
            return;
        }
        for (_, _, frame) in std::mem::take(&mut self.hosts[usize::from(host)].agent.inbox) {
            self.drop_frame(frame);
        }
        let node = &mut self.hosts[usize::from(host)];
        node.agent = Process {
            spawn_at: self.now + super::host::SPAWN,
            turn_at: node.agent.turn_at,
            ..Process::default()
        };
        self.close_office(host);
        self.close_tethers(host);
        self.plan(host, Machine::Agent);
    }

    /// What it kept is gone, and its clock is an hour behind: a new board in an old machine.
    fn lose_disk(&mut self, host: u16) {
        let node = &mut self.hosts[usize::from(host)];
        (node.numbered, node.wall) = (0, -3_600_000);
        node.disk.is_replaced();
        node.rests = false;
        self.offices[usize::from(host)].receiver = Default::default();
        self.ledger.lose_disk(host);
        if self.hosts[usize::from(host)].power == Power::Paused {
            // Nothing of what it had in hand goes on beside an empty disk.
            return self.power_off(host);
        }
        self.kill_vip(host);
        self.kill_agent(host);
    }

    fn stop(&mut self, host: u16) {
        let node = &mut self.hosts[usize::from(host)];
        if !node.agent_acts() || (host < self.controllers && !node.vip_acts()) {
            return;
        }
        node.is_stopped = true;
        if host < self.controllers {
            self.vip(host, Input::Stop);
        }
        self.hearing.parts(host);
        self.agent(host, member::Input::Leave);
        self.forget_inboxes(host);
        let node = &mut self.hosts[usize::from(host)];
        node.agent = Process { turn_at: node.agent.turn_at, ..Process::default() };
        node.vip = Process { turn_at: node.vip.turn_at, ..Process::default() };
        node.known.fill(member::Standing::Unknown);
        node.dead = 0;
        self.close_office(host);
        self.close_tethers(host);
    }

    /// An address that it holds would stay with the kernel: scripts do this to a backup.
    fn kill_node(&mut self, host: u16) {
        if !self.hosts[usize::from(host)].runs() {
            return;
        }
        self.forget_inboxes(host);
        let node = &mut self.hosts[usize::from(host)];
        (node.is_stopped, node.refuses) = (true, true);
        node.agent = Process { turn_at: node.agent.turn_at, ..Process::default() };
        node.vip = Process { turn_at: node.vip.turn_at, ..Process::default() };
        node.known.fill(member::Standing::Unknown);
        node.dead = 0;
        self.close_tethers(host);
    }

    fn start(&mut self, host: u16) {
        let node = &self.hosts[usize::from(host)];
        if node.runs() && node.is_stopped {
            self.boot(host);
        }
    }

    fn link(&mut self, host: u16, network: u8, up: bool) {
        let node = &mut self.hosts[usize::from(host)];
        if std::mem::replace(&mut node.carrier[usize::from(network)], up) == up {
            return;
        }
        let (vip, agent) = (node.vip_acts(), node.agent_acts());
        if vip && network == MANAGEMENT {
            self.vip(host, Input::Carrier { interface: 0, up });
            self.plan(host, Machine::Vip);
        }
        let local = self.local(host);
        // Who does not run reads it later, and may do something else before.
        let gap = if up && agent { Duration::MAX } else { NO_TIME };
        self.oracle.wakes(host, local, gap);
        self.hearing.wakes(host, self.now, gap);
        if agent {
            self.agent(host, member::Input::Carrier { network, up });
            self.plan(host, Machine::Agent);
        }
    }

    fn split(&mut self, network: u8, side: u64) {
        let all = u16::try_from(self.hosts.len()).unwrap_or(0);
        for a in (0..all).filter(|host| side & (1 << host) != 0) {
            for b in (0..all).filter(|host| side & (1 << host) == 0) {
                self.nets.part(network, a, b);
            }
        }
    }

    fn balancer(&mut self, host: u16, balancer: Balancer) {
        let node = &mut self.hosts[usize::from(host)];
        node.balancer = balancer;
        if node.vip_acts() {
            self.vip(host, Input::Balancer(balancer));
            self.plan(host, Machine::Vip);
        }
    }

    /// The repair of everything, by people: power, links, processes, clocks, numbers.
    fn mend(&mut self) {
        self.nets.heal();
        self.nets.weather.fill(Weather::default());
        self.store.weather = StoreWeather::default();
        self.take_proofs_back();
        let version = self.hosts[0].version;
        for host in 0..u16::try_from(self.hosts.len()).unwrap_or(0) {
            let node = &mut self.hosts[usize::from(host)];
            node.wall = 0;
            node.numbered = node.largest.into_iter().fold(node.numbered, u64::max);
            node.keep_lives();
            let is_other = std::mem::replace(&mut node.version, version) != version;
            let is_outdated = node.is_outdated() || is_other;
            self.mend_disk(host);
            self.hosts[usize::from(host)].kernel.keeps(false);
            self.mend_bmc(host);
            self.slow(host, 0);
            if self.hosts[usize::from(host)].power == Power::Off {
                self.boot(host);
            }
            self.resume(host);
            self.thaw(host, Machine::Vip);
            self.thaw(host, Machine::Agent);
            self.start(host);
            (0..self.nets.count).for_each(|network| self.link(host, network, true));
            self.balancer(host, Balancer::Serving);
            self.rest(host, false);
            if is_outdated {
                self.kill_agent(host);
                self.kill_vip(host);
            }
        }
    }

    fn plan_all(&mut self, host: u16) {
        self.plan(host, Machine::Agent);
        self.plan(host, Machine::Vip);
        self.plan_office(host);
    }
}

/// Two of a thousand, and a time.
fn weather(amounts: [i64; 3]) -> ([u64; 2], Duration) {
    let [first, second, late] = amounts.map(|amount| u64::try_from(amount).unwrap_or(0));
    ([first, second], Duration::from_millis(late))
}
