//! What is wrong, in sentences, the worst first.

use api::{
    BalancerState, Duty, NodeLine, Role, Standing, Status, StoreState, Verdict, VipCause, VipLine,
    VipRole,
};

use crate::mark::{self, Grade};
use crate::pool::{self, Pool};

/// One thing that is not as it should be.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize)]
pub(crate) struct Trouble {
    #[serde(skip)]
    pub(crate) grade: Grade,
    pub(crate) sentence: String,
    /// The page that explains it.
    pub(crate) page: String,
}

fn trouble(grade: Grade, page: String, sentence: String) -> Trouble {
    Trouble { grade, sentence, page }
}

/// Everything, the worst first.
pub(crate) fn all(status: &Status) -> Vec<Trouble> {
    let mut found: Vec<Trouble> = vec![];
    found.extend(status.vips.iter().filter_map(|vip| address(vip, status)));
    let here = format!("/node/{}", status.node);
    match status.balancer {
        BalancerState::Failed => found.push(trouble(
            Grade::Bad,
            here.clone(),
            format!("the balancer of {} does not serve", status.node),
        )),
        BalancerState::Replacing => found.push(trouble(
            Grade::Warning,
            here.clone(),
            format!("the balancer of {} is being replaced", status.node),
        )),
        BalancerState::Serving | BalancerState::Absent => {}
    }
    found.extend(status.nodes.iter().flat_map(|line| match status.plan_of(&line.state.node) {
        None => node(line),
        Some(window) => node(line).into_iter().map(|it| planned(it, &window.why)).collect(),
    }));
    found.extend(
        status
            .suspects_itself()
            .map(|doubt| trouble(Grade::Warning, here.clone(), format!("{} {doubt}", status.node))),
    );
    found.extend(pools(&pool::all(status), status));
    let processes = status.processes.iter().filter(|process| !process.running);
    found.extend(processes.filter(|process| process.role != Role::Services).map(|process| {
        let name = role(process.role);
        let sentence = format!("the {name} process of {} is not running", status.node);
        trouble(Grade::Warning, here.clone(), sentence)
    }));
    found.extend(minority(status));
    found.extend(status.store.as_ref().and_then(|store| stores(store, status)));
    found.sort_by_key(|trouble| std::cmp::Reverse(trouble.grade));
    found
}

/// What a node that was cut off has to say before anything else that it sees.
fn minority(status: &Status) -> Option<Trouble> {
    let (reached, of) = status.minority()?;
    let (me, page) = (&status.node, "/cluster".to_owned());
    let sentence = format!(
        "no majority: {me} reaches {reached} of {of} controllers, nothing is decided and nobody accused"
    );
    Some(trouble(Grade::Bad, page, sentence))
}

fn stores(store: &StoreState, status: &Status) -> Option<Trouble> {
    // Its process not running is a sentence already.
    let runs = |process: &api::ProcessState| process.role == Role::Store && process.running;
    if store.is_well() || !status.processes.iter().any(runs) {
        return None;
    }
    let page = "/cluster".to_owned();
    let (grade, sentence) = match &store.leader {
        None => (
            Grade::Bad,
            format!("the store has no leader as seen from {}: no majority", status.node),
        ),
        Some(_) => (Grade::Warning, format!("the store of {} is being filled up", status.node)),
    };
    Some(trouble(grade, page, sentence))
}

/// It is told, and nobody has to do anything.
fn planned(trouble: Trouble, why: &str) -> Trouble {
    let sentence = format!("{}, as planned: {why}", trouble.sentence);
    Trouble { grade: Grade::Aside, sentence, ..trouble }
}

fn address(vip: &VipLine, status: &Status) -> Option<Trouble> {
    let page = format!("/vip/{}", vip.name);
    let name = &vip.name;
    let all_heard = status.nodes.iter().all(|node| node.state.standing != Standing::Unknown);
    match holders(vip, status).as_slice() {
        [] if all_heard && !status.nodes.is_empty() => {
            Some(trouble(Grade::Bad, page, format!("nobody holds the address {name}")))
        }
        // Where not every node is heard, somebody else may hold it.
        [] | [_] if vip.state.role == VipRole::Fault => {
            let sentence = format!("{} cannot hold the address {name}", status.node);
            let is_meant = vip.state.cause == Some(VipCause::Standby);
            let grade = if is_meant { Grade::Aside } else { Grade::Warning };
            Some(trouble(grade, page, sentence))
        }
        [] | [_] => None,
        several => {
            let who = several.join(" and ");
            Some(trouble(Grade::Bad, page, format!("{who} both hold the address {name}")))
        }
    }
}

