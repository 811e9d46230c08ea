//! Why something is as it is: a pure function of what the agent knows.
//!
//! Numbers come from the machines that decide and from the files, never from here.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::{Event, Evidence, KindLine, RuleLine, Status, Turn, Why};
use engine::verdict::Times;

use super::core::Core;
use super::lock;
use super::names::Names;
use super::story::Story;

pub(super) mod balancer;
mod node;
mod notify;
mod pool;
mod server;
mod store;
#[cfg(test)]
mod tests;
mod vip;

/// Names shown for one that is unknown: enough to recognise a slip.
const MOST_NEAR: usize = 3;

pub(crate) type Explainer = Box<dyn Fn(&str) -> Result<Why, Unknown> + Send + Sync>;

/// Answers "why?" by what is known at the moment of the question. The lock that beats need is held for
/// the status alone, never while events are looked through.
pub(crate) fn explainer(core: Arc<Mutex<Core>>, story: Arc<Story>) -> Explainer {
    Box::new(move |object| {
        let (status, files, times) = {
            let core = lock(&core);
            (core.status(sys::clock::now()), Arc::clone(&core.picture.files), core.times())
        };
        let seen = |name: &str| lock(&core).seen(name, sys::clock::now());
        let turns = |name: &str| lock(&core).turns(name);
        let told = |object: &str| lock(&core).picture.told_at(object);
        let about =
            |object: &str| story.about(|event| is_about(event, object, &status.node), Why::EVENTS);
        let ground = Ground {
            status: &status,
            files: &files,
            told: &told,
            about: &about,
            seen: &seen,
            turns: &turns,
            times,
        };
        why(&ground, object)
    })
}

/// What an explanation is made of.
pub(crate) struct Ground<'a> {
    pub(crate) status: &'a Status,
    pub(crate) files: &'a Names,
    /// When something became as it is, or was last confirmed; milliseconds since 1970 (UTC).
    pub(crate) told: &'a dyn Fn(&str) -> Option<u64>,
    /// The newest events about an object, oldest first.
    pub(crate) about: &'a dyn Fn(&str) -> Vec<Event>,
    /// All evidence about a node.
    pub(crate) seen: &'a dyn Fn(&str) -> Vec<Evidence>,
    /// Verdicts on a node, oldest first.
    pub(crate) turns: &'a dyn Fn(&str) -> Vec<Turn>,
    pub(crate) times: Times,
}

/// A name that nothing here has.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("there is no {word} here; {}", hint(.near))]
pub(crate) struct Unknown {
    word: String,
    near: Vec<String>,
}

fn hint(near: &[String]) -> String {
    if near.is_empty() {
        return "`outlast status` shows what there is".to_owned();
    }
    format!("did you mean {}?", near.join(", "))
}

/// State, evidence and rule, before the events are added.
struct Told {
    state: String,
    evidence: Vec<Evidence>,
    rule: String,
    /// The table it is from.
    rules: Vec<RuleLine>,
    would_change: Vec<String>,
}

/// Explains `KIND/NAME`; a bare name is a node.
pub(crate) fn why(ground: &Ground<'_>, object: &str) -> Result<Why, Unknown> {
    let object = full_name(ground.status, object);
    let told = match object.split_once('/') {
        Some(("node", name)) => node::why(ground, name),
        Some(("vip", name)) => vip::why(ground, name),
        Some(("pool", name)) => pool::why(ground, name),
        Some(("notify", name)) => notify::why(ground, name),
        Some(("server", name)) => {
            name.split_once('/').and_then(|(proxy, server)| server::why(ground, proxy, server))
        }
        Some(("process", role)) => balancer::process(ground, role),
        _ if object == "balancer" => Some(balancer::why(ground)),
        _ => None,
    };
    let Some(told) = told else { return Err(unknown(ground.status, object)) };
    let events = (ground.about)(&object);
    let Told { state, evidence, rule, rules, would_change } = told;
    let history = object.strip_prefix("node/").map(ground.turns).unwrap_or_default();
    let kinds = kinds(&evidence);
    Ok(Why { object, state, evidence, rule, rules, would_change, events, kinds, history })
}

