//! `outlast status`: what this node knows, and how old that is.

use std::io::{self, Write};
use std::time::Duration;

use api::{
    BalancerState, RefusedAdvert, ServerState, Status, StoreDisk, VipCause, VipLine, VipRole,
};
use engine::quorum;

use crate::reach::{self, Instance, ReachError};
use crate::{table, words};

/// Show addresses, nodes by network, balancer and servers as this node sees them
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The same as one JSON object
    #[arg(long)]
    json: bool,
    /// List every server, not only those that are not up, and every compute node
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
    let status = reach::status(&args.instance.socket()?)?;
    let written = if args.json {
        serde_json::to_writer_pretty(&mut *out, &status)
            .map_err(io::Error::from)
            .and_then(|()| writeln!(out))
    } else {
        print(out, &status, args.all)
    };
    match written {
        // Whoever reads our output (head) may have seen enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(ReachError::Output(error)),
        _ => Ok(words::is_well(&status)),
    }
}

fn print(out: &mut impl Write, status: &Status, all: bool) -> io::Result<()> {
    let mode = words::mode(status.mode);
    let cluster = status.cluster.as_ref().map_or_else(String::new, |name| format!(" of {name}"));
    let (node, generation, version) = (&status.node, status.generation, &status.version);
    writeln!(out, "{node}{cluster}, {mode}, configuration {generation}, outlast {version}")?;
    if let Some(duty) = words::duty(status.duty) {
        writeln!(out, "  {duty}: holds no address until `outlast node resume {node}`")?;
    }
    if let Some(doubt) = status.suspects_itself() {
        writeln!(out, "  {doubt}")?;
    }
    let is_alone = !status.own_doubts.is_empty();
    for point in status.reference.iter().filter(|point| is_alone || !point.answers) {
        writeln!(out, "  reference point {}", point.words())?;
    }
    for limit in &status.limits {
        writeln!(out, "  {limit}")?;
    }
    for planned in &status.planned {
        writeln!(out, "  {}", crate::maintenance::text(&planned.window))?;
    }
    for url in &status.dashboard {
        writeln!(out, "  dashboard at {url}")?;
    }
    for process in &status.processes {
        let role = words::process(process.role);
        let state = if process.running { "running" } else { "not running" };
        let (pid, starts) = (process.pid, process.starts);
        writeln!(out, "  {role:<10} {state}, pid {pid}, started {starts} time(s)")?;
    }
    refused(out, "agent", status.refused, (status.at_ms, all))?;
    refused(out, "vip", status.vip_refused, (status.at_ms, all))?;
    let beats = status.vip_process.as_ref().and_then(|process| process.beats.as_ref());
    if let Some(refused) = beats.and_then(api::Beats::refused) {
        writeln!(out, "  vip {refused}")?;
    }
    let voters = status.vip_process.as_ref().and_then(|process| process.voters.as_ref());
    if let Some(voters) = voters {
        writeln!(out, "  {}", voters.words(led(status)))?;
    }
    if let Some(waits) = &status.voters_wait {
        writeln!(out, "  {waits}")?;
    }
    turned_away(out, "the desk for joins", status.turned_away)?;
    let gone = status.store.as_ref().map(|store| store.turned_away);
    turned_away(out, "the store's door", gone.unwrap_or_default())?;
    vips(out, status)?;
    adverts(out, status, all)?;
    nodes(out, status, all)?;
    majority(out, status)?;
    store(out, status)?;
    crate::notify::section(out, status)?;
    servers(out, status, all)
}

/// Whether the store has a leader; none: there is none here.
fn led(status: &Status) -> Option<bool> {
    status.store.as_ref().map(|store| store.leader.is_some())
}

/// What was not believed is no news any more, and stays in `--all` and the metrics.
const LONG_AGO: Duration = Duration::from_secs(600);

/// Silence where all that came was believed, or what was not came long ago and not all is to be shown.
fn refused(
    out: &mut impl Write,
    who: &str,
    packets: api::RefusedPackets,
    (now_ms, all): (u64, bool),
) -> io::Result<()> {
    let api::RefusedPackets { forged, replayed, unreadable, astray, unread, last_at_ms } = packets;
    let age = last_at_ms.map(|at| Duration::from_millis(now_ms.saturating_sub(at)));
    let counts = [
        (forged, "forged"),
        (replayed, "replayed"),
        (unreadable, "unreadable"),
        (astray, "astray"),
        (unread, "unread"),
    ];
    let some = counts.iter().filter(|(count, _)| *count > 0);
    let some: Vec<String> = some.map(|(count, word)| format!("{count} {word}")).collect();
    if some.is_empty() || (!all && age.is_some_and(|age| age > LONG_AGO)) {
        return Ok(());
    }
    let last = age.map(|age| format!(", the last {} ago", words::age(age))).unwrap_or_default();
    let some = some.join(", ");
    writeln!(out, "  datagrams to the {who} that were not believed: {some} since it started{last}")
}

