//! How a stand-in joins a desk: it says what it stands for, and waits for the answer on the same socket.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use api::router::{Entry, EntryAnswer, RouterEntry, WatchEntry};
use base::Time;
use rustix::fs::{Mode, OFlags};
use sys::channel::Channel;

use super::{Known, LOOK_EVERY, Part, StandIn, StandInError, start_desk};

/// What came on the socket; none: nothing yet.
///
/// # Errors
/// The other side is gone.
pub(super) fn heard_on(socket: &Channel) -> io::Result<Option<EntryAnswer>> {
    let mut buffer = vec![0; api::MAX_MESSAGE];
    match socket.receive(&mut buffer, &mut vec![]) {
        Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(length) => {
            let read = api::decode(&buffer[..length]);
            read.map(Some).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

impl StandIn<'_> {
    /// The desk may have died a moment ago, or there was none yet.
    pub(super) fn look_until(
        &self,
        end: Time,
        known: Option<&Known>,
    ) -> Result<Channel, StandInError> {
        let mut started = false;
        loop {
            let asked = self.ask(known, vec![]);
            let asked = asked.and_then(|socket| Ok((self.answer_on(&socket, end)?, socket)));
            let error = match asked {
                Ok((EntryAnswer::Accepted, socket)) => return Ok(socket),
                Ok((EntryAnswer::Refused { why }, _)) => return Err(StandInError::Refused(why)),
                Ok(_) => io::ErrorKind::InvalidData.into(),
                Err(error) => error,
            };
            if self.is_to_end() {
                return Err(StandInError::Ended);
            }
            if sys::clock::now() >= end {
                return Err(StandInError::Join(self.path.clone(), error));
            }
            if !std::mem::replace(&mut started, true) {
                start_desk(&self.path);
            }
            self.wait(None, LOOK_EVERY);
            self.note_signals();
        }
    }

    /// Waits for it until `end`, or until this is told to end.
    fn answer_on(&self, socket: &Channel, end: Time) -> io::Result<EntryAnswer> {
        loop {
            if let Some(answer) = heard_on(socket)? {
                return Ok(answer);
            }
            self.note_signals();
            let now = sys::clock::now();
            if now >= end || self.is_to_end() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.wait(Some(socket), end.since(now));
        }
    }

    /// Says what it stands for to whoever listens. `holds`: what is there of it.
    pub(super) fn ask(&self, known: Option<&Known>, holds: Vec<u16>) -> io::Result<Channel> {
        let socket = Channel::connect(&self.path)?;
        let (entry, fds) = self.entry(known, holds)?;
        let mut bytes = vec![];
        api::encode(&entry, &mut bytes);
        let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        socket.send(&bytes, &fds)?;
        Ok(socket)
    }

    fn entry(&self, known: Option<&Known>, holds: Vec<u16>) -> io::Result<(Entry, Vec<OwnedFd>)> {
        let pid = std::process::id().cast_signed();
        match (self.part, known) {
            (Part::Watch { entry, namespace, .. }, _) => {
                // One that is not there yet has no address.
                let netns = File::open(Path::new("/var/run/netns").join(namespace));
                let netns = netns.ok().map(OwnedFd::from);
                let fds = folders(entry).unwrap_or_default().into_iter().chain(netns);
                Ok((Entry::Watch(WatchEntry { pid, ..entry.clone() }), fds.collect()))
            }
            (Part::Router(_), Some(known)) => {
                let file = self.file().display().to_string();
                let entry = RouterEntry { pid, file, holds };
                Ok((Entry::Router(entry), vec![sys::netns::current()?, known.sealed()?]))
            }
            (Part::Router(_), None) => Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}

/// Where `state` is written, and where the agent listens, as they are seen from here: in a container these may be other folders
/// than under the same names outside. None: they are looked for by their names.
fn folders(entry: &WatchEntry) -> io::Result<Vec<OwnedFd>> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = |path: &Path| Ok(rustix::fs::open(path, flags, Mode::empty())?);
    let agent = Path::new(&entry.agent).parent().unwrap_or_else(|| Path::new("/"));
    [Path::new(&entry.folder), agent].into_iter().map(open).collect()
}
