//! Why a vip process ends.

use std::io;

use super::heir;

/// Why the process cannot work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VipError {
    #[error("cannot watch sockets")]
    Poll(#[source] io::Error),
    #[error("cannot speak to the kernel about addresses")]
    Netlink(#[source] io::Error),
    #[error("{}", .0.join("; "))]
    Config(Vec<String>),
    #[error("the thread {0} ended by itself: what it does would stand still")]
    Thread(&'static str),
    #[error(transparent)]
    Bequest(#[from] heir::BequestError),
}
