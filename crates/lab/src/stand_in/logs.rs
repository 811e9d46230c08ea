//! A log server that reads every line and keeps none: what the balancers send is taken, so that
//! lost lines are told only where something is lost.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;

use sys::poll::{Interest, Poller};
use sys::signal::{SIGTERM, Signals};

/// What is longer is cut: nothing is kept. The kernel bounds what waits.
const LINE: usize = 2048;
/// Lines read before the signal is looked at again.
const AT_ONCE: usize = 256;
const SIGNAL: u64 = u64::MAX;

/// Takes lines on `addresses` until SIGTERM.
pub(crate) fn run(addresses: &[SocketAddr]) -> io::Result<()> {
    let signals = Signals::new(&[SIGTERM])?;
    let sockets = addresses.iter().map(bind).collect::<io::Result<Vec<UdpSocket>>>()?;
    let poller = Poller::new()?;
    poller.add(signals.as_fd(), SIGNAL, Interest::READ)?;
    for (token, socket) in (0..).zip(&sockets) {
        poller.add(socket.as_fd(), token, Interest::READ)?;
    }
    let mut ready = Vec::with_capacity(sockets.len() + 1);
    loop {
        poller.wait(&mut ready, None)?;
        for event in &ready {
            if event.token == SIGNAL {
                return Ok(());
            }
            let socket = usize::try_from(event.token).ok().and_then(|at| sockets.get(at));
            if let Some(socket) = socket {
                take(socket);
            }
        }
    }
}

fn bind(address: &SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Reads what waits; how many lines that were.
fn take(socket: &UdpSocket) -> usize {
    let mut line = [0; LINE];
    (0..AT_ONCE).take_while(|_| socket.recv(&mut line).is_ok()).count()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::wait;

    #[test]
    fn lines_for_the_log_server_of_the_demo_are_read_and_dropped() {
        let socket = bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
        let balancer = UdpSocket::bind("127.0.0.1:0").unwrap();
        balancer.connect(socket.local_addr().unwrap()).unwrap();
        for _ in 0..3 {
            balancer.send(b"<142>a line").unwrap();
        }
        let mut taken = 0;
        assert!(wait::until(Duration::from_secs(10), || {
            taken += take(&socket);
            taken == 3
        }));
        assert_eq!(take(&socket), 0, "nothing waits any more");
    }
}
