//! Hearing of changes as they happen.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use super::message::Traffic;
use super::transport::Transport;
use super::{Address, Link, read_address, read_link};

/// Tells of devices and addresses of one network namespace.
#[derive(Debug)]
pub struct Monitor {
    transport: Transport,
    /// What came in one datagram; the kernel sends few messages in each.
    heard: VecDeque<Change>,
}

/// What happened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Change {
    /// A device is new or changed, or gone.
    Link {
        link: Link,
        gone: bool,
    },
    Address {
        address: Address,
        gone: bool,
    },
    /// A filter of a device is new, changed or gone, or a queue with filters is gone.
    Filters {
        index: u32,
    },
    /// A route or a rule of routing is gone.
    Way,
    /// More happened than was read in time: ask for everything anew.
    Lost,
}

const GROUPS: [u32; 3] = [1, 5, 9]; // RTNLGRP_LINK, IPV4_IFADDR, IPV6_IFADDR
const FILTERS: u32 = 4; // RTNLGRP_TC
const WAYS: [u32; 4] = [7, 8, 11, 19]; // RTNLGRP_IPV4_ROUTE, IPV4_RULE, IPV6_ROUTE, IPV6_RULE

/// What a monitor hears beside devices and addresses.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Wants {
    /// Filters of devices.
    pub filters: bool,
    /// Routes and rules that go; a router with a table of the internet has many.
    pub ways: bool,
}

impl Monitor {
    /// Hears what changes in this thread's network namespace from now on.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub fn open() -> io::Result<Self> {
        Self::of(GROUPS.iter())
    }

    /// The same, and what is wanted beside.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub fn open_for(wants: Wants) -> io::Result<Self> {
        let filters = Some(&FILTERS).filter(|_| wants.filters);
        let ways = if wants.ways { WAYS.as_slice() } else { &[] };
        Self::of(GROUPS.iter().chain(filters).chain(ways))
    }

    fn of<'a>(groups: impl Iterator<Item = &'a u32>) -> io::Result<Self> {
        let groups = groups.fold(0, |bits, group| bits | 1 << (group - 1));
        Ok(Self { transport: Transport::open(groups)?, heard: VecDeque::with_capacity(64) })
    }

    /// The next change, or none for now.
    ///
    /// # Errors
    /// None that a correct program sees.
    #[expect(clippy::should_implement_trait, reason = "`None` is not the end")]
    pub fn next(&mut self) -> io::Result<Option<Change>> {
        while self.heard.is_empty() {
            let heard = &mut self.heard;
            let told = self.transport.hear(&mut |kind, body| heard.extend(read(kind, body)));
            match told {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    self.heard.push_back(Change::Lost);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.heard.pop_front())
    }
}

fn read(kind: u16, body: &[u8]) -> Option<Change> {
    // A port that leaves a switch is "deleted" from it, the device itself lives on.
    let of_a_switch = body.first().is_some_and(|family| i32::from(*family) == libc::AF_BRIDGE);
    if of_a_switch {
        return None;
    }
    match kind {
        libc::RTM_NEWLINK => read_link(body).map(|link| Change::Link { link, gone: false }),
        libc::RTM_DELLINK => read_link(body).map(|link| Change::Link { link, gone: true }),
        libc::RTM_NEWADDR => {
            read_address(body).map(|address| Change::Address { address, gone: false })
        }
        libc::RTM_DELADDR => {
            read_address(body).map(|address| Change::Address { address, gone: true })
        }
        libc::RTM_DELROUTE | libc::RTM_DELRULE => Some(Change::Way),
        libc::RTM_NEWTFILTER | libc::RTM_DELTFILTER | libc::RTM_DELQDISC => {
            Traffic::read(body).map(|traffic| Change::Filters { index: traffic.index })
        }
        _ => None,
    }
}

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.transport.as_fd()
    }
}
