//! Stand-ins whose desk is lost, slow, or full.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use api::router::{Entry, EntryAnswer};
use sys::channel::{Channel, Listener};
use sys::poll::{Interest, Poller};

use crate::host::{Host, PRIMARY, ip, namespace};
use crate::lonely::{contained, kill, runs, until};

/// A desk of the test's own: it answers when the test says so.
struct Slow {
    listener: Listener,
    /// Have said nothing yet: who only looks whether there is a desk says nothing at all.
    silent: RefCell<Vec<Channel>>,
}

impl Slow {
    fn listen(host: &Host) -> Self {
        let listener = Listener::bind(&host.socket()).expect("nobody listens there");
        Self { listener, silent: RefCell::default() }
    }

    /// The next one that says what it stands for.
    fn asked(&self) -> Option<(Channel, Entry)> {
        let mut silent = self.silent.borrow_mut();
        while let Ok(Some(channel)) = self.listener.accept() {
            silent.push(channel);
        }
        let (mut bytes, mut length) = (vec![0; api::MAX_MESSAGE], 0);
        let at = silent.iter().position(|channel| {
            length = channel.receive(&mut bytes, &mut vec![]).unwrap_or(0);
            length > 0
        })?;
        let entry = api::decode(&bytes[..length]).expect("an entry");
        Some((silent.remove(at), entry))
    }

    fn next(&self) -> (Channel, Entry) {
        let mut found = None;
        until("a stand-in says what it stands for", || {
            found = self.asked();
            found.is_some()
        });
        found.expect("it was found")
    }

    /// A router that is accepted, with its address on its device.
    fn started(&self, host: &Host, router: &str) -> Channel {
        namespace(router, 1);
        host.write(router, "10.1.0.1/24");
        std::thread::scope(|scope| {
            let starting = scope.spawn(|| host.start(router));
            let (socket, entry) = self.next();
            assert!(matches!(entry, Entry::Router(router) if router.holds.is_empty()));
            answer(&socket, &EntryAnswer::Accepted);
            starting.join().expect("it starts");
            ip(&["-n", &format!("a-{router}"), "address", "add", PRIMARY, "dev", "ha-1"]);
            socket
        })
    }
}

fn answer(socket: &Channel, answer: &EntryAnswer) {
    let mut bytes = vec![];
    api::encode(answer, &mut bytes);
    socket.send(&bytes, &[]).expect("it listens");
}

fn holds(entry: &Entry) -> &[u16] {
    let Entry::Router(router) = entry else { panic!("{entry:?} is no router") };
    &router.holds
}

/// What it says next.
fn said(socket: &Channel) -> Entry {
    let poller = Poller::new().expect("a poller");
    poller.add(socket.as_fd(), 0, Interest::READ).expect("it is open");
    poller.wait(&mut Vec::with_capacity(1), Some(Duration::from_secs(20))).expect("it waits");
    let mut bytes = vec![0; api::MAX_MESSAGE];
    let length = socket.receive(&mut bytes, &mut vec![]).expect("it has said something");
    api::decode(&bytes[..length]).expect("an entry")
}

#[test]
fn a_slow_desk_is_waited_for_on_one_socket_and_what_is_refused_or_told_to_end_leaves_nothing() {
    let test = "lost::a_slow_desk_is_waited_for_on_one_socket_and_what_is_refused_or_told_to_end_leaves_nothing";
    contained(test, || {
        let host = Host::new("a");
        let desk = Slow::listen(&host);
        drop(desk.started(&host, "r1"));
        let (socket, entry) = desk.next();
        assert_eq!(holds(&entry), [0]);
        // Longer than it once waited for an answer, and shorter than nobody may speak for an address.
        sleep(Duration::from_millis(1500));
        assert!(desk.asked().is_none(), "it has asked on another socket");
        assert!(host.holds("r1"));
        answer(&socket, &EntryAnswer::Accepted);
        let pid = host.pid("r1");
        kill(pid, "HUP");
        assert_eq!(said(&socket), Entry::Reload);
        answer(&socket, &EntryAnswer::Refused { why: "no descriptor is left".to_owned() });
        until("one that is refused ends", || !runs(pid));
        assert!(!host.holds("r1") && host.number("r1", "pid").is_none());

        drop(desk.started(&host, "r2"));
        let _unanswered = desk.next();
        let (_late, entry) = desk.next();
        assert_eq!(holds(&entry), [0; 0], "it waits on, without its addresses");
        assert!(!host.holds("r2"));
        let (pid, began) = (host.pid("r2"), sys::clock::now());
        kill(pid, "TERM");
        until("one that waits ends when it is told to", || !runs(pid));
        assert!(sys::clock::now().since(began) < Duration::from_secs(5));
        assert!(host.number("r2", "pid").is_none());
    });
}

#[test]
fn what_a_stand_in_held_that_was_killed_while_there_was_no_desk_is_taken_off_by_the_next() {
    let test = "lost::what_a_stand_in_held_that_was_killed_while_there_was_no_desk_is_taken_off_by_the_next";
    contained(test, || {
        let mut host = Host::new("a");
        host.start_desk();
        for router in ["r1", "r2"] {
            namespace(router, 1);
            host.write(router, "10.1.0.1/24");
            host.start(router);
        }
        until("both are primary", || host.holds("r1") && host.holds("r2"));
        let pids = [host.pid("r1"), host.pid("r2")];
        // What it says now cannot be run: it goes on with what was accepted.
        host.write("r2", "10.1.0.300/24");
        host.kill_desk_and_its_place();
        kill(pids[0], "KILL");
        until("both have ended", || !pids.iter().any(|pid| runs(*pid)));
        assert!(!host.holds("r2") && !host.has("r2", "10.1.0.1/24"), "it knew what it held");
        assert!(host.holds("r1"), "nobody was there who could take it off");
        host.make_place();
        host.start_desk();
        until("the next desk takes it off", || !host.holds("r1") && !host.has("r1", "10.1.0.1/24"));
        until("that is told", || host.log().contains("was killed while nobody saw it"));
    });
}

#[test]
fn a_desk_without_a_descriptor_lets_who_comes_wait_says_so_once_and_goes_on() {
    let test = "lost::a_desk_without_a_descriptor_lets_who_comes_wait_says_so_once_and_goes_on";
    contained(test, || {
        let mut host = Host::new("a");
        host.start_desk();
        let (desk, _process) = (host.desk(), host.process());
        let folder = Path::new("/proc").join(desk.to_string()).join("fd");
        let numbers = fs::read_dir(folder).expect("it runs").flatten();
        let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let taken: BTreeSet<u32> = numbers.collect();
        // A few are left.
        let limit = (0..).filter(|number| !taken.contains(number)).nth(5).expect("one is free");
        let words = [format!("--pid={desk}"), format!("--nofile={limit}:{limit}")];
        assert!(Command::new("prlimit").args(words).status().expect("it runs").success());
        let waiting: Vec<Channel> =
            (0..20).map(|_| Channel::connect(&host.socket()).expect("it listens")).collect();
        let told = || host.log().matches("cannot accept a stand-in").count();
        until("it says so", || told() > 0);
        sleep(Duration::from_millis(1200));
        assert_eq!(told(), 1, "{}", host.log());
        drop(waiting);
        until("it goes on", || host.log().contains("stand-ins are accepted again"));
        let mut list = Command::new(crate::lonely::OUTLAST);
        list.args(["routers", "--list", "--socket"]).arg(host.socket());
        until("it answers", || list.output().expect("it runs").status.success());
    });
}
