//! What a step is on this node: the words of [`engine::intent::Step`] and what is behind them.

use std::sync::Arc;
use std::time::Duration;

use api::{Command, Duty, Event, Report, Status};
use engine::intent::Step;

use super::steps::Does;
use crate::agent::hands::{Counter, Hands};
use crate::agent::names::Names;
use crate::agent::{command as wanted, lock};

/// A hand-over takes milliseconds, and a peer's word about it a beat or two; what is not seen after this did
/// not happen.
const SEEN_WITHIN: Duration = Duration::from_secs(10);
/// A second, as a rule. A voter that does not catch up keeps no node from its rest: the lead is given away later.
const LEAD_WITHIN: Duration = Duration::from_secs(4);
/// Each look takes the agent's whole status.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Each look is a question to every node.
const COUNT_EVERY: Duration = Duration::from_millis(500);

/// So many looks that find the node on duty, one after the other: its drain was called off.
const AWAKE: u32 = 4;

/// Verbs of steps.
const STANDBY: &str = "standby";
const DRAIN: &str = "drain";
const RESUME: &str = "resume";
const HAND_OVER: &str = "hand-over";
const EMPTY: &str = "wait-until-empty";
const USE: &str = "use-server";
const COORDINATE: &str = "coordinate";
const LEAD: &str = "give-lead";

/// What this node can do for the cluster.
pub(crate) struct Deeds {
    pub(super) hands: Arc<Hands>,
    pub(super) counter: Counter,
    pub(super) me: String,
}

/// The steps of a command, by the node that has to begin it, and the one that counts what is under way there.
pub(super) fn plan(
    command: &Command,
    node: &str,
    counts: &str,
) -> (&'static str, String, Vec<Step>) {
    let step =
        |verb: &str, object: String| Step { node: node.to_owned(), verb: verb.to_owned(), object };
    match command {
        Command::Standby { node } => {
            let object = format!("node/{node}");
            ("standby", object.clone(), vec![step(STANDBY, object)])
        }
        Command::Resume { node } => {
            let object = format!("node/{node}");
            ("resume", object.clone(), vec![step(RESUME, object)])
        }
        Command::Drain { node, limit } => {
            let object = format!("node/{node}");
            let wait = step(EMPTY, format!("{object} {limit}"));
            let wait = Step { node: counts.to_owned(), ..wait };
            ("drain", object.clone(), vec![step(DRAIN, object), wait])
        }
        Command::Move { vip, to } => {
            let object = format!("vip/{vip}");
            ("move", object.clone(), vec![step(HAND_OVER, format!("{object} {to}"))])
        }
        Command::Use { pool, to } => {
            let object = format!("pool/{pool}");
            ("move", object.clone(), vec![step(USE, format!("{object} {to}"))])
        }
        Command::Coordinate { to } => {
            let object = "coordinator".to_owned();
            ("move", object.clone(), vec![step(COORDINATE, format!("{object} {to}"))])
        }
        Command::Lead { to } => {
            let object = "store".to_owned();
            ("move", object.clone(), vec![step(LEAD, format!("{object} {to}"))])
        }
    }
}

/// What a step says.
enum Deed {
    Command(Command),
    /// Wait until nothing is under way with servers on this node, so many seconds.
    Empty {
        node: String,
        limit: u32,
    },
}

fn read(what: &Step) -> Result<Deed, String> {
    let unknown = || {
        let Step { verb, object, .. } = what;
        format!("this version of outlast does not know the step `{verb} {object}`")
    };
    let node = || what.object.strip_prefix("node/").map(str::to_owned).ok_or_else(unknown);
    Ok(match what.verb.as_str() {
        STANDBY => Deed::Command(Command::Standby { node: node()? }),
        DRAIN => Deed::Command(Command::Drain { node: node()?, limit: 0 }),
        RESUME => Deed::Command(Command::Resume { node: node()? }),
        HAND_OVER => {
            let object = what.object.strip_prefix("vip/").and_then(|rest| rest.split_once(' '));
            let (vip, to) = object.ok_or_else(unknown)?;
            Deed::Command(Command::Move { vip: vip.to_owned(), to: to.to_owned() })
        }
        USE => {
            let object = what.object.strip_prefix("pool/").and_then(|rest| rest.split_once(' '));
            let (pool, to) = object.ok_or_else(unknown)?;
            Deed::Command(Command::Use { pool: pool.to_owned(), to: to.to_owned() })
        }
        COORDINATE => {
            let to = what.object.strip_prefix("coordinator ").ok_or_else(unknown)?;
            Deed::Command(Command::Coordinate { to: to.to_owned() })
        }
        LEAD => {
            let to = what.object.strip_prefix("store ").ok_or_else(unknown)?;
            Deed::Command(Command::Lead { to: to.to_owned() })
        }
        EMPTY => {
            let object = node()?;
            let (node, limit) = object.split_once(' ').ok_or_else(unknown)?;
            let limit = limit.parse().map_err(|_| unknown())?;
            Deed::Empty { node: node.to_owned(), limit }
        }
        _ => return Err(unknown()),
    })
}

