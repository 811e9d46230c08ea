//! Asks the store's process of the same node.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use engine::kv::{Keys, Outcome, Transaction};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::{
    Frame, MAX_BACKUP, Report, SOCKET, decode_changes, decode_done, decode_failure, encode_watch,
    kind,
};
use crate::{Error, Store, Watch};

/// How long a process that is just being started again is looked for.
const LOOK: Duration = Duration::from_secs(2);
/// The store itself gives up sooner, and says so.
const PATIENCE: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_millis(20);
/// Connections that are kept for the next question.
const IDLE: usize = 8;
/// Revisions of changes that wait for a watcher.
const WATCHED: usize = 64;

/// The store, for a process of the same node. Cheap to make: it connects with its first question.
///
/// All that [`Store`] promises holds here too. The process that runs the store may end and be started
/// again meanwhile: reads are then asked again, a write whose answer is lost is [`Error::Unknown`], and a
/// watch ends with an error; begin it again after the last revision that it told.
#[derive(Debug)]
pub struct Client {
    socket: PathBuf,
    idle: Mutex<Vec<UnixStream>>,
    /// So many of them, at most.
    keeps: usize,
}

/// Why a question has no answer.
enum Lost {
    /// It never left.
    NotSent(io::Error),
    Sent,
}

impl Client {
    /// Of the node with this run folder.
    #[must_use]
    pub fn new(run_dir: &Path) -> Self {
        Self { socket: run_dir.join(SOCKET), idle: Mutex::default(), keeps: IDLE }
    }

    /// For a loop that stands still between questions: it would not see that a kept connection has ended,
    /// and a write on it would be lost. Connecting costs less than a tenth of a millisecond.
    pub(super) fn without_idle(run_dir: &Path) -> Self {
        Self { keeps: 0, ..Self::new(run_dir) }
    }

    /// What this node's store says of itself.
    ///
    /// # Errors
    /// When no store answers here.
    pub async fn report(&self) -> Result<Report, Error> {
        let answer = self.insist(kind::STATUS, &[], true).await?;
        let unreadable = |error: io::Error| Error::Stopped(error.to_string());
        decode_failure(&answer)
            .map_or_else(|| Report::decode(&answer.body).map_err(unreadable), Err)
    }

    /// Gives the lead of the store to that node, by its name; to be asked on the leader.
    ///
    /// # Errors
    /// When it leads on, and why, or nobody knows.
    pub async fn lead(&self, to: &str) -> Result<(), Error> {
        let answer = self.insist(kind::LEAD, to.as_bytes(), false).await?;
        decode_failure(&answer).map_or(Ok(()), Err)
    }

    /// All of the content, no older than the question, as [`crate::restore`] reads it.
    ///
    /// # Errors
    /// When no store answers here, it has no leader, or the answer breaks off.
    pub async fn backup(&self) -> Result<Vec<u8>, Error> {
        let away = |source| Error::Away { socket: self.socket.clone(), source };
        let mut stream = UnixStream::connect(&self.socket).await.map_err(away)?;
        let question = Frame { number: 1, kind: kind::BACKUP, body: vec![] };
        question.write(&mut stream).await.map_err(away)?;
        let mut whole = vec![];
        loop {
            let part = timeout(PATIENCE, Frame::read(&mut stream)).await;
            let part =
                part.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(away)?;
            if let Some(failure) = decode_failure(&part) {
                return Err(failure);
            }
            if part.kind == kind::DONE {
                return Ok(whole);
            }
            whole.extend(&part.body);
            if whole.len() > MAX_BACKUP {
                return Err(away(io::Error::other("more than a store can hold")));
            }
        }
    }

    async fn open(&self) -> io::Result<UnixStream> {
        let kept = {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            // One that can be read is at its end: nothing was asked on it.
            idle.retain(|stream| {
                let read = stream.try_read(&mut [0]);
                read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
            });
            idle.pop()
        };
        match kept {
            Some(stream) => Ok(stream),
            None => UnixStream::connect(&self.socket).await,
        }
    }

    async fn ask(&self, kind: u8, body: &[u8]) -> Result<Frame, Lost> {
        let mut stream = self.open().await.map_err(Lost::NotSent)?;
        let question = Frame { number: 1, kind, body: body.to_vec() };
        let conversation = async {
            question.write(&mut stream).await?;
            Frame::read(&mut stream).await
        };
        let answer = timeout(PATIENCE, conversation).await;
        let Ok(Ok(answer)) = answer else { return Err(Lost::Sent) };
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.keeps {
            idle.push(stream);
        }
        Ok(answer)
    }

    async fn insist(&self, kind: u8, body: &[u8], reads: bool) -> Result<Frame, Error> {
        let begun = Instant::now();
        loop {
            let error = match self.ask(kind, body).await {
                Ok(answer) => return Ok(answer),
                Err(Lost::Sent) if !reads => return Err(Error::Unknown),
                Err(Lost::Sent) => io::ErrorKind::UnexpectedEof.into(),
                Err(Lost::NotSent(error)) => error,
            };
            let is_forbidden = error.kind() == io::ErrorKind::PermissionDenied;
            if is_forbidden || begun.elapsed() >= LOOK {
                return Err(Error::Away { socket: self.socket.clone(), source: error });
            }
            sleep(AGAIN).await;
        }
    }
}

impl Store for Client {
    async fn transact(&self, transaction: Transaction) -> Result<Outcome, Error> {
        transaction.check().map_err(Error::Refused)?;
        let reads = transaction.only_reads();
        decode_done(&self.insist(kind::TRANSACT, &transaction.encode(), reads).await?)
    }

    async fn watch(&self, after: u64, keys: Keys) -> Result<Watch, Error> {
        let begun = Instant::now();
        let question = Frame { number: 1, kind: kind::WATCH, body: encode_watch(after, &keys) };
        let stream = loop {
            let connected = async {
                let mut stream = UnixStream::connect(&self.socket).await?;
                question.write(&mut stream).await.map(|()| stream)
            };
            match connected.await {
                Ok(stream) => break stream,
                Err(source) if begun.elapsed() >= LOOK => {
                    return Err(Error::Away { socket: self.socket.clone(), source });
                }
                Err(_) => sleep(AGAIN).await,
            }
        };
        let (told, changes) = mpsc::channel(WATCHED);
        tokio::spawn(tell(stream, told));
        Ok(Watch::new(changes))
    }
}

async fn tell(mut stream: UnixStream, told: mpsc::Sender<Result<Vec<engine::kv::Change>, Error>>) {
    loop {
        let frame = tokio::select! {
            frame = Frame::read(&mut stream) => frame,
            () = told.closed() => return,
        };
        let stopped = |error: io::Error| Error::Stopped(error.to_string());
        let next = frame.map_err(stopped).and_then(|frame| match decode_failure(&frame) {
            Some(failure) => Err(failure),
            None => decode_changes(&frame.body).map_err(stopped),
        });
        let ends = next.is_err();
        if told.send(next).await.is_err() || ends {
            return;
        }
    }
}
