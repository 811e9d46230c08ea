//! Who has the cluster's configuration, and gives each node its own: at a desk, to a machine that has just joined.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::roster::Member;

/// The files of one node in the newest generation: path beside the cluster file, and text. Passwords are in them, so
/// they are never shown.
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize)]
pub struct Configuration {
    pub generation: u64,
    pub files: BTreeMap<String, String>,
}

impl std::fmt::Debug for Configuration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.files.keys().collect();
        let mut shown = f.debug_struct("Configuration");
        shown.field("generation", &self.generation).field("files", &names).finish_non_exhaustive()
    }
}

/// Has the configuration, or does not.
pub trait Configurations {
    /// The files of this node, which has proven that it is that one and is in.
    ///
    /// # Errors
    /// Why there are none, in words for the operator of the other side.
    fn of(&self, member: &Member) -> Result<Configuration, String>;
}

/// A desk without a store beside it.
#[derive(Debug)]
pub struct NoStore;

impl Configurations for NoStore {
    fn of(&self, _: &Member) -> Result<Configuration, String> {
        Err("this desk has no configuration: ask a running node that holds the store".to_owned())
    }
}
