//! What the agent knows: shared between its loop and the threads that answer questions.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use api::maintenance::Window;
use api::{Cell, Event, NodeLine, NodeState, Opinion, Standing, Start, Status, Turn};
use base::{Doors, Time};
use config::cluster::Cluster;
use engine::evidence::Ailments;
use engine::gossip::{Gossip, Said};
use engine::member::{self, Member};
use engine::own::Own;
use engine::reference::Reference;
use engine::tally::Tally;
use engine::verdict::{Judgement, Rule, Verdict};

use super::names::Names;
use super::picture::Picture;
use super::proof::Proofs;
use super::strange::Strange;
use super::voters::Voters;
use super::{command, crowd};
use crate::files::Texts;

pub(crate) struct Core {
    pub(crate) picture: Picture,
    /// On a controller: who beats.
    pub(crate) member: Option<Member>,
    /// Where the cluster has compute nodes: who gossips.
    pub(crate) gossip: Option<Gossip>,
    pub(crate) cluster: Option<Cluster>,
    pub(super) me: u16,
    /// Why each node stands as it does, by position.
    why: HashMap<u16, String>,
    /// Disks and mounts of this node that do not answer.
    pub(super) stalled: Ailments,
    /// Nodes whose servers all fail, as last told to the machine.
    failing: BTreeSet<usize>,
    /// The last word of the store.
    voters: Voters,
    /// The last verdict on each node that was an event.
    pub(super) judged: HashMap<u16, Verdict>,
    /// The newest verdicts on each node, oldest first; at most [`api::Why::TURNS`] of each.
    pub(super) turns: HashMap<u16, VecDeque<Turn>>,
    /// Datagrams that the kernel threw away.
    pub(super) unread: u64,
    /// What was not believed when that was last looked at, and when it last grew.
    pub(super) noted: api::RefusedPackets,
    /// Of this node.
    pub(super) load: Option<(member::Load, Time)>,
    /// What the gossip was told last: majority, and this node's own word.
    pub(super) quorum: Option<bool>,
    pub(super) said: Option<Said>,
    /// Nodes of the gossip that were told as suspect or gone.
    pub(super) ill: BTreeSet<u16>,
    /// Lines about compute nodes: hundreds go at once.
    pub(super) tally: Tally,
    /// Where there is a `[store]`.
    pub(super) coordinator: Option<Box<api::Coordinator>>,
    /// Where the cluster file has receivers of notifications.
    pub(super) notifying: Option<Box<api::Notifying>>,
    /// Who acts upon verdicts on a thread of its own is told that there is another one.
    pub(super) concludes: Option<Box<dyn Fn() + Send>>,
    /// When the store of this node was last seen to have ended by itself.
    pub(super) store_stopped: Option<Time>,
    /// As the store has them, open or not.
    pub(super) windows: Vec<Window>,
    pub(super) proofs: Proofs,
    /// Nodes in an open window, as last told to the machine.
    pub(super) planned: BTreeSet<usize>,
    /// Whether this node suspects itself; none without a cluster.
    pub(super) own: Option<Own>,
    /// Where the cluster file has reference points and this node takes part.
    pub(super) reference: Option<Reference>,
    /// Who speaks in the name of others.
    pub(super) strange: Strange,
    /// Where this node answers joins and asks for the roster, one per address.
    pub(super) desks: Vec<Arc<Doors>>,
}

impl Core {
    pub(crate) fn new(start: &Start, texts: &Texts) -> Self {
        let mut picture = Picture::new(&start.node, start.mode, start.generation);
        let cluster = texts.cluster.as_ref().and_then(|source| config::cluster::parse(source, 0).0);
        let me = cluster.as_ref().and_then(|cluster| {
            let position = cluster.nodes.iter().position(|node| node.name == start.node)?;
            u16::try_from(position).ok()
        });
        picture.limits = limits(start, texts, cluster.is_some());
        if let Some(cluster) = &cluster {
            picture.cluster = Some(cluster.name.clone());
            picture.networks.clone_from(&cluster.networks);
            picture.names = cluster.nodes.iter().map(|node| node.name.clone()).collect();
        }
        picture.files = Arc::new(Names::new(texts, cluster.as_ref(), me));
        let (mut member, mut gossip) = (None, None);
        if let (Some(cluster), Some(me), Some(secret)) = (&cluster, me, &texts.secret) {
            let seal = crate::secret::seal(secret, cluster, me, start.life);
            let has_computes = cluster.controllers().len() < cluster.nodes.len();
            if cluster.is_compute(me.into()) {
                gossip = Some(crowd::machine(cluster, me, Some(seal), start.life));
            } else {
                member = Some(Member::new(cluster, me, seal, sys::clock::now()));
                gossip = has_computes.then(|| crowd::machine(cluster, me, None, start.life));
            }
        }
        let me = me.unwrap_or_default();
        let mut core = Self {
            picture,
            member,
            gossip,
            cluster,
            me,
            why: HashMap::new(),
            judged: HashMap::new(),
            turns: HashMap::new(),
            stalled: Ailments::NONE,
            failing: BTreeSet::new(),
            voters: Voters::default(),
            load: None,
            coordinator: None,
            notifying: None,
            concludes: None,
            store_stopped: None,
            windows: vec![],
            proofs: Proofs::default(),
            planned: BTreeSet::new(),
            quorum: None,
            said: None,
            ill: BTreeSet::new(),
            tally: Tally::default(),
            unread: 0,
            noted: api::RefusedPackets::default(),
            own: None,
            reference: None,
            strange: Strange::default(),
            desks: vec![],
        };
        core.trusting();
        core
    }

