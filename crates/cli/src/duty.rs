//! `outlast node standby|drain|resume NODE` and `outlast move OBJECT NODE`: what an operator tells a node.

use std::io::{self, Write};
use std::time::Duration;

use api::{Ask, Command, Duty, Status, Under};

use crate::object::{self, ObjectError};
use crate::reach::{self, Instance, ReachError, Socket};

/// A hand-over takes milliseconds, and a peer's word about it a beat or two; what is not seen after
/// this did not happen.
const SEEN_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Each look is a question to every node.
const COUNT_EVERY: Duration = Duration::from_millis(500);

/// So many looks that find the node on duty, one after the other: its drain was called off.
const AWAKE: u32 = 4;

/// Take a node out of service and back, without its end
#[derive(Debug, clap::Subcommand)]
pub enum NodeCommand {
    Standby(StandbyArgs),
    Drain(DrainArgs),
    Resume(ResumeArgs),
    Replace(Box<crate::replace::Args>),
    ConfirmOff(crate::confirm::Args),
}

/// Hold no virtual IP until told otherwise, over restarts too
///
/// The node hands over what it holds by name, which takes milliseconds (a request that is under way in them may
/// fail), and no other node names it as successor. Its balancer and its servers go on; in adaptive mode servers of other nodes come first.
/// Refused where nobody else could hold an address. It is typed on any controller (a compute node commands no
/// other), by root, the user of outlast, an operator or an admin, or with a token of the scope `standby`. Where
/// the cluster has a store it is an intent (`outlast intents`) and needs a majority, but for `--local`.
#[derive(Debug, clap::Args)]
pub struct StandbyArgs {
    /// The node's name, as `outlast status` shows it
    node: String,
    /// Without the store and the other nodes: for this node itself, where no majority can be had
    #[arg(long)]
    local: bool,
    #[command(flatten)]
    instance: Instance,
}

/// Take a node out of service and wait for what is under way there
///
/// As standby, and then every balancer of the cluster is asked what it still has under way with servers
/// on the node, until nothing is left or the limit has passed. Nothing is broken off: what is left then is
/// named, exit code 1, and the node stays out of service until `outlast node resume`.
#[derive(Debug, clap::Args)]
pub struct DrainArgs {
    /// The node's name, as `outlast status` shows it
    node: String,
    /// How long to wait, in seconds, up to 570
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(..=570))]
    limit: u32,
    #[command(flatten)]
    instance: Instance,
}

/// End the standby or the drain of a node
///
/// It may hold virtual IPs again. Nothing is taken back: `outlast move` does that. A drain or a standby that
/// is still under way is called off by it.
#[derive(Debug, clap::Args)]
pub struct ResumeArgs {
    /// The node's name, as `outlast status` shows it
    node: String,
    /// Without the store and the other nodes: for this node itself, where no majority can be had
    #[arg(long)]
    local: bool,
    #[command(flatten)]
    instance: Instance,
}

