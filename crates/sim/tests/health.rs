//! One backend under a fault, on virtual time: what clients feel in strict and in adaptive mode.
//!
//! One request every 5 ms meets three servers with the printed settings (`inter 2000 rise 2 fall 5`,
//! `timeout connect 10s`). At 2 s server `a` is struck; 28 s later the world ends.

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::IpAddr;
use std::time::Duration;

use base::Time;
use config::haproxy::Proxy;
use engine::balance::{Ask, Condition, Counters, Hedge, Pick, Pool, Retry, ServerSet};
use engine::health::{Evidence, Health, Standing, Suspicion, first_check_at};

const BACKEND: &str = "
listen api
    bind 127.0.0.1:80
    mode http
    balance roundrobin
    option redispatch
    retries 3
    timeout connect 10s
    timeout server 5s
    server a 10.0.0.1:80 check inter 2000 rise 2 fall 5
    server b 10.0.0.2:80 check inter 2000 rise 2 fall 5
    server c 10.0.0.3:80 check inter 2000 rise 2 fall 5
";

const SERVERS: usize = 3;
const STRUCK: usize = 0;
const FAULT_AT: Duration = Duration::from_secs(2);
const END: Duration = Duration::from_secs(30);
const EVERY: Duration = Duration::from_millis(5);
/// An answer takes this long; a millisecond would hide every race.
const ANSWER: Duration = Duration::from_millis(3);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const SERVER_TIMEOUT: Duration = Duration::from_secs(5);
/// A struck node's beats are missed after this.
const VERDICT: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fault {
    /// The process is gone: connects are refused.
    Killed,
    /// The node is gone: connects are silent, and its beats end.
    Vanished,
    /// The process stands still: connects succeed, nothing is answered.
    Frozen,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Happening {
    Fault,
    Verdict,
    Check(usize),
    CheckEnds { server: usize, started: Time, passed: bool },
    Arrives,
    Picks(usize),
    Refused { request: usize, server: usize },
    Hedges { request: usize, server: usize },
    ConnectTimeout { request: usize, server: usize },
    Answers { request: usize, server: usize },
    Silent { request: usize, server: usize },
    ServerTimeout { request: usize, server: usize },
    Expires(usize),
}

#[derive(Clone, Debug)]
struct Request {
    since: Time,
    met: ServerSet,
    attempts: u32,
    /// When the server that has the request got it.
    sent: Option<(usize, Time)>,
    done: bool,
}

#[derive(Default)]
struct Turns(Cell<u64>);

impl Counters for Turns {
    fn turn(&self) -> u64 {
        self.0.replace(self.0.get() + 1)
    }

    fn sessions(&self, _: usize) -> u32 {
        0
    }

    fn queued(&self) -> u32 {
        0
    }
}

struct World {
    now: Time,
    adaptive: bool,
    fault: Option<Fault>,
    coming: Fault,
    queue: BinaryHeap<Reverse<(Time, u64, Happening)>>,
    number: u64,
    pool: Pool,
    turns: Turns,
    hedge: Hedge,
    health: Vec<Health>,
    suspicion: Vec<Suspicion>,
    answered: [Option<Time>; SERVERS],
    requests: Vec<Request>,
    failed: u32,
    slow: u32,
    longest: Duration,
    /// Requests that began after 1.5 s of the fault and were slower than 1 s.
    late_and_slow: u32,
    /// When the struck server was last chosen.
    last_chosen: Time,
}

fn proxy() -> Proxy {
    let source = config::Source { path: "api.cfg".into(), text: BACKEND.into() };
    config::haproxy::parse(&[source], 0).0.proxies.remove(0)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

impl World {
    fn new(adaptive: bool, fault: Fault) -> Self {
        let proxy = proxy();
        let checks = proxy.servers.iter().enumerate().map(|(n, server)| {
            let check = server.check.as_ref().expect("every server is checked");
            Health::new(check, first_check_at(Time::ZERO, n, SERVERS, check.interval))
        });
        let mut world = Self {
            now: Time::ZERO,
            adaptive,
            fault: None,
            coming: fault,
            queue: BinaryHeap::new(),
            number: 0,
            pool: Pool::new(&proxy, adaptive),
            turns: Turns::default(),
            hedge: Hedge::new(),
            health: checks.collect(),
            suspicion: vec![Suspicion::new(true); SERVERS],
            answered: [None; SERVERS],
            requests: Vec::new(),
            failed: 0,
            slow: 0,
            longest: Duration::ZERO,
            late_and_slow: 0,
            last_chosen: Time::ZERO,
        };
        for server in 0..SERVERS {
            world.at(world.health[server].next_check_at(), Happening::Check(server));
        }
        world.at(Time::ZERO + FAULT_AT, Happening::Fault);
        world.at(Time::ZERO + FAULT_AT + VERDICT, Happening::Verdict);
        world.at(Time::ZERO, Happening::Arrives);
        world
    }

    fn at(&mut self, time: Time, happening: Happening) {
        self.number += 1;
        self.queue.push(Reverse((time, self.number, happening)));
    }

    fn after(&mut self, span: Duration, happening: Happening) {
        self.at(self.now + span, happening);
    }

    fn run(mut self) -> Self {
        while let Some(Reverse((time, _, happening))) = self.queue.pop() {
            if time > Time::ZERO + END {
                break;
            }
            self.now = time;
            self.step(happening);
        }
        self
    }

    fn step(&mut self, happening: Happening) {
        match happening {
            Happening::Fault => self.fault = Some(self.coming),
            Happening::Verdict => {
                if self.adaptive && self.fault == Some(Fault::Vanished) {
                    self.evidence(STRUCK, Evidence::Node(Standing::Suspect));
                }
            }
            Happening::Check(server) => self.check(server),
            Happening::CheckEnds { server, started, passed } => {
                self.check_ends(server, started, passed);
            }
            Happening::Arrives => self.arrives(),
            Happening::Picks(request) => self.picks(request),
            Happening::Refused { request, server } => {
                self.evidence(server, Evidence::Refused);
                let attempts = self.requests[request].attempts;
                self.retry(request, self.pool.after_failure(attempts, server));
            }
            Happening::Hedges { request, server } => self.hedges(request, server),
            Happening::ConnectTimeout { request, server } => {
                if self.requests[request].sent.is_none() {
                    let attempts = self.requests[request].attempts;
                    self.retry(request, self.pool.after_timeout(attempts, server));
                }
            }
            Happening::Answers { request, server } => self.answers(request, server),
            Happening::Silent { request, server } => {
                if self.has(request, server) {
                    let since = self.now - millis(1001);
                    let other = self.other_answered(server);
                    self.evidence(server, Evidence::Unanswered { since, other });
                }
            }
            Happening::ServerTimeout { request, server } => {
                if self.has(request, server) {
                    self.ends(request, false);
                }
            }
            Happening::Expires(server) => self.evidence(server, Evidence::Timeout),
        }
    }

    fn is_struck(&self, server: usize) -> Option<Fault> {
        self.fault.filter(|_| server == STRUCK)
    }

    fn has(&self, request: usize, server: usize) -> bool {
        let request = &self.requests[request];
        !request.done && request.sent.is_some_and(|(at, _)| at == server)
    }

    fn other_answered(&self, server: usize) -> Option<Time> {
        (0..SERVERS).filter(|other| *other != server).filter_map(|other| self.answered[other]).max()
    }

    fn check(&mut self, server: usize) {
        let (after, passed) = match self.is_struck(server) {
            None | Some(Fault::Frozen) => (millis(1), true),
            Some(Fault::Killed) => (millis(1), false),
            Some(Fault::Vanished) => (millis(2000), false),
        };
        self.after(after, Happening::CheckEnds { server, started: self.now, passed });
    }

    fn check_ends(&mut self, server: usize, started: Time, passed: bool) {
        self.health[server].record(self.now, passed);
        self.at(self.health[server].next_check_at(), Happening::Check(server));
        if passed {
            self.evidence(server, Evidence::CheckPassed { started, answered: false });
        }
        self.tell(server);
    }

    fn evidence(&mut self, server: usize, evidence: Evidence) {
        if self.adaptive {
            self.suspicion[server].step(self.now, evidence);
            let due = self.suspicion[server].deadline();
            if due != Time::NEVER {
                self.at(due, Happening::Expires(server));
            }
            self.tell(server);
        }
    }

    fn tell(&mut self, server: usize) {
        let suspect = self.suspicion[server].is_suspect();
        let condition =
            Condition { up: self.health[server].is_up(), suspect, ..Condition::default() };
        self.pool.set(server, condition);
    }

    fn arrives(&mut self) {
        self.after(EVERY, Happening::Arrives);
        let met = ServerSet::EMPTY;
        self.requests.push(Request { since: self.now, met, attempts: 0, sent: None, done: false });
        self.picks(self.requests.len() - 1);
    }

    fn picks(&mut self, request: usize) {
        let source = IpAddr::from([10, 0, 0, 9]);
        let ask = Ask { source, avoid: &self.requests[request].met };
        match self.pool.pick(&ask, &self.turns) {
            Pick::Server(server) => {
                self.requests[request].attempts += 1;
                self.hedge.connected();
                self.connects(request, server);
            }
            Pick::Wait | Pick::None => self.ends(request, false),
        }
    }

    fn connects(&mut self, request: usize, server: usize) {
        self.requests[request].met.insert(server);
        if server == STRUCK {
            self.last_chosen = self.now;
        }
        match self.is_struck(server) {
            Some(Fault::Killed) => self.after(millis(0), Happening::Refused { request, server }),
            Some(Fault::Vanished) => {
                if let Some(after) = self.pool.hedge_after(server) {
                    self.after(after, Happening::Hedges { request, server });
                }
                self.after(CONNECT_TIMEOUT, Happening::ConnectTimeout { request, server });
            }
            struck @ (None | Some(Fault::Frozen)) => {
                self.requests[request].sent = Some((server, self.now));
                self.evidence(server, Evidence::Connected);
                if struck.is_none() {
                    self.after(ANSWER, Happening::Answers { request, server });
                }
                self.after(millis(1001), Happening::Silent { request, server });
                self.after(SERVER_TIMEOUT, Happening::ServerTimeout { request, server });
            }
        }
    }

    fn hedges(&mut self, request: usize, server: usize) {
        if self.requests[request].sent.is_some() {
            return;
        }
        let (patience, other) = (millis(200), self.other_answered(server));
        let since = self.now - patience;
        self.evidence(server, Evidence::ConnectPending { since, patience, other });
        let met = self.requests[request].met;
        let ask = Ask { source: IpAddr::from([10, 0, 0, 9]), avoid: &met };
        if let Some(second) = self.pool.hedge(server, &ask, &self.turns)
            && self.hedge.take()
        {
            self.connects(request, second);
        }
    }

    fn answers(&mut self, request: usize, server: usize) {
        if self.is_struck(server).is_some() || !self.has(request, server) {
            return;
        }
        self.answered[server] = Some(self.now);
        self.evidence(server, Evidence::Answered);
        self.ends(request, true);
    }

    fn retry(&mut self, request: usize, retry: Retry) {
        match retry {
            Retry::SameServer { after } | Retry::OtherServer { after } => {
                self.after(after, Happening::Picks(request));
            }
            Retry::GiveUp => self.ends(request, false),
        }
    }

    fn ends(&mut self, request: usize, well: bool) {
        let request = &mut self.requests[request];
        request.done = true;
        let took = self.now - request.since;
        self.failed += u32::from(!well);
        self.slow += u32::from(took > Duration::from_secs(1));
        self.longest = self.longest.max(took);
        let late = request.since > Time::ZERO + FAULT_AT + millis(1500);
        self.late_and_slow += u32::from(late && took > Duration::from_secs(1));
    }

    fn tells(&self) -> String {
        format!(
            "{:?} {}: {} failed, {} slow, longest {:?}, {} of those late; last chosen {:?} after\n",
            self.coming,
            if self.adaptive { "adaptive" } else { "strict" },
            self.failed,
            self.slow,
            self.longest,
            self.late_and_slow,
            self.last_chosen - (Time::ZERO + FAULT_AT),
        )
    }
}

#[test]
fn what_clients_feel_of_each_fault() {
    let mut told = String::new();
    for fault in [Fault::Killed, Fault::Vanished, Fault::Frozen] {
        for adaptive in [false, true] {
            told += &World::new(adaptive, fault).run().tells();
        }
    }
    expect_test::expect![[r#"
        Killed strict: 0 failed, 0 slow, longest 3ms, 0 of those late; last chosen 8s after
        Killed adaptive: 0 failed, 0 slow, longest 3ms, 0 of those late; last chosen 10ms after
        Vanished strict: 0 failed, 1199 slow, longest 10.003s, 1099 of those late; last chosen 18s after
        Vanished adaptive: 0 failed, 0 slow, longest 203ms, 0 of those late; last chosen 205ms after
        Frozen strict: 1533 failed, 1533 slow, longest 5s, 1433 of those late; last chosen 28s after
        Frozen adaptive: 268 failed, 268 slow, longest 5s, 201 of those late; last chosen 25.06s after
    "#]].assert_eq(&told);
}

#[test]
fn a_vanished_server_slows_no_request_that_begins_later_than_1500_ms() {
    let world = World::new(true, Fault::Vanished).run();
    assert_eq!((world.failed, world.late_and_slow), (0, 0));
}

#[test]
fn a_killed_server_fails_no_request() {
    assert_eq!(World::new(true, Fault::Killed).run().failed, 0);
}
