//! To whom the driver of one network namespace tells what it did.

use std::cell::RefCell;
use std::os::fd::BorrowedFd;

use api::{MAX_MESSAGE, Report};
use base::Time;
use sys::channel::Channel;

use super::closing::Closing;
use super::line::Line;

/// Reports of one router that wait at most; one turn makes a handful.
const WAITING: usize = 64;

#[derive(Debug)]
pub(super) enum Outlet<'a> {
    /// Of a node: from there come orders, too.
    Supervisor(Line<'a>),
    /// Of one router among many: what their process takes after each turn, and who closes what is left.
    Router(RefCell<Vec<Report>>, Closing),
}

impl<'a> From<&'a Channel> for Outlet<'a> {
    fn from(channel: &'a Channel) -> Self {
        Self::Supervisor(Line::new(channel))
    }
}

impl<'a> Outlet<'a> {
    /// From where orders come.
    pub(super) fn channel(&self) -> Option<&'a Channel> {
        match self {
            Self::Supervisor(line) => Some(line.channel()),
            Self::Router(..) => None,
        }
    }

    /// For orders.
    pub(super) fn room(&self) -> Vec<u8> {
        self.channel().map_or_else(Vec::new, |_| vec![0; MAX_MESSAGE])
    }

    pub(super) fn say(&self, report: &Report) {
        match self {
            Self::Supervisor(line) => line.say(report),
            Self::Router(waiting, _) => {
                // The rest is of no interest to anybody there.
                if matches!(report, Report::Vip(_) | Report::Event(_) | Report::Adverts(_)) {
                    let mut waiting = waiting.borrow_mut();
                    if waiting.len() < WAITING {
                        waiting.push(report.clone());
                    }
                }
            }
        }
    }

    /// A message with a descriptor; routers have none to pass.
    pub(super) fn pass(&self, report: &Report, fd: BorrowedFd<'_>) {
        if let Self::Supervisor(line) = self {
            line.pass(report, fd);
        }
    }

    /// How many words were lost, once that can be told.
    pub(super) fn flush(&self) -> Option<u64> {
        match self {
            Self::Supervisor(line) => line.flush(),
            Self::Router(..) => None,
        }
    }

    /// When it is to be flushed.
    pub(super) fn deadline(&self, now: Time) -> Time {
        match self {
            Self::Supervisor(line) => line.deadline(now),
            Self::Router(..) => Time::NEVER,
        }
    }

    /// What is of no use any more, and may take the kernel its time to close.
    pub(super) fn close<T: Send + 'static>(&self, mut left: impl ExactSizeIterator<Item = T>) {
        match self {
            Self::Router(_, closing) if left.len() > 0 => closing.close(left.collect::<Vec<_>>()),
            Self::Supervisor(_) | Self::Router(..) => left.by_ref().for_each(drop),
        }
    }

    /// What a router told since this was asked last.
    pub(super) fn take(&self) -> Vec<Report> {
        match self {
            Self::Supervisor(_) => Vec::new(),
            Self::Router(waiting, _) => waiting.take(),
        }
    }
}
