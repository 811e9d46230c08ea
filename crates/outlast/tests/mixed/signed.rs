//! Adverts that are signed (`auth_hmac` of keepalived 2.4): two of ours that have the key, and who has none.

use std::cell::RefCell;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use api::{Event, RefusedAdvert, Status, VipCause, VipRole};
use sys::vrrp;

use crate::group::Group;
use crate::have;
use crate::inject::advert::{Advert, SIXTH, THIRD, with_pseudo};
use crate::lonely::{alone, until};
use crate::member::Maker::Ours;
use crate::member::{Manner, Member, Transport, Version};

const SIGNED: &str = "  auth_hmac {\n    key 1 hex:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n    active_key 1\n  }\n";
/// The same id, another key.
const ANOTHER: &str = "  auth_hmac {\n    key 1 hex:ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n    active_key 1\n  }\n";
/// Behind an advert.
const TRAILER: usize = 28;
/// Longer than a backup waits for a holder (3.4 s).
const WAIT: Duration = Duration::from_millis(4500);

#[test]
fn who_has_the_key_is_obeyed_and_who_forges_or_repeats_is_not() {
    let test = "who_has_the_key_is_obeyed_and_who_forges_or_repeats_is_not";
    if have(test, &["tcpdump"]) {
        let _alone = lab::trial::alone();
        alone(&format!("signed::{test}"), || run(Version::Three(100)));
    }
}

#[test]
fn who_has_the_key_is_obeyed_over_ipv6_too() {
    let test = "who_has_the_key_is_obeyed_over_ipv6_too";
    if have(test, &["tcpdump"]) {
        let _alone = lab::trial::alone();
        alone(&format!("signed::{test}"), || run(Version::Six(100)));
    }
}

fn status(member: &Member) -> Option<Status> {
    serde_json::from_str(&member.ask("status")).ok()
}

fn claimed_because(member: &Member, words: &str) -> bool {
    let events = member.ask("events");
    let all = events.lines().filter_map(|line| serde_json::from_str::<Event>(line).ok());
    all.filter(|event| event.what == "vip-claimed").any(|event| event.evidence == words)
}

/// How many it did not obey for that.
fn refused(member: &Member, reason: RefusedAdvert) -> u64 {
    let told = status(member).map(|status| status.adverts_refused).unwrap_or_default();
    told.iter().filter(|told| told.reason == reason).map(|told| told.count).sum()
}

fn run(version: Version) {
    let folder = Path::new("/run/signed");
    let transport = Transport::Multicast;
    let manner = Manner { transport, version, cluster: false, loser_speaks: false };
    // The third is the place of the forger.
    let all = [(Ours, 200), (Ours, 150), (Ours, 100)];
    let mut group = Group::new(folder, &all, manner);
    let members: Vec<_> =
        group.members.iter().map(|member| (Ours, member.priority, member.ip)).collect();
    for member in &mut group.members {
        (member.more, member.as_keepalived) = (SIGNED, false);
        member.configure(manner, &members);
    }
    let forger = group.members[2].beside(version);
    group.members[0].start();
    until("the stronger holds", || group.holders() == [0]);
    group.members[1].start();
    until("the other one waits", || {
        let is_backup =
            |status: Status| status.vips.iter().any(|vip| vip.state.role == VipRole::Backup);
        status(&group.members[1]).is_some_and(is_backup)
    });
    let now = sys::clock::now();
    let moved = group.until(now, WAIT, |group| group.holders() != [0]);
    assert!(moved.is_err(), "the other one obeys: {}", group.members[1].log());
    forge(&group, &forger, manner);

    // An end in order is believed, and that of a process that died without a word, which its supervisor tells.
    group.members[0].stop();
    until("the other one claims", || group.holders() == [1]);
    group.members[0].reap();
    let goodbye = "the holder said goodbye";
    until("it was told", || claimed_because(&group.members[1], goodbye));
    group.members[0].start();
    until("who was stopped waits", || {
        let is_backup =
            |status: Status| status.vips.iter().any(|vip| vip.state.role == VipRole::Backup);
        status(&group.members[0]).is_some_and(is_backup)
    });
    group.members[1].kill_worker();
    until("who was stopped claims", || claimed_because(&group.members[0], goodbye));

    // Who has another key obeys nobody.
    group.members[1].stop();
    group.members[1].reap();
    until("one holds", || group.holders() == [0]);
    group.members[1].more = ANOTHER;
    group.members[1].configure(manner, &members);
    group.members[1].start();
    // It hears no holder, and asks before it claims: the address is in use.
    until("it refuses the holder, and finds the address in use", || {
        let is_kept_off =
            |status: Status| status.vips.iter().any(|vip| vip.state.cause == Some(VipCause::InUse));
        refused(&group.members[1], RefusedAdvert::Signature) > 0
            && status(&group.members[1]).is_some_and(is_kept_off)
    });
    assert_eq!(group.holders(), [0], "the stronger key is none");
    for member in &mut group.members[..2] {
        member.stop();
        member.reap();
    }
}

/// Adverts of everybody who has no key, until each was counted; the holder stays the one all the time.
fn forge(group: &Group, forger: &vrrp::Socket, manner: Manner) {
    let is_v6 = manner.version.is_v6();
    let to: IpAddr = if is_v6 { vrrp::GROUP_V6.into() } else { vrrp::GROUP.into() };
    let good = if is_v6 { SIXTH } else { THIRD };
    let (own, holder) = (group.members[2].source(manner), group.members[0].source(manner));
    let heard = RefCell::new(None);
    let mut buffer = [0; 2048];
    until("an advert of the holder is heard", || {
        while let Ok(received) = forger.receive(&mut buffer) {
            if received.source == holder {
                *heard.borrow_mut() = Some(buffer[received.payload].to_vec());
            }
        }
        heard.borrow().is_some()
    });
    let heard = heard.take().expect("it was heard");
    // What the holder signed, as if the forger had.
    let mut stolen = heard.clone();
    stolen[6..8].copy_from_slice(&[0; 2]);
    let covered = if is_v6 { stolen.len() } else { stolen.len() - TRAILER };
    let sum = with_pseudo(&stolen[..covered], own, to);
    stolen[6..8].copy_from_slice(&sum.to_be_bytes());
    let mut other_key = stolen.clone();
    let id = other_key.len() - TRAILER + 1;
    other_key[id] = 7;
    other_key[6..8].copy_from_slice(&[0; 2]);
    let sum = with_pseudo(&other_key[..covered], own, to);
    other_key[6..8].copy_from_slice(&sum.to_be_bytes());
    let goodbye = Advert { priority: 0, ..good };
    let packets = [
        (own, good.bytes(own, to)),
        (holder, goodbye.bytes(holder, to)),
        (own, stolen),
        (own, other_key),
        (holder, heard),
    ];
    use RefusedAdvert::{Replayed, Signature, Stale, Unsigned};
    // A copy is first one of those that were heard already, and after the window one that is too old.
    for (at, reasons) in [(1, [Unsigned, Signature, Replayed]), (0, [Unsigned, Signature, Stale])] {
        until("each is counted", || {
            for (from, bytes) in &packets {
                forger.send_with(255, *from, to, bytes).expect("the cable is up");
            }
            assert_eq!(group.holders(), [0], "nobody moves the address");
            reasons.iter().all(|reason| refused(&group.members[at], *reason) > 0)
        });
    }
    // Of that key nobody knew, as long as what was signed with it was new.
    assert!(refused(&group.members[1], RefusedAdvert::UnknownKey) > 0);
}
