//! What came for a virtual IP and was not obeyed: counted by reason, each with who sent the last one, and told
//! with a limit on the rate. What a flood brings costs a sum, not a message.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use base::Time;

use super::Counters;
use super::packet::DecodeError;

/// How often at most news are told.
pub const TELL_EVERY: Duration = Duration::from_secs(1);
/// How long after an event of a reason the next one of that reason is told.
pub const AGAIN_AFTER: Duration = Duration::from_secs(600);
/// Events at most each time news are told: of all reasons of all virtual IPs at once.
pub const EVENTS_AT_ONCE: usize = 4;
/// Counts at most each time news are told, so that they fit into one message.
pub const COUNTS_AT_ONCE: usize = 128;

/// Why it was not obeyed.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Refusal {
    /// Its router id is of no virtual IP here: usually another group on the same link.
    RouterId,
    Interval,
    Password,
    /// Unicast from a router that is not listed; a group that speaks to all of its link lists none.
    Source,
    /// Obeyed all the same: its list of addresses differs from ours.
    Addresses,
    /// Obeyed all the same: it says another interval than ours.
    OtherInterval,
    /// Obeyed all the same: in a group of our own nodes it is of none of them.
    Outsider,
    /// Not an advert but a sealed message of a node that holds, whose adverts do not come.
    Unheard,
    /// A router forwarded it: it does not come from this link.
    Ttl,
    /// Another version of the protocol.
    Version,
    Checksum,
    /// No advert, by its form.
    Malformed,
    /// The kernel threw it away: more came than were read.
    Unread,
    /// A sealed message of a node that is no peer.
    Stranger,
    /// A sealed hand-over to a process that is no more.
    Outlived,
    /// It has no signature, where every advert has to have one.
    Unsigned,
    /// It is signed with a key of an id that is not known here.
    UnknownKey,
    /// Its signature was not made with the key that it names, or not for what it says.
    Signature,
    /// It was signed too long ago, or in the future.
    Stale,
    /// One that was signed later has come from the same sender: this one was sent before, or is a copy.
    Replayed,
    /// Of a router that does not vote, and says that it holds an address with a vip lease.
    Foreign,
}

impl Refusal {
    /// Whether the first one is an event: what happens in a sound network is only counted.
    #[must_use]
    const fn alarms(self) -> bool {
        !matches!(self, Self::RouterId | Self::Outlived)
    }

    /// Whether it may be so for good, and by intention: as long as it goes on it is told once, of each source.
    #[must_use]
    const fn lasts(self) -> bool {
        matches!(self, Self::Outsider | Self::OtherInterval)
    }
}

impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Ttl(_) => Self::Ttl,
            DecodeError::Version(_) => Self::Version,
            DecodeError::Checksum => Self::Checksum,
            DecodeError::Short(_)
            | DecodeError::Type(_)
            | DecodeError::NoAddress
            | DecodeError::Length { .. }
            | DecodeError::Authentication(_)
            | DecodeError::NoInterval => Self::Malformed,
        }
    }
}

impl Counters {
    /// What the machine did not obey, or obeyed all the same, in the one step since `before`.
    pub fn refusals_since(&self, before: &Self) -> impl Iterator<Item = Refusal> + use<> {
        let grew = [
            (self.router_id > before.router_id, Refusal::RouterId),
            (self.version > before.version, Refusal::Version),
            (self.interval > before.interval, Refusal::Interval),
            (self.password > before.password, Refusal::Password),
            (self.source > before.source, Refusal::Source),
            (self.addresses > before.addresses, Refusal::Addresses),
            (self.other_interval > before.other_interval, Refusal::OtherInterval),
            (self.foreign > before.foreign, Refusal::Outsider),
            (self.unheard > before.unheard, Refusal::Unheard),
            (self.strangers > before.strangers, Refusal::Stranger),
            (self.outlived > before.outlived, Refusal::Outlived),
        ];
        grew.into_iter().filter_map(|(grew, refusal)| grew.then_some(refusal))
    }
}

/// For whom it came.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Addressee {
    /// The virtual IP of that position.
    Vip(u16),
    /// No virtual IP: what came through the interface of that position.
    Interface(u16),
}

/// How much of one reason came for one addressee.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Refused {
    pub addressee: Addressee,
    pub refusal: Refusal,
    /// Since this process started.
    pub count: u64,
    /// Who sent the last one; none where nobody knows.
    pub source: Option<IpAddr>,
}

