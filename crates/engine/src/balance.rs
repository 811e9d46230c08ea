//! Which server gets the next request, and what to do when it does not answer.
//!
//! One [`Pool`] per proxy and data thread; what must be exact across threads (turns, sessions) is read
//! through [`Counters`]. Choosing allocates nothing and looks at each server at most a few times.
//!
//! Who takes part, the first group that is not empty:
//!
//! ```text
//!   strict:    usable non-backup servers, else the first usable backup (all with allbackups)
//!   adaptive:  the same among servers nobody suspects, else the same among the suspected
//! ```

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use config::haproxy::{self, Balance, Redispatch};

use schedule::Schedule;

pub use hedge::Hedge;
pub use patience::{LEAST as LEAST_PATIENCE, MOST as MOST_PATIENCE, Patience};
pub use set::{MAX_SERVERS, ServerSet};

mod hedge;
mod patience;
mod retry;
mod schedule;
mod set;
#[cfg(test)]
mod tests;

/// What the file says about a server, as far as choosing needs it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Server {
    pub address: SocketAddr,
    pub backup: bool,
    /// 0: no request at all.
    pub weight: u16,
    pub maxconn: Option<u32>,
}

/// What is known about a server now.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Condition {
    /// As the file's checks say.
    pub up: bool,
    /// The operator wants no new request there.
    pub drain: bool,
    /// Evidence beyond the checks says no; ignored in strict mode.
    pub suspect: bool,
    /// Its node takes no new work, as an operator asked; ignored in strict mode.
    pub resting: bool,
}

/// Figures that all data threads share.
pub trait Counters {
    /// Takes a turn of the rotation: never the same number twice, no number left out.
    fn turn(&self) -> u64;
    /// Sessions the server has now.
    fn sessions(&self, server: usize) -> u32;
    /// Requests that wait in this proxy's queue and came before the one that asks. Zero for the
    /// request that was just taken out of the queue.
    fn queued(&self) -> u32;
}

/// One request looking for a server.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The client's address.
    pub source: IpAddr,
    /// Servers this request has already met.
    pub avoid: &'a ServerSet,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Pick {
    Server(usize),
    /// Every usable server is at its maxconn: wait in the queue.
    Wait,
    /// No server is usable.
    None,
}

/// What to do after a failed connect.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Retry {
    /// The same server once more.
    SameServer {
        after: Duration,
    },
    /// Pick again, avoiding those already met.
    OtherServer {
        after: Duration,
    },
    GiveUp,
}

/// The servers of one proxy.
#[derive(Clone, Debug)]
pub struct Pool {
    servers: Vec<Server>,
    conditions: Vec<Condition>,
    /// Weights divided by their greatest common divisor.
    weights: Vec<u16>,
    balance: Balance,
    all_backups: bool,
    redispatch: Redispatch,
    retries: u32,
    connect_timeout: Option<Duration>,
    http: bool,
    adaptive: bool,
    /// By server.
    patience: Vec<Patience>,
    /// Tests of the demo's judgement forbid other servers.
    only_same_server: bool,
    /// Who gets new requests.
    group: ServerSet,
    /// Who gets those that everybody of the group failed.
    resort: ServerSet,
    /// Usable non-backup servers, as HAProxy counts them.
    active: ServerSet,
    rota: Schedule,
    /// `balance source`: where clients belong while nobody is suspected.
    home: Schedule,
}

/// Who is asked before whom.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    First,
    /// Well, and its node is meant to come to rest.
    Resting,
    Suspect,
}

impl Pool {
    /// All servers up, except those the file disables. Takes the first [`MAX_SERVERS`].
    #[must_use]
    pub fn new(proxy: &haproxy::Proxy, adaptive: bool) -> Self {
        let servers: Vec<Server> = proxy.servers.iter().take(MAX_SERVERS).map(server).collect();
        let conditions = proxy.servers.iter().take(MAX_SERVERS);
        let conditions = conditions
            .map(|server| Condition { up: !server.disabled, ..Condition::default() })
            .collect();
        let divisor = servers.iter().map(|server| server.weight).fold(0, divisor).max(1);
        let weights = servers.iter().map(|server| server.weight / divisor).collect();
        let mut pool = Self {
            servers,
            conditions,
            weights,
            balance: proxy.balance.clone(),
            all_backups: proxy.all_backups,
            redispatch: proxy.redispatch,
            retries: proxy.retries,
            connect_timeout: proxy.timeouts.connect,
            http: proxy.mode == haproxy::Mode::Http,
            adaptive,
            patience: vec![Patience::default(); proxy.servers.len().min(MAX_SERVERS)],
            only_same_server: false,
            group: ServerSet::EMPTY,
            resort: ServerSet::EMPTY,
            active: ServerSet::EMPTY,
            rota: Schedule::default(),
            home: Schedule::default(),
        };
        pool.regroup();
        pool
    }

