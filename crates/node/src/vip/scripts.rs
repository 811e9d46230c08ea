//! Check scripts, run as keepalived runs them: no shell, exit code 0 is good, one at a time.

use std::ffi::OsStr;
use std::path::Path;

use base::Time;
use config::vip::{Script, Vip};
use sys::poll::{Interest, Poller};
use sys::process::{Child, SIGKILL, SpawnOptions, spawn};

use super::SCRIPTS;

pub(super) struct Scripts {
    all: Vec<Runner>,
}

struct Runner {
    instance: usize,
    index: usize,
    script: Script,
    next_at: Time,
    running: Option<(Child, Time)>,
}

/// One run that ended, or could not begin.
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
                script,
                next_at: Time::ZERO,
                running: None,
            })
        };
        Self { all: vips.iter().enumerate().flat_map(of).collect() }
    }

    pub(super) fn deadline(&self) -> Time {
        let next = |runner: &Runner| match &runner.running {
            Some((_, kill_at)) => *kill_at,
            None => runner.next_at,
        };
        self.all.iter().map(next).min().unwrap_or(Time::NEVER)
    }

    /// Starts what is due and reports what ended, one result per call.
    pub(super) fn next_result(&mut self, poller: &Poller, now: Time) -> Option<Outcome> {
        for (token, runner) in (SCRIPTS..).zip(&mut self.all) {
            let passed = match runner.running.take() {
                Some((child, kill_at)) => match child.reap() {
                    Ok(None) if now < kill_at => {
                        runner.running = Some((child, kill_at));
                        None
                    }
                    Ok(None) => {
                        end(&child);
                        Some(false)
                    }
                    Ok(Some(exit)) => Some(exit.success()),
                    Err(_) => Some(false),
                },
                None if now >= runner.next_at => {
                    runner.next_at = now + runner.script.interval;
                    match start(&runner.script, poller, token) {
                        Some(child) => {
                            runner.running = Some((child, now + runner.script.timeout));
                            None
                        }
                        None => Some(false),
                    }
                }
                None => None,
            };
            if let Some(passed) = passed {
                return Some(Outcome { instance: runner.instance, index: runner.index, passed });
            }
        }
        None
    }

    /// Nobody would reap them after this process.
    pub(super) fn kill(&mut self) {
        for (child, _) in self.all.iter_mut().filter_map(|runner| runner.running.take()) {
            end(&child);
        }
    }
}

fn end(child: &Child) {
    // It may have ended in between.
    let _ended = child.signal_group(SIGKILL);
    let _reaped = child.wait();
}

fn start(script: &Script, poller: &Poller, token: u64) -> Option<Child> {
    let (program, arguments) = script.command.split_first()?;
    let arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
    let nowhere = || std::fs::File::options().write(true).open("/dev/null").ok();
    let options = SpawnOptions {
        new_group: true,
        stdout: nowhere().map(Into::into),
        stderr: nowhere().map(Into::into),
        death_signal: Some(SIGKILL),
        user: user_of(script),
        ..SpawnOptions::default()
    };
    let child = spawn(Path::new(program), None, &arguments, None, options).ok()?;
    // The descriptor closes with the child; without the wake-up the next deadline looks.
    let _late = poller.add(child.pidfd(), token, Interest::READ);
    Some(child)
}

/// The user to run as, where there is a choice.
fn user_of(script: &Script) -> Option<(u32, u32)> {
    let name = script.user.as_deref().filter(|name| *name != "root")?;
    if !sys::rights::is_root() {
        return None;
    }
    let (uid, gid) = sys::rights::user(name)?;
    let group = script.group.as_deref().and_then(sys::rights::group);
    Some((uid, group.unwrap_or(gid)))
}
