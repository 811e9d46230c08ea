//! Check scripts, run as keepalived runs them: no shell, exit code 0 is good, one at a time.
//!
//! Nothing here waits: a script that cannot even be killed (its disk is gone) costs its own
//! result, not those of the others. All of it is done by a thread of its own ([`apart`]).

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use base::Time;
use config::vip::{Script, Vip};
use sys::poll::{Interest, Poller};
use sys::process::{Child, SIGKILL, SpawnOptions, spawn};

pub(super) mod apart;
pub(crate) mod guard;
#[cfg(test)]
mod tests;

/// Tokens of scripts begin here.
const SCRIPTS: u64 = 1 << 32;
/// Runs scripts for which no user is named, if it exists; else they run as we do.
pub(crate) const DEFAULT_USER: &str = "keepalived_script";

struct Scripts {
    all: Vec<Runner>,
}

struct Runner {
    instance: usize,
    index: usize,
    script: Script,
    program: PathBuf,
    user: User,
    next_at: Time,
    run: Run,
}

enum Run {
    None,
    Running {
        child: Child,
        kill_at: Time,
    },
    /// Told to die, not gone yet; no other is started beside it. The run that is due meanwhile
    /// fails.
    Dying {
        child: Child,
        fails_at: Time,
    },
}

/// Whom a script runs as; looked up before the first advert, since a directory service that does
/// not answer stops whoever asks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum User {
    Own,
    Other {
        uid: u32,
        gid: u32,
    },
    /// A script that was not meant to be root's does not run as root.
    Unknown,
}

impl User {
    /// Of user and group, if it is another one.
    pub(crate) const fn numbers(self) -> Option<(u32, u32)> {
        match self {
            Self::Other { uid, gid } => Some((uid, gid)),
            Self::Own | Self::Unknown => None,
        }
    }
}

/// One run that ended, or could not begin.
#[derive(Debug, Eq, PartialEq)]
struct Outcome {
    instance: usize,
    index: usize,
    passed: bool,
}

impl Scripts {
    fn new(vips: &[Vip]) -> Self {
        let of = |(instance, vip): (usize, &Vip)| {
            let scripts = vip.track_scripts.clone().into_iter().enumerate();
            scripts.map(move |(index, script)| Runner {
                instance,
                index,
                program: find(script.command.first().map_or("", String::as_str)),
                user: user_of(script.user.as_deref(), script.group.as_deref(), DEFAULT_USER),
                script,
                next_at: Time::ZERO,
                run: Run::None,
            })
        };
        Self { all: vips.iter().enumerate().flat_map(of).collect() }
    }

    fn deadline(&self) -> Time {
        let next = |runner: &Runner| match &runner.run {
            Run::Running { kill_at, .. } => *kill_at,
            Run::Dying { fails_at, .. } => *fails_at,
            Run::None => runner.next_at,
        };
        self.all.iter().map(next).min().unwrap_or(Time::NEVER)
    }

    /// Starts what is due and reports what ended, one result per call.
    fn next_result(&mut self, poller: &Poller, now: Time) -> Option<Outcome> {
        (SCRIPTS..).zip(&mut self.all).find_map(|(token, runner)| {
            let passed = runner.look(poller, token, now)? != runner.script.reversed;
            Some(Outcome { instance: runner.instance, index: runner.index, passed })
        })
    }

    /// Leaves none behind; init reaps them.
    fn kill(&mut self) {
        for runner in &mut self.all {
            if let Run::Running { child, .. } = &runner.run {
                // It may have ended in between.
                let _ended = child.signal_group(SIGKILL);
            }
        }
    }
}

impl Runner {
    fn look(&mut self, poller: &Poller, token: u64, now: Time) -> Option<bool> {
        match std::mem::replace(&mut self.run, Run::None) {
            Run::Running { child, kill_at } => match child.reap() {
                Ok(None) if now < kill_at => {
                    self.run = Run::Running { child, kill_at };
                    None
                }
                Ok(None) => {
                    // It may have ended in between.
                    let _ended = child.signal_group(SIGKILL);
                    self.run = Run::Dying { child, fails_at: now + self.script.interval };
                    Some(false)
                }
                Ok(Some(exit)) => Some(exit.success()),
                Err(_) => Some(false),
            },
            Run::Dying { child, mut fails_at } => {
                let Ok(None) = child.reap() else { return None };
                let missed = now >= fails_at;
                if missed {
                    fails_at = now + self.script.interval;
                }
                self.run = Run::Dying { child, fails_at };
                missed.then_some(false)
            }
            Run::None if now >= self.next_at => {
                self.next_at = now + self.script.interval;
                match self.start(poller, token) {
                    Some(child) => {
                        let kill_at = now + self.script.timeout;
                        self.run = Run::Running { child, kill_at };
                        None
                    }
                    None => Some(false),
                }
            }
            Run::None => None,
        }
    }

    fn start(&self, poller: &Poller, token: u64) -> Option<Child> {
        let user = match self.user {
            User::Own => None,
            User::Other { uid, gid } => Some((uid, gid)),
            User::Unknown => return None,
        };
        let (name, arguments) = self.script.command.split_first()?;
        let arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
        let nowhere = || std::fs::File::options().write(true).open("/dev/null").ok();
        let options = SpawnOptions {
            new_group: true,
            stdout: nowhere().map(Into::into),
            stderr: nowhere().map(Into::into),
            death_signal: Some(SIGKILL),
            user,
            ..SpawnOptions::default()
        };
        let child = spawn(&self.program, Some(name), &arguments, None, options).ok()?;
        // The descriptor closes with the child; without the wake-up the next deadline looks.
        let _late = poller.add(child.pidfd(), token, Interest::READ);
        Some(child)
    }
}

/// A name without a folder is looked up as a shell would; one that is nowhere fails when it runs.
pub(crate) fn find(name: &str) -> PathBuf {
    let folders = std::env::var_os("PATH").filter(|_| !name.contains('/'));
    folders
        .iter()
        .flat_map(std::env::split_paths)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
        .unwrap_or_else(|| Path::new(name).to_owned())
}

/// Whoever is not root runs its scripts as itself.
pub(crate) fn user_of(user: Option<&str>, group: Option<&str>, default: &str) -> User {
    let named = match user {
        Some("root") => return User::Own,
        Some(name) => sys::rights::user(name).ok_or(User::Unknown),
        None => sys::rights::user(default).ok_or(User::Own),
    };
    let (uid, first) = match named {
        Ok(found) => found,
        Err(without) => return without,
    };
    let gid = match group {
        Some(group) => sys::rights::group(group),
        None => Some(first),
    };
    match gid {
        Some(gid) if sys::rights::is_root() => User::Other { uid, gid },
        Some(_) => User::Own,
        None => User::Unknown,
    }
}
