//! A file in keepalived's language to instances and scripts.

use std::time::Duration;

use base::Span;

use super::blocks::{GLOBAL, SCRIPT, TOP, TOP_IDLE, TOP_TRACKS};
use super::expand::{self, Files, Node};
use super::fixed::BLOCKS;
use super::sync::SYNC_GROUP;
use super::{
    Instance, Keepalived, ScriptBlock, State, Track, bfd, delays, family, fixed, instance,
    protocol, rules, sync, vmac, watch, words,
};
use crate::diagnostic::{Diagnostic, is_hopeless, limit};
use crate::guess;
use crate::keyword::{Keyword, find, read};
use crate::line::{Line, Statement, Word};
use crate::vip::Script;

pub(crate) const OURS: [&str; 4] =
    ["global_defs", "vrrp_script", "vrrp_instance", "vrrp_sync_group"];

/// Places in what is said are those of `files`.
pub(crate) fn parse(
    files: &mut dyn Files,
    file: usize,
    node: Node<'_>,
) -> (Keepalived, Vec<Diagnostic>) {
    let mut findings = Vec::new();
    let expanded = expand::expand(files, file, node, &mut findings);
    let statements = words::statements(&expanded.lines, &mut findings);
    drop(expanded);
    for finding in &mut findings {
        finding.file = file;
    }
    let mut read = Keepalived::default();
    for statement in statements {
        let Some(first) = statement.words.first().cloned() else { continue };
        let Statement { words, block, end } = statement;
        let mut line = Line::new(words, file, end, &mut findings);
        line.block = block;
        line.take();
        if let Err(finding) = top(&first, &mut read, &mut line) {
            line.report(finding);
        }
        if is_hopeless(&findings) {
            break;
        }
    }
    let mut found = Vec::new();
    protocol::settle(&mut read, &mut found);
    rules::number(&mut read, &mut found);
    found.extend(verify(&read));
    watch::verify(&read, &mut found);
    bfd::verify(&read, &mut found);
    delays::verify(&read, &mut found);
    fixed::verify(&read, &mut found);
    for finding in found {
        findings.push(finding.in_file(file));
    }
    limit(&mut findings);
    (read, findings)
}

fn top(first: &Word, read: &mut Keepalived, line: &mut Line<'_>) -> Result<(), Diagnostic> {
    match first.text.as_str() {
        "global_defs" => block(GLOBAL, "global_defs", &mut read.global, line),
        "vrrp_script" => {
            let name = line.expect("the name of the script")?;
            let mut script = new_script(name);
            let result = block(SCRIPT, "vrrp_script", &mut script, line);
            if script.script.timeout.is_zero() {
                script.script.timeout = script.script.interval;
            }
            read.scripts.push(script);
            result
        }
        "vrrp_instance" => {
            let name = line.expect("the name of the instance")?;
            let mut instance = instance::new(name);
            let result = block(instance::KEYWORDS, "vrrp_instance", &mut instance, line);
            read.instances.push(instance);
            result
        }
        "vrrp_sync_group" => {
            let name = line.expect("the name of the group")?;
            let mut group = sync::new(name);
            let result = block(SYNC_GROUP, "vrrp_sync_group", &mut group, line);
            read.sync_groups.push(group);
            result
        }
        "vrrp_track_process" | "track_process" => processes(read, line),
        "vrrp_track_file" | "track_file" => tracked_file(read, line),
        block if BLOCKS.iter().any(|(name, ..)| *name == block) => {
            let block = block.to_owned();
            read.fixed.read(&block, line)
        }
        "net_namespace" => {
            read.global.net_namespace = Some(line.expect("the name of a network namespace")?.text);
            line.finish();
            Ok(())
        }
        "interface_up_down_delays" => delays::read(read, line),
        "bfd_instance" => {
            let mut session = bfd::new(line.expect("the name of the session")?);
            let result = block(bfd::BFD, "bfd_instance", &mut session, line);
            session.settle();
            read.bfds.push(session);
            result
        }
        text if TOP.contains(&text) => {
            line.report(Diagnostic::not_yet(first.span, format!("`{text}`")));
            Ok(())
        }
        text if TOP_IDLE.contains(&text) => Ok(()),
        text => {
            let message = format!("`{text}` opens no block");
            let finding = Diagnostic::error(first.span, "unknown-keyword", message);
            let known = OURS.into_iter().chain(TOP).chain(TOP_TRACKS);
            let finding = guess::near(finding, text, known);
            if finding.help.is_some() {
                return Err(finding);
            }
            Err(match home(text) {
                Some(home) => finding.help(format!("it belongs into `{home}`")),
                None => finding.help(format!("known are {} and others", OURS.join(", "))),
            })
        }
    }
}

fn processes(read: &mut Keepalived, line: &mut Line<'_>) -> Result<(), Diagnostic> {
    let mut processes = watch::new_process(line.expect("the name of the processes")?);
    let result = block(watch::PROCESS, "vrrp_track_process", &mut processes, line);
    processes.settle();
    read.processes.push(processes);
    result
}

fn tracked_file(read: &mut Keepalived, line: &mut Line<'_>) -> Result<(), Diagnostic> {
    let mut file = watch::new_file(line.expect("the name of the file")?);
    let result = block(watch::FILE, "vrrp_track_file", &mut file, line);
    read.files.push(file);
    result
}

/// The block that a keyword at the top of the file was meant for.
fn home(name: &str) -> Option<&'static str> {
    let instance = instance::KEYWORDS.iter().any(|row| row.name == name);
    let script = SCRIPT.iter().any(|row| row.name == name);
    let global = GLOBAL.iter().any(|row| row.name == name);
    let group = SYNC_GROUP.iter().any(|row| row.name == name);
    let found = [
        (instance, "vrrp_instance"),
        (script, "vrrp_script"),
        (global, "global_defs"),
        (group, "vrrp_sync_group"),
    ];
    found.into_iter().find(|(is, _)| *is).map(|(_, home)| home)
}

