use std::collections::{BTreeMap, BTreeSet};

use engine::kv::{Command, Entry};
use expect_test::expect;
use openraft::{BasicNode, CommittedLeaderId, EntryPayload, Membership};

use super::super::standing::Standing;
use super::super::types::{Batch, LogEntry, Members};
use super::*;

fn log_id(index: u64) -> LogId {
    LogId::new(CommittedLeaderId::new(7, 2), index)
}

fn membership() -> Membership<NodeId, BasicNode> {
    let nodes: BTreeMap<_, _> =
        [1, 2, 3].map(|id| (id, BasicNode::new(format!("10.0.0.{id}:4")))).into();
    Membership::new(vec![BTreeSet::from([1, 2, 3])], nodes)
}

/// One of every kind.
fn samples() -> Vec<Vec<u8>> {
    let entry = |index, payload| LogEntry { log_id: log_id(index), payload };
    let commands =
        vec![Entry { clock: 5, command: Command::Transact(Transaction::put("k", b"v")) }];
    let entries = vec![
        entry(8, EntryPayload::Blank),
        entry(9, EntryPayload::Normal(Batch(Arc::new(commands)))),
        entry(10, EntryPayload::Membership(membership())),
    ];
    let vote = Vote::new_committed(7, 2);
    let standing = Standing { vote, log: Some(log_id(6)) };
    let (prev_log_id, leader_commit) = (Some(log_id(7)), None);
    let request = AppendEntriesRequest { vote, prev_log_id, entries, leader_commit };
    let last_membership = Members::new(Some(log_id(1)), membership());
    let meta =
        SnapshotMeta { last_log_id: Some(log_id(7)), last_membership, snapshot_id: "7-7".into() };
    let image = Image(Arc::from(*b"image"));
    vec![
        Hello { cluster: "test".into(), from: 1, to: 2, incarnation: Some(3) }.encode(),
        Append { request, standings: [(3, standing)].into() }.encode(),
        Chunk::all(vote, &meta, &image)[0].encode(),
        Told { of_you: standing, own: Standing::default(), known: 0 }.encode(),
        encode_appended(&AppendEntriesResponse::Success),
        encode_appended(&AppendEntriesResponse::PartialSuccess(Some(log_id(7)))),
        encode_appended(&AppendEntriesResponse::Conflict),
        encode_appended(&AppendEntriesResponse::HigherVote(vote)),
        encode_vote(&VoteRequest::new(Vote::new(8, 3), Some(log_id(7)))),
        encode_voted(&VoteResponse { vote, vote_granted: true, last_log_id: None }),
        encode_canvass(Some(log_id(7))),
        encode_yes(true),
        encode_yield(),
        super::super::frame::Frame { number: 3, kind: kind::CANVASS, body: encode_canvass(None) }
            .encode(),
    ]
}

#[test]
fn messages_between_nodes_of_the_store_have_these_bytes() {
    let mut text = String::new();
    for sample in samples() {
        let hex: Vec<_> = sample.iter().map(|byte| format!("{byte:02x}")).collect();
        text += &format!("{}\n", hex.concat());
        crate::fuzz::message(&sample);
    }
    expect![[r#"
        02000000047465737400000000000000010000000000000002010000000000000003
        0100000000000000070000000000000002010100000000000000070000000000000002000000000000000700000000010000000000000003000000000000000700000000000000020101000000000000000700000000000000020000000000000006000000030000000000000007000000000000000200000000000000080000000000000000070000000000000002000000000000000901000000010000002101000000000000000501000000000000000101000000016b00000001760000000000000000000000070000000000000002000000000000000a0200000001000000030000000000000001000000000000000200000000000000030000000300000000000000010000000a31302e302e302e313a3400000000000000020000000a31302e302e302e323a3400000000000000030000000a31302e302e302e333a34
        010000000000000007000000000000000201010000000000000007000000000000000200000000000000070100000000000000070000000000000002000000000000000100000001000000030000000000000001000000000000000200000000000000030000000300000000000000010000000a31302e302e302e313a3400000000000000020000000a31302e302e302e323a3400000000000000030000000a31302e302e302e333a3400000003372d370000000000000000000000000000000500000005696d616765
        01000000000000000700000000000000020101000000000000000700000000000000020000000000000006000000000000000000000000000000000000
        0100
        010101000000000000000700000000000000020000000000000007
        0102
        01030000000000000007000000000000000201
        01000000000000000800000000000000030001000000000000000700000000000000020000000000000007
        0100000000000000070000000000000002010100
        0101000000000000000700000000000000020000000000000007
        0101
        01
        0000000b0000000000000003020100
    "#]].assert_eq(&text);
}

#[test]
fn every_message_is_refused_when_a_newer_version_wrote_it_or_its_end_is_missing() {
    for (number, sample) in samples().into_iter().enumerate().take(12) {
        let decoder = match number {
            0..=3 => number,
            4..=7 => 4,
            _ => number - 3,
        };
        let decode = super::super::fuzz::decoders()[decoder];
        assert_eq!(decode(&sample).as_ref(), Some(&sample), "{number}");
        let newer = [&[sample[0] + 1], &sample[1..]].concat();
        assert_eq!(decode(&newer), None, "{number}");
        assert_eq!(decode(&sample[..sample.len() - 1]), None, "{number}");
    }
}

#[test]
fn a_snapshot_comes_in_parts_and_only_whole() {
    let bytes: Vec<u8> = (0..CHUNK * 2 + 5).map(|at| u8::try_from(at % 251).unwrap()).collect();
    let image = Image(bytes.clone().into());
    let meta = SnapshotMeta { snapshot_id: "1".into(), ..SnapshotMeta::default() };
    let chunks = Chunk::all(Vote::new(1, 1), &meta, &image);
    assert_eq!(chunks.len(), 3);
    let mut incoming = Incoming::default();
    assert!(incoming.take(&chunks[1]).is_err(), "nothing came before");
    assert!(incoming.take(&chunks[0]).unwrap().is_none());
    assert!(incoming.take(&chunks[2]).is_err(), "one is missing");
    assert!(incoming.take(&chunks[1]).unwrap().is_none());
    let whole = incoming.take(&chunks[2]).unwrap().unwrap();
    assert_eq!(*whole.0, *bytes);
    let endless = Chunk { total: u64::MAX, ..chunks[0].clone() };
    assert!(incoming.take(&endless).is_err());
}