    /// Failed connects stay with their server: the demo must see requests fail then.
    pub const fn break_redispatch(&mut self) {
        self.only_same_server = true;
    }

    pub fn set(&mut self, server: usize, condition: Condition) {
        if let Some(present) = self.conditions.get_mut(server)
            && *present != condition
        {
            *present = condition;
            self.regroup();
        }
    }

    #[must_use]
    pub fn servers(&self) -> &[Server] {
        &self.servers
    }

    #[must_use]
    pub fn condition(&self, server: usize) -> Option<Condition> {
        self.conditions.get(server).copied()
    }

    /// How many servers take new requests now.
    #[must_use]
    pub fn usable(&self) -> usize {
        self.group.len()
    }

    /// The server for a request.
    #[must_use]
    pub fn pick(&self, ask: &Ask<'_>, counters: &impl Counters) -> Pick {
        if self.group.is_empty() {
            return Pick::None;
        }
        if self.is_queue_first(counters) {
            return Pick::Wait;
        }
        match self.balance {
            Balance::RoundRobin => {
                let due = self.rota.at(counters.turn()).unwrap_or(0);
                self.settle(ask, counters, |avoid| self.from(due, &self.group, avoid, counters))
            }
            Balance::LeastConnections => {
                let turn = counters.turn();
                self.settle(ask, counters, |avoid| self.least(turn, avoid, counters))
            }
            Balance::First => {
                self.settle(ask, counters, |avoid| self.from(0, &self.group, avoid, counters))
            }
            Balance::Source => self.by_source(ask, counters),
        }
    }

    /// A second server for a request whose connect to `first` is silent and of which no byte was
    /// sent: never a backup, a suspect or a full one, and not where the client belongs to `first`.
    #[must_use]
    pub fn hedge(&self, first: usize, ask: &Ask<'_>, counters: &impl Counters) -> Option<usize> {
        if !self.may_hedge() {
            return None;
        }
        if self.balance == Balance::Source && !self.is_aside(first) {
            return None;
        }
        let mut avoid = *ask.avoid;
        avoid.insert(first);
        let mut group = self.group;
        for server in self.group.iter() {
            if self.servers[server].backup || self.is_aside(server) {
                group.remove(server);
            }
        }
        self.from(self.wrap(counters.turn()), &group, &avoid, counters)
    }

    /// How long a connect to `server` may be silent before [`Pool::hedge`] is worth asking; none: never.
    #[must_use]
    pub fn hedge_after(&self, server: usize) -> Option<Duration> {
        let own = self.patience.get(server).and_then(|patience| patience.limit());
        // One that this thread never met is taken for as far away as the farthest that it did.
        let others = || self.patience.iter().filter_map(|patience| patience.limit()).max();
        self.may_hedge().then(|| own.or_else(others).unwrap_or(MOST_PATIENCE))
    }

    /// From here on the silence of a connect speaks against `server`. One of which this thread met none may be farther than those that it did.
    #[must_use]
    pub fn speaks_after(&self, server: usize) -> Duration {
        let own = self.patience.get(server).and_then(|patience| patience.limit());
        own.unwrap_or(MOST_PATIENCE)
    }

    /// A connect to `server` took so long.
    pub fn connected(&mut self, server: usize, took: Duration) {
        if let Some(patience) = self.patience.get_mut(server) {
            patience.connected(took);
        }
    }

    fn may_hedge(&self) -> bool {
        let possible = self.adaptive && self.http && !self.only_same_server;
        possible && self.active.len() > 1
    }

    /// Whether others wait already. HAProxy lets newcomers queue behind them in these algorithms, as
    /// long as some session will end and take the next one out (`assign_server`).
    fn is_queue_first(&self, counters: &impl Counters) -> bool {
        matches!(self.balance, Balance::RoundRobin | Balance::First)
            && counters.queued() > 0
            && self.group.iter().all(|server| self.limit(server).is_some())
            && self.group.iter().any(|server| counters.sessions(server) > 0)
    }

    /// Tries the group without those already met, then (adaptive) its suspects, then anybody of it.
    fn settle(
        &self,
        ask: &Ask<'_>,
        counters: &impl Counters,
        choose: impl Fn(&ServerSet) -> Option<usize>,
    ) -> Pick {
        if let Some(server) = choose(ask.avoid) {
            return Pick::Server(server);
        }
        let all_met = self.group.iter().all(|server| ask.avoid.contains(server));
        if all_met && let Some(server) = self.from(0, &self.resort, ask.avoid, counters) {
            return Pick::Server(server);
        }
        let again = if all_met || !self.adaptive { &ServerSet::EMPTY } else { ask.avoid };
        choose(again).map_or(Pick::Wait, Pick::Server)
    }

