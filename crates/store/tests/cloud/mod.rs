//! Nodes of the store in one process, on loopback, with a network that can be cut.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use engine::kv::{Outcome, Transaction};
use outlast_store::embedded::{NodeId, SNAPSHOT_EVERY};
use outlast_store::{
    Accepted, Duplex, Embedded, Error, Later, Options, Plain, Restoring, Status, Store, TRUSTED,
    Timing, Transport,
};
use tokio::time::Instant;

/// Longer than anything here takes on a machine that is ten times too slow.
const PATIENCE: Duration = Duration::from_secs(20);

/// Who cannot reach whom.
type Cuts = Arc<Mutex<BTreeSet<(NodeId, NodeId)>>>;

/// Nodes 1.. with a folder and an address each; those in `nodes` run.
#[derive(Debug)]
pub(crate) struct Cloud {
    folder: PathBuf,
    addresses: Arc<Mutex<BTreeMap<NodeId, String>>>,
    cuts: Cuts,
    pub(crate) nodes: BTreeMap<NodeId, Embedded>,
    pub(crate) snapshot_every: u64,
    /// Incarnations of former stores, by who knows of them.
    pub(crate) known: BTreeMap<NodeId, u64>,
    pub(crate) witness: bool,
    /// Names by number.
    pub(crate) founders: BTreeMap<NodeId, String>,
    /// Whose disks the operator gives his word for.
    pub(crate) trusted: BTreeSet<NodeId>,
    pub(crate) timing: Timing,
}

#[derive(Debug)]
pub(crate) struct Net {
    me: NodeId,
    plain: Plain,
    addresses: Arc<Mutex<BTreeMap<NodeId, String>>>,
    cuts: Cuts,
}

impl Transport for Net {
    fn connect<'a>(&'a self, to: NodeId, _: &'a str) -> Later<'a, io::Result<Box<dyn Duplex>>> {
        Box::pin(async move {
            let cut = self.cuts.lock().unwrap().contains(&(self.me, to));
            let address = self.addresses.lock().unwrap().get(&to).cloned();
            match address {
                Some(address) if !cut => self.plain.connect(to, &address).await,
                Some(_) | None => Err(io::ErrorKind::ConnectionRefused.into()),
            }
        })
    }

    fn accept(&self) -> Later<'_, io::Result<Accepted>> {
        self.plain.accept()
    }
}

