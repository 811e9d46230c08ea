//! Listeners against each other, and against the addresses that somebody holds.

use std::collections::HashSet;
use std::net::IpAddr;

use super::{listeners, virtual_ips};
use crate::haproxy::Haproxy;
use crate::{Diagnostic, Loaded};

/// Two listeners at one place share its connections by chance.
pub(super) fn twice(haproxy: &Haproxy, found: &mut Vec<Diagnostic>) {
    let mut seen: Vec<(&str, IpAddr, u16)> = Vec::new();
    for (proxy, ip, port, span) in listeners(haproxy) {
        let meets = |other: &IpAddr| {
            *other == ip
                || (ip.is_ipv4() == other.is_ipv4()
                    && (ip.is_unspecified() || other.is_unspecified()))
        };
        let clash = seen.iter().find(|(_, other, known)| *known == port && meets(other));
        if let Some((name, other, _)) = clash {
            let message = format!("`{name}` listens on {other} port {port} already");
            let finding = Diagnostic::warning(span, "duplicate-listener", message);
            found.push(finding.help("give one of them another port").in_file(proxy.file));
        } else {
            seen.push((&proxy.name, ip, port));
        }
    }
}

/// Every address that is bound must be held, and every virtual IP that is held must be bound.
pub(super) fn addresses(loaded: &Loaded, found: &mut Vec<Diagnostic>) {
    let Some(haproxy) = &loaded.haproxy else { return };
    let vips = virtual_ips(loaded);
    let bound: Vec<_> = listeners(haproxy).collect();
    if vips.is_empty() && loaded.cluster.is_none() || bound.is_empty() {
        return;
    }
    let held: HashSet<IpAddr> =
        vips.iter().map(|(ip, ..)| *ip).chain(of_nodes(loaded, haproxy)).collect();
    let mut told = HashSet::new();
    for (proxy, ip, _, span) in &bound {
        if ip.is_unspecified() || ip.is_loopback() || held.contains(ip) || !told.insert(*ip) {
            continue;
        }
        let count = bound.iter().filter(|(_, other, ..)| other == ip).count();
        let listeners = match count {
            1 => format!("`{}` listens", proxy.name),
            2 => format!("`{}` and one more listen", proxy.name),
            _ => format!("`{}` and {} more listen", proxy.name, count - 1),
        };
        let message = format!("{listeners} on {ip}, which nobody holds");
        let ips: Vec<String> = vips.iter().map(|(ip, ..)| ip.to_string()).collect();
        let help = if ips.is_empty() {
            "no virtual IP and no node has this address".to_owned()
        } else {
            format!("the virtual IP is {}; write that, or a node's address", ips.join(", "))
        };
        let finding = Diagnostic::warning(*span, "address-not-held", message);
        found.push(finding.help(help).in_file(proxy.file));
    }
    for (vip, file, span) in &vips {
        let served = bound
            .iter()
            .any(|(_, ip, ..)| ip == vip || (ip.is_unspecified() && ip.is_ipv4() == vip.is_ipv4()));
        if !served {
            let message = format!("nothing listens on the virtual IP {vip}");
            let finding = Diagnostic::warning(*span, "vip-not-bound", message);
            let help = format!("write `bind {vip}:PORT` in a proxy, or change the virtual IP");
            found.push(finding.help(help).in_file(*file));
        }
    }
}

/// Addresses of nodes. Without a cluster file the servers are taken for nodes: in the clouds that
/// these files come from, the controllers are both.
fn of_nodes(loaded: &Loaded, haproxy: &Haproxy) -> Vec<IpAddr> {
    match &loaded.cluster {
        Some(cluster) => {
            cluster.nodes.iter().flat_map(|node| node.addresses.iter().flatten().copied()).collect()
        }
        None => {
            let servers = haproxy.proxies.iter().flat_map(|proxy| &proxy.servers);
            servers.map(|server| server.address.ip()).collect()
        }
    }
}
