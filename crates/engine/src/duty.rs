//! What an operator may ask of a node: to stand by, to go on duty again, to hand a role to another.
//!
//! A node says its [`Duty`] in its beats, so that all others act on it.
//!
//! Everything that speaks against a command is found before anything is done, and is told by name. What
//! can still go wrong on the way (the other node lets go of its carrier that moment) ends as every
//! hand-over does: the address is taken by somebody, at the latest again by the one that let it go.

mod lead;
mod role;
#[cfg(test)]
mod tests;

pub use lead::{Lead, heirs};

/// Whether a node takes on work.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Duty {
    #[default]
    On,
    /// It holds no address and gets no new work while another node is there.
    Standby,
    /// The same, and somebody waits for what is still under way there.
    Draining,
}

impl crate::keep::Keep for Duty {
    fn keep(&self, out: &mut Vec<u8>) {
        out.push(self.byte());
    }

    fn revive(bytes: &mut &[u8]) -> Option<Self> {
        u8::revive(bytes).map(Self::from_byte)
    }
}

impl Duty {
    pub const ALL: [Self; 3] = [Self::On, Self::Standby, Self::Draining];

    /// As it stands in a beat.
    #[must_use]
    pub const fn byte(self) -> u8 {
        match self {
            Self::On => 0,
            Self::Standby => 1,
            Self::Draining => 2,
        }
    }

    /// What a later version may say beside these keeps work away too.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Self {
        match byte {
            0 => Self::On,
            2 => Self::Draining,
            _ => Self::Standby,
        }
    }

    #[must_use]
    pub const fn takes_work(self) -> bool {
        match self {
            Self::On => true,
            Self::Standby | Self::Draining => false,
        }
    }
}

/// What is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Command<'a> {
    /// Hold nothing until told otherwise, over restarts too.
    Standby { node: &'a str },
    /// As standby, and what is under way there is watched until it has ended.
    Drain { node: &'a str },
    /// Hold again what comes; nothing is taken back.
    Resume { node: &'a str },
    /// Hand this address to that node.
    Move { vip: &'a str, to: &'a str },
    /// Let this address, which was moved, go by its rules again.
    Anywhere { vip: &'a str },
    /// Let this listener, which has one writer, use its server on that node.
    Use { pool: &'a str, to: &'a str },
    /// Let that node coordinate.
    Coordinate { to: &'a str },
    /// Let that voter lead the store.
    Lead { to: &'a str },
}

/// An address as it stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Vip<'a> {
    pub name: &'a str,
    /// Who says that it holds.
    pub holders: &'a [String],
    /// Who may ever hold it.
    pub order: &'a [String],
    /// Whom a hand-over would name now.
    pub successor: Option<&'a str>,
    /// A stronger node takes it back.
    pub preempts: bool,
    /// An operator moved it to its holder, and no rule moves it from there.
    pub stays: bool,
}

/// A node as it stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Node<'a> {
    pub name: &'a str,
    pub is_alive: bool,
    /// A committed entry says that it is off, whatever is heard of it.
    pub is_proven_dead: bool,
    pub duty: Duty,
}

/// A listener of the balancer as it stands.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Pool<'a> {
    pub name: &'a str,
    pub has_one_writer: bool,
    /// The server in use.
    pub used: Option<&'a str>,
    /// Who holds an address that its clients come to; empty: none that is known.
    pub holders: Vec<&'a str>,
    /// In the order of the file.
    pub servers: Vec<Server<'a>>,
}

/// A server as the balancer of this node sees it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Server<'a> {
    pub name: &'a str,
    /// Where its address lives.
    pub node: Option<&'a str>,
    pub is_usable: bool,
}

/// Who decides, where there is a `[store]`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Office<'a> {
    /// Empty: nobody, or it is not known here.
    pub coordinator: &'a str,
    /// Of the store.
    pub leader: Option<&'a str>,
    /// Those that vote; empty: not known here.
    pub voters: Vec<&'a str>,
    /// An etcd of the site.
    pub is_outside: bool,
}

/// What the node knows.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct View<'a> {
    pub me: &'a str,
    /// Of this node.
    pub duty: Duty,
    /// By position in the cluster file.
    pub nodes: Vec<Node<'a>>,
    /// By instance.
    pub vips: Vec<Vip<'a>>,
    /// As in the balancer's file.
    pub pools: Vec<Pool<'a>>,
    /// None: there is no `[store]`.
    pub office: Option<Office<'a>>,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Todo {
    Be(Duty),
    /// Positions of the instance and of the node.
    HandOver {
        instance: usize,
        to: usize,
    },
    /// Position of the instance.
    Anywhere {
        instance: usize,
    },
    /// Positions of the listener and of its server.
    Use {
        pool: usize,
        server: usize,
    },
    /// This node takes the name of the coordinator.
    Coordinate,
    /// This node, which leads the store, gives that away; position of the node.
    Lead {
        to: usize,
    },
}

