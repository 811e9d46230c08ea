//! One router: its namespace, what runs there, and what passes from one of its files to the next.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use api::router::{RouterCounts, RouterEntry};
use api::{Mode, RefusedAdverts, Report, Start, VipRole};
use base::Time;
use config::Source;
use config::vip::Vip;
use engine::vip::estate::Estate;

use crate::files::Texts;
use crate::vip::VipError;
use crate::vip::closing::Closing;
use crate::vip::namespace::{Namespace, effective};

/// A router that runs.
#[derive(Debug)]
pub(super) struct Router {
    pub(super) entry: RouterEntry,
    /// Of its file: neutron's name of it.
    pub(super) folder: String,
    pub(super) netns: OwnedFd,
    namespace: Namespace,
    estate: Estate,
    /// Of the file in force.
    vips: Vec<Vip>,
    pub(super) holds: Vec<u16>,
    pub(super) role: VipRole,
    /// As it is known to the loop.
    pub(super) due: Time,
    /// Adverts that were not obeyed, and those of them that were before counting began anew.
    refused: Vec<RefusedAdverts>,
    before: Vec<RefusedAdverts>,
    closing: Closing,
}

/// Why it does not run, or not with another file.
#[derive(Debug, thiserror::Error)]
pub(super) enum RouterError {
    #[error("its network namespace cannot be entered")]
    Namespace(#[source] io::Error),
    #[error("its file cannot be read")]
    Text(#[source] io::Error),
    #[error(transparent)]
    Vip(#[from] VipError),
}

/// Runs `work` in that namespace, and comes back whatever comes of it: a thread that stays keeps the namespace of a router that
/// is deleted.
fn inside<T>(
    netns: BorrowedFd<'_>,
    home: BorrowedFd<'_>,
    work: impl FnOnce() -> T,
) -> io::Result<T> {
    sys::netns::enter(netns)?;
    let done = work();
    sys::netns::enter(home)?;
    Ok(done)
}

pub(super) fn folder_of(file: &str) -> String {
    Path::new(file).parent().map(|folder| folder.display().to_string()).unwrap_or_default()
}

fn name_of(folder: &str) -> String {
    let name = Path::new(folder).file_name().map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_else(|| "router".to_owned())
}

fn read(entry: &RouterEntry, text: BorrowedFd<'_>) -> Result<Texts, RouterError> {
    let bytes = sys::memory::read(text).map_err(RouterError::Text)?;
    let text = String::from_utf8(bytes)
        .map_err(|error| RouterError::Text(io::Error::new(io::ErrorKind::InvalidData, error)))?;
    let source = Source { path: entry.file.clone(), text };
    Ok(Texts { keepalived: Some(source), ..Texts::default() })
}

/// `goes_on`: what was there before is, so nothing waits as at a start (`vrrp_startup_delay`).
fn start(folder: &str, goes_on: bool, adopt: Vec<u16>, leftovers: Vec<std::net::IpAddr>) -> Start {
    Start {
        mode: Mode::Rfc,
        node: name_of(folder),
        generation: if goes_on { 2 } else { 1 },
        run_dir: String::new(),
        state_dir: String::new(),
        life: 0,
        breaks: vec![],
        files: vec![],
        sockets: vec![],
        adopt,
        leftovers,
        closed: false,
        heir: false,
        voters: None,
        servers: vec![],
        choices: vec![],
        nodes: vec![],
    }
}

impl Router {
    pub(super) fn open(
        entry: RouterEntry,
        netns: OwnedFd,
        text: BorrowedFd<'_>,
        home: BorrowedFd<'_>,
        closing: &Closing,
    ) -> Result<Self, RouterError> {
        let (texts, folder) = (read(&entry, text)?, folder_of(&entry.file));
        let opened = inside(netns.as_fd(), home, || {
            let vips = effective(&texts)?;
            let adopt = entry.holds.iter().copied();
            let adopt: Vec<u16> =
                adopt.filter(|number| usize::from(*number) < vips.len()).collect();
            let goes_on = !adopt.is_empty();
            let start = start(&folder, goes_on, adopt, vec![]);
            let namespace = Namespace::open(&start, &texts, closing)?;
            Ok::<_, VipError>((namespace, vips))
        });
        let (namespace, vips) = opened.map_err(RouterError::Namespace)??;
        let mut estate = Estate::default();
        estate.starts();
        let (holds, role, due) = (namespace.holds(), VipRole::Backup, Time::ZERO);
        Ok(Self {
            entry,
            folder,
            netns,
            namespace,
            estate,
            vips,
            holds,
            role,
            due,
            refused: vec![],
            before: vec![],
            closing: closing.clone(),
        })
    }

    pub(super) fn name(&self) -> String {
        name_of(&self.folder)
    }

    /// Readable when there is something to do.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.namespace.fd()
    }

    pub(super) fn deadline(&self) -> Time {
        self.namespace.deadline()
    }

    pub(super) fn turn(&mut self, home: BorrowedFd<'_>) -> Result<(), RouterError> {
        let namespace = &mut self.namespace;
        Ok(inside(self.netns.as_fd(), home, || namespace.turn())
            .map_err(RouterError::Namespace)??)
    }

    /// What it told since this was asked last, and what follows of it here.
    pub(super) fn reports(&mut self, home: BorrowedFd<'_>) -> Vec<Report> {
        let reports = self.namespace.reports();
        for report in &reports {
            if let Report::Adverts(news) = report {
                news.iter().for_each(|news| RefusedAdverts::learn(&mut self.refused, news));
            }
            let Report::Vip(state) = report else { continue };
            if state.instance == 0 {
                self.role = state.role;
            }
            let left = self.estate.says(state.instance, &self.vips);
            if !left.is_empty() {
                let namespace = &self.namespace;
                // One whose namespace is gone has no routes.
                let _gone = inside(self.netns.as_fd(), home, || namespace.remove_routes(&left));
            }
        }
        self.holds = self.namespace.holds();
        reports
    }

    /// How all of its instances stand, and what was counted; `clear`: counting begins anew.
    pub(super) fn counted(&mut self, clear: bool) -> RouterCounts {
        let (states, counts) = self.namespace.counted(clear);
        let refused = self.refused.iter().map(|now| now.since(&self.before)).collect();
        if clear {
            self.before.clone_from(&self.refused);
        }
        RouterCounts { states, counts, refused }
    }

    /// It was released: what is left is closed.
    pub(super) fn close(self) {
        self.closing.close(self.namespace);
    }

    /// Another file: what both have stays where it is. A file that cannot be run changes nothing.
    pub(super) fn reload(
        &mut self,
        text: BorrowedFd<'_>,
        home: BorrowedFd<'_>,
    ) -> Result<(), RouterError> {
        let texts = read(&self.entry, text)?;
        let netns = self.netns.try_clone().map_err(RouterError::Namespace)?;
        Ok(inside(netns.as_fd(), home, || self.exchange(&texts))
            .map_err(RouterError::Namespace)??)
    }

    fn exchange(&mut self, texts: &Texts) -> Result<(), VipError> {
        let next = effective(texts)?;
        let held = self.namespace.holds();
        // What can be refused is opened before anything of the one before ends.
        let leftovers = Estate::leftovers(&self.vips, &held, &next);
        let prepared = start(&self.folder, true, vec![], leftovers);
        let mut opened = Namespace::prepare(&prepared, texts, &self.closing)?;
        self.estate.reload(&self.vips, &held, &next, true);
        if self.estate.retires() {
            self.namespace.give_up(&self.estate.gives_up());
        } else {
            self.namespace.stop();
        }
        for (number, _) in (0..).zip(&self.vips) {
            let holds = self.namespace.holds().contains(&number);
            self.estate.passes_on(number, holds);
        }
        let (adopt, leftovers) = self.estate.of(&next);
        self.estate.starts();
        // What the one before has told last is of its own file.
        let _told = self.namespace.reports();
        opened.goes_on(&Start { adopt, leftovers, ..prepared });
        self.vips = next;
        // A new driver counts from the start.
        (self.refused, self.before) = (vec![], vec![]);
        self.closing.close(std::mem::replace(&mut self.namespace, opened));
        Ok(())
    }

    /// Releases everything and says goodbye.
    pub(super) fn stop(&mut self, home: BorrowedFd<'_>) -> Result<(), RouterError> {
        let namespace = &mut self.namespace;
        inside(self.netns.as_fd(), home, || namespace.stop()).map_err(RouterError::Namespace)
    }
}
