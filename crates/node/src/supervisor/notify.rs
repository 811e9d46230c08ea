//! Tells programs and pipes how virtual IPs stand, as `engine::vip::notice` orders.
//!
//! Here and not in the vip process, whose thread is in front of everything else on the machine and may wait for nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use api::{Event, VipRole, VipState};
use base::Time;
use config::notify::{Fifo, Program};
use engine::vip::notice::{Action, Input, Notices, State};
use sys::poll::Interest;
use sys::process::{Child, SIGKILL, SIGTERM, SpawnOptions};

use super::{NOTICE, Slot, Supervisor, token};
use crate::vip::scripts::{self, User};

/// What is told, and who is being told.
#[derive(Debug, Default)]
pub(super) struct Told {
    notices: Notices,
    /// Programs that run, by their number.
    running: BTreeMap<u32, (Child, PathBuf)>,
    pipes: Vec<Pipe>,
    /// Numbers of users, by name and group: a directory service that does not answer costs no reload.
    users: BTreeMap<(Option<String>, Option<String>), User>,
    /// Programs that are not run, with the reason, as the event log knows them.
    refused: BTreeSet<(String, String)>,
}

/// One named pipe.
#[derive(Debug)]
struct Pipe {
    of: Fifo,
    fifo: sys::fifo::Fifo,
    reader: Option<Child>,
    /// Lines for which there was no room since the last one for which there was.
    lost: u64,
}

impl Supervisor {
    /// The plan is in force.
    pub(super) fn notify_of_plan(&mut self, again: bool) {
        let mut vips = self.plan.vips.clone();
        for vip in &mut vips {
            for program in vip.notify.programs() {
                let Some(why) = program.as_ref().and_then(|program| self.objection(program)) else {
                    continue;
                };
                let command = program.take().map(|program| program.command.join(" "));
                self.not_told(&vip.name, &command.unwrap_or_default(), why);
            }
        }
        let mut groups = self.plan.groups.clone();
        for group in &mut groups {
            for program in group.notify.programs() {
                let Some(why) = program.as_ref().and_then(|program| self.objection(program)) else {
                    continue;
                };
                let command = program.take().map(|program| program.command.join(" "));
                self.not_told(&group.name, &command.unwrap_or_default(), why);
            }
        }
        self.open_pipes();
        let again = again && self.plan.fifos.1;
        self.notify(Input::File { vips: &vips, groups: &groups, again });
    }

    fn objection(&mut self, program: &Program) -> Option<String> {
        let Program { command, user, group, secure } = program;
        let known = self.told.users.entry((user.clone(), group.clone()));
        let as_whom = *known.or_insert_with(|| {
            scripts::user_of(user.as_deref(), group.as_deref(), scripts::DEFAULT_USER)
        });
        if as_whom == User::Unknown {
            // It may be there at the next reload.
            self.told.users.remove(&(user.clone(), group.clone()));
            let user = user.as_deref().unwrap_or_default();
            return Some(format!("there is no user {user}, or not that group"));
        }
        scripts::guard::objection_to(command, user.as_deref(), as_whom, *secure)
    }

    /// Once for each program and reason.
    fn not_told(&mut self, vip: &str, command: &str, why: String) {
        if !self.told.refused.insert((command.to_owned(), why.clone())) {
            return;
        }
        self.event(Event {
            what: "vip-notify-failed".to_owned(),
            object: format!("vip/{vip}"),
            evidence: format!("{command}: {why}"),
            decision: "do not run it; the address goes on all the same".to_owned(),
            not_done: "whoever waits for that word does not hear it".to_owned(),
            ..Event::default()
        });
    }

