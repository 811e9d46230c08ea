//! Reading a request's head, and what is answered without any server.

use std::os::fd::AsFd;

use base::Time;

use super::{Phase, Session, Step};
use crate::counters::Count;
use crate::http::body::Body;
use crate::http::head::{self, Method, Request, Trouble};
use crate::http::reply::Reply;
use crate::http::write;
use crate::record::Destination;
use crate::shared::after;
use crate::socket::Got;
use crate::stats;
use crate::worker::Core;

/// What is read while a head is expected: HAProxy's buffer.
const READ: usize = 16 * 1024;

impl Session {
    pub(super) fn read_head(&mut self, core: &mut Core, scratch: &mut [u8]) -> Step {
        let held = self.ahead.rest().len();
        scratch[..held].copy_from_slice(self.ahead.rest());
        let mut filled = held;
        if held == 0 || !std::mem::take(&mut self.fresh) {
            match self.client.receive(&mut scratch[held..READ.max(held + 1)]) {
                Got::Bytes(count) => filled += count,
                Got::Later => return self.await_head(core),
                Got::End => return self.client_left(core, held, true),
                Got::Broken => return self.client_left(core, held, false),
            }
        }
        self.heard = core.now;
        if held == 0 {
            self.began = core.now;
        }
        let mut space = head::space();
        match head::request(&scratch[..filled], &mut space) {
            Ok(Some(request)) => {
                let rest = &scratch[request.length..filled];
                self.begin(core, &request, rest)
            }
            Ok(None) => {
                self.ahead.push(&scratch[held..filled], &mut core.buffers);
                Step::Again
            }
            Err(Trouble::Bad) => self.refuse_head(core, Reply::BadRequest),
            Err(Trouble::Coding) => self.refuse_head(core, Reply::Unprocessable),
        }
    }

    /// Nothing to read: is it too late?
    fn await_head(&mut self, core: &mut Core) -> Step {
        let idle = self.requests > 0 && self.ahead.is_empty();
        if idle && core.view.is_draining() {
            self.phase = Phase::Dead;
            return Step::Wait;
        }
        let limit = self.head_limit(&core.shared.routes[self.front].limits);
        if core.now < limit {
            return Step::Wait;
        }
        if idle {
            self.phase = Phase::Dead;
            return Step::Wait;
        }
        self.count_bad(core);
        let held = self.ahead.rest().len() as u64;
        self.open_transaction(core).received = held;
        self.finish_early(core, *b"cR", Reply::Timeout)
    }

    /// The client closed before a whole head was there. If only its sending side, it hears why.
    fn client_left(&mut self, core: &mut Core, held: usize, listens: bool) -> Step {
        if self.requests > 0 && held == 0 {
            self.phase = Phase::Dead;
            return Step::Wait;
        }
        if held > 0 {
            self.count_bad(core);
        }
        let null = held == 0;
        let txn = self.open_transaction(core);
        txn.status = Some(400);
        txn.silent = false;
        txn.received = u64::from(!null);
        self.note_end(*b"CR");
        self.close_transaction(core);
        if listens {
            core.out.clear();
            Reply::BadRequest.write(true, true, false, &mut core.out);
            // Nobody waits for who has left for good.
            drop(self.client.send(&core.out, false));
        }
        self.phase = Phase::Dead;
        Step::Wait
    }

    fn refuse_head(&mut self, core: &mut Core, reply: Reply) -> Step {
        self.count_bad(core);
        let txn = self.open_transaction(core);
        txn.received = 1;
        self.finish_early(core, *b"PR", reply)
    }

    fn count_bad(&self, core: &Core) {
        let frontend = &core.view.counters.proxies[self.front].frontend;
        frontend.add(core.index, Count::Requests, 1);
        frontend.add(core.index, Count::RequestErrors, 1);
    }

    /// An answer to something that is no request: the connection ends with it.
    fn finish_early(&mut self, core: &mut Core, ended: [u8; 2], reply: Reply) -> Step {
        if let Some(txn) = &mut self.txn {
            txn.close = true;
            // Whatever else comes is not a request either.
            txn.up = Body::UntilClose;
        }
        self.reply(core, ended, reply)
    }

