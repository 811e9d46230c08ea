//! One direction between two nodes that can be cut: bytes vanish, connections stay.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::time::Duration;

/// How soon a pump notices a cut.
const LOOK: Duration = Duration::from_millis(20);

pub(crate) struct Proxy {
    pub(crate) port: u16,
    leads: Arc<AtomicU16>,
    cut: Arc<AtomicBool>,
}

impl Proxy {
    /// There; port 0 is any.
    pub(crate) fn at(address: (Ipv4Addr, u16)) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (leads, cut) = (Arc::new(AtomicU16::new(0)), Arc::new(AtomicBool::new(false)));
        let (to, severed) = (Arc::clone(&leads), Arc::clone(&cut));
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let port = to.load(Ordering::SeqCst);
                if port == 0 || severed.load(Ordering::SeqCst) {
                    continue;
                }
                let Ok(far) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                drop((near.set_nodelay(true), far.set_nodelay(true)));
                for (from, into) in [(&near, &far), (&far, &near)] {
                    let (Ok(from), Ok(into)) = (from.try_clone(), into.try_clone()) else {
                        continue;
                    };
                    let severed = Arc::clone(&severed);
                    std::thread::spawn(move || pump(from, into, &severed));
                }
            }
        });
        Self { port, leads, cut }
    }

    pub(crate) fn lead_to(&self, port: u16) {
        self.leads.store(port, Ordering::SeqCst);
    }

    pub(crate) fn cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::SeqCst);
    }
}

fn pump(mut from: TcpStream, mut into: TcpStream, cut: &AtomicBool) {
    drop(from.set_read_timeout(Some(LOOK)));
    let (mut buffer, mut swallowed) = (vec![0; 64 << 10], false);
    loop {
        let is_cut = cut.load(Ordering::SeqCst);
        if swallowed && !is_cut {
            break;
        }
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(_) if is_cut => swallowed = true,
            Ok(length) => {
                if into.write_all(&buffer[..length]).is_err() {
                    break;
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
    }
    drop((from.shutdown(Shutdown::Both), into.shutdown(Shutdown::Both)));
}
