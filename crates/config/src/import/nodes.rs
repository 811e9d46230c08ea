//! The nodes and their networks, as far as the files tell them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{Wishes, plain};
use crate::Loaded;
use crate::keepalived::Instance;

/// A network is a device of keepalived's file.
#[derive(Clone, Debug)]
pub(super) struct Network {
    /// The device's name.
    pub(super) name: String,
    /// Of each node, in their order.
    pub(super) addresses: Vec<Option<IpAddr>>,
    names: Vec<String>,
}

/// All networks with the addresses of the nodes on them; nodes are numbered alike in each.
pub(super) fn networks(loaded: &Loaded, wishes: &Wishes) -> Vec<Network> {
    let instances: Vec<&Instance> =
        loaded.keepalived.iter().flat_map(|file| &file.instances).collect();
    let mut devices: Vec<&str> = Vec::new();
    for instance in &instances {
        if !devices.contains(&instance.interface.as_str()) {
            devices.push(&instance.interface);
        }
    }
    let first = devices.first().copied().unwrap_or("main");
    let found = match wishes.nodes.as_slice() {
        [] => from_files(loaded, &instances, first),
        nodes => wished(nodes, first),
    };
    let names: Vec<String> = unique(found.iter().map(|node| node.name.clone()).collect());
    if devices.is_empty() {
        devices.push("main");
    }
    for node in &found {
        for (device, _) in &node.addresses {
            if !devices.contains(&device.as_str()) {
                devices.push(device);
            }
        }
    }
    let address = |node: &Found, device: &str| {
        node.addresses.iter().find(|(known, _)| known == device).map(|(_, ip)| *ip)
    };
    let network = |device: &&str| Network {
        name: (*device).to_owned(),
        addresses: found.iter().map(|node| address(node, device)).collect(),
        names: names.clone(),
    };
    devices.iter().map(network).collect()
}

pub(super) fn names(networks: &[Network]) -> Vec<String> {
    networks.first().map(|network| network.names.clone()).unwrap_or_default()
}

struct Found {
    name: String,
    /// Device and address.
    addresses: Vec<(String, IpAddr)>,
}

fn wished(nodes: &[(String, IpAddr, Option<String>)], first: &str) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    for (name, ip, device) in nodes {
        let entry = (device.clone().unwrap_or_else(|| first.to_owned()), *ip);
        match found.iter_mut().find(|node| node.name == *name) {
            Some(node) => node.addresses.push(entry),
            None => found.push(Found { name: name.clone(), addresses: vec![entry] }),
        }
    }
    found
}

/// Unicast peers are nodes; else the servers that most proxies have, as in clouds whose controllers
/// are both.
fn from_files(loaded: &Loaded, instances: &[&Instance], first: &str) -> Vec<Found> {
    let servers = server_names(loaded);
    let virtual_ips: Vec<IpAddr> = instances
        .iter()
        .flat_map(|instance| instance.addresses.iter().chain(&instance.excluded))
        .map(|address| address.ip)
        .collect();
    let unicast = instances.iter().find_map(|instance| {
        let own = instance.source?;
        let peers = instance.unicast_peers.iter().copied();
        (!instance.unicast_peers.is_empty()).then(|| {
            let mut all: Vec<IpAddr> = peers.chain([own]).collect();
            all.sort_unstable();
            all.dedup();
            (instance.interface.clone(), all)
        })
    });
    let (device, mut addresses) =
        unicast.unwrap_or_else(|| (first.to_owned(), usual_servers(loaded)));
    // An address cannot be both.
    addresses.retain(|ip| !virtual_ips.contains(ip) && !ip.is_unspecified());
    let name = |at: usize, ip: &IpAddr| {
        servers.get(ip).map_or_else(|| format!("node{:02}", at + 1), |name| plain(name))
    };
    let node = |(at, ip): (usize, &IpAddr)| Found {
        name: name(at, ip),
        addresses: vec![(device.clone(), *ip)],
    };
    addresses.iter().enumerate().map(node).collect()
}

/// What the proxies call a server at an address; the first name that is found.
fn server_names(loaded: &Loaded) -> BTreeMap<IpAddr, String> {
    let mut names = BTreeMap::new();
    let proxies = loaded.haproxy.iter().flat_map(|file| &file.proxies);
    for server in proxies.flat_map(|proxy| &proxy.servers) {
        names.entry(server.address.ip()).or_insert_with(|| server.name.clone());
    }
    names
}

/// The addresses of the servers that the most proxies share.
fn usual_servers(loaded: &Loaded) -> Vec<IpAddr> {
    let mut counts: BTreeMap<Vec<IpAddr>, usize> = BTreeMap::new();
    for proxy in loaded.haproxy.iter().flat_map(|file| &file.proxies) {
        let mut ips: Vec<IpAddr> = proxy.servers.iter().map(|server| server.address.ip()).collect();
        ips.sort_unstable();
        ips.dedup();
        if !ips.is_empty() {
            *counts.entry(ips).or_default() += 1;
        }
    }
    let most = counts.into_iter().max_by_key(|(ips, count)| (*count, ips.len()));
    most.map(|(ips, _)| ips).unwrap_or_default()
}

fn unique(names: Vec<String>) -> Vec<String> {
    let mut told: Vec<String> = Vec::new();
    for mut name in names {
        while told.contains(&name) {
            name.push('_');
        }
        told.push(name);
    }
    told
}
