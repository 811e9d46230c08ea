//! The store's process: no capabilities, the daemon's user, no client of its own; it may stop without that
//! an address moves.
//!
//! Threads and tasks are inside `store::Host`. What happens here: the supervisor's orders, and a look
//! whether the store has stopped for good, so that the supervisor starts another.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ::store::etcd::Account;
use ::store::{Credentials, Host, Setup, TRUSTED};
use api::{Order, Report, Start, StoreDisk, StoreMember, StoreSnapshot, StoreState};
use base::Time;
use config::cluster::Cluster;
use rustix::fs::statfs;
use sys::channel::Channel;
use sys::poll::{Interest, Poller};
use trust::{Folder, Mutual, MutualError};

use crate::files::Texts;

/// How soon a store that has stopped is noticed.
const GLANCE: Duration = Duration::from_millis(500);
/// Of all its threads. A write is a dozen short turns of threads after each other on two nodes: beside programs
/// that compute, each of them would wait for the end of somebody's slice.
const NICE: i32 = -10;
/// Of the file system that ends with the kernel (`linux/magic.h`).
const TMPFS: i64 = 0x0102_1994;

/// Why there is no store.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("the cluster file has no store for this node")]
    None,
    #[error("cannot give rights up")]
    Rights(#[source] io::Error),
    #[error("the store cannot start")]
    Start(#[from] ::store::Error),
    #[error("cannot hear the supervisor")]
    Supervisor(#[source] io::Error),
    #[error("the store in {} has stopped: {why}", .folder.display())]
    Stopped { folder: PathBuf, why: String },
}

/// Mutual TLS by the trust folder.
#[derive(Debug)]
struct Trusted(Mutual);

impl Credentials for Trusted {
    fn server(&self) -> io::Result<Arc<rustls::ServerConfig>> {
        self.0.server().map_err(io::Error::other)
    }

    fn client(&self) -> io::Result<Arc<rustls::ClientConfig>> {
        self.0.client().map_err(io::Error::other)
    }

    fn name_of(&self, node: &str) -> io::Result<rustls::pki_types::ServerName<'static>> {
        Mutual::name_of(node).map_err(io::Error::other)
    }

    fn who(&self, certificate: &[u8]) -> io::Result<String> {
        self.0.who(certificate).map_err(|error| match error {
            MutualError::Stranger | MutualError::Revoked(_) | MutualError::Compute(_) => {
                io::Error::new(io::ErrorKind::PermissionDenied, error.to_string())
            }
            MutualError::Trust(_)
            | MutualError::Tls(_)
            | MutualError::Look { .. }
            | MutualError::Name(_) => io::Error::other(error),
        })
    }
}

/// Whether a process of this node is to run the store.
pub(crate) fn is_member(cluster: Option<&Cluster>, me: Option<usize>) -> bool {
    let store = cluster.and_then(|cluster| cluster.store.as_ref());
    store.zip(me).is_some_and(|(store, me)| store.members.contains(&me))
}

/// As the cluster file and `status` name it.
pub(crate) fn engine(cluster: Option<&Cluster>) -> &'static str {
    let store = cluster.and_then(|cluster| cluster.store.as_ref());
    if store.is_some_and(|store| store.etcd.is_some()) { "etcd" } else { "embedded" }
}

/// Whether the store's process is made of the same; the trust folder it reads by itself.
pub(crate) fn is_same(one: Option<&Cluster>, other: Option<&Cluster>) -> bool {
    fn of(cluster: &Cluster) -> impl PartialEq + '_ {
        let nodes = cluster.nodes.iter().map(|node| (&node.name, &node.addresses));
        (&cluster.store, &cluster.name, nodes.collect::<Vec<_>>(), &cluster.trust_dir)
    }
    one.map(of) == other.map(of)
}

/// Where the store's file lies.
pub(crate) fn folder(cluster: &Cluster, state_dir: &Path) -> PathBuf {
    let directory = cluster.store.as_ref().and_then(|store| store.directory.clone());
    directory.unwrap_or_else(|| state_dir.join("store"))
}

