//! Runs expressions, conditions and texts of rules: pure functions of what there is to look at.
//!
//! Names were looked up when the configuration was read ([`config::haproxy::expr`]); here a fetch is a
//! jump, and a sample points into the message or the configuration. Memory is asked for only where a
//! converter makes a text that was nowhere.

pub(crate) use convert::expand;
pub(crate) use message::{Field, Message, path_query, values};
pub(crate) use sample::Sample;
pub(crate) use text::{encoded, write};
pub(crate) use variables::Variables;

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;

use config::haproxy::expr::{Acl, Condition, Expr, Test};

use crate::choice::Backend;
use crate::view::View;

pub(crate) mod compare;
mod convert;
mod fetch;
mod message;
mod sample;
mod text;
mod variables;

#[cfg(test)]
mod tests;

/// What there is to look at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scene<'a> {
    pub(crate) view: &'a View,
    pub(crate) backends: &'a [Backend],
    pub(crate) host: &'a str,
    /// None: the client's connection is over a Unix socket.
    pub(crate) peer: Option<SocketAddr>,
    /// Its descriptor, for the address that it connected to.
    pub(crate) client: Option<BorrowedFd<'a>>,
    pub(crate) front: usize,
    pub(crate) back: Option<usize>,
    pub(crate) server: Option<usize>,
    pub(crate) http: bool,
    pub(crate) is_first: bool,
    /// The request line as it came.
    pub(crate) line: &'a [u8],
    pub(crate) status: Option<u16>,
    pub(crate) request: Option<&'a Message<'a>>,
    pub(crate) response: Option<&'a Message<'a>>,
    pub(crate) variables: &'a RefCell<Variables>,
    pub(crate) dice: &'a Cell<u64>,
    /// Seconds since 1970.
    pub(crate) wall: u64,
}

/// The sample of an expression outside of conditions; none where there is nothing.
pub(crate) fn evaluate<'s>(expr: &'s Expr, scene: &'s Scene<'s>) -> Option<Sample<'s>> {
    convert::all(&expr.converters, fetch::one(&expr.fetch, scene)?, scene)
}

/// Whether a condition holds; none always does. `acls`: of the proxy in which it stands.
pub(crate) fn holds(condition: Option<&Condition>, acls: &[Acl], scene: &Scene<'_>) -> bool {
    let Some(condition) = condition else { return true };
    let term = |term: &config::haproxy::expr::Term| {
        let acl = acls.get(term.acl);
        acl.is_some_and(|acl| acl.tests.iter().any(|test| tests(test, scene))) != term.negated
    };
    condition.any.iter().any(|all| all.iter().all(term)) != condition.unless
}

/// Of a header with several values each is looked at until one matches.
fn tests(test: &Test, scene: &Scene<'_>) -> bool {
    fetch::each(&test.expr.fetch, scene, &mut |sample| {
        let sample = convert::all(&test.expr.converters, sample, scene);
        sample.is_some_and(|sample| compare::matches(&test.matcher, sample))
    })
}
