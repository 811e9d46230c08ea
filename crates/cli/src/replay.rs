//! `outlast replay`: a recorded incident, fed to the same machine again, step by step.

use std::fs;
use std::io::{self, BufRead, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use engine::replay::{Decision, End, Names, Play, RecordError, Recording, Step};
use serde::Serialize;

use crate::events::{clock, time_of_day};

/// Play a recorded incident again: each input, the decision and the rule that applied
///
/// On each node the agent records what its membership machine was fed and what it decided (member-*.rec), the
/// cases of verdicts on nodes that are watched by gossip (gossip-*.rec),
/// the coordinator of a cluster with a store the same of its commands (coordinator-*.rec), and the vip process
/// of its virtual IPs (vip-*.rec), in the folder `record` of the state folder (`record_mb` in outlast.toml says how much). Copy a file, or the folder, from the node; no key and no
/// running outlast is needed to play it. The machine is fed the same inputs again, and what it decides is compared with what was recorded. Exit code 1: it decided
/// otherwise; then the first such step is shown with both decisions.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A file of the folder `record`, or that folder: then all of its files, kind after kind, each in their
    /// order
    file: PathBuf,
    /// Stop there: seconds after the beginning of a file, or a time of day (UTC) as it is shown
    #[arg(long, value_name = "TIME", value_parser = until)]
    until: Option<Until>,
    /// Wait for Enter before each step; q and Enter ends
    #[arg(long)]
    step: bool,
    /// Show every input, also those after which nothing but a beat, hello or advert was due
    #[arg(long)]
    all: bool,
    /// One JSON object per line: the steps, then the result of each file
    #[arg(long)]
    json: bool,
}

/// How names of recordings begin.
const KINDS: [&str; 4] = ["coordinator-", "gossip-", "member-", "vip-"];

/// Where to stop.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Until {
    /// After the beginning.
    Span(Duration),
    /// Since midnight, UTC.
    TimeOfDay(Duration),
}

/// Why nothing could be played.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error("cannot read {}", .path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} holds no recording: none of its files is named member-*.rec, gossip-*.rec, vip-*.rec or coordinator-*.rec", .0.display())]
    Empty(PathBuf),
    #[error("cannot play {}", .path.display())]
    Record {
        path: PathBuf,
        #[source]
        source: RecordError,
    },
    #[error("cannot write what was played")]
    Output(#[source] io::Error),
}

/// Of one file.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
struct Played {
    inputs: u64,
    /// Beats are not counted.
    decisions: u64,
    /// Of vips: hellos, adverts and announcements.
    beats: u64,
    differing: u64,
    first_difference: Option<u64>,
    /// What is cut off or damaged at its end.
    torn_bytes: usize,
}

/// Runs the subcommand; whether everything was decided as recorded.
///
/// # Errors
/// When a file cannot be read or played. A closed output ends it quietly.
pub fn run(
    args: &Args,
    keys: &mut impl BufRead,
    out: &mut impl Write,
) -> Result<bool, ReplayError> {
    let mut show = Show { args, keys, out, ended: false };
    let mut is_same = true;
    for path in files(&args.file)? {
        match show.file(&path) {
            Err(ReplayError::Output(error)) if error.kind() == ErrorKind::BrokenPipe => break,
            other => is_same &= other?.differing == 0,
        }
        if show.ended {
            break;
        }
    }
    Ok(is_same)
}

