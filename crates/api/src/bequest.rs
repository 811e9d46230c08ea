//! What a vip process leaves to the one that goes on in its place, in one message between the two.
//!
//! Fields may be added, which a former release does not read and a later one does not miss. What a reader has to know gives the message another
//! [`FORM`]: each process says beforehand which forms it reads ([`crate::Report::Heir`]), and the one before leaves nothing to one that cannot.

use serde::{Deserialize, Serialize};

/// Of what this release writes where something is held by votes.
pub const FORM: u32 = 1;
/// Where nothing is: all that concerns votes is empty, and no list of voters is one.
pub const UNVOTED: u32 = 2;
/// The oldest and the newest that it reads.
pub const OLDEST: u32 = 1;
pub const NEWEST: u32 = 2;

/// Moments are those of the machine's boot clock, in nanoseconds.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct VipBequest {
    pub form: u32,
    /// Of the last step of its process.
    pub at_ns: u64,
    pub life: u64,
    /// What former lives of the node let through, the kernel lets through no more.
    pub closed: bool,
    pub voters: Lists,
    /// Of its newest beat.
    pub serial: u64,
    /// Until then it votes for nobody.
    pub silent_until_ns: u64,
    /// So late it was once in a thousand times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late_ns: Option<u64>,
    /// A bit for each network: a reference point there answers; none does, though one did.
    pub reached: u8,
    pub unreached: u8,
    /// The greatest number of a packet to any node.
    pub packets: u64,
    /// Whom it heard last, and when.
    pub peers: Vec<Heard>,
    /// The numbers of what it heard.
    pub newest: Vec<Newest>,
    pub seats: Vec<Left>,
    /// Addresses that it holds by VRRP.
    pub held: Vec<Group>,
    /// Devices whose queue of filters it made.
    pub queues: Vec<u32>,
    /// Networks whose sockets are beside it, in this order.
    pub networks: Vec<u8>,
}

/// The list of voters in use, since when, and the one before.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Lists {
    pub now: Voters,
    pub before: Before,
    pub adopted_ns: u64,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Voters {
    /// The store's incarnation, and its number of the list; none: it is that of the file.
    pub number: Option<(u64, u32)>,
    /// Of the first list of a store: the list of a former one that it goes on with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former: Option<(u64, u32)>,
    /// Positions in the cluster file.
    pub nodes: Vec<u16>,
    /// When the machine of each joined the cluster, in milliseconds since 1970; 0: whichever is at that place.
    pub joined: Vec<u64>,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Before {
    /// It is the first of this life.
    First,
    Known(Voters),
    /// It is not known which was.
    Missed,
    /// Nobody has read since the machine started which list the store has.
    Unread,
}

/// The newest beat of another node.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Heard {
    pub node: u16,
    /// When its machine joined the cluster, in milliseconds since 1970, as it says.
    pub joined: u64,
    pub life: u64,
    pub serial: u64,
    pub at_ns: u64,
}

/// The greatest number of a packet of one kind of another node, on one network.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Newest {
    pub node: u16,
    pub life: u64,
    pub network: u8,
    pub kind: u8,
    pub number: u64,
}

/// Of one address by votes. The machine has it with moments in place of numbers (`engine::vip::lease::bequest::Left`): it knows no
/// messages, and these may gain fields without it, so `node` turns one into the other.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Left {
    pub router_id: u8,
    /// Of its addresses.
    pub key: u32,
    /// To another node.
    pub promise: Option<Promised>,
    /// When the last one ended.
    pub freed_ns: u64,
    /// Who was granted it and has not let go, and who may have been before; a bit for each node.
    pub granted: u32,
    pub before: u32,
    pub term: u64,
    pub term_of: Option<u16>,
    /// Whom the last holder named, and whether an operator did.
    pub heir: Option<u16>,
    pub heir_stays: bool,
    /// An operator moved it here.
    pub stays: bool,
    /// Whom this node named, and until when it says so.
    pub gave: Option<(u16, u64)>,
    pub not_before_ns: u64,
    pub cold_until_ns: u64,
    pub foreign_until_ns: u64,
    /// Of a holder.
    pub holds: Option<Holds>,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Promised {
    pub to: u16,
    pub life: u64,
    pub serial: u64,
    pub ends_ns: u64,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Holds {
    pub until_ns: u64,
    /// None: no majority granted it.
    pub gained: Option<crate::Gained>,
    /// Without a majority, and since when it hears somebody.
    pub alone: bool,
    pub heard_ns: Option<u64>,
}

/// Of one address by VRRP.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Group {
    pub interface: String,
    pub router_id: u8,
    pub is_v6: bool,
}