/// Why nothing is done.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refused {
    #[error("there is no node {name}; there are {known}")]
    UnknownNode { name: String, known: String },
    #[error("there is no vip/{name} here; there are {known}")]
    UnknownVip { name: String, known: String },
    #[error("that is for {there}, and this is {me}: it has changed since it was typed")]
    Elsewhere { me: String, there: String },
    #[error("{0} is on standby already")]
    StandsBy(String),
    #[error("{0} is being drained already")]
    Drains(String),
    #[error("{0} is on standby: `outlast node resume {0}` makes it hold again")]
    TakesNothing(String),
    #[error(
        "somebody confirmed that {0} is off: it is given nothing until `outlast node confirm-off {0} --undo`"
    )]
    ProvenDead(String),
    #[error("{0} is not on standby")]
    OnDuty(String),
    #[error("nobody else could hold vip/{0} now: its clients would lose it")]
    NobodyElse(String),
    #[error("{node} holds vip/{vip} already")]
    Holds { node: String, vip: String },
    #[error("nobody that is known here holds vip/{0}: there is nothing to hand over")]
    HeldByNobody(String),
    #[error("vip/{0} goes by its rules: no operator moved it to where it is")]
    Unmoved(String),
    #[error("{node} is not in the order of vip/{vip}: it never holds it")]
    NotInOrder { node: String, vip: String },
    #[error(
        "{0} is not alive as far as this node knows, and nobody is there to obey: if its machine is off, `outlast node \
         confirm-off {0} --i-know-it-is-off --reason WHY` tells all nodes, and `outlast node replace {0} \
         --i-know-it-is-off` puts a new one in its place"
    )]
    NotAlive(String),
    #[error("vip/{0} preempts: the strongest node would take it back at once")]
    Preempts(String),
    #[error("there is no pool/{name} here; there are {known}")]
    UnknownPool { name: String, known: String },
    #[error("pool/{0} uses all of its servers at once: there is none to move")]
    UsesAll(String),
    #[error("pool/{pool} has no server on {node}")]
    NoServer { pool: String, node: String },
    #[error("pool/{pool} uses {server} already")]
    Uses { pool: String, server: String },
    #[error(
        "{server} of pool/{pool} is down, suspect or out of service: `outlast why pool/{pool}`"
    )]
    Unusable { pool: String, server: String },
    #[error("there is no [store] in this node's outlast.toml, so no {0} to move")]
    NoStore(&'static str),
    #[error("{node} does not vote in the store; these do: {voters}")]
    NoVoter { node: String, voters: String },
    #[error("{0} coordinates already")]
    Coordinates(String),
    #[error("{0} leads the store already")]
    Leads(String),
    #[error("nobody leads the store as far as this node knows: there is nothing to give away")]
    LedByNobody,
    #[error("the store is an etcd of this site: `etcdctl move-leader` moves its leader")]
    Outside,
}

/// Who has to do it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Place {
    Here,
    /// Position in the cluster file.
    There(usize),
}

/// Who has to do what is typed on this node: the node that is named, or the holder of the address.
///
/// # Errors
/// When nobody can be told.
pub fn place(view: &View<'_>, command: Command<'_>) -> Result<Place, Refused> {
    let who = match command {
        Command::Standby { node } | Command::Drain { node } | Command::Resume { node } => node,
        Command::Move { vip, .. } | Command::Anywhere { vip } => {
            let found = view.vips.iter().find(|known| known.name == vip);
            match found.and_then(|found| found.holders.first()) {
                Some(holder) => holder,
                // Checked here, where it is known why.
                None => return Ok(Place::Here),
            }
        }
        Command::Use { pool, .. } => {
            let found = view.pools.iter().find(|known| known.name == pool);
            // Where its clients come to it is known best which servers work. Without an address of its own
            // every balancer follows the newest choice, wherever it was made.
            found.and_then(|found| found.holders.first()).copied().unwrap_or(view.me)
        }
        Command::Coordinate { to } => to,
        Command::Lead { .. } => {
            // Members of an etcd are no nodes; what speaks against it is said here.
            let office = view.office.as_ref().filter(|office| !office.is_outside);
            office.and_then(|office| office.leader).unwrap_or(view.me)
        }
    };
    if who == view.me {
        return Ok(Place::Here);
    }
    let position = position(view, who)?;
    if !view.nodes[position].is_alive {
        return Err(Refused::NotAlive(who.to_owned()));
    }
    Ok(Place::There(position))
}

