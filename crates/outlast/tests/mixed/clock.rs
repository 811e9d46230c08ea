//! A clock that is set back by an hour, while a node runs and over its restart: what it says is news
//! all the same.

use std::fs;
use std::path::Path;
use std::time::Duration;

use api::{Event, Standing, Status};

use crate::group::Group;
use crate::have;
use crate::lonely::{alone, until};
use crate::member::Maker::Ours;
use crate::member::{Manner, Member, Transport, Version};

/// Changes what programs read as the date; the clock of the machine is not touched.
const PRELOAD: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

#[test]
fn a_clock_that_is_set_back_silences_nobody() {
    let name = "clock::a_clock_that_is_set_back_silences_nobody";
    let test = "a_clock_that_is_set_back_silences_nobody";
    if !Path::new(PRELOAD).exists() {
        lab::skip::note(&format!("outlast::{test}"), "faketime is not installed");
    } else if have(test, &["tcpdump"]) {
        let _alone = lab::trial::alone();
        alone(name, set_back);
    }
}

fn status(member: &Member) -> Option<Status> {
    serde_json::from_str(&member.ask("status")).ok()
}

fn events(member: &Member) -> Vec<Event> {
    let text = member.ask("events");
    text.lines().map(|line| serde_json::from_str(line).expect("an event is JSON")).collect()
}

fn set_back() {
    let folder = Path::new("/run/clock");
    let manner = Manner {
        transport: Transport::Multicast,
        version: Version::Two,
        cluster: true,
        loser_speaks: false,
    };
    let mut group = Group::new(folder, &[(Ours, 200), (Ours, 150)], manner);
    let date = folder.join("date");
    fs::write(&date, "+1h").expect("a file of the test");
    group.members[0].environment = vec![
        ("LD_PRELOAD", PRELOAD.to_owned()),
        ("FAKETIME_TIMESTAMP_FILE", date.display().to_string()),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
    ];
    group.members.iter_mut().for_each(Member::start);
    let hears = |member: &Member, node: &str| {
        let alive = |status: &Status| {
            status.nodes.iter().any(|line| {
                line.state.node == node
                    && line.state.standing == Standing::Alive
                    && line.state.cells.iter().all(|cell| cell.alive)
            })
        };
        status(member).is_some_and(|status| alive(&status))
    };
    until("the stronger holds", || group.holders() == [0]);
    until("beats of the future are heard", || hears(&group.members[1], "n200"));

    fs::write(&date, "+0h").expect("a file of the test");
    until("the jump is told", || {
        let told =
            |event: &Event| event.what == "clock-jumped" && event.evidence.ends_with(" s back");
        events(&group.members[0]).iter().any(told)
    });
    let numbers: Vec<u64> = events(&group.members[0]).iter().map(|event| event.seq).collect();
    assert!(numbers.is_sorted(), "{numbers:?}");

    group.members[0].stop();
    group.members[0].reap();
    until("the other one holds", || group.holders() == [1]);
    group.members[0].environment.clear();
    group.members[0].start();
    // Its beats and its greetings carry a number; were it the date, they would be an hour old.
    until("the other one would name it", || {
        let named = |status: Status| status.vips.first()?.successor.clone();
        hears(&group.members[1], "n200")
            && status(&group.members[1]).and_then(named).as_deref() == Some("n200")
    });
    group.members[1].stop();
    let moved = |group: &Group| group.holders() == [0];
    let took = group.until(sys::clock::now(), Duration::from_secs(10), moved);
    assert!(took.is_ok(), "nobody holds");
    until("the claim is told", || {
        let claim = |event: &&Event| event.what == "vip-claimed";
        let last = events(&group.members[0]);
        let last = last.iter().rfind(claim);
        last.is_some_and(|event| event.evidence == "the holder named this node")
    });
    group.members[1].reap();
}
