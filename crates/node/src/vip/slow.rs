//! What the kernel takes long for, done by a thread of its own: a beat of another address waits for none of it.
//!
//! ```text
//!   driver ── orders, a queue ──────────────────────> thread: devices down (10 to 20 ms each), devices away, tables of nftables
//!      ^──── answers, datagrams through the kernel ──────┘
//! ```
//! Orders are done one by one, in their order. Neither side waits for a lock that the other one holds.

use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use api::Report;
use config::vip::VirtualMac;
use engine::vip::Input;
use sys::netlink::Netlink;
use sys::nft::Tables;
use sys::poll::{Interest, Poller, Waker};

use super::{Driver, SLOW, tell, virtual_mac};

/// Before all ordinary threads: it has the kernel's lock of all networks meanwhile, for which that of the adverts may have to wait.
const PRIORITY: u8 = super::PRIORITY - 1;
/// Of text that comes back; more of a reason is no use (bytes).
const LONGEST: usize = 480;
/// A thread that cannot wait for orders looks for them this often.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What is to be done.
#[derive(Debug)]
pub(super) enum Task {
    /// These devices go down, if they are still to.
    Lower { instance: usize, devices: Vec<u32>, rest: Arc<Rest> },
    /// Devices that we made go, but for these.
    Sweep { wanted: Vec<VirtualMac> },
    /// Nobody reaches these addresses on this machine.
    KeepOut { instance: usize, table: String, places: Vec<(IpAddr, u32)> },
    /// There are no such tables any more.
    Forget { tables: Vec<String> },
}

/// What came of it.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Answer {
    /// The devices of that instance went down.
    Lowered { instance: usize },
    /// What the kernel keeps of devices, with its reason; empty: nothing.
    Swept { kept: String },
    /// Why the kernel does not keep packets from the addresses of that instance; empty: it does.
    KeptOut { instance: usize, refused: String },
    /// The thread is not there any more, and was not told to end.
    Ended,
}

/// Whether the devices of an instance are to go down.
#[derive(Debug, Default)]
pub(super) struct Rest(AtomicBool);

impl Rest {
    pub(super) fn want(&self, wanted: bool) {
        self.0.store(wanted, Ordering::SeqCst);
    }

    /// Once for each time that it was wanted.
    fn begin(&self) -> bool {
        self.0.swap(false, Ordering::SeqCst)
    }
}

/// Gives orders; to be had by whoever needs it.
#[derive(Clone, Debug)]
pub(super) struct Orders {
    tasks: Sender<Task>,
    wake: Waker,
}

impl Orders {
    /// Waits for nobody: nobody else gives orders, and the thread never sleeps at the queue.
    pub(super) fn give(&self, task: Task) {
        // A thread that is gone says so.
        let _gone = self.tasks.send(task);
        self.wake.wake();
    }
}

const RUN: u8 = 0;
/// What was ordered is done first.
const FINISH: u8 = 1;
const LEAVE: u8 = 2;

/// The thread; it ends with this.
#[derive(Debug)]
pub(super) struct Slow {
    orders: Orders,
    answers: Option<UnixDatagram>,
    end: Arc<AtomicU8>,
    thread: Option<JoinHandle<()>>,
}

impl Slow {
    /// In the network namespace of the caller. Answers make `token` of `poller` ready.
    pub(super) fn start(poller: &Poller, token: u64) -> io::Result<Self> {
        let (answers, said) = UnixDatagram::pair()?;
        answers.set_nonblocking(true)?;
        poller.add(answers.as_fd(), token, Interest::READ)?;
        let (tasks, queue) = channel();
        let orders = Orders { tasks, wake: Waker::new()? };
        let end = Arc::new(AtomicU8::new(RUN));
        let waits = Poller::new()?;
        waits.add(orders.wake.as_fd(), 0, Interest::READ)?;
        let worker = Worker {
            queue,
            waits,
            wake: orders.wake.clone(),
            end: Arc::clone(&end),
            netlink: Netlink::open()?,
            tables: None,
        };
        let name = std::thread::Builder::new().name("outlast-slow".to_owned());
        let thread = name.spawn(move || {
            let last = LastWord::new(&said, &Answer::Ended.encode());
            // Without the right it is an ordinary one, as that of the adverts is then.
            let _ordinary = sys::schedule::realtime(PRIORITY);
            worker.run(&said);
            last.was_expected();
        })?;
        Ok(Self { orders, answers: Some(answers), end, thread: Some(thread) })
    }