/// What a command comes to on the node that has to do it.
///
/// # Errors
/// The first thing that speaks against it.
pub fn check(view: &View<'_>, command: Command<'_>) -> Result<Todo, Refused> {
    match command {
        Command::Standby { node } => rest(view, node, Duty::Standby),
        Command::Drain { node } => rest(view, node, Duty::Draining),
        Command::Resume { node } => {
            here(view, node)?;
            if view.duty == Duty::On {
                return Err(Refused::OnDuty(node.to_owned()));
            }
            Ok(Todo::Be(Duty::On))
        }
        Command::Move { vip, to } => hand_over(view, vip, to),
        Command::Anywhere { vip } => anywhere(view, vip),
        Command::Use { pool, to } => role::server(view, pool, to),
        Command::Coordinate { to } => role::coordinator(view, to),
        Command::Lead { to } => role::leader(view, to),
    }
}

fn rest(view: &View<'_>, node: &str, duty: Duty) -> Result<Todo, Refused> {
    here(view, node)?;
    match duty {
        Duty::Standby if view.duty == duty => return Err(Refused::StandsBy(node.to_owned())),
        Duty::Draining if view.duty == duty => return Err(Refused::Drains(node.to_owned())),
        Duty::On | Duty::Standby | Duty::Draining => {}
    }
    let is_alone = |vip: &&Vip<'_>| {
        vip.holders.iter().any(|holder| holder == view.me) && vip.successor.is_none()
    };
    match view.vips.iter().find(is_alone) {
        Some(vip) => Err(Refused::NobodyElse(vip.name.to_owned())),
        None => Ok(Todo::Be(duty)),
    }
}

fn instance(view: &View<'_>, name: &str) -> Result<usize, Refused> {
    view.vips.iter().position(|known| known.name == name).ok_or_else(|| {
        let known: Vec<&str> = view.vips.iter().map(|known| known.name).collect();
        Refused::UnknownVip { name: name.to_owned(), known: list(&known) }
    })
}

fn anywhere(view: &View<'_>, name: &str) -> Result<Todo, Refused> {
    let (vip, instance) = (name.to_owned(), instance(view, name)?);
    let found = &view.vips[instance];
    let Some(holder) = found.holders.first() else { return Err(Refused::HeldByNobody(vip)) };
    if holder != view.me {
        return Err(Refused::Elsewhere { me: view.me.to_owned(), there: holder.clone() });
    }
    if found.stays { Ok(Todo::Anywhere { instance }) } else { Err(Refused::Unmoved(vip)) }
}

fn hand_over(view: &View<'_>, name: &str, to: &str) -> Result<Todo, Refused> {
    let (vip, node) = (name.to_owned(), to.to_owned());
    let instance = instance(view, name)?;
    let position = position(view, to)?;
    let found = &view.vips[instance];
    let Some(holder) = found.holders.first() else { return Err(Refused::HeldByNobody(vip)) };
    if found.holders.iter().any(|holder| holder == to) {
        return Err(Refused::Holds { node, vip });
    }
    if !found.holders.iter().any(|holder| holder == view.me) {
        return Err(Refused::Elsewhere { me: view.me.to_owned(), there: holder.clone() });
    }
    if !found.order.iter().any(|known| known == to) {
        return Err(Refused::NotInOrder { node, vip });
    }
    role::takes_work(view, to)?;
    if found.preempts {
        return Err(Refused::Preempts(vip));
    }
    Ok(Todo::HandOver { instance, to: position })
}

fn here(view: &View<'_>, node: &str) -> Result<(), Refused> {
    if node == view.me {
        return Ok(());
    }
    position(view, node)?;
    Err(Refused::Elsewhere { me: view.me.to_owned(), there: node.to_owned() })
}

fn position(view: &View<'_>, node: &str) -> Result<usize, Refused> {
    view.nodes.iter().position(|known| known.name == node).ok_or_else(|| {
        let known: Vec<&str> = view.nodes.iter().map(|known| known.name).collect();
        Refused::UnknownNode { name: node.to_owned(), known: list(&known) }
    })
}

fn list(names: &[&str]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
