//! The way to the supervisor: what is said there never waits, and what is lost is counted.
//!
//! ```text
//!   say ──> socket, while it takes all at once ──────────────> supervisor
//!      └──> ring of a fixed size, when it does not ──> later ──┘
//! ```
//! A supervisor that is behind for long costs messages, and never a beat. Nothing here asks for memory once it was made.

use std::cell::RefCell;
use std::os::fd::BorrowedFd;

use api::{MAX_MESSAGE, Report};
use base::Time;
use sys::channel::Channel;

/// Beside what the socket takes (a megabyte): thousands of words of a node (bytes).
const WAITING: usize = 256 * 1024;
/// What waits is tried again after this, though nothing else is to be said.
const AGAIN: std::time::Duration = std::time::Duration::from_millis(10);

#[derive(Debug)]
pub(super) struct Line<'a> {
    channel: &'a Channel,
    /// Reports are told by who holds the driver, and by who looks at it.
    state: RefCell<State>,
}

#[derive(Debug)]
struct State {
    bytes: Vec<u8>,
    waiting: Waiting,
    lost: u64,
}

impl<'a> Line<'a> {
    pub(super) fn new(channel: &'a Channel) -> Self {
        let bytes = Vec::with_capacity(MAX_MESSAGE);
        let state = State { bytes, waiting: Waiting::new(WAITING), lost: 0 };
        Self { channel, state: RefCell::new(state) }
    }

    pub(super) const fn channel(&self) -> &'a Channel {
        self.channel
    }

    pub(super) fn say(&self, report: &Report) {
        let state = &mut *self.state.borrow_mut();
        state.send_waiting(self.channel);
        state.bytes.clear();
        api::encode(report, &mut state.bytes);
        let fate = if state.waiting.is_empty() {
            Fate::of(&self.channel.send(&state.bytes, &[]))
        } else {
            Fate::Waits
        };
        match fate {
            Fate::Taken => {}
            Fate::Waits if state.waiting.push(&state.bytes) => {}
            Fate::Waits | Fate::Lost => state.lost += 1,
        }
    }

    /// A message with a descriptor, which cannot wait.
    pub(super) fn pass(&self, report: &Report, fd: BorrowedFd<'_>) {
        let state = &mut *self.state.borrow_mut();
        state.bytes.clear();
        api::encode(report, &mut state.bytes);
        let _unheard = self.channel.send(&state.bytes, &[fd]);
    }

    /// Says what waits, as far as it is taken; how many words were lost, once there is room for telling so.
    pub(super) fn flush(&self) -> Option<u64> {
        let state = &mut *self.state.borrow_mut();
        state.send_waiting(self.channel);
        let has_room = state.waiting.is_empty() && state.lost > 0;
        has_room.then(|| std::mem::take(&mut state.lost))
    }

    /// When it is to be flushed.
    pub(super) fn deadline(&self, now: Time) -> Time {
        let state = self.state.borrow();
        let waits = !state.waiting.is_empty() || state.lost > 0;
        if waits { now + AGAIN } else { Time::NEVER }
    }
}

impl State {
    fn send_waiting(&mut self, channel: &Channel) {
        while self.waiting.front(&mut self.bytes) {
            match Fate::of(&channel.send(&self.bytes, &[])) {
                Fate::Taken => {}
                Fate::Waits => return,
                Fate::Lost => self.lost += 1,
            }
            self.waiting.pop();
        }
    }
}

/// What became of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    Taken,
    Waits,
    /// It will never be taken.
    Lost,
}

impl Fate {
    fn of(sent: &std::io::Result<()>) -> Self {
        use std::io::ErrorKind;
        match sent.as_ref().map_err(std::io::Error::kind) {
            // Whoever is gone takes everything.
            Ok(())
            | Err(ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::NotConnected) => {
                Self::Taken
            }
            Err(ErrorKind::WouldBlock) => Self::Waits,
            Err(_) => Self::Lost,
        }
    }
}

/// Messages in their order, in bytes of a fixed number.
#[derive(Debug)]
struct Waiting {
    bytes: Box<[u8]>,
    begin: usize,
    used: usize,
}

/// In front of each.
const LENGTH: usize = size_of::<u32>();

impl Waiting {
    fn new(size: usize) -> Self {
        Self { bytes: vec![0; size].into_boxed_slice(), begin: 0, used: 0 }
    }

