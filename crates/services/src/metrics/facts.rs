//! What stands in the status.

use std::collections::BTreeSet;

use api::{
    BalancerState, Duty, Mode, NodeLine, OwnDoubt, RefusedPackets, Role, ServerCheck, Standing,
    Status, StoreDisk, Verdict, VipRole,
};

use super::family::Text;
use super::{count, flag, float};
use crate::pool;
use crate::trouble;

pub(super) fn write(text: &mut Text, host: &str, status: &Status) {
    let mode = match status.mode {
        Mode::Strict => "strict",
        Mode::Rfc => "rfc",
        Mode::Adaptive => "adaptive",
    };
    let cluster = status.cluster.as_deref().unwrap_or_default();
    let labels = [
        ("version", status.version.as_str()),
        ("node", host),
        ("cluster", cluster),
        ("mode", mode),
    ];
    text.put("outlast_build_info", &labels, 1.0);
    text.put("outlast_configuration_generation", &[], float(status.generation));
    refused(text, "outlast_packets_refused_total", status.refused);
    refused(text, "outlast_vip_packets_refused_total", status.vip_refused);
    let of_store = status.store.as_ref().map(|store| ("store", store.turned_away));
    for (door, gone) in [("desk", status.turned_away)].into_iter().chain(of_store) {
        text.put("outlast_connections_refused_total", &[("door", door)], float(gone.connections));
    }
    for doubt in OwnDoubt::ALL {
        let is = flag(status.own_doubts.contains(&doubt));
        text.put("outlast_suspects_itself", &[("reason", doubt.name())], is);
    }
    for point in &status.reference {
        let labels = [("address", point.address.as_str()), ("network", point.network.as_str())];
        text.put("outlast_reference_answers", &labels, flag(point.answers));
    }
    nodes(text, status);
    vips(text, status);
    adverts(text, status);
    late(text, status);
    processes(text, status);
    pools(text, status);
    store(text, status);
    coordinator(text, status);
}

/// Of each node whether it is the one that coordinates.
fn coordinator(text: &mut Text, status: &Status) {
    let Some(coordinator) = &status.coordinator else { return };
    // A node without a part of the store does not know.
    let knows = status.store.is_some();
    for line in status.nodes.iter().filter(|line| knows && !line.compute) {
        let is_it = line.state.node == coordinator.node;
        text.put("outlast_coordinator", &[("node", &line.state.node)], flag(is_it));
    }
    if !coordinator.node.is_empty() {
        text.put("outlast_coordinator_token", &[], float(coordinator.token));
        text.put("outlast_coordinator_since_seconds", &[], float(coordinator.since_ms) / 1000.0);
    }
    text.put("outlast_stale_orders_refused_total", &[], float(coordinator.stale_orders));
}

fn refused(text: &mut Text, family: &str, refused: RefusedPackets) {
    let RefusedPackets { forged, replayed, unreadable, astray, unread, last_at_ms: _ } = refused;
    for (reason, packets) in [
        ("forged", forged),
        ("replayed", replayed),
        ("unreadable", unreadable),
        ("astray", astray),
        ("unread", unread),
    ] {
        text.put(family, &[("reason", reason)], float(packets));
    }
}

/// None where nothing judges.
const fn verdict(verdict: Verdict) -> Option<&'static str> {
    match verdict {
        Verdict::Unknown => None,
        Verdict::Alive => Some("alive"),
        Verdict::Suspect => Some("suspect"),
        Verdict::CutOff => Some("cut-off"),
        Verdict::Unreachable => Some("unreachable"),
        Verdict::Leaving => Some("leaving"),
        Verdict::ProvenDead => Some("proven-dead"),
    }
}

/// Up to so many compute nodes each have series of their own, 15 with two networks; of more so many of those that are
/// not well, the worst. All others are counted: what is well there, each of them tells itself.
const COMPUTES: usize = 100;

/// All verdicts, in the order of their words.
const VERDICTS: [Verdict; 7] = [
    Verdict::Unknown,
    Verdict::Alive,
    Verdict::Suspect,
    Verdict::CutOff,
    Verdict::Unreachable,
    Verdict::Leaving,
    Verdict::ProvenDead,
];

