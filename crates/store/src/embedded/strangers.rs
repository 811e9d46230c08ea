//! Nodes of the cluster that have another store: left out of a restore, or restored from another revision.

use std::collections::BTreeMap;
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
                Err(text("it", own, theirs, "the asking node"))
            }
            (Some(_) | None, Some(_) | None) => {
                refused.remove(&node);
                Ok(())
            }
        }
    }

    /// For operators.
    pub(crate) fn text(&self, name: impl Fn(NodeId) -> String) -> Option<String> {
        let refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let words = refused
            .iter()
            .map(|(node, (own, theirs))| text("this node", *own, *theirs, &name(*node)));
        let words: Vec<_> = words.collect();
        (!words.is_empty()).then(|| words.join("; "))
    }
}

/// A later restore has a greater number, so it is known who was left out.
fn text(here: &str, own: Incarnation, theirs: Incarnation, there: &str) -> String {
    let (old, new) = if own < theirs { (here, there) } else { (there, here) };
    format!(
        "{here} has store {own}, {there} has store {theirs}, and they do not speak: {old} was left out of a \
         restore, or restored from another revision than {new}; restore it like the others, or remove its \
         store's folder"
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
        assert_eq!(strangers.text(name), None);
        let told = strangers.admit(2, Some(7), Some(0)).unwrap_err();
        assert!(told.starts_with("it has store 7, the asking node has store 0"), "{told}");
        assert!(told.contains("the asking node was left out of a restore"), "{told}");
        let shown = strangers.text(name).unwrap();
        assert!(shown.contains("node02 was left out of a restore"), "{shown}");
        strangers.admit(3, Some(7), Some(9)).unwrap_err();
        assert!(strangers.text(name).unwrap().contains("this node was left out of a restore"));
        assert_eq!(strangers.admit(2, Some(7), None), Ok(()), "it holds nothing any more");
        assert_eq!(strangers.admit(3, Some(9), Some(9)), Ok(()), "this node was restored since");
        assert_eq!(strangers.text(name), None);
    }
}
