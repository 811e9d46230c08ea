//! A world of vip processes that vote: the real machine (`engine::vip::lease`) on hosts that pause, die and drift.
//!
//! Each host has a clock of its own, slewed by up to a tenth; a *gate* per address, which stands for the kernel: open
//! until a moment of the host's clock, whatever became of the process that wrote it; and a process whose every deed
//! is an event of its own: read a packet, read the clock, step, write the gates, perform one order, send to one node.
//! It can stop between any two of them, and another one can go on in its place under its life, at once or late, or die before
//! that. Networks lose, double, delay and reorder; ways are cut in one direction; somebody sends recorded beats again. A store offers the lists
//! of voters that the real proposer wants, is away from some hosts, and is put back; a machine that lost its power may be followed by another one.
//!
//! Four things are asked: at each opening of a gate, whether another one is open ([`DOUBLE`]); after a second of calm,
//! whether exactly one host answers for each address ([`NOBODY`]); and then, whether a holder whose clients' network alone becomes
//! silent hands over, and stays where all of that network is ([`UNHEARD`]),
//! and the same of a gateway ([`GATEWAY`]). Where addresses have places beside each other, two that are never on one host never are
//! ([`STRICT`]), and all come to where they should be, and stay ([`PLACE`]). Everything comes from a seed.

mod fault;
mod host;
mod lists;
mod placed;
mod process;
mod proof;
mod quiet;
mod run;
mod start;
mod store;

pub use fault::{Fault, Script};
pub use placed::PLACED;
pub use run::{Outcome, World, run};

/// Two hosts answered for one address; where a host may hold without a majority: two by votes, or long after they heard each other.
pub const DOUBLE: &str = "S1 vip lease";
/// All hear each other for a second, and nobody answers, or not all the time.
pub const NOBODY: &str = "L4 vip lease";
/// A holder is not heard on the network of its clients, where others hear each other, and holds on; or nobody is heard there, and it moves.
pub const UNHEARD: &str = "L5 vip lease";
/// A gateway answers others and not the holder, and it holds on; or it answers nobody, and the address moves.
pub const GATEWAY: &str = "L6 vip lease";
/// An address left a host that was neither proven dead nor said that it let go, where it must not.
pub const PROOF: &str = "S10 vip lease";
/// Two addresses that are never on one host were.
pub const STRICT: &str = "S11 vip lease";
/// All is well for long enough, and an address is not where it should be beside others, or goes on moving.
pub const PLACE: &str = "L7 vip lease";
/// A machine ordered more than fits, or wants to be asked again and again.
pub const BOUNDS: &str = "S9 vip lease";

/// What a run of the world should come by, or it says little.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Mark {
    /// A holder found that no majority granted it any more.
    Lost,
    /// A node took an address whose holder was gone.
    Expired,
    /// A node took an address because it was named.
    Named,
    /// Two asked for one address at once.
    Rivals,
    /// A claim came to a voter that had promised another node.
    Refused,
    /// A claim came to a voter that says nothing yet.
    Silent,
    /// A process wrote a moment that had passed.
    LateGate,
    /// A process began while what its former one had opened was open.
    OpenBehind,
    /// A list of voters got one more, lost one, or lost dead ones.
    Grew,
    Shrank,
    Buried,
    /// The first list of a store.
    First,
    /// The store was put back.
    Restored,
    /// Another machine has the place of one that lost its power.
    Another,
    /// A list was adopted while another node held under the one before.
    Behind,
    /// A process went from a list to one that does not follow it.
    Missed,
    /// A node asked under an older list than the newest, under which a majority was settled.
    Late,
    /// A holder was not heard on the network of its clients, and another one holds since.
    Unheard,
    /// A gateway did not answer a holder, and another one holds since.
    Unreached,
    /// A node held under a vip lease shorter than the usual one.
    Quick,
    /// A vip lease became longer under its holder.
    Slowed,
    /// A host could hold an address, and it is not proven that the one which may have it is dead.
    Awaits,
    /// An address left a host that was proven dead.
    Proven,
    /// A host held without a majority beside another one, as was allowed.
    Two,
    /// A majority granted what a host held without one.
    Granted,
    /// A process went on in the place of another one, which held.
    Replaced,
    /// The one that was left everything died before it knew.
    Orphaned,
    /// An address was moved to a host that holds fewer, away from another address, for one that had no host, or to the host that coordinates.
    Evened,
    Parted,
    Roomed,
    Followed,
    /// A host had an address, and another one that is never on a host with it.
    Barred,
    /// A host that knew of no holder asked its neighbours, and was answered.
    Answered,
}

impl Mark {
    pub const ALL: [Self; 33] = [
        Self::Lost,
        Self::Expired,
        Self::Named,
        Self::Rivals,
        Self::Refused,
        Self::Silent,
        Self::LateGate,
        Self::OpenBehind,
        Self::Grew,
        Self::Shrank,
        Self::Buried,
        Self::First,
        Self::Restored,
        Self::Another,
        Self::Behind,
        Self::Missed,
        Self::Late,
        Self::Unheard,
        Self::Unreached,
        Self::Quick,
        Self::Slowed,
        Self::Awaits,
        Self::Proven,
        Self::Two,
        Self::Granted,
        Self::Replaced,
        Self::Orphaned,
        Self::Evened,
        Self::Parted,
        Self::Roomed,
        Self::Followed,
        Self::Barred,
        Self::Answered,
    ];

    pub(crate) const fn bit(self) -> u64 {
        1 << self as u64
    }
}

/// Marks that were reached.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Marks(u64);

impl Marks {
    pub(crate) const fn reach(&mut self, mark: Mark) {
        self.0 |= mark.bit();
    }

    pub const fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }

    pub fn missing(self) -> impl Iterator<Item = Mark> {
        Mark::ALL.into_iter().filter(move |mark| self.0 & mark.bit() == 0)
    }
}
