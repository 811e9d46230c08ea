//! How requests end: answered, refused, broken, tried again; counted and logged.

use std::os::fd::AsFd;

use base::Time;
use config::haproxy::LogMoment;

use super::{Phase, Session, Step, Transaction};
use crate::counters::{Count, Side};
use crate::http::body::Body;
use crate::http::head::Method;
use crate::http::reply::Reply;
use crate::http::write;
use crate::record::LogRecord;
use crate::worker::Core;

/// What a client may have said before its server was reached, in most cases (bytes).
const UNREAD: usize = 16 * 1024;

/// Times a whole request is sent again because its server died: as many as HAProxy's default retries.
const MAX_REPLAYS: u32 = 3;

impl Session {
    /// Remembers who ended it and when; the first word counts.
    pub(super) fn note_end(&mut self, ended: [u8; 2]) {
        if let Some(txn) = &mut self.txn
            && txn.ended == *b"--"
        {
            txn.ended = ended;
        }
    }

    /// Answers for the server. If an answer has begun, all that is left is to close.
    pub(super) fn reply(&mut self, core: &mut Core, ended: [u8; 2], reply: Reply) -> Step {
        if !core.shared.routes[self.front].http
            || self.txn.as_ref().is_none_or(|t| t.status.is_some())
        {
            return self.abort(core, ended);
        }
        self.note_end(ended);
        let Some(mut txn) = self.txn.take() else { return Step::Wait };
        self.detach(core, &mut txn);
        txn.close |= reply.is_raw() || !txn.up.is_done() || core.view.is_draining();
        txn.down = Body::Done;
        txn.request.clear(&mut core.buffers);
        txn.status = Some(reply.status());
        let mut out = std::mem::take(&mut core.out);
        out.clear();
        reply.write(txn.close, txn.modern, txn.method == Method::Head, &mut out);
        // What is not even a request is answered below the layer in which HAProxy counts.
        txn.given += if reply.is_raw() { 0 } else { write::weight_of_text(&out) };
        self.txn = Some(txn);
        let alive = self.give(core, &out, false);
        core.out = out;
        if !alive {
            return self.client_broke(core);
        }
        self.phase = Phase::Response;
        Step::Again
    }

    /// Leaves queue, place and connections.
    fn detach(&self, core: &mut Core, txn: &mut Transaction) {
        self.leave_queue(core, txn);
        if let Some(link) = txn.link.take() {
            core.hang_up(link);
        }
        if let Some((link, server)) = txn.second.take() {
            core.hang_up(link);
            core.leave(txn.back, server);
        }
        let server = txn.server;
        self.release(core, txn);
        txn.former = server.or(txn.former);
    }

    /// Ends without another word.
    pub(super) fn abort(&mut self, core: &mut Core, ended: [u8; 2]) -> Step {
        self.note_end(ended);
        let aborted = if ended[0] == b'C' { Count::ClientAborts } else { Count::ServerAborts };
        if let Some(txn) = self.txn.as_ref().filter(|_| matches!(ended[0], b'C' | b'S')) {
            core.view.counters.proxies[txn.back].backend.add(core.index, aborted, 1);
            if let Some(server) = txn.server {
                core.server_side(txn.back, server).add(core.index, aborted, 1);
            }
        }
        if let Some(link) = self.txn.as_mut().and_then(|txn| txn.link.take()) {
            core.hang_up(link);
        }
        if ended == *b"SC" {
            // What the kernel holds unread at a close becomes a reset instead of an end. A connection
            // that was just accepted has had no event yet that would tell of it.
            self.client.look_again();
            let _ = self.client.receive(&mut [0; UNREAD]);
        }
        self.close_transaction(core);
        self.phase = Phase::Dead;
        Step::Wait
    }

    /// The client's connection failed.
    pub(super) fn client_broke(&mut self, core: &mut Core) -> Step {
        let when = match self.phase {
            Phase::Head => b'R',
            Phase::Queued { .. } => b'Q',
            Phase::Choose | Phase::Pause { .. } | Phase::Connecting => b'C',
            Phase::Exchange => b'H',
            Phase::Response | Phase::Tunnel | Phase::Linger { .. } | Phase::Dead => b'D',
        };
        self.abort(core, [b'C', when])
    }

