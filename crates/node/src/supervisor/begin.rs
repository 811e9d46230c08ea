//! Starting: everything that can fail does so here, before the first child.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd};

use api::{Event, Mode, Order, Report, Role, Start};
use config::cluster::DashboardTls;
use engine::role::{Config, Kind, Roles};
use engine::vip::estate::Estate;
use sys::channel::Channel;
use sys::poll::{Interest, Poller};
use sys::signal::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1, Signals};

use super::children::Child;
use super::dashboard::Dashboard;
use super::dump::{Dump, Dumps};
use super::facts::Facts;
use super::fixed::Watch;
use super::ground;
use super::heir::Succession;
use super::lives::{Lives, Trouble};
use super::lock::{self, Lock};
use super::notify::Told;
use super::ports;
use super::sockets::Sockets;
use super::{CHANNEL, LIFE, Next, PIDFD, SIGNALS, Slot, SuperviseError, Supervisor, tell, token};
use crate::launch::{Launch, Plan};
use crate::services::STATS;
use crate::vip::rescue::Rescue;

/// Tells the process in the background that its parent waits for a word.
const BACKGROUND: &str = "OUTLAST_BACKGROUND";
/// Clients wait while it hears that a process died and tells the next one; it has nothing else to do.
const NICE: i32 = -10;
/// The word: listeners are bound.
const BOUND: &[u8] = b"bound";
/// Connections are two descriptors each; the rest is for checks, logs and listeners.
const SPARE_DESCRIPTORS: u64 = 256;
/// Connections where the file does not say `maxconn`.
const CONNECTIONS: u64 = 4000;

/// Starts the same program again in a session of its own and waits until it has bound its listeners.
/// False in the caller, which then returns to its shell; true in the one that stays.
pub(super) fn in_background(launch: &Launch) -> Result<bool, SuperviseError> {
    if std::env::var_os(BACKGROUND).is_some() {
        return Ok(true);
    }
    let (ours, theirs) = Channel::pair().map_err(SuperviseError::Daemon)?;
    let words: Vec<OsString> = std::env::args_os().collect();
    let words: Vec<&OsStr> = words.iter().map(OsString::as_os_str).collect();
    let (name, rest) =
        words.split_first().map_or_else(|| (OsStr::new("outlast"), &[][..]), |(n, r)| (*n, r));
    let environment = [(BACKGROUND, OsStr::new("1"))];
    let options = sys::process::SpawnOptions {
        new_session: true,
        environment: &environment,
        ..Default::default()
    };
    let program = std::path::Path::new("/proc/self/exe");
    let child = sys::process::spawn(program, name.to_str(), rest, Some(&theirs), options)
        .map_err(SuperviseError::Daemon)?;
    drop(theirs);
    let poller = Poller::new().map_err(SuperviseError::Daemon)?;
    poller.add(ours.as_fd(), 0, Interest::READ).map_err(SuperviseError::Daemon)?;
    let mut ready = Vec::with_capacity(1);
    poller.wait(&mut ready, None).map_err(SuperviseError::Daemon)?;
    let mut word = [0; 16];
    match ours.receive(&mut word, &mut vec![]) {
        Ok(length) if &word[..length] == BOUND => {
            write_pid_file(launch, child.pid())?;
            Ok(false)
        }
        _ => Err(SuperviseError::Background),
    }
}

fn say_bound(launch: &Launch) -> Result<(), SuperviseError> {
    if std::env::var_os(BACKGROUND).is_some()
        && let Ok(parent) = Channel::inherited(sys::process::CHANNEL)
    {
        // A parent that is gone waits for nothing.
        let _ = parent.send(BOUND, &[]);
    }
    if launch.daemon && launch.mode == Mode::Rfc {
        // Whoever started it as keepalived reads its streams to their end, and would wait for ever.
        sys::process::stand_in::forget_streams().map_err(SuperviseError::Daemon)?;
    }
    Ok(())
}

fn write_pid_file(launch: &Launch, pid: i32) -> Result<(), SuperviseError> {
    for path in launch.pid_file.iter().chain(&launch.vrrp_pid_file) {
        std::fs::write(path, format!("{pid}\n"))
            .map_err(|source| SuperviseError::PidFile { path: path.clone(), source })?;
    }
    Ok(())
}

