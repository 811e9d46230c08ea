//! Rows of vip processes: who votes, who goes on in the place of another, what was lost.

use super::row::{EventKind, act, told};

pub(super) const WORDS_LOST: EventKind = act(
    "vip-words-lost",
    "node",
    "the supervisor did not take what the vip process told for so long that some of it was lost; no address is touched by that",
    "look for what keeps the supervisor from running",
);

pub(super) const VOTERS_CHANGED: EventKind = told(
    "voters-changed",
    "node",
    "this node, which coordinates, committed another list of who votes about virtual IPs with a vip lease",
);

pub(super) const SUCCEEDED: EventKind = told(
    "vip-succeeded",
    "node",
    "another vip process went on in the place of the one before, at a reload or with a new executable; no address held by votes moved",
);

pub(super) const NOT_SUCCEEDED: EventKind = act(
    "vip-not-succeeded",
    "node",
    "the vip process had to make way, and could not leave what it has to the next one: an address by votes goes to another node",
    "nothing, once; look at the evidence if it comes again",
);

pub(super) const UNPROVEN: EventKind = act(
    "vip-unproven",
    "vip",
    "nobody holds the address, and the node that may hold it is neither heard nor proven dead (`after = \"proven-dead\"`)",
    "look at that node: bring it back, or when it is off for certain type `outlast node confirm-off` with its name",
);

pub(super) const UNRECORDED: EventKind = act(
    "vip-unrecorded",
    "node",
    "the disk does not take the recording of the vip process; addresses go on as ever",
    "make room on the disk that holds `state_dir`",
);
