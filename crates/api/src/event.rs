//! What happened, why, and what was done about it.

use std::io::BufRead;

use serde::{Deserialize, Serialize};

use crate::Moved;

/// One line of the event log.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Event {
    /// Number on this node, without gaps; the writer of the log sets it.
    pub seq: u64,
    /// Milliseconds since 1970 (UTC).
    pub at_ms: u64,
    pub node: String,
    /// What kind of thing happened, e.g. `vip-claimed`, `proxy-died`, `server-down`.
    pub what: String,
    /// `KIND/NAME`, e.g. `vip/internal`, `server/keystone_internal/node01`, `node/node02`.
    pub object: String,
    /// What was seen.
    pub evidence: String,
    /// What was concluded, by which rule.
    pub decision: String,
    /// What was done.
    pub action: String,
    /// From the evidence to the end of the action, in microseconds.
    pub took_us: u64,
    /// What was not done, and why; empty if nothing was left out.
    pub not_done: String,
    /// Of an address that came to this node: who had it, and what each stage took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved: Option<Box<Moved>>,
}

/// The events of a log, a line each. Lines that cannot be read are skipped: a log cut short by a power
/// loss must not keep a node down.
pub fn events(log: impl BufRead) -> impl Iterator<Item = Event> {
    let lines = log.split(b'\n').map_while(Result::ok);
    lines.filter_map(|line| crate::decode(&line).ok())
}
