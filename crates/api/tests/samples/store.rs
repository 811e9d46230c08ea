//! What a store says.

use outlast_api::{StoreDisk, StoreMember, StoreSnapshot, StoreState, TurnedAway};

pub(crate) fn store() -> StoreState {
    let member = |node: &str, votes, has| StoreMember { node: node.to_owned(), votes, has };
    StoreState {
        engine: "embedded".to_owned(),
        trouble: Some("waits for node03".to_owned()),
        failed: None,
        leader: Some("node01".to_owned()),
        term: 4,
        last: 812,
        committed: 811,
        applied: 810,
        revision: 1_000,
        keys: 12,
        bytes: 4_096,
        file_bytes: 65_536,
        members: vec![member("node01", true, Some(812)), member("node04", false, None)],
        disk: StoreDisk::WentBack { upto: Some(900) },
        snapshot: Some(StoreSnapshot { index: 500, at_ms: None }),
        turned_away: TurnedAway { connections: 36, last: Some([10, 79, 0, 98].into()) },
    }
}
