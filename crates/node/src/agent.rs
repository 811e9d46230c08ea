//! The control plane of a node: beats, verdict, event log, and answers to the operator's tool.
//!
//! ```text
//!   beats of peers --> engine::member --> Report::Node --> supervisor --> every balancer
//!   reports of other processes (relayed) --> journal, picture --> control socket
//! ```

use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api::{Change, Event, MAX_MESSAGE, Order, Report, Start, Status};
use base::Time;
use engine::member::{Action, Input};
use engine::{Buffer, errand, gossip};
use sys::channel::Channel;
use sys::poll::{Interest, Poller};

use crate::files::Texts;
use crate::record::Trouble;
use beats::Beats;
use core::Core;
use errands::{Desk, Office};
use hands::Hands;
use journal::Journal;
use load::Sampler;
use stalls::Stalls;
use story::Story;
use tapes::Tapes;
use tokens::{CHANNEL, COMMANDS, DOORS, MONITOR, NETWORKS, PEERS, PROBES, REFERENCES, TETHERS};
use why::explainer;

pub(crate) use control::SOCKET as CONTROL;

mod access;
mod beats;
mod books;
mod carry;
mod command;
mod control;
mod coordinate;
mod core;
mod crowd;
mod ears;
mod electorate;
mod errands;
mod generation;
mod hands;
mod itself;
mod journal;
mod load;
mod maintenance;
mod names;
mod news;
pub(crate) mod notify;
mod opinion;
mod picture;
mod probes;
mod proof;
mod reference;
mod scribe;
mod seats;
mod stalls;
mod story;
mod strange;
mod tapes;
mod tethers;
mod tokens;
mod told;
pub(crate) mod trustee;
mod turn;
mod under;
mod voters;
mod why;

/// As often as an operator looks, and as `top` shows it.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// Why the agent cannot work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AgentError {
    #[error("cannot make the control socket in {folder}")]
    Control {
        folder: String,
        #[source]
        source: io::Error,
    },
    #[error("cannot watch sockets")]
    Poll(#[source] io::Error),
}

struct Agent<'a> {
    channel: &'a Channel,
    journal: Journal,
    core: Arc<Mutex<Core>>,
    story: Arc<Story>,
    /// The number of the newest own event that is part of the story.
    published: u64,
    stalls: Arc<Stalls>,
    sampler: Sampler,
    sample_at: Time,
    poller: Poller,
    beats: Option<Beats>,
    /// What the machine is fed, for `outlast replay`.
    record: Tapes,
    /// What operators want, from the threads that answer them.
    commands: Channel,
    office: Office,
    pings: reference::Pings,
    keys: trustee::Obeyed,
    generations: generation::Generations,
    scribe: scribe::Scribe,
    /// The loop ends.
    ending: bool,
    /// The next agent goes on where this one stops, so nobody is told goodbye.
    succeeded: bool,
}

/// The greatest incarnation of a store for which this node did a step.
pub(crate) fn incarnation_of_steps(state_dir: &Path) -> Option<u64> {
    let copies = coordinate::steps::FILES.map(|name| std::fs::read(state_dir.join(name)).ok());
    let copies = copies.each_ref().map(|copy| copy.as_deref());
    engine::intent::Receiver::revive(copies).0.incarnation()
}

