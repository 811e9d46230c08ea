//! The keys of `outlast.toml`.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use base::Span;
use toml::de::DeValue;

use super::ServiceKind;
use super::read::{
    Field, REQUIRED, boolean, fields, in_order, number, parsed, span, text, texts, time, unknown,
    wrong,
};
use crate::diagnostic::Diagnostic;
use crate::vip::Script;

/// A value and where it stands.
pub(crate) type At<T> = (T, Span);

/// `[cluster]`
#[derive(Debug, Default)]
pub(crate) struct ClusterDraft {
    pub(crate) name: Option<String>,
    pub(crate) secret_file: Option<PathBuf>,
    pub(crate) haproxy: Option<PathBuf>,
    pub(crate) keepalived: Option<PathBuf>,
    pub(crate) run_dir: Option<PathBuf>,
    pub(crate) state_dir: Option<PathBuf>,
    pub(crate) port: Option<u16>,
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
];

/// `[node.NAME]`
#[derive(Debug, Default)]
pub(crate) struct NodeDraft {
    /// Network, address.
    pub(crate) networks: Vec<(At<String>, At<IpAddr>)>,
    pub(crate) priority: Option<u8>,
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
];

/// `[vip.NAME]`
#[derive(Debug, Default)]
pub(crate) struct VipDraft {
    pub(crate) addresses: Vec<At<String>>,
    pub(crate) prefix: Option<At<u8>>,
    pub(crate) network: Option<At<String>>,
    pub(crate) router_id: Option<At<u8>>,
    pub(crate) order: Option<Vec<At<String>>>,
    pub(crate) check: Option<CheckDraft>,
    pub(crate) password: Option<At<String>>,
    pub(crate) unicast: bool,
    pub(crate) interface: Option<String>,
    pub(crate) source: Option<Ipv4Addr>,
}

#[derive(Debug)]
pub(crate) enum CheckDraft {
    None,
    Balancer(Span),
    Script(Script),
}

pub(crate) const VIP: &[Field<VipDraft>] = &[
    Field {
        name: "address",
        form: "\"10.79.0.40\"",
        default: REQUIRED,
        does: "the virtual IP, or a list of them that move together",
        set: |draft, value, _| {
            draft.addresses = texts(value, "an IP address")?;
            Ok(())
        },
    },
    Field {
        name: "network",
        form: "\"management\"",
        default: "the network of which the address is nearest to a node's",
        does: "the network whose interface carries adverts and address",
        set: |draft, value, _| {
            draft.network = Some((text(value, "the name of a network")?, span(value)));
            Ok(())
        },
    },
    Field {
        name: "router_id",
        form: "121",
        default: REQUIRED,
        does: "VRRP's number of the group, once per network",
        set: |draft, value, _| {
            let id = u8::try_from(number(value, "a number", 1, 255)?).unwrap_or(255);
            draft.router_id = Some((id, span(value)));
            Ok(())
        },
    },
    Field {
        name: "check",
        form: "\"balancer\"",
        default: "\"balancer\" with a balancer, else \"none\"",
        does: "\"balancer\", \"none\", or { script = [...], interval = \"2s\", fall = 2, rise = 10 }",
        set: |draft, value, findings| {
            let (word, table) = (value.get_ref().as_str(), value.get_ref().as_table());
            draft.check = Some(match (word, table) {
                (Some("balancer"), _) => CheckDraft::Balancer(span(value)),
                (Some("none"), _) => CheckDraft::None,
                (_, Some(table)) => {
                    let mut script = script();
                    fields(SCRIPT, "`check`", span(value), table, &mut script, findings);
                    CheckDraft::Script(script)
                }
                (_, None) => {
                    return Err(wrong(value, "\"balancer\", \"none\" or { script = [...] }"));
                }
            });
            Ok(())
        },
    },
    Field {
        name: "order",
        form: "[\"node01\", \"node02\"]",
        default: "the order of the nodes in this file",
        does: "which node takes the address at a cold start; nodes left out never do",
        set: |draft, value, _| {
            draft.order = Some(texts(value, "names of nodes")?);
            Ok(())
        },
    },
    Field {
        name: "prefix",
        form: "32",
        default: "32, for IPv6 128",
        does: "prefix length of the address on the device",
        set: |draft, value, _| {
            let prefix = u8::try_from(number(value, "a prefix length", 1, 128)?).unwrap_or(128);
            draft.prefix = Some((prefix, span(value)));
            Ok(())
        },
    },
    Field {
        name: "password",
        form: "\"8 bytes\"",
        default: "none",
        does: "VRRP's own password, for foreign routers; only 8 bytes are used",
        set: |draft, value, _| {
            draft.password = Some((text(value, "a password")?, span(value)));
            Ok(())
        },
    },
    Field {
        name: "unicast",
        form: "true",
        default: "false: multicast",
        does: "sends adverts to each other node, for networks without multicast",
        set: |draft, value, _| {
            draft.unicast = boolean(value)?;
            Ok(())
        },
    },
    Field {
        name: "interface",
        form: "\"eth0\"",
        default: "the one that has the node's address",
        does: "device for adverts and address",
        set: |draft, value, _| {
            draft.interface = Some(text(value, "the name of an interface")?);
            Ok(())
        },
    },
    Field {
        name: "source",
        form: "\"10.79.0.41\"",
        default: "the node's address",
        does: "source of the adverts",
        set: |draft, value, _| {
            draft.source = Some(parsed(value, "an IPv4 address")?);
            Ok(())
        },
    },
];

