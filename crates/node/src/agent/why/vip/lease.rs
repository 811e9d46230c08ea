//! What is said of a virtual IP with a vip lease.

use api::{Evidence, Gained, LeaseState, VipLine};

use super::super::{Ground, fact, seen};
use crate::agent::names::VipName;

/// `engine::vip::lease` in one sentence.
pub(super) const RULE: &str = "who holds may answer for one vip lease after it sent the last beat that a majority of the controllers \
     granted, and each of them promised it to nobody else for longer; nobody takes it back (no fail-back)";

pub(super) fn evidence(ground: &Ground<'_>, line: &VipLine, told: &LeaseState) -> Vec<Evidence> {
    let object = format!("vip/{}", line.name);
    let name = |node: u16| name(ground, node);
    let heard = match told.holder.map(|node| name(node).unwrap_or("a node that is not known")) {
        Some(holder) => format!("in vip beats {holder} holds it under term {}", line.state.term),
        None => format!("in vip beats nobody holds it; the last term is {}", line.state.term),
    };
    let young = "this node grants it to nobody yet: its vip process was just started";
    let enforced = match &told.not_enforced {
        _ if told.votes_only => "this node grants it to others: it is not in `order`".to_owned(),
        None => "the kernel of this node ends its vip lease in time".to_owned(),
        Some(why) => format!("the vip lease is not enforced on this node: {why}"),
    };
    let gained = told.gained.as_ref().filter(|_| line.state.holding);
    let lapsed = gained.and_then(|gained| gained.lapsed).and_then(name);
    let lapsed = lapsed.map(|of| fact(Gained::lapse(of).to_string()));
    let gained = gained.map(|gained| fact(gained.words(gained.from.and_then(name))));
    let gained = gained.into_iter().chain(lapsed);
    let young = (!told.votes).then(|| fact(young));
    let beats = ground.status.vip_process.as_ref().and_then(|process| process.beats.as_ref());
    let beats = beats.map(|beats| fact(beats.words()));
    let process = ground.status.vip_process.as_ref();
    let led = ground.status.store.as_ref().map(|store| store.leader.is_some());
    let voters = process.and_then(|process| process.voters.as_ref());
    let voters = voters.map(|voters| fact(voters.words(led)));
    let voters = voters.into_iter().chain(ground.status.voters_wait.clone().map(fact));
    let awaits = told.awaits.and_then(name).map(|awaited| {
        let told = format!("{awaited} may hold it, is not heard, and is not proven dead");
        ground.heard(told, &object)
    });
    let alone = told.alone.then(|| {
        let told = "it is held without a majority: where nodes are cut from each other, another one may hold it too";
        ground.heard(told.to_owned(), &object)
    });
    let left = ground.status.vip_process.as_ref();
    let left = left.and_then(|process| {
        let left = process.left(line.state.instance)?;
        Some(seen(left.words(), process.age_ms))
    });
    let heard = std::iter::once(ground.heard(heard, &object)).chain(alone).chain(awaits);
    let heard = heard.chain(gained).chain(left).chain(young).chain([fact(enforced)]);
    heard.chain(beats).chain(voters).collect()
}

/// Where it should be beside others, and whose word is above that.
pub(super) fn place(line: &VipLine, file: &VipName) -> Vec<Evidence> {
    let stays = line.stays().then(|| {
        format!(
            "an operator moved it there, so that does not move it until `outlast move vip/{} --anywhere`, or its node lets \
             it go",
            line.name
        )
    });
    file.place.iter().cloned().chain(stays).map(fact).collect()
}

fn name<'a>(ground: &'a Ground<'_>, node: u16) -> Option<&'a str> {
    ground.status.nodes.get(usize::from(node)).map(|line| line.state.node.as_str())
}

/// What gives it to this node.
pub(super) fn takes(ground: &Ground<'_>, node: &str, told: &LeaseState) -> Vec<String> {
    if told.votes_only {
        return vec![format!("nothing gives it to {node} but a place in `order`")];
    }
    if let Some(awaited) = told.awaits.and_then(|awaited| name(ground, awaited)) {
        return vec![
            format!(
                "{node} asks for it when somebody who saw that {awaited} is off types `outlast node confirm-off {awaited} --i-know-it-is-off`"
            ),
            format!("{node} asks for it when {awaited} is heard, and says that it holds nothing"),
        ];
    }
    vec![
        format!("{node} takes it at once when the holder names it"),
        format!(
            "{node} asks for it when its promise to the holder ends, one and a half vip leases after the holder's last beat"
        ),
    ]
}

/// What takes it from this one.
pub(super) fn loses(next: Option<&String>, told: &LeaseState) -> Vec<String> {
    if told.alone {
        return vec![
            "another node that holds it by votes is heard: this one lets go at once".to_owned(),
            "others are heard, and no majority grants it within half a second".to_owned(),
        ];
    }
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