    const fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// False: there is no room.
    fn push(&mut self, message: &[u8]) -> bool {
        let Ok(length) = u32::try_from(message.len()) else { return false };
        if self.bytes.len() - self.used < LENGTH + message.len() {
            return false;
        }
        self.write(&length.to_ne_bytes());
        self.write(message);
        true
    }

    fn write(&mut self, part: &[u8]) {
        let at = (self.begin + self.used) % self.bytes.len();
        let first = part.len().min(self.bytes.len() - at);
        self.bytes[at..at + first].copy_from_slice(&part[..first]);
        self.bytes[..part.len() - first].copy_from_slice(&part[first..]);
        self.used += part.len();
    }

    /// Puts the oldest into `out`; false: there is none.
    fn front(&self, out: &mut Vec<u8>) -> bool {
        if self.is_empty() {
            return false;
        }
        out.clear();
        self.read(LENGTH, self.length(), out);
        true
    }

    fn length(&self) -> usize {
        let byte = |at: usize| self.bytes[(self.begin + at) % self.bytes.len()];
        let length = u32::from_ne_bytes([byte(0), byte(1), byte(2), byte(3)]);
        usize::try_from(length).unwrap_or(0)
    }

    fn read(&self, from: usize, length: usize, out: &mut Vec<u8>) {
        let at = (self.begin + from) % self.bytes.len();
        let first = length.min(self.bytes.len() - at);
        out.extend_from_slice(&self.bytes[at..at + first]);
        out.extend_from_slice(&self.bytes[..length - first]);
    }

    fn pop(&mut self) {
        let whole = LENGTH + self.length();
        self.begin = (self.begin + whole) % self.bytes.len();
        self.used -= whole;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_keeps_its_order_and_its_bounds_wherever_the_ring_begins() {
        let (mut waiting, mut out) = (Waiting::new(64), vec![]);
        assert!(!waiting.front(&mut out));
        for round in 0..200_u8 {
            let length = usize::from(round) % 13;
            assert!(waiting.push(&vec![round; length]) && waiting.push(&[round; 3]));
            assert!(waiting.front(&mut out));
            assert_eq!(out, vec![round; length]);
            waiting.pop();
            assert!(waiting.front(&mut out) && out == [round; 3]);
            waiting.pop();
            assert!(waiting.is_empty());
        }
        let room = (0..).take_while(|_| waiting.push(&[1; 12])).count();
        assert_eq!(room, 4, "of 16 bytes each");
        assert!(!waiting.push(&[]) && waiting.front(&mut out) && out == [1; 12]);
    }

    #[test]
    fn what_the_kernel_never_takes_is_counted_as_lost_and_what_it_does_not_take_now_waits() {
        use std::io::ErrorKind;
        let fate = |kind: ErrorKind| Fate::of(&Err(kind.into()));
        assert_eq!(Fate::of(&Ok(())), Fate::Taken);
        assert_eq!(fate(ErrorKind::BrokenPipe), Fate::Taken);
        assert_eq!(fate(ErrorKind::WouldBlock), Fate::Waits);
        assert_eq!(fate(ErrorKind::InvalidInput), Fate::Lost);
        assert_eq!(fate(ErrorKind::Other), Fate::Lost);
    }

    #[test]
    fn a_supervisor_that_does_not_read_costs_words_that_are_counted_and_no_time() {
        let (supervisor, channel) = Channel::pair().unwrap();
        let line = Line::new(&channel);
        let mut said = 0;
        while line.state.borrow().lost < 3 {
            line.say(&Report::Pong(said));
            said += 1;
        }
        assert_eq!(line.flush(), None, "there is no room to tell it");
        assert!(line.deadline(Time::ZERO) != Time::NEVER);
        let (mut buffer, mut heard) = (vec![0; MAX_MESSAGE], 0);
        let mut hears = || {
            while let Ok(length @ 1..) = supervisor.receive(&mut buffer, &mut vec![]) {
                let word: Report = api::decode(&buffer[..length]).unwrap();
                assert_eq!(word, Report::Pong(heard), "in their order");
                heard += 1;
            }
            heard
        };
        let lost = loop {
            hears();
            if let Some(lost) = line.flush() {
                break lost;
            }
        };
        assert_eq!((lost, hears()), (3, said - 3));
        assert_eq!(line.deadline(Time::ZERO), Time::NEVER);
        let (result, asked) = sys::counted::during(|| {
            line.say(&Report::Pong(7));
            line.flush()
        });
        assert_eq!((result, asked), (None, 0));
    }
}
