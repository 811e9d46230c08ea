//! Doors to the dashboards: sockets on the machine's own loopback, opened before the demo went into
//! namespaces of its own, whose connections are passed on to a node's dashboard.

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use config::cluster::Dashboard;

/// Ports tried from the dashboard's own upwards: other demos may run.
const MOST_TRIED: u16 = 100;
/// Connections through one door at once: a few browsers, each with a stream of events.
const MOST_CONNECTIONS: usize = 32;
/// A node that does not accept in this time has no dashboard now.
const PATIENCE: Duration = Duration::from_secs(1);
/// Of the two threads of a connection; they only copy.
const STACK: usize = 128 * 1024;
/// Between two tries to accept while the kernel refuses.
const AFTER_REFUSAL: Duration = Duration::from_millis(100);

/// The network of a node at this moment, if it is on.
pub(super) type Networks = Arc<dyn Fn(usize) -> Option<OwnedFd> + Send + Sync>;

/// One socket per node, in the machine's own network.
#[derive(Debug)]
pub(super) struct Doors {
    listeners: Vec<TcpListener>,
}

impl Doors {
    /// Opens so many, or fewer where no port is free; call it before namespaces are made.
    pub(super) fn open(wanted: u8) -> Self {
        let ports = Dashboard::PORT..Dashboard::PORT.saturating_add(MOST_TRIED);
        let listeners =
            ports.filter_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok());
        Self { listeners: listeners.take(usize::from(wanted)).collect() }
    }

    /// Where a browser of this machine finds the dashboards, by node.
    pub(super) fn addresses(&self) -> Vec<String> {
        let addresses = self.listeners.iter().filter_map(|door| door.local_addr().ok());
        addresses.map(|address| format!("http://{address}/")).collect()
    }

    /// Passes connections on until the process ends; `network` is that of a node at this moment.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(super) fn attend(self, network: &Networks) -> io::Result<()> {
        for (node, listener) in self.listeners.into_iter().enumerate() {
            let network = Arc::clone(network);
            let thread = std::thread::Builder::new().name("door".to_owned());
            thread.spawn(move || accept(&listener, node, &network))?;
        }
        Ok(())
    }
}

fn accept(listener: &TcpListener, node: usize, network: &Networks) {
    let open = Arc::new(AtomicUsize::new(0));
    for browser in listener.incoming() {
        let Ok(browser) = browser else {
            // No descriptor left: they come back when connections end.
            std::thread::sleep(AFTER_REFUSAL);
            continue;
        };
        // A connection too many is closed at once: a browser tries again.
        if open.load(Ordering::Relaxed) >= MOST_CONNECTIONS {
            continue;
        }
        open.fetch_add(1, Ordering::Relaxed);
        let (network, count) = (Arc::clone(network), Arc::clone(&open));
        let spawned = thread().spawn(move || {
            // A node without a dashboard is seen by the browser as a closed connection.
            drop(pass_on(&browser, node, &network));
            count.fetch_sub(1, Ordering::Relaxed);
        });
        if spawned.is_err() {
            open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn thread() -> std::thread::Builder {
    std::thread::Builder::new().name("door".to_owned()).stack_size(STACK)
}

/// Copies both ways until both sides have said all.
fn pass_on(browser: &TcpStream, node: usize, network: &Networks) -> io::Result<()> {
    let network = network(node).ok_or_else(|| io::Error::other("the node is off"))?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, Dashboard::PORT));
    let connect = || TcpStream::connect_timeout(&address, PATIENCE);
    let dashboard = sys::netns::within(network.as_fd(), connect)??;
    drop(network);
    let (from, to) = (browser.try_clone()?, dashboard.try_clone()?);
    let there = thread().spawn(move || copy(&from, &to))?;
    copy(&dashboard, browser);
    // The thread ends with the connections, which both sides have closed.
    drop(there.join());
    Ok(())
}

fn copy(mut from: &TcpStream, mut to: &TcpStream) {
    // Either side may go away at any time; the other one is told by the end of the stream.
    drop(io::copy(&mut from, &mut to));
    drop(to.shutdown(Shutdown::Write));
    drop(from.shutdown(Shutdown::Read));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doors_take_the_next_free_ports() {
        let (first, second) = (Doors::open(3), Doors::open(3));
        let mut all = [first.addresses(), second.addresses()].concat();
        assert_eq!(all.len(), 6);
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 6, "{all:?}");
        assert!(all.iter().all(|url| url.starts_with("http://127.0.0.1:7")), "{all:?}");
    }
}
