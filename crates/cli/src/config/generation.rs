//! `outlast config apply | history | rollback | show | status`: generations of the configuration in the store.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use api::generation::{Content, Generation};
use serde_json::json;

use crate::EXIT_CODES;
use crate::reach::{Instance, ReachError};

mod collect;
mod leases;
mod shelf;
mod show;

pub(super) use show::{HistoryArgs, ShowArgs, StatusArgs, history, show, status};

use collect::Group;
use shelf::Shelf;

/// Commit the files of a folder as the cluster's configuration
///
/// The folder has an outlast.toml, the files that it names, and in `nodes/NAME` what only that node has, under
/// the same names. All of it is checked for every node, what changes is shown, and one generation is committed
/// to the store; then every node checks it on its own machine, reloads, and says what it runs.
/// Secrets and what else outlast.toml names stay on each node and are no part of it. Exit code 1 if something
/// is wrong, or not every node runs it when the wait is over; nodes that are away take it when they start.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES, after_long_help = EXIT_CODES)]
pub struct ApplyArgs {
    folder: PathBuf,
    #[command(flatten)]
    how: How,
}

/// Commit again what an earlier generation said
///
/// It becomes a new generation, so that the history stays as it was. It is checked, shown and waited for as
/// `apply` does.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES, after_long_help = EXIT_CODES)]
pub struct RollbackArgs {
    /// As `outlast config history` shows it
    generation: u64,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, clap::Args)]
struct How {
    /// Commit without a question
    #[arg(long)]
    yes: bool,
    /// Show what would change, and commit nothing
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Replace files of a node that were changed by hand, too; they are kept beside, in .outlast/kept
    #[arg(long)]
    force: bool,
    /// Why, for the history
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// How long to wait for the nodes, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    wait: u64,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    instance: Instance,
}

/// A reason longer than this belongs into a ticket (bytes).
const MAX_REASON: usize = 500;

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum GenerationError {
    #[error(transparent)]
    Reach(#[from] ReachError),
    #[error("cannot read or write here")]
    Here(#[from] io::Error),
    #[error("cannot use {path}")]
    File {
        path: String,
        #[source]
        source: io::Error,
    },
    /// All of it, rendered.
    #[error("{0}")]
    Wrong(String),
    #[error("{0}")]
    Usage(String),
    #[error("there is no generation {0}; `outlast config history` shows those that are kept")]
    Unknown(u64),
    #[error("nothing was applied yet")]
    None,
    #[error(
        "generation {0} was committed meanwhile, so nothing was committed now: look at it with `outlast config \
         show {0}` and apply again"
    )]
    Overtaken(u64),
    #[error(
        "the configuration has {found} bytes as it is stored, the limit is {} (engine::generation::MAX_CONTENT)",
        engine::generation::MAX_CONTENT
    )]
    Large { found: usize },
}

impl GenerationError {
    /// What a script hears.
    pub(super) const fn exit_code(&self) -> u8 {
        match self {
            Self::Reach(ReachError::Refused(_)) => 1,
            Self::Reach(_) => 3,
            Self::Here(_) | Self::File { .. } | Self::Usage(_) | Self::Unknown(_) => 2,
            Self::Wrong(_) | Self::None | Self::Overtaken(_) | Self::Large { .. } => 1,
        }
    }
}

/// Runs the subcommand; whether every node runs it.
pub(super) fn apply(args: &ApplyArgs, out: &mut impl Write) -> Result<bool, GenerationError> {
    let collected = collect::folder(&args.folder)?;
    let shelf = Shelf::open(&args.how.instance)?;
    commit(&shelf, &collected, None, &args.how, out)
}

/// Runs the subcommand; whether every node runs it.
pub(super) fn rollback(args: &RollbackArgs, out: &mut impl Write) -> Result<bool, GenerationError> {
    let shelf = Shelf::open(&args.how.instance)?;
    let (_, content) = shelf.generation(args.generation)?;
    commit(&shelf, &content, Some(args.generation), &args.how, out)
}

