//! Listening sockets: bound once by the supervisor, held over every death and reload of a proxy.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use api::SocketName;
use config::haproxy::{BindAddress, Haproxy, ProxyKind, StatsSocket};
use engine::role::Kind;

use super::dashboard::Dashboard;
use crate::services::USER;

/// Connections that may wait in the kernel for a proxy that is being replaced. The kernel cuts it to
/// `net.core.somaxconn` (4096).
const BACKLOG: u32 = 4096;
/// Descriptors that one message can carry (the kernel's limit is 253, texts come along).
const MAX_SOCKETS: usize = 240;

/// The sockets of one configuration.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sockets {
    /// Whether another process may bind the same addresses.
    shared: bool,
    listed: Vec<(SocketName, Arc<OwnedFd>)>,
    by_address: HashMap<(BindAddress, Option<String>), Arc<OwnedFd>>,
    pub(crate) dashboard: Dashboard,
}

/// Why a configuration's sockets cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    #[error("proxy {proxy}: cannot listen on {address}{hint}")]
    Bind {
        proxy: String,
        address: String,
        hint: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("cannot make the stats socket {address}{hint}")]
    Stats {
        address: String,
        hint: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("cannot show the dashboard on {address}{hint}")]
    Dashboard {
        address: SocketAddr,
        hint: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("{0} listening addresses; more than {MAX_SOCKETS} are not handed over yet")]
    Many(usize),
}

impl Sockets {
    /// Nothing is held yet; `shared`: another process may bind the same addresses.
    pub(crate) fn none(shared: bool) -> Self {
        Self { shared, ..Self::default() }
    }

    /// Binds what `before` does not hold already; nothing is closed if something fails. `numbers`:
    /// where the dashboard asks the proxy.
    pub(crate) fn bind(
        config: &Haproxy,
        numbers: Option<&Path>,
        before: &Self,
    ) -> Result<Self, SocketError> {
        let mut sockets = Self { shared: before.shared, ..Self::default() };
        for proxy in config.proxies.iter().filter(|proxy| !proxy.disabled) {
            if proxy.kind == ProxyKind::Backend {
                continue;
            }
            for (index, bind) in proxy.binds.iter().enumerate() {
                let index = u16::try_from(index).unwrap_or(u16::MAX);
                let name = SocketName::Bind { proxy: proxy.name.clone(), index };
                let backlog = bind.backlog.unwrap_or(BACKLOG);
                let interface = bind.interface.clone();
                let socket =
                    before.or_listen(&bind.address, interface, backlog).map_err(|source| {
                        SocketError::Bind {
                            proxy: proxy.name.clone(),
                            address: shown(&bind.address),
                            hint: hint(&source),
                            source,
                        }
                    })?;
                sockets.add(name, bind.address.clone(), bind.interface.clone(), socket);
            }
        }
        for (index, stats) in config.global.stats_sockets.iter().enumerate() {
            let index = u16::try_from(index).unwrap_or(u16::MAX);
            let socket = before.or_stats(stats).map_err(|source| SocketError::Stats {
                address: shown(&stats.address),
                hint: hint(&source),
                source,
            })?;
            sockets.add(SocketName::Stats { index }, stats.address.clone(), None, socket);
        }
        if let Some(path) = numbers {
            sockets.add_numbers(path, config.global.stats_sockets.len(), before)?;
        }
        if sockets.listed.len() > MAX_SOCKETS {
            return Err(SocketError::Many(sockets.listed.len()));
        }
        Ok(sockets)
    }

