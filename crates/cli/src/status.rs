//! `outlast status`: what this node knows, and how old that is.

use std::io::{self, Write};
use std::time::Duration;

use api::{BalancerState, RefusedAdvert, ServerState, Status, StoreDisk, VipLine};
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
    turned_away(out, "the desk for joins", status.turned_away)?;
    let gone = status.store.as_ref().map(|store| store.turned_away);
    turned_away(out, "the store's door", gone.unwrap_or_default())?;
    vips(out, &status.vips)?;
    adverts(out, status, all)?;
    nodes(out, status, all)?;
    majority(out, status)?;
    store(out, status)?;
    servers(out, status, all)
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

fn vips(out: &mut impl Write, vips: &[VipLine]) -> io::Result<()> {
    if vips.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    let rows: Vec<Vec<String>> = vips.iter().map(vip).collect();
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

fn vip(vip: &VipLine) -> Vec<String> {
    let role = words::vip_role(vip.state.role);
    let by = if vip.state.vip_lease.is_some() { ", vip lease" } else { "" };
    let holds = if vip.state.holding { ", holds" } else { "" };
    let here = format!("{role}{holds}{by}");
    vec![
        vip.name.clone(),
        vip.addresses.join(" "),
        words::holders(vip),
        words::next(vip),
        here,
        why(&vip.state),
    ]
}

fn why(state: &api::VipState) -> String {
    let cause = state.cause.map(|cause| words::cause(cause).to_owned());
    let disabled = state.disabled_scripts.iter().map(|name| format!("script {name} disabled"));
    let not_enforced = state.vip_lease.as_ref().and_then(|lease| lease.not_enforced.as_ref());
    let not_enforced = not_enforced.map(|why| format!("its vip lease is not enforced: {why}"));
    cause.into_iter().chain(disabled).chain(not_enforced).collect::<Vec<_>>().join("; ")
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
        row.extend(words::load(line.load));
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
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    table::print(out, &["PROXY", "SERVER", "STATE", "WHY"], &rows)
}

fn server(server: &ServerState) -> Vec<String> {
    let (proxy, name) = (server.proxy.clone(), server.server.clone());
    vec![proxy, name, words::server(server).to_owned(), words::server_why(server)]
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::example;

    #[test]
    fn what_was_not_believed_has_its_age_and_is_left_out_when_that_is_long_ago() {
        let said = |ago_ms: u64, all| {
            let mut out = vec![];
            let packets = api::RefusedPackets {
                forged: 2,
                last_at_ms: Some(1_000_000),
                ..api::RefusedPackets::default()
            };
            refused(&mut out, "vip", packets, (1_000_000 + ago_ms, all)).unwrap();
            String::from_utf8(out).unwrap()
        };
        let line =
            "  datagrams to the vip that were not believed: 2 forged since it started, the last ";
        assert_eq!(said(41_000, false), format!("{line}41.0 s ago\n"));
        assert_eq!(said(600_001, false), "");
        assert_eq!(said(600_001, true), format!("{line}10 min ago\n"));
    }

    #[test]
    fn holder_next_loads_and_what_is_down_are_on_one_page() {
        let mut out = vec![];
        print(&mut out, &example::status(), false).unwrap();
        expect![[r#"
            node02 of cloud, adaptive, configuration 1, outlast 0.1.0
              dashboard at http://127.0.0.1:7412/
              vip        running, pid 21, started 1 time(s)
              agent      running, pid 22, started 1 time(s)
              proxy      running, pid 23, started 1 time(s)

            VIP       ADDRESSES   HOLDER  NEXT    HERE           WHY
            internal  10.79.0.40  node02  node01  master, holds  named by the holder

            NODE    VERDICT      management    storage      CPU   MEMORY  FIBRE  HOLDS     WHY
            node01  alive        up 120 ms     up 95 ms     12 %  40 %    2/2    -         its first beat came
            node02  alive        up 0 ms       up 0 ms      12 %  40 %    2/2    internal  this node
            node03  UNREACHABLE  silent 3.2 s  never heard  -     -       -      -         silent-everywhere: silent on every network for 1000 ms

            balancer serving, 5 of 7 servers up
              mariadb: one writer, node01 (choice 1)

            PROXY     SERVER  STATE        WHY
            keystone  node03  DOWN         Layer4 connection problem, info: "Connection refused"
            mariadb   node03  up, suspect  its node is silent
        "#]].assert_eq(&String::from_utf8(out).unwrap());
    }

    #[test]
    fn samples_in_the_papers_have_the_columns_of_today() {
        let mut out = vec![];
        print(&mut out, &example::status(), false).unwrap();
        let printed = String::from_utf8(out).unwrap();
        let begins = |line: &str| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
        let heading = printed.lines().find(|line| line.starts_with("NODE ")).map(begins);
        for page in ["README.md", "docs/operate/status.md"] {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(page);
            let text = std::fs::read_to_string(path).unwrap();
            let shown = text.lines().find(|line| line.starts_with("NODE ")).map(begins);
            assert_eq!(shown, heading, "{page}");
        }
    }

    #[test]
    fn a_balancer_that_never_served_is_shown_and_not_well() {
        let mut status = example::status();
        status.nodes.truncate(2);
        (status.servers, status.choices) = (vec![], vec![]);
        let balancer_of = |status: &Status| {
            let mut out = vec![];
            print(&mut out, status, false).unwrap();
            let text = String::from_utf8(out).unwrap();
            text.lines().find(|line| line.starts_with("balancer")).map(ToOwned::to_owned)
        };
        status.balancer = BalancerState::Failed;
        assert_eq!(balancer_of(&status).unwrap(), "balancer FAILED, no server is known");
        assert!(!words::is_well(&status));
        status.balancer = BalancerState::Absent;
        assert_eq!(balancer_of(&status), None);
        assert!(words::is_well(&status));
    }

    #[test]
    fn a_node_without_a_majority_says_what_freezes() {
        let told = |status: &Status| {
            let mut out = vec![];
            majority(&mut out, status).unwrap();
            String::from_utf8(out).unwrap()
        };
        let mut status = example::status();
        assert_eq!(told(&status), "", "two of three");
        assert!(quorum::has_majority(2, 3) && !quorum::has_majority(1, 3));
        status.nodes[0].state.standing = api::Standing::Suspect;
        expect![[r#"

            WITHOUT A MAJORITY: 1 of 3 nodes reached
              serves  virtual IPs: held, announced and taken over as ever; after a heal the stronger holder keeps it
              serves  balancer: requests go to servers as their own checks say; suspects come last, not never
              serves  database choice: the database in use stays in use; it changes only when its own checks fail
              freezes verdicts: in doubt, never unreachable: nobody is accused by a minority
              freezes compute nodes: in doubt, never unreachable: what gossip says of them is confirmed by nobody
              freezes planned moves and standby: refused, and nothing is done; `--local` puts a node itself on standby. Without [store]: as ever
              serves  reload of the local files: SIGHUP works as ever
              freezes store: what is not committed by a majority is not applied and not told
              freezes intents: none is begun, none goes a step further; the step under way ends at its receiver
              freezes generations of the configuration: `config apply` and `rollback` are refused; what each node runs, it goes on running
              freezes maintenance windows: none is begun or ended by command; what is known ends by its own time
              freezes proofs of death, members of the store: `confirm-off`, `node replace` and `store members` are refused
              releases roles held by a token: stopped two seconds before the store may give them to another
              serves  joins, revocations, certificates: the node with the authority lets in, shuts out and renews as ever
              serves  status, events, dashboard, metrics: what this node knows, with its age, and that it has no majority
        "#]].assert_eq(&told(&status));
        status.limits.push("no secret_file: no beats, no hand-over between nodes".to_owned());
        assert_eq!(told(&status), "", "nobody is missed where nobody speaks");
    }

    #[test]
    fn a_store_says_whom_it_follows_and_who_votes_and_without_a_leader_nobody_sleeps() {
        let mut status = example::status();
        let member = |node: &str, votes, has| {
            let node = node.to_owned();
            api::StoreMember { node, votes, has }
        };
        status.store = Some(Box::new(api::StoreState {
            engine: "embedded".to_owned(),
            leader: Some("node02".to_owned()),
            term: 4,
            last: 812,
            committed: 812,
            applied: 812,
            members: vec![
                member("node01", true, Some(812)),
                member("node02", true, None),
                member("node04", false, Some(40)),
            ],
            ..api::StoreState::default()
        }));
        status.coordinator = Some(Box::new(api::Coordinator {
            node: "node02".to_owned(),
            token: 31,
            since_ms: 1_700_000_000_000,
            stale_orders: 1,
        }));
        let told = |status: &Status| {
            let mut out = vec![];
            store(&mut out, status).unwrap();
            String::from_utf8(out).unwrap()
        };
        expect![[r#"

            store (embedded) leader node02, term 4, entry 812, voters node01 node02
              without a vote yet: node04
              node04 is 772 entries behind
              node02 coordinates under token 31, seen here since 2023-11-14 22:13:20.000
              orders of former coordinators that were refused here: 1
        "#]]
        .assert_eq(&told(&status));
        status.nodes.truncate(2);
        status.servers.retain(words::is_up);
        assert!(words::is_well(&status));
        let state = status.store.as_mut().unwrap();
        state.leader = None;
        status.coordinator = Some(Box::default());
        state.trouble = Some("waits for node01 (no answer)".to_owned());
        state.disk = StoreDisk::WentBack { upto: Some(900) };
        expect![[r#"

            store (embedded) NO LEADER, entry 812, voters node01 node02
              without one: commands, intents, generations and windows are refused, roles held by a token are released; addresses, balancer and verdicts go on
              without a vote yet: node04
              node04 is 772 entries behind
              its disk does not count until it is filled up to entry 900
              waits for node01 (no answer)
              nobody coordinates now: commands wait
        "#]]
        .assert_eq(&told(&status));
        assert!(!words::is_well(&status));
    }

    #[test]
    fn two_holders_are_not_well() {
        let mut status = example::status();
        status.nodes.truncate(2);
        status.servers.retain(words::is_up);
        assert!(words::is_well(&status));
        status.vips[0].holders.push("node03".to_owned());
        assert!(!words::is_well(&status));
    }

    #[test]
    fn a_script_that_is_not_run_stands_beside_the_cause() {
        let mut state = example::status().vips.remove(0).state;
        state.disabled_scripts.push("alive".to_owned());
        assert_eq!(why(&state), "named by the holder; script alive disabled");
        state.cause = None;
        assert_eq!(why(&state), "script alive disabled");
        let not_enforced = Some("no right".to_owned());
        state.vip_lease =
            Some(api::LeaseState { holder: None, votes: true, not_enforced, gained: None });
        assert_eq!(why(&state), "script alive disabled; its vip lease is not enforced: no right");
    }
}