    /// Those that are the same stay as they are, with who reads them.
    fn open_pipes(&mut self) {
        let wanted = self.plan.fifos.0.clone();
        let before = std::mem::take(&mut self.told.pipes);
        let (kept, gone): (Vec<_>, Vec<_>) =
            before.into_iter().partition(|pipe| wanted.contains(&pipe.of));
        gone.into_iter().for_each(Pipe::close);
        self.told.pipes = kept;
        for of in wanted {
            if self.told.pipes.iter().any(|pipe| pipe.of == of) {
                continue;
            }
            match self.open_pipe(of.clone()) {
                Ok(pipe) => self.told.pipes.push(pipe),
                Err(why) => {
                    let node = self.plan.node.clone();
                    self.event(Event {
                        what: "vip-notify-failed".to_owned(),
                        object: format!("node/{node}"),
                        evidence: format!("the pipe {}: {why}", of.path),
                        decision: "go on without it until the next reload".to_owned(),
                        not_done: "whoever reads it hears nothing".to_owned(),
                        ..Event::default()
                    });
                }
            }
        }
    }

    fn open_pipe(&mut self, of: Fifo) -> Result<Pipe, String> {
        let owner = Program {
            user: of.user.clone(),
            group: of.group.clone(),
            secure: false,
            command: Vec::new(),
        };
        if let Some(why) = self.objection(&owner) {
            return Err(why);
        }
        let owner = self.told.users.get(&(of.user.clone(), of.group.clone()));
        let owner = owner.and_then(|user| user.numbers());
        let fifo = sys::fifo::Fifo::open(Path::new(&of.path), owner);
        let fifo = fifo.map_err(|error| error.to_string())?;
        let reader = match &of.reader {
            None => None,
            Some(program) => match self.objection(program) {
                Some(why) => return Err(format!("its reader is not run: {why}")),
                None => {
                    let started = self.told.start(program, std::slice::from_ref(&of.path));
                    Some(started.map_err(|error| format!("its reader: {error}"))?.0)
                }
            },
        };
        Ok(Pipe { of, fifo, reader, lost: 0 })
    }

    /// How an instance of the file in force stands.
    pub(super) fn notify_of_vip(&mut self, state: &VipState) {
        // Whoever stops says so at its end, and nothing before.
        if self.ended_by.is_some() {
            return;
        }
        let Some(vip) = self.plan.vips.get(usize::from(state.instance)) else { return };
        let name = vip.name.clone();
        let priority = state.priority.unwrap_or(vip.priority);
        let state = match state.role {
            VipRole::Backup => State::Backup,
            VipRole::Master => State::Master,
            VipRole::Fault => State::Fault,
        };
        self.notify(Input::Is { name: &name, state, priority });
    }

    /// A weaker router says that it holds an address, too, which this node does by the file in force.
    pub(super) fn notify_of_rival(&mut self, slot: Slot, instance: u16) {
        let leaves = self.children.get(&slot).is_none_or(|child| child.leaving);
        if self.ended_by.is_some() || leaves {
            return;
        }
        let Some(vip) = self.plan.vips.get(usize::from(instance)) else { return };
        let name = vip.name.clone();
        self.notify(Input::Rival { name: &name });
    }

    pub(super) fn notify(&mut self, input: Input<'_>) {
        let mut out = Vec::new();
        self.told.notices.step(sys::clock::now(), input, &mut out);
        for action in out {
            match action {
                Action::Say(line) => self.say(&line),
                Action::Run { run, name, program, arguments } => {
                    match self.told.start(&program, &arguments) {
                        Ok(started) => self.watch(run, started),
                        Err(error) => {
                            let command = program.command.join(" ");
                            self.not_told(&name, &command, error.to_string());
                            self.notify(Input::Ended { run });
                        }
                    }
                }
                Action::Kill { run } => self.kill_notified(run),
                Action::Lose { name, program } => {
                    let why = "too many before it have not ended".to_owned();
                    self.not_told(&name, &program.command.join(" "), why);
                }
            }
        }
    }

    fn watch(&mut self, run: u32, started: (Child, PathBuf)) {
        // Without the wake-up it is looked for at the next one.
        let _late = self.poller.add(started.0.pidfd(), token(run, NOTICE), Interest::READ);
        self.told.running.insert(run, started);
    }

