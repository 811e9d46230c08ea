//! Why a node is alive, suspect, cut off, unreachable, left or unknown.

use std::time::Duration;

use api::{Duty, NodeLine, NodeState, RuleLine, Standing, Verdict};
use engine::verdict::{RULES, Rule, Times};

use super::vip::is_fit;
use super::{Ground, Told, fact, seen, span};

pub(super) fn why(ground: &Ground<'_>, name: &str) -> Option<Told> {
    let line = ground.status.nodes.iter().find(|line| line.state.node == name)?;
    if name == ground.status.node {
        return Some(own(ground, line));
    }
    let state = &line.state;
    let mut evidence = vec![];
    if !state.why.is_empty() {
        evidence.push(fact(format!("last change of its standing: {}", state.why)));
    }
    evidence.extend((ground.seen)(name));
    evidence.extend(said(line));
    evidence.extend(super::store::member(ground, name));
    let duty = duty(state.duty);
    let heard = state.cells.iter().filter_map(|cell| cell.age_ms).min();
    evidence
        .extend(duty.map(|duty| seen(format!("it says that an operator wants it {duty}"), heard)));
    let plan = ground.status.plan_of(name);
    evidence.extend(plan.map(|window| {
        fact(format!("it is in a maintenance window of {}: {}", window.whose(), window.why))
    }));
    evidence.extend(
        line.just_started.then(|| fact("its agent has just started: it is not called cut off yet")),
    );
    if !ground.status.own_doubts.is_empty() {
        evidence.extend(references(ground));
    }
    let rule = RULES.iter().find(|rule| rule.name == state.opinion.rule);
    Some(Told {
        state: match (duty, plan) {
            (Some(duty), _) => format!("{name} is {}, {duty}", word(state)),
            (None, Some(_)) => format!("{name} is {}, as planned: maintenance", word(state)),
            (None, None) => format!("{name} is {}", word(state)),
        },
        evidence,
        rule: rule.map_or_else(|| without_rule(ground), |rule| sentence(rule, ground.times)),
        rules: rule.map_or_else(Vec::new, |rule| table(rule, ground.times)),
        would_change: would_change(ground, line, rule),
    })
}

fn own(ground: &Ground<'_>, line: &NodeLine) -> Told {
    let name = &line.state.node;
    let evidence = said(line).chain([fact("it answers this question")]);
    let evidence = evidence.chain(super::store::trouble(ground));
    let doubts = ground.status.own_doubts.iter();
    let evidence =
        evidence.chain(doubts.map(|doubt| fact(format!("{}: {}", doubt.name(), doubt.words()))));
    let evidence = evidence.chain(references(ground));
    if let Some(duty) = duty(line.state.duty) {
        let kept = fact(format!("an operator wants it {duty}; a file in its state folder says so"));
        return Told {
            state: format!("{name} is this node, {duty}"),
            evidence: evidence.chain([kept]).collect(),
            rule:
                "a node on standby holds no address and is named by nobody, over restarts too; its \
                   balancer goes on, and every balancer prefers servers of other nodes"
                    .to_owned(),
            rules: vec![],
            would_change: vec![format!("`outlast node resume {name}`")],
        };
    }
    if line.state.opinion.verdict == Verdict::ProvenDead {
        return Told {
            state: format!("{name} is this node, and confirmed off though it runs"),
            evidence: evidence.chain((ground.seen)(name)).collect(),
            rule: "a node that is proven dead holds no address and is named by nobody, and every balancer prefers \
                   servers of other nodes, whatever is heard of it"
                .to_owned(),
            rules: vec![],
            would_change: vec![format!("`outlast node confirm-off {name} --undo`")],
        };
    }
    let mut state = format!("{name} is this node");
    if !ground.status.own_doubts.is_empty() {
        state += ", and suspects itself: it accuses nobody";
    }
    if line.state.opinion.verdict == Verdict::CutOff {
        let networks = line.state.opinion.networks.join(", ");
        state += &format!(", and in the view of all it is cut off on {networks}");
    }
    Told {
        state,
        evidence: evidence.collect(),
        rule:
            "a node that is late itself, has lost its own carriers, or reaches no majority accuses \
               nobody, and doubts nobody anew where no reference point answers it either; what the others think of this one is theirs to say"
                .to_owned(),
        rules: vec![],
        would_change: vec![format!(
            "the others suspect it when none of its beats arrives on any network for {}",
            span(ground.times.detect())
        )],
    }
}

