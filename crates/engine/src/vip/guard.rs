//! Signs the adverts of a group and judges those of others (`auth_hmac` of keepalived 2.4), before the machine hears of them.
//!
//! ```text
//! form -> time (no tag is made for what is too old) -> key -> tag -> newer than what its sender sent before
//! ```
//!
//! What a sender sent before is noted of what was judged good only: who has no key forgets nothing here.

use std::net::IpAddr;
use std::time::Duration;

use config::vip::{Hmac, KeyValue, Mode, Replay, Vip};

use super::packet::{Advert, Path, Signature, Trailer};
use super::refusals::Refusal;

/// Senders remembered of a group that speaks to all of its link, as keepalived's.
const SENDERS: usize = 4;
/// Of 1/65536 of a second in one second, and of sequences in that.
const FRACTIONS: u32 = 1 << 16;

/// Of one group.
#[derive(Clone, Debug)]
pub struct Guard {
    hmac: Hmac,
    /// The sequence of the last advert that was signed.
    sent: Option<u64>,
    senders: Vec<Sender>,
    most: usize,
    /// Counts what was judged good.
    judged: u64,
}

#[derive(Clone, Copy, Debug)]
struct Sender {
    source: IpAddr,
    /// Of its newest advert.
    sequence: u64,
    /// When it was heard last, by what was judged since.
    heard: u64,
}

impl Guard {
    /// None: the group signs nothing, and takes nothing that is signed.
    #[must_use]
    pub fn of(vip: &Vip) -> Option<Self> {
        let most = SENDERS.max(vip.unicast_peers.len());
        let hmac = vip.hmac.clone()?;
        Some(Self { hmac, sent: None, senders: Vec::with_capacity(most), most, judged: 0 })
    }

    /// With what the next advert is signed, however many it goes to. `wall`: since 1970.
    pub fn sign(&mut self, wall: Duration) -> Option<Signature<'_>> {
        if !self.hmac.signs() {
            return None;
        }
        let id = self.hmac.active;
        let bytes = key(&self.hmac, id)?;
        let clock = sequence(wall);
        let sequence = match (self.sent, self.hmac.replay) {
            (None, _) => clock,
            (Some(last), _) if is_after(clock, last) => clock,
            // A clock that was set back leaves a stamp that nobody takes: it starts again from the clock.
            (Some(last), Replay::Time { window }) if apart(last, clock) > i64::from(window) => {
                clock
            }
            (Some(last), Replay::Time { .. } | Replay::Monotonic) => last.wrapping_add(1),
        };
        self.sent = Some(sequence);
        Some(Signature { key: bytes, id, sequence })
    }

    /// Whether what came by `path` for `vip` may be obeyed, as far as its signature says.
    ///
    /// # Errors
    /// Why not.
    pub fn judge(
        &mut self,
        vip: &Vip,
        path: Path,
        (advert, trailer): (&Advert<'_>, Option<Trailer<'_>>),
        wall: Duration,
    ) -> Result<(), Refusal> {
        // Of whom the group does not know, or who speaks something else, nothing is worth a tag.
        if !vip.unicast_peers.is_empty() && !vip.unicast_peers.contains(&path.source) {
            return Err(Refusal::Source);
        }
        if advert.protocol.version() != vip.protocol.version() {
            return Err(Refusal::Version);
        }
        let Some(trailer) = trailer else {
            return match self.hmac.mode {
                Mode::Enforce => Err(Refusal::Unsigned),
                Mode::Permissive | Mode::ReceiveOnly => Ok(()),
            };
        };
        if !trailer.is_well_formed() {
            return Err(Refusal::Malformed);
        }
        let clock = sequence(wall);
        if !self.is_timely(trailer.sequence(), clock) {
            return Err(Refusal::Stale);
        }
        let key = key(&self.hmac, trailer.key_id()).ok_or(Refusal::UnknownKey)?;
        if !trailer.is_of(key, path.source) {
            return Err(Refusal::Signature);
        }
        self.note(path.source, trailer.sequence(), clock)
    }

    fn is_timely(&self, stamp: u64, clock: u64) -> bool {
        match self.hmac.replay {
            Replay::Time { window } => apart(stamp, clock).abs() <= i64::from(window),
            Replay::Monotonic => true,
        }
    }

    /// It is signed with a key of ours.
    fn note(&mut self, source: IpAddr, sequence: u64, clock: u64) -> Result<(), Refusal> {
        self.judged += 1;
        let heard = self.judged;
        let known = self.senders.iter().position(|sender| sender.source == source);
        if let Some(known) = known {
            let last = self.senders[known].sequence;
            self.senders[known].heard = heard;
            // A stamp that is too old, or of the future, orders nothing that could still come.
            if self.is_timely(last, clock) && !is_after(sequence, last) {
                return Err(Refusal::Replayed);
            }
            self.senders[known].sequence = sequence;
            return Ok(());
        }
        if self.senders.len() == self.most {
            let oldest = (0..self.most).min_by_key(|at| self.senders[*at].heard);
            self.senders.swap_remove(oldest.unwrap_or(0));
        }
        self.senders.push(Sender { source, sequence, heard });
        Ok(())
    }
}

fn key(hmac: &Hmac, id: u8) -> Option<&[u8]> {
    let found = hmac.keys.iter().find(|key| key.id == id)?;
    match &found.value {
        KeyValue::Bytes(bytes) => Some(bytes),
        KeyValue::File(_) => None,
    }
}

/// The clock as a sequence has it, with a counter of 0.
fn sequence(wall: Duration) -> u64 {
    let fraction = u64::from(wall.subsec_nanos()) * u64::from(FRACTIONS) / 1_000_000_000;
    wall.as_secs() << 32 | fraction << 16
}

/// RFC 1982: as numbers that begin again behind the last one.
const fn is_after(a: u64, b: u64) -> bool {
    a.wrapping_sub(b).cast_signed() > 0
}

/// By how many seconds the stamp of the one is later.
fn apart(a: u64, b: u64) -> i64 {
    let seconds = |sequence: u64| u32::try_from(sequence >> 32).unwrap_or(u32::MAX);
    i64::from(seconds(a).wrapping_sub(seconds(b)).cast_signed())
}

#[cfg(test)]
mod tests;