/// All counts of a process: at most one for each reason of each addressee.
#[derive(Clone, Debug, Default)]
pub struct Refusals {
    entries: BTreeMap<Key, Entry>,
    untold: bool,
    tell_at: Time,
    /// The last of which the count was told, and the last that was an event.
    counted: Option<Key>,
    alarmed: Option<Key>,
}

/// What one count is of.
type Key = (Addressee, Refusal);

#[derive(Clone, Copy, Debug)]
struct Entry {
    count: u64,
    source: Option<IpAddr>,
    /// It grew since it was told.
    grew: bool,
    /// When the next one is an event.
    event_at: Time,
    /// One came that is an event.
    due: bool,
}

/// What is to be told now.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct News {
    /// Those that grew.
    pub counts: Vec<Refused>,
    /// Those that are an event.
    pub events: Vec<Refused>,
}

impl Refusals {
    /// `times` more came.
    pub fn note(
        &mut self,
        now: Time,
        (addressee, refusal): Key,
        times: u64,
        source: Option<IpAddr>,
    ) {
        if times == 0 {
            return;
        }
        let new = Entry { count: 0, source: None, grew: false, event_at: Time::ZERO, due: false };
        let entry = self.entries.entry((addressee, refusal)).or_insert(new);
        let is_same = entry.source == source;
        entry.count += times;
        entry.source = source.or(entry.source);
        entry.grew = true;
        if !refusal.lasts() {
            entry.due |= refusal.alarms() && now >= entry.event_at;
        } else if now >= entry.event_at || !is_same {
            entry.due = true;
        } else if !entry.due {
            entry.event_at = now + AGAIN_AFTER;
        }
        self.untold = true;
    }

    /// When [`Self::news`] has something to tell.
    #[must_use]
    pub const fn deadline(&self) -> Time {
        if self.untold { self.tell_at } else { Time::NEVER }
    }

    /// What was not told yet, if it may be told now.
    pub fn news(&mut self, now: Time) -> News {
        let mut news = News::default();
        if now < self.deadline() {
            return news;
        }
        self.tell_at = now + TELL_EVERY;
        for key in self.turn(self.counted, COUNTS_AT_ONCE, |entry| entry.grew) {
            news.counts.extend(self.told(key, |entry| entry.grew = false));
            self.counted = Some(key);
        }
        for key in self.turn(self.alarmed, EVENTS_AT_ONCE, |entry| entry.due) {
            let mark = |entry: &mut Entry| {
                (entry.due, entry.event_at) = (false, now + AGAIN_AFTER);
            };
            news.events.extend(self.told(key, mark));
            self.alarmed = Some(key);
        }
        self.untold = self.entries.values().any(|entry| entry.grew || entry.due);
        news
    }

    /// At most `most` of those that wait, from the one behind `last` on and round: one that waits again and again keeps
    /// no other one waiting.
    fn turn(&self, last: Option<Key>, most: usize, waits: impl Fn(&Entry) -> bool) -> Vec<Key> {
        let behind = self.entries.iter().filter(|(key, _)| Some(**key) > last);
        let up_to = self.entries.iter().filter(|(key, _)| Some(**key) <= last);
        let waiting = behind.chain(up_to).filter(|(_, entry)| waits(entry));
        waiting.map(|(key, _)| *key).take(most).collect()
    }

