//! What openraft's types are here, and their bytes in the log and between nodes.
//!
//! Every stored or sent thing begins with the version of its form; a newer one is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use engine::kv;
use openraft::{
    BasicNode, CommittedLeaderId, EntryPayload, LeaderId, Membership, StoredMembership,
};

use crate::bytes::{Reader, Writer, damaged};

/// Of log entries on disk and of messages between nodes.
pub(crate) const VERSION: u8 = 1;
/// Commands of one log entry at most; more wait for the next.
pub(crate) const MAX_BATCH: usize = 256;
/// Nodes of a membership, voters and learners.
pub(crate) const MAX_MEMBERS: usize = 64;

/// A node of the store, its position in the cluster.
pub type NodeId = u64;
pub(crate) type LogId = openraft::LogId<NodeId>;
pub(crate) type Vote = openraft::Vote<NodeId>;
pub(crate) type LogEntry = openraft::Entry<Types>;
pub(crate) type Members = StoredMembership<NodeId, BasicNode>;
pub(crate) type SnapshotMeta = openraft::SnapshotMeta<NodeId, BasicNode>;
pub(crate) type StorageError = openraft::StorageError<NodeId>;
pub(crate) type Raft = openraft::Raft<Types>;

openraft::declare_raft_types!(
    /// Types of the embedded store for openraft.
    pub(crate) Types:
        D = Batch,
        R = Results,
        NodeId = NodeId,
        Node = BasicNode,
        SnapshotData = Image,
);

/// Commands that are committed together: one fsync for all of them.
#[derive(Clone, Debug)]
pub(crate) struct Batch(pub(crate) Arc<Vec<kv::Entry>>);

/// What each of them did.
#[derive(Clone, Debug)]
pub(crate) struct Results(pub(crate) Vec<Result<kv::Outcome, kv::Refusal>>);

/// A snapshot as [`kv::Kv::snapshot`] writes it.
#[derive(Clone, Debug)]
pub(crate) struct Image(pub(crate) Arc<[u8]>);

impl Writer {
    pub(crate) fn log_id(&mut self, id: LogId) {
        self.u64(id.leader_id.term);
        self.u64(id.leader_id.node_id);
        self.u64(id.index);
    }

    pub(crate) fn vote(&mut self, vote: Vote) {
        self.u64(vote.leader_id.term);
        self.u64(vote.leader_id.node_id);
        self.u8(u8::from(vote.committed));
    }

    pub(crate) fn entry(&mut self, entry: &LogEntry) {
        self.log_id(entry.log_id);
        match &entry.payload {
            EntryPayload::Blank => self.u8(0),
            EntryPayload::Normal(Batch(entries)) => {
                self.u8(1);
                self.list(entries.iter(), |out, entry| out.bytes(&entry.encode()));
            }
            EntryPayload::Membership(membership) => {
                self.u8(2);
                self.membership(membership);
            }
        }
    }

    fn membership(&mut self, membership: &Membership<NodeId, BasicNode>) {
        let configs = membership.get_joint_config();
        self.list(configs.iter(), |out, config| {
            out.list(config.iter(), |out, id| out.u64(*id));
        });
        let nodes: Vec<_> = membership.nodes().collect();
        self.list(nodes.into_iter(), |out, (id, node)| {
            out.u64(*id);
            out.bytes(node.addr.as_bytes());
        });
    }

    pub(crate) fn members(&mut self, members: &Members) {
        self.option(*members.log_id(), Self::log_id);
        self.membership(members.membership());
    }

    pub(crate) fn meta(&mut self, meta: &SnapshotMeta) {
        self.option(meta.last_log_id, Self::log_id);
        self.members(&meta.last_membership);
        self.bytes(meta.snapshot_id.as_bytes());
    }
}

impl Reader<'_> {
    pub(crate) fn log_id(&mut self) -> io::Result<LogId> {
        let leader = CommittedLeaderId::new(self.u64()?, self.u64()?);
        Ok(LogId::new(leader, self.u64()?))
    }

    pub(crate) fn vote(&mut self) -> io::Result<Vote> {
        let leader_id = LeaderId::new(self.u64()?, self.u64()?);
        Ok(Vote { leader_id, committed: self.bool()? })
    }

    pub(crate) fn entry(&mut self) -> io::Result<LogEntry> {
        let log_id = self.log_id()?;
        let payload = match self.u8()? {
            0 => EntryPayload::Blank,
            1 => {
                let entries = self.list(MAX_BATCH, |from| {
                    kv::Entry::decode(from.bytes()?)
                        .map_err(|damage| io::Error::new(io::ErrorKind::InvalidData, damage))
                })?;
                EntryPayload::Normal(Batch(Arc::new(entries)))
            }
            2 => EntryPayload::Membership(self.membership()?),
            3.. => return Err(damaged("an entry of unknown kind")),
        };
        Ok(LogEntry { log_id, payload })
    }

    fn membership(&mut self) -> io::Result<Membership<NodeId, BasicNode>> {
        let configs = self.list(MAX_MEMBERS, |from| {
            Ok(from.list(MAX_MEMBERS, Self::u64)?.into_iter().collect::<BTreeSet<_>>())
        })?;
        let nodes = self.list(MAX_MEMBERS, |from| Ok((from.u64()?, from.text()?)))?;
        let nodes: BTreeMap<_, _> =
            nodes.into_iter().map(|(id, addr)| (id, BasicNode::new(addr))).collect();
        if configs.iter().flatten().any(|id| !nodes.contains_key(id)) {
            return Err(damaged("a voter without an address"));
        }
        Ok(Membership::new(configs, nodes))
    }

    pub(crate) fn members(&mut self) -> io::Result<Members> {
        Ok(Members::new(self.option(Self::log_id)?, self.membership()?))
    }

    pub(crate) fn meta(&mut self) -> io::Result<SnapshotMeta> {
        Ok(SnapshotMeta {
            last_log_id: self.option(Self::log_id)?,
            last_membership: self.members()?,
            snapshot_id: self.text()?,
        })
    }

    /// The reader behind the version with which every stored or sent thing begins.
    pub(crate) fn versioned(bytes: &[u8]) -> io::Result<Reader<'_>> {
        let mut from = Reader(bytes);
        let version = from.u8()?;
        if version != VERSION {
            let text = format!("it has version {version}, this program reads {VERSION}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        Ok(from)
    }
}

impl Writer {
    pub(crate) fn versioned() -> Self {
        Self(vec![VERSION])
    }
}