/// Of all compute nodes, as what follows may leave some out.
fn computes(text: &mut Text, status: &Status) {
    if !status.nodes.iter().any(|line| line.compute) {
        return;
    }
    let planned: BTreeSet<&str> = status.planned_nodes().collect();
    for (is_planned, word) in [(false, "no"), (true, "yes")] {
        for of in VERDICTS {
            let is_it = |line: &&NodeLine| {
                let state = &line.state;
                let of_it = line.compute && state.opinion.verdict == of;
                of_it && planned.contains(state.node.as_str()) == is_planned
            };
            let nodes = status.nodes.iter().filter(is_it).count();
            let labels = [("verdict", verdict(of).unwrap_or("unknown")), ("planned", word)];
            text.put("outlast_compute_nodes", &labels, count(nodes));
        }
    }
}

fn nodes(text: &mut Text, status: &Status) {
    computes(text, status);
    for line in status.listed_of(COMPUTES).lines {
        let node = line.state.node.as_str();
        text.put("outlast_node_planned", &[("node", node)], flag(status.plan_of(node).is_some()));
        let own = node == status.node;
        let rest = match if own { status.duty } else { line.state.duty } {
            Duty::On => 0.0,
            Duty::Standby => 1.0,
            Duty::Draining => 2.0,
        };
        text.put("outlast_node_duty", &[("node", node)], rest);
        for (standing, word) in [
            (Standing::Unknown, "unknown"),
            (Standing::Alive, "alive"),
            (Standing::Suspect, "suspect"),
            (Standing::Left, "left"),
        ] {
            let is = flag(line.state.standing == standing);
            text.put("outlast_node_standing", &[("node", node), ("standing", word)], is);
        }
        if let Some(verdict) = verdict(line.state.opinion.verdict) {
            let rule = line.state.opinion.rule.as_str();
            text.put(
                "outlast_node_verdict",
                &[("node", node), ("verdict", verdict), ("rule", rule)],
                1.0,
            );
        }
        for cell in &line.state.cells {
            let labels = [("node", node), ("network", cell.network.as_str())];
            text.put("outlast_network_alive", &labels, flag(cell.alive));
            if let Some(age) = cell.age_ms {
                text.put("outlast_network_last_proof_age_seconds", &labels, float(age) / 1000.0);
            }
        }
        if let Some(load) = line.load {
            let labels = [("node", node)];
            text.put("outlast_node_cpu_ratio", &labels, f64::from(load.cpu_percent) / 100.0);
            text.put("outlast_node_memory_ratio", &labels, f64::from(load.memory_percent) / 100.0);
            text.put("outlast_node_fibre_channel_ports", &labels, load.fibre_ports.into());
            text.put("outlast_node_fibre_channel_ports_online", &labels, load.fibre_online.into());
        }
    }
}

fn vips(text: &mut Text, status: &Status) {
    for vip in &status.vips {
        let labels = [("vip", vip.name.as_str())];
        text.put("outlast_vip_holders", &labels, count(trouble::holders(vip, status).len()));
        text.put("outlast_vip_holding", &labels, flag(vip.state.holding));
        text.put("outlast_vip_term", &labels, float(vip.state.term));
        // Who votes only holds nothing that would have to end.
        if let Some(voted) = vip.state.vip_lease.as_ref().filter(|voted| !voted.votes_only) {
            let is = flag(voted.not_enforced.is_none());
            text.put("outlast_vip_lease_enforced", &labels, is);
        }
        for (stage, micros) in vip.state.took.iter().flat_map(api::Took::stages) {
            let labels = [("vip", vip.name.as_str()), ("stage", stage)];
            if let Some(micros) = micros {
                text.put("outlast_vip_took_seconds", &labels, float(micros) / 1e6);
            }
        }
        for (role, word) in
            [(VipRole::Backup, "backup"), (VipRole::Master, "master"), (VipRole::Fault, "fault")]
        {
            let labels = [("vip", vip.name.as_str()), ("role", word)];
            text.put("outlast_vip_role", &labels, flag(vip.state.role == role));
        }
    }
}

