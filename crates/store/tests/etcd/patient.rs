//! A store for tests that are about something else than waiting: what was surely not done is asked again.

use std::time::Duration;

use engine::kv::{Keys, Outcome, Transaction};
use outlast_store::{Error, Store, Watch};

use crate::members::PATIENCE;

pub(crate) struct Patient<S>(pub(crate) S);

impl<S: Store> Store for Patient<S> {
    async fn transact(&self, transaction: Transaction) -> Result<Outcome, Error> {
        let begun = sys::clock::now();
        loop {
            match self.0.transact(transaction.clone()).await {
                Err(Error::NoLeader(_)) if sys::clock::now().since(begun) < PATIENCE => {}
                done => return done,
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn watch(&self, after: u64, keys: Keys) -> Result<Watch, Error> {
        let begun = sys::clock::now();
        loop {
            match self.0.watch(after, keys.clone()).await {
                Err(Error::NoLeader(_)) if sys::clock::now().since(begun) < PATIENCE => {}
                done => return done,
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
