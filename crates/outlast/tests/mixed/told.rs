//! What is wrong around a group and is told: multicast that is filtered, a router that is none of ours.

use std::net::IpAddr;
use std::path::Path;
use std::process::Command;

use sys::netlink::AddressOptions;

use crate::group::{Group, VIP, far};
use crate::have;
use crate::lonely::{PATIENCE, alone};
use crate::member::Maker::{Ours, Theirs};
use crate::member::{DEVICE, Manner, Member, Transport, Version};

/// Whether the switch sends what is for many to all of its ports.
fn flood(group: &Group, on: bool) {
    for member in &group.members {
        let flag = if on { "on" } else { "off" };
        let port = format!("port{}", member.priority);
        let done = sys::netns::within(group.switch(), || {
            Command::new("bridge").args(["link", "set", "dev", &port, "mcast_flood", flag]).status()
        });
        assert!(done.expect("a namespace").expect("bridge runs").success(), "{port}");
    }
}

/// The event of that kind in the log of a node.
fn event(member: &Member, what: &str) -> Option<serde_json::Value> {
    let events = member.ask("events");
    let all = events.lines().filter_map(|line| serde_json::from_str(line).ok());
    let mut all = all.filter(|event: &serde_json::Value| event["what"] == what);
    all.next()
}

#[test]
fn where_multicast_is_filtered_and_a_router_of_others_joins_both_are_told() {
    let name = "where_multicast_is_filtered_and_a_router_of_others_joins_both_are_told";
    if !have(name, &["keepalived", "tcpdump", "bridge"]) {
        return;
    }
    alone(&format!("told::{name}"), || {
        let manner = Manner {
            transport: Transport::Multicast,
            version: Version::Two,
            cluster: true,
            loser_speaks: true,
        };
        let members = [(Ours, 200), (Ours, 150), (Theirs, 250)];
        let mut group = Group::new(Path::new("/run/told"), &members, manner);
        flood(&group, false);
        group.members[0].start();
        let begin = sys::clock::now();
        group.until(begin, PATIENCE, |group| group.holders() == [0]).expect("the first one holds");
        group.members[1].start();
        let begin = sys::clock::now();
        let told = |group: &Group| event(&group.members[1], "vip-adverts-unheard").is_some();
        group.until(begin, PATIENCE, told).expect("what does not come is told");
        assert_eq!(group.holders(), [0], "its sealed messages are obeyed");
        let event_of = event(&group.members[1], "vip-adverts-unheard").expect("it is there");
        let says =
            |key: &str, text: &str| event_of[key].as_str().is_some_and(|said| said.contains(text));
        assert!(says("evidence", "10.79.0.41") && says("not_done", "unicast"), "{event_of}");
        assert!(event(&group.members[1], "vip-foreign-router").is_none());

        flood(&group, true);
        let lines = group.members[2].read("keepalived.conf").replace("  nopreempt\n", "");
        group.members[2].write("keepalived.conf", &lines);
        group.members[2].start();
        let told = |group: &Group| {
            let of = |member: &Member| event(member, "vip-foreign-router");
            let all: Vec<_> = group.members[..2].iter().filter_map(of).collect();
            all.len() == 2
                && all.iter().all(|event| {
                    event["evidence"].as_str().is_some_and(|said| said.contains("10.79.0.43"))
                })
        };
        let begin = sys::clock::now();
        group.until(begin, PATIENCE, told).expect("the router of others is told by its address");
        for member in &mut group.members {
            member.stop();
            member.reap();
        }
    });
}

/// Of two of ours; the address is on the second one, of which nothing runs.
fn in_use(version: Version, ip: IpAddr) {
    let manner =
        Manner { transport: Transport::Multicast, version, cluster: true, loser_speaks: true };
    let folder = format!("/run/in-use-{}", if ip.is_ipv6() { 6 } else { 4 });
    let mut group = Group::new(Path::new(&folder), &[(Ours, 200), (Ours, 150)], manner);
    let [one, other] = &mut group.members[..] else { panic!("two members") };
    let device = other.netlink().link(DEVICE).expect("an answer").expect("it was made");
    let length = if ip.is_ipv6() { 64 } else { 32 };
    let put = other.netlink().add_address(device.index, ip, length, AddressOptions::default());
    put.expect("an address can be put there");
    one.start();
    let mac = device.mac.map(|byte| format!("{byte:02x}")).join(":");
    let refused = |group: &Group| {
        let event = event(&group.members[0], "vip-fault");
        event
            .is_some_and(|event| event["evidence"].as_str().is_some_and(|said| said.contains(&mac)))
    };
    let begin = sys::clock::now();
    group.until(begin, PATIENCE, refused).expect("who has it is told");
    assert!(!group.members[0].holds(), "it is not claimed");
    assert!(group.members[0].ask("status").contains(&mac), "it is in the status");
    group.members[1].netlink().delete_everywhere(ip).expect("it was put there");
    let begin = sys::clock::now();
    group.until(begin, PATIENCE, |group| group.members[0].holds()).expect("it is free, and taken");
    group.members[0].stop();
    group.members[0].reap();
}

#[test]
fn an_address_that_somebody_else_has_is_told_with_his_and_taken_once_it_is_free() {
    let name = "an_address_that_somebody_else_has_is_told_with_his_and_taken_once_it_is_free";
    if !have(name, &["tcpdump"]) {
        return;
    }
    alone(&format!("told::{name}"), || {
        in_use(Version::Three(20), VIP.into());
        in_use(Version::Six(20), far(VIP));
    });
}

#[test]
fn a_device_that_is_renamed_is_told_by_its_new_name_and_another_node_holds() {
    let name = "a_device_that_is_renamed_is_told_by_its_new_name_and_another_node_holds";
    if !have(name, &["tcpdump", "ip"]) {
        return;
    }
    alone(&format!("told::{name}"), || {
        let manner = Manner {
            transport: Transport::Multicast,
            version: Version::Three(20),
            cluster: true,
            loser_speaks: true,
        };
        let members = [(Ours, 200), (Ours, 150)];
        let mut group = Group::new(Path::new("/run/renamed"), &members, manner);
        for at in 0..2 {
            group.members[at].start();
            let begin = sys::clock::now();
            group.until(begin, PATIENCE, |group| group.holders() == [0]).expect("the first holds");
        }
        let rename = |group: &Group, from: &str, to: &str| {
            let done = sys::netns::within(group.members[0].netns(), || {
                Command::new("ip").args(["link", "set", "dev", from, "name", to]).status()
            });
            assert!(done.expect("a namespace").expect("ip runs").success(), "{from} to {to}");
        };
        rename(&group, DEVICE, "lan0");
        let begin = sys::clock::now();
        group.until(begin, PATIENCE, |group| group.holders() == [1]).expect("the other one holds");
        let named = |group: &Group| {
            let events = group.members[0].ask("events");
            events.lines().any(|line| line.contains("eth0 is called lan0 now"))
        };
        group.until(begin, PATIENCE, named).expect("the new name is told");
        rename(&group, "lan0", DEVICE);
        let begin = sys::clock::now();
        let back = |group: &Group| event(&group.members[0], "vip-standby").is_some();
        group.until(begin, PATIENCE, back).expect("it stands again");
        group.members[1].stop();
        group.members[1].reap();
        let begin = sys::clock::now();
        group.until(begin, PATIENCE, |group| group.holders() == [0]).expect("the first one holds");
        group.members[0].stop();
        group.members[0].reap();
    });
}
