//! `static_ipaddress`, `static_routes` and `static_rules`: what this node has whoever holds an address.
//!
//! They are the node's as long as the supervisor runs: a process that dies or is replaced takes nothing of them with it.
//!
//! ```text
//!   start, reload ----------------------------+--> made, those that are missing --> not taken: told, and tried again
//!   device, address or route came or went ----+                                 +-> was there before: told as put back
//! ```

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use api::Event;
use base::Time;
use config::vip::{Address, Fixed, MadeFile, Way};
use sys::netlink::{AddressOptions, Monitor, Netlink, Wants};
use sys::poll::{Interest, Poller};

use super::{KERNEL, Supervisor, tell};
use crate::vip::put_back::PutBack;
use crate::vip::routes::{self, Made};

/// So many changes are heard in one turn.
const TURN: usize = 256;
/// Between two looks at the kernel: whatever goes on there, this process has others to look after.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Makers of its routes, and whether there are rules.
type Ways = (Vec<u8>, bool);

/// Of a route; a rule has none.
fn maker(way: &Way) -> Option<u8> {
    match way {
        Way::Route(route) => Some(route.protocol),
        Way::Rule(_) => None,
    }
}

/// What the kernel tells of what is static, and what the event log knows of it.
#[derive(Default)]
pub(super) struct Watch {
    /// None: nothing is static.
    monitor: Option<(Monitor, Ways)>,
    looked_at: Time,
    /// When it is to be looked at, if it is.
    looks_at: Option<Time>,
    /// What the kernel did not take, each with its reason.
    refused: Vec<String>,
    put_back: PutBack,
}

impl Watch {
    pub(super) fn deadline(&self) -> Time {
        self.looks_at.unwrap_or(Time::NEVER).min(self.put_back.deadline())
    }

    /// From now on the kernel tells what may concern these.
    fn listen(&mut self, fixed: &Fixed, poller: &Poller) -> io::Result<()> {
        let makers: BTreeSet<u8> = fixed.ways.iter().filter_map(maker).collect();
        let has_rules = fixed.ways.iter().any(|way| maker(way).is_none());
        let ways: Ways = (makers.into_iter().collect(), has_rules);
        if *fixed == Fixed::default() {
            (self.monitor, self.looks_at) = (None, None);
            self.refused.clear();
        } else if self.monitor.as_ref().is_none_or(|(_, before)| *before != ways) {
            let wants = Wants { filters: false, routes: &ways.0, rules: ways.1 };
            let monitor = Monitor::open_for(wants)?;
            poller.add(monitor.as_fd(), KERNEL, Interest::READ)?;
            self.monitor = Some((monitor, ways));
        }
        Ok(())
    }
}

impl Supervisor {
    /// Makes what is in the plan, and takes off what is not any more.
    pub(super) fn fix(&mut self, before: &Fixed, after: &Fixed) {
        if before == after && self.fixed.refused.is_empty() {
            return;
        }
        // Before anything is made: what comes in between is told.
        if let Err(error) = self.fixed.listen(after, &self.poller) {
            tell::line(&format!("what somebody removes of what is static is not noticed: {error}"));
        }
        let (new, gone) = (without(after, before), without(before, after));
        let (done, kept) = match Netlink::open() {
            Err(error) => (unable(&error), vec![]),
            // What is new first: there is a way out at every moment.
            Ok(netlink) => (restore(&netlink, after), take_off(&netlink, &gone, after)),
        };
        self.tell_of_fixed(done, &names(&new), &kept);
    }

    /// Something came or went of which the kernel tells.
    pub(super) fn hear_kernel(&mut self) {
        let Some((monitor, _)) = &mut self.fixed.monitor else { return };
        let mut heard = 0;
        // What is read is taken whole; of a storm the rest is told again in the next turn.
        while (heard < TURN || !monitor.is_read())
            && let Ok(Some(_)) = monitor.next()
        {
            heard += 1;
        }
        let soonest = (self.fixed.looked_at + LOOK_AGAIN).max(sys::clock::now());
        self.fixed.looks_at = Some(self.fixed.looks_at.unwrap_or(soonest));
    }

    /// Puts back what is gone, and tries again what was not taken.
    pub(super) fn look_at_fixed(&mut self, now: Time) {
        if now < self.fixed.deadline() {
            return;
        }
        (self.fixed.looks_at, self.fixed.looked_at) = (None, now);
        let done = match Netlink::open() {
            Err(error) => unable(&error),
            Ok(netlink) => restore(&netlink, &self.plan.fixed),
        };
        self.tell_of_fixed(done, &[], &[]);
    }

