//! Bytes from the server to the client.

use std::os::fd::AsFd;

use engine::health::Evidence;

use super::request::Up;
use super::{Phase, ROUNDS, Session, Step, Transaction};
use crate::counters::Count;
use crate::http::body::Body;
use crate::http::head::{self, Method, Response};
use crate::http::reply::Reply;
use crate::http::write;
use crate::socket::Got;
use crate::worker::Core;

/// A body's beginning up to this size is copied behind the head and sent with it: one system call
/// costs more than the copy.
const COPIED: usize = 16 * 1024;

/// How far the answer came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Down {
    Fine,
    /// All of it is with the client.
    Done,
    Truncated,
    ClientBroke,
}

impl Session {
    /// The request is on its way; looks for the answer's head.
    pub(super) fn exchange(&mut self, core: &mut Core, scratch: &mut [u8]) -> Step {
        let server_broke = match self.pump_up(core, scratch) {
            Up::Fine => false,
            Up::ServerBroke => true,
            Up::ClientBroke => return self.client_broke(core),
            Up::ClientEnd => return self.abort(core, *b"CD"),
            Up::BadChunk => return self.reply(core, *b"PR", Reply::BadRequest),
        };
        if !self.flush_down(core) {
            return self.client_broke(core);
        }
        if !self.down.is_empty() {
            // The client does not take the interim answers: no more of them.
            return self.check_exchange(core);
        }
        let Some(txn) = &mut self.txn else { return Step::Wait };
        let Some(link) = txn.link.and_then(|link| core.links.get_mut(link)) else {
            return self.no_answer(core);
        };
        if server_broke {
            // It may have answered before it closed.
            link.socket.look_again();
        }
        let held = txn.partial.rest().len();
        scratch[..held].copy_from_slice(txn.partial.rest());
        match link.socket.receive(&mut scratch[held..]) {
            Got::Bytes(count) => {
                txn.heard = core.now;
                self.read_response(core, &scratch[..held + count])
            }
            Got::Later if server_broke => self.no_answer(core),
            Got::Later => self.check_exchange(core),
            Got::End | Got::Broken => self.no_answer(core),
        }
    }

    fn check_exchange(&mut self, core: &mut Core) -> Step {
        let limits = core.shared.routes[self.front].limits;
        if core.now >= self.server_limit(&limits) {
            self.count_response_error(core);
            return self.reply(core, *b"sH", Reply::GatewayTimeout);
        }
        if core.now >= self.client_limit(&limits) {
            return self.reply(core, *b"cD", Reply::Timeout);
        }
        Step::Wait
    }

    /// Interim answers are passed on as they come; the final one ends this phase.
    fn read_response(&mut self, core: &mut Core, bytes: &[u8]) -> Step {
        let mut at = 0;
        loop {
            let Some(txn) = &mut self.txn else { return Step::Wait };
            let mut space = head::space();
            match head::response(&bytes[at..], &mut space, txn.method, txn.upgrade) {
                Ok(None) => {
                    txn.partial.clear(&mut core.buffers);
                    txn.partial.push(&bytes[at..], &mut core.buffers);
                    return Step::Again;
                }
                Ok(Some(response)) if response.status < 200 && response.status != 101 => {
                    at += response.length;
                    if !self.pass_interim(core, &response) {
                        return self.client_broke(core);
                    }
                }
                Ok(Some(response)) => {
                    if let Some(status) = core.shared.routes[self.front].program.response.deny {
                        return self.deny_response(core, status);
                    }
                    return self.begin_response(core, &response, &bytes[at + response.length..]);
                }
                Err(_) => return self.bad_response(core),
            }
        }
    }

