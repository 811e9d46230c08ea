//! Events, letters and what is shown of them, in each other's words.

use api::{
    Event, Notification, NotificationDue, NotificationFate, Notifying, ReceiverState, Took,
    VipCause,
};
use config::cluster::{Cluster, Topic};
use engine::notify::{Due, Fate, Input, Letter, Outbox, Word};

use crate::agent::story::Story;

/// What is told in an event may be long; a message is read on a telephone (letters).
const MOST_CAUSE: usize = 300;
/// So many events about an address are looked through for its former holder.
const LOOKED_THROUGH: usize = 64;

/// What an event means for the outbox; none: nothing.
pub(super) fn happened(event: &Event, cluster: &Cluster, story: &Story) -> Option<Input> {
    let Some(moved) = event.moved.as_deref() else { return other(event, cluster) };
    let took = moved.took;
    let stages = took.stages().map(|(_, micros)| micros);
    match event.what.as_str() {
        // Kept by a process that took over from another one of the same node.
        "vip-claimed" if moved.cause == Some(VipCause::Adopted) => None,
        "vip-claimed" => {
            let name = event.object.strip_prefix("vip/")?;
            let vip = cluster.vips.iter().find(|vip| vip.name == name);
            let from = moved.from.clone().or_else(|| before(event, story));
            let letter = Letter {
                id: id(event),
                topic: Topic::Move,
                object: event.object.clone(),
                at_ms: event.at_ms,
                node: event.node.clone(),
                from: from.filter(|from| *from != moved.to),
                to: Some(moved.to.clone()),
                cause: short(&event.evidence),
                term: moved.term,
                took: stages,
                ..Letter::default()
            };
            // By VRRP alone nobody asks the kernel who was answered.
            let awaits = vip.is_some_and(|vip| vip.has_lease) && took.answer_us.is_none();
            Some(Input::Happened { letter: Box::new(letter), awaits })
        }
        "vip-answers" => Some(Input::Answered {
            object: event.object.clone(),
            node: event.node.clone(),
            term: moved.term,
            took: stages,
        }),
        _ => None,
    }
}

/// Of an event of another kind, where somebody wants to be told of it.
fn other(event: &Event, cluster: &Cluster) -> Option<Input> {
    let topic = Topic::of(&event.what).filter(|topic| !Topic::ALL.contains(topic))?;
    if !cluster.notify.iter().any(|receiver| receiver.topics.contains(&topic)) {
        return None;
    }
    // "unreachable on management, before alive; rule ...".
    let verdict = event.decision.split([',', ';']).next().unwrap_or_default();
    let verdict = verdict.split(" on ").next().unwrap_or_default();
    let is_verdict = event.what == "node-verdict" && !verdict.is_empty();
    let parts = [event.evidence.as_str(), &event.decision, &event.not_done];
    let parts = parts.into_iter().filter(|part| !part.is_empty());
    let letter = Letter {
        id: format!("{}-{}", event.what, id(event)),
        topic,
        object: event.object.clone(),
        at_ms: event.at_ms,
        node: event.node.clone(),
        to: is_verdict.then(|| verdict.to_owned()),
        cause: short(&parts.collect::<Vec<_>>().join("; ")),
        ..Letter::default()
    };
    Some(Input::Happened { letter: Box::new(letter), awaits: false })
}

/// What another node says that it told, or does not try any more ([`event`]).
pub(super) fn settled(event: &Event) -> Option<Input> {
    if !matches!(event.what.as_str(), "notify-sent" | "notify-given-up") {
        return None;
    }
    let receiver = event.object.strip_prefix("notify/")?.to_owned();
    let batch = event.evidence.split([' ', ',', ':']).next()?.to_owned();
    Some(Input::Settled { receiver, batch })
}

/// Longer names of things and nodes end here, so that the numbers behind them stand in every id.
const NAME: usize = 80;

/// The same wherever and whenever it is read. It goes into the heads of mails and requests, and names come from other nodes:
/// only what can stand there is left of them.
fn id(event: &Event) -> String {
    let Event { object, node, at_ms, seq, .. } = event;
    let plain = |name: &str| -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
        name.chars().take(NAME).map(plain).collect()
    };
    format!("{}-{}-{at_ms}-{seq}", plain(object), plain(node))
}

/// Who claimed it last before that event.
fn before(event: &Event, story: &Story) -> Option<String> {
    let is_earlier = |other: &Event| {
        other.object == event.object && other.what == "vip-claimed" && other.at_ms < event.at_ms
    };
    let last = story.about(is_earlier, LOOKED_THROUGH).pop()?;
    Some(last.node)
}

/// Why nobody holds it.
pub(super) fn lost(
    object: &str,
    story: &Story,
    standing: impl Fn(&str) -> Option<&'static str>,
) -> String {
    let is_of = |event: &Event| {
        event.object == object && matches!(event.what.as_str(), "vip-claimed" | "vip-released")
    };
    let Some(last) = story.about(is_of, 1).pop() else {
        return "nobody says that he holds it".to_owned();
    };
    match (last.what.as_str(), standing(&last.node)) {
        ("vip-released", _) => short(&format!("{}: {}", last.node, last.evidence)),
        (_, Some(word)) => format!("{} {word}", last.node),
        (_, None) => format!("{} does not say that it holds it", last.node),
    }
}

fn short(text: &str) -> String {
    text.chars().take(MOST_CAUSE).collect()
}