/// The file itself, or the recordings of a folder, oldest first.
fn files(path: &Path) -> Result<Vec<PathBuf>, ReplayError> {
    let wrap = |source| ReplayError::Read { path: path.to_owned(), source };
    if !fs::metadata(path).map_err(wrap)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = vec![];
    for entry in fs::read_dir(path).map_err(wrap)? {
        let file = entry.map_err(wrap)?.path();
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if KINDS.iter().any(|kind| name.starts_with(kind)) && name.ends_with(".rec") {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() { Err(ReplayError::Empty(path.to_owned())) } else { Ok(files) }
}

struct Show<'a, K, W> {
    args: &'a Args,
    keys: &'a mut K,
    out: &'a mut W,
    /// By the operator.
    ended: bool,
}

impl<K: BufRead, W: Write> Show<'_, K, W> {
    fn file(&mut self, path: &Path) -> Result<Played, ReplayError> {
        let wrap = |source| ReplayError::Read { path: path.to_owned(), source };
        let bytes = fs::read(path).map_err(wrap)?;
        let wrap = |source| ReplayError::Record { path: path.to_owned(), source };
        let recording = Recording::open(&bytes).map_err(wrap)?;
        let mut play = recording.play().map_err(wrap)?;
        self.play(path, &recording, &mut play).map_err(ReplayError::Output)
    }

    fn play(
        &mut self,
        path: &Path,
        recording: &Recording<'_>,
        play: &mut Play<'_>,
    ) -> io::Result<Played> {
        let head = &recording.head;
        let stop = self.args.until.map(|until| until.after(head.wall_ms));
        if !self.args.json {
            let Names { nodes, networks, instances } = &head.names;
            let (nodes, networks) = (nodes.join(", "), networks.join(", "));
            let vips = match head.is_of_vips() {
                true => format!("; virtual IPs {}", instances.join(", ")),
                false => String::new(),
            };
            let text = format!(
                "{}: recorded on {} by outlast {} from {} UTC\nnodes {nodes}; networks {networks}{vips}\n",
                path.display(),
                head.node,
                head.program,
                clock(head.wall_ms)
            );
            self.write(&text)?;
        }
        let mut result = Played::default();
        for step in play.by_ref() {
            if stop.is_some_and(|stop| step.since > stop) {
                break;
            }
            result.count(&step);
            let is_first_difference = result.first_difference == Some(step.number);
            if self.args.all || is_first_difference || !step.is_quiet() {
                self.step(&step, &head.names, head.wall_ms(step.at))?;
                self.wait()?;
            }
            if self.ended {
                break;
            }
        }
        if let End::Torn { bytes } = play.end()
            && !self.ended
            && stop.is_none()
        {
            result.torn_bytes = bytes;
        }
        let quiet = match (head.is_of_vips(), head.has_a_pace()) {
            (true, _) => Some("hellos and adverts"),
            (_, true) => Some("beats"),
            _ => None,
        };
        let text = if self.args.json { json(&result) } else { result.words(quiet) };
        self.write(&text)?;
        Ok(result)
    }

    fn step(&mut self, step: &Step, names: &Names, wall_ms: u64) -> io::Result<()> {
        let words = |decisions: &[Decision]| -> Vec<String> {
            decisions.iter().map(|decision| decision.words(names)).collect()
        };
        let (recorded, replayed) = (words(&step.recorded), words(&step.replayed));
        let input = step.fact.words(names);
        if self.args.json {
            let since_ms = u64::try_from(step.since.as_millis()).unwrap_or(u64::MAX);
            let is_same = step.is_same();
            let (number, at_ms) = (step.number, wall_ms);
            let line = Line { number, at_ms, since_ms, input, recorded, replayed, is_same };
            return self.write(&json(&line));
        }
        let since = step.since.as_secs_f64();
        let mut text = format!("{} {since:9.3} s #{} {input}\n", time_of_day(wall_ms), step.number);
        let mut show = |mark: &str, decisions: &[String]| {
            for decision in decisions {
                text.push_str(&format!("  {mark} {decision}\n"));
            }
        };
        if step.is_same() {
            show("->", &replayed);
        } else {
            let or_nothing = |decisions: Vec<String>| match decisions.is_empty() {
                true => vec!["nothing".to_owned()],
                false => decisions,
            };
            show("recorded:", &or_nothing(recorded));
            show("replayed:", &or_nothing(replayed));
        }
        self.write(&text)
    }

    /// Where keys end, the rest is shown without waiting.
    fn wait(&mut self) -> io::Result<()> {
        if !self.args.step {
            return Ok(());
        }
        self.out.flush()?;
        let mut line = String::new();
        self.keys.read_line(&mut line)?;
        self.ended = line.trim() == "q";
        Ok(())
    }

    /// Names are those of a file that anybody may have written: none of it gets at the terminal.
    fn write(&mut self, text: &str) -> io::Result<()> {
        let is_bad = |letter: char| letter.is_control() && letter != '\n';
        self.out.write_all(text.replace(is_bad, "\u{fffd}").as_bytes())
    }
}

#[derive(Serialize)]
struct Line {
    number: u64,
    /// Wall clock, milliseconds since 1970.
    at_ms: u64,
    /// Since the recording began.
    since_ms: u64,
    input: String,
    recorded: Vec<String>,
    replayed: Vec<String>,
    is_same: bool,
}

fn json(value: &impl Serialize) -> String {
    let mut text = serde_json::to_string(value).unwrap_or_default();
    text.push('\n');
    text
}

impl Played {
    fn count(&mut self, step: &Step) {
        self.inputs += 1;
        let quiet = step.recorded.iter().filter(|decision| decision.is_quiet()).count() as u64;
        self.beats += quiet;
        self.decisions += step.recorded.len() as u64 - quiet;
        if !step.is_same() {
            self.differing += 1;
            self.first_difference = self.first_difference.or(Some(step.number));
        }
    }

    /// `quiet`: what goes on all the time, if anything does.
    fn words(&self, quiet: Option<&str>) -> String {
        let Self { inputs, decisions, beats, differing, first_difference, torn_bytes } = self;
        let torn = match torn_bytes {
            0 => String::new(),
            bytes => format!("the last {bytes} bytes are cut off or damaged and were not played\n"),
        };
        let end = match first_difference {
            None => "decided as recorded".to_owned(),
            Some(number) => format!("{differing} decided otherwise, the first is #{number}"),
        };
        let quiet = quiet.map_or_else(String::new, |quiet| format!(", {beats} {quiet}"));
        format!("{torn}{inputs} inputs, {decisions} decisions{quiet}: {end}\n")
    }
}

const DAY: u64 = 86_400_000;

impl Until {
    /// Since the beginning of a recording.
    fn after(self, begin_ms: u64) -> Duration {
        match self {
            Self::Span(span) => span,
            Self::TimeOfDay(time) => {
                let wanted = u64::try_from(time.as_millis()).unwrap_or(0);
                // Before the beginning is on the next day.
                let span = (wanted + DAY - begin_ms % DAY) % DAY;
                Duration::from_millis(span)
            }
        }
    }
}

/// `12.5`, `14:03:05` or `14:03:05.120`.
fn until(text: &str) -> Result<Until, String> {
    let wrong = || "write seconds, as 12.5, or a time of day, as 14:03:05".to_owned();
    let seconds = |text: &str| {
        let seconds: f64 = text.parse().ok()?;
        Duration::try_from_secs_f64(seconds).ok()
    };
    let Some((hours, rest)) = text.split_once(':') else {
        return seconds(text).map(Until::Span).ok_or_else(wrong);
    };
    let time = || {
        let (minutes, rest) = rest.split_once(':')?;
        let hours: u64 = hours.parse().ok().filter(|hours| *hours < 24)?;
        let minutes: u64 = minutes.parse().ok().filter(|minutes| *minutes < 60)?;
        let rest = seconds(rest).filter(|rest| rest.as_secs() < 60)?;
        Some(Duration::from_secs(hours * 3600 + minutes * 60) + rest)
    };
    time().map(Until::TimeOfDay).ok_or_else(wrong)
}

#[cfg(test)]
mod tests;