fn commit(
    shelf: &Shelf,
    content: &Content,
    from: Option<u64>,
    how: &How,
    out: &mut impl Write,
) -> Result<bool, GenerationError> {
    if how.reason.len() > MAX_REASON {
        return Err(GenerationError::Usage(format!("a reason has at most {MAX_REASON} bytes")));
    }
    let kept = shelf.history()?;
    let before = match kept.last() {
        Some(newest) => shelf.generation(newest.number)?.1,
        None => Content::default(),
    };
    let mut groups = collect::groups(&before, content)?;
    let is_first = kept.is_empty();
    if is_first {
        // What nodes run already is not known here: a list of all that stands in the files would be no plan.
        groups.clear();
    }
    let is_same = before == *content;
    let number = kept.last().map_or(1, |newest| newest.number + 1);
    match (how.json, is_first) {
        (true, _) => {}
        (false, true) => write_first(out, content)?,
        (false, false) => write_groups(out, &groups, content.nodes.len())?,
    }
    if let Some(why) = groups.iter().find_map(too_far) {
        return Err(GenerationError::Wrong(why));
    }
    leases::stay(shelf, &groups, content, kept.last().map(|newest| newest.number))?;
    if is_same && !how.force {
        let number = number.saturating_sub(1);
        if !how.json {
            writeln!(out, "generation {number} has it already")?;
        }
        if how.dry_run {
            if how.json {
                writeln!(out, "{}", as_json(number, false, &groups, &[]))?;
            }
            return Ok(true);
        }
        // Whoever types it again, as the first answer was lost, wants to know what became of it.
        return wait_for(shelf, (number, false), content, &groups, how, out);
    }
    if how.dry_run {
        match how.json {
            true => writeln!(out, "{}", as_json(number, false, &groups, &[]))?,
            false => writeln!(out, "it would be generation {number}; nothing was committed")?,
        }
        return Ok(true);
    }
    if !how.yes && !is_wanted(number, out)? {
        writeln!(out, "nothing was committed")?;
        return Ok(false);
    }
    let generation = Generation {
        number,
        at_ms: sys::clock::wall_ms(),
        who: who(),
        why: how.reason.clone(),
        from,
        force: how.force,
        ..Generation::default()
    };
    shelf.commit(generation, content)?;
    if !how.json {
        writeln!(out, "generation {number} is committed")?;
    }
    wait_for(shelf, (number, true), content, &groups, how, out)
}

/// What the nodes make of a generation, and whether it was committed now; whether every node runs it.
fn wait_for(
    shelf: &Shelf,
    (number, committed): (u64, bool),
    content: &Content,
    groups: &[Group],
    how: &How,
    out: &mut impl Write,
) -> Result<bool, GenerationError> {
    let limit = Duration::from_secs(how.wait);
    let (lines, trouble) = shelf.wait_for(number, content, limit, |line| match how.json {
        true => Ok(()),
        false => writeln!(out, "  {}", line.text(number)).and_then(|()| out.flush()),
    })?;
    let trouble = trouble.map(|error| base::Chain(&error).to_string());
    if how.json {
        let mut said = as_json(number, committed, groups, &lines);
        said["trouble"] = json!(trouble);
        writeln!(out, "{said}")?;
    } else if let Some(trouble) = trouble {
        writeln!(out, "the store did not answer at last, so this may be old: {trouble}")?;
        writeln!(out, "what is said later is in `outlast config status`")?;
    }
    if !how.json {
        write!(out, "{}", way_back(number, &lines))?;
    }
    Ok(lines.iter().all(|line| line.is_well(number)))
}

