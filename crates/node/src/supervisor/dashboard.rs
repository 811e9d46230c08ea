//! The dashboard's listening sockets: held over every death of its process.

use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use api::{Change, DashboardState, Event, Order, SocketName};

use super::Supervisor;
use super::sockets::{SocketError, hint};

/// Browsers that may wait in the kernel while the process is being replaced.
const BACKLOG: u32 = 128;

/// Where the dashboard answers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dashboard {
    addresses: Vec<SocketAddr>,
    sockets: Vec<(SocketName, Arc<OwnedFd>)>,
    /// Elsewhere than on loopback.
    speaks_tls: bool,
    /// Why there is none though nobody said so.
    limit: Option<String>,
}

impl Dashboard {
    /// Binds what `before` does not hold already. A place that the operator did not ask for may be
    /// taken: several nodes of a laptop share it.
    pub(crate) fn bind(
        wanted: &[SocketAddr],
        (is_asked_for, speaks_tls): (bool, bool),
        before: &Self,
    ) -> Result<Self, SocketError> {
        let mut dashboard = Self { speaks_tls, ..Self::default() };
        for (index, address) in (0_u16..).zip(wanted) {
            let listen = sys::socket::Listen { backlog: BACKLOG, ..Default::default() };
            let bound = match before.held(*address) {
                Some(held) => Ok(held),
                None => sys::socket::listen_tcp(*address, &listen).map(Arc::new),
            };
            match bound {
                Ok(socket) => {
                    dashboard.addresses.push(*address);
                    dashboard.sockets.push((SocketName::Dashboard { index }, socket));
                }
                Err(source) if is_asked_for => {
                    let (address, hint) = (*address, hint(&source));
                    return Err(SocketError::Dashboard { address, hint, source });
                }
                Err(error) => {
                    let limit = format!("no dashboard: cannot listen on {address}: {error}");
                    dashboard.limit = Some(limit);
                }
            }
        }
        Ok(dashboard)
    }

    fn held(&self, address: SocketAddr) -> Option<Arc<OwnedFd>> {
        let mut held = self.addresses.iter().zip(&self.sockets);
        held.find(|(held, _)| **held == address).map(|(_, (_, socket))| Arc::clone(socket))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.addresses == other.addresses
    }

    pub(crate) fn sockets(&self) -> &[(SocketName, Arc<OwnedFd>)] {
        &self.sockets
    }

    fn state(&self) -> DashboardState {
        let local = |(_, socket): &(SocketName, Arc<OwnedFd>)| {
            let address = sys::socket::local(socket.as_fd()).ok()?;
            let is_sealed = self.speaks_tls && !address.ip().is_loopback();
            Some(format!("{}://{address}/", if is_sealed { "https" } else { "http" }))
        };
        DashboardState {
            urls: self.sockets.iter().filter_map(local).collect(),
            limit: self.limit.clone(),
        }
    }
}

impl Supervisor {
    /// Says where the dashboard of the configuration in force answers.
    pub(super) fn tell_dashboard(&mut self) {
        let state = self.sockets.dashboard.state();
        if let Some(limit) = &state.limit {
            self.event(Event {
                what: "dashboard-missing".to_owned(),
                object: "process/services".to_owned(),
                evidence: limit.clone(),
                decision: "go on: addresses and balancer do not need it".to_owned(),
                not_done: "say in [dashboard] where it is to listen, or `listen = \"none\"`"
                    .to_owned(),
                ..Event::default()
            });
        }
        let change = Change::Dashboard(state);
        self.facts.learn(&change);
        self.inform_agent(Order::Change(change));
    }
}
