//! Somebody who speaks for this cluster with other keys: a machine of another cluster with the same addresses, one
//! that was founded anew where it should have joined, or a forger.
//!
//! Nothing that comes from there is believed, and nothing in it says who it is: told is the address alone, of which
//! a forger chooses any that a node has. So it accuses nobody, is one line, however much comes, and one event in
//! [`TELL_EVERY`].

use std::net::IpAddr;
use std::time::Duration;

use base::Time;

/// More than a damaged or late packet.
pub const PACKETS: u32 = 10;
/// For at least so long.
pub const SPAN: Duration = Duration::from_secs(2);
/// After the last of them it is over: some beats of the slowest cluster.
pub const LASTS: Duration = Duration::from_secs(15);
/// Between two events about the same: who provokes them fills no log.
pub const TELL_EVERY: Duration = Duration::from_secs(3600);
/// Addresses that are named; an operator looks at one after the other.
pub const MOST_NAMED: usize = 4;

/// When something was told last.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Told(Option<Time>);

impl Told {
    /// True at first, and then not more often than once in [`TELL_EVERY`].
    pub fn is_due(&mut self, now: Time) -> bool {
        let is_due = self.0.is_none_or(|told| now.since(told) >= TELL_EVERY);
        if is_due {
            self.0 = Some(now);
        }
        is_due
    }
}

/// Those who speak with other keys now.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Speakers {
    /// In the order in which they were first heard, [`MOST_NAMED`] at most.
    pub addresses: Vec<IpAddr>,
    /// Whether there are more of them.
    pub more: bool,
}

#[derive(Clone, Debug)]
struct Spell {
    speakers: Speakers,
    packets: u32,
    since: Time,
    last: Time,
}

/// Packets that no key of this cluster opens.
#[derive(Clone, Debug, Default)]
pub struct Strangers {
    spell: Option<Spell>,
    told: Told,
}

impl Strangers {
    /// A packet that says it is of a node and is sealed with another key. True when that is to be told.
    pub fn refused(&mut self, now: Time, from: IpAddr) -> bool {
        let spell = match &mut self.spell {
            Some(spell) if now.since(spell.last) < LASTS => spell,
            spell => spell.insert(Spell {
                speakers: Speakers { addresses: vec![], more: false },
                packets: 0,
                since: now,
                last: now,
            }),
        };
        let Speakers { addresses, more } = &mut spell.speakers;
        if !addresses.contains(&from) {
            if addresses.len() < MOST_NAMED { addresses.push(from) } else { *more = true }
        }
        spell.packets = spell.packets.saturating_add(1);
        spell.last = now;
        spell.lasts() && self.told.is_due(now)
    }

    /// Who speaks with other keys now.
    #[must_use]
    pub fn lasting(&self, now: Time) -> Option<&Speakers> {
        let spell = self.spell.as_ref()?;
        (spell.lasts() && now.since(spell.last) < LASTS).then_some(&spell.speakers)
    }
}

impl Spell {
    fn lasts(&self) -> bool {
        self.packets >= PACKETS && self.last.since(self.since) >= SPAN
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn at(ms: u64) -> Time {
        Time::ZERO + Duration::from_millis(ms)
    }

    fn of(last: u8) -> IpAddr {
        Ipv4Addr::new(10, 0, 0, last).into()
    }

    #[test]
    fn who_speaks_with_other_keys_is_named_after_a_while_and_until_it_is_silent() {
        let mut strangers = Strangers::default();
        let told: Vec<u64> =
            (0..100).filter(|beat| strangers.refused(at(beat * 300), of(3))).collect();
        assert_eq!(told, [9]);
        let speakers = Speakers { addresses: vec![of(3)], more: false };
        assert_eq!(strangers.lasting(at(30_000)), Some(&speakers));
        assert_eq!(strangers.lasting(at(29_700) + LASTS), None);
    }

    #[test]
    fn some_damaged_packets_at_once_name_nobody() {
        let mut strangers = Strangers::default();
        for _ in 0..1000 {
            assert!(!strangers.refused(at(0), of(3)));
        }
        assert_eq!(strangers.lasting(at(1)), None);
        // And so do single ones, now and then.
        for minute in 1..100 {
            assert!(!strangers.refused(at(minute * 60_000), of(3)));
            assert_eq!(strangers.lasting(at(minute * 60_000)), None);
        }
    }

    #[test]
    fn a_flood_from_very_many_addresses_is_one_line_and_one_event_an_hour() {
        let mut strangers = Strangers::default();
        let told = (0..36_000_u64).filter(|packet| {
            let from = of(u8::try_from(packet % 200).unwrap());
            strangers.refused(at(packet * 300), from)
        });
        assert_eq!(told.count(), 3, "of three hours");
        let speakers = strangers.lasting(at(36_000 * 300)).unwrap();
        assert_eq!((speakers.addresses.len(), speakers.more), (MOST_NAMED, true));
        // With pauses it is no more.
        let told = (0..1000_u64).filter(|spell| {
            (0..12).any(|packet| {
                strangers.refused(at(20_000_000 + spell * 20_000 + packet * 300), of(1))
            })
        });
        assert_eq!(told.count(), 6, "of five hours and a half");
    }
}