    fn kill_notified(&mut self, run: u32) {
        let Some((child, program)) = self.told.running.get(&run) else { return };
        // It may have ended in between.
        let _ended = child.signal_group(SIGKILL);
        let (program, node) = (program.display().to_string(), self.plan.node.clone());
        self.event(Event {
            what: "vip-notify-failed".to_owned(),
            object: format!("node/{node}"),
            evidence: format!("{program} did not end in time"),
            decision: "end it, so that those that wait behind it can run".to_owned(),
            action: "killed".to_owned(),
            ..Event::default()
        });
    }

    /// A program may have ended.
    pub(super) fn notified(&mut self, run: u32) {
        let Some((child, _)) = self.told.running.get(&run) else { return };
        if let Ok(None) = child.reap() {
            return;
        }
        if let Some((child, _)) = self.told.running.remove(&run) {
            let _ = self.poller.remove(child.pidfd());
        }
        self.notify(Input::Ended { run });
    }

    /// A pipe that nobody reads gets no more, and costs nobody anything else.
    fn say(&mut self, line: &str) {
        let mut news = Vec::new();
        for pipe in &mut self.told.pipes {
            let ended = |reader: &Child| !matches!(reader.reap(), Ok(None));
            drop(pipe.reader.take_if(|reader| ended(reader)));
            match pipe.fifo.write(line.as_bytes()) {
                Ok(()) if pipe.lost > 0 => {
                    let lost = std::mem::take(&mut pipe.lost);
                    news.push((format!("{} is read again", pipe.of.path), format!("{lost} lines")));
                }
                Ok(()) => {}
                Err(error) => {
                    pipe.lost += 1;
                    if pipe.lost == 1 {
                        let why = if error.kind() == io::ErrorKind::WouldBlock {
                            "it is full: nobody reads it".to_owned()
                        } else {
                            error.to_string()
                        };
                        let evidence = format!("the pipe {}: {why}", pipe.of.path);
                        news.push((evidence, "lines from now on".to_owned()));
                    }
                }
            }
        }
        for (evidence, lost) in news {
            let node = self.plan.node.clone();
            self.event(Event {
                what: "vip-notify-failed".to_owned(),
                object: format!("node/{node}"),
                evidence,
                decision: "drop what there is no room for, and count it".to_owned(),
                not_done: format!("its reader did not get {lost}"),
                ..Event::default()
            });
        }
    }
}

impl Told {
    pub(super) fn deadline(&self) -> Time {
        self.notices.deadline()
    }

    /// Whether the node may end.
    pub(super) fn is_done(&self) -> bool {
        self.notices.is_done(sys::clock::now())
    }

    /// Nothing stays behind.
    pub(super) fn close(&mut self) {
        std::mem::take(&mut self.pipes).into_iter().for_each(Pipe::close);
        for (child, _) in self.running.values() {
            // It may have ended in between.
            let _ended = child.signal_group(SIGKILL);
        }
    }

    fn start(&self, program: &Program, more: &[String]) -> io::Result<(Child, PathBuf)> {
        let Program { command, user, group, .. } = program;
        let Some((name, arguments)) = command.split_first() else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let as_whom = self.users.get(&(user.clone(), group.clone()));
        let as_whom = as_whom.filter(|user| **user != User::Unknown);
        let user = as_whom.ok_or(io::ErrorKind::PermissionDenied)?.numbers();
        let arguments: Vec<&OsStr> = arguments.iter().chain(more).map(OsStr::new).collect();
        let nowhere = || std::fs::File::options().write(true).open("/dev/null").ok();
        let options = SpawnOptions {
            new_group: true,
            stdout: nowhere().map(Into::into),
            stderr: nowhere().map(Into::into),
            death_signal: Some(SIGTERM),
            user,
            ..SpawnOptions::default()
        };
        let path = scripts::find(name);
        let child = sys::process::spawn(&path, Some(name), &arguments, None, options)?;
        Ok((child, path))
    }
}

impl Pipe {
    fn close(self) {
        if let Some(reader) = self.reader {
            // It may have ended in between; one that has not is reaped by init.
            let _ended = reader.signal_group(SIGTERM);
        }
    }
}
