//! What is counted, shared by workers, checks and statistics.
//!
//! Two kinds live here. *Live* numbers decide something (limits, rotation, least connections), so
//! they are exact across threads: one atomic each, on a cache line of its own. *Tallies* only
//! inform: each worker has its own, written with plain stores, and a reader adds them up.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use config::haproxy::Haproxy;

/// A value alone on its cache lines, so that threads do not slow each other down. 128: processors
/// fetch lines in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Padded<T>(pub(crate) T);

/// Everything that is counted in this process.
#[derive(Debug)]
pub(crate) struct Counters {
    pub(crate) process: Side,
    /// In the order of the configuration.
    pub(crate) proxies: Vec<ProxyCounters>,
    /// Panics caught around one event of one session; each cost that session only.
    pub(crate) panics: AtomicU64,
}

/// One `listen`, `frontend` or `backend`.
#[derive(Debug)]
pub(crate) struct ProxyCounters {
    pub(crate) frontend: Side,
    pub(crate) backend: Side,
    /// In the order of the configuration.
    pub(crate) servers: Vec<Side>,
    /// Shared position of the rotation over the servers.
    pub(crate) turn: Padded<AtomicU64>,
}

/// A frontend, a backend, a server or the whole process.
#[derive(Debug)]
pub(crate) struct Side {
    live: Padded<Live>,
    tallies: Box<[Padded<Tally>]>,
}

#[derive(Debug, Default)]
struct Live {
    current: AtomicU32,
    most: AtomicU32,
    queued: AtomicU32,
    most_queued: AtomicU32,
    /// Monotonic nanoseconds of the last session, for `lastsess`; 0 if there was none.
    last: AtomicU64,
    sessions_rate: Rate,
    requests_rate: Rate,
}

/// Events of the last whole second, sampled by the control thread.
#[derive(Debug, Default)]
struct Rate {
    seen: AtomicU64,
    rate: AtomicU64,
    most: AtomicU64,
}

/// What is counted by each worker for itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Count {
    /// `stot`: sessions of a frontend; of a backend or server: sessions and requests sent there.
    Sessions,
    /// `conn_tot`.
    Connections,
    /// `req_tot`.
    Requests,
    /// `intercepted`: answered by the statistics page or the monitor.
    Intercepted,
    BytesIn,
    BytesOut,
    /// `dreq`: refused by a rule.
    DeniedRequests,
    /// `dresp`.
    DeniedResponses,
    /// `ereq`: not understood, or the client went away before the request was whole.
    RequestErrors,
    /// `econ`.
    ConnectErrors,
    /// `eresp`.
    ResponseErrors,
    /// `wretr`.
    Retries,
    /// `wredis`.
    Redispatches,
    /// `lbtot`: times chosen by the balance.
    Chosen,
    /// `cli_abrt`.
    ClientAborts,
    /// `srv_abrt`.
    ServerAborts,
    /// `connect`: connections opened to servers.
    Connects,
    /// `reuse`: requests on a connection that existed.
    Reuses,
    /// Second connects raced against a silent first one (adaptive).
    Hedges,
    Status1xx,
    Status2xx,
    Status3xx,
    Status4xx,
    Status5xx,
    StatusOther,
}

const COUNTS: usize = Count::StatusOther as usize + 1;

impl Count {
    /// The class of a response's status.
    pub(crate) const fn of_status(status: u16) -> Self {
        match status / 100 {
            1 => Self::Status1xx,
            2 => Self::Status2xx,
            3 => Self::Status3xx,
            4 => Self::Status4xx,
            5 => Self::Status5xx,
            _ => Self::StatusOther,
        }
    }
}

/// Averages over the last [`SPAN_OF_AVERAGE`] sessions, as HAProxy prints them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Average {
    /// `qtime`.
    Queue,
    /// `ctime`.
    Connect,
    /// `rtime`.
    Response,
    /// `ttime`.
    Total,
}

