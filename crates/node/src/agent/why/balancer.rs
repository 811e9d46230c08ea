//! Why the balancer serves or not, and why a process runs.

use api::{BalancerState, ProcessState, Role};
use engine::role::{
    FIRST_PAUSE, FROZEN_AFTER, LAST_PAUSE, SERVE_WITHIN, TRUSTED_AFTER, TWICE_WITHIN,
};

use super::{Ground, Told, count, fact, span};

pub(super) fn why(ground: &Ground<'_>) -> Told {
    if ground.status.balancer == BalancerState::Absent {
        return Told {
            state: "this node has no balancer".to_owned(),
            evidence: vec![fact("the files define no proxy")],
            rule: "without a proxy nothing listens".to_owned(),
            rules: vec![],
            would_change: vec!["a file of proxies and a restart of this node".to_owned()],
        };
    }
    let state = match ground.status.balancer {
        BalancerState::Serving => "the balancer of this node serves",
        BalancerState::Replacing => "the balancer of this node is being replaced in place",
        BalancerState::Failed | BalancerState::Absent => {
            "the balancer of this node has failed: addresses that depend on it go"
        }
    };
    let mut evidence = vec![];
    for role in [Role::Proxy, Role::Spare] {
        let process = ground.status.processes.iter().find(|process| process.role == role);
        evidence.extend(process.map(|process| runs(ground, process)));
    }
    let (served, twice) = (span(SERVE_WITHIN), span(TWICE_WITHIN));
    let would_change = match ground.status.balancer {
        BalancerState::Serving => vec![
            format!(
                "a process without an answer for {} is replaced by its spare",
                span(FROZEN_AFTER)
            ),
            format!(
                "if nothing serves for {served}, or a second one is lost within {twice}, it has failed"
            ),
        ],
        BalancerState::Replacing => {
            vec![format!("if nothing serves within {served} it has failed")]
        }
        BalancerState::Failed | BalancerState::Absent => {
            vec![format!("a proxy that has served for {} is trusted again", span(TRUSTED_AFTER))]
        }
    };
    Told {
        state: state.to_owned(),
        evidence,
        rule: format!(
            "a dead or frozen proxy is replaced by the warm spare on the same sockets; only if nothing \
             serves within {served}, or twice in {twice}, do the addresses go"
        ),
        rules: vec![],
        would_change,
    }
}

pub(super) fn process(ground: &Ground<'_>, name: &str) -> Option<Told> {
    let process = ground.status.processes.iter().find(|process| word(process.role) == name)?;
    let state = if process.running {
        format!("{name} runs as pid {}", process.pid)
    } else {
        format!("{name} does not run")
    };
    let rule = match process.role {
        Role::Supervisor => {
            "it starts the others and holds the sockets; its end ends them all".to_owned()
        }
        Role::Proxy | Role::Spare => {
            format!(
                "who does not answer within {} is killed, the spare takes over",
                span(FROZEN_AFTER)
            )
        }
        Role::Vip => format!(
            "who does not answer within {} is killed; then the supervisor hands its addresses over",
            span(FROZEN_AFTER)
        ),
        Role::Agent | Role::Services | Role::Store => format!(
            "one that ended is started again after {}, doubling up to {} while lives are short",
            span(FIRST_PAUSE),
            span(LAST_PAUSE)
        ),
    };
    let mut evidence = vec![runs(ground, process)];
    let mut would_change = vec![lost(process.role).to_owned()];
    if process.role == Role::Store {
        evidence.extend(super::store::evidence(ground));
        would_change.splice(0..0, super::store::would_lead(ground));
    }
    Some(Told { state, evidence, rule, rules: vec![], would_change })
}

fn runs(ground: &Ground<'_>, process: &ProcessState) -> api::Evidence {
    let name = word(process.role);
    let starts = count(u64::from(process.starts), "start", "starts");
    let what = if process.running {
        format!("{name}: pid {}, configuration {}, {starts}", process.pid, process.generation)
    } else {
        format!("{name}: not running, {starts}")
    };
    ground.heard(what, &format!("process/{name}"))
}

/// What its end would do.
const fn lost(role: Role) -> &'static str {
    match role {
        Role::Supervisor => "its end takes everything along; the addresses go to the successor",
        Role::Vip => "its end moves the addresses of this node to their successors",
        Role::Agent => {
            "its end costs beats and answers for some 10 ms; addresses and balancer stay"
        }
        Role::Proxy => "its end makes the spare serve on the same sockets",
        Role::Spare => "its end costs nothing: another one is started",
        Role::Services => "its end costs the dashboard some 10 ms; nobody else notices",
        Role::Store => "its end costs what waits for this member of the store; addresses stay",
    }
}

/// As on the command line.
pub(crate) const fn word(role: Role) -> &'static str {
    match role {
        Role::Supervisor => "supervisor",
        Role::Vip => "vip",
        Role::Agent => "agent",
        Role::Proxy => "proxy",
        Role::Spare => "spare",
        Role::Services => "services",
        Role::Store => "store",
    }
}
