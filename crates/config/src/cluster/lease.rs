//! What a vip lease needs: those who grant it, who know each other's voice.

use super::fields::At;
use super::parse::deciders;
use super::{Node, Vip};
use crate::diagnostic::Diagnostic;

/// As many nodes as can grant one (`engine::vip::lease::MAX_VOTERS`).
const MOST_VOTERS: usize = 9;
/// As many addresses as can have one (`engine::vip::lease::MAX_SEATS`).
const MOST_LEASES: usize = 64;

/// `vips`: with what each says of its vip lease.
pub(super) fn check<'a>(
    has_secret: bool,
    nodes: &[Node],
    vips: impl Iterator<Item = (&'a Vip, Option<At<bool>>)>,
    findings: &mut Vec<Diagnostic>,
) {
    let voters = deciders(nodes);
    let wanted = vips.filter(|(vip, _)| vip.has_lease);
    for (number, (vip, at)) in wanted.enumerate() {
        let absent = voters.iter().find(|node| !vip.order.contains(node));
        let against = if has_secret {
            against(voters.len(), number, absent.map(|node| nodes[*node].name.as_str()))
        } else {
            let help = "write `trust_dir` (after `outlast init`) or `secret_file` in [cluster]";
            Some(("without a secret nobody can tell who grants it".to_owned(), help))
        };
        if let (Some((why, help)), Some((_, at))) = (against, at) {
            let message = format!("`{}` cannot have a vip lease: {why}", vip.name);
            findings.push(Diagnostic::error(at, "no-vip-lease", message).help(help));
        }
    }
}

fn against(voters: usize, number: usize, absent: Option<&str>) -> Option<(String, &'static str)> {
    if voters < 3 {
        let why = "a majority of one or two controllers is all of them";
        Some((why.to_owned(), "a vip lease needs three, so that one of them may fail"))
    } else if voters > MOST_VOTERS {
        let why = format!("at most {MOST_VOTERS} controllers can grant it, and here are {voters}");
        Some((why, "more make nothing safer: leave `lease` out, or have fewer controllers"))
    } else if let Some(node) = absent {
        let why = format!("{node} is not in its `order`, and only who could hold it grants it");
        Some((why, "name every controller in `order`, those that are to hold it last at the end"))
    } else if number >= MOST_LEASES {
        let why = format!("at most {MOST_LEASES} virtual IPs can have one");
        Some((why, "leave `lease` out of the least important ones"))
    } else {
        None
    }
}
