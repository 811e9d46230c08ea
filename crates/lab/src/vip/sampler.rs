//! Who answers for the virtual IP, asked each millisecond from a port of its own on the management switch: everybody by one
//! ARP request, and each node by a SYN to its hardware address.
//!
//! A question names itself: the ARP request by the address that asks, the SYN by its port. Those addresses are nobody's, so
//! that no kernel beside this thread takes part in what is said.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use base::Time;
use sys::poll::{Interest, Poller};
use sys::{arp, syn};

use super::seen::{Asked, Way};
use crate::watch::Mac;

/// Between two questions.
pub(crate) const EVERY: Duration = Duration::from_millis(1);
/// Addresses that ask by ARP, in turn: an answer names its question if it comes within so many milliseconds. All namespaces
/// share one table of neighbours: those of three nodes have to fit beside those of the watcher.
const SENDERS: u8 = 97;
const FIRST_SENDER: u8 = 103;
/// What comes later says nothing.
const IN_TIME: Duration = Duration::from_millis(90);
/// Ports that ask, in turn: half a minute of them.
const PORTS: u16 = 30_000;
const FIRST_PORT: u16 = 20_000;
/// Below the vip process, above all that is ordinary and the client.
const PRIORITY: u8 = 21;
/// Remembered questions: five minutes.
const MOST: usize = 300_000;
/// Questions that one node alone has to have answered to be the holder.
const SETTLED: usize = 20;

#[derive(Debug)]
struct Shared {
    stop: AtomicBool,
    asked: Mutex<Vec<Asked>>,
    /// Hardware addresses of the nodes that are on.
    nodes: Mutex<Vec<Mac>>,
}