pub(crate) fn run(channel: &Channel, start: Start, texts: Texts) -> Result<(), AgentError> {
    let core = Arc::new(Mutex::new(Core::new(&start, &texts)));
    let journal = open_journal(&start, &core);
    let poller = Poller::new().map_err(AgentError::Poll)?;
    poller.add(channel.as_fd(), CHANNEL, Interest::READ).map_err(AgentError::Poll)?;
    let story = Arc::new(Story::default());
    let why = explainer(Arc::clone(&core), Arc::clone(&story));
    let (voice, commands) = Channel::pair().map_err(AgentError::Poll)?;
    poller.add(commands.as_fd(), COMMANDS, Interest::READ).map_err(AgentError::Poll)?;
    let voice = command::Voice::new(voice);
    let generations = generation::begin(&core, &start, &texts, &voice);
    let keys = trustee::begin(&core, &start, &texts, &voice, &generations.books);
    maintenance::begin(&core, &start);
    let stalls = Stalls::start(Path::new(&start.state_dir));
    let trouble = Trouble::default();
    let status = teller(&core, &journal, &trouble, &stalls, &generations);
    let (desk, letters) = Desk::new(voice.clone());
    let doors = Arc::new(access::open(&start, &core));
    let hands = Hands::new((&start, &texts), &core, voice, Arc::clone(&doors));
    let cluster = coordinate::begin(&start, &hands, &desk);
    carry::begin(&start, &hands, &desk);
    let books = books::Books::new(&start.node, &hands, &desk);
    // It is the first.
    let _ = generations.books.set(Arc::clone(&books));
    let (told, own) = (generations.told.clone(), Arc::clone(&books));
    let does = hands::clerk(Arc::clone(&hands), cluster.clone(), told, own);
    let office = Office::new(start.life, desk.clone(), letters, does);
    let tests = notify::begin((&start, &texts), &hands, &story);
    let orders = hands::orders(&hands, &desk, cluster, books, tests);
    let (events, story_of) = (journal.shared(), Arc::clone(&story));
    let answers = control::Answers { status, why, events, story: story_of, orders, doors };
    control::serve(Path::new(&start.run_dir), answers)
        .map_err(|source| AgentError::Control { folder: start.run_dir.clone(), source })?;
    let beats = lock(&core)
        .cluster
        .as_ref()
        .and_then(|cluster| Beats::open(cluster, lock_me(&start, cluster)?, &poller));
    let record = Tapes::start(&start, lock(&core).cluster.as_ref(), &trouble);
    let points = lock(&core).cluster.as_ref().map_or(0, |cluster| cluster.reference.len());
    let pings = reference::Pings::new(points, start.life);
    let mut agent = Agent {
        channel,
        journal,
        core,
        story,
        published: 0,
        stalls,
        sampler: Sampler::default(),
        sample_at: Time::ZERO,
        poller,
        beats,
        record,
        commands,
        office,
        pings,
        keys,
        generations,
        scribe: scribe::Scribe::start(&hands),
        ending: false,
        succeeded: false,
    };
    agent.tell(&Report::Ready { generation: start.generation });
    agent.serve()?;
    agent.journal.close();
    agent.record.close();
    Ok(())
}

/// Tells what is known at the moment of the question.
fn teller(
    core: &Arc<Mutex<Core>>,
    journal: &Journal,
    trouble: &Trouble,
    stalls: &Arc<Stalls>,
    generations: &generation::Generations,
) -> Box<dyn Fn() -> Status + Send + Sync> {
    let (core, disk, trouble) = (Arc::clone(core), journal.shared(), trouble.clone());
    let (stalls, generations) = (Arc::clone(stalls), generations.clone());
    Box::new(move || {
        let mut status = lock(&core).status(sys::clock::now());
        status.limits.extend(disk.limit());
        status.limits.extend(trouble.limit());
        status.limits.extend(generations.limit());
        status.limits.extend(stalls.words(sys::clock::now()));
        status
    })
}

/// A log that cannot be written must not silence the node's beats.
fn open_journal(start: &Start, core: &Mutex<Core>) -> Journal {
    Journal::open(Path::new(&start.state_dir), &start.node).unwrap_or_else(|error| {
        lock(core).picture.limits.push(format!("events are in memory only: {error}"));
        let mut journal = Journal::without_disk(&start.node);
        journal.add(Event {
            what: "journal-unwritable".to_owned(),
            evidence: format!("no thread can be had to write events: {error}"),
            decision: "go on: beats and verdict do not need the disk".to_owned(),
            not_done: "events of this process are lost at its end".to_owned(),
            ..Event::default()
        });
        journal
    })
}

fn lock(core: &Mutex<Core>) -> MutexGuard<'_, Core> {
    core.lock().unwrap_or_else(PoisonError::into_inner)
}

fn lock_me(start: &Start, cluster: &config::cluster::Cluster) -> Option<u16> {
    let position = cluster.nodes.iter().position(|node| node.name == start.node)?;
    u16::try_from(position).ok()
}

