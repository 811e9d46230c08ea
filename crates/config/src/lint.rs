//! What several files together get wrong, though each is right by itself.
//!
//! Every rule has a stable code; the manual of `outlast config check` lists them.

use std::collections::HashSet;
use std::net::IpAddr;

use base::Span;

use crate::haproxy::{BindAddress, Haproxy, Proxy};
use crate::keepalived::{Instance, State};
use crate::{Diagnostic, Loaded, effective};

mod listeners;
mod roles;
mod socket;

pub(crate) use socket::asks_a_socket;

/// All findings of this kind.
#[must_use]
pub fn check(loaded: &Loaded) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    if let Some(haproxy) = &loaded.haproxy {
        listeners::twice(haproxy, &mut found);
        servers(haproxy, &mut found);
        roles::queues(haproxy, &mut found);
        roles::machines(haproxy, &mut found);
    }
    if let Some(keepalived) = &loaded.keepalived {
        let text = loaded.sources.get(loaded.keepalived_file);
        let text = text.map_or("", |source| source.text.as_str());
        for instance in &keepalived.instances {
            let first = found.len();
            preempt(instance, text, &mut found);
            order(instance, loaded, &mut found);
            for finding in &mut found[first..] {
                finding.file = loaded.keepalived_file;
            }
        }
    }
    listeners::addresses(loaded, &mut found);
    socket::check(loaded, &mut found);
    services(loaded, &mut found);
    roles::nodes(loaded, &mut found);
    twice_virtual(loaded, &mut found);
    found
}

/// A server named twice gets a double share, and is no second server; one server is no cluster.
fn servers(haproxy: &Haproxy, found: &mut Vec<Diagnostic>) {
    for proxy in haproxy.proxies.iter().filter(|proxy| !proxy.disabled) {
        let mut seen = HashSet::new();
        for server in proxy.servers.iter().filter(|server| server.address.port() != 0) {
            if !seen.insert(server.address) {
                let message =
                    format!("`{}` has a server at {} already", proxy.name, server.address);
                let finding = Diagnostic::warning(server.span, "duplicate-server", message);
                found.push(finding.help("remove one of them").in_file(proxy.file));
            }
        }
        if let [only] = proxy.servers.as_slice() {
            let message = format!(
                "`{}` has only the server `{}`: nothing takes over from it",
                proxy.name, only.name
            );
            let finding = Diagnostic::warning(only.span, "single-server", message);
            found.push(finding.help("add a second server").in_file(proxy.file));
        }
    }
}

/// Without `nopreempt` every outage of the stronger node interrupts twice.
fn preempt(instance: &Instance, text: &str, found: &mut Vec<Diagnostic>) {
    if instance.state == State::Backup && !instance.nopreempt {
        let at = instance.state_span.unwrap_or(instance.span);
        let message = format!(
            "`{}` goes back to the stronger node when it returns: a second interruption",
            instance.name
        );
        let finding = Diagnostic::warning(at, "no-nopreempt", message);
        let finding = finding.help("add `nopreempt`");
        found.push(match room(text, instance) {
            Some((at, indent)) => finding.fix(Span::new(at, at), format!("{indent}nopreempt\n")),
            None => finding,
        });
    }
}

/// Where a line can be added to an instance: before its `state`, or at the top of the block.
fn room<'a>(text: &'a str, instance: &Instance) -> Option<(usize, &'a str)> {
    let start = match instance.state_span {
        Some(span) => text.get(..span.start)?.rfind('\n')? + 1,
        None => {
            let open = instance.span.end + text.get(instance.span.end..)?.find('{')?;
            open + text.get(open..)?.find('\n')? + 1
        }
    };
    let line = text.get(start..)?;
    let indent = &line[..line.len() - line.trim_start_matches([' ', '\t']).len()];
    let alone = match instance.state_span {
        Some(_) => line.trim_start().starts_with("state"),
        None => true,
    };
    alone.then_some((start, indent))
}