impl Does for Deeds {
    fn me(&self) -> &str {
        &self.me
    }

    fn is_done(&self, what: &Step) -> bool {
        match read(what) {
            // What was begun is seen in its own time.
            Ok(Deed::Command(command)) => self.is_begun(&command) && self.seen(&command).is_ok(),
            // It is waited for anew.
            Ok(Deed::Empty { .. }) | Err(_) => false,
        }
    }

    fn perform(&self, what: &Step, by: &str) -> Result<(), String> {
        match read(what)? {
            Deed::Command(command) => self.command(&command, by),
            Deed::Empty { node, limit } => self.empty(&node, Duration::from_secs(limit.into())),
        }
    }

    fn tell(&self, event: Event) {
        // A loop that is too busy to hear it has the machine's log; what it tells of was decided already.
        let _ = self.hands.voice().say(&Report::Event(event));
    }

    fn count_stale(&self) {
        lock(self.hands.core()).coordinator.get_or_insert_default().stale_orders += 1;
    }
}

impl Deeds {
    fn command(&self, command: &Command, by: &str) -> Result<(), String> {
        self.hands.obey_for(command, by)?;
        self.seen(command)
    }

    /// Whether it may have been obeyed by a process that died before it saw what came of it.
    fn is_begun(&self, command: &Command) -> bool {
        let kept = crate::duty::kept(&self.hands.state_dir);
        match command {
            Command::Standby { .. } => kept == Duty::Standby,
            Command::Drain { .. } => kept == Duty::Draining,
            Command::Resume { .. } => kept == Duty::On,
            // Only by what comes of it.
            Command::Move { .. }
            | Command::Use { .. }
            | Command::Coordinate { .. }
            | Command::Lead { .. } => true,
        }
    }