pub(crate) fn run(channel: &Channel, start: &Start, texts: &Texts) -> Result<(), StoreError> {
    // Where that right is missing it is as slow as its machine is busy; the agent says so.
    let _ = sys::schedule::nice(NICE);
    sys::rights::drop_capabilities().map_err(StoreError::Rights)?;
    let mut known = Known::open(Path::new(&start.state_dir));
    let setup = setup(start, texts, known.greatest).ok_or(StoreError::None)?;
    let word = setup.folder.join(TRUSTED);
    let host = Host::start(setup)?;
    let outcome = obey(channel, start.generation, &host, (&word, &mut known));
    host.stop();
    outcome
}

fn setup(start: &Start, texts: &Texts, known: u64) -> Option<Setup> {
    let source = texts.cluster.as_ref()?;
    let cluster = config::cluster::parse(source, 0).0?;
    let store = cluster.store.as_ref()?;
    let beside =
        |path: &Path| Path::new(&source.path).parent().unwrap_or_else(|| Path::new(".")).join(path);
    let me = cluster.nodes.iter().find(|node| node.name == start.node)?;
    let named = |member: &usize| cluster.nodes.get(*member).map(|node| node.name.clone());
    let peers: BTreeMap<String, Vec<SocketAddr>> =
        cluster.nodes.iter().map(|node| (node.name.clone(), store.addresses(node))).collect();
    let trusted = |path: &PathBuf| {
        let folder = Folder::new(&beside(path), None);
        Arc::new(Trusted(Mutual::new(folder))) as Arc<dyn Credentials>
    };
    let (run_dir, folder) =
        (PathBuf::from(&start.run_dir), folder(&cluster, Path::new(&start.state_dir)));
    Some(Setup {
        witness: ends_with_the_kernel(&run_dir).then(|| run_dir.join("store.witness")),
        trusted: folder.join(TRUSTED).exists(),
        known,
        folder,
        run_dir,
        cluster: cluster.name.clone(),
        me: me.name.clone(),
        members: store.members.iter().filter_map(named).collect(),
        own: store.addresses(me),
        peers,
        credentials: cluster.trust_dir.as_ref().map(trusted),
        etcd: store.etcd.as_ref().map(|etcd| account(etcd, &beside)),
    })
}

/// The etcd of the site; its files are relative to the cluster file.
fn account(etcd: &config::cluster::Etcd, beside: &dyn Fn(&Path) -> PathBuf) -> Account {
    let pair = etcd.pair.as_ref().map(|(certificate, key)| (beside(certificate), beside(key)));
    Account {
        members: etcd.endpoints.clone(),
        ca_file: etcd.ca_file.as_deref().map(beside),
        pair,
        user: etcd.user.as_ref().map(|(name, file)| (name.clone(), beside(file))),
        prefix: etcd.prefix.clone(),
    }
}

fn ends_with_the_kernel(folder: &Path) -> bool {
    statfs(folder).is_ok_and(|found| found.f_type == TMPFS)
}

/// The greatest incarnation of a store that this node was part of, or did a step for: it outlives the store's
/// folder, so that one that is founded anew is a later one, whatever the clock says.
struct Known {
    folder: PathBuf,
    greatest: u64,
}

impl Known {
    fn open(state_dir: &Path) -> Self {
        let kept = std::fs::read_to_string(state_dir.join(::store::INCARNATION)).ok();
        let kept: Option<u64> = kept.and_then(|text| text.trim().parse().ok());
        let steps = crate::agent::incarnation_of_steps(state_dir);
        let folder = state_dir.to_owned();
        Self { folder, greatest: kept.unwrap_or(0).max(steps.unwrap_or(0)) }
    }

    /// One that cannot be kept now is kept at a later glance.
    fn note(&mut self, incarnation: Option<u64>) {
        let Some(later) = incarnation.filter(|now| *now > self.greatest) else { return };
        let text = format!("{later}\n");
        if crate::durable::write(&self.folder, ::store::INCARNATION, text.as_bytes()).is_ok() {
            self.greatest = later;
        }
    }
}

