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

/// What was concluded of it before, the newest first.
pub(super) fn history(view: &View) -> Fragment {
    let turns = match &view.why {
        Some(Ok(why)) => why.history.as_slice(),
        Some(Err(_)) | None => &[],
    };
    let inside = html! {
        @if turns.is_empty() {
            p.none { "No verdict on it is known since the agent of " (view.host) " started." }
        } @else { div.scroll { table {
            thead { tr {
                th scope="col" { "When" } th scope="col" { "Verdict" } th scope="col" { "Rule" }
                th scope="col" { "Evidence of that moment" }
            } }
            tbody { @for turn in turns.iter().rev() {
                @let mark = mark::concluded(turn.verdict);
                tr id=(format!("turn-{}-{}", turn.at_ms, turn.rule)) class=(mark.grade.class()) {
                    td { time datetime=(mark::stamp(turn.at_ms)) { (mark::time_of_day(turn.at_ms)) } }
                    td {
                        (mark.shown())
                        @if !turn.networks.is_empty() { " on " (turn.networks.join(", ")) }
                    }
                    td { (turn.rule) }
                    td.evidence { (turn.cause) }
                }
            } }
        } } }
    };
    section("history", "about", "Verdicts on it", &inside)
}

/// The kind of evidence that this is of.
fn kind<'a>(why: &'a api::Why, evidence: &api::Evidence) -> Option<&'a api::KindLine> {
    why.kinds.iter().find(|kind| {
        let rest = evidence.what.strip_prefix(&kind.name);
        rest.is_some_and(|rest| rest.starts_with(": "))
    })
}

fn explanation(view: &View, why: &api::Why) -> Markup {
    html! {
        p.is { (why.state) }
        @if !why.evidence.is_empty() {
            h3 { "What that rests on" }
            ul.evidence {
                @let kind = |evidence: &api::Evidence| kind(why, evidence);
                @for (at, evidence) in why.evidence.iter().enumerate() {
                    @let of = kind(evidence);
                    @let before = at.checked_sub(1).and_then(|at| why.evidence.get(at)).and_then(kind);
                    li {
                        @if let Some(of) = of {
                            strong.kind { (of.name) } " " (evidence.what[of.name.len() + 2..])
                        } @else { (evidence.what) }
                        @if let Some(age) = evidence.age_ms {
                            " " span.age { (mark::age(view.age_now(age))) " ago" }
                        }
                        @if let Some(of) = of.filter(|_| before != of) {
                            p.meaning { (of.meaning) "; counts " (of.counts) }
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
