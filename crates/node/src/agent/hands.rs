//! What threads do for operators, of this node and of others.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};

use api::access::Deed;
use api::{Command, Errand, Standing, Start, Status, Under};
use trust::Folder;

use super::access::Doors;
use super::books::Books;
use super::books::ring::Ring;
use super::command::{self, Voice};
use super::coordinate::{Coordination, Roles, Teller, teller};
use super::core::Core;
use super::electorate::Machines;
use super::errands::{Desk, Did};
use super::names::Names;
use super::notify::Tester;
use super::told::Told;
use super::{lock, under};
use crate::files::Texts;

type Commander = Box<dyn Fn(&Command, &str) -> Result<Status, String> + Send + Sync>;
pub(crate) type Counter = Box<dyn Fn(&str) -> Result<Vec<Under>, String> + Send + Sync>;

/// What this node itself can do and tell.
pub(crate) struct Hands {
    core: Arc<Mutex<Core>>,
    pub(super) run_dir: PathBuf,
    pub(super) state_dir: PathBuf,
    voice: Voice,
    doors: Arc<Doors>,
    /// Who is in, and as what.
    roster: Option<Folder>,
    /// Of the cluster, that this node may take or give away; of members of the store.
    pub(super) roles: OnceLock<Roles>,
}

impl Hands {
    pub(crate) fn new(
        (start, texts): (&Start, &Texts),
        core: &Arc<Mutex<Core>>,
        voice: Voice,
        doors: Arc<Doors>,
    ) -> Arc<Self> {
        let (run_dir, state_dir) = (start.run_dir.clone().into(), start.state_dir.clone().into());
        let trust_dir = lock(core).cluster.as_ref().and_then(|cluster| cluster.trust_dir.clone());
        let roster = texts.cluster.as_ref().zip(trust_dir).map(|(file, folder)| {
            let file = std::path::Path::new(&file.path);
            Folder::new(&config::cluster::Cluster::beside(file, &folder), None)
        });
        let (core, roles) = (Arc::clone(core), OnceLock::new());
        Arc::new(Self { core, run_dir, state_dir, voice, doors, roster, roles })
    }

    pub(super) fn looks(&self) -> (Status, Arc<Names>) {
        let core = lock(&self.core);
        (core.status(sys::clock::now()), Arc::clone(&core.picture.files))
    }

    pub(super) const fn core(&self) -> &Arc<Mutex<Core>> {
        &self.core
    }

    pub(super) fn ring(&self) -> Ring {
        Ring::of(self.roster.clone())
    }

    pub(super) fn doors(&self) -> Arc<Doors> {
        Arc::clone(&self.doors)
    }

    /// # Errors
    /// When the trust folder cannot be read.
    pub(super) fn machines(&self) -> Result<Machines, trust::TrustError> {
        let Some(folder) = &self.roster else { return Ok(Machines(None)) };
        let mut joined = HashMap::new();
        for member in folder.load()?.roster.members {
            let newest = joined.entry(member.name).or_insert(0);
            *newest = member.joined_ms.max(*newest);
        }
        Ok(Machines(Some(joined)))
    }

    pub(super) const fn voice(&self) -> &Voice {
        &self.voice
    }

    /// Does it on this node, if nothing speaks against it.
    pub(super) fn obey(&self, command: &Command) -> Result<(), String> {
        let (status, names) = self.looks();
        let means = (&self.voice, self.roles.get());
        command::obey(command, &status, &names, &self.state_dir, means)
    }

    /// The same for somebody on another node; it is in the audit log here.
    pub(super) fn obey_for(&self, command: &Command, by: &str) -> Result<(), String> {
        let outcome = self.obey(command);
        let (deed, object) = Deed::of_command(command);
        self.doors.did(by, (deed, &object), &outcome)?;
        outcome
    }

    /// What another node wants and may not have: compute nodes look after guests and order nothing.
    fn may_order(&self, from: &str) -> Result<(), String> {
        let Some(folder) = &self.roster else { return Ok(()) };
        let state = folder.load().map_err(|error| {
            format!(
                "nothing is done for {from}: the roster cannot be read: {}",
                base::Chain(&error)
            )
        })?;
        may_order(from, state.roster.find(from).map(|member| member.role))
    }

    pub(super) fn count(&self, node: &str) -> Result<Under, String> {
        let (status, names) = self.looks();
        let position = position(&status, node)?;
        if is_compute(&status) {
            // It has no balancer, whatever the file says that it shares with those that have one.
            return Ok(Under { balancer: status.node, ..Under::default() });
        }
        Ok(under::count(&status.node, &self.run_dir, &names, position))
    }
}

