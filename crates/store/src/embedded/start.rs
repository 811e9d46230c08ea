//! How a node of the store starts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use openraft::{BasicNode, Config, ServerState, SnapshotPolicy};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::batch::{self, Clock, QUEUE};
use super::content::Content;
use super::disk::Disk;
use super::disk::owner::Incarnation;
use super::election::{self, Moment};
use super::link::{CallError, Lane, Links};
use super::log::Log;
use super::message::{MAX_ENTRIES, encode_canvass, encode_founders, kind};
use super::network::Network;
use super::standing::{Confirmed, Standing, Starting, Told, confirm};
use super::types::{NodeId, Raft, Vote};
use super::{Core, Embedded, Options, Progress, members, serve};
use crate::Error;
use crate::transport::Transport;

/// More than a majority is waited for that long: who promised something knows it best.
const GRACE: Duration = Duration::from_millis(500);
/// Between two rounds of questions.
const AGAIN: Duration = Duration::from_millis(50);
/// How long one answer may take.
const ANSWER: Duration = Duration::from_millis(300);
/// How late a key with a time limit may go.
const EXPIRY: Duration = Duration::from_millis(50);
/// How long what others told may stay in memory only.
const FACTS: Duration = Duration::from_secs(1);

pub(super) async fn start(
    options: Options,
    transport: Arc<dyn Transport>,
    progress: Progress,
) -> Result<Embedded, Error> {
    if options.founders.len() == 2 {
        return Err(Error::TwoVoters);
    }
    // Asked for the first time: nobody else sets it.
    let _ = progress.folder.set(options.folder.clone());
    let disk = Arc::new(Disk::open(&options)?);
    let unreadable = |source| Error::Disk { path: options.folder.clone(), source };
    let content = Content::load(Arc::clone(&disk)).map_err(unreadable)?;
    let incarnation = disk.incarnation();
    let links = Links::new(options.me, options.cluster.clone(), transport, incarnation);
    let links = Arc::new(links);
    let (proposals, writes) = mpsc::channel(QUEUE);
    let (questions, reads) = mpsc::channel(QUEUE);
    let core = Arc::new(Core {
        options,
        disk,
        content,
        links,
        raft: OnceLock::new(),
        floor: Mutex::default(),
        went_back: AtomicBool::new(false),
        strangers: progress.strangers.clone(),
        parts: Mutex::default(),
        joining: tokio::sync::Mutex::default(),
        heard: Moment::now(),
        voted: Moment::now(),
        gives: AtomicBool::new(false),
        yields: Mutex::default(),
        clock: Arc::new(Clock::default()),
        proposals,
        questions,
        ends: watch::Sender::new(false),
    });
    let mut tasks = vec![tokio::spawn(serve::run(Arc::clone(&core)))];
    let founds = find_out(&core, &progress).await?;
    progress.tell(None);
    lead_no_more(&core).await?;
    let raft = raft(&core).await?;
    if let Some(known) = founds {
        // One that ended between this and the next step has it already.
        let later = || sys::clock::wall_ms().max(known.saturating_add(1));
        let incarnation = core.disk.incarnation().unwrap_or_else(later);
        let kept = core.become_part(incarnation).await;
        kept.map_err(|source| Error::Disk { path: core.options.folder.clone(), source })?;
        let founders = core.options.founders.iter();
        let founders: BTreeMap<_, _> =
            founders.map(|(id, address)| (*id, BasicNode::new(address.clone()))).collect();
        // Refused when it has been done, and then it is done.
        drop(raft.initialize(founders).await);
    }
    core.heard.touch();
    drop(core.raft.set(raft.clone()));
    let clock = Arc::clone(&core.clock);
    tasks.push(tokio::spawn(batch::writes(raft.clone(), core.content.clone(), clock, writes)));
    tasks.push(tokio::spawn(batch::reads(raft, core.content.clone(), reads)));
    tasks.push(tokio::spawn(election::run(Arc::clone(&core))));
    tasks.push(tokio::spawn(expiry(Arc::clone(&core))));
    tasks.push(tokio::spawn(facts(Arc::clone(&core))));
    tasks.push(tokio::spawn(strangers(Arc::clone(&core))));
    tasks.push(tokio::spawn(members::run(Arc::clone(&core))));
    Ok(Embedded { core, tasks })
}

