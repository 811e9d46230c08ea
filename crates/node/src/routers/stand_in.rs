//! The process that neutron's agent starts for a router, or to watch one: it hands its work on, and stays with its number.
//!
//! ```text
//!   started ---> joins the desk ---> small (`sys::process::stand_in`) --- a signal, a word, or no desk any more
//!                                      ^                                     |
//!                                      `---- done, or joined another desk <--'--> ended: the desk releases its addresses
//! ```

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use api::router::{Entry, EntryAnswer, RouterEntry, WatchEntry};
use base::Time;
use config::vip::Vip;
use engine::router::orphan::{Order, Orphan};
use sys::channel::Channel;
use sys::netlink::Netlink;
use sys::poll::{Interest, Poller};
use sys::process::SpawnOptions;
use sys::process::stand_in::{Kept, forget_streams};
use sys::signal::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, Signal, Signals};

use super::list::next;
use crate::launch::{Launch, LaunchError, Plan};
use crate::supervisor::tell;
use crate::vip::rescue::Rescue;

/// How far the process has come with standing in.
pub(super) const VARIABLE: &str = "OUTLAST_STAND_IN";
const BEGINS: &str = "begins";
const WOKEN: &str = "woken";
/// The word to who waits in the foreground.
const JOINED: &[u8] = b"joined";
/// The desk may be starting.
const PATIENCE: Duration = Duration::from_secs(10);
/// A desk that can be started is there sooner.
/// It is accepted in some milliseconds, while all come at once in a few hundred.
const ACCEPTING: Duration = Duration::from_secs(1);
const STARTING: Duration = Duration::from_secs(3);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Who gave up a moment ago has waited for all.
const GAVE_UP: Duration = Duration::from_secs(20);

/// What it stands in for.
#[derive(Clone, Debug)]
pub enum Part {
    Router(Box<Launch>),
    /// The namespace by its name, and the file for its number.
    Watch {
        entry: WatchEntry,
        namespace: String,
        pid_file: Option<PathBuf>,
    },
}

