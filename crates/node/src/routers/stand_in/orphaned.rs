//! What a stand-in does when nobody does its work any more: it joins another desk, or takes its addresses off.

use std::os::fd::AsFd;
use std::time::Duration;

use api::router::EntryAnswer;
use base::Time;
use config::vip::Vip;
use engine::router::orphan::{Order, Orphan};
use sys::channel::Channel;
use sys::netlink::Netlink;
use sys::process::stand_in::Kept;

use super::joining::heard_on;
use super::record;
use super::{StandIn, StandInError, start_desk};
use crate::supervisor::tell;

/// Who gave up a moment ago has waited for all.
const GAVE_UP: Duration = Duration::from_secs(20);

/// Longer than it takes until all have had their turn.
const REMEMBERED: Duration = Duration::from_secs(60);

impl StandIn<'_> {
    /// The socket on which another desk has accepted it. None: it was told to end meanwhile, and holds nothing any more.
    pub(super) fn orphaned(&self, kept: &Kept) -> Result<Option<Channel>, StandInError> {
        let known = self.known(kept);
        let vips: &[Vip] = known.as_ref().map_or(&[], |known| &known.vips);
        let shortest = vips.iter().map(|vip| vip.advert_interval).min();
        let began = sys::clock::now();
        let mut orphan = match gave_up(kept) {
            true => Orphan::after_another(began, shortest.is_some()),
            false => Orphan::new(began, self.lost_at(kept, began), shortest),
        };
        let mut asked: Option<Channel> = None;
        loop {
            self.note_signals();
            if self.is_to_end() {
                self.take_off(kept);
                self.remove_files(kept);
                return Ok(None);
            }
            let answer = asked.as_ref().map(heard_on).transpose();
            match answer.map(Option::flatten) {
                Ok(None) => {}
                Ok(Some(EntryAnswer::Accepted)) => return Ok(asked),
                Ok(Some(EntryAnswer::Refused { why })) => {
                    return Err(self.give_up(kept, StandInError::Refused(why)));
                }
                Ok(Some(_)) | Err(_) => {
                    asked = None;
                    orphan.lost(sys::clock::now());
                }
            }
            let now = sys::clock::now();
            match orphan.step(now) {
                Some(Order::Look) => {
                    asked = self.ask(known.as_ref(), held(vips)).ok();
                    if asked.is_some() {
                        orphan.found(now);
                    }
                }
                Some(Order::StartOne) => start_desk(&self.path),
                Some(Order::Release) => {
                    asked = None;
                    self.take_off(kept);
                    note_that_it_gave_up(kept);
                    // Others wait for theirs with addresses that nobody speaks for.
                    kept.end_turn();
                }
                Some(Order::GiveUp) => {
                    note_that_it_gave_up(kept);
                    return Err(self.give_up(kept, StandInError::Orphaned));
                }
                None => self.wait(asked.as_ref(), orphan.deadline().since(now)),
            }
        }
    }

    /// When the first of all has missed the desk that this one had.
    fn lost_at(&self, kept: &Kept, now: Time) -> Time {
        let Some((record, _)) = record::read(kept.record.as_fd()) else { return now };
        let path = super::super::beside(&self.path, "lost");
        let noted = std::fs::read_to_string(&path).unwrap_or_default();
        let noted = noted.split_once(' ').and_then(|(desk, at)| {
            Some((desk.parse::<u64>().ok()?, Time::from_nanos(at.trim().parse().ok()?)))
        });
        let is_of_this =
            |desk: u64, at: Time| desk == record.desk && at <= now && now.since(at) < REMEMBERED;
        match noted.filter(|(desk, at)| is_of_this(*desk, *at)) {
            Some((_, at)) => at,
            None => {
                // Without the note each counts from its turn.
                let said = format!("{} {}\n", record.desk, now.as_nanos());
                let half = path.with_extension("lost.new");
                let _unnoted =
                    std::fs::write(&half, said).and_then(|()| std::fs::rename(half, path));
                now
            }
        }
    }

    /// Its addresses, with a goodbye.
    pub(super) fn take_off(&self, kept: &Kept) {
        if let Some(known) = self.known(kept) {
            tell::line(&known.take_off());
        }
    }

    /// It ends for this reason, and holds nothing any more.
    pub(super) fn give_up(&self, kept: &Kept, error: StandInError) -> StandInError {
        self.take_off(kept);
        self.remove_files(kept);
        error
    }
}

/// Positions of those whose first address is here.
fn held(vips: &[Vip]) -> Vec<u16> {
    let there = Netlink::open().and_then(|netlink| netlink.addresses()).unwrap_or_default();
    let is_there = |vip: &Vip| {
        let first = vip.addresses.first();
        first.is_some_and(|first| there.iter().any(|address| address.ip == first.ip))
    };
    (0..).zip(vips).filter(|(_, vip)| is_there(vip)).map(|(number, _)| number).collect()
}

/// Whether another one waited in vain a moment ago.
fn gave_up(kept: &Kept) -> bool {
    let when = sys::memory::read(kept.turn.as_fd()).ok();
    let when = when.and_then(|text| String::from_utf8(text).ok()?.trim().parse::<u64>().ok());
    let now = sys::clock::wall_ms();
    when.is_some_and(|when| now.abs_diff(when) < u64::try_from(GAVE_UP.as_millis()).unwrap_or(0))
}

fn note_that_it_gave_up(kept: &Kept) {
    // Without the note each waits for itself.
    let _unnoted = sys::process::stand_in::note(&kept.turn, &sys::clock::wall_ms().to_string());
}
