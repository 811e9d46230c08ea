//! Routers of which neutron's agent wants to know.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use api::router::{Entry, EntryAnswer, RouterReport, WatchEntry};
use base::Time;
use engine::router::news::News;
use sys::netlink::Netlink;

use super::super::neutron::Job;
use super::super::seat::Router;
use super::{Hall, Part, Seat};

/// When too many states are on their way to neutron's agent, the next one waits so long.
const LATER: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(super) struct Watch {
    pub(super) entry: WatchEntry,
    pub(super) news: News,
    /// Where the file `state` is, and where the agent listens: it may see other folders under these names.
    folders: Arc<[OwnedFd]>,
    /// As it is known to the loop.
    pub(super) due: Time,
}

impl Watch {
    fn new(entry: WatchEntry, folders: Vec<OwnedFd>) -> Self {
        let news = News::new(entry.told);
        Self { entry, news, folders: folders.into(), due: Time::NEVER }
    }
}

impl Hall<'_> {
    /// With its folders (none: it is of an earlier version), and its namespace.
    pub(super) fn watch(
        &mut self,
        number: u64,
        entry: WatchEntry,
        (folders, netns): (Vec<OwnedFd>, Option<OwnedFd>),
        again: bool,
    ) {
        let folder = entry.folder.clone();
        let kept = folders.iter().chain(&netns).map(OwnedFd::try_clone).collect();
        let router = self.router_of(&folder);
        let primary = match (router, netns) {
            (Some(router), _) => !router.holds.is_empty(),
            // Another program may hold it, or one that is adopted soon.
            (None, Some(netns)) => {
                is_there(&entry, netns.as_fd(), self.home.as_fd()).unwrap_or(false)
            }
            (None, None) => false,
        };
        let Some(seat) = self.seats.get_mut(&number) else { return };
        let mut watch = Watch::new(entry.clone(), folders);
        watch.news.is(primary);
        seat.part = Part::Watch(watch);
        self.keep(number, Entry::Watch(entry), kept);
        if !again {
            self.answer(number, &EntryAnswer::Accepted);
        }
        self.pump(number);
    }

    fn router_of(&self, folder: &str) -> Option<&Router> {
        self.seats.values().find_map(|seat| match &seat.part {
            Part::Router(router) if router.folder == folder => Some(&**router),
            Part::New | Part::Router(_) | Part::Watch(_) => None,
        })
    }

    pub(super) fn watched_changed(&mut self, number: u64) {
        let Some(Seat { part: Part::Router(router), .. }) = self.seats.get(&number) else { return };
        let (folder, primary) = (router.folder.clone(), !router.holds.is_empty());
        self.watched_is(&folder, primary);
    }

    pub(super) fn watched_is(&mut self, folder: &str, primary: bool) {
        let mut concerned = vec![];
        for (number, seat) in &mut self.seats {
            if let Part::Watch(watch) = &mut seat.part
                && watch.entry.folder == folder
            {
                watch.news.is(primary);
                concerned.push(*number);
            }
        }
        concerned.into_iter().for_each(|number| self.pump(number));
    }

    /// Tells neutron's agent what it does not know yet of that one.
    pub(super) fn pump(&mut self, number: u64) {
        let now = sys::clock::now();
        let Some(Seat { part: Part::Watch(watch), .. }) = self.seats.get_mut(&number) else {
            return;
        };
        let mut late = false;
        if let Some(primary) = watch.news.next(now) {
            let (yes, no) = &self.words;
            let word = if primary { yes } else { no }.clone();
            let entry = watch.entry.clone();
            let job = Job { number, primary, word, watch: entry, folders: vec![] };
            late = !self.neutron.tell(job, &watch.folders);
            if late {
                watch.news.went(now, false);
            }
        }
        let before = watch.due;
        let deadline = watch.news.deadline();
        watch.due = if late { deadline.min(now + LATER) } else { deadline };
        let due = watch.due;
        self.reschedule(number, before, due);
    }

    pub(super) fn outcomes(&mut self) {
        while let Some(outcome) = self.neutron.outcome() {
            let number = outcome.number;
            let heard = outcome.error.is_none();
            if let Some(Seat { part: Part::Watch(watch), .. }) = self.seats.get_mut(&number) {
                watch.news.went(sys::clock::now(), heard);
            }
            match outcome.error {
                None => self.tell(&RouterReport::Told { number, primary: outcome.primary }),
                Some(why) => {
                    let name = self.name(number);
                    self.say(format!("{name}: neutron's agent has not heard its state: {why}"));
                }
            }
            self.pump(number);
        }
    }
}

/// Whether the primary address is on its device: what is known of a router that has not said anything here.
fn is_there(entry: &WatchEntry, netns: BorrowedFd<'_>, home: BorrowedFd<'_>) -> io::Result<bool> {
    sys::netns::enter(netns)?;
    let found = Netlink::open().and_then(|netlink| Ok((netlink.links()?, netlink.addresses()?)));
    sys::netns::enter(home)?;
    let (links, addresses) = found?;
    let device = links.iter().find(|link| link.name == entry.interface).map(|link| link.index);
    Ok(addresses.iter().any(|address| {
        Some(address.index) == device && format!("{}/{}", address.ip, address.prefix) == entry.cidr
    }))
}