/// # Errors
/// When a node with this role in the roster orders nothing of others.
fn may_order(from: &str, role: Option<trust::Role>) -> Result<(), String> {
    match role {
        Some(trust::Role::Controller) => Ok(()),
        Some(trust::Role::Compute) => {
            Err(format!("{from} is a compute node: it has nothing to order here"))
        }
        None => Err(format!("{from} is not in the roster: it has nothing to order here")),
    }
}

/// Does what another node asks, by its position; never asks a third one.
pub(crate) fn clerk(
    hands: Arc<Hands>,
    cluster: Option<Arc<Coordination>>,
    told: Option<Arc<Told>>,
    books: Arc<Books>,
) -> super::errands::Doer {
    let does = move |asker: u16, errand: Errand| -> Result<Vec<u8>, String> {
        let from = lock(&hands.core).picture.names.get(usize::from(asker)).cloned();
        let from = from.ok_or("who asks is not in this node's outlast.toml")?;
        let ours = || cluster.as_ref().ok_or("there is no [store] in this node's outlast.toml");
        match &errand {
            Errand::Command(_) | Errand::Typed { .. } | Errand::Intend { .. } | Errand::Step(_) => {
                let may = hands.may_order(&from);
                if let (Err(why), Some((by, command))) = (&may, ordered(&errand, &from)) {
                    let (deed, object) = Deed::of_command(command);
                    hands.doors.denied(&by, (deed, &object), why);
                }
                may?;
            }
            Errand::Offer { .. } | Errand::Piece { .. } => hands.may_order(&from)?,
            Errand::Book { ask, by, .. } => {
                let may = hands.may_order(&from);
                if let Err(why) = &may {
                    let (deed, object) = Deed::of_book(ask);
                    hands.doors.denied(&format!("{by} on {from}"), (deed, &object), why);
                }
                may?;
            }
            Errand::Under { .. } | Errand::Coordinator | Errand::Intents { .. } => {}
        }
        let told = || told.as_ref().ok_or("this node has a store of its own");
        match errand {
            Errand::Command(command) => {
                let by = format!("somebody on {from}, whose version does not say who");
                hands.obey_for(&command, &by).map(|()| vec![])
            }
            Errand::Typed { command, by } => {
                hands.obey_for(&command, &format!("{by} on {from}")).map(|()| vec![])
            }
            Errand::Intend { command, by } => {
                ours()?.intend_here(&command, &format!("{by} on {from}")).map(|number| put(&number))
            }
            Errand::Step(order) => Ok(put(&ours()?.steps.order(order)?)),
            Errand::Coordinator => Ok(put(&ours()?.coordinator()?)),
            Errand::Intents { before } => Ok(put(&ours()?.page(before)?)),
            Errand::Under { node } => Ok(put(&hands.count(&node)?)),
            Errand::Book { ask, by, at } => {
                let part = books.part(&ask, &format!("{by} on {from}"), at);
                let (deed, object) = Deed::of_book(&ask);
                if deed.row().audited && at == 0 {
                    let outcome = part.as_ref().map(|_| ()).map_err(Clone::clone);
                    hands.doors.did(&format!("{by} on {from}"), (deed, &object), &outcome)?;
                }
                Ok(put(&part?))
            }
            Errand::Offer { generation, windows, look } => {
                Ok(put(&told()?.offered(&generation, &windows, look)?))
            }
            Errand::Piece { of, digest, at, text } => {
                Ok(put(&told()?.piece(of, &digest, at, &text)?))
            }
        }
    };
    Arc::new(move |asker, text| match api::decode::<Errand>(text) {
        Ok(errand) => Did { repeats: errand.repeats(), outcome: does(asker, errand) },
        Err(error) => Did { repeats: true, outcome: Err(base::Chain(&error).to_string()) },
    })
}

/// Who is named in an errand, and what he wants.
fn ordered<'a>(errand: &'a Errand, from: &str) -> Option<(String, &'a Command)> {
    match errand {
        Errand::Command(command) => Some((format!("somebody on {from}"), command)),
        Errand::Typed { command, by } | Errand::Intend { command, by } => {
            Some((format!("{by} on {from}"), command))
        }
        Errand::Step(_)
        | Errand::Under { .. }
        | Errand::Coordinator
        | Errand::Intents { .. }
        | Errand::Book { .. }
        | Errand::Offer { .. }
        | Errand::Piece { .. } => None,
    }
}

