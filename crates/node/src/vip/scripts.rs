//! Check scripts, run as keepalived runs them: no shell, exit code 0 is good, one at a time.
//!
//! Nothing here waits: a script that cannot even be killed (its disk is gone) costs its own
//! result, not the adverts of this thread.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base::Time;
use config::vip::{Script, Vip};
use sys::poll::{Interest, Poller};
use sys::process::{Child, SIGKILL, SpawnOptions, spawn};

use super::SCRIPTS;

#[cfg(test)]
mod tests;

/// A killed process is usually gone within microseconds; sooner than this its next run is not due,
/// so that one timeout is not counted twice.
const GONE_WITHIN: Duration = Duration::from_millis(100);

pub(super) struct Scripts {
    all: Vec<Runner>,
}

struct Runner {
    instance: usize,
    index: usize,
    script: Script,
    program: PathBuf,
    next_at: Time,
    run: Run,
}

enum Run {
    None,
    Running {
        child: Child,
        kill_at: Time,
    },
    /// Told to die, not gone yet; no other is started beside it.
    Dying(Child),
}

/// One run that ended, or could not begin.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Outcome {
    pub(super) instance: usize,
    pub(super) index: usize,
    pub(super) passed: bool,
}

impl Scripts {
    pub(super) fn new(vips: &[Vip]) -> Self {
        let of = |(instance, vip): (usize, &Vip)| {
            let scripts = vip.track_scripts.clone().into_iter().enumerate();
            scripts.map(move |(index, script)| Runner {
                instance,
                index,
                program: find(script.command.first().map_or("", String::as_str)),
                script,
                next_at: Time::ZERO,
                run: Run::None,
            })
        };
        Self { all: vips.iter().enumerate().flat_map(of).collect() }
    }

    pub(super) fn deadline(&self) -> Time {
        let next = |runner: &Runner| match &runner.run {
            Run::Running { kill_at, .. } => *kill_at,
            Run::None | Run::Dying(_) => runner.next_at,
        };
        self.all.iter().map(next).min().unwrap_or(Time::NEVER)
    }

    /// Starts what is due and reports what ended, one result per call.
    pub(super) fn next_result(&mut self, poller: &Poller, now: Time) -> Option<Outcome> {
        (SCRIPTS..).zip(&mut self.all).find_map(|(token, runner)| {
            let passed = runner.look(poller, token, now)?;
            Some(Outcome { instance: runner.instance, index: runner.index, passed })
        })
    }

    /// Leaves none behind; init reaps them.
    pub(super) fn kill(&mut self) {
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
        let due = now >= self.next_at;
        match std::mem::replace(&mut self.run, Run::None) {
            Run::Running { child, kill_at } => match child.reap() {
                Ok(None) if now < kill_at => {
                    self.run = Run::Running { child, kill_at };
                    None
                }
                Ok(None) => {
                    // It may have ended in between.
                    let _ended = child.signal_group(SIGKILL);
                    self.run = Run::Dying(child);
                    self.next_at = self.next_at.max(now + GONE_WITHIN);
                    Some(false)
                }
                Ok(Some(exit)) => Some(exit.success()),
                Err(_) => Some(false),
            },
            Run::Dying(child) => {
                if let Ok(None) = child.reap() {
                    self.run = Run::Dying(child);
                    return due.then(|| self.postpone(now));
                }
                None
            }
            Run::None if due => {
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

    /// A run that did not take place has not passed.
    fn postpone(&mut self, now: Time) -> bool {
        self.next_at = now + self.script.interval;
        false
    }

    fn start(&self, poller: &Poller, token: u64) -> Option<Child> {
        let (name, arguments) = self.script.command.split_first()?;
        let arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
        let nowhere = || std::fs::File::options().write(true).open("/dev/null").ok();
        let options = SpawnOptions {
            new_group: true,
            stdout: nowhere().map(Into::into),
            stderr: nowhere().map(Into::into),
            death_signal: Some(SIGKILL),
            user: user_of(&self.script)?,
            ..SpawnOptions::default()
        };
        let child = spawn(&self.program, Some(name), &arguments, None, options).ok()?;
        // The descriptor closes with the child; without the wake-up the next deadline looks.
        let _late = poller.add(child.pidfd(), token, Interest::READ);
        Some(child)
    }
}

/// A name without a folder is looked up as a shell would; one that is nowhere fails when it runs.
fn find(name: &str) -> PathBuf {
    let folders = std::env::var_os("PATH").filter(|_| !name.contains('/'));
    folders
        .iter()
        .flat_map(std::env::split_paths)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
        .unwrap_or_else(|| Path::new(name).to_owned())
}

/// The user to run as, where there is a choice. None: there is no such user, and a script that was
/// not meant to be root's does not run as root.
#[expect(clippy::option_option, reason = "outside: may it run; inside: as whom")]
fn user_of(script: &Script) -> Option<Option<(u32, u32)>> {
    let Some(name) = script.user.as_deref().filter(|name| *name != "root") else {
        return Some(None);
    };
    let (uid, first) = sys::rights::user(name)?;
    let gid = match script.group.as_deref() {
        Some(group) => sys::rights::group(group)?,
        None => first,
    };
    Some(sys::rights::is_root().then_some((uid, gid)))
}
