//! The process of a node that runs the store: engine, way to the other nodes, socket for its own.
//!
//! Threads and tasks are inside; whoever hosts it only asks how it is and ends it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use base::{Doors, TurnedAway};
use engine::kv::{Keys, Outcome, Transaction};
use tokio::runtime::{Builder, Runtime};

use crate::embedded::{Progress, SNAPSHOT_EVERY, own_folder};
use crate::etcd::{Account, Gateway};
use crate::local::{Report, SOCKET, name, server};
use crate::net::{Credentials, Deaf, GUESTS, Net};
use crate::{Embedded, Error, NodeId, Options, Store, Timing, Watch, node_id};

/// A write is some twenty hand-overs between tasks: within one thread each costs nothing, between two a turn of
/// the scheduler, which is long on a busy machine.
const WORKERS: usize = 1;
/// The supervisor kills who takes 2 s to end.
const END: Duration = Duration::from_millis(1500);

/// What a node of the store needs to know.
#[derive(Debug)]
pub struct Setup {
    /// Where its file lies; made if it is missing.
    pub folder: PathBuf,
    /// Of the socket for the own node.
    pub run_dir: PathBuf,
    pub cluster: String,
    /// Name of this node.
    pub me: String,
    /// Names of those that vote when the store is founded; later the store itself knows.
    pub members: Vec<String>,
    /// Where this node listens for the others.
    pub own: Vec<SocketAddr>,
    /// Where the others are.
    pub peers: BTreeMap<String, Vec<SocketAddr>>,
    /// Nothing: on loopback only.
    pub credentials: Option<Arc<dyn Credentials>>,
    /// A file on a file system that ends with the kernel.
    pub witness: Option<PathBuf>,
    /// The operator's word that the disk is whole.
    pub trusted: bool,
    /// As [`Options::known`].
    pub known: u64,
    /// An etcd instead of the store inside: of the rest counts `run_dir`, `cluster` and `me`.
    pub etcd: Option<Account>,
}

/// One of the two engines.
#[derive(Debug)]
pub(crate) enum Engine {
    Embedded(Embedded),
    Etcd(Gateway),
}

impl Engine {
    /// Gives the lead to the node of that name.
    ///
    /// # Errors
    /// When it leads on, and why; of an etcd always.
    pub(crate) async fn lead(&self, to: &str) -> Result<(), Error> {
        match self {
            Self::Embedded(store) => store.lead(node_id(to)).await,
            Self::Etcd(_) => Err(Error::Lead("`etcdctl move-leader` does that".to_owned())),
        }
    }

    /// The content as this node has it, if that is not before this revision.
    ///
    /// # Errors
    /// From etcd: it has its own.
    pub(crate) fn backup(&self, revision: u64) -> Result<Option<Vec<u8>>, Error> {
        match self {
            Self::Embedded(store) => {
                Ok((store.status().revision >= revision).then(|| store.snapshot()))
            }
            Self::Etcd(_) => Err(Gateway::backup()),
        }
    }
}

impl Store for Engine {
    async fn transact(&self, transaction: Transaction) -> Result<Outcome, Error> {
        match self {
            Self::Embedded(store) => store.transact(transaction).await,
            Self::Etcd(store) => store.transact(transaction).await,
        }
    }

    async fn watch(&self, after: u64, keys: Keys) -> Result<Watch, Error> {
        match self {
            Self::Embedded(store) => store.watch(after, keys).await,
            Self::Etcd(store) => store.watch(after, keys).await,
        }
    }
}

/// What the socket serves: the store once it is ready, and what can be said of it before.
#[derive(Clone, Debug)]
pub(crate) struct Counter(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    me: String,
    /// Of nodes, by number.
    names: BTreeMap<NodeId, String>,
    engine: OnceLock<Engine>,
    progress: Progress,
    /// Where the others cannot reach it.
    deaf: Deaf,
    /// Who may wait there before it has shown who it is.
    room: Arc<Doors>,
    /// Why the store did not start.
    failed: Mutex<Option<String>>,
}

impl Counter {
    pub(crate) fn engine(&self) -> Option<&Engine> {
        self.0.engine.get()
    }

    fn failure(&self) -> Option<String> {
        let failed = self.0.failed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        failed.or_else(|| match self.engine()? {
            Engine::Embedded(store) => store.failure(),
            // What fails there is for the next question to find out.
            Engine::Etcd(_) => None,
        })
    }

    pub(crate) fn report(&self) -> Report {
        let named = |node| self.0.names.get(&node).cloned().unwrap_or_else(|| format!("{node:x}"));
        let trouble = self.failure().or_else(|| self.0.deaf.text());
        let trouble = trouble.or_else(|| self.0.progress.text(named));
        let start = Report {
            engine: "embedded".to_owned(),
            me: self.0.me.clone(),
            trouble,
            ..Report::default()
        };
        match self.engine() {
            None => start,
            Some(Engine::Embedded(store)) => embedded(store, start),
            Some(Engine::Etcd(store)) => store.report(start),
        }
    }
}

