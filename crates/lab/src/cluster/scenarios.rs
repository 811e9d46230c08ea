//! Scenario files on real processes in namespaces; the simulator runs the same files.
//!
//! All files of one call run one after the other on one cluster, which is mended in between. A file that asks
//! who holds the virtual IP finds all machines freshly switched on, since nobody takes it back.

use std::io::{self, Write};
use std::net::IpAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use api::Event;
use base::Time;
use scenario::{
    Cloud, Deed, Failure, Look, Record, Scenario, Sight, StoreSight, Told, Verdict, View,
};
use sys::netlink::Netlink;

use super::measure::{FOLDER, complain, inside};
use super::stored::Client;
use super::turns::Turns;
use super::{Cluster, Plan};
use crate::cloud::node::OWN;
use crate::wait;
use crate::watch::Idle;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// A start takes half a second; a busy machine needs more.
const PATIENCE: Duration = Duration::from_secs(60);
/// A file that is not kept while a process, or a thread that only sleeps, got no turn for so long is run once
/// more: agents missed beats then, and what they said was of the machine.
const STALL: Duration = Duration::from_millis(150);
/// Runs of one call that may be done once more.
const REPEATS: usize = 4;
/// The virtual IP: on the first network, held by the first node after a start.
const VIP: std::net::Ipv4Addr = std::net::Ipv4Addr::new(10, 79, 0, 40);

/// Real processes that scenarios are run on.
#[derive(Debug)]
pub struct Stage {
    cluster: Cluster,
    /// Events before this one were seen.
    heard: usize,
    /// When the file began, by the wall clock (ms): what was told before is of no interest, however late
    /// it comes.
    begin_ms: u64,
    /// Who is off or stands still: it answers no client, whatever its kernel holds.
    still: Vec<bool>,
    /// Of the store, where the file has one.
    client: Option<Client>,
}

/// Why a file was not kept.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    #[error("{0}")]
    Failure(Failure),
    #[error("the cluster did not become well: {0}")]
    Illness(String),
    #[error("cannot make the cluster")]
    Io(#[from] io::Error),
}

impl Stage {
    /// A cluster as a file wants it, with nothing running.
    ///
    /// # Errors
    /// Without the right to make networks.
    pub fn lay_out(folder: &Path, program: &Path, scenario: &Scenario) -> Result<Self, StageError> {
        let detect = format!("detect = \"{}ms\"", scenario.detect.as_millis());
        let first = &scenario.networks[0];
        // Adverts to each node by itself: a lost way loses them too.
        let vip = format!(
            "[vip.internal]\naddress = \"{VIP}\"\nnetwork = \"{first}\"\nrouter_id = 121\n\
             check = \"none\"\nunicast = true"
        );
        let plan = Plan {
            names: scenario.nodes.clone(),
            networks: scenario.networks.clone(),
            lines: format!("{detect}\n{vip}{}", store(scenario)),
            computes: scenario.computes,
        };
        let cluster = Cluster::lay_out(folder, program, plan)?;
        let still = vec![true; scenario.nodes.len()];
        Ok(Self { cluster, heard: 0, begin_ms: 0, still, client: None })
    }

    /// Whether a file runs on this cluster.
    #[must_use]
    pub fn suits(&self, scenario: &Scenario) -> bool {
        let plan = &self.cluster.plan;
        let detect = format!("detect = \"{}ms\"\n", scenario.detect.as_millis());
        (&plan.names, &plan.networks) == (&scenario.nodes, &scenario.networks)
            && plan.computes == scenario.computes
            && plan.lines.starts_with(&detect)
            && plan.lines.ends_with(&format!("unicast = true{}", store(scenario)))
    }

