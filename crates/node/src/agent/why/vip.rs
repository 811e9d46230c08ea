//! Why a virtual IP is where it is.

use std::time::Duration;

use api::{BalancerState, NodeState, Standing, Verdict, VipCause, VipLine, VipRole};
use config::vip::Protocol;
use engine::role::{SERVE_WITHIN, TRUSTED_AFTER, TWICE_WITHIN};

use super::{Ground, Told, fact, seen, span};
use crate::agent::names::VipName;

mod lease;

pub(super) fn why(ground: &Ground<'_>, name: &str) -> Option<Told> {
    let line = ground.status.vips.iter().find(|line| line.name == name)?;
    let fallback = VipName::default();
    let file = ground.files.vip(name).unwrap_or(&fallback);
    Some(Told {
        state: state(ground, line),
        evidence: evidence(ground, line, file),
        rule: rule(ground, line, file),
        rules: vec![],
        would_change: would_change(ground, line, file),
    })
}

fn state(ground: &Ground<'_>, line: &VipLine) -> String {
    let node = &ground.status.node;
    let votes_only = line.state.vip_lease.as_ref().is_some_and(|told| told.votes_only);
    let own = match (line.state.holding, line.state.role) {
        (true, _) => "this node".to_owned(),
        _ if votes_only => format!("{node} votes, and never holds it"),
        (false, VipRole::Fault) => format!("{node} may not hold it"),
        (false, VipRole::Master) => format!("{node} is taking or giving it"),
        (false, VipRole::Backup) => format!("{node} stands by"),
    };
    match &line.holders[..] {
        [] => format!("no node that is known here says that it holds it; {own}"),
        [holder] if holder == node => format!("held by {node} ({own})"),
        [holder] => format!("held by {holder}; {own}"),
        several => format!("held by {} at once, which is a fault", several.join(" and ")),
    }
}

fn evidence(ground: &Ground<'_>, line: &VipLine, file: &VipName) -> Vec<api::Evidence> {
    let object = format!("vip/{}", line.name);
    let own = match line.state.role {
        VipRole::Master => "master",
        VipRole::Backup => "backup",
        VipRole::Fault => "in fault",
    };
    let cause = line.state.cause.map_or(String::new(), |cause| format!(", {}", reason(cause)));
    let mut evidence =
        vec![ground.heard(format!("the vip process of this node is {own}{cause}"), &object)];
    for holder in line.holders.iter().filter(|holder| **holder != ground.status.node) {
        let peer = ground.status.nodes.iter().find(|node| node.state.node == *holder);
        let age = peer.and_then(|node| node.state.cells.iter().filter_map(|c| c.age_ms).min());
        evidence.push(seen(format!("{holder} says in its beats that it holds the address"), age));
    }
    if file.checks.iter().any(|check| check == "balancer") {
        let balancer = match ground.status.balancer {
            BalancerState::Serving => "serves",
            BalancerState::Replacing => "is being replaced in place",
            BalancerState::Failed | BalancerState::Absent => "does not serve",
        };
        evidence.push(ground.heard(format!("the balancer of this node {balancer}"), "balancer"));
    }
    for name in &line.state.disabled_scripts {
        let told = format!("script {name} is disabled: it is not safe to run it as root");
        evidence.push(ground.heard(told, &object));
    }
    let all = ground.status.adverts_refused.iter();
    for adverts in all.filter(|adverts| adverts.vip.as_deref() == Some(&line.name)) {
        let told = format!("since the vip process started, adverts came {}", adverts.words());
        evidence.push(fact(told));
    }
    if let Some(took) = line.state.took.as_ref().filter(|_| line.state.holding) {
        let total = api::millis(took.total_us());
        evidence.push(fact(format!("it came here in {total}: {}", took.words())));
    }
    if let Some(told) = &line.state.vip_lease {
        evidence.extend(lease::evidence(ground, line, told));
        evidence.extend(lease::place(line, file));
    }
    let (interface, router, priority) = (&line.interface, line.router_id, line.priority);
    let at = match (interface.as_str(), file.own) {
        ("", _) if line.state.vip_lease.as_ref().is_some_and(|told| told.votes_only) => {
            "on no interface,".to_owned()
        }
        ("", Some(own)) => format!("no interface has {own}, this node's address there, yet;"),
        ("", None) => "on no interface yet,".to_owned(),
        (interface, _) => format!("on {interface},"),
    };
    evidence.push(fact(format!("{at} group {router}, priority {priority} here")));
    if !line.order.is_empty() {
        evidence.push(fact(format!("preferred order: {}", line.order.join(", "))));
    }
    evidence
}

