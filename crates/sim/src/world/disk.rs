//! What a host keeps, as bytes, and what disks do to it: they say that something is written when it is not, tear
//! it, take long, are full, and turn bits.
//!
//! ```text
//!   process --- write ---> what processes read --- power goes ---> what is on the plate
//!                          (memory of the kernel)                  (all of it, unless the disk lies)
//! ```

use std::time::Duration;

use engine::intent::{At, Damage, Receiver, Word};
use engine::kv::Token;

use super::World;
use super::fault::{Fault, Verb};
use super::mail::Mail;
use super::mark::Mark;
use super::office::Deed;
use super::version::Version;
use crate::Chance;

/// Between two tries to write to a disk that does not take it (`node/src/agent/coordinate/steps.rs`).
const KEEP_AGAIN: Duration = Duration::from_secs(1);

fn is_of_next(kept: &[u8]) -> bool {
    !Version::Present.knows(kept)
}

/// A file of a host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum File {
    /// What it did for intents, and its copy.
    Steps,
    Copy,
    /// The largest number under which one of its processes speaks.
    Lives,
}

#[derive(Clone, Debug, Default)]
struct Kept {
    /// As processes read it.
    read: Content,
    /// What is on the plate, where that is something else.
    plate: Option<Content>,
}

#[derive(Clone, Debug, Default)]
struct Content {
    /// None: there is no file.
    bytes: Option<Vec<u8>>,
    /// It was torn, or a bit of it has turned, since it was written.
    is_damaged: bool,
    /// Which bits have: one that turns again would be as it was.
    turned: Vec<usize>,
}

/// The disk of one host.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    files: [Kept; 3],
    /// What is said to be written is not, until power goes.
    lies: bool,
    /// What was not written is there in part.
    tears: bool,
    full: bool,
    pub(super) slow: Duration,
}

impl Disk {
    /// False: it is full. What has its place already is overwritten there.
    pub(crate) fn write(&mut self, file: File, bytes: Vec<u8>) -> bool {
        if self.full && file != File::Lives {
            return false;
        }
        let kept = &mut self.files[file as usize];
        let written = Content { bytes: Some(bytes), ..Content::default() };
        let before = std::mem::replace(&mut kept.read, written);
        if self.lies {
            kept.plate.get_or_insert(before);
        } else {
            kept.plate = None;
        }
        true
    }

    pub(crate) fn read(&self, file: File) -> Option<&[u8]> {
        self.files[file as usize].read.bytes.as_deref()
    }

    /// The machine loses its power. Whether something is as it was before, and whether something is torn.
    fn loses_power(&mut self, dice: &mut Chance) -> (bool, bool) {
        let (mut is_back, mut is_torn) = (false, false);
        for kept in &mut self.files {
            let Some(plate) = kept.plate.take() else { continue };
            let written = std::mem::replace(&mut kept.read, plate);
            is_back = true;
            if let Some(mut written) = written.bytes.filter(|_| self.tears) {
                written.truncate(usize::try_from(dice.below(written.len() as u64)).unwrap_or(0));
                kept.read =
                    Content { bytes: Some(written), is_damaged: true, ..Content::default() };
                is_torn = true;
            }
        }
        (is_back, is_torn)
    }

    fn turn_a_bit(&mut self, file: File, dice: &mut Chance) {
        let kept = &mut self.files[file as usize];
        let at = dice.number();
        for Content { bytes, is_damaged, turned } in
            [Some(&mut kept.read), kept.plate.as_mut()].into_iter().flatten()
        {
            let Some(bytes) = bytes else { continue };
            let bit = usize::try_from(at % (bytes.len() as u64 * 8).max(1)).unwrap_or(0);
            let is_new = !turned.contains(&bit);
            if let Some(byte) = bytes.get_mut(bit / 8).filter(|_| is_new) {
                *byte ^= 1 << (bit % 8);
                turned.push(bit);
            }
            *is_damaged = true;
        }
    }

    /// It works, and all that was said to be written is.
    fn mend(&mut self) {
        self.files.iter_mut().for_each(|kept| kept.plate = None);
        (self.lies, self.tears, self.full, self.slow) = (false, false, false, Duration::ZERO);
    }

    /// Another one, empty, with the same weaknesses.
    pub(super) fn is_replaced(&mut self) {
        self.files = Default::default();
    }

