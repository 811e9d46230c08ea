//! What a person at the keyboard can do to the cloud.

use std::io;

use api::Role;
use sys::process::{SIGKILL, SIGSTOP};

use super::recorded::Stock;
use super::scenario::{Scenario, named};
use crate::cloud::Cloud;
use crate::cloud::node::{Part, kill};

/// A process that can be killed or frozen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Target {
    Balancer,
    Vip,
    Agent,
    Supervisor,
    Web,
    Database,
}

impl Target {
    pub(super) const ALL: [Self; 6] =
        [Self::Balancer, Self::Vip, Self::Agent, Self::Supervisor, Self::Web, Self::Database];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Balancer => "balancer",
            Self::Vip => "vip process",
            Self::Agent => "agent",
            Self::Supervisor => "supervisor",
            Self::Web => "HTTP servers",
            Self::Database => "database",
        }
    }
}

/// A fault, or its end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Deed {
    Kill(Target),
    Freeze(Target),
    PowerOff,
    /// The node sees that its cable is gone.
    Carrier,
    /// Nobody sees anything; packets vanish.
    Silent,
    /// SIGTERM: the node hands over.
    Stop,
    Return,
}

/// What was as the order came: the stock pair's figure is that of the same fault.
#[derive(Clone, Copy, Debug)]
pub(super) struct Before {
    pub(super) holder: bool,
    pub(super) database_in_use: bool,
}

impl Deed {
    pub(super) fn text(self, node: &str) -> String {
        match self {
            Self::Kill(target) => format!("kill the {} of {node}", target.name()),
            Self::Freeze(target) => format!("freeze the {} of {node}", target.name()),
            Self::PowerOff => format!("power off {node}"),
            Self::Carrier => format!("pull the management cable of {node}"),
            Self::Silent => format!("cut {node} off silently"),
            Self::Stop => format!("stop {node} in order"),
            Self::Return => format!("{node} returns"),
        }
    }

    /// What the node is called from now on; none where it heals itself.
    pub(super) fn mark(self) -> Option<String> {
        match self {
            Self::Kill(target @ (Target::Supervisor | Target::Web | Target::Database)) => {
                Some(format!("no {}", target.name()))
            }
            Self::Kill(Target::Balancer | Target::Vip | Target::Agent) | Self::Return => None,
            Self::Freeze(Target::Balancer) => None,
            Self::Freeze(target) => Some(format!("{} frozen", target.name())),
            Self::PowerOff => Some("OFF".to_owned()),
            Self::Carrier => Some("no management cable".to_owned()),
            Self::Silent => Some("cut off".to_owned()),
            Self::Stop => Some("stopped".to_owned()),
        }
    }

    /// The scenario that is the same fault, if there is one.
    pub(super) fn scenario(self, before: Before) -> Option<&'static Scenario> {
        let name = match self {
            Self::Kill(Target::Web) => "server-killed",
            Self::Freeze(Target::Web) => "server-frozen",
            Self::Kill(Target::Database) if before.database_in_use => "database-node-killed",
            Self::Return => "node-returns",
            _ if !before.holder => return None,
            Self::Kill(Target::Balancer) => "balancer-killed",
            Self::Freeze(Target::Balancer) => "balancer-frozen",
            Self::Kill(Target::Vip) => "vip-killed",
            Self::Kill(Target::Agent) => "agent-killed",
            Self::Kill(Target::Supervisor) => "supervisor-killed",
            // To everybody else a silent cable is a node without power.
            Self::PowerOff | Self::Silent => "holder-power-off",
            Self::Carrier => "holder-link-down",
            Self::Stop => "graceful-stop",
            Self::Kill(Target::Database)
            | Self::Freeze(Target::Vip | Target::Agent | Target::Supervisor | Target::Database) => {
                return None;
            }
        };
        named(name)
    }

    /// The stock pair's figure beside it, in words.
    pub(super) fn stock(self, before: Before) -> String {
        let Some(scenario) = self.scenario(before) else { return "no stock figure".to_owned() };
        match Stock::recorded(scenario.name) {
            Some(stock) => {
                let writers = if stock.two_writers > 0 { ", 2 writers" } else { "" };
                format!("stock: {:.0} ms, {} failed{writers}", stock.outage_ms, stock.failed)
            }
            None => "stock has no such part".to_owned(),
        }
    }

    /// Does it.
    pub(super) fn perform(self, cloud: &mut Cloud, node: usize) -> io::Result<()> {
        match self {
            Self::Kill(target) => match part(target) {
                Some(part) => cloud.nodes[node].kill(part),
                None => hit(cloud, node, target, SIGKILL),
            },
            Self::Freeze(target) => match part(target) {
                Some(part) => cloud.nodes[node].signal(part, SIGSTOP),
                None => hit(cloud, node, target, SIGSTOP),
            },
            Self::PowerOff => cloud.nodes[node].power_off(),
            Self::Carrier => match cloud.nodes[node].host() {
                Some(host) => host.set_carrier(0, false),
                None => Err(off()),
            },
            Self::Silent => match cloud.nodes[node].host() {
                Some(host) => host.cut(),
                None => Err(off()),
            },
            Self::Stop => cloud.stop_gracefully(node),
            Self::Return => cloud.nodes[node].mend().and_then(|()| cloud.revive_one(node)),
        }
    }
}

fn off() -> io::Error {
    io::Error::other("the node is off")
}

/// Processes that the demo started itself.
fn part(target: Target) -> Option<Part> {
    match target {
        Target::Supervisor => Some(Part::Outlast),
        Target::Web => Some(Part::Web),
        Target::Database => Some(Part::Database),
        Target::Balancer | Target::Vip | Target::Agent => None,
    }
}

/// Processes that the supervisor started: their pids are asked for.
fn hit(cloud: &Cloud, node: usize, target: Target, signal: i32) -> io::Result<()> {
    let role = match target {
        Target::Vip => Role::Vip,
        Target::Agent => Role::Agent,
        Target::Balancer | Target::Supervisor | Target::Web | Target::Database => Role::Proxy,
    };
    kill(cloud.pid(node, role)?, signal);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(deed: Deed, holder: bool, expected: Option<&str>) {
        let before = Before { holder, database_in_use: holder };
        let found = deed.scenario(before).map(|scenario| scenario.name);
        assert_eq!(found, expected, "{deed:?}");
    }

    #[test]
    fn a_figure_stands_beside_the_same_fault_only() {
        check(Deed::Kill(Target::Balancer), true, Some("balancer-killed"));
        check(Deed::Kill(Target::Balancer), false, None);
        check(Deed::Kill(Target::Web), false, Some("server-killed"));
        check(Deed::Kill(Target::Database), true, Some("database-node-killed"));
        check(Deed::Kill(Target::Database), false, None);
        check(Deed::Freeze(Target::Agent), true, None);
        check(Deed::Silent, true, Some("holder-power-off"));
    }

    #[test]
    fn what_the_stock_pair_does_not_have_is_said() {
        let before = Before { holder: true, database_in_use: false };
        assert_eq!(Deed::Kill(Target::Agent).stock(before), "stock has no such part");
        assert!(Deed::Kill(Target::Balancer).stock(before).starts_with("stock: 4351 ms"));
    }
}