/// What a signal means depends on what the program was called as.
fn heard(mode: Mode) -> Vec<sys::signal::Signal> {
    let mut all = vec![SIGTERM, SIGINT, SIGHUP, SIGCHLD];
    if mode == Mode::Rfc {
        all.extend(Dump::ALL.map(Dump::signal));
    } else {
        all.push(SIGUSR1);
    }
    all
}

impl Supervisor {
    pub(super) fn begin(launch: Launch, plan: Plan) -> Result<Self, SuperviseError> {
        if !plan.vips.is_empty() {
            lock::may_hold_addresses()?;
        }
        be_prompt(launch.mode);
        let temporary = launch.mode != Mode::Adaptive && launch.run_dir.is_none();
        let lock = Lock::take(&plan.run_dir, &plan.state_dir, temporary)?;
        let signals = Signals::new(&heard(launch.mode)).map_err(SuperviseError::Poll)?;
        raise_limits(&plan);
        let sockets = bind(&plan, launch.mode, &Sockets::none(launch.mode == Mode::Strict))?;
        if let Some(keeps) = ports::check(&plan)? {
            tell::line(&format!(
                "the store does not start yet: {keeps}. Everything else starts, and the store is tried again"
            ));
        }
        let rescue = open_rescue(&plan)?;
        let lives = match &plan.texts.secret {
            Some(_) => Lives::open(&plan.state_dir, sys::clock::wall_ms()),
            None => Lives::unsealed(sys::clock::wall_ms()),
        };
        if !launch.daemon {
            write_pid_file(&launch, std::process::id().cast_signed())?;
        }
        let poller = Poller::new().map_err(SuperviseError::Poll)?;
        poller.add(signals.as_fd(), SIGNALS, Interest::READ).map_err(SuperviseError::Poll)?;
        let config = Config {
            proxy: plan.haproxy.is_some(),
            vip: !plan.vips.is_empty(),
            agent: true,
            services: !sockets.dashboard.is_empty(),
            store: crate::store::is_member(plan.cluster.as_ref(), plan.me),
            spare: !launch.breaks.contains(&api::Break::Spare),
            drain_limit: Config::DRAIN_LIMIT,
            generation: 1,
        };
        say_bound(&launch)?;
        let facts = kept(&plan);
        let mut supervisor = Self {
            launch,
            plan,
            sockets,
            next: None,
            generation: 1,
            poller,
            signals,
            roles: Roles::new(config, sys::clock::now()),
            children: BTreeMap::new(),
            starts: BTreeMap::new(),
            reload_waits: false,
            estate: Estate::default(),
            rescue_is_old: false,
            last_exit: None,
            keys_unreadable: None,
            dumps: Dumps::default(),
            facts,
            told: Told::default(),
            fixed: Watch::default(),
            lives,
            rescue,
            gate: None,
            succession: Succession::new(),
            closed: false,
            buffer: vec![0; api::MAX_MESSAGE],
            ended: false,
            ended_by: None,
            _lock: lock,
        };
        supervisor.tell_dashboard();
        Ok(supervisor)
    }

    pub(super) fn spawn(&mut self, slot: Slot, kind: Kind, generation: u64, warm: bool) {
        if kind == Kind::Vip {
            self.renew_rescue();
            if self.adopt_heir(slot) {
                return;
            }
        }
        let life = self.lives.next();
        match self.try_spawn(slot, kind, generation, life) {
            Ok(child) => {
                self.children.insert(slot, child);
                if kind == Kind::Vip {
                    self.succession.began(life);
                    self.estate.starts();
                    self.closed = false;
                }
                self.brief(slot, kind);
            }
            Err(error) => {
                tell::line(&format!("cannot start a process: {error}"));
                self.step(engine::role::Input::Exited { slot });
                return;
            }
        }
        let role = match kind {
            Kind::Vip => Role::Vip,
            Kind::Agent => Role::Agent,
            Kind::Services => Role::Services,
            Kind::Store => Role::Store,
            Kind::Proxy if warm => Role::Spare,
            Kind::Proxy => Role::Proxy,
        };
        *self.starts.entry(role).or_default() += 1;
        self.processes();
    }

