//! The process of routers: every namespace, one real-time thread, one loop.
//!
//! A stand-in's socket is its life: when the kernel closes it, the router's addresses are released. When the desk is gone, this
//! process ends and leaves all as it is: the stand-ins find another desk, whose process adopts it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use api::router::{Entry, EntryAnswer, RouterEntry, RouterOrder, RouterReport};
use api::{MAX_MESSAGE, Report};
use base::{Chain, Time};
use sys::channel::Channel;
use sys::poll::{Interest, Poller, Ready};

use super::RoutersError;

use super::neutron::Neutron;
use super::outbox::Outbox;
use super::seat::Router;
use crate::vip::closing::Closing;

mod lines;
mod watch;

/// Seats are numbered from here; two tokens each.
pub(super) const FIRST_SEAT: u64 = 8;
const CHANNEL: u64 = 0;
const NEUTRON: u64 = 1;
/// A thousand routers have so many descriptors.
pub(crate) const ROOM: u64 = 16_384;
/// As the vip process of a node.
const PRIORITY: u8 = 50;

/// Who connected.
struct Seat {
    socket: Channel,
    part: Part,
}

enum Part {
    /// Has not said what it is.
    New,
    Router(Box<Router>),
    Watch(watch::Watch),
}

struct Hall<'a> {
    desk: &'a Channel,
    poller: Poller,
    /// The namespace of this process.
    home: OwnedFd,
    seats: BTreeMap<u64, Seat>,
    /// When which seat has something to do.
    due: BTreeSet<(Time, u64)>,
    neutron: Neutron,
    closing: Closing,
    words: (String, String),
    outbox: Outbox,
    buffer: Vec<u8>,
    ended: bool,
}

pub(crate) fn run(desk: &Channel) -> Result<(), RoutersError> {
    // Else the table grows while threads share it, and each time the first of them waits. It is only slower without.
    let _grows = sys::rights::make_room_for_files(ROOM);
    let mut hall = Hall::new(desk).map_err(RoutersError::Poll)?;
    let (realtime, locked) = (sys::schedule::realtime(PRIORITY), sys::memory::lock_all());
    if let Err(error) = realtime.and(locked) {
        hall.say(format!("runs as an ordinary process, adverts may be late: {error}"));
    }
    let mut ready: Vec<Ready> = Vec::with_capacity(64);
    while !hall.ended {
        let now = sys::clock::now();
        let wait = hall.due.first().map(|(at, _)| at.since(now));
        hall.poller.wait(&mut ready, wait).map_err(RoutersError::Poll)?;
        for event in &ready {
            match event.token {
                CHANNEL => hall.orders(),
                NEUTRON => hall.outcomes(),
                token if token % 2 == 0 => hall.hear(token / 2),
                token => hall.turn(token / 2),
            }
            // Many may come at once: nobody's advert waits for all of them.
            hall.pass_time();
        }
        hall.pass_time();
        hall.outbox.flush(desk, &hall.poller, CHANNEL);
    }
    Ok(())
}

impl<'a> Hall<'a> {
    fn new(desk: &'a Channel) -> io::Result<Self> {
        let (poller, neutron, closing) = (Poller::new()?, Neutron::start()?, Closing::start()?);
        poller.add(desk.as_fd(), CHANNEL, Interest::READ)?;
        poller.add(neutron.fd(), NEUTRON, Interest::READ)?;
        Ok(Self {
            desk,
            poller,
            home: sys::netns::current()?,
            seats: BTreeMap::new(),
            due: BTreeSet::new(),
            neutron,
            closing,
            words: ("primary".to_owned(), "backup".to_owned()),
            outbox: Outbox::default(),
            buffer: vec![0; MAX_MESSAGE],
            ended: false,
        })
    }

    fn tell(&mut self, report: &RouterReport) {
        self.outbox.tell(report, vec![]);
    }

    fn say(&mut self, text: String) {
        self.tell(&RouterReport::Said(text));
    }

