//! The processes that the supervisor started.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::{self, PipeReader};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use api::{Order, Report};
use sys::channel::Channel;
use sys::process::{Child as Process, SpawnOptions};

/// Orders that may wait for a child that does not read: a frozen one is killed after 300 ms, so
/// this is far more than ever piles up.
const WAITING: usize = 512;
/// Beyond so many no wish is sent: the rest is for what a child has to know.
const WAITING_WISHES: usize = WAITING / 2;

/// The executable of this process.
pub(super) const RUNNING: &str = "/proc/self/exe";

/// One child and the way to it.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) kind: engine::role::Kind,
    pub(crate) generation: u64,
    pub(crate) process: Process,
    /// Told to end: its end is no loss.
    pub(crate) leaving: bool,
    /// Ends as soon as the process begins to: [`sys::rights::keep_as_last`].
    pub(crate) life: Option<PipeReader>,
    /// A vip process whose addresses were taken down when it began to end.
    pub(crate) taken_down: bool,
    /// That it was lost, told when it is known how it ended.
    pub(crate) loss: Option<api::Event>,
    channel: Channel,
    waiting: VecDeque<(Vec<u8>, Vec<OwnedFd>)>,
    /// Orders that a child that does not read cost.
    pub(crate) lost: u64,
}

impl Child {
    pub(crate) fn spawn(kind: engine::role::Kind, generation: u64) -> io::Result<Self> {
        Self::spawn_of(Path::new(RUNNING), kind, generation)
    }

    /// Of another executable.
    pub(crate) fn spawn_of(
        program: &Path,
        kind: engine::role::Kind,
        generation: u64,
    ) -> io::Result<Self> {
        let (ours, theirs) = Channel::pair()?;
        let name = word(kind);
        let process = sys::process::spawn(
            program,
            Some("outlast"),
            &[OsStr::new("role"), OsStr::new(name)],
            Some(&theirs),
            SpawnOptions::default(),
        )?;
        Ok(Self {
            kind,
            generation,
            process,
            leaving: false,
            life: None,
            taken_down: false,
            loss: None,
            channel: ours,
            waiting: VecDeque::new(),
            lost: 0,
        })
    }

    /// Whether it is a vip process that has, and goes on with, what it said: neither told to end nor about to.
    pub(crate) fn is_running_vip(&self) -> bool {
        self.kind == engine::role::Kind::Vip && !self.leaving && !self.taken_down
    }

    /// Sends or keeps for later.
    pub(crate) fn order(&mut self, order: &Order, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut bytes = vec![];
        api::encode(order, &mut bytes);
        if self.waiting.is_empty() {
            match self.channel.send(&bytes, fds) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                sent => return sent,
            }
        }
        if self.waiting.len() == WAITING {
            self.lost += 1;
        } else {
            let fds = fds.iter().map(|fd| fd.try_clone_to_owned()).collect::<io::Result<_>>()?;
            self.waiting.push_back((bytes, fds));
        }
        Ok(())
    }

    /// Sends what waited.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        while let Some((bytes, fds)) = self.waiting.front() {
            let fds: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
            match self.channel.send(bytes, &fds) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                sent => sent?,
            }
            self.waiting.pop_front();
        }
        Ok(())
    }

    /// Whether one more of the things that may be counted instead can wait.
    pub(crate) fn has_room_for_wishes(&self) -> bool {
        self.waiting.len() < WAITING_WISHES
    }

    pub(crate) fn is_behind(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The next report, and descriptors beside it; none when there is none yet, an error of kind `UnexpectedEof` at the end.
    pub(crate) fn report(
        &self,
        buffer: &mut [u8],
        fds: &mut Vec<OwnedFd>,
    ) -> io::Result<Option<Report>> {
        match self.channel.receive(buffer, fds) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => api::decode(&buffer[..length])
                .map(Some)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn channel(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}

/// The role's name on the command line.
pub(crate) const fn word(kind: engine::role::Kind) -> &'static str {
    match kind {
        engine::role::Kind::Vip => "vip",
        engine::role::Kind::Agent => "agent",
        engine::role::Kind::Proxy => "proxy",
        engine::role::Kind::Services => "services",
        engine::role::Kind::Store => "store",
    }
}
