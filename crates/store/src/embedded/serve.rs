//! Answers to other nodes.

use std::io;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use openraft::raft::AppendEntriesResponse;
use openraft::{Snapshot, raft::VoteResponse};
use tokio::io::{AsyncWriteExt, BufReader, split};
use tokio::sync::{Mutex, Semaphore, mpsc};
use tokio::time::timeout;

use super::Core;
use super::batch::Reply;
use super::disk::owner::Incarnation;
use super::election::{self, View};
use super::frame::Frame;
use super::message::{
    Append, Chunk, Hello, Incoming, decode_canvass, decode_founders, decode_transaction,
    decode_vote, decode_yield, encode_appended, encode_voted, encode_yes, kind,
};
use super::standing::{Standing, Told};
use super::types::{MAX_MEMBERS, NodeId};
use crate::transport::{Accepted, Duplex};

/// Connections of all nodes and lanes; more are closed at once.
const CONNECTIONS: usize = 256;
/// Questions of one connection that are worked on; the next waits in the socket.
const AT_ONCE: usize = 256;
const HELLO: Duration = Duration::from_secs(1);
/// Between two attempts to take a connection when the system has no descriptor left.
const PAUSE: Duration = Duration::from_millis(100);

/// Takes connections as long as the node runs.
pub(crate) async fn run(core: Arc<Core>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    while !*core.ends.borrow() {
        let Ok(accepted) = core.links.transport().accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let Ok(permit) = Arc::clone(&room).try_acquire_owned() else { continue };
        let core = Arc::clone(&core);
        tokio::spawn(async move {
            // The other end notices a closed connection and says why to its own people.
            drop(converse(core, accepted).await);
            drop(permit);
        });
    }
}

async fn converse(core: Arc<Core>, accepted: Accepted) -> io::Result<()> {
    let (mut stream, proven) = (accepted.stream, accepted.proven);
    let first = timeout(HELLO, Frame::read(&mut stream));
    let first = first.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let hello = welcome(&core, proven, &first);
    let answer = match &hello {
        Ok(_) => Frame { number: 0, kind: kind::DONE, body: vec![] },
        Err(why) => Frame { number: 0, kind: kind::REFUSED, body: why.to_string().into_bytes() },
    };
    answer.write(&mut stream).await?;
    stream.flush().await?;
    let Hello { from, incarnation: theirs, .. } = hello?;
    let (reading, mut writing) = split::<Box<dyn Duplex>>(stream);
    let mut reading = BufReader::new(reading);
    let (answers, mut waiting) = mpsc::channel::<Frame>(AT_ONCE);
    let writer = tokio::spawn(async move {
        while let Some(frame) = waiting.recv().await {
            if frame.write(&mut writing).await.is_err() || writing.flush().await.is_err() {
                return;
            }
        }
    });
    let (room, incoming) = (Arc::new(Semaphore::new(AT_ONCE)), Arc::new(Mutex::default()));
    let mut ends = core.ends.subscribe();
    loop {
        let frame = tokio::select! {
            frame = Frame::read(&mut reading) => frame,
            _ = ends.wait_for(|ends| *ends) => break,
        };
        let Ok(frame) = frame else { break };
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { break };
        let (core, answers, incoming) = (Arc::clone(&core), answers.clone(), Arc::clone(&incoming));
        tokio::spawn(async move {
            let number = frame.number;
            // Only a leader fills a disk, and a majority made it one.
            let fills = matches!(frame.kind, kind::APPEND | kind::SNAPSHOT);
            let part = if fills { take_part(&core, theirs).await } else { Ok(()) };
            let response = match part {
                Ok(()) => respond(&core, from, frame, &incoming).await,
                Err(error) => Err(error),
            };
            let (kind, body) = match response {
                Ok(response) => response,
                Err(error) => (kind::REFUSED, error.to_string().into_bytes()),
            };
            drop(answers.send(Frame { number, kind, body }).await);
            drop(permit);
        });
    }
    writer.abort();
    Ok(())
}

/// Before a disk that holds nothing is filled up: by whose store. It is never another one after that.
async fn take_part(core: &Core, theirs: Option<Incarnation>) -> io::Result<()> {
    let _one = core.joining.lock().await;
    match (core.disk.incarnation(), theirs) {
        (Some(own), Some(theirs)) if own == theirs => Ok(()),
        (None, Some(theirs)) => core.become_part(theirs).await,
        (Some(_) | None, Some(_) | None) => {
            Err(io::Error::other("it leads another store than this node is a part of"))
        }
    }
}

/// Who speaks.
fn welcome(core: &Core, proven: Option<NodeId>, frame: &Frame) -> io::Result<Hello> {
    if frame.kind != kind::HELLO {
        return Err(io::Error::other("the first message says who speaks"));
    }
    let hello = Hello::decode(&frame.body)?;
    let text = if hello.cluster != core.options.cluster {
        format!("this is cluster `{}`, not `{}`", core.options.cluster, hello.cluster)
    } else if hello.to != core.me() {
        format!("this is node {}, not {}", core.me(), hello.to)
    } else if hello.from == core.me() || proven.is_some_and(|proven| proven != hello.from) {
        format!("node {} is somebody else", hello.from)
    } else if let Err(text) =
        core.strangers.admit(hello.from, core.disk.incarnation(), hello.incarnation)
    {
        text
    } else {
        if let Some(part) = hello.incarnation {
            let mut parts = core.parts.lock().unwrap_or_else(PoisonError::into_inner);
            if parts.len() < MAX_MEMBERS || parts.contains_key(&hello.from) {
                parts.insert(hello.from, part);
            }
        }
        return Ok(hello);
    };
    Err(io::Error::other(text))
}

