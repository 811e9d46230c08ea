//! One virtual IP.

use std::fmt::Write as _;

use api::{Beats, Lateness, LeaseState, Moved, Standing, VipCause, VipLine, VipRole};
use maud::{Markup, PreEscaped, html};

use super::{Fragment, View, absent, addresses, section, told, why};
use crate::{mark, trouble};

pub(super) fn parts(view: &View, name: &str, parts: &mut Vec<Fragment>) {
    let Some(status) = &view.heard.status else {
        parts.push(absent("about"));
        parts.push(absent("moves"));
        parts.push(absent("told"));
        parts.push(absent("late"));
        why::fragments(view, parts);
        return;
    };
    let vip = status.vips.iter().find(|vip| vip.name == name);
    let inside = vip.map_or_else(
        || html! { p.none { "No address has this name any more." } },
        |vip| {
            html! {
                div.figure {
                    (addresses::mark(status, vip).shown())
                    (addresses::holder(status, vip))
                }
                (facts(view, vip))
            }
        },
    );
    parts.push(section("about", "about", "Address", &inside));
    parts.push(moves(view, name));
    parts.push(told::fragment(view, &format!("vip/{name}")));
    parts.push(lateness(view));
    why::fragments(view, parts);
}

/// So many are shown.
const MOVES: usize = 10;

/// The last take-overs of all nodes, the newest first, each with what is known of it by now.
fn moves(view: &View, name: &str) -> Fragment {
    let object = format!("vip/{name}");
    let known = view.heard.events.iter().rev().filter(|event| event.object == object);
    let mut moves: Vec<(u64, &Moved)> = vec![];
    for (at_ms, moved) in known.filter_map(|event| Some((event.at_ms, event.moved.as_deref()?))) {
        let is_it = |(_, other): &(u64, &Moved)| (other.term, &other.to) == (moved.term, &moved.to);
        if !moves.iter().any(is_it) {
            moves.push((at_ms, moved));
        }
    }
    if moves.is_empty() {
        return absent("moves");
    }
    let stages = moves[0].1.took.stages().map(|(stage, _)| stage);
    let inside = html! { div.scroll { table {
        thead { tr {
            th scope="col" { "When" } th scope="col" { "From" } th scope="col" { "To" } th scope="col" { "Because" }
            @for stage in stages { th scope="col" { (stage) } }
        } }
        tbody { @for (at_ms, moved) in moves.iter().take(MOVES) { tr {
            td { time datetime=(mark::stamp(*at_ms)) { (mark::time_of_day(*at_ms)) } }
            td { (moved.from.as_deref().unwrap_or("–")) }
            td { (moved.to) }
            td { @if let Some(cause) = moved.cause { (self::cause(cause)) } }
            @for (_, micros) in moved.took.stages() {
                td { (micros.map_or_else(|| "–".to_owned(), api::millis)) }
            }
        } } }
    } } };
    section("moves", "about", "Last moves", &inside)
}

fn facts(view: &View, vip: &VipLine) -> Markup {
    html! {
        dl {
            dt { "Addresses" } dd { code { (vip.addresses.join(" ")) } }
            @if !vip.interface.is_empty() { dt { "Interface" } dd { code { (vip.interface) } } }
            @if vip.router_id > 0 { dt { "Router id" } dd { (vip.router_id) } }
            @if vip.priority > 0 { dt { "Priority of " (view.host) } dd { (vip.priority) } }
            dt { "Here, on " (view.host) } dd { (role(vip.state.role)) @if let Some(cause) = vip.state.cause { ": " (self::cause(cause)) } }
            dt { "Term" } dd { (vip.state.term) }
            @if let Some(lease) = &vip.state.vip_lease {
                dt { "Vip lease" } dd { (enforced(lease)) }
                dt { "Left of it" } dd { (left(view, vip)) }
                @if let Some(beats) = beats(view) { dt { "Vip beats" } dd { (beats.words()) } }
                @if lease.stays { dt { "Place" } dd { "moved by an operator, and stays until he says otherwise" } }
            }
            @if !vip.order.is_empty() { dt { "Order" } dd { (vip.order.join(" → ")) } }
            @if let Some(line) = in_line(view, vip) { dt { "Next in line" } dd { (line) } }
        }
    }
}

/// Who is next, and why nobody of the order comes before.
fn in_line(view: &View, vip: &VipLine) -> Option<String> {
    let status = view.heard.status.as_ref()?;
    let next = addresses::next(status, vip);
    let holders = trouble::holders(vip, status);
    let word = |name: &String| {
        let line = status.nodes.iter().find(|line| line.state.node == *name);
        let state = line.map(|line| &line.state);
        let is_fit = state.is_some_and(|state| state.standing == Standing::Alive);
        let (is_next, is_on) = (next.as_ref() == Some(name), state.is_some_and(|s| s.duty.is_on()));
        let what = match (holders.contains(&name.as_str()), is_next, is_fit, is_on) {
            (true, ..) => "holds it",
            (_, true, ..) => "is next",
            (.., false, _) => "is not heard",
            (.., false) => "is on standby",
            (..) => "after that",
        };
        format!("{name} {what}")
    };
    (!vip.order.is_empty()).then(|| vip.order.iter().map(word).collect::<Vec<_>>().join(", "))
}

