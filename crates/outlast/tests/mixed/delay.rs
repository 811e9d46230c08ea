//! `preempt_delay`, of ours and of keepalived.

use std::path::Path;
use std::time::Duration;

use crate::group::Group;
use crate::have;
use crate::lonely::{PATIENCE, alone};
use crate::member::Maker::{self, Ours, Theirs};
use crate::member::{Manner, Transport, Version};

const DELAY: Duration = Duration::from_secs(3);
const STRONG: usize = 1;

/// How long after its start a stronger router takes the address from keepalived.
fn takes_after(strong: Maker, delay: Duration) -> Duration {
    let manner = Manner {
        transport: Transport::Multicast,
        version: Version::Three(20),
        cluster: false,
        loser_speaks: true,
    };
    let name = format!("/run/{strong:?}-{}", delay.as_secs());
    let mut group = Group::new(Path::new(&name), &[(Theirs, 100), (strong, 200)], manner);
    let lines = group.members[STRONG].read("keepalived.conf");
    let lines =
        lines.replace("  nopreempt\n", &format!("  preempt_delay {}\n", delay.as_secs_f64()));
    group.members[STRONG].write("keepalived.conf", &lines);
    let all = |wanted: usize| move |group: &Group| group.holders() == [wanted];
    let begin = sys::clock::now();
    group.members[0].start();
    group.until(begin, PATIENCE, all(0)).expect("the weaker one holds");
    let begin = sys::clock::now();
    group.members[STRONG].start();
    let took = group.until(begin, PATIENCE, all(STRONG));
    for member in &mut group.members {
        assert_eq!(member.complaints(), Vec::<String>::new());
        member.stop();
        member.reap();
    }
    took.expect("the stronger one takes the address")
}

#[test]
fn a_stronger_router_that_comes_waits_for_its_preempt_delay_as_keepalived_does() {
    let name = "a_stronger_router_that_comes_waits_for_its_preempt_delay_as_keepalived_does";
    if !have(name, &["keepalived", "tcpdump"]) {
        return;
    }
    alone(&format!("delay::{name}"), || {
        for strong in [Theirs, Ours] {
            let took = takes_after(strong, DELAY);
            assert!(took >= DELAY, "{strong:?} took the address after {took:?}");
        }
    });
}