    fn open_transaction(&mut self, core: &mut Core) -> &mut super::Transaction {
        let mut txn = core.transaction();
        txn.back = self.front;
        self.txn.insert(txn)
    }

    /// A whole head: answers it, or begins to look for a server.
    fn begin(&mut self, core: &mut Core, request: &Request<'_, '_>, rest: &[u8]) -> Step {
        let shared = std::sync::Arc::clone(&core.shared);
        let route = &shared.routes[self.front];
        let (index, now) = (core.index, core.now);
        for side in [&core.view.counters.process, &core.view.counters.proxies[self.front].frontend]
        {
            side.add(index, Count::Requests, 1);
        }
        self.requests = self.requests.saturating_add(1);
        self.log_accept(core);
        let mut txn = core.transaction();
        txn.back = route.backend.unwrap_or(self.front);
        txn.method = request.method;
        txn.modern = request.modern;
        txn.close = !request.keep_alive || route.program.close || core.view.is_draining();
        txn.upgrade = request.upgrade;
        txn.up = request.body;
        txn.marks.request = Some(now);
        if route.logs {
            let version = if request.modern { " HTTP/1.1" } else { " HTTP/1.0" };
            for part in [request.verb, " ", request.target, version] {
                txn.line.extend_from_slice(part.as_bytes());
            }
        }
        let Ok(taken) = txn.up.advance(rest) else {
            self.txn = Some(txn);
            return self.refuse_body(core);
        };
        txn.received = write::weight(request) + taken.payload;
        let client = self.peer.map(|peer| peer.ip());
        let head = txn.request.space(&mut core.buffers);
        let close = route.program.close_server && !request.upgrade;
        write::request(request, &route.program, client, close, head);
        head.extend_from_slice(&rest[..taken.bytes]);
        let safe = matches!(request.method, Method::Head | Method::Idempotent);
        txn.replayable = safe && txn.up.is_done() && !request.upgrade;
        self.ahead.clear(&mut core.buffers);
        self.ahead.push(&rest[taken.bytes..], &mut core.buffers);
        self.fresh = true;
        self.txn = Some(txn);
        self.answer_or_choose(core, request, route)
    }

    fn answer_or_choose(
        &mut self,
        core: &mut Core,
        request: &Request<'_, '_>,
        route: &crate::shared::Route,
    ) -> Step {
        if route.monitor.as_deref().is_some_and(|monitor| is_monitor(request.target, monitor)) {
            if let Some(txn) = &mut self.txn {
                txn.silent = true;
            }
            self.intercepted(core);
            return self.reply(core, *b"LR", Reply::Ready);
        }
        if let Some(status) = route.program.request.deny {
            let frontend = &core.view.counters.proxies[self.front].frontend;
            frontend.add(core.index, Count::DeniedRequests, 1);
            return self.reply(core, *b"PR", Reply::Denied(status));
        }
        if route.stats && stats::matches(&core.view, self.front, request.target.as_bytes()) {
            return self.show_statistics(core, request);
        }
        let backend = route.backend;
        self.enter_backend(core, backend)
    }

    /// From here on the request counts in its backend.
    pub(super) fn enter_backend(&mut self, core: &mut Core, backend: Option<usize>) -> Step {
        let Some(back) = backend else {
            return self.reply(core, *b"SC", Reply::Unavailable);
        };
        let counters = &core.view.counters.proxies[back];
        counters.backend.enter();
        counters.backend.used(core.now);
        counters.backend.add(core.index, Count::Sessions, 1);
        counters.backend.add(core.index, Count::Requests, 1);
        if let Some(txn) = &mut self.txn {
            txn.entered = true;
        }
        self.phase = Phase::Choose;
        Step::Again
    }

    fn intercepted(&self, core: &Core) {
        let frontend = &core.view.counters.proxies[self.front].frontend;
        frontend.add(core.index, Count::Intercepted, 1);
    }

