//! Check scripts run in an ordinary thread: to start a process takes memory, and the time of a disk.
//!
//! What it says comes through the kernel: the thread of the adverts waits for no lock that an ordinary one holds.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use base::Time;
use config::vip::Vip;
use sys::poll::{Interest, Poller, Waker};

use super::super::slow::LastWord;
use super::super::watch::{News, RECORD, Told};
use super::Scripts;

/// Memory of the thread (bytes): it calls nothing that is deep.
const STACK: usize = 128 * 1024;
/// To start and to kill processes takes milliseconds; a disk that hangs holds up the end of this process no longer.
const END: Duration = Duration::from_millis(500);

/// Nothing is started; what ran is killed.
const RESTS: u8 = 0;
const RUNS: u8 = 1;
const ENDS: u8 = 2;

/// The thread; it ends with this, and leaves no script behind.
pub(in super::super) struct Checks(Option<Thread>);

struct Thread {
    told: UnixDatagram,
    state: Arc<AtomicU8>,
    wake: Waker,
    /// Nothing comes; it ends with the thread.
    ended: Receiver<()>,
}

impl Checks {
    /// They wait until [`Self::begin`]. What comes makes `token` of `poller` ready.
    pub(in super::super) fn start(vips: &[Vip], poller: &Poller, token: u64) -> io::Result<Self> {
        let scripts = Scripts::new(vips);
        if scripts.all.is_empty() {
            return Ok(Self(None));
        }
        let (told, said) = UnixDatagram::pair()?;
        told.set_nonblocking(true)?;
        poller.add(told.as_fd(), token, Interest::READ)?;
        let (state, wake) = (Arc::new(AtomicU8::new(RESTS)), Waker::new()?);
        let (end, ended) = sync_channel(1);
        let waits = Poller::new()?;
        // Tokens of scripts begin further above.
        waits.add(wake.as_fd(), 0, Interest::READ)?;
        let (orders, awake) = (Arc::clone(&state), wake.clone());
        let worker = Worker { scripts, waits, state: orders, wake: awake };
        let name = std::thread::Builder::new().name("outlast-scripts".to_owned());
        let _unwatched = name.stack_size(STACK).spawn(move || worker.work(&said, &end))?;
        Ok(Self(Some(Thread { told, state, wake, ended })))
    }

    pub(in super::super) fn begin(&self) {
        self.turn(RUNS);
    }

    /// Those that run are killed, and none is started.
    pub(in super::super) fn rest(&self) {
        self.turn(RESTS);
    }

    fn turn(&self, state: u8) {
        if let Some(thread) = &self.0 {
            thread.state.store(state, Ordering::SeqCst);
            thread.wake.wake();
        }
    }

    /// The next of what came.
    pub(in super::super) fn next(&self) -> Option<News> {
        let mut bytes = [0; RECORD];
        let length = self.0.as_ref()?.told.recv(&mut bytes).ok()?;
        (length == RECORD).then(|| News::decode(bytes))?
    }
}

impl Drop for Checks {
    fn drop(&mut self) {
        self.turn(ENDS);
        if let Some(Thread { told, ended, .. }) = self.0.take() {
            // Whoever waits for room to say something waits no more.
            drop(told);
            let _ended = ended.recv_timeout(END);
        }
    }
}

struct Worker {
    scripts: Scripts,
    waits: Poller,
    state: Arc<AtomicU8>,
    wake: Waker,
}

impl Worker {
    /// `end` is dropped when no script is left.
    fn work(mut self, said: &UnixDatagram, end: &SyncSender<()>) {
        let last = LastWord::new(said, &News::Ended.encode());
        self.look(said);
        self.scripts.kill();
        if self.state.load(Ordering::SeqCst) == ENDS {
            last.was_expected();
        }
        let _: &SyncSender<()> = end;
    }

    /// Until it is told to end, or nobody listens any more.
    fn look(&mut self, said: &UnixDatagram) {
        let mut ready = Vec::with_capacity(32);
        loop {
            let now = sys::clock::now();
            let until = match self.state.load(Ordering::SeqCst) {
                RUNS => {
                    while let Some(outcome) = self.scripts.next_result(&self.waits, now) {
                        let told = Told::passed(outcome.instance, outcome.index, outcome.passed);
                        if said.send(&News::Told(told).encode()).is_err() {
                            return;
                        }
                    }
                    self.scripts.deadline()
                }
                RESTS => {
                    self.scripts.kill();
                    Time::NEVER
                }
                _ => return,
            };
            let span = (until != Time::NEVER).then(|| until.since(sys::clock::now()));
            if self.waits.wait(&mut ready, span).is_err() {
                return;
            }
            self.wake.drain();
        }
    }
}
