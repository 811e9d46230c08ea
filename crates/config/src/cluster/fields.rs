//! The keys of `outlast.toml`.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use base::Span;
use toml::de::DeValue;

use super::lease::read_last_man;
use super::read::{
    Field, REQUIRED, boolean, in_order, number, parsed, span, text, texts, time, unknown, wrong,
};
use super::{
    LONGEST_DETECT, LONGEST_VIP_BEAT, MOST_RECORD_MB, NodeRole, SHORTEST_DETECT, SHORTEST_VIP_BEAT,
    ServiceKind,
};
use crate::diagnostic::Diagnostic;

/// A value and where it stands.
pub(crate) type At<T> = (T, Span);

/// `[cluster]`
#[derive(Debug, Default)]
pub(crate) struct ClusterDraft {
    pub(crate) name: Option<String>,
    pub(crate) secret_file: Option<PathBuf>,
    pub(crate) trust_dir: Option<PathBuf>,
    pub(crate) haproxy: Option<PathBuf>,
    pub(crate) keepalived: Option<PathBuf>,
    pub(crate) run_dir: Option<PathBuf>,
    pub(crate) state_dir: Option<PathBuf>,
    pub(crate) port: Option<u16>,
    pub(crate) detect: Option<Duration>,
    pub(crate) vip_beat: Option<Duration>,
    pub(crate) record_mb: Option<u64>,
    pub(crate) reference: Vec<At<String>>,
    pub(crate) last_man: Option<At<Option<Duration>>>,
}

/// The highest port leaves room for the next one, which hand-over messages use.
const MAX_PORT: u64 = 65_534;

pub(crate) const CLUSTER: &[Field<ClusterDraft>] = &[
    Field {
        name: "name",
        form: "\"cloud\"",
        default: REQUIRED,
        does: "name of the cluster; messages of another name are not accepted",
        set: |draft, value, _| {
            let name = text(value, "a name")?;
            if !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
                return Err(wrong(value, "a name of letters, digits and - _ ."));
            }
            draft.name = Some(name);
            Ok(())
        },
    },
    Field {
        name: "secret_file",
        form: "\"/etc/outlast/secret\"",
        default: "none: no beats, no hand-over messages",
        does: "file with at least 32 bytes, the same on every node",
        set: |draft, value, _| {
            draft.secret_file = Some(text(value, "a path")?.into());
            Ok(())
        },
    },
    Field {
        name: "trust_dir",
        form: "\"/var/lib/outlast/trust\"",
        default: "none",
        does: "folder of `outlast init` and `join`: a key per pair of nodes; `secret_file` is not read then",
        set: |draft, value, _| {
            draft.trust_dir = Some(text(value, "a path")?.into());
            Ok(())
        },
    },
    Field {
        name: "haproxy",
        form: "\"haproxy.cfg\"",
        default: "none: no balancer",
        does: "the proxies, in HAProxy's language; relative to this file",
        set: |draft, value, _| {
            draft.haproxy = Some(text(value, "a path")?.into());
            Ok(())
        },
    },
    Field {
        name: "keepalived",
        form: "\"keepalived.conf\"",
        default: "none",
        does: "more virtual IPs, in keepalived's language; relative to this file",
        set: |draft, value, _| {
            draft.keepalived = Some(text(value, "a path")?.into());
            Ok(())
        },
    },
    Field {
        name: "run_dir",
        form: "\"/run/outlast/cloud\"",
        default: "/run/outlast/NAME",
        does: "folder of the control socket and the lock",
        set: |draft, value, _| {
            draft.run_dir = Some(text(value, "a path")?.into());
            Ok(())
        },
    },
    Field {
        name: "state_dir",
        form: "\"/var/lib/outlast/cloud\"",
        default: "/var/lib/outlast/NAME",
        does: "folder of the event log",
        set: |draft, value, _| {
            draft.state_dir = Some(text(value, "a path")?.into());
            Ok(())
        },
    },
    Field {
        name: "port",
        form: "7411",
        default: "7411",
        does: "UDP port of the beats; hand-over messages use the next one",
        set: |draft, value, _| {
            draft.port = u16::try_from(number(value, "a port", 1, MAX_PORT)?).ok();
            Ok(())
        },
    },
    Field {
        name: "detect",
        form: "\"1s\"",
        default: "\"1s\"",
        does: "from the crash of a node to the verdict on it, 0.3 to 30 s; all times of membership follow from it",
        set: |draft, value, _| {
            let detect = time(value)?;
            if !(SHORTEST_DETECT..=LONGEST_DETECT).contains(&detect) {
                return Err(wrong(value, "a time from \"300ms\" to \"30s\""));
            }
            draft.detect = Some(detect);
            Ok(())
        },
    },
    Field {
        name: "vip_beat",
        form: "\"2ms\"",
        default: "\"10ms\"",
        does: "between two beats of the vip processes, 2 to 10 ms; a vip lease is three and a half of them. Where one of them is late too often \
               for that, all use a longer one, at most 10 ms: less than that is for idle machines",
        set: |draft, value, _| {
            let beat = time(value)?;
            if !(SHORTEST_VIP_BEAT..=LONGEST_VIP_BEAT).contains(&beat) {
                return Err(wrong(value, "a time from \"2ms\" to \"10ms\""));
            }
            draft.vip_beat = Some(beat);
            Ok(())
        },
    },
    Field {
        name: "record_mb",
        form: "16",
        default: "16",
        does: "megabytes on disk for what membership, gossip, virtual IPs and the coordinator heard and decided (`outlast replay`); 0: it is not recorded",
        set: |draft, value, _| {
            draft.record_mb = Some(number(value, "megabytes", 0, MOST_RECORD_MB)?);
            Ok(())
        },
    },
    Field {
        name: "reference",
        form: "[\"10.0.0.1\", \"10.0.1.1\"]",
        default: "none",
        does: "addresses of machines beside the cluster that each node pings, best a gateway on each network; a node that reaches neither any of them nor a majority accuses nobody",
        set: |draft, value, _| {
            draft.reference = texts(value, "an address, or a list of them")?;
            Ok(())
        },
    },
    Field {
        name: "last_man",
        form: "\"allow\"",
        default: "\"deny\"",
        does: "what virtual IPs with `lease` have that say nothing else: `last_man` of [vip.NAME]",
        set: |draft, value, _| {
            draft.last_man = Some((read_last_man(value)?, span(value)));
            Ok(())
        },
    },
];

