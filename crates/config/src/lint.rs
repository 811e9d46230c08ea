//! What several files together get wrong.

use crate::{Diagnostic, Loaded};

/// All findings of this kind.
#[must_use]
pub fn check(_loaded: &Loaded) -> Vec<Diagnostic> {
    Vec::new()
}
