//! `outlast store ...`: the replicated store, by the process of this node.

use std::io::{self, Write};
use std::path::PathBuf;

use ::store::{Error, Local, Report, Store};
use engine::kv::{Item, Keys};
use serde_json::json;

use crate::reach::{Instance, ReachError};

/// Look into the replicated store, write to it, save it and put it back
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    Status(StatusArgs),
    Get(GetArgs),
    List(ListArgs),
    Put(PutArgs),
    Delete(DeleteArgs),
}

/// Which instance is meant. Only root and the user of outlast may ask the store: no token helps.
#[derive(Clone, Debug, clap::Args)]
pub struct Here {
    /// Folder of the running instance [default: the only one below /run/outlast]
    #[arg(long, value_name = "DIR")]
    run_dir: Option<PathBuf>,
}

/// Who leads, who votes, how far this node is
///
/// Exit code 1 while the store has no leader or this node waits for others.
#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    /// As JSON, one line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    here: Here,
}

/// Print the value of a key, as it was written
///
/// What is printed was there at one moment between question and answer, on any node. Exit code 1
/// where there is no such key.
#[derive(Debug, clap::Args)]
pub struct GetArgs {
    key: String,
    #[command(flatten)]
    here: Here,
}

/// List keys that begin so, with the revision that wrote them last
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// [default: all]
    #[arg(default_value = "", hide_default_value = true)]
    prefix: String,
    #[command(flatten)]
    here: Here,
}

/// Write a key; it is on the disks of a majority when this returns
///
/// The keys below `role/`, `intent/` and `lock/` are the cluster's own: what is written there by hand
/// is acted upon.
#[derive(Debug, clap::Args)]
pub struct PutArgs {
    key: String,
    /// `-`: what comes on the standard input
    value: String,
    #[command(flatten)]
    here: Here,
}

/// Take a key away
///
/// Exit code 1 where there was none.
#[derive(Debug, clap::Args)]
pub struct DeleteArgs {
    key: String,
    #[command(flatten)]
    here: Here,
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(transparent)]
    Reach(#[from] ReachError),
    #[error(transparent)]
    Store(#[from] Error),
    #[error("cannot read or write here")]
    Here(#[from] io::Error),
}

impl StoreError {
    /// What a script hears.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Reach(_) | Self::Store(Error::Away { .. }) => 3,
            Self::Store(Error::Refused(_)) | Self::Here(_) => 2,
            Self::Store(_) => 1,
        }
    }
}

/// Values that are longer are refused anyway (bytes).
const MAX_INPUT: u64 = 1 << 20;

/// Runs `outlast store ...`; whether the answer is a yes.
///
/// # Errors
/// When no store answers, or it refuses.
pub fn run(command: &Command, out: &mut impl Write) -> Result<bool, StoreError> {
    match command {
        Command::Status(args) => {
            let local = local(&args.here)?;
            let report = local.wait(local.client().report())?;
            let well = report.leader.is_some() && report.trouble.is_none();
            let text = if args.json { as_json(&report) } else { as_text(&report) };
            writeln!(out, "{text}")?;
            Ok(well)
        }
        Command::Get(args) => {
            let local = local(&args.here)?;
            let item = local.wait(local.client().get(&args.key))?;
            if let Some(item) = &item {
                out.write_all(&item.value)?;
                out.write_all(if item.value.ends_with(b"\n") { b"" } else { b"\n" })?;
            }
            Ok(item.is_some())
        }
        Command::List(args) => {
            let local = local(&args.here)?;
            let keys = Keys::Prefix(args.prefix.clone());
            let (items, _) = local.wait(local.client().range(keys))?;
            for (key, Item { changed, value, .. }) in items {
                writeln!(out, "{changed:>10} {:>8}  {key}", value.len())?;
            }
            Ok(true)
        }
        Command::Put(args) => {
            let local = local(&args.here)?;
            let value = match args.value.as_str() {
                "-" => {
                    let mut value = vec![];
                    io::Read::read_to_end(&mut io::Read::take(io::stdin(), MAX_INPUT), &mut value)?;
                    value
                }
                text => text.as_bytes().to_vec(),
            };
            let revision = local.wait(local.client().put(&args.key, &value, None))?;
            writeln!(out, "revision {revision}")?;
            Ok(true)
        }
        Command::Delete(args) => {
            let local = local(&args.here)?;
            Ok(local.wait(local.client().delete(&args.key))?)
        }
    }
}