/// Three adverts and the part of a second that lets the stronger of two be first.
fn master_down(line: &VipLine, file: &VipName) -> Duration {
    let interval = Duration::from_millis(file.advert_ms.max(1));
    let whole = match file.protocol {
        Protocol::V2 => Duration::from_secs(1),
        Protocol::V3 { .. } => interval,
    };
    interval * file.missing.into() + whole * (256 - u32::from(line.priority)) / 256
}

const fn reason(cause: VipCause) -> &'static str {
    match cause {
        VipCause::Silence => "because nobody advertised",
        VipCause::Goodbye => "because the holder said goodbye",
        VipCause::Named => "because the holder named it",
        VipCause::Stronger => "because a stronger node advertises",
        VipCause::Stalled => "because it did not run for as long as others wait",
        VipCause::Script => "because a script failed",
        VipCause::Process => "because processes do not run as they have to",
        VipCause::File => "because the number in a tracked file takes the address",
        VipCause::Way => "because the way to another system fails",
        VipCause::Carrier => "because an interface lost its carrier",
        VipCause::NoDevice => "because an interface is not there",
        VipCause::NoNetwork => "because its network is not there yet",
        VipCause::Balancer => "because the balancer does not serve",
        VipCause::Refused => "because the kernel did not take the address",
        VipCause::Stopping => "because the program is ending",
        VipCause::Adopted => "taken over from the process before",
        VipCause::Standby => "because an operator put this node on standby",
        VipCause::ProvenDead => "because an operator confirmed that this node is off",
        VipCause::InUse => "because somebody who is no router of the group has the address",
        VipCause::Together => {
            "because another address of its sync group cannot be held here, or was lost"
        }
        VipCause::Moved => "because an operator moved the address to another node",
        VipCause::Expired => "because what it had granted another node ended",
        VipCause::Majority => "because no majority of the controllers granted it",
        VipCause::Foreign => "because a router that does not vote holds it",
        VipCause::LastMan => {
            "because no other controller is heard, and `last_man` allows to hold without a majority"
        }
        VipCause::Granted => "because a majority grants again what it held without one",
        VipCause::Unproven => "because it is not proven that the node which may hold it is dead",
        VipCause::Spread => "because another node holds fewer of those that it is spread with",
        VipCause::Apart => {
            "because it was on one node with an address that it should be apart from"
        }
        VipCause::Room => {
            "because it made room for an address that is never on a node with it and found none"
        }
        VipCause::Follows => "because another node coordinates, which it follows",
        VipCause::Barred => "because it holds an address that is never on one node with it",
        VipCause::Unreached => "because no reference point answers it, and one answers another",
        VipCause::Unheard => {
            "because others hear each other on the network of the address, and not it"
        }
    }
}

/// What is tracked takes the address away without a weight.
const BY_SCRIPT: &str = "a script that failed as often as `fall` says takes the address away";
const BY_PROCESS: &str = "without as many processes as have to run the address goes";
const BY_FILE: &str = "a number in a tracked file that is too small, or any but 0 with the weight 0, takes the address away";
const BY_WAY: &str = "while a tracked way fails nobody holds the address here";
const PROVEN_DEAD: &str =
    "a node that is proven dead holds nothing and is named by nobody, though it runs";
const TOGETHER: &str = "the addresses of a sync group are held by one node together, or not at all";

