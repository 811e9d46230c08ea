//! Values that stand in several messages.

use outlast_api::{Coordinator, Event, Intent, IntentState, IntentStep, ReferenceLine, Under};

pub(crate) fn event() -> Event {
    Event {
        seq: 17,
        at_ms: 1_700_000_000_123,
        node: "node01".to_owned(),
        what: "vip-claimed".to_owned(),
        object: "vip/internal".to_owned(),
        evidence: "no advert for 3.6 s".to_owned(),
        decision: "the holder is gone (\"silence\")".to_owned(),
        action: "10.79.0.40 added".to_owned(),
        took_us: 812,
        not_done: "no hand-over".to_owned(),
        moved: None,
    }
}

pub(crate) fn intent() -> Intent {
    Intent {
        number: 7,
        what: "move".to_owned(),
        object: "vip/internal".to_owned(),
        by: "uid 0 (pid 7) on node02".to_owned(),
        at_ms: 1_764_000_000_000,
        state: IntentState::Failed,
        why: "node02 did not take it".to_owned(),
        next: None,
        steps: vec![IntentStep {
            node: "node01".to_owned(),
            verb: "hand-over".to_owned(),
            object: "vip/internal node02".to_owned(),
        }],
    }
}

pub(crate) fn under() -> Under {
    let (balancer, servers) = ("node03".to_owned(), vec!["api/node01".to_owned()]);
    Under { balancer, sessions: 2, servers, unknown: Some("it is slow".to_owned()) }
}

pub(crate) fn coordinator() -> Coordinator {
    let since_ms = 1_700_000_000_123;
    Coordinator { node: "node02".to_owned(), token: 31, since_ms, stale_orders: 1 }
}

/// One that answers, one that did, one that never has.
pub(crate) fn references() -> Vec<ReferenceLine> {
    let line = |answers, age_ms| ReferenceLine {
        address: "10.79.0.1".to_owned(),
        network: "management".to_owned(),
        answers,
        age_ms,
    };
    let lines = vec![line(true, Some(120)), line(false, Some(60_000)), line(false, None)];
    let words: Vec<_> = lines.iter().map(ReferenceLine::words).collect();
    let expected = [
        "10.79.0.1 on management answers",
        "10.79.0.1 on management has not answered for 60.0 s",
        "10.79.0.1 on management has never answered",
    ];
    assert_eq!(words, expected);
    lines
}

pub(crate) fn referred() -> outlast_api::References {
    outlast_api::References {
        answering: vec!["mgmt".to_owned()],
        silent: vec!["storage".to_owned()],
    }
}

pub(crate) fn adverts() -> Vec<outlast_api::RefusedAdverts> {
    let of = |vip: Option<&str>, reason, source| outlast_api::RefusedAdverts {
        vip: vip.map(str::to_owned),
        interface: "eth0".to_owned(),
        reason,
        count: 3,
        source,
    };
    let source = Some([10, 79, 0, 99].into());
    vec![
        of(Some("internal"), outlast_api::RefusedAdvert::Password, source),
        of(None, outlast_api::RefusedAdvert::Unread, None),
    ]
}

pub(crate) fn process() -> outlast_api::ProcessState {
    let role = outlast_api::Role::Spare;
    outlast_api::ProcessState { role, pid: 4711, running: true, generation: 2, starts: 3 }
}

pub(crate) fn took() -> outlast_api::Took {
    outlast_api::Took {
        detect_us: Some(46_130),
        decide_us: 700,
        address_us: 310,
        announce_us: Some(95),
        answer_us: Some(1200),
    }
}

pub(crate) fn vip_process() -> outlast_api::VipProcess {
    let step = |step, upto_us, waits| outlast_api::LateStep { step, upto_us, waits };
    let steps = vec![step(0, Some(8), 59_000), step(13, Some(80), 999), step(63, None, 1)];
    let late = outlast_api::Lateness {
        waits: 60_000,
        p50_us: 8,
        p99_us: 80,
        p999_us: 80,
        max_us: 2_345_678,
        steps,
    };
    let beats = outlast_api::Beats {
        wanted_us: 2000,
        wish_us: 3000,
        beat_us: 10_000,
        lease_us: 35_000,
        late_us: Some(512),
        slowest: Some("node02".to_owned()),
    };
    let left = vec![outlast_api::LeaseLeft {
        instance: 1,
        left_us: 28_310,
        least_us: 21_004,
        lapses: 0,
        lapsed_us: 0,
    }];
    let in_use = outlast_api::VotersInUse::List(voters());
    let voters = Some(outlast_api::Electorate { in_use, settled: true });
    outlast_api::VipProcess { late, beats: Some(beats), left, age_ms: Some(420), voters }
}

pub(crate) fn voters() -> outlast_api::VoterList {
    let voter = |node: &str, joined_ms| {
        let node = node.to_owned();
        outlast_api::Voter { node, joined_ms }
    };
    let voters = vec![voter("node01", 1_750_000_000_123), voter("node02", 0)];
    let former = Some(outlast_api::ListNumber { store: 1_764_000_000_000, list: 7 });
    outlast_api::VoterList { store: 1_764_000_900_000, list: 1, former, voters }
}

pub(crate) fn refused() -> outlast_api::RefusedPackets {
    outlast_api::RefusedPackets {
        forged: 7,
        replayed: 2,
        unreadable: 0,
        astray: 1,
        unread: 300,
        last_at_ms: Some(1_700_000_000_123),
    }
}
