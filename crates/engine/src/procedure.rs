//! What an operator's command is in steps, and what a step says where it arrives: the words of [`Step`], and nothing else.
//! Nodes do the deeds; the simulator kills and pauses everybody between any two of them.
//!
//! ```text
//!   standby, resume   the node itself
//!   drain             the node itself, then whoever counts waits until nothing is under way there
//!   move vip/NAME     the node that is asked to hand over, or that holds it (`--anywhere`)
//!   move pool/NAME, coordinator, store   the node that is to change it
//! ```

use crate::intent::Step;

/// What an operator wants of the cluster.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Wanted {
    Standby {
        node: String,
    },
    /// As standby, and it is waited for at most so many seconds until nothing is under way there.
    Drain {
        node: String,
        limit: u32,
    },
    Resume {
        node: String,
    },
    Move {
        vip: String,
        to: String,
    },
    Anywhere {
        vip: String,
    },
    Use {
        pool: String,
        to: String,
    },
    Coordinate {
        to: String,
    },
    Lead {
        to: String,
    },
}

/// What is to be done for a step.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Deed {
    /// Begin it, and wait until it is so.
    Begin(Wanted),
    /// Wait until nothing is under way with servers on this node, so many seconds.
    Empty { node: String, limit: u32 },
}

/// An intent that is not proposed yet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Plan {
    /// As the operator said it: `move`, `drain`.
    pub what: &'static str,
    /// `node/node02`, `vip/internal`.
    pub object: String,
    pub steps: Vec<Step>,
}

const STANDBY: &str = "standby";
const DRAIN: &str = "drain";
const RESUME: &str = "resume";
const HAND_OVER: &str = "hand-over";
const ANYWHERE: &str = "let-go-anywhere";
const EMPTY: &str = "wait-until-empty";
const USE: &str = "use-server";
const COORDINATE: &str = "coordinate";
const LEAD: &str = "give-lead";

/// The steps, by the node that has to begin, and the one that counts what is under way there.
#[must_use]
pub fn plan(wanted: &Wanted, node: &str, counts: &str) -> Plan {
    let step =
        |verb: &str, object: String| Step { node: node.to_owned(), verb: verb.to_owned(), object };
    let (what, object, steps) = match wanted {
        Wanted::Standby { node } => {
            let object = format!("node/{node}");
            ("standby", object.clone(), vec![step(STANDBY, object)])
        }
        Wanted::Resume { node } => {
            let object = format!("node/{node}");
            ("resume", object.clone(), vec![step(RESUME, object)])
        }
        Wanted::Drain { node, limit } => {
            let object = format!("node/{node}");
            let wait = step(EMPTY, format!("{object} {limit}"));
            let wait = Step { node: counts.to_owned(), ..wait };
            ("drain", object.clone(), vec![step(DRAIN, object), wait])
        }
        Wanted::Move { vip, to } => {
            let object = format!("vip/{vip}");
            ("move", object.clone(), vec![step(HAND_OVER, format!("{object} {to}"))])
        }
        Wanted::Anywhere { vip } => {
            let object = format!("vip/{vip}");
            ("move", object.clone(), vec![step(ANYWHERE, object)])
        }
        Wanted::Use { pool, to } => {
            let object = format!("pool/{pool}");
            ("move", object.clone(), vec![step(USE, format!("{object} {to}"))])
        }
        Wanted::Coordinate { to } => {
            let object = "coordinator".to_owned();
            ("move", object.clone(), vec![step(COORDINATE, format!("{object} {to}"))])
        }
        Wanted::Lead { to } => {
            let object = "store".to_owned();
            ("move", object.clone(), vec![step(LEAD, format!("{object} {to}"))])
        }
    };
    Plan { what, object, steps }
}

/// What a step says.
///
/// # Errors
/// In words: this version knows no such step.
pub fn read(what: &Step) -> Result<Deed, String> {
    let unknown = || {
        let Step { verb, object, .. } = what;
        format!("this version of outlast does not know the step `{verb} {object}`")
    };
    let of = |kind: &str| what.object.strip_prefix(kind).map(str::to_owned).ok_or_else(unknown);
    let pair = |kind: &str| {
        let object = of(kind)?;
        let (name, rest) = object.split_once(' ').ok_or_else(unknown)?;
        Ok::<_, String>((name.to_owned(), rest.to_owned()))
    };
    let wanted = match what.verb.as_str() {
        STANDBY => Wanted::Standby { node: of("node/")? },
        DRAIN => Wanted::Drain { node: of("node/")?, limit: 0 },
        RESUME => Wanted::Resume { node: of("node/")? },
        HAND_OVER => {
            let (vip, to) = pair("vip/")?;
            Wanted::Move { vip, to }
        }
        ANYWHERE => Wanted::Anywhere { vip: of("vip/")? },
        USE => {
            let (pool, to) = pair("pool/")?;
            Wanted::Use { pool, to }
        }
        COORDINATE => Wanted::Coordinate { to: of("coordinator ")? },
        LEAD => Wanted::Lead { to: of("store ")? },
        EMPTY => {
            let (node, limit) = pair("node/")?;
            let limit = limit.parse().map_err(|_| unknown())?;
            return Ok(Deed::Empty { node, limit });
        }
        _ => return Err(unknown()),
    };
    Ok(Deed::Begin(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_of_a_plan_is_understood_where_it_arrives() {
        let (node, to) = ("node02".to_owned(), "node03".to_owned());
        for wanted in [
            Wanted::Standby { node: node.clone() },
            Wanted::Drain { node: node.clone(), limit: 90 },
            Wanted::Resume { node: node.clone() },
            Wanted::Move { vip: "internal".to_owned(), to: to.clone() },
            Wanted::Anywhere { vip: "internal".to_owned() },
            Wanted::Use { pool: "mariadb".to_owned(), to: to.clone() },
            Wanted::Coordinate { to: node.clone() },
            Wanted::Lead { to },
        ] {
            let Plan { object, steps, .. } = plan(&wanted, &node, "node01");
            assert!(steps.iter().all(|step| step.object.starts_with(&object)), "{steps:?}");
            match (read(&steps[0]), &wanted) {
                (Ok(Deed::Begin(Wanted::Drain { node, .. })), Wanted::Drain { limit, .. }) => {
                    assert_eq!((node.as_str(), steps[1].node.as_str()), ("node02", "node01"));
                    assert_eq!(read(&steps[1]), Ok(Deed::Empty { node, limit: *limit }));
                }
                (first, _) => assert_eq!(first, Ok(Deed::Begin(wanted))),
            }
        }
    }

    #[test]
    fn a_step_of_another_version_is_told_by_its_words() {
        for (verb, object) in [("dance", "node/a"), ("standby", "vip/a"), ("hand-over", "vip/a")] {
            let (node, verb, object) = ("node02".to_owned(), verb.to_owned(), object.to_owned());
            let why = read(&Step { node, verb, object }).unwrap_err();
            assert!(why.contains("does not know the step"), "{why}");
        }
    }
}
