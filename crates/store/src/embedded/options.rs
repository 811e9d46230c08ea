//! What a node of the store is told at its start.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::types::NodeId;

/// The times of elections. A leader that is silent for `silence` may be replaced; who stands, waits a
/// random part of `spread` more. A beat is also how long a follower may take for one message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timing {
    pub beat: Duration,
    pub silence: Duration,
    pub spread: Duration,
}

impl Default for Timing {
    /// A new leader after 0.25 to 0.45 s. The silence is two beats and a half, so that one late beat, or
    /// one fsync of 100 ms, unseats nobody.
    fn default() -> Self {
        let ms = Duration::from_millis;
        Self { beat: ms(100), silence: ms(250), spread: ms(150) }
    }
}

/// What a node of the store is told at its start.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where its file lies; must exist.
    pub folder: PathBuf,
    pub cluster: String,
    pub me: NodeId,
    /// The voters that found the store, with their addresses; later the store itself knows.
    pub founders: BTreeMap<NodeId, String>,
    pub timing: Timing,
    /// A file that lives as long as the kernel runs (a tmpfs as `/run`). It proves at a start within the
    /// same boot that the disk did not go back; without it a majority of the others must say so.
    pub witness: Option<PathBuf>,
    /// The operator's word that this disk is whole, for when those who could confirm it are gone.
    pub trusted: bool,
    /// The greatest incarnation of a store that this node knows of, 0: none. One that is founded is greater than
    /// what any founder knows, also while the clock is behind.
    pub known: u64,
    /// Entries between two snapshots; a fifth of that stays behind one for slow followers.
    pub snapshot_every: u64,
}
