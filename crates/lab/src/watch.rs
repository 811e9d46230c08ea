//! Who answers for the virtual IP, asked from a port of its own on the management switch, and
//! whether this machine was able to measure at all.
//!
//! Every probe is an ARP request with another sender address, so that an answer names its probe:
//! two nodes that answer one probe are two holders. The probes come from a namespace that nothing
//! else uses, so they refresh no cache of the client.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use base::Time;
use sys::arp::Socket;
use sys::poll::{Interest, Poller};

/// Time between two probes.
pub(crate) const PROBE_EVERY: Duration = Duration::from_millis(10);
/// Sender addresses in turn: an answer later than 50 probes (500 ms) would be taken for another's.
const SENDERS: u8 = 50;
const FIRST_SENDER: u8 = 201;
/// A node that answers later may have got the question after the address had moved to it: busy
/// processors deliver broadcasts one after the other.
const AT_ONCE: Duration = Duration::from_millis(2);
const PRIORITY: u8 = 19;
/// Probes that say who holds the address at the end: 200 ms.
const LAST_PROBES: usize = 20;

/// Remembered probes: ten minutes, longer than any scenario.
const MOST_PROBES: usize = 60_000;

pub(crate) type Mac = [u8; 6];

/// One probe and the nodes that answered it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Probe {
    pub(crate) at: Time,
    /// Every node that answered.
    pub(crate) answers: Vec<Mac>,
    /// How many of them answered within [`AT_ONCE`].
    pub(crate) at_once: u32,
}

/// The record of a time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watched {
    pub(crate) probes: Vec<Probe>,
}

impl Watched {
    fn push(&mut self, probe: Probe) {
        if self.probes.len() >= MOST_PROBES {
            self.probes.drain(..MOST_PROBES / 2);
        }
        self.probes.push(probe);
    }

    /// Probes that more than one node answered at once.
    #[must_use]
    pub(crate) fn doubles(&self) -> u32 {
        count(self.probes.iter().filter(|p| p.at_once > 1))
    }

    /// How often another node answered than the one before.
    #[must_use]
    pub(crate) fn moves(&self) -> u32 {
        let single = self.probes.iter().filter(|p| p.answers.len() == 1);
        let holders: Vec<Mac> = single.map(|p| p.answers[0]).collect();
        count(holders.windows(2).filter(|pair| pair[0] != pair[1]))
    }

    /// Nodes that answered one of the last probes.
    #[must_use]
    pub(crate) fn holders_at_the_end(&self) -> u32 {
        let last = self.probes.len().saturating_sub(LAST_PROBES);
        let mut macs: Vec<&Mac> = self.probes[last..].iter().flat_map(|p| &p.answers).collect();
        macs.sort_unstable();
        macs.dedup();
        count(macs.iter())
    }

    /// The only node that answered the last probes, all of them but the very last, whose answers
    /// may be on their way.
    #[must_use]
    pub(crate) fn holder(&self) -> Option<Mac> {
        let settled = self.probes.len().checked_sub(1)?;
        let first = settled.checked_sub(LAST_PROBES)?;
        let [holder] = self.probes[first].answers[..] else { return None };
        self.probes[first..settled].iter().all(|p| p.answers == [holder]).then_some(holder)
    }
}

fn count<T>(items: impl Iterator<Item = T>) -> u32 {
    u32::try_from(items.count()).unwrap_or(u32::MAX)
}

/// Asks all the time.
#[derive(Debug)]
pub(crate) struct Watch {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    watched: Mutex<Watched>,
}