    /// `new`: names of what was not there before; `kept`: what the kernel keeps, with its reasons.
    fn tell_of_fixed(&mut self, done: Made, new: &[String], kept: &[String]) {
        let Made { made, failed } = done;
        let was_refused = |name: &String| {
            self.fixed.refused.iter().any(|it| it.starts_with(&format!("{name}: ")))
        };
        let back = made.into_iter().filter(|name| !new.contains(name) && !was_refused(name));
        let back: Vec<String> = back.collect();
        self.fixed.put_back.note(back);
        let object = format!("node/{}", self.plan.node);
        if let Some(what) = self.fixed.put_back.news(sys::clock::now()) {
            self.event(Event {
                what: "static-put-back".to_owned(),
                object: object.clone(),
                evidence: format!("{what}: gone, and not by this program"),
                decision: "put it back: it is this node's whoever holds an address".to_owned(),
                action: "it stands again".to_owned(),
                ..Event::default()
            });
        }
        let is_news = failed != self.fixed.refused || !kept.is_empty();
        self.fixed.refused = failed;
        if !is_news {
            return;
        }
        let all: Vec<&str> = self.fixed.refused.iter().chain(kept).map(String::as_str).collect();
        let (what, evidence, decision, not_done) = match all.as_slice() {
            [] => (
                "static-made",
                "the kernel refuses nothing of it any more".to_owned(),
                "all static addresses, routes and rules are as they are written",
                "",
            ),
            all => (
                "static-refused",
                format!("the kernel refuses {}", all.join("; ")),
                "go on without it, and try again when a device, an address or a route comes or goes, and at a reload",
                "not all static addresses, routes and rules are as they are written",
            ),
        };
        self.event(Event {
            what: what.to_owned(),
            object,
            evidence,
            decision: decision.to_owned(),
            not_done: not_done.to_owned(),
            ..Event::default()
        });
    }
}

/// Writes the numbers that files of `init_file` begin with.
pub(super) fn make_files(files: &[MadeFile]) {
    for MadeFile { path, number, overwrites } in files {
        let mut options = std::fs::OpenOptions::new();
        options.write(true).mode(0o644);
        match overwrites {
            true => options.create(true).truncate(true),
            false => options.create_new(true),
        };
        let made = options.open(path).and_then(|mut file| writeln!(file, "{number}"));
        match made {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                tell::line(&format!("cannot make {path}: {error}"));
            }
            Ok(()) | Err(_) => {}
        }
    }
}

fn without(all: &Fixed, other: &Fixed) -> Fixed {
    let (addresses, ways) = (all.addresses.iter(), all.ways.iter());
    let addresses = addresses.filter(|it| !other.addresses.contains(it)).cloned();
    let ways = ways.filter(|it| !other.ways.contains(it)).cloned();
    Fixed { addresses: addresses.collect(), ways: ways.collect() }
}

/// As they are called in events.
fn names(fixed: &Fixed) -> Vec<String> {
    let ways = fixed.ways.iter().map(ToString::to_string);
    fixed.addresses.iter().map(name).chain(ways).collect()
}

fn name(address: &Address) -> String {
    let Address { ip, prefix, device, .. } = address;
    format!("{ip}/{prefix} dev {}", device.as_deref().unwrap_or_default())
}

fn unable(error: &io::Error) -> Made {
    Made { made: vec![], failed: vec![error.to_string()] }
}

/// Makes those that are missing.
fn restore(netlink: &Netlink, fixed: &Fixed) -> Made {
    let mut done = Made::default();
    for address in &fixed.addresses {
        match add(netlink, address) {
            Ok(true) => done.made.push(name(address)),
            Ok(false) => {}
            Err(why) => done.failed.push(why),
        }
    }
    let ways = routes::make(netlink, &fixed.ways);
    done.made.extend(ways.made);
    done.failed.extend(ways.failed);
    done
}

/// What the kernel keeps of it, with its reasons.
fn take_off(netlink: &Netlink, gone: &Fixed, after: &Fixed) -> Vec<String> {
    let mut kept = routes::remove(netlink, &gone.ways);
    for address in &gone.addresses {
        let place = |it: &Address| (it.ip, it.prefix, it.device.clone());
        let stays = after.addresses.iter().any(|other| place(other) == place(address));
        if !stays {
            kept.extend(remove(netlink, address).err());
        }
    }
    kept
}

fn index(netlink: &Netlink, address: &Address) -> Result<Option<u32>, String> {
    let device = address.device.as_deref().unwrap_or_default();
    let link = netlink.link(device).map_err(|error| format!("{}: {error}", name(address)))?;
    Ok(link.map(|link| link.index))
}

/// Whether it was missing.
fn add(netlink: &Netlink, address: &Address) -> Result<bool, String> {
    let wrong = |why: &str| format!("{}: {why}", name(address));
    let index = index(netlink, address)?.ok_or_else(|| wrong("there is no such device"))?;
    let options = AddressOptions {
        label: address.label.as_deref(),
        broadcast: address.broadcast,
        scope: address.scope,
        preferred: address.preferred,
    };
    let added = netlink.add_address(index, address.ip, address.prefix, options);
    added.map_err(|error| wrong(&error.to_string()))
}

/// One of a device that is gone went with it.
fn remove(netlink: &Netlink, address: &Address) -> Result<(), String> {
    let Some(index) = index(netlink, address)? else { return Ok(()) };
    let removed = netlink.delete_address(index, address.ip, address.prefix);
    removed.map(|_| ()).map_err(|error| format!("{}: {error}", name(address)))
}
