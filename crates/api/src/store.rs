//! A node's part of the replicated store, as its process says.

use serde::{Deserialize, Serialize};

use crate::TurnedAway;

/// Everything a member knows of the store, and of itself in it.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct StoreState {
    /// `embedded` or `etcd`.
    pub engine: String,
    /// What it waits for, or why it has stopped; none while it serves.
    pub trouble: Option<String>,
    /// The pid of a process that ended of its own failure, of which `trouble` is the last word; none: it runs, or was
    /// told to end, or said nothing before its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<i32>,
    /// Whom this node follows, by name.
    pub leader: Option<String>,
    /// Grows with each election.
    pub term: u64,
    /// Index of the last entry on this disk, of the last one known to be committed, and of the last
    /// one that was applied here.
    pub last: u64,
    pub committed: u64,
    pub applied: u64,
    /// Of the content.
    pub revision: u64,
    pub keys: u64,
    /// Keys and values together, and the file on disk (bytes).
    pub bytes: u64,
    pub file_bytes: u64,
    /// By name; those that vote first.
    pub members: Vec<StoreMember>,
    pub disk: StoreDisk,
    /// The newest snapshot; none before the first.
    pub snapshot: Option<StoreSnapshot>,
    /// At its door for the other members.
    #[serde(default, skip_serializing_if = "TurnedAway::is_nobody")]
    pub turned_away: TurnedAway,
}

/// A node of the store, as the one that tells sees it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct StoreMember {
    pub node: String,
    /// One that does not vote is filled up, and counts for no majority.
    pub votes: bool,
    /// The last index it is known to have; only the leader knows.
    pub has: Option<u64>,
}

/// What is known of a member's disk.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoreDisk {
    #[default]
    Whole,
    /// Others had more when it started: it does not count until it has entry `upto`.
    FillsUp { upto: u64 },
    /// Others remembered more of this node than its disk did; `upto`: until there it does not count.
    WentBack { upto: Option<u64> },
}

/// A snapshot of the content.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct StoreSnapshot {
    /// The last entry in it.
    pub index: u64,
    /// When it was made, milliseconds since 1970 (UTC); none: before this process started.
    pub at_ms: Option<u64>,
}

impl StoreState {
    /// Names of those that vote.
    pub fn voters(&self) -> impl Iterator<Item = &str> {
        self.members.iter().filter(|member| member.votes).map(|member| member.node.as_str())
    }

    /// Names of those that are filled up and do not vote.
    pub fn learners(&self) -> impl Iterator<Item = &str> {
        self.members.iter().filter(|member| !member.votes).map(|member| member.node.as_str())
    }

    /// Members and by how many entries they are behind, as far as this node knows: a leader of all, any
    /// other of itself.
    pub fn lags<'a>(&'a self, me: &'a str) -> impl Iterator<Item = (&'a str, u64)> {
        self.members.iter().filter_map(move |member| {
            let own = (member.node == me).then_some(self.applied);
            let known = if self.leader.as_deref() == Some(me) { self.last } else { self.committed };
            let has = member.has.or(own)?;
            Some((member.node.as_str(), known.saturating_sub(has)))
        })
    }

    /// Whether it serves, and its disk counts.
    #[must_use]
    pub fn is_well(&self) -> bool {
        let counts = match self.disk {
            StoreDisk::Whole | StoreDisk::WentBack { upto: None } => true,
            StoreDisk::FillsUp { .. } | StoreDisk::WentBack { upto: Some(_) } => false,
        };
        self.leader.is_some() && self.trouble.is_none() && counts
    }
}
