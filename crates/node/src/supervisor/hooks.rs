//! What comes before the first process and behind the last: the network namespace, files, static addresses,
//! `startup_script` and `shutdown_script`.

use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use base::{Chain, Time};
use config::notify::{Hook, Program};
use config::vip::Fixed;
use sys::poll::{Interest, Poller, Ready};
use sys::process::{Child, Exit, SIGKILL, SIGTERM, SpawnOptions};
use sys::signal::{SIGINT, Signals};

use super::{SuperviseError, Supervisor, first_plan, fixed, tell};
use crate::launch::{Launch, Plan};
use crate::vip::scripts::{self, User};

/// One that was told to end is killed after so long.
const LAST: Duration = Duration::from_secs(1);
const ENDED: u64 = 0;
const SIGNAL: u64 = 1;

/// The first plan, read in the network namespace that the caller or the file names.
pub(super) fn in_its_namespace(launch: &Launch) -> Result<Plan, SuperviseError> {
    let enter = |name: &str| {
        let wrong = |source| SuperviseError::Namespace { name: name.to_owned(), source };
        sys::netns::enter_named(name).map_err(wrong)
    };
    if let Some(name) = &launch.network_namespace {
        enter(name)?;
        return first_plan(launch);
    }
    let plan = first_plan(launch)?;
    let Some(name) = &plan.network_namespace else { return Ok(plan) };
    enter(name)?;
    // Which device has an address is seen there.
    Ok(launch.plan()?)
}

impl Supervisor {
    /// All that stands before the first process.
    pub(super) fn at_start(&mut self) {
        fixed::make_files(&self.plan.made_files);
        let [hook, _] = self.plan.hooks.clone();
        self.run_hook(&hook, "startup_script");
        let fixed = self.plan.fixed.clone();
        self.fix(&Fixed::default(), &fixed);
    }

    /// All that is taken off behind the last one.
    pub(super) fn at_end(&mut self) {
        let fixed = self.plan.fixed.clone();
        self.fix(&fixed, &Fixed::default());
        let [_, hook] = self.plan.hooks.clone();
        self.run_hook(&hook, "shutdown_script");
    }

    /// Runs it and waits for it; what goes wrong with it keeps nothing from starting or ending.
    fn run_hook(&self, hook: &Hook, name: &str) {
        let Some(program) = &hook.program else { return };
        let command = program.command.join(" ");
        let told = match self.run_for(program, hook.timeout) {
            Ok(None) => return,
            Ok(Some(why)) => format!("{name} {command}: {why}"),
            Err(error) => format!("cannot run {name} {command}: {}", Chain(&error)),
        };
        tell::line(&told);
    }

    fn run_for(&self, program: &Program, limit: Duration) -> io::Result<Option<String>> {
        let Program { command, user, group, secure } = program;
        let as_whom = scripts::user_of(user.as_deref(), group.as_deref(), scripts::DEFAULT_USER);
        let objection = scripts::guard::objection_to(command, user.as_deref(), as_whom, *secure);
        if let Some(why) = objection {
            return Ok(Some(format!("not run: {why}")));
        }
        if as_whom == User::Unknown {
            return Ok(Some("not run: there is no such user".to_owned()));
        }
        let Some((first, rest)) = command.split_first() else { return Ok(None) };
        let arguments: Vec<&OsStr> = rest.iter().map(OsStr::new).collect();
        let options = SpawnOptions {
            new_group: true,
            death_signal: Some(SIGTERM),
            user: as_whom.numbers(),
            ..SpawnOptions::default()
        };
        let path = scripts::find(first);
        let child = sys::process::spawn(&path, Some(first), &arguments, None, options)?;
        if let Some(exit) = Self::wait_for(&child, sys::clock::now() + limit, true)? {
            return Ok((!exit.success()).then(|| format!("it {exit}")));
        }
        // It may have ended in between.
        let _ended = child.signal_group(SIGTERM);
        let mut how = "ended";
        if Self::wait_for(&child, sys::clock::now() + LAST, false)?.is_none() {
            let _ended = child.signal_group(SIGKILL);
            let _reaped = child.wait()?;
            how = "killed";
        }
        Ok(Some(format!("it did not end by itself and was {how}")))
    }

    /// How it ended; none: not until then, or this node was told something that does not wait.
    fn wait_for(child: &Child, end: Time, hears: bool) -> io::Result<Option<Exit>> {
        let poller = Poller::new()?;
        poller.add(child.pidfd(), ENDED, Interest::READ)?;
        // Only looked at: they are read where they are obeyed. An end of another process is no reason to end this one.
        let asked = hears.then(|| Signals::new(&[SIGTERM, SIGINT])).transpose()?;
        if let Some(asked) = &asked {
            poller.add(asked.as_fd(), SIGNAL, Interest::READ)?;
        }
        let mut ready = Vec::with_capacity(2);
        loop {
            if let Some(exit) = child.reap()? {
                return Ok(Some(exit));
            }
            let now = sys::clock::now();
            if now >= end || ready.iter().any(|event: &Ready| event.token == SIGNAL) {
                return Ok(None);
            }
            poller.wait(&mut ready, Some(end.since(now)))?;
        }
    }
}
