//! Proofs of death, as the store has them or a member of it brought them: what the machines are told.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use api::Evidence;
use api::proof::Proof;
use engine::kv::Item;
use engine::verdict::{Death, PROOFS, Proof as Committed};

use super::core::Core;

/// What stands in the store; one that cannot be read is of a newer version, and proves nothing here.
pub(super) fn read(items: &[(String, Item)]) -> Vec<Proof> {
    let proof = |(key, item): &(String, Item)| {
        let proof: Proof = api::decode(&item.value).ok()?;
        let is_of_key = key.strip_prefix(PROOFS) == Some(proof.node.as_str());
        is_of_key.then_some(Proof { entry: item.changed, ..proof })
    };
    items.iter().filter_map(proof).collect()
}

impl Core {
    /// Nodes of which something else is proven now than the machines were told.
    pub(super) fn newly_proven(&mut self) -> Vec<(u16, Option<Committed>)> {
        let entry = |proof: &Proof| NonZeroU64::new(proof.entry);
        let proven = |name: &String| self.proof_of(name).and_then(entry);
        let names = (0..).zip(&self.picture.names).filter(|(at, _)| *at != self.me);
        let now: BTreeMap<u16, NonZeroU64> =
            names.filter_map(|(at, name)| Some((at, proven(name)?))).collect();
        let before = std::mem::replace(&mut self.proven, now);
        let gone = before.keys().filter(|at| !self.proven.contains_key(at)).map(|at| (*at, None));
        let new = self.proven.iter().filter(|(at, entry)| before.get(at) != Some(entry));
        let proof = |entry: &NonZeroU64| Some(Committed::committed(*entry, Death::Operator));
        gone.chain(new.map(|(at, entry)| (*at, proof(entry)))).collect()
    }

    pub(super) fn proof_of(&self, name: &str) -> Option<&Proof> {
        self.proofs.iter().find(|proof| proof.node == name)
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
            "{who} confirmed that this node is off ({why}), and it runs: nobody counts on it until \
             `outlast node confirm-off {name} --undo`"
        ))
    }
}
