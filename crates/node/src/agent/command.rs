//! Commands of an operator: checked here, kept on disk, carried out by supervisor and vip process.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use api::{Command, Report, ServerCheck, ServerState, Standing, Status, Verdict};
use base::Chain;
use engine::duty::{self, Duty, Office, Place, Pool, Todo, View};
use sys::channel::Channel;

use super::coordinate::Roles;
use super::names::Names;
use crate::duty as kept;

/// No report: look for letters.
pub(super) const KNOCK: &[u8] = b"!";

/// Gives orders to the loop of the agent, from the thread that answers.
#[derive(Clone, Debug)]
pub(crate) struct Voice(Arc<Channel>);

impl Voice {
    pub(crate) fn new(channel: Channel) -> Self {
        Self(Arc::new(channel))
    }

    /// There is a letter for the loop ([`super::errands`]).
    pub(super) fn knock(&self) {
        // A full channel is being read; a closed one has no reader.
        let _ = self.0.send(KNOCK, &[]);
    }

    pub(crate) fn say(&self, report: &Report) -> Result<(), String> {
        let mut bytes = vec![];
        api::encode(report, &mut bytes);
        self.0.send(&bytes, &[]).map_err(|error| format!("the agent is too busy: {error}"))
    }
}

/// Checks a command and sets about it.
///
/// # Errors
/// In words, when something speaks against it; nothing was done then.
pub(crate) fn obey(
    command: &Command,
    status: &Status,
    names: &Names,
    state_dir: &Path,
    (voice, roles): (&Voice, Option<&Roles>),
) -> Result<(), String> {
    let view = view(status, names);
    let todo = duty::check(&view, asked(command)).map_err(|why| why.to_string())?;
    let roles = || roles.ok_or("this node is no member of the store");
    match todo {
        Todo::Be(duty) => {
            let duty = shown(duty);
            // First the disk: a node that forgets it at its next start would take addresses again.
            kept::keep(state_dir, duty).map_err(|error| {
                let folder = state_dir.display();
                format!("cannot keep that in {folder}, so nothing is done: {}", Chain(&error))
            })?;
            voice.say(&Report::Duty(duty))
        }
        Todo::HandOver { instance, to } => {
            let (instance, to) = (u16::try_from(instance), u16::try_from(to));
            let (Ok(instance), Ok(to)) = (instance, to) else {
                return Err("there are more nodes or addresses than numbers".to_owned());
            };
            voice.say(&Report::Move { instance, to })
        }
        Todo::Anywhere { instance } => {
            let instance = u16::try_from(instance)
                .map_err(|_| "there are more addresses than numbers".to_owned())?;
            voice.say(&Report::Anywhere { instance })
        }
        Todo::Use { pool, server } => {
            let (proxy, server) = (view.pools[pool].name, view.pools[pool].servers[server].name);
            voice.say(&Report::Use { proxy: proxy.to_owned(), server: server.to_owned() })
        }
        Todo::Coordinate => roles()?.coordinate(),
        Todo::Lead { to } => roles()?.lead(view.nodes[to].name),
    }
}

/// Who has to do it: none is this node, else the position of another.
///
/// # Errors
/// In words, when nobody can be told.
pub(crate) fn place(
    command: &Command,
    status: &Status,
    names: &Names,
) -> Result<Option<u16>, String> {
    match duty::place(&view(status, names), asked(command)).map_err(|why| why.to_string())? {
        Place::Here => Ok(None),
        Place::There(at) => u16::try_from(at).map(Some).map_err(|_| "too many nodes".to_owned()),
    }
}

/// What speaks against a command on the node that has to do it, and is known on every node: files and who is
/// alive. Whether a node rests, and who could follow a holder, is heard from beats, and so may be old here: that
/// is checked where it is done.
pub(crate) fn objection(
    command: &Command,
    status: &Status,
    names: &Names,
    node: &str,
) -> Option<String> {
    let mut view = view(status, names);
    let wanted = asked(command);
    view.me = node;
    view.duty = match wanted {
        duty::Command::Resume { .. } => Duty::Standby,
        duty::Command::Standby { .. }
        | duty::Command::Drain { .. }
        | duty::Command::Move { .. }
        | duty::Command::Anywhere { .. }
        | duty::Command::Use { .. }
        | duty::Command::Coordinate { .. }
        | duty::Command::Lead { .. } => Duty::On,
    };
    view.nodes.iter_mut().for_each(|known| known.duty = Duty::On);
    view.pools.iter_mut().flat_map(|pool| &mut pool.servers).for_each(|s| s.is_usable = true);
    view.vips.iter_mut().for_each(|vip| vip.successor = vip.successor.or(Some("")));
    view.vips.iter_mut().for_each(|vip| vip.stays = true);
    duty::check(&view, wanted).err().map(|why| why.to_string())
}