impl Cloud {
    pub(crate) fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("outlast-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self {
            folder,
            addresses: Arc::default(),
            cuts: Cuts::default(),
            nodes: BTreeMap::new(),
            snapshot_every: SNAPSHOT_EVERY,
            witness: false,
            founders: [1, 2, 3].map(|node| (node, format!("node{node}"))).into(),
            trusted: BTreeSet::new(),
            known: BTreeMap::new(),
            timing: Timing::default(),
        }
    }

    pub(crate) async fn of_three(name: &str) -> Self {
        let mut cloud = Self::new(name);
        cloud.start_all(&[1, 2, 3]).await;
        cloud
    }

    pub(crate) fn file(&self, node: NodeId) -> PathBuf {
        self.path(node).join("store.redb")
    }

    /// Its witness.
    pub(crate) fn remembers(&self, node: NodeId) -> PathBuf {
        self.folder.join(format!("{node}.witness"))
    }

    pub(crate) fn path(&self, node: NodeId) -> PathBuf {
        self.folder.join(node.to_string())
    }

    pub(crate) fn options(&self, node: NodeId) -> Options {
        let folder = self.path(node);
        std::fs::create_dir_all(&folder).unwrap();
        Options {
            witness: self.witness.then(|| self.remembers(node)),
            folder: folder.clone(),
            cluster: "test".to_owned(),
            me: node,
            founders: self.founders.clone(),
            timing: self.timing,
            // A restore leaves its word for one start.
            trusted: self.trusted.contains(&node) || folder.join(TRUSTED).exists(),
            known: self.known.get(&node).copied().unwrap_or(0),
            snapshot_every: self.snapshot_every,
        }
    }

    pub(crate) async fn net(&self, node: NodeId) -> Arc<Net> {
        let plain = Plain::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = plain.address().unwrap().to_string();
        self.addresses.lock().unwrap().insert(node, address);
        let (addresses, cuts) = (Arc::clone(&self.addresses), Arc::clone(&self.cuts));
        Arc::new(Net { me: node, plain, addresses, cuts })
    }

    /// Begins to start a node; it is there when the others have confirmed its disk.
    pub(crate) async fn starting(
        &self,
        node: NodeId,
    ) -> tokio::task::JoinHandle<Result<Embedded, Error>> {
        let (options, net) = (self.options(node), self.net(node).await);
        tokio::spawn(Embedded::start(options, net))
    }

    pub(crate) async fn start_all(&mut self, nodes: &[NodeId]) {
        let mut starting = vec![];
        for node in nodes {
            starting.push((*node, self.starting(*node).await));
        }
        for (node, starting) in starting {
            let started = tokio::time::timeout(PATIENCE, starting).await;
            self.nodes.insert(node, started.expect("it starts").unwrap().unwrap());
        }
    }

    pub(crate) async fn stop(&mut self, node: NodeId) {
        self.nodes.remove(&node).unwrap().stop().await;
        self.addresses.lock().unwrap().remove(&node);
    }

    /// Does what may be done twice: a leader that is gone takes its answer with it.
    pub(crate) async fn surely(&self, node: NodeId, transaction: Transaction) -> Outcome {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.nodes[&node].transact(transaction.clone()).await {
                Err(Error::Unknown | Error::NoLeader(_)) if Instant::now() < deadline => {}
                done => return done.unwrap(),
            }
        }
    }

    pub(crate) fn cut(&self, one: NodeId, other: NodeId) {
        self.cuts.lock().unwrap().extend([(one, other), (other, one)]);
    }

    pub(crate) fn heal(&self) {
        self.cuts.lock().unwrap().clear();
    }

    pub(crate) fn status(&self, node: NodeId) -> Status {
        self.nodes[&node].status()
    }

    /// Waits until all running nodes follow one running leader.
    pub(crate) async fn leader(&self) -> NodeId {
        self.until("there is one leader", |cloud| {
            let leaders: BTreeSet<_> =
                cloud.nodes.keys().map(|node| cloud.status(*node).leader).collect();
            let leader = leaders.first().copied().flatten()?;
            (leaders.len() == 1 && cloud.nodes.contains_key(&leader)).then_some(leader)
        })
        .await
    }

    /// Gives the lead round until that node has it, in a term of at least that number.
    pub(crate) async fn led_by(&self, node: NodeId, term: u64) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let leader = self.leader().await;
            let is_late = self.status(leader).term >= term;
            if leader == node && is_late {
                return;
            }
            assert!(Instant::now() < deadline, "never led by {node} in term {term}");
            let others = self.nodes.keys().copied();
            let to =
                if leader == node { others.filter(|other| *other != node).min() } else { None };
            // Whoever did not take it within a second is asked again.
            drop(self.nodes[&leader].lead(to.unwrap_or(node)).await);
        }
    }

    /// Restores these members from a backup, as an operator does: what each had is written anew.
    /// `from`: the revision of the first of them, where there was one before; that is the answer.
    pub(crate) fn restore(
        &self,
        nodes: &[NodeId],
        backup: &[u8],
        mut from: Option<u64>,
    ) -> Option<u64> {
        for node in nodes {
            let options = self.options(*node);
            let restoring = Restoring {
                folder: options.folder,
                cluster: options.cluster,
                me: self.founders[node].clone(),
                members: self.founders.values().cloned().collect(),
                witness: options.witness,
                from,
                wall_ms: sys::clock::wall_ms(),
                known: 0,
            };
            from = Some(outlast_store::restore(&restoring, backup).unwrap());
        }
        from
    }

    pub(crate) async fn until<T>(&self, what: &str, seen: impl Fn(&Self) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(seen) = seen(self) {
                return seen;
            }
            let all: Vec<_> = self.nodes.values().map(Embedded::status).collect();
            assert!(Instant::now() < deadline, "never: {what}; {all:#?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until all running nodes have applied the same.
    pub(crate) async fn even(&self) {
        self.until("all have applied the same", |cloud| {
            let all: BTreeSet<_> =
                cloud.nodes.keys().map(|node| cloud.status(*node).applied).collect();
            (all.len() == 1).then_some(())
        })
        .await;
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        remove(&self.folder);
    }
}

fn remove(folder: &Path) {
    if let Err(error) = std::fs::remove_dir_all(folder) {
        eprintln!("removing {}: {error}", folder.display());
    }
}
