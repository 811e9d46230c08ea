//! Why something is as it is: state, evidence with ages, the rule, what would change it.

use maud::{Markup, html};

use super::{Fragment, View, events, section};
use crate::mark;

pub(super) fn fragments(view: &View, parts: &mut Vec<Fragment>) {
    match &view.why {
        Some(Ok(why)) => {
            parts.push(section("why", "why", "Why", &explanation(view, why)));
            let inside = events::list(why.events.iter().rev());
            parts.push(section("events", "events whole", "Its last events", &inside));
        }
        Some(Err(silence)) => {
            let inside = html! { p.none { "No explanation: " (silence) "." } };
            parts.push(section("why", "why", "Why", &inside));
            parts.push(section("events", "events whole", "Its last events", &html! {}));
        }
        None => {}
    }
}

fn explanation(view: &View, why: &api::Why) -> Markup {
    html! {
        p.is { (why.state) }
        @if !why.evidence.is_empty() {
            h3 { "What that rests on" }
            ul.evidence {
                @for evidence in &why.evidence {
                    li {
                        (evidence.what)
                        @if let Some(age) = evidence.age_ms {
                            " " span.age { (mark::age(view.age_now(age))) " ago" }
                        }
                    }
                }
            }
        }
        @if !why.rule.is_empty() { h3 { "The rule" } p { (why.rule) } }
        @if !why.rules.is_empty() {
            details.rules {
                summary { "All rules: the first that applies decides" }
                ol { @for rule in &why.rules { li class=[rule.applies.then_some("applies")] {
                    @if rule.applies { strong { (rule.name) } } @else { (rule.name) }
                    ": " (rule.sentence)
                    @if !rule.numbers.is_empty() { " (" (rule.numbers) ")" }
                } } }
            }
        }
        @if !why.would_change.is_empty() {
            h3 { "What would change it" }
            ul { @for change in &why.would_change { li { (change) } } }
        }
    }
}
