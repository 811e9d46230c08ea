//! Messages with descriptors that wait until the other side takes them.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use api::router::RouterReport;
use sys::channel::Channel;
use sys::poll::{Interest, Poller};

/// More are dropped: the desk hangs, and is ended by whoever started it.
const WAITING: usize = 65_536;

/// What the process of routers tells the desk: nothing of it may be lost, and nobody waits for it.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: VecDeque<(Vec<u8>, Vec<OwnedFd>)>,
}

impl Outbox {
    pub(super) fn tell(&mut self, report: &RouterReport, fds: Vec<OwnedFd>) {
        let mut bytes = Vec::with_capacity(256);
        api::encode(report, &mut bytes);
        if self.waiting.len() < WAITING {
            self.waiting.push_back((bytes, fds));
        }
    }

    /// As much as the other side takes now; it is woken for the rest.
    pub(super) fn flush(&mut self, channel: &Channel, poller: &Poller, token: u64) {
        while let Some((bytes, fds)) = self.waiting.front() {
            let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
            match channel.send(bytes, &fds) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let both = Interest::READ | Interest::WRITE;
                    let _gone = poller.modify(channel.as_fd(), token, both);
                    return;
                }
                // If it is gone, its end says so.
                Ok(()) | Err(_) => drop(self.waiting.pop_front()),
            }
            if self.waiting.is_empty() {
                let _gone = poller.modify(channel.as_fd(), token, Interest::READ);
            }
        }
    }
}
