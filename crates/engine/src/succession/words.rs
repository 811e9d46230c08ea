//! What comes to the machine, and what it orders.

use base::Time;

use crate::kv::{Held, Outcome, Token, acquired};
use crate::tenure::End;
use crate::verdict::Verdict;

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
    /// When the store of this node last ended by itself, and said why: a full disk, say.
    pub store_stopped: Option<Time>,
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

impl View {
    /// The view with what is thought of one more member, by its position; from 64 on there is no bit for it, and it is
    /// left out. `is_fit`: it is heard, and on duty.
    #[must_use]
    pub fn with(mut self, who: usize, is_fit: bool, verdict: Option<Verdict>) -> Self {
        let bit = u32::try_from(who).ok().and_then(|who| 1_u64.checked_shl(who)).unwrap_or(0);
        if is_fit {
            self.fit |= bit;
        }
        match verdict {
            Some(Verdict::Unreachable) => self.unreachable |= bit,
            Some(Verdict::Leaving | Verdict::ProvenDead(_)) => self.left |= bit,
            Some(Verdict::Unknown | Verdict::Alive | Verdict::Suspect | Verdict::CutOff { .. })
            | None => {}
        }
        self
    }
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

impl Freed {
    /// What the store answered to [`crate::kv::bequeath`].
    pub fn of(outcome: &Outcome, holder: impl FnOnce(&Held) -> Holder) -> Self {
        if outcome.held {
            return Self::Yes;
        }
        let held = acquired(outcome).err().flatten();
        Self::No { revision: outcome.revision, holder: held.as_ref().map(holder) }
    }
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
    /// `alone_from`: until then a former holder may act by its own reckoning, or an order of it may arrive. Nothing is ended before that without
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::{Command, Entry, Kv, bequeath};

    #[test]
    fn a_member_is_gone_by_what_cannot_be_taken_back_and_by_being_unreachable_alone() {
        let none = View::default();
        let seen = |verdict| none.with(2, false, verdict);
        assert_eq!(seen(Some(Verdict::Unreachable)), View { unreachable: 4, ..none });
        assert_eq!(seen(Some(Verdict::Leaving)), View { left: 4, ..none });
        for verdict in [None, Some(Verdict::Unknown), Some(Verdict::Alive), Some(Verdict::Suspect)]
        {
            assert_eq!(seen(verdict), none, "{verdict:?}");
        }
        let both = none.with(0, true, Some(Verdict::Alive)).with(63, true, None);
        assert_eq!(both, View { fit: 1 | 1 << 63, ..none });
        assert_eq!(none.with(64, true, Some(Verdict::Unreachable)), none, "no bit is left");
    }

    #[test]
    fn a_name_that_nobody_has_is_freed_from_nobody() {
        let mut kv = Kv::new();
        let command = Command::Transact(bequeath("n", Token(7), "b", 2000));
        let outcome = kv.apply(&Entry { clock: 1, command }).expect("it is one");
        let freed = Freed::of(&outcome, |_| unreachable!("nobody has it"));
        assert_eq!(freed, Freed::No { revision: outcome.revision, holder: None });
        assert_eq!(Freed::of(&Outcome { held: true, ..outcome }, |_| unreachable!()), Freed::Yes);
    }
}