    fn by_source(&self, ask: &Ask<'_>, counters: &impl Counters) -> Pick {
        let hash = hash(ask.source);
        let Some(home) = self.home.at(hash) else { return Pick::None };
        if !self.adaptive || self.group.contains(home) && !ask.avoid.contains(home) {
            return if self.is_full(home, counters) { Pick::Wait } else { Pick::Server(home) };
        }
        let length = u64::try_from(self.home.len()).unwrap_or(u64::MAX).max(1);
        let next = self.rota.at(hash / length).unwrap_or(0);
        self.settle(ask, counters, |avoid| self.from(next, &self.group, avoid, counters))
    }

    /// The first acceptable one of `group` at or after `start`, around the file.
    fn from(
        &self,
        start: usize,
        group: &ServerSet,
        avoid: &ServerSet,
        counters: &impl Counters,
    ) -> Option<usize> {
        let around = (start..self.servers.len()).chain(0..start.min(self.servers.len()));
        around.into_iter().find(|server| self.is_acceptable(*server, group, avoid, counters))
    }

    /// The one with the fewest sessions for its weight, as `lb_fwlc.c` counts; equals take turns.
    fn least(&self, turn: u64, avoid: &ServerSet, counters: &impl Counters) -> Option<usize> {
        let start = self.wrap(turn);
        let around = (start..self.servers.len()).chain(0..start);
        around
            .filter(|server| self.is_acceptable(*server, &self.group, avoid, counters))
            .min_by_key(|server| match u64::from(counters.sessions(*server)) {
                0 => 0,
                sessions => (sessions + 1) * 65_536 / u64::from(self.weights[*server].max(1)),
            })
    }

    fn is_acceptable(
        &self,
        server: usize,
        group: &ServerSet,
        avoid: &ServerSet,
        counters: &impl Counters,
    ) -> bool {
        group.contains(server) && !avoid.contains(server) && !self.is_full(server, counters)
    }

    fn is_full(&self, server: usize, counters: &impl Counters) -> bool {
        self.limit(server).is_some_and(|limit| counters.sessions(server) >= limit)
    }

    /// HAProxy reads `maxconn 0` as no limit.
    fn limit(&self, server: usize) -> Option<u32> {
        self.servers.get(server).and_then(|server| server.maxconn).filter(|limit| *limit > 0)
    }

    /// Comes after all others that are up.
    fn is_aside(&self, server: usize) -> bool {
        self.place(server) != Place::First
    }

    fn place(&self, server: usize) -> Place {
        match self.conditions.get(server).filter(|_| self.adaptive) {
            Some(Condition { suspect: true, .. }) => Place::Suspect,
            Some(Condition { resting: true, .. }) => Place::Resting,
            Some(_) | None => Place::First,
        }
    }

    /// Some position in the file for a turn.
    fn wrap(&self, turn: u64) -> usize {
        let servers = u64::try_from(self.servers.len()).unwrap_or(u64::MAX).max(1);
        usize::try_from(turn % servers).unwrap_or(0)
    }

    /// After a change of conditions.
    fn regroup(&mut self) {
        let usable = |server: &usize| {
            let Condition { up, drain, .. } = self.conditions[*server];
            up && !drain && self.weights[*server] > 0
        };
        let usable: ServerSet = (0..self.servers.len()).filter(usable).collect();
        let side = |backup: bool, place: Option<Place>| -> ServerSet {
            let on_side = |server: &usize| {
                self.servers[*server].backup == backup
                    && place.is_none_or(|place| self.place(*server) == place)
            };
            let side: ServerSet = usable.iter().filter(on_side).collect();
            if backup && !self.all_backups { side.first().into_iter().collect() } else { side }
        };
        let mut places = [Place::First, Place::Resting, Place::Suspect].into_iter();
        let group = places.find_map(|place| {
            let both = [side(false, Some(place)), side(true, Some(place))];
            both.into_iter().find(|group| !group.is_empty())
        });
        let (group, active) = (group.unwrap_or_default(), side(false, None));
        let home = if active.is_empty() { side(true, None) } else { active };
        let is_left = |server: &usize| self.is_aside(*server) && !group.contains(*server);
        let resort = active.iter().filter(is_left).collect();
        (self.active, self.group, self.resort) = (active, group, resort);
        self.rota.rotate(&group, &self.weights);
        if self.balance == Balance::Source {
            self.home.map(&home, &self.weights);
        }
    }
}

/// HAProxy's hash of a source address without `avalanche`: its words, big-endian, combined by XOR
/// (`backend.c`, `get_server_sh`).
fn hash(source: IpAddr) -> u64 {
    let word = match source {
        IpAddr::V4(address) => address.to_bits(),
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            (0..4).fold(0, |hash, word| {
                hash ^ u32::try_from(bits >> (32 * word) & 0xffff_ffff).unwrap_or(0)
            })
        }
    };
    u64::from(word)
}

fn server(server: &haproxy::Server) -> Server {
    let haproxy::Server { address, backup, weight, maxconn, .. } = *server;
    Server { address, backup, weight, maxconn }
}

const fn divisor(mut a: u16, mut b: u16) -> u16 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}
