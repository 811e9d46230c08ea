//! The line that says in one sentence whether all is well.

use api::Standing;
use maud::{Markup, html};

use super::{Fragment, View};
use crate::mark::{self, Grade};
use crate::pool;
use crate::trouble::{self, Trouble};

/// Shown under the line; the rest is counted.
const SHOWN: usize = 5;

/// For the tab of the browser.
pub(crate) fn title(view: &View) -> String {
    let (sign, line, _) = line(view);
    format!("{sign} {line}")
}

pub(super) fn fragment(view: &View) -> Fragment {
    let (sign, line, class) = line(view);
    let troubles = troubles(view);
    let more = troubles.len().saturating_sub(SHOWN + 1);
    let markup = html! {
        section #state class=(format!("state {class}")) role="status" aria-live="polite"
            data-title=(title(view)) {
            p.line {
                span.sign aria-hidden="true" { (sign) } " "
                @match troubles.first().filter(|_| !view.is_stale()) {
                    Some(first) => a href=(first.page) { (line) },
                    None => span { (line) },
                }
            }
            @if view.is_stale() {
                p.rest { (last_known(view)) }
            }
            // The first is the line itself, unless the line speaks of the silence.
            @let listed = if view.is_stale() { &troubles[..] } else { troubles.get(1..).unwrap_or(&[]) };
            @if !listed.is_empty() {
                ul.troubles {
                    @for trouble in listed.iter().take(SHOWN) {
                        li class=(trouble.grade.class()) {
                            span.sign aria-hidden="true" { (sign_of(trouble.grade)) } " "
                            a href=(trouble.page) { (trouble.sentence) }
                        }
                    }
                    @if more > 0 { li { "and " (more) " more" } }
                }
            }
            @if !view.is_stale() { p.rest { (summary(view)) } }
        }
    };
    Fragment { id: "state", markup }
}

fn troubles(view: &View) -> Vec<Trouble> {
    view.heard.status.as_ref().map_or_else(Vec::new, |status| trouble::all(status))
}

const fn sign_of(grade: Grade) -> &'static str {
    match grade {
        Grade::Well => "✓",
        Grade::Aside => "–",
        Grade::Warning => "!",
        Grade::Bad => "✗",
    }
}

/// Sign, sentence, class.
fn line(view: &View) -> (&'static str, String, &'static str) {
    let Some(status) = &view.heard.status else {
        return ("?", format!("The agent of {} does not answer", view.host), "stale");
    };
    if view.is_stale() {
        let age = mark::age(view.since());
        return ("?", format!("No news from the agent of {} for {age}", status.node), "stale");
    }
    match trouble::all(status).first() {
        None => ("✓", "All well".to_owned(), "well"),
        Some(worst) => {
            let sentence = if starts_with_a_name(&worst.sentence) {
                worst.sentence.clone()
            } else {
                capital(&worst.sentence)
            };
            (sign_of(worst.grade), sentence, worst.grade.class())
        }
    }
}

fn capital(sentence: &str) -> String {
    let mut sentence = sentence.to_owned();
    if let Some(first) = sentence.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    sentence
}

/// Names keep their letters: `node02` is not `Node02`.
fn starts_with_a_name(sentence: &str) -> bool {
    !["nobody", "the"].iter().any(|word| sentence.starts_with(word))
}

fn last_known(view: &View) -> Markup {
    let why = view.heard.silence.as_deref().unwrap_or("it has not answered yet");
    html! {
        (capital(why))
        @if view.heard.status.is_some() { ". Everything below is what was last known." } @else { "." }
    }
}

fn summary(view: &View) -> String {
    let Some(status) = &view.heard.status else { return String::new() };
    let mut parts = vec![];
    if !status.nodes.is_empty() {
        let alive = |standing| standing == Standing::Alive;
        let alive = status.nodes.iter().filter(|node| alive(node.state.standing)).count();
        parts.push(format!("{alive} of {} alive", mark::count(status.nodes.len(), "node")));
    }
    for vip in &status.vips {
        let holders = trouble::holders(vip, status);
        if let [holder] = holders.as_slice() {
            parts.push(format!("{} on {holder}", vip.name));
        }
    }
    let pools = pool::all(status);
    if !pools.is_empty() {
        let usable: usize = pools.iter().map(pool::Pool::usable).sum();
        let all: usize = pools.iter().map(|pool| pool.servers.len()).sum();
        parts.push(format!("{}, {usable} of {all} servers up", mark::count(pools.len(), "pool")));
    }
    parts.join(" · ")
}
