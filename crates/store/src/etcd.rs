//! The engine outside: etcd through its JSON gateway, for sites that have one or outgrow the embedded.
//!
//! The same transactions and answers; what differs: a time limit is what etcd grants as `lease`, so it counts whole
//! seconds (never less than asked), an item does not tell when it goes, a change does not tell that it
//! went by its limit, and etcd has its own quota instead of our limits of keys and bytes.

mod account;
pub(crate) mod fuzz;
mod gateway;
mod http;
mod json;
mod said;
mod watching;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use engine::kv::{Keys, Op, Outcome, Transaction};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use crate::{Error, Store, Watch};
pub use account::Account;
use account::Member;
pub(crate) use gateway::Gateway;
use http::{Answer, Broken, To};
use said::judge;

/// How long an operation looks for a member that answers; longer, if not every member was asked by then.
const LOOK: Duration = Duration::from_secs(2);
/// How long an operation takes at most; etcd itself gives a proposal up after 7 s.
const PATIENCE: Duration = Duration::from_secs(8);
/// By then the answer to a question that may be asked again begins, or another member is asked.
const ANSWER: Duration = Duration::from_secs(1);
const AGAIN: Duration = Duration::from_millis(50);

/// An external etcd, 3.4 or later.
pub struct Etcd {
    account: Account,
    /// Nothing where an address says none.
    members: Vec<Option<Member>>,
    /// The member that answered last.
    current: AtomicUsize,
    tls: Mutex<Option<Arc<rustls::ClientConfig>>>,
    token: tokio::sync::Mutex<Option<String>>,
}

impl std::fmt::Debug for Etcd {
    /// Without the token, which is a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Etcd").field("account", &self.account).finish_non_exhaustive()
    }
}

/// A question to one member.
#[derive(Clone, Copy)]
struct Question<'a> {
    path: &'a str,
    body: &'a Value,
    /// Asked twice it does no harm.
    reads: bool,
    /// Of the whole operation.
    until: Instant,
}

/// Why a question has no answer.
#[derive(Debug, Eq, PartialEq)]
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
    async fn ask(&self, question: Question<'_>) -> Result<Value, Failed> {
        let token = self.token(question.until).await?;
        self.post(question, token.as_deref()).await
    }

    async fn post(&self, question: Question<'_>, token: Option<&str>) -> Result<Value, Failed> {
        let Question { path, body, reads, until } = question;
        let (at, member) = self.member()?;
        let to = To { member, tls: self.tls(member)?, token };
        let begins = if reads { until.min(Instant::now() + ANSWER) } else { until };
        let asked = async {
            let silent = |_| Broken::Lost;
            let begun = timeout_at(begins, http::stream(&to, path, body)).await;
            let (status, stream) = begun.map_err(silent)??;
            let body = timeout_at(until, stream.rest()).await.map_err(silent)??;
            Ok::<_, Broken>(Answer { status, body })
        };
        let answered = asked.await.map_err(Failed::from).and_then(|answer| judge(answer, reads));
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

    async fn token(&self, until: Instant) -> Result<Option<String>, Failed> {
        if self.account.user.is_none() {
            return Ok(None);
        }
        let mut token = self.token.lock().await;
        if token.is_none()
            && let Some((name, password)) = self.account.password().map_err(Failed::Wrong)?
        {
            let body = json!({ "name": name, "password": password.as_str() });
            let path = "/v3/auth/authenticate";
            let question = Question { path, body: &body, reads: true, until };
            let answer = self.post(question, None).await;
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
    async fn insist(&self, question: Question<'_>) -> Result<Value, Error> {
        let (begun, mut tried, mut wrong) = (Instant::now(), 0, None);
        loop {
            let token = self.token.lock().await.clone();
            match self.ask(question).await {
                Ok(value) => return Ok(value),
                Err(Failed::Said(text)) => return Err(Error::Etcd(self.explain(&text))),
                Err(Failed::Unknown) if !question.reads => return Err(Error::Unknown),
                Err(Failed::Token) if self.account.user.is_none() => {
                    return Err(Error::Etcd(self.explain("user name is empty")));
                }
                Err(Failed::Token) => self.forget(token.as_deref()).await,
                Err(Failed::Wrong(why)) => wrong = Some(why),
                Err(Failed::NotDone | Failed::Unknown) => {}
            }
            tried += 1;
            if self.gives_up(begun, tried, question.until) {
                let nobody = || Error::NoLeader(begun.elapsed());
                return Err(wrong.map_or_else(nobody, Error::Etcd));
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Whether it was long enough and each member had its turn.
    fn gives_up(&self, begun: Instant, tried: usize, until: Instant) -> bool {
        (begun.elapsed() >= LOOK && tried >= self.members.len()) || Instant::now() >= until
    }

    /// What etcd says, and what is to be done about it.
    fn explain(&self, text: &str) -> String {
        let text = text.trim_start_matches("etcdserver: ").trim_start_matches("mvcc: ");
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
            ("space exceeded", said::NO_SPACE.to_owned()),
        ];
        let hint = rows.into_iter().find(|(said, _)| text.contains(said));
        hint.map_or_else(|| text.to_owned(), |(_, hint)| format!("{text}: {hint}"))
    }

    /// What etcd grants for every time limit of the transaction, by operation.
    async fn grants(&self, ops: &[Op], until: Instant) -> Result<Vec<Option<String>>, Error> {
        let mut grants = vec![];
        for op in ops {
            let limit = match op {
                Op::Put { limit, .. } => *limit,
                Op::Delete { .. } | Op::Read { .. } => None,
            };
            grants.push(match limit {
                None => None,
                Some(limit) => {
                    let body = json!({ "TTL": limit.div_ceil(1000).to_string() });
                    let path = "/v3/lease/grant";
                    // One that is granted and not used ends by itself.
                    let question = Question { path, body: &body, reads: true, until };
                    let granted = self.insist(question).await?;
                    Some(granted["ID"].as_str().unwrap_or_default().to_owned())
                }
            });
        }
        Ok(grants)
    }
}

impl Store for Etcd {
    async fn transact(&self, transaction: Transaction) -> Result<Outcome, Error> {
        transaction.check().map_err(Error::Refused)?;
        let reads = transaction.only_reads();
        let until = Instant::now() + PATIENCE;
        let then = self.grants(&transaction.then, until).await?;
        let otherwise = self.grants(&transaction.otherwise, until).await?;
        let prefix = self.account.prefix.as_str();
        let body = json::transaction(prefix, &transaction, &then, &otherwise);
        let question = Question { path: "/v3/kv/txn", body: &body, reads, until };
        let answer = self.insist(question).await?;
        json::outcome(prefix, &transaction, &answer).ok_or(Error::Unknown)
    }

    async fn watch(&self, after: u64, keys: Keys) -> Result<Watch, Error> {
        self.begin_watch(after, keys).await
    }
}
