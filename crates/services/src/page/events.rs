//! What happened, the newest first.

use api::{Event, catalogue};
use maud::{Markup, html};

use super::{Fragment, View, page_of, section};
use crate::mark;

/// What the same cause told within this time is one line on the overview (milliseconds): every node
/// tells of a lost server, and every pool has one.
const TOGETHER_MS: u64 = 3000;

/// Events of one kind with one reason, of several nodes or objects.
struct Group<'a> {
    newest: &'a Event,
    nodes: Vec<&'a str>,
    objects: Vec<&'a str>,
}

pub(super) fn newest(view: &View, number: usize) -> Fragment {
    let known = &view.heard.events;
    let groups = groups(known.iter().rev());
    let inside = html! {
        @if groups.is_empty() { (nothing()) } @else {
            ol role="log" aria-live="polite" aria-relevant="additions" {
                @for group in groups.iter().take(number) { (item(group, false)) }
            }
        }
        @if !known.is_empty() { p.more { a href="/events" { "all " (known.len()) " events" } } }
    };
    section("events", "events", "Events", &inside)
}

fn groups<'a>(events: impl Iterator<Item = &'a Event>) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = vec![];
    for event in events {
        let like = |group: &&mut Group<'_>| {
            group.newest.what == event.what
                && group.newest.evidence == event.evidence
                && group.newest.at_ms.saturating_sub(event.at_ms) <= TOGETHER_MS
        };
        let Some(group) = groups.iter_mut().rev().find(like) else {
            groups.push(alone(event));
            continue;
        };
        if !group.nodes.contains(&event.node.as_str()) {
            group.nodes.push(&event.node);
        }
        if !group.objects.contains(&event.object.as_str()) {
            group.objects.push(&event.object);
        }
    }
    for group in &mut groups {
        group.nodes.sort_unstable();
    }
    groups
}

fn alone(event: &Event) -> Group<'_> {
    Group { newest: event, nodes: vec![&event.node], objects: vec![&event.object] }
}

fn nothing() -> Markup {
    html! { p.none { "Nothing happened as far as is known here." } }
}

/// The page of its own.
pub(super) fn whole(view: &View) -> Fragment {
    let inside = list(view.heard.events.iter().rev());
    section("events", "events whole", "Newest first", &inside)
}

/// Each by itself, with all it says.
pub(super) fn list<'a>(events: impl Iterator<Item = &'a Event>) -> Markup {
    let mut events = events.peekable();
    html! {
        @if events.peek().is_none() { (nothing()) } @else {
            ol role="log" aria-live="polite" aria-relevant="additions" {
                @for event in events { (item(&alone(event), true)) }
            }
        }
    }
}

fn item(group: &Group<'_>, whole: bool) -> Markup {
    let event = group.newest;
    let act = catalogue::kind(&event.what).and_then(|kind| kind.act);
    let class = if act.is_some() { "warning" } else { "told" };
    let others = group.objects.len() - 1;
    html! {
        li id=(format!("event-{}-{}", event.node, event.seq)) class=(class)
            data-find=(format!("{} {} {}", event.what, group.objects.join(" "), group.nodes.join(" "))) {
            time datetime=(mark::stamp(event.at_ms)) { (mark::time_of_day(event.at_ms)) }
            span.what { @if act.is_some() { span.sign { "!" } " " } (event.what) }
            span.node { (group.nodes.join(" ")) }
            p.text {
                a.object href=(page_of(&event.object, &event.node)) { (event.object) }
                @if others > 0 { b { " and " (others) " more" } }
                @if !event.evidence.is_empty() { " " (event.evidence) }
                @if !event.action.is_empty() { span.arrow { " → " } (event.action) }
            }
            @if whole {
                @if !event.decision.is_empty() { p.text { "Decided: " (event.decision) } }
                @if event.took_us > 0 { p.text { "Took " (took(event.took_us)) } }
                @if !event.not_done.is_empty() { p.text { "Not done: " (event.not_done) } }
                @if let Some(act) = act { p.text.act { "For a human: " (act) } }
            }
        }
    }
}

fn took(microseconds: u64) -> String {
    match microseconds {
        0..1000 => format!("{microseconds} µs"),
        1000..10_000_000 => format!("{} ms", microseconds / 1000),
        _ => format!("{} s", microseconds / 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_cause_makes_several_nodes_tell_is_one_line() {
        let event = |seq: u64, at_ms, node: &str, object: &str, evidence: &str| Event {
            seq,
            at_ms,
            node: node.to_owned(),
            what: "server-down".to_owned(),
            object: object.to_owned(),
            evidence: evidence.to_owned(),
            ..Event::default()
        };
        let events = [
            event(4, 90_000, "node02", "server/b/node03", "refused"),
            event(3, 89_000, "node01", "server/b/node03", "refused"),
            event(9, 88_500, "node01", "server/x/node02", "timeout"),
            event(2, 88_000, "node01", "server/a/node03", "refused"),
            event(1, 80_000, "node01", "server/a/node03", "refused"),
        ];
        let groups = groups(events.iter());
        let shown: Vec<(u64, usize, usize)> = groups
            .iter()
            .map(|group| (group.newest.seq, group.nodes.len(), group.objects.len()))
            .collect();
        assert_eq!(shown, [(4, 2, 2), (9, 1, 1), (1, 1, 1)]);
    }
}