    pub(super) const fn orders(&self) -> &Orders {
        &self.orders
    }

    /// The next of what came.
    fn next(&self) -> Option<Answer> {
        let mut bytes = [0; HEAD + LONGEST];
        let length = self.answers.as_ref()?.recv(&mut bytes).ok()?;
        Answer::decode(bytes.get(..length)?)
    }

    /// Ends when all was done that was ordered.
    pub(super) fn finish(self) {
        self.end.store(FINISH, Ordering::SeqCst);
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        // Whoever waits for room to say something waits no more.
        self.answers = None;
        let _first = self.end.compare_exchange(RUN, LEAVE, Ordering::SeqCst, Ordering::SeqCst);
        self.orders.wake.wake();
        if let Some(thread) = self.thread.take() {
            // What it said last was said already.
            let _ended = thread.join();
        }
    }
}

/// Says that a thread ended, whatever ended it.
pub(super) struct LastWord<'a> {
    said: &'a UnixDatagram,
    word: Vec<u8>,
}

impl<'a> LastWord<'a> {
    pub(super) fn new(said: &'a UnixDatagram, word: &[u8]) -> Self {
        Self { said, word: word.to_vec() }
    }

    /// It was told to end.
    pub(super) fn was_expected(mut self) {
        self.word.clear();
    }
}

impl Drop for LastWord<'_> {
    fn drop(&mut self) {
        if !self.word.is_empty() {
            // If nobody listens any more, nobody has to know.
            let _unheard = self.said.send(&self.word);
        }
    }
}

struct Worker {
    queue: Receiver<Task>,
    waits: Poller,
    wake: Waker,
    end: Arc<AtomicU8>,
    netlink: Netlink,
    tables: Option<Tables>,
}

impl Worker {
    fn run(mut self, said: &UnixDatagram) {
        let mut ready = Vec::with_capacity(1);
        loop {
            if self.end.load(Ordering::SeqCst) == LEAVE {
                return;
            }
            if let Ok(task) = self.queue.try_recv() {
                if let Some(answer) = self.work(task) {
                    // Who does not listen any more ends this.
                    let _unheard = said.send(&answer.encode());
                }
                continue;
            }
            if self.end.load(Ordering::SeqCst) != RUN {
                return;
            }
            if self.waits.wait(&mut ready, None).is_err() {
                std::thread::sleep(LOOK_EVERY);
            }
            self.wake.drain();
        }
    }

    fn work(&mut self, task: Task) -> Option<Answer> {
        match task {
            Task::Lower { instance, devices, rest } => rest.begin().then(|| {
                for device in devices {
                    // One that is gone is not up.
                    let _gone = self.netlink.set_up(device, false);
                }
                Answer::Lowered { instance }
            }),
            Task::Sweep { wanted } => {
                let kept = virtual_mac::sweep_but(&self.netlink, &wanted);
                Some(Answer::Swept { kept: kept.join("; ") })
            }
            Task::KeepOut { instance, table, places } => {
                let done = self.with_tables(|tables| tables.keep_out(&table, &places));
                let refused = done.err().map_or_else(String::new, |error| error.to_string());
                Some(Answer::KeptOut { instance, refused })
            }
            Task::Forget { tables: names } => {
                // One that stays is looked for at the next start.
                let _kept =
                    self.with_tables(|tables| tables.forget(names.iter().map(String::as_str)));
                None
            }
        }
    }

    /// The kernel may have to load nf_tables for that, which is why nobody asks it before.
    fn with_tables<T>(&mut self, ask: impl FnOnce(&Tables) -> io::Result<T>) -> io::Result<T> {
        if self.tables.is_none() {
            self.tables = Some(Tables::open()?);
        }
        self.tables.as_ref().ok_or_else(|| io::ErrorKind::NotFound.into()).and_then(ask)
    }
}

/// Kind and number before the text.
const HEAD: usize = 5;