/// Silence where everybody was let in.
fn turned_away(out: &mut impl Write, door: &str, gone: api::TurnedAway) -> io::Result<()> {
    if gone.is_nobody() {
        return Ok(());
    }
    let last = gone.last.map(|last| format!(" (last from {last})")).unwrap_or_default();
    let connections = gone.connections;
    writeln!(out, "  {connections} connections that waited at {door} were sent away{last}")
}

/// The column that says how it stands on this node.
const HERE: usize = 4;

fn vips(out: &mut impl Write, status: &Status) -> io::Result<()> {
    if status.vips.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    let node = |node: u16| status.nodes.get(usize::from(node)).map(|line| line.state.node.as_str());
    let left = |of: &VipLine| {
        let left = status.vip_process.as_ref()?.left(of.state.instance)?;
        Some(format!(", {} left", api::millis(left.left_us)))
    };
    let rows = status.vips.iter().map(|line| {
        let mut row = vip(line, &node);
        row[HERE].push_str(&left(line).unwrap_or_default());
        row
    });
    let rows: Vec<Vec<String>> = rows.collect();
    table::print(out, &["VIP", "ADDRESSES", "HOLDER", "NEXT", "HERE", "WHY"], &rows)
}

/// What came for virtual IPs and was not obeyed. Another group on the same link is nobody's fault: that is
/// shown with all.
fn adverts(out: &mut impl Write, status: &Status, all: bool) -> io::Result<()> {
    let refused = status.adverts_refused.iter();
    for adverts in refused.filter(|adverts| all || adverts.reason != RefusedAdvert::RouterId) {
        let of = adverts.vip.as_deref().unwrap_or("no virtual IP of this node");
        writeln!(out, "  adverts for {of} on {}: {}", adverts.interface, adverts.words())?;
    }
    Ok(())
}

/// `node`: the name of a node by its position.
fn vip<'a>(vip: &VipLine, node: &dyn Fn(u16) -> Option<&'a str>) -> Vec<String> {
    let votes_only = vip.state.vip_lease.as_ref().is_some_and(|lease| lease.votes_only);
    let role = if votes_only { "votes" } else { words::vip_role(vip.state.role) };
    let by = match &vip.state.vip_lease {
        Some(lease) if lease.alone => ", without a majority",
        Some(_) => ", vip lease",
        None => "",
    };
    let holds = if vip.state.holding { ", holds" } else { "" };
    let here = format!("{role}{holds}{by}");
    vec![
        vip.name.clone(),
        vip.addresses.join(" "),
        words::holders(vip),
        words::next(vip),
        here,
        why(vip, node),
    ]
}

fn why<'a>(vip: &VipLine, node: &dyn Fn(u16) -> Option<&'a str>) -> String {
    let state = &vip.state;
    let awaits = state.vip_lease.as_ref().and_then(|lease| lease.awaits).and_then(node);
    let cause = state.cause.map(|cause| match (cause, &vip.holders[..]) {
        // Why it lost it, or did not get it then; now another has it, and this node is well.
        (VipCause::Majority | VipCause::Expired, [holder])
            if state.vip_lease.is_some() && state.role == VipRole::Backup =>
        {
            format!("granted to {holder}")
        }
        (VipCause::Unproven, _) => match awaits {
            Some(node) => {
                format!("waits for proof that {node} is dead: outlast node confirm-off {node} --i-know-it-is-off --reason WHY")
            }
            None => words::cause(VipCause::Unproven).to_owned(),
        },
        (cause, _) => words::cause(cause).to_owned(),
    });
    let disabled = state.disabled_scripts.iter().map(|name| format!("script {name} disabled"));
    let not_enforced = state.vip_lease.as_ref().and_then(|lease| lease.not_enforced.as_ref());
    let not_enforced = not_enforced.map(|why| format!("its vip lease is not enforced: {why}"));
    let in_use = state.in_use_by.iter().map(|mac| format!("{mac} has it"));
    let stays = vip.stays().then(|| "moved by an operator, and stays".to_owned());
    let all = cause.into_iter().chain(stays).chain(in_use).chain(disabled).chain(not_enforced);
    all.collect::<Vec<_>>().join("; ")
}

fn nodes(out: &mut impl Write, status: &Status, all: bool) -> io::Result<()> {
    if status.nodes.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    let mut heading = vec!["NODE", "VERDICT"];
    heading.extend(status.networks.iter().map(String::as_str));
    heading.extend(["CPU", "MEMORY", "FIBRE", "HOLDS", "WHY"]);
    let mut rows = vec![];
    let listed = status.listed(all);
    for line in &listed.lines {
        let node = &line.state;
        let mut row = vec![node.node.clone(), words::opinion(node)];
        for network in &status.networks {
            let found = node.cells.iter().find(|cell| cell.network == *network);
            row.push(found.map_or_else(|| "-".to_owned(), words::cell));
        }
        row.extend(words::load(line));
        let holds = line.holds.join(" ");
        row.push(if holds.is_empty() { "-".to_owned() } else { holds });
        let planned = status.plan_of(&node.node).map_or("", |_| "planned; ");
        row.push(format!("{planned}{}", words::why(node)));
        rows.push(row);
    }
    table::print(out, &heading, &rows)?;
    match listed.words() {
        Some(words) => writeln!(out, "{words}; `outlast status --all` lists them"),
        None => Ok(()),
    }
}

