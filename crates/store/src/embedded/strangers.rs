//! Nodes of the cluster that have another store: left out of a restore, or restored from another revision.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::disk::owner::Incarnation;
use super::types::{MAX_MEMBERS, NodeId};

/// Those that were refused last, until they are admitted. Handles of one list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Strangers(Arc<Mutex<BTreeMap<NodeId, (Incarnation, Incarnation)>>>);

impl Strangers {
    /// Whether a node may speak: it has the same store, or one of the two has none yet. Else what it is told.
    pub(crate) fn admit(
        &self,
        node: NodeId,
        own: Option<Incarnation>,
        theirs: Option<Incarnation>,
    ) -> Result<(), String> {
        let mut refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match (own, theirs) {
            (Some(own), Some(theirs)) if own != theirs => {
                if refused.len() < MAX_MEMBERS || refused.contains_key(&node) {
                    refused.insert(node, (own, theirs));
                }
                let empties = "remove its store's folder";
                Err(text(("it", own), ("the asking node", theirs), empties))
            }
            (Some(_) | None, Some(_) | None) => {
                refused.remove(&node);
                Ok(())
            }
        }
    }

    /// Those that were refused and not admitted since.
    pub(crate) fn nodes(&self) -> Vec<NodeId> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }

    /// That node has admitted this one: it has the same store, or none.
    pub(crate) fn admitted_by(&self, node: NodeId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&node);
    }

    /// For operators, once for all nodes that have the same store. `folder`: that of the own one.
    pub(crate) fn text(
        &self,
        name: impl Fn(NodeId) -> String,
        folder: Option<&Path>,
    ) -> Option<String> {
        let refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stores: BTreeMap<(Incarnation, Incarnation), Vec<String>> = BTreeMap::new();
        for (node, store) in refused.iter() {
            stores.entry(*store).or_default().push(name(*node));
        }
        let words = stores.into_iter().map(|((own, theirs), nodes)| {
            let empties = match folder.filter(|_| own < theirs) {
                Some(folder) => format!("remove {}", folder.display()),
                None => "remove its store's folder".to_owned(),
            };
            text(("this node", own), (&and(&nodes), theirs), &empties)
        });
        let words: Vec<_> = words.collect();
        (!words.is_empty()).then(|| words.join("; "))
    }
}

/// `a, b and c`.
fn and(names: &[String]) -> String {
    match names.split_last() {
        Some((last, before)) if !before.is_empty() => format!("{} and {last}", before.join(", ")),
        Some(_) | None => names.concat(),
    }
}

/// A later restore has a greater number, so it is known who was left out.
fn text(
    (here, own): (&str, Incarnation),
    (there, theirs): (&str, Incarnation),
    empties: &str,
) -> String {
    let (old, new) = if own < theirs { (here, there) } else { (there, here) };
    let verb = if old.contains(" and ") { "were" } else { "was" };
    let has = if there.contains(" and ") { "have" } else { "has" };
    format!(
        "{here} has store {own}, {there} {has} store {theirs}, and they do not speak: {old} {verb} left out of a \
         restore, or restored from another revision than {new}; restore it like the others, or {empties}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_another_store_is_refused_by_name_until_it_has_this_one_or_none() {
        let strangers = Strangers::default();
        let name = |node: NodeId| format!("node0{node}");
        assert_eq!(strangers.admit(2, Some(7), Some(7)), Ok(()));
        assert_eq!(strangers.admit(2, None, Some(7)), Ok(()));
        assert_eq!(strangers.text(name, None), None);
        let told = strangers.admit(2, Some(7), Some(0)).unwrap_err();
        assert!(told.starts_with("it has store 7, the asking node has store 0"), "{told}");
        assert!(told.contains("the asking node was left out of a restore"), "{told}");
        let shown = strangers.text(name, None).unwrap();
        assert!(shown.contains("node02 was left out of a restore"), "{shown}");
        strangers.admit(3, Some(7), Some(9)).unwrap_err();
        let folder = Some(Path::new("/var/lib/outlast/cloud/store"));
        let shown = strangers.text(name, folder).unwrap();
        assert!(shown.contains("this node was left out of a restore"), "{shown}");
        assert!(shown.ends_with("or remove /var/lib/outlast/cloud/store"), "{shown}");
        assert!(shown.contains("or remove its store's folder; this node has"), "{shown}");
        assert_eq!(strangers.admit(2, Some(7), None), Ok(()), "it holds nothing any more");
        assert_eq!(strangers.admit(3, Some(9), Some(9)), Ok(()), "this node was restored since");
        assert_eq!(strangers.text(name, None), None);
        // Two that have the same store are told in one sentence.
        for node in [1, 2] {
            strangers.admit(node, Some(7), Some(9)).unwrap_err();
        }
        let shown = strangers.text(name, folder).unwrap();
        assert_eq!(
            shown,
            "this node has store 7, node01 and node02 have store 9, and they do not speak: this node was left \
             out of a restore, or restored from another revision than node01 and node02; restore it like the \
             others, or remove /var/lib/outlast/cloud/store"
        );
        strangers.admitted_by(2);
        assert_eq!(strangers.nodes(), [1]);
        assert!(strangers.text(name, folder).unwrap().contains("node01 has store 9"));
    }
}
