//! `outlast config history | show | status`.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use api::generation::{Content, Generation};
use serde_json::json;

use super::GenerationError;
use super::shelf::Shelf;
use crate::EXIT_CODES;
use crate::events::clock;
use crate::reach::Instance;

/// Nodes run the files that they have.
const NOTHING_YET: &str =
    "nothing was applied yet: `outlast config apply DIR` commits the first generation";

/// List the generations of the configuration, the oldest first
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES, after_long_help = EXIT_CODES)]
pub struct HistoryArgs {
    /// As JSON, a line each
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    instance: Instance,
}

/// Show who committed a generation, when and why, and which files it has
///
/// What stands in the files is not printed, as there may be passwords in it: `--output` writes those of one
/// node, for the owner only.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES, after_long_help = EXIT_CODES)]
pub struct ShowArgs {
    /// As `outlast config history` shows it [default: the newest]
    generation: Option<u64>,
    /// A folder for the files of --node; what is there is not replaced
    #[arg(long, value_name = "DIR", requires = "node")]
    output: Option<PathBuf>,
    /// The node whose files are meant
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    instance: Instance,
}

/// Show which generation every node runs, and why another one than the newest
///
/// Exit code 1 where a node does not run the newest one; 0 where nothing was applied yet.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES, after_long_help = EXIT_CODES)]
pub struct StatusArgs {
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    instance: Instance,
}

pub(in crate::config) fn history(
    args: &HistoryArgs,
    out: &mut impl Write,
) -> Result<bool, GenerationError> {
    let kept = Shelf::open(&args.instance)?.history()?;
    for generation in &kept {
        match args.json {
            true => writeln!(out, "{}", as_json(generation))?,
            false => writeln!(out, "{}", as_text(generation))?,
        }
    }
    if kept.is_empty() && !args.json {
        writeln!(out, "{NOTHING_YET}")?;
    }
    Ok(true)
}

pub(in crate::config) fn show(
    args: &ShowArgs,
    out: &mut impl Write,
) -> Result<bool, GenerationError> {
    let shelf = Shelf::open(&args.instance)?;
    let number = match args.generation {
        Some(number) => number,
        None => shelf.history()?.last().ok_or(GenerationError::None)?.number,
    };
    let (generation, content) = shelf.generation(number)?;
    if let Some(node) = args.node.as_ref().filter(|node| !content.nodes.contains_key(*node)) {
        let text = format!("generation {number} has no files of {node}");
        return Err(GenerationError::Usage(text));
    }
    if args.json {
        writeln!(out, "{}", with_files(&generation, &content))?;
    } else {
        writeln!(out, "{}", as_text(&generation))?;
        write_files(out, &content, args.node.as_deref())?;
    }
    if let (Some(folder), Some(node)) = (&args.output, &args.node) {
        for (path, text) in content.of(node).unwrap_or_default() {
            if engine::generation::is_beside(&path) {
                keep(&folder.join(&path), &text)?;
            }
        }
    }
    Ok(true)
}

pub(in crate::config) fn status(
    args: &StatusArgs,
    out: &mut impl Write,
) -> Result<bool, GenerationError> {
    let shelf = Shelf::open(&args.instance)?;
    let (newest, lines) = shelf.standing()?;
    let Some(generation) = newest else {
        match args.json {
            true => writeln!(out, "{}", json!({ "generation": null, "nodes": [] }))?,
            false => writeln!(out, "{NOTHING_YET}")?,
        }
        return Ok(true);
    };
    let number = generation.number;
    if args.json {
        let lines: Vec<_> = lines.iter().map(|line| line.json(number)).collect();
        writeln!(out, "{}", json!({ "generation": as_json(&generation), "nodes": lines }))?;
    } else {
        writeln!(out, "{}", as_text(&generation))?;
        for line in &lines {
            writeln!(out, "  {}", line.text(number))?;
        }
    }
    Ok(lines.iter().all(|line| line.is_well(number)))
}

/// A new file for the owner only.
fn keep(path: &Path, text: &str) -> Result<(), GenerationError> {
    let failed = |source| GenerationError::File { path: path.display().to_string(), source };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(failed)
}

fn as_text(generation: &Generation) -> String {
    let Generation { number, at_ms, who, why, from, force, digest, bytes, key } = generation;
    let mut text = format!("generation {number}  {}  {who}", clock(*at_ms));
    if let Some(from) = from {
        text.push_str(&format!("  as generation {from}"));
    }
    if *force {
        text.push_str("  forced");
    }
    text.push_str(&format!("  {bytes} bytes {}", digest.get(..12).unwrap_or(digest)));
    match key {
        Some(key) => text.push_str(&format!("  sealed {key}")),
        None => text.push_str("  in clear"),
    }
    if !why.is_empty() {
        text.push_str(&format!("  {why}"));
    }
    text
}

fn as_json(generation: &Generation) -> serde_json::Value {
    let Generation { number, at_ms, who, why, from, force, digest, bytes, key } = generation;
    json!({
        "number": number,
        "at_ms": at_ms,
        "who": who,
        "why": why,
        "from": from,
        "force": force,
        "digest": digest,
        "bytes": bytes,
        "key": key,
    })
}

fn with_files(generation: &Generation, content: &Content) -> serde_json::Value {
    let nodes = content.nodes.keys().map(|node| {
        let files = content.of(node).unwrap_or_default().into_iter().map(|(path, text)| {
            let digest = engine::generation::digest(text.as_bytes());
            json!({ "path": path, "bytes": text.len(), "digest": digest })
        });
        json!({ "node": node, "files": files.collect::<Vec<_>>() })
    });
    json!({ "generation": as_json(generation), "nodes": nodes.collect::<Vec<_>>() })
}

/// Each text once, with the nodes that have it.
pub(super) fn write_files(
    out: &mut impl Write,
    content: &Content,
    node: Option<&str>,
) -> io::Result<()> {
    for (at, text) in (0_u32..).zip(&content.texts) {
        let mut of = vec![];
        let mut name = "";
        for (owner, files) in &content.nodes {
            let found = files.iter().find(|(_, position)| **position == at);
            if let Some((path, _)) = found.filter(|_| node.is_none_or(|node| node == owner)) {
                of.push(owner.as_str());
                name = path;
            }
        }
        if of.is_empty() {
            continue;
        }
        let digest = engine::generation::digest(text.as_bytes());
        let short = digest.get(..12).unwrap_or(&digest);
        let nodes =
            if of.len() == content.nodes.len() { "all nodes".into() } else { of.join(", ") };
        writeln!(out, "  {name}  {} bytes {short}  {nodes}", text.len())?;
    }
    Ok(())
}