type Said = io::Result<(u8, Vec<u8>)>;

async fn respond(core: &Arc<Core>, from: NodeId, frame: Frame, incoming: &Mutex<Incoming>) -> Said {
    match frame.kind {
        kind::ASK => {
            // Two files that name other members could found two stores; who stores something is past that.
            let founders = core.options.founders.keys();
            let is_fresh = core.disk.own() == Standing::default();
            if is_fresh && !founders.copied().eq(decode_founders(&frame.body)?) {
                return Err(io::Error::other("its file names other members of the store"));
            }
            let of_you = core.disk.standings().get(&from).copied().unwrap_or_default();
            let known = if is_fresh { core.options.known } else { 0 };
            Ok((kind::DONE, Told { of_you, own: core.disk.own(), known }.encode()))
        }
        kind::CANVASS => {
            let last = decode_canvass(&frame.body)?;
            let yes = core.raft().is_some() && election::would_vote(&core.view(), last);
            Ok((kind::DONE, encode_yes(yes)))
        }
        kind::STAND => {
            let last = decode_canvass(&frame.body)?;
            Ok((kind::DONE, encode_yes(core.stand(last).await)))
        }
        kind::YIELD => {
            decode_yield(&frame.body)?;
            core.yields();
            Ok((kind::DONE, encode_yes(true)))
        }
        kind::VOTE => vote(core, from, &frame.body).await,
        kind::APPEND => append(core, from, &frame.body).await,
        kind::SNAPSHOT => snapshot(core, from, &frame.body, incoming).await,
        kind::WRITE => {
            let transaction = decode_transaction(&frame.body)?;
            Ok(said(core.write(transaction).await))
        }
        kind::READ => {
            let transaction = decode_transaction(&frame.body)?;
            Ok(said(core.read(transaction).await))
        }
        other => Err(io::Error::other(format!("a question of unknown kind {other}"))),
    }
}

fn said(reply: Reply) -> (u8, Vec<u8>) {
    match reply {
        Reply::Done(result) => (kind::DONE, engine::kv::Outcome::encode(&result)),
        Reply::NotLeader => (kind::NOT_LEADER, vec![]),
        Reply::Unknown => (kind::UNKNOWN, vec![]),
    }
}

fn not_ready() -> io::Error {
    io::Error::other("this node does not know yet whether its disk is whole")
}

fn stopped(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(error.to_string())
}

async fn vote(core: &Core, from: NodeId, body: &[u8]) -> Said {
    let request = decode_vote(body)?;
    let raft = core.raft().ok_or_else(not_ready)?;
    // It saved its vote before it asked.
    core.disk.note(from, &Standing { vote: request.vote, log: request.last_log_id });
    if !election::would_vote(&View { leader: false, ..core.view() }, request.last_log_id) {
        let own = core.disk.own();
        let response = VoteResponse { vote: own.vote, vote_granted: false, last_log_id: own.log };
        return Ok((kind::DONE, encode_voted(&response)));
    }
    let response = raft.vote(request).await.map_err(stopped)?;
    if response.vote_granted {
        core.voted.touch();
    }
    Ok((kind::DONE, encode_voted(&response)))
}

async fn append(core: &Core, from: NodeId, body: &[u8]) -> Said {
    let append = Append::decode(body)?;
    let raft = core.raft().ok_or_else(not_ready)?;
    // A leader has on disk what it calls committed; the rest may be on its way there.
    let log = append.last().min(append.request.leader_commit);
    core.disk.note(from, &Standing { vote: append.request.vote, log });
    for (node, standing) in &append.standings {
        if *node != core.me() {
            core.disk.note(*node, standing);
        }
    }
    let response = raft.append_entries(append.request).await.map_err(stopped)?;
    match response {
        AppendEntriesResponse::Success
        | AppendEntriesResponse::PartialSuccess(_)
        | AppendEntriesResponse::Conflict => core.heard.touch(),
        AppendEntriesResponse::HigherVote(_) => {}
    }
    Ok((kind::DONE, encode_appended(&response)))
}

async fn snapshot(core: &Core, from: NodeId, body: &[u8], incoming: &Mutex<Incoming>) -> Said {
    let chunk = Chunk::decode(body)?;
    let raft = core.raft().ok_or_else(not_ready)?;
    core.disk.note(from, &Standing { vote: chunk.vote, log: chunk.meta.last_log_id });
    let whole = incoming.lock().await.take(&chunk)?;
    let vote = match whole {
        None => core.disk.vote().filter(|own| *own > chunk.vote).unwrap_or(chunk.vote),
        Some(image) => {
            let snapshot = Snapshot { meta: chunk.meta, snapshot: Box::new(image) };
            raft.install_full_snapshot(chunk.vote, snapshot).await.map_err(stopped)?.vote
        }
    };
    if vote == chunk.vote {
        core.heard.touch();
    }
    let response = VoteResponse { vote, vote_granted: vote == chunk.vote, last_log_id: None };
    Ok((kind::DONE, encode_voted(&response)))
}