    /// Beyond those of the file, so it may only ask; whoever is root or the dashboard may.
    fn add_numbers(&mut self, path: &Path, index: usize, before: &Self) -> Result<(), SocketError> {
        let address = BindAddress::Unix(path.to_owned());
        let key = (address.clone(), None);
        if self.by_address.contains_key(&key) {
            return Ok(());
        }
        let made = match before.by_address.get(&key) {
            Some(held) => Ok(Arc::clone(held)),
            None => sys::socket::listen_unix(path, Some(0o600)).map(Arc::new),
        };
        let socket = made.map_err(|source| SocketError::Stats {
            address: shown(&address),
            hint: hint(&source),
            source,
        })?;
        if let Some((user, _)) = sys::rights::user(USER) {
            // Fails where this process is no root: then the dashboard is the same user.
            let _ = std::os::unix::fs::chown(path, Some(user), None);
        }
        let index = u16::try_from(index).unwrap_or(u16::MAX);
        self.add(SocketName::Stats { index }, address, None, socket);
        Ok(())
    }

    fn add(
        &mut self,
        name: SocketName,
        address: BindAddress,
        interface: Option<String>,
        socket: Arc<OwnedFd>,
    ) {
        self.listed.push((name, Arc::clone(&socket)));
        self.by_address.insert((address, interface), socket);
    }

    fn or_listen(
        &self,
        address: &BindAddress,
        interface: Option<String>,
        backlog: u32,
    ) -> io::Result<Arc<OwnedFd>> {
        let key = (address.clone(), interface);
        if let Some(held) = self.by_address.get(&key) {
            return Ok(Arc::clone(held));
        }
        let (_, interface) = key;
        let socket = match address {
            BindAddress::Tcp(address) => {
                let options = sys::socket::Listen {
                    backlog,
                    transparent: true,
                    // As HAProxy, so that `-sf` can bind beside the one it replaces.
                    reuse_port: self.shared,
                    interface,
                };
                sys::socket::listen_tcp(*address, &options)?
            }
            BindAddress::Unix(path) => sys::socket::listen_unix(path, None)?,
            BindAddress::Descriptor(number) => sys::socket::inherited(*number)?,
        };
        Ok(Arc::new(socket))
    }

    fn or_stats(&self, stats: &StatsSocket) -> io::Result<Arc<OwnedFd>> {
        let BindAddress::Unix(path) = &stats.address else {
            return self.or_listen(&stats.address, None, BACKLOG);
        };
        if let Some(held) = self.by_address.get(&(stats.address.clone(), None)) {
            return Ok(Arc::clone(held));
        }
        let socket = sys::socket::listen_unix(path, stats.mode)?;
        let user = stats.user.as_deref().map(|name| known(sys::rights::user(name), name));
        let group = stats.group.as_deref().map(|name| known(sys::rights::group(name), name));
        if user.is_some() || group.is_some() {
            let user = user.transpose()?.map(|(user, _)| user);
            std::os::unix::fs::chown(path, user, group.transpose()?)?;
        }
        Ok(Arc::new(socket))
    }

    /// What a process of this kind listens on.
    pub(crate) fn of(&self, kind: Kind) -> &[(SocketName, Arc<OwnedFd>)] {
        match kind {
            Kind::Proxy => &self.listed,
            Kind::Services => self.dashboard.sockets(),
            Kind::Vip | Kind::Agent | Kind::Store => &[],
        }
    }
}

fn known<T>(found: Option<T>, name: &str) -> io::Result<T> {
    found.ok_or_else(|| io::Error::other(format!("there is no `{name}` on this machine")))
}

fn shown(address: &BindAddress) -> String {
    match address {
        BindAddress::Tcp(address) => address.to_string(),
        BindAddress::Unix(path) => path.display().to_string(),
        BindAddress::Descriptor(number) => format!("fd@{number}"),
    }
}

pub(super) fn hint(error: &io::Error) -> &'static str {
    #[expect(clippy::wildcard_enum_match_arm, reason = "std's kinds are many and may grow")]
    match error.kind() {
        io::ErrorKind::AddrInUse => ": another program listens there (`ss -ltnp` says which)",
        io::ErrorKind::PermissionDenied => {
            ": ports below 1024 need root or the capability CAP_NET_BIND_SERVICE"
        }
        io::ErrorKind::AddrNotAvailable => {
            ": the address is not on this machine and the kernel refuses to bind it all the same \
             (net.ipv4.ip_nonlocal_bind)"
        }
        _ => "",
    }
}
