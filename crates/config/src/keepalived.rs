//! keepalived's language: virtual IPs.

pub use model::{
    Authentication, Global, Instance, Keepalived, ScriptBlock, State, SyncGroup, Track,
};

use crate::{Diagnostic, Source};

mod model;

/// Reads the file with number `file` in findings.
#[must_use]
pub fn parse(source: &Source, file: usize) -> (Keepalived, Vec<Diagnostic>) {
    let _ = (source, file);
    (Keepalived::default(), Vec::new())
}

/// Whether `word` opens a block of this language.
pub(crate) fn is_block(word: &str) -> bool {
    matches!(word, "global_defs" | "vrrp_instance" | "vrrp_script" | "vrrp_sync_group")
}
