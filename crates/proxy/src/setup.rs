//! From a configuration to running threads.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::JoinHandle;

use api::SocketName;
use config::cluster::Cluster;
use config::haproxy::{Global, Haproxy, ProxyKind};
use sys::channel::Channel;

use crate::control::Control;
use crate::listener::{Door, Listener};
use crate::log::{Logger, Sockets};
use crate::shared::{Letter, Shared};
use crate::view::View;
use crate::worker::Worker;

/// Without `nbthread`: a balancer shares its node with the services, and four threads carry more
/// than the network of such a node.
const MOST_THREADS: usize = 4;

/// Descriptors beside those of sessions: logs, checks, epolls, bells, statistics.
const OTHER_FILES: u64 = 200;

/// Without `maxconn`: sessions that are planned for if the system allows that many files.
const PLANNED_SESSIONS: u32 = 20_000;

/// A client waits for these threads, and for nothing else on this machine: a build, a backup, a log that is compressed may not
/// stand before them. As much as the store has.
const NICE: i32 = -10;

/// Each thread's stack: nothing recurses; the largest frame is one head's headers.
const STACK: usize = 512 * 1024;

/// Everything a proxy process needs.
#[derive(Debug)]
pub struct Setup {
    pub start: api::Start,
    pub config: Haproxy,
    pub cluster: Option<Cluster>,
    pub sockets: Vec<(SocketName, OwnedFd)>,
    /// Open as long as the process lives.
    pub life: Option<OwnedFd>,
    pub channel: Channel,
}

