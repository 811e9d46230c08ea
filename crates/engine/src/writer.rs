//! Which server of a database listener is written to: one at a time, the same on every node.
//!
//! The server in use stays until it fails; nothing goes back by itself. A choice has a term: a newer
//! one is followed, and sessions of the server before are closed before the new one is used. Who may
//! choose: the node whose address clients come to, or one that has heard of no choice yet.

use config::haproxy::Proxy;

use crate::Buffer;
use crate::balance::{MAX_SERVERS, ServerSet};

#[cfg(test)]
mod tests;

/// What the proxy saw.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Input {
    /// A server can be used here, or not: down, drained or suspect.
    Server { index: usize, usable: bool },
    /// A peer, or the process before, chose.
    Told { server: usize, term: u64, by: u16 },
    /// An operator wants this one to be used. One that does not work from here is not.
    Asked { server: usize },
    /// Whether this node holds an address that the listener binds.
    Holding(bool),
}

/// What the proxy is to do, in this order.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// End all sessions with a server that is not the writer any more.
    CloseSessions { server: usize },
    /// New sessions go here. Chosen here (`by` is this node): tell the spare and the peers.
    Use { server: usize, term: u64, by: u16 },
}

/// The choice of one listener. In strict mode there is none.
#[derive(Clone, Debug)]
pub struct Writer {
    me: u16,
    /// Servers in the order in which they are candidates.
    order: Vec<usize>,
    usable: ServerSet,
    present: Option<Present>,
    holding: bool,
    has_been_told: bool,
    goes_back: bool,
}

#[derive(Clone, Copy, Debug)]
struct Present {
    server: usize,
    term: u64,
    by: u16,
}

impl Writer {
    /// Candidates in the order of the file; `me` is this node's position in the cluster file.
    #[must_use]
    pub fn new(servers: usize, me: u16) -> Self {
        Self {
            me,
            order: (0..servers.min(MAX_SERVERS)).collect(),
            usable: ServerSet::EMPTY,
            present: None,
            holding: false,
            has_been_told: false,
            goes_back: false,
        }
    }

    /// Candidates as HAProxy's `backup` orders them: backups come after all others.
    #[must_use]
    pub fn of(proxy: &Proxy, me: u16) -> Self {
        let mut writer = Self::new(proxy.servers.len(), me);
        writer.order.sort_by_key(|server| proxy.servers[*server].backup);
        writer
    }

    /// Goes back to the first server as soon as it is usable: the demo must see two writers then.
    pub const fn break_fail_back(&mut self) {
        self.goes_back = true;
    }

    /// The only way in. Never asks for the time, so there is no deadline.
    pub fn step(&mut self, input: Input, out: &mut Buffer<Action>) {
        match input {
            Input::Server { index, usable: true } => self.usable.insert(index),
            Input::Server { index, usable: false } => self.usable.remove(index),
            Input::Told { server, term, by } => self.told(Present { server, term, by }, out),
            Input::Asked { server } => self.asked(server, out),
            Input::Holding(holding) => self.holding = holding,
        }
        self.choose(out);
    }

    #[must_use]
    pub fn server(&self) -> Option<usize> {
        self.present.map(|present| present.server)
    }

    /// 0 before the first choice.
    #[must_use]
    pub fn term(&self) -> u64 {
        self.present.map_or(0, |present| present.term)
    }

    /// Who chose.
    #[must_use]
    pub fn by(&self) -> Option<u16> {
        self.present.map(|present| present.by)
    }

    fn told(&mut self, told: Present, out: &mut Buffer<Action>) {
        if !self.order.contains(&told.server) {
            return; // A peer with another file.
        }
        self.has_been_told = true;
        if self.present.is_some_and(|now| (told.term, told.by) <= (now.term, now.by)) {
            return;
        }
        match self.present {
            // Clients come here, and from here the told server does not work: stay, and say so.
            Some(now) if self.holding && self.is_better_than(now, told) => {
                self.follow(Present { term: told.term.saturating_add(1), by: self.me, ..now }, out);
            }
            Some(_) | None => self.follow(told, out),
        }
    }

    /// A choice like any other: peers follow its term, and it stays until it fails.
    fn asked(&mut self, server: usize, out: &mut Buffer<Action>) {
        if self.usable.contains(server) && self.server() != Some(server) {
            let term = self.term().saturating_add(1);
            self.follow(Present { server, term, by: self.me }, out);
        }
    }

    fn is_better_than(&self, now: Present, told: Present) -> bool {
        self.usable.contains(now.server) && !self.usable.contains(told.server)
    }

    fn choose(&mut self, out: &mut Buffer<Action>) {
        if self.has_been_told && !self.holding {
            return;
        }
        let Some(first) = self.order.iter().copied().find(|s| self.usable.contains(*s)) else {
            return; // Nobody is better than the present one.
        };
        let stays = |present: Present| {
            let returns = self.goes_back && present.server != first;
            self.usable.contains(present.server) && !returns
        };
        if !self.present.is_some_and(stays) {
            let next = Present { server: first, term: self.term().saturating_add(1), by: self.me };
            self.follow(next, out);
        }
    }

    fn follow(&mut self, next: Present, out: &mut Buffer<Action>) {
        let former = self.present.replace(next);
        if let Some(former) = former
            && former.server != next.server
        {
            out.push(Action::CloseSessions { server: former.server });
        }
        let Present { server, term, by } = next;
        out.push(Action::Use { server, term, by });
    }
}