fn rule(ground: &Ground<'_>, line: &VipLine, file: &VipName) -> String {
    if line.state.vip_lease.is_some() {
        return lease::RULE.to_owned();
    }
    let silence = span(master_down(line, file));
    let advert = span(Duration::from_millis(file.advert_ms.max(1)));
    let moved = match line.state.cause {
        Some(VipCause::Silence) => {
            format!(
                "no advert for {silence} ({} of {advert} and the skew) means that nobody holds",
                if file.missing == 3 { "three".to_owned() } else { file.missing.to_string() }
            )
        }
        Some(VipCause::Goodbye) => "after a goodbye only the skew is waited".to_owned(),
        Some(VipCause::Named) => {
            "whom the holder names takes it at once, the others wait".to_owned()
        }
        Some(VipCause::Stronger) => "of two that advertise the stronger one keeps it".to_owned(),
        Some(VipCause::Stalled) => {
            "who did not run for as long as others wait lets go before it looks".to_owned()
        }
        Some(VipCause::Adopted) => "a reload keeps what did not change".to_owned(),
        Some(VipCause::Balancer) => format!(
            "a node whose balancer does not serve within {}, or is lost twice in {}, hands its \
             addresses over",
            span(SERVE_WITHIN),
            span(TWICE_WITHIN)
        ),
        Some(VipCause::Script) => BY_SCRIPT.to_owned(),
        Some(VipCause::Process) => BY_PROCESS.to_owned(),
        Some(VipCause::File) => BY_FILE.to_owned(),
        Some(VipCause::Way) => BY_WAY.to_owned(),
        Some(VipCause::Carrier | VipCause::NoDevice) => {
            "an address without a carrier serves nobody".to_owned()
        }
        Some(VipCause::NoNetwork) => {
            "without `interface` in the file the device is the one that has the node's address"
                .to_owned()
        }
        Some(VipCause::Refused) => "what the kernel refuses is not announced".to_owned(),
        Some(VipCause::Standby) => {
            "a node on standby holds nothing and is named by nobody, over restarts too".to_owned()
        }
        Some(VipCause::ProvenDead) => PROVEN_DEAD.to_owned(),
        Some(VipCause::InUse) => {
            "who hears no holder asks the neighbours first, and claims nothing that somebody has"
                .to_owned()
        }
        Some(VipCause::Together) => TOGETHER.to_owned(),
        Some(VipCause::Moved) => "whom an operator names takes the address at once".to_owned(),
        Some(VipCause::Stopping) => "who ends names its successor first".to_owned(),
        // Those of a vip lease, which has its own rule.
        Some(
            VipCause::Expired
            | VipCause::Majority
            | VipCause::Unheard
            | VipCause::Unreached
            | VipCause::Foreign
            | VipCause::Unproven
            | VipCause::LastMan
            | VipCause::Granted
            | VipCause::Spread
            | VipCause::Apart
            | VipCause::Room
            | VipCause::Follows
            | VipCause::Barred,
        ) => lease::RULE.to_owned(),
        None => format!("a holder advertises every {advert}; without it a backup waits {silence}"),
    };
    let alone = ground.status.cluster.is_none().then_some("; RFC timers, as keepalived's");
    format!("{moved}{}{}", back(file.preempt), alone.unwrap_or_default())
}

const fn back(preempt: bool) -> &'static str {
    if preempt {
        "; a stronger node takes it back"
    } else {
        "; nobody takes it back (no fail-back)"
    }
}