    pub(crate) fn status(&self, now: Time) -> Status {
        let Some(cluster) = &self.cluster else {
            let alone = NodeState {
                node: self.picture.node.clone(),
                standing: Standing::Alive,
                cells: vec![],
                why: "this node".to_owned(),
                opinion: Opinion::default(),
                duty: self.picture.duty(),
            };
            let (holds, load) = (self.picture.held_names(), self.own_load(now));
            return self.picture.status(vec![NodeLine {
                state: alone,
                holds,
                load,
                compute: false,
                just_started: false,
            }]);
        };
        let count = u16::try_from(cluster.nodes.len()).unwrap_or(u16::MAX);
        let nodes = (0..count).map(|node| {
            let state = self.node(now, node);
            let compute = cluster.is_compute(node.into());
            if node == self.me {
                let (holds, load) = (self.picture.held_names(), self.own_load(now));
                return NodeLine { state, holds, load, compute, just_started: false };
            }
            let bits = self.member.as_ref().map_or(0, |member| member.holds(node));
            let load = match self.crowd(node) {
                Some(gossip) => gossip.load(node, now),
                None => self.member.as_ref().and_then(|member| member.load(node, now)),
            };
            let holds = self.picture.names_of(node, bits);
            let just_started =
                self.member.as_ref().is_some_and(|member| member.is_young(node, now));
            NodeLine { state, holds, load: load.map(shown), compute, just_started }
        });
        let mut status = self.picture.status(nodes.collect());
        let last_at_ms = self.noted.last_at_ms;
        status.refused = api::RefusedPackets { last_at_ms, ..self.refused() };
        status.turned_away = self.turned_away();
        status.coordinator.clone_from(&self.coordinator);
        status.notify.clone_from(&self.notifying);
        status.planned = self.open_windows(sys::clock::wall_ms());
        status.limits.extend(self.is_said_to_be_dead());
        status.limits.extend(self.strange(now));
        status.limits.extend(self.voters.limit());
        status.own_doubts = self.own_doubts();
        status.reference = self.reference_lines(now);
        status
    }

    /// At all desks together.
    fn turned_away(&self) -> api::TurnedAway {
        let all = self.desks.iter().map(|doors| doors.turned_away());
        all.fold(api::TurnedAway::default(), |sum, one| api::TurnedAway {
            connections: sum.connections + one.connections,
            last: one.last.or(sum.last),
        })
    }

    /// What neither machine believed.
    pub(super) fn refused(&self) -> api::RefusedPackets {
        let mut all = api::RefusedPackets { unread: self.unread, ..Default::default() };
        let beats = self.member.as_ref().map(Member::refused);
        for refused in beats.into_iter().chain(self.gossip.as_ref().map(Gossip::refused)) {
            let member::Refused { forged, unreadable, replay, network, stranger } = refused;
            all.forged += forged;
            all.replayed += replay;
            all.unreadable += unreadable;
            all.astray += network + stranger;
        }
        all
    }

    fn own_load(&self, now: Time) -> Option<api::Load> {
        self.load.map(|(load, at)| shown((load, now.since(at))))
    }

    /// How busy this machine is; said in the next beats.
    pub(crate) fn sampled(&mut self, now: Time, load: Option<member::Load>) {
        self.load = load.map(|load| (load, now));
        if let Some(member) = &mut self.member {
            member.say_load(load);
        }
    }

    pub(super) fn node(&self, now: Time, node: u16) -> NodeState {
        let name = self.picture.names.get(usize::from(node)).cloned().unwrap_or_default();
        let networks = self.picture.networks.iter();
        let why = || self.why.get(&node).cloned().unwrap_or_default();
        let (standing, cells, why) = match (&self.member, self.crowd(node)) {
            (Some(_), None) if node == self.me => own(networks),
            (None, None) if self.gossip.is_some() => own(networks),
            (_, Some(gossip)) => {
                (told(gossip.standing(node)), cells(networks, gossip.cells(node, now)), why())
            }
            (Some(member), None) => {
                (told(member.standing(node)), cells(networks, member.cells(node, now)), why())
            }
            (None, None) => (
                Standing::Unknown,
                vec![],
                "no secret_file and no trust_dir, so no beats".to_owned(),
            ),
        };
        let opinion =
            self.judgement(node).map(|judged| self.shown_opinion(judged.verdict, judged.rule));
        let opinion = if node == self.me { self.own_opinion().or(opinion) } else { opinion };
        let duty = self.duty(node);
        NodeState { node: name, standing, cells, why, opinion: opinion.unwrap_or_default(), duty }
    }