impl Watch {
    /// Starts asking for `address` on `eth0` of a namespace.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(crate) fn start(
        netns: BorrowedFd<'_>,
        address: Ipv4Addr,
        realtime: bool,
    ) -> io::Result<Self> {
        let netns = netns.try_clone_to_owned()?;
        let shared = Arc::<Shared>::default();
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("watch".into()).spawn(move || {
            sys::netns::enter(netns.as_fd())?;
            if realtime {
                sys::schedule::realtime(PRIORITY)?;
            }
            probe_until_stopped(&theirs, address)
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Forgets what was seen so far.
    pub(crate) fn forget(&self) {
        self.lock().probes.clear();
    }

    #[must_use]
    pub(crate) fn seen(&self) -> Watched {
        self.lock().clone()
    }

    #[must_use]
    pub(crate) fn holder(&self) -> Option<Mac> {
        self.lock().holder()
    }

    /// Probes since a moment that two nodes answered at once.
    #[must_use]
    pub(crate) fn doubles_since(&self, from: Time) -> u32 {
        let watched = self.lock();
        let since = watched.probes.iter().rev().take_while(|probe| probe.at >= from);
        count(since.filter(|probe| probe.at_once > 1))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Watched> {
        self.shared.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn probe_until_stopped(shared: &Shared, address: Ipv4Addr) -> io::Result<()> {
    let socket = Socket::open_to_hear("eth0")?;
    let poller = Poller::new()?;
    poller.add(socket.as_fd(), 0, Interest::READ)?;
    let [a, b, c, _] = address.octets();
    let mut ready = Vec::with_capacity(1);
    let mut due = sys::clock::now();
    let mut sender = 0;
    // Where each sender address stands in the record, so that a late answer finds its probe.
    let mut asked: [Option<Time>; SENDERS as usize] = [None; SENDERS as usize];
    while !shared.stop.load(Ordering::Relaxed) {
        let now = sys::clock::now();
        if now >= due {
            sender = (sender + 1) % SENDERS;
            asked[usize::from(sender)] = Some(now);
            let mut watched = shared.watched.lock().unwrap_or_else(PoisonError::into_inner);
            watched.push(Probe { at: now, ..Probe::default() });
            drop(watched);
            socket.probe(Ipv4Addr::new(a, b, c, FIRST_SENDER + sender), address)?;
            due = now + PROBE_EVERY;
        }
        poller.wait(&mut ready, Some(due.since(sys::clock::now())))?;
        while let Ok(heard) = socket.receive() {
            let number = heard.target.octets()[3].wrapping_sub(FIRST_SENDER);
            let at = asked.get(usize::from(number)).copied().flatten();
            if let (true, true, Some(at)) = (heard.reply, heard.sender == address, at) {
                note(shared, at, heard.sender_mac);
            }
        }
    }
    Ok(())
}

fn note(shared: &Shared, at: Time, mac: Mac) {
    let mut watched = shared.watched.lock().unwrap_or_else(PoisonError::into_inner);
    let probe = watched.probes.iter_mut().rev().find(|p| p.at == at);
    if let Some(probe) = probe.filter(|p| !p.answers.contains(&mac)) {
        probe.answers.push(mac);
        probe.at_once += u32::from(sys::clock::now().since(at) <= AT_ONCE);
    }
}

/// A thread per processor that has nothing to do but wake up every millisecond: when even it comes
/// late, the machine stood still.
#[derive(Debug)]
pub(crate) struct Idle {
    stop: Arc<AtomicBool>,
    worst_ns: Arc<AtomicU64>,
}

impl Idle {
    const EVERY: Duration = Duration::from_millis(1);
    /// Above everything the demo runs.
    const PRIORITY: u8 = 90;

    /// # Errors
    /// When there are no threads to be had.
    pub(crate) fn start(realtime: bool) -> io::Result<Self> {
        let idle = Self { stop: Arc::default(), worst_ns: Arc::default() };
        let processors = std::thread::available_parallelism()?.get();
        for processor in 0..processors {
            let (stop, worst) = (Arc::clone(&idle.stop), Arc::clone(&idle.worst_ns));
            std::thread::Builder::new().name("idle".into()).spawn(move || {
                // Without the right to it the thread measures ordinary lateness, and nobody judges.
                drop(sys::schedule::pin(processor));
                if realtime {
                    drop(sys::schedule::realtime(Self::PRIORITY));
                }
                while !stop.load(Ordering::Relaxed) {
                    let due = sys::clock::now() + Self::EVERY;
                    std::thread::sleep(Self::EVERY);
                    let late = sys::clock::now().since(due).as_nanos();
                    worst.fetch_max(u64::try_from(late).unwrap_or(u64::MAX), Ordering::Relaxed);
                }
            })?;
        }
        Ok(idle)
    }

    /// The longest stall since the last question.
    #[must_use]
    pub(crate) fn take_worst(&self) -> Duration {
        Duration::from_nanos(self.worst_ns.swap(0, Ordering::Relaxed))
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(answers: &[&[u8]]) -> Watched {
        let probe = |macs: &&[u8]| Probe {
            at: Time::ZERO,
            answers: macs.iter().map(|last| [2, 0, 0, 0, 0, *last]).collect(),
            at_once: u32::try_from(macs.len()).unwrap(),
        };
        Watched { probes: answers.iter().map(probe).collect() }
    }

    #[test]
    fn silence_between_two_answers_of_one_node_is_no_move() {
        assert_eq!(watched(&[&[1], &[], &[1], &[2], &[2]]).moves(), 1);
    }

    #[test]
    fn two_answers_to_one_probe_are_two_holders() {
        let seen = watched(&[&[1], &[1, 2], &[2]]);
        assert_eq!((seen.doubles(), seen.moves()), (1, 1));
    }

    #[test]
    fn a_holder_has_answered_for_a_while_and_alone() {
        let mut answers = vec![&[1][..]; LAST_PROBES + 1];
        assert_eq!(watched(&answers).holder(), Some([2, 0, 0, 0, 0, 1]));
        answers[3] = &[1, 2];
        assert_eq!(watched(&answers).holder(), None);
        assert_eq!(watched(&[&[1]]).holder(), None);
    }
}