/// Reads the statements of a block by its table, all mistakes at once.
fn block<T>(
    table: &[Keyword<T>],
    of: &str,
    target: &mut T,
    line: &mut Line<'_>,
) -> Result<(), Diagnostic> {
    line.finish();
    let Some(statements) = line.block.take() else {
        let finding = Diagnostic::error(line.whole(), "missing-block", "the block is missing");
        return Err(finding.help(format!("write `{of} ... {{`, its lines, and `}}`")));
    };
    for statement in statements {
        let Some(first) = statement.words.first().cloned() else { continue };
        let mut inner = line.inner(statement);
        inner.take();
        let result = match find(&[table], &first.text, None) {
            Some((row, _)) => read(row, target, &mut inner),
            None => Err(unknown(table, of, &first)),
        };
        if let Err(finding) = result {
            inner.report(finding);
        }
    }
    Ok(())
}

fn unknown<T>(table: &[Keyword<T>], of: &str, word: &Word) -> Diagnostic {
    let message = format!("`{}` is no keyword of `{of}`", word.text);
    let finding = Diagnostic::error(word.span, "unknown-keyword", message);
    let finding = guess::near(finding, &word.text, table.iter().map(|row| row.name));
    if finding.help.is_some() {
        return finding;
    }
    match home(&word.text) {
        Some(home) => finding.help(format!("it belongs into `{home}`")),
        None => finding,
    }
}

fn new_script(name: Word) -> ScriptBlock {
    ScriptBlock {
        script: Script {
            name: name.text,
            command: Vec::new(),
            interval: Duration::from_secs(1),
            timeout: Duration::ZERO,
            fall: 1,
            rise: 1,
            weight: 0,
            starts_failed: false,
            reversed: false,
            user: None,
            group: None,
            secure: false,
        },
        text: String::new(),
        command_span: Span::default(),
        reverse: false,
        span: name.span,
    }
}

/// What keepalived checks when it has read everything.
fn verify(read: &Keepalived) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for (at, instance) in read.instances.iter().enumerate() {
        complete(instance, &mut found);
        scripts(instance, read, &mut found);
        vmac::verify(&read.instances, at, &mut found);
        let earlier = &read.instances[..at];
        if earlier.iter().any(|other| other.name == instance.name) {
            let message = format!("there is an instance `{}` already", instance.name);
            found.push(Diagnostic::error(instance.span, "duplicate-name", message));
        }
        let same = |other: &&Instance| {
            let of = |it: &Instance| (it.router_id, it.is_v6(), it.travel.group);
            other.interface == instance.interface && of(other) == of(instance)
        };
        if let Some(other) = earlier.iter().find(same).filter(|_| instance.router_id != 0) {
            let message = format!(
                "`{}` has virtual_router_id {} on {} already",
                other.name, instance.router_id, instance.interface
            );
            let finding = Diagnostic::error(instance.span, "duplicate-router-id", message);
            found.push(finding.help("give each instance of a network its own"));
        }
    }
    for (at, block) in read.scripts.iter().enumerate() {
        let name = &block.script.name;
        if read.scripts[..at].iter().any(|other| other.script.name == *name) {
            let message = format!("there is a script `{name}` already");
            found.push(Diagnostic::error(block.span, "duplicate-name", message));
        }
        if block.script.command.is_empty() {
            let message = format!("script `{name}` has no command");
            let finding = Diagnostic::error(block.span, "missing-key", message);
            found.push(finding.help("add `script \"/path/to/check\"`"));
        }
    }
    sync::verify(read, &mut found);
    found
}

fn complete(instance: &Instance, found: &mut Vec<Diagnostic>) {
    let mut missing = |what: &str, help: &str| {
        let message = format!("instance `{}` has no {what}", instance.name);
        found.push(Diagnostic::error(instance.span, "missing-key", message).help(help));
    };
    if instance.interface.is_empty() {
        missing("interface", "add `interface eth0`");
    }
    if instance.router_id == 0 {
        missing("virtual_router_id", "add `virtual_router_id 51`");
    }
    if instance.addresses.is_empty() {
        missing("virtual_ipaddress", "add `virtual_ipaddress {`, an address and `}`");
    }
    if let (State::Master, true) = (instance.state, instance.nopreempt) {
        let at = instance.state_span.unwrap_or(instance.span);
        let message = "`nopreempt` does not work with `state MASTER`";
        let finding = Diagnostic::warning(at, "preempt", message);
        found.push(finding.help("write `state BACKUP` on every node").fix_here("BACKUP"));
    }
    family::verify(instance, found);
}

fn scripts(instance: &Instance, read: &Keepalived, found: &mut Vec<Diagnostic>) {
    instance.track_scripts.iter().for_each(|track| known_script(track, read, found));
    if instance.priority == 255 && instance.track_scripts.iter().any(|t| t.weight.is_some()) {
        let message = "the owner of the address (priority 255) cannot have weights";
        found.push(Diagnostic::warning(instance.span, "owner-weight", message));
    }
}

pub(super) fn known_script(track: &Track, read: &Keepalived, found: &mut Vec<Diagnostic>) {
    let names = read.scripts.iter().map(|block| block.script.name.as_str());
    if names.clone().any(|name| name == track.name) {
        return;
    }
    let message = format!("there is no `vrrp_script {}`", track.name);
    let finding = Diagnostic::error(track.span, "unknown-name", message);
    let known: Vec<&str> = names.collect();
    let finding = guess::suggest(finding, &track.name, known);
    found.push(finding.help_if_none(|| "add it, or remove the line".to_owned()));
}
