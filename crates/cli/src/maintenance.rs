//! `outlast maintenance start | end | list`: a time in which what happens to a node is planned.

use std::io::{self, Write};
use std::time::Duration;

use api::books::{BookAnswer, BookAsk};
use api::maintenance::Window;
use engine::maintenance::{ALL, MAX_LENGTH, MIN_LENGTH};

use crate::config::who;
use crate::events::clock;
use crate::reach::{self, Instance, ReachError};

/// Say that what happens to a node is planned, for a time
///
/// In a maintenance window the loss of a node is told as planned, `outlast status` stays well, a node that comes and
/// goes is not quarantined, and no recovery begins. Verdicts stay true, and traffic goes where it goes: that is
/// what `outlast node standby` is for. A window ends by itself.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    Start(StartArgs),
    End(EndArgs),
    List(ListArgs),
}

/// Begin a window, or set another end and reason for the one that is open
#[derive(Debug, clap::Args)]
pub struct StartArgs {
    /// A node, or `cluster` for all of them
    what: String,
    /// How long, as 90m, 2h or 1d; a minute at least, seven days at most
    #[arg(long = "for", value_name = "TIME", value_parser = length)]
    length: Duration,
    /// Why, for whoever is woken up
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    instance: Instance,
}

/// End a window before its time
///
/// Exit code 1 where there is none.
#[derive(Debug, clap::Args)]
pub struct EndArgs {
    /// A node, or `cluster` for that of all
    what: String,
    #[command(flatten)]
    instance: Instance,
}

/// List the windows, with who began them and why
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// As JSON, a line each
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    instance: Instance,
}

/// A reason longer than this belongs into a ticket (bytes).
const MAX_REASON: usize = 200;

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum MaintenanceError {
    #[error(transparent)]
    Reach(#[from] ReachError),
    #[error("cannot write the answer")]
    Output(#[from] io::Error),
    #[error("{0} is no node of this cluster, and not `{ALL}`")]
    NoNode(String),
    #[error("a reason has at least one byte and at most {MAX_REASON}")]
    Reason,
}

impl MaintenanceError {
    /// What a script hears.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Reach(ReachError::Refused(_)) => 1,
            Self::Reach(_) => 3,
            Self::Output(_) | Self::NoNode(_) | Self::Reason => 2,
        }
    }
}

/// Runs `outlast maintenance ...`; whether the answer is a yes.
///
/// # Errors
/// When no agent answers, who asks may not, there is no such node, or the window would be too long.
pub fn run(command: &Command, out: &mut impl Write) -> Result<bool, MaintenanceError> {
    match command {
        Command::Start(args) => start(args, out),
        Command::End(args) => {
            let node = node(&args.what).map(str::to_owned);
            let ended = reach::book(&args.instance.socket()?, BookAsk::End { node }, &[])?;
            let was = matches!(ended, BookAnswer::Done(true));
            let text = if was { "the maintenance of {} has ended" } else { "{} is in no window" };
            writeln!(out, "{}", text.replace("{}", &args.what))?;
            Ok(was)
        }
        Command::List(args) => {
            let found = reach::book(&args.instance.socket()?, BookAsk::Windows, &[])?;
            let BookAnswer::Windows(windows) = found else { return Err(ReachError::Other.into()) };
            for window in &windows {
                match args.json {
                    true => {
                        let line = serde_json::to_string(window).map_err(io::Error::from)?;
                        writeln!(out, "{line}")?;
                    }
                    false => writeln!(out, "{}", text(window))?,
                }
            }
            Ok(true)
        }
    }
}

fn start(args: &StartArgs, out: &mut impl Write) -> Result<bool, MaintenanceError> {
    if args.reason.is_empty() || args.reason.len() > MAX_REASON {
        return Err(MaintenanceError::Reason);
    }
    let socket = args.instance.socket()?;
    let status = reach::status(&socket)?;
    let node = node(&args.what);
    let is_known = |name: &str| status.nodes.iter().any(|line| line.state.node == name);
    if node.is_some_and(|name| !is_known(name)) {
        return Err(MaintenanceError::NoNode(args.what.clone()));
    }
    let begin_ms = sys::clock::wall_ms();
    let millis = u64::try_from(args.length.as_millis()).unwrap_or(u64::MAX);
    let window = Window {
        node: node.map(str::to_owned),
        begin_ms,
        end_ms: begin_ms.saturating_add(millis),
        who: who(),
        why: args.reason.clone(),
        by: String::new(),
    };
    reach::book(&socket, BookAsk::Begin { window: window.clone(), millis }, &[])?;
    writeln!(out, "{}", text(&window))?;
    Ok(true)
}

fn node(what: &str) -> Option<&str> {
    Some(what).filter(|what| *what != ALL)
}

/// One window in one line.
pub(crate) fn text(window: &Window) -> String {
    let (who, Window { node, end_ms, why, .. }) = (window.whose(), window);
    let what = node.as_deref().unwrap_or("all nodes");
    format!("maintenance of {what} until {} UTC, by {who}: {why}", clock(*end_ms))
}

/// `90m`, `2h`, `1d`.
fn length(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.len() - text.chars().last().map_or(0, char::len_utf8));
    let seconds = match unit {
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        _ => return Err("write a number and m, h or d: 90m, 2h, 1d".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| format!("`{number}` is no whole number"))?;
    let length = Duration::from_secs(number.saturating_mul(seconds));
    if !(MIN_LENGTH..=MAX_LENGTH).contains(&length) {
        let (least, most) = (MIN_LENGTH.as_secs() / 60, MAX_LENGTH.as_secs() / 86_400);
        return Err(format!("a window has {least} minute at least and {most} days at most"));
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{example, words};

    #[test]
    fn a_window_has_a_length_with_a_limit() {
        assert_eq!(length("90m"), Ok(Duration::from_secs(5400)));
        assert_eq!(length("2h"), Ok(Duration::from_secs(7200)));
        assert_eq!(length("7d"), Ok(MAX_LENGTH));
        for wrong in ["8d", "0m", "90", "h", "", "1w", "-1h", "9999999999999999999h"] {
            assert!(length(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_lost_node_and_its_servers_are_well_in_a_window_only() {
        let mut status = example::status();
        status.vips.clear();
        for server in &mut status.servers {
            (server.check, server.suspect) = (api::ServerCheck::Down, true);
        }
        let lost = status.nodes.last_mut().expect("the example has nodes");
        lost.state.standing = api::Standing::Suspect;
        let name = lost.state.node.clone();
        for line in &mut status.nodes {
            if line.state.node != name {
                line.state.standing = api::Standing::Alive;
            }
        }
        status.balancer = api::BalancerState::Serving;
        assert!(!words::is_well(&status));
        let server = |server: &api::ServerState| format!("{}/{}", server.proxy, server.server);
        status.planned.push(api::maintenance::Planned {
            nodes: vec![name],
            servers: status.servers.iter().map(server).collect(),
            ..Default::default()
        });
        assert!(words::is_well(&status));
        status.planned[0].servers.clear();
        assert!(!words::is_well(&status), "servers of other nodes are not planned");
    }
}
