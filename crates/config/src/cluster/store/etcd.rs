//! `[store]` with `engine = "etcd"`: where an etcd is and who asks it.

use std::net::IpAddr;
use std::path::PathBuf;

use base::Span;

use super::StoreDraft;
use crate::cluster::fields::At;
use crate::cluster::read::{Field, span, text, texts, wrong};
use crate::diagnostic::Diagnostic;

/// An etcd of the site, instead of the store inside.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Etcd {
    /// `https://host:port` or `http://host:port`, in the order in which they are tried.
    pub endpoints: Vec<String>,
    pub ca_file: Option<PathBuf>,
    /// Certificate and key of this client.
    pub pair: Option<(PathBuf, PathBuf)>,
    /// Name, and the file with the password.
    pub user: Option<(String, PathBuf)>,
    /// Of every key.
    pub prefix: String,
}

/// What the section says of it.
#[derive(Debug, Default)]
pub(crate) struct EtcdDraft {
    endpoints: Option<(Vec<At<String>>, Span)>,
    ca_file: Option<PathBuf>,
    cert_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
    user: Option<String>,
    password_file: Option<PathBuf>,
    prefix: Option<String>,
    /// The first key that is only of etcd.
    first: Option<(&'static str, Span)>,
}

/// More than any etcd has members.
const MAX_ENDPOINTS: usize = 16;
/// Of the 512 bytes of a key, for etcd has no such limit and our keys are short.
const MAX_PREFIX: usize = 256;

macro_rules! path {
    ($name:ident, $form:literal, $default:literal, $does:literal) => {
        Field {
            name: stringify!($name),
            form: $form,
            default: $default,
            does: $does,
            set: |draft, value, _| {
                draft.etcd.first.get_or_insert_with(|| (stringify!($name), span(value)));
                draft.etcd.$name = Some(text(value, "a path")?.into());
                Ok(())
            },
        }
    };
}

pub(super) const ENDPOINTS: Field<StoreDraft> = Field {
    name: "endpoints",
    form: "[\"https://10.79.0.51:2379\"]",
    default: "none; with `engine = \"etcd\"` at least one",
    does: "where clients reach the members of etcd; `http` on loopback only",
    set: |draft, value, _| {
        draft.etcd.first.get_or_insert_with(|| ("endpoints", span(value)));
        draft.etcd.endpoints = Some((texts(value, "addresses of etcd")?, span(value)));
        Ok(())
    },
};

pub(super) const CA_FILE: Field<StoreDraft> = path!(
    ca_file,
    "\"/etc/outlast/etcd-ca.pem\"",
    "none; needed for `https`",
    "certificate of the authority that signed those of etcd's members"
);

pub(super) const CERT_FILE: Field<StoreDraft> = path!(
    cert_file,
    "\"/etc/outlast/etcd-client.pem\"",
    "none",
    "certificate that this client shows, where etcd asks for one (`--client-cert-auth`)"
);

pub(super) const KEY_FILE: Field<StoreDraft> =
    path!(key_file, "\"/etc/outlast/etcd-client.key\"", "none", "its key");

pub(super) const USER: Field<StoreDraft> = Field {
    name: "user",
    form: "\"outlast\"",
    default: "none",
    does: "name of the account, where etcd asks for one (`etcdctl auth enable`)",
    set: |draft, value, _| {
        draft.etcd.first.get_or_insert_with(|| ("user", span(value)));
        draft.etcd.user = Some(text(value, "a name")?);
        Ok(())
    },
};

pub(super) const PASSWORD_FILE: Field<StoreDraft> = path!(
    password_file,
    "\"/etc/outlast/etcd-password\"",
    "none; needed with `user`",
    "file with its password; a line break at its end does not count"
);

pub(super) const PREFIX: Field<StoreDraft> = Field {
    name: "prefix",
    form: "\"outlast/cloud/\"",
    default: "outlast/NAME/",
    does: "begins every key in etcd, so that clusters and others can share one",
    set: |draft, value, _| {
        draft.etcd.first.get_or_insert_with(|| ("prefix", span(value)));
        let prefix = text(value, "a text")?;
        if prefix.len() > MAX_PREFIX {
            return Err(wrong(value, "at most 256 bytes"));
        }
        draft.etcd.prefix = Some(prefix);
        Ok(())
    },
};

/// Keys of etcd without `engine = "etcd"` would silently do nothing.
pub(super) fn unused(draft: &EtcdDraft, findings: &mut Vec<Diagnostic>) {
    if let Some((name, at)) = draft.first {
        let message = format!("`{name}` is of etcd, and the store is the one inside");
        let finding = Diagnostic::error(at, "unused-key", message);
        findings.push(finding.help("add `engine = \"etcd\"` to [store], or remove it"));
    }
}

pub(super) fn resolve(
    draft: EtcdDraft,
    at: Span,
    cluster: &str,
    findings: &mut Vec<Diagnostic>,
) -> Etcd {
    let missing =
        |findings: &mut Vec<Diagnostic>, message, help| lacks(at, message, help, findings);
    let (endpoints, at_endpoints) = draft.endpoints.unwrap_or((vec![], at));
    if endpoints.is_empty() {
        let help = "add `endpoints = [\"https://10.79.0.51:2379\"]`";
        missing(findings, "nobody says where etcd is", help);
    }
    if endpoints.len() > MAX_ENDPOINTS {
        let message = format!("more than {MAX_ENDPOINTS} endpoints");
        findings.push(Diagnostic::error(at_endpoints, "too-many-addresses", message));
    }
    let mut secure = false;
    for (endpoint, at) in &endpoints {
        let finding = match Endpoint::of(endpoint) {
            Some(endpoint) => {
                secure |= endpoint.tls;
                (!endpoint.tls && !endpoint.is_loopback()).then(|| {
                    let message = "anybody on the way could read and change what is in the store";
                    Diagnostic::error(*at, "no-encryption", message)
                        .help("write `https://…`; `http` only on loopback")
                })
            }
            None => {
                let message = format!("expected https://HOST:PORT, found \"{endpoint}\"");
                Some(Diagnostic::error(*at, "bad-value", message))
            }
        };
        findings.extend(finding);
    }
    if secure && draft.ca_file.is_none() {
        let help = "add `ca_file = \"/etc/outlast/etcd-ca.pem\"`";
        missing(findings, "nobody says which authority signed the certificates of etcd", help);
    }
    let rows = [
        ("a certificate without its key proves nothing", "add `key_file`"),
        ("a key without its certificate proves nothing", "add `cert_file`"),
    ];
    let pair = both(at, draft.cert_file, draft.key_file, rows, findings);
    let rows = [
        ("an account needs its password", "add `password_file = \"/etc/outlast/etcd-password\"`"),
        ("a password needs its account", "add `user = \"outlast\"`"),
    ];
    let user = both(at, draft.user, draft.password_file, rows, findings);
    Etcd {
        endpoints: endpoints.into_iter().map(|(endpoint, _)| endpoint).collect(),
        ca_file: draft.ca_file,
        pair,
        user,
        prefix: draft.prefix.unwrap_or_else(|| format!("outlast/{cluster}/")),
    }
}

fn lacks(at: Span, message: &'static str, help: &'static str, findings: &mut Vec<Diagnostic>) {
    findings.push(Diagnostic::error(at, "missing-key", message).help(help));
}

/// Two keys that mean nothing without each other; what is said where the second is missing, and the first.
fn both<T, U>(
    at: Span,
    one: Option<T>,
    other: Option<U>,
    [no_other, no_one]: [(&'static str, &'static str); 2],
    findings: &mut Vec<Diagnostic>,
) -> Option<(T, U)> {
    let (message, help) = match (one, other) {
        (Some(one), Some(other)) => return Some((one, other)),
        (None, None) => return None,
        (Some(_), None) => no_other,
        (None, Some(_)) => no_one,
    };
    lacks(at, message, help, findings);
    None
}

/// `https://host:port`.
struct Endpoint<'a> {
    tls: bool,
    host: &'a str,
}

impl<'a> Endpoint<'a> {
    fn of(text: &'a str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let tls = match scheme {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let (host, port) = rest.rsplit_once(':')?;
        let port: u16 = port.parse().ok()?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let is_name = !host.is_empty() && !host.contains(['/', '@', '?', '#', ' ']);
        (is_name && port > 0).then_some(Self { tls, host })
    }

    fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
    }
}
