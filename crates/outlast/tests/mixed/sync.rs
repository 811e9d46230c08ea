//! Two virtual IPs in one sync group, of ours and of keepalived: the same happens to both, whoever is in the group.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use sys::netlink::Netlink;

use crate::group::Group;
use crate::have;
use crate::lonely::{PATIENCE, alone};
use crate::member::Maker::{self, Ours, Theirs};
use crate::member::{Manner, Member, Transport, Version};

const FIRST: Ipv4Addr = Ipv4Addr::new(10, 79, 0, 40);
const SECOND: Ipv4Addr = Ipv4Addr::new(10, 79, 0, 50);

/// Two instances with an advert each 0.2 s; the second one tracks a device and two files with weights that do not count (the
/// weight 1 is none, with another one a file is not looked at), the group another device and a script.
fn file(priority: u8, folder: &Path) -> String {
    let instance = |name: &str, id: u8, ip: Ipv4Addr, more: &str| {
        format!(
            "vrrp_instance {name} {{\n  state BACKUP\n  nopreempt\n  version 3\n  advert_int 0.2\n  interface eth0\n  \
             virtual_router_id {id}\n  priority {priority}\n  virtual_ipaddress {{\n    {ip}/32\n  }}\n{more}}}\n"
        )
    };
    let at = |name: &str| folder.join(name).display().to_string();
    let number = |name: &str, weight: &str| {
        format!("vrrp_track_file {name} {{\n  file {}\n{weight}}}\n", at(name))
    };
    let own = "  track_interface {\n    one\n  }\n  track_file {\n    drain\n    heavy\n  }\n";
    let flag = at("flag");
    [
        number("drain", ""),
        number("heavy", "  weight 2\n"),
        "global_defs {\n  script_user root\n  vrrp_higher_prio_send_advert true\n}\n".to_owned(),
        format!("vrrp_script flag {{\n  script \"/usr/bin/test -e {flag}\"\n  interval 1\n}}\n"),
        instance("first", 61, FIRST, ""),
        instance("second", 62, SECOND, own),
        "vrrp_sync_group router {\n  group {\n    first\n    second\n  }\n  track_interface {\n    two\n  }\n  \
         track_script {\n    flag\n  }\n}\n"
            .to_owned(),
    ]
    .concat()
}

/// Which of both are on the member.
fn holds(member: &Member) -> [bool; 2] {
    let addresses = member.netlink().addresses().expect("addresses can be listed");
    [FIRST, SECOND].map(|ip| addresses.iter().any(|address| address.ip == ip))
}

/// A device of the member that is tracked.
fn switch(member: &Member, device: &str, up: bool) {
    let link = member.netlink().link(device).expect("an answer").expect("it was made");
    member.netlink().set_up(link.index, up).expect("root may");
}

/// Until that one has both, and the other one none; says if that does not come.
fn until_only(group: &mut Group, holder: usize, what: &str) {
    let begin = sys::clock::now();
    let all = group.until(begin, PATIENCE, |group| {
        holds(&group.members[holder]) == [true; 2]
            && holds(&group.members[1 - holder]) == [false; 2]
    });
    let logs = || group.members.iter().map(Member::log).collect::<Vec<_>>().join("\n---\n");
    assert!(
        all.is_ok(),
        "{what}: {:?}\n{}",
        group.members.iter().map(holds).collect::<Vec<_>>(),
        logs()
    );
}

fn play(makers: [Maker; 2]) {
    let manner = Manner {
        transport: Transport::Multicast,
        version: Version::Three(20),
        cluster: makers == [Ours; 2],
        loser_speaks: true,
    };
    let folder = format!("/run/sync-{makers:?}").replace([' ', '[', ']', ','], "");
    let all = [(makers[0], 200), (makers[1], 150)];
    let mut group = Group::new(Path::new(&folder), &all, manner);
    for member in &group.members {
        let made = sys::netns::within(member.netns(), || {
            let netlink = Netlink::open()?;
            for device in ["one", "two"] {
                let far = format!("{device}-far");
                netlink.create_veth(device, &far, None)?;
                let index = netlink.link(&far)?.map_or(0, |link| link.index);
                netlink.set_up(index, true)?;
            }
            std::io::Result::Ok(())
        });
        made.expect("a namespace").expect("cables can be made");
        ["one", "two"].into_iter().for_each(|device| switch(member, device, true));
        for (name, text) in [("flag", ""), ("drain", "0\n"), ("heavy", "-200\n")] {
            fs::write(member.path(name), text).expect("a file of the test");
        }
        member.write("keepalived.conf", &file(member.priority, &member.path("")));
    }
    group.members[0].start();
    until_only(&mut group, 0, "both are taken");
    group.members[1].start();
    // The other one is there when it says so: it follows from here on within a few adverts.
    let begin = sys::clock::now();
    let begun = |group: &Group| group.members[1].log().contains("BACKUP") || makers[1] == Ours;
    group.until(begin, PATIENCE, begun).expect("it begins");
    switch(&group.members[0], "one", false);
    until_only(&mut group, 1, "a device of one of them takes both away");
    switch(&group.members[0], "one", true);
    switch(&group.members[1], "two", false);
    until_only(&mut group, 0, "so does a device of the group");
    switch(&group.members[1], "two", true);
    fs::remove_file(group.members[0].path("flag")).expect("it was written");
    until_only(&mut group, 1, "so does a script of the group");
    fs::write(group.members[0].path("flag"), "").expect("a file of the test");
    fs::write(group.members[1].path("drain"), "1\n").expect("a file of the test");
    until_only(
        &mut group,
        0,
        "so does a number in a file of one of them, whose weight of 1 is none",
    );
    fs::write(group.members[1].path("drain"), "0\n").expect("a file of the test");
    // One that is cut off and comes back: one has both, in the end.
    group.set_cut(0, true);
    let begin = sys::clock::now();
    group
        .until(begin, PATIENCE, |group| holds(&group.members[1]) == [true; 2])
        .expect("both are taken from one that is silent");
    group.set_cut(0, false);
    until_only(&mut group, 0, "the stronger one keeps both");
    group.members[0].stop();
    let begin = sys::clock::now();
    group
        .until(begin, PATIENCE, |group| holds(&group.members[1]) == [true; 2])
        .expect("who stops leaves both");
    group.members[0].reap();
    group.members[1].stop();
    group.members[1].reap();
    for member in &group.members {
        assert_eq!(member.complaints(), Vec::<String>::new(), "{}", member.log());
        assert_eq!(holds(member), [false; 2]);
    }
}

#[test]
fn what_is_in_a_sync_group_is_held_by_one_router_whoever_is_in_it() {
    let name = "what_is_in_a_sync_group_is_held_by_one_router_whoever_is_in_it";
    if !have(name, &["keepalived", "tcpdump"]) {
        return;
    }
    alone(&format!("sync::{name}"), || {
        for makers in [[Theirs, Theirs], [Ours, Theirs], [Theirs, Ours], [Ours, Ours]] {
            play(makers);
        }
    });
}
