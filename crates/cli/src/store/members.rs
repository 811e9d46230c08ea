//! `outlast store members`: who votes, and who is to.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use ::store::{Local, Outlook, Store, WISHES, Wish};
use api::books::{BookAnswer, BookAsk};
use base::Time;
use engine::kv::Keys;

use super::{Here, StoreError};
use crate::reach::{self, Instance, ReachError, Socket};

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
    instance: Instance,
}

pub(super) fn run(args: &Args, out: &mut impl Write) -> Result<bool, StoreError> {
    match &args.command {
        None => list(&super::local(&args.here)?, out),
        Some(Command::Add(add)) => {
            let instead_of = add.instead_of.clone();
            if instead_of.is_some() && add.nodes.len() > 1 {
                return Err(StoreError::Refused("one node takes the place of one".to_owned()));
            }
            known(&add.wait.instance, add.nodes.iter().chain(&instead_of))?;
            let ask = BookAsk::Join { nodes: add.nodes.clone(), instead_of };
            change(&add.wait, &add.nodes, ask, out)
        }
        Some(Command::Remove(remove)) => {
            let ask = BookAsk::Leave { nodes: remove.nodes.clone() };
            change(&remove.wait, &remove.nodes, ask, out)
        }
    }
}

/// Whether the cluster file of this node has them.
fn known<'a>(
    instance: &Instance,
    nodes: impl Iterator<Item = &'a String>,
) -> Result<(), StoreError> {
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
    let (items, _) = local.wait(local.client().range(Keys::Prefix(WISHES.to_owned())))?;
    let items = items.iter().map(|(key, item)| {
        let name = key.strip_prefix(WISHES).unwrap_or(key).to_owned();
        (name, String::from_utf8_lossy(&item.value).into_owned())
    });
    for (node, (wish, outlook)) in read(items) {
        let outlook = match outlook {
            Outlook::Open => String::new(),
            Outlook::Waits(why) => format!(", waits: {why}"),
            Outlook::Refused(why) => format!(", refused: {why}"),
        };
        writeln!(out, "{node}  is to {}{outlook}", wish.text())?;
    }
    Ok(report.leader.is_some())
}

/// What is wanted and not yet so; what a later version wrote is left out.
fn read(items: impl Iterator<Item = (String, String)>) -> BTreeMap<String, (Wish, Outlook)> {
    items.filter_map(|(node, text)| Some((node, Wish::read(&text)?))).collect()
}

fn wishes(socket: &Socket) -> Result<BTreeMap<String, (Wish, Outlook)>, StoreError> {
    let answer = reach::book(socket, BookAsk::Wishes, &[])?;
    let BookAnswer::Wishes(wishes) = answer else { return Err(ReachError::Other.into()) };
    Ok(read(wishes.into_iter()))
}

fn change(
    wait: &Wait,
    nodes: &[String],
    ask: BookAsk,
    out: &mut impl Write,
) -> Result<bool, StoreError> {
    let socket = wait.instance.socket()?;
    reach::book(&socket, ask, &[])?;
    let until = sys::clock::now() + Duration::from_secs(wait.limit);
    let left = granted(&socket, nodes, until)?;
    if let Some(why) = left {
        writeln!(out, "not yet: {why}; it goes on, `outlast store members` shows how far it is")?;
        return Ok(false);
    }
    let status = reach::status(&socket)?;
    let members = status.store.iter().flat_map(|store| &store.members);
    let names: Vec<_> =
        members.filter(|member| member.votes).map(|member| member.node.as_str()).collect();
    match names.is_empty() {
        true => writeln!(out, "it is so")?,
        false => writeln!(out, "votes now: {}", names.join(", "))?,
    }
    Ok(true)
}

/// Waits until none of these is wished for any more; what the first of them waits for if that is not so in
/// time.
fn granted(socket: &Socket, nodes: &[String], until: Time) -> Result<Option<String>, StoreError> {
    loop {
        let open = wishes(socket)?;
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