/// Asks until it is dropped.
#[derive(Debug)]
pub(crate) struct Sampler {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Sampler {
    /// Starts asking for a port of an address, by `eth0` of a namespace.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(crate) fn start(
        netns: BorrowedFd<'_>,
        to: SocketAddrV4,
        realtime: bool,
    ) -> io::Result<Self> {
        let netns = netns.try_clone_to_owned()?;
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            asked: Mutex::default(),
            nodes: Mutex::default(),
        });
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("sampler".into()).spawn(move || {
            sys::netns::enter(netns.as_fd())?;
            if realtime {
                sys::schedule::realtime(PRIORITY)?;
            }
            Asking::new(theirs, to)?.run()
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Whom to ask by a SYN from now on.
    pub(crate) fn set_nodes(&self, nodes: Vec<Mac>) {
        *lock(&self.shared.nodes) = nodes;
    }

    /// All that was asked since it was called last, with the answers so far.
    #[must_use]
    pub(crate) fn take(&self) -> Vec<Asked> {
        std::mem::take(&mut *lock(&self.shared.asked))
    }

    /// The only node that answered the last questions, all of them but those whose answers may be on their way.
    #[must_use]
    pub(crate) fn holder(&self) -> Option<Mac> {
        let asked = lock(&self.shared.asked);
        let settled = asked.len().checked_sub(2)?;
        let recent = &asked[settled.checked_sub(SETTLED)?..settled];
        let holder = recent[0].first()?;
        recent.iter().all(|asked| asked.only(holder)).then_some(holder)
    }

    #[must_use]
    pub(crate) fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether it was sent; not, when the socket or the device had no room for it.
fn unless_full(sent: io::Result<()>) -> io::Result<bool> {
    const NO_ROOM: i32 = 105;
    match sent {
        Ok(()) => Ok(true),
        Err(error)
            if error.kind() == io::ErrorKind::WouldBlock
                || error.raw_os_error() == Some(NO_ROOM) =>
        {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// What the thread has.
struct Asking {
    shared: Arc<Shared>,
    arp: arp::Socket,
    syn: syn::Socket,
    to: SocketAddrV4,
    /// Moments of the questions, by the address and by the port that asked.
    senders: [Option<Time>; SENDERS as usize],
    ports: Vec<Option<Time>>,
    number: usize,
}

impl Asking {
    fn new(shared: Arc<Shared>, to: SocketAddrV4) -> io::Result<Self> {
        Ok(Self {
            shared,
            arp: arp::Socket::open_to_hear("eth0")?,
            syn: syn::Socket::open("eth0")?,
            to,
            senders: [None; SENDERS as usize],
            ports: vec![None; usize::from(PORTS)],
            number: 0,
        })
    }

    fn run(mut self) -> io::Result<()> {
        let poller = Poller::new()?;
        poller.add(self.arp.as_fd(), 0, Interest::READ)?;
        poller.add(self.syn.as_fd(), 1, Interest::READ)?;
        let (mut ready, mut due) = (Vec::with_capacity(2), sys::clock::now());
        while !self.shared.stop.load(Ordering::Relaxed) {
            let now = sys::clock::now();
            if now >= due {
                self.ask(now)?;
                // A thread that comes late asks once and goes on: it never asks twice for one moment.
                due = if now.since(due) < EVERY { due + EVERY } else { now + EVERY };
            }
            poller.wait(&mut ready, Some(due.since(sys::clock::now())))?;
            self.hear_arp()?;
            self.hear_syn()?;
        }
        Ok(())
    }

    fn ask(&mut self, now: Time) -> io::Result<()> {
        self.number += 1;
        let sender = self.number % usize::from(SENDERS);
        let port = self.number % usize::from(PORTS);
        (self.senders[sender], self.ports[port]) = (Some(now), Some(now));
        // What could not be asked, on a machine that stood still, was no question.
        if !unless_full(self.send(sender, port))? {
            return Ok(());
        }
        let mut asked = lock(&self.shared.asked);
        if asked.len() >= MOST {
            asked.drain(..MOST / 2);
        }
        asked.push(Asked { at: now, answers: vec![] });
        Ok(())
    }

    fn send(&self, sender: usize, port: usize) -> io::Result<()> {
        let sender = u8::try_from(sender).unwrap_or(0);
        self.arp.probe(self.sender(sender), *self.to.ip())?;
        let port = u16::try_from(port).unwrap_or(0) + FIRST_PORT;
        let from = SocketAddrV4::new(self.sender(0), port);
        let nodes = lock(&self.shared.nodes);
        nodes.iter().try_for_each(|mac| self.syn.ask(*mac, from, self.to))
    }

    fn sender(&self, number: u8) -> Ipv4Addr {
        let [a, b, c, _] = self.to.ip().octets();
        Ipv4Addr::new(a, b, c, FIRST_SENDER + number)
    }

    fn hear_arp(&self) -> io::Result<()> {
        while let Ok(heard) = self.arp.receive() {
            let number = heard.target.octets()[3].wrapping_sub(FIRST_SENDER);
            let own = number < SENDERS && heard.target == self.sender(number);
            if !own {
                continue;
            }
            if !heard.reply {
                // A kernel that answered a SYN asks whether this one is still here.
                unless_full(self.arp.answer(heard.target, &heard))?;
            } else if heard.sender == *self.to.ip() {
                self.note(Way::Arp, self.senders[usize::from(number)], heard.sender_mac);
            }
        }
        Ok(())
    }

    fn hear_syn(&self) -> io::Result<()> {
        while let Ok(heard) = self.syn.receive() {
            if heard.from != self.to || *heard.to.ip() != self.sender(0) {
                continue;
            }
            if heard.open {
                unless_full(self.syn.refuse(&heard))?;
            }
            let port = usize::from(heard.to.port().wrapping_sub(FIRST_PORT));
            self.note(Way::Syn, self.ports.get(port).copied().flatten(), heard.mac);
        }
        Ok(())
    }

    fn note(&self, way: Way, asked: Option<Time>, mac: Mac) {
        let Some(at) = asked else { return };
        let after = sys::clock::now().since(at);
        if after > IN_TIME {
            return;
        }
        let mut all = lock(&self.shared.asked);
        let question = all.iter_mut().rev().take_while(|asked| asked.at >= at).last();
        if let Some(question) = question.filter(|asked| asked.at == at) {
            question.hear(way, mac, after);
        }
    }
}
