//! Sockets and numbers of sealed messages, from one process to the next of the same life.

use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use engine::packet::Newest;
use sys::poll::{Interest, Poller};

use super::ears::Turn;
use super::{NETWORKS, Wire};

impl Wire {
    /// Tokens of the cluster's networks.
    pub(in crate::vip) fn of_networks(&self) -> Range<u64> {
        let count = self.sealed.as_ref().map_or(0, |sealed| sealed.networks.len());
        NETWORKS..NETWORKS + u64::try_from(count).unwrap_or(0)
    }

    /// For a process that goes on in the place of this one: the greatest number of a packet of this one, and sockets by network. Where nothing is
    /// sealed there are none.
    pub(in crate::vip) fn leaves(&self) -> (u64, Vec<(u8, BorrowedFd<'_>)>) {
        let Some(sealed) = &self.sealed else { return (0, vec![]) };
        let open = (0..).zip(&sealed.networks);
        let open = open.filter_map(|(number, it)| Some((number, it.socket.as_ref()?.as_fd())));
        (sealed.seal.newest(), open.collect())
    }

    /// The numbers of what was heard.
    pub(in crate::vip) fn newest(&self) -> impl Iterator<Item = Newest> + '_ {
        self.sealed.iter().flat_map(|sealed| sealed.replay.newest())
    }

    /// What the process before left; nothing was said here yet.
    pub(in crate::vip) fn inherit(
        &mut self,
        (packets, newest): (u64, impl Iterator<Item = Newest>),
        sockets: impl Iterator<Item = (u8, OwnedFd)>,
        poller: &Poller,
    ) {
        let Some(sealed) = &mut self.sealed else { return };
        sealed.seal.go_on(packets);
        newest.for_each(|newest| sealed.replay.go_on(newest));
        for (number, socket) in sockets {
            let token = NETWORKS + u64::from(number);
            if let Some(network) = sealed.networks.get_mut(usize::from(number))
                && poller.add(socket.as_fd(), token, Interest::READ).is_ok()
            {
                network.socket = Some(socket);
                self.turns.entry(token).or_insert(Turn::over());
            }
        }
    }
}
