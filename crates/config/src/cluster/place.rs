//! Where a virtual IP with a vip lease should be beside others: `spread`, `apart_from`, `follows`.

use std::net::IpAddr;

use base::Span;

use super::fields::At;
use super::parse::known;
use super::read::{Field, span, text, texts, wrong};
use super::vips::VipDraft;
use super::{Cluster, Vip};
use crate::diagnostic::Diagnostic;

pub(super) const SPREAD: Field<VipDraft> = Field {
    name: "spread",
    form: "\"api\"",
    default: "none",
    does: "with `lease`, virtual IPs with the same name here are held by different nodes, as far as there are enough: who comes back gets its share, one at a time, each five seconds after the last change",
    set: |draft, value, _| {
        draft.spread = Some((text(value, "a name")?, span(value)));
        Ok(())
    },
};

pub(super) const APART_FROM: Field<VipDraft> = Field {
    name: "apart_from",
    form: "[\"external\"]",
    default: "none",
    does: "with `lease`, virtual IPs that it shares a node with only where no other node is left",
    set: |draft, value, _| {
        draft.apart_from = texts(value, "names of virtual IPs")?;
        Ok(())
    },
};

pub(super) const NEVER_WITH: Field<VipDraft> = Field {
    name: "never_with",
    form: "[\"external\"]",
    default: "none",
    does: "with `lease`, virtual IPs that are never on one node with it: where one node is left, one of them is held by nobody",
    set: |draft, value, _| {
        draft.never_with = texts(value, "names of virtual IPs")?;
        Ok(())
    },
};

pub(super) const FOLLOWS: Field<VipDraft> = Field {
    name: "follows",
    form: "\"coordinator\"",
    default: "none",
    does: "with `lease` and a [store], the address is on the node that coordinates the cluster, and moves with that role",
    set: |draft, value, _| {
        if value.get_ref().as_str() != Some("coordinator") {
            return Err(wrong(value, "\"coordinator\""));
        }
        draft.follows = Some(((), span(value)));
        Ok(())
    },
};

/// What a file says of the place of an address.
#[derive(Debug, Default)]
pub(super) struct Place {
    spread: Option<At<String>>,
    apart_from: Vec<At<String>>,
    never_with: Vec<At<String>>,
    follows: Option<At<()>>,
}

impl Place {
    pub(super) fn of(draft: &mut VipDraft) -> Self {
        Self {
            spread: draft.spread.take(),
            apart_from: std::mem::take(&mut draft.apart_from),
            never_with: std::mem::take(&mut draft.never_with),
            follows: draft.follows.take(),
        }
    }

    /// Where the first of its keys is.
    fn first(&self) -> Option<(&'static str, Span)> {
        let spread = self.spread.as_ref().map(|(_, at)| ("spread", *at));
        let apart = self.apart_from.first().map(|(_, at)| ("apart_from", *at));
        let never = self.never_with.first().map(|(_, at)| ("never_with", *at));
        let follows = self.follows.map(|((), at)| ("follows", at));
        spread.or(apart).or(never).or(follows)
    }
}

/// One for each virtual IP, in their order.
pub(super) fn resolve(wishes: Vec<Place>, vips: &mut [Vip], findings: &mut Vec<Diagnostic>) {
    let names: Vec<String> = vips.iter().map(|vip| vip.name.clone()).collect();
    for (at, wish) in wishes.into_iter().enumerate() {
        let name = &names[at];
        if let (Some((key, span)), false) = (wish.first(), vips[at].has_lease) {
            let message = format!("`{key}` is of a vip lease, and `{name}` is held by VRRP");
            let finding = Diagnostic::error(span, "vip-place", message);
            findings.push(finding.help(format!("add `lease = true`, or remove `{key}`")));
        }
        if let (Some((_, span)), Some(_)) = (wish.follows, &wish.spread) {
            let message = format!("`{name}` cannot be spread and follow the coordinator");
            let finding = Diagnostic::error(span, "vip-place", message);
            findings.push(finding.help("remove one of the two"));
        }
        let apart = others(&wish.apart_from, (at, &names), vips, findings);
        let never = others(&wish.never_with, (at, &names), vips, findings);
        let vip = &mut vips[at];
        vip.spread = wish.spread.map(|(group, _)| group);
        (vip.apart_from, vip.never_with) = (apart, never);
        vip.follows = wish.follows.is_some();
    }
    for (at, vip) in vips.iter().enumerate() {
        let Some(group) = &vip.spread else { continue };
        let mut others = vips.iter().enumerate().filter(|(other, _)| *other != at);
        if !others.any(|(_, other)| other.spread.as_ref() == Some(group)) {
            let message =
                format!("`{}` is alone in `{group}`: there is nothing to spread", vip.name);
            findings.push(Diagnostic::warning(vip.span, "vip-place", message));
        }
    }
}

/// Positions of those that are named; `at`: who names them.
fn others(
    written: &[At<String>],
    (at, names): (usize, &[String]),
    vips: &[Vip],
    findings: &mut Vec<Diagnostic>,
) -> Vec<usize> {
    let mut others = Vec::new();
    for wanted in written {
        let found = known(wanted, names.iter().map(String::as_str), "virtual IP", findings);
        let group = |other: usize| vips[other].sync_group.as_ref();
        if found == Some(at) {
            let message = format!("`{}` cannot be apart from itself", names[at]);
            findings.push(Diagnostic::error(wanted.1, "vip-place", message));
        } else if let Some(other) = found.filter(|other| !vips[*other].has_lease) {
            let message = format!(
                "`{}` is held by VRRP: where that is, does not move `{}`",
                names[other], names[at]
            );
            let finding = Diagnostic::error(wanted.1, "vip-place", message);
            findings.push(finding.help("add `lease = true` to both"));
        } else if let Some(other) =
            found.filter(|it| group(*it).is_some() && group(*it) == group(at))
        {
            let message = format!(
                "`{}` and `{}` are of one sync group: they are always on one node",
                names[at], names[other]
            );
            findings.push(Diagnostic::error(wanted.1, "vip-place", message));
        } else {
            others.extend(found);
        }
    }
    others
}

/// What needs the rest of the file.
pub(super) fn check(cluster: &Cluster, findings: &mut Vec<Diagnostic>) {
    for vip in cluster.vips.iter().filter(|vip| vip.follows && cluster.store.is_none()) {
        let message =
            format!("`{}` follows the coordinator, and without [store] there is none", vip.name);
        let finding = Diagnostic::error(vip.span, "vip-place", message);
        findings.push(finding.help("add `[store]`, or remove `follows`"));
    }
    for vip in &cluster.vips {
        let never = vip.never_with.len();
        if never > 0 && never >= vip.order.len() {
            let message = format!(
                "`{}` is never on one node with {never} others, and {} may hold it: one of them may have no node",
                vip.name,
                vip.order.len()
            );
            let finding = Diagnostic::warning(vip.span, "vip-place", message);
            findings.push(
                finding.help("write `apart_from` where two may share a node that is the last one"),
            );
        }
    }
}

/// Those of `address` that are some.
pub(super) fn addresses(written: &[At<String>], findings: &mut Vec<Diagnostic>) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    for (text, at) in written {
        match text.parse::<IpAddr>() {
            Ok(ip) => addresses.push(ip),
            Err(_) => findings.push(
                Diagnostic::error(*at, "bad-value", format!("`{text}` is no IP address"))
                    .help("write `address = \"10.79.0.40\"`; the length goes to `prefix`"),
            ),
        }
    }
    addresses
}