/// When a node can hold it again that cannot for that reason.
fn fault_ends(cause: VipCause, node: &str, line: &VipLine, file: &VipName) -> String {
    match cause {
        VipCause::Balancer => {
            format!("the balancer of {node} has served for {}", span(TRUSTED_AFTER))
        }
        VipCause::Script => "the script has passed as often as `rise` says".to_owned(),
        VipCause::Process => "as many of its processes run as have to".to_owned(),
        VipCause::File => "another number is in the file".to_owned(),
        VipCause::Way => "the way works again".to_owned(),
        VipCause::Carrier => format!("{} has a carrier again", line.interface),
        VipCause::NoDevice => format!("{} is there again", line.interface),
        VipCause::NoNetwork => match file.own {
            Some(own) => format!("an interface has {own}"),
            None => "its network is there".to_owned(),
        },
        VipCause::Standby => format!("somebody types `outlast node resume {node}`"),
        VipCause::ProvenDead => {
            format!("somebody types `outlast node confirm-off {node} --undo`")
        }
        VipCause::InUse => match &line.state.in_use_by {
            Some(mac) => format!("{mac} answers for the address no more"),
            None => "nobody answers for the address any more".to_owned(),
        },
        VipCause::Together => "all of its sync group could be held here".to_owned(),
        VipCause::Moved
        | VipCause::Silence
        | VipCause::Goodbye
        | VipCause::Named
        | VipCause::Stronger
        | VipCause::Stalled
        | VipCause::Refused
        | VipCause::Stopping
        | VipCause::Expired
        | VipCause::Majority
        | VipCause::Unheard
        | VipCause::Unreached
        | VipCause::Foreign
        | VipCause::Unproven
        | VipCause::LastMan
        | VipCause::Granted
        | VipCause::Spread
        | VipCause::Apart
        | VipCause::Room
        | VipCause::Follows
        | VipCause::Barred
        | VipCause::Adopted => "what the evidence names is gone".to_owned(),
    }
}

fn would_change(ground: &Ground<'_>, line: &VipLine, file: &VipName) -> Vec<String> {
    if line.state.holding {
        return lose(line, file);
    }
    let node = &ground.status.node;
    if line.state.role == VipRole::Fault {
        let ends = line.state.cause.map_or_else(
            || "the fault goes".to_owned(),
            |cause| fault_ends(cause, node, line, file),
        );
        return vec![format!("{node} stands by again when {ends}")];
    }
    if let Some(told) = &line.state.vip_lease {
        return lease::takes(ground, node, told);
    }
    let holder = line.holders.first();
    let of = holder.map_or_else(|| "the holder".to_owned(), Clone::clone);
    let mut changes = vec![
        format!("{node} takes it at once when {of} names it"),
        format!("{node} takes it when nobody advertises for {}", span(master_down(line, file))),
    ];
    if let Some(first) = stronger(ground, line) {
        changes.push(format!("{first} is preferred and would be first while it lives"));
    }
    changes
}

/// What takes the address from this node.
fn lose(line: &VipLine, file: &VipName) -> Vec<String> {
    let next = line.successor.as_ref();
    let takes =
        next.map_or_else(|| "another node takes it".to_owned(), |next| format!("{next} takes it"));
    let mut changes = vec![];
    for check in &file.checks {
        changes.push(match check.split_once(' ') {
            None => format!(
                "{takes} when this node's balancer does not serve for {}, or is lost twice in {}",
                span(SERVE_WITHIN),
                span(TWICE_WITHIN)
            ),
            Some(("interface", name)) => format!("{takes} when interface {name} loses its carrier"),
            Some((_, name)) => format!("{takes} when script {name} fails"),
        });
    }
    changes.push(format!("{takes} when {} loses its carrier", line.interface));
    if let Some(told) = &line.state.vip_lease {
        changes.extend(lease::loses(next, told));
        return changes;
    }
    changes.push(match next {
        Some(next) => format!("{next} takes it at once when this node is told to end"),
        None => "nobody is known who would take it: its clients lose it with this node".to_owned(),
    });
    let silence = span(master_down(line, file));
    if next.is_some() {
        changes.push(format!("a successor that hears nothing of this node waits about {silence}"));
    }
    changes
}

/// Heard, and not said to be off.
pub(super) fn is_fit(state: &NodeState) -> bool {
    state.standing == Standing::Alive && state.opinion.verdict != Verdict::ProvenDead
}

/// A living node before this one in the order.
fn stronger<'a>(ground: &'a Ground<'_>, line: &'a VipLine) -> Option<&'a String> {
    let before = line.order.iter().take_while(|node| **node != ground.status.node);
    before.into_iter().find(|name| {
        let node = ground.status.nodes.iter().find(|node| node.state.node == **name);
        node.is_some_and(|node| is_fit(&node.state)) && !line.holders.contains(name)
    })
}
