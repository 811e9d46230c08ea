//! Why a node is alive, suspect, left or unknown.

use std::time::Duration;

use api::{NodeLine, Standing};
use engine::member::{BEAT_EVERY, SILENT_AFTER};

use super::{Ground, Told, fact, seen, span};

pub(super) fn why(ground: &Ground<'_>, name: &str) -> Option<Told> {
    let line = ground.status.nodes.iter().find(|line| line.state.node == name)?;
    if name == ground.status.node {
        return Some(own(line));
    }
    let standing = line.state.standing;
    let mut evidence = vec![fact(format!("last conclusion: {}", line.state.why))];
    for cell in &line.state.cells {
        let network = &cell.network;
        evidence.push(match cell.age_ms {
            Some(_) => seen(format!("{network}: its last beat"), cell.age_ms),
            None => fact(format!("{network}: no beat since this agent started")),
        });
    }
    if line.state.why.is_empty() {
        evidence.remove(0);
    }
    evidence.extend(said(line));
    Some(Told {
        state: format!("{name} is {}", word(standing)),
        evidence,
        rule: rule(ground, standing),
        would_change: would_change(ground, line),
    })
}

fn own(line: &NodeLine) -> Told {
    let evidence = said(line).chain([fact("it answers this question")]).collect();
    Told {
        state: format!("{} is this node", line.state.node),
        evidence,
        rule: "a node that is late itself, or has lost its own carriers, judges nobody; what the \
               others think of this one is theirs to say"
            .to_owned(),
        would_change: vec![format!(
            "the others suspect it when none of its beats arrives on any network for {}",
            span(SILENT_AFTER)
        )],
    }
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

const fn word(standing: Standing) -> &'static str {
    match standing {
        Standing::Unknown => "unknown",
        Standing::Alive => "alive",
        Standing::Suspect => "suspect",
        Standing::Left => "gone, and said so",
    }
}

fn rule(ground: &Ground<'_>, standing: Standing) -> String {
    let (every, silent) = (span(BEAT_EVERY), span(SILENT_AFTER));
    match standing {
        Standing::Alive => {
            format!(
                "each node beats every {every} on each network; one within {silent} on any is life"
            )
        }
        Standing::Suspect => format!(
            "no beat on any network for {silent} is suspicion, not proof: no new request goes to its \
             servers while another is up, and nothing is restarted"
        ),
        Standing::Left => "a goodbye is no failure, and only a new start undoes it".to_owned(),
        Standing::Unknown if ground.status.limits.iter().any(|limit| limit.contains("beats")) => {
            "without beats nothing is concluded about nodes: the checks of the files decide"
                .to_owned()
        }
        Standing::Unknown => {
            "a node that was never heard is not suspected: the checks of the files decide"
                .to_owned()
        }
    }
}

fn would_change(ground: &Ground<'_>, line: &NodeLine) -> Vec<String> {
    let name = &line.state.node;
    match line.state.standing {
        Standing::Alive => {
            let age = line.state.cells.iter().filter_map(|cell| cell.age_ms).min().unwrap_or(0);
            let left = SILENT_AFTER.saturating_sub(Duration::from_millis(age));
            let mut changes = vec![
                format!("{} more without a beat on any network make it suspect", span(left)),
                "its goodbye makes it gone at once".to_owned(),
            ];
            for vip in &line.holds {
                changes.extend(successor(ground, name, vip));
            }
            changes
        }
        Standing::Suspect => {
            vec![format!("one beat of {name} on any network makes it alive at once")]
        }
        Standing::Left => vec![format!("a new start of {name} makes it alive with its first beat")],
        Standing::Unknown => vec![format!("its first beat makes {name} alive")],
    }
}

/// Who takes an address from it.
fn successor(ground: &Ground<'_>, name: &str, vip: &str) -> Option<String> {
    let line = ground.status.vips.iter().find(|line| line.name == vip)?;
    let is_fit = |node: &&String| {
        let standing = ground.status.nodes.iter().find(|line| line.state.node == **node);
        **node != name && standing.is_some_and(|line| line.state.standing == Standing::Alive)
    };
    let next = line.order.iter().find(is_fit)?;
    Some(format!("{next} takes vip/{vip} when {name} stops to advertise it"))
}
