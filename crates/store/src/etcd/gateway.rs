//! The etcd of a site as the store's process of a node sees it: the store, and what can be said of it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json as value};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::json::{self, number};
use super::{Account, Etcd, PATIENCE, Question, said};
use crate::local::Report;
use crate::{Error, Store};

/// Between two looks at it.
const LOOK: Duration = Duration::from_secs(1);

/// What `outlast store backup` hears.
const BACKUP: &str = "its backup is its own: `etcdctl snapshot save FILE` on one of its members";

#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) store: Arc<Etcd>,
    /// As it was found last.
    facts: Arc<Mutex<Facts>>,
    looks: JoinHandle<()>,
}

/// What etcd says of itself.
#[derive(Debug, Default)]
struct Facts {
    trouble: Option<String>,
    leader: Option<String>,
    members: Vec<String>,
    term: u64,
    last: u64,
    applied: u64,
    revision: u64,
    keys: u64,
    /// Of the whole etcd, not only of this prefix.
    file_bytes: u64,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.looks.abort();
    }
}

impl Gateway {
    /// Looks at it from now on, by tasks of the runtime this is called in.
    pub(crate) fn start(account: Account) -> Self {
        let store = Arc::new(Etcd::new(account));
        let waiting = Facts { trouble: Some("looks for etcd".to_owned()), ..Facts::default() };
        let facts = Arc::new(Mutex::new(waiting));
        let looks = tokio::spawn(look(Arc::clone(&store), Arc::clone(&facts)));
        Self { store, facts, looks }
    }

    pub(crate) fn backup() -> Error {
        Error::Etcd(BACKUP.to_owned())
    }

    pub(crate) fn report(&self, start: Report) -> Report {
        let facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        Report {
            engine: "etcd".to_owned(),
            trouble: facts.trouble.clone(),
            leader: facts.leader.clone(),
            term: facts.term,
            last: facts.last,
            // It tells of no other.
            committed: facts.applied,
            applied: facts.applied,
            revision: facts.revision,
            keys: facts.keys,
            file_bytes: facts.file_bytes,
            voters: facts.members.iter().map(|member| (member.clone(), None)).collect(),
            ..start
        }
    }
}

async fn look(store: Arc<Etcd>, facts: Arc<Mutex<Facts>>) {
    loop {
        let found = store.facts().await;
        *facts.lock().unwrap_or_else(PoisonError::into_inner) = found.unwrap_or_else(|error| {
            let trouble = Some(base::Chain(&error).to_string());
            Facts { trouble, ..Facts::default() }
        });
        sleep(LOOK).await;
    }
}

impl Etcd {
    /// What it says of itself, with a read by a majority: that its keys may be read is a part of it.
    async fn facts(&self) -> Result<Facts, Error> {
        let count = json::count(&self.account.prefix);
        let (until, empty) = (Instant::now() + PATIENCE, value!({}));
        let ask = |path, body| self.insist(Question { path, body, reads: true, until });
        let content = ask("/v3/kv/range", &count).await?;
        let status = ask("/v3/maintenance/status", &empty).await?;
        let members = ask("/v3/cluster/member/list", &empty).await?;
        let of = |object: &Value, key: &str| number(&object[key]).unwrap_or_default();
        let none = vec![];
        let members = members["members"].as_array().unwrap_or(&none);
        let named = |member: &Value| member["name"].as_str().unwrap_or_default().to_owned();
        let leads = |member: &&Value| member["ID"] == status["leader"];
        Ok(Facts {
            // It answers, and an alarm may still stop writes.
            trouble: said::trouble(&status),
            leader: members.iter().find(leads).map(named),
            members: members.iter().map(named).collect(),
            term: of(&status, "raftTerm"),
            last: of(&status, "raftIndex"),
            applied: of(&status, "raftAppliedIndex"),
            revision: of(&content["header"], "revision"),
            keys: of(&content, "count"),
            file_bytes: of(&status, "dbSize"),
        })
    }
}

/// The question of a process for its store.
impl Store for Gateway {
    async fn transact(
        &self,
        transaction: engine::kv::Transaction,
    ) -> Result<engine::kv::Outcome, Error> {
        self.store.transact(transaction).await
    }

    async fn watch(&self, after: u64, keys: engine::kv::Keys) -> Result<crate::Watch, Error> {
        self.store.watch(after, keys).await
    }
}
