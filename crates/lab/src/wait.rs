//! Waiting for a condition, never for a time to pass.

use std::time::Duration;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Looks until `condition` holds; false when it did not within `limit`.
pub(crate) fn until(limit: Duration, condition: impl FnMut() -> bool) -> bool {
    until_looking(LOOK_EVERY, limit, condition)
}

/// The same, looking so often: what is looked at may be disturbed by that.
pub(crate) fn until_looking(
    every: Duration,
    limit: Duration,
    mut condition: impl FnMut() -> bool,
) -> bool {
    let end = sys::clock::now() + limit;
    loop {
        if condition() {
            return true;
        }
        if sys::clock::now() >= end {
            return false;
        }
        std::thread::sleep(every);
    }
}
