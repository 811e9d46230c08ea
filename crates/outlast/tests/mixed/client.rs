//! Who uses the address: asks it all the time, and hears who says that it has it.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use base::Time;
use sys::arp;

use crate::group::VIP;
use crate::member::DEVICE;

/// Nobody listens there, so who has the address refuses, and who does not is silent.
const PORT: u16 = 9;
const LIMIT: Duration = Duration::from_millis(300);
const EVERY: Duration = Duration::from_millis(30);

#[derive(Debug)]
pub(crate) struct Client {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    ear: arp::Socket,
    /// Of the last gratuitous ARP.
    pub(crate) told: Option<[u8; 6]>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    /// When a question began, and whether it was answered.
    samples: Mutex<Vec<(Time, bool)>>,
}

impl Client {
    pub(crate) fn start(netns: OwnedFd) -> Self {
        let listen = || arp::Socket::open_to_hear(DEVICE);
        let ear = sys::netns::within(netns.as_fd(), listen).expect("a namespace");
        let shared = Arc::<Shared>::default();
        let theirs = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            sys::netns::enter(netns.as_fd()).expect("a namespace");
            while !theirs.stop.load(Ordering::Relaxed) {
                let began = sys::clock::now();
                let asked = TcpStream::connect_timeout(&SocketAddr::from((VIP, PORT)), LIMIT);
                let refused =
                    asked.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused);
                theirs.samples.lock().expect("nobody panics here").push((began, refused));
                thread::sleep(EVERY);
            }
        });
        let ear = ear.expect("a client hears ARP");
        Self { shared, thread: Some(thread), ear, told: None }
    }

    /// Reads what was said since the last call.
    pub(crate) fn listen(&mut self) {
        while let Ok(heard) = self.ear.receive() {
            if heard.sender == VIP && heard.target == VIP {
                self.told = Some(heard.sender_mac);
            }
        }
    }

    /// Questions that began in this time: answered, not answered.
    pub(crate) fn asked(&self, from: Time, to: Time) -> (usize, usize) {
        let samples = self.shared.samples.lock().expect("nobody panics here");
        let within = samples.iter().filter(|(at, _)| (from..to).contains(at));
        let answered = within.clone().filter(|(_, answered)| *answered).count();
        (answered, within.count() - answered)
    }

    /// The last question was answered, and it began after `from`.
    pub(crate) fn is_served_since(&self, from: Time) -> bool {
        let samples = self.shared.samples.lock().expect("nobody panics here");
        samples.last().is_some_and(|(at, answered)| *answered && *at > from)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}
