//! Where lines go: one datagram socket per target, shared by all threads.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use config::haproxy::{LogTarget, LogTo};
use rustix::net::addr::SocketAddrArg;
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags};

use super::{BATCH, Level};
use crate::view::View;

/// Lines that the kernel did not take. One per process: `show info` prints it.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// `DroppedLogs` of `show info`.
pub(crate) fn dropped() -> u64 {
    DROPPED.load(Relaxed)
}

/// All targets of all proxies, each opened once.
#[derive(Debug)]
pub(crate) struct Sockets {
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
}

#[derive(Debug)]
struct Target {
    entry: LogTarget,
    socket: OwnedFd,
    to: To,
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
    pub(crate) fn open(view: &View) -> io::Result<Arc<Self>> {
        // Reads the zone's file while it can still be seen.
        let _ = sys::calendar::local(0);
        let mut targets: Vec<Target> = Vec::new();
        let mut proxies = Vec::new();
        for proxy in &view.config.proxies {
            let mut own = Vec::new();
            for entry in &proxy.logs {
                let known = targets.iter().position(|target| target.entry == *entry);
                own.push(known.unwrap_or(targets.len()));
                if known.is_none() {
                    targets.push(Target::open(entry)?);
                }
            }
            let name = proxy.log_tag.as_ref().or(view.config.global.log_tag.as_ref());
            let name = name.map_or("haproxy", String::as_str);
            let tag = format!("{name}[{}]: ", view.pid).into_bytes();
            proxies.push(Of { targets: own, tag });
        }
        Ok(Arc::new(Self { targets, proxies }))
    }

    pub(super) fn of(&self, proxy: usize) -> &[usize] {
        self.proxies.get(proxy).map_or(&[], |of| &of.targets)
    }

    pub(super) fn tag(&self, proxy: usize) -> &[u8] {
        &self.proxies[proxy].tag
    }

    /// `facility * 8 + severity`; none: this target does not want lines of this level.
    pub(super) fn priority(&self, target: usize, level: Level) -> Option<u8> {
        let entry = &self.targets[target].entry;
        let level = level as u8;
        (level <= entry.level).then(|| entry.facility * 8 + level.max(entry.min_level))
    }

    /// `ends`: of each line, its end in `lines` and its target.
    pub(super) fn send(&self, lines: &[u8], ends: &[(usize, usize)]) {
        for (number, target) in self.targets.iter().enumerate() {
            let mut batch: Vec<&[u8]> = Vec::new();
            let mut start = 0;
            for &(end, of) in ends {
                if of == number {
                    batch.push(&lines[start..end]);
                }
                start = end;
            }
            let sent = target.send(&batch);
            DROPPED.fetch_add(u64::try_from(batch.len() - sent).unwrap_or(0), Relaxed);
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
        Ok(Self { entry: entry.clone(), socket, to })
    }

    /// How many lines the kernel took.
    fn send(&self, batch: &[&[u8]]) -> usize {
        let fd = self.socket.as_fd();
        match (&self.to, batch) {
            (_, []) => 0,
            (To::Unix(path), batch) => batch
                .iter()
                .filter(|line| sys::socket::send_to_unix(fd, line, path).is_ok())
                .count(),
            (To::Udp(to), [line]) => usize::from(sys::socket::send_to(fd, line, *to).is_ok()),
            (To::Udp(to), batch) => self.send_many(*to, batch),
        }
    }

    fn send_many(&self, to: SocketAddr, batch: &[&[u8]]) -> usize {
        debug_assert!(batch.len() <= BATCH, "the logger flushes a full batch");
        let slices: Vec<[IoSlice<'_>; 1]> = batch.iter().map(|line| [IoSlice::new(line)]).collect();
        let mut nothing: Vec<_> = batch.iter().map(|_| SendAncillaryBuffer::default()).collect();
        let to = to.as_any();
        let mut messages: Vec<MMsgHdr<'_>> = slices
            .iter()
            .zip(&mut nothing)
            .map(|(line, none)| MMsgHdr::new_with_addr(&to, line, none))
            .collect();
        rustix::net::sendmmsg(&self.socket, &mut messages, SendFlags::NOSIGNAL).unwrap_or(0)
    }
}