/// What operators of this node may want.
pub(crate) struct Orders {
    pub(crate) command: Commander,
    /// The same without the store.
    pub(crate) alone: Commander,
    pub(crate) intents: Teller,
    pub(crate) under: Counter,
    pub(crate) books: Arc<Books>,
    pub(crate) tests: Tester,
}

pub(crate) fn orders(
    hands: &Arc<Hands>,
    desk: &Desk,
    cluster: Option<Arc<Coordination>>,
    books: Arc<Books>,
    tests: Tester,
) -> Orders {
    Orders {
        command: commander(Arc::clone(hands), desk.clone(), cluster.clone()),
        alone: alone(Arc::clone(hands)),
        intents: teller(cluster),
        under: counter(Arc::clone(hands), desk.clone()),
        books,
        tests,
    }
}

/// Does what an operator wants, here or where it has to be done, if nothing speaks against it.
fn commander(hands: Arc<Hands>, desk: Desk, cluster: Option<Arc<Coordination>>) -> Commander {
    Box::new(move |wanted, by| {
        let (status, names) = hands.looks();
        let place = command::place(wanted, &status, &names)?;
        let is_compute = is_compute(&status);
        if let Some(cluster) = cluster.as_ref().filter(|_| !is_compute) {
            return cluster.intend(wanted, by).map(|()| status);
        }
        match place {
            None => hands.obey(wanted)?,
            Some(_) if is_compute => {
                return Err(format!(
                    "{} is a compute node and commands no other: ask a controller",
                    status.node
                ));
            }
            Some(to) => {
                let name = status.nodes.get(usize::from(to)).map(|line| line.state.node.as_str());
                let typed = Errand::Typed { command: wanted.clone(), by: by.to_owned() };
                desk.ask(to, name.unwrap_or_default(), put(&typed)).kept()?;
            }
        }
        Ok(status)
    })
}

/// Does it on this node without the store, where nothing but this node is meant.
fn alone(hands: Arc<Hands>) -> Commander {
    Box::new(move |wanted, _| {
        let (status, names) = hands.looks();
        match command::place(wanted, &status, &names)? {
            None => hands.obey(wanted)?,
            Some(_) => {
                let me = &status.node;
                return Err(format!(
                    "without the store {me} does what is for {me} only: type it there"
                ));
            }
        }
        Ok(status)
    })
}

/// Asks every living node what its balancer has under way with the servers of one.
pub(super) fn counter(hands: Arc<Hands>, desk: Desk) -> Counter {
    Box::new(move |node| {
        let status = hands.looks().0;
        let mut found = vec![hands.count(node)?];
        let mut promises = vec![];
        for (to, line) in (0_u16..).zip(&status.nodes) {
            let name = &line.state.node;
            // Compute nodes have no balancer.
            if *name != status.node && line.state.standing == Standing::Alive && !line.compute {
                let text = put(&Errand::Under { node: node.to_owned() });
                promises.push((name.clone(), desk.ask(to, name, text)));
            }
        }
        for (balancer, promise) in promises {
            let answer = promise.kept().and_then(|text| {
                api::decode::<Under>(&text).map_err(|error| base::Chain(&error).to_string())
            });
            let unknown = |why| Under { balancer, unknown: Some(why), ..Under::default() };
            found.push(answer.unwrap_or_else(unknown));
        }
        found.sort_by(|one, other| one.balancer.cmp(&other.balancer));
        Ok(found)
    })
}

fn is_compute(status: &Status) -> bool {
    status.nodes.iter().any(|line| line.compute && line.state.node == status.node)
}

pub(super) fn put<T: serde::Serialize>(message: &T) -> Vec<u8> {
    let mut text = vec![];
    api::encode(message, &mut text);
    text
}

pub(super) fn position(status: &Status, node: &str) -> Result<usize, String> {
    let is_it = |line: &api::NodeLine| line.state.node == node;
    status.nodes.iter().position(is_it).ok_or_else(|| format!("there is no node {node} here"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_no_controller_in_the_roster_orders_nothing() {
        assert_eq!(may_order("node01", Some(trust::Role::Controller)), Ok(()));
        for (role, why) in
            [(Some(trust::Role::Compute), "a compute node"), (None, "not in the roster")]
        {
            let said = may_order("c17", role).unwrap_err();
            assert!(said.contains(why) && said.contains("it has nothing to order here"), "{said}");
        }
    }
}