    /// What is true: none of the two copies of its steps is whole.
    fn has_no_whole_copy(&self, version: Version) -> bool {
        let [steps, copy, _] = &self.files;
        let is_there = |kept: &Kept| kept.read.bytes.is_some();
        let is_known =
            |kept: &Kept| kept.read.bytes.as_ref().is_some_and(|bytes| version.knows(bytes));
        let is_whole = |kept: &Kept| is_known(kept) && !kept.read.is_damaged;
        !is_whole(steps) && !is_whole(copy) && (is_there(steps) || is_there(copy))
    }
}

impl World {
    pub(super) fn mend_disk(&mut self, host: u16) {
        self.hosts[usize::from(host)].disk.mend();
    }

    /// `disk-lies`, `disk-tears`, `disk-full`: 0 ends it.
    pub(super) fn harm_disk(&mut self, fault: Fault) {
        let disk = &mut self.hosts[usize::from(fault.host)].disk;
        let amount = fault.amounts[0];
        let is_on = amount != 0;
        if fault.verb == Verb::DiskLies {
            disk.lies = is_on;
        } else if fault.verb == Verb::DiskTears {
            disk.tears = is_on;
        } else if fault.verb == Verb::DiskFull {
            disk.full = is_on;
        } else if fault.verb == Verb::SlowDisk {
            disk.slow = Duration::from_millis(amount.unsigned_abs());
        } else if fault.verb == Verb::FlipDisk {
            let files: &[File] = match amount {
                1 => &[File::Steps],
                2 => &[File::Copy],
                3 => &[File::Lives],
                _ => &[File::Steps, File::Copy],
            };
            files.iter().for_each(|file| disk.turn_a_bit(*file, &mut self.dice));
        }
    }

    /// After its processes are gone.
    pub(super) fn disk_loses_power(&mut self, host: u16) {
        let disk = &mut self.hosts[usize::from(host)].disk;
        let (is_back, is_torn) = disk.loses_power(&mut self.dice);
        if is_torn {
            self.marks.note(Mark::DiskTore);
        }
        if is_back {
            self.marks.note(Mark::DiskLied);
            let token = self.steps_on_disk(host, Version::Next).0.newest();
            self.ledger.goes_back(host, token.unwrap_or(Token(0)));
        }
    }

    fn steps_on_disk(&self, host: u16, version: Version) -> (Receiver, Option<Damage>) {
        let disk = &self.hosts[usize::from(host)].disk;
        let copies = [File::Steps, File::Copy].map(|file| disk.read(file));
        let copies = copies.map(|copy| copy.map(|copy| version.revives(copy)));
        Receiver::revive([copies[0].as_deref(), copies[1].as_deref()])
    }

    /// What a new process finds of what the one before kept. S3: whatever one copy suffered is known from the other.
    pub(super) fn revive_receiver(&mut self, host: u16) -> Receiver {
        let version = self.hosts[usize::from(host)].version;
        let (receiver, damage) = self.steps_on_disk(host, version);
        match damage {
            Some(Damage::One) => self.marks.note(Mark::ReadOtherCopy),
            Some(Damage::All) => self.marks.note(Mark::NoCopyWhole),
            Some(Damage::Later(_)) => self.marks.note(Mark::LookedAfterLater),
            None => {}
        }
        let disk = &self.hosts[usize::from(host)].disk;
        if disk.has_no_whole_copy(version) {
            self.ledger.forgets(host);
        } else if version == Version::Next && disk.read(File::Steps).is_some_and(is_of_next) {
            // It knows again what an earlier version could not read meanwhile.
            self.ledger.remembers(host, receiver.newest().unwrap_or(Token(0)));
        }
        let known = self.ledger.restarts(host);
        if receiver.newest().unwrap_or(Token(0)) != known {
            let what = format!("knows {:?} of token {}", receiver.newest(), known.0);
            self.fail("S3 token", host, &what);
        }
        receiver.restarted()
    }

