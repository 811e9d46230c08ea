//! Where lines go: one datagram socket per target, shared by all threads.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use config::haproxy::{LogTarget, LogTo, Proxy};
use rustix::io::Errno;
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags};

use super::tally::Tally;
use super::{BATCH, Level};
use crate::view::View;

#[cfg(test)]
mod tests;

/// How long a target that could not be reached at all is left alone: no system call per line for what
/// does not come back within a moment.
const REST: Duration = Duration::from_secs(1);

/// All targets of all proxies, each opened once.
#[derive(Debug)]
pub(crate) struct Sockets {
    view: Arc<View>,
    /// In the order of [`View::logs`].
    targets: Vec<Target>,
    proxies: Vec<Of>,
}

/// What one proxy uses.
#[derive(Debug)]
struct Of {
    /// Positions in [`Sockets::targets`].
    targets: Vec<usize>,
    /// `haproxy[27163]: `.
    tag: Vec<u8>,
    /// Lines of a `log-format` so far.
    lines: AtomicU64,
}

#[derive(Debug)]
struct Target {
    socket: OwnedFd,
    to: To,
    /// UDP: the socket has its address, so that refusals come back to it.
    connected: AtomicBool,
    /// UDP: a refusal was seen. Lines go one by one then, because a batch hides who was refused.
    refused: AtomicBool,
    /// Monotonic nanoseconds: nothing is tried before.
    rest_until: AtomicU64,
}

/// What one system call did.
#[derive(Clone, Copy, Debug)]
struct Sent {
    count: usize,
    /// The kernel met an error behind these and kept it to itself: if the next line is taken, it was
    /// the refusal of one that went before.
    stopped: bool,
}

#[derive(Debug)]
enum To {
    Udp(SocketAddr),
    Unix(PathBuf),
}

impl Sockets {
    /// Opens everything; before rights are dropped and before `chroot` (a path is looked up at each
    /// line, so inside `chroot` it must exist there, as with haproxy).
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub(crate) fn open(view: &Arc<View>) -> io::Result<Arc<Self>> {
        // Reads the zone's file while it can still be seen.
        let _ = sys::calendar::local(0);
        let targets = view.logs.iter().map(|tally| Target::open(&tally.entry));
        let targets = targets.collect::<io::Result<_>>()?;
        let position = |entry: &LogTarget| view.logs.iter().position(|tally| tally.entry == *entry);
        let of = |proxy: &Proxy| {
            let name = proxy.log_tag.as_ref().or(view.config.global.log_tag.as_ref());
            let name = name.map_or("haproxy", String::as_str);
            let tag = format!("{name}[{}]: ", view.pid).into_bytes();
            Of {
                targets: proxy.logs.iter().filter_map(position).collect(),
                tag,
                lines: AtomicU64::new(0),
            }
        };
        let proxies = view.config.proxies.iter().map(of).collect();
        Ok(Arc::new(Self { view: Arc::clone(view), targets, proxies }))
    }

    pub(super) fn of(&self, proxy: usize) -> &[usize] {
        self.proxies.get(proxy).map_or(&[], |of| &of.targets)
    }

    /// How many lines of a `log-format` this proxy had before the one that is being made.
    pub(super) fn next_line(&self, proxy: usize) -> u64 {
        self.proxies[proxy].lines.fetch_add(1, Relaxed)
    }

    pub(super) fn tag(&self, proxy: usize) -> &[u8] {
        &self.proxies[proxy].tag
    }

    /// `facility * 8 + severity`; none: this target does not want lines of this level.
    pub(super) fn priority(&self, target: usize, level: Level) -> Option<u8> {
        let entry = &self.view.logs[target].entry;
        let level = level as u8;
        (level <= entry.level).then(|| entry.facility * 8 + level.max(entry.min_level))
    }

    /// `ends`: of each line, its end in `lines` and its target.
    pub(super) fn send(&self, lines: &[u8], ends: &[(usize, usize)]) {
        for (number, (target, tally)) in self.targets.iter().zip(&self.view.logs).enumerate() {
            let mut batch: Vec<&[u8]> = Vec::new();
            let mut start = 0;
            for &(end, of) in ends {
                if of == number {
                    batch.push(&lines[start..end]);
                }
                start = end;
            }
            if !batch.is_empty() {
                target.send(&batch, tally);
            }
        }
    }

    /// Hears of refusals that came after the last line; once a second.
    pub(crate) fn listen(&self) {
        for (target, tally) in self.targets.iter().zip(&self.view.logs) {
            target.listen(tally);
        }
    }
}