    /// `option abortonclose`: the client ended its half, so it does not want what is not there yet.
    /// None: this is no moment to leave.
    pub(super) fn let_go(&mut self, core: &mut Core) -> Option<Step> {
        let txn = self.txn.as_mut().filter(|txn| txn.up.is_done() || txn.link.is_none())?;
        let (when, reply) = match self.phase {
            Phase::Queued { .. } => (b'Q', Reply::Unavailable),
            Phase::Choose | Phase::Pause { .. } | Phase::Connecting => (b'C', Reply::Unavailable),
            Phase::Exchange if !txn.answered => (b'H', Reply::Denied(400)),
            Phase::Response if txn.link.is_some() => return Some(self.abort(core, *b"CD")),
            Phase::Exchange
            | Phase::Response
            | Phase::Head
            | Phase::Tunnel
            | Phase::Linger { .. }
            | Phase::Dead => return None,
        };
        txn.close = true;
        Some(self.reply(core, [b'C', when], reply))
    }

    /// The server closed, or broke, before the first byte of an answer.
    pub(super) fn no_answer(&mut self, core: &mut Core) -> Step {
        self.count_response_error(core);
        if self.try_elsewhere(core) {
            return Step::Again;
        }
        let txn = self.txn.as_ref();
        // The client knows that a connection it uses again may close at any time (RFC 9112 9.3.1),
        // and repeats what it may: HAProxy leaves it to it.
        let leave = !core.view.adaptive() && txn.is_some_and(|txn| txn.reused && !txn.answered);
        if leave {
            return self.abort(core, *b"SH");
        }
        self.reply(core, *b"SH", Reply::BadGateway)
    }

    /// Sends the whole request again, if that is harmless.
    fn try_elsewhere(&mut self, core: &mut Core) -> bool {
        let harmless = |txn: &&mut Box<Transaction>| {
            txn.replayable && !txn.answered && txn.replays < MAX_REPLAYS
        };
        let adaptive = core.view.adaptive() && !core.shared.breaks(api::Break::Redispatch);
        let Some(txn) = self.txn.as_mut().filter(|txn| adaptive && harmless(txn)) else {
            return false;
        };
        txn.replays += 1;
        txn.retries += 1;
        txn.request.rewind();
        txn.partial.clear(&mut core.buffers);
        self.leave_server(core);
        true
    }

    fn leave_server(&mut self, core: &mut Core) {
        let Some(mut txn) = self.txn.take() else { return };
        if let Some(server) = txn.server {
            txn.avoid.insert(server);
        }
        self.detach(core, &mut txn);
        self.txn = Some(txn);
        self.phase = Phase::Choose;
    }

    /// The server is known to be gone. True: the request looks for another one.
    pub(crate) fn abandon(&mut self, core: &mut Core, sent: bool) -> bool {
        if core.backends[self.back().unwrap_or(self.front)].pool.usable() == 0 {
            return false;
        }
        match self.phase {
            Phase::Exchange => sent && self.try_elsewhere(core),
            Phase::Connecting | Phase::Pause { .. } => {
                self.leave_server(core);
                true
            }
            Phase::Head
            | Phase::Choose
            | Phase::Queued { .. }
            | Phase::Response
            | Phase::Tunnel
            | Phase::Linger { .. }
            | Phase::Dead => false,
        }
    }

    /// The answer is complete.
    pub(super) fn complete(&mut self, core: &mut Core) -> Step {
        let Some(txn) = &mut self.txn else { return Step::Wait };
        let whole = txn.up.is_done() && txn.request.is_empty();
        let close = txn.close || !whole;
        if let Some(link) = txn.link.take() {
            if txn.keep_link && whole {
                core.keep(link);
            } else {
                core.hang_up(link);
            }
        }
        let tunnel = matches!(self.phase, Phase::Tunnel);
        self.close_transaction(core);
        if !close {
            self.await_next(core);
            return Step::Again;
        }
        let more = !whole || !self.ahead.is_empty();
        if !tunnel && (more || self.client.is_readable() && !self.client.has_hangup()) {
            self.start_linger(core);
            return Step::Again;
        }
        self.phase = Phase::Dead;
        Step::Wait
    }

    /// Counts and logs what was done, and forgets it.
    pub(super) fn close_transaction(&mut self, core: &mut Core) {
        let Some(mut txn) = self.txn.take() else { return };
        let server = txn.server.or(txn.former);
        self.detach(core, &mut txn);
        if txn.entered {
            core.view.counters.proxies[txn.back].backend.leave();
        }
        self.count(core, &txn, server);
        self.log(core, &txn, server);
        core.give_back(txn);
    }