/// Asks the operator; without a terminal there is nobody to ask.
fn is_wanted(number: u64, out: &mut impl Write) -> Result<bool, GenerationError> {
    if !io::stdin().is_terminal() {
        let text = "nobody is there to be asked: say --yes to commit, or --dry-run to look";
        return Err(GenerationError::Usage(text.to_owned()));
    }
    write!(out, "commit this as generation {number}? [y/N] ")?;
    out.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Who types, as far as the system tells: behind sudo the person, not root.
pub(crate) fn who() -> String {
    let name = ["SUDO_USER", "USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    // A name is for people to read; what it may not do, the store's socket decided.
    let name = name.filter(|name| !name.is_empty() && name.len() < 64);
    let name = name.unwrap_or_else(|| format!("uid {}", sys::rights::user_id()));
    format!("{name}@{}", sys::rights::host_name())
}

/// Why one generation is not enough: nodes that have the shorter `detect` already would miss the others.
fn too_far(group: &Group) -> Option<String> {
    let steps: Vec<String> =
        group.steps.iter().map(|step| format!("\"{}ms\"", step.as_millis())).collect();
    let first = steps.first()?;
    Some(format!(
        "detect changes too far for one generation, nothing was committed: apply it as {} before (first detect = \
         {first}), each once all nodes run the one before",
        steps.join(", then ")
    ))
}

/// There is nothing to compare the first generation with.
fn write_first(out: &mut impl Write, content: &Content) -> io::Result<()> {
    writeln!(out, "the first generation, with these files:")?;
    show::write_files(out, content, None)?;
    writeln!(
        out,
        "a node that has exactly these takes them as they are, without a reload; one whose files differ refuses them \
         until --force"
    )
}

/// What to do where nodes cannot run a generation that is committed: where the places of errors are, if one has any,
/// and the way back to what those nodes run.
fn way_back(number: u64, lines: &[shelf::Line]) -> String {
    let refused = || lines.iter().filter(|line| line.is_refused(number));
    let mut text = String::new();
    if refused().any(|line| has_place(&line.text(number))) {
        text.push_str(&format!(
            "places of errors are those in the files of generation {number} (`outlast config show {number} --node NODE \
             --output DIR`), not of those on the disk\n"
        ));
    }
    // What one of them runs is not always the one before: that one may have been refused, too.
    let runs: BTreeSet<u64> = refused().filter_map(|line| line.applied.as_ref()?.runs).collect();
    if let Some(newest) = runs.last() {
        text.push_str(&format!(
            "back to what these nodes run, on all nodes: `outlast config rollback {newest}`\n"
        ));
    }
    text
}

/// Whether a text names a place as `haproxy.cfg:6:17`.
fn has_place(text: &str) -> bool {
    let is_number = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    let is_place = |word: &str| {
        let mut parts = word.trim_end_matches([',', '.', ';', ':']).rsplit(':');
        let (column, line) = (parts.next(), parts.next());
        parts.next().is_some_and(|file| !file.is_empty() && !is_number(file))
            && column.is_some_and(is_number)
            && line.is_some_and(is_number)
    };
    text.split_whitespace().any(is_place)
}

fn write_groups(out: &mut impl Write, groups: &[Group], nodes: usize) -> io::Result<()> {
    for group in groups {
        match group.nodes.len() == nodes {
            true => writeln!(out, "on all nodes:")?,
            false => writeln!(out, "on {}:", group.nodes.join(", "))?,
        }
        super::diff::write_text(out, &group.changes)?;
        super::diff::write_cautions(out, &group.cautions)?;
        if group.changes.is_empty() && group.differs {
            writeln!(out, "(comments or the order of lines)")?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn as_json(
    number: u64,
    committed: bool,
    groups: &[Group],
    lines: &[shelf::Line],
) -> serde_json::Value {
    let groups = groups.iter().map(|group| {
        let Group { nodes, changes, cautions, steps: _, differs: _ } = group;
        json!({ "nodes": nodes, "diff": super::diff::as_json(changes, cautions) })
    });
    json!({
        "generation": number,
        "committed": committed,
        "changes": groups.collect::<Vec<_>>(),
        "nodes": lines.iter().map(|line| line.json(number)).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests;