fn obey(
    channel: &Channel,
    generation: u64,
    host: &Host,
    (word, known): (&Path, &mut Known),
) -> Result<(), StoreError> {
    let poller = Poller::new().map_err(StoreError::Supervisor)?;
    poller.add(channel.as_fd(), 0, Interest::READ).map_err(StoreError::Supervisor)?;
    say(channel, &Report::Ready { generation });
    say(channel, &Report::Serving { generation });
    let (mut buffer, mut ready) = (vec![0; api::MAX_MESSAGE], Vec::with_capacity(1));
    let mut told = None;
    loop {
        tell(channel, host, &mut told);
        known.note(host.report().incarnation);
        if let Some(why) = host.failure() {
            let folder = word.parent().unwrap_or(word).to_owned();
            return Err(StoreError::Stopped { folder, why });
        }
        if word.exists() && host.report().leader.is_some() {
            // It was given for this start, and is used up. What cannot be removed counts again.
            let _ = std::fs::remove_file(word);
        }
        poller.wait(&mut ready, Some(GLANCE)).map_err(StoreError::Supervisor)?;
        loop {
            let length = match channel.receive(&mut buffer, &mut vec![]) {
                Ok(0) => return Ok(()),
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(StoreError::Supervisor(error)),
            };
            match api::decode::<Order>(&buffer[..length]) {
                Ok(Order::Ping(number)) => answer(channel, host, number)?,
                Ok(Order::Stop | Order::Retire | Order::Drain) => return Ok(()),
                // It asks nobody, and nothing else is for it.
                Ok(
                    Order::Start(_)
                    | Order::Activate
                    | Order::Change(_)
                    | Order::Relay(..)
                    | Order::Keys
                    | Order::Refused { .. }
                    | Order::GiveUp { .. }
                    | Order::Succeed { .. }
                    | Order::Count { .. }
                    | Order::Move { .. }
                    | Order::Anywhere { .. }
                    | Order::Use { .. },
                )
                | Err(_) => {}
            }
        }
    }
}

/// Says what changed since it was last `told`, numbers no sooner than a glance later. Without a leader it
/// is said again: how long that lasts is for others to judge.
fn tell(channel: &Channel, host: &Host, told: &mut Option<(StoreState, Time)>) {
    let (state, now) = (state(host.report(), host.turned_away()), sys::clock::now());
    if let Some((before, at)) = told {
        let of = |state: &StoreState| (state.leader.clone(), state.trouble.clone());
        let is_same = before == &state && state.leader.is_some();
        if is_same || (of(before) == of(&state) && now.since(*at) < GLANCE) {
            return;
        }
    }
    say(channel, &Report::Store(Box::new(state.clone())));
    *told = Some((state, now));
}

fn state(report: ::store::Report, turned_away: base::TurnedAway) -> StoreState {
    let base::TurnedAway { connections, last } = turned_away;
    let member = |votes| move |(node, has): (String, Option<u64>)| StoreMember { node, votes, has };
    let voters = report.voters.into_iter().map(member(true));
    let snapshot = report.snapshot.map(|index| {
        let at_ms = report.snapshot_at_ms;
        StoreSnapshot { index, at_ms }
    });
    StoreState {
        engine: report.engine,
        trouble: report.trouble,
        failed: None,
        leader: report.leader,
        term: report.term,
        last: report.last,
        committed: report.committed,
        applied: report.applied,
        revision: report.revision,
        keys: report.keys,
        bytes: report.bytes,
        file_bytes: report.file_bytes,
        members: voters.chain(report.learners.into_iter().map(member(false))).collect(),
        disk: match (report.went_back, report.floor) {
            (true, upto) => StoreDisk::WentBack { upto },
            (false, Some(upto)) => StoreDisk::FillsUp { upto },
            (false, None) => StoreDisk::Whole,
        },
        snapshot,
        turned_away: api::TurnedAway { connections, last },
    }
}

/// The answer comes from where the store's tasks run: if they hang, it does.
fn answer(channel: &Channel, host: &Host, number: u64) -> Result<(), StoreError> {
    let own = channel.as_fd().try_clone_to_owned().map_err(StoreError::Supervisor)?;
    let own = Channel::from_fd(own);
    host.soon(move || say(&own, &Report::Pong(number)));
    Ok(())
}

fn say(channel: &Channel, report: &Report) {
    let mut bytes = vec![];
    api::encode(report, &mut bytes);
    // A supervisor that does not read is gone, which the next order shows, or asks again.
    let _ = channel.send(&bytes, &[]);
}
