//! Whose turn it is when a generation makes every member start its store process anew: one after the other, so that
//! there is a majority all the time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use ::store::{Local, Store};
use api::Standing;
use api::books::{BookAnswer, BookAsk};
use api::generation::{Applied, CLUSTER_FILE, Files};
use config::cluster::Cluster;
use engine::generation::{self as keys, Peer, waits_for};
use engine::kv::Keys;

use super::books::Books;
use super::core::Core;

/// What this member knows of the others.
pub(super) struct Turn {
    pub(super) me: String,
    pub(super) core: Arc<Mutex<Core>>,
    pub(super) books: Arc<OnceLock<Arc<Books>>>,
}

impl Turn {
    /// What is waited for before this member takes a generation on, in words; none: it is its turn.
    pub(super) fn waits(
        &self,
        local: &Local,
        (running, wanted): (&Files, &Files),
        number: u64,
    ) -> Option<String> {
        let (running, wanted) = (cluster(running)?, cluster(wanted)?);
        let store = running.store.as_ref().filter(|store| store.etcd.is_none())?;
        if crate::store::is_same(Some(&running), Some(&wanted)) {
            return None;
        }
        let nodes = Keys::Prefix(keys::NODES.to_owned());
        let Ok((found, _)) = local.wait(local.client().range(nodes)) else {
            return Some("the store has a leader".to_owned());
        };
        let seen: BTreeMap<_, _> = found
            .iter()
            .filter_map(|(key, item)| {
                let applied: Applied = api::decode(&item.value).ok()?;
                Some((key.strip_prefix(keys::NODES)?, applied.seen))
            })
            .collect();
        let status = super::lock(&self.core).status(sys::clock::now());
        let is_alive = |name: &str| {
            let is_it = |line: &&api::NodeLine| line.state.node == name;
            let line = status.nodes.iter().find(is_it);
            line.is_some_and(|line| line.state.standing == Standing::Alive)
        };
        let names = store.members.iter().filter_map(|at| running.nodes.get(*at));
        let peers: Vec<_> = names
            .map(|node| Peer {
                name: &node.name,
                is_alive: is_alive(&node.name),
                seen: seen.get(node.name.as_str()).copied().unwrap_or(0),
            })
            .collect();
        let waits = waits_for(&peers, &self.me, number, |name| self.hears(name));
        waits.map(|name| format!("{name} has it and is well"))
    }

    /// Whether the leader of the store has an answer of that member.
    fn hears(&self, name: &str) -> bool {
        let Some(books) = self.books.get() else { return false };
        let asked =
            books.does(&BookAsk::Hears { node: name.to_owned(), passed_on: false }, "", &[]);
        matches!(asked, Ok(BookAnswer::Done(true)))
    }
}

fn cluster(files: &Files) -> Option<Cluster> {
    let text = files.get(CLUSTER_FILE)?.clone();
    let source = config::Source { path: CLUSTER_FILE.to_owned(), text };
    config::cluster::parse(&source, 0).0
}