    /// Brings everything into order and runs a file.
    ///
    /// # Errors
    /// The line that was not kept, or why there was no order to begin with.
    pub fn run(&mut self, scenario: &Scenario, patience: Duration) -> Result<Record, StageError> {
        // Of the files before each agent remembers who came and went, and puts who did so three times in a minute
        // into quarantine.
        self.cluster.numbers().try_for_each(|node| self.cluster.power_off(node))?;
        self.cluster.mend()?;
        self.still.fill(false);
        self.settle(scenario)?;
        // A machine that stood still while it started let another be the first to hold it, and nobody takes back.
        if let Some(holder) = self.holds_in_place_of_the_first(scenario) {
            self.cluster.power_off(holder)?;
            wait::until(PATIENCE, || self.holds(0));
            self.cluster.mend()?;
            self.settle(scenario)?;
        }
        if let Some(ill) = self.lacks_a_holder(scenario) {
            return Err(self.illness(ill));
        }
        self.begin_ms = sys::clock::wall_ms();
        if !scenario.store.is_empty() {
            let run_dir = |node: &usize| self.cluster.nodes[*node].folder.join("run");
            let run_dirs = scenario.store.iter().map(run_dir).collect();
            let prefix = format!("scenario/{}/", self.begin_ms);
            self.client = Some(Client::begin(&self.cluster.program, run_dirs, prefix));
        }
        let outcome = scenario::run(scenario, self, patience).map_err(StageError::Failure);
        self.client = None;
        outcome
    }

    /// Waits until all are well and, where the file asks who holds the virtual IP, somebody does.
    fn settle(&self, scenario: &Scenario) -> Result<(), StageError> {
        let mut ill = None;
        let is_well = wait::until(PATIENCE, || {
            ill = self.cluster.illness().or_else(|| self.lacks_a_leader(scenario));
            ill = ill.take().or_else(|| self.is_young());
            let is_held = self.cluster.numbers().any(|node| self.holds(node));
            ill = ill.take().or_else(|| self.lacks_a_holder(scenario).filter(|_| !is_held));
            ill.is_none()
        });
        if is_well { Ok(()) } else { Err(self.illness(ill.unwrap_or_default())) }
    }

    fn illness(&self, ill: String) -> StageError {
        let words = self.cluster.numbers().map(|node| self.cluster.last_words(node));
        StageError::Illness(ill + &words.collect::<String>())
    }

    fn holds_in_place_of_the_first(&self, scenario: &Scenario) -> Option<usize> {
        self.lacks_a_holder(scenario)?;
        self.cluster.numbers().find(|node| *node > 0 && self.holds(*node))
    }

    /// What is cut while a node has just started is known later than the limits of the files say.
    fn is_young(&self) -> Option<String> {
        let name = |node| self.cluster.name(node);
        let young = |node: usize| {
            let line =
                self.cluster.status(node)?.nodes.into_iter().find(|line| line.just_started)?;
            Some(format!("{} says that {} has just started", name(node), line.state.node))
        };
        self.cluster.numbers().find_map(young)
    }

    fn lacks_a_leader(&self, scenario: &Scenario) -> Option<String> {
        let lacks = |node: &usize| {
            let status = self.cluster.status(*node);
            let coordinator = status.as_ref().and_then(|status| status.coordinator.as_ref());
            let is_coordinated = coordinator.is_some_and(|found| !found.node.is_empty());
            let store = status.and_then(|status| status.store);
            !is_coordinated || store.is_none_or(|store| !store.is_well())
        };
        let node = scenario.store.iter().find(|node| lacks(node))?;
        Some(format!(
            "the store of {} has no leader, or nobody coordinates",
            self.cluster.name(*node)
        ))
    }

    fn lacks_a_holder(&self, scenario: &Scenario) -> Option<String> {
        let holds = || self.cluster.numbers().map(|node| self.holds(node));
        let is_as_begun = holds().eq(self.cluster.numbers().map(|node| node == 0));
        let lacks = scenario.waits_for_holders() && !is_as_begun;
        lacks.then(|| format!("who holds the virtual IP: {:?}", holds().collect::<Vec<_>>()))
    }

    fn holds(&self, node: usize) -> bool {
        !self.still[node] && self.cluster.has_address(node, VIP.into())
    }

