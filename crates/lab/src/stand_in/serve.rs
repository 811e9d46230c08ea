//! The loop that both stand-ins share: accept, read, answer, and vanish on a signal.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

use sys::poll::{Interest, Poller};
use sys::signal::{SIGTERM, SIGUSR1, SIGUSR2, Signals};
use sys::socket::{Listen, accept, listen_tcp};

/// Connections of one stand-in at once; more wait in the kernel's queue.
const MOST_CONNECTIONS: usize = 4096;
/// Connections the kernel holds while the process is frozen.
const BACKLOG: u32 = 4096;
/// Answers not yet taken by the other side (bytes): more than any reader that is alive leaves.
const MOST_UNSENT: usize = 256 * 1024;
const SIGNAL: u64 = u64::MAX;

/// One connection's side of the protocol.
pub(super) trait Protocol {
    /// Sent as soon as the connection is there.
    fn opening(&mut self) -> Vec<u8>;
    /// Takes whole questions out of `received` and appends answers to `out`; false ends the
    /// connection after the answers.
    fn answer(&mut self, received: &mut Vec<u8>, out: &mut Vec<u8>) -> bool;
}

struct Connection<P> {
    fd: OwnedFd,
    protocol: P,
    received: Vec<u8>,
    out: Vec<u8>,
    last: bool,
}

struct Server<P, F> {
    poller: Poller,
    listeners: Vec<OwnedFd>,
    connections: Vec<Option<Connection<P>>>,
    begin: F,
}

/// Serves `addresses` until SIGTERM.
pub(super) fn serve<P: Protocol, F: FnMut() -> P>(
    addresses: &[SocketAddr],
    begin: F,
) -> io::Result<()> {
    let signals = Signals::new(&[SIGUSR1, SIGUSR2, SIGTERM])?;
    let options =
        Listen { backlog: BACKLOG, transparent: true, reuse_port: false, interface: None };
    let listeners = addresses
        .iter()
        .map(|address| listen_tcp(*address, &options))
        .collect::<io::Result<Vec<OwnedFd>>>()?;
    let poller = Poller::new()?;
    poller.add(signals.as_fd(), SIGNAL, Interest::READ)?;
    for (token, listener) in listeners.iter().enumerate() {
        poller.add(listener.as_fd(), index(token), Interest::READ)?;
    }
    let mut server = Server { poller, listeners, connections: Vec::new(), begin };
    let mut ready = Vec::with_capacity(256);
    loop {
        server.poller.wait(&mut ready, None)?;
        for event in &ready {
            if event.token != SIGNAL {
                server.advance(usize::try_from(event.token).unwrap_or(usize::MAX));
                continue;
            }
            while let Some(signal) = signals.read() {
                match signal {
                    SIGUSR1 => server.vanish()?,
                    SIGUSR2 => server.reappear()?,
                    _ => return Ok(()),
                }
            }
        }
    }
}

fn index(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(SIGNAL)
}

impl<P: Protocol, F: FnMut() -> P> Server<P, F> {
    fn advance(&mut self, token: usize) {
        let Some(slot) = token.checked_sub(self.listeners.len()) else {
            self.accept_all(token);
            return;
        };
        let Some(Some(connection)) = self.connections.get_mut(slot) else { return };
        if !connection.advance() {
            self.connections[slot] = None;
        }
    }

    fn accept_all(&mut self, listener: usize) {
        while let Ok((fd, _)) = accept(self.listeners[listener].as_fd()) {
            let slot = self.connections.iter().position(Option::is_none);
            let slot = slot.unwrap_or(self.connections.len());
            if slot >= MOST_CONNECTIONS {
                return;
            }
            let token = index(self.listeners.len() + slot);
            let interest = Interest::READ | Interest::WRITE | Interest::EDGE;
            if self.poller.add(fd.as_fd(), token, interest).is_err() {
                continue;
            }
            let mut protocol = (self.begin)();
            let out = protocol.opening();
            let mut connection =
                Connection { fd, protocol, received: Vec::new(), out, last: false };
            let connection = connection.advance().then_some(connection);
            if slot == self.connections.len() {
                self.connections.push(connection);
            } else {
                self.connections[slot] = connection;
            }
        }
    }

    /// Nothing that arrives is heard any more, and nothing is said.
    fn vanish(&mut self) -> io::Result<()> {
        for listener in &self.listeners {
            sys::silence::drop_arriving(listener.as_fd())?;
        }
        for connection in self.connections.iter().flatten() {
            sys::silence::drop_arriving(connection.fd.as_fd())?;
            self.poller.remove(connection.fd.as_fd())?;
        }
        Ok(())
    }

    fn reappear(&mut self) -> io::Result<()> {
        for connection in self.connections.drain(..).flatten() {
            sys::socket::reset_on_close(connection.fd.as_fd())?;
        }
        self.listeners.iter().try_for_each(|listener| sys::silence::hear_again(listener.as_fd()))
    }
}

impl<P: Protocol> Connection<P> {
    /// False: over.
    fn advance(&mut self) -> bool {
        let mut bytes = [0; 4096];
        loop {
            match sys::socket::receive(self.fd.as_fd(), &mut bytes) {
                Ok(0) => self.last = true,
                Ok(count) => {
                    self.received.extend_from_slice(&bytes[..count]);
                    self.last |= !self.protocol.answer(&mut self.received, &mut self.out);
                    if self.last || self.out.len() > MOST_UNSENT {
                        break;
                    }
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return false,
            }
            break;
        }
        while !self.out.is_empty() {
            match sys::socket::send(self.fd.as_fd(), &self.out, false) {
                Ok(count) => drop(self.out.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return self.out.len() <= MOST_UNSENT;
                }
                Err(_) => return false,
            }
        }
        !self.last
    }
}