    fn pass_interim(&mut self, core: &mut Core, response: &Response<'_, '_>) -> bool {
        let Some(txn) = &mut self.txn else { return true };
        let edits = &core.shared.routes[self.front].program.response;
        let mut out = std::mem::take(&mut core.out);
        out.clear();
        txn.given += write::response(response, edits, false, txn.modern, &mut out);
        txn.answered = true;
        let alive = self.give(core, &out, false);
        core.out = out;
        alive
    }

    /// No answer of a server passes.
    fn deny_response(&mut self, core: &mut Core, status: u16) -> Step {
        if let Some(txn) = &self.txn {
            let counters = &core.view.counters.proxies;
            counters[self.front].frontend.add(core.index, Count::DeniedResponses, 1);
            counters[txn.back].backend.add(core.index, Count::DeniedResponses, 1);
            if let Some(server) = txn.server {
                core.server_side(txn.back, server).add(core.index, Count::DeniedResponses, 1);
            }
        }
        self.reply(core, *b"PH", Reply::Denied(status))
    }

    fn bad_response(&mut self, core: &mut Core) -> Step {
        self.count_response_error(core);
        self.reply(core, *b"PH", Reply::BadGateway)
    }

    pub(super) fn count_response_error(&self, core: &Core) {
        let Some(txn) = &self.txn else { return };
        core.view.counters.proxies[txn.back].backend.add(core.index, Count::ResponseErrors, 1);
        if let Some(server) = txn.server {
            core.server_side(txn.back, server).add(core.index, Count::ResponseErrors, 1);
        }
    }

    /// Passes the head on, with as much of the body as is there.
    fn begin_response(
        &mut self,
        core: &mut Core,
        response: &Response<'_, '_>,
        rest: &[u8],
    ) -> Step {
        let Some(txn) = &mut self.txn else { return Step::Wait };
        txn.down = response.body;
        let Ok(taken) = txn.down.advance(rest) else { return self.bad_response(core) };
        let tunnel = response.status == 101
            || txn.method == Method::Connect && (200..300).contains(&response.status);
        let endless = response.body == Body::UntilClose;
        txn.close |= endless && !tunnel || core.view.is_draining();
        txn.keep_link = response.keep_alive && !endless && taken.bytes == rest.len();
        txn.status = Some(response.status);
        txn.marks.response = Some(core.now);
        txn.replayable = false;
        txn.answered = true;
        if txn.request.is_empty() {
            txn.request.clear(&mut core.buffers);
        }
        txn.partial.clear(&mut core.buffers);
        let (back, modern) = (txn.back, txn.modern);
        if let Some(server) = txn.server {
            core.backends[back].answered[server] = core.now;
            core.witness(back, server, Evidence::Answered);
        }
        let program = &core.shared.routes[self.front].program;
        if program.close_server {
            txn.keep_link = false;
        }
        let close = txn.close && !tunnel;
        let mut out = std::mem::take(&mut core.out);
        out.clear();
        let weight = write::response(response, &program.response, close, modern, &mut out);
        txn.given += weight + taken.payload;
        self.log_answered(core);
        let body = &rest[..taken.bytes];
        let alive = if body.len() <= COPIED {
            out.extend_from_slice(body);
            self.give(core, &out, false)
        } else {
            self.give(core, &out, true) && self.give(core, body, false)
        };
        core.out = out;
        if !alive {
            return self.client_broke(core);
        }
        if tunnel {
            self.open_tunnel();
            // The server may have said something already.
        } else {
            self.phase = Phase::Response;
        }
        Step::Again
    }

    fn open_tunnel(&mut self) {
        if let Some(txn) = &mut self.txn {
            txn.up = Body::UntilClose;
            txn.down = Body::UntilClose;
            txn.close = true;
            txn.keep_link = false;
        }
        self.phase = Phase::Tunnel;
    }

