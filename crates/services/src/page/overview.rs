//! The page that hangs on the wall: nodes by networks, addresses, pools, events.

use super::{Fragment, View, addresses, events, nodes, pools};

/// Beside everything else.
const EVENTS: usize = 14;

pub(super) fn parts(view: &View, parts: &mut Vec<Fragment>) {
    let Some(status) = &view.heard.status else {
        parts.push(events::newest(view, EVENTS));
        return;
    };
    if !status.nodes.is_empty() {
        parts.push(nodes::fragment(view, status));
    }
    if !status.vips.is_empty() {
        parts.push(addresses::fragment(view, status));
    }
    if !status.servers.is_empty() {
        parts.push(pools::fragment(status));
    }
    parts.push(events::newest(view, EVENTS));
}
