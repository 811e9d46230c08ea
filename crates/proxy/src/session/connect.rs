//! From a request to a connection: choosing, queueing, connecting, racing, trying again.

use std::net::SocketAddr;
use std::os::fd::AsFd;

use base::Time;
use engine::balance::{Pick, Retry};
use engine::health::Evidence;

use super::{Phase, Session, Step, Transaction};
use crate::choice::Seeker;
use crate::counters::Count;
use crate::http::reply::Reply;
use crate::queue::Ticket;
use crate::record::Destination;
use crate::shared::after;
use crate::slab::Key;
use crate::worker::Core;

/// Between the choice and its place another thread may be faster; after so many times it is a queue.
const RACES: usize = 4;

impl Session {
    fn seeker<'a>(&self, txn: &'a Transaction, first: bool) -> Seeker<'a> {
        Seeker { source: self.peer.map(|peer| peer.ip()), avoid: &txn.avoid, first }
    }

    pub(super) fn choose(&mut self, core: &mut Core) -> Step {
        let Some(mut txn) = self.txn.take() else { return Step::Wait };
        let pick = self.find_place(core, &txn);
        let step = match pick {
            Pick::Server(server) => {
                txn.called = false;
                self.go_to(core, &mut txn, server);
                Step::Again
            }
            Pick::Wait => {
                self.queue(core, &mut txn);
                Step::Wait
            }
            Pick::None => {
                self.txn = Some(txn);
                return self.reply(core, *b"SC", Reply::Unavailable);
            }
        };
        self.txn = Some(txn);
        if matches!(pick, Pick::Wait) { self.look_again(core) } else { step }
    }

    /// A server with a place for this session, already taken.
    fn find_place(&self, core: &Core, txn: &Transaction) -> Pick {
        let counters = &core.view.counters.proxies[txn.back];
        for _ in 0..RACES {
            let seeker = self.seeker(txn, txn.called);
            match core.backends[txn.back].pick(&seeker, counters) {
                Pick::Server(server) if !core.enter(txn.back, server) => {}
                pick @ (Pick::Server(_) | Pick::Wait | Pick::None) => return pick,
            }
        }
        Pick::Wait
    }

    fn go_to(&mut self, core: &mut Core, txn: &mut Transaction, server: usize) {
        txn.server = Some(server);
        txn.destination = Destination::Server(server);
        txn.marks.unqueued.get_or_insert(core.now);
        let backend = &core.view.counters.proxies[txn.back].backend;
        let side = core.server_side(txn.back, server);
        side.used(core.now);
        for side in [backend, side] {
            side.add(core.index, Count::Chosen, 1);
        }
        match txn.former {
            None => side.add(core.index, Count::Sessions, 1),
            Some(former) if former == server => count_retry(core, txn.back, server),
            Some(former) => {
                txn.redispatched = true;
                for side in [backend, core.server_side(txn.back, former)] {
                    side.add(core.index, Count::Redispatches, 1);
                }
            }
        }
        let http = core.shared.routes[self.front].http;
        // As HAProxy's `http-reuse safe`: the first request of a client, which it may not repeat
        // by itself, never meets a connection that the server may be closing. Neither does a second
        // try.
        if http && self.requests > 1 && txn.former.is_none() {
            let careful = !txn.replayable && core.view.adaptive();
            if let Some(link) = core.reuse(txn.back, server, self.key, careful) {
                txn.link = Some(link);
                txn.reused = true;
                txn.marks.connected = Some(core.now);
                txn.heard = core.now;
                txn.path = self.path(core, link);
                self.phase = Phase::Exchange;
                return;
            }
        }
        self.start_connect(core, txn, server);
    }

    fn start_connect(&mut self, core: &mut Core, txn: &mut Transaction, server: usize) {
        txn.reused = false;
        txn.connect_at = core.now;
        txn.hedge_at = Time::NEVER;
        // One that fails at once is found by `watch_connect`.
        txn.link = core.connect(txn.back, server, self.key).ok();
        txn.path = txn.link.and_then(|link| self.path(core, link));
        if core.shared.routes[self.front].http {
            let backend = &mut core.backends[txn.back];
            backend.hedge.connected();
            txn.hedge_at = after(core.now, backend.pool.hedge_after(server));
        }
        self.phase = Phase::Connecting;
    }

    fn ticket(&self, core: &Core) -> Ticket {
        Ticket { worker: core.index, session: self.key, number: self.ticket }
    }

    fn queue(&mut self, core: &Core, txn: &mut Transaction) {
        self.ticket = self.ticket.wrapping_add(1);
        let ticket = self.ticket(core);
        let queue = &core.shared.queues[txn.back];
        core.view.counters.proxies[txn.back].backend.enter_queue();
        if std::mem::take(&mut txn.called) {
            queue.rejoin(ticket);
        } else {
            txn.before = u32::try_from(queue.join(ticket)).unwrap_or(u32::MAX);
        }
        txn.queued = true;
        let since = if let Phase::Queued { since } = self.phase { since } else { core.now };
        self.phase = Phase::Queued { since };
    }

    /// A place may have become free between the look and the queueing: nobody would call then.
    fn look_again(&mut self, core: &mut Core) -> Step {
        let Some(mut txn) = self.txn.take() else { return Step::Wait };
        let alone = core.view.counters.proxies[txn.back].backend.queued() <= 1;
        if alone {
            txn.called = true;
            if let Pick::Server(server) = self.find_place(core, &txn) {
                self.leave_queue(core, &mut txn);
                txn.called = false;
                self.go_to(core, &mut txn, server);
                self.txn = Some(txn);
                return Step::Again;
            }
            txn.called = false;
        }
        self.txn = Some(txn);
        Step::Wait
    }

    /// If its turn had come already, the next one has it.
    pub(super) fn leave_queue(&self, core: &mut Core, txn: &mut Transaction) {
        if std::mem::take(&mut txn.queued) {
            let waited = core.shared.queues[txn.back].leave(self.ticket(core));
            core.view.counters.proxies[txn.back].backend.leave_queue();
            if !waited {
                core.call_next(txn.back);
            }
        }
    }

    /// Its ticket was popped. False: it does not wait any more.
    pub(crate) fn is_called(&mut self, ticket: Ticket) -> bool {
        let waits = matches!(self.phase, Phase::Queued { .. }) && ticket.number == self.ticket;
        if let Some(txn) = self.txn.as_mut().filter(|_| waits) {
            txn.called = true;
        }
        waits
    }

    pub(super) fn wait_in_queue(&mut self, core: &mut Core, since: Time) -> Step {
        let limit = core.shared.routes[self.front].limits.queue;
        if core.now >= after(since, limit) {
            return self.reply(core, *b"sQ", Reply::Unavailable);
        }
        let Some(mut txn) = self.txn.take() else { return Step::Wait };
        // Called, or conditions changed: then somebody else in the queue may be before it.
        let called = txn.called;
        if called {
            core.view.counters.proxies[txn.back].backend.leave_queue();
            txn.queued = false;
        }
        let pick = self.find_place(core, &txn);
        let step = match pick {
            Pick::Server(server) => {
                self.leave_queue(core, &mut txn);
                txn.called = false;
                self.go_to(core, &mut txn, server);
                Step::Again
            }
            Pick::Wait if called => {
                self.queue(core, &mut txn);
                self.txn = Some(txn);
                return self.look_again(core);
            }
            Pick::Wait => Step::Wait,
            Pick::None => {
                if called {
                    core.call_next(txn.back);
                }
                self.txn = Some(txn);
                return self.reply(core, *b"SC", Reply::Unavailable);
            }
        };
        self.txn = Some(txn);
        step
    }

    pub(super) fn pause(&mut self, core: &mut Core, until: Time, same: bool) -> Step {
        let Some(mut txn) = self.txn.take() else { return Step::Wait };
        let server = txn.server.filter(|server| same && core.backends[txn.back].serves(*server));
        let step = match server {
            // It went down meanwhile: no use in waiting for it.
            None if same => {
                self.release(core, &mut txn);
                self.phase = Phase::Choose;
                Step::Again
            }
            None | Some(_) if core.now < until => Step::Wait,
            Some(server) => {
                count_retry(core, txn.back, server);
                self.start_connect(core, &mut txn, server);
                Step::Again
            }
            None => {
                self.phase = Phase::Choose;
                Step::Again
            }
        };
        self.txn = Some(txn);
        step
    }

    /// Looks at the connects under way.
    pub(super) fn watch_connect(&mut self, core: &mut Core) -> Step {
        let Some(txn) = &self.txn else { return Step::Wait };
        let (first, second, connect_at) = (txn.link, txn.second, txn.connect_at);
        let state = |core: &Core, link| {
            core.links.get(link).map(|link: &crate::server::Link| {
                (link.socket.has_error(), link.socket.is_writable())
            })
        };
        match first.and_then(|link| state(core, link)) {
            None | Some((true, _)) => return self.connect_failed(core, false),
            Some((false, true)) => {
                self.measure(core);
                return self.connected(core);
            }
            Some((false, false)) => {}
        }
        match second.map(|(link, _)| state(core, link)) {
            None => {}
            Some(None | Some((true, _))) => self.drop_second(core),
            Some(Some((false, true))) => {
                self.promote(core);
                return self.connected(core);
            }
            Some(Some((false, false))) => {}
        }
        let limit = core.shared.routes[self.front].limits.connect;
        if core.now >= after(connect_at, limit) {
            return self.connect_failed(core, true);
        }
        self.race(core);
        Step::Wait
    }

    /// Starts a second connect when the first one is silent.
    fn race(&mut self, core: &mut Core) {
        let Some(mut txn) = self.txn.take() else { return };
        if let (Some(first), true) = (txn.server, core.now >= txn.hedge_at) {
            let since = txn.connect_at;
            let patience = core.backends[txn.back].pool.speaks_after(first);
            if core.now.since(since) < patience {
                // How far it is nobody knows: another one may be nearer, and that says nothing against this one.
                txn.hedge_at = since + patience;
            } else {
                txn.hedge_at = Time::NEVER;
                let other = core.backends[txn.back].other_answered(first);
                core.witness(txn.back, first, Evidence::ConnectPending { since, patience, other });
            }
            let counters = &core.view.counters.proxies[txn.back];
            let seeker = self.seeker(&txn, true);
            let may = txn.second.is_none();
            let second =
                may.then(|| core.backends[txn.back].second(first, &seeker, counters)).flatten();
            if let Some(server) = second.filter(|server| core.enter(txn.back, *server)) {
                match core.connect(txn.back, server, self.key) {
                    Ok(link) => {
                        txn.second = Some((link, server));
                        core.server_side(txn.back, server).add(core.index, Count::Hedges, 1);
                    }
                    Err(_) => core.leave(txn.back, server),
                }
            }
        }
        self.txn = Some(txn);
    }

    fn drop_second(&mut self, core: &mut Core) {
        let Some(txn) = &mut self.txn else { return };
        if let Some((link, server)) = txn.second.take() {
            core.hang_up(link);
            core.leave(txn.back, server);
        }
    }

    /// The second connect won, or is all that is left.
    fn promote(&mut self, core: &mut Core) {
        let Some(txn) = &mut self.txn else { return };
        let Some((link, server)) = txn.second.take() else { return };
        if let Some(loser) = txn.link.replace(link) {
            core.let_connect(loser, txn.connect_at);
        }
        if let Some(loser) = txn.server.replace(server) {
            core.leave(txn.back, loser);
            txn.avoid.insert(loser);
        }
        txn.redispatched = true;
        txn.destination = Destination::Server(server);
        core.server_side(txn.back, server).add(core.index, Count::Sessions, 1);
    }

    /// How long the first connect took.
    fn measure(&self, core: &mut Core) {
        let Some(txn) = &self.txn else { return };
        if let Some(server) = txn.server {
            let took = core.now.since(txn.connect_at);
            core.backends[txn.back].pool.connected(server, took);
        }
    }

    fn connected(&mut self, core: &mut Core) -> Step {
        self.drop_second(core);
        let http = core.shared.routes[self.front].http;
        let Some(txn) = &mut self.txn else { return Step::Wait };
        txn.marks.connected = Some(core.now);
        txn.heard = core.now;
        self.heard = core.now;
        if let Some(server) = txn.server {
            core.witness(txn.back, server, Evidence::Connected);
            if !http {
                core.backends[txn.back].answered[server] = core.now;
            }
        }
        let link = txn.link;
        let path = link.and_then(|link| self.path(core, link));
        if let Some(txn) = &mut self.txn {
            txn.path = path;
        }
        if !http {
            self.log_answered(core);
        }
        self.phase = if http { Phase::Exchange } else { Phase::Tunnel };
        Step::Again
    }

    /// The addresses of a connection to a server, if they will be logged: it is closed by then.
    fn path(&self, core: &Core, link: Key) -> Option<[SocketAddr; 2]> {
        if !core.shared.routes[self.front].line.path {
            return None;
        }
        let link = core.links.get(link)?;
        let ours = sys::socket::local(link.socket.as_fd()).ok()?;
        let server = core.view.config.proxies[link.proxy].servers.get(link.server)?;
        Some([ours, server.address])
    }

    fn connect_failed(&mut self, core: &mut Core, silent: bool) -> Step {
        let Some(mut txn) = self.txn.take() else { return Step::Wait };
        let last = txn.server.unwrap_or(0);
        if let Some(link) = txn.link.take() {
            core.hang_up(link);
        }
        if !silent {
            core.witness(txn.back, last, Evidence::Refused);
        }
        if txn.second.is_some() {
            self.txn = Some(txn);
            self.promote(core);
            return Step::Again;
        }
        txn.failures += 1;
        let step = match core.backends[txn.back].after_failure(txn.failures, last, silent) {
            Retry::GiveUp => {
                let counters = &core.view.counters.proxies[txn.back];
                counters.backend.add(core.index, Count::ConnectErrors, 1);
                core.server_side(txn.back, last).add(core.index, Count::ConnectErrors, 1);
                self.release(core, &mut txn);
                let ended = if silent { *b"sC" } else { *b"SC" };
                self.txn = Some(txn);
                return self.reply(core, ended, Reply::Unavailable);
            }
            Retry::SameServer { after } => {
                txn.retries += 1;
                self.phase = Phase::Pause { until: core.now + after, same: true };
                Step::Again
            }
            Retry::OtherServer { after } => {
                txn.retries += 1;
                self.release(core, &mut txn);
                txn.avoid.insert(last);
                txn.former = Some(last);
                self.phase = Phase::Pause { until: core.now + after, same: false };
                Step::Again
            }
        };
        self.txn = Some(txn);
        step
    }

    /// Gives the place at the server back.
    pub(super) fn release(&self, core: &mut Core, txn: &mut Transaction) {
        if let Some(server) = txn.server.take() {
            core.leave(txn.back, server);
        }
    }
}

fn count_retry(core: &Core, proxy: usize, server: usize) {
    let backend = &core.view.counters.proxies[proxy].backend;
    for side in [backend, core.server_side(proxy, server)] {
        side.add(core.index, Count::Retries, 1);
    }
}
