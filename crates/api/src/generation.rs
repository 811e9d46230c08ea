//! Generations of the cluster's configuration, as they lie in the store and beside a node's files.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The name of the cluster file in every generation, whatever a node's own is called.
pub const CLUSTER_FILE: &str = "outlast.toml";

/// A configuration that was committed for all nodes; what it says is a [`Content`].
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Generation {
    /// Counts from 1.
    pub number: u64,
    /// When it was committed, milliseconds since 1970 (UTC) by the clock of the node it was typed on.
    pub at_ms: u64,
    /// `USER@HOST`.
    pub who: String,
    pub why: String,
    /// A rollback: the generation whose content it has again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// Files of a node that no generation knows are replaced, too; once, and what was there is kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
    /// SHA-256 of the content before it is sealed, hexadecimal.
    pub digest: String,
    /// Of the content before it is sealed.
    pub bytes: u64,
    /// The key of the cluster under which the content is sealed; none: it lies in the store as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// The files of a generation. A text that several nodes have is there once.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Content {
    pub texts: Vec<String>,
    /// Per node: the files beside its cluster file, each with its position among the texts.
    pub nodes: BTreeMap<String, BTreeMap<String, u32>>,
}

/// The files of one node: path beside the cluster file, and text.
pub type Files = BTreeMap<String, String>;

impl Content {
    #[must_use]
    pub fn new(nodes: BTreeMap<String, Files>) -> Self {
        let mut content = Self::default();
        for (node, files) in nodes {
            let files = files.into_iter().map(|(path, text)| {
                let known = content.texts.iter().position(|known| *known == text);
                let at = known.unwrap_or(content.texts.len());
                if at == content.texts.len() {
                    content.texts.push(text);
                }
                (path, u32::try_from(at).unwrap_or(u32::MAX))
            });
            let files = files.collect();
            content.nodes.insert(node, files);
        }
        content
    }

    /// None: it has no files for this node.
    #[must_use]
    pub fn of(&self, node: &str) -> Option<Files> {
        let text = |at: u32| self.texts.get(usize::try_from(at).ok()?).cloned();
        let files = self.nodes.get(node)?.iter();
        files.map(|(path, at)| Some((path.clone(), text(*at)?))).collect()
    }
}

/// What a node says of its configuration, under `config/node/NAME` in the store.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Applied {
    /// The newest generation that it has looked at.
    pub seen: u64,
    /// The generation that it runs; none: files of no generation.
    pub runs: Option<u64>,
    /// Why it does not run the one that it has seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// What is to be known besides: files that were changed since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Milliseconds since 1970 (UTC) by its own clock.
    pub at_ms: u64,
}

/// The newest generation, as it is brought to one node that has no store.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Brought {
    pub generation: Generation,
    /// None: it has no files for that node.
    pub files: Option<Files>,
}

/// Which generation the files beside it are of; lies in `.outlast` beside a node's cluster file.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Note {
    pub number: u64,
    /// SHA-256 of each, hexadecimal.
    pub files: BTreeMap<String, String>,
    /// Files of the generation before that this one has not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<String>,
}
