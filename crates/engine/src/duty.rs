//! What an operator may ask of a node: to stand by, to go on duty again, to hand an address to another.
//!
//! Everything that speaks against a command is found before anything is done, and is told by name. What
//! can still go wrong on the way (the other node lets go of its carrier that moment) ends as every
//! hand-over does: the address is taken by somebody, at the latest again by the one that let it go.

#[cfg(test)]
mod tests;

/// What is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Command<'a> {
    /// Hold nothing until told otherwise, over restarts too.
    Standby { node: &'a str },
    /// Hold again what comes; nothing is taken back.
    Resume { node: &'a str },
    /// Hand this address to that node.
    Move { vip: &'a str, to: &'a str },
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
}

/// What the node knows.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct View<'a> {
    pub me: &'a str,
    pub is_on_standby: bool,
    /// By position in the cluster file, and whether it is alive.
    pub nodes: Vec<(&'a str, bool)>,
    /// By instance.
    pub vips: Vec<Vip<'a>>,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Todo {
    Standby(bool),
    /// Positions of the instance and of the node.
    HandOver {
        instance: usize,
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
    #[error("this is {me}: commands do not travel yet, type it on {there}")]
    Elsewhere { me: String, there: String },
    #[error("{0} is on standby already")]
    StandsBy(String),
    #[error("{0} is not on standby")]
    OnDuty(String),
    #[error("nobody else could hold vip/{0} now: its clients would lose it")]
    NobodyElse(String),
    #[error("{node} holds vip/{vip} already")]
    Holds { node: String, vip: String },
    #[error("nobody that is known here holds vip/{0}: there is nothing to hand over")]
    HeldByNobody(String),
    #[error("{node} is not in the order of vip/{vip}: it never holds it")]
    NotInOrder { node: String, vip: String },
    #[error("{0} is not alive as far as this node knows")]
    NotAlive(String),
    #[error("vip/{0} preempts: the strongest node would take it back at once")]
    Preempts(String),
}

/// What a command comes to.
///
/// # Errors
/// The first thing that speaks against it.
pub fn check(view: &View<'_>, command: Command<'_>) -> Result<Todo, Refused> {
    match command {
        Command::Standby { node } => {
            here(view, node)?;
            if view.is_on_standby {
                return Err(Refused::StandsBy(node.to_owned()));
            }
            let alone = view.vips.iter().find(|vip| {
                vip.holders.iter().any(|holder| holder == view.me) && vip.successor.is_none()
            });
            match alone {
                Some(vip) => Err(Refused::NobodyElse(vip.name.to_owned())),
                None => Ok(Todo::Standby(true)),
            }
        }
        Command::Resume { node } => {
            here(view, node)?;
            if !view.is_on_standby {
                return Err(Refused::OnDuty(node.to_owned()));
            }
            Ok(Todo::Standby(false))
        }
        Command::Move { vip, to } => hand_over(view, vip, to),
    }
}

fn hand_over(view: &View<'_>, name: &str, to: &str) -> Result<Todo, Refused> {
    let (vip, node) = (name.to_owned(), to.to_owned());
    let Some(instance) = view.vips.iter().position(|known| known.name == name) else {
        let known: Vec<&str> = view.vips.iter().map(|known| known.name).collect();
        return Err(Refused::UnknownVip { name: vip, known: list(&known) });
    };
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
    if !view.nodes[position].1 {
        return Err(Refused::NotAlive(node));
    }
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
    view.nodes.iter().position(|(name, _)| *name == node).ok_or_else(|| {
        let known: Vec<&str> = view.nodes.iter().map(|(name, _)| *name).collect();
        Refused::UnknownNode { name: node.to_owned(), known: list(&known) }
    })
}

fn list(names: &[&str]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
