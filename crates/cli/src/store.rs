//! `outlast store ...`: the replicated store, by the process of this node.

use std::io::{self, Write};
use std::path::PathBuf;

use ::store::{Error, Local, Report, Store};
use engine::kv::{self, Item, Keys};
use serde_json::json;

use crate::reach::{Instance, ReachError};

mod by_hand;
mod check;
pub(crate) mod members;
mod restore;

/// Look into the replicated store, write to it, save it, put it back and change its members
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    Status(StatusArgs),
    Get(GetArgs),
    List(ListArgs),
    Put(PutArgs),
    Delete(DeleteArgs),
    Backup(BackupArgs),
    Restore(RestoreArgs),
    Check(CheckArgs),
    Members(members::Args),
}

/// Which instance is meant. Only root and the user of outlast may ask the store: no token helps.
#[derive(Clone, Debug, clap::Args)]
pub struct Here {
    /// Folder of the running instance [default: the only one below /run/outlast]
    #[arg(long, value_name = "DIR")]
    pub(crate) run_dir: Option<PathBuf>,
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
/// where there is no such key. The audit log of this node has who asked for which key; an agent that does not
/// run keeps nobody from reading, which is said.
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
/// The keys below `intent/`, `intent-open/`, `lock/`, `heir/`, `config/`, `maintenance/`, `proof/`, `member/`,
/// `replaced/` and `vip/voter/`, and the keys `intent-last` and `vip/voters`, are the cluster's own: what is
/// written there by hand is acted upon.
/// They are refused without `--force`. The audit log of this node has who wrote which key, and what came of it.
#[derive(Debug, clap::Args)]
pub struct PutArgs {
    key: String,
    /// `-`: what comes on the standard input
    value: String,
    /// Also a key of the cluster's own
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    here: Here,
}

/// Take a key away
///
/// Exit code 1 where there was none. Keys of the cluster's own (see `outlast store put --help`) are refused
/// without `--force`; it is in the audit log.
#[derive(Debug, clap::Args)]
pub struct DeleteArgs {
    key: String,
    /// Also a key of the cluster's own
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    here: Here,
}

/// Write all of the content into a file, with its revisions
///
/// It is no older than the command, on any member. The file has a checksum (`outlast store check FILE` reads it) and mode 600;
/// it is there whole or not at all, and one that is there already is kept. Put it on another machine.
#[derive(Debug, clap::Args)]
pub struct BackupArgs {
    file: PathBuf,
    /// Also where there is a file already: it is replaced once the new one is whole
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    here: Here,
}

/// Put a backup back, on every member, while none of them runs
///
/// The store's file of this node is written anew; the one that was there stays beside it as
/// `store.redb.before-restore`. The store goes on from a later revision than any that it gave, so that no
/// token is given twice: the first restore chooses it and prints the commands for the other members. Restore
/// every member before any of them is started, and remove the store's folder of one that you leave out. What
/// is there is left as it is for a store that runs, one that is as late as `--from`, and a file that is
/// damaged or from a newer version.
#[derive(Debug, clap::Args)]
pub struct RestoreArgs {
    file: PathBuf,
    /// The cluster file of this node
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// This node's name in it
    #[arg(long, value_name = "NAME")]
    node: String,
    /// As `outlast run` has it [default: what the file says]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// As `outlast run` has it [default: what the file says]
    #[arg(long, value_name = "DIR")]
    run_dir: Option<PathBuf>,
    /// The revision to go on from, as the restore on the first member printed it
    #[arg(long, value_name = "REVISION")]
    from: Option<u64>,
}

/// Read every page, entry and snapshot of a store that does not run, or all of a backup
///
/// Exit code 1 where something is damaged or missing.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// Where `store.redb` lies, or a file of `outlast store backup`
    path: PathBuf,
    /// The cluster file, for the name of the node whose store it is [default: /etc/outlast/outlast.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
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
    #[error("cannot use {}", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{}: {why}", path.display())]
    Config { path: PathBuf, why: &'static str },
    #[error("{} is there already: name another file, or --force replaces it", .0.display())]
    Kept(PathBuf),
    #[error("{}: the backup is not whole", path.display())]
    Damaged {
        path: PathBuf,
        #[source]
        source: kv::Damage,
    },
    /// The leader's word.
    #[error("{0}")]
    Refused(String),
    #[error("the cluster file of this node has no node {0}")]
    Unknown(String),
    #[error(
        "{0} is a key of the cluster's own, and nodes act upon what it says: --force writes it all the same"
    )]
    Own(String),
    /// It was done.
    #[error("it was done, and the audit log in {} cannot be written", folder.display())]
    Audit {
        folder: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl StoreError {
    /// What a script hears.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Reach(ReachError::Refused(_)) => 1,
            Self::Reach(_) | Self::Store(Error::Away { .. }) => 3,
            Self::Store(Error::Refused(_))
            | Self::Here(_)
            | Self::File { .. }
            | Self::Unknown(_)
            | Self::Own(_)
            | Self::Kept(_)
            | Self::Config { .. } => 2,
            Self::Store(_) | Self::Refused(_) | Self::Audit { .. } | Self::Damaged { .. } => 1,
        }
    }
}

