//! Hearing of changes as they happen.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use super::message::{HEADER, Traffic};
use super::transport::Transport;
use super::{Address, Link, read_address, read_link};
use crate::socket::filter::{JUMP_IF_EQUAL, RETURN, WHOLE, attach, word};

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
const ROUTES: [u32; 2] = [7, 11]; // RTNLGRP_IPV4_ROUTE, IPV6_ROUTE
const RULES: [u32; 2] = [8, 19]; // RTNLGRP_IPV4_RULE, IPV6_RULE

/// What a monitor hears beside devices and addresses.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Wants<'a> {
    /// Filters of devices.
    pub filters: bool,
    /// Routes that go, of these makers (`/etc/iproute2/rt_protos`). The kernel keeps all others back: a router with a table of the
    /// internet has a million of them, of another maker.
    pub routes: &'a [u8],
    /// Rules of routing that go.
    pub rules: bool,
}

/// Words of classic BPF: load 16 bits, load 8 bits (`linux/filter.h`).
const LOAD_HALF: u16 = 0x28;
const LOAD_BYTE: u16 = 0x30;
/// Of `nlmsghdr.nlmsg_type`, and of `rtmsg.rtm_protocol` behind that.
const TYPE_AT: u32 = 4;
const PROTOCOL_AT: u32 = 5;

/// Which messages come to a monitor: of routes those of these makers that go, of rules those that go, and all others.
fn program(makers: &[u8]) -> Vec<libc::sock_filter> {
    let jump = |k: u32, jt: usize, jf: usize| {
        let (jt, jf) = (u8::try_from(jt).unwrap_or(u8::MAX), u8::try_from(jf).unwrap_or(u8::MAX));
        libc::sock_filter { code: JUMP_IF_EQUAL, jt, jf, k }
    };
    // The kernel's machine reads numbers as the network writes them.
    let kind = |kind: u16| u32::from(u16::from_be_bytes(kind.to_ne_bytes()));
    let protocol_at = u32::try_from(HEADER).unwrap_or(0) + PROTOCOL_AT;
    let makers = &makers[..makers.len().min(MAKERS)];
    // Behind the list: first the word that keeps back, then the one that lets through.
    let keep_back = makers.len();
    let mut words = vec![
        word(LOAD_HALF, TYPE_AT),
        jump(kind(libc::RTM_NEWROUTE), 3 + keep_back, 0),
        jump(kind(libc::RTM_NEWRULE), 2 + keep_back, 0),
        jump(kind(libc::RTM_DELROUTE), 0, 2 + keep_back),
        word(LOAD_BYTE, protocol_at),
    ];
    let left = (0..makers.len()).rev();
    words.extend(makers.iter().zip(left).map(|(maker, left)| jump((*maker).into(), left + 1, 0)));
    words.extend([word(RETURN, 0), word(RETURN, WHOLE)]);
    words
}

/// A jump reaches 255 words; no file names so many makers.
const MAKERS: usize = 200;

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
    pub fn open_for(wants: Wants<'_>) -> io::Result<Self> {
        let filters = Some(&FILTERS).filter(|_| wants.filters);
        let routes: &[u32] = if wants.routes.is_empty() { &[] } else { &ROUTES };
        let rules: &[u32] = if wants.rules { &RULES } else { &[] };
        let monitor = Self::of(GROUPS.iter().chain(filters).chain(routes).chain(rules))?;
        if !routes.is_empty() || !rules.is_empty() {
            // Without it more comes than is looked at.
            let _all_come = attach(monitor.as_fd(), &mut program(wants.routes));
        }
        Ok(monitor)
    }

    /// Nothing is left of what was read: the descriptor says whether there is more.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.heard.is_empty()
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a message of that kind and maker is let through, by the words themselves.
    fn passes(makers: &[u8], kind: u16, maker: u8) -> bool {
        let words = program(makers);
        let mut message = [0; 28];
        message[4..6].copy_from_slice(&kind.to_ne_bytes());
        message[21] = maker;
        let (mut at, mut value) = (0, 0_u32);
        loop {
            let word = words[at];
            at += 1;
            let from = usize::try_from(word.k).unwrap();
            match word.code {
                LOAD_HALF => value = u16::from_be_bytes([message[from], message[from + 1]]).into(),
                LOAD_BYTE => value = message[from].into(),
                JUMP_IF_EQUAL => at += usize::from(if value == word.k { word.jt } else { word.jf }),
                RETURN => return word.k != 0,
                code => panic!("{code:x}"),
            }
        }
    }

    #[test]
    fn of_routes_only_those_of_our_makers_that_go_wake_anybody() {
        for makers in [&[18][..], &[4, 18, 186], &[7; 250]] {
            for maker in [4, 18, 186, 7, 2] {
                let ours = makers.contains(&maker);
                assert_eq!(passes(makers, libc::RTM_DELROUTE, maker), ours, "{makers:?} {maker}");
                assert!(!passes(makers, libc::RTM_NEWROUTE, maker), "{makers:?} {maker}");
                assert!(!passes(makers, libc::RTM_NEWRULE, maker), "{makers:?} {maker}");
                assert!(passes(makers, libc::RTM_DELRULE, maker), "{makers:?} {maker}");
                assert!(passes(makers, libc::RTM_DELADDR, maker), "{makers:?} {maker}");
            }
        }
        assert!(!passes(&[], libc::RTM_DELROUTE, 18) && passes(&[], libc::RTM_DELRULE, 18));
    }
}
