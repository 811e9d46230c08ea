//! The engine outside: etcd through its JSON gateway, for sites that have one or outgrow the embedded.
//!
//! The same transactions and answers; what differs: a time limit is what etcd grants as `lease`, so it counts whole
//! seconds (never less than asked), an item does not tell when it goes, a change does not tell that it
//! went by its limit, and etcd has its own quota instead of our limits of keys and bytes.

mod http;
mod json;

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use engine::kv::{Change, Compacted, Keys, Op, Outcome, Transaction};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use crate::{Error, Store, Watch};
use http::{Answer, Stream};

/// How long an operation looks for a member that answers.
const LOOK: Duration = Duration::from_secs(2);
/// How long one question waits for its answer; etcd itself gives a proposal up after 7 s.
const PATIENCE: Duration = Duration::from_secs(8);
const AGAIN: Duration = Duration::from_millis(50);
/// Revisions of changes that wait for a watcher.
const WATCHED: usize = 64;

/// Where an etcd is and who asks it.
#[derive(Clone)]
pub struct Account {
    /// `host:port` of members, in the order in which they are tried.
    pub members: Vec<String>,
    /// Name and password, where etcd asks for them.
    pub user: Option<(String, String)>,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The password stays out of every log.
        f.debug_struct("Account").field("members", &self.members).finish_non_exhaustive()
    }
}

/// An external etcd, 3.4 or later.
#[derive(Debug)]
pub struct Etcd {
    account: Account,
    /// The member that answered last.
    current: AtomicUsize,
    token: tokio::sync::Mutex<Option<String>>,
}

/// Why a question has no answer.
#[derive(Debug)]
enum Failed {
    /// It never left, or etcd says that it was not done.
    NotDone,
    /// Wrong or no token.
    Token,
    Unknown,
    Said(String),
}

impl Etcd {
    #[must_use]
    pub fn new(account: Account) -> Self {
        Self { account, current: AtomicUsize::new(0), token: tokio::sync::Mutex::default() }
    }

    fn member(&self) -> Result<(usize, &str), Failed> {
        let at = self.current.load(Ordering::Relaxed) % self.account.members.len().max(1);
        let member = self.account.members.get(at).ok_or(Failed::NotDone)?;
        Ok((at, member))
    }

    /// Asks the current member once; after a failure the next one is current.
    async fn ask(&self, path: &str, question: &Value) -> Result<Value, Failed> {
        let token = self.token().await?;
        self.post(path, question, token.as_deref()).await
    }

    async fn post(&self, path: &str, body: &Value, token: Option<&str>) -> Result<Value, Failed> {
        let (at, member) = self.member()?;
        let asked = timeout(PATIENCE, http::post(member, path, body, token)).await;
        let failed = match asked {
            Ok(Ok(answer)) => match judge(answer) {
                Ok(value) => return Ok(value),
                Err(failed) => failed,
            },
            Ok(Err(http::Broken::NotSent)) => Failed::NotDone,
            Ok(Err(http::Broken::Lost)) | Err(_) => Failed::Unknown,
        };
        if matches!(failed, Failed::NotDone | Failed::Unknown) {
            // Another question may have moved on already.
            let next = (at + 1) % self.account.members.len().max(1);
            let _ = self.current.compare_exchange(at, next, Ordering::Relaxed, Ordering::Relaxed);
        }
        if matches!(failed, Failed::Token) {
            self.token.lock().await.take();
        }
        Err(failed)
    }

    async fn token(&self) -> Result<Option<String>, Failed> {
        let Some((name, password)) = &self.account.user else { return Ok(None) };
        let mut token = self.token.lock().await;
        if token.is_none() {
            let question = json!({ "name": name, "password": password });
            let (_, member) = self.member()?;
            let asked =
                timeout(PATIENCE, http::post(member, "/v3/auth/authenticate", &question, None));
            let answer = asked.await.map_err(|_| Failed::NotDone)?.map_err(|_| Failed::NotDone)?;
            let answer = judge(answer)?;
            *token = answer["token"].as_str().map(str::to_owned);
        }
        Ok(token.clone())
    }

