//! One router of which neutron's agent wants to know.

use std::io;
use std::os::fd::BorrowedFd;

use api::router::WatchEntry;
use base::Time;
use engine::router::news::News;
use sys::netlink::Netlink;

#[derive(Debug)]
pub(super) struct Watch {
    pub(super) entry: WatchEntry,
    pub(super) news: News,
    /// As it is known to the loop.
    pub(super) due: Time,
}

impl Watch {
    pub(super) fn new(entry: WatchEntry) -> Self {
        let news = News::new(entry.told);
        Self { entry, news, due: Time::NEVER }
    }
}

/// Whether the primary address is on its device: what is known of a router that has not said anything here.
pub(super) fn is_there(
    entry: &WatchEntry,
    netns: BorrowedFd<'_>,
    home: BorrowedFd<'_>,
) -> io::Result<bool> {
    sys::netns::enter(netns)?;
    let found = Netlink::open().and_then(|netlink| Ok((netlink.links()?, netlink.addresses()?)));
    sys::netns::enter(home)?;
    let (links, addresses) = found?;
    let device = links.iter().find(|link| link.name == entry.interface).map(|link| link.index);
    Ok(addresses.iter().any(|address| {
        Some(address.index) == device && format!("{}/{}", address.ip, address.prefix) == entry.cidr
    }))
}
