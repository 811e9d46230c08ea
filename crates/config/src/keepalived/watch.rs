//! `vrrp_track_process` and `vrrp_track_file`, and where an instance tracks them.

use std::time::Duration;

use base::Span;

use super::{Keepalived, Track};
use crate::diagnostic::Diagnostic;
use crate::guess;
use crate::keyword::{Keyword, now};
use crate::line::{Line, Word};
use crate::vip::{MadeFile, Matching, TrackedFile, TrackedProcess};

/// Weights of a file have no other limit than the number that is multiplied.
const WEIGHTS: std::ops::RangeInclusive<i32> = -i32::MAX..=i32::MAX;
/// keepalived's limit for what is added to a priority (a process).
const PROCESS_WEIGHTS: std::ops::RangeInclusive<i16> = -254..=254;
/// A day: longer than that no program is on its way to be another one.
const LONGEST: Duration = Duration::from_secs(86_400);

/// `vrrp_track_process NAME`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ProcessBlock {
    /// As written: an instance may weigh it otherwise.
    pub process: TrackedProcess,
    /// `full_command`.
    pub is_full: bool,
    pub span: Span,
}

/// `vrrp_track_file NAME`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FileBlock {
    /// As written: an instance may weigh it otherwise.
    pub file: TrackedFile,
    /// `init_file`: the number that is written into it at the start, and whether over whatever is there.
    pub init: Option<(i64, bool)>,
    pub span: Span,
}

/// Every keyword of `vrrp_track_process`.
pub(crate) const PROCESS: &[Keyword<ProcessBlock>] = &[
    now("delay", "<seconds>", "0", "`fork_delay` and `terminate_delay`", |block, line| {
        block.process.fork_delay = seconds(line)?;
        block.process.terminate_delay = block.process.fork_delay;
        Ok(())
    }),
    now("fork_delay", "<seconds>", "0", "so long enough of them have to run", |block, line| {
        block.process.fork_delay = seconds(line)?;
        Ok(())
    }),
    now("full_command", "", "", "compares the program as it was started", |block, line| {
        block.is_full = true;
        line.finish();
        Ok(())
    }),
    now(
        "param_match",
        "initial|partial",
        "",
        "arguments: the last may be longer, or more may follow",
        |block, line| {
            let word = line.expect("initial or partial")?;
            block.process.matching = match word.text.as_str() {
                "initial" => Matching::Initial,
                "partial" => Matching::Partial,
                "exact" => Matching::Exact,
                _ => return Err(word.wrong("initial or partial")),
            };
            line.finish();
            Ok(())
        },
    ),
    now("process", "<name> [<argument> ...]", "", "what runs", |block, line| {
        block.process.command = line.rest().into_iter().map(|word| word.text).collect();
        if block.process.command.is_empty() {
            line.expect("the name of a process")?;
        }
        Ok(())
    }),
    now("quorum", "<count>", "1", "so many have to run", |block, line| {
        block.process.least = line.count("a number of processes", 1)?;
        line.finish();
        Ok(())
    }),
    now("quorum_max", "<count>", "any number", "more may not run", |block, line| {
        block.process.most = Some(line.count("a number of processes", 0)?);
        line.finish();
        Ok(())
    }),
    now("terminate_delay", "<seconds>", "0", "so long too few may run", |block, line| {
        block.process.terminate_delay = seconds(line)?;
        Ok(())
    }),
    now(
        "weight",
        "<-254..254> [reverse]",
        "1",
        "0: without them the address goes",
        |block, line| {
            let word = line.expect("a weight")?;
            let weight: i16 = word.parse("a weight from -254 to 254")?;
            if !PROCESS_WEIGHTS.contains(&weight) {
                return Err(word.wrong("a weight from -254 to 254"));
            }
            (block.process.weight, block.process.reversed) = (weight, line.accept("reverse"));
            line.finish();
            Ok(())
        },
    ),
];