    /// The answer is on its way; a request's body may still be, too.
    pub(super) fn respond(&mut self, core: &mut Core, scratch: &mut [u8]) -> Step {
        let up = if self.txn.as_ref().is_some_and(|txn| txn.link.is_some() && !txn.cut) {
            self.pump_up(core, scratch)
        } else {
            Up::Fine
        };
        match up {
            Up::Fine => {}
            Up::ClientBroke => return self.client_broke(core),
            // The server does not want the rest, or there is none: only its answer matters now.
            Up::ServerBroke | Up::ClientEnd | Up::BadChunk => {
                if let Some(txn) = &mut self.txn {
                    txn.close = true;
                    txn.keep_link = false;
                    txn.request.clear(&mut core.buffers);
                    match up {
                        Up::ClientEnd => txn.up = Body::Done,
                        Up::BadChunk => cut(core, txn),
                        Up::Fine | Up::ClientBroke | Up::ServerBroke => {}
                    }
                }
                if up == Up::ClientEnd {
                    self.note_end(*b"CD");
                }
            }
        }
        match self.pump_down(core, scratch) {
            Down::Done => self.answered(core),
            Down::Truncated => self.truncated(core),
            Down::ClientBroke => self.client_broke(core),
            Down::Fine => self.check_response(core),
        }
    }

    /// The whole answer is with the client.
    fn answered(&mut self, core: &mut Core) -> Step {
        let Some(txn) = &self.txn else { return Step::Wait };
        if txn.up.is_done() && txn.request.is_empty() || txn.close || txn.link.is_none() {
            return self.complete(core);
        }
        // The body goes on to the server, which has answered early; then the next request.
        self.check_response(core)
    }

    fn check_response(&mut self, core: &mut Core) -> Step {
        let limits = core.shared.routes[self.front].limits;
        if core.now >= self.client_limit(&limits) {
            return self.abort(core, *b"cD");
        }
        if core.now >= self.server_limit(&limits) {
            return self.abort(core, *b"sD");
        }
        Step::Wait
    }

    /// The server closed too early: the client learns it by the end of its own connection.
    fn truncated(&mut self, core: &mut Core) -> Step {
        self.count_response_error(core);
        if let Some(txn) = &mut self.txn {
            if let Some(link) = txn.link.take() {
                core.hang_up(link);
            }
            txn.close = true;
            txn.down = Body::Done;
        }
        self.note_end(*b"SD");
        Step::Again
    }

    /// Moves what there is, until one side must wait.
    pub(super) fn pump_down(&mut self, core: &mut Core, scratch: &mut [u8]) -> Down {
        for _ in 0..ROUNDS {
            if !self.flush_down(core) {
                return Down::ClientBroke;
            }
            let Some(txn) = &mut self.txn else { return Down::Fine };
            if !self.down.is_empty() {
                return Down::Fine;
            }
            if txn.down.is_done() {
                return Down::Done;
            }
            let Some(link) = txn.link.and_then(|link| core.links.get_mut(link)) else {
                return Down::Truncated;
            };
            let count = match link.socket.receive(scratch) {
                Got::Bytes(count) => count,
                Got::Later => return Down::Fine,
                Got::End if txn.down == Body::UntilClose => {
                    txn.down = Body::Done;
                    txn.keep_link = false;
                    continue;
                }
                Got::End | Got::Broken => return Down::Truncated,
            };
            txn.heard = core.now;
            let Ok(taken) = txn.down.advance(&scratch[..count]) else { return Down::Truncated };
            txn.keep_link &= taken.bytes == count;
            txn.given += taken.payload;
            if !self.give(core, &scratch[..taken.bytes], false) {
                return Down::ClientBroke;
            }
        }
        core.later.push(self.key);
        Down::Fine
    }
}

/// Where the request ends is unknown: the server hears of it by the end of this direction, and what
/// follows is not read as if it were the body's.
fn cut(core: &Core, txn: &mut Transaction) {
    txn.cut = true;
    if let Some(link) = txn.link.and_then(|link| core.links.get(link)) {
        drop(sys::socket::shutdown_write(link.socket.as_fd()));
    }
}
