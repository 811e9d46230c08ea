//! Routes that go with the addresses of a virtual IP.
//!
//! One that the kernel does not take costs nobody the address: it is told, and tried again when a device or an
//! address comes, and with each claim.

use config::vip::Route;
use sys::netlink::{Link, Netlink};

/// Makes those that are missing. What the kernel did not take, with its reason.
pub(super) fn make(netlink: &Netlink, routes: &[Route]) -> Vec<String> {
    each(netlink, routes, |route| match route {
        Some(route) => netlink.make_route(route).err().map(|error| error.to_string()),
        None => Some("there is no such device".to_owned()),
    })
}

/// Removes them; those of a device that is gone went with it. What the kernel keeps, with its reason.
pub(super) fn remove(netlink: &Netlink, routes: &[Route]) -> Vec<String> {
    each(netlink, routes, |route| Some(netlink.delete_route(route?).err()?.to_string()))
}

/// Does something with each route as the kernel wants it (none: its device is not there), and collects the failures.
fn each(
    netlink: &Netlink,
    routes: &[Route],
    act: impl Fn(Option<&sys::netlink::Route>) -> Option<String>,
) -> Vec<String> {
    if routes.is_empty() {
        return Vec::new();
    }
    let links = netlink.links();
    let failed = routes.iter().filter_map(|route| {
        let why = match &links {
            Ok(links) => act(plain(route, links).as_ref())?,
            Err(error) => format!("devices cannot be listed: {error}"),
        };
        Some(format!("{route}: {why}"))
    });
    failed.collect()
}

fn plain(route: &Route, links: &[Link]) -> Option<sys::netlink::Route> {
    let index = |name: &String| links.iter().find(|link| link.name == *name).map(|link| link.index);
    let index = match &route.device {
        Some(name) => Some(index(name)?),
        None => None,
    };
    Some(sys::netlink::Route {
        destination: route.destination,
        prefix: route.prefix,
        via: route.via,
        index,
        source: route.source,
        table: route.table,
        metric: route.metric,
        scope: route.scope,
        protocol: route.protocol,
    })
}