    fn view(&self, node: usize) -> Option<View> {
        let status = self.cluster.status(node)?;
        let sight = |name: &String| {
            let line = status.nodes.iter().find(|line| line.state.node == *name)?;
            let cells = self.cluster.networks().iter().map(|network| {
                let cell = line.state.cells.iter().find(|cell| cell.network == *network);
                cell.is_some_and(|cell| cell.alive)
            });
            let (verdict, cells) = (self.verdict(&line.state.opinion), cells.collect());
            Some(Sight { verdict, cells })
        };
        self.cluster.plan.names.iter().map(sight).collect()
    }

    fn verdict(&self, opinion: &api::Opinion) -> Verdict {
        match opinion.verdict {
            api::Verdict::Unknown => Verdict::Unknown,
            api::Verdict::Alive => Verdict::Alive,
            api::Verdict::Suspect => Verdict::Suspect,
            api::Verdict::CutOff => Verdict::CutOff(self.places(&opinion.networks)),
            api::Verdict::Unreachable => Verdict::Unreachable,
            api::Verdict::Leaving => Verdict::Leaving,
            api::Verdict::ProvenDead => Verdict::ProvenDead,
        }
    }

    fn places(&self, names: &[String]) -> Vec<usize> {
        let place = |name| self.cluster.networks().iter().position(|network| network == name);
        let mut places: Vec<usize> = names.iter().filter_map(place).collect();
        places.sort_unstable();
        places
    }

    fn do_to(&mut self, deed: &Deed) -> io::Result<()> {
        let all = || 0..self.cluster.networks().len();
        match deed {
            Deed::PowerOff(node) => self.cluster.power_off(*node),
            Deed::PowerOn(node) => self.cluster.start(*node),
            Deed::Start(node) => {
                self.cluster.ended(*node)?;
                self.cluster.start(*node)
            }
            Deed::KillNode(node) => self.cluster.kill_all(*node),
            Deed::KillSupervisor(node) => self.cluster.kill_supervisor(*node),
            Deed::KillAgent(node) => self.cluster.kill_agent(*node),
            Deed::Pause(node) => self.cluster.pause(*node),
            Deed::Resume(node) => self.cluster.resume(*node),
            Deed::Stop(node) => self.cluster.stop(*node),
            Deed::LinkDown(node, networks) => networks
                .iter()
                .try_for_each(|network| self.cluster.set_carrier(*node, *network, false)),
            Deed::LinkUp(node, networks) => networks
                .iter()
                .try_for_each(|network| self.cluster.set_carrier(*node, *network, true)),
            Deed::Cut(node, networks) => networks
                .iter()
                .try_for_each(|network| self.cluster.set_joined(*node, *network, false)),
            Deed::OneWay(from, to, networks) => {
                networks.iter().try_for_each(|network| self.cluster.lose_way(*from, *to, *network))
            }
            Deed::Part(one, two, networks) => self.part(&[*one], &[*two], networks),
            Deed::Split(side, networks) => {
                let rest: Vec<usize> =
                    self.cluster.numbers().filter(|node| !side.contains(node)).collect();
                self.part(side, &rest, networks)
            }
            // The judge names the node.
            Deed::Leader(_) => Ok(()),
            Deed::Join => {
                let networks = all();
                self.cluster.find_all_ways()?;
                for node in self.cluster.numbers() {
                    networks
                        .clone()
                        .try_for_each(|network| self.cluster.set_joined(node, network, true))?;
                }
                Ok(())
            }
            Deed::Mend => self.cluster.mend(),
        }
    }

    fn part(&mut self, side: &[usize], rest: &[usize], networks: &[usize]) -> io::Result<()> {
        let pairs = side.iter().flat_map(|one| rest.iter().map(move |two| (*one, *two)));
        let ways = pairs.flat_map(|(one, two)| {
            networks.iter().flat_map(move |network| [(one, two, *network), (two, one, *network)])
        });
        self.cluster.lose_ways(&ways.collect::<Vec<_>>())
    }
}

/// The last lines of the cluster file.
fn store(scenario: &Scenario) -> String {
    let names: Vec<_> = scenario.store.iter().map(|node| &scenario.nodes[*node]).collect();
    if names.is_empty() { String::new() } else { format!("\n[store]\nmembers = {names:?}") }
}

