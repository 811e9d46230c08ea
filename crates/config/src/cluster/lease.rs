//! What a vip lease needs: those who grant it, who know each other's voice.

use std::time::Duration;

use base::Span;

use super::fields::At;
use super::parse::deciders;
use super::read::{Field, Value, boolean, span, time, wrong};
use super::vips::VipDraft;
use super::{Node, NodeRole, Vip};
use crate::diagnostic::Diagnostic;

/// As many nodes as can grant one (`engine::vip::lease::MAX_VOTERS`).
const MOST_VOTERS: usize = 9;
/// As many addresses as can have one (`engine::vip::lease::MAX_SEATS`).
const MOST_LEASES: usize = 64;

/// After what an address leaves a node that does not answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum After {
    Silence,
    ProvenDead,
}

pub(super) const BY_VOTES: Field<VipDraft> = Field {
    name: "lease",
    form: "true",
    default: "false: VRRP",
    does: "never two holders: a majority of the controllers grants the address to one of them, without VRRP",
    set: |draft, value, _| {
        draft.has_lease = Some((boolean(value)?, span(value)));
        Ok(())
    },
};

pub(super) const AFTER: Field<VipDraft> = Field {
    name: "after",
    form: "\"proven-dead\"",
    default: "\"silence\"",
    does: "with `lease`, when the address may leave a node that does not answer: \"silence\", as soon as nobody can answer there; \"proven-dead\", only when that node is proven dead or has said itself that it let go",
    set: |draft, value, _| {
        let after = match value.get_ref().as_str() {
            Some("silence") => After::Silence,
            Some("proven-dead") => After::ProvenDead,
            _ => return Err(wrong(value, "\"silence\" or \"proven-dead\"")),
        };
        draft.after = Some((after, span(value)));
        Ok(())
    },
};

pub(super) const LAST_MAN: Field<VipDraft> = Field {
    name: "last_man",
    form: "\"allow\"",
    default: "that of [cluster], \"deny\"",
    does: "with `lease`: \"allow\", or a time like \"10s\", lets a node that heard no other controller for 3 s, or that long, hold the address without a majority, if its networks have a carrier and a reference point answers where there is one; at a cut two may hold it then",
    set: |draft, value, _| {
        draft.last_man = Some((read_last_man(value)?, span(value)));
        Ok(())
    },
};

/// What a file says of the vip lease of an address, and where.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    pub(super) has_lease: Option<At<bool>>,
    pub(super) after: Option<At<After>>,
    /// Of the address, or of all.
    pub(super) last_man: Option<At<Option<Duration>>>,
    pub(super) is_own: bool,
}

/// `vips`: with what each says of its vip lease.
pub(super) fn check<'a>(
    has_secret: bool,
    nodes: &[Node],
    vips: impl Iterator<Item = (&'a mut Vip, Wish)>,
    findings: &mut Vec<Diagnostic>,
) {
    let voters = deciders(nodes).len();
    let mut number = 0;
    for (vip, wish) in vips {
        if !vip.has_lease {
            findings.extend(wish.after.map(|(_, at)| not_by_votes(vip, at, "after")));
            let own = wish.last_man.filter(|_| wish.is_own);
            findings.extend(own.map(|(_, at)| not_by_votes(vip, at, "last_man")));
            continue;
        }
        findings.extend(last_man(vip, wish));
        let against = if has_secret {
            against(voters, number, vip.last_man.is_some())
        } else {
            let help = "write `trust_dir` (after `outlast init`) or `secret_file` in [cluster]";
            Some(("without a secret nobody can tell who grants it".to_owned(), help))
        };
        number += 1;
        if let (Some((why, help)), Some((_, at))) = (against, wish.has_lease) {
            let message = format!("`{}` cannot have a vip lease: {why}", vip.name);
            findings.push(Diagnostic::error(at, "no-vip-lease", message).help(help));
        }
    }
}

/// Two may hold it, and whoever asked for that is told so.
fn last_man(vip: &mut Vip, wish: Wish) -> Option<Diagnostic> {
    let (after, at) = wish.last_man?;
    vip.last_man = after;
    let name = &vip.name;
    after?;
    if vip.needs_proof {
        let message =
            format!("`{name}` asks for proof, and lets a node hold it of which nobody knows");
        let finding = Diagnostic::error(at, "last-man", message);
        return Some(finding.help("remove `after` or `last_man`"));
    }
    let message =
        format!("where nodes are cut from each other, two of them may hold `{name}` at once");
    let finding = Diagnostic::warning(at, "last-man", message);
    Some(
        finding
            .help("that is what `last_man` allows; without it nobody holds it without a majority"),
    )
}

/// Positions of those that may hold something.
pub(super) fn holders(nodes: &[Node]) -> Vec<usize> {
    (0..nodes.len()).filter(|node| nodes[*node].role == NodeRole::Controller).collect()
}

/// Voters in the `order` of an address.
pub(super) fn refuse_voters(names: &[At<String>], nodes: &[Node], findings: &mut Vec<Diagnostic>) {
    let is_voter =
        |name: &str| nodes.iter().any(|node| node.role == NodeRole::Voter && node.name == name);
    for (name, at) in names.iter().filter(|(name, _)| is_voter(name)) {
        let message = format!("{name} is a voter: it holds no virtual IP");
        let finding = Diagnostic::error(*at, "voter", message);
        findings.push(finding.help("leave it out here, or leave out its `role`"));
    }
}

/// A key that means something to a vip lease alone.
fn not_by_votes(vip: &Vip, at: Span, key: &str) -> Diagnostic {
    let message = format!("`{key}` is of a vip lease, and `{}` is held by VRRP", vip.name);
    Diagnostic::error(at, "no-vip-lease", message)
        .help(format!("add `lease = true`, or remove `{key}`"))
}

fn against(voters: usize, number: usize, last_man: bool) -> Option<(String, &'static str)> {
    if voters < 3 && !last_man {
        let why = "a majority of one or two controllers is all of them";
        Some((
            why.to_owned(),
            "a vip lease needs three, so that one of them may fail: add a small machine with `role = \"voter\"`",
        ))
    } else if voters > MOST_VOTERS {
        let why = format!("at most {MOST_VOTERS} controllers can grant it, and here are {voters}");
        Some((why, "more make nothing safer: leave `lease` out, or have fewer controllers"))
    } else if number >= MOST_LEASES {
        let why = format!("at most {MOST_LEASES} virtual IPs can have one");
        Some((why, "leave `lease` out of the least important ones"))
    } else {
        None
    }
}

/// After how long alone an address may be held without a majority; none: never.
pub(super) fn read_last_man(value: &Value<'_>) -> Result<Option<Duration>, Diagnostic> {
    let refused = || wrong(value, "\"deny\", \"allow\" or a time from \"1s\" to \"3600s\"");
    match value.get_ref().as_str() {
        Some("deny") => Ok(None),
        Some("allow") => Ok(Some(LAST_MAN_AFTER)),
        Some(_) => {
            let after = time(value).map_err(|_| refused())?;
            let may = (SOONEST_LAST_MAN..=LATEST_LAST_MAN).contains(&after);
            if may { Ok(Some(after)) } else { Err(refused()) }
        }
        None => Err(refused()),
    }
}

/// Three times as long as a crashed node takes to be known, if the file says nothing.
const LAST_MAN_AFTER: Duration = Duration::from_secs(3);
/// A switch that begins anew, or a machine that stands still, takes less.
const SOONEST_LAST_MAN: Duration = Duration::from_secs(1);
const LATEST_LAST_MAN: Duration = Duration::from_secs(3600);