/// `[node.NAME]`
#[derive(Debug, Default)]
pub(crate) struct NodeDraft {
    /// Network, address.
    pub(crate) networks: Vec<(At<String>, At<IpAddr>)>,
    pub(crate) priority: Option<u8>,
    pub(crate) role: NodeRole,
}

pub(crate) const NODE: &[Field<NodeDraft>] = &[
    Field {
        name: "networks",
        form: "{ management = \"10.79.0.41\", storage = \"10.80.0.41\" }",
        default: REQUIRED,
        does: "the node's address on each network it is on",
        set: |draft, value, findings| {
            let DeValue::Table(table) = value.get_ref() else {
                return Err(wrong(value, "networks with addresses"));
            };
            for ((network, at), value) in in_order(table) {
                match parsed(value, "an IP address") {
                    Ok(ip) => {
                        draft.networks.push(((network.to_owned(), at), (ip, span(value))));
                    }
                    Err(finding) => findings.push(finding),
                }
            }
            Ok(())
        },
    },
    Field {
        name: "priority",
        form: "100",
        default: "by the order of the nodes: 200, 150, 100",
        does: "VRRP priority in virtual IPs of keepalived's file, if all nodes share that file",
        set: |draft, value, _| {
            draft.priority = u8::try_from(number(value, "a priority", 1, 254)?).ok();
            Ok(())
        },
    },
    Field {
        name: "role",
        form: "\"compute\"",
        default: "\"controller\"",
        does: "\"controller\" (at most 32): decides, may hold virtual IPs and the store; \"voter\": a controller that runs no \
               balancer and holds no virtual IP, and votes, as the third one beside two; \"compute\" (2,048 nodes in all): \
               gossips and is watched, runs no balancer and holds no virtual IP. A line is enough for one: \
               `[node]`, then `cmp-001 = { role = \"compute\", networks = { ... } }`",
        set: |draft, value, _| {
            draft.role = match value.get_ref().as_str() {
                Some("controller") => NodeRole::Controller,
                Some("voter") => NodeRole::Voter,
                Some("compute") => NodeRole::Compute,
                _ => return Err(wrong(value, "\"controller\", \"voter\" or \"compute\"")),
            };
            Ok(())
        },
    },
];