impl Target {
    fn open(entry: &LogTarget) -> io::Result<Self> {
        let (socket, to) = match &entry.to {
            LogTo::Udp(address) => {
                let any = sys::socket::any(address.ip());
                (sys::socket::udp(any, None)?, To::Udp(*address))
            }
            LogTo::Unix(path) => (sys::socket::datagram_unix()?, To::Unix(path.clone())),
        };
        let (connected, refused) = (AtomicBool::default(), AtomicBool::default());
        Ok(Self { socket, to, connected, refused, rest_until: AtomicU64::new(0) })
    }

    /// Never waits: the sockets are non-blocking.
    fn send(&self, batch: &[&[u8]], tally: &Tally) {
        match &self.to {
            To::Unix(path) => {
                for line in batch {
                    match sys::socket::send_to_unix(self.socket.as_fd(), line, path) {
                        Ok(_) => tally.take(1),
                        Err(error) => tally.lose(1, &error),
                    }
                }
            }
            To::Udp(to) => {
                let (mut at, mut stopped) = (0, false);
                while at < batch.len() {
                    match self.send_some(*to, &batch[at..], tally) {
                        Ok(sent) => {
                            if std::mem::replace(&mut stopped, sent.stopped) {
                                self.note_refusal(tally);
                            }
                            at += sent.count;
                        }
                        Err(error) => return tally.lose(batch.len() - at, &error),
                    }
                }
            }
        }
    }

    /// Hands at least one line to the kernel.
    fn send_some(&self, to: SocketAddr, batch: &[&[u8]], tally: &Tally) -> io::Result<Sent> {
        self.connect(to, tally)?;
        // Each error is that of a line before, and told once: after as many as there are lines
        // something else is wrong.
        for _ in 0..=BATCH {
            let sent = match batch {
                [line, rest @ ..] if rest.is_empty() || self.refused.load(Relaxed) => {
                    self.send_one(line)
                }
                _ => self.send_many(batch),
            };
            match sent {
                Ok(sent) => {
                    tally.take(sent.count);
                    return Ok(sent);
                }
                Err(Errno::INTR) => {}
                Err(Errno::CONNREFUSED) => self.note_refusal(tally),
                Err(error @ (Errno::AGAIN | Errno::NOBUFS)) => return Err(error.into()),
                Err(error) => {
                    // The route or our address is gone: anew, with what there is then.
                    self.connected.store(false, Relaxed);
                    self.rest();
                    return Err(error.into());
                }
            }
        }
        Err(Errno::CONNREFUSED.into())
    }

    /// One line that the kernel had taken came back.
    fn note_refusal(&self, tally: &Tally) {
        self.refused.store(true, Relaxed);
        tally.lose(1, &Errno::CONNREFUSED.into());
    }

    fn rest(&self) {
        let until = sys::clock::now() + REST;
        self.rest_until.store(until.as_nanos(), Relaxed);
    }

    fn connect(&self, to: SocketAddr, tally: &Tally) -> io::Result<()> {
        if self.connected.load(Relaxed) {
            return Ok(());
        }
        if sys::clock::now().as_nanos() < self.rest_until.load(Relaxed) {
            return Err(tally.error().unwrap_or_else(|| Errno::HOSTUNREACH.into()));
        }
        if let Err(error) = rustix::net::connect(&self.socket, &to) {
            self.rest();
            return Err(error.into());
        }
        self.connected.store(true, Relaxed);
        Ok(())
    }

    fn listen(&self, tally: &Tally) {
        if !self.connected.load(Relaxed) {
            return;
        }
        match rustix::net::sockopt::socket_error(&self.socket) {
            Ok(Err(Errno::CONNREFUSED)) => self.note_refusal(tally),
            // A whole second without one.
            Ok(_) | Err(_) => self.refused.store(false, Relaxed),
        }
    }

    fn send_one(&self, line: &[u8]) -> rustix::io::Result<Sent> {
        rustix::net::send(&self.socket, line, SendFlags::NOSIGNAL)?;
        Ok(Sent { count: 1, stopped: false })
    }

    fn send_many(&self, batch: &[&[u8]]) -> rustix::io::Result<Sent> {
        debug_assert!(batch.len() <= BATCH, "the logger flushes a full batch");
        let slices: Vec<[IoSlice<'_>; 1]> = batch.iter().map(|line| [IoSlice::new(line)]).collect();
        let mut nothing: Vec<_> = batch.iter().map(|_| SendAncillaryBuffer::default()).collect();
        let mut messages: Vec<MMsgHdr<'_>> =
            slices.iter().zip(&mut nothing).map(|(line, none)| MMsgHdr::new(line, none)).collect();
        let count = rustix::net::sendmmsg(&self.socket, &mut messages, SendFlags::NOSIGNAL)?;
        let stopped = count < batch.len();
        if stopped {
            self.refused.store(true, Relaxed);
        }
        Ok(Sent { count, stopped })
    }
}
