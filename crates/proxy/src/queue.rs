//! Sessions of all threads that wait for a server of one backend, in order of arrival.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::slab::Key;

/// A waiting session and the worker it lives in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Ticket {
    pub(crate) worker: usize,
    pub(crate) session: Key,
    /// Which of the session's tickets: a turn may arrive after the session gave up and joined again.
    pub(crate) number: u32,
}

/// Bounded by the sessions there may be (maxconn): each has one ticket at most.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: Mutex<VecDeque<Ticket>>,
}

impl Queue {
    /// Returns how many wait before it.
    pub(crate) fn join(&self, ticket: Ticket) -> usize {
        let mut waiting = self.lock();
        waiting.push_back(ticket);
        waiting.len() - 1
    }

    /// It had been at the front and found nothing.
    pub(crate) fn rejoin(&self, ticket: Ticket) {
        self.lock().push_front(ticket);
    }

    /// Gives up; true if it was still waiting. False: its turn had come, and is somebody else's now.
    pub(crate) fn leave(&self, ticket: Ticket) -> bool {
        let mut waiting = self.lock();
        let place = waiting.iter().position(|other| *other == ticket);
        place.and_then(|place| waiting.remove(place)).is_some()
    }

    /// The next one in turn.
    pub(crate) fn pop(&self) -> Option<Ticket> {
        self.lock().pop_front()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Ticket>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
