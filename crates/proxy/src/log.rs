//! Log lines as haproxy writes them, over UDP syslog.
//!
//! ```text
//! <142>Nov 22 03:43:15 haproxy[27163]: 127.0.0.1:33008 [22/Nov/2026:03:43:15.797] api api/node01 ...
//! ```
//!
//! One [`Logger`] per thread: lines gather in its buffer and leave together at the end of a turn of
//! the thread's loop, with one system call per destination. Nobody ever waits for a log server: what
//! the kernel does not take at once, and what comes back refused, is counted and told.

mod format;
mod line;
mod server;
mod sockets;
mod tally;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;

use config::haproxy::{LogFormat, Mode};

use crate::record::LogRecord;
use crate::view::View;

pub(crate) use line::moment;
pub(crate) use server::{ServerChange, reason};
pub(crate) use sockets::Sockets;
pub(crate) use tally::{Tally, of as tallies};

use line::{Stamps, number};

/// A line is cut there, before its end of line (haproxy's `len` of a log target, bytes).
const MAX_LINE: usize = 1024;

/// Lines that leave with one system call; more would not make one cheaper.
const BATCH: usize = 32;

/// Severities of RFC 5424 6.2.1 that are used here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Level {
    Emergency = 0,
    Alert = 1,
    Warning = 4,
    Notice = 5,
    Information = 6,
}

/// Formats and sends one thread's lines.
#[derive(Debug)]
pub(crate) struct Logger {
    view: Arc<View>,
    sockets: Arc<Sockets>,
    stamps: Stamps,
    /// This machine's name.
    host: String,
    /// The line in the making, without its header.
    text: Vec<u8>,
    /// Whole lines, one behind the other.
    lines: Vec<u8>,
    /// Of each line: where it ends in `lines`, and its target.
    ends: Vec<(usize, usize)>,
}

impl Logger {
    pub(crate) fn new(view: &Arc<View>, sockets: &Arc<Sockets>) -> Self {
        Self {
            view: Arc::clone(view),
            sockets: Arc::clone(sockets),
            stamps: Stamps::default(),
            host: sys::rights::host_name(),
            text: Vec::with_capacity(MAX_LINE),
            lines: Vec::new(),
            ends: Vec::with_capacity(BATCH),
        }
    }

    /// A request (HTTP) or session (TCP) that ended. Proxies with neither `httplog` nor `tcplog` log
    /// at the beginning instead: [`Logger::accepted`].
    pub(crate) fn session(&mut self, record: &LogRecord<'_>) {
        let Some(proxy) = self.view.config.proxies.get(record.frontend) else { return };
        if self.sockets.of(record.frontend).is_empty()
            || (proxy.no_log_null && record.null)
            || (proxy.no_log_normal && !record.failed)
        {
            return;
        }
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        match &proxy.log_format {
            LogFormat::Http => line::http(&mut text, &self.view.config, &mut self.stamps, record),
            LogFormat::Tcp => line::tcp(&mut text, &self.view.config, &mut self.stamps, record),
            LogFormat::Custom(format) => {
                let around = format::Around {
                    config: &self.view.config,
                    host: &self.host,
                    pid: self.view.pid,
                    lines: self.sockets.next_line(record.frontend),
                };
                format::line(&mut text, format, &around, &mut self.stamps, record);
            }
            LogFormat::Plain => {}
        }
        if !text.is_empty() {
            self.send(record.frontend, Level::Information, &text);
        }
        self.text = text;
    }

    /// A connection that a proxy with neither `httplog` nor `tcplog` accepted.
    pub(crate) fn accepted(&mut self, frontend: usize, client: SocketAddr, local: SocketAddr) {
        let proxy = &self.view.config.proxies[frontend];
        if proxy.log_format != LogFormat::Plain || self.sockets.of(frontend).is_empty() {
            return;
        }
        let mode = match proxy.mode {
            Mode::Tcp => "TCP",
            Mode::Http => "HTTP",
        };
        let text = format!(
            "Connect from {}:{} to {}:{} ({}/{mode})",
            client.ip(),
            client.port(),
            local.ip(),
            local.port(),
            proxy.name
        );
        self.send(frontend, Level::Information, text.as_bytes());
    }

    /// A proxy that let its last session go (soft stop).
    pub(crate) fn stopped(&mut self, proxy: usize) {
        use crate::counters::Count::Sessions;
        let counters = &self.view.counters.proxies[proxy];
        let text = format!(
            "Proxy {} stopped (cumulated conns: FE: {}, BE: {}).",
            self.view.config.proxies[proxy].name,
            counters.frontend.total(Sessions),
            counters.backend.total(Sessions)
        );
        self.send(proxy, Level::Warning, text.as_bytes());
    }

    /// Hands all lines to the kernel.
    pub(crate) fn flush(&mut self) {
        if self.ends.is_empty() {
            return;
        }
        self.sockets.send(&self.lines, &self.ends);
        self.lines.clear();
        self.ends.clear();
    }

    /// Writes `text` once for each target of the proxy that wants lines of this level.
    fn send(&mut self, proxy: usize, level: Level, text: &[u8]) {
        let sockets = Arc::clone(&self.sockets);
        let now = sys::clock::wall_ms() / 1000;
        for &target in sockets.of(proxy) {
            let Some(priority) = sockets.priority(target, level) else { continue };
            let start = self.lines.len();
            self.lines.push(b'<');
            number(&mut self.lines, u64::from(priority));
            self.lines.push(b'>');
            self.lines.extend_from_slice(self.stamps.syslog(now));
            self.lines.extend_from_slice(sockets.tag(proxy));
            let room = MAX_LINE.saturating_sub(self.lines.len() - start);
            self.lines.extend_from_slice(&text[..text.len().min(room)]);
            self.lines.push(b'\n');
            self.ends.push((self.lines.len(), target));
            if self.ends.len() == BATCH {
                self.flush();
            }
        }
    }
}