    /// What is concluded of a node; none where nobody judges.
    pub(super) fn judgement(&self, node: u16) -> Option<Judgement> {
        match self.crowd(node) {
            Some(gossip) => Some(gossip.opinion(node)),
            None => self.member.as_ref().map(|member| member.opinion(node)),
        }
    }

    pub(super) fn duty(&self, node: u16) -> api::Duty {
        if node == self.me {
            return self.picture.duty();
        }
        let duty = match self.crowd(node) {
            Some(gossip) => Some(gossip.duty(node)),
            None => self.member.as_ref().map(|member| member.duty(node)),
        };
        duty.map_or(api::Duty::On, command::shown)
    }

    pub(super) fn own_state(&self, now: Time) -> NodeState {
        self.node(now, self.me)
    }

    pub(super) fn shown_opinion(&self, verdict: Verdict, rule: &Rule) -> Opinion {
        let named = |network: u8| self.picture.networks.get(usize::from(network)).cloned();
        let (verdict, networks) = match verdict {
            Verdict::Unknown => (api::Verdict::Unknown, vec![]),
            Verdict::Alive => (api::Verdict::Alive, vec![]),
            Verdict::Suspect => (api::Verdict::Suspect, vec![]),
            Verdict::CutOff { networks } => {
                (api::Verdict::CutOff, networks.iter().filter_map(named).collect())
            }
            Verdict::Unreachable => (api::Verdict::Unreachable, vec![]),
            Verdict::Leaving => (api::Verdict::Leaving, vec![]),
            Verdict::ProvenDead(_) => (api::Verdict::ProvenDead, vec![]),
        };
        Opinion { verdict, networks, rule: rule.name.to_owned() }
    }

    /// A node that nobody can believe, as event.
    pub(crate) fn outdated(&self, node: u16, came: u64, known: u64) -> Event {
        let name = self.picture.names.get(usize::from(node)).cloned().unwrap_or_default();
        Event {
            what: "node-outdated".to_owned(),
            object: format!("node/{name}"),
            evidence: format!(
                "for {} s its beats are sealed under {came}, but {known} was heard before",
                member::OUTDATED_AFTER.as_secs()
            ),
            decision: "what could be an old packet sent again proves nothing".to_owned(),
            not_done: format!("nothing of {name} is believed until its number is past that"),
            ..Event::default()
        }
    }

    /// A new standing as report and event.
    pub(crate) fn verdict(
        &mut self,
        now: Time,
        node: u16,
        standing: member::Standing,
        why: String,
    ) -> (NodeState, Event) {
        self.why.insert(node, why);
        let state = self.node(now, node);
        let (word, decision) = match standing {
            member::Standing::Alive => ("alive", "its servers get requests as their checks say"),
            member::Standing::Suspect => {
                ("suspect", "its servers get no new request while another is up")
            }
            member::Standing::Left => {
                ("left", "its servers get no new request while another is up")
            }
            member::Standing::Unknown => ("unknown", "the checks of the file decide"),
        };
        let event = Event {
            what: format!("node-{word}"),
            object: format!("node/{}", state.node),
            evidence: state.why.clone(),
            decision: decision.to_owned(),
            action: "told to every balancer of this node".to_owned(),
            not_done: match standing {
                member::Standing::Suspect => {
                    "nothing is restarted: silence is no proof of death".to_owned()
                }
                member::Standing::Alive | member::Standing::Left | member::Standing::Unknown => {
                    String::new()
                }
            },
            ..Event::default()
        };
        (state, event)
    }

    /// What the process before this one knew.
    pub(crate) fn known(&mut self, state: &NodeState) -> Option<(u16, member::Standing)> {
        let position = self.picture.names.iter().position(|name| *name == state.node)?;
        let node = u16::try_from(position).ok()?;
        if self.crowd(node).is_some() && state.standing != Standing::Alive {
            self.ill.insert(node);
        }
        let standing = match state.standing {
            Standing::Unknown => member::Standing::Unknown,
            Standing::Alive => member::Standing::Alive,
            Standing::Suspect => member::Standing::Suspect,
            Standing::Left => member::Standing::Left,
        };
        Some((node, standing))
    }