    /// Writes what the receiver knows. Where the disk does not take it, nothing of it has happened.
    pub(super) fn keep_receiver(&mut self, host: u16) {
        let bytes = self.offices[usize::from(host)].receiver.encode();
        let bytes = self.hosts[usize::from(host)].version.keeps(bytes);
        let disk = &mut self.hosts[usize::from(host)].disk;
        if disk.write(File::Steps, bytes.clone()) && disk.write(File::Copy, bytes) {
            return self.ledger.keeps(host);
        }
        self.marks.note(Mark::DiskWasFull);
        self.ledger.restarts(host);
        let office = &mut self.offices[usize::from(host)];
        office.drop_duties();
        let Some((before, word, from, token)) = office.in_hand.take() else { return };
        office.receiver = before;
        match word {
            Word::Ordered(order) => {
                let At { number, step, .. } = order.at;
                self.post(host, from, Mail::Hindered { number, step });
            }
            // What cannot be kept is not answered: its process would forget it.
            word @ (Word::Ended { .. } | Word::Looked { .. }) => {
                self.post_later(host, KEEP_AGAIN, Mail::Own { word, from, token });
            }
        }
    }

    /// Writes what the receiver knows, or waits for its disk first; its process may die meanwhile.
    pub(super) fn begins_to_keep(&mut self, host: u16) {
        let slow = self.hosts[usize::from(host)].disk.slow;
        if slow.is_zero() {
            return self.keep_receiver(host);
        }
        self.marks.note(Mark::DiskWasSlow);
        let office = &mut self.offices[usize::from(host)];
        office.put_first(Deed::Keep);
        office.late = slow;
    }

    /// The largest number that its supervisor reads.
    pub(super) fn read_lives(&mut self, host: u16) {
        let node = &mut self.hosts[usize::from(host)];
        let line = node.disk.read(File::Lives);
        let number = line.map(engine::lives::read);
        node.numbered = number.flatten().unwrap_or(0);
        if number == Some(None) {
            self.marks.note(Mark::LivesTorn);
        }
    }
}

impl super::Host {
    pub(super) fn keep_lives(&mut self) {
        let line = engine::lives::line(self.numbered);
        let _in_place = self.disk.write(File::Lives, line.into_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(disk: &mut Disk, text: &str) -> bool {
        disk.write(File::Steps, text.as_bytes().to_vec())
    }

    #[test]
    fn what_a_disk_lied_about_is_gone_with_the_power_and_not_with_a_process() {
        let mut disk = Disk::default();
        let mut dice = Chance::new(1);
        assert!(written(&mut disk, "one"));
        assert_eq!(disk.loses_power(&mut dice), (false, false), "it was written");
        disk.lies = true;
        assert!(written(&mut disk, "two") && written(&mut disk, "three"));
        assert_eq!(disk.read(File::Steps), Some(&b"three"[..]), "a later process reads it");
        assert_eq!(disk.loses_power(&mut dice), (true, false));
        assert_eq!(disk.read(File::Steps), Some(&b"one"[..]));
        disk.tears = true;
        assert!(written(&mut disk, "four"));
        assert_eq!(disk.loses_power(&mut dice), (true, true));
        assert!(
            b"four".starts_with(disk.read(File::Steps).unwrap())
                && disk.has_no_whole_copy(Version::Present)
        );
    }

    /// Seed 2679 of `--mixed`: the judge took what came back from the plate for whole.
    #[test]
    fn a_bit_that_turned_before_a_disk_lied_is_turned_when_the_power_is_gone() {
        let mut disk = Disk::default();
        let mut dice = Chance::new(1);
        assert!(written(&mut disk, "one"));
        disk.turn_a_bit(File::Steps, &mut dice);
        disk.lies = true;
        assert!(written(&mut disk, "two"));
        assert!(!disk.has_no_whole_copy(Version::Present), "a process reads what was written last");
        assert_eq!(disk.loses_power(&mut dice), (true, false));
        assert!(disk.has_no_whole_copy(Version::Present));
        assert!(written(&mut disk, "three"));
        disk.turn_a_bit(File::Steps, &mut dice);
        assert!(written(&mut disk, "four") && !disk.has_no_whole_copy(Version::Present));
        assert_eq!(disk.loses_power(&mut dice), (true, false));
        assert!(
            disk.has_no_whole_copy(Version::Present),
            "and so is what was on the plate meanwhile"
        );
    }

    #[test]
    fn a_full_disk_takes_nothing_but_what_has_its_place() {
        let mut disk = Disk { full: true, ..Disk::default() };
        assert!(!written(&mut disk, "one"));
        assert_eq!(disk.read(File::Steps), None);
        assert!(disk.write(File::Lives, b"1".to_vec()));
        disk.mend();
        assert!(written(&mut disk, "one"));
        disk.turn_a_bit(File::Steps, &mut Chance::new(1));
        assert!(disk.read(File::Steps) != Some(b"one") && disk.has_no_whole_copy(Version::Present));
    }
}
