//! What vip processes leave: of a voter by a list of the store, and of a holder by the file.

use outlast_api::Gained;
use outlast_api::bequest::{
    Before, FORM, Group, Heard, Holds, Left, Lists, Newest, Promised, UNVOTED, VipBequest, Voters,
};

const LIFE: u64 = 1_700_000_000_000;

fn seat() -> Left {
    Left {
        router_id: 121,
        key: 0xdead_beef,
        promise: Some(Promised { to: 2, life: LIFE, serial: 258, ends_ns: 5_000_000 }),
        freed_ns: 0,
        granted: 4,
        before: 7,
        term: 9,
        term_of: Some(2),
        heir: None,
        heir_stays: false,
        stays: false,
        gave: None,
        not_before_ns: 0,
        cold_until_ns: 3_000_000_000,
        foreign_until_ns: 0,
        holds: None,
    }
}

pub(crate) fn examples() -> Vec<VipBequest> {
    let list = |number, nodes: &[u16]| Voters {
        number,
        former: None,
        nodes: nodes.to_vec(),
        joined: vec![0; nodes.len()],
    };
    let before = Before::Known(list(Some((1, 4)), &[0, 1, 2]));
    let voter = VipBequest {
        form: FORM,
        at_ns: 4_950_000,
        life: LIFE + 1,
        closed: true,
        voters: Lists { now: list(Some((1, 5)), &[0, 2]), before, adopted_ns: 4_000_000 },
        serial: 4660,
        silent_until_ns: 250_000_000,
        late_ns: None,
        reached: 0,
        unreached: 0,
        packets: 9320,
        peers: vec![Heard {
            node: 2,
            joined: 1_750_000_000_123,
            life: LIFE,
            serial: 258,
            at_ns: 4_900_000,
        }],
        newest: vec![Newest { node: 2, life: LIFE, network: 1, kind: 0, number: 516 }],
        seats: vec![seat()],
        held: vec![],
        queues: vec![],
        networks: vec![],
    };
    let gained = Some(Gained { from: Some(2), unheard_us: 46_130, granted_us: 700, lapsed: None });
    let holds = Holds { until_ns: 7_000_000, gained, alone: false, heard_ns: None };
    let held = Left {
        promise: None,
        heir: Some(0),
        heir_stays: true,
        stays: true,
        gave: Some((1, 6_000_000)),
        holds: Some(holds),
        ..seat()
    };
    let lone = Holds { gained: None, alone: true, heard_ns: Some(6_500_000), ..holds };
    let holder = VipBequest {
        closed: false,
        voters: Lists { now: list(None, &[0, 1, 2]), before: Before::First, adopted_ns: 1_000_000 },
        late_ns: Some(80_000),
        reached: 1,
        unreached: 2,
        seats: vec![held, Left { router_id: 122, holds: Some(lone), ..held }],
        held: vec![Group { interface: "eth0".to_owned(), router_id: 51, is_v6: true }],
        queues: vec![3],
        networks: vec![0, 1],
        ..voter.clone()
    };
    let missed = Lists { before: Before::Missed, ..voter.voters.clone() };
    let late = VipBequest { voters: missed, ..voter.clone() };
    let unvoted = unvoted(holder.clone());
    vec![voter, holder, late, unvoted]
}

/// Of addresses by VRRP alone.
fn unvoted(holder: VipBequest) -> VipBequest {
    let now = Voters { number: None, former: None, nodes: vec![], joined: vec![] };
    VipBequest {
        form: UNVOTED,
        at_ns: 4_950_000,
        life: 0,
        closed: false,
        voters: Lists { now, before: Before::First, adopted_ns: 0 },
        serial: 0,
        silent_until_ns: 0,
        late_ns: None,
        reached: 0,
        unreached: 0,
        packets: 9320,
        peers: vec![],
        seats: vec![],
        queues: vec![],
        ..holder
    }
}
