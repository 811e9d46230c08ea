//! Addresses that whoever holds them keeps for others (`no_accept`): ours and keepalived's are answered for by ARP, and nobody reaches them.

use std::path::Path;
use std::time::Duration;

use crate::group::Group;
use crate::have;
use crate::lonely::{PATIENCE, alone};
use crate::member::Maker::{Ours, Theirs};
use crate::member::{Manner, Member, Transport, Version};

fn until(group: &mut Group, what: &str, wanted: impl FnMut(&Group) -> bool) {
    let begin = sys::clock::now();
    let came = group.until(begin, PATIENCE, wanted);
    let logs = || group.members.iter().map(Member::log).collect::<Vec<_>>().join("\n---\n");
    assert!(came.is_ok(), "{what}: {:?}\n{}", group.holders(), logs());
}

/// That one holds, neighbours are told so, and the client reaches nobody there.
fn holds_for_others(group: &mut Group, holder: usize) {
    let mac = group.members[holder].mac;
    until(group, "it holds", |group| group.holders() == [holder] && group.client.told == Some(mac));
    let begin = sys::clock::now();
    let looked = group.until(begin, Duration::from_secs(1), |_| false);
    assert!(looked.is_err());
    let (answered, silent) = group.client.asked(begin, sys::clock::now());
    assert!(answered == 0 && silent > 1, "{holder}: {answered} answered, {silent} not");
}

#[test]
fn who_holds_an_address_for_others_alone_is_not_reached_there() {
    let name = "who_holds_an_address_for_others_alone_is_not_reached_there";
    if !have(name, &["keepalived", "tcpdump"]) {
        return;
    }
    alone(&format!("kept_out::{name}"), || {
        let manner = Manner {
            transport: Transport::Multicast,
            version: Version::Three(20),
            cluster: false,
            loser_speaks: true,
        };
        let folder = Path::new("/run/kept-out");
        let mut group = Group::new(folder, &[(Ours, 200), (Theirs, 150)], manner);
        let open = group.members[0].read("keepalived.conf");
        for member in &group.members {
            let lines = member.read("keepalived.conf");
            let lines = lines.replace("  nopreempt\n", "  nopreempt\n  no_accept\n");
            member.write("keepalived.conf", &lines);
        }
        group.members[0].start();
        holds_for_others(&mut group, 0);
        group.members[1].start();
        until(&mut group, "it follows", |group| group.members[1].log().contains("BACKUP"));
        group.members[0].stop();
        group.members[0].reap();
        holds_for_others(&mut group, 1);
        // With another file the same node accepts, and nothing is left of what it was told before.
        group.members[0].write("keepalived.conf", &open);
        group.members[0].start();
        group.members[1].stop();
        group.members[1].reap();
        let begin = sys::clock::now();
        until(&mut group, "it is reached", |group| {
            group.holders() == [0] && group.client.is_served_since(begin)
        });
        group.members[0].stop();
        group.members[0].reap();
        for member in &group.members {
            assert_eq!(member.complaints(), Vec::<String>::new(), "{}", member.log());
        }
    });
}
