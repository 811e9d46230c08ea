//! Scenario files on the simulator: milliseconds for what takes the lab seconds, and every property of the
//! world is judged beside what the file expects.

use std::time::Duration;

use base::Time;
use engine::verdict::Verdict;
use scenario::{Cloud, Deed, Failure, Look, Record, Scenario, Sight, StoreSight, Told};

use crate::world::{Fault, Script, Verb, Violation, Watched};

mod many;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Between two writes of the client.
const WRITE_EVERY: Duration = Duration::from_millis(50);
/// Until everybody hears everybody and the first node holds the virtual IP.
const BOOT: Duration = Duration::from_secs(6);

/// Runs a file in a simulated cloud.
///
/// # Errors
/// The line that was not kept, or the property of the world that did not hold while it was read.
pub fn run(scenario: &Scenario, seed: u64) -> Result<Record, Failure> {
    if scenario.computes > 0 {
        return many::run(scenario, seed);
    }
    let script = Script {
        seed,
        controllers: small(scenario.nodes.len()),
        computes: 0,
        networks: scenario.networks.clone(),
        preempt: false,
        detect: scenario.detect,
        // `engine::packet` tests seals, and sweeps open them: without, a run is twice as fast.
        sealed: false,
        references: false,
        steps: vec![],
        length: BOOT,
    };
    let members: Vec<u16> = scenario.store.iter().map(|node| small(*node)).collect();
    let (world, written_at) = (Watched::begin(&script, &members), Time::ZERO);
    let mut cloud = Simulated { world, members, written_at };
    if let Err(violation) = cloud.world.pass(BOOT) {
        let (line, text) = (0, "everything is switched on".to_owned());
        return Err(Failure { line, text, at: Duration::ZERO, what: words(&violation) });
    }
    scenario::run(scenario, &mut cloud, Duration::ZERO)
}

/// Nodes and networks are few.
fn small(number: usize) -> u16 {
    u16::try_from(number).expect("a scenario has at most 64 nodes")
}

fn words(violation: &Violation) -> String {
    format!("{}: {}", violation.property, violation.what)
}

#[derive(Debug)]
struct Simulated {
    world: Watched,
    /// Of the store, whose processes a client asks in turn.
    members: Vec<u16>,
    /// When it last did.
    written_at: Time,
}

impl Simulated {
    fn hosts(&self) -> std::ops::Range<u16> {
        0..small(self.world.names().hosts.len())
    }
}

impl Cloud for Simulated {
    fn now(&self) -> Duration {
        self.world.now().since(Time::ZERO)
    }

    fn pass(&mut self, at_most: Duration) -> Result<(), String> {
        let now = self.world.now();
        if now.since(self.written_at) >= WRITE_EVERY
            && let Some(first) = self.members.first().copied()
        {
            self.written_at = now;
            self.members.rotate_left(1);
            self.world.write(first);
        }
        self.world.pass(at_most.min(LOOK_EVERY)).map_err(|violation| words(&violation))
    }

    fn act(&mut self, deed: &Deed) -> Result<(), String> {
        let all = self.hosts();
        for fault in faults(deed, all.end) {
            self.world.disturb(fault).map_err(|violation| words(&violation))?;
        }
        Ok(())
    }

    fn look(&mut self) -> Look {
        let sight =
            |(verdict, cells): (Verdict, Vec<bool>)| Sight { verdict: told(verdict), cells };
        let view = |host| {
            let thoughts = self.world.thoughts(host)?;
            Some(thoughts.into_iter().map(sight).collect())
        };
        let holds = self.hosts().map(|host| self.world.holds(host)).collect();
        Look { views: self.hosts().map(view).collect(), holds }
    }

    fn store(&mut self) -> StoreSight {
        let node = |host: Option<u16>| host.map(usize::from);
        let seen = self.world.leaders().into_iter();
        let (leaders, coordinators) = seen.map(|(one, two)| (node(one), node(two))).unzip();
        let written = self.world.written().map(|at| at.since(Time::ZERO));
        StoreSight { leaders, coordinators, written }
    }

    fn lost(&mut self) -> Option<Vec<String>> {
        Some(self.world.lost_writes())
    }

    fn told(&mut self) -> Vec<Told> {
        let opinions = self.world.take_opinions().into_iter();
        let one = |(who, of, verdict)| Told {
            who: usize::from(who),
            of: usize::from(of),
            verdict: told(verdict),
        };
        opinions.map(one).collect()
    }
}

fn told(verdict: Verdict) -> scenario::Verdict {
    match verdict {
        Verdict::Unknown => scenario::Verdict::Unknown,
        Verdict::Alive => scenario::Verdict::Alive,
        Verdict::Suspect => scenario::Verdict::Suspect,
        Verdict::CutOff { networks } => {
            scenario::Verdict::CutOff(networks.iter().map(usize::from).collect())
        }
        Verdict::Unreachable => scenario::Verdict::Unreachable,
        Verdict::Leaving => scenario::Verdict::Leaving,
        Verdict::ProvenDead(_) => scenario::Verdict::ProvenDead,
    }
}

/// What a deed is in the words of the world, which knows one network at a time.
fn faults(deed: &Deed, hosts: u16) -> Vec<Fault> {
    let host = |verb, node: &usize| vec![Fault::at(verb, small(*node))];
    let of = |verb, node: &usize, network: &usize| Fault {
        network: u8::try_from(*network).unwrap_or(0),
        ..Fault::at(verb, small(*node))
    };
    let on = |verb, node: &usize, networks: &[usize]| {
        networks.iter().map(|network| of(verb, node, network)).collect()
    };
    let between = |verb, (one, two): (&usize, &usize), networks: &[usize]| {
        let fault = |network| Fault { other: small(*two), ..of(verb, one, network) };
        networks.iter().map(fault).collect()
    };
    match deed {
        Deed::PowerOff(node) => host(Verb::PowerOff, node),
        Deed::PowerOn(node) => host(Verb::PowerOn, node),
        Deed::KillNode(node) => host(Verb::KillNode, node),
        // Its other processes notice and do the same as at an orderly end.
        Deed::KillSupervisor(node) | Deed::Stop(node) => host(Verb::Stop, node),
        Deed::KillAgent(node) => host(Verb::KillAgent, node),
        Deed::Pause(node) => host(Verb::Pause, node),
        Deed::Resume(node) => host(Verb::Resume, node),
        Deed::Start(node) => host(Verb::Start, node),
        Deed::LinkDown(node, networks) => on(Verb::LinkDown, node, networks),
        Deed::LinkUp(node, networks) => on(Verb::LinkUp, node, networks),
        Deed::Cut(node, networks) => on(Verb::Cut, node, networks),
        Deed::OneWay(from, to, networks) => between(Verb::OneWay, (from, to), networks),
        Deed::Part(one, two, networks) => between(Verb::Part, (one, two), networks),
        Deed::Split(side, networks) => {
            let side: u64 = side.iter().filter(|node| small(**node) < hosts).map(|n| 1 << n).sum();
            let fault = |network| Fault { side, ..of(Verb::Split, &0, network) };
            networks.iter().map(fault).collect()
        }
        // The judge names the node.
        Deed::Leader(_) => vec![],
        Deed::Join => vec![Fault::of(Verb::Join)],
        Deed::Mend => vec![Fault::of(Verb::Mend)],
    }
}
