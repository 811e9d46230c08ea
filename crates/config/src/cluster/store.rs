//! `[store]`: which nodes hold the replicated store, and where.

mod etcd;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use base::Span;

use super::fields::At;
use super::read::{Field, number, span, text, texts, wrong};
use super::{Cluster, Node};
use crate::diagnostic::Diagnostic;
pub use etcd::Etcd;
use etcd::EtcdDraft;

/// `[store]`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Store {
    /// Positions of the nodes that vote; with etcd of those that ask it.
    pub members: Vec<usize>,
    /// TCP, on each address of a member.
    pub port: u16,
    /// Where its file lies; `state_dir`/store if the file does not say.
    pub directory: Option<PathBuf>,
    /// Nothing: the store is the one inside.
    pub etcd: Option<Etcd>,
}

impl Store {
    /// TCP port unless the file says another.
    pub const PORT: u16 = 7414;
    /// More voters only make each write slower: seven outlive three.
    pub const MAX_MEMBERS: usize = 7;

    /// Where the store of a node is reached, on each of its networks.
    #[must_use]
    pub fn addresses(&self, node: &Node) -> Vec<SocketAddr> {
        let on = node.addresses.iter().flatten();
        on.map(|address| SocketAddr::new(*address, self.port)).collect()
    }
}

/// What the section says.
#[derive(Debug, Default)]
pub(crate) struct StoreDraft {
    engine: Option<Engine>,
    members: Option<(Vec<At<String>>, Span)>,
    port: Option<u16>,
    directory: Option<PathBuf>,
    /// The first key that is only of the store inside.
    inside: Option<(&'static str, Span)>,
    etcd: EtcdDraft,
}

#[derive(Clone, Copy, Debug)]
enum Engine {
    Embedded,
    Etcd,
}

pub(crate) const STORE: &[Field<StoreDraft>] = &[
    Field {
        name: "engine",
        form: "\"etcd\"",
        default: "\"embedded\"",
        does: "\"embedded\": the store inside, nothing to install; \"etcd\": one of the site",
        set: |draft, value, _| {
            draft.engine = Some(match value.get_ref().as_str() {
                Some("embedded") => Engine::Embedded,
                Some("etcd") => Engine::Etcd,
                _ => return Err(wrong(value, "\"embedded\" or \"etcd\"")),
            });
            Ok(())
        },
    },
    Field {
        name: "members",
        form: "[\"node01\", \"node02\", \"node03\"]",
        default: "all controllers of the file",
        does: "the nodes that hold the store and vote: 1, 3, 5 or 7; two could not lose any; with etcd those that ask it",
        set: |draft, value, _| {
            draft.members = Some((texts(value, "names of nodes")?, span(value)));
            Ok(())
        },
    },
    Field {
        name: "port",
        form: "7414",
        default: "7414",
        does: "TCP port between members, on each of their networks",
        set: |draft, value, _| {
            draft.inside.get_or_insert_with(|| ("port", span(value)));
            draft.port = u16::try_from(number(value, "a port", 1_024, 65_535)?).ok();
            Ok(())
        },
    },
    Field {
        name: "directory",
        form: "\"/var/lib/outlast/cloud/store\"",
        default: "`store` in state_dir",
        does: "folder of its file; a disk with fast fsync makes fast writes",
        set: |draft, value, _| {
            draft.inside.get_or_insert_with(|| ("directory", span(value)));
            draft.directory = Some(text(value, "a path")?.into());
            Ok(())
        },
    },
    etcd::ENDPOINTS,
    etcd::CA_FILE,
    etcd::CERT_FILE,
    etcd::KEY_FILE,
    etcd::USER,
    etcd::PASSWORD_FILE,
    etcd::PREFIX,
];

/// In a cluster of which everything else is known.
pub(super) fn resolve(
    (draft, at): (StoreDraft, Span),
    cluster: &Cluster,
    findings: &mut Vec<Diagnostic>,
) -> Store {
    // With certificates members prove who they are.
    let (nodes, trusted) = (cluster.nodes.as_slice(), cluster.trust_dir.is_some());
    let whole = at;
    let (members, at) = match draft.members {
        Some((names, at)) => {
            let members = super::parse::order_of(&names, nodes, findings);
            if members.len() < names.len() {
                // How many they are is not known before the names are right.
                let (port, directory) = (draft.port.unwrap_or(Store::PORT), draft.directory);
                return Store { members, port, directory, etcd: None };
            }
            (members, at)
        }
        None => (super::parse::deciders(nodes), at),
    };
    let port = draft.port.unwrap_or(Store::PORT);
    if let Some(Engine::Etcd) = draft.engine {
        if let Some((name, at)) = draft.inside {
            let message = format!("`{name}` is of the store inside, and this one is etcd");
            findings.push(Diagnostic::error(at, "unused-key", message).help("remove it"));
        }
        let etcd = Some(etcd::resolve(draft.etcd, whole, &cluster.name, findings));
        return Store { members, port, directory: None, etcd };
    }
    etcd::unused(&draft.etcd, findings);
    let store = Store { members, port, directory: draft.directory, etcd: None };
    let wrong = |code, message: &str, help| Diagnostic::error(at, code, message).help(help);
    findings.extend(count(store.members.len(), at));
    let of_members = || store.members.iter().filter_map(|member| nodes.get(*member));
    let is_local =
        of_members().flat_map(|node| node.addresses.iter().flatten()).all(IpAddr::is_loopback);
    if store.members.len() > 1 && !trusted && !is_local {
        findings.push(wrong(
            "missing-key",
            "without certificates members of the store cannot prove who they are",
            "add `trust_dir = \"/var/lib/outlast/trust\"` to [cluster], after `outlast init` and `join`",
        ));
    }
    let networks = nodes.first().map_or(0, |node| node.addresses.len());
    let has_all = |network: &usize| of_members().all(|node| node.addresses[*network].is_some());
    if !store.members.is_empty() && !(0..networks).any(|network| has_all(&network)) {
        findings.push(wrong(
            "no-network",
            "there is no network on which all members of the store are",
            "give each of them an address on one network",
        ));
    }
    store
}

/// What is wrong with that many members.
fn count(members: usize, at: Span) -> Option<Diagnostic> {
    let name_them = "name the nodes that hold it: `members = [\"node01\", \"node02\", \"node03\"]`";
    let (code, message, help) = match members {
        0 => ("missing-members", "the store has no member".to_owned(), name_them),
        2 => (
            "two-voters",
            "two members of the store cannot lose any: with one gone the other has no majority"
                .to_owned(),
            "name a third node, it may run nothing else; or one, if this is a test",
        ),
        4..=Store::MAX_MEMBERS if members.is_multiple_of(2) => {
            let message = format!("{members} members outlive no more losses than {}", members - 1);
            let finding = Diagnostic::warning(at, "even-members", message);
            return Some(finding.help("name one less"));
        }
        1..=Store::MAX_MEMBERS => return None,
        _ => (
            "too-many-members",
            format!("the store has {members} members, at most {} make sense", Store::MAX_MEMBERS),
            name_them,
        ),
    };
    Some(Diagnostic::error(at, code, message).help(help))
}
