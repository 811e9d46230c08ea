//! What is said of a virtual IP with a vip lease.

use api::{Evidence, LeaseState, VipLine};

use super::super::{Ground, fact};

/// `engine::vip::lease` in one sentence.
pub(super) const RULE: &str = "who holds may answer for one vip lease after it sent the last beat that a majority of the controllers \
     granted, and each of them promised it to nobody else for longer; nobody takes it back (no fail-back)";

pub(super) fn evidence(ground: &Ground<'_>, line: &VipLine, told: &LeaseState) -> Vec<Evidence> {
    let object = format!("vip/{}", line.name);
    let name =
        |node: u16| ground.status.nodes.get(usize::from(node)).map(|n| n.state.node.as_str());
    let heard = match told.holder.map(|node| name(node).unwrap_or("a node that is not known")) {
        Some(holder) => format!("in vip beats {holder} holds it under term {}", line.state.term),
        None => format!("in vip beats nobody holds it; the last term is {}", line.state.term),
    };
    let young = "this node grants it to nobody yet: its vip process was just started";
    let enforced = match &told.not_enforced {
        None => "the kernel of this node ends its vip lease in time".to_owned(),
        Some(why) => format!("the vip lease is not enforced on this node: {why}"),
    };
    let gained = told.gained.as_ref().filter(|_| line.state.holding);
    let gained = gained.map(|gained| fact(gained.words(gained.from.and_then(name))));
    let young = (!told.votes).then(|| fact(young));
    let beats = ground.status.vip_process.as_ref().and_then(|process| process.beats.as_ref());
    let beats = beats.map(|beats| fact(beats.words()));
    let heard = std::iter::once(ground.heard(heard, &object));
    heard.chain(gained).chain(young).chain([fact(enforced)]).chain(beats).collect()
}

/// What gives it to this node.
pub(super) fn takes(node: &str) -> Vec<String> {
    vec![
        format!("{node} takes it at once when the holder names it"),
        format!(
            "{node} asks for it when its promise to the holder ends, one and a half vip leases after the holder's last beat"
        ),
    ]
}

/// What takes it from this one.
pub(super) fn loses(next: Option<&String>) -> Vec<String> {
    let silent = next.map(|next| {
        format!("{next} takes it when the others hear each other on its network and not this node, which they hear elsewhere")
    });
    let gone = match next {
        Some(next) => {
            format!(
                "it is gone here one vip lease after the last beat that a majority granted, and {next} asks for it"
            )
        }
        None => {
            "it is gone here one vip lease after the last beat that a majority granted".to_owned()
        }
    };
    silent.into_iter().chain([gone]).collect()
}
