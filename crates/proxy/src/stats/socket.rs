//! The statistics socket: listeners, and one short conversation per connection.
//!
//! ```text
//! echo "show info" | socat unix-connect:/run/haproxy.sock stdio
//! ```
//!
//! A connection sends one line and is answered and closed; after `prompt` it may send many. It runs
//! on the control thread, waits for nothing, and what it may cost is limited.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use base::Time;
use sys::poll::{Interest, Poller, Ready};

use super::command::{self, After, Desk, Level};
use crate::view::{SessionLine, View, Wish};

/// Connections at once; the next ones wait in the kernel's queue. haproxy's default of 10
/// (`stats maxconn`) with room for checks that hang.
const MAX_CLIENTS: usize = 32;

/// A line is no longer: haproxy's buffer (bytes).
const MAX_LINE: usize = 16 * 1024;

/// With more than this to send, the next command waits until the client has read: one line can ask for
/// everything a thousand times (bytes).
const ENOUGH: usize = 64 * 1024;

/// How long a connection may be idle without `stats timeout`.
const IDLE: Duration = Duration::from_secs(10);

/// All listeners and their clients.
#[derive(Debug)]
pub(crate) struct Socket {
    view: Arc<View>,
    listeners: Vec<(OwnedFd, Level)>,
    clients: Vec<Option<Client>>,
    tokens: u64,
    idle: Duration,
    /// The listeners are not waited for, because there are too many clients.
    full: bool,
}

#[derive(Debug)]
struct Client {
    fd: OwnedFd,
    /// Who it is, for the audit log.
    by: String,
    level: Level,
    input: Vec<u8>,
    /// Of the line that is being answered, what is still to do.
    commands: VecDeque<String>,
    /// `prompt` stood in that line.
    toggled: bool,
    output: Vec<u8>,
    sent: usize,
    interactive: bool,
    /// Nothing more is read.
    closing: bool,
    expires: Time,
    /// Tells the client of an event from an earlier one in the same place.
    number: u64,
}

/// Clients' tokens: place, then number. Listeners come first.
const FIRST_CLIENT: u64 = 1 << 16;

impl Socket {
    /// `listeners`: with whether they may change something (`level admin`). `tokens`: the first of
    /// 2^32 epoll tokens that are its own.
    pub(crate) fn new(view: &Arc<View>, listeners: Vec<(OwnedFd, bool)>, tokens: u64) -> Self {
        let level = |admin| if admin { Level::Admin } else { Level::Operator };
        Self {
            view: Arc::clone(view),
            listeners: listeners.into_iter().map(|(fd, admin)| (fd, level(admin))).collect(),
            clients: (0..MAX_CLIENTS).map(|_| None).collect(),
            tokens,
            idle: view.config.global.stats_timeout.unwrap_or(IDLE),
            full: false,
        }
    }

    /// # Errors
    /// When the poller does not take a listener.
    pub(crate) fn start(&mut self, poller: &Poller) -> io::Result<()> {
        for (number, (fd, _)) in (0..).zip(&self.listeners) {
            poller.add(fd.as_fd(), self.tokens + number, Interest::READ)?;
        }
        Ok(())
    }

    /// Leaves new clients to the process after. The listeners live on there, so closing them here
    /// would not take them out of the poller.
    pub(crate) fn stop(&mut self, poller: &Poller) {
        for (fd, _) in self.listeners.drain(..) {
            drop(poller.remove(fd.as_fd()));
        }
    }

    /// When [`Socket::timeout`] is wanted.
    pub(crate) fn deadline(&self) -> Time {
        let times = self.clients.iter().flatten().map(|client| client.expires);
        times.min().unwrap_or(Time::NEVER)
    }

    /// Hangs up on who is idle.
    pub(crate) fn timeout(&mut self, poller: &Poller, now: Time) {
        for place in 0..self.clients.len() {
            if self.clients[place].as_ref().is_some_and(|client| client.expires <= now) {
                self.close(place, poller);
            }
        }
    }

    /// Something happened on one of its descriptors. `ask` collects the lines of `show sess`.
    pub(crate) fn ready(
        &mut self,
        poller: &Poller,
        ready: Ready,
        now: Time,
        ask: &dyn Fn() -> Vec<SessionLine>,
        wishes: &mut Vec<(Wish, String)>,
    ) {
        let token = ready.token.wrapping_sub(self.tokens);
        if token < FIRST_CLIENT {
            self.accept(usize::try_from(token).unwrap_or(usize::MAX), poller, now);
            return;
        }
        let place = usize::try_from(token / FIRST_CLIENT - 1).unwrap_or(usize::MAX);
        let number = token % FIRST_CLIENT;
        let Some(Some(client)) = self.clients.get_mut(place) else { return };
        if client.number != number {
            return;
        }
        client.expires = now + self.idle;
        let wall_ms = sys::clock::wall_ms();
        let mut wished = Vec::new();
        let mut desk = Desk { view: &self.view, now, wall_ms, ask, wishes: &mut wished };
        let open = client.read(&mut desk).and_then(|()| client.write());
        wishes.extend(wished.into_iter().map(|wish| (wish, client.by.clone())));
        match open {
            Ok(true) => self.wait_for(place, poller),
            Ok(false) | Err(_) => self.close(place, poller),
        }
    }