    /// Waits until what a command wants is so.
    fn seen(&self, command: &Command) -> Result<(), String> {
        let begun = sys::clock::now();
        let end = begun + SEEN_WITHIN;
        loop {
            let (status, names) = self.hands.looks();
            let leads =
                sys::clock::now() < begun + LEAD_WITHIN && wanted::has_heirs(&status, &names);
            if is_so(&status, &names, command) && !leads {
                break;
            }
            if sys::clock::now() >= end {
                return Err(not_seen(&status, command));
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    fn empty(&self, node: &str, limit: Duration) -> Result<(), String> {
        let end = sys::clock::now() + limit;
        // Of a compute node it is heard a moment later than the node itself knows it.
        let (mut quiet, mut rested, mut awake) = (0, false, 0);
        loop {
            let left = (self.counter)(node)?;
            let status = self.hands.looks().0;
            let left = api::left(&left, &status);
            let is_it = |line: &&api::NodeLine| line.state.node == node;
            let is_on = status.nodes.iter().find(is_it).is_some_and(|line| line.state.duty.is_on());
            // Not by one look: who was just started again has said nothing yet.
            awake = if is_on { awake + 1 } else { 0 };
            if awake >= AWAKE && (rested || sys::clock::now() >= end) {
                return Err(format!("{node} is on duty again: its drain was called off"));
            }
            rested |= !is_on;
            // Twice: a balancer hears of the drain a beat later.
            quiet = if rested && left.is_empty() { quiet + 1 } else { 0 };
            if quiet == 2 {
                return Ok(());
            }
            if sys::clock::now() >= end && !left.is_empty() {
                let (left, seconds) = (left.join("; "), limit.as_secs());
                return Err(format!("after {seconds} s: {left}; {node} stays out of service"));
            }
            std::thread::sleep(COUNT_EVERY);
        }
    }
}

/// Whether what a command wants is so.
fn is_so(status: &Status, names: &Names, command: &Command) -> bool {
    let rests = |duty: Duty| {
        let own = status.nodes.iter().find(|line| line.state.node == status.node);
        status.duty == duty && own.is_some_and(|line| line.holds.is_empty())
    };
    match command {
        Command::Standby { .. } => rests(Duty::Standby),
        Command::Drain { .. } => rests(Duty::Draining),
        Command::Resume { .. } => status.duty == Duty::On,
        Command::Move { vip, to } => {
            let line = status.vips.iter().find(|line| line.name == *vip);
            line.is_some_and(|line| line.holders == [to.clone()])
        }
        Command::Use { pool, to } => {
            let used = status.choices.iter().find(|choice| choice.proxy == *pool);
            let home = used.and_then(|used| names.homes.get(pool)?.get(&used.server));
            let node = home.and_then(|at| status.nodes.get(*at));
            node.is_some_and(|line| line.state.node == *to)
        }
        Command::Coordinate { to } => {
            status.coordinator.as_ref().is_some_and(|shown| shown.node == *to)
        }
        Command::Lead { to } => {
            status.store.as_ref().is_some_and(|store| store.leader.as_ref() == Some(to))
        }
    }
}

fn not_seen(status: &Status, command: &Command) -> String {
    let me = &status.node;
    match command {
        Command::Standby { .. } | Command::Drain { .. } => {
            format!("{me} is out of service and still holds an address")
        }
        Command::Resume { .. } => format!("{me} still says that it stands by"),
        Command::Move { vip, to } => {
            let line = status.vips.iter().find(|line| line.name == *vip);
            let holders = line.map(|line| line.holders.join(" and ")).unwrap_or_default();
            let holders = if holders.is_empty() { "nobody" } else { &holders };
            format!(
                "{to} did not take vip/{vip}, {holders} holds it: {to} may be on standby, or a check \
                 fails there (`outlast why vip/{vip}` on {to})"
            )
        }
        Command::Use { pool, to } => {
            let used = status.choices.iter().find(|choice| choice.proxy == *pool);
            let used = used.map_or("none", |choice| choice.server.as_str());
            format!(
                "{used} of pool/{pool} is used, not the one on {to}: it may not work from where clients \
                 come to (`outlast why pool/{pool}`)"
            )
        }
        Command::Coordinate { to } => format!("{to} did not take the name of the coordinator"),
        Command::Lead { to } => format!("{to} did not take the lead of the store"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_of_a_plan_is_understood_where_it_arrives() {
        let node = "node02".to_owned();
        for command in [
            Command::Standby { node: node.clone() },
            Command::Drain { node: node.clone(), limit: 90 },
            Command::Resume { node: node.clone() },
            Command::Move { vip: "internal".to_owned(), to: "node03".to_owned() },
            Command::Use { pool: "mariadb".to_owned(), to: "node03".to_owned() },
            Command::Coordinate { to: node.clone() },
            Command::Lead { to: "node03".to_owned() },
        ] {
            let (_, object, steps) = plan(&command, &node, &node);
            assert_eq!(object, command.object());
            let first = read(&steps[0]).expect("the first step is the command");
            match (first, &command) {
                (Deed::Command(Command::Drain { node, .. }), Command::Drain { limit, .. }) => {
                    assert_eq!(node, "node02");
                    let wait = read(&steps[1]).expect("the second step waits");
                    let Deed::Empty { node, limit: read } = wait else { panic!("{steps:?}") };
                    assert_eq!((node.as_str(), read), ("node02", *limit));
                }
                (Deed::Command(read), _) => assert_eq!(read, command),
                (Deed::Empty { .. }, _) => panic!("{steps:?}"),
            }
        }
        for (verb, object) in [("dance", "node/a"), ("standby", "vip/a"), ("hand-over", "vip/a")] {
            let (node, verb, object) = (node.clone(), verb.to_owned(), object.to_owned());
            let why = read(&Step { node, verb, object }).err().expect("it is not known");
            assert!(why.contains("does not know the step"), "{why}");
        }
    }
}