    fn try_spawn(
        &self,
        slot: Slot,
        kind: Kind,
        generation: u64,
        life: u64,
    ) -> std::io::Result<Child> {
        let (plan, sockets) = match &self.next {
            Some(Next { plan, sockets, .. }) if generation > self.generation => (plan, sockets),
            _ => (&self.plan, &self.sockets),
        };
        let mut child = Child::spawn(kind, generation)?;
        let (files, texts) = match kind {
            Kind::Services => plan.texts.for_dashboard().descriptors()?,
            Kind::Proxy => plan.texts.for_proxy().descriptors()?,
            Kind::Store => plan.texts.for_store().descriptors()?,
            Kind::Vip | Kind::Agent => plan.texts.for_node().descriptors()?,
        };
        let listening = sockets.of(kind);
        let (adopt, leftovers) = match kind {
            Kind::Vip => self.estate.of(&plan.vips),
            Kind::Proxy | Kind::Agent | Kind::Services | Kind::Store => (vec![], vec![]),
        };
        let asks = (kind == Kind::Vip).then_some(&self.facts.voters);
        let start = Order::Start(Box::new(Start {
            mode: self.launch.mode,
            node: plan.node.clone(),
            generation,
            run_dir: plan.run_dir.display().to_string(),
            state_dir: plan.state_dir.display().to_string(),
            life,
            breaks: self.launch.breaks.clone(),
            files,
            sockets: listening.iter().map(|(name, _)| name.clone()).collect(),
            adopt,
            leftovers,
            closed: self.closed,
            heir: false,
            voters: asks.and_then(|known| known.at_start(plan.cluster.as_ref())),
            servers: vec![],
            choices: vec![],
            nodes: vec![],
        }));
        let mut fds: Vec<BorrowedFd<'_>> = texts.iter().map(AsFd::as_fd).collect();
        fds.extend(listening.iter().map(|(_, socket)| socket.as_fd()));
        let theirs;
        if kind == Kind::Proxy {
            let (ours, end) = std::io::pipe()?;
            theirs = end;
            fds.push(theirs.as_fd());
            self.poller.add(ours.as_fd(), token(slot, LIFE), Interest::READ)?;
            child.life = Some(ours);
        }
        child.order(&start, &fds)?;
        self.poller.add(child.channel(), token(slot, CHANNEL), Interest::READ)?;
        self.poller.add(child.process.pidfd(), token(slot, PIDFD), Interest::READ)?;
        Ok(child)
    }

    /// For the event log: this start, and what it could not do.
    pub(super) fn started(&mut self) {
        let count = |number: usize, what: &str| (number > 0).then(|| format!("{number} {what}"));
        let proxies = self.plan.haproxy.as_ref().map_or(0, |file| file.proxies.len());
        let runs = [count(self.plan.vips.len(), "virtual IPs"), count(proxies, "proxies")];
        let started = Event {
            what: "started".to_owned(),
            evidence: format!("outlast {}, pid {}", env!("CARGO_PKG_VERSION"), std::process::id()),
            decision: "the configuration is good".to_owned(),
            action: match &runs.into_iter().flatten().collect::<Vec<_>>()[..] {
                [] => "runs no virtual IP and no proxy".to_owned(),
                some => format!("runs {}", some.join(", ")),
            },
            ..Event::default()
        };
        for event in std::iter::once(started).chain(self.lives.trouble.take().map(lives_trouble)) {
            let (at_ms, node) = (sys::clock::wall_ms(), self.plan.node.clone());
            let event = Event { at_ms, object: format!("node/{node}"), node, ..event };
            self.inform_agent(Order::Relay(Role::Supervisor, Box::new(Report::Event(event))));
        }
    }

