//! Virtual IPs that are held together (`sync_group`).

use super::Vip;
use crate::diagnostic::Diagnostic;

pub(super) fn check(vips: &[Vip], findings: &mut Vec<Diagnostic>) {
    for (at, vip) in vips.iter().enumerate() {
        let Some(group) = &vip.sync_group else { continue };
        let others = || {
            let all = vips.iter().enumerate().filter(|(other, _)| *other != at);
            all.map(|(_, other)| other).filter(|other| other.sync_group.as_ref() == Some(group))
        };
        if vip.has_lease {
            let message = format!("`{}` has a vip lease, which knows no groups", vip.name);
            let finding = Diagnostic::error(vip.span, "sync-group", message);
            findings.push(finding.help("remove `sync_group`, or `lease` of all of them"));
        } else if others().next().is_none() {
            let message = format!("`{}` is alone in the sync group `{group}`", vip.name);
            findings.push(Diagnostic::warning(vip.span, "sync-group", message));
        }
        // Told once, by the second one.
        let earlier = vips[..at].iter().find(|other| other.sync_group.as_ref() == Some(group));
        if let Some(other) = earlier.filter(|other| other.order != vip.order) {
            let message = format!(
                "`{}` and `{}` of the sync group `{group}` have another `order`: no node is the first for both",
                other.name, vip.name
            );
            let finding = Diagnostic::error(vip.span, "sync-group", message);
            findings.push(finding.help("write the same `order` for all of a group"));
        }
    }
}