/// What this node's pings of reference points come to.
fn references<'a>(ground: &'a Ground<'_>) -> impl Iterator<Item = api::Evidence> + 'a {
    let points = ground.status.reference.iter();
    points.map(|point| fact(format!("own reference: {}", point.words())))
}

/// What its beats say.
fn said(line: &NodeLine) -> impl Iterator<Item = api::Evidence> + '_ {
    let heard = line.state.cells.iter().filter_map(|cell| cell.age_ms).min();
    let holds = line.holds.iter().map(move |vip| seen(format!("it holds vip/{vip}"), heard));
    let load = line.load.map(|load| {
        let (cpu, memory) = (load.cpu_percent, load.memory_percent);
        seen(format!("its machine: cpu {cpu} %, memory {memory} %"), Some(load.age_ms))
    });
    holds.chain(load)
}

const fn duty(duty: Duty) -> Option<&'static str> {
    match duty {
        Duty::On => None,
        Duty::Standby => Some("on standby"),
        Duty::Draining => Some("being drained"),
    }
}

fn word(state: &NodeState) -> String {
    match state.opinion.verdict {
        Verdict::Unknown => "unknown".to_owned(),
        Verdict::Alive if state.standing == Standing::Suspect => {
            "alive, and not heard by this node".to_owned()
        }
        Verdict::Alive => "alive".to_owned(),
        Verdict::Suspect => "suspect".to_owned(),
        Verdict::CutOff => format!("cut off on {}", state.opinion.networks.join(", ")),
        Verdict::Unreachable => "unreachable".to_owned(),
        Verdict::Leaving => "gone, and said so".to_owned(),
        Verdict::ProvenDead => "dead, and that is proven".to_owned(),
    }
}

/// `alive: one beat within ... (a beat every 100ms, one within 1s)`.
fn sentence(rule: &Rule, times: Times) -> String {
    let numbers = (rule.numbers)(times);
    let numbers = if numbers.is_empty() { numbers } else { format!(" ({numbers})") };
    format!("{}: {}{numbers}", rule.name, rule.sentence)
}

fn table(applied: &Rule, times: Times) -> Vec<RuleLine> {
    let line = |rule: &Rule| RuleLine {
        name: rule.name.to_owned(),
        sentence: rule.sentence.to_owned(),
        numbers: (rule.numbers)(times),
        applies: rule == applied,
    };
    RULES.iter().map(line).collect()
}

fn without_rule(ground: &Ground<'_>) -> String {
    if ground.status.limits.iter().any(|limit| limit.contains("beats")) {
        return "without beats nothing is concluded about nodes: the checks of the files decide"
            .to_owned();
    }
    "a node that was never heard is not suspected: the checks of the files decide".to_owned()
}

fn would_change(ground: &Ground<'_>, line: &NodeLine, rule: Option<&Rule>) -> Vec<String> {
    let name = &line.state.node;
    let mut changes = vec![];
    if line.state.standing == Standing::Alive && line.state.opinion.verdict == Verdict::Alive {
        let age = line.state.cells.iter().filter_map(|cell| cell.age_ms).min().unwrap_or(0);
        let left = ground.times.detect().saturating_sub(Duration::from_millis(age));
        changes.push(format!("{} more without a beat on any network make it suspect", span(left)));
        changes.push("its goodbye makes it gone at once".to_owned());
    } else {
        changes.extend(rule.map(|rule| rule.changes.to_owned()));
    }
    if rule.is_none() {
        changes.push(format!("its first beat makes {name} alive"));
    }
    if !line.state.duty.is_on() {
        changes.push(format!("`outlast node resume {name}` gives it new work again"));
    }
    for vip in &line.holds {
        changes.extend(successor(ground, name, vip));
    }
    changes
}

/// Who takes an address from it.
fn successor(ground: &Ground<'_>, name: &str, vip: &str) -> Option<String> {
    let line = ground.status.vips.iter().find(|line| line.name == vip)?;
    let is_fit = |node: &&String| {
        let standing = ground.status.nodes.iter().find(|line| line.state.node == **node);
        **node != name && standing.is_some_and(|line| is_fit(&line.state))
    };
    let next = line.order.iter().find(is_fit)?;
    Some(format!("{next} takes vip/{vip} when {name} stops to advertise it"))
}