/// What the priorities come to: the larger number wins, and a shared file has one number.
fn order(instance: &Instance, loaded: &Loaded, found: &mut Vec<Diagnostic>) {
    let at = instance.priority_span.unwrap_or(instance.span);
    let written = instance.priority;
    let Some(cluster) = loaded.cluster.as_ref().filter(|cluster| cluster.controllers().len() > 1)
    else {
        if written == 1 {
            let message = "priority 1 is the lowest there is, and the larger number wins";
            let finding = Diagnostic::note(at, "vip-order", message);
            found.push(finding.help(
                "if every node has it, the one with the highest address holds the virtual IP",
            ));
        }
        return;
    };
    let mut ranks: Vec<(u8, &str)> = cluster
        .controllers()
        .iter()
        .enumerate()
        .map(|(node, known)| {
            (effective::file_priority(cluster, node, written), known.name.as_str())
        })
        .collect();
    ranks.sort_by_key(|(priority, _)| std::cmp::Reverse(*priority));
    if let Some([(priority, one), (_, other)]) = ranks.windows(2).find_map(|pair| match pair {
        [a, b] if a.0 == b.0 => Some([*a, *b]),
        _ => None,
    }) {
        let message = format!("nodes {one} and {other} have the same priority {priority}");
        let finding = Diagnostic::warning(at, "priority-clash", message);
        found.push(finding.help("give each [node.NAME] its own `priority`"));
        return;
    }
    let told: Vec<String> =
        ranks.iter().map(|(priority, name)| format!("{name} {priority}")).collect();
    let message = format!("the order of `{}` is {}", instance.name, told.join(", "));
    let help = format!(
        "every node reads {written} here; write `priority = ...` in [node.NAME] for another order"
    );
    found.push(Diagnostic::note(at, "vip-order", message).help(help));
}

/// `[service.NAME]` must stand for a proxy that exists.
fn services(loaded: &Loaded, found: &mut Vec<Diagnostic>) {
    let (Some(cluster), Some(haproxy)) = (&loaded.cluster, &loaded.haproxy) else { return };
    let backends = haproxy.proxies.iter().filter(|proxy| proxy.is_backend());
    let names: Vec<&str> = backends.map(|proxy| proxy.name.as_str()).collect();
    for service in &cluster.services {
        if names.contains(&service.proxy.as_str()) {
            continue;
        }
        let message = format!("there is no `listen` or `backend` named `{}`", service.proxy);
        let finding = Diagnostic::error(service.span, "unknown-name", message);
        let finding = crate::guess::near(finding, &service.proxy, names.iter().copied());
        found.push(finding.in_file(loaded.cluster_file));
    }
}

/// A virtual IP of both files would be held by two machines that do not know of each other.
fn twice_virtual(loaded: &Loaded, found: &mut Vec<Diagnostic>) {
    let (Some(cluster), Some(keepalived)) = (&loaded.cluster, &loaded.keepalived) else { return };
    for instance in &keepalived.instances {
        for (address, at) in instance.addresses.iter().zip(&instance.address_spans) {
            let same = cluster.vips.iter().find(|vip| vip.addresses.contains(&address.ip));
            if let Some(vip) = same {
                let message = format!("{} is held by [vip.{}] already", address.ip, vip.name);
                let finding = Diagnostic::error(*at, "duplicate-address", message);
                let help = "keep one of the two";
                found.push(finding.help(help).in_file(loaded.keepalived_file));
            }
        }
    }
}

/// Virtual IPs of all files, each with its place.
fn virtual_ips(loaded: &Loaded) -> Vec<(IpAddr, usize, Span)> {
    let mut all = Vec::new();
    for instance in loaded.keepalived.iter().flat_map(|read| &read.instances) {
        let places = instance.addresses.iter().zip(&instance.address_spans);
        all.extend(places.map(|(address, at)| (address.ip, loaded.keepalived_file, *at)));
    }
    for vip in loaded.cluster.iter().flat_map(|cluster| &cluster.vips) {
        all.extend(vip.addresses.iter().map(|ip| (*ip, loaded.cluster_file, vip.span)));
    }
    all
}

/// Addresses that proxies listen on.
fn listeners(haproxy: &Haproxy) -> impl Iterator<Item = (&Proxy, IpAddr, u16, Span)> {
    haproxy.proxies.iter().filter(|proxy| !proxy.disabled).flat_map(|proxy| {
        proxy.binds.iter().filter_map(move |bind| match &bind.address {
            BindAddress::Tcp(address) => Some((proxy, address.ip(), address.port(), bind.span)),
            BindAddress::Unix(_) | BindAddress::Descriptor(_) => None,
        })
    })
}
