//! The engine outside: etcd through its JSON gateway, for sites that have one or outgrow the embedded.
//!
//! The same transactions and answers; what differs: a time limit is what etcd grants as `lease`, so it counts whole
//! seconds (never less than asked), an item does not tell when it goes, a change does not tell that it
//! went by its limit, and etcd has its own quota instead of our limits of keys and bytes.

mod account;
mod gateway;
mod http;
mod json;

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use engine::kv::{Change, Compacted, Keys, Op, Outcome, Transaction};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use crate::{Error, Store, Watch};
pub use account::Account;
use account::Member;
pub(crate) use gateway::Gateway;
use http::{Answer, Broken, Stream, To};

/// How long an operation looks for a member that answers.
const LOOK: Duration = Duration::from_secs(2);
/// How long one question waits for its answer; etcd itself gives a proposal up after 7 s.
const PATIENCE: Duration = Duration::from_secs(8);
const AGAIN: Duration = Duration::from_millis(50);
/// Revisions of changes that wait for a watcher.
const WATCHED: usize = 64;

/// An external etcd, 3.4 or later.
#[derive(Debug)]
pub struct Etcd {
    account: Account,
    /// Nothing where an address says none.
    members: Vec<Option<Member>>,
    /// The member that answered last.
    current: AtomicUsize,
    tls: Mutex<Option<Arc<rustls::ClientConfig>>>,
    token: tokio::sync::Mutex<Option<String>>,
}

/// Why a question has no answer.
#[derive(Debug)]
enum Failed {
    /// It never left, or etcd says that it was not done.
    NotDone,
    /// Not done by this member or for a reason that may go; if all fail so, this is why.
    Wrong(String),
    /// Wrong or no token.
    Token,
    Unknown,
    Said(String),
}

impl From<Broken> for Failed {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::NotSent => Self::NotDone,
            Broken::Refused(why) => Self::Wrong(why),
            Broken::Lost => Self::Unknown,
        }
    }
}

impl Etcd {
    #[must_use]
    pub fn new(account: Account) -> Self {
        let members = account.members.iter().map(|text| Member::of(text)).collect();
        Self {
            account,
            members,
            current: AtomicUsize::new(0),
            tls: Mutex::default(),
            token: tokio::sync::Mutex::default(),
        }
    }

    fn member(&self) -> Result<(usize, &Member), Failed> {
        let at = self.current.load(Ordering::Relaxed) % self.members.len().max(1);
        let member = self.members.get(at).ok_or(Failed::NotDone)?;
        let named = || Failed::Wrong(format!("`{}` is no address", self.account.members[at]));
        Ok((at, member.as_ref().ok_or_else(named)?))
    }