    fn show_statistics(&mut self, core: &mut Core, request: &Request<'_, '_>) -> Step {
        self.intercepted(core);
        let mut headers = request.headers.iter();
        let authorization =
            headers.rfind(|h| h.name.eq_ignore_ascii_case("authorization")).map(|h| h.value);
        let Some(txn) = &mut self.txn else { return Step::Wait };
        let ask = stats::Ask {
            method: request.verb.as_bytes(),
            uri: request.target.as_bytes(),
            authorization,
            keep_alive: !txn.close,
        };
        let mut page = std::mem::take(&mut core.out);
        page.clear();
        let status = stats::page(&core.view, self.front, &ask, &mut page);
        txn.status = Some(status);
        txn.destination = Destination::Statistics;
        txn.given = write::weight_of_text(&page);
        let alive = self.give(core, &page, false);
        // A page may be large once; the thread shall not keep its size.
        core.out = Vec::new();
        if !alive {
            return self.client_broke(core);
        }
        self.note_end(*b"LR");
        self.phase = Phase::Response;
        Step::Again
    }

    fn refuse_body(&mut self, core: &mut Core) -> Step {
        let frontend = &core.view.counters.proxies[self.front].frontend;
        frontend.add(core.index, Count::RequestErrors, 1);
        if let Some(txn) = &mut self.txn {
            txn.line.clear();
            txn.marks.request = None;
        }
        self.finish_early(core, *b"PR", Reply::BadRequest)
    }

    /// TCP: there is nothing to read before a server is chosen.
    pub(super) fn begin_tcp(&mut self, core: &mut Core) -> Step {
        self.log_accept(core);
        self.requests = 1;
        let backend = core.shared.routes[self.front].backend;
        let now = core.now;
        let front = self.front;
        let txn = self.open_transaction(core);
        txn.back = backend.unwrap_or(front);
        txn.up = Body::UntilClose;
        txn.down = Body::UntilClose;
        txn.close = true;
        txn.marks.request = Some(now);
        self.enter_backend(core, backend)
    }

    /// The line of proxies without `httplog` and `tcplog`: as haproxy, for each request.
    fn log_accept(&self, core: &mut Core) {
        let format = &core.view.config.proxies[self.front].log_format;
        if *format == config::haproxy::LogFormat::Plain
            && core.shared.routes[self.front].logs
            && let Some(peer) = self.peer
            && let Ok(local) = sys::socket::local(self.client.as_fd())
        {
            core.logger.accepted(self.front, peer, local);
        }
    }

    /// After a complete answer on a connection that stays.
    pub(super) fn await_next(&mut self, core: &Core) {
        self.accepted = core.now;
        self.began = core.now;
        self.heard = core.now;
        self.phase = Phase::Head;
    }

    /// Drains what the client still sends, so that the answer arrives.
    pub(super) fn linger(
        &mut self,
        core: &Core,
        scratch: &mut [u8],
        until: Time,
        mut left: usize,
    ) -> Step {
        for _ in 0..super::ROUNDS {
            match self.client.receive(scratch) {
                Got::Bytes(count) if count < left => left -= count,
                Got::Later if core.now < until => {
                    self.phase = Phase::Linger { until, left };
                    return Step::Wait;
                }
                Got::Bytes(_) | Got::Later | Got::End | Got::Broken => break,
            }
        }
        self.phase = Phase::Dead;
        Step::Wait
    }

    pub(super) fn start_linger(&mut self, core: &Core) {
        drop(sys::socket::shutdown_write(self.client.as_fd()));
        let until = after(core.now, Some(super::LINGER));
        self.phase = Phase::Linger { until, left: super::LINGER_BYTES };
    }
}

/// `monitor-uri`: the whole target, or the path of `http://host/path`, as haproxy compares them.
fn is_monitor(target: &str, monitor: &str) -> bool {
    let path = target.split_once("://").and_then(|(_, rest)| Some(&rest[rest.find('/')?..]));
    target == monitor || (monitor.starts_with('/') && path == Some(monitor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_monitor_is_asked_by_its_path_or_its_whole_address() {
        assert!(is_monitor("/health", "/health"));
        assert!(is_monitor("http://www.x.org/health", "/health"));
        assert!(is_monitor("http://www.x.org/health", "http://www.x.org/health"));
        assert!(!is_monitor("/health", "http://www.x.org/health"));
        assert!(!is_monitor("/hEAlth", "/health"));
        assert!(!is_monitor("/health?x", "/health"));
        assert!(!is_monitor("http://www.x.org", "/"));
    }
}
