//! A client of the store, in a world that somebody looks at: what it wrote, and what came of it.

use base::Time;
use engine::kv::Transaction;

use super::World;
use super::mail::Asker;

/// One key each.
#[derive(Debug, Default)]
pub(super) struct Writes {
    begun: Vec<Time>,
    /// Numbers of those that were acknowledged.
    acknowledged: Vec<usize>,
}

fn key(write: usize) -> String {
    format!("scenario/{write}")
}

fn value(write: usize) -> Vec<u8> {
    write.to_string().into_bytes()
}

impl World {
    /// Asks the store's process of that host, which may never answer.
    pub(super) fn write_as_client(&mut self, host: u16) {
        let write = self.writes.begun.len();
        self.writes.begun.push(self.now);
        let transaction = Transaction::put(&key(write), &value(write));
        self.propose(host, Asker::Client(write), transaction);
    }

    pub(super) fn acknowledge(&mut self, write: usize) {
        self.writes.acknowledged.push(write);
    }

    /// When the newest of the acknowledged ones had begun.
    pub(super) fn written(&self) -> Option<Time> {
        let begun = |write: &usize| self.writes.begun.get(*write).copied();
        self.writes.acknowledged.iter().filter_map(begun).max()
    }

    /// Keys of acknowledged writes that the store has otherwise.
    pub(super) fn lost_writes(&self) -> Vec<String> {
        let is_there = |write: &&usize| {
            let item = self.store.kv.get(&key(**write));
            item.is_some_and(|item| item.value[..] == value(**write)[..])
        };
        let lost = self.writes.acknowledged.iter().filter(|write| !is_there(write));
        lost.map(|write| key(*write)).collect()
    }

    /// Whom the store's process of that host follows, and who coordinates as far as it knows.
    pub(super) fn leaders_seen(&mut self, host: u16) -> (Option<u16>, Option<u16>) {
        if !self.hosts[usize::from(host)].agent_acts() {
            return (None, None);
        }
        let leader = self.lead_store().filter(|leader| self.is_reached(host, *leader));
        let holds = |other: &u16| {
            let acts = self.hosts[usize::from(*other)].agent_acts();
            acts && self.offices[usize::from(*other)].token(self.local(*other)).is_some()
        };
        (leader, (0..self.controllers).find(holds).filter(|_| leader.is_some()))
    }
}