    /// After a failure the next one is current, unless another question moved on already.
    fn pass_over(&self, at: usize) {
        let next = (at + 1) % self.members.len().max(1);
        let _ = self.current.compare_exchange(at, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    fn tls(&self, member: &Member) -> Result<Option<Arc<rustls::ClientConfig>>, Failed> {
        if member.name.is_none() {
            return Ok(None);
        }
        let mut tls = self.tls.lock().unwrap_or_else(PoisonError::into_inner);
        if tls.is_none() {
            *tls = Some(self.account.tls().map_err(Failed::Wrong)?);
        }
        Ok(tls.clone())
    }

    /// Asks the current member once.
    async fn ask(&self, path: &str, question: &Value) -> Result<Value, Failed> {
        let token = self.token().await?;
        self.post(path, question, token.as_deref()).await
    }

    async fn post(&self, path: &str, body: &Value, token: Option<&str>) -> Result<Value, Failed> {
        let (at, member) = self.member()?;
        let to = To { member, tls: self.tls(member)?, token };
        let asked = timeout(PATIENCE, http::post(to, path, body)).await;
        let answered = match asked {
            Ok(answer) => answer.map_err(Failed::from).and_then(judge),
            Err(_) => Err(Failed::Unknown),
        };
        answered.inspect_err(|failed| self.learn(at, failed)).map_err(|failed| match failed {
            Failed::Wrong(why) => Failed::Wrong(format!("{}: {why}", self.account.members[at])),
            Failed::NotDone | Failed::Token | Failed::Unknown | Failed::Said(_) => failed,
        })
    }

    /// What follows from a failure for the next question.
    fn learn(&self, at: usize, failed: &Failed) {
        match failed {
            Failed::NotDone | Failed::Unknown => self.pass_over(at),
            Failed::Wrong(_) => {
                self.pass_over(at);
                // Certificates may be new by now.
                self.tls.lock().unwrap_or_else(PoisonError::into_inner).take();
            }
            Failed::Token | Failed::Said(_) => {}
        }
    }

    async fn token(&self) -> Result<Option<String>, Failed> {
        if self.account.user.is_none() {
            return Ok(None);
        }
        let mut token = self.token.lock().await;
        if token.is_none()
            && let Some((name, password)) = self.account.password().map_err(Failed::Wrong)?
        {
            let question = json!({ "name": name, "password": password.as_str() });
            let answer = self.post("/v3/auth/authenticate", &question, None).await;
            let answer = answer.map_err(|failed| match failed {
                // Nothing of the caller's was asked yet.
                Failed::Unknown | Failed::NotDone => Failed::NotDone,
                Failed::Wrong(_) | Failed::Token | Failed::Said(_) => failed,
            })?;
            *token = answer["token"].as_str().map(str::to_owned);
        }
        Ok(token.clone())
    }

    /// A refused token is not used again; a later one is.
    async fn forget(&self, refused: Option<&str>) {
        let mut token = self.token.lock().await;
        if token.as_deref() == refused {
            token.take();
        }
    }

    /// Asks until there is an answer, as far as asking again does no harm.
    async fn insist(&self, path: &str, question: &Value, reads: bool) -> Result<Value, Error> {
        let (begun, mut wrong) = (Instant::now(), None);
        loop {
            let token = self.token.lock().await.clone();
            match self.ask(path, question).await {
                Ok(value) => return Ok(value),
                Err(Failed::Said(text)) => return Err(Error::Etcd(self.explain(text))),
                Err(Failed::Unknown) if !reads => return Err(Error::Unknown),
                Err(Failed::Token) if self.account.user.is_none() => {
                    return Err(Error::Etcd(self.explain("user name is empty".to_owned())));
                }
                Err(Failed::Token) => self.forget(token.as_deref()).await,
                Err(Failed::Wrong(why)) => wrong = Some(why),
                Err(Failed::NotDone | Failed::Unknown) => {}
            }
            if begun.elapsed() >= LOOK {
                let nobody = || Error::NoLeader(begun.elapsed());
                return Err(wrong.map_or_else(nobody, Error::Etcd));
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// What etcd says, and what is to be done about it.
    fn explain(&self, text: String) -> String {
        let text = text.trim_start_matches("etcdserver: ");
        let prefix = &self.account.prefix;
        let account = "it wants an account: set user and password_file".to_owned();
        let (denied, wrong) = match &self.account.user {
            Some((user, _)) => (
                format!("grant user `{user}` readwrite on the prefix `{prefix}`"),
                format!("see user `{user}` and password_file"),
            ),
            None => (account.clone(), account.clone()),
        };
        let rows = [
            ("permission denied", denied),
            ("invalid user ID or password", wrong),
            ("user name is empty", account),
            ("authentication is not enabled", "remove user and password_file".to_owned()),
        ];
        let hint = rows.into_iter().find(|(said, _)| text.contains(said));
        hint.map_or_else(|| text.to_owned(), |(_, hint)| format!("{text}: {hint}"))
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

    /// Begins a watch on the current member: its first line says whether there is one.
    async fn watching(&self, question: &Value) -> Result<Stream, Failed> {
        let token = self.token().await?;
        let (at, member) = self.member()?;
        let to = To { member, tls: self.tls(member)?, token: token.as_deref() };
        let begun = async {
            let (status, mut stream) = http::stream(to, "/v3/watch", question).await?;
            let line = stream.line().await.map_err(|_| Broken::Lost)?;
            Ok::<_, Broken>((status, line, stream))
        };
        let begun = match timeout(PATIENCE, begun).await {
            Ok(begun) => begun.map_err(Failed::from),
            Err(_) => Err(Failed::NotDone),
        };
        let (status, line, stream) = begun.inspect_err(|failed| self.learn(at, failed))?;
        let answer = judge(Answer { status, body: line })?;
        match &answer["result"] {
            // Rights and tokens are judged alike.
            result if result["canceled"] == true => {
                let why = result["cancel_reason"].as_str().filter(|why| !why.is_empty());
                match (why, json::number(&result["compact_revision"])) {
                    (_, Some(1..)) => Ok(stream.again(answer.to_string())),
                    (Some(why), _) => Err(Failed::Said(why.to_owned())),
                    (None, _) => Err(Failed::Token),
                }
            }
            result if result.is_null() => Err(Failed::Unknown),
            _ => Ok(stream),
        }
    }
}

fn judge(answer: Answer) -> Result<Value, Failed> {
    let parsed = serde_json::from_slice::<Value>(&answer.body);
    let value = match (answer.status, parsed) {
        (200, Ok(value)) => return Ok(value),
        // Refused before etcd itself saw it.
        (status @ 400..=499, Err(_)) => {
            let text: String = String::from_utf8_lossy(&answer.body).chars().take(200).collect();
            let why = match status {
                404 => "it has no JSON gateway: start it with --enable-grpc-gateway".to_owned(),
                status => format!("it answers with HTTP status {status}: {}", text.trim_end()),
            };
            return Err(Failed::Wrong(why));
        }
        (_, Err(_)) => return Err(Failed::Unknown),
        (_, Ok(value)) => value,
    };
    let text = value["error"].as_str().or_else(|| value["message"].as_str()).unwrap_or("no reason");
    if ["invalid auth token", "user name is empty", "auth store is old"]
        .iter()
        .any(|said| text.contains(said))
    {
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
        let prefix = self.account.prefix.as_str();
        let question = json::transaction(prefix, &transaction, &then, &otherwise);
        let answer = self.insist("/v3/kv/txn", &question, reads).await?;
        json::outcome(prefix, &transaction, &answer).ok_or(Error::Unknown)
    }

    async fn watch(&self, after: u64, keys: Keys) -> Result<Watch, Error> {
        let (told, changes) = mpsc::channel(WATCHED);
        let (begun, mut wrong) = (Instant::now(), None);
        let question = json::watch(&self.account.prefix, after, &keys);
        loop {
            let token = self.token.lock().await.clone();
            match self.watching(&question).await {
                Ok(stream) => {
                    let prefix = self.account.prefix.clone();
                    tokio::spawn(tell(stream, prefix, keys, told));
                    return Ok(Watch::new(changes));
                }
                Err(Failed::Said(text)) => return Err(Error::Etcd(self.explain(text))),
                // A watch without the right to it ends like one with an old token.
                Err(Failed::Token) => {
                    self.forget(token.as_deref()).await;
                    wrong = Some(self.explain("permission denied".to_owned()));
                }
                Err(Failed::Wrong(why)) => wrong = Some(why),
                Err(Failed::NotDone | Failed::Unknown) => {}
            }
            if begun.elapsed() >= LOOK {
                let nobody = || Error::NoLeader(begun.elapsed());
                return Err(wrong.map_or_else(nobody, Error::Etcd));
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
}

async fn tell(
    mut stream: Stream,
    prefix: String,
    keys: Keys,
    told: mpsc::Sender<Result<Vec<Change>, Error>>,
) {
    loop {
        let line = tokio::select! {
            line = stream.line() => line,
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

enum Told {
    Changes(Vec<Change>),
    Compacted(Compacted),
}

fn changes(prefix: &str, line: &[u8]) -> io::Result<Told> {
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