fn lateness(view: &View) -> Fragment {
    let Some(late) = late(view) else { return absent("late") };
    let inside = html! { (steps(late)) p { (late.words()) "." } };
    section("late", "about", &format!("How late the vip process of {} is", view.host), &inside)
}

/// None: nothing was due yet.
fn late(view: &View) -> Option<&Lateness> {
    let late = &view.heard.status.as_ref()?.vip_process.as_ref()?.late;
    (late.waits > 0).then_some(late)
}

fn beats(view: &View) -> Option<&Beats> {
    view.heard.status.as_ref()?.vip_process.as_ref()?.beats.as_ref()
}

/// At this moment, which is that of the last word of the vip process: only the holder's own has it.
fn left(view: &View, vip: &VipLine) -> String {
    let process = view.heard.status.as_ref().and_then(|status| status.vip_process.as_ref());
    let known = process.and_then(|process| {
        let ago = process.age_ms.map(|ms| format!("{}.{} s ago ", ms / 1000, ms % 1000 / 100));
        Some(format!("{}{}", ago.unwrap_or_default(), process.left(vip.state.instance)?.words()))
    });
    known.unwrap_or_else(|| match &vip.holders[..] {
        [holder] if holder.as_str() != &*view.host => {
            format!("{holder} holds it, and says it on its page")
        }
        _ => "not known here".to_owned(),
    })
}

fn enforced(lease: &LeaseState) -> String {
    match &lease.not_enforced {
        None => "ended by the kernel in time, whatever becomes of the process".to_owned(),
        Some(why) => format!("not enforced: {why}"),
    }
}

/// A bar for each step, as high as the logarithm of how often: one in a thousand is seen, too.
fn steps(late: &Lateness) -> Markup {
    const HIGH: u32 = 24;
    let octaves = |waits: u64| waits.checked_ilog2().map_or(0, |octaves| octaves + 1);
    let most = late.steps.iter().map(|step| octaves(step.waits)).max().unwrap_or(1).max(1);
    let mut bars = String::new();
    for step in &late.steps {
        let (x, high) = (u32::from(step.step) * 2, HIGH * octaves(step.waits) / most);
        let y = HIGH - high;
        // A String takes every text.
        let _ = write!(bars, "<rect x=\"{x}\" y=\"{y}\" width=\"2\" height=\"{high}\"/>");
    }
    PreEscaped(format!(
        "<svg class=\"steps\" viewBox=\"0 0 128 24\" preserveAspectRatio=\"none\" aria-hidden=\"true\">{bars}</svg>"
    ))
}

const fn role(role: VipRole) -> &'static str {
    match role {
        VipRole::Backup => "backup",
        VipRole::Master => "master",
        VipRole::Fault => "fault",
    }
}

const fn cause(cause: VipCause) -> &'static str {
    match cause {
        VipCause::Silence => "nobody advertised",
        VipCause::Goodbye => "the holder said goodbye",
        VipCause::Named => "named by the holder",
        VipCause::Stronger => "a stronger node advertises",
        VipCause::Stalled => "the vip process was not run for too long",
        VipCause::Script => "its check script fails",
        VipCause::Process => "its processes do not run as they have to",
        VipCause::File => "the number in a tracked file takes it",
        VipCause::Way => "a tracked way fails",
        VipCause::Carrier => "no carrier",
        VipCause::NoDevice => "no device",
        VipCause::NoNetwork => "no network yet",
        VipCause::Balancer => "the balancer does not serve",
        VipCause::Refused => "the kernel did not take the address",
        VipCause::Stopping => "stopping",
        VipCause::Adopted => "kept over a restart",
        VipCause::Standby => "on standby, as an operator asked",
        VipCause::ProvenDead => "an operator confirmed that this node is off",
        VipCause::InUse => "somebody else has the address",
        VipCause::Together => "goes with its sync group",
        VipCause::Moved => "moved away by an operator",
        VipCause::Expired => "what it had granted another node ended",
        VipCause::Majority => "no majority granted it",
        VipCause::Unheard => "not heard where its clients are",
        VipCause::Unreached => "no reference point answers it",
        VipCause::Foreign => "a router that does not vote holds it",
        VipCause::LastMan => "no other controller is heard (last_man): at a cut two nodes hold it",
        VipCause::Granted => "a majority grants it again",
        VipCause::Unproven => "it is not proven that the node which may hold it is dead",
        VipCause::Spread => "spread: moved to a node that holds fewer",
        VipCause::Apart => "moved apart from another address",
        VipCause::Room => "made room for another address",
        VipCause::Follows => "another node coordinates",
        VipCause::Barred => "never beside an address that this node holds",
    }
}