/// Every keyword of `vrrp_track_file`.
pub(crate) const FILE: &[Keyword<FileBlock>] = &[
    now("file", "<path>", "", "holds a number", |block, line| {
        block.file.path = line.expect("the path of a file")?.text;
        line.finish();
        Ok(())
    }),
    now(
        "weight",
        "<number> [reverse]",
        "1",
        "multiplies it; 0: any number but 0 takes the address",
        |block, line| {
            let word = line.expect("a weight")?;
            let weight: i32 = word.parse("a weight")?;
            if !WEIGHTS.contains(&weight) {
                return Err(word.wrong("a weight"));
            }
            (block.file.weight, block.file.reversed) = (weight, line.accept("reverse"));
            line.finish();
            Ok(())
        },
    ),
    now(
        "init_file",
        "[<number>] [overwrite]",
        "",
        "made at the start of the node",
        |block, line| {
            let mut init = (0, false);
            while let Some(word) = line.take() {
                match word.text.as_str() {
                    "overwrite" => init.1 = true,
                    _ => init.0 = word.parse("a number, or `overwrite`")?,
                }
            }
            block.init = Some(init);
            Ok(())
        },
    ),
];

pub(super) fn new_process(name: Word) -> ProcessBlock {
    let process = TrackedProcess::plain(&name.text);
    ProcessBlock { process, is_full: false, span: name.span }
}

pub(super) fn new_file(name: Word) -> FileBlock {
    let file = TrackedFile { name: name.text, path: String::new(), weight: 1, reversed: false };
    FileBlock { file, init: None, span: name.span }
}

impl FileBlock {
    pub(crate) fn made(&self) -> Option<MadeFile> {
        let (number, overwrites) = self.init?;
        Some(MadeFile { path: self.file.path.clone(), number, overwrites })
    }
}

impl ProcessBlock {
    /// When all of it was read: arguments are only in the whole line of a process.
    pub(super) fn settle(&mut self) {
        if self.process.matching == Matching::Name {
            self.process.matching = match (self.process.command.len(), self.is_full) {
                (0 | 1, false) => Matching::Name,
                (0 | 1, true) => Matching::Program,
                _ => Matching::Exact,
            };
        }
    }
}

fn seconds(line: &mut Line<'_>) -> Result<Duration, Diagnostic> {
    let word = line.expect("seconds")?;
    let wrong = || word.wrong("seconds");
    let seconds: f64 = word.text.parse().map_err(|_| wrong())?;
    let time = Duration::try_from_secs_f64(seconds).map_err(|_| wrong())?;
    if time > LONGEST {
        return Err(wrong());
    }
    line.finish();
    Ok(time)
}

/// Every name that an instance tracks is one of a block.
pub(super) fn verify(read: &Keepalived, found: &mut Vec<Diagnostic>) {
    let processes: Vec<&str> = read.processes.iter().map(|it| it.process.name.as_str()).collect();
    let files: Vec<&str> = read.files.iter().map(|it| it.file.name.as_str()).collect();
    for instance in &read.instances {
        unknown(&instance.track_processes, "vrrp_track_process", &processes, found);
        unknown(&instance.track_files, "vrrp_track_file", &files, found);
    }
    for group in &read.sync_groups {
        unknown(&group.track_processes, "vrrp_track_process", &processes, found);
        unknown(&group.track_files, "vrrp_track_file", &files, found);
    }
    for block in read.processes.iter().filter(|block| block.process.command.is_empty()) {
        let message = format!("`{}` names no process", block.process.name);
        let finding = Diagnostic::error(block.span, "missing-key", message);
        found.push(finding.help("add `process haproxy`"));
    }
    for block in read.files.iter().filter(|block| block.file.path.is_empty()) {
        let message = format!("`{}` names no file", block.file.name);
        let finding = Diagnostic::error(block.span, "missing-key", message);
        found.push(finding.help("add `file \"/path/to/file\"`"));
    }
    let spans = read.processes.iter().map(|block| block.span);
    twice(&processes, spans.collect(), "vrrp_track_process", found);
    twice(&files, read.files.iter().map(|block| block.span).collect(), "vrrp_track_file", found);
}

fn unknown(tracks: &[Track], block: &str, names: &[&str], found: &mut Vec<Diagnostic>) {
    for track in tracks.iter().filter(|track| !names.contains(&track.name.as_str())) {
        let message = format!("there is no `{block} {}`", track.name);
        let finding = Diagnostic::error(track.span, "unknown-name", message);
        let finding = guess::suggest(finding, &track.name, names.iter().copied());
        found.push(finding.help_if_none(|| "add it, or remove the line".to_owned()));
    }
}

fn twice(names: &[&str], spans: Vec<Span>, block: &str, found: &mut Vec<Diagnostic>) {
    for (at, (name, span)) in names.iter().zip(spans).enumerate() {
        if names[..at].contains(name) {
            let message = format!("there is a `{block} {name}` already");
            found.push(Diagnostic::error(span, "duplicate-name", message));
        }
    }
}
