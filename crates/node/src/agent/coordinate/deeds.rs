//! What is behind a step on this node; its words are those of [`engine::procedure`].

use std::sync::Arc;
use std::time::Duration;

use api::{Command, Duty, Event, Report, Status};
use engine::intent::Step;
use engine::procedure::{self, Deed, Plan, Wanted};

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

/// What this node can do for the cluster.
pub(crate) struct Deeds {
    pub(super) hands: Arc<Hands>,
    pub(super) counter: Counter,
    pub(super) me: String,
}

/// The steps of a command, by the node that has to begin it, and the one that counts what is under way there.
pub(super) fn plan(command: &Command, node: &str, counts: &str) -> Plan {
    procedure::plan(&wish_of(command), node, counts)
}

fn wish_of(command: &Command) -> Wanted {
    match command.clone() {
        Command::Standby { node } => Wanted::Standby { node },
        Command::Drain { node, limit } => Wanted::Drain { node, limit },
        Command::Resume { node } => Wanted::Resume { node },
        Command::Move { vip, to } => Wanted::Move { vip, to },
        Command::Anywhere { vip } => Wanted::Anywhere { vip },
        Command::Use { pool, to } => Wanted::Use { pool, to },
        Command::Coordinate { to } => Wanted::Coordinate { to },
        Command::Lead { to } => Wanted::Lead { to },
    }
}

fn command_of(wanted: Wanted) -> Command {
    match wanted {
        Wanted::Standby { node } => Command::Standby { node },
        Wanted::Drain { node, limit } => Command::Drain { node, limit },
        Wanted::Resume { node } => Command::Resume { node },
        Wanted::Move { vip, to } => Command::Move { vip, to },
        Wanted::Anywhere { vip } => Command::Anywhere { vip },
        Wanted::Use { pool, to } => Command::Use { pool, to },
        Wanted::Coordinate { to } => Command::Coordinate { to },
        Wanted::Lead { to } => Command::Lead { to },
    }
}

impl Does for Deeds {
    fn me(&self) -> &str {
        &self.me
    }

    fn is_done(&self, what: &Step) -> bool {
        match procedure::read(what) {
            // What was begun is seen in its own time.
            Ok(Deed::Begin(wanted)) => {
                let command = command_of(wanted);
                self.is_begun(&command) && self.seen(&command).is_ok()
            }
            // It is waited for anew.
            Ok(Deed::Empty { .. }) | Err(_) => false,
        }
    }

    fn perform(&self, what: &Step, by: &str) -> Result<(), String> {
        match procedure::read(what)? {
            Deed::Begin(wanted) => self.command(&command_of(wanted), by),
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
            | Command::Anywhere { .. }
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
        Command::Anywhere { vip } => {
            let line = status.vips.iter().find(|line| line.name == *vip);
            line.is_some_and(|line| !line.stays())
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
        Command::Anywhere { vip } => {
            format!("vip/{vip} still stays where an operator moved it, as far as {me} knows")
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
    fn every_command_is_planned_and_understood_as_itself() {
        let node = "node02".to_owned();
        for command in [
            Command::Standby { node: node.clone() },
            Command::Drain { node: node.clone(), limit: 90 },
            Command::Resume { node: node.clone() },
            Command::Move { vip: "internal".to_owned(), to: "node03".to_owned() },
            Command::Anywhere { vip: "internal".to_owned() },
            Command::Use { pool: "mariadb".to_owned(), to: "node03".to_owned() },
            Command::Coordinate { to: node.clone() },
            Command::Lead { to: "node03".to_owned() },
        ] {
            assert_eq!(plan(&command, &node, &node).object, command.object());
            assert_eq!(command_of(wish_of(&command)), command);
        }
    }
}
