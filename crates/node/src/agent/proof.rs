//! Proofs of death, as the store has them or a member of it brought them: what the machines are told.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use api::proof::Proof;
use api::{Event, Evidence, Opinion, Report, Verdict};
use engine::gossip;
use engine::kv::Item;
use engine::member::Input;
use engine::verdict::{Death, PROOFS, Proof as Committed, RULES};

use super::core::Core;
use super::{Agent, lock};

/// Proofs of death as this node knows them, and what of them was told.
#[derive(Debug, Default)]
pub(super) struct Proofs {
    all: Vec<Proof>,
    /// The store was read, or a member of it brought what it has; before, nothing is told.
    are_known: bool,
    /// Their entries, as last told to the machines of this agent.
    proven: BTreeMap<u16, NonZeroU64>,
    /// Names, as last told to the other processes.
    told: Option<Vec<String>>,
    /// Whether this node coordinates, as last told to the vip process.
    coordinates: Option<bool>,
}

impl Proofs {
    pub(super) fn learn(&mut self, all: Vec<Proof>) {
        (self.all, self.are_known) = (all, true);
    }
}

/// What stands in the store; one that cannot be read is of a newer version, and proves nothing here.
pub(super) fn read(items: &[(String, Item)]) -> Vec<Proof> {
    let proof = |(key, item): &(String, Item)| {
        let proof: Proof = api::decode(&item.value).ok()?;
        let is_of_key = key.strip_prefix(PROOFS) == Some(proof.node.as_str());
        is_of_key.then_some(Proof { entry: item.changed, ..proof })
    };
    items.iter().filter_map(proof).collect()
}

impl Agent<'_> {
    /// Machines, vip process and balancers hear who is proven dead, this node too, whenever that changes.
    pub(super) fn are_proven(&mut self) {
        let (proven, told) = {
            let mut core = lock(&self.core);
            (core.newly_proven(), core.newly_told())
        };
        for (node, proof) in proven {
            self.step(Input::Proven { node, proof });
            self.gossip(gossip::Input::Proven { node, proof });
        }
        if let Some((names, event)) = told {
            event.into_iter().for_each(|event| self.journal.add(event));
            self.tell(&Report::Proven(names));
        }
    }
}

impl Agent<'_> {
    /// The vip process hears whether this node coordinates, as the store says, whenever that changes.
    pub(super) fn coordinates(&self) {
        let news = {
            let mut core = lock(&self.core);
            let me = core.picture.names.get(usize::from(core.me));
            let node = core.coordinator.as_ref().map(|shown| &shown.node);
            let now = me.is_some() && node == me;
            (core.proofs.coordinates.replace(now) != Some(now)).then_some(now)
        };
        if let Some(on) = news {
            self.tell(&Report::Coordinates(on));
        }
    }
}

impl Core {
    /// Nodes of which something else is proven now than the machines were told.
    fn newly_proven(&mut self) -> Vec<(u16, Option<Committed>)> {
        let entry = |proof: &Proof| NonZeroU64::new(proof.entry);
        let proven = |name: &String| self.proof_of(name).and_then(entry);
        let names = (0..).zip(&self.picture.names).filter(|(at, _)| *at != self.me);
        let now: BTreeMap<u16, NonZeroU64> =
            names.filter_map(|(at, name)| Some((at, proven(name)?))).collect();
        let before = std::mem::replace(&mut self.proofs.proven, now);
        let now = &self.proofs.proven;
        let gone = before.keys().filter(|at| !now.contains_key(at)).map(|at| (*at, None));
        let new = now.iter().filter(|(at, entry)| before.get(at) != Some(entry));
        let proof = |entry: &NonZeroU64| Some(Committed::committed(*entry, Death::Operator));
        gone.chain(new.map(|(at, entry)| (*at, proof(entry)))).collect()
    }

    /// Names of all that are proven dead, if others than the processes were told; and what of that concerns this node.
    fn newly_told(&mut self) -> Option<(Vec<String>, Option<Event>)> {
        if !self.proofs.are_known {
            return None;
        }
        let names = self.picture.names.iter();
        let now: Vec<String> =
            names.filter(|name| self.proof_of(name).is_some()).cloned().collect();
        if self.proofs.told.as_ref() == Some(&now) {
            return None;
        }
        let before = self.proofs.told.replace(now.clone()).unwrap_or_default();
        let me = self.picture.names.get(usize::from(self.me))?;
        let (was, is) = (before.contains(me), now.contains(me));
        Some((now, (was != is).then(|| self.own_proof(me, is))))
    }

    /// This node is said to be dead, or no more.
    fn own_proof(&self, me: &str, is_dead: bool) -> Event {
        let word = self.word_of_proof(me).map(|word| word.what).unwrap_or_default();
        let object = format!("node/{me}");
        if is_dead {
            return Event {
                what: "node-verdict".to_owned(),
                object,
                evidence: word,
                decision: "this node is proven-dead, though it runs; rule proven-dead".to_owned(),
                action: "hold no address; be named by nobody; take no new requests".to_owned(),
                not_done: format!(
                    "nothing is ended here; `outlast node confirm-off {me} --undo` takes it back"
                ),
                ..Event::default()
            };
        }
        Event {
            what: "node-verdict".to_owned(),
            object,
            evidence: "nobody confirms any more that this node is off".to_owned(),
            decision: "this node is alive, before proven-dead".to_owned(),
            action: "take on again what comes".to_owned(),
            not_done: "nothing is taken back".to_owned(),
            ..Event::default()
        }
    }

    /// The verdict on this node, where it is one that others have and all act on.
    pub(super) fn own_opinion(&self) -> Option<Opinion> {
        let me = self.picture.names.get(usize::from(self.me))?;
        let rule = RULES[0].name.to_owned();
        self.proof_of(me).map(|_| Opinion { verdict: Verdict::ProvenDead, networks: vec![], rule })
    }

    /// Proofs of machines after which another one has joined under their name.
    pub(super) fn outlived_proofs(&self, roster: &trust::Roster) -> Vec<Proof> {
        let is_outlived = |proof: &&Proof| {
            roster.find(&proof.node).is_some_and(|member| proof.is_outlived_by(member.joined_ms))
        };
        self.proofs.all.iter().filter(is_outlived).cloned().collect()
    }

    pub(super) fn proof_of(&self, name: &str) -> Option<&Proof> {
        self.proofs.all.iter().find(|proof| proof.node == name)
    }

    /// Whose word it is, for `why`.
    pub(super) fn word_of_proof(&self, name: &str) -> Option<Evidence> {
        let proof = self.proof_of(name)?;
        let (who, Proof { why, at_ms, .. }) = (proof.whose(), proof);
        let said = format!("{who} confirmed that it is off: {why}");
        let age_ms = Some(sys::clock::wall_ms().saturating_sub(*at_ms));
        Some(Evidence { what: said, age_ms })
    }

    /// What this node has to say about a proof of its own death.
    pub(super) fn is_said_to_be_dead(&self) -> Option<String> {
        let name = self.picture.names.get(usize::from(self.me))?;
        let proof = self.proof_of(name)?;
        let (who, why) = (proof.whose(), &proof.why);
        Some(format!(
            "{who} confirmed that this node is off ({why}), and it runs: it holds no address, and its servers get no \
             new request while another is up, until `outlast node confirm-off {name} --undo`"
        ))
    }
}
