//! Two machines that speak as one node: a copy of a machine or of its folders runs beside it.
//!
//! ```text
//!   beats of life 7 ---> beats of life 9: life 7 is over, and what it says is no news any more
//!                        beats of both go on, each newer than all before: somebody else runs life 7
//!                        beats of life 7 alone: nobody runs life 9 any more, and there is one machine
//! ```
//!
//! A process that ended says nothing; what it sent comes within moments, and no more of it than was on its way. Both
//! have the node's keys, so who of them is meant nobody here can know: the later life is believed, as after any
//! restart, and the cause is told. It is an opinion and accuses nobody. Packets that were recorded on the wire and are
//! sent again do not make it, as they are newer than nothing that came; what was recorded and never came here, or
//! came before this process began, does, and nothing else follows from it. A machine that lost what it knows of its lives,
//! or whose clock was put back, begins a smaller life than its last one: it is alone, as the later life is silent from
//! then on. Two machines with one life (a machine that was copied while it ran) are not told apart from packets that
//! come twice.

use std::collections::BTreeMap;
use std::time::Duration;

use base::Time;

use crate::packet::{Kind, Opened};
use crate::strangers::Told;

/// Beats of a life that is over, each newer than all before: more than are ever on their way.
pub const BEATS: u32 = 10;
/// For at least so long: they come one by one, not out of a queue.
pub const SPAN: Duration = Duration::from_secs(2);
/// After the last of them it is over: some beats of the slowest cluster.
pub const LASTS: Duration = Duration::from_secs(15);

/// A life that a later one followed, and what of it still comes.
#[derive(Clone, Copy, Debug)]
struct Former {
    life: u64,
    newest: u64,
    beats: u32,
    since: Time,
    last: Time,
}

#[derive(Clone, Copy, Debug, Default)]
struct Node {
    life: u64,
    newest: u64,
    /// When the newest life last said something new.
    spoke: Time,
    former: Option<Former>,
    told: Told,
}

/// By sender; as many as there are nodes, since only what they sealed comes here.
#[derive(Clone, Debug, Default)]
pub struct Twins {
    nodes: BTreeMap<u16, Node>,
}

impl Twins {
    /// A packet that was opened. True when it shows that two machines speak as its sender and that is to be told.
    pub fn heard(&mut self, now: Time, packet: &Opened<'_>) -> bool {
        if packet.kind != Kind::Beat {
            return false;
        }
        let node = self.nodes.entry(packet.sender).or_default();
        let (life, seq) = (packet.incarnation, packet.seq);
        if life == node.life {
            if seq > node.newest {
                (node.newest, node.spoke) = (seq, now);
            }
            return false;
        }
        if life > node.life {
            let over =
                Former { life: node.life, newest: node.newest, beats: 0, since: now, last: now };
            node.former = (node.life != 0).then_some(over);
            (node.life, node.newest, node.spoke) = (life, seq, now);
            return false;
        }
        let first = Former { life, newest: seq, beats: 1, since: now, last: now };
        let former = node.former.get_or_insert(first);
        if former.life != life {
            // An older one yet is nobody's, unless the known one is silent.
            if life > former.life || now.since(former.last) >= LASTS {
                *former = first;
            }
            return false;
        }
        if seq <= former.newest {
            return false;
        }
        if former.beats == 0 || now.since(former.last) >= LASTS {
            (former.beats, former.since) = (0, now);
        }
        former.newest = seq;
        former.beats = former.beats.saturating_add(1);
        former.last = now;
        node.shows_two(now) && node.told.is_due(now)
    }

    /// Nodes as which two machines speak now.
    pub fn lasting(&self, now: Time) -> impl Iterator<Item = u16> {
        self.nodes.iter().filter(move |(_, node)| node.shows_two(now)).map(|(sender, _)| *sender)
    }
}

