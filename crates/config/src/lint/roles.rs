//! Roles that one machine has alone, and services that a balancer does not help.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::haproxy::{BindAddress, Haproxy, Mode, Proxy};
use crate::{Diagnostic, Loaded};

/// AMQP and AMQP over TLS (IANA).
const AMQP: [u16; 2] = [5672, 5671];

/// A virtual IP that only one node may hold goes down with it.
pub(super) fn nodes(loaded: &Loaded, found: &mut Vec<Diagnostic>) {
    let Some(cluster) = &loaded.cluster else { return };
    for vip in &cluster.vips {
        let [only] = vip.order.as_slice() else { continue };
        let name = cluster.nodes.get(*only).map_or("?", |node| node.name.as_str());
        let message = format!("only {name} may hold `{}`: nobody takes it over", vip.name);
        let help = match cluster.controllers().len() {
            0 | 1 => "add a second [node.NAME]",
            _ => "name a second node in `order`, or leave `order` out",
        };
        let finding = Diagnostic::warning(vip.span, "single-node", message);
        found.push(finding.help(help).in_file(loaded.cluster_file));
    }
}

/// Several servers on one machine are one server when it dies.
pub(super) fn machines(haproxy: &Haproxy, found: &mut Vec<Diagnostic>) {
    for proxy in haproxy.proxies.iter().filter(|proxy| !proxy.disabled) {
        let machines: BTreeSet<IpAddr> =
            proxy.servers.iter().map(|server| server.address.ip()).collect();
        let (Some(machine), 1, 2..) = (machines.first(), machines.len(), proxy.servers.len())
        else {
            continue;
        };
        // There is no second machine behind these, in tests and behind tunnels.
        if machine.is_loopback() || machine.is_unspecified() {
            continue;
        }
        let message = format!("all servers of `{}` are on {machine}", proxy.name);
        let finding = Diagnostic::warning(proxy.span, "single-node", message);
        found.push(finding.help("add a server on another machine").in_file(proxy.file));
    }
}

/// Clients of a message queue have a list of its brokers and change by themselves; a balancer
/// between them only adds timeouts to connections that are meant to be idle.
pub(super) fn queues(haproxy: &Haproxy, found: &mut Vec<Diagnostic>) {
    for proxy in haproxy.proxies.iter().filter(|proxy| !proxy.disabled && !proxy.servers.is_empty())
    {
        if proxy.mode == Mode::Http || !speaks_amqp(proxy) {
            continue;
        }
        let brokers: Vec<String> =
            proxy.servers.iter().map(|server| server.address.to_string()).collect();
        let message = format!("`{}` balances AMQP, which its clients do themselves", proxy.name);
        let help = format!(
            "name all brokers in the clients' `transport_url`: {}; then remove this proxy",
            brokers.join(", ")
        );
        let finding = Diagnostic::note(proxy.span, "amqp-balanced", message);
        found.push(finding.help(help).in_file(proxy.file));
    }
}

fn speaks_amqp(proxy: &Proxy) -> bool {
    let bound = proxy.binds.iter().any(|bind| match &bind.address {
        BindAddress::Tcp(address) => AMQP.contains(&address.port()),
        BindAddress::Unix(_) | BindAddress::Descriptor(_) => false,
    });
    bound || proxy.servers.iter().any(|server| AMQP.contains(&server.address.port()))
}
