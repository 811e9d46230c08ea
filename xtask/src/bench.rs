//! `cargo xtask bench`.
use crate::shell::Outcome;
pub(crate) fn run(_scenario: &str, _against_stock: bool) -> Outcome {
    Ok(())
}
