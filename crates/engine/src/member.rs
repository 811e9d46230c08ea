//! Who is alive.

/// The verdict on a node, as this node sees it: opinion, not fact.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Standing {
    /// Never heard since this process started.
    #[default]
    Unknown,
    Alive,
    /// Silent on every network.
    Suspect,
    /// Said goodbye.
    Left,
}