/// HAProxy's `TIME_STATS_SAMPLES`.
const SPAN_OF_AVERAGE: u64 = 512;

#[derive(Debug)]
struct Tally {
    counts: [AtomicU64; COUNTS],
    averages: [AtomicU64; 4],
    samples: AtomicU64,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            counts: [const { AtomicU64::new(0) }; COUNTS],
            averages: [const { AtomicU64::new(0) }; 4],
            samples: AtomicU64::new(0),
        }
    }
}

/// One writer per tally: a plain store suffices, no locked instruction.
fn bump(cell: &AtomicU64, by: u64) {
    cell.store(cell.load(Relaxed).wrapping_add(by), Relaxed);
}

impl Side {
    fn new(workers: usize) -> Self {
        Self {
            live: Padded::default(),
            tallies: (0..workers.max(1)).map(|_| Padded::default()).collect(),
        }
    }

    /// Counts `by` events seen by worker number `worker`.
    pub(crate) fn add(&self, worker: usize, count: Count, by: u64) {
        bump(&self.tallies[worker].0.counts[count as usize], by);
    }

    /// All workers' events.
    pub(crate) fn total(&self, count: Count) -> u64 {
        self.tallies.iter().map(|t| t.0.counts[count as usize].load(Relaxed)).sum()
    }

    /// Adds one finished session's times in milliseconds, in the order of [`Average`].
    pub(crate) fn finished(&self, worker: usize, times: [u64; 4]) {
        let tally = &self.tallies[worker].0;
        bump(&tally.samples, 1);
        for (sum, time) in tally.averages.iter().zip(times) {
            let old = sum.load(Relaxed);
            sum.store(old - old.div_ceil(SPAN_OF_AVERAGE) + time, Relaxed);
        }
    }

    /// Milliseconds, over the workers that saw a session.
    pub(crate) fn average(&self, of: Average) -> u64 {
        let used = || self.tallies.iter().filter(|t| t.0.samples.load(Relaxed) > 0);
        let sum: u64 = used().map(|t| t.0.averages[of as usize].load(Relaxed)).sum();
        let workers = u64::try_from(used().count()).unwrap_or(1).max(1);
        sum.div_ceil(SPAN_OF_AVERAGE * workers)
    }

    /// `scur`.
    pub(crate) fn current(&self) -> u32 {
        self.live.0.current.load(Relaxed)
    }

    /// `smax`.
    pub(crate) fn most(&self) -> u32 {
        self.live.0.most.load(Relaxed)
    }

    /// `qcur`.
    pub(crate) fn queued(&self) -> u32 {
        self.live.0.queued.load(Relaxed)
    }

    /// `qmax`.
    pub(crate) fn most_queued(&self) -> u32 {
        self.live.0.most_queued.load(Relaxed)
    }

    /// One more session; returns how many there are with it.
    pub(crate) fn enter(&self) -> u32 {
        let now = self.live.0.current.fetch_add(1, Relaxed) + 1;
        self.note_most(now);
        now
    }

    /// One more session unless there are `limit` already.
    pub(crate) fn try_enter(&self, limit: u32) -> bool {
        let entered = self.reserve(limit);
        if entered {
            self.note_most(self.current());
        }
        entered
    }

    /// A place for a session that may not come: it counts as one when it did ([`Side::came`]).
    pub(crate) fn reserve(&self, limit: u32) -> bool {
        let current = &self.live.0.current;
        current.fetch_update(Relaxed, Relaxed, |now| (now < limit).then_some(now + 1)).is_ok()
    }

    /// The session of a reserved place is there.
    pub(crate) fn came(&self) {
        self.note_most(self.current());
    }

    pub(crate) fn leave(&self) {
        self.live.0.current.fetch_sub(1, Relaxed);
    }

    pub(crate) fn enter_queue(&self) -> u32 {
        let now = self.live.0.queued.fetch_add(1, Relaxed) + 1;
        self.live.0.most_queued.fetch_max(now, Relaxed);
        now
    }

