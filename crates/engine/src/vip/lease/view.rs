//! What is told of a virtual IP at this node.

use std::time::Duration;

use super::VipLease;
use super::beat::Stand;
use crate::vip::Cause as FactCause;

/// Why a node holds, lost, or may not hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cause {
    /// What it had promised another node ended.
    Expired,
    /// The holder named it.
    Named,
    /// No majority granted it in time.
    Majority,
    /// On the network of the address the others hear each other, and not this node.
    Unheard,
    /// On the network of the address no reference point answers this node, and one answers the node that takes it.
    Unreached,
    /// A router that does not vote holds it.
    Foreign,
    /// The node that may hold it, and is not heard, is not proven dead.
    Unproven,
    /// No other node is heard, and `last_man` lets it hold without a majority.
    LastMan,
    /// A majority grants again what it held without one.
    Granted,
    /// A node that could hold it has fewer of those that it is spread with.
    Spread,
    /// Another node can hold it without one that it should be apart from.
    Apart,
    /// One that is never on a node with it had none left.
    Room,
    /// Another node coordinates.
    Follows,
    /// This node holds one that is never on a node with it.
    Barred,
    Fact(FactCause),
}

impl Cause {
    /// What was seen.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Expired => "what this node had granted another one ended",
            Self::Named => FactCause::Named.words(),
            Self::Majority => "no majority of the controllers granted it in time",
            Self::Unheard => {
                "on the network of the address the others hear each other and not this node, which they hear elsewhere"
            }
            Self::Unreached => {
                "on the network of the address no reference point answers this node, and one answers another"
            }
            Self::Foreign => "a router that does not vote holds it",
            Self::Unproven => "it is not proven that the node which may hold it is dead",
            Self::LastMan => {
                "no other controller is heard, and `last_man` allows to hold without a majority: at a cut two hold"
            }
            Self::Granted => "a majority of the controllers grants again what was held without one",
            Self::Spread => "another node holds fewer of the addresses that it is spread with",
            Self::Apart => "it was on one node with an address that it should be apart from",
            Self::Room => {
                "an address that is never on a node with it found none: it made room for that"
            }
            Self::Follows => "another node coordinates, which it follows",
            Self::Barred => "this node holds an address that is never on a node with it",
            Self::Fact(cause) => cause.words(),
        }
    }
}

/// What a node knows about one virtual IP.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct View {
    pub stand: Stand,
    pub term: u64,
    pub holder: Option<u16>,
    /// Whom this node names, as holder or as who held.
    pub successor: Option<u16>,
    pub cause: Option<Cause>,
    /// Of a holder.
    pub gained: Option<Gained>,
    /// Who is not heard and may hold it: this node grants it to nobody else, and asks for it, only when that one is proven
    /// dead or says that it let go.
    pub awaits: Option<u16>,
    /// It holds without a majority.
    pub alone: bool,
    /// An operator moved it to its holder, and so no rule moves it.
    pub stays: bool,
}

/// What went before this node held it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Gained {
    /// Who held it before; none: nobody else, as far as this process knows.
    pub from: Option<u16>,
    /// For how long that one was not heard when this node asked for it.
    pub unheard: Duration,
    /// From its asking until a majority had granted it.
    pub granted: Duration,
    /// An operator had moved it to that node, and it is gone from there by nobody's word: a rule says again where it is.
    pub lapsed: Option<u16>,
}

impl VipLease {
    /// Which of what is tracked takes it, one bit for each position of [`crate::vip::Input::Script`].
    #[must_use]
    pub fn failed(&self, vip: usize) -> u64 {
        self.seats.get(vip).map_or(0, super::seat::Seat::failed)
    }
}