/// The rows of the table of evidence that these are of.
fn kinds(evidence: &[Evidence]) -> Vec<KindLine> {
    let occurs = |row: &&engine::evidence::Row| {
        let is_of = |rest: &str| rest.starts_with(": ");
        evidence.iter().any(|seen| seen.what.strip_prefix(row.name).is_some_and(is_of))
    };
    let line = |row: &engine::evidence::Row| KindLine {
        name: row.name.to_owned(),
        meaning: row.meaning.to_owned(),
        counts: row.freshness.words(),
    };
    engine::evidence::KINDS.iter().filter(occurs).map(line).collect()
}

fn full_name(status: &Status, word: &str) -> String {
    if let Some(name) = word.strip_prefix("proxy/") {
        return format!("pool/{name}");
    }
    let is_bare = !word.contains('/') && word != "balancer";
    if is_bare && (word == status.node || status.nodes.iter().any(|node| node.state.node == word)) {
        return format!("node/{word}");
    }
    if word == "store" {
        return "process/store".to_owned();
    }
    word.to_owned()
}

/// Everything that can be asked about.
fn all(status: &Status) -> Vec<String> {
    let nodes = status.nodes.iter().map(|node| format!("node/{}", node.state.node));
    let vips = status.vips.iter().map(|vip| format!("vip/{}", vip.name));
    let pools = status.proxies.iter().map(|proxy| format!("pool/{}", proxy.name));
    let servers = status.servers.iter().map(|s| format!("server/{}/{}", s.proxy, s.server));
    let processes = status.processes.iter().map(|p| format!("process/{}", balancer::word(p.role)));
    let receivers = status.notify.iter().flat_map(|notify| &notify.receivers);
    let processes = processes.chain(receivers.map(|receiver| format!("notify/{}", receiver.name)));
    let balancer = (!status.proxies.is_empty()).then(|| "balancer".to_owned());
    nodes.chain(vips).chain(pools).chain(servers).chain(processes).chain(balancer).collect()
}

/// Whether an event explains something about an object of this node.
pub(crate) fn is_about(event: &Event, object: &str, node: &str) -> bool {
    let object_of_event = event.object.as_str();
    match object.split_once('/') {
        Some(("pool", name)) => {
            object_of_event == object
                || object_of_event.strip_prefix("proxy/") == Some(name)
                || object_of_event
                    .strip_prefix("server/")
                    .and_then(|rest| rest.split_once('/'))
                    .is_some_and(|(proxy, _)| proxy == name)
        }
        // Every node has processes of the same names.
        Some(("process", _)) => object_of_event == object && event.node == node,
        None => {
            matches!(object_of_event, "balancer" | "process/proxy" | "process/spare")
                && event.node == node
        }
        Some(_) => object_of_event == object,
    }
}

fn unknown(status: &Status, word: String) -> Unknown {
    let name = |object: &str| object.split_once('/').map_or(object, |(_, name)| name).to_owned();
    let wanted = name(&word);
    let mut near: Vec<(usize, String)> = all(status)
        .into_iter()
        .map(|object| (distance(&wanted, &name(&object)).min(distance(&word, &object)), object))
        .filter(|(distance, _)| *distance <= wanted.chars().count().div_ceil(2))
        .collect();
    near.sort();
    Unknown { word, near: near.into_iter().take(MOST_NEAR).map(|(_, object)| object).collect() }
}

/// Letters to change, add or leave out to make one word the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (column, known) in other.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *known);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

/// An observation with its age.
fn seen(what: impl Into<String>, age_ms: Option<u64>) -> Evidence {
    Evidence { what: what.into(), age_ms }
}

/// Something that is so, by a file or by being the one who says it.
fn fact(what: impl Into<String>) -> Evidence {
    seen(what, None)
}

impl Ground<'_> {
    /// An observation about an object of which the agent was told.
    fn heard(&self, what: impl Into<String>, object: &str) -> Evidence {
        let age = (self.told)(object).map(|at| self.status.at_ms.saturating_sub(at));
        seen(what, age)
    }
}

/// `100 ms`, `3.2 s`, `5 s`.
fn span(span: Duration) -> String {
    let millis = span.as_millis();
    match millis {
        0..1000 => format!("{millis} ms"),
        _ if millis.is_multiple_of(1000) => format!("{} s", millis / 1000),
        _ => format!("{:.1} s", span.as_secs_f64()),
    }
}

fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
