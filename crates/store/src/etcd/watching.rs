//! A watch: one answer that does not end.
//!
//! A member can go silent without an end of the connection: its machine is lost, the network swallows
//! what it sends, its process is stopped, or it is cut off from the others. So: the kernel gives a
//! connection up that acknowledges nothing for [`SILENT`]; a watch that told nothing for [`IDLE`] asks its
//! member for a sign of life (etcd's own notice of progress comes every 10 minutes only); and etcd ends a
//! watch of a member without a leader, as it is told to.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use engine::kv::{Change, Compacted, Keys};
use serde_json::{Value, json as value};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use super::account::Member;
use super::http::{self, Answer, Broken, Stream, To};
use super::said::judge;
use super::{AGAIN, ANSWER, Etcd, Failed, PATIENCE, json};
use crate::{Error, Watch};

/// Revisions of changes that wait for a watcher.
const WATCHED: usize = 64;
/// A connection that acknowledges nothing for so long is dead.
pub(super) const SILENT: Duration = Duration::from_secs(5);
/// After so long without a word the member is asked whether it lives, and so long it may take to answer.
const IDLE: Duration = Duration::from_secs(5);

/// A watch that stands.
struct Standing {
    stream: Stream,
    member: Member,
    tls: Option<Arc<rustls::ClientConfig>>,
}

impl Etcd {
    pub(super) async fn begin_watch(&self, after: u64, keys: Keys) -> Result<Watch, Error> {
        let (told, changes) = mpsc::channel(WATCHED);
        let (begun, mut tried, mut wrong) = (Instant::now(), 0, None);
        let until = begun + PATIENCE;
        let question = json::watch(&self.account.prefix, after, &keys);
        loop {
            let token = self.token.lock().await.clone();
            match self.watching(&question, until).await {
                Ok(standing) => {
                    let prefix = self.account.prefix.clone();
                    tokio::spawn(tell(standing, prefix, keys, told));
                    return Ok(Watch::new(changes));
                }
                Err(Failed::Said(text)) => return Err(Error::Etcd(self.explain(&text))),
                // A watch without the right to it ends like one with an old token.
                Err(Failed::Token) => {
                    self.forget(token.as_deref()).await;
                    wrong = Some(self.explain("permission denied"));
                }
                Err(Failed::Wrong(why)) => wrong = Some(why),
                Err(Failed::NotDone | Failed::Unknown) => {}
            }
            tried += 1;
            if self.gives_up(begun, tried, until) {
                let nobody = || Error::NoLeader(begun.elapsed());
                return Err(wrong.map_or_else(nobody, Error::Etcd));
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Begins a watch on the current member: its first line says whether there is one.
    async fn watching(&self, question: &Value, until: Instant) -> Result<Standing, Failed> {
        let token = self.token(until).await?;
        let (at, member) = self.member()?;
        let tls = self.tls(member)?;
        let to = To { member, tls: tls.clone(), token: token.as_deref() };
        let begun = async {
            let (status, mut stream) = http::stream(&to, http::WATCH, question).await?;
            let line = stream.line().await.map_err(|_| Broken::Lost)?;
            Ok::<_, Broken>((status, line, stream))
        };
        let begun = match timeout_at(until.min(Instant::now() + ANSWER), begun).await {
            Ok(begun) => begun.map_err(Failed::from),
            Err(_) => Err(Failed::NotDone),
        };
        let (status, line, stream) = begun.inspect_err(|failed| self.learn(at, failed))?;
        let answer = judge(Answer { status, body: line }, true);
        let answer = answer.inspect_err(|failed| self.learn(at, failed))?;
        let stands = |stream| Standing { stream, member: member.clone(), tls };
        match &answer["result"] {
            // Rights and tokens are judged alike.
            result if result["canceled"] == true => {
                let why = result["cancel_reason"].as_str().filter(|why| !why.is_empty());
                match (why, json::number(&result["compact_revision"])) {
                    (_, Some(1..)) => Ok(stands(stream.again(answer.to_string()))),
                    (Some(why), _) => Err(Failed::Said(why.to_owned())),
                    (None, _) => Err(Failed::Token),
                }
            }
            result if result.is_null() => Err(Failed::Unknown),
            _ => Ok(stands(stream)),
        }
    }
}

impl Standing {
    /// The next line; waits for it as long as the member lives.
    async fn line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            // What came of a line stays where it is when the time is over.
            if let Ok(line) = timeout(IDLE, self.stream.line()).await {
                return line;
            }
            let to = To { member: &self.member, tls: self.tls.clone(), token: None };
            let sign = value!({});
            // Whatever it answers, it lives.
            let sign = timeout(IDLE, http::stream(&to, "/v3/maintenance/status", &sign)).await;
            if !matches!(sign, Ok(Ok(_))) {
                let silent = format!("{} does not answer any more", self.member.address);
                return Err(io::Error::other(silent));
            }
        }
    }
}

async fn tell(
    mut standing: Standing,
    prefix: String,
    keys: Keys,
    told: mpsc::Sender<Result<Vec<Change>, Error>>,
) {
    loop {
        let line = tokio::select! {
            line = standing.line() => line,
            () = told.closed() => return,
        };
        let ended = match line.and_then(|line| changes(&prefix, &line)) {
            Ok(Told::Changes(changes)) => {
                let wanted: Vec<_> = changes.into_iter().filter(|c| keys.has(&c.key)).collect();
                for revision in wanted.chunk_by(|one, next| one.revision == next.revision) {
                    if told.send(Ok(revision.to_vec())).await.is_err() {
                        return;
                    }
                }
                continue;
            }
            Ok(Told::Compacted(compacted)) => Error::Compacted(compacted),
            Err(error) => Error::Stopped(error.to_string()),
        };
        drop(told.send(Err(ended)).await);
        return;
    }
}

pub(super) enum Told {
    Changes(Vec<Change>),
    Compacted(Compacted),
}

pub(super) fn changes(prefix: &str, line: &[u8]) -> io::Result<Told> {
    let value: Value = serde_json::from_slice(line)?;
    let result = &value["result"];
    if let Some(compacted) = json::number(&result["compact_revision"]).filter(|upto| *upto > 0) {
        return Ok(Told::Compacted(Compacted { upto: compacted - 1 }));
    }
    if result["canceled"] == true || result.is_null() {
        return Err(io::Error::other(format!("etcd ended the watch: {value}")));
    }
    json::changes(prefix, result)
        .map(Told::Changes)
        .ok_or_else(|| io::Error::other("unreadable changes"))
}
