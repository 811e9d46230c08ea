//! What comes from others and is not believed: who may speak at all, and how the rest is told.

use std::net::IpAddr;
use std::os::fd::BorrowedFd;

use engine::member::Refused;

/// Lets only the addresses of nodes through to a socket: what strangers send there costs this process nothing. It is
/// no proof of who speaks, which only the seal gives. Errors that ICMP brings pass by it: they cost nothing where the
/// socket keeps none, as every one that is given here.
pub(crate) fn hear_only(socket: BorrowedFd<'_>, nodes: impl Iterator<Item = IpAddr>) {
    let nodes: Vec<IpAddr> = nodes.collect();
    if !nodes.is_empty() {
        // A kernel that takes no filter, or a cluster that is too large for one: the seal is enough.
        let _ = sys::socket::hear_only(socket, &nodes);
    }
}

/// For `status` and metrics.
pub(crate) const fn shown(refused: Refused, unread: u64) -> api::RefusedPackets {
    let Refused { forged, unreadable, replay, network, stranger } = refused;
    let astray = network + stranger;
    api::RefusedPackets { forged, replayed: replay, unreadable, astray, unread, last_at_ms: None }
}