    /// What the new process has to know beyond its configuration.
    pub(super) fn brief(&mut self, slot: Slot, kind: Kind) {
        match kind {
            Kind::Proxy => {
                for change in self.facts.for_proxy() {
                    self.order(slot, &Order::Change(change));
                }
            }
            Kind::Agent => {
                for order in self.facts.for_agent() {
                    self.order(slot, &order);
                }
            }
            Kind::Vip => {
                // First of all what keeps it from holding.
                let proven = api::Change::Proven(self.facts.proven.clone());
                self.order(slot, &Order::Change(proven));
                if let Some(voters) = self.facts.voters.since_start(self.plan.cluster.as_ref()) {
                    self.order(slot, &Order::Change(voters));
                }
                self.order(slot, &Order::Change(api::Change::Duty(self.facts.duty)));
                let references = api::Change::References(self.facts.references.clone());
                self.order(slot, &Order::Change(references));
                for alive in self.facts.alive().collect::<Vec<_>>() {
                    self.order(slot, &Order::Change(alive));
                }
                let coordinates = api::Change::Coordinates(self.facts.coordinates);
                self.order(slot, &Order::Change(coordinates));
                self.order(slot, &Order::Change(api::Change::Balancer(self.facts.balancer)));
            }
            // They ask for what they want to know, or need nothing.
            Kind::Services | Kind::Store => {}
        }
    }
}

/// What this node knew before it started.
fn kept(plan: &Plan) -> Facts {
    let mut facts = Facts::default();
    facts.duty = crate::duty::kept(&plan.state_dir);
    facts.voters = crate::electorate::known(&plan.state_dir);
    facts
}

fn be_prompt(mode: Mode) {
    if mode == Mode::Adaptive {
        // Without it a busy machine hears late that a process died.
        let _ = sys::schedule::prompt(NICE, sys::schedule::Heirs::Ordinary);
    }
}

pub(super) fn bind(plan: &Plan, mode: Mode, before: &Sockets) -> Result<Sockets, SuperviseError> {
    ground::check(plan)?;
    let numbers = plan.run_dir.join(STATS);
    let numbers = (mode == Mode::Adaptive).then_some(numbers.as_path());
    let mut sockets = match &plan.haproxy {
        Some(haproxy) => Sockets::bind(haproxy, numbers, before)?,
        None => Sockets::default(),
    };
    let (wanted, is_asked_for) = &plan.dashboard;
    let speaks_tls = plan.tls().is_some_and(|tls| *tls != DashboardTls::None);
    let how = (*is_asked_for, speaks_tls);
    sockets.dashboard = Dashboard::bind(wanted, how, &before.dashboard)?;
    Ok(sockets)
}

pub(super) fn open_rescue(plan: &Plan) -> Result<Option<Rescue>, SuperviseError> {
    if plan.vips.is_empty() {
        return Ok(None);
    }
    Rescue::open(&plan.vips, plan.cluster.as_ref(), plan.me, plan.texts.secret.as_deref())
        .map(Some)
        .map_err(SuperviseError::Rescue)
}

fn raise_limits(plan: &Plan) {
    let connections =
        plan.haproxy.as_ref().map_or(0, |file| file.global.maxconn.map_or(CONNECTIONS, u64::from));
    // A controller is tethered to each other node twice, and each controller to it.
    let of = |all: &config::cluster::Cluster| (all.nodes.len(), all.controllers().len());
    let (nodes, controllers) = plan.cluster.as_ref().map_or((0, 0), of);
    let tethers = u64::try_from(nodes + controllers).unwrap_or(0) * 2;
    let wanted = connections * 2 + SPARE_DESCRIPTORS + tethers;
    match sys::rights::raise_open_files(wanted) {
        Ok(limit) if limit >= wanted => {}
        Ok(limit) => tell::line(&format!(
            "{connections} connections and {nodes} nodes need {wanted} open files, this process may \
             have {limit}; connections beyond that will wait"
        )),
        Err(error) => tell::line(&format!("cannot raise the limit of open files: {error}")),
    }
}

fn lives_trouble(trouble: Trouble) -> Event {
    let evidence = trouble.to_string();
    let (what, not_done) = match trouble {
        Trouble::Unkept(..) => (
            "lives-unkept",
            "after a clock set back and a restart other nodes will refuse what this one says until \
             the clock is past the old time",
        ),
        Trouble::Torn(..) => (
            "lives-torn",
            "if the clock is behind what it was, other nodes refuse what this one says until it is \
             past the old time",
        ),
    };
    Event {
        what: what.to_owned(),
        evidence,
        decision: "go on with numbers that the clock gives".to_owned(),
        not_done: not_done.to_owned(),
        ..Event::default()
    }
}