/// Runs `outlast store ...`; whether the answer is a yes.
///
/// # Errors
/// When no store answers, or it refuses.
pub fn run(command: &Command, out: &mut impl Write) -> Result<bool, StoreError> {
    sys::rights::keep_out_of_core_dumps();
    match command {
        Command::Status(args) => {
            let local = local(&args.here)?;
            let report = local.wait(local.client().report())?;
            let well = report.leader.is_some() && report.trouble.is_none();
            let text = if args.json { as_json(&report) } else { as_text(&report) };
            writeln!(out, "{text}")?;
            Ok(well)
        }
        Command::Get(args) => by_hand::get(args, out),
        Command::List(args) => {
            let local = local(&args.here)?;
            let keys = Keys::Prefix(args.prefix.clone());
            let (items, _) = local.wait(local.client().range(keys))?;
            for (key, Item { changed, value, .. }) in items {
                writeln!(out, "{changed:>10} {:>8}  {key}", value.len())?;
            }
            Ok(true)
        }
        Command::Put(args) => by_hand::put(args, out),
        Command::Delete(args) => by_hand::delete(args, out),
        Command::Backup(args) => by_hand::backup(args, out),
        Command::Restore(args) => restore::run(args, out),
        Command::Members(args) => members::run(args, out),
        Command::Check(args) => check::run(args, out),
    }
}

pub(crate) fn local(here: &Here) -> Result<Local, StoreError> {
    let instance = Instance { run_dir: here.run_dir.clone(), ..Instance::default() };
    Ok(Local::new(instance.socket()?.folder())?)
}

fn as_json(report: &Report) -> String {
    let members = |members: &[(String, Option<u64>)]| -> Vec<_> {
        members.iter().map(|(name, has)| json!({ "name": name, "has": has })).collect()
    };
    json!({
        "engine": report.engine,
        "node": report.me,
        "trouble": report.trouble,
        "leader": report.leader,
        "term": report.term,
        "last": report.last,
        "committed": report.committed,
        "applied": report.applied,
        "revision": report.revision,
        "keys": report.keys,
        "bytes": report.bytes,
        "voters": members(&report.voters),
        "learners": members(&report.learners),
        "floor": report.floor,
        "incarnation": report.incarnation,
        "went_back": report.went_back,
        "syncs": report.syncs,
        "file_bytes": report.file_bytes,
        "snapshot": report.snapshot,
        "snapshot_at_ms": report.snapshot_at_ms,
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
    if let Some(incarnation) = report.incarnation {
        lines.push(format!("  store     incarnation {incarnation}"));
    }
    if !report.learners.is_empty() {
        let names: Vec<_> = report.learners.iter().map(|(name, _)| name.as_str()).collect();
        lines.push(format!("  no vote   {} (being filled up)", names.join(", ")));
    }
    lines.push(format!(
        "  content   revision {}, {} keys, {} bytes; {} bytes on disk",
        report.revision, report.keys, report.bytes, report.file_bytes
    ));
    lines.push(format!(
        "  log       {} entries, {} committed, {} applied here",
        report.last, report.committed, report.applied
    ));
    if let Some(index) = report.snapshot {
        lines.push(format!("  snapshot  of entry {index}, {}", age(report.snapshot_at_ms)));
    }
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

/// How long ago something was made here.
fn age(at_ms: Option<u64>) -> String {
    let Some(at_ms) = at_ms else { return "made before this process started".to_owned() };
    let seconds = sys::clock::wall_ms().saturating_sub(at_ms) / 1000;
    format!("{seconds} s old")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::restore::what_is_left;
    use super::*;

    #[test]
    fn the_first_restore_prints_the_commands_for_the_other_members() {
        let mut args = RestoreArgs {
            file: "/srv/backup".into(),
            config: "/etc/outlast.toml".into(),
            node: "a".to_owned(),
            state_dir: Some("/var/a".into()),
            run_dir: None,
            from: None,
        };
        let members = ["a", "b", "c"].map(str::to_owned);
        let first = expect![[r#"
            do this on the others, each with the same file and revision:
              outlast store restore /srv/backup --config /etc/outlast.toml --node b --from 7 --state-dir /var/a
              outlast store restore /srv/backup --config /etc/outlast.toml --node c --from 7 --state-dir /var/a
            RESTORE EVERY MEMBER BEFORE ANY OF THEM IS STARTED. Remove the store's folder of one that you leave out:
            with what it has from before it could lead, and undo the restore
        "#]];
        first.assert_eq(&what_is_left(&args, &members, 7));
        args.from = Some(7);
        assert!(what_is_left(&args, &members, 7).starts_with("RESTORE EVERY MEMBER"));
        assert_eq!(what_is_left(&args, &members[..1], 7), "");
    }

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
              content   revision 0, 0 keys, 0 bytes; 0 bytes on disk
              log       0 entries, 0 committed, 0 applied here
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
              content   revision 90, 7 keys, 512 bytes; 0 bytes on disk
              log       120 entries, 0 committed, 120 applied here
              behind    node03 by 20 entries
              disk      it went back in time: others remembered more of this node
              disk      does not count until it is filled up to entry 130"#]]
        .assert_eq(&as_text(&serves));
        let json: serde_json::Value = serde_json::from_str(&as_json(&serves)).unwrap();
        assert_eq!((&json["leader"], &json["voters"][1]["has"]), (&json!("node02"), &json!(100)));
    }
}
