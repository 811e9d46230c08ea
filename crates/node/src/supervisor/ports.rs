//! Ports that the cluster file gives to the children of this node: tried before the first of them starts. A child
//! could only try again and again, without a word to who typed the command.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::agent::trustee;
use crate::launch::Plan;

/// What a supervisor that was killed leaves behind lets its ports go by then: a store takes the longest, 1.5 s.
const PATIENCE: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Why a child could not have its port. All that are wrong are told at once.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    #[error("{}", .0.join("; "))]
    Taken(Vec<String>),
    #[error(
        "none of the addresses of {node} is on this machine, where its store would listen ({addresses}){other}: bring \
         its network up, mend the addresses in the cluster file, or say with --node which node this is"
    )]
    Elsewhere { node: String, addresses: String, other: String },
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Beats,
    HandOver,
    Joins,
    Store,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Wanted {
    kind: Kind,
    address: SocketAddr,
}

impl Wanted {
    /// Whether one socket could be both: what is ours already is no other program's.
    fn is_port_of(&self, other: &Self) -> bool {
        let is_udp = |kind: Kind| matches!(kind, Kind::Beats | Kind::HandOver);
        self.address == other.address && is_udp(self.kind) == is_udp(other.kind)
    }

    fn try_now(&self) -> io::Result<()> {
        match self.kind {
            Kind::Beats | Kind::HandOver => sys::socket::try_udp(self.address),
            Kind::Joins | Kind::Store => sys::socket::try_tcp(self.address),
        }
    }
}

/// Who has it, and what to do.
impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, address } = self;
        let (what, protocol, list, or) = match kind {
            Kind::Beats => ("the beats", "UDP", "-lunp", "`port` in [cluster] (this is it)"),
            Kind::HandOver => {
                ("hand-overs", "UDP", "-lunp", "`port` in [cluster] (this is the next one)")
            }
            Kind::Joins => (
                "joins and the roster",
                "TCP",
                "-ltnp",
                "`port` in [cluster] (this is `port` + 2; `outlast trust serve` may be what has it)",
            ),
            Kind::Store => ("the store", "TCP", "-ltnp", "`port` in [store]"),
        };
        let port = address.port();
        write!(
            f,
            "cannot have {protocol} {address} for {what}: another program has it (`ss {list} 'sport = :{port}'` says \
             which): end that, or write another {or} on every node"
        )
    }
}

/// At a start: what is left of a former one is waited for. The store alone stops no node: its process tries again, and
/// what keeps it is returned for who typed the command. A machine that has addresses of another node only is that one.
pub(super) fn check(plan: &Plan) -> Result<Option<PortError>, PortError> {
    let (stores, others): (Vec<_>, Vec<_>) =
        wanted(plan).into_iter().partition(|wanted| wanted.kind == Kind::Store);
    let end = sys::clock::now() + PATIENCE;
    while let Err(taken) = look(&others, plan) {
        if sys::clock::now() >= end {
            // Of one start all is told.
            return Err(look(&wanted(plan), plan).err().unwrap_or(taken));
        }
        std::thread::sleep(LOOK_EVERY);
    }
    match look(&stores, plan) {
        Err(PortError::Elsewhere { node, addresses, .. }) if let Some(there) = other_node(plan) => {
            let other = format!(", and {there} is");
            Err(PortError::Elsewhere { node, addresses, other })
        }
        found => Ok(found.err()),
    }
}

/// Another node of the cluster whose address is on this machine.
fn other_node(plan: &Plan) -> Option<String> {
    let cluster = plan.cluster.as_ref()?;
    let others = cluster.nodes.iter().enumerate().filter(|(at, _)| Some(*at) != plan.me);
    let mut all = others.flat_map(|(_, node)| {
        node.addresses.iter().flatten().map(move |address| (&node.name, *address))
    });
    let here = |address: IpAddr| sys::socket::try_udp(SocketAddr::new(address, 0)).is_ok();
    let (name, address) = all.find(|(_, address)| here(*address))?;
    Some(format!("{address} of {name}"))
}

/// At a change: what `before` has is held by its children.
pub(super) fn check_new(plan: &Plan, before: &Plan) -> Result<(), PortError> {
    let held = wanted(before);
    let is_ours = |one: &Wanted| held.iter().any(|held| held.is_port_of(one));
    let new: Vec<_> = wanted(plan).into_iter().filter(|one| !is_ours(one)).collect();
    look(&new, plan)
}

fn look(wanted: &[Wanted], plan: &Plan) -> Result<(), PortError> {
    let (mut taken, mut elsewhere) = (vec![], vec![]);
    for one in wanted {
        match one.try_now().map_err(|error| error.kind()) {
            Err(io::ErrorKind::AddrInUse) => taken.push(one.to_string()),
            // A network may come later than the node.
            Err(io::ErrorKind::AddrNotAvailable) if one.kind == Kind::Store => {
                elsewhere.push(one.address.to_string());
            }
            // Whoever opens it says what else is wrong.
            Ok(()) | Err(_) => {}
        }
    }
    if !taken.is_empty() {
        return Err(PortError::Taken(taken));
    }
    let stores = wanted.iter().filter(|wanted| wanted.kind == Kind::Store).count();
    if stores > 0 && elsewhere.len() == stores {
        let addresses = elsewhere.join(", ");
        let other = String::new();
        return Err(PortError::Elsewhere { node: plan.node.clone(), addresses, other });
    }
    Ok(())
}

fn wanted(plan: &Plan) -> Vec<Wanted> {
    let Some((cluster, me)) = plan.cluster.as_ref().zip(plan.me) else { return vec![] };
    let Some(node) = cluster.nodes.get(me) else { return vec![] };
    let own: Vec<IpAddr> = node.addresses.iter().flatten().copied().collect();
    let on_all = |kind: Kind, port: u16| {
        let at = own.iter().map(move |address| SocketAddr::new(*address, port));
        at.map(move |address| Wanted { kind, address })
    };
    let mut wanted: Vec<Wanted> = on_all(Kind::Beats, cluster.port).collect();
    if !plan.vips.is_empty() && plan.texts.secret.is_some() {
        wanted.extend(on_all(Kind::HandOver, cluster.port.saturating_add(1)));
    }
    if cluster.trust_dir.is_some() {
        wanted.extend(on_all(Kind::Joins, trustee::port(cluster)));
    }
    if crate::store::is_member(Some(cluster), Some(me)) {
        let embedded = cluster.store.as_ref().filter(|store| store.etcd.is_none());
        let addresses = embedded.map(|store| store.addresses(node)).unwrap_or_default();
        wanted.extend(addresses.into_iter().map(|address| Wanted { kind: Kind::Store, address }));
    }
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_of_ours_that_gets_another_use_is_no_other_programs() {
        let at = |kind: Kind, port: u16| Wanted {
            kind,
            address: SocketAddr::from(([10, 0, 0, 1], port)),
        };
        // `port` in [cluster] becomes the next one: beats go where hand-overs were.
        assert!(at(Kind::Beats, 7413).is_port_of(&at(Kind::HandOver, 7413)));
        assert!(at(Kind::Store, 7414).is_port_of(&at(Kind::Joins, 7414)));
        assert!(!at(Kind::Beats, 7413).is_port_of(&at(Kind::HandOver, 7414)));
        assert!(!at(Kind::Beats, 7414).is_port_of(&at(Kind::Joins, 7414)), "UDP and TCP");
    }
}