impl Answer {
    fn encode(&self) -> Vec<u8> {
        let (kind, instance, text) = match self {
            Self::Lowered { instance } => (0, *instance, ""),
            Self::Swept { kept } => (1, 0, kept.as_str()),
            Self::KeptOut { instance, refused } => (2, *instance, refused.as_str()),
            Self::Ended => (3, 0, ""),
        };
        let mut bytes = vec![kind];
        bytes.extend(u32::try_from(instance).unwrap_or(u32::MAX).to_ne_bytes());
        bytes.extend(text.bytes().take(LONGEST));
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (head, text) = bytes.split_at_checked(HEAD)?;
        let (kind, number) = head.split_first()?;
        let instance = usize::try_from(u32::from_ne_bytes(number.try_into().ok()?)).ok()?;
        let text = String::from_utf8_lossy(text).into_owned();
        match kind {
            0 => Some(Self::Lowered { instance }),
            1 => Some(Self::Swept { kept: text }),
            2 => Some(Self::KeptOut { instance, refused: text }),
            3 => Some(Self::Ended),
            _ => None,
        }
    }
}

impl Driver<'_> {
    pub(super) fn do_slowly(&mut self, task: Task) {
        if self.around.slow.is_none() {
            // What it was to do is done at the next start.
            self.around.slow = Slow::start(&self.poller, SLOW).ok();
        }
        if let Some(slow) = &self.around.slow {
            slow.orders.give(task);
        }
    }

    pub(super) fn hear_slow(&mut self) {
        while let Some(answer) = self.around.slow.as_ref().and_then(Slow::next) {
            match answer {
                Answer::Lowered { instance } => self.raise_again(instance),
                Answer::Swept { kept } => self.tell_kept_devices(&kept),
                Answer::KeptOut { instance, refused } => self.note_kept_out(instance, refused),
                Answer::Ended => self.around.lost_thread = Some("outlast-slow"),
            }
        }
    }

    /// It was claimed in the very moment in which its devices went down.
    fn raise_again(&mut self, number: usize) {
        let Some(instance) = self.instances.get_mut(number).filter(|it| it.held) else { return };
        self.line.say(&Report::Busy);
        if instance.claim(&self.netlink) {
            instance.announce();
        } else {
            self.step(number, Input::Refused);
        }
    }

    pub(super) fn tell_kept_devices(&self, kept: &str) {
        if let Some(first) = self.instances.first().filter(|_| !kept.is_empty()) {
            self.tell(&Report::Event(tell::virtual_mac(first, &self.node, kept)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_of_an_order_is_told_as_it_is() {
        let text = || "the kernel keeps vrrp.7: no buffer space".to_owned();
        for answer in [
            Answer::Lowered { instance: 70_000 },
            Answer::Swept { kept: String::new() },
            Answer::Swept { kept: text() },
            Answer::KeptOut { instance: 3, refused: text() },
            Answer::Ended,
        ] {
            assert_eq!(Answer::decode(&answer.encode()), Some(answer));
        }
        let long = Answer::Swept { kept: "é".repeat(LONGEST) }.encode();
        assert!(long.len() <= HEAD + LONGEST && Answer::decode(&long).is_some());
        assert_eq!(Answer::decode(&[9, 0, 0, 0, 0]), None);
        assert_eq!(Answer::decode(&[0, 0]), None);
    }

    #[test]
    fn devices_go_down_once_for_each_time_that_it_was_wanted_and_not_after_a_claim() {
        let rest = Rest::default();
        assert!(!rest.begin());
        rest.want(true);
        assert!(rest.begin() && !rest.begin());
        rest.want(true);
        rest.want(false);
        assert!(!rest.begin());
    }

    #[test]
    fn a_thread_that_ends_by_itself_says_so_and_one_that_is_told_to_does_not() {
        let (heard, said) = UnixDatagram::pair().unwrap();
        heard.set_nonblocking(true).unwrap();
        LastWord::new(&said, &Answer::Ended.encode()).was_expected();
        assert!(heard.recv(&mut [0; 8]).is_err());
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _last = LastWord::new(&said, &Answer::Ended.encode());
            std::panic::resume_unwind(Box::new("whatever it is"));
        }));
        assert!(ended.is_err());
        let mut bytes = [0; 16];
        let length = heard.recv(&mut bytes).unwrap();
        assert_eq!(Answer::decode(&bytes[..length]), Some(Answer::Ended));
    }
}
