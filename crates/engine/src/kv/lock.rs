//! Locks and roles: who holds a name, and the token by which orders of an ex-holder are refused.
//!
//! A held name is the key `lock/NAME` with a time limit; its token is the revision that made the key,
//! so a later holder's token is always greater, over releases, expiry and restarts. A holder that was
//! paused does not know that its time is up: so a lock alone excludes nobody. Whoever acts carries its
//! token, and every receiver keeps a [`Fence`] that refuses an older one.

use std::collections::BTreeMap;

use super::{Answer, Compare, Condition, Keys, Kv, Op, Outcome, Transaction};

/// Where held names lie.
pub const LOCKS: &str = "lock/";
/// Who alone may take a name next, for a moment.
pub const HEIRS: &str = "heir/";
/// Names whose tokens one receiver remembers.
pub const MAX_NAMES: usize = 4_096;

/// Grows with every holder of a name.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Token(pub u64);

/// Somebody holds the name.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{holder}` holds it with token {}", token.0)]
pub struct Held {
    pub holder: String,
    pub token: Token,
}

/// The order comes from somebody who no longer holds the name.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Stale {
    #[error("token {} is stale: {} is known", given.0, newest.0)]
    Older { given: Token, newest: Token },
    #[error("token {} is stale: nobody holds the name", given.0)]
    NotHeld { given: Token },
    #[error("tokens of {MAX_NAMES} names are known and none is forgotten: nothing is accepted")]
    TooManyNames,
}

/// Takes the name for `limit` milliseconds if nobody holds it, nor is its heir ([`bequeath`]), not even the same holder: one that
/// restarted must not share a token with its former self. Read the answer with [`acquired`].
#[must_use]
pub fn acquire(name: &str, holder: &str, limit: u32) -> Transaction {
    let key = key(name);
    let is_missing = |key: String| Compare { key, is: Condition::Missing };
    Transaction {
        compares: vec![is_missing(key.clone()), is_missing(heir_key(name))],
        then: vec![held(&key, holder, limit), Op::read(&key)],
        otherwise: vec![Op::read(&key)],
    }
}

/// Holds the name for `limit` milliseconds from now, if this holder still has it by this token;
/// [`acquired`]. By name too: a store that was founded anew may have given the same token to another.
#[must_use]
pub fn renew(name: &str, token: Token, holder: &str, limit: u32) -> Transaction {
    let key = key(name);
    let is_held = [Condition::Created(token.0), Condition::Value(holder.as_bytes().into())];
    Transaction {
        compares: is_held.map(|is| Compare { key: key.clone(), is }).to_vec(),
        then: vec![held(&key, holder, limit), Op::read(&key)],
        otherwise: vec![Op::read(&key)],
    }
}

/// Takes the name from the holder that has it by this token and keeps it for that heir, `limit` milliseconds long:
/// so long nobody else [acquires](acquire) it. It held if the name is free for the heir now; else [`acquired`] says who
/// has it.
#[must_use]
pub fn bequeath(name: &str, from: Token, heir: &str, limit: u32) -> Transaction {
    let key = key(name);
    let put = Op::Put { key: heir_key(name), value: heir.as_bytes().into(), limit: Some(limit) };
    Transaction {
        compares: vec![Compare { key: key.clone(), is: Condition::Created(from.0) }],
        then: vec![Op::Delete { keys: Keys::One(key.clone()) }, put],
        otherwise: vec![Op::read(&key)],
    }
}

/// Takes a name that was [bequeathed](bequeath) to this holder; [`acquired`].
#[must_use]
pub fn inherit(name: &str, holder: &str, limit: u32) -> Transaction {
    let (key, heir) = (key(name), heir_key(name));
    let is_heir = Condition::Value(holder.as_bytes().into());
    Transaction {
        compares: vec![
            Compare { key: key.clone(), is: Condition::Missing },
            Compare { key: heir.clone(), is: is_heir },
        ],
        then: vec![held(&key, holder, limit), Op::Delete { keys: Keys::One(heir) }, Op::read(&key)],
        otherwise: vec![Op::read(&key)],
    }
}

/// Lets the name go, if this token still holds it.
#[must_use]
pub fn release(name: &str, token: Token) -> Transaction {
    let key = key(name);
    Transaction {
        compares: vec![Compare { key: key.clone(), is: Condition::Created(token.0) }],
        then: vec![Op::Delete { keys: Keys::One(key) }],
        otherwise: vec![],
    }
}

/// What [`acquire`], [`renew`] or [`inherit`] brought, or who has a name that was not to be [bequeathed](bequeath).
///
/// # Errors
/// Who holds the name; nothing if a renewed name is held by nobody any more.
pub fn acquired(outcome: &Outcome) -> Result<Token, Option<Held>> {
    let item = outcome.answers.iter().find_map(|answer| match answer {
        Answer::Found { items, .. } => items.first().map(|(_, item)| item),
        Answer::Put | Answer::Deleted(_) => None,
    });
    let Some(item) = item else { return Err(None) };
    let token = Token(item.created);
    if outcome.held {
        return Ok(token);
    }
    Err(Some(Held { holder: String::from_utf8_lossy(&item.value).into_owned(), token }))
}

/// Whether this token holds the name, as far as this copy of the store knows. A copy can lag: this
/// refuses early, a [`Fence`] at the receiver refuses for sure.
///
/// # Errors
/// When it does not.
pub fn check(kv: &Kv, name: &str, given: Token) -> Result<(), Stale> {
    match kv.get(&key(name)).map(|item| Token(item.created)) {
        Some(newest) if newest == given => Ok(()),
        Some(newest) => Err(Stale::Older { given, newest }),
        None => Err(Stale::NotHeld { given }),
    }
}

/// What a receiver of orders remembers: the greatest token of each name that it ever saw.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Fence {
    newest: BTreeMap<String, Token>,
}

impl Fence {
    /// The greatest token of a name that has passed.
    #[must_use]
    pub fn newest(&self, name: &str) -> Option<Token> {
        self.newest.get(name).copied()
    }

    /// Lets an order pass, and every older token of that name never again.
    ///
    /// # Errors
    /// A greater token was seen before.
    pub fn pass(&mut self, name: &str, given: Token) -> Result<(), Stale> {
        if let Some(newest) = self.newest.get_mut(name) {
            if given < *newest {
                return Err(Stale::Older { given, newest: *newest });
            }
            *newest = given;
            return Ok(());
        }
        if self.newest.len() >= MAX_NAMES {
            return Err(Stale::TooManyNames);
        }
        self.newest.insert(name.to_owned(), given);
        Ok(())
    }
}

fn key(name: &str) -> String {
    format!("{LOCKS}{name}")
}

fn heir_key(name: &str) -> String {
    format!("{HEIRS}{name}")
}

fn held(key: &str, holder: &str, limit: u32) -> Op {
    Op::Put { key: key.to_owned(), value: holder.as_bytes().into(), limit: Some(limit) }
}
