//! What comes to the machine, and what it orders.

use base::Time;

use crate::kv::Token;
use crate::tenure::End;

/// Who has the name, by which token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Holder {
    /// Its position among the members of the store; none: it is none of them.
    pub who: Option<u8>,
    pub token: Token,
}

/// What this node thinks of itself, and of the other members of the store: a bit for each, by position.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct View {
    pub on_duty: bool,
    /// Somebody waits here for an answer that only a holder gives: it is given before the name is given away.
    pub is_asked: bool,
    /// It was late, has no links, or reaches no majority ([`crate::own::Reasons`]): it takes nothing from anybody.
    pub doubts_itself: bool,
    /// Heard, and on duty.
    pub fit: u64,
    /// The verdict is [`crate::verdict::Verdict::Unreachable`].
    pub unreachable: u64,
    /// They said goodbye, or their death is proven.
    pub left: u64,
}

/// What became of [`Action::Bequeath`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Freed {
    /// Nobody else takes it, [`super::TAKEN_WITHIN`] long.
    Yes,
    /// That token did not have it any more, and who has it.
    No {
        revision: u64,
        holder: Option<Holder>,
    },
    /// Surely not done.
    Nothing,
    Unknown,
}

/// What happened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Input {
    /// The store told who had the name at that revision; `anew`: it was away, and may be another one.
    Named {
        revision: u64,
        holder: Option<Holder>,
        anew: bool,
    },
    Looks(View),
    /// An operator wants this node to have the name.
    Asked {
        asker: u64,
    },
    Freed {
        take: u64,
        answer: Freed,
    },
    Granted {
        question: u64,
        token: Token,
    },
    /// With who had the name at that revision.
    Refused {
        question: u64,
        revision: u64,
        holder: Option<Holder>,
    },
    /// A receiver has seen a greater token.
    Stale {
        token: Token,
    },
    Timeout,
}

/// Why a name was taken from its holder.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Why {
    Unreachable,
    /// It said goodbye, or is proven dead.
    Left,
    /// This node itself had it, in a process or a time in office that has ended.
    Former,
    Asked,
}

/// Why an operator's word came to nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NotTaken {
    /// This node has it.
    Already,
    /// Nobody has it.
    Nobody,
    /// Another one has, since this was asked for; none: it is not known who.
    Overtaken(Option<Holder>),
    /// It is being asked for already.
    UnderWay,
    /// The store did not answer.
    Late,
}

/// What to do, in this order; those of [`crate::tenure::Action`] with what is known here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// Commit [`crate::kv::bequeath`], [`super::TAKEN_WITHIN`] long.
    Bequeath {
        take: u64,
        from: Token,
    },
    /// Commit [`crate::kv::inherit`] if it `inherits`, else [`crate::kv::acquire`].
    Acquire {
        question: u64,
        inherits: bool,
    },
    Renew {
        question: u64,
        token: Token,
    },
    Release {
        token: Token,
    },
    /// `alone_from`: until then a former holder may act by its own reckoning. Nothing is ended before that without
    /// the word of the node that does it.
    Begin {
        token: Token,
        alone_from: Time,
        taken: Option<(Holder, Why)>,
    },
    Stop {
        token: Token,
        why: End,
    },
    Tell {
        asker: u64,
        outcome: Result<(), NotTaken>,
    },
}