/// What freezes, and what does not, on a node that reaches fewer than a majority.
fn majority(out: &mut impl Write, status: &Status) -> io::Result<()> {
    let Some((reached, of)) = status.minority() else { return Ok(()) };
    writeln!(out, "\nWITHOUT A MAJORITY: {reached} of {of} nodes reached")?;
    for row in quorum::TABLE.iter().filter(|row| row.runs) {
        writeln!(out, "  {:<7} {}: {}", row.conduct.name(), row.layer, row.means)?;
    }
    Ok(())
}

/// What a store without a leader is to the layers, in the words of `quorum::TABLE`.
const LEADERLESS: &str = "without one: commands, intents, generations and windows are refused, roles held by a token are \
                          released; addresses, balancer and verdicts go on";

/// Leader and voters, and what is not as it should be.
fn store(out: &mut impl Write, status: &Status) -> io::Result<()> {
    let Some(store) = &status.store else { return coordinator(out, status) };
    let list = |names: Vec<&str>| if names.is_empty() { "-".to_owned() } else { names.join(" ") };
    let leader = match &store.leader {
        Some(leader) => format!("leader {leader}, term {}", store.term),
        None => "NO LEADER".to_owned(),
    };
    let voters = list(store.voters().collect());
    writeln!(out, "\nstore ({}) {leader}, entry {}, voters {voters}", store.engine, store.applied)?;
    if store.leader.is_none() {
        writeln!(out, "  {LEADERLESS}")?;
    }
    let learners: Vec<_> = store.learners().collect();
    if !learners.is_empty() {
        writeln!(out, "  without a vote yet: {}", list(learners))?;
    }
    for (node, lag) in store.lags(&status.node).filter(|(_, lag)| *lag > 0) {
        let entries = if lag == 1 { "entry" } else { "entries" };
        writeln!(out, "  {node} is {lag} {entries} behind")?;
    }
    match store.disk {
        StoreDisk::Whole | StoreDisk::WentBack { upto: None } => {}
        StoreDisk::FillsUp { upto } | StoreDisk::WentBack { upto: Some(upto) } => {
            writeln!(out, "  its disk does not count until it is filled up to entry {upto}")?;
        }
    }
    store.trouble.iter().try_for_each(|trouble| writeln!(out, "  {trouble}"))?;
    coordinator(out, status)
}

/// Who decides for the cluster.
fn coordinator(out: &mut impl Write, status: &Status) -> io::Result<()> {
    let Some(coordinator) = &status.coordinator else { return Ok(()) };
    let api::Coordinator { node, token, since_ms, stale_orders } = &**coordinator;
    if node.is_empty() && status.store.is_none() {
        // It has no part of the store, and asks a member when something is typed here.
    } else if node.is_empty() {
        writeln!(out, "  nobody coordinates now: commands wait")?;
    } else {
        let since = crate::events::clock(*since_ms);
        writeln!(out, "  {node} coordinates under token {token}, seen here since {since}")?;
    }
    if *stale_orders > 0 {
        writeln!(out, "  orders of former coordinators that were refused here: {stale_orders}")?;
    }
    Ok(())
}

fn servers(out: &mut impl Write, status: &Status, all: bool) -> io::Result<()> {
    // One that never served has told of no server yet, and is the more worth a line.
    if status.balancer == BalancerState::Absent {
        return Ok(());
    }
    let balancer = words::balancer(status.balancer);
    writeln!(out, "\nbalancer {balancer}, {}", words::servers_up(status))?;
    for choice in &status.choices {
        let (proxy, server, term) = (&choice.proxy, &choice.server, choice.term);
        writeln!(out, "  {proxy}: one writer, {server} (choice {term})")?;
    }
    let shown = status.servers.iter().filter(|server| all || !words::is_up(server));
    let rows: Vec<Vec<String>> = shown.map(server).collect();
    let rows = if all { rows } else { together(rows) };
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    table::print(out, &["PROXY", "SERVER", "STATE", "WHY"], &rows)
}

/// Servers of one name that are the same in the same way, as all of a node that is gone are, have one line.
fn together(rows: Vec<Vec<String>>) -> Vec<Vec<String>> {
    let mut groups: Vec<(Vec<String>, usize)> = vec![];
    for row in rows {
        match groups.iter_mut().find(|(first, _)| first[1..] == row[1..]) {
            Some((_, count)) => *count += 1,
            None => groups.push((row, 1)),
        }
    }
    let line = |(mut row, count): (Vec<String>, usize)| {
        if count > 1 {
            row[0] = format!("{} and {} more", row[0], count - 1);
        }
        row
    };
    groups.into_iter().map(line).collect()
}

fn server(server: &ServerState) -> Vec<String> {
    let (proxy, name) = (server.proxy.clone(), server.server.clone());
    vec![proxy, name, words::server(server).to_owned(), words::server_why(server)]
}

#[cfg(test)]
mod tests;
