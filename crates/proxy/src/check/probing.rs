//! One check on its way: a socket, a probe, a deadline.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use base::{Report, Time};
use engine::health::Limits;
use remote::probe::{Probe, Progress, Question};
use sys::poll::{Interest, Poller};

#[derive(Debug)]
pub(super) struct Probing {
    socket: OwnedFd,
    token: u64,
    probe: Probe,
    limits: Limits,
    began: Time,
    connected: bool,
    deadline: Time,
    unsent: Vec<u8>,
}

/// Where a check is after it was looked at.
#[derive(Debug)]
pub(super) enum Step {
    Waits,
    Done(Report),
}

impl Probing {
    /// # Errors
    /// When the connect failed at once.
    pub(super) fn begin(
        question: Arc<Question>,
        address: SocketAddr,
        limits: Limits,
        poller: &Poller,
        token: u64,
        now: Time,
    ) -> io::Result<Self> {
        let socket = sys::socket::connect_tcp(address)?;
        // As haproxy does: a check leaves no TIME_WAIT behind. MySQL counts aborted sessions and
        // blocks who has too many, so there the end is in order.
        if !matches!(*question, Question::Mysql(_)) {
            drop(sys::socket::reset_on_close(socket.as_fd()));
        }
        poller.add(socket.as_fd(), token, Interest::WRITE)?;
        Ok(Self {
            socket,
            token,
            probe: Probe::new(question),
            limits,
            began: now,
            connected: false,
            deadline: now + limits.connect,
            unsent: Vec::new(),
        })
    }

    /// The verdict on a connect that failed at once.
    pub(super) fn refused(question: &Arc<Question>, error: &io::Error) -> Report {
        match Probe::new(Arc::clone(question)).on_refused(error) {
            Progress::Done(report) => report,
            Progress::More | Progress::Send(_) => unreachable!("a refused probe is done"),
        }
    }

    pub(super) const fn deadline(&self) -> Time {
        self.deadline
    }

    pub(super) fn end(self, poller: &Poller) {
        drop(poller.remove(self.socket.as_fd()));
    }

    pub(super) fn give_up(&mut self, now: Time) -> Report {
        match self.probe.on_timeout() {
            Progress::Done(report) => self.timed(report, now),
            Progress::More | Progress::Send(_) => unreachable!("a probe without time is done"),
        }
    }

    /// Does what the socket allows.
    pub(super) fn advance(&mut self, poller: &Poller, buffer: &mut [u8], now: Time) -> Step {
        if !self.connected {
            match self.connection() {
                Ok(false) => return Step::Waits,
                Ok(true) => {}
                Err(error) => {
                    let progress = self.broken_early(&error);
                    return self.obey(progress, poller, now);
                }
            }
            let progress = self.on_connected(poller, now);
            if let done @ Step::Done(_) = self.obey(progress, poller, now) {
                return done;
            }
        }
        if !self.unsent.is_empty() {
            let progress = self.send_more(poller);
            if let done @ Step::Done(_) = self.obey(progress, poller, now) {
                return done;
            }
        }
        self.receive(poller, buffer, now)
    }

    /// Whether the connection stands.
    fn connection(&self) -> io::Result<bool> {
        sys::socket::take_error(self.socket.as_fd())?;
        Ok(sys::socket::peer(self.socket.as_fd()).is_ok())
    }

    fn on_connected(&mut self, poller: &Poller, now: Time) -> Progress {
        self.connected = true;
        self.deadline = if self.limits.apart {
            now + self.limits.answer
        } else {
            self.began + self.limits.answer
        };
        drop(poller.modify(self.socket.as_fd(), self.token, Interest::READ));
        self.probe.on_connected()
    }

    /// A reset instead of a refusal means that the connection stood for a moment: enough for a bare
    /// connect check, as with haproxy. After the other side's FIN, Linux says of a reset `EPIPE`.
    fn broken_early(&mut self, error: &io::Error) -> Progress {
        let stood = [io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe];
        if !stood.contains(&error.kind()) {
            return self.probe.on_refused(error);
        }
        match self.probe.on_connected() {
            done @ Progress::Done(_) => done,
            Progress::More | Progress::Send(_) => self.probe.on_broken(error),
        }
    }

    fn obey(&mut self, progress: Progress, poller: &Poller, now: Time) -> Step {
        match progress {
            Progress::More => Step::Waits,
            Progress::Done(report) => Step::Done(self.timed(report, now)),
            Progress::Send(bytes) => {
                self.unsent = bytes;
                match self.send_more(poller) {
                    Progress::Done(report) => Step::Done(self.timed(report, now)),
                    Progress::More | Progress::Send(_) => Step::Waits,
                }
            }
        }
    }

    fn send_more(&mut self, poller: &Poller) -> Progress {
        match sys::socket::send(self.socket.as_fd(), &self.unsent, false) {
            Ok(sent) => drop(self.unsent.drain(..sent)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return self.probe.on_broken(&error),
        }
        let interest =
            if self.unsent.is_empty() { Interest::READ } else { Interest::READ | Interest::WRITE };
        drop(poller.modify(self.socket.as_fd(), self.token, interest));
        Progress::More
    }

    /// Ends: each turn takes bytes off, and the probe takes no more than its limit.
    fn receive(&mut self, poller: &Poller, buffer: &mut [u8], now: Time) -> Step {
        loop {
            let progress = match sys::socket::receive(self.socket.as_fd(), buffer) {
                Ok(0) => self.probe.on_closed(),
                Ok(count) => self.probe.on_bytes(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Step::Waits,
                Err(error) => self.probe.on_broken(&error),
            };
            if let done @ Step::Done(_) = self.obey(progress, poller, now) {
                return done;
            }
        }
    }

    fn timed(&self, mut report: Report, now: Time) -> Report {
        report.duration = now.since(self.began);
        report
    }
}
