//! Virtual IPs that are held together (`sync_group`).

use std::collections::BTreeSet;

use super::Vip;
use crate::diagnostic::Diagnostic;

pub(super) fn check(vips: &[Vip], findings: &mut Vec<Diagnostic>) {
    for (at, vip) in vips.iter().enumerate() {
        let Some(group) = &vip.sync_group else { continue };
        let others = || {
            let all = vips.iter().enumerate().filter(|(other, _)| *other != at);
            all.map(|(_, other)| other).filter(|other| other.sync_group.as_ref() == Some(group))
        };
        if others().next().is_none() {
            let message = format!("`{}` is alone in the sync group `{group}`", vip.name);
            findings.push(Diagnostic::warning(vip.span, "sync-group", message));
        }
        // Told once, by the second one.
        let earlier = vips[..at].iter().find(|other| other.sync_group.as_ref() == Some(group));
        let Some(other) = earlier else { continue };
        let names = format!("`{}` and `{}` of the sync group `{group}`", other.name, vip.name);
        if other.has_lease != vip.has_lease {
            let message = format!("{names}: one has a vip lease, the other is held by VRRP");
            let finding = Diagnostic::error(vip.span, "sync-group", message);
            findings.push(finding.help("write `lease` for all of a group, or for none"));
        } else if other.order != vip.order {
            let message = format!("{names} have another `order`: no node is the first for both");
            let finding = Diagnostic::error(vip.span, "sync-group", message);
            findings.push(finding.help("write the same `order` for all of a group"));
        }
        for key in differing(other, vip) {
            let message = format!("{names} have another `{key}`, and one vip lease for both");
            let finding = Diagnostic::error(vip.span, "sync-group", message);
            findings.push(finding.help(format!("write the same `{key}` for all of a group")));
        }
    }
}

/// What is of the one vip lease that two of a group have.
fn differing(one: &Vip, other: &Vip) -> impl Iterator<Item = &'static str> {
    let set = |positions: &[usize]| positions.iter().copied().collect::<BTreeSet<_>>();
    let keys = [
        ("after", one.needs_proof != other.needs_proof),
        ("last_man", one.last_man != other.last_man),
        ("spread", one.spread != other.spread),
        ("apart_from", set(&one.apart_from) != set(&other.apart_from)),
        ("never_with", set(&one.never_with) != set(&other.never_with)),
        ("follows", one.follows != other.follows),
    ];
    let voted = one.has_lease && other.has_lease;
    keys.into_iter().filter(move |(_, differs)| voted && *differs).map(|(key, _)| key)
}
