//! Rules that are run one by one: for connections, requests, sessions, answers.

use std::os::fd::AsFd;
use std::sync::Arc;

use config::haproxy::expr::Side;
use config::haproxy::{LogFormat, LogPart, Proxy, Target};

use super::head::is_monitor;
use super::{Phase, Session, Step, Transaction};
use crate::counters::Count;
use crate::expr::{self, Message, Scene};
use crate::http::body::Body;
use crate::http::head::{self, Method, Request, Response};
use crate::http::reply::Reply;
use crate::http::script::{self, Answer, End};
use crate::http::write;
use crate::stats;
use crate::worker::Core;

/// What a frontend's rules came to.
enum Outcome {
    End(End),
    /// The monitor was asked; whether it is to fail.
    Monitor {
        fails: bool,
    },
    Statistics,
    /// The backend and the route to it.
    To(Option<usize>, usize),
}

impl Session {
    fn scene<'a>(&'a self, core: &'a Core, txn: Option<&'a Transaction>) -> Scene<'a> {
        Scene {
            view: &core.view,
            backends: &core.backends,
            host: core.logger.host(),
            peer: self.peer,
            client: Some(self.client.as_fd()),
            front: self.front,
            back: txn.filter(|txn| txn.entered).map(|txn| txn.back),
            server: txn.and_then(|txn| txn.server),
            http: core.shared.routes[self.front].http,
            is_first: self.requests <= 1,
            line: txn.map_or(&[], |txn| &txn.line),
            status: txn.and_then(|txn| txn.status),
            request: None,
            response: None,
            variables: &self.variables,
            dice: &core.dice,
            wall: core.wall_ms(core.now) / 1000,
        }
    }

    /// `tcp-request connection`: before the first byte.
    pub(super) fn admit(&mut self, core: &Core) -> Step {
        self.admitted = true;
        if !core.shared.routes[self.front].gate {
            return Step::Again;
        }
        let proxy = &core.view.config.proxies[self.front];
        let scene = self.scene(core, None);
        let rule = proxy
            .connection_rules
            .iter()
            .find(|rule| expr::holds(rule.condition.as_ref(), &proxy.acls, &scene));
        if !rule.is_some_and(|rule| rule.action == config::haproxy::Action::Reject) {
            return Step::Again;
        }
        drop(sys::socket::reset_on_close(self.client.as_fd()));
        self.phase = Phase::Dead;
        Step::Wait
    }

    /// A whole head whose rules are run one by one.
    pub(super) fn run_script(
        &mut self,
        core: &mut Core,
        request: &Request<'_, '_>,
        body: &[u8],
    ) -> Step {
        let view = Arc::clone(&core.view);
        let front = &view.config.proxies[self.front];
        let mut message = Message::of_request(request);
        let Some(txn) = self.txn.take() else { return Step::Wait };
        let outcome = self.judge(core, &txn, front, &mut message);
        self.txn = Some(txn);
        let (back, route) = match outcome {
            Outcome::End(end) => return self.end_script(core, end, Side::Request),
            Outcome::Monitor { fails } => {
                if let Some(txn) = &mut self.txn {
                    txn.silent = true;
                }
                self.intercepted(core);
                let reply = if fails { Reply::Unavailable } else { Reply::Ready };
                return self.reply(core, *b"LR", reply);
            }
            Outcome::Statistics => return self.show_statistics(core, request),
            Outcome::To(back, route) => (back, route),
        };
        self.route = route;
        let Some(back) = back else {
            return self.reply(core, *b"SC", Reply::Unavailable);
        };
        if let Some(txn) = &mut self.txn {
            txn.back = back;
            txn.close |= core.shared.routes[route].program.close;
        }
        self.enter_backend(core, Some(back));
        let other = (back != self.front).then(|| &view.config.proxies[back]);
        if let Some(end) = other.and_then(|proxy| self.judge_behind(core, proxy, &mut message)) {
            return self.end_script(core, end, Side::Request);
        }
        let headers = message.headers();
        let changed = Request {
            length: request.length,
            method: head::method(&message.verb),
            verb: &message.verb,
            target: &message.target,
            modern: request.modern,
            body: request.body,
            keep_alive: request.keep_alive,
            upgrade: request.upgrade,
            headers: &headers,
        };
        let Some(mut txn) = self.txn.take() else { return Step::Wait };
        txn.method = changed.method;
        self.write_request(core, &mut txn, &changed, body);
        self.txn = Some(txn);
        Step::Again
    }

    /// Rules of the frontend, in HAProxy's order, and its choice of a backend.
    fn judge<'b>(
        &self,
        core: &Core,
        txn: &Transaction,
        front: &'b Proxy,
        message: &mut Message<'b>,
    ) -> Outcome {
        let route = &core.shared.routes[self.front];
        let around = self.scene(core, Some(txn));
        let is_monitor = |monitor: &str| is_monitor(&message.target, monitor);
        if route.monitor.as_deref().is_some_and(is_monitor) {
            let scene = script::look(message, Side::Request, &around);
            let mut fail = front.monitor_fail.iter();
            let fails = fail.any(|condition| expr::holds(Some(condition), &front.acls, &scene));
            return Outcome::Monitor { fails };
        }
        for rules in [&front.content_rules, &front.request_rules] {
            let end = script::run(rules, &front.acls, message, Side::Request, &around);
            if let Some(end) = end {
                return Outcome::End(end);
            }
        }
        if route.stats && stats::matches(&core.view, self.front, message.target.as_bytes()) {
            return Outcome::Statistics;
        }
        let end = script::run(&front.redirects, &front.acls, message, Side::Request, &around);
        if let Some(end) = end {
            return Outcome::End(end);
        }
        let scene = script::look(message, Side::Request, &around);
        let (back, route) = self.switch(core, front, &scene);
        Outcome::To(back, route)
    }

    /// The first `use_backend` that holds, or the default.
    fn switch(&self, core: &Core, front: &Proxy, scene: &Scene<'_>) -> (Option<usize>, usize) {
        let route = &core.shared.routes[self.front];
        let default = (route.backend, self.front);
        for (switch, known) in front.switches.iter().zip(&route.switches) {
            if !expr::holds(switch.condition.as_ref(), &front.acls, scene) {
                continue;
            }
            let found = match &switch.to {
                Target::Name(_) => *known,
                Target::Made(format) => {
                    let mut name = Vec::new();
                    expr::write(format, scene, &mut name);
                    let name = std::str::from_utf8(&name).ok();
                    name.and_then(|name| core.shared.route_to(self.front, name))
                }
            };
            return found.map_or(default, |(back, route)| (Some(back), route));
        }
        default
    }

    /// Rules of the backend.
    fn judge_behind<'b>(
        &self,
        core: &Core,
        back: &'b Proxy,
        message: &mut Message<'b>,
    ) -> Option<End> {
        let around = self.scene(core, self.txn.as_deref());
        script::run(&back.request_rules, &back.acls, message, Side::Request, &around)
            .or_else(|| script::run(&back.redirects, &back.acls, message, Side::Request, &around))
    }

    /// A session of TCP: there is nothing to look at but the connection.
    pub(super) fn run_tcp_script(&mut self, core: &mut Core) -> Step {
        let view = Arc::clone(&core.view);
        let front = &view.config.proxies[self.front];
        let (end, back, route) = {
            let scene = self.scene(core, None);
            let mut rules = front.content_rules.iter();
            let mut end = None;
            for rule in rules.by_ref() {
                if !expr::holds(rule.condition.as_ref(), &front.acls, &scene) {
                    continue;
                }
                match script::of_connection(&rule.action, &scene) {
                    script::Then::Goes => {}
                    script::Then::Accepts => break,
                    script::Then::Rejects => {
                        end = Some(End::Reject);
                        break;
                    }
                }
            }
            let (back, route) = self.switch(core, front, &scene);
            (end, back, route)
        };
        self.route = route;
        if end.is_some() {
            let frontend = &core.view.counters.proxies[self.front].frontend;
            frontend.add(core.index, Count::DeniedRequests, 1);
            self.open_transaction(core).close = true;
            return self.abort(core, *b"PR");
        }
        self.begin_tunnel(core, back)
    }

    /// An answer whose rules are run one by one: those of the backend, then those of the frontend.
    pub(super) fn run_answer_script(
        &mut self,
        core: &mut Core,
        response: &Response<'_, '_>,
        rest: &[u8],
    ) -> Step {
        let view = Arc::clone(&core.view);
        self.variables.get_mut().end_request();
        let Some(txn) = self.txn.take() else { return Step::Wait };
        let mut message = Message::of_response(response);
        let mut end = None;
        let behind = (txn.back != self.front).then_some(txn.back);
        for proxy in behind.into_iter().chain([self.front]) {
            let proxy = &view.config.proxies[proxy];
            let around = self.scene(core, Some(&txn));
            let rules = &proxy.response_rules;
            end = script::run(rules, &proxy.acls, &mut message, Side::Response, &around);
            if end.is_some() {
                break;
            }
        }
        self.txn = Some(txn);
        if let Some(end) = end {
            return self.end_script(core, end, Side::Response);
        }
        let headers = message.headers();
        let changed = Response {
            length: response.length,
            status: message.status,
            reason: &message.reason,
            modern: response.modern,
            body: response.body,
            keep_alive: response.keep_alive,
            headers: &headers,
        };
        // What is counted is the answer as it came (`http::write::response`).
        let (came, goes) = (script::weight(response), script::weight(&changed));
        let step = self.begin_response(core, &changed, rest);
        if let Some(txn) = &mut self.txn {
            txn.given = (txn.given + came).saturating_sub(goes);
        }
        step
    }

    /// Rules ended before the last one.
    fn end_script(&mut self, core: &mut Core, end: End, side: Side) -> Step {
        let (when, denied) = match side {
            Side::Request => (b'R', Count::DeniedRequests),
            Side::Response => (b'H', Count::DeniedResponses),
        };
        let counters = &core.view.counters.proxies;
        let entered = self.txn.as_ref().filter(|txn| txn.entered).map(|txn| txn.back);
        let is_denied = !matches!(end, End::Answer(_) | End::Failed);
        if is_denied {
            let side = match entered {
                Some(back) => &counters[back].backend,
                None => &counters[self.front].frontend,
            };
            side.add(core.index, denied, 1);
        }
        match end {
            End::Reject => {
                if let Some(txn) = &mut self.txn {
                    txn.close = true;
                }
                self.abort(core, [b'P', when])
            }
            End::Page(status) => self.reply(core, [b'P', when], Reply::Denied(status)),
            End::Failed => self.reply(core, [b'P', when], Reply::Denied(500)),
            End::Denied(answer) => self.say(core, [b'P', when], &answer),
            End::Answer(answer) => {
                if entered.is_none() {
                    self.intercepted(core);
                }
                self.say(core, [b'L', when], &answer)
            }
        }
    }

    /// An answer that a rule made.
    fn say(&mut self, core: &mut Core, ended: [u8; 2], answer: &Answer) -> Step {
        self.note_end(ended);
        let Some(mut txn) = self.txn.take() else { return Step::Wait };
        self.detach(core, &mut txn);
        txn.close |= !txn.up.is_done() || core.view.is_draining();
        txn.down = Body::Done;
        txn.request.clear(&mut core.buffers);
        txn.status = Some(answer.status);
        let mut out = std::mem::take(&mut core.out);
        out.clear();
        out.extend_from_slice(
            format!("HTTP/1.1 {} {}\r\n", answer.status, answer.reason).as_bytes(),
        );
        out.extend_from_slice(&answer.head);
        out.extend_from_slice(match (txn.close, txn.modern) {
            (true, _) => b"connection: close\r\n\r\n",
            (false, false) => b"connection: keep-alive\r\n\r\n",
            (false, true) => b"\r\n",
        });
        if txn.method != Method::Head {
            out.extend_from_slice(&answer.body);
        }
        txn.given += write::weight_of_text(&out);
        self.txn = Some(txn);
        let alive = self.give(core, &out, false);
        core.out = out;
        if !alive {
            return self.client_broke(core);
        }
        self.phase = Phase::Response;
        Step::Again
    }

    /// What the `%[...]` of the log's format come to, in their order.
    pub(super) fn told(
        &self,
        core: &Core,
        txn: &Transaction,
        server: Option<usize>,
    ) -> Vec<Vec<u8>> {
        let format = &core.view.config.proxies[self.front].log_format;
        let LogFormat::Custom(line) = format else { return Vec::new() };
        let scene = Scene { server, ..self.scene(core, Some(txn)) };
        let text = |part: &LogPart| match part {
            LogPart::Expr(expr, _) => {
                let sample = expr::evaluate(expr, &scene).map(expr::Sample::text);
                Some(sample.unwrap_or_default().into_owned())
            }
            LogPart::Text(_) | LogPart::Blank | LogPart::Value(..) => None,
        };
        line.parts.iter().filter_map(text).collect()
    }
}
