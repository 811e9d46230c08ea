//! Questions to other nodes: one connection per node and lane, many questions at once.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncWriteExt, BufReader, ReadHalf, WriteHalf, split};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::disk::owner::Incarnation;
use super::frame::Frame;
use super::message::{Hello, kind};
use super::types::NodeId;
use crate::transport::{Duplex, Transport};

/// Questions that wait to be written on one connection.
const QUEUE: usize = 256;
/// Until a connection stands and the other end has said who it is.
const HANDSHAKE: Duration = Duration::from_millis(500);

/// A connection on which nothing came for that long while something was asked is made anew.
const SILENT: Duration = Duration::from_millis(400);

/// Votes and beats must not wait behind a snapshot.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Lane {
    Raft,
    Bulk,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The question never left.
    #[error("not sent")]
    NotSent(#[source] io::Error),
    /// It left, and nobody knows what became of it.
    #[error("no answer")]
    Lost(#[source] io::Error),
    #[error("refused: {0}")]
    Refused(String),
    #[error("it does not lead")]
    NotLeader,
    #[error("it does not know")]
    Unknown,
}

#[derive(Debug)]
pub(crate) struct Links {
    me: NodeId,
    cluster: String,
    transport: Arc<dyn Transport>,
    /// Of the store that the own disk is a part of.
    incarnation: Mutex<Option<Incarnation>>,
    links: Mutex<BTreeMap<(NodeId, Lane), Arc<Link>>>,
    lives: Lives,
}

/// When each node last said something, be it late, or no more than who it is.
type Lives = Arc<Mutex<BTreeMap<NodeId, Instant>>>;

#[derive(Debug, Default)]
struct Link {
    connection: tokio::sync::Mutex<Option<Connection>>,
}

#[derive(Debug)]
struct Connection {
    address: String,
    questions: mpsc::Sender<(Frame, oneshot::Sender<Frame>)>,
    tasks: [JoinHandle<()>; 2],
    /// When something last came, milliseconds since `since`.
    heard: Arc<AtomicU64>,
    since: Instant,
}

impl Drop for Connection {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

type Pending = Arc<Mutex<HashMap<u64, oneshot::Sender<Frame>>>>;

impl Links {
    pub(crate) fn new(
        me: NodeId,
        cluster: String,
        transport: Arc<dyn Transport>,
        incarnation: Option<Incarnation>,
    ) -> Self {
        let incarnation = Mutex::new(incarnation);
        let (links, lives) = (Mutex::default(), Lives::default());
        Self { me, cluster, transport, incarnation, links, lives }
    }

    /// How long ago each node last said something to this one, of those that were ever asked.
    pub(crate) fn heard(&self) -> BTreeMap<NodeId, Duration> {
        let lives = self.lives.lock().unwrap_or_else(PoisonError::into_inner);
        lives.iter().map(|(node, at)| (*node, at.elapsed())).collect()
    }

    /// From now on this node is a part of that store; connections that said otherwise end.
    pub(crate) fn become_part(&self, incarnation: Incarnation) {
        *self.incarnation.lock().unwrap_or_else(PoisonError::into_inner) = Some(incarnation);
        self.close();
    }

    pub(crate) fn transport(&self) -> &Arc<dyn Transport> {
        &self.transport
    }

    /// Ends all connections; whoever waits on one hears that it is lost.
    pub(crate) fn close(&self) {
        self.links.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Asks a node and waits for its answer, at most `patience`.
    pub(crate) async fn call(
        &self,
        (to, address): (NodeId, &str),
        lane: Lane,
        (kind, body): (u8, Vec<u8>),
        patience: Duration,
    ) -> Result<Vec<u8>, CallError> {
        let link = {
            let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(links.entry((to, lane)).or_default())
        };
        let deadline = Instant::now() + patience;
        let late = || io::Error::from(io::ErrorKind::TimedOut);
        let connecting = self.connected(&link, to, address);
        let questions = match tokio::time::timeout_at(deadline, connecting).await {
            Ok(Ok(questions)) => questions,
            Ok(Err(error)) => return Err(CallError::NotSent(error)),
            Err(_) => return Err(CallError::NotSent(late())),
        };
        let (answer, heard) = oneshot::channel();
        let frame = Frame { number: 0, kind, body };
        match tokio::time::timeout_at(deadline, questions.send((frame, answer))).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => {
                return Err(CallError::NotSent(io::ErrorKind::ConnectionReset.into()));
            }
            Err(_) => {
                link.renew_if_silent(patience).await;
                return Err(CallError::NotSent(late()));
            }
        }
        match tokio::time::timeout_at(deadline, heard).await {
            Ok(Ok(frame)) => answered(frame),
            Ok(Err(_)) => Err(CallError::Lost(io::ErrorKind::ConnectionReset.into())),
            Err(_) => {
                link.renew_if_silent(patience).await;
                Err(CallError::Lost(late()))
            }
        }
    }

    async fn connected(
        &self,
        link: &Link,
        to: NodeId,
        address: &str,
    ) -> io::Result<mpsc::Sender<(Frame, oneshot::Sender<Frame>)>> {
        let mut connection = link.connection.lock().await;
        if let Some(open) = connection.as_ref()
            && open.address == address
            && !open.tasks.iter().any(JoinHandle::is_finished)
        {
            return Ok(open.questions.clone());
        }
        *connection = None;
        let opening = self.open(to, address);
        let opened = timeout(HANDSHAKE, opening)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        let questions = opened.questions.clone();
        *connection = Some(opened);
        Ok(questions)
    }

    async fn open(&self, to: NodeId, address: &str) -> io::Result<Connection> {
        let mut stream = self.transport.connect(to, address).await?;
        let incarnation = *self.incarnation.lock().unwrap_or_else(PoisonError::into_inner);
        let hello = Hello { cluster: self.cluster.clone(), from: self.me, to, incarnation };
        Frame { number: 0, kind: kind::HELLO, body: hello.encode() }.write(&mut stream).await?;
        stream.flush().await?;
        let welcome = Frame::read(&mut stream).await?;
        if welcome.kind != kind::DONE {
            return Err(io::Error::other(String::from_utf8_lossy(&welcome.body).into_owned()));
        }
        let (reading, writing) = split(stream);
        let (questions, waiting) = mpsc::channel(QUEUE);
        let pending = Pending::default();
        let (heard, since) = (Arc::new(AtomicU64::new(0)), Instant::now());
        note_life(&self.lives, to);
        let lives = Arc::clone(&self.lives);
        let tell = {
            let heard = Arc::clone(&heard);
            move || {
                let now = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
                heard.store(now, Ordering::Relaxed);
                note_life(&lives, to);
            }
        };
        let reader = read(BufReader::new(reading), Arc::clone(&pending), tell);
        let tasks = [tokio::spawn(reader), tokio::spawn(write(writing, waiting, pending))];
        Ok(Connection { address: address.to_owned(), questions, tasks, heard, since })
    }
}

impl Link {
    /// Gives a connection up on which nothing came for that long: its packets may go nowhere, and a new
    /// one is through as soon as the network is.
    async fn renew_if_silent(&self, patience: Duration) {
        let mut connection = self.connection.lock().await;
        if let Some(open) = connection.as_ref() {
            let heard = Duration::from_millis(open.heard.load(Ordering::Relaxed));
            if open.since.elapsed().saturating_sub(heard) >= patience.max(SILENT) {
                *connection = None;
            }
        }
    }
}

fn answered(frame: Frame) -> Result<Vec<u8>, CallError> {
    match frame.kind {
        kind::DONE => Ok(frame.body),
        kind::NOT_LEADER => Err(CallError::NotLeader),
        kind::UNKNOWN => Err(CallError::Unknown),
        kind::REFUSED => Err(CallError::Refused(String::from_utf8_lossy(&frame.body).into_owned())),
        other => {
            let text = format!("an answer of unknown kind {other}");
            Err(CallError::Lost(io::Error::new(io::ErrorKind::InvalidData, text)))
        }
    }
}

fn note_life(lives: &Lives, node: NodeId) {
    lives.lock().unwrap_or_else(PoisonError::into_inner).insert(node, Instant::now());
}

async fn read(mut from: BufReader<ReadHalf<Box<dyn Duplex>>>, pending: Pending, tell: impl Fn()) {
    while let Ok(frame) = Frame::read(&mut from).await {
        tell();
        let asked = pending.lock().unwrap_or_else(PoisonError::into_inner).remove(&frame.number);
        if let Some(asked) = asked {
            // Who no longer waits need not know.
            drop(asked.send(frame));
        }
    }
    pending.lock().unwrap_or_else(PoisonError::into_inner).clear();
}

async fn write(
    mut to: WriteHalf<Box<dyn Duplex>>,
    mut waiting: mpsc::Receiver<(Frame, oneshot::Sender<Frame>)>,
    pending: Pending,
) {
    let mut number = 0;
    while let Some((mut frame, answer)) = waiting.recv().await {
        number += 1;
        frame.number = number;
        {
            let mut pending = pending.lock().unwrap_or_else(PoisonError::into_inner);
            pending.retain(|_, asked| !asked.is_closed());
            pending.insert(number, answer);
        }
        if frame.write(&mut to).await.is_err() || to.flush().await.is_err() {
            break;
        }
    }
    pending.lock().unwrap_or_else(PoisonError::into_inner).clear();
}
