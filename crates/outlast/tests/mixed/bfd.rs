//! BFD with keepalived at the other end: a way that fails weighs, or takes the address.

use std::fs::File;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use sys::process::{Child, SIGKILL};

use crate::group::Group;
use crate::have;
use crate::lonely::{PATIENCE, alone};
use crate::member::Maker::{Ours, Theirs};
use crate::member::{Manner, Member, Transport, Version};

/// Of the instance that goes without the way.
const SECOND: Ipv4Addr = Ipv4Addr::new(10, 79, 0, 50);

fn way(from: Ipv4Addr, to: Ipv4Addr) -> String {
    format!(
        "bfd_instance way {{\n  neighbor_ip {to}\n  source_ip {from}\n  min_rx 50\n  min_tx 50\n  multiplier 3\n}}\n"
    )
}

/// keepalived with all of its processes: a member runs that of VRRP alone.
fn start(member: &Member) -> Child {
    let path = |name: &str| member.path(name).display().to_string();
    let mut words: Vec<String> = ["-n", "-l", "-D", "-f"].map(str::to_owned).to_vec();
    words.push(path("keepalived.conf"));
    for (flag, file) in [("-p", "pid"), ("-r", "vrrp.pid"), ("-b", "bfd.pid")] {
        let _absent = std::fs::remove_file(member.path(file));
        words.extend([flag.to_owned(), path(file)]);
    }
    let log = File::options().create(true).append(true).open(member.path("log"));
    let log = log.expect("a log of the test");
    member.spawn("/usr/sbin/keepalived", "keepalived", &words, &[], log)
}

fn end(child: &Child) {
    child.signal(SIGKILL).expect("a child that was not reaped");
    let _ended = child.wait().expect("a child that was not reaped");
}

fn has_second(group: &Group) -> bool {
    let addresses = group.members[0].netlink().addresses().expect("addresses can be listed");
    addresses.iter().any(|address| address.ip == SECOND)
}

/// What the last advert of the first instance said.
fn priority(socket: &sys::vrrp::Socket, last: &mut Option<u8>) -> Option<u8> {
    let mut buffer = [0; 256];
    while let Ok(received) = socket.receive(&mut buffer) {
        let payload = &buffer[received.payload.clone()];
        if payload[1] == crate::group::GROUP {
            *last = Some(payload[2]);
        }
    }
    *last
}

#[test]
fn a_way_that_fails_weighs_and_takes_the_address_as_soon_as_it_is_noticed() {
    let name = "a_way_that_fails_weighs_and_takes_the_address_as_soon_as_it_is_noticed";
    if !have(name, &["keepalived", "tcpdump"]) {
        return;
    }
    alone(&format!("bfd::{name}"), || {
        let version = Version::Three(20);
        let manner =
            Manner { transport: Transport::Multicast, version, cluster: false, loser_speaks: true };
        let mut group = Group::new(Path::new("/run/bfd"), &[(Ours, 100), (Theirs, 50)], manner);
        let ips = [group.members[0].ip, group.members[1].ip];
        let conf = |member: &Member| member.read("keepalived.conf");
        let ours = conf(&group.members[0])
            .replace("  nopreempt\n", "  nopreempt\n  track_bfd {\n    way weight 20\n  }\n");
        let second = format!(
            "vrrp_instance second {{\n  interface eth0\n  version 3\n  advert_int 0.2\n  virtual_router_id 52\n  \
             virtual_ipaddress {{\n    {SECOND}/32\n  }}\n  track_bfd {{\n    way\n  }}\n}}\n"
        );
        group.members[0].write("keepalived.conf", &[way(ips[0], ips[1]), ours, second].concat());
        let theirs = conf(&group.members[1]);
        group.members[1].write("keepalived.conf", &(way(ips[1], ips[0]) + &theirs));
        let adverts = group.members[1].beside(version);
        let mut last = None;
        let mut until =
            |group: &mut Group, what: &str, wanted: &mut dyn FnMut(&Group, Option<u8>) -> bool| {
                let begin = sys::clock::now();
                let came = group.until(begin, PATIENCE, |group| {
                    let said = priority(&adverts, &mut last);
                    wanted(group, said)
                });
                let logs =
                    || group.members.iter().map(Member::log).collect::<Vec<_>>().join("\n---\n");
                came.unwrap_or_else(|_| panic!("{what}: {last:?}\n{}", logs()))
            };
        group.members[0].start();
        until(&mut group, "without the way it has its own priority", &mut |_, said| {
            said == Some(100)
        });
        assert!(!has_second(&group), "what needs the way is not held without it");
        let mut child = start(&group.members[1]);
        until(&mut group, "the way weighs", &mut |group, said| {
            said == Some(120) && has_second(group)
        });
        for _ in 0..2 {
            end(&child);
            let took = until(&mut group, "it is gone", &mut |group, said| {
                said == Some(100) && !has_second(group)
            });
            // Three packets of 50 ms were missing; an advert each 0.2 s tells the priority.
            assert!(took < Duration::from_secs(3), "{took:?}");
            child = start(&group.members[1]);
            until(&mut group, "it is back", &mut |group, said| {
                said == Some(120) && has_second(group)
            });
        }
        let downs = |group: &Group| group.members[1].log().matches("Entering Down state").count();
        let before = downs(&group);
        group.members[0].stop();
        until(&mut group, "it says that it ends", &mut |group, _| downs(group) > before);
        group.members[0].reap();
        assert!(
            group.members[1].log().contains("Administratively Down"),
            "{}",
            group.members[1].log()
        );
        end(&child);
    });
}
