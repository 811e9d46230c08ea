//! What routers there are, for whoever asks.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use api::MAX_MESSAGE;
use api::router::{Entry, EntryAnswer, RouterLine};
use sys::channel::Channel;
use sys::poll::{Interest, Poller};

use super::RoutersError;

/// The process may be starting.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks the desk that listens there.
///
/// # Errors
/// When nobody listens there, or answers in time.
pub fn list(socket: &Path) -> Result<Vec<RouterLine>, RoutersError> {
    ask(socket).map_err(|error| RoutersError::Ask(socket.to_owned(), error))
}

fn ask(socket: &Path) -> io::Result<Vec<RouterLine>> {
    let channel = Channel::connect(socket)?;
    let mut bytes = vec![];
    api::encode(&Entry::List, &mut bytes);
    channel.send(&bytes, &[])?;
    let mut all = vec![];
    loop {
        match next(&channel, PATIENCE)? {
            EntryAnswer::Routers { routers, more } => {
                all.extend(routers);
                if !more {
                    return Ok(all);
                }
            }
            EntryAnswer::Refused { why } => return Err(io::Error::other(why)),
            EntryAnswer::Accepted
            | EntryAnswer::Reloaded
            | EntryAnswer::Unchanged { .. }
            | EntryAnswer::Stopped
            | EntryAnswer::Counted(_) => {}
        }
    }
}

/// The next answer on a socket of a stand-in.
pub(super) fn next(channel: &Channel, patience: Duration) -> io::Result<EntryAnswer> {
    let poller = Poller::new()?;
    poller.add(channel.as_fd(), 0, Interest::READ)?;
    let (mut ready, mut buffer) = (Vec::with_capacity(1), vec![0; MAX_MESSAGE]);
    let end = sys::clock::now() + patience;
    loop {
        match channel.receive(&mut buffer, &mut vec![]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => {
                let read = api::decode(&buffer[..length]);
                return read.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        let now = sys::clock::now();
        if now >= end {
            return Err(io::ErrorKind::TimedOut.into());
        }
        poller.wait(&mut ready, Some(end.since(now)))?;
    }
}
