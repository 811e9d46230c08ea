//! What a stand-in starts: itself in the background, and a desk where there is none.

use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::path::Path;

use sys::channel::Channel;
use sys::poll::{Interest, Poller};
use sys::process::SpawnOptions;

use super::super::SOCKET_VARIABLE;
use super::{BEGINS, JOINED, StandInError, VARIABLE};
use crate::supervisor::tell;

/// A desk in its own session, as init would have started it.
pub(super) fn start_desk(path: &Path) {
    let environment = [(VARIABLE, OsStr::new("")), (SOCKET_VARIABLE, path.as_os_str())];
    let nowhere = || std::fs::File::options().write(true).open("/dev/null").ok().map(Into::into);
    let options = SpawnOptions {
        new_session: true,
        stdout: nowhere(),
        stderr: nowhere(),
        environment: &environment,
        ..SpawnOptions::default()
    };
    let (program, words) = (Path::new("/proc/self/exe"), [OsStr::new("routers")]);
    match sys::process::spawn(program, Some("outlast"), &words, None, options) {
        // A small program reaps nobody.
        Ok(_desk) => drop(sys::signal::ignore(&[sys::signal::SIGCHLD])),
        Err(error) => tell::line(&format!("cannot start a desk of routers: {error}")),
    }
}

/// The same again in a session of its own; returns when that one has joined.
pub(super) fn background() -> Result<(), StandInError> {
    let (ours, theirs) = Channel::pair().map_err(StandInError::Background)?;
    let words: Vec<_> = std::env::args_os().collect();
    let words: Vec<&OsStr> = words.iter().map(AsRef::as_ref).collect();
    let Some((name, rest)) = words.split_first() else { return Err(StandInError::Silent) };
    let environment = [(VARIABLE, OsStr::new(BEGINS))];
    let options =
        SpawnOptions { new_session: true, environment: &environment, ..SpawnOptions::default() };
    let program = Path::new("/proc/self/exe");
    let child = sys::process::spawn(program, name.to_str(), rest, Some(&theirs), options);
    child.map_err(StandInError::Background)?;
    drop(theirs);
    let poller = Poller::new().map_err(StandInError::Background)?;
    poller.add(ours.as_fd(), 0, Interest::READ).map_err(StandInError::Background)?;
    poller.wait(&mut Vec::with_capacity(1), None).map_err(StandInError::Background)?;
    let mut word = [0; 16];
    match ours.receive(&mut word, &mut vec![]) {
        Ok(length) if &word[..length] == JOINED => Ok(()),
        Ok(_) | Err(_) => Err(StandInError::Silent),
    }
}