/// Why it ends badly.
#[derive(Debug, thiserror::Error)]
pub enum StandInError {
    #[error(transparent)]
    Launch(#[from] LaunchError),
    #[error("cannot join the routers of this host at {}", .0.display())]
    Join(PathBuf, #[source] io::Error),
    #[error("{0}")]
    Refused(String),
    #[error("cannot write {}", .0.display())]
    PidFile(PathBuf, #[source] io::Error),
    #[error("cannot go to the background")]
    Background(#[source] io::Error),
    #[error("the one in the background did not join; it said why")]
    Silent,
    #[error("cannot wait for signals")]
    Signals(#[source] io::Error),
    #[error("no desk came back: its addresses are taken off")]
    Orphaned,
}

/// Numbers of a user and a group, each by number or by name.
#[must_use]
pub fn owner(user: &str, group: &str) -> Option<(u32, u32)> {
    let user = user.parse().ok().or_else(|| Some(sys::rights::user(user)?.0));
    user.zip(group.parse().ok().or_else(|| sys::rights::group(group)))
}

fn stage() -> Option<String> {
    std::env::var(VARIABLE).ok().filter(|stage| !stage.is_empty())
}

/// Whether this process was a small one a moment ago.
fn is_woken() -> bool {
    stage().as_deref() == Some(WOKEN)
}

/// Whether a router that is started here is served by the desk of this host: there is one, or there was and another can be
/// started, and this is not the host's own network.
#[must_use]
pub fn stands_in(launch: &Launch) -> bool {
    if stage().is_some() {
        return true;
    }
    let is_elsewhere = || -> io::Result<bool> {
        let (own, host) = (sys::netns::current()?, sys::netns::of_process(1)?);
        Ok(!sys::netns::are_same(own.as_fd(), host.as_fd())?)
    };
    let path = super::socket();
    // A mistake in its file is told by whoever reads it next.
    let has_more = || launch.plan().is_ok_and(|plan| has_more_than_a_router(launch, &plan));
    path.exists() && is_elsewhere().unwrap_or(false) && !has_more() && is_reachable(&path)
}

/// Programs, pipes, what is static, files and namespaces are of a node: the process of all routers has none of it, and a line
/// that is not run is not ignored.
fn has_more_than_a_router(launch: &Launch, plan: &Plan) -> bool {
    let tells = |vip: &Vip| vip.notify != config::notify::Notify::default();
    launch.network_namespace.is_some()
        || plan.network_namespace.is_some()
        || !plan.fifos.0.is_empty()
        || !plan.groups.is_empty()
        || !plan.made_files.is_empty()
        || plan.fixed != config::vip::Fixed::default()
        || plan.hooks.iter().any(|hook| hook.program.is_some())
        || plan.vips.iter().any(tells)
}

/// Else the router runs by itself, as where there is no desk.
fn is_reachable(path: &Path) -> bool {
    let (end, mut started) = (sys::clock::now() + STARTING, false);
    while Channel::connect(path).is_err() {
        if sys::clock::now() >= end {
            return false;
        }
        if !std::mem::replace(&mut started, true) {
            start_desk(path);
        }
        std::thread::sleep(LOOK_EVERY);
    }
    true
}

/// A desk in its own session, as init would have started it.
fn start_desk(path: &Path) {
    let environment = [(VARIABLE, OsStr::new("")), (super::SOCKET_VARIABLE, path.as_os_str())];
    let nowhere = || std::fs::File::options().write(true).open("/dev/null").ok().map(Into::into);
    let options = SpawnOptions {
        new_session: true,
        stdout: nowhere(),
        stderr: nowhere(),
        environment: &environment,
        ..SpawnOptions::default()
    };
    let (program, words) = (Path::new("/proc/self/exe"), [OsStr::new("routers")]);
    match sys::process::spawn(program, Some("outlast"), &words, None, options) {
        // A small program reaps nobody.
        Ok(_desk) => drop(sys::signal::ignore(&[sys::signal::SIGCHLD])),
        Err(error) => tell::line(&format!("cannot start a desk of routers: {error}")),
    }
}

/// Joins, and stays until it is told to end. `daemon`: the caller gets its terminal back when it has joined.
///
/// # Errors
/// When it is not accepted, or has lost whoever accepted it.
pub fn stand_in(part: &Part, daemon: bool) -> Result<(), StandInError> {
    match stage().as_deref() {
        Some(WOKEN) => {
            let kept = Kept::resume().map_err(StandInError::Signals)?;
            StandIn::new(part)?.wake(kept)
        }
        None if daemon => background(),
        Some(_) | None => StandIn::new(part)?.begin(),
    }
}

/// The same again in a session of its own; returns when that one has joined.
fn background() -> Result<(), StandInError> {
    let (ours, theirs) = Channel::pair().map_err(StandInError::Background)?;
    let words: Vec<_> = std::env::args_os().collect();
    let words: Vec<&OsStr> = words.iter().map(AsRef::as_ref).collect();
    let Some((name, rest)) = words.split_first() else { return Err(StandInError::Silent) };
    let environment = [(VARIABLE, OsStr::new(BEGINS))];
    let options =
        SpawnOptions { new_session: true, environment: &environment, ..SpawnOptions::default() };
    let program = Path::new("/proc/self/exe");
    let child = sys::process::spawn(program, name.to_str(), rest, Some(&theirs), options);
    child.map_err(StandInError::Background)?;
    drop(theirs);
    let poller = Poller::new().map_err(StandInError::Background)?;
    poller.add(ours.as_fd(), 0, Interest::READ).map_err(StandInError::Background)?;
    poller.wait(&mut Vec::with_capacity(1), None).map_err(StandInError::Background)?;
    let mut word = [0; 16];
    match ours.receive(&mut word, &mut vec![]) {
        Ok(length) if &word[..length] == JOINED => Ok(()),
        Ok(_) | Err(_) => Err(StandInError::Silent),
    }
}

struct StandIn<'a> {
    part: &'a Part,
    signals: Signals,
    path: PathBuf,
}

/// Nothing that keepalived hears may end it.
fn heard() -> Vec<Signal> {
    let of_keepalived = [36, 63];
    [SIGHUP, SIGTERM, SIGINT, SIGUSR1, SIGUSR2].into_iter().chain(of_keepalived).collect()
}

impl<'a> StandIn<'a> {
    fn new(part: &'a Part) -> Result<Self, StandInError> {
        let signals = Signals::new(&heard()).map_err(StandInError::Signals)?;
        Ok(Self { part, signals, path: super::socket() })
    }

    fn pid_files(&self) -> Vec<&Path> {
        match self.part {
            Part::Router(launch) => {
                let files = launch.pid_file.iter().chain(&launch.vrrp_pid_file);
                files.map(PathBuf::as_path).collect()
            }
            Part::Watch { pid_file, .. } => pid_file.iter().map(PathBuf::as_path).collect(),
        }
    }

    fn plan(&self) -> Result<Option<Plan>, LaunchError> {
        match self.part {
            Part::Router(launch) => launch.plan().map(Some),
            Part::Watch { .. } => Ok(None),
        }
    }

    fn begin(&self) -> Result<(), StandInError> {
        let plan = self.plan()?;
        tell::text(plan.as_ref().map_or("", |plan| plan.warnings.as_str()));
        let socket = self.look_until(sys::clock::now() + PATIENCE, plan.as_ref())?;
        let pid = std::process::id();
        for path in self.pid_files() {
            std::fs::write(path, format!("{pid}\n"))
                .map_err(|error| StandInError::PidFile(path.to_owned(), error))?;
        }
        let in_background = stage().is_some();
        if in_background && let Ok(parent) = Channel::inherited(sys::process::CHANNEL) {
            // A parent that is gone waits for nothing.
            let _gone = parent.send(JOINED, &[]);
            forget_streams().map_err(StandInError::Background)?;
        }
        let turn = super::beside(&self.path, "turn");
        let mut options = std::fs::File::options();
        // Nobody else may lock it: who waits for it may hold addresses.
        options.mode(0o600);
        let turn = options.create(true).read(true).write(true).truncate(false).open(&turn);
        let turn: OwnedFd =
            turn.map_err(|error| StandInError::Join(self.path.clone(), error))?.into();
        self.sleep(Kept { socket, turn })
    }

    /// The desk may have died a moment ago, or there was none yet.
    fn look_until(&self, end: Time, plan: Option<&Plan>) -> Result<Channel, StandInError> {
        let mut started = false;
        loop {
            match self.join(plan) {
                Err(StandInError::Join(path, error)) if sys::clock::now() >= end => {
                    return Err(StandInError::Join(path, error));
                }
                Err(StandInError::Join(..)) => {
                    if !std::mem::replace(&mut started, true) {
                        start_desk(&self.path);
                    }
                    self.wait(None, LOOK_EVERY);
                }
                other => return other,
            }
        }
    }

    /// Says what it stands for, and is accepted.
    fn join(&self, plan: Option<&Plan>) -> Result<Channel, StandInError> {
        let fail = |error| StandInError::Join(self.path.clone(), error);
        let socket = Channel::connect(&self.path).map_err(fail)?;
        let (entry, fds) = self.entry(plan).map_err(fail)?;
        let mut bytes = vec![];
        api::encode(&entry, &mut bytes);
        let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        socket.send(&bytes, &fds).map_err(fail)?;
        match next(&socket, ACCEPTING).map_err(fail)? {
            EntryAnswer::Accepted => Ok(socket),
            EntryAnswer::Refused { why } => Err(StandInError::Refused(why)),
            EntryAnswer::Reloaded | EntryAnswer::Stopped | EntryAnswer::Routers { .. } => {
                Err(fail(io::ErrorKind::InvalidData.into()))
            }
        }
    }

    fn entry(&self, plan: Option<&Plan>) -> io::Result<(Entry, Vec<OwnedFd>)> {
        let pid = std::process::id().cast_signed();
        match (self.part, plan) {
            (Part::Watch { entry, namespace, .. }, _) => {
                let path = Path::new("/var/run/netns").join(namespace);
                // One that is not there yet has no address.
                let netns = std::fs::File::open(path).ok().map(OwnedFd::from);
                Ok((Entry::Watch(WatchEntry { pid, ..entry.clone() }), netns.into_iter().collect()))
            }
            (Part::Router(launch), Some(plan)) => {
                let file = launch.keepalived.as_deref().unwrap_or_else(|| Path::new(""));
                let entry = RouterEntry {
                    pid,
                    file: file.display().to_string(),
                    holds: if is_woken() { held(&plan.vips) } else { vec![] },
                };
                Ok((Entry::Router(entry), vec![sys::netns::current()?, text(plan)?]))
            }
            (Part::Router(_), None) => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// Waits for a signal, or a word on the socket.
    fn wait(&self, socket: Option<&Channel>, limit: Duration) {
        let Ok(poller) = Poller::new() else { return };
        let _watched = poller.add(self.signals.as_fd(), 0, Interest::READ);
        if let Some(socket) = socket {
            let _watched = poller.add(socket.as_fd(), 1, Interest::READ);
        }
        let _woken = poller.wait(&mut Vec::with_capacity(2), Some(limit));
    }

    /// Small until something comes. Where that cannot be, as large as it is.
    fn sleep(&self, mut kept: Kept) -> Result<(), StandInError> {
        loop {
            kept.end_turn();
            let name = match self.part {
                Part::Router(_) => "keepalived",
                Part::Watch { .. } => "neutron-keepali",
            };
            let environment =
                [(VARIABLE, OsStr::new(WOKEN)), (super::SOCKET_VARIABLE, self.path.as_os_str())];
            let program = std::fs::read_link("/proc/self/exe");
            let program = program.unwrap_or_else(|_| PathBuf::from("/proc/self/exe"));
            kept.sleep(self.signals.as_fd(), &program, name, &environment);
            kept = Kept::resume().map_err(StandInError::Signals)?;
            self.wait(Some(&kept.socket), Duration::MAX);
            match self.attend(kept)? {
                Some(same) => kept = same,
                None => return Ok(()),
            }
        }
    }

    fn wake(&self, kept: Kept) -> Result<(), StandInError> {
        match self.attend(kept)? {
            Some(kept) => self.sleep(kept),
            None => Ok(()),
        }
    }

    /// What came. None: it ends.
    fn attend(&self, mut kept: Kept) -> Result<Option<Kept>, StandInError> {
        let mut buffer = vec![0; api::MAX_MESSAGE];
        loop {
            match kept.socket.receive(&mut buffer, &mut vec![]) {
                Ok(0) => kept.socket = self.orphaned(&kept)?,
                Ok(length) => {
                    if let Ok(EntryAnswer::Refused { why }) = api::decode(&buffer[..length]) {
                        // A process that could not adopt it released nothing.
                        let plan = self.plan().unwrap_or(None);
                        return self.give_up(plan, StandInError::Refused(why)).map(|_| None);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => kept.socket = self.orphaned(&kept)?,
            }
        }
        while let Some(signal) = self.signals.read() {
            match signal {
                SIGHUP => self.reload(&kept.socket),
                SIGTERM | SIGINT => {
                    self.stop(&kept.socket);
                    return Ok(None);
                }
                _other => {}
            }
        }
        Ok(Some(kept))
    }

    fn say(socket: &Channel, entry: &Entry, fds: &[OwnedFd]) -> io::Result<EntryAnswer> {
        let mut bytes = vec![];
        api::encode(entry, &mut bytes);
        let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        socket.send(&bytes, &fds)?;
        next(socket, PATIENCE)
    }

    fn reload(&self, socket: &Channel) {
        let outcome = match self.plan() {
            Ok(None) => return,
            Ok(Some(plan)) => {
                text(&plan).and_then(|text| Self::say(socket, &Entry::Reload, &[text]))
            }
            Err(error) => {
                let why = format!("goes on with the file before: {}", error.brief());
                let mut bytes = vec![];
                api::encode(&Entry::Trouble { why }, &mut bytes);
                let _unheard = socket.send(&bytes, &[]);
                return;
            }
        };
        // What is wrong with the socket is seen when it is read next.
        let _unheard = outcome;
    }

    fn stop(&self, socket: &Channel) {
        let _released = Self::say(socket, &Entry::Stop, &[]);
        self.remove_pid_files();
    }

    fn remove_pid_files(&self) {
        for path in self.pid_files() {
            // The next start overwrites what stays.
            let _stays = std::fs::remove_file(path);
        }
    }

    /// Nobody does its work any more: until another desk is there, or it takes its addresses off.
    fn orphaned(&self, kept: &Kept) -> Result<Channel, StandInError> {
        let plan = self.plan().unwrap_or(None);
        let intervals = plan.iter().flat_map(|plan| &plan.vips).map(|vip| vip.advert_interval);
        let mut orphan = match gave_up(kept) {
            true => Orphan::after_another(sys::clock::now()),
            false => Orphan::new(sys::clock::now(), intervals.min()),
        };
        loop {
            match orphan.step(sys::clock::now()) {
                Some(Order::Look) => match self.join(plan.as_ref()) {
                    Ok(socket) => return Ok(socket),
                    Err(error @ StandInError::Refused(_)) => return self.give_up(plan, error),
                    Err(_) => {}
                },
                Some(Order::StartOne) => start_desk(&self.path),
                Some(Order::GiveUp) => {
                    note_that_it_gave_up(kept);
                    return self.give_up(plan, StandInError::Orphaned);
                }
                None => {
                    let now = sys::clock::now();
                    self.wait(None, orphan.deadline().since(now));
                }
            }
        }
    }

    fn give_up(&self, plan: Option<Plan>, error: StandInError) -> Result<Channel, StandInError> {
        if let Some(plan) = plan {
            let rescue = Rescue::open(&plan.vips, None, None, None);
            if let Ok(mut rescue) = rescue {
                tell::line(&rescue.act(0, &[], false).to_string());
            }
        }
        self.remove_pid_files();
        Err(error)
    }
}

fn text(plan: &Plan) -> io::Result<OwnedFd> {
    let source = plan.texts.keepalived.as_ref().ok_or(io::ErrorKind::InvalidInput)?;
    // With what it includes.
    let text = plan.texts.flat.as_ref().unwrap_or(&source.text);
    sys::memory::file("keepalived.conf", text.as_bytes())
}

/// Positions of those whose first address is here.
fn held(vips: &[Vip]) -> Vec<u16> {
    let there = Netlink::open().and_then(|netlink| netlink.addresses()).unwrap_or_default();
    let is_there = |vip: &Vip| {
        let first = vip.addresses.first();
        first.is_some_and(|first| there.iter().any(|address| address.ip == first.ip))
    };
    (0..).zip(vips).filter(|(_, vip)| is_there(vip)).map(|(number, _)| number).collect()
}

/// Whether another one waited in vain a moment ago.
fn gave_up(kept: &Kept) -> bool {
    let when = sys::memory::read(kept.turn.as_fd()).ok();
    let when = when.and_then(|text| String::from_utf8(text).ok()?.trim().parse::<u64>().ok());
    let now = sys::clock::wall_ms();
    when.is_some_and(|when| now.abs_diff(when) < u64::try_from(GAVE_UP.as_millis()).unwrap_or(0))
}

fn note_that_it_gave_up(kept: &Kept) {
    // Without the note each waits for itself.
    let _unnoted = sys::process::stand_in::note(&kept.turn, &sys::clock::wall_ms().to_string());
}

#[cfg(test)]
mod tests;
