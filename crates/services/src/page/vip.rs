//! One virtual IP.

use api::{LeaseState, VipCause, VipLine, VipRole};
use maud::{Markup, html};

use super::{Fragment, View, absent, addresses, section, why};

pub(super) fn parts(view: &View, name: &str, parts: &mut Vec<Fragment>) {
    let Some(status) = &view.heard.status else {
        parts.push(absent("about"));
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
    why::fragments(view, parts);
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
            }
            @if !vip.order.is_empty() { dt { "Order" } dd { (vip.order.join(" → ")) } }
        }
    }
}

fn enforced(lease: &LeaseState) -> String {
    match &lease.not_enforced {
        None => "ended by the kernel in time, whatever becomes of the process".to_owned(),
        Some(why) => format!("not enforced: {why}"),
    }
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
        VipCause::Carrier => "no carrier",
        VipCause::NoDevice => "no device",
        VipCause::NoNetwork => "no network yet",
        VipCause::Balancer => "the balancer does not serve",
        VipCause::Refused => "the kernel did not take the address",
        VipCause::Stopping => "stopping",
        VipCause::Adopted => "kept over a restart",
        VipCause::Standby => "on standby, as an operator asked",
        VipCause::ProvenDead => "an operator confirmed that this node is off",
        VipCause::Moved => "moved away by an operator",
        VipCause::Expired => "what it had granted another node ended",
        VipCause::Majority => "no majority granted it",
        VipCause::Unheard => "not heard where its clients are",
        VipCause::Unreached => "no reference point answers it",
    }
}
