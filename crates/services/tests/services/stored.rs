//! A store for the fixture.

/// The store as node01 sees it, which leads; node03 lags, node04 is filled up.
#[must_use]
pub fn store() -> api::StoreState {
    let member = |(node, votes, has): (&str, bool, Option<u64>)| api::StoreMember {
        node: node.to_owned(),
        votes,
        has,
    };
    let members =
        [("node01", true, Some(812)), ("node03", true, Some(810)), ("node04", false, Some(40))];
    api::StoreState {
        engine: "embedded".to_owned(),
        leader: Some("node01".to_owned()),
        term: 4,
        last: 812,
        committed: 811,
        applied: 811,
        revision: 1_000,
        keys: 12,
        bytes: 4_096,
        file_bytes: 65_536,
        members: members.into_iter().map(member).collect(),
        snapshot: Some(api::StoreSnapshot { index: 500, at_ms: Some(0) }),
        ..api::StoreState::default()
    }
}

/// Who decides, as node01 sees it.
#[must_use]
pub fn coordinator() -> Option<Box<api::Coordinator>> {
    let coordinator =
        api::Coordinator { node: "node03".to_owned(), token: 31, since_ms: 0, stale_orders: 2 };
    Some(Box::new(coordinator))
}
