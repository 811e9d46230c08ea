//! What a machine leaves in the words of `api`, and back.

use std::time::Duration;

use api::bequest::{self as said, FORM, UNVOTED, VipBequest};
use base::Time;
use engine::packet;
use engine::vip::Group;
use engine::vip::lease::bequest::{Bequest, Heard, Held, Left};
use engine::vip::lease::voter::{Promise, Word};
use engine::vip::lease::{Before, Elector, Gained, Number, Reach, Set, Voters};

use super::super::tell;

/// What the machine has; the rest is empty.
pub(super) fn written(left: &Bequest) -> VipBequest {
    let peer = |peer: &Heard| said::Heard {
        node: peer.node,
        joined: peer.joined,
        life: peer.life,
        serial: peer.serial,
        at_ns: peer.at.as_nanos(),
    };
    let nanos = |span: Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
    VipBequest {
        form: FORM,
        at_ns: left.at.as_nanos(),
        life: left.life,
        closed: left.closed,
        voters: lists(&left.set),
        serial: left.serial,
        silent_until_ns: left.silent_until.as_nanos(),
        late_ns: left.usual.map(nanos),
        reached: left.reach.reached,
        unreached: left.reach.unreached,
        packets: 0,
        peers: left.peers.iter().map(peer).collect(),
        newest: vec![],
        seats: left.seats.iter().map(seat).collect(),
        held: vec![],
        queues: vec![],
        networks: vec![],
    }
}

/// Of a process that holds nothing by votes.
pub(super) fn unvoted() -> VipBequest {
    let nobody = said::Voters { number: None, former: None, nodes: vec![], joined: vec![] };
    VipBequest {
        form: UNVOTED,
        at_ns: sys::clock::now().as_nanos(),
        life: 0,
        closed: false,
        voters: said::Lists { now: nobody, before: said::Before::First, adopted_ns: 0 },
        serial: 0,
        silent_until_ns: 0,
        late_ns: None,
        reached: 0,
        unreached: 0,
        packets: 0,
        peers: vec![],
        newest: vec![],
        seats: vec![],
        held: vec![],
        queues: vec![],
        networks: vec![],
    }
}

fn lists(set: &Set) -> said::Lists {
    let list = |voters: &Voters| said::Voters {
        number: voters.number().map(|number| (number.store, number.list)),
        former: voters.former().map(|number| (number.store, number.list)),
        nodes: voters.electors().iter().map(|voter| voter.node).collect(),
        joined: voters.electors().iter().map(|voter| voter.joined).collect(),
    };
    let (before, adopted) = set.followed();
    let before = match before {
        Before::First => said::Before::First,
        Before::Known(voters) => said::Before::Known(list(voters)),
        Before::Missed => said::Before::Missed,
        Before::Unread => said::Before::Unread,
    };
    said::Lists { now: list(set.voters()), before, adopted_ns: adopted.as_nanos() }
}

fn seat(left: &Left) -> said::Left {
    let promised = |kept: Promise| said::Promised {
        to: kept.to,
        life: kept.word.life,
        serial: kept.word.serial,
        ends_ns: kept.ends.as_nanos(),
    };
    let holds = |held: Held| said::Holds {
        until_ns: held.until.as_nanos(),
        gained: held.gained.as_ref().map(tell::gained),
        alone: held.alone,
        heard_ns: held.heard.map(Time::as_nanos),
    };
    said::Left {
        router_id: left.group.router_id,
        key: left.group.key,
        promise: left.promise.map(promised),
        freed_ns: left.freed.as_nanos(),
        granted: left.granted,
        before: left.before,
        term: left.term,
        term_of: left.term_of,
        heir: left.heir,
        heir_stays: left.heir_stays,
        stays: left.stays,
        gave: left.gave.map(|(to, until)| (to, until.as_nanos())),
        not_before_ns: left.not_before.as_nanos(),
        cold_until_ns: left.cold_until.as_nanos(),
        foreign_until_ns: left.foreign_until.as_nanos(),
        holds: left.holds.map(holds),
    }
}

/// None: its lists of voters are none.
pub(super) fn read(left: &VipBequest) -> Option<Bequest> {
    let peer = |peer: &said::Heard| Heard {
        node: peer.node,
        joined: peer.joined,
        life: peer.life,
        serial: peer.serial,
        at: Time::from_nanos(peer.at_ns),
    };
    Some(Bequest {
        at: Time::from_nanos(left.at_ns),
        life: left.life,
        closed: left.closed,
        set: set(&left.voters)?,
        serial: left.serial,
        silent_until: Time::from_nanos(left.silent_until_ns),
        usual: left.late_ns.map(Duration::from_nanos),
        reach: Reach { reached: left.reached, unreached: left.unreached },
        peers: left.peers.iter().map(peer).collect(),
        seats: left.seats.iter().map(seat_of).collect(),
    })
}

fn set(lists: &said::Lists) -> Option<Set> {
    let list = |voters: &said::Voters| {
        let number = voters.number.map(|(store, list)| Number { store, list });
        let former = voters.former.map(|(store, list)| Number { store, list });
        if voters.nodes.len() != voters.joined.len() {
            return None;
        }
        let pairs = voters.nodes.iter().zip(&voters.joined);
        let electors: Vec<Elector> =
            pairs.map(|(node, joined)| Elector { node: *node, joined: *joined }).collect();
        Some(Voters::named(number, &electors)?.going_on_with(former))
    };
    let before = match &lists.before {
        said::Before::First => Before::First,
        said::Before::Known(voters) => Before::Known(list(voters)?),
        said::Before::Missed => Before::Missed,
        said::Before::Unread => Before::Unread,
    };
    Some(Set::left(list(&lists.now)?, before, Time::from_nanos(lists.adopted_ns)))
}

fn seat_of(left: &said::Left) -> Left {
    let at = Time::from_nanos;
    let promise = |kept: said::Promised| Promise {
        to: kept.to,
        word: Word { life: kept.life, serial: kept.serial },
        ends: at(kept.ends_ns),
    };
    let gained = |of: api::Gained| Gained {
        from: of.from,
        unheard: Duration::from_micros(of.unheard_us),
        granted: Duration::from_micros(of.granted_us),
        lapsed: of.lapsed,
    };
    let holds = |of: said::Holds| Held {
        until: at(of.until_ns),
        gained: of.gained.map(gained),
        alone: of.alone,
        heard: of.heard_ns.map(at),
    };
    Left {
        group: Group { router_id: left.router_id, key: left.key },
        promise: left.promise.map(promise),
        freed: at(left.freed_ns),
        granted: left.granted,
        before: left.before,
        term: left.term,
        term_of: left.term_of,
        heir: left.heir,
        heir_stays: left.heir_stays,
        stays: left.stays,
        gave: left.gave.map(|(to, until)| (to, at(until))),
        not_before: at(left.not_before_ns),
        cold_until: at(left.cold_until_ns),
        foreign_until: at(left.foreign_until_ns),
        holds: left.holds.map(holds),
    }
}

pub(super) fn newest(heard: packet::Newest) -> said::Newest {
    let packet::Newest { sender, incarnation, network, place, seq } = heard;
    said::Newest { node: sender, life: incarnation, network, kind: place, number: seq }
}

pub(super) fn heard(newest: &said::Newest) -> packet::Newest {
    let said::Newest { node, life, network, kind, number } = *newest;
    packet::Newest { sender: node, incarnation: life, network, place: kind, seq: number }
}
