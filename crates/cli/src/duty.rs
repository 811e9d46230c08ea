//! `outlast node standby|resume NODE` and `outlast move vip/NAME NODE`: what an operator tells a node.

use std::io::{self, Write};
use std::time::Duration;

use api::{Ask, Command, Status};

use crate::object::{self, ObjectError};
use crate::reach::{self, Instance, ReachError, Socket};

/// A hand-over takes milliseconds, and a peer's word about it a beat or two; what is not seen after
/// this did not happen.
const SEEN_WITHIN: Duration = Duration::from_secs(3);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Take a node out of service and back, without its end
#[derive(Debug, clap::Subcommand)]
pub enum NodeCommand {
    Standby(StandbyArgs),
    Resume(ResumeArgs),
}

/// Hold no virtual IP until told otherwise, over restarts too
///
/// The node hands over what it holds by name, so that no request is lost, and no other node names it
/// as successor. Its balancer and its servers go on. Refused where nobody else could hold an address.
/// To be typed on the node itself, by an operator.
#[derive(Debug, clap::Args)]
pub struct StandbyArgs {
    /// The node's name, as `outlast status` shows it
    node: String,
    #[command(flatten)]
    instance: Instance,
}

/// End the standby of a node
///
/// It may hold virtual IPs again. Nothing is taken back: `outlast move` does that.
#[derive(Debug, clap::Args)]
pub struct ResumeArgs {
    /// The node's name, as `outlast status` shows it
    node: String,
    #[command(flatten)]
    instance: Instance,
}

/// Move a virtual IP to another node
///
/// The holder lets go, names that node, and it claims at once. To be typed on the holder, by an
/// operator. Refused for a node that is down, not in the order of the address, or could
/// not hold it. Exit code 1 if the node did not take it; then the former holder has it again.
#[derive(Debug, clap::Args)]
pub struct MoveArgs {
    /// vip/NAME
    object: String,
    /// The node that is to hold it
    node: String,
    #[command(flatten)]
    instance: Instance,
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum DutyError {
    #[error(transparent)]
    Object(#[from] ObjectError),
    #[error("{0} cannot be moved: write vip/NAME")]
    NotMovable(String),
    #[error("{0} is no node")]
    NoNode(String),
    /// The node said no, and why.
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    NotSeen(String),
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
        NodeCommand::Resume(args) => (&args.node, &args.instance),
    };
    let socket = instance.socket()?;
    let node = known_node(name, &*reach::status(&socket)?)?;
    match command {
        NodeCommand::Standby(_) => {
            let before = tell(&socket, Command::Standby { node: node.clone() })?;
            let is_free = |status: &Status| {
                !status.duty.is_on() && status.vips.iter().all(|vip| !vip.state.holding)
            };
            let Some(status) = seen(&socket, is_free)? else {
                let text = format!("{node} is on standby and still holds: see `outlast status`");
                return Err(DutyError::NotSeen(text));
            };
            say(out, &format!("{node} is on standby"))?;
            let held = before.vips.iter().filter(|vip| vip.state.holding);
            for vip in held {
                let now = status.vips.iter().find(|line| line.name == vip.name);
                let holder = now.and_then(|line| line.holders.first());
                let next = vip.successor.as_ref();
                let holder = holder.or(next).map_or("another node", String::as_str);
                say(out, &format!("  vip/{} went to {holder}", vip.name))?;
            }
            Ok(())
        }
        NodeCommand::Resume(_) => {
            tell(&socket, Command::Resume { node: node.clone() })?;
            match seen(&socket, |status| status.duty.is_on())? {
                Some(_) => say(out, &format!("{node} is on duty again; it takes nothing back")),
                None => Err(DutyError::NotSeen(format!("{node} still says that it stands by"))),
            }
        }
    }
}

/// Runs `outlast move`.
///
/// # Errors
/// As [`node`], and when the other node did not take the address.
pub fn move_object(args: &MoveArgs, out: &mut impl Write) -> Result<(), DutyError> {
    let socket = args.instance.socket()?;
    let status = reach::status(&socket)?;
    let object = object::resolve(&args.object, &status).map_err(ObjectError::from)?;
    let Some(vip) = object.strip_prefix("vip/").map(ToOwned::to_owned) else {
        return Err(DutyError::NotMovable(object));
    };
    let to = known_node(&args.node, &status)?;
    tell(&socket, Command::Move { vip: vip.clone(), to: to.clone() })?;
    let line = |status: &Status| status.vips.iter().find(|line| line.name == vip).cloned();
    let has_moved = |status: &Status| line(status).is_some_and(|line| line.holders == [to.clone()]);
    if seen(&socket, has_moved)?.is_some() {
        return say(out, &format!("{object} is held by {to}"));
    }
    let holders = line(&*reach::status(&socket)?).map(|line| line.holders.join(" and "));
    let holders = holders.filter(|names| !names.is_empty()).unwrap_or_else(|| "nobody".to_owned());
    let text = format!(
        "{to} did not take {object}, {holders} holds it: {to} may be on standby, or a check fails \
         there (`outlast why {object}` on {to})"
    );
    Err(DutyError::NotSeen(text))
}

fn known_node(word: &str, status: &Status) -> Result<String, DutyError> {
    let object = object::resolve(word, status).map_err(ObjectError::from)?;
    match object.strip_prefix("node/") {
        Some(node) => Ok(node.to_owned()),
        None => Err(DutyError::NoNode(object)),
    }
}

/// Tells the node; what it knew before.
fn tell(socket: &Socket, command: Command) -> Result<Box<Status>, ReachError> {
    match reach::one(socket, &Ask::Command(command))? {
        api::Answer::Status(status) => Ok(status),
        api::Answer::Event(_)
        | api::Answer::Why(_)
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

fn say(out: &mut impl Write, line: &str) -> Result<(), DutyError> {
    match writeln!(out, "{line}") {
        // Whoever reads our output may have gone; what was asked for is done.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(ReachError::Output(error).into())
        }
        _ => Ok(()),
    }
}