/// Defaults as keepalived's, but a script that hangs is not waited for longer than its interval.
fn script() -> Script {
    Script {
        name: String::new(),
        command: Vec::new(),
        interval: Duration::from_secs(1),
        timeout: Duration::ZERO,
        fall: 1,
        rise: 1,
        weight: 0,
        starts_failed: false,
        user: None,
        group: None,
    }
}

/// `check = { script = ... }`
pub(crate) const SCRIPT: &[Field<Script>] = &[
    Field {
        name: "script",
        form: "[\"/usr/local/bin/check\", \"argument\"]",
        default: REQUIRED,
        does: "program and arguments; no shell",
        set: |script, value, _| {
            let words = texts(value, "program and arguments")?;
            script.command = words.into_iter().map(|(word, _)| word).collect();
            if script.command.is_empty() {
                return Err(wrong(value, "program and arguments"));
            }
            Ok(())
        },
    },
    Field {
        name: "interval",
        form: "\"2s\"",
        default: "1s",
        does: "between two runs",
        set: |script, value, _| {
            script.interval = time(value)?;
            Ok(())
        },
    },
    Field {
        name: "timeout",
        form: "\"2s\"",
        default: "interval",
        does: "a script that runs longer has failed",
        set: |script, value, _| {
            script.timeout = time(value)?;
            Ok(())
        },
    },
    Field {
        name: "fall",
        form: "2",
        default: "1",
        does: "failures in a row until the address goes",
        set: |script, value, _| {
            script.fall = u32::try_from(number(value, "a count", 1, 1000)?).unwrap_or(1);
            Ok(())
        },
    },
    Field {
        name: "rise",
        form: "2",
        default: "1",
        does: "successes in a row until the node may hold it again",
        set: |script, value, _| {
            script.rise = u32::try_from(number(value, "a count", 1, 1000)?).unwrap_or(1);
            Ok(())
        },
    },
    Field {
        name: "user",
        form: "\"nobody\"",
        default: "keepalived_script if it exists, else root",
        does: "user that runs the script",
        set: |script, value, _| {
            script.user = Some(text(value, "a user")?);
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
];

/// One per network and family are a handful; the process may be handed this many sockets and more.
const MAX_DASHBOARDS: usize = 16;

/// Names of the file's sections, for guesses.
pub(crate) const SECTIONS: [&str; 5] = ["cluster", "node", "vip", "service", "dashboard"];

pub(crate) fn unknown_section(key: (&str, Span)) -> Diagnostic {
    unknown(key, "outlast.toml", SECTIONS)
}