    pub(crate) fn leave_queue(&self) {
        self.live.0.queued.fetch_sub(1, Relaxed);
    }

    fn note_most(&self, now: u32) {
        if now > self.live.0.most.load(Relaxed) {
            self.live.0.most.fetch_max(now, Relaxed);
        }
    }

    /// Remembers the moment of the last session (coarse is enough: it is printed in seconds).
    pub(crate) fn used(&self, now: base::Time) {
        const SECOND: u64 = 1_000_000_000;
        if now.as_nanos().saturating_sub(self.live.0.last.load(Relaxed)) > SECOND / 2 {
            self.live.0.last.store(now.as_nanos(), Relaxed);
        }
    }

    /// When the last session came, if there was one.
    pub(crate) fn last_used(&self) -> Option<base::Time> {
        match self.live.0.last.load(Relaxed) {
            0 => None,
            nanos => Some(base::Time::from_nanos(nanos)),
        }
    }

    /// `rate`: sessions in the last whole second.
    pub(crate) fn rate(&self) -> u64 {
        self.live.0.sessions_rate.rate.load(Relaxed)
    }

    /// `rate_max`.
    pub(crate) fn most_rate(&self) -> u64 {
        self.live.0.sessions_rate.most.load(Relaxed)
    }

    /// `req_rate`.
    pub(crate) fn request_rate(&self) -> u64 {
        self.live.0.requests_rate.rate.load(Relaxed)
    }

    /// `req_rate_max`.
    pub(crate) fn most_request_rate(&self) -> u64 {
        self.live.0.requests_rate.most.load(Relaxed)
    }

    fn sample(&self) {
        self.live.0.sessions_rate.sample(self.total(Count::Sessions));
        self.live.0.requests_rate.sample(self.total(Count::Requests));
    }
}

impl Rate {
    fn sample(&self, total: u64) {
        let rate = total.saturating_sub(self.seen.swap(total, Relaxed));
        self.rate.store(rate, Relaxed);
        self.most.fetch_max(rate, Relaxed);
    }
}

impl Counters {
    pub(crate) fn new(config: &Haproxy, workers: usize) -> Self {
        let side = || Side::new(workers);
        let proxies = config.proxies.iter().map(|proxy| ProxyCounters {
            frontend: side(),
            backend: side(),
            servers: proxy.servers.iter().map(|_| side()).collect(),
            turn: Padded::default(),
        });
        Self { process: side(), proxies: proxies.collect(), panics: AtomicU64::new(0) }
    }

    /// Called once a second by the control thread; the rates come from here.
    pub(crate) fn sample(&self) {
        self.process.sample();
        for proxy in &self.proxies {
            proxy.frontend.sample();
            proxy.backend.sample();
            proxy.servers.iter().for_each(Side::sample);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tallies_of_all_workers_add_up() {
        let side = Side::new(3);
        side.add(0, Count::BytesIn, 5);
        side.add(2, Count::BytesIn, 7);
        assert_eq!(side.total(Count::BytesIn), 12);
        assert_eq!(side.total(Count::BytesOut), 0);
    }

    #[test]
    fn a_limit_is_never_passed() {
        let side = Side::new(1);
        assert!(side.try_enter(2) && side.try_enter(2));
        assert!(!side.try_enter(2));
        side.leave();
        assert!(side.try_enter(2));
        assert_eq!(side.most(), 2);
    }

    #[test]
    fn the_average_tends_to_the_value() {
        let side = Side::new(2);
        for _ in 0..5_000 {
            side.finished(1, [4, 0, 10, 14]);
        }
        assert_eq!(side.average(Average::Queue), 4);
        assert_eq!(side.average(Average::Total), 14);
    }

    #[test]
    fn the_rate_is_that_of_the_last_second() {
        let side = Side::new(1);
        side.add(0, Count::Sessions, 9);
        side.sample();
        side.add(0, Count::Sessions, 2);
        side.sample();
        assert_eq!((side.rate(), side.most_rate()), (2, 9));
    }
}
