//! One fault after the other, on one cloud: from a healthy cloud to what it cost, and back.

use std::cell::Cell;
use std::io::{self, Write};
use std::net::SocketAddrV4;
use std::path::Path;
use std::time::Duration;

use api::Command;
use base::Time;

use super::case::{Case, Window, ms};
use super::fault::{Fault, Target, mend};
use super::sampler::Sampler;
use super::seen;
use super::sequence::Random;
use crate::client::{Client, Plan, Port};
use crate::cloud::files::Files;
use crate::cloud::network::{Host, VIP};
use crate::cloud::node::{Node, Software};
use crate::cloud::{Cloud, ask};
use crate::cluster::measure::FOLDER;
use crate::wait;
use crate::watch::{Idle, Mac};

/// What our program is called where addresses are held by votes.
pub(crate) const BY_VOTES: &str = "outlast";
/// The sampler's port on the switch; what it asks from is nobody's.
const PROBE: [u8; 4] = [10, 79, 0, 102];
/// The client's, for a service behind the balancer.
const EVERY: Duration = Duration::from_millis(1);
/// As the documents' client.
const LIMIT: Duration = Duration::from_millis(400);
/// How often it is looked whether all is well, and the same where vip processes have to show that they are in time for short beats.
const OFTEN: Duration = Duration::from_millis(10);
const CALMLY: Duration = Duration::from_secs(1);
/// Answers before a fault.
const WARM: u64 = 50;
const SOON: Duration = Duration::from_secs(10);
/// A stock balancer's health takes twenty seconds after it was away.
const PATIENCE: Duration = Duration::from_secs(60);
/// A node remembers for ten seconds that its balancer was lost, and gives the address away at the second loss.
const REMEMBERED: Duration = Duration::from_secs(12);
/// Before a deed: twenty questions and some more.
const BEFORE: Duration = Duration::from_millis(30);
/// After a heal.
const AFTER: Duration = Duration::from_secs(1);
const AFTER_STOCK: Duration = Duration::from_secs(6);
/// An idle thread that comes later than this makes a run doubtful.
const STALL: Duration = Duration::from_millis(5);
/// Of a vip process, where nobody says otherwise.
const BEAT_US: u64 = 10_000;
/// A run on a machine that stands still is done again so often.
const TRIES: u32 = 3;

#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) cloud: Cloud,
    pub(crate) sampler: Sampler,
    /// Plugged in as long as the sampler asks through it.
    _probe: Host,
    pub(crate) idle: Idle,
    program: String,
    realtime: bool,
    /// When a node last lost its balancer.
    lost: Vec<Time>,
    /// Two holders while nothing was looked at.
    between: Cell<u32>,
}

impl Stage {
    /// Brings the cloud up.
    ///
    /// # Errors
    /// When it does not come up.
    pub(crate) fn build(
        files: Files,
        (software, program): (Software, String),
        realtime: bool,
    ) -> io::Result<Self> {
        let api = files.api;
        let mut cloud = Cloud::lay_out(Path::new(FOLDER), files, software, None, realtime)?;
        let probe = Host::plug("probe", &[PROBE.into()])?;
        let sampler = Sampler::start(probe.netns(), SocketAddrV4::new(VIP, api), realtime)?;
        cloud.revive()?;
        let lost = cloud.nodes.iter().map(|_| Time::ZERO).collect();
        let idle = Idle::start(realtime)?;
        let stage = Self {
            cloud,
            sampler,
            _probe: probe,
            idle,
            program,
            realtime,
            lost,
            between: Cell::new(0),
        };
        stage.settle()?;
        Ok(stage)
    }

    /// Everything works, every node grants what is asked for, and one node answers.
    pub(crate) fn settle(&self) -> io::Result<()> {
        self.introduce();
        let mut why = String::new();
        // Questions to all agents each 10 ms make vip processes late on two processors.
        let every = if self.program.ends_with("ms") { CALMLY } else { OFTEN };
        let settled = wait::until_looking(every, PATIENCE, || {
            let illness = self.cloud.illness().or_else(|| self.unready());
            why = illness.clone().unwrap_or_default();
            illness.is_none()
        });
        let words = || self.cloud.nodes.iter().map(Node::last_words).collect::<String>();
        if settled { Ok(()) } else { Err(io::Error::other(format!("{why}{}", words()))) }
    }

