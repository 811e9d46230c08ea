//! Bytes from the client to the server.

use super::{ROUNDS, Session};
use crate::http::body::Body;
use crate::socket::Got;
use crate::worker::Core;

/// How far the request came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Up {
    Fine,
    /// The client closed its sending half before the end of a body that has one.
    ClientEnd,
    ClientBroke,
    ServerBroke,
    BadChunk,
}

impl Session {
    /// Moves what there is, until one side must wait.
    pub(super) fn pump_up(&mut self, core: &mut Core, scratch: &mut [u8]) -> Up {
        for _ in 0..ROUNDS {
            if !self.flush_up(core) {
                return Up::ServerBroke;
            }
            let Some(txn) = self.txn.as_mut() else { return Up::Fine };
            if !txn.request.is_empty() || txn.up.is_done() {
                return Up::Fine;
            }
            if !self.ahead.is_empty() && txn.up == Body::UntilClose {
                // What was read ahead of an upgrade belongs to the tunnel.
                txn.request.push(self.ahead.rest(), &mut core.buffers);
                self.ahead.clear(&mut core.buffers);
                continue;
            }
            let count = match self.client.receive(scratch) {
                Got::Bytes(count) => count,
                Got::Later => return Up::Fine,
                Got::End => return Up::ClientEnd,
                Got::Broken => return Up::ClientBroke,
            };
            self.heard = core.now;
            let Ok(taken) = txn.up.advance(&scratch[..count]) else { return Up::BadChunk };
            txn.received += taken.payload;
            if taken.bytes < count {
                self.ahead.push(&scratch[taken.bytes..count], &mut core.buffers);
                self.fresh = true;
            }
            if !self.send_up(core, &scratch[..taken.bytes]) {
                return Up::ServerBroke;
            }
        }
        core.later.push(self.key);
        Up::Fine
    }

    /// Sends what waits for the server. False: it is gone.
    fn flush_up(&mut self, core: &mut Core) -> bool {
        let Some(txn) = self.txn.as_mut().filter(|txn| !txn.request.is_empty()) else {
            return true;
        };
        let Some(link) = txn.link.and_then(|link| core.links.get_mut(link)) else { return true };
        let Ok(sent) = link.socket.send(txn.request.rest(), false) else { return false };
        if sent > 0 {
            txn.request.advance(sent);
            txn.heard = core.now;
        }
        if txn.request.is_empty() && !txn.replayable {
            txn.request.clear(&mut core.buffers);
        }
        true
    }

    fn send_up(&mut self, core: &mut Core, bytes: &[u8]) -> bool {
        let Some(txn) = &mut self.txn else { return true };
        let Some(link) = txn.link.and_then(|link| core.links.get_mut(link)) else { return true };
        let Ok(sent) = link.socket.send(bytes, false) else { return false };
        txn.heard = core.now;
        txn.request.push(&bytes[sent..], &mut core.buffers);
        true
    }
}
