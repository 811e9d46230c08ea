//! openraft's questions to other nodes.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use openraft::error::{
    Fatal, NetworkError, RPCError, RaftError, ReplicationClosed, StreamingError, Unreachable,
};
use openraft::network::{Backoff, RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
};
use openraft::{BasicNode, OptionalSend};
use tokio::time::{Instant, timeout};

use super::disk::Disk;
use super::link::{CallError, Lane, Links};
use super::message::{Append, Chunk, decode_appended, decode_voted, encode_vote, kind};
use super::standing::Standing;
use super::types::{NodeId, Types, Vote};

type RpcError = RPCError<NodeId, BasicNode, RaftError<NodeId>>;

/// Between two attempts to reach a node that cannot be reached.
const AGAIN: Duration = Duration::from_millis(100);
/// For one part of a snapshot.
const CHUNK_PATIENCE: Duration = Duration::from_secs(5);

#[derive(Clone, Debug)]
pub(crate) struct Network {
    pub(crate) links: Arc<Links>,
    pub(crate) disk: Arc<Disk>,
}

/// The way to one node.
#[derive(Debug)]
pub(crate) struct Way {
    network: Network,
    target: NodeId,
    address: String,
}

impl RaftNetworkFactory<Types> for Network {
    type Network = Way;

    async fn new_client(&mut self, target: NodeId, node: &BasicNode) -> Way {
        Way { network: self.clone(), target, address: node.addr.clone() }
    }
}

impl Way {
    async fn call(
        &self,
        lane: Lane,
        question: (u8, Vec<u8>),
        patience: Duration,
    ) -> Result<Vec<u8>, RpcError> {
        let to = (self.target, self.address.as_str());
        self.network.links.call(to, lane, question, patience).await.map_err(|error| match error {
            CallError::NotSent(_) => RPCError::Unreachable(Unreachable::new(&error)),
            CallError::Lost(_)
            | CallError::Refused(_)
            | CallError::NotLeader
            | CallError::Unknown => RPCError::Network(NetworkError::new(&error)),
        })
    }
}

/// The vote before which a leader `me` steps down when `target` answers that it has given `vote`.
///
/// It may be for `me`: this node's disk, or its whole store, went back to before it was elected in that term.
/// openraft 0.9 takes such a vote for its own candidature, or, if it was committed, for its own lead in that
/// term, and goes on: followers hear the beats of a leader that commits nothing, and nobody stands for
/// election. So it hears of the next term, and of nobody's vote but the other's: it follows, and whoever is
/// elected next has a later term than both.
fn above(vote: Vote, me: NodeId, target: NodeId) -> Vote {
    if vote.leader_id.node_id == me { Vote::new(vote.leader_id.term + 1, target) } else { vote }
}

fn damaged(error: &std::io::Error) -> RpcError {
    RPCError::Network(NetworkError::new(error))
}

/// A little less than openraft waits: it drops the question at its own time, and then nobody would see
/// that the connection is silent.
fn patience(option: &RPCOption) -> Duration {
    option.hard_ttl() * 9 / 10
}

impl RaftNetwork<Types> for Way {
    async fn append_entries(
        &mut self,
        mut request: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<NodeId>, RpcError> {
        let until = Instant::now() + patience(&option);
        // The others may not apply what this node could still lose. Mostly its disk is as fast as theirs;
        // where it is not, they hear a beat without the news.
        let on_disk = self.network.disk.on_disk(request.leader_commit);
        drop(timeout(patience(&option) / 2, on_disk).await);
        request.leader_commit = request.leader_commit.min(self.network.disk.flushed());
        let append = Append { request, standings: self.network.disk.standings() };
        let question = (kind::APPEND, append.encode());
        let rest = until.saturating_duration_since(Instant::now());
        let answer = self.call(Lane::Raft, question, rest).await?;
        let appended = decode_appended(&answer).map_err(|error| damaged(&error))?;
        let vote = append.request.vote;
        let log = match &appended {
            AppendEntriesResponse::Success => append.last(),
            AppendEntriesResponse::PartialSuccess(upto) => *upto,
            AppendEntriesResponse::Conflict => None,
            AppendEntriesResponse::HigherVote(vote) => {
                self.network.disk.note(self.target, &Standing { vote: *vote, log: None });
                let above = above(*vote, self.network.disk.me, self.target);
                return Ok(AppendEntriesResponse::HigherVote(above));
            }
        };
        self.network.disk.note(self.target, &Standing { vote, log });
        Ok(appended)
    }

    async fn vote(
        &mut self,
        request: VoteRequest<NodeId>,
        option: RPCOption,
    ) -> Result<VoteResponse<NodeId>, RpcError> {
        let question = (kind::VOTE, encode_vote(&request));
        let answer = self.call(Lane::Raft, question, patience(&option)).await?;
        let voted = decode_voted(&answer).map_err(|error| damaged(&error))?;
        let standing = Standing { vote: voted.vote, log: voted.last_log_id };
        self.network.disk.note(self.target, &standing);
        Ok(voted)
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: openraft::Snapshot<Types>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<NodeId>, StreamingError<Types, Fatal<NodeId>>> {
        let sending = async {
            let mut known = vote;
            for chunk in Chunk::all(vote, &snapshot.meta, &snapshot.snapshot) {
                let question = (kind::SNAPSHOT, chunk.encode());
                let answer = self.call(Lane::Bulk, question, CHUNK_PATIENCE).await?;
                known = decode_voted(&answer).map_err(|error| damaged(&error))?.vote;
                if known > vote {
                    return Ok(above(known, self.network.disk.me, self.target));
                }
            }
            Ok::<_, RpcError>(known)
        };
        let known = tokio::select! {
            closed = cancel => return Err(StreamingError::Closed(closed)),
            sent = sending => sent.map_err(|error| {
                StreamingError::Unreachable(Unreachable::new(&error))
            })?,
        };
        if known == vote {
            let standing = Standing { vote, log: snapshot.meta.last_log_id };
            self.network.disk.note(self.target, &standing);
        }
        Ok(SnapshotResponse::new(known))
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(AGAIN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vote_for_the_leader_that_it_does_not_know_of_makes_it_follow() {
        for vote in [Vote::new(5, 2), Vote::new_committed(5, 2)] {
            let heard = above(vote, 2, 1);
            assert_eq!(heard, Vote::new(6, 1));
            assert!(heard > vote && heard.leader_id.node_id != 2 && !heard.committed);
        }
        for vote in [Vote::new(5, 1), Vote::new_committed(5, 3)] {
            assert_eq!(above(vote, 2, 1), vote, "another's vote is heard as it is");
        }
    }
}