    fn unready(&self) -> Option<String> {
        if self.sampler.holder().is_none() {
            let running = self.sampler.is_running();
            return Some(format!("nobody answers alone (the sampler runs: {running})"));
        }
        if !self.is_by_votes() {
            return None;
        }
        // One that has just started says nothing yet, and votes for nobody.
        let votes = |node: &Node| {
            let status = ask::status(&node.folder);
            let vips = status.into_iter().flat_map(|status| status.vips);
            let mut states = vips.map(|vip| vip.state.vip_lease.is_some_and(|state| state.votes));
            states.next().is_some_and(|votes| votes && states.all(|votes| votes))
        };
        if let Some(silent) = self.cloud.nodes.iter().find(|node| node.is_on() && !votes(node)) {
            return Some(format!("{} grants nothing", silent.name));
        }
        // Shorter beats than usual come once all are measured, unless one of them is late too often.
        self.cloud.nodes.iter().filter(|node| node.is_on()).find_map(|node| {
            let beats = ask::status(&node.folder)?.vip_process?.beats?;
            Some(format!("{}: {}", node.name, beats.refused()?))
        })
    }

    /// Whose vip lease was renewed too late since its vip process began: what came meanwhile was dropped.
    fn lapses(&self) -> Vec<String> {
        let of = |node: &Node| {
            let process = ask::status(&node.folder)?.vip_process?;
            let words = process.left.iter().map(|left| format!("{}: {}", node.name, left.words()));
            Some(words.collect::<Vec<_>>())
        };
        self.cloud.nodes.iter().filter(|node| node.is_on()).filter_map(of).flatten().collect()
    }

    fn is_by_votes(&self) -> bool {
        self.program.starts_with(BY_VOTES) && self.program != "outlast-vrrp"
    }

    /// The sampler asks the nodes that are on.
    pub(crate) fn introduce(&self) {
        let hosts = self.cloud.nodes.iter().filter_map(Node::host);
        self.sampler.set_nodes(hosts.map(|host| host.mac).collect());
    }

    pub(crate) fn node(&self, mac: Mac) -> Option<usize> {
        let has = |node: &Node| node.host().is_some_and(|host| host.mac == mac);
        self.cloud.nodes.iter().position(has)
    }

    fn name(&self, mac: Mac) -> Option<String> {
        self.node(mac).map(|node| self.cloud.nodes[node].name.clone())
    }

    /// One fault, with its heal; again, and told, where the machine stood still.
    ///
    /// # Errors
    /// When the cloud does not come back to health, or nobody wants to be told.
    pub(crate) fn one(
        &mut self,
        fault: Fault,
        run: u32,
        say: &mut impl FnMut(&Case) -> io::Result<()>,
    ) -> io::Result<()> {
        for attempt in 1..=TRIES {
            self.settle()?;
            let holder = self.choose(fault, run)?;
            let cases = self.attempt(fault, run, holder)?;
            let stood_still = cases.iter().any(|case| case.stalled_ms > ms(STALL));
            cases.iter().try_for_each(&mut *say)?;
            // Seconds say the same on such a machine.
            let is_slow = self.cloud.software == Software::Stock;
            if !stood_still || is_slow || attempt == TRIES {
                return Ok(());
            }
            writeln!(io::stderr(), "{} run {run}: this machine stood still, again", fault.name())?;
        }
        Ok(())
    }

    /// The holder that is to be hurt: where the heal is looked at, the first and the last node of the order in turn.
    fn choose(&mut self, fault: Fault, run: u32) -> io::Result<usize> {
        let holder = self.holder()?;
        if self.cloud.software == Software::Stock {
            return Ok(holder);
        }
        let last = self.cloud.nodes.len() - 1;
        let wanted = match fault.heal() {
            Some(_) if run.is_multiple_of(2) => 0,
            Some(_) => last,
            None if fault.hurts_proxy() => {
                let oldest = self.lost.iter().enumerate().min_by_key(|(_, at)| **at);
                let recent = sys::clock::now().since(self.lost[holder]) < REMEMBERED;
                oldest.map_or(holder, |(node, _)| if recent { node } else { holder })
            }
            None => holder,
        };
        if fault.hurts_proxy() {
            let free = self.lost[wanted] + REMEMBERED;
            std::thread::sleep(free.since(sys::clock::now()));
        }
        if wanted != holder {
            let (vip, to) = (self.cloud.vip_name(holder)?, self.cloud.nodes[wanted].name.clone());
            self.cloud.command(holder, Command::Move { vip, to })?;
            if !wait::until(SOON, || self.holder().is_ok_and(|holder| holder == wanted)) {
                return Err(io::Error::other("the address does not move"));
            }
        }
        Ok(wanted)
    }

    fn holder(&self) -> io::Result<usize> {
        let nobody = || io::Error::other("nobody answers alone");
        wait::until(SOON, || self.sampler.holder().is_some());
        self.sampler.holder().and_then(|mac| self.node(mac)).ok_or_else(nobody)
    }