/// `[service.NAME]`
#[derive(Debug, Default)]
pub(crate) struct ServiceDraft {
    pub(crate) proxy: Option<At<String>>,
    pub(crate) kind: Option<ServiceKind>,
}

pub(crate) const SERVICE: &[Field<ServiceDraft>] = &[
    Field {
        name: "proxy",
        form: "\"mariadb\"",
        default: "the name of the service",
        does: "the `listen` or `backend` section it stands for",
        set: |draft, value, _| {
            draft.proxy = Some((text(value, "the name of a proxy")?, span(value)));
            Ok(())
        },
    },
    Field {
        name: "kind",
        form: "\"database\"",
        default: REQUIRED,
        does: "\"database\": one server at a time, no fail-back; \"api\": all at once",
        set: |draft, value, _| {
            draft.kind = Some(match value.get_ref().as_str() {
                Some("database") => ServiceKind::Database,
                Some("api") => ServiceKind::Api,
                _ => return Err(wrong(value, "\"database\" or \"api\"")),
            });
            Ok(())
        },
    },
];

/// `[dashboard]`
#[derive(Debug, Default)]
pub(crate) struct DashboardDraft {
    /// Empty: nowhere.
    pub(crate) listen: Option<Vec<At<String>>>,
    pub(crate) token_file: Option<PathBuf>,
    pub(crate) tls_cert: Option<At<PathBuf>>,
    pub(crate) tls_key: Option<At<PathBuf>>,
    pub(crate) insecure: Option<At<bool>>,
}

pub(crate) const DASHBOARD: &[Field<DashboardDraft>] = &[
    Field {
        name: "listen",
        form: "\"management:7412\"",
        default: "\"127.0.0.1:7412\"",
        does: "where the dashboard answers: an address or a network's name, with a port, or a list; \"none\": nowhere",
        set: |draft, value, findings| {
            if value.get_ref().as_str() == Some("none") {
                draft.listen = Some(vec![]);
                return Ok(());
            }
            let listen = texts(value, "an address and a port, or \"none\"")?;
            if let Some((_, at)) = listen.get(MAX_DASHBOARDS) {
                let message = format!("more than {MAX_DASHBOARDS} addresses for the dashboard");
                findings.push(Diagnostic::error(*at, "too-many-addresses", message));
            }
            draft.listen = Some(listen);
            Ok(())
        },
    },
    Field {
        name: "token_file",
        form: "\"/etc/outlast/token\"",
        default: "none: on loopback only",
        does: "file with at least 16 characters that a browser must know to see it from elsewhere",
        set: |draft, value, _| {
            draft.token_file = Some(text(value, "a path")?.into());
            Ok(())
        },
    },
    Field {
        name: "tls_cert",
        form: "\"/etc/outlast/dashboard.crt\"",
        default: "the node's own, of `trust_dir`",
        does: "certificates (PEM) that are shown elsewhere than on loopback, the server's own first; with `tls_key`",
        set: |draft, value, _| {
            draft.tls_cert = Some((text(value, "a path")?.into(), span(value)));
            Ok(())
        },
    },
    Field {
        name: "tls_key",
        form: "\"/etc/outlast/dashboard.key\"",
        default: "the node's own, of `trust_dir`",
        does: "the key of `tls_cert` (PEM, mode 600); another file in its place is used without a restart",
        set: |draft, value, _| {
            draft.tls_key = Some((text(value, "a path")?.into(), span(value)));
            Ok(())
        },
    },
    Field {
        name: "insecure",
        form: "true",
        default: "false",
        does: "show it elsewhere than on loopback without TLS: whoever hears the network reads pages and token",
        set: |draft, value, _| {
            draft.insecure = Some((boolean(value)?, span(value)));
            Ok(())
        },
    },
];

/// One per network and family are a handful; the process may be handed this many sockets and more.
const MAX_DASHBOARDS: usize = 16;

/// Names of the file's sections, for guesses.
pub(crate) const SECTIONS: [&str; 8] =
    ["cluster", "node", "vip", "service", "dashboard", "access", "store", "notify"];

pub(crate) fn unknown_section(key: (&str, Span)) -> Diagnostic {
    unknown(key, "outlast.toml", SECTIONS)
}
