//! Reference points: pings out, answers in, and the word of [`engine::reference`] to the machines.

use std::os::fd::AsFd;

use api::{ReferenceLine, References, Report};
use base::Time;
use config::cluster::Cluster;
use engine::gossip;
use engine::member;
use engine::reference::{Action, Input, Reference};
use sys::ping::Ping;
use sys::poll::{Interest, Poller};

use super::core::Core;
use super::{Agent, REFERENCES, lock};

/// How often a socket that could not be opened is tried again: an address may come later than we.
const RETRY: std::time::Duration = std::time::Duration::from_secs(1);

/// More than are under way are no answers; the rest is read in the next turn.
const MOST_ANSWERS: usize = 16;

/// The sockets, by position in the cluster file.
#[derive(Debug)]
pub(super) struct Pings {
    sockets: Vec<Option<Ping>>,
    retry_at: Time,
    /// What no process before this one said: its answers are not for us.
    nonce: u64,
    /// As the vip process was told last.
    told: Option<References>,
}

impl Pings {
    pub(super) fn new(points: usize, nonce: u64) -> Self {
        Self {
            sockets: (0..points).map(|_| None).collect(),
            retry_at: Time::ZERO,
            nonce,
            told: None,
        }
    }

    fn open_missing(&mut self, (cluster, me): (&Cluster, u16), poller: &Poller, now: Time) {
        if now < self.retry_at || self.sockets.iter().all(Option::is_some) {
            return;
        }
        self.retry_at = now + RETRY;
        let points = self.sockets.iter_mut().zip(&cluster.reference).enumerate();
        for (at, (socket, point)) in points.filter(|(_, (socket, _))| socket.is_none()) {
            let own = cluster.nodes.get(usize::from(me));
            let own = own.and_then(|node| *node.addresses.get(point.network)?);
            let nonce = self.nonce.wrapping_add(at as u64);
            let ping = own.and_then(|own| Ping::open(own, point.address, nonce).ok());
            let token = REFERENCES + at as u64;
            let is_watched = |ping: &Ping| poller.add(ping.as_fd(), token, Interest::READ).is_ok();
            *socket = ping.filter(is_watched);
        }
    }
}

impl Core {
    /// The points of the cluster file, as far as this node is on their networks, for status.
    pub(super) fn reference_lines(&self, now: Time) -> Vec<ReferenceLine> {
        let (Some(cluster), Some(machine)) = (&self.cluster, &self.reference) else {
            return vec![];
        };
        let own = cluster.nodes.get(usize::from(self.me));
        let line = |(at, point): (usize, &config::cluster::Reference)| {
            own?.addresses.get(point.network).copied().flatten()?;
            let seen = machine.seen(at, now);
            Some(ReferenceLine {
                address: point.address.to_string(),
                network: cluster.networks.get(point.network).cloned().unwrap_or_default(),
                answers: seen.answers,
                age_ms: seen.age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
            })
        };
        cluster.reference.iter().enumerate().filter_map(line).collect()
    }

    /// The networks of the cluster file, by what is known of their points.
    fn networks_referred(&self, now: Time) -> References {
        let mut references = References::default();
        let (Some(cluster), Some(machine)) = (&self.cluster, &self.reference) else {
            return references;
        };
        for (network, name) in cluster.networks.iter().enumerate() {
            let points = cluster.reference.iter().enumerate();
            let points = points.filter(|(_, point)| point.network == network).map(|(at, _)| at);
            match machine.answer_of(points, now) {
                Some(true) => references.answering.push(name.clone()),
                Some(false) => references.silent.push(name.clone()),
                None => {}
            }
        }
        references
    }
}

impl Agent<'_> {
    /// Once in each turn of the loop.
    pub(super) fn references(&mut self) {
        self.refer(Input::Timeout);
        let now = lock(&self.core).networks_referred(sys::clock::now());
        if self.pings.told.as_ref() != Some(&now) {
            self.tell(&Report::References(now.clone()));
            self.pings.told = Some(now);
        }
    }

    /// A point has answered, or its socket has an error.
    pub(super) fn reference_answers(&mut self, point: usize) {
        for _ in 0..MOST_ANSWERS {
            let socket = self.pings.sockets.get(point).and_then(Option::as_ref);
            let Some(number) = socket.and_then(Ping::answer) else { return };
            self.refer(Input::Answer { point, number });
        }
    }

    /// Feeds the machine and performs what it orders.
    fn refer(&mut self, input: Input) {
        let now = sys::clock::now();
        let mut out = vec![];
        {
            let mut core = lock(&self.core);
            let core = &mut *core;
            let (Some(machine), Some(cluster)) = (&mut core.reference, &core.cluster) else {
                return;
            };
            self.pings.open_missing((cluster, core.me), &self.poller, now);
            machine.step(now, input, &mut out);
        }
        for action in out {
            match action {
                Action::Ask { point, number } => {
                    if let Some(ping) = self.pings.sockets.get(point).and_then(Option::as_ref) {
                        // What cannot leave has no answer, which is what it should have.
                        let _ = ping.ask(number);
                    }
                }
                Action::Answers(answers) => {
                    self.step(member::Input::Reference { answers });
                    self.gossip(gossip::Input::Reference(answers));
                }
            }
        }
    }

    pub(super) fn reference_deadline(core: &Core) -> Time {
        core.reference.as_ref().map_or(Time::NEVER, Reference::deadline)
    }
}