    fn attempt(&mut self, fault: Fault, run: u32, holder: usize) -> io::Result<Vec<Case>> {
        let target = Target::find(&mut self.cloud, fault, holder)?;
        let client = Client::start(self.cloud.client().netns(), self.plan(EVERY))?;
        if !wait::until(SOON, || client.answered(Port::Api) >= WARM) {
            drop(client.finish()?);
            return Err(io::Error::other("the client gets no answers before the fault"));
        }
        let before = self.cloud.nodes[holder].name.clone();
        let mut parts = vec![];
        std::thread::sleep(phase(fault, run));
        let begin = self.begin();
        fault.strike(&mut self.cloud, &target)?;
        let struck = sys::clock::now().since(begin);
        sleep_until(begin + fault.watch(&self.cloud.software));
        let (mut case, window) = self.end(begin);
        (case.fault, case.struck_ms, case.before) =
            (fault.name().to_owned(), ms(struck), Some(before.clone()));
        let healed = (case.after.clone(), case.held);
        parts.push((case, window));
        if fault.hurts_proxy() {
            self.lost[holder] = sys::clock::now();
        }
        if fault == Fault::Gone {
            self.cloud.nodes[holder].power_off()?;
        }
        if let Some(name) = fault.heal() {
            parts.push(self.heal(fault, holder, name, healed)?);
        }
        let run_of_client = client.finish()?;
        let lapses = self.lapses();
        mend(&mut self.cloud)?;
        let cases = parts.into_iter().map(|(mut case, window)| {
            case.count(&run_of_client, window);
            if case.failed > 0 {
                case.failures.extend(lapses.iter().cloned());
            }
            case.program.clone_from(&self.program);
            case.run = run;
            case
        });
        Ok(cases.collect())
    }

    /// Undoes it, while the client goes on asking.
    fn heal(
        &mut self,
        fault: Fault,
        node: usize,
        name: &str,
        (held_by, held): (Option<String>, bool),
    ) -> io::Result<(Case, Window)> {
        let begin = self.begin();
        fault.undo(&mut self.cloud, node)?;
        let struck = sys::clock::now().since(begin);
        self.introduce();
        let stock = self.cloud.software == Software::Stock;
        if fault == Fault::Gone {
            // Until it has started.
            wait::until(PATIENCE, || self.cloud.illness().is_none());
        }
        sleep_until(sys::clock::now() + if stock { AFTER_STOCK } else { AFTER });
        let (mut case, window) = self.end(begin);
        let position = |name: &str| self.cloud.nodes.iter().position(|node| node.name == name);
        let other = held_by.as_deref().and_then(position);
        // Who does not hold cannot be told apart from who does where nobody did.
        let order = match other {
            Some(other) if other != node && held => {
                if node < other {
                    "-first"
                } else {
                    "-last"
                }
            }
            Some(_) | None => "-nobody",
        };
        case.fault = if fault == Fault::Split { name.to_owned() } else { format!("{name}{order}") };
        (case.struck_ms, case.before) = (ms(struck), held_by);
        case.heals = Some(fault.name().to_owned());
        Ok((case, window))
    }

    /// From now on it counts; two holders since the last time that was looked at are told with it.
    pub(crate) fn begin(&self) -> Time {
        let between = seen::doubles(&self.sampler.take());
        self.between.set(self.between.get() + between);
        // Answers of a node that works, from before the deed, belong to the record.
        sleep_until(sys::clock::now() + BEFORE);
        let _stalls_before = self.idle.take_worst();
        sys::clock::now()
    }

    /// What was seen since then.
    pub(crate) fn end(&self, from: Time) -> (Case, Window) {
        let end = sys::clock::now();
        let window = Window { from, end, stalled: self.idle.take_worst() };
        let asked = self.sampler.take();
        let mut case = Case::sampled(&asked, window);
        case.doubles_between = self.between.take();
        case.after = seen::holder_at_the_end(&asked).and_then(|mac| self.name(mac));
        (case, window)
    }

    pub(crate) fn plan(&self, interval: Duration) -> Plan {
        Plan {
            api: self.cloud.api(),
            database: None,
            interval,
            limit: LIMIT,
            sessions: 0,
            realtime: self.realtime,
        }
    }

    pub(crate) fn program(&self) -> &str {
        &self.program
    }
}

/// What is done before it keeps step with beats: without this, faults would come at two moments of a beat and at no other.
fn phase(fault: Fault, run: u32) -> Duration {
    let number = Fault::ALL.iter().position(|other| *other == fault).unwrap_or(0);
    let seed = u64::from(run) << 8 | number as u64;
    Duration::from_micros(Random(seed).below(BEAT_US))
}

pub(crate) fn sleep_until(end: Time) {
    std::thread::sleep(end.since(sys::clock::now()));
}
