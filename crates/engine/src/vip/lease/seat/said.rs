//! What is known of an address at another node.

use super::super::beat::Stand;

/// What the newest beat of another node says about this address.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Said {
    pub stand: Stand,
    /// An operator moved it there.
    pub stays: bool,
    /// Could hold it, but for one that is never on a node with it.
    pub barred: bool,
}
