//! `outlast status`: what this node knows, and how old that is.

use std::io::{self, Write};

use api::{Answer, Ask, BalancerState, Cell, Mode, ServerCheck, ServerState, Standing, Status};
use api::{VipCause, VipLine, VipRole};

use crate::reach::{self, Instance, ReachError};
use crate::table;

/// Show addresses, nodes by network, balancer and servers as this node sees them
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The same as one JSON object
    #[arg(long)]
    json: bool,
    /// List every server, not only those that are not up
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    instance: Instance,
}

/// Runs the subcommand; true if everything is well.
///
/// # Errors
/// When no instance answers.
pub fn run(args: &Args, out: &mut impl Write) -> Result<bool, ReachError> {
    let mut found = None;
    reach::ask(&args.instance.socket()?, &Ask::Status, |answer| {
        if let Answer::Status(status) = answer {
            found = Some(status);
        }
        Ok(())
    })?;
    let Some(status) = found else {
        return Err(ReachError::Refused("it gave no status".to_owned()));
    };
    let written = if args.json {
        serde_json::to_writer_pretty(&mut *out, &status)
            .map_err(io::Error::from)
            .and_then(|()| writeln!(out))
    } else {
        print(out, &status, args.all)
    };
    written.map_err(ReachError::Broken)?;
    Ok(is_well(&status))
}

fn is_well(status: &Status) -> bool {
    let balancer = status.servers.is_empty() || status.balancer == BalancerState::Serving;
    balancer
        && status.vips.iter().all(|vip| vip.state.role != VipRole::Fault)
        && status.nodes.iter().all(|node| node.state.standing != Standing::Suspect)
        && status.servers.iter().all(is_up)
}

fn is_up(server: &ServerState) -> bool {
    matches!(server.check, ServerCheck::Up | ServerCheck::Unchecked) && !server.suspect
}

fn print(out: &mut impl Write, status: &Status, all: bool) -> io::Result<()> {
    let mode = match status.mode {
        Mode::Strict => "strict (as haproxy)",
        Mode::Rfc => "rfc (as keepalived)",
        Mode::Adaptive => "adaptive",
    };
    let cluster = status.cluster.as_ref().map_or_else(String::new, |name| format!(" of {name}"));
    writeln!(out, "{}{cluster}, {mode}, configuration {}", status.node, status.generation)?;
    for limit in &status.limits {
        writeln!(out, "  {limit}")?;
    }
    for process in &status.processes {
        let role = serde_json::to_value(process.role).unwrap_or_default();
        let state = if process.running { "running" } else { "not running" };
        let (pid, starts) = (process.pid, process.starts);
        let role = role.as_str().unwrap_or_default();
        writeln!(out, "  {role:<10} {state}, pid {pid}, started {starts} time(s)")?;
    }
    vips(out, &status.vips)?;
    nodes(out, status)?;
    servers(out, status, all)
}

fn vips(out: &mut impl Write, vips: &[VipLine]) -> io::Result<()> {
    if vips.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    let rows: Vec<Vec<String>> = vips.iter().map(vip).collect();
    table::print(out, &["VIP", "ADDRESSES", "HERE", "HOLDS", "SUCCESSOR", "WHY"], &rows)
}

fn vip(vip: &VipLine) -> Vec<String> {
    let role = match vip.state.role {
        VipRole::Backup => "backup",
        VipRole::Master => "master",
        VipRole::Fault => "fault",
    };
    vec![
        vip.name.clone(),
        vip.addresses.join(" "),
        role.to_owned(),
        if vip.state.holding { "yes" } else { "no" }.to_owned(),
        vip.successor.clone().unwrap_or_else(|| "-".to_owned()),
        vip.state.cause.map_or("", cause).to_owned(),
    ]
}

/// A cause in words, for tables and events.
#[must_use]
pub const fn cause(cause: VipCause) -> &'static str {
    match cause {
        VipCause::Silence => "nobody advertised",
        VipCause::Goodbye => "the holder said goodbye",
        VipCause::Named => "named by the holder",
        VipCause::Stronger => "a stronger node advertises",
        VipCause::Stalled => "this process was not run for too long",
        VipCause::Script => "its check script fails",
        VipCause::Carrier => "no carrier",
        VipCause::Balancer => "the balancer does not serve",
        VipCause::Refused => "the kernel did not take the address",
        VipCause::Stopping => "stopping",
        VipCause::Adopted => "kept over a restart",
    }
}

fn nodes(out: &mut impl Write, status: &Status) -> io::Result<()> {
    if status.nodes.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    let mut heading = vec!["NODE", "STANDING"];
    heading.extend(status.networks.iter().map(String::as_str));
    heading.push("WHY");
    let mut rows = vec![];
    for line in &status.nodes {
        let node = &line.state;
        let standing = match node.standing {
            Standing::Unknown => "unknown",
            Standing::Alive => "alive",
            Standing::Suspect => "suspect",
            Standing::Left => "left",
        };
        let mut row = vec![node.node.clone(), standing.to_owned()];
        for network in &status.networks {
            let found = node.cells.iter().find(|cell| cell.network == *network);
            row.push(found.map_or_else(|| "-".to_owned(), cell));
        }
        row.push(node.why.clone());
        rows.push(row);
    }
    table::print(out, &heading, &rows)
}

/// `up 120 ms`, `silent 3.2 s`, `never heard`: the age is that of the last proof.
fn cell(cell: &Cell) -> String {
    let Some(age) = cell.age_ms else { return "never heard".to_owned() };
    let word = if cell.alive { "up" } else { "silent" };
    if age < 1000 {
        return format!("{word} {age} ms");
    }
    format!("{word} {}.{} s", age / 1000, age / 100 % 10)
}

fn servers(out: &mut impl Write, status: &Status, all: bool) -> io::Result<()> {
    if status.servers.is_empty() {
        return Ok(());
    }
    let balancer = match status.balancer {
        BalancerState::Serving => "serving",
        BalancerState::Replacing => "being replaced",
        BalancerState::Failed => "FAILED",
    };
    let up = status.servers.iter().filter(|server| is_up(server)).count();
    writeln!(out, "\nbalancer {balancer}, {up} of {} servers up", status.servers.len())?;
    for choice in &status.choices {
        let (proxy, server, term) = (&choice.proxy, &choice.server, choice.term);
        writeln!(out, "  {proxy}: one writer, {server} (choice {term})")?;
    }
    let rows: Vec<Vec<String>> = status
        .servers
        .iter()
        .filter(|server| all || !is_up(server))
        .map(|server| {
            let state = match server.check {
                ServerCheck::Unchecked => "not checked",
                ServerCheck::Up if server.suspect => "up, suspect",
                ServerCheck::Up => "up",
                ServerCheck::Down => "DOWN",
                ServerCheck::Drain => "drain",
                ServerCheck::Maintenance => "maintenance",
            };
            vec![server.proxy.clone(), server.server.clone(), state.into(), server.why.clone()]
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    table::print(out, &["PROXY", "SERVER", "STATE", "WHY"], &rows)
}