/// As it is kept and shown.
pub(super) fn notification(letter: &Letter) -> Notification {
    let [detect_us, decide_us, address_us, announce_us, answer_us] = letter.took;
    let took = decide_us.map(|decide_us| Took {
        detect_us,
        decide_us,
        address_us: address_us.unwrap_or(0),
        announce_us,
        answer_us,
    });
    let due = |due: &Due| NotificationDue {
        receiver: due.receiver.clone(),
        fate: match due.fate {
            Fate::Waiting => NotificationFate::Waiting,
            Fate::Sending { office } => NotificationFate::Sending(office),
            Fate::Told { at_ms } => NotificationFate::Told(at_ms),
            Fate::GivenUp => NotificationFate::GivenUp,
        },
        batch: due.batch.clone(),
        tries: due.tries,
        why: due.why.clone(),
        left: due.left.clone(),
        unsure: due.unsure,
    };
    Notification {
        id: letter.id.clone(),
        topic: letter.topic.word().to_owned(),
        object: letter.object.clone(),
        at_ms: letter.at_ms,
        node: letter.node.clone(),
        from: letter.from.clone(),
        to: letter.to.clone(),
        cause: letter.cause.clone(),
        term: letter.term,
        took,
        away_ms: letter.away_ms,
        dues: letter.dues.iter().map(due).collect(),
    }
}

/// The other way round; none: of a topic of a later version.
pub(super) fn letter(kept: Notification) -> Option<Letter> {
    let due = |due: NotificationDue| Due {
        receiver: due.receiver,
        fate: match due.fate {
            NotificationFate::Waiting => Fate::Waiting,
            NotificationFate::Sending(office) => Fate::Sending { office },
            NotificationFate::Told(at_ms) => Fate::Told { at_ms },
            NotificationFate::GivenUp => Fate::GivenUp,
        },
        batch: due.batch,
        tries: due.tries,
        why: due.why,
        left: due.left,
        unsure: due.unsure,
    };
    Some(Letter {
        topic: Topic::of(&kept.topic)?,
        id: kept.id,
        object: kept.object,
        at_ms: kept.at_ms,
        node: kept.node,
        from: kept.from,
        to: kept.to,
        cause: kept.cause,
        term: kept.term,
        took: kept.took.map_or([None; 5], |took| took.stages().map(|(_, micros)| micros)),
        away_ms: kept.away_ms,
        dues: kept.dues.into_iter().map(due).collect(),
    })
}

/// What is worth a line of the log.
pub(super) fn event(word: &Word) -> Event {
    let again = |tries: &u32| match tries {
        0 => String::new(),
        1 => ", after one failure".to_owned(),
        tries => format!(", after {tries} failures"),
    };
    let none = String::new();
    let (what, receiver, evidence, decision, not_done) = match word {
        Word::Told { receiver, batch, letters, tries } => {
            let many = if *letters > 1 { format!(" ({letters} in one)") } else { String::new() };
            ("notify-sent", receiver, format!("{batch}{many}{}", again(tries)), "", "")
        }
        Word::Failing { receiver, why } => {
            ("notify-failing", receiver, why.clone(), "try again, in growing pauses", "")
        }
        Word::GivenUp { receiver, id, why } => (
            "notify-given-up",
            receiver,
            format!("{id}: {why}"),
            "do not try it any more",
            "whoever should have been told was not",
        ),
        Word::Overtaken { receiver, batch } => (
            "notify-overtaken",
            receiver,
            format!("{batch}: another node goes on with it"),
            "leave it to that one",
            "",
        ),
        Word::Refused { receiver, batch, whom } => (
            "notify-refused",
            receiver,
            format!("{batch}: {whom}"),
            "tell the others",
            "nobody else tells them",
        ),
        Word::Dropped { letters } => (
            "notify-dropped",
            &none,
            format!("{letters} of the oldest that wait to be written"),
            "keep the newest",
            "whoever should have been told of them was not",
        ),
    };
    Event {
        what: what.to_owned(),
        object: format!("notify/{}", if receiver.is_empty() { "all" } else { receiver.as_str() }),
        evidence,
        decision: decision.to_owned(),
        not_done: not_done.to_owned(),
        ..Event::default()
    }
}

/// What `outlast status` shows.
pub(super) fn shown(outbox: &Outbox, cluster: &Cluster, by: String) -> Notifying {
    let mut newest: Vec<&Letter> = outbox.letters().collect();
    newest.sort_by_key(|letter| letter.at_ms);
    let skipped = newest.len().saturating_sub(Notifying::NEWEST);
    let state = |receiver: &config::cluster::Receiver| {
        let mut state = ReceiverState {
            name: receiver.name.clone(),
            way: receiver.words(),
            topics: receiver.topics.iter().map(ToString::to_string).collect(),
            ..ReceiverState::default()
        };
        for letter in &newest {
            let Some(due) = letter.due(&receiver.name) else { continue };
            match due.fate {
                Fate::Waiting | Fate::Sending { .. } => {
                    state.waiting += 1;
                    state.waiting_since_ms.get_or_insert(letter.at_ms);
                    // The node that tells knows it; the others read it.
                    if !due.why.is_empty() {
                        state.failing = Some(due.why.clone());
                    }
                }
                Fate::Told { at_ms } => {
                    state.told += 1;
                    state.last_told_ms = state.last_told_ms.max(Some(at_ms));
                }
                Fate::GivenUp => state.given_up += 1,
            }
        }
        state
    };
    let receivers = cluster.notify.iter().map(state).collect();
    let newest = newest.iter().skip(skipped).map(|letter| notification(letter)).collect();
    Notifying { by, receivers, newest }
}

#[cfg(test)]
mod tests;