fn asked(command: &Command) -> duty::Command<'_> {
    match command {
        Command::Standby { node } => duty::Command::Standby { node },
        Command::Drain { node, .. } => duty::Command::Drain { node },
        Command::Resume { node } => duty::Command::Resume { node },
        Command::Move { vip, to } => duty::Command::Move { vip, to },
        Command::Anywhere { vip } => duty::Command::Anywhere { vip },
        Command::Use { pool, to } => duty::Command::Use { pool, to },
        Command::Coordinate { to } => duty::Command::Coordinate { to },
        Command::Lead { to } => duty::Command::Lead { to },
    }
}

pub(super) const fn shown(duty: Duty) -> api::Duty {
    match duty {
        Duty::On => api::Duty::On,
        Duty::Standby => api::Duty::Standby,
        Duty::Draining => api::Duty::Draining,
    }
}

pub(super) const fn meant(duty: api::Duty) -> Duty {
    match duty {
        api::Duty::On => Duty::On,
        api::Duty::Standby => Duty::Standby,
        api::Duty::Draining => Duty::Draining,
    }
}

/// Nodes that could lead the store in place of this one, which leads and is at rest.
pub(super) fn has_heirs(status: &Status, names: &Names) -> bool {
    !duty::heirs(&view(status, names)).is_empty()
}

/// Whom the store is to give its lead to now, and the number of that question.
pub(super) fn heir(lead: &mut duty::Lead, status: &Status, names: &Names) -> Option<(u64, String)> {
    let view = view(status, names);
    lead.step(sys::clock::now(), &view).map(|(asked, to)| (asked, view.nodes[to].name.to_owned()))
}

fn view<'a>(status: &'a Status, names: &'a Names) -> View<'a> {
    let node = |line: &'a api::NodeLine| duty::Node {
        name: &line.state.node,
        is_alive: line.state.standing == Standing::Alive,
        is_proven_dead: line.state.opinion.verdict == Verdict::ProvenDead,
        duty: meant(line.state.duty),
    };
    let vip = |line: &'a api::VipLine| duty::Vip {
        name: &line.name,
        holders: &line.holders,
        order: &line.order,
        successor: line.successor.as_deref(),
        preempts: names.vip(&line.name).is_some_and(|vip| vip.preempt),
        stays: line.stays(),
    };
    View {
        me: &status.node,
        duty: meant(status.duty),
        nodes: status.nodes.iter().map(node).collect(),
        vips: status.vips.iter().map(vip).collect(),
        pools: status.proxies.iter().map(|line| pool(status, names, line)).collect(),
        office: status.coordinator.as_deref().map(|shown| office(status, &shown.node)),
    }
}

fn pool<'a>(status: &'a Status, names: &'a Names, line: &'a api::ProxyLine) -> Pool<'a> {
    let name = line.name.as_str();
    let used = status.choices.iter().find(|choice| choice.proxy == name);
    let homes = names.homes.get(name);
    let node = |server: &str| {
        let at = homes.and_then(|homes| homes.get(server))?;
        status.nodes.get(*at).map(|line| line.state.node.as_str())
    };
    let server = |state: &'a ServerState| duty::Server {
        name: &state.server,
        node: node(&state.server),
        is_usable: matches!(state.check, ServerCheck::Up | ServerCheck::Unchecked)
            && !state.suspect
            && !state.resting,
    };
    let servers = status.servers.iter().filter(|server| server.proxy == name);
    Pool {
        name,
        has_one_writer: line.one_writer,
        used: used.map(|choice| choice.server.as_str()),
        holders: holders(status, line),
        servers: servers.map(server).collect(),
    }
}

/// Nodes that hold an address which clients of this listener come to.
fn holders<'a>(status: &'a Status, line: &api::ProxyLine) -> Vec<&'a str> {
    let passes_on = |front: &&api::ProxyLine| front.default_backend.as_ref() == Some(&line.name);
    let fronts = status.proxies.iter().filter(passes_on).chain([line]);
    let bound: Vec<IpAddr> = fronts
        .flat_map(|front| &front.binds)
        .filter_map(|bind| bind.parse::<SocketAddr>().ok().map(|address| address.ip()))
        .collect();
    let comes = |vip: &&api::VipLine| {
        let mut addresses = vip.addresses.iter().filter_map(|at| at.parse::<IpAddr>().ok());
        bound.iter().any(|ip| ip.is_unspecified()) || addresses.any(|ip| bound.contains(&ip))
    };
    let vips = status.vips.iter().filter(comes);
    vips.flat_map(|vip| &vip.holders).map(String::as_str).collect()
}

fn office<'a>(status: &'a Status, coordinator: &'a str) -> Office<'a> {
    let store = status.store.as_deref();
    let members = store.map_or(&[][..], |store| &store.members);
    let voters = members.iter().filter(|member| member.votes);
    Office {
        coordinator,
        leader: store.and_then(|store| store.leader.as_deref()),
        voters: voters.map(|member| member.node.as_str()).collect(),
        is_outside: store.is_some_and(|store| store.engine == "etcd"),
    }
}
