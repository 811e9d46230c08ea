//! Every scenario with its promise: the one table.

use std::time::Duration;

use super::promise::{OnlyFailure, Promise};
use crate::client::Port;

/// What is done to the cloud.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fault {
    KillBalancer,
    FreezeBalancer,
    KillVip,
    KillAgent,
    KillSupervisor,
    StopNode,
    /// An operator moves the address to the other node.
    MoveAway,
    /// An operator puts the holder on standby, and half-way on duty again.
    Standby,
    PowerOffHolder,
    HolderLinkDown,
    KillServer,
    VanishServer,
    FreezeServer,
    /// Killed, and started again half-way.
    KillDatabase,
    PowerOffTwo,
    OneReturns,
    TwoReturn,
    StartAll,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// What happens, for `--list`.
    pub(crate) about: &'static str,
    pub(crate) fault: Fault,
    /// Ports whose requests are judged.
    pub(crate) judged: &'static [Port],
    /// How long to look after the fault.
    pub(crate) watch: Duration,
    /// The same for the stock pair, which needs longer to show what it costs.
    pub(crate) watch_stock: Duration,
    /// A `timeout server` of the run.
    pub(crate) server_timeout: Option<&'static str>,
    pub(crate) promise: Promise,
}

const BOTH: &[Port] = &[Port::Api, Port::Database];
const API: &[Port] = &[Port::Api];

const NOTHING: Promise = Promise {
    outage_ms: None,
    moves: None,
    failed: None,
    quick_after_outage: false,
    quick_from_ms: None,
    only_failure: None,
    one_writer: false,
    database_moves: None,
    first_answer_ms: None,
};

const fn row(
    name: &'static str,
    about: &'static str,
    fault: Fault,
    judged: &'static [Port],
    seconds: (u64, u64),
    promise: Promise,
) -> Scenario {
    Scenario {
        name,
        about,
        fault,
        judged,
        watch: Duration::from_secs(seconds.0),
        watch_stock: Duration::from_secs(seconds.1),
        server_timeout: None,
        promise,
    }
}

const fn outage(ms: u32) -> Promise {
    Promise { outage_ms: Some(ms), ..NOTHING }
}

/// A node gone without a word: the file's advert interval of 1 s allows no better.
const POWER_OFF: Promise =
    Promise { outage_ms: Some(3800), moves: Some(1), quick_after_outage: true, ..NOTHING };
/// New requests find the successor; one that is under way when the address goes has no way back.
const PLANNED: Promise = Promise { moves: Some(1), ..outage(50) };
const UNNOTICED: Promise =
    Promise { moves: Some(0), failed: Some(0), database_moves: Some(0), ..NOTHING };

pub(crate) const SCENARIOS: [Scenario; 18] = [
    row(
        "balancer-killed",
        "SIGKILL of the serving balancer on the holder",
        Fault::KillBalancer,
        BOTH,
        (3, 8),
        Promise { moves: Some(0), ..outage(50) },
    ),
    row(
        "balancer-frozen",
        "SIGSTOP of the serving balancer on the holder",
        Fault::FreezeBalancer,
        BOTH,
        (4, 10),
        outage(1000),
    ),
    row(
        "vip-killed",
        "SIGKILL of the vip process on the holder (stock: keepalived's vrrp process)",
        Fault::KillVip,
        BOTH,
        (4, 8),
        outage(50),
    ),
    row(
        "agent-killed",
        "SIGKILL of the agent on the holder (stock has none)",
        Fault::KillAgent,
        BOTH,
        (3, 3),
        outage(50),
    ),
    row(
        "supervisor-killed",
        "SIGKILL of the supervisor on the holder (stock: keepalived's parent)",
        Fault::KillSupervisor,
        BOTH,
        (6, 8),
        // Nobody is left on the node to start anything; its vip process says goodbye.
        outage(1000),
    ),
    row(
        "graceful-stop",
        "SIGTERM of everything on the holder",
        Fault::StopNode,
        BOTH,
        (4, 8),
        Promise { moves: Some(1), ..outage(50) },
    ),
    row(
        "planned-move",
        "`outlast move` on the holder names another node (stock has no such command)",
        Fault::MoveAway,
        BOTH,
        (4, 4),
        PLANNED,
    ),
    row(
        "standby",
        "`outlast node standby` on the holder, `resume` half-way (stock has no such command)",
        Fault::Standby,
        BOTH,
        (6, 6),
        PLANNED,
    ),
    row(
        "holder-power-off",
        "the holder disappears from both networks, then all its processes die",
        Fault::PowerOffHolder,
        BOTH,
        (8, 24),
        POWER_OFF,
    ),
    row(
        "holder-link-down",
        "the holder loses its carrier on the management network",
        Fault::HolderLinkDown,
        // The database in use may be on the node that nobody reaches: its outage is shown.
        API,
        (5, 24),
        Promise { moves: Some(1), ..outage(100) },
    ),
    row(
        "server-killed",
        "SIGKILL of the HTTP servers of one node",
        Fault::KillServer,
        API,
        (5, 14),
        Promise { failed: Some(0), moves: Some(0), ..NOTHING },
    ),
    row(
        "server-vanished",
        "the HTTP servers of one node drop every packet",
        Fault::VanishServer,
        API,
        (7, 24),
        Promise { quick_from_ms: Some(1500), moves: Some(0), ..NOTHING },
    ),
    Scenario {
        server_timeout: Some("5s"),
        ..row(
            "server-frozen",
            "SIGSTOP of the HTTP servers of one node (with `timeout server 5s`)",
            Fault::FreezeServer,
            API,
            (9, 20),
            Promise {
                only_failure: Some(OnlyFailure { status: 504, at_ms: 5000 }),
                moves: Some(0),
                ..NOTHING
            },
        )
    },
    row(
        "database-node-killed",
        "SIGKILL of the database in use; it returns half-way",
        Fault::KillDatabase,
        &[Port::Database],
        (12, 30),
        Promise { one_writer: true, database_moves: Some(1), moves: Some(0), ..NOTHING },
    ),
    row(
        "two-nodes-lost",
        "the holder and another node disappear at once",
        Fault::PowerOffTwo,
        BOTH,
        (8, 24),
        POWER_OFF,
    ),
    row(
        "node-returns",
        "the former holder comes back",
        Fault::OneReturns,
        BOTH,
        (8, 10),
        UNNOTICED,
    ),
    row("both-return", "two lost nodes come back", Fault::TwoReturn, BOTH, (8, 10), UNNOTICED),
    row(
        "all-start-cold",
        "three nodes are switched on at once",
        Fault::StartAll,
        BOTH,
        (9, 12),
        Promise { first_answer_ms: Some(6000), moves: Some(0), ..NOTHING },
    ),
];

/// The row of that name.
#[must_use]
pub(crate) fn named(name: &str) -> Option<&'static Scenario> {
    SCENARIOS.iter().find(|scenario| scenario.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_has_a_numeric_promise_and_a_name_of_its_own() {
        for scenario in &SCENARIOS {
            assert!(scenario.promise.is_numeric(), "{}", scenario.name);
            assert_eq!(named(scenario.name).map(|found| found.about), Some(scenario.about));
        }
    }
}
