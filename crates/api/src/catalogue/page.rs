//! The page of all events.

use super::{EVENTS, EventKind};

/// The page `docs/reference/events.md`.
#[must_use]
pub fn page() -> String {
    let mut text = String::from(
        "# Events\n\n<!-- written by a test from the table in crates/api/src/catalogue.rs; \
         UPDATE_EXPECT=1 rewrites it -->\n\n\
         Every kind of event that `outlast events`, the dashboard and the log in `state_dir` show. An \
         event has `what` (the names below), `object` (`KIND/NAME`), `evidence`, `decision`, `action`, \
         `not_done`, the time, the node, and a number that counts without gaps.\n\n\
         | what | object | meaning | when a human must act |\n|---|---|---|---|\n",
    );
    for EventKind { name, about, meaning, act } in EVENTS {
        let act = act.unwrap_or("");
        text.push_str(&format!("| `{name}` | `{about}/...` | {meaning} | {act} |\n"));
    }
    text.push_str("\nNames do not change; texts may.\n");
    text
}