impl Node {
    /// Both lives speak, the later one not only with what was on its way.
    fn shows_two(&self, now: Time) -> bool {
        let Some(former) = self.former else { return false };
        let goes_on = former.beats >= BEATS && former.last.since(former.since) >= SPAN;
        let both = self.spoke.since(former.since) >= SPAN;
        goes_on && both && now.since(former.last.min(self.spoke)) < LASTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strangers::TELL_EVERY;

    fn at(ms: u64) -> Time {
        Time::ZERO + Duration::from_millis(ms)
    }

    fn heard(twins: &mut Twins, ms: u64, incarnation: u64, seq: u64) -> bool {
        let packet =
            Opened { sender: 3, network: 0, kind: Kind::Beat, incarnation, seq, body: &[] };
        twins.heard(at(ms), &packet)
    }

    fn lasting(twins: &Twins, ms: u64) -> Vec<u16> {
        twins.lasting(at(ms)).collect()
    }

    #[test]
    fn a_former_life_that_speaks_on_is_a_second_machine_and_is_told_once() {
        let mut twins = Twins::default();
        for beat in 1..20 {
            assert!(!heard(&mut twins, beat * 300, 7, beat), "one life");
        }
        let told: Vec<u64> = (20..60)
            .filter(|beat| {
                assert!(!heard(&mut twins, beat * 300, 9, *beat), "the later one is believed");
                heard(&mut twins, beat * 300 + 1, 7, *beat)
            })
            .collect();
        assert_eq!(told, [29], "ten beats");
        assert_eq!((lasting(&twins, 18_000), lasting(&twins, 33_000)), (vec![3], vec![]));
        // It comes again: it is shown, and told again only after a long time.
        let both = |twins: &mut Twins, ms: u64, beat: u64| {
            heard(twins, ms, 9, beat);
            heard(twins, ms + 1, 7, beat)
        };
        let again = (200..220).filter(|beat| both(&mut twins, beat * 300, *beat)).count();
        assert_eq!((again, lasting(&twins, 66_000)), (0, vec![3]));
        let later = u64::try_from(TELL_EVERY.as_millis()).unwrap();
        let told = (300..340).filter(|beat| both(&mut twins, later + beat * 300, *beat));
        assert_eq!(told.count(), 1);
    }

    #[test]
    fn one_machine_that_lost_count_of_its_lives_or_whose_clock_is_behind_is_not_two() {
        for gone_for in [0, 700, 5000, 60_000] {
            let mut twins = Twins::default();
            for beat in 1..20 {
                heard(&mut twins, beat * 300, 9, beat);
            }
            let again = 5700 + gone_for;
            for beat in 1..400 {
                assert!(!heard(&mut twins, again + beat * 300, 7, beat), "{gone_for}: beat {beat}");
                // What the former process sent last is late.
                heard(&mut twins, again + 1500, 9, 20 + beat.min(3));
                assert_eq!(lasting(&twins, again + beat * 300), [] as [u16; 0], "{gone_for}");
            }
        }
    }

    #[test]
    fn it_is_over_as_soon_as_either_of_them_was_ended() {
        for ended in [7, 9] {
            let mut twins = Twins::default();
            heard(&mut twins, 0, 7, 1);
            for beat in 2..60 {
                for life in [9, 7] {
                    heard(&mut twins, beat * 300, life, beat);
                }
            }
            assert_eq!(lasting(&twins, 17_700), [3]);
            for beat in 60..120 {
                heard(&mut twins, beat * 300, 16 - ended, beat);
            }
            assert_eq!(lasting(&twins, 35_700), [] as [u16; 0], "{ended} was ended");
        }
    }

    #[test]
    fn a_restart_is_no_second_machine_whatever_was_on_its_way() {
        let mut twins = Twins::default();
        heard(&mut twins, 0, 7, 1);
        heard(&mut twins, 10, 9, 1);
        for late in 2..40 {
            assert!(!heard(&mut twins, 20, 7, late), "a queue that is emptied");
        }
        for copy in 0..40 {
            assert!(!heard(&mut twins, 3000 + copy * 300, 7, 39), "the same packet again");
        }
        assert_eq!(lasting(&twins, 3100), [] as [u16; 0]);
    }

    #[test]
    fn recorded_packets_that_are_sent_again_are_no_second_machine() {
        let mut twins = Twins::default();
        for life in [5, 7] {
            for beat in 1..100 {
                heard(&mut twins, beat * 300, life, beat);
            }
        }
        heard(&mut twins, 31_000, 9, 1);
        for round in 0..20 {
            for beat in 1..100 {
                let ms = 32_000 + round * 30_000 + beat * 300;
                assert!(!heard(&mut twins, ms, 7, beat), "it came before");
            }
        }
        assert_eq!(lasting(&twins, 632_000), [] as [u16; 0]);
    }

    #[test]
    fn whatever_is_replayed_in_whatever_order_is_told_rarely_and_kept_in_one_place() {
        let mut twins = Twins::default();
        heard(&mut twins, 0, 1_000_000, 1);
        // An hour of recordings of many lives: each begins anew.
        let told = (0..12_000_u64).filter(|beat| {
            let life = 1 + beat / 12;
            heard(&mut twins, 1 + beat * 300, life, beat % 12 + 1)
        });
        assert!(told.count() <= 2);
        assert_eq!(twins.nodes.len(), 1);
    }
}