    fn told(&mut self, key: Key, mark: impl Fn(&mut Entry)) -> Option<Refused> {
        let entry = self.entries.get_mut(&key)?;
        mark(entry);
        let ((addressee, refusal), Entry { count, source, .. }) = (key, *entry);
        Some(Refused { addressee, refusal, count, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIP: Addressee = Addressee::Vip(3);

    fn at(ms: u64) -> Time {
        Time::ZERO + Duration::from_millis(ms)
    }

    fn from(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([10, 0, 0, last]))
    }

    #[test]
    fn the_first_of_a_reason_is_an_event_and_a_flood_is_a_sum() {
        let mut refusals = Refusals::default();
        assert_eq!(refusals.deadline(), Time::NEVER);
        refusals.note(at(1), (VIP, Refusal::Password), 1, from(9));
        assert!(refusals.deadline() <= at(1), "the first is told at once");
        let first =
            Refused { addressee: VIP, refusal: Refusal::Password, count: 1, source: from(9) };
        assert_eq!(refusals.news(at(1)), News { counts: vec![first], events: vec![first] });
        assert_eq!((refusals.news(at(2)), refusals.deadline()), (News::default(), Time::NEVER));
        for n in (0..200).cycle().take(100_000) {
            refusals.note(at(10), (VIP, Refusal::Password), 1, from(n));
        }
        assert_eq!((refusals.news(at(11)), refusals.deadline()), (News::default(), at(1001)));
        let flood = Refused { count: 100_001, source: from(199), ..first };
        assert_eq!(refusals.news(at(1001)), News { counts: vec![flood], events: vec![] });
        // As often as once in ten minutes it is an event again.
        refusals.note(at(600_000), (VIP, Refusal::Password), 1, from(8));
        assert_eq!(refusals.news(at(600_000)).events, []);
        refusals.note(at(600_001), (VIP, Refusal::Password), 1, None);
        let again = Refused { count: 100_003, source: from(8), ..first };
        assert_eq!(refusals.news(at(601_000)).events, [again]);
    }

    #[test]
    fn what_may_be_so_for_good_is_told_once_of_each_source_while_it_lasts() {
        let mut refusals = Refusals::default();
        let mut told = vec![];
        let mut note = |second: u64, last: u8| {
            refusals.note(at(second * 1000), (VIP, Refusal::Outsider), 1, from(last));
            let events = refusals.news(at(second * 1000)).events;
            told.extend(events.into_iter().map(|event| (second, event.source)));
        };
        (0..2000).for_each(|second| note(second, 9));
        (2000..2010).for_each(|second| note(second, 8));
        // It was silent for ten minutes.
        (2700..2710).for_each(|second| note(second, 8));
        assert_eq!(told, [(0, from(9)), (2000, from(8)), (2700, from(8))]);
    }

    #[test]
    fn what_a_sound_network_brings_is_counted_and_no_event() {
        let mut refusals = Refusals::default();
        for refusal in [Refusal::RouterId, Refusal::Outlived] {
            refusals.note(at(1), (Addressee::Interface(0), refusal), 2, None);
        }
        refusals.note(at(1), (VIP, Refusal::Unread), 0, None);
        let news = refusals.news(at(1));
        assert_eq!((news.counts.len(), news.events.len()), (2, 0));
    }

    #[test]
    fn everything_at_once_is_told_in_bounded_parts_and_nothing_is_lost() {
        let mut refusals = Refusals::default();
        for vip in 0..255 {
            refusals.note(at(0), (Addressee::Vip(vip), Refusal::Version), 1, from(1));
        }
        let (mut now, mut counts, mut events) = (at(0), vec![], vec![]);
        while refusals.deadline() != Time::NEVER {
            let news = refusals.news(now);
            assert!(news.counts.len() <= COUNTS_AT_ONCE && news.events.len() <= EVENTS_AT_ONCE);
            counts.extend(news.counts.iter().map(|refused| refused.addressee));
            events.extend(news.events.iter().map(|refused| refused.addressee));
            now += TELL_EVERY;
        }
        let all: Vec<_> = (0..255).map(Addressee::Vip).collect();
        assert_eq!((counts, events), (all.clone(), all));
    }

    #[test]
    fn of_more_counts_than_are_told_at_once_that_grow_all_the_time_each_has_its_turn() {
        let mut refusals = Refusals::default();
        let vips = (0..200).map(|vip| (Addressee::Vip(vip), Refusal::Password));
        let unread = (0..100).map(|at| (Addressee::Interface(at), Refusal::Unread));
        let all: Vec<_> = vips.chain(unread).collect();
        let mut told: BTreeMap<_, Vec<u64>> = BTreeMap::new();
        for second in 0..9 {
            all.iter().for_each(|which| refusals.note(at(second * 1000), *which, 1, None));
            let counts = refusals.news(at(second * 1000)).counts;
            assert_eq!(counts.len(), COUNTS_AT_ONCE);
            for Refused { addressee, refusal, .. } in counts {
                told.entry((addressee, refusal)).or_default().push(second);
            }
        }
        for which in all {
            let told = told.remove(&which).unwrap_or_default();
            let is_steady = told.windows(2).all(|two| two[1] - two[0] <= 3);
            assert!(told.len() >= 3 && is_steady, "{which:?} is told in seconds {told:?}");
        }
    }
}
