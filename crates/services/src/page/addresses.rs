//! Virtual IPs: who holds each, and who is next.

use api::{Status, VipLine, VipRole};
use maud::{Markup, html};

use super::{Fragment, link, section};
use crate::mark::{Grade, Mark};
use crate::trouble;

pub(super) fn fragment(status: &Status) -> Fragment {
    let inside = html! {
        ul.cards { @for vip in &status.vips { li { (card(status, vip)) } } }
    };
    section("addresses", "addresses", "Addresses", &inside)
}

fn card(status: &Status, vip: &VipLine) -> Markup {
    let mark = mark(status, vip);
    html! {
        a id=(format!("vip-{}", vip.name)) class=(format!("card {}", mark.grade.class()))
            href=(link("vip", &vip.name)) data-find=(vip.name) {
            span.head { (mark.only_sign()) " " b { (vip.name) } " " code { (vip.addresses.join(" ")) } }
            (holder(status, vip))
            (chain(status, vip))
        }
    }
}

/// What the address is, seen from here.
pub(super) fn mark(status: &Status, vip: &VipLine) -> Mark {
    let holders = trouble::holders(vip, status).len();
    match (holders, vip.state.role) {
        (0, _) if status.nodes.is_empty() => {
            Mark { grade: Grade::Aside, sign: "?", word: "held elsewhere or nowhere" }
        }
        (0, _) => Mark { grade: Grade::Bad, sign: "✗", word: "held by nobody" },
        (1, VipRole::Fault) => {
            Mark { grade: Grade::Warning, sign: "!", word: "held, but not possible here" }
        }
        (1, VipRole::Backup | VipRole::Master) => {
            Mark { grade: Grade::Well, sign: "✓", word: "held" }
        }
        (_, _) => Mark { grade: Grade::Bad, sign: "✗", word: "held twice" },
    }
}

pub(super) fn holder(status: &Status, vip: &VipLine) -> Markup {
    let holders = trouble::holders(vip, status);
    let next = next(status, vip);
    html! {
        span.holder {
            @match holders.as_slice() {
                [] => "nobody",
                [one] => (one),
                several => (several.join(" and ")),
            }
        }
        span.next {
            @match next { Some(next) => { "next " b { (next) } } None => "no successor" }
        }
    }
}

/// Who would take over: what the holder announced, or the first living one in the order of the file.
pub(super) fn next(status: &Status, vip: &VipLine) -> Option<String> {
    let holders = trouble::holders(vip, status);
    if vip.state.holding && vip.successor.is_some() {
        return vip.successor.clone();
    }
    let alive = |name: &&String| {
        status
            .nodes
            .iter()
            .any(|node| node.state.node == **name && node.state.standing == api::Standing::Alive)
    };
    vip.order.iter().filter(alive).find(|name| !holders.contains(&name.as_str())).cloned()
}

fn chain(status: &Status, vip: &VipLine) -> Markup {
    let holders = trouble::holders(vip, status);
    html! {
        @if vip.order.len() > 1 {
            span.chain aria-label="order" {
                @for name in &vip.order {
                    span class=(if holders.contains(&name.as_str()) { "link here" } else { "link" }) { (name) }
                }
            }
        }
    }
}
