//! What the store has posted, windows and proofs of death, read on threads of their own; and what windows mean for
//! what is told.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::store::{Error, Local, Store};
use api::maintenance::{Planned, Window};
use api::{Event, Start};
use engine::gossip;
use engine::kv::{Item, Keys};
use engine::maintenance::{self as windows, WINDOWS};
use engine::member::Input;
use engine::verdict::PROOFS;

use super::core::Core;

/// Between two tries to reach the store of this node.
const AGAIN: Duration = Duration::from_secs(1);

/// What is made of the keys below a prefix, whenever they change.
type Take = fn(&mut Core, &[(String, Item)]);

/// Starts the threads, if this node is a member of the store; to others it is brought.
pub(crate) fn begin(core: &Arc<Mutex<Core>>, start: &Start) {
    let is_member = {
        let core = super::lock(core);
        let me = core.cluster.as_ref().and_then(|cluster| super::lock_me(start, cluster));
        crate::store::is_member(core.cluster.as_ref(), me.map(usize::from))
    };
    if !is_member {
        return;
    }
    let posted: [(&str, &str, Take); 2] = [
        // One that cannot be read is of a newer version, and no window here.
        ("windows", WINDOWS, |core, items| {
            let windows = items.iter().filter_map(|(_, item)| api::decode(&item.value).ok());
            core.windows = windows.collect();
        }),
        ("proofs", PROOFS, |core, items| core.proofs.learn(super::proof::read(items))),
    ];
    for (name, prefix, take) in posted {
        let (core, run_dir) = (Arc::clone(core), start.run_dir.clone());
        let _ends_with_us = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let Ok(local) = Local::new(Path::new(&run_dir)) else { return };
            loop {
                // Without a store what is known stays: a window until its own end.
                let _failed = watched(&local, &core, prefix, take);
                std::thread::sleep(AGAIN);
            }
        });
    }
}

fn watched(local: &Local, core: &Mutex<Core>, prefix: &str, take: Take) -> Result<(), Error> {
    let keys = Keys::Prefix(prefix.to_owned());
    let read = || local.wait(local.client().range(keys.clone()));
    let (mut found, revision) = read()?;
    let mut watch = local.wait(local.client().watch(revision, keys.clone()))?;
    loop {
        take(&mut super::lock(core), &found);
        let _changes = local.wait(watch.next())?;
        found = read()?.0;
    }
}

impl Core {
    /// The windows that are open, with what they are about.
    pub(super) fn open_windows(&self, now_ms: u64) -> Vec<Planned> {
        let planned = self.windows.iter().filter_map(|window| {
            let names = self.picture.names.iter();
            let nodes: Vec<String> =
                names.filter(|node| covers(window, node, now_ms)).cloned().collect();
            let at: BTreeSet<usize> = (0..)
                .zip(&self.picture.names)
                .filter(|(_, name)| nodes.contains(name))
                .map(|(at, _)| at)
                .collect();
            let homes = self.picture.files.homes.iter();
            let mut servers: Vec<String> = homes
                .flat_map(|(proxy, homes)| {
                    homes.iter().map(move |(server, at)| (proxy, server, at))
                })
                .filter(|(_, _, home)| at.contains(home))
                .map(|(proxy, server, _)| format!("{proxy}/{server}"))
                .collect();
            servers.sort_unstable();
            let window = window.clone();
            (!nodes.is_empty()).then_some(Planned { window, nodes, servers })
        });
        planned.collect()
    }

    /// Nodes for which it changed whether what happens to them is planned.
    pub(super) fn newly_planned(&mut self, now_ms: u64) -> Vec<(u16, bool)> {
        let names = (0..).zip(&self.picture.names);
        let is_in = |name: &str| self.windows.iter().any(|window| covers(window, name, now_ms));
        let now: BTreeSet<usize> =
            names.filter(|(_, name)| is_in(name)).map(|(at, _)| at).collect();
        let before = std::mem::replace(&mut self.planned, now.clone());
        let changed = before.symmetric_difference(&now);
        changed.filter_map(|at| Some((u16::try_from(*at).ok()?, now.contains(at)))).collect()
    }

    /// The same event, which says so if what happened was planned.
    pub(super) fn tagged(&self, mut event: Event) -> Event {
        let Some(node) = self.node_of(&event.object) else { return event };
        let now_ms = sys::clock::wall_ms();
        if let Some(window) = self.windows.iter().find(|window| covers(window, node, now_ms)) {
            let between = if event.decision.is_empty() { "" } else { "; " };
            let (who, why) = (window.whose(), &window.why);
            event.decision += &format!("{between}planned: maintenance of {node} by {who} ({why})");
        }
        event
    }

    /// The node that an object of an event is, or is on.
    fn node_of<'a>(&'a self, object: &'a str) -> Option<&'a str> {
        let mut words = object.split('/');
        match (words.next()?, words.next()?, words.next()) {
            ("node", node, None) => Some(node),
            ("server", proxy, Some(server)) => {
                let home = self.picture.files.homes.get(proxy)?.get(server)?;
                self.picture.names.get(*home).map(String::as_str)
            }
            _ => None,
        }
    }
}

impl super::Agent<'_> {
    /// What happens to these nodes is planned from now on, or no more.
    pub(super) fn are_planned(&mut self, nodes: Vec<(u16, bool)>) {
        for (node, planned) in nodes {
            self.step(Input::Planned { node, planned });
            self.gossip(gossip::Input::Planned { node, planned });
        }
    }
}

fn covers(window: &Window, node: &str, now_ms: u64) -> bool {
    let (begin_ms, end_ms) = (window.begin_ms, window.end_ms);
    windows::Window { node: window.node.as_deref(), begin_ms, end_ms }.covers(node, now_ms)
}