impl Cluster {
    /// Whether the kernel of a node that is on has this address.
    fn has_address(&self, node: usize, ip: IpAddr) -> bool {
        let addresses = || Netlink::open().and_then(|netlink| netlink.addresses());
        let host = self.nodes[node].host.as_ref();
        let found = host.and_then(|host| sys::netns::within(host.netns(), addresses).ok()?.ok());
        found.is_some_and(|found| found.iter().any(|address| address.ip == ip))
    }
}

impl Cloud for Stage {
    fn now(&self) -> Duration {
        sys::clock::now().since(Time::ZERO)
    }

    fn pass(&mut self, at_most: Duration) -> Result<(), String> {
        std::thread::sleep(at_most.min(LOOK_EVERY));
        Ok(())
    }

    fn act(&mut self, deed: &Deed) -> Result<(), String> {
        match deed {
            Deed::PowerOff(node) | Deed::Pause(node) => self.still[*node] = true,
            Deed::PowerOn(node) | Deed::Resume(node) => self.still[*node] = false,
            Deed::Mend => self.still.fill(false),
            Deed::Leader(_)
            | Deed::KillNode(_)
            | Deed::KillSupervisor(_)
            | Deed::KillAgent(_)
            | Deed::Stop(_)
            | Deed::Start(_)
            | Deed::LinkDown(..)
            | Deed::LinkUp(..)
            | Deed::Cut(..)
            | Deed::OneWay(..)
            | Deed::Part(..)
            | Deed::Split(..)
            | Deed::Join => {}
        }
        self.do_to(deed).map_err(|error| base::Chain(&error).to_string())
    }

    fn look(&mut self) -> Look {
        // A machine that stands still would keep the others waiting for its answer.
        let view = |node| if self.still[node] { None } else { self.view(node) };
        Look {
            views: self.cluster.numbers().map(view).collect(),
            holds: self.cluster.numbers().map(|node| self.holds(node)).collect(),
        }
    }

    fn store(&mut self) -> StoreSight {
        let place = |name: &str| self.cluster.plan.names.iter().position(|node| node == name);
        let seen = |node| {
            let status = if self.still[node] { None } else { self.cluster.status(node) };
            let Some(status) = status else { return (None, None) };
            let leader = status.store.and_then(|store| place(&store.leader?));
            (leader, status.coordinator.and_then(|coordinator| place(&coordinator.node)))
        };
        let (leaders, coordinators) = self.cluster.numbers().map(seen).unzip();
        let written = self.client.as_ref().and_then(Client::written);
        StoreSight { leaders, coordinators, written }
    }

    fn lost(&mut self) -> Option<Vec<String>> {
        self.client.as_ref()?.lost()
    }

    fn told(&mut self) -> Vec<Told> {
        let heard = self.cluster.heard();
        let news = heard.get(self.heard..).unwrap_or_default();
        let told = news.iter().filter_map(|heard| {
            let event = Some(&heard.event).filter(|event| event.at_ms >= self.begin_ms)?;
            let verdict = said(event, |names| self.places(names))?;
            let name = event.object.strip_prefix("node/")?;
            let of = self.cluster.plan.names.iter().position(|node| node == name)?;
            Some(Told { who: heard.node, of, verdict })
        });
        let told = told.collect();
        self.heard = heard.len();
        told
    }
}

/// `outlast lab scenario PATIENCE-MS FILE...`: runs files on the program itself, in namespaces of its own, and
/// prints what came when. Must be called before the first thread is started.
pub(crate) fn main(words: &[&str]) -> ExitCode {
    let Some((patience, files)) = words.split_first() else { return complain("no file") };
    let Ok(patience) = patience.parse().map(Duration::from_millis) else {
        return complain("PATIENCE-MS FILE...");
    };
    // Read here: inside, folders may be others.
    let mut scenarios = vec![];
    for file in files {
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) => return complain(&format!("{file}: {error}")),
        };
        match Scenario::parse(&text) {
            Ok(scenario) => scenarios.push(((*file).to_owned(), scenario)),
            Err(mistakes) => {
                let lines = mistakes.iter().map(|mistake| format!("{file}: {mistake}"));
                return complain(&lines.collect::<Vec<_>>().join("\n"));
            }
        }
    }
    inside(|| {
        let mut failed = vec![];
        run_all(Path::new(FOLDER), Path::new(OWN), &scenarios, patience, &mut |file, outcome| {
            let text = match &outcome {
                Ok(record) => format!("{file}: kept, real processes:\n{record}"),
                Err(error) => format!("{file}: NOT KEPT: {error}\n"),
            };
            failed.extend(outcome.err().map(|_| file.to_owned()));
            write!(io::stdout(), "{text}")
        })?;
        let broken = || io::Error::other(format!("not kept: {}", failed.join(", ")));
        if failed.is_empty() { Ok(()) } else { Err(broken()) }
    })
}