fn embedded(store: &Embedded, start: Report) -> Report {
    let (status, members, has) = (store.status(), store.members(), store.replicated());
    let member = |node: &u64| (name(&members, *node), has.get(node).copied());
    let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let heard = store.heard().into_iter().map(|(node, ago)| (name(&members, node), millis(ago)));
    Report {
        leader: status.leader.map(|node| name(&members, node)),
        term: status.term,
        last: status.last,
        committed: status.committed,
        applied: status.applied,
        revision: status.revision,
        keys: status.keys as u64,
        bytes: status.bytes as u64,
        voters: status.voters.iter().map(member).collect(),
        learners: status.learners.iter().map(member).collect(),
        heard: heard.collect(),
        floor: status.floor,
        incarnation: store.incarnation(),
        went_back: status.went_back,
        syncs: status.syncs,
        file_bytes: status.file_bytes,
        snapshot: status.snapshot,
        snapshot_at_ms: status.snapshot_at_ms,
        ..start
    }
}

fn disk(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Disk { path, source }
}

/// Answers the other processes of the node from now on.
fn listen(run_dir: &std::path::Path, counter: &Counter) -> Result<(), Error> {
    let socket = run_dir.join(SOCKET);
    let listener = server::listen(&socket).map_err(disk(&socket))?;
    tokio::spawn(server::serve(listener, counter.clone()));
    Ok(())
}

/// Starts the store inside; it is ready when the others have said what they know of its disk.
async fn inside(setup: Setup, counter: &Counter, progress: Progress) -> Result<(), Error> {
    listen(&setup.run_dir, counter)?;
    let options = Options {
        folder: setup.folder,
        cluster: setup.cluster,
        me: node_id(&setup.me),
        founders: setup.members.into_iter().map(|name| (node_id(&name), name)).collect(),
        timing: Timing::default(),
        witness: setup.witness,
        trusted: setup.trusted,
        known: setup.known,
        snapshot_every: SNAPSHOT_EVERY,
    };
    let starting = counter.clone();
    tokio::spawn(async move {
        let ears = (&starting.0.deaf, &starting.0.room);
        let net = Net::open(&setup.own, setup.peers, setup.credentials, ears).await;
        match Embedded::start_telling(options, Arc::new(net), progress).await {
            Ok(store) => drop(starting.0.engine.set(Engine::Embedded(store))),
            Err(error) => {
                let why = base::Chain(&error).to_string();
                let mut failed = starting.0.failed.lock().unwrap_or_else(PoisonError::into_inner);
                *failed = Some(why);
            }
        }
    });
    Ok(())
}

/// A running store.
#[derive(Debug)]
pub struct Host {
    runtime: Runtime,
    counter: Counter,
}

impl Host {
    /// Answers its node, and starts the store as soon as it listens for the others somewhere; it serves as soon as a
    /// majority has said what it knows of the disk.
    ///
    /// # Errors
    /// When the socket or the folder cannot be used, or with two members.
    pub fn start(mut setup: Setup) -> Result<Self, Error> {
        let account = setup.etcd.take();
        let ids: BTreeSet<_> = setup.members.iter().map(|member| node_id(member)).collect();
        if account.is_none() {
            if ids.len() == 2 {
                return Err(Error::TwoVoters);
            }
            if ids.len() < setup.members.len() {
                return Err(Error::Members("two names of members are one number".to_owned()));
            }
            own_folder(&setup.folder).map_err(disk(&setup.folder))?;
        }
        let runtime = Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .thread_name("store")
            .enable_all()
            .build()
            .map_err(|error| Error::Stopped(error.to_string()))?;
        let progress = Progress::default();
        let inner = Inner {
            me: setup.me.clone(),
            names: setup.peers.keys().map(|name| (node_id(name), name.clone())).collect(),
            engine: OnceLock::new(),
            progress: progress.clone(),
            deaf: Deaf::default(),
            room: Doors::new(GUESTS),
            failed: Mutex::new(None),
        };
        let counter = Counter(Arc::new(inner));
        runtime.block_on(async {
            match account {
                Some(account) => {
                    drop(counter.0.engine.set(Engine::Etcd(Gateway::start(account))));
                    listen(&setup.run_dir, &counter)
                }
                None => inside(setup, &counter, progress).await,
            }
        })?;
        Ok(Self { runtime, counter })
    }

    /// Does something where the store's tasks run: who hears of it knows that they do.
    pub fn soon(&self, what: impl FnOnce() + Send + 'static) {
        self.runtime.spawn(async { what() });
    }

    #[must_use]
    pub fn report(&self) -> Report {
        self.counter.report()
    }

    /// Connections that were sent away before they had shown who they are, since the start.
    #[must_use]
    pub fn turned_away(&self) -> TurnedAway {
        self.counter.0.room.turned_away()
    }

    /// Why the store has stopped for good, if it has: its disk failed, or it could not start.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.counter.failure()
    }

    /// Ends it; what was acknowledged is on the disk.
    pub fn stop(self) {
        let ending = async {
            match self.counter.engine() {
                Some(Engine::Embedded(store)) => store.stop().await,
                Some(Engine::Etcd(_)) | None => {}
            }
        };
        // Whatever it still waits for is waited for after a kill, too.
        drop(self.runtime.block_on(async { tokio::time::timeout(END, ending).await }));
        self.runtime.shutdown_background();
    }
}
