//! What happened, the newest first.

use api::{Event, catalogue};
use maud::{Markup, html};

use super::{Fragment, View, page_of, section};
use crate::mark;

pub(super) fn newest(view: &View, number: usize) -> Fragment {
    let known = view.heard.events.len();
    let inside = html! {
        (list(view.heard.events.iter().rev().take(number), false))
        @if known > number { p.more { a href="/events" { "all " (known) " events" } } }
    };
    section("events", "events", "Events", &inside)
}

/// The page of its own.
pub(super) fn whole(view: &View) -> Fragment {
    let inside = list(view.heard.events.iter().rev(), true);
    section("events", "events whole", "Newest first", &inside)
}

pub(super) fn list<'a>(events: impl Iterator<Item = &'a Event>, whole: bool) -> Markup {
    let mut events = events.peekable();
    html! {
        @if events.peek().is_none() {
            p.none { "Nothing happened as far as is known here." }
        } @else {
            ol role="log" aria-live="polite" aria-relevant="additions" {
                @for event in events { (item(event, whole)) }
            }
        }
    }
}

fn item(event: &Event, whole: bool) -> Markup {
    let act = catalogue::kind(&event.what).and_then(|kind| kind.act);
    let class = if act.is_some() { "warning" } else { "told" };
    html! {
        li id=(format!("event-{}-{}", event.node, event.seq)) class=(class)
            data-find=(format!("{} {} {}", event.what, event.object, event.node)) {
            time datetime=(mark::stamp(event.at_ms)) { (mark::time_of_day(event.at_ms)) }
            span.what { @if act.is_some() { span.sign { "!" } " " } (event.what) }
            span.node { (event.node) }
            p.text {
                a.object href=(page_of(&event.object, &event.node)) { (event.object) }
                @if !event.evidence.is_empty() { " " (event.evidence) }
                @if !event.action.is_empty() { span.arrow { " → " } (event.action) }
            }
            @if whole {
                @if !event.decision.is_empty() { p.text { "Decided: " (event.decision) } }
                @if event.took_us > 0 { p.text { "Took " (took(event.took_us)) } }
            }
            @if !event.not_done.is_empty() { p.text { "Not done: " (event.not_done) } }
            @if whole && let Some(act) = act { p.text.act { "For a human: " (act) } }
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