/// Runs files one after the other, on as few clusters as they allow, and tells each outcome; a file that is
/// not kept once more, and says so, if this machine stood still meanwhile or let a process wait.
///
/// # Errors
/// Without the right to make networks, or when nobody wants to be told any more.
pub fn run_all(
    folder: &Path,
    program: &Path,
    scenarios: &[(String, Scenario)],
    patience: Duration,
    tell: &mut impl FnMut(&str, Result<Record, StageError>) -> io::Result<()>,
) -> io::Result<()> {
    let mut stage: Option<Stage> = None;
    let (idle, turns, mut repeats_left) = (Idle::start(false)?, Turns::start()?, REPEATS);
    for (file, scenario) in scenarios {
        if !stage.as_ref().is_some_and(|stage| stage.suits(scenario)) {
            drop(stage.take());
            match Stage::lay_out(folder, program, scenario) {
                Ok(made) => stage = Some(made),
                Err(error) => {
                    tell(file, Err(error))?;
                    continue;
                }
            }
        }
        if let Some(stage) = &mut stage {
            let take_worst = || idle.take_worst().max(turns.take_worst());
            let outcome = loop {
                let _ = take_worst();
                let outcome = stage.run(scenario, patience);
                let (stalled, Err(StageError::Failure(failure))) = (take_worst(), &outcome) else {
                    break outcome;
                };
                if stalled <= STALL || repeats_left == 0 {
                    break outcome;
                }
                repeats_left -= 1;
                let ms = stalled.as_millis();
                eprintln!("{file} again: this machine gave no turn for {ms} ms; {failure}");
            };
            tell(file, outcome)?;
        }
    }
    Ok(())
}

/// What an event says of a node.
fn said(event: &Event, places: impl Fn(&[String]) -> Vec<usize>) -> Option<Verdict> {
    match event.what.as_str() {
        "node-suspect" => return Some(Verdict::Suspect),
        "node-verdict" => {}
        _ => return None,
    }
    // `cut-off on mgmt, storage, before alive; rule ...`
    let concluded = event.decision.split(", before ").next().unwrap_or_default();
    let (word, networks) = concluded.split_once(" on ").unwrap_or((concluded, ""));
    let networks: Vec<String> = networks.split(", ").map(str::to_owned).collect();
    let verdict = match word {
        "suspect" => Verdict::Suspect,
        "cut-off" => Verdict::CutOff(places(&networks)),
        "unreachable" => Verdict::Unreachable,
        "leaving" => Verdict::Leaving,
        "proven-dead" => Verdict::ProvenDead,
        _ => Verdict::Alive,
    };
    Some(verdict)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_says_what_its_decision_begins_with() {
        let event = |what: &str, decision: &str| {
            let event = Event { what: what.into(), decision: decision.into(), ..Event::default() };
            said(&event, |names| (0..names.len()).collect())
        };
        let told = |decision| event("node-verdict", decision);
        assert_eq!(told("unreachable, before alive; rule x: y"), Some(Verdict::Unreachable));
        assert_eq!(told("cut-off on a, b, before alive; rule"), Some(Verdict::CutOff(vec![0, 1])));
        assert_eq!(event("node-suspect", "no new requests"), Some(Verdict::Suspect));
        assert_eq!(event("node-alive", "suspect"), None);
    }
}
