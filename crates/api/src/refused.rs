//! What came from others and was not believed.

use serde::{Deserialize, Serialize};

/// How many datagrams were not believed, and why.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct RefusedPackets {
    /// They name a peer as sender, and its key does not open them.
    pub forged: u64,
    /// They came before.
    pub replayed: u64,
    /// No packet of this version, or under a key that is not known.
    pub unreadable: u64,
    /// From or for a node that it cannot be, or over another network than it says.
    pub astray: u64,
    /// The kernel threw them away: they came from the address of no node, or faster than they can be read.
    #[serde(default)]
    pub unread: u64,
}
