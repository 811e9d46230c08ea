//! `outlast.toml`: the cluster.

pub use model::{
    Access, Cluster, DEFAULT_DETECT, DEFAULT_RECORD_MB, Dashboard, DashboardTls, LONGEST_DETECT,
    LONGEST_VIP_BEAT, Listen, MOST_RECORD_MB, MOST_REFERENCES, Node, NodeRole, Person, Reference,
    SHORTEST_DETECT, SHORTEST_VIP_BEAT, Service, ServiceKind, Vip, VipCheck,
};

pub use notify::{
    Endpoint, Mail, MailTls, Place, Receiver, Topic, Url, Way, Webhook, usual_authorities,
};
pub use store::{Etcd, Store};

pub(crate) use access::ACCESS;
pub(crate) use bfd::BFD_KEYS;
pub(crate) use read::{Field, REQUIRED};

use crate::{Diagnostic, Source, diagnostic};

mod accept;
mod access;
mod bfd;
pub(crate) mod check;
mod dashboard;
pub(crate) mod fields;
mod hmac;
mod lease;
mod model;
pub(crate) mod notify;
mod parse;
mod place;
mod read;
mod reference;
mod run_as;
mod same;
pub(crate) mod store;
mod together;
pub(crate) mod track;
pub(crate) mod vips;
mod virtual_mac;
mod weighs;

/// 2,000 nodes of two networks and a thousand services have 300 KB; reading TOML takes a hundred times its size (bytes).
const MAX_FILE: usize = 1 << 20;

/// Reads the file with number `file` in findings. No cluster if it is too broken to be one.
///
/// Paths are kept as written; relative ones are meant from the folder of the file.
#[must_use]
pub fn parse(source: &Source, file: usize) -> (Option<Cluster>, Vec<Diagnostic>) {
    let mut findings = Vec::new();
    if source.text.len() > MAX_FILE {
        let message = format!("a cluster file has at most {MAX_FILE} bytes");
        let here = base::Span::new(MAX_FILE, source.text.len());
        return (None, vec![Diagnostic::error(here, "too-large", message).in_file(file)]);
    }
    let cluster = parse::parse(&source.text, &mut findings);
    for finding in &mut findings {
        finding.file = file;
    }
    findings.sort_by_key(|finding| finding.span.start);
    diagnostic::limit(&mut findings);
    (cluster, findings)
}
