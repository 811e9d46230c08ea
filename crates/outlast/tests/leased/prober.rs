//! Who answers for an address, asked by ARP each millisecond through a switch of the lab.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use base::Time;
use sys::arp::Socket;
use sys::netlink::Netlink;
use sys::poll::{Interest, Poller};

const EVERY: Duration = Duration::from_millis(1);
/// Each question has another sender, so that an answer names its question, also one that comes 150 ms late.
const SENDERS: u8 = 150;
const FIRST: u8 = 100;
/// Who answers later may have been asked after the address had moved: broadcasts are delivered one after the other.
const AT_ONCE: Duration = Duration::from_millis(1);
/// Questions that one node alone has to have answered to be the holder.
const SETTLED: usize = 20;
/// All of those have to have been asked since then.
const RECENT: Duration = Duration::from_millis(200);
const PRIORITY: u8 = 19;

type Mac = [u8; 6];

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Answer {
    asked: Time,
    at: Time,
    mac: Mac,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    answers: Mutex<Vec<Answer>>,
}

/// Asks until it is dropped.
pub(crate) struct Prober {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Prober {
    pub(crate) fn start(switch: &'static str, address: Ipv4Addr) -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let theirs = Arc::clone(&shared);
        let socket = Socket::open_to_hear(plug_in(switch)?)?;
        let thread = std::thread::spawn(move || {
            // An ordinary user asks as well as it can.
            let _ = sys::schedule::realtime(PRIORITY);
            ask(&theirs, &socket, address)
        });
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Who alone answered the last questions.
    pub(crate) fn holder(&self) -> Option<Mac> {
        let answers = self.answers();
        let last = answers.len().checked_sub(SETTLED)?;
        let of = answers[last..].iter();
        let recent = sys::clock::now().since(answers[last].at) < RECENT;
        let mac = answers[last].mac;
        (recent && of.clone().all(|answer| answer.mac == mac)).then_some(mac)
    }

    /// The first answer of somebody else to what was asked from then on.
    pub(crate) fn first_other(&self, than: Mac, since: Time) -> Option<(Time, Mac)> {
        let answers = self.answers();
        let mut other = answers.iter().filter(|answer| answer.asked >= since && answer.mac != than);
        other.next().map(|answer| (answer.at, answer.mac))
    }

    pub(crate) fn first_since(&self, since: Time) -> Option<(Time, Mac)> {
        self.first_other([0; 6], since)
    }

    /// Whether it answered anything that was asked from then on.
    pub(crate) fn answered(&self, mac: Mac, since: Time) -> bool {
        self.answers().iter().any(|answer| answer.asked >= since && answer.mac == mac)
    }

    /// Between two questions that were answered, asked from then on.
    pub(crate) fn longest_gap(&self, since: Time) -> Duration {
        let answers = self.answers();
        let asked: Vec<Time> =
            answers.iter().map(|answer| answer.asked).filter(|asked| *asked >= since).collect();
        asked.windows(2).map(|pair| pair[1].since(pair[0])).max().unwrap_or_default()
    }

    pub(crate) fn last_answer(&self) -> Option<Time> {
        self.answers().last().map(|answer| answer.at)
    }

    /// Nobody answered for so long.
    pub(crate) fn is_silent(&self, span: Duration) -> bool {
        self.last_answer().is_some_and(|at| sys::clock::now().since(at) > span)
    }

    /// Moments of questions that two answered at once.
    pub(crate) fn doubles(&self) -> Vec<Time> {
        let mut at_once = self.answers().clone();
        at_once.retain(|answer| answer.at.since(answer.asked) <= AT_ONCE);
        let two = |pair: &[Answer]| pair[0].asked == pair[1].asked && pair[0].mac != pair[1].mac;
        at_once.windows(2).filter(|pair| two(pair)).map(|pair| pair[0].asked).collect()
    }

    fn answers(&self) -> MutexGuard<'_, Vec<Answer>> {
        self.shared.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// A port of its own: a switch takes another address when one of its ports goes, and what was asked from there would be answered
/// to nobody.
fn plug_in(switch: &str) -> io::Result<&'static str> {
    let (device, port) = ("asker", "asker-port");
    let netlink = Netlink::open()?;
    netlink.create_veth(device, port, None)?;
    let index =
        |name| Ok::<u32, io::Error>(netlink.link(name)?.ok_or(io::ErrorKind::NotFound)?.index);
    netlink.set_master(index(port)?, Some(index(switch)?))?;
    netlink.set_up(index(port)?, true)?;
    netlink.set_up(index(device)?, true)?;
    Ok(device)
}

fn ask(shared: &Shared, socket: &Socket, address: Ipv4Addr) -> io::Result<()> {
    let poller = Poller::new()?;
    poller.add(socket.as_fd(), 0, Interest::READ)?;
    let [a, b, c, _] = address.octets();
    let (mut ready, mut due, mut sender) = (Vec::with_capacity(1), sys::clock::now(), 0);
    let mut asked = [None; SENDERS as usize];
    while !shared.stop.load(Ordering::Relaxed) {
        let now = sys::clock::now();
        if now >= due {
            sender = (sender + 1) % SENDERS;
            asked[usize::from(sender)] = Some(now);
            socket.probe(Ipv4Addr::new(a, b, c, FIRST + sender), address)?;
            due = now + EVERY;
        }
        poller.wait(&mut ready, Some(due.since(sys::clock::now())))?;
        while let Ok(heard) = socket.receive() {
            let number = heard.target.octets()[3].wrapping_sub(FIRST);
            let asked = asked.get(usize::from(number)).copied().flatten();
            if let (true, true, Some(asked)) = (heard.reply, heard.sender == address, asked) {
                let (at, mac) = (sys::clock::now(), heard.sender_mac);
                shared.answers.lock().unwrap_or_else(PoisonError::into_inner).push(Answer {
                    asked,
                    at,
                    mac,
                });
            }
        }
    }
    Ok(())
}