/// How late the vip process was, in seconds.
fn late(text: &mut Text, status: &Status) {
    let late = status.vip_process.as_ref().map(|process| &process.late);
    let Some(late) = late.filter(|late| late.waits > 0) else { return };
    for (share, micros) in
        [("0.5", late.p50_us), ("0.99", late.p99_us), ("0.999", late.p999_us), ("1", late.max_us)]
    {
        text.put("outlast_vip_late_seconds", &[("share", share)], float(micros) / 1e6);
    }
}

fn adverts(text: &mut Text, status: &Status) {
    for adverts in &status.adverts_refused {
        let labels = [
            ("vip", adverts.vip.as_deref().unwrap_or_default()),
            ("interface", &adverts.interface),
            ("reason", adverts.reason.name()),
        ];
        text.put("outlast_vip_adverts_refused_total", &labels, float(adverts.count));
    }
}

fn processes(text: &mut Text, status: &Status) {
    for process in &status.processes {
        let labels = [("role", trouble::role(process.role))];
        text.put("outlast_process_up", &labels, flag(process.running));
        // The supervisor does not count itself.
        if process.role != Role::Supervisor {
            text.put("outlast_process_starts_total", &labels, process.starts.into());
        }
    }
    for (state, word) in [
        (BalancerState::Serving, "serving"),
        (BalancerState::Replacing, "replacing"),
        (BalancerState::Failed, "failed"),
    ] {
        // A node without a balancer has none that could fail.
        if status.balancer != BalancerState::Absent {
            let is = flag(status.balancer == state);
            text.put("outlast_balancer_state", &[("state", word)], is);
        }
    }
}

fn store(text: &mut Text, status: &Status) {
    let Some(store) = &status.store else { return };
    let leads = |node: &str| store.leader.as_deref() == Some(node);
    text.put("outlast_store_has_leader", &[], flag(store.leader.is_some()));
    text.put("outlast_store_term", &[], float(store.term));
    for (what, entry) in
        [("last", store.last), ("committed", store.committed), ("applied", store.applied)]
    {
        text.put("outlast_store_entry", &[("what", what)], float(entry));
    }
    text.put("outlast_store_revision", &[], float(store.revision));
    text.put("outlast_store_keys", &[], float(store.keys));
    text.put("outlast_store_content_bytes", &[], float(store.bytes));
    text.put("outlast_store_file_bytes", &[], float(store.file_bytes));
    for member in &store.members {
        let labels = [("node", member.node.as_str())];
        text.put("outlast_store_leads", &labels, flag(leads(&member.node)));
        text.put("outlast_store_votes", &labels, flag(member.votes));
    }
    for (node, lag) in store.lags(&status.node) {
        text.put("outlast_store_lag_entries", &[("node", node)], float(lag));
    }
    let counts = match store.disk {
        StoreDisk::Whole | StoreDisk::WentBack { upto: None } => true,
        StoreDisk::FillsUp { .. } | StoreDisk::WentBack { upto: Some(_) } => false,
    };
    text.put("outlast_store_disk_counts", &[], flag(counts));
    if let Some(at_ms) = store.snapshot.and_then(|snapshot| snapshot.at_ms) {
        let age = status.at_ms.saturating_sub(at_ms);
        text.put("outlast_store_snapshot_age_seconds", &[], float(age) / 1000.0);
    }
}

fn pools(text: &mut Text, status: &Status) {
    for pool in pool::all(status) {
        let labels = [("pool", pool.name)];
        text.put("outlast_pool_servers", &labels, count(pool.servers.len()));
        text.put("outlast_pool_servers_usable", &labels, count(pool.usable()));
        text.put("outlast_pool_servers_planned", &labels, count(pool.planned(status)));
        for server in &pool.servers {
            let name = server.server.as_str();
            let labels = [("pool", pool.name), ("server", name)];
            text.put("outlast_server_suspect", &labels, flag(server.suspect));
            if let Some(writer) = pool.writer {
                text.put("outlast_server_writer", &labels, flag(writer == name));
            }
            for (check, word) in [
                (ServerCheck::Unchecked, "unchecked"),
                (ServerCheck::Up, "up"),
                (ServerCheck::Down, "down"),
                (ServerCheck::Drain, "drain"),
                (ServerCheck::Maintenance, "maintenance"),
            ] {
                let labels = [("pool", pool.name), ("server", name), ("state", word)];
                text.put("outlast_server_state", &labels, flag(server.check == check));
            }
        }
    }
}
