//! Routes and rules that go with the addresses of a virtual IP.
//!
//! One that the kernel does not take costs nobody the address: it is told, and tried again when a device or an
//! address comes, and with each claim.

use config::vip::{Route, Rule, Then, Way};
use sys::netlink::{Link, Netlink};

/// What became of some of them.
#[derive(Debug, Default)]
pub(crate) struct Made {
    /// They were not there.
    pub(crate) made: Vec<String>,
    /// What the kernel did not take, with its reason.
    pub(crate) failed: Vec<String>,
}

/// Makes those that are missing.
pub(crate) fn make(netlink: &Netlink, ways: &[Way]) -> Made {
    let mut done = Made::default();
    let Some(links) = links_for(netlink, ways, &mut done.failed) else { return done };
    for way in ways {
        let made = match way {
            Way::Rule(rule) => netlink.make_rule(&plain_rule(rule)),
            Way::Route(route) => match plain(route, &links) {
                Some(route) => netlink.make_route(&route),
                None => {
                    done.failed.push(format!("{way}: there is no such device"));
                    continue;
                }
            },
        };
        match made {
            Ok(true) => done.made.push(way.to_string()),
            Ok(false) => {}
            Err(error) => done.failed.push(format!("{way}: {error}")),
        }
    }
    done
}

/// Removes them; routes of a device that is gone went with it. What the kernel keeps, with its reason.
pub(crate) fn remove(netlink: &Netlink, ways: &[Way]) -> Vec<String> {
    let mut failed = Vec::new();
    let Some(links) = links_for(netlink, ways, &mut failed) else { return failed };
    for way in ways {
        let removed = match way {
            Way::Rule(rule) => netlink.delete_rule(&plain_rule(rule)),
            Way::Route(route) => match plain(route, &links) {
                Some(route) => netlink.delete_route(&route),
                None => continue,
            },
        };
        if let Err(error) = removed {
            failed.push(format!("{way}: {error}"));
        }
    }
    failed
}

/// The devices, if they are needed; none: that was impossible, and is told.
fn links_for(netlink: &Netlink, ways: &[Way], failed: &mut Vec<String>) -> Option<Vec<Link>> {
    if ways.iter().all(|way| matches!(way, Way::Rule(_))) {
        return Some(Vec::new());
    }
    match netlink.links() {
        Ok(links) => Some(links),
        Err(error) => {
            let told = |way: &Way| format!("{way}: devices cannot be listed: {error}");
            failed.extend(ways.iter().map(told));
            None
        }
    }
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

fn plain_rule(rule: &Rule) -> sys::netlink::Rule<'_> {
    sys::netlink::Rule {
        is_v6: rule.is_v6,
        is_inverted: rule.is_inverted,
        priority: rule.priority,
        from: rule.from,
        to: rule.to,
        input: rule.input.as_deref(),
        output: rule.output.as_deref(),
        mark: rule.mark,
        tos: rule.tos,
        then: match rule.then {
            Then::Table(table) => sys::netlink::Then::Table(table),
            Then::Nothing => sys::netlink::Then::Nothing,
            Then::Blackhole => sys::netlink::Then::Blackhole,
            Then::Unreachable => sys::netlink::Then::Unreachable,
            Then::Prohibit => sys::netlink::Then::Prohibit,
        },
        suppressed: rule.suppressed,
        protocol: rule.protocol,
    }
}