    fn orders(&mut self) {
        loop {
            let mut fds = vec![];
            match self.desk.receive(&mut self.buffer, &mut fds) {
                Ok(0) => self.ended = true,
                Ok(length) => {
                    if let Ok(order) = api::decode(&self.buffer[..length]) {
                        self.order(order, fds);
                        self.pass_time();
                        // The desk counts those that are adopted: how long all of them take is no silence.
                        self.outbox.flush(self.desk, &self.poller, CHANNEL);
                        continue;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    // It hears nothing, and asks again when it has waited for long enough.
                    self.say("a stand-in was lost: no descriptor is left".to_owned());
                    continue;
                }
                Err(_) => self.ended = true,
            }
            return;
        }
    }

    fn order(&mut self, order: RouterOrder, mut fds: Vec<OwnedFd>) {
        match order {
            RouterOrder::Begin { words } => self.words = words,
            RouterOrder::Ping(number) => self.tell(&RouterReport::Pong(number)),
            RouterOrder::Retire => self.ended = true,
            RouterOrder::Seat { number, entry } => {
                if fds.is_empty() {
                    return self.tell(&RouterReport::Gone { number });
                }
                let socket = Channel::from_fd(fds.remove(0));
                if self.poller.add(socket.as_fd(), number * 2, Interest::READ).is_err() {
                    return self.tell(&RouterReport::Gone { number });
                }
                self.seats.insert(number, Seat { socket, part: Part::New });
                if let Some(entry) = entry {
                    self.enter(number, *entry, fds, true);
                }
            }
        }
    }

    /// What a stand-in says.
    fn hear(&mut self, number: u64) {
        while let Some(seat) = self.seats.get(&number) {
            let mut fds = vec![];
            match seat.socket.receive(&mut self.buffer, &mut fds) {
                Ok(0) => return self.leave(number, "its stand-in ended"),
                Ok(length) => match api::decode(&self.buffer[..length]) {
                    Ok(entry) => self.enter(number, entry, fds, false),
                    Err(error) => return self.refuse(number, Chain(&error).to_string()),
                },
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => return self.leave(number, "its socket broke"),
            }
        }
    }

    /// `again`: an earlier process has accepted it.
    fn enter(&mut self, number: u64, entry: Entry, mut fds: Vec<OwnedFd>, again: bool) {
        match entry {
            Entry::Router(router) => {
                if let (Some(text), Some(netns)) = (fds.pop(), fds.pop()) {
                    self.admit(number, router, (netns, text), again);
                } else {
                    self.refuse(number, "its namespace or file is missing".to_owned());
                }
            }
            Entry::Watch(watch) => {
                // The namespace is the last one, if it is there.
                let netns = if fds.len() % 2 == 1 { fds.pop() } else { None };
                self.watch(number, watch, (fds, netns), again);
            }
            Entry::Reload => {
                if let Some(text) = fds.pop() {
                    self.reload(number, text);
                }
            }
            Entry::Stop => {
                self.release(number, "its stand-in was told to end");
                self.answer(number, &EntryAnswer::Stopped);
            }
            Entry::Count { clear } => self.count(number, clear),
            Entry::Trouble { why } => {
                let name = self.name(number);
                self.say(format!("{name}: {why}"));
            }
            Entry::List => self.list(number),
        }
    }

    fn answer(&self, number: u64, answer: &EntryAnswer) {
        if let Some(seat) = self.seats.get(&number) {
            let mut bytes = vec![];
            api::encode(answer, &mut bytes);
            // If it is gone, the kernel says so.
            let _gone = seat.socket.send(&bytes, &[]);
        }
    }

    fn refuse(&mut self, number: u64, why: String) {
        let name = self.name(number);
        self.say(format!("{name}: is not run: {why}"));
        self.answer(number, &EntryAnswer::Refused { why });
    }

    fn name(&self, number: u64) -> String {
        match self.seats.get(&number).map(|seat| &seat.part) {
            Some(Part::Router(router)) => router.name(),
            Some(Part::Watch(watch)) => watch.entry.router.clone(),
            Some(Part::New) | None => "a stand-in".to_owned(),
        }
    }

    fn admit(
        &mut self,
        number: u64,
        entry: RouterEntry,
        (netns, text): (OwnedFd, OwnedFd),
        again: bool,
    ) {
        let of = |seat: &Seat| match &seat.part {
            Part::Router(router) if router.entry.file == entry.file => Some(router.entry.pid),
            Part::New | Part::Router(_) | Part::Watch(_) => None,
        };
        let other = self.seats.iter().find_map(|(other, seat)| Some((*other, of(seat)?)));
        if let Some((other, pid)) = other {
            // Its end may be known already, and not heard yet.
            self.hear(other);
            if self.seats.get(&other).is_some_and(|seat| of(seat).is_some()) {
                return self.refuse(number, format!("it runs already as pid {pid}"));
            }
        }
        match Router::open(entry, netns, text.as_fd(), self.home.as_fd(), &self.closing) {
            Ok(router) => {
                let Some(seat) = self.seats.get_mut(&number) else { return };
                if self.poller.add(router.fd(), number * 2 + 1, Interest::READ).is_err() {
                    return self.refuse(number, "no descriptor is left".to_owned());
                }
                let kept = router.netns.try_clone().map(|netns| vec![netns, text]);
                let entry = RouterEntry { holds: router.holds.clone(), ..router.entry.clone() };
                let name = router.name();
                seat.part = Part::Router(Box::new(router));
                self.keep(number, Entry::Router(entry), kept);
                if !again {
                    self.answer(number, &EntryAnswer::Accepted);
                }
                self.say(format!("{name}: {}", if again { "is adopted" } else { "runs" }));
                self.settle(number);
                self.watched_changed(number);
            }
            Err(error) => self.refuse(number, Chain(&error).to_string()),
        }
    }

    fn keep(&mut self, number: u64, entry: Entry, fds: io::Result<Vec<OwnedFd>>) {
        if let Ok(fds) = fds {
            self.outbox.tell(&RouterReport::Keep { number, entry: Box::new(entry) }, fds);
        }
    }

    fn reload(&mut self, number: u64, text: OwnedFd) {
        let home = self.home.as_fd();
        let Some(Seat { part: Part::Router(router), .. }) = self.seats.get_mut(&number) else {
            return;
        };
        let _gone = self.poller.remove(router.fd());
        let outcome = router.reload(text.as_fd(), home);
        let added = self.poller.add(router.fd(), number * 2 + 1, Interest::READ);
        let (entry, kept) = (router.entry.clone(), router.netns.try_clone());
        let entry = RouterEntry { holds: router.holds.clone(), ..entry };
        match outcome {
            Ok(()) => {
                if added.is_err() {
                    return self.refuse(number, "no descriptor is left".to_owned());
                }
                self.keep(number, Entry::Router(entry), kept.map(|netns| vec![netns, text]));
                self.settle(number);
                self.answer(number, &EntryAnswer::Reloaded);
            }
            Err(error) => {
                let (name, why) = (self.name(number), Chain(&error).to_string());
                self.say(format!("{name}: goes on with the file before: {why}"));
                self.settle(number);
                self.answer(number, &EntryAnswer::Unchanged { why });
            }
        }
    }

    fn count(&mut self, number: u64, clear: bool) {
        if let Some(Seat { part: Part::Router(router), .. }) = self.seats.get_mut(&number) {
            let counts = router.counted(clear);
            self.answer(number, &EntryAnswer::Counted(counts));
        }
    }

    /// A router has something to do.
    fn turn(&mut self, number: u64) {
        let Some(seat) = self.seats.get_mut(&number) else { return };
        match &mut seat.part {
            Part::Router(router) => {
                if let Err(error) = router.turn(self.home.as_fd()) {
                    let why = Chain(&error).to_string();
                    self.release(number, &why);
                    return self.refuse(number, why);
                }
                self.settle(number);
            }
            Part::Watch(_) => self.pump(number),
            Part::New => {}
        }
    }

    /// What a router told goes to whoever has to know it; and when it is looked at again.
    fn settle(&mut self, number: u64) {
        let Some(Seat { part: Part::Router(router), .. }) = self.seats.get_mut(&number) else {
            return;
        };
        let before = router.holds.clone();
        let reports = router.reports(self.home.as_fd());
        let (holds, was_due) = (router.holds.clone(), router.due);
        router.due = router.deadline();
        let due = router.due;
        self.reschedule(number, was_due, due);
        if holds != before {
            self.tell(&RouterReport::Holds { number, holds });
            self.watched_changed(number);
        }
        for report in reports {
            if let Report::Event(event) = report {
                self.tell(&RouterReport::Event(Box::new(event)));
            }
        }
    }

    fn reschedule(&mut self, number: u64, before: Time, due: Time) {
        self.due.remove(&(before, number));
        if due != Time::NEVER {
            self.due.insert((due, number));
        }
    }

    /// Everything that is due.
    fn pass_time(&mut self) {
        let now = sys::clock::now();
        let later = self.due.split_off(&(now + Duration::from_nanos(1), 0));
        // Each once: one that is always late delays no other.
        for (_, number) in std::mem::replace(&mut self.due, later) {
            self.turn(number);
        }
    }

    /// The router releases what it holds; its seat stays.
    fn release(&mut self, number: u64, why: &str) {
        let name = self.name(number);
        let Some(seat) = self.seats.get_mut(&number) else { return };
        let Part::Router(mut router) = std::mem::replace(&mut seat.part, Part::New) else {
            return;
        };
        if let Err(error) = router.stop(self.home.as_fd()) {
            self.say(format!("{name}: cannot release: {}", Chain(&error)));
        }
        self.due.remove(&(router.due, number));
        let _gone = self.poller.remove(router.fd());
        let (folder, events) = (router.folder.clone(), router.reports(self.home.as_fd()));
        router.close();
        for event in events {
            if let Report::Event(event) = event {
                self.tell(&RouterReport::Event(Box::new(event)));
            }
        }
        self.say(format!("{name}: is released: {why}"));
        self.watched_is(&folder, false);
    }

    /// The stand-in is gone.
    fn leave(&mut self, number: u64, why: &str) {
        self.release(number, why);
        if let Some(seat) = self.seats.remove(&number) {
            let _gone = self.poller.remove(seat.socket.as_fd());
            if let Part::Watch(watch) = seat.part {
                self.due.remove(&(watch.due, number));
            }
        }
        self.tell(&RouterReport::Gone { number });
    }
}