    /// A fact of another process; what of it is worth an event.
    pub(crate) fn change(&mut self, now: Time, change: api::Change) -> Vec<Event> {
        let mut news = vec![];
        if let api::Change::Store(state) = &change {
            news = self.voters.step(now, state);
        }
        self.picture.change(change);
        if self.picture.store_has_stopped() {
            self.store_stopped = Some(now);
            self.looked_at();
        }
        self.speak();
        news
    }

    /// Disks and mounts that do not answer; said in the next beats.
    pub(crate) fn stalled(&mut self, stalled: Ailments) {
        if self.stalled != stalled {
            self.stalled = stalled;
            self.speak();
        }
    }

    /// Nodes for which it changed whether all of their servers fail.
    pub(crate) fn failing(&mut self) -> Vec<(u16, bool)> {
        let now = self.picture.failing();
        let before = std::mem::replace(&mut self.failing, now.clone());
        let changed = before.symmetric_difference(&now);
        changed.filter_map(|at| Some((u16::try_from(*at).ok()?, now.contains(at)))).collect()
    }

    /// Puts this node's choices and addresses into its next beats.
    pub(crate) fn speak(&mut self) {
        let ailments = self.own_ailments();
        let Some(member) = &mut self.member else { return };
        member.say_choices(self.picture.choices().map(|choice| member::Choice {
            proxy: member::Choice::hash(&choice.proxy),
            server: member::Choice::hash(&choice.server),
            term: choice.term,
            by: choice.by,
        }));
        member.say_ailments(ailments);
        member.say_duty(command::meant(self.picture.duty()));
        let holds = self.picture.held().filter(|instance| *instance < 64);
        member.say_holds(holds.fold(0, |bits, instance| bits | 1 << instance));
    }

    /// Choices of peers that are newer than what is known here, with their names.
    pub(crate) fn news(&mut self) -> Vec<api::Choice> {
        let Some(member) = &self.member else { return vec![] };
        let named = |choice: &member::Choice| {
            let (proxy, servers) = self.picture.files.hashed.get(&choice.proxy)?;
            let server = servers.get(&choice.server)?;
            Some(api::Choice {
                proxy: proxy.clone(),
                server: server.clone(),
                term: choice.term,
                by: choice.by,
            })
        };
        let newer = |choice: &api::Choice| {
            let known = self.picture.choices().find(|known| known.proxy == choice.proxy);
            known.is_none_or(|known| (choice.term, choice.by) > (known.term, known.by))
        };
        let news: Vec<api::Choice> =
            member.choices().iter().filter_map(named).filter(newer).collect();
        for choice in &news {
            self.picture.change(api::Change::Choice(choice.clone()));
        }
        self.speak();
        news
    }
}

type Shown = (Standing, Vec<Cell>, String);

/// This node itself.
fn own<'a>(networks: impl Iterator<Item = &'a String>) -> Shown {
    let cell = |network: &String| Cell { network: network.clone(), alive: true, age_ms: Some(0) };
    (Standing::Alive, networks.map(cell).collect(), "this node".to_owned())
}

fn cells<'a>(
    networks: impl Iterator<Item = &'a String>,
    known: impl Iterator<Item = Option<member::Cell>>,
) -> Vec<Cell> {
    let cell = |(network, cell): (&String, Option<member::Cell>)| {
        let cell = cell?;
        let age_ms = cell.age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        Some(Cell { network: network.clone(), alive: cell.alive, age_ms })
    };
    networks.zip(known).filter_map(cell).collect()
}

fn shown((load, age): (member::Load, Duration)) -> api::Load {
    api::Load {
        cpu_percent: load.cpu_percent,
        memory_percent: load.memory_percent,
        fibre_online: load.fibre_online,
        fibre_ports: load.fibre_ports,
        age_ms: u64::try_from(age.as_millis()).unwrap_or(u64::MAX),
    }
}

const fn told(standing: member::Standing) -> Standing {
    match standing {
        member::Standing::Unknown => Standing::Unknown,
        member::Standing::Alive => Standing::Alive,
        member::Standing::Suspect => Standing::Suspect,
        member::Standing::Left => Standing::Left,
    }
}

/// What this start does not do, in words.
fn limits(start: &Start, texts: &Texts, cluster: bool) -> Vec<String> {
    let mut limits = vec![];
    if !cluster {
        limits.push("no cluster file: VRRP and the checks of the files only, no beats".to_owned());
    } else if texts.secret.is_none() {
        limits.push(
            "no secret_file and no trust_dir: no beats, no hand-over between nodes".to_owned(),
        );
    }
    if !sys::rights::has_capability(sys::rights::Capability::SysNice) {
        limits.push("no real-time scheduling: CAP_SYS_NICE is missing".to_owned());
    }
    if !start.breaks.is_empty() {
        limits.push(format!("broken on purpose: {:?}", start.breaks));
    }
    limits
}
