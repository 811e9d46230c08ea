use std::io::Read;
use std::time::Duration;

use super::*;
use crate::poll::{Interest, Poller};

fn words<'a>(texts: &'a [&'a str]) -> Vec<&'a OsStr> {
    texts.iter().map(OsStr::new).collect()
}

fn shell(script: &str, channel: Option<&Channel>, options: SpawnOptions<'_>) -> Child {
    spawn(Path::new("/bin/sh"), Some("sh"), &words(&["-c", script]), channel, options).unwrap()
}

fn wait_for(fd: BorrowedFd<'_>) {
    let poller = Poller::new().unwrap();
    poller.add(fd, 0, Interest::READ).unwrap();
    let mut ready = Vec::new();
    poller.wait(&mut ready, Some(Duration::from_secs(10))).unwrap();
    assert_eq!(ready.len(), 1, "nothing happened in time");
}

#[test]
fn a_pidfd_sees_a_death() {
    let child = shell("exec sleep 1000", None, SpawnOptions::default());
    assert_eq!(child.reap().unwrap(), None);
    let watch = watch(child.pid()).unwrap();
    child.signal(SIGKILL).unwrap();
    wait_for(child.pidfd());
    wait_for(watch.as_fd());
    assert_eq!(child.reap().unwrap(), Some(Exit::Signal(SIGKILL)));
    assert!(child.signal(SIGKILL).is_err());
}

#[test]
fn a_stop_and_what_ends_it_are_told_once() {
    let child = shell("exec sleep 1000", None, SpawnOptions::default());
    assert_eq!(child.stopped().unwrap(), None);
    for (signal, told) in [(SIGSTOP, true), (SIGCONT, false)] {
        child.signal(signal).unwrap();
        let began = crate::clock::now();
        let said = loop {
            if let Some(said) = child.stopped().unwrap() {
                break said;
            }
            assert!(crate::clock::now().since(began) < Duration::from_secs(10), "nothing was told");
            std::thread::yield_now();
        };
        assert_eq!(said, told);
        assert_eq!(child.stopped().unwrap(), None);
    }
    child.signal(SIGKILL).unwrap();
    assert_eq!(child.wait().unwrap(), Exit::Signal(SIGKILL));
}

#[test]
fn the_channel_is_descriptor_three_whatever_was_open() {
    let (mine, theirs) = Channel::pair().unwrap();
    let options =
        SpawnOptions { environment: &[("WORD", OsStr::new("hi"))], ..SpawnOptions::default() };
    let child = shell("printf \"$WORD\" >&3; exit 4", Some(&theirs), options);
    drop(theirs);
    wait_for(mine.as_fd());
    let mut buffer = [0; 8];
    assert_eq!(mine.receive(&mut buffer, &mut Vec::new()).unwrap(), 2);
    assert_eq!(child.wait().unwrap(), Exit::Code(4));
    // The child's end was the last one.
    assert_eq!(mine.receive(&mut buffer, &mut Vec::new()).unwrap(), 0);
}

#[test]
fn a_group_dies_as_one() {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let options = SpawnOptions { new_group: true, stdout: Some(write), ..SpawnOptions::default() };
    let child = shell("sleep 1000 & echo started; wait", None, options);
    let mut output = std::fs::File::from(read);
    let mut line = [0; 8];
    output.read_exact(&mut line).unwrap();
    child.signal_group(SIGKILL).unwrap();
    assert_eq!(child.wait().unwrap(), Exit::Signal(SIGKILL));
    // End of file: the sleeping grandchild, which held the pipe, is gone too.
    assert_eq!(output.read(&mut line).unwrap(), 0);
}

#[test]
fn a_missing_program_is_an_error_of_the_call() {
    let error =
        spawn(Path::new("/no/such/program"), None, &[], None, SpawnOptions::default()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}

#[test]
fn signals_blocked_in_the_parent_are_not_blocked_in_the_child() {
    let _signals = crate::signal::Signals::new(&[SIGTERM]).unwrap();
    let child = shell("kill -TERM $$; exit 0", None, SpawnOptions::default());
    assert_eq!(child.wait().unwrap(), Exit::Signal(SIGTERM));
}

#[test]
fn who_is_about_to_be_gone_is_told_apart_from_who_runs_and_who_is_gone() {
    let child = shell("sleep 1000", None, SpawnOptions::default());
    assert!(!is_exiting(child.pid()));
    child.signal(SIGKILL).unwrap();
    wait_for(child.pidfd());
    assert!(is_exiting(child.pid()), "nobody has asked how it ended");
    assert_eq!(child.wait().unwrap(), Exit::Signal(SIGKILL));
    assert!(!is_exiting(child.pid()));
}
