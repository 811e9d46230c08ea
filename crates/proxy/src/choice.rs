//! One backend as one worker sees it: its pool of servers and the connections kept to them.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use base::Time;
use config::haproxy::Proxy;
use engine::balance::{self, Ask, Condition, Hedge, Pick, Pool, Retry, ServerSet};

use crate::counters::ProxyCounters;
use crate::shared::Chosen;
use crate::slab::Key;

/// Kept connections per server and worker: more only cost the server memory.
const MAX_IDLE: usize = 256;

/// A kept connection that was not used for this long is closed (HAProxy's `pool-purge-delay`).
pub(crate) const IDLE_LIMIT: Duration = Duration::from_secs(5);

/// Between connects to the only server that may be used.
const WRITER_PAUSE: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) pool: Pool,
    pub(crate) hedge: Hedge,
    pub(crate) chosen: Chosen,
    /// When each server last answered this worker.
    pub(crate) answered: Vec<Time>,
    idle: Vec<VecDeque<(Key, Time)>>,
    /// By server: a connect that nobody waits for any more, and when it began.
    late: Vec<Option<(Key, Time)>>,
}

/// The shared figures, as one request may use them.
struct Figures<'a> {
    counters: &'a ProxyCounters,
    /// It was taken out of the queue: nobody is before it.
    first: bool,
}

impl balance::Counters for Figures<'_> {
    fn turn(&self) -> u64 {
        self.counters.turn.0.fetch_add(1, Relaxed)
    }

    fn sessions(&self, server: usize) -> u32 {
        self.counters.servers[server].current()
    }

    fn queued(&self) -> u32 {
        if self.first { 0 } else { self.counters.backend.queued() }
    }
}

/// Who asks for a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seeker<'a> {
    pub(crate) source: Option<IpAddr>,
    pub(crate) avoid: &'a ServerSet,
    /// Taken out of the queue.
    pub(crate) first: bool,
}

impl Seeker<'_> {
    fn ask(&self) -> Ask<'_> {
        // Clients of a Unix socket have no address; HAProxy hashes zero for them.
        let source = self.source.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        Ask { source, avoid: self.avoid }
    }
}

impl Backend {
    pub(crate) fn new(proxy: &Proxy, adaptive: bool, may_redispatch: bool) -> Self {
        let mut pool = Pool::new(proxy, adaptive);
        if !may_redispatch {
            pool.break_redispatch();
        }
        Self {
            pool,
            hedge: Hedge::new(),
            chosen: Chosen::Free,
            answered: vec![Time::ZERO; proxy.servers.len()],
            idle: proxy.servers.iter().map(|_| VecDeque::new()).collect(),
            late: vec![None; proxy.servers.len()],
        }
    }

    pub(crate) fn pick(&self, seeker: &Seeker<'_>, counters: &ProxyCounters) -> Pick {
        let figures = Figures { counters, first: seeker.first };
        match self.chosen {
            Chosen::Free => self.pool.pick(&seeker.ask(), &figures),
            Chosen::Changing => Pick::Wait,
            Chosen::Only(server) if self.is_full(server, counters) => Pick::Wait,
            Chosen::Only(server) if self.serves(server) => Pick::Server(server),
            Chosen::Only(_) => Pick::None,
        }
    }

    /// A second server for a silent connect.
    pub(crate) fn second(
        &mut self,
        first: usize,
        seeker: &Seeker<'_>,
        counters: &ProxyCounters,
    ) -> Option<usize> {
        if self.chosen != Chosen::Free {
            return None;
        }
        let figures = Figures { counters, first: true };
        let second = self.pool.hedge(first, &seeker.ask(), &figures)?;
        self.hedge.take().then_some(second)
    }

    pub(crate) fn after_failure(&self, attempt: u32, last: usize, silent: bool) -> Retry {
        let retry = if silent {
            self.pool.after_timeout(attempt, last)
        } else {
            self.pool.after_failure(attempt, last)
        };
        match (self.chosen, retry) {
            (Chosen::Free, retry) => retry,
            (_, Retry::GiveUp) => Retry::GiveUp,
            (_, Retry::SameServer { .. } | Retry::OtherServer { .. }) => {
                Retry::OtherServer { after: WRITER_PAUSE }
            }
        }
    }

    /// Up and wanted: sessions that keep to it may go there.
    pub(crate) fn serves(&self, server: usize) -> bool {
        self.pool.condition(server).is_some_and(|condition: Condition| condition.up)
    }

    pub(crate) fn is_suspect(&self, server: usize) -> bool {
        self.pool.condition(server).is_some_and(|condition| condition.suspect)
    }

    pub(crate) fn limit(&self, server: usize) -> Option<u32> {
        self.pool.servers().get(server).and_then(|s| s.maxconn).filter(|limit| *limit > 0)
    }

    fn is_full(&self, server: usize, counters: &ProxyCounters) -> bool {
        self.limit(server).is_some_and(|limit| counters.servers[server].current() >= limit)
    }

    /// When another server than `server` last answered.
    pub(crate) fn other_answered(&self, server: usize) -> Option<Time> {
        let others = self.answered.iter().enumerate().filter(|(other, _)| *other != server);
        others.map(|(_, at)| *at).max().filter(|at| *at > Time::ZERO)
    }

    /// Keeps a connection; false: there are enough.
    pub(crate) fn keep(&mut self, server: usize, link: Key, now: Time) -> bool {
        let idle = &mut self.idle[server];
        let room = idle.len() < MAX_IDLE;
        if room {
            idle.push_back((link, now));
        }
        room
    }

    /// The one used last: it is the least likely to be closed by the server.
    pub(crate) fn kept(&mut self, server: usize) -> Option<Key> {
        self.idle[server].pop_back().map(|(link, _)| link)
    }

    /// It was closed by the server.
    pub(crate) fn forget(&mut self, server: usize, link: Key) {
        self.idle[server].retain(|(other, _)| *other != link);
    }

    /// A connect goes on, to see how long it takes; false: another one does already.
    pub(crate) fn goes_on(&mut self, server: usize, link: Key, since: Time) -> bool {
        let place = &mut self.late[server];
        let free = place.is_none();
        place.get_or_insert((link, since));
        free
    }

    /// One that went on has come to an end: when it began.
    pub(crate) fn ends(&mut self, server: usize, link: Key) -> Option<Time> {
        self.late[server].take_if(|(other, _)| *other == link).map(|(_, since)| since)
    }

    /// One that went on since `before` or longer.
    pub(crate) fn overdue(&self, before: Time) -> Option<(usize, Key)> {
        let late = self.late.iter().enumerate();
        let mut late = late.filter_map(|(server, late)| Some((server, (*late)?)));
        late.find(|(_, (_, since))| *since <= before).map(|(server, (link, _))| (server, link))
    }

    /// When the first of those began.
    pub(crate) fn goes_on_since(&self) -> Option<Time> {
        self.late.iter().flatten().map(|(_, since)| *since).min()
    }

    /// Connections kept since `before` or longer.
    pub(crate) fn expired(&mut self, before: Time) -> Option<Key> {
        let idle = self
            .idle
            .iter_mut()
            .find(|idle| idle.front().is_some_and(|(_, since)| *since <= before))?;
        idle.pop_front().map(|(link, _)| link)
    }

    /// All connections kept to a server.
    pub(crate) fn purge(&mut self, server: usize) -> Vec<Key> {
        self.idle[server].drain(..).map(|(link, _)| link).collect()
    }
}
