//! Answers the other processes of the node.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use engine::kv::{Compacted, Op, Outcome, Transaction};
use tokio::io::{AsyncReadExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

use super::{Frame, PART, decode_watch, encode_changes, encode_done, kind};
use crate::embedded::{MAX_FRAME, decode_transaction};
use crate::host::{Counter, Engine};
use crate::{Error, Store};

/// Processes of a node and tools of operators; more wait in the kernel.
const CONNECTIONS: usize = 64;
/// Between two tries to accept while no descriptor is left.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a question waits for the store to be ready.
const LOOK: Duration = Duration::from_secs(2);
const AGAIN: Duration = Duration::from_millis(10);
/// Of an answer; its head is shorter than this.
const MAX_BODY: usize = MAX_FRAME - 64;

/// The socket, for root and the own user only.
pub(crate) fn listen(path: &Path) -> io::Result<UnixListener> {
    let socket = sys::socket::listen_unix(path, Some(0o600))?;
    let listener = std::os::unix::net::UnixListener::from(socket);
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

/// Answers as long as the process runs.
pub(crate) async fn serve(listener: UnixListener, counter: Counter) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    // The semaphore is never closed.
    while let Ok(permit) = Arc::clone(&room).acquire_owned().await {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(PAUSE).await;
            continue;
        };
        let counter = counter.clone();
        tokio::spawn(async move {
            // A client that went away is no error of ours.
            drop(converse(stream, &counter).await);
            drop(permit);
        });
    }
}

async fn converse(stream: UnixStream, counter: &Counter) -> io::Result<()> {
    let (reading, mut writing) = stream.into_split();
    let mut reading = BufReader::new(reading);
    loop {
        let question = Frame::read(&mut reading).await?;
        let number = question.number;
        let (kind, body) = match question.kind {
            kind::TRANSACT => encode_done(transact(counter, &question.body).await),
            kind::LEAD => match lead(counter, &question.body).await {
                Ok(()) => (kind::DONE, vec![]),
                Err(error) => encode_done(Err(error)),
            },
            kind::STATUS => (kind::DONE, counter.report().encode()),
            kind::BACKUP => match backup(counter).await {
                Ok(backup) => {
                    for part in backup.chunks(PART) {
                        let (kind, body) = (kind::PART, part.to_vec());
                        Frame { number, kind, body }.write(&mut writing).await?;
                    }
                    (kind::DONE, vec![])
                }
                Err(error) => encode_done(Err(error)),
            },
            kind::WATCH => {
                return watch(counter, &question, &mut reading, &mut writing).await;
            }
            other => {
                let text = format!("a question of unknown kind {other}");
                (kind::STOPPED, text.into_bytes())
            }
        };
        let frame = if body.len() <= MAX_BODY {
            Frame { number, kind, body }
        } else {
            let text = "done, but the answer is longer than one message: read smaller parts";
            Frame { number, kind: kind::STOPPED, body: text.as_bytes().to_vec() }
        };
        frame.write(&mut writing).await?;
    }
}

async fn ready(counter: &Counter) -> Result<&Engine, Error> {
    let begun = Instant::now();
    loop {
        if let Some(engine) = counter.engine() {
            return Ok(engine);
        }
        if begun.elapsed() >= LOOK {
            return Err(Error::NoLeader(begun.elapsed()));
        }
        sleep(AGAIN).await;
    }
}

async fn transact(counter: &Counter, body: &[u8]) -> Result<Outcome, Error> {
    let unreadable = |error: io::Error| Error::Stopped(error.to_string());
    let transaction = decode_transaction(body).map_err(unreadable)?;
    ready(counter).await?.transact(transaction).await
}

async fn lead(counter: &Counter, body: &[u8]) -> Result<(), Error> {
    ready(counter).await?.lead(&String::from_utf8_lossy(body)).await
}

/// All of the content, no older than the question.
async fn backup(counter: &Counter) -> Result<Vec<u8>, Error> {
    let engine = ready(counter).await?;
    engine.backup(u64::MAX)?;
    let revision = engine.transact(Transaction::of(Op::read("-"))).await?.revision;
    let begun = Instant::now();
    loop {
        if let Some(backup) = engine.backup(revision)? {
            return Ok(backup);
        }
        if begun.elapsed() >= LOOK {
            return Err(Error::NoLeader(begun.elapsed()));
        }
        sleep(AGAIN).await;
    }
}

/// Tells changes until the client goes; nothing else is said on this connection.
async fn watch(
    counter: &Counter,
    question: &Frame,
    reading: &mut (impl tokio::io::AsyncRead + Unpin),
    writing: &mut (impl tokio::io::AsyncWrite + Unpin),
) -> io::Result<()> {
    let number = question.number;
    let (after, keys) = decode_watch(&question.body)?;
    let begun = async { ready(counter).await?.watch(after, keys).await };
    let mut watch = match begun.await {
        Ok(watch) => watch,
        Err(error) => {
            let (kind, body) = encode_done(Err(error));
            return Frame { number, kind, body }.write(writing).await;
        }
    };
    loop {
        let mut more = [0];
        let next = tokio::select! {
            next = watch.next() => next,
            _ = reading.read(&mut more) => return Ok(()),
        };
        match next {
            Ok(changes) => {
                let (kind, body) = (kind::CHANGES, encode_changes(&changes));
                if body.len() > MAX_BODY {
                    // More keys went at once than one message has room for: they are read again.
                    let upto = changes.last().map_or(after, |change| change.revision);
                    let (kind, body) = encode_done(Err(Error::Compacted(Compacted { upto })));
                    return Frame { number, kind, body }.write(writing).await;
                }
                Frame { number, kind, body }.write(writing).await?;
            }
            Err(error) => {
                let (kind, body) = encode_done(Err(error));
                return Frame { number, kind, body }.write(writing).await;
            }
        }
    }
}
