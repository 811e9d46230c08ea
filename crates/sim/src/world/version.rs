//! Hosts of three versions of the program: the former one, this one, and the next.
//!
//! The machines are those of this version. What a host of another one writes and reads is made anew on its way, so
//! that it says and understands what that version would:
//!
//! ```text
//!             former                   next
//!   beat      form 3: no duty          form 5: more behind it (where beats are not sealed)
//!   gossip                             parts that nobody else knows
//!   intent    form 2: no notes         form 4: more behind it
//!   step                               the verb `later`
//!   steps                              form 5: more behind it
//! ```

use engine::intent::{Record, State, VERSION, number};
use engine::kv::{Answer, Condition, Op, Outcome, Transaction};
use engine::packet::MAX_BODY;
use engine::whole;

use super::World;
use super::fault::{Fault, Verb};
use super::host::Power;
use super::script::{PEACE, Script};
use crate::Chance;

/// A verb of steps that only the next version knows.
pub(super) const LATER: &str = "later";
/// Of gossip: a part that only the next version knows, in the form of all of them.
pub(super) const UNKNOWN: [u8; 4] = [1, 200, 0, 0];
/// Forms of a beat.
const BEATS: [u8; 3] = [3, 4, 5];
/// Of what a node did for intents, as the next version keeps it.
const STEPS: u8 = 5;
/// Bytes of its checksum.
const SUM: usize = 4;

#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Version {
    Former,
    #[default]
    Present,
    Next,
}

impl Version {
    fn of(amount: i64) -> Self {
        match amount {
            ..=0 => Self::Former,
            1 => Self::Present,
            2.. => Self::Next,
        }
    }

    /// The form in which it writes intents; it reads none that is later.
    pub(super) const fn form(self) -> u8 {
        match self {
            Self::Former => VERSION - 1,
            Self::Present => VERSION,
            Self::Next => VERSION + 1,
        }
    }

    /// What of an intent in the store its machine is given.
    fn reads(self, stored: &[u8]) -> Vec<u8> {
        let mut bytes = stored.to_vec();
        let Some(form) = bytes.first().copied() else { return bytes };
        if self == Self::Former {
            // To it this version's form is the next one.
            bytes[0] += 1;
        } else if self == Self::Next && form == self.form() {
            bytes[0] -= 1;
            bytes.pop();
        }
        bytes
    }

    /// What its machine wrote, as it lies in the store.
    fn writes(self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = match (self, Record::decode(bytes)) {
            (Self::Former, Some(record)) => Record { note: String::new(), ..record }.encode(),
            _ => bytes.to_vec(),
        };
        bytes[0] = self.form();
        if self == Self::Next {
            bytes.push(1);
        }
        bytes
    }

    /// A beat as it says it; its length.
    pub(super) fn says(self, body: &mut [u8; MAX_BODY], length: usize) -> usize {
        body[0] = BEATS[self as usize];
        match self {
            Self::Former => length - 1,
            Self::Present => length,
            Self::Next => (length + 2).min(MAX_BODY),
        }
    }

    /// The form of a beat as it takes it: of later ones it reads what it knows.
    pub(super) fn hears(self, form: u8) -> u8 {
        form.min(BEATS[self as usize])
    }

    /// What its machine keeps of steps, as it lies on the disk.
    pub(super) fn keeps(self, mut bytes: Vec<u8>) -> Vec<u8> {
        if self != Self::Next {
            return bytes;
        }
        bytes.truncate(bytes.len() - SUM);
        bytes[0] = STEPS;
        bytes.push(1);
        marked(bytes)
    }

    /// What of it its machine is given.
    pub(super) fn revives(self, kept: &[u8]) -> Vec<u8> {
        let whole = kept.split_at_checked(kept.len().wrapping_sub(SUM));
        let whole = whole.filter(|(bytes, sum)| *sum == whole::sum(bytes).to_le_bytes());
        let Some((bytes, _)) = whole.filter(|(bytes, _)| bytes.first() == Some(&STEPS)) else {
            return kept.to_vec();
        };
        if self != Self::Next {
            return kept.to_vec();
        }
        let mut bytes = bytes[..bytes.len() - 1].to_vec();
        bytes[0] = STEPS - 1;
        marked(bytes)
    }

    /// Whether it can read steps that were kept so, if they are whole.
    pub(super) fn knows(self, kept: &[u8]) -> bool {
        self == Self::Next || kept.first() != Some(&STEPS)
    }
}

/// One of so many hosts.
pub(super) fn pick(chance: &mut Chance, below: u16) -> u16 {
    u16::try_from(chance.below(u64::from(below))).unwrap_or(0)
}

fn marked(mut bytes: Vec<u8>) -> Vec<u8> {
    let sum = whole::sum(&bytes);
    bytes.extend(sum.to_le_bytes());
    bytes
}

/// An intent in whatever form, with that form.
pub(super) fn read_any(stored: &[u8]) -> Option<Record> {
    let form = *stored.first()?;
    Some(Record { version: form, ..Record::decode(&Version::Next.reads(stored))? })
}