    fn count(&self, core: &Core, txn: &Transaction, server: Option<usize>) {
        let counters = &core.view.counters;
        let proxy = &counters.proxies[txn.back];
        let front = &counters.proxies[self.front].frontend;
        let back = txn.entered.then_some(&proxy.backend);
        let server = server.filter(|_| txn.entered).map(|server| &proxy.servers[server]);
        let sides = [Some(&counters.process), Some(front), back, server];
        let times = self.times(core.now, txn);
        let spent = times.map(|time| u64::try_from(time).unwrap_or(0));
        let add = |side: &Side, count, by: u64| {
            if by > 0 {
                side.add(core.index, count, by);
            }
        };
        for (place, side) in sides.into_iter().flatten().enumerate() {
            add(side, Count::BytesIn, txn.received);
            add(side, Count::BytesOut, txn.given);
            if let Some(status) = txn.status {
                side.add(core.index, Count::of_status(status), 1);
            }
            if place >= 2 {
                side.finished(core.index, [spent[1], spent[2], spent[3], spent[4]]);
            }
        }
    }

    /// `TR/Tw/Tc/Tr/Ta`.
    fn times(&self, now: Time, txn: &Transaction) -> [i64; 5] {
        let marks = &txn.marks;
        let until = |from, to: Option<Time>| to.map_or(-1, |to| between(from, to));
        [
            until(Some(self.began), marks.request),
            until(marks.request, marks.unqueued),
            until(marks.unqueued, marks.connected),
            until(marks.connected, marks.response),
            between(Some(self.began), now),
        ]
    }

    /// The answer is there (TCP: the server is connected): logs now if that is all the line tells, and
    /// not again at the end.
    pub(super) fn log_answered(&mut self, core: &mut Core) {
        if core.shared.routes[self.front].line.moment != LogMoment::Answer {
            return;
        }
        let Some(mut txn) = self.txn.take() else { return };
        // With `option dontlog-normal` it may still fail.
        let waits = core.view.config.proxies[self.front].no_log_normal && !is_failed(&txn);
        if !waits && !txn.silent {
            self.log(core, &txn, txn.server.or(txn.former));
            txn.silent = true;
        }
        self.txn = Some(txn);
    }

    fn log(&self, core: &mut Core, txn: &Transaction, server: Option<usize>) {
        let route = &core.shared.routes[self.front];
        if !route.logs || txn.silent {
            return;
        }
        let counters = &core.view.counters;
        let proxy = &counters.proxies[txn.back];
        let [request, waiting, connect, response, total] = self.times(core.now, txn);
        let null = txn.received == 0 && txn.given == 0;
        let marks = &txn.marks;
        let data = between(if route.http { marks.response } else { marks.connected }, core.now);
        let local = route.line.local.then(|| sys::socket::local(self.client.as_fd()).ok());
        let record = LogRecord {
            client: self.peer,
            began_ms: core.wall_ms(self.began),
            accepted_ms: core.wall_ms(self.accepted),
            local: local.flatten(),
            path: txn.path,
            http: route.http,
            frontend: self.front,
            backend: txn.entered.then_some(txn.back),
            destination: txn.destination,
            idle: between(Some(self.accepted), self.began),
            data,
            request,
            waiting,
            connect,
            response,
            total,
            status: txn.status,
            bytes: txn.given,
            bytes_up: txn.received,
            number: txn.number,
            termination: [txn.ended[0], txn.ended[1], b'-', b'-'],
            connections: [
                counters.process.current(),
                counters.proxies[self.front].frontend.current(),
                proxy.backend.current(),
                server.map_or(0, |server| proxy.servers[server].current()),
            ],
            retries: txn.retries,
            redispatched: txn.redispatched,
            queues: [0, txn.before],
            request_line: &txn.line,
            null,
            failed: is_failed(txn),
        };
        core.logger.session(&record);
    }
}

/// Milliseconds; -1 where it never came that far.
fn between(from: Option<Time>, to: Time) -> i64 {
    from.map_or(-1, |from| i64::try_from(to.since(from).as_millis()).unwrap_or(i64::MAX))
}

fn is_failed(txn: &Transaction) -> bool {
    !matches!(txn.ended[0], b'-' | b'L')
        || txn.status.is_some_and(|status| status >= 500)
        || txn.retries > 0
        || txn.redispatched
}