/// Why the proxy cannot run, or not go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot open the sockets of the log")]
    Log(#[source] io::Error),
    #[error("cannot make {0} the root folder")]
    Chroot(String, #[source] io::Error),
    #[error("there is no user or group {0}")]
    Unknown(String),
    #[error("cannot become user {0}, group {1}")]
    Rights(u32, u32, #[source] io::Error),
    #[error("cannot start a data thread")]
    Thread(#[source] io::Error),
    #[error("cannot wait for events")]
    Poll(#[source] io::Error),
}

/// The whole process: returns when the supervisor says so, when it is gone, or when drained.
///
/// # Errors
/// When something that cannot be done without fails.
pub fn run(setup: Setup) -> Result<(), Error> {
    let Setup { start, config, cluster, sockets, life, channel } = setup;
    let maxconn = plan_files(&config, life);
    let workers = config.global.nbthread.map_or_else(threads, usize::from).max(1);
    let now = sys::clock::now();
    let view =
        View::new(config, start.mode, &start.node, workers, maxconn, now, sys::clock::wall_ms());
    let logs = Sockets::open(&view).map_err(Error::Log)?;
    let shared = Shared::new(Arc::clone(&view), start.breaks.clone()).map_err(Error::Poll)?;
    let (listeners, statistics) = sort(&view.config, sockets);
    for listener in &listeners {
        prepare(&view.config, listener);
    }
    if view.adaptive() {
        // Where the kernel does not take it, clients wait as long as the machine is busy.
        let _ = sys::schedule::prompt(NICE, sys::schedule::Heirs::Prompt);
    }
    let limits = drop_rights(&view.config.global)?;
    let mut control = Control::new(&shared, channel, &start, cluster, statistics, &logs)?;
    let threads = (0..workers)
        .map(|index| spawn(index, &shared, &logs, &listeners))
        .collect::<Result<Vec<_>, _>>()?;
    // The workers' copies are all there are: draining closes them.
    drop(listeners);
    control.note_limits(&limits);
    let ended = control.run();
    shared.post_all(&Letter::Stop);
    // A thread that does not hear (frozen, stopped in a debugger) must not keep the process.
    drop(threads);
    ended
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS)
}

fn spawn(
    index: usize,
    shared: &Arc<Shared>,
    logs: &Arc<Sockets>,
    listeners: &[Listener],
) -> Result<JoinHandle<io::Result<()>>, Error> {
    let logger = Logger::new(&shared.view, logs);
    let worker = Worker::new(index, shared, logger, listeners.to_vec()).map_err(Error::Poll)?;
    std::thread::Builder::new()
        .name(format!("worker-{index}"))
        .stack_size(STACK)
        .spawn(move || worker.run())
        .map_err(Error::Thread)
}

/// As many sessions as the file wants, or as the files allow: two descriptors each.
fn plan_files(config: &Haproxy, life: Option<OwnedFd>) -> u32 {
    let wanted = config.global.maxconn.filter(|limit| *limit > 0);
    let files = u64::from(wanted.unwrap_or(PLANNED_SESSIONS)) * 2 + OTHER_FILES;
    let allowed = sys::rights::raise_open_files(files).unwrap_or(1024);
    // Now, while no thread shares the table: a spare that takes over opens all at once what waited for it.
    let _ = sys::rights::make_room_for_files(files.min(allowed));
    if let Some(life) = life {
        // Without it the supervisor learns of the end a little later.
        let _ = sys::rights::keep_as_last(&life, files.min(allowed));
    }
    let fit = u32::try_from(allowed.saturating_sub(OTHER_FILES) / 2).unwrap_or(u32::MAX).max(10);
    wanted.unwrap_or_else(|| fit.min(PLANNED_SESSIONS))
}

/// Listening sockets of proxies, and of the statistics with their rights.
fn sort(
    config: &Haproxy,
    sockets: Vec<(SocketName, OwnedFd)>,
) -> (Vec<Listener>, Vec<(OwnedFd, bool)>) {
    let (mut listeners, mut statistics) = (Vec::new(), Vec::new());
    for (name, fd) in sockets {
        match name {
            SocketName::Bind { proxy, index } => {
                let named = |p: &config::haproxy::Proxy| {
                    p.name == proxy && p.kind != ProxyKind::Backend && !p.disabled
                };
                let Some(front) = config.proxies.iter().position(named) else { continue };
                let bind = config.proxies[front].binds.get(usize::from(index));
                let door = Door::new(front, bind.and_then(|bind| bind.maxconn));
                listeners.push(Listener::new(fd, door));
            }
            SocketName::Stats { index } => {
                let socket = config.global.stats_sockets.get(usize::from(index));
                statistics.push((fd, socket.is_some_and(|socket| socket.admin)));
            }
            // Another process serves it.
            SocketName::Dashboard { .. } => {}
        }
    }
    (listeners, statistics)
}

/// Accepted connections inherit both options: two system calls less for each. A Unix socket has
/// neither.
fn prepare(config: &Haproxy, listener: &Listener) {
    let Some(fd) = listener.fd() else { return };
    drop(sys::socket::no_delay(fd));
    if config.proxies[listener.front()].client_keepalive {
        drop(sys::socket::keep_alive(fd));
    }
}

/// Gives up what the file says; returns what could not be done for want of rights, in words.
fn drop_rights(global: &Global) -> Result<Vec<String>, Error> {
    let mut limits = Vec::new();
    let (uid, gid) = identity(global)?;
    if !sys::rights::is_root() {
        if global.chroot.is_some() || uid.is_some() || gid.is_some() {
            limits.push("chroot, user and group need root: not applied".to_owned());
        }
        return Ok(limits);
    }
    let contained = is_contained();
    if let Some(path) = &global.chroot {
        match sys::rights::chroot(path) {
            Err(error) if contained => limits.push(format!("chroot not applied: {error}")),
            other => other.map_err(|error| Error::Chroot(path.display().to_string(), error))?,
        }
    }
    if uid.is_some() || gid.is_some() {
        let (uid, gid) = (uid.unwrap_or(0), gid.unwrap_or(0));
        match sys::rights::drop_to(uid, gid) {
            Err(error) if contained => limits.push(format!("user not applied: {error}")),
            other => other.map_err(|error| Error::Rights(uid, gid, error))?,
        }
    }
    Ok(limits)
}

fn identity(global: &Global) -> Result<(Option<u32>, Option<u32>), Error> {
    let user = match &global.user {
        Some(name) => Some(sys::rights::user(name).ok_or_else(|| Error::Unknown(name.clone()))?),
        None => None,
    };
    let group = match &global.group {
        Some(name) => Some(sys::rights::group(name).ok_or_else(|| Error::Unknown(name.clone()))?),
        None => None,
    };
    let uid = global.uid.or_else(|| user.map(|(uid, _)| uid));
    Ok((uid, global.gid.or(group).or_else(|| user.map(|(_, gid)| gid))))
}

/// Root of a user namespace: it has the name but not every number.
fn is_contained() -> bool {
    std::fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| {
        let mut words = map.split_whitespace();
        words.nth(2).is_none_or(|count| count != "4294967295")
    })
}
