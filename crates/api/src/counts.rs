//! What one virtual IP counted.

use serde::{Deserialize, Serialize};

/// Of one virtual IP, since its process started or counting began anew.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct VipCounts {
    /// Position in the effective configuration.
    pub instance: u16,
    /// Adverts that were obeyed.
    pub received: u64,
    pub sent: u64,
    /// How often this node began to hold the addresses, and how often it let go.
    pub became_master: u64,
    pub released_master: u64,
    /// Goodbyes (priority 0).
    pub zero_received: u64,
    pub zero_sent: u64,
    /// As it is now, with what scripts add and take.
    pub priority: Option<u8>,
}
