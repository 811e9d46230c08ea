//! Routers of neutron: what a stand-in, the process that neutron's agent started, says to those who do the work of all of them,
//! and what these say to each other.
//!
//! ```text
//!                Entry               RouterOrder
//! stand-in  ---------------> desk ---------------> process of all routers
//!           <-- EntryAnswer ------ (one socket) ---'
//! ```
//! The desk (`outlast routers`) hands the socket of a stand-in on, and keeps a duplicate of it: a process of routers that dies
//! costs none its connection. What it has to know of each to adopt it is kept at the desk.

use serde::{Deserialize, Serialize};

use crate::{Event, RefusedAdverts, VipCounts, VipRole, VipState};

/// A stand-in to the process of all routers.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Entry {
    /// First. Descriptors: its network namespace, the text of its file.
    Router(RouterEntry),
    /// First. Descriptors: the folder where `state` is written, the one where neutron's agent listens, and the network
    /// namespace, if it is there. Earlier versions: the namespace at most; folders are then found by their names.
    Watch(WatchEntry),
    /// The file has changed. Descriptor: its text.
    Reload,
    /// Release everything, in order.
    Stop,
    /// How does it stand, and what was counted? `clear`: counting begins anew.
    Count { clear: bool },
    /// Something that its own log has no reader for.
    Trouble { why: String },
    /// First and only: what there is.
    List,
}

/// What `keepalived` was called for.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RouterEntry {
    /// Of the stand-in.
    pub pid: i32,
    /// As it was named.
    pub file: String,
    /// Instances, by their position in the file, whose addresses are there, from a process before.
    #[serde(default)]
    pub holds: Vec<u16>,
}

/// What `neutron-keepalived-state-change` was called for.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct WatchEntry {
    /// Of the stand-in.
    pub pid: i32,
    /// The router's id, as neutron names it.
    pub router: String,
    /// Where the router's `keepalived.conf` is, and the file `state` is written.
    pub folder: String,
    /// The address by which the primary one is known, and its device.
    pub interface: String,
    pub cidr: String,
    /// Where neutron's agent listens.
    pub agent: String,
    /// Numbers of the user and group that neutron's agent runs as.
    #[serde(default)]
    pub owner: Option<(u32, u32)>,
    /// What the agent was told last.
    #[serde(default)]
    pub told: Option<bool>,
}

/// The answer to an entry, and what comes unasked later.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EntryAnswer {
    Accepted,
    /// At any time: it is not run, or no more. The stand-in ends.
    Refused {
        why: String,
    },
    Reloaded,
    /// It goes on with the file before.
    Unchanged {
        why: String,
    },
    Stopped,
    Counted(RouterCounts),
    /// A part of the list; `more`: others follow.
    Routers {
        routers: Vec<RouterLine>,
        more: bool,
    },
}

/// Of all instances of one file.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct RouterCounts {
    pub states: Vec<VipState>,
    pub counts: Vec<VipCounts>,
    /// What was not obeyed, since counting began.
    pub refused: Vec<RefusedAdverts>,
}

/// What a stand-in leaves in a file, and the text of its own behind it: by this its addresses are taken off when it was killed
/// while there was no desk.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RouterRecord {
    /// As it was named.
    pub file: String,
    /// Its network namespace: the name, and how the kernel knows it (device, inode).
    pub netns: String,
    pub identity: (u64, u64),
    /// Which desk has accepted it: the number of its socket in its folder (inode).
    #[serde(default)]
    pub desk: u64,
}

/// How it stands with one.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RouterLine {
    /// The folder of its file: neutron names it as the router.
    pub router: String,
    pub file: String,
    /// Of the stand-in.
    pub pid: i32,
    /// Of its first instance.
    pub role: VipRole,
    /// What neutron's agent has heard; none: nothing, or nobody watches it.
    pub told: Option<bool>,
}

/// The desk to the process of all routers.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RouterOrder {
    /// First. `words`: what the agent calls primary and backup.
    Begin { words: (String, String) },
    /// Somebody connected. Descriptor: the socket. `entry`: what an earlier process knew of it, and the descriptors beside it
    /// follow the socket.
    Seat { number: u64, entry: Option<Box<Entry>> },
    /// Answered by `RouterReport::Pong`.
    Ping(u64),
    /// End, and leave all as it is: another one adopts it.
    Retire,
}

/// The process of all routers to the desk.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RouterReport {
    /// To be kept for the next process, with the descriptors beside it.
    Keep {
        number: u64,
        entry: Box<Entry>,
    },
    /// What is held of that one now.
    Holds {
        number: u64,
        holds: Vec<u16>,
    },
    /// What neutron's agent has heard of that one.
    Told {
        number: u64,
        primary: bool,
    },
    /// It is gone.
    Gone {
        number: u64,
    },
    Pong(u64),
    /// For the log.
    Event(Box<Event>),
    Said(String),
}
