//! Every metric with its type and what it means; the page of the reference is written from this.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What a number does over time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    Counter,
    Gauge,
}

impl Kind {
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

/// One name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Family {
    pub name: &'static str,
    pub kind: Kind,
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Family {
    Family { name, kind: Kind::Gauge, labels, help }
}

const fn counter(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Family {
    Family { name, kind: Kind::Counter, labels, help }
}

const SERVER: &[&str] = &["pool", "server"];
const POOL: &[&str] = &["pool"];
const NODE: &[&str] = &["node"];
const VIP: &[&str] = &["vip"];
const CELL: &[&str] = &["node", "network"];

/// All names, by name.
pub const FAMILIES: &[Family] = &[
    gauge("outlast_agent_up", &[], "Whether the agent of this node answers (1) or not (0)."),
    gauge(
        "outlast_backend_queued_requests",
        POOL,
        "Requests of the pool that wait for a free server.",
    ),
    gauge("outlast_backend_sessions", POOL, "Sessions with servers of the pool now."),
    counter(
        "outlast_backend_sessions_total",
        POOL,
        "Sessions that were given to servers of the pool.",
    ),
    gauge(
        "outlast_balancer_state",
        &["state"],
        "State of the balancer of this node: 1 for the state it is in, 0 for the others.",
    ),
    gauge(
        "outlast_build_info",
        &["version", "node", "cluster", "mode"],
        "Always 1; the labels say what runs.",
    ),
    gauge(
        "outlast_compute_nodes",
        &["verdict", "planned"],
        "Compute nodes with that verdict, as seen from here, in a maintenance window (yes) or in none (no). Of more than 100 only the 100 that are worst off, and this node itself, have series of their own.",
    ),
    gauge(
        "outlast_configuration_generation",
        &[],
        "Counts configurations in force since the supervisor started.",
    ),
    counter(
        "outlast_connections_refused_total",
        &["door"],
        "Connections that were sent away before they had shown who they are, as too many waited: at the desk for joins and rosters, at the store's door.",
    ),
    gauge(
        "outlast_coordinator",
        NODE,
        "Whether the node decides for the cluster (1) or not (0), as this node's store tells; no node: commands wait.",
    ),
    gauge(
        "outlast_coordinator_since_seconds",
        &[],
        "When this node first saw the present coordinator, in seconds since 1970.",
    ),
    gauge(
        "outlast_coordinator_token",
        &[],
        "Token of the coordinator: each later one of the same store has a greater one.",
    ),
    gauge("outlast_dashboard_followers", &[], "Pages of the dashboard that are live now."),
    counter(
        "outlast_dashboard_handshakes_total",
        &["outcome"],
        "Connections to the dashboard elsewhere than on loopback: completed, failed, late (5 s), plain (no TLS).",
    ),
    counter(
        "outlast_events_total",
        &["node", "kind"],
        "Events known here, by the node that told them; counted since ten minutes before the dashboard started. Kinds that alert rules name begin with 0.",
    ),
    counter("outlast_frontend_received_bytes_total", POOL, "Bytes from clients of the listener."),
    counter(
        "outlast_frontend_request_errors_total",
        POOL,
        "Requests that were no valid ones, or did not end in time.",
    ),
    counter("outlast_frontend_requests_total", POOL, "HTTP requests of clients of the listener."),
    counter(
        "outlast_frontend_responses_total",
        &["pool", "class"],
        "HTTP responses to clients of the listener, by the first digit of their status.",
    ),
    counter("outlast_frontend_sent_bytes_total", POOL, "Bytes to clients of the listener."),
    gauge("outlast_frontend_sessions", POOL, "Sessions of clients of the listener now."),
    counter("outlast_frontend_sessions_total", POOL, "Sessions of clients of the listener."),
    gauge(
        "outlast_network_alive",
        CELL,
        "Whether the node is heard on the network (1) or silent there (0), as seen from here.",
    ),
    gauge(
        "outlast_network_last_proof_age_seconds",
        CELL,
        "Age of the last proof that the node is alive on the network.",
    ),
    gauge(
        "outlast_node_cpu_ratio",
        NODE,
        "Share of all cores that was busy in the last second, 0 to 1, as the node says.",
    ),
    gauge(
        "outlast_node_duty",
        NODE,
        "Whether the node takes on work, as it last said: 0 on duty, 1 on standby, 2 being drained.",
    ),
    gauge("outlast_node_fibre_channel_ports", NODE, "Fibre channel ports that the node has."),
    gauge(
        "outlast_node_fibre_channel_ports_online",
        NODE,
        "Fibre channel ports of the node that are online.",
    ),
    gauge(
        "outlast_node_memory_ratio",
        NODE,
        "Share of the memory that no new program can have, 0 to 1, as the node says.",
    ),
    gauge(
        "outlast_node_planned",
        NODE,
        "Whether a maintenance window of the node, or of the cluster, is open (1), as far as this node's store tells.",
    ),
    gauge(
        "outlast_node_standing",
        &["node", "standing"],
        "Whether this node hears the node: 1 for the standing it has, 0 for the others.",
    ),
    gauge(
        "outlast_node_verdict",
        &["node", "verdict", "rule"],
        "1 for the verdict on the node and the rule that gave it, as seen from here.",
    ),
    counter(
        "outlast_packets_refused_total",
        &["reason"],
        "Datagrams between nodes that the agent did not believe, by why not; unread: thrown away by the kernel.",
    ),
    gauge("outlast_pool_servers", POOL, "Servers of the pool."),
    gauge(
        "outlast_pool_servers_planned",
        POOL,
        "Servers of the pool that get no new requests while their node is in a maintenance window.",
    ),
    gauge("outlast_pool_servers_usable", POOL, "Servers of the pool that get new requests."),
    counter(
        "outlast_process_starts_total",
        &["role"],
        "Starts of the process of this node since the supervisor started.",
    ),
    gauge("outlast_process_up", &["role"], "Whether the process of this node runs."),
    gauge(
        "outlast_proxy_statistics_up",
        &[],
        "Whether the statistics socket of the proxy answers (1) or not (0).",
    ),
    gauge(
        "outlast_reference_answers",
        &["address", "network"],
        "Whether a reference point of the cluster file answers this node's pings.",
    ),
    counter(
        "outlast_server_connection_errors_total",
        SERVER,
        "Attempts to connect to the server that failed.",
    ),
    counter("outlast_server_received_bytes_total", SERVER, "Bytes sent to the server by clients."),
    counter(
        "outlast_server_redispatches_total",
        SERVER,
        "Requests that went to another server because this one did not take them.",
    ),
    counter(
        "outlast_server_response_errors_total",
        SERVER,
        "Responses of the server that broke off or were no valid ones.",
    ),
    counter(
        "outlast_server_responses_total",
        &["pool", "server", "class"],
        "HTTP responses of the server, by the first digit of their status.",
    ),
    counter("outlast_server_retries_total", SERVER, "Attempts to connect that were repeated."),
    counter("outlast_server_sent_bytes_total", SERVER, "Bytes sent by the server to clients."),
    gauge("outlast_server_sessions", SERVER, "Sessions with the server now."),
    counter("outlast_server_sessions_total", SERVER, "Sessions that were given to the server."),
    gauge(
        "outlast_server_state",
        &["pool", "server", "state"],
        "State of the server by its checks: 1 for the state it is in, 0 for the others.",
    ),
    gauge(
        "outlast_server_suspect",
        SERVER,
        "Whether evidence beyond the checks speaks against the server.",
    ),
    gauge("outlast_server_writer", SERVER, "Whether the server is the one that is written to."),
    counter(
        "outlast_stale_orders_refused_total",
        &[],
        "Orders of former coordinators, or of a former store, that this agent refused.",
    ),
    gauge(
        "outlast_status_age_seconds",
        &[],
        "Age of what this node knows; all else is left out when it is older than two seconds.",
    ),
    gauge("outlast_store_content_bytes", &[], "Keys and values in the store, as this node has it."),
    gauge(
        "outlast_store_disk_counts",
        &[],
        "Whether the disk of this node's store counts (1), or must be filled up first (0).",
    ),
    gauge(
        "outlast_store_entry",
        &["what"],
        "Index of the last entry on this node's disk, of the last committed and of the last applied one.",
    ),
    gauge("outlast_store_file_bytes", &[], "Size of the store's file on this node."),
    gauge(
        "outlast_store_has_leader",
        &[],
        "Whether this node's store knows of a leader (1); without one reads and writes wait.",
    ),
    gauge("outlast_store_keys", &[], "Keys in the store, as this node has it."),
    gauge(
        "outlast_store_lag_entries",
        NODE,
        "Entries that a member lacks: of every member where this node leads, else of this one.",
    ),
    gauge("outlast_store_leads", NODE, "Whether this node follows the member as leader."),
    gauge("outlast_store_revision", &[], "Revision of the store's content, as this node has it."),
    gauge(
        "outlast_store_snapshot_age_seconds",
        &[],
        "Age of the newest snapshot on this node, if it was made since its process started.",
    ),
    gauge("outlast_store_term", &[], "Counts elections of the store's leader."),
    gauge(
        "outlast_store_votes",
        NODE,
        "Whether the member of the store votes (1) or is filled up only (0).",
    ),
    gauge(
        "outlast_suspects_itself",
        &["reason"],
        "Whether this node has that against itself (1), so that it accuses nobody; reasons are rules of the table of verdicts.",
    ),
    counter(
        "outlast_vip_adverts_refused_total",
        &["vip", "interface", "reason"],
        "Adverts that were not obeyed (reason addresses: obeyed all the same), since the vip process started; without vip: for none of this node's, as another group's are (router-id).",
    ),
    gauge(
        "outlast_vip_holders",
        VIP,
        "Nodes that say that they hold the virtual IP, as known here. More than one is a fault.",
    ),
    gauge("outlast_vip_holding", VIP, "Whether this node holds the virtual IP."),
    gauge(
        "outlast_vip_late_seconds",
        &["share"],
        "How late the vip process does what is due at a moment, over the last ten to twenty minutes, of that share of all; 1: the longest.",
    ),
    gauge(
        "outlast_vip_lease_enforced",
        VIP,
        "Whether the kernel of this node ends what it holds by votes (1), or its vip process alone (0): that one standing still, two nodes may answer.",
    ),
    counter(
        "outlast_vip_packets_refused_total",
        &["reason"],
        "As outlast_packets_refused_total, of the vip process.",
    ),
    gauge(
        "outlast_vip_role",
        &["vip", "role"],
        "Part of this node in the virtual IP: 1 for the role it has, 0 for the others.",
    ),
    gauge("outlast_vip_term", VIP, "Counts holders of the virtual IP that are known here."),
    gauge(
        "outlast_vip_took_seconds",
        &["vip", "stage"],
        "What the stages took in which the virtual IP came to this node, while this node holds it.",
    ),
];

/// Samples, family by family.
#[derive(Debug, Default)]
pub(super) struct Text {
    /// By position in [`FAMILIES`].
    samples: BTreeMap<usize, String>,
}

impl Text {
    /// Adds one sample.
    ///
    /// # Panics
    /// When the name or its labels are not those of the table: a defect a test finds.
    pub(super) fn put(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let at = FAMILIES.iter().position(|family| family.name == name);
        let at = at.expect("every name written here is in the table");
        debug_assert!(
            labels.iter().map(|label| label.0).eq(FAMILIES[at].labels.iter().copied()),
            "labels of {name}"
        );
        let out = self.samples.entry(at).or_default();
        out.push_str(name);
        for (position, (label, text)) in labels.iter().enumerate() {
            out.push(if position == 0 { '{' } else { ',' });
            out.push_str(label);
            out.push_str("=\"");
            for c in text.chars() {
                match c {
                    '\\' => out.push_str("\\\\"),
                    '"' => out.push_str("\\\""),
                    '\n' => out.push_str("\\n"),
                    other => out.push(other),
                }
            }
            out.push('"');
        }
        out.push_str(if labels.is_empty() { " " } else { "} " });
        // A String takes every text.
        let _ = writeln!(out, "{value}");
    }

    pub(super) fn finish(self) -> String {
        let mut out = String::new();
        for (at, samples) in self.samples {
            let Family { name, kind, help, .. } = FAMILIES[at];
            // A String takes every text.
            let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {}\n{samples}", kind.word());
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_in_order_and_say_their_kind() {
        assert!(FAMILIES.windows(2).all(|pair| pair[0].name < pair[1].name));
        for family in FAMILIES {
            let is_total = family.name.ends_with("_total");
            assert_eq!(family.kind == Kind::Counter, is_total, "{}", family.name);
            assert!(family.help.ends_with('.'), "{}", family.name);
        }
    }

    #[test]
    fn labels_are_escaped() {
        let mut text = Text::default();
        text.put("outlast_vip_term", &[("vip", "a\"b\\c\nd")], 3.0);
        let line = text.finish().lines().last().map(str::to_owned);
        assert_eq!(line.as_deref(), Some(r#"outlast_vip_term{vip="a\"b\\c\nd"} 3"#));
    }
}