    /// Asks until there is an answer, as far as asking again does no harm.
    async fn insist(&self, path: &str, question: &Value, reads: bool) -> Result<Value, Error> {
        let begun = Instant::now();
        loop {
            match self.ask(path, question).await {
                Ok(value) => return Ok(value),
                Err(Failed::Said(text)) => return Err(Error::Etcd(text)),
                Err(Failed::Unknown) if !reads => return Err(Error::Unknown),
                Err(Failed::NotDone | Failed::Unknown | Failed::Token) => {}
            }
            if begun.elapsed() >= LOOK {
                return Err(Error::NoLeader(begun.elapsed()));
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// What etcd grants for every time limit of the transaction, by operation.
    async fn grants(&self, ops: &[Op]) -> Result<Vec<Option<String>>, Error> {
        let mut grants = vec![];
        for op in ops {
            let limit = match op {
                Op::Put { limit, .. } => *limit,
                Op::Delete { .. } | Op::Read { .. } => None,
            };
            grants.push(match limit {
                None => None,
                Some(limit) => {
                    let question = json!({ "TTL": limit.div_ceil(1000).to_string() });
                    // One that is granted and not used ends by itself.
                    let granted = self.insist("/v3/lease/grant", &question, true).await?;
                    Some(granted["ID"].as_str().unwrap_or_default().to_owned())
                }
            });
        }
        Ok(grants)
    }
}

fn judge(answer: Answer) -> Result<Value, Failed> {
    let value: Value = serde_json::from_slice(&answer.body).map_err(|_| Failed::Unknown)?;
    if answer.status == 200 {
        return Ok(value);
    }
    let text = value["error"].as_str().or_else(|| value["message"].as_str()).unwrap_or("no reason");
    if text.contains("invalid auth token") || text.contains("user name is empty") {
        return Err(Failed::Token);
    }
    // gRPC's INVALID_ARGUMENT, NOT_FOUND, PERMISSION_DENIED, FAILED_PRECONDITION, UNAUTHENTICATED.
    match value["code"].as_u64() {
        Some(3 | 5 | 7 | 9 | 16) => Err(Failed::Said(text.to_owned())),
        _ => Err(Failed::Unknown),
    }
}

impl Store for Etcd {
    async fn transact(&self, transaction: Transaction) -> Result<Outcome, Error> {
        transaction.check().map_err(Error::Refused)?;
        let reads = transaction.only_reads();
        let then = self.grants(&transaction.then).await?;
        let otherwise = self.grants(&transaction.otherwise).await?;
        let question = json::transaction(&transaction, &then, &otherwise);
        let answer = self.insist("/v3/kv/txn", &question, reads).await?;
        json::outcome(&transaction, &answer).ok_or(Error::Unknown)
    }

    async fn watch(&self, after: u64, keys: Keys) -> Result<Watch, Error> {
        let (told, changes) = mpsc::channel(WATCHED);
        let (begun, token) = (Instant::now(), self.token().await.ok().flatten());
        let question = json::watch(after, &keys);
        loop {
            let Ok((_, member)) = self.member() else { return Err(Error::NoLeader(LOOK)) };
            let asked =
                timeout(PATIENCE, http::stream(member, "/v3/watch", &question, token.as_deref()));
            if let Ok(Ok(stream)) = asked.await {
                tokio::spawn(tell(stream, keys, told));
                return Ok(Watch::new(changes));
            }
            self.current.fetch_add(1, Ordering::Relaxed);
            if begun.elapsed() >= LOOK {
                return Err(Error::NoLeader(begun.elapsed()));
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
}

async fn tell(mut stream: Stream, keys: Keys, told: mpsc::Sender<Result<Vec<Change>, Error>>) {
    loop {
        let line = tokio::select! {
            line = stream.line() => line,
            () = told.closed() => return,
        };
        let ended = match line.and_then(|line| changes(&line)) {
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

enum Told {
    Changes(Vec<Change>),
    Compacted(Compacted),
}

fn changes(line: &[u8]) -> io::Result<Told> {
    let value: Value = serde_json::from_slice(line)?;
    let result = &value["result"];
    if let Some(compacted) = json::number(&result["compact_revision"]).filter(|upto| *upto > 0) {
        return Ok(Told::Compacted(Compacted { upto: compacted - 1 }));
    }
    if result["canceled"] == true || result.is_null() {
        return Err(io::Error::other(format!("etcd ended the watch: {value}")));
    }
    json::changes(result).map(Told::Changes).ok_or_else(|| io::Error::other("unreadable changes"))
}
