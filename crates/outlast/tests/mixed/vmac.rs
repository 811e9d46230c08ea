//! Groups with a hardware address of their own (`use_vmac`), of ours and of keepalived.

use std::path::Path;
use std::process::Command;

use sys::netlink::Macvlan;

use crate::group::Group;
use crate::have;
use crate::lonely::{PATIENCE, alone};
use crate::member::Maker::{Ours, Theirs};
use crate::member::{DEVICE, Manner, Member, Transport, Version};

/// Of router id 51.
const NAME: &str = "vrrp.51";

fn device(member: &Member) -> Option<Macvlan> {
    let all = member.netlink().macvlans().expect("devices can be listed");
    all.into_iter().find(|known| known.link.name == NAME)
}

fn is_up(member: &Member) -> bool {
    device(member).is_some_and(|known| known.link.up && known.private)
}

/// It has one, which is down: what is sent to the group's address is not for it.
fn rests(member: &Member) -> bool {
    device(member).is_some_and(|known| !known.link.up)
}

/// What the device below it was told.
fn arp_ignore(member: &Member) -> i32 {
    let read = || sys::device::read(sys::device::Family::V4, DEVICE, "arp_ignore");
    sys::netns::within(member.netns(), read).expect("a namespace").expect("a switch of the kernel")
}

fn until(group: &mut Group, what: &str, wanted: impl FnMut(&Group) -> bool) {
    let begin = sys::clock::now();
    let came = group.until(begin, PATIENCE, wanted);
    let logs = || group.members.iter().map(Member::log).collect::<Vec<_>>().join("\n---\n");
    assert!(came.is_ok(), "{what}: {:?}\n{}", group.holders(), logs());
}

/// One holds, clients reach it, and what they were told last is the address of the group.
fn until_holds(group: &mut Group, holder: usize, version: Version, what: &str) {
    // Of a group over IPv6 the client's address is of the other kind, which stays on the interface.
    let mac = if version.is_v6() { group.members[holder].mac } else { mac_of(version) };
    group.client.told = None;
    until(group, what, |group| group.holders() == [holder] && group.client.told == Some(mac));
    let begin = sys::clock::now();
    until(group, &format!("{what}, and clients reach it"), |group| {
        group.client.is_served_since(begin)
    });
}

fn play(version: Version) {
    let manner =
        Manner { transport: Transport::Multicast, version, cluster: false, loser_speaks: true };
    let folder = format!("/run/vmac-{version:?}").replace(['(', ')'], "");
    let mut group = Group::new(Path::new(&folder), &[(Ours, 200), (Theirs, 150)], manner);
    for member in &group.members {
        let lines = member.read("keepalived.conf");
        member
            .write("keepalived.conf", &lines.replace("  nopreempt\n", "  nopreempt\n  use_vmac\n"));
    }
    group.members[0].start();
    until_holds(&mut group, 0, version, "the first one holds");
    assert!(is_up(&group.members[0]) && arp_ignore(&group.members[0]) == 1);
    group.members[1].start();
    until(&mut group, "keepalived follows", |group| group.members[1].log().contains("BACKUP"));
    // Each holds while they are cut from each other: both have the address of the group, and hear each other by it.
    group.set_cut(1, true);
    until(&mut group, "who is cut off holds", |group| group.members[1].holds());
    group.set_cut(1, false);
    until(&mut group, "one gives way", |group| group.holders() == [0]);
    group.members[0].stop();
    until_holds(&mut group, 1, version, "keepalived takes it from one of ours that stops");
    group.members[0].reap();
    assert_eq!((device(&group.members[0]), arp_ignore(&group.members[0])), (None, 0));
    group.members[0].start();
    until(&mut group, "ours is a backup", |group| rests(&group.members[0]));
    assert_eq!(group.holders(), [1]);
    group.members[1].stop();
    until_holds(&mut group, 0, version, "ours takes it from keepalived");
    group.members[1].reap();
    let index = |member: &Member| device(member).map(|known| known.link.index);
    let before = index(&group.members[0]);
    group.members[0].kill_worker();
    // The supervisor removed the one of the process that died.
    until(&mut group, "another process holds it", |group| {
        let member = &group.members[0];
        group.holders() == [0] && is_up(member) && index(member) != before
    });
    group.members[0].kill();
    let left = |group: &Group| group.members[0].holds() || device(&group.members[0]).is_some();
    until(&mut group, "nothing stays of one that is killed", |group| !left(group));
    group.members[0].reap();
    group.stop_recording();
    for member in &group.members {
        assert_eq!(member.complaints(), Vec::<String>::new(), "{}", member.log());
    }
    let plain: Vec<String> = senders(&group.recording)
        .into_iter()
        .filter(|sender| *sender != shown(mac_of(version)))
        .collect();
    assert_eq!(plain, Vec::<String>::new(), "all adverts come from the address of the group");
}

fn mac_of(version: Version) -> [u8; 6] {
    [0, 0, 0x5e, 0, if version.is_v6() { 2 } else { 1 }, 51]
}

fn shown(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// Where each advert of the recording came from.
fn senders(recording: &Path) -> Vec<String> {
    let mut command = Command::new("/usr/bin/tcpdump");
    command.args(["-e", "-n", "-t", "-r"]).arg(recording);
    let output = command.output().expect("tcpdump reads its own file");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = text.lines().filter(|line| line.contains("VRRP"));
    let senders: Vec<String> =
        lines.filter_map(|line| line.split(' ').next().map(str::to_owned)).collect();
    assert!(senders.len() > 10, "{text}");
    senders
}

#[test]
fn a_group_with_a_hardware_address_of_its_own_keeps_it_whoever_holds() {
    let name = "a_group_with_a_hardware_address_of_its_own_keeps_it_whoever_holds";
    if !have(name, &["keepalived", "tcpdump"]) {
        return;
    }
    alone(&format!("vmac::{name}"), || {
        for version in [Version::Three(20), Version::Six(20)] {
            play(version);
        }
    });
}
