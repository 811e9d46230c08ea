//! All processes of a node are killed: its kernel closes the connections to it and refuses what comes.

use std::time::Duration;

use base::Time;
use engine::member::Member;
use engine::packet::Seal;
use engine::verdict::Verdict;

use super::{What, World, cluster};

/// How many refusals a kernel grants to all who ask: so many at once, and one in a millisecond
/// (`net.ipv4.icmp_msgs_burst`, `icmp_msgs_per_sec`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refusing {
    left: u64,
    at: Time,
}

const BURST: u64 = 50;

impl Refusing {
    pub(crate) fn grants(&mut self, now: Time) -> bool {
        let more = u64::try_from(now.since(self.at).as_millis()).unwrap();
        self.left = (self.left + more).min(BURST);
        self.at += Duration::from_millis(more);
        let is_granted = self.left > 0;
        self.left -= u64::from(is_granted);
        is_granted
    }
}

impl World {
    pub(crate) fn tie(&mut self, node: usize, to: u16, network: u8) {
        let own = u16::try_from(node).unwrap();
        if self.nodes[usize::from(to)].is_some() {
            self.ties.insert((own, usize::from(to), network));
            self.fly((to, node), network, What::Tether(true));
        }
    }

    /// Connections to that node end.
    fn close(&mut self, node: usize) {
        let own = u16::try_from(node).unwrap();
        for (of, to, network) in std::mem::take(&mut self.ties) {
            if to == node {
                self.fly((own, usize::from(of)), network, What::Tether(false));
            } else {
                self.ties.insert((of, to, network));
            }
        }
    }

    /// All processes of that node are killed at some moment between two beats.
    fn kill(&mut self, node: usize) -> Time {
        let at = self.crash(node);
        self.refusing.insert(node, Refusing { left: BURST, at });
        self.close(node);
        at
    }
}

#[test]
fn killed_processes_of_one_of_32_controllers_are_in_doubt_on_all_others_within_a_tenth_of_a_second()
{
    for seed in 0..6 {
        let mut world = World::new(32, "1s", seed);
        let killed = usize::try_from(seed * 5).unwrap();
        let at = world.kill(killed);
        world.run(Duration::from_millis(150));
        let after = world.known_after(at, killed, Verdict::Suspect);
        assert!(after <= Duration::from_millis(100), "seed {seed}: {after:?}");
        assert!(world.changes.iter().all(|change| change.rule == "agent-gone"));
        assert_eq!(world.changes.len(), 31, "nobody else is accused");
    }
}

#[test]
fn killed_processes_of_a_controller_are_found_by_beats_where_there_is_no_connection() {
    let mut world = World::new(32, "1s", 7);
    world.lost = 100;
    world.ties.clear();
    let at = world.kill(9);
    world.run(Duration::from_millis(500));
    let after = world.known_after(at, 9, Verdict::Suspect);
    assert!(after <= Duration::from_millis(400), "{after:?}");
}

#[test]
fn connections_that_are_cut_while_a_controller_lives_are_no_doubt() {
    let mut world = World::new(32, "1s", 11);
    world.lost = 100;
    for node in 0..32 {
        world.close(node);
        world.run(Duration::from_millis(300));
    }
    assert!(world.asked > 1000, "all were asked: {}", world.asked);
    assert_eq!(world.changes, []);
    world.run(Duration::from_secs(8));
    assert_eq!(world.changes, []);
    assert!(world.ties.len() > 31 * 32, "they are had again: {}", world.ties.len());
}

#[test]
fn a_controller_whose_agent_is_started_again_within_30_ms_is_not_missed() {
    for seed in 0..6 {
        let mut world = World::new(32, "1s", seed);
        let killed = usize::try_from(seed * 5).unwrap();
        let at = world.kill(killed);
        world.run(Duration::from_millis(30));
        world.refusing.remove(&killed);
        let number = u16::try_from(killed).unwrap();
        let seal = Seal::new("cloud", number, 2);
        world.nodes[killed] = Some(Member::new(&cluster(32, "1s"), number, seal, world.now));
        (world.lives[killed], world.due[killed]) = (2, world.now);
        world.run(Duration::from_secs(2));
        let others = world.changes.iter().filter(|change| change.by != killed);
        assert_eq!(others.count(), 0, "seed {seed}, killed at {at:?}: {:?}", world.changes);
        assert_eq!(world.ties.iter().filter(|(_, to, _)| *to == killed).count(), 62);
    }
}
