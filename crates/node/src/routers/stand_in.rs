//! The process that neutron's agent starts for a router, or to watch one: it hands its work on, and stays with its number.
//!
//! ```text
//!   started ---> joins the desk ---> small (`sys::process::stand_in`) --- a signal, a word, or no desk any more
//!                                      ^                                     |
//!                                      `---- done, or joined another desk <--'--> ended: the desk releases its addresses
//! ```
//! What it has to know beyond its words is in a file of its own (`record`), which the small program keeps open for it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use api::router::{Entry, EntryAnswer, WatchEntry};
use config::vip::Vip;
use sys::channel::Channel;
use sys::poll::{Interest, Poller};
use sys::process::stand_in::{Kept, forget_streams};
use sys::signal::{SIGHUP, SIGINT, SIGTERM, Signal, Signals};

use super::list::next;
use super::record::{self, Known};
use crate::launch::{Launch, LaunchError, Plan};
use crate::supervisor::dump::Dump;
use crate::supervisor::tell;

mod counts;
mod joining;
mod orphaned;
mod start;

use start::{background, start_desk};

/// How far the process has come with standing in.
pub(super) const VARIABLE: &str = "OUTLAST_STAND_IN";
const BEGINS: &str = "begins";
const WOKEN: &str = "woken";
/// The word to who waits in the foreground.
const JOINED: &[u8] = b"joined";
/// The desk may be starting.
const PATIENCE: Duration = Duration::from_secs(10);
/// A desk that can be started is there sooner.
const STARTING: Duration = Duration::from_secs(3);
const LOOK_EVERY: Duration = Duration::from_millis(50);

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
    #[error("it was told to end before it had joined")]
    Ended,
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
    // In a container these are other programs and files, or none.
    let looks = |vip: &Vip| !vip.track_scripts.is_empty() || !vip.track_files.is_empty();
    launch.network_namespace.is_some()
        || plan.network_namespace.is_some()
        || !plan.fifos.0.is_empty()
        || !plan.groups.is_empty()
        || !plan.made_files.is_empty()
        || plan.fixed != config::vip::Fixed::default()
        || plan.hooks.iter().any(|hook| hook.program.is_some())
        || plan.vips.iter().any(|vip| tells(vip) || looks(vip))
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

struct StandIn<'a> {
    part: &'a Part,
    signals: Signals,
    /// Signals that were read and not obeyed yet.
    heard: RefCell<VecDeque<Signal>>,
    path: PathBuf,
}

/// Nothing that keepalived hears may end it.
fn heard() -> Vec<Signal> {
    let of_keepalived = Dump::ALL.map(Dump::signal);
    [SIGHUP, SIGTERM, SIGINT].into_iter().chain(of_keepalived).collect()
}

