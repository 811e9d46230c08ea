//! What is said for a vip process that is gone, by who closed what it had opened: that the node claims nothing any more, and whom it
//! would have named. Its voters are free at once, and not only when what they had promised has ended.

use super::beat::{self, Entry, Epoch, Head, Reach, Stand};
use super::ears::Hears;
use super::{BEAT, SPAN, Voters};
use crate::vip::Group;

/// Of one address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Left {
    pub group: Group,
    /// Whom the process would have named; it may stand before all others.
    pub successor: Option<u16>,
    /// The greatest that the process knew.
    pub term: u64,
}

/// Writes the body of one beat, for any receiver, and returns its length. It has to be sealed under a later life than that of the
/// process, and an earlier one than that of the next; and only once nothing is let through for any of these addresses
/// (rule V2 of `docs/decisions/0018`): whoever hears it promises them to others. `joined`: of this machine ([`Head`]).
pub fn write(
    (voters, joined): (Option<&Voters>, u64),
    left: impl Iterator<Item = Left>,
    out: &mut [u8],
) -> usize {
    let head = Head {
        // It votes for nobody and heard nobody.
        silent: true,
        closed: true,
        // The node lives: nothing has to be avoided there.
        leaving: true,
        alone: false,
        epoch: voters.map_or(Epoch::Hash(0), Voters::epoch),
        wish: BEAT,
        beat: BEAT,
        span: SPAN,
        serial: 1,
        acked_life: 0,
        acked_serial: 0,
        hears: Hears::default(),
        reach: Reach::default(),
        leads: false,
        joined,
    };
    let entries = left.map(|Left { group, successor, term }| Entry {
        group,
        stand: Stand::Unfit,
        grants: false,
        successor,
        stays: false,
        barred: false,
        term,
    });
    beat::write(&head, entries, out)
}