impl World {
    /// Its processes are started again, of another version.
    pub(super) fn change_version(&mut self, host: u16, amount: i64) {
        let node = &mut self.hosts[usize::from(host)];
        if node.power != Power::Paused {
            node.version = Version::of(amount);
            self.kill_vip(host);
            self.kill_agent(host);
        }
    }

    pub(super) fn is_of_several_versions(&self) -> bool {
        self.hosts.iter().any(|host| host.version != self.hosts[0].version)
    }

    /// What a process of that version proposed, as the store takes it.
    pub(super) fn as_written(&self, version: Version, mut transaction: Transaction) -> Transaction {
        if version == Version::Present {
            return transaction;
        }
        for compare in &mut transaction.compares {
            let Condition::Value(value) = &mut compare.is else { continue };
            let stored = self.store.kv.get(&compare.key).filter(|_| number(&compare.key).is_some());
            // What it was given is what lies there.
            if let Some(stored) = stored
                && is_the_same(&version.reads(&stored.value), value)
            {
                *value = stored.value.clone();
            }
        }
        for ops in [&mut transaction.then, &mut transaction.otherwise] {
            for op in ops {
                if let Op::Put { key, value, .. } = op
                    && number(key).is_some()
                {
                    *value = version.writes(value).into();
                }
            }
        }
        transaction
    }

    /// What the store answered, as a process of that version takes it.
    pub(super) fn as_read(version: Version, mut outcome: Outcome) -> Outcome {
        let found = outcome.answers.iter_mut().filter(|_| version != Version::Present);
        for answer in found {
            if let Answer::Found { items, .. } = answer {
                for (_, item) in items.iter_mut().filter(|(key, _)| number(key).is_some()) {
                    item.value = version.reads(&item.value).into();
                }
            }
        }
        outcome
    }
}

/// Whatever the form.
fn is_the_same(one: &[u8], other: &[u8]) -> bool {
    let read = |bytes: &[u8]| Some(Record { version: 0, ..Record::decode(bytes)? });
    one == other || read(one).is_some_and(|one| Some(one) == read(other))
}

/// Whether whoever reads no later form than this has ended an intent that it cannot read.
pub(super) fn is_ended_unread(form: u8, before: &Record, record: &Record) -> bool {
    let is_ended = matches!(record.state, State::Failed(_)) && record.steps.is_empty();
    before.version > form && before.state.is_open() && is_ended && before.object == record.object
}

impl Script {
    /// One host after the other gets another version while the storm since `begin` lasts; sometimes not all of them,
    /// sometimes back again.
    pub(super) fn upgrades(&mut self, begin: std::time::Duration, dice: &mut Chance) {
        if !dice.one_in(4) {
            return;
        }
        let end = self.length.saturating_sub(PEACE);
        let storm = u64::try_from(end.saturating_sub(begin).as_millis()).unwrap_or(0);
        let all = self.controllers + self.computes;
        let pause = 1 + storm / u64::from(all);
        let version = dice.choose(&[0, 1, 2, 2]);
        let (first, count) = (pick(dice, all), if dice.one_in(3) { pick(dice, all) } else { all });
        let mut at = begin;
        for host in (0..count).map(|n| (first + n) % all) {
            at += std::time::Duration::from_millis(dice.below(pause));
            let amounts = [version, 0, 0];
            self.steps.push((at, Fault { amounts, ..Fault::at(Verb::Version, host) }));
            if dice.one_in(8) {
                let amounts = [1, 0, 0];
                self.steps.push((at, Fault { amounts, ..Fault::at(Verb::Version, host) }));
            }
        }
        // Somebody asks for what only the next version can do.
        for _ in 0..dice.below(3) {
            let at = begin + std::time::Duration::from_millis(dice.below(storm + 1));
            let (host, other) = (pick(dice, all.min(4)), pick(dice, all));
            let amounts = [dice.choose(&[11, 12, 13]), 0, 0];
            self.steps.push((at, Fault { host, other, amounts, ..Fault::of(Verb::Ask) }));
        }
        self.length = self.length.max(at + PEACE);
    }
}

#[cfg(test)]
mod tests {
    use engine::intent::Step;

    use super::*;

    fn record() -> Record {
        let step = |verb: &str| Step { verb: verb.to_owned(), ..step() };
        Record {
            what: "move".to_owned(),
            object: "node/ctl1".to_owned(),
            by: String::new(),
            at_ms: 7,
            steps: vec![step("do"), step("later")],
            state: State::Committed { next: 1 },
            note: String::new(),
            version: VERSION,
        }
    }

    fn step() -> Step {
        Step { node: "ctl1".to_owned(), verb: String::new(), object: "node/ctl1".to_owned() }
    }

    #[test]
    fn each_version_reads_what_it_and_those_before_it_wrote_and_nothing_later() {
        let all = [Version::Former, Version::Present, Version::Next];
        for writer in all {
            let stored = writer.writes(&record().encode());
            assert_eq!(read_any(&stored), Some(Record { version: writer.form(), ..record() }));
            for reader in all {
                let read = Record::decode(&reader.reads(&stored));
                let read = read.map(|read| Record { version: VERSION, ..read });
                assert_eq!(read, (writer <= reader).then(record), "{writer:?} to {reader:?}");
            }
        }
    }
}
