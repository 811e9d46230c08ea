//! `static_ipaddress`, `static_routes` and `static_rules`: what this node has whoever holds an address.
//!
//! They are the node's as long as the supervisor runs: a process that dies or is replaced takes nothing of them with it.

use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;

use api::Event;
use config::vip::{Address, Fixed, MadeFile};
use sys::netlink::{AddressOptions, Netlink};

use super::{Supervisor, tell};
use crate::vip::routes;

impl Supervisor {
    /// Makes what is in the plan and was not before, and takes off what is not any more.
    pub(super) fn fix(&mut self, before: &Fixed, after: &Fixed) {
        if before == after {
            return;
        }
        let failed = match Netlink::open() {
            Err(error) => vec![error.to_string()],
            Ok(netlink) => change(&netlink, before, after),
        };
        if failed.is_empty() {
            return;
        }
        self.event(Event {
            what: "static-refused".to_owned(),
            object: format!("node/{}", self.plan.node),
            evidence: format!("the kernel refuses {}", failed.join("; ")),
            decision: "go on without it until the next reload".to_owned(),
            not_done: "not all static addresses, routes and rules are as they are written"
                .to_owned(),
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

fn change(netlink: &Netlink, before: &Fixed, after: &Fixed) -> Vec<String> {
    let without = |all: &Fixed, other: &Fixed| {
        let (addresses, ways) = (all.addresses.iter(), all.ways.iter());
        let addresses = addresses.filter(|it| !other.addresses.contains(it)).cloned();
        let ways = ways.filter(|it| !other.ways.contains(it)).cloned();
        Fixed { addresses: addresses.collect(), ways: ways.collect() }
    };
    let (gone, new) = (without(before, after), without(after, before));
    // What is new first: there is a way out at every moment.
    let mut failed: Vec<String> = Vec::new();
    failed.extend(new.addresses.iter().filter_map(|address| add(netlink, address).err()));
    failed.extend(routes::make(netlink, &new.ways).failed);
    failed.extend(routes::remove(netlink, &gone.ways));
    for address in &gone.addresses {
        let place = |it: &Address| (it.ip, it.prefix, it.device.clone());
        let stays = after.addresses.iter().any(|other| place(other) == place(address));
        if !stays {
            failed.extend(remove(netlink, address).err());
        }
    }
    failed
}

fn index(netlink: &Netlink, address: &Address) -> Result<Option<u32>, String> {
    let name = address.device.as_deref().unwrap_or_default();
    let link = netlink.link(name).map_err(|error| format!("{}: {error}", address.ip))?;
    Ok(link.map(|link| link.index))
}

fn add(netlink: &Netlink, address: &Address) -> Result<(), String> {
    let wrong = |why: String| format!("{}: {why}", address.ip);
    let device = address.device.as_deref().unwrap_or_default();
    let index = index(netlink, address)?;
    let index = index.ok_or_else(|| wrong(format!("there is no device {device}")))?;
    let options = AddressOptions {
        label: address.label.as_deref(),
        broadcast: address.broadcast,
        scope: address.scope,
        preferred: address.preferred,
    };
    let added = netlink.add_address(index, address.ip, address.prefix, options);
    added.map(|_| ()).map_err(|error| wrong(error.to_string()))
}

/// One of a device that is gone went with it.
fn remove(netlink: &Netlink, address: &Address) -> Result<(), String> {
    let Some(index) = index(netlink, address)? else { return Ok(()) };
    let removed = netlink.delete_address(index, address.ip, address.prefix);
    removed.map(|_| ()).map_err(|error| format!("{}: {error}", address.ip))
}
