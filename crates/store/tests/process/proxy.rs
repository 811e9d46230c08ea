//! The connections from one node to another, which can be cut, also one way: bytes vanish, connections stay.
//! Nobody comes through anew where either way is cut, as no handshake does.

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
    cut: Arc<Cut>,
}

/// What goes there, and what comes back.
#[derive(Default)]
struct Cut {
    there: AtomicBool,
    back: AtomicBool,
}

impl Proxy {
    /// There; port 0 is any.
    pub(crate) fn at(address: (Ipv4Addr, u16)) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (leads, cut) = (Arc::new(AtomicU16::new(0)), Arc::<Cut>::default());
        let (to, severed) = (Arc::clone(&leads), Arc::clone(&cut));
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let port = to.load(Ordering::SeqCst);
                let is_cut =
                    severed.there.load(Ordering::SeqCst) || severed.back.load(Ordering::SeqCst);
                if port == 0 || is_cut {
                    continue;
                }
                let Ok(far) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                drop((near.set_nodelay(true), far.set_nodelay(true)));
                for (from, into, back) in [(&near, &far, false), (&far, &near, true)] {
                    let (Ok(from), Ok(into)) = (from.try_clone(), into.try_clone()) else {
                        continue;
                    };
                    let severed = Arc::clone(&severed);
                    std::thread::spawn(move || {
                        pump(from, into, if back { &severed.back } else { &severed.there });
                    });
                }
            }
        });
        Self { port, leads, cut }
    }

    pub(crate) fn lead_to(&self, port: u16) {
        self.leads.store(port, Ordering::SeqCst);
    }

    /// What goes there, and what comes back.
    pub(crate) fn cut(&self, there: bool, back: bool) {
        self.cut.there.store(there, Ordering::SeqCst);
        self.cut.back.store(back, Ordering::SeqCst);
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