impl<'a> StandIn<'a> {
    fn new(part: &'a Part) -> Result<Self, StandInError> {
        let signals = Signals::new(&heard()).map_err(StandInError::Signals)?;
        Ok(Self { part, signals, heard: RefCell::default(), path: super::socket() })
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

    /// The router's file, as it was named.
    fn file(&self) -> &Path {
        let file = match self.part {
            Part::Router(launch) => launch.keepalived.as_deref(),
            Part::Watch { .. } => None,
        };
        file.unwrap_or_else(|| Path::new(""))
    }

    /// What the file says now; none: this stands for no router.
    fn plan(&self) -> Result<Option<Plan>, LaunchError> {
        match self.part {
            Part::Router(launch) => launch.plan().map(Some),
            Part::Watch { .. } => Ok(None),
        }
    }

    /// What is run, whatever the file says now. One that became small in an earlier version has only the file.
    fn known(&self, kept: &Kept) -> Option<Known> {
        let Part::Router(_) = self.part else { return None };
        let recorded = record::read(kept.record.as_fd());
        let recorded = recorded.and_then(|(record, text)| Known::of(&record.file, text));
        recorded.or_else(|| known_of(self.plan().ok()??))
    }

    /// A file of its own in which that is; without it a mistake in its file costs more than it has to.
    fn record(&self, known: Option<&Known>) -> Result<OwnedFd, StandInError> {
        if let Some(known) = known {
            let file = self.file().display().to_string();
            match record::write(&self.path, &file, &known.text) {
                Ok(record) => return Ok(record),
                Err(error) => tell::line(&format!("cannot record what is run: {error}")),
            }
        }
        let nowhere = std::fs::File::open("/dev/null");
        nowhere.map(Into::into).map_err(StandInError::Background)
    }

    fn begin(&self) -> Result<(), StandInError> {
        let plan = self.plan()?;
        tell::text(plan.as_ref().map_or("", |plan| plan.warnings.as_str()));
        let known = plan.and_then(known_of);
        let socket = self.look_until(sys::clock::now() + PATIENCE, known.as_ref())?;
        let record = self.record(known.as_ref())?;
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
        // Who holds addresses waits for none of those that do not.
        let which = match self.part {
            Part::Router(_) => "turn",
            Part::Watch { .. } => "watch-turn",
        };
        let turn = super::beside(&self.path, which);
        let mut options = std::fs::File::options();
        // Nobody else may lock it: who waits for it may hold addresses.
        options.mode(0o600);
        let turn = options.create(true).read(true).write(true).truncate(false).open(&turn);
        let turn: OwnedFd =
            turn.map_err(|error| StandInError::Join(self.path.clone(), error))?.into();
        self.sleep(Kept { socket, turn, record })
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

    fn note_signals(&self) {
        self.heard.borrow_mut().extend(std::iter::from_fn(|| self.signals.read()));
    }

    fn is_to_end(&self) -> bool {
        self.heard.borrow().iter().any(|signal| matches!(*signal, SIGTERM | SIGINT))
    }

    /// Small until something comes. Where that cannot be, as large as it is.
    fn sleep(&self, mut kept: Kept) -> Result<(), StandInError> {
        let temporary = std::env::var_os("TMPDIR");
        loop {
            kept.end_turn();
            let name = match self.part {
                Part::Router(_) => "keepalived",
                Part::Watch { .. } => "neutron-keepali",
            };
            let mut environment = vec![
                (VARIABLE, OsStr::new(WOKEN)),
                (super::SOCKET_VARIABLE, self.path.as_os_str()),
            ];
            environment.extend(temporary.as_deref().map(|folder| ("TMPDIR", folder)));
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
        loop {
            match joining::heard_on(&kept.socket) {
                Ok(None) => break,
                // A process that could not adopt it released nothing.
                Ok(Some(EntryAnswer::Refused { why })) => {
                    return Err(self.give_up(&kept, StandInError::Refused(why)));
                }
                Ok(Some(_)) => {}
                Err(_) => match self.orphaned(&kept)? {
                    Some(socket) => self.joined(&mut kept, socket)?,
                    None => return Ok(None),
                },
            }
        }
        loop {
            self.note_signals();
            let Some(signal) = self.heard.borrow_mut().pop_front() else { return Ok(Some(kept)) };
            let stays = match signal {
                SIGHUP => self.reload(&mut kept)?,
                SIGTERM | SIGINT => {
                    self.stop(&kept);
                    false
                }
                other => {
                    if let Some(dump) = Dump::asked_by(other) {
                        self.dump(&kept, dump);
                    }
                    true
                }
            };
            if !stays {
                return Ok(None);
            }
        }
    }

    /// Another desk has accepted it.
    fn joined(&self, kept: &mut Kept, socket: Channel) -> Result<(), StandInError> {
        kept.socket = socket;
        if let Some(known) = self.known(kept) {
            kept.record = self.record(Some(&known))?;
        }
        Ok(())
    }

    fn say(socket: &Channel, entry: &Entry, fds: &[OwnedFd]) -> io::Result<EntryAnswer> {
        let mut bytes = vec![];
        api::encode(entry, &mut bytes);
        let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        socket.send(&bytes, &fds)?;
        next(socket, PATIENCE)
    }

    /// Where the desk's log has it: its own has no reader.
    fn tell_trouble(socket: &Channel, why: String) {
        let mut bytes = vec![];
        api::encode(&Entry::Trouble { why }, &mut bytes);
        let _unheard = socket.send(&bytes, &[]);
    }

    /// False: it was told to end meanwhile.
    fn reload(&self, kept: &mut Kept) -> Result<bool, StandInError> {
        let read = match (self.part, self.plan()) {
            (Part::Watch { .. }, _) | (_, Ok(None)) => return Ok(true),
            (Part::Router(launch), Ok(Some(plan))) => match has_more_than_a_router(launch, &plan) {
                true => {
                    Err("it has programs or files: end it, and it is started by itself".to_owned())
                }
                false => Ok(known_of(plan)),
            },
            (Part::Router(_), Err(error)) => Err(error.brief()),
        };
        let known = match read {
            Ok(Some(known)) => known,
            Ok(None) => return Ok(true),
            Err(why) => {
                let why = format!("goes on with the file before: {why}");
                Self::tell_trouble(&kept.socket, why);
                return Ok(true);
            }
        };
        // With the desk that is there, or the one that comes after it and has adopted what was run before.
        for _ in 0..2 {
            let entry = &Entry::Reload;
            match known.sealed().and_then(|text| Self::say(&kept.socket, entry, &[text])) {
                Ok(EntryAnswer::Reloaded) => {
                    kept.record = self.record(Some(&known))?;
                    return Ok(true);
                }
                Ok(EntryAnswer::Refused { why }) => {
                    return Err(self.give_up(kept, StandInError::Refused(why)));
                }
                // What was wrong with it is in the log of the desk.
                Ok(_) => return Ok(true),
                // A process that hangs is ended by now, and the next one adopts what was run before: it is asked, too.
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {}
                Err(_) => match self.orphaned(kept)? {
                    Some(socket) => self.joined(kept, socket)?,
                    None => return Ok(false),
                },
            }
        }
        Ok(true)
    }

    fn stop(&self, kept: &Kept) {
        match Self::say(&kept.socket, &Entry::Stop, &[]) {
            Ok(EntryAnswer::Stopped) => {}
            // Nobody has done it.
            Ok(_) | Err(_) => self.take_off(kept),
        }
        self.remove_files(kept);
    }

    fn remove_files(&self, kept: &Kept) {
        record::remove(&self.path, kept.record.as_fd());
        for path in self.pid_files() {
            // The next start overwrites what stays.
            let _stays = std::fs::remove_file(path);
        }
    }
}

/// None: the plan has no file of keepalived.
fn known_of(plan: Plan) -> Option<Known> {
    let source = plan.texts.keepalived?;
    Some(Known { text: plan.texts.flat.unwrap_or(source.text), vips: plan.vips })
}

#[cfg(test)]
mod tests;