/// Move a virtual IP, the database in use, the coordinator or the store's leader to another node
///
/// `vip/NAME`: the holder lets go, names that node, and it claims at once. `pool/NAME`, of a database or a
/// listener with `backup` servers: every balancer uses the server on that node, after all sessions with the
/// former one are closed; it stays the one in use until it fails. `coordinator`: that node takes the name and
/// goes on with what is open. `store`: that voter leads the store; writes wait for it, a second at most. The
/// last two need a `[store]`. A virtual IP that is spread, apart from others or follows the coordinator stays where it was
/// moved until `outlast move vip/NAME --anywhere`, or until that node cannot hold it any more. It may be typed on any controller, by an operator. Refused for a node that is down,
/// at rest, or could not have it, and by name of the reason. Exit code 1 if the node did not take it; then it
/// stays, or is again, where it was.
#[derive(Debug, clap::Args)]
pub struct MoveArgs {
    /// vip/NAME, pool/NAME, coordinator or store
    object: String,
    /// The node that is to have it
    #[arg(required_unless_present = "anywhere")]
    node: Option<String>,
    /// Of a vip/NAME that was moved: `spread`, `apart_from` or `follows` of the file say again where it is
    #[arg(long, conflicts_with = "node")]
    anywhere: bool,
    #[command(flatten)]
    instance: Instance,
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum DutyError {
    #[error(transparent)]
    Object(#[from] ObjectError),
    #[error("{0} cannot be moved: write vip/NAME, pool/NAME, coordinator or store")]
    NotMovable(String),
    #[error("{0} goes to a node: name one")]
    NotAnywhere(String),
    #[error("{0} is no node")]
    NoNode(String),
    /// The node said no, and why.
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    NotSeen(String),
    #[error(transparent)]
    Replace(#[from] crate::replace::ReplaceError),
}

impl From<ReachError> for DutyError {
    fn from(error: ReachError) -> Self {
        if let ReachError::Refused(why) = error {
            return Self::Refused(why);
        }
        Self::Object(error.into())
    }
}

/// Runs `outlast node ...`.
///
/// # Errors
/// When no instance answers, there is no such node, or the node refuses.
pub fn node(command: &NodeCommand, out: &mut impl Write) -> Result<(), DutyError> {
    let (name, instance) = match command {
        NodeCommand::Standby(args) => (&args.node, &args.instance),
        NodeCommand::Drain(args) => (&args.node, &args.instance),
        NodeCommand::Resume(args) => (&args.node, &args.instance),
        NodeCommand::Replace(args) => return Ok(crate::replace::run(args, out)?),
        NodeCommand::ConfirmOff(args) => return crate::confirm::run(args, out),
    };
    let socket = instance.socket()?;
    let node = known_node(name, &*reach::status(&socket)?)?;
    match command {
        NodeCommand::Standby(args) => {
            let ask = way(args.local)(Command::Standby { node: node.clone() });
            rest(&socket, &node, Duty::Standby, &ask, out)
        }
        NodeCommand::Replace(_) | NodeCommand::ConfirmOff(_) => Ok(()),
        NodeCommand::Drain(args) => {
            let ask = Ask::Command(Command::Drain { node: node.clone(), limit: args.limit });
            rest(&socket, &node, Duty::Draining, &ask, out)?;
            drained(&socket, &node, Duration::from_secs(args.limit.into()), out)
        }
        NodeCommand::Resume(args) => {
            tell(&socket, &way(args.local)(Command::Resume { node: node.clone() }))?;
            let is_on = |status: &Status| line(status, &node).is_some_and(|l| l.state.duty.is_on());
            match seen(&socket, is_on)? {
                Some(_) => say(out, &format!("{node} is on duty again; it takes nothing back")),
                None => Err(DutyError::NotSeen(format!("{node} still says that it stands by"))),
            }
        }
    }
}

/// By the whole cluster, or by the own node alone.
const fn way(local: bool) -> fn(Command) -> Ask {
    if local { Ask::Alone } else { Ask::Command }
}

fn rest(
    socket: &Socket,
    node: &str,
    duty: Duty,
    ask: &Ask,
    out: &mut impl Write,
) -> Result<(), DutyError> {
    let word = match duty {
        Duty::Draining => "is being drained",
        Duty::On | Duty::Standby => "is on standby",
    };
    let before = tell(socket, ask)?;
    let is_free = |status: &Status| {
        line(status, node).is_some_and(|l| l.state.duty == duty && l.holds.is_empty())
    };
    let Some(status) = seen(socket, is_free)? else {
        let text = format!("{node} {word} and still holds: see `outlast status`");
        return Err(DutyError::NotSeen(text));
    };
    say(out, &format!("{node} {word}"))?;
    let held = before.vips.iter().filter(|vip| vip.holders.iter().any(|holder| holder == node));
    for vip in held {
        let now = status.vips.iter().find(|line| line.name == vip.name);
        let holder = now.and_then(|line| line.holders.first());
        let holder = holder.or(vip.successor.as_ref()).map_or("another node", String::as_str);
        say(out, &format!("  vip/{} went to {holder}", vip.name))?;
    }
    Ok(())
}

/// Waits until nothing is under way with the servers of a node, and shows what is.
fn drained(
    socket: &Socket,
    node: &str,
    limit: Duration,
    out: &mut impl Write,
) -> Result<(), DutyError> {
    let end = sys::clock::now() + limit;
    let (mut shown, mut quiet, mut awake) = (vec![], 0, 0);
    loop {
        let left = match left(socket, node) {
            Ok(Some(left)) => {
                awake = 0;
                left
            }
            // Not by one look: who was just started again has said nothing yet.
            Ok(None) if awake < AWAKE => {
                awake += 1;
                std::thread::sleep(COUNT_EVERY);
                continue;
            }
            Ok(None) => {
                let text = format!("{node} is on duty again: its drain was called off");
                return Err(DutyError::NotSeen(text));
            }
            // An agent that died is started anew, and the drain goes on without this tool.
            Err(
                ReachError::Connect { .. }
                | ReachError::Broken(_)
                | ReachError::Answer(_)
                | ReachError::Silent(_),
            ) if sys::clock::now() < end => {
                quiet = 0;
                std::thread::sleep(COUNT_EVERY);
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        // Twice: a balancer hears of the drain a beat later.
        quiet = if left.is_empty() { quiet + 1 } else { 0 };
        if quiet == 2 {
            return say(out, &format!("{node} is drained: nothing is under way with its servers"));
        }
        if left != shown {
            left.iter().try_for_each(|text| say(out, &format!("  {text}")))?;
            shown.clone_from(&left);
        }
        if sys::clock::now() >= end && !left.is_empty() {
            let (left, seconds) = (left.join("; "), limit.as_secs());
            let text = format!("after {seconds} s: {left}; {node} stays out of service");
            return Err(DutyError::NotSeen(text));
        }
        std::thread::sleep(COUNT_EVERY);
    }
}

/// What is under way with the servers of a node, in words; none: it is on duty.
fn left(socket: &Socket, node: &str) -> Result<Option<Vec<String>>, ReachError> {
    let (under, status) = (under(socket, node)?, reach::status(socket)?);
    let is_on = line(&status, node).is_some_and(|line| line.state.duty.is_on());
    Ok((!is_on).then(|| api::left(&under, &status)))
}

fn under(socket: &Socket, node: &str) -> Result<Vec<Under>, ReachError> {
    match reach::one(socket, &Ask::Under { node: node.to_owned() })? {
        api::Answer::Under(under) => Ok(under),
        api::Answer::Event(_)
        | api::Answer::Intents(_)
        | api::Answer::Tried(_)
        | api::Answer::Book(_)
        | api::Answer::Status(_)
        | api::Answer::Why(_)
        | api::Answer::Access(_)
        | api::Answer::Refused(_) => Err(ReachError::Other),
    }
}

fn line<'a>(status: &'a Status, node: &str) -> Option<&'a api::NodeLine> {
    status.nodes.iter().find(|line| line.state.node == node)
}

/// Runs `outlast move`.
///
/// # Errors
/// As [`node`], and when the other node did not take it.
pub fn move_object(args: &MoveArgs, out: &mut impl Write) -> Result<(), DutyError> {
    let socket = args.instance.socket()?;
    let status = reach::status(&socket)?;
    let Some(node) = &args.node else { return anywhere(&socket, &args.object, &status, out) };
    let to = || known_node(node, &status);
    match args.object.as_str() {
        "coordinator" => {
            let to = to()?;
            tell(&socket, &Ask::Command(Command::Coordinate { to: to.clone() }))?;
            return say(out, &format!("{to} coordinates"));
        }
        "store" | "process/store" => {
            let to = to()?;
            tell(&socket, &Ask::Command(Command::Lead { to: to.clone() }))?;
            return say(out, &format!("{to} leads the store"));
        }
        _ => {}
    }
    let word = args.object.strip_prefix("proxy/").map(|name| format!("pool/{name}"));
    let word = word.as_deref().unwrap_or(&args.object);
    let object = object::resolve(word, &status).map_err(ObjectError::from)?;
    match object.split_once('/') {
        Some(("vip", name)) => move_vip(&socket, name, to()?, out),
        Some(("pool", name)) => move_writer(&socket, name, to()?, out),
        Some(_) | None => Err(DutyError::NotMovable(object)),
    }
}

/// Ends the word of an operator about an address.
fn anywhere(
    socket: &Socket,
    object: &str,
    status: &Status,
    out: &mut impl Write,
) -> Result<(), DutyError> {
    let object = object::resolve(object, status).map_err(ObjectError::from)?;
    let Some(vip) = object.strip_prefix("vip/") else { return Err(DutyError::NotAnywhere(object)) };
    tell(socket, &Ask::Command(Command::Anywhere { vip: vip.to_owned() }))?;
    let is_free = |status: &Status| {
        status.vips.iter().find(|line| line.name == vip).is_some_and(|line| !line.stays())
    };
    match seen(socket, is_free)? {
        Some(_) => say(out, &format!("vip/{vip} goes by its rules again")),
        None => Err(DutyError::NotSeen(format!("vip/{vip} still stays where it was moved"))),
    }
}

fn move_vip(socket: &Socket, vip: &str, to: String, out: &mut impl Write) -> Result<(), DutyError> {
    tell(socket, &Ask::Command(Command::Move { vip: vip.to_owned(), to: to.clone() }))?;
    let held = |status: &Status| status.vips.iter().find(|line| line.name == vip).cloned();
    let has_moved = |status: &Status| held(status).is_some_and(|line| line.holders == [to.clone()]);
    if seen(socket, has_moved)?.is_some() {
        return say(out, &format!("vip/{vip} is held by {to}"));
    }
    let holders = held(&*reach::status(socket)?).map(|line| line.holders.join(" and "));
    let holders = holders.filter(|names| !names.is_empty()).unwrap_or_else(|| "nobody".to_owned());
    let text = format!(
        "{to} did not take vip/{vip}, {holders} holds it: {to} may be on standby, or a check fails \
         there (`outlast why vip/{vip}` on {to})"
    );
    Err(DutyError::NotSeen(text))
}

fn move_writer(
    socket: &Socket,
    pool: &str,
    to: String,
    out: &mut impl Write,
) -> Result<(), DutyError> {
    let used = |status: &Status| {
        status
            .choices
            .iter()
            .find(|choice| choice.proxy == pool)
            .map(|choice| choice.server.clone())
    };
    let before = tell(socket, &Ask::Command(Command::Use { pool: pool.to_owned(), to }))?;
    let before = used(&before);
    let has_moved = |status: &Status| used(status) != before;
    match seen(socket, has_moved)?.and_then(|status| used(&status)) {
        Some(server) => say(out, &format!("pool/{pool} uses {server}")),
        None => {
            let server = before.unwrap_or_else(|| "none of its servers".to_owned());
            let text = format!(
                "pool/{pool} still uses {server}: the other one may not work from where clients come to \
                 (`outlast why pool/{pool}`)"
            );
            Err(DutyError::NotSeen(text))
        }
    }
}

pub(crate) fn known_node(word: &str, status: &Status) -> Result<String, DutyError> {
    let object = object::resolve(word, status).map_err(ObjectError::from)?;
    match object.strip_prefix("node/") {
        Some(node) => Ok(node.to_owned()),
        None => Err(DutyError::NoNode(object)),
    }
}

/// Tells the node; what it knew before.
fn tell(socket: &Socket, ask: &Ask) -> Result<Box<Status>, ReachError> {
    match reach::one(socket, ask)? {
        api::Answer::Status(status) => Ok(status),
        api::Answer::Event(_)
        | api::Answer::Why(_)
        | api::Answer::Under(_)
        | api::Answer::Intents(_)
        | api::Answer::Tried(_)
        | api::Answer::Book(_)
        | api::Answer::Access(_)
        | api::Answer::Refused(_) => Err(ReachError::Other),
    }
}

/// Looks until it is so; none if it is not in time.
fn seen(
    socket: &Socket,
    is_so: impl Fn(&Status) -> bool,
) -> Result<Option<Box<Status>>, ReachError> {
    let end = sys::clock::now() + SEEN_WITHIN;
    loop {
        let status = reach::status(socket)?;
        if is_so(&status) {
            return Ok(Some(status));
        }
        if sys::clock::now() >= end {
            return Ok(None);
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

pub(crate) fn say(out: &mut impl Write, line: &str) -> Result<(), DutyError> {
    match writeln!(out, "{line}") {
        // Whoever reads our output may have gone; what was asked for is done.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(ReachError::Output(error).into())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;

    #[test]
    fn what_keeps_a_node_from_being_drained_is_named() {
        let mut status = example::status();
        let under = |balancer: &str, sessions, unknown: Option<&str>| Under {
            balancer: balancer.to_owned(),
            sessions,
            servers: vec!["api/node02".to_owned()],
            unknown: unknown.map(str::to_owned),
        };
        let all =
            [under("node01", 2, None), under("node02", 0, None), under("node03", 0, Some("no"))];
        let expected = ["node01 has 2 under way with api/node02", "node03: no"];
        assert_eq!(api::left(&all, &status), expected);
        assert!(api::left(&all[1..2], &status).is_empty());
        let (proxy, server) = ("mariadb".to_owned(), "node01".to_owned());
        let is_it = |s: &&mut api::ServerState| s.proxy == proxy && s.server == server;
        if let Some(writer) = status.servers.iter_mut().find(is_it) {
            writer.resting = true;
            assert_eq!(api::left(&[], &status), ["mariadb still writes to node01"]);
        }
    }
}
