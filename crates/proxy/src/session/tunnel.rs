//! Bytes both ways without reading them: TCP, WebSocket, CONNECT.

use std::os::fd::AsFd;

use base::Time;

use super::request::Up;
use super::response::Down;
use super::{Session, Step};
use crate::http::body::Body;
use crate::shared::{Route, after};
use crate::worker::Core;

impl Session {
    pub(super) fn tunnel(&mut self, core: &mut Core, scratch: &mut [u8]) -> Step {
        match self.pump_up(core, scratch) {
            Up::Fine | Up::BadChunk => {}
            Up::ClientEnd => {
                if let Some(txn) = &mut self.txn {
                    txn.up = Body::Done;
                }
            }
            Up::ClientBroke => return self.client_broke(core),
            Up::ServerBroke => return self.abort(core, *b"SD"),
        }
        match self.pump_down(core, scratch) {
            Down::Fine | Down::Done => {}
            Down::Truncated => return self.abort(core, *b"SD"),
            Down::ClientBroke => return self.client_broke(core),
        }
        self.pass_ends(core);
        let Some(txn) = &self.txn else { return Step::Wait };
        if txn.shut == [true; 2] {
            return self.complete(core);
        }
        self.check_tunnel(core)
    }

    /// Each side hears of the other's end as soon as all bytes before it are sent.
    fn pass_ends(&mut self, core: &mut Core) {
        let Some(txn) = &mut self.txn else { return };
        if txn.up.is_done() && txn.request.is_empty() && !txn.shut[0] {
            txn.shut[0] = true;
            if let Some(link) = txn.link.and_then(|link| core.links.get(link)) {
                drop(sys::socket::shutdown_write(link.socket.as_fd()));
            }
        }
        if txn.down.is_done() && self.down.is_empty() && !txn.shut[1] {
            txn.shut[1] = true;
            drop(sys::socket::shutdown_write(self.client.as_fd()));
        }
    }

    fn check_tunnel(&mut self, core: &mut Core) -> Step {
        let [client, server] = self.tunnel_limits(&core.shared.routes[self.front]);
        if core.now >= client {
            return self.abort(core, *b"cD");
        }
        if core.now >= server {
            return self.abort(core, *b"sD");
        }
        Step::Wait
    }

    pub(super) fn tunnel_limit(&self, route: &Route) -> Time {
        let [client, server] = self.tunnel_limits(route);
        client.min(server)
    }

    /// Until when each side may be silent.
    fn tunnel_limits(&self, route: &Route) -> [Time; 2] {
        let Some(txn) = &self.txn else { return [Time::NEVER; 2] };
        let limits = &route.limits;
        if txn.up.is_done() || txn.down.is_done() {
            let client = after(self.heard, limits.client_fin.or(limits.client));
            let server = after(txn.heard, limits.server_fin.or(limits.server));
            return [client, server];
        }
        match limits.tunnel {
            Some(_) => [after(self.heard.max(txn.heard), limits.tunnel); 2],
            None => [after(self.heard, limits.client), after(txn.heard, limits.server)],
        }
    }
}