fn local(here: &Here) -> Result<Local, StoreError> {
    let instance = Instance { run_dir: here.run_dir.clone(), ..Instance::default() };
    Ok(Local::new(instance.socket()?.folder())?)
}

fn as_json(report: &Report) -> String {
    let voters = report.voters.iter();
    let voters = voters.map(|(name, has)| json!({ "name": name, "has": has }));
    json!({
        "engine": report.engine,
        "node": report.me,
        "trouble": report.trouble,
        "leader": report.leader,
        "term": report.term,
        "last": report.last,
        "applied": report.applied,
        "revision": report.revision,
        "keys": report.keys,
        "bytes": report.bytes,
        "voters": voters.collect::<Vec<_>>(),
        "floor": report.floor,
        "went_back": report.went_back,
        "syncs": report.syncs,
    })
    .to_string()
}

fn as_text(report: &Report) -> String {
    let mut lines = vec![format!("store of {} ({})", report.me, report.engine)];
    let leader = report.leader.as_deref().unwrap_or("nobody");
    lines.push(format!("  leader    {leader}, term {}", report.term));
    let names: Vec<_> = report.voters.iter().map(|(name, _)| name.as_str()).collect();
    lines.push(format!(
        "  voters    {}",
        if names.is_empty() { "-".into() } else { names.join(", ") }
    ));
    lines.push(format!(
        "  content   revision {}, {} keys, {} bytes",
        report.revision, report.keys, report.bytes
    ));
    lines.push(format!("  log       {} entries, {} applied here", report.last, report.applied));
    for (name, lag) in report.behind() {
        lines.push(format!("  behind    {name} by {lag} entries"));
    }
    if report.went_back {
        lines.push(
            "  disk      it went back in time: others remembered more of this node".to_owned(),
        );
    }
    if let Some(floor) = report.floor {
        lines.push(format!("  disk      does not count until it is filled up to entry {floor}"));
    }
    if let Some(trouble) = &report.trouble {
        lines.push(format!("  trouble   {trouble}"));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn a_store_that_waits_says_for_whom_and_one_that_serves_who_leads() {
        let start = Report {
            engine: "embedded".to_owned(),
            me: "node02".to_owned(),
            trouble: Some("waits for node03 (not sent: refused)".to_owned()),
            ..Report::default()
        };
        expect![[r#"
            store of node02 (embedded)
              leader    nobody, term 0
              voters    -
              content   revision 0, 0 keys, 0 bytes
              log       0 entries, 0 applied here
              trouble   waits for node03 (not sent: refused)"#]]
        .assert_eq(&as_text(&start));
        let serves = Report {
            trouble: None,
            leader: Some("node02".to_owned()),
            term: 3,
            last: 120,
            applied: 120,
            revision: 90,
            keys: 7,
            bytes: 512,
            voters: vec![("node02".to_owned(), Some(120)), ("node03".to_owned(), Some(100))],
            went_back: true,
            floor: Some(130),
            ..start
        };
        expect![[r#"
            store of node02 (embedded)
              leader    node02, term 3
              voters    node02, node03
              content   revision 90, 7 keys, 512 bytes
              log       120 entries, 120 applied here
              behind    node03 by 20 entries
              disk      it went back in time: others remembered more of this node
              disk      does not count until it is filled up to entry 130"#]]
        .assert_eq(&as_text(&serves));
        let json: serde_json::Value = serde_json::from_str(&as_json(&serves)).unwrap();
        assert_eq!((&json["leader"], &json["voters"][1]["has"]), (&json!("node02"), &json!(100)));
    }
}
