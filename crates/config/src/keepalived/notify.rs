//! Programs and pipes that are told how instances stand.

use std::time::Duration;

use base::Span;

use super::blocks::arguments;
use super::{Global, Instance, Keepalived};
use crate::diagnostic::Diagnostic;
use crate::line::Line;
use crate::notify::{Fifo, Group, Hook, Notify, Program};

pub(super) const COMMAND: &str = "\"<command>\" [<user> [<group>]]";
pub(super) const PIPE: &str = "<path> [<user> [<group>]]";
pub(super) const READER: &str = "started with the path of the pipe as its last argument";

pub(super) const EVERY: &str =
    "run at each of these changes, with `INSTANCE`, name, state and priority as more arguments";
pub(super) const RIVAL: &str = "run when a weaker router says that it holds the address while this one does; pipes are told in any case";
pub(super) const PRIORITY: &str = "pipes are told of changes of the priority";

/// The first one counts, as with keepalived.
pub(super) fn once(to: &mut Option<Program>, line: &mut Line<'_>) -> Result<(), Diagnostic> {
    let whole = line.whole();
    let read = program(line)?;
    match to {
        Some(_) => line.report(twice(whole)),
        None => *to = Some(read),
    }
    Ok(())
}

fn twice(span: Span) -> Diagnostic {
    let finding = Diagnostic::warning(span, "said-twice", "this was said before: the first counts");
    finding.help("remove one of them")
}

/// A command, and whom it runs as.
pub(super) fn program(line: &mut Line<'_>) -> Result<Program, Diagnostic> {
    let word = line.expect("a command")?;
    let command = arguments(&word.text);
    if command.is_empty() {
        return Err(word.wrong("a command"));
    }
    let (user, group) = user(line);
    Ok(Program { command, user, group, secure: false })
}

fn user(line: &mut Line<'_>) -> (Option<String>, Option<String>) {
    let mut word = || line.take().map(|word| word.text);
    let found = (word(), word());
    line.finish();
    found
}

pub(super) fn pipe(to: &mut Fifo, line: &mut Line<'_>) -> Result<(), Diagnostic> {
    let whole = line.whole();
    let path = line.expect("a path")?;
    let (user, group) = user(line);
    if !path.text.starts_with('/') {
        return Err(path.wrong("a path that begins with `/`"));
    }
    if to.path.is_empty() {
        (to.path, to.user, to.group) = (path.text, user, group);
    } else {
        line.report(twice(whole));
    }
    Ok(())
}

impl Keepalived {
    /// What is told of an instance: with the user and the rules of `global_defs` where it says none.
    pub(crate) fn notify_of(&self, instance: &Instance) -> Notify {
        let mut notify = instance.notify.clone();
        let of_group = self.sync_group(&instance.name).and_then(|group| group.says_priority);
        let says = instance.says_priority.or(of_group);
        notify.priority_changes = says.unwrap_or(self.global.says_priority);
        notify.programs().flatten().for_each(|program| self.global.settle(program));
        notify
    }

    /// Groups of more than nobody, with what is told of them.
    pub(crate) fn told_groups(&self) -> Vec<Group> {
        let groups = self.sync_groups.iter().filter(|group| !group.members.is_empty());
        let told = groups.map(|group| {
            let mut notify = group.notify.clone();
            notify.programs().flatten().for_each(|program| self.global.settle(program));
            let members = group.members.iter().map(|(name, _)| name.clone()).collect();
            Group { name: group.name.clone(), members, notify }
        });
        told.collect()
    }

    /// The pipes, with whom they belong to and who reads them.
    pub(crate) fn fifos(&self) -> Vec<Fifo> {
        let all = [&self.global.fifo, &self.global.vrrp_fifo].into_iter();
        let all = all.filter(|fifo| !fifo.path.is_empty()).cloned();
        all.map(|mut fifo| {
            fifo.reader.iter_mut().for_each(|program| self.global.settle(program));
            if fifo.user.is_none() {
                fifo.user.clone_from(&self.global.script_user);
                fifo.group.clone_from(&self.global.script_group);
            }
            fifo
        })
        .collect()
    }
}

/// As keepalived has it.
const HOOK_TIMEOUT: Duration = Duration::from_secs(10);

impl Keepalived {
    /// At the start and at the end, with whom they run as and how long they may.
    pub(crate) fn hooks(&self) -> [Hook; 2] {
        [&self.global.startup, &self.global.shutdown].map(|hook| {
            let mut hook = hook.clone();
            hook.program.iter_mut().for_each(|program| self.global.settle(program));
            if hook.timeout.is_zero() {
                hook.timeout = HOOK_TIMEOUT;
            }
            hook
        })
    }
}

impl Global {
    fn settle(&self, program: &mut Program) {
        program.secure = self.script_security;
        if program.user.is_none() {
            program.user.clone_from(&self.script_user);
            program.group.clone_from(&self.script_group);
        }
    }
}