/// Asks the others what they know of this node, until it is decided whether its disk is whole. Where this
/// node is to found the store, the greatest incarnation of a former one that any founder knows.
async fn find_out(core: &Arc<Core>, progress: &Progress) -> Result<Option<Incarnation>, Error> {
    let own = core.disk.own();
    let witness = core.disk.witness();
    if let Some(seen) = witness.filter(|seen| seen.exceeds(&own)) {
        keep_below(core, seen, true).await?;
        return Ok(None);
    }
    let (me, proven) = (core.me(), core.options.trusted || witness.is_some());
    let voters = voters(core)?;
    let ids: Vec<_> = voters.iter().map(|(id, _)| *id).collect();
    let begun = Instant::now();
    let mut answers = BTreeMap::new();
    let mut silent: BTreeMap<NodeId, String> = voters.iter().cloned().collect();
    let question = encode_founders(core.options.founders.keys().copied());
    loop {
        if is_part_again(core, &ids).await? {
            return Ok(None);
        }
        let patient = begun.elapsed() < GRACE;
        match confirm(&Starting { me, own, proven, patient }, &ids, &answers) {
            Confirmed::NotYet => {}
            Confirmed::Whole { fresh } => {
                let first = core.options.founders.keys().next();
                let known =
                    answers.values().map(|told| told.known).fold(core.options.known, u64::max);
                return Ok((fresh && first == Some(&core.me())).then_some(known));
            }
            Confirmed::Below { floor, went_back } => {
                keep_below(core, floor, went_back).await?;
                return Ok(None);
            }
        }
        let mut asked = JoinSet::new();
        for (id, address) in voters.iter().filter(|(id, _)| *id != core.me()) {
            let (core, id, address) = (Arc::clone(core), *id, address.clone());
            let question = (kind::ASK, question.clone());
            asked.spawn(async move {
                let answer = core.links.call((id, &address), Lane::Raft, question, ANSWER).await;
                let told = answer.map_err(|error| silence(&error));
                let told = told.and_then(|told| {
                    Told::decode(&told).map_err(|error| base::Chain(&error).to_string())
                });
                (id, address, told)
            });
        }
        while let Some(answer) = asked.join_next().await {
            match answer {
                Ok((id, _, Ok(told))) => {
                    silent.remove(&id);
                    answers.insert(id, told);
                }
                Ok((id, address, Err(why))) if !answers.contains_key(&id) => {
                    // That is told once for all of them.
                    let is_told = core.strangers.nodes().contains(&id);
                    let why = if is_told { "it has another store".to_owned() } else { why };
                    silent.insert(id, format!("{address} ({why})"));
                }
                Ok((_, _, Err(_))) | Err(_) => {}
            }
        }
        silent.remove(&me);
        let names: Vec<_> = silent.values().cloned().collect();
        progress.tell((!names.is_empty()).then(|| format!("waits for {}", names.join(", "))));
        tokio::time::sleep(AGAIN).await;
    }
}

/// Whether this node, whose disk holds nothing, is part of the store of its witness again: most have it.
async fn is_part_again(core: &Core, voters: &[NodeId]) -> Result<bool, Error> {
    let _one = core.joining.lock().await;
    let lost = core.disk.lost().filter(|(part, _)| is_of_most(core, *part, voters));
    let Some((part, seen)) = lost else { return Ok(false) };
    let kept = core.become_part(part).await;
    kept.map_err(|source| Error::Disk { path: core.options.folder.clone(), source })?;
    keep_below(core, seen, true).await?;
    Ok(true)
}

/// Whether most voters, this one among them, are of that store: what this node promised there binds it.
fn is_of_most(core: &Core, part: Incarnation, voters: &[NodeId]) -> bool {
    let parts = core.parts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let are = voters.iter().filter(|id| **id == core.me() || parts.get(id) == Some(&part));
    // Alone nobody else can tell.
    voters.len() > 1 && are.count() > voters.len() / 2
}

/// Why a node does not answer, for operators.
fn silence(error: &CallError) -> String {
    match error {
        CallError::NotSent(cause) if cause.kind() == std::io::ErrorKind::UnexpectedEof => {
            "it closed the connection: it may not know this node, ask it".to_owned()
        }
        CallError::NotSent(_)
        | CallError::Lost(_)
        | CallError::Refused(_)
        | CallError::NotLeader
        | CallError::Unknown => base::Chain(error).to_string(),
    }
}

/// openraft takes a node that led when it ended for the leader at once, with the commit index that its
/// disk happens to have: reads would miss what was acknowledged after that. So it stands anew.
async fn lead_no_more(core: &Core) -> Result<(), Error> {
    let vote = core.disk.vote().filter(|vote| vote.leader_id.node_id == core.me());
    let Some(vote) = vote.filter(|vote| vote.committed) else { return Ok(()) };
    let saved = core.disk.save_vote(Vote { committed: false, ..vote }).await;
    saved.map_err(|source| Error::Disk { path: core.options.folder.clone(), source })
}

