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
        turned_away: api::TurnedAway { connections: 36, last: None },
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

/// What came for a virtual IP and was not obeyed.
#[must_use]
pub fn adverts() -> Vec<api::RefusedAdverts> {
    vec![api::RefusedAdverts {
        vip: Some("internal".to_owned()),
        interface: "eth0".to_owned(),
        reason: api::RefusedAdvert::Password,
        count: 12,
        source: Some([10, 79, 0, 99].into()),
    }]
}

/// At the desk.
#[must_use]
pub fn turned_away() -> api::TurnedAway {
    api::TurnedAway { connections: 84, last: Some([10, 79, 0, 99].into()) }
}

/// Of node01.
pub const PROCESSES: [(api::Role, i32); 5] = [
    (api::Role::Supervisor, 1200),
    (api::Role::Vip, 1203),
    (api::Role::Agent, 1204),
    (api::Role::Proxy, 1205),
    (api::Role::Spare, 1206),
];

/// Most of the time it is not late, once it was.
#[must_use]
pub fn vip_process() -> api::VipProcess {
    let step = |step, upto_us, waits| api::LateStep { step, upto_us, waits };
    let steps = vec![step(4, Some(16), 59_000), step(13, Some(80), 999), step(36, Some(4096), 1)];
    let (p50_us, p99_us, p999_us, max_us) = (16, 80, 80, 3456);
    let late = api::Lateness { waits: 60_000, p50_us, p99_us, p999_us, max_us, steps };
    let left = vec![api::LeaseLeft {
        instance: 0,
        left_us: 28_310,
        least_us: 21_004,
        lapses: 0,
        lapsed_us: 0,
    }];
    api::VipProcess { late, beats: None, left, age_ms: Some(420), voters: None }
}

/// All five numbers.
#[must_use]
pub fn took() -> api::Took {
    api::Took {
        detect_us: Some(46_130),
        decide_us: 700,
        address_us: 310,
        announce_us: Some(95),
        answer_us: Some(1200),
    }
}

/// A holder.
#[must_use]
pub fn holder() -> api::VipState {
    api::VipState {
        instance: 0,
        role: api::VipRole::Master,
        holding: true,
        successor: Some(1),
        successor_life: None,
        cause: None,
        term: 7,
        disabled_scripts: vec![],
        interface: None,
        in_use_by: None,
        vip_lease: None,
        priority: None,
        took: Some(took()),
    }
}

/// A move that one of two receivers does not take.
pub(crate) fn notifying() -> api::Notifying {
    let receiver = |name: &str, way: &str, failing: Option<&str>| api::ReceiverState {
        name: name.to_owned(),
        way: way.to_owned(),
        failing: failing.map(str::to_owned),
        ..api::ReceiverState::default()
    };
    let due = |receiver: &str, fate, tries| api::NotificationDue {
        receiver: receiver.to_owned(),
        fate,
        tries,
        ..api::NotificationDue::default()
    };
    api::Notifying {
        by: "node03".to_owned(),
        receivers: vec![
            receiver("ops", "mail to ops@example.org by mail.example.org:587", None),
            receiver("chat", "webhook https://hooks.example.org:443", Some("it answers 503 Later")),
        ],
        newest: vec![api::Notification {
            id: "vip-internal-node01-1700000000123-57".to_owned(),
            topic: "move".to_owned(),
            object: "vip/internal".to_owned(),
            at_ms: 1_700_000_000_123,
            node: "node01".to_owned(),
            from: Some("node02".to_owned()),
            to: Some("node01".to_owned()),
            dues: vec![
                due("ops", api::NotificationFate::Told(1_700_000_001_000), 0),
                due("chat", api::NotificationFate::Waiting, 3),
            ],
            ..api::Notification::default()
        }],
    }
}
