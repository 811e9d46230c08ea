//! `outlast store members`: who votes, and who is to.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use ::store::{Local, Outlook, Report, Store, WISHES, Wish};
use base::Time;
use engine::kv::{Keys, Op, Transaction};

use super::{Here, StoreError};
use crate::reach::{self, Instance};

const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Show the members of the store, and what is wanted of them
///
/// The nodes of `[store] members` found the store; from then on the store itself knows who votes, and a node
/// that is started with an older file changes nothing about that.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    here: Here,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Add(AddArgs),
    Remove(RemoveArgs),
}

/// Let nodes vote, once they are filled up
///
/// Each must be in the cluster file of all members, have a certificate of a controller, and run with a file
/// whose `[store] members` names it. Two that join a store of one are named together: two voters are refused.
/// What is wanted is kept in the store: it is done by whoever leads, and typing it again changes nothing.
#[derive(Debug, clap::Args)]
struct AddArgs {
    #[arg(required = true, value_name = "NODE")]
    nodes: Vec<String>,
    /// The node that votes no more, in the same step
    #[arg(long, value_name = "NODE")]
    instead_of: Option<String>,
    #[command(flatten)]
    wait: Wait,
}

/// Let nodes vote no more
///
/// Refused where two voters, nobody, or no majority of those that answer would be left.
#[derive(Debug, clap::Args)]
struct RemoveArgs {
    #[arg(required = true, value_name = "NODE")]
    nodes: Vec<String>,
    #[command(flatten)]
    wait: Wait,
}

#[derive(Debug, clap::Args)]
struct Wait {
    /// How long to wait until it is so, in seconds; after that it goes on without this command
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    limit: u64,
    #[command(flatten)]
    here: Here,
}

pub(super) fn run(args: &Args, out: &mut impl Write) -> Result<bool, StoreError> {
    match &args.command {
        None => list(&super::local(&args.here)?, out),
        Some(Command::Add(add)) => {
            let instead_of = add.instead_of.clone();
            if instead_of.is_some() && add.nodes.len() > 1 {
                return Err(StoreError::Refused("one node takes the place of one".to_owned()));
            }
            known(&add.wait.here, add.nodes.iter().chain(&instead_of))?;
            let wish = Wish::Join { instead_of };
            change(&add.wait, &add.nodes, &wish, out)
        }
        Some(Command::Remove(remove)) => change(&remove.wait, &remove.nodes, &Wish::Leave, out),
    }
}

/// Whether the cluster file of this node has them.
fn known<'a>(here: &Here, nodes: impl Iterator<Item = &'a String>) -> Result<(), StoreError> {
    let instance = Instance { run_dir: here.run_dir.clone(), ..Instance::default() };
    let status = reach::status(&instance.socket()?)?;
    for name in nodes {
        if !status.nodes.iter().any(|line| line.state.node == *name) {
            return Err(StoreError::Unknown(name.clone()));
        }
    }
    Ok(())
}

fn list(local: &Local, out: &mut impl Write) -> Result<bool, StoreError> {
    let report = local.wait(local.client().report())?;
    let rows = [("votes", &report.voters), ("is filled up", &report.learners)];
    for (part, members) in rows {
        for (name, has) in members {
            let part = if report.leader.as_ref() == Some(name) { "leads" } else { part };
            let has = has.map_or_else(|| "-".to_owned(), |has| format!("entry {has}"));
            writeln!(out, "{name}  {part}  {has}")?;
        }
    }
    for (node, (wish, outlook)) in wishes(local)? {
        let outlook = match outlook {
            Outlook::Open => String::new(),
            Outlook::Waits(why) => format!(", waits: {why}"),
            Outlook::Refused(why) => format!(", refused: {why}"),
        };
        writeln!(out, "{node}  is to {}{outlook}", wish.text())?;
    }
    Ok(report.leader.is_some())
}

/// What is wanted and not yet so.
fn wishes(local: &Local) -> Result<BTreeMap<String, (Wish, Outlook)>, StoreError> {
    let (items, _) = local.wait(local.client().range(Keys::Prefix(WISHES.to_owned())))?;
    let read = |(key, item): (String, engine::kv::Item)| {
        let wish = Wish::read(std::str::from_utf8(&item.value).ok()?)?;
        Some((key.strip_prefix(WISHES)?.to_owned(), wish))
    };
    Ok(items.into_iter().filter_map(read).collect())
}

/// Writes down what is wanted of these nodes, all at once.
pub(crate) fn want(local: &Local, nodes: &[String], wish: &Wish) -> Result<(), StoreError> {
    let put = |node: &String| Op::Put {
        key: format!("{WISHES}{node}"),
        value: wish.text().as_bytes().into(),
        limit: None,
    };
    let then = nodes.iter().map(put).collect();
    let transaction = Transaction { compares: vec![], then, otherwise: vec![] };
    local.wait(local.client().transact(transaction))?;
    Ok(())
}

fn change(
    wait: &Wait,
    nodes: &[String],
    wish: &Wish,
    out: &mut impl Write,
) -> Result<bool, StoreError> {
    let local = super::local(&wait.here)?;
    if local.wait(local.client().report())?.engine == "etcd" {
        let text = "the members of an etcd are changed with etcdctl";
        return Err(StoreError::Refused(text.to_owned()));
    }
    want(&local, nodes, wish)?;
    let until = sys::clock::now() + Duration::from_secs(wait.limit);
    let left = granted(&local, nodes, until)?;
    if let Some(why) = left {
        writeln!(out, "not yet: {why}; it goes on, `outlast store members` shows how far it is")?;
        return Ok(false);
    }
    let report = local.wait(local.client().report())?;
    writeln!(out, "{}", voters(&report))?;
    Ok(true)
}

fn voters(report: &Report) -> String {
    let names: Vec<_> = report.voters.iter().map(|(name, _)| name.as_str()).collect();
    format!("votes now: {}", names.join(", "))
}

/// Waits until none of these is wished for any more; what the first of them waits for if that is not so in
/// time.
fn granted(local: &Local, nodes: &[String], until: Time) -> Result<Option<String>, StoreError> {
    loop {
        let open = wishes(local)?;
        let mut open = nodes.iter().filter_map(|node| Some((node, open.get(node)?)));
        let why = match open.next() {
            None => return Ok(None),
            Some((_, (_, Outlook::Refused(why)))) => {
                return Err(StoreError::Refused(why.clone()));
            }
            Some((_, (_, Outlook::Waits(why)))) => why.clone(),
            Some((node, (_, Outlook::Open))) => format!("{node} is being looked at"),
        };
        if sys::clock::now() >= until {
            return Ok(Some(why));
        }
        std::thread::sleep(LOOK_EVERY);
    }
}