/// What others have, and this node may have promised, is taken for its own promise.
async fn keep_below(core: &Core, floor: Standing, went_back: bool) -> Result<(), Error> {
    core.went_back.store(went_back, Ordering::Relaxed);
    core.disk.owe(floor);
    // Not committed: a leader whose disk went back must not go on leading.
    let vote = Vote { committed: false, ..floor.vote };
    let saved = core.disk.save_vote(vote).await;
    saved.map_err(|source| Error::Disk { path: core.options.folder.clone(), source })?;
    *core.floor.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = floor;
    Ok(())
}

/// Voters as the own disk knows them, else those that found the store.
fn voters(core: &Core) -> Result<Vec<(NodeId, String)>, Error> {
    let unreadable = |source| Error::Disk { path: core.options.folder.clone(), source };
    let mut members = core.content.members();
    let position = core.disk.position();
    let from = position.purged.map_or(0, |purged| purged.index + 1);
    let to = position.last.map_or(0, |last| last.index + 1);
    for entry in core.disk.entries(from..to.max(from)).map_err(unreadable)? {
        if let openraft::EntryPayload::Membership(membership) = entry.payload {
            members = super::Members::new(Some(entry.log_id), membership);
        }
    }
    let known = core.voters(&members);
    if known.is_empty() {
        let founders = core.options.founders.iter();
        return Ok(founders.map(|(id, address)| (*id, address.clone())).collect());
    }
    Ok(known)
}

async fn raft(core: &Arc<Core>) -> Result<Raft, Error> {
    let timing = core.options.timing;
    let (every, kept) = (core.options.snapshot_every, core.options.snapshot_every / 5);
    let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let config = Config {
        cluster_name: core.options.cluster.clone(),
        heartbeat_interval: millis(timing.beat),
        // For the larger one no vote is given away from a leader; openraft's own timer is off (`election`).
        election_timeout_min: millis(timing.silence) - 1,
        election_timeout_max: millis(timing.silence),
        enable_elect: false,
        max_payload_entries: MAX_ENTRIES as u64,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(every),
        max_in_snapshot_log_to_keep: kept,
        purge_batch_size: (kept / 4).max(1),
        replication_lag_threshold: every + kept,
        install_snapshot_timeout: 30_000,
        ..Config::default()
    };
    let config = config.validate().map_err(|error| Error::Stopped(error.to_string()))?;
    let network = Network { links: Arc::clone(&core.links), disk: Arc::clone(&core.disk) };
    let log = Log(Arc::clone(&core.disk));
    let made = Raft::new(core.me(), Arc::new(config), network, log, core.content.clone()).await;
    made.map_err(|fatal| Error::Stopped(fatal.to_string()))
}

/// While this node leads, lets keys go whose time is up.
async fn expiry(core: Arc<Core>) {
    let mut ticks = interval(EXPIRY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let Some(raft) = core.raft() else { continue };
        let (state, term) = {
            let metrics = raft.metrics();
            let metrics = metrics.borrow();
            (metrics.state, metrics.current_term)
        };
        if state != ServerState::Leader || core.gives.load(Ordering::SeqCst) {
            continue;
        }
        let (clock, deadline) = core.content.look(|kv| (kv.clock(), kv.deadline()));
        let now = core.clock.now(term, clock);
        if deadline.is_some_and(|deadline| deadline <= now) {
            let (proposal, heard) = batch::expire();
            if core.proposals.send(proposal).await.is_err() {
                return;
            }
            // One at a time, whatever becomes of it.
            drop(tokio::time::timeout(super::PATIENCE, heard).await);
        }
    }
}

/// Who was refused may be one of this store since, and have nothing to ask this node: so it is asked.
async fn strangers(core: Arc<Core>) {
    let mut ticks = interval(FACTS);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        for node in core.strangers.nodes() {
            let Some(address) = core.address(node) else { continue };
            // It promises nothing, whatever is said.
            let question = (kind::CANVASS, encode_canvass(None));
            match core.links.call((node, &address), Lane::Raft, question, ANSWER).await {
                Err(CallError::NotSent(_) | CallError::Lost(_)) => {}
                Ok(_) | Err(CallError::Refused(_) | CallError::NotLeader | CallError::Unknown) => {
                    core.strangers.admitted_by(node);
                }
            }
        }
    }
}

/// Keeps what is known of the others on disk, also when nothing is written.
async fn facts(core: Arc<Core>) {
    let mut ticks = interval(FACTS);
    loop {
        ticks.tick().await;
        if core.disk.keep_facts().await.is_err() {
            return;
        }
    }
}
