//! What was told of an address, to whom, and what waits to be told.

use api::{Notification, NotificationDue, NotificationFate, Notifying};
use maud::{Markup, html};

use super::{Fragment, View, absent, section};
use crate::mark::{self, Grade, Mark};

/// So many are shown.
const MOST: usize = 10;

pub(super) fn fragment(view: &View, object: &str) -> Fragment {
    let notify = view.heard.status.as_ref().and_then(|status| status.notify.as_deref());
    let Some(notify) = notify.filter(|notify| !notify.receivers.is_empty()) else {
        return absent("told");
    };
    let of: Vec<&Notification> =
        notify.newest.iter().rev().filter(|one| one.object == object).take(MOST).collect();
    let inside = html! {
        (teller(notify))
        @if of.is_empty() {
            p.none { "Nothing about it was told yet." }
        } @else {
            div.scroll { table {
                thead { tr {
                    th scope="col" { "When" } th scope="col" { "What" }
                    @for receiver in &notify.receivers { th scope="col" title=(receiver.way) { (receiver.name) } }
                } }
                tbody { @for one in of { tr {
                    td { time datetime=(mark::stamp(one.at_ms)) { (mark::time_of_day(one.at_ms)) } }
                    td { (one.words()) }
                    @for receiver in &notify.receivers {
                        td { (fate(one.dues.iter().find(|due| due.receiver == receiver.name))) }
                    }
                } } }
            } }
        }
    };
    section("told", "about", "Who was told", &inside)
}

fn teller(notify: &Notifying) -> Markup {
    html! {
        p { @match notify.by.as_str() {
            "" => "Nobody tells now: no node coordinates.",
            by => { b { (by) } " tells." }
        } }
        @for receiver in &notify.receivers {
            @if let Some(why) = &receiver.failing {
                p { (Mark { grade: Grade::Warning, sign: "!", word: "not told" }.only_sign()) " " (receiver.name) ": " (why) }
            }
        }
    }
}

fn fate(due: Option<&NotificationDue>) -> Markup {
    let Some(due) = due else { return html! { "–" } };
    let mark = |grade, sign, word| Mark { grade, sign, word }.shown();
    match due.fate {
        NotificationFate::Told(at_ms) => html! {
            (mark(Grade::Well, "✓", "told")) " " time datetime=(mark::stamp(at_ms)) { (mark::time_of_day(at_ms)) }
        },
        NotificationFate::Sending(_) => mark(Grade::Aside, "…", "on its way"),
        NotificationFate::Waiting if due.tries == 0 => mark(Grade::Aside, "…", "waits"),
        NotificationFate::Waiting => html! {
            (mark(Grade::Warning, "!", "waits")) ", tried " (due.tries) "×"
        },
        NotificationFate::GivenUp => mark(Grade::Bad, "✗", "given up"),
    }
}
