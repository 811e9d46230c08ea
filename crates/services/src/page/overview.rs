//! The page that hangs on the wall: nodes by networks, addresses, pools, events.

use super::{Fragment, View, absent, addresses, events, nodes, pools};

/// Beside everything else.
const EVENTS: usize = 11;

pub(super) fn parts(view: &View, parts: &mut Vec<Fragment>) {
    let status = view.heard.status.as_deref();
    let or_absent = |id, part: Option<Fragment>| part.unwrap_or_else(|| absent(id));
    let with_nodes = status.filter(|status| !status.nodes.is_empty());
    parts.push(or_absent("nodes", with_nodes.map(|status| nodes::fragment(view, status))));
    let with_vips = status.filter(|status| !status.vips.is_empty());
    parts.push(or_absent("addresses", with_vips.map(addresses::fragment)));
    let with_pools = status.filter(|status| !status.servers.is_empty());
    parts.push(or_absent("pools", with_pools.map(pools::fragment)));
    parts.push(events::newest(view, EVENTS));
}