    fn accept(&mut self, listener: usize, poller: &Poller, now: Time) {
        let Some((fd, level)) = self.listeners.get(listener) else { return };
        let Some(place) = self.clients.iter().position(Option::is_none) else {
            self.pause(poller);
            return;
        };
        // Another thread or process may have been faster, or the client is gone again.
        let Ok((accepted, peer)) = sys::socket::accept(fd.as_fd()) else { return };
        let number = now.as_nanos() % FIRST_CLIENT;
        let token = self.token(place, number);
        if poller.add(accepted.as_fd(), token, Interest::READ).is_err() {
            return;
        }
        let by = who(&accepted, peer);
        self.clients[place] = Some(Client {
            fd: accepted,
            by,
            level: *level,
            input: Vec::new(),
            commands: VecDeque::new(),
            toggled: false,
            output: Vec::new(),
            sent: 0,
            interactive: false,
            closing: false,
            expires: now + self.idle,
            number,
        });
    }

    fn pause(&mut self, poller: &Poller) {
        self.full = true;
        for (number, (fd, _)) in (0..).zip(&self.listeners) {
            drop(poller.modify(fd.as_fd(), self.tokens + number, Interest::NONE));
        }
    }

    fn close(&mut self, place: usize, poller: &Poller) {
        if let Some(client) = self.clients[place].take() {
            drop(poller.remove(client.fd.as_fd()));
        }
        if std::mem::take(&mut self.full) {
            for (number, (fd, _)) in (0..).zip(&self.listeners) {
                drop(poller.modify(fd.as_fd(), self.tokens + number, Interest::READ));
            }
        }
    }

    fn wait_for(&self, place: usize, poller: &Poller) {
        let Some(client) = &self.clients[place] else { return };
        let interest = if client.waits() { Interest::READ } else { Interest::WRITE };
        let token = self.token(place, client.number);
        drop(poller.modify(client.fd.as_fd(), token, interest));
    }

    fn token(&self, place: usize, number: u64) -> u64 {
        let place = u64::try_from(place).unwrap_or(0) + 1;
        self.tokens.wrapping_add(place * FIRST_CLIENT + number)
    }
}

/// As the kernel attests.
fn who(socket: &OwnedFd, peer: sys::socket::Peer) -> String {
    match peer {
        sys::socket::Peer::Tcp(address) => address.to_string(),
        sys::socket::Peer::Unix => sys::rights::peer(socket.as_fd()).map_or_else(
            |_| "a user whom the kernel does not name".to_owned(),
            |peer| format!("uid {} (pid {})", peer.uid, peer.pid),
        ),
    }
}

impl Client {
    /// Reads what there is and answers whole lines.
    fn read(&mut self, desk: &mut Desk<'_>) -> io::Result<()> {
        let mut buffer = [0; 4096];
        self.answer(desk);
        while self.waits() && !self.closing {
            match sys::socket::receive(self.fd.as_fd(), &mut buffer) {
                // A line without its end may have been cut: it is not obeyed, as with haproxy.
                Ok(0) => self.closing = true,
                Ok(count) => {
                    self.input.extend_from_slice(&buffer[..count]);
                    self.answer(desk);
                    self.closing |= self.waits() && self.input.len() > MAX_LINE;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Nothing is left to say or to do before the client speaks again.
    fn waits(&self) -> bool {
        self.output.is_empty() && self.commands.is_empty() && self.line_end().is_none()
    }

    fn line_end(&self) -> Option<usize> {
        let goes_on = !self.closing;
        self.input.iter().position(|&byte| byte == b'\n').filter(|_| goes_on)
    }

    fn answer(&mut self, desk: &mut Desk<'_>) {
        while self.output.len() <= ENOUGH {
            if let Some(command) = self.commands.pop_front() {
                self.obey(&command, desk);
            } else if let Some(end) = self.line_end() {
                let line: Vec<u8> = self.input.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line);
                self.commands = command::split(line.trim_end_matches(['\r', '\n'])).into();
            } else {
                return;
            }
        }
    }

    fn obey(&mut self, command: &str, desk: &mut Desk<'_>) {
        let mut text = String::new();
        match command::obey(command, &mut self.level, desk, &mut text) {
            After::Goes => {}
            After::Toggles => self.toggled = true,
            After::Ends => {
                self.commands.clear();
                self.closing = true;
            }
        }
        if self.commands.is_empty() {
            self.interactive ^= std::mem::take(&mut self.toggled);
            self.closing |= !self.interactive;
            if self.interactive {
                text.push_str("> ");
            }
        }
        self.output.extend_from_slice(text.as_bytes());
    }

    /// Whether the connection stays.
    fn write(&mut self) -> io::Result<bool> {
        while self.sent < self.output.len() {
            match sys::socket::send(self.fd.as_fd(), &self.output[self.sent..], false) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
            }
        }
        self.output.clear();
        self.sent = 0;
        let ends = self.closing && self.waits();
        if ends {
            self.forget_input();
        }
        Ok(!ends)
    }

    /// A socket that is closed with bytes unread resets the connection, and the answer may be lost.
    fn forget_input(&self) {
        let mut buffer = [0; 4096];
        let mut left = MAX_LINE / buffer.len();
        while left > 0 && sys::socket::receive(self.fd.as_fd(), &mut buffer).is_ok_and(|n| n > 0) {
            left -= 1;
        }
    }
}