impl Agent<'_> {
    fn serve(&mut self) -> Result<(), AgentError> {
        let mut ready = Vec::with_capacity(16);
        // The first beat says already what the newest event is: a smaller number would look like a
        // lost log, and every peer would fetch it again.
        self.publish();
        self.step(Input::Timeout);
        while !self.ending {
            self.journal.look();
            self.publish();
            let now = sys::clock::now();
            self.sample(now);
            let deadline = self.deadline();
            let wait = (deadline != Time::NEVER).then(|| deadline.since(now));
            self.poller.wait(&mut ready, wait).map_err(AgentError::Poll)?;
            for event in &ready {
                match event.token {
                    CHANNEL => self.orders(),
                    MONITOR => self.devices(),
                    COMMANDS => self.commands(),
                    probes if probes >= PROBES => self.errors(probes - PROBES),
                    tether if tether >= TETHERS => self.tether(event),
                    door if door >= DOORS => self.door(door - DOORS),
                    point if point >= REFERENCES => {
                        self.reference_answers(usize::try_from(point - REFERENCES).unwrap_or(0));
                    }
                    peer if peer >= PEERS => self.refusals(peer - PEERS),
                    network => self.datagrams(network - NETWORKS),
                }
            }
            // Before anybody is missed.
            self.references();
            self.step(Input::Timeout);
            self.crowd();
            self.look_at_itself();
            self.errand(errand::Input::Timeout);
            self.tell_refused();
        }
        if !self.succeeded {
            self.step(Input::Leave);
            self.gossip(gossip::Input::Leave);
        }
        Ok(())
    }

    fn deadline(&self) -> Time {
        let core = lock(&self.core);
        let member = core.member.as_ref().map_or(Time::NEVER, engine::member::Member::deadline);
        let gossip = core.gossip.as_ref().map_or(Time::NEVER, gossip::Gossip::deadline);
        let own = core.own.map_or(Time::NEVER, |own| own.deadline());
        let gossip = gossip.min(core.tally.deadline()).min(own);
        let gossip = gossip.min(Self::reference_deadline(&core));
        let retry = self.beats.as_ref().map_or(Time::NEVER, Beats::retry_at);
        member.min(gossip).min(retry).min(self.sample_at).min(self.office.deadline())
    }

    /// Looks how busy the machine is, once in [`SAMPLE_EVERY`].
    fn sample(&mut self, now: Time) {
        if now >= self.sample_at {
            self.sample_at = now + SAMPLE_EVERY;
            let load = self.sampler.sample();
            let planned = {
                let mut core = lock(&self.core);
                core.sampled(now, load);
                core.stalled(self.stalls.ailments(now));
                core.unread = self.beats.as_ref().map_or(0, Beats::unread);
                core.note_refused();
                core.newly_planned(sys::clock::wall_ms())
            };
            self.are_proven();
            self.coordinates();
            self.are_planned(planned);
        }
    }

    fn orders(&mut self) {
        let mut buffer = vec![0; MAX_MESSAGE];
        let mut fds = vec![];
        loop {
            match self.channel.receive(&mut buffer, &mut fds) {
                Ok(0) => {
                    self.ending = true;
                    return;
                }
                Ok(length) => match api::decode::<Order>(&buffer[..length]) {
                    Ok(Order::Keys) => trustee::take(fds.pop(), &self.core, &self.keys),
                    Ok(order) => self.order(order),
                    Err(error) => self.journal.add(Event {
                        what: "order-unreadable".to_owned(),
                        evidence: base::Chain(&error).to_string(),
                        ..Event::default()
                    }),
                },
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {
                    self.ending = true;
                    return;
                }
            }
        }
    }

    /// Passes on what operators want, in the order in which it was checked.
    fn commands(&mut self) {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = self.commands.receive(&mut buffer, &mut vec![]) {
            if &buffer[..length] == command::KNOCK {
                continue;
            }
            // A supervisor that does not read is dead or about to kill us.
            let _ = self.channel.send(&buffer[..length], &[]);
        }
        self.letters();
    }

    fn order(&mut self, order: Order) {
        match order {
            Order::Ping(number) => self.tell(&Report::Pong(number)),
            Order::Stop => self.ending = true,
            Order::Retire => {
                self.succeeded = true;
                self.ending = true;
            }
            Order::Relay(_, report) => self.relayed(*report),
            Order::Change(Change::Node(state)) => {
                let known = lock(&self.core).known(&state);
                if let Some((node, standing)) = known {
                    self.step(Input::Known { node, standing });
                }
            }
            Order::Change(change) => {
                let is_duty = matches!(change, Change::Duty(_));
                let mut core = lock(&self.core);
                let news = core.change(sys::clock::now(), change);
                if is_duty {
                    // The own balancer sends new work elsewhere like all others.
                    self.tell(&Report::Node(core.own_state(sys::clock::now())));
                }
                drop(core);
                news.into_iter().for_each(|event| self.journal.add(event));
            }
            Order::Refused { generation, why, at_start } => {
                self.generations.refused(generation, why, at_start);
            }
            Order::Start(_)
            | Order::Activate
            | Order::Drain
            | Order::Keys
            | Order::Count { .. }
            | Order::Move { .. }
            | Order::Anywhere { .. }
            | Order::GiveUp { .. }
            | Order::Succeed { .. }
            | Order::Use { .. } => {}
        }
        let failing = lock(&self.core).failing();
        for (node, failing) in failing {
            self.step(Input::Failing { node, failing });
            self.gossip(gossip::Input::Failing { node, failing });
        }
    }

    /// Feeds the machine and performs what it orders.
    fn step(&mut self, input: Input<'_>) {
        let now = sys::clock::now();
        if let Some(beats) = &mut self.beats {
            beats.open_missing(&self.poller, now);
        }
        let shared = Arc::clone(&self.core);
        let mut core = lock(&shared);
        let mut news = vec![];
        let Some(member) = &mut core.member else { return };
        let mut out = Buffer::new();
        self.record.step(now, member, input, &mut out);
        for action in out.drain() {
            match action {
                Action::Beat { network } => self.beat(&mut core, network, None),
                Action::Ask { node, network } => self.beat(&mut core, network, Some(node)),
                Action::Tether { node, network } => self.tie(node, network),
                Action::Verdict { node, standing, why } => {
                    let (state, event) = core.verdict(now, node, standing, why);
                    self.journal.add(core.tagged(event));
                    self.tell(&Report::Node(state));
                }
                Action::Opinion { node, verdict, rule } => {
                    if let Some(event) = core.concluded(now, node, verdict, rule) {
                        self.journal.add(core.tagged(event));
                    }
                    news.push(action);
                }
                Action::Choices => {
                    for choice in core.news() {
                        self.tell(&Report::Choice(choice));
                    }
                }
                Action::Outdated { node, came, known } => {
                    self.journal.add(core.outdated(node, came, known));
                }
                Action::Duty { node } => self.tell(&Report::Node(core.node(now, node))),
                // Shown by status, which asks the machine.
                Action::Holds { .. } => {}
                Action::Question { .. }
                | Action::Answer { .. }
                | Action::Carried { .. }
                | Action::Event { .. } => {
                    news.push(action);
                }
            }
        }
        drop(core);
        self.tell_and_ask(news);
    }

    /// What needs no lock, or another machine.
    fn tell_and_ask(&mut self, news: Vec<Action>) {
        for action in news {
            match action {
                Action::Question { node, network, after } => self.question(node, network, after),
                Action::Answer { node, network, after } => self.answer(node, network, after),
                Action::Event { node, number, skipped, text } => {
                    self.told(node, number, skipped, &text);
                }
                Action::Carried { node: from, network, life, kind, body } => {
                    let body = &body;
                    self.errand(errand::Input::Packet { from, life, network, kind, body });
                }
                Action::Opinion { node, verdict, .. } => {
                    self.gossip(gossip::Input::Controller { node, verdict });
                }
                Action::Beat { .. }
                | Action::Ask { .. }
                | Action::Tether { .. }
                | Action::Verdict { .. }
                | Action::Choices
                | Action::Outdated { .. }
                | Action::Duty { .. }
                | Action::Holds { .. } => {}
            }
        }
    }

    fn tell(&self, report: &Report) {
        let mut bytes = vec![];
        api::encode(report, &mut bytes);
        // A supervisor that does not read is dead or about to kill us; the channel's end follows.
        let _ = self.channel.send(&bytes, &[]);
    }
}