/// Who holds it, this node included even where no other node is known.
pub(crate) fn holders<'a>(vip: &'a VipLine, status: &'a Status) -> Vec<&'a str> {
    let mut holders: Vec<&str> = vip.holders.iter().map(String::as_str).collect();
    if vip.state.holding && !holders.contains(&status.node.as_str()) {
        holders.push(&status.node);
    }
    holders
}

fn node(line: &NodeLine) -> Vec<Trouble> {
    let state = &line.state;
    let page = format!("/node/{}", state.node);
    let name = &state.node;
    match state.standing {
        Standing::Suspect => {
            vec![trouble(Grade::Bad, page, format!("{name} is silent on every network"))]
        }
        Standing::Left => vec![trouble(Grade::Warning, page, format!("{name} has left"))],
        Standing::Unknown => {
            vec![trouble(Grade::Warning, page, format!("{name} was never heard"))]
        }
        Standing::Alive => {
            let silent = state.cells.iter().filter(|cell| !cell.alive);
            let doubt = (state.opinion.verdict == Verdict::Suspect).then(|| {
                let sentence = format!("{name} is in doubt: {}", state.opinion.rule);
                trouble(Grade::Warning, page.clone(), sentence)
            });
            let mut found: Vec<Trouble> = silent
                .map(|cell| {
                    let sentence = format!("{name} is silent on the {} network", cell.network);
                    trouble(Grade::Warning, page.clone(), sentence)
                })
                .chain(doubt)
                .collect();
            let rests = match state.duty {
                Duty::On => None,
                Duty::Standby => Some("is on standby"),
                Duty::Draining => Some("is being drained"),
            };
            found.extend(rests.map(|rests| {
                trouble(Grade::Aside, page.clone(), format!("{name} {rests}, as an operator wants"))
            }));
            if let Some(load) = line.load
                && load.fibre_online < load.fibre_ports
            {
                let lost = load.fibre_ports - load.fibre_online;
                let ports = mark::count(lost.into(), "fibre channel port");
                found.push(trouble(Grade::Warning, page, format!("{name} has {ports} offline")));
            }
            found
        }
    }
}

/// A node that takes its server out of sixteen pools is one sentence, not sixteen.
fn pools(pools: &[Pool<'_>], status: &Status) -> Vec<Trouble> {
    let mut found = vec![];
    let mut lacking: Vec<&Pool<'_>> = vec![];
    for pool in pools {
        match pool.grade() {
            Grade::Bad => found.push(trouble(
                Grade::Bad,
                format!("/pool/{}", pool.name),
                format!("{} has no server left", pool.name),
            )),
            // What is lost with a node in a maintenance window is said of the node.
            Grade::Warning if is_planned(pool, status) => {}
            Grade::Warning => lacking.push(pool),
            Grade::Aside | Grade::Well => {}
        }
    }
    match lacking.as_slice() {
        [] => {}
        [pool] => {
            let (usable, all) = (pool.usable(), pool.servers.len());
            let sentence = format!("{} has {usable} of {all} servers", pool.name);
            found.push(trouble(Grade::Warning, format!("/pool/{}", pool.name), sentence));
        }
        [first, ..] => {
            let bad = |pool: &&Pool<'_>| -> Vec<String> {
                let unusable = pool.servers.iter().filter(|server| !mark::is_usable(server));
                unusable.map(|server| server.server.clone()).collect()
            };
            let mut names: Vec<String> = lacking.iter().flat_map(bad).collect();
            names.sort_unstable();
            names.dedup();
            // Longer lists are on the page itself.
            let who = if names.len() <= 2 {
                names.join(" and ")
            } else {
                mark::count(names.len(), "server")
            };
            let sentence = format!("{} lack {who}", mark::count(lacking.len(), "pool"));
            let page =
                if lacking.len() == 1 { format!("/pool/{}", first.name) } else { "/".to_owned() };
            found.push(trouble(Grade::Warning, page, sentence));
        }
    }
    found
}

/// Whether all servers that it lacks are lost as planned.
fn is_planned(pool: &Pool<'_>, status: &Status) -> bool {
    let mut lost = pool.servers.iter().filter(|server| !mark::is_usable(server));
    lost.all(|server| status.is_planned(server))
}

/// A process in the operator's words.
pub(crate) const fn role(role: Role) -> &'static str {
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
