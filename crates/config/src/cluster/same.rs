//! What two of a cluster file may not have alike.

use std::collections::HashMap;
use std::net::IpAddr;

use super::Vip;
use super::fields::NodeDraft;
use super::parse::Named;
use super::vips::VipDraft;
use crate::diagnostic::Diagnostic;

/// An address that two have.
pub(super) fn addresses(
    nodes: &[Named<NodeDraft>],
    vips: &[Named<VipDraft>],
    findings: &mut Vec<Diagnostic>,
) {
    let mut seen: HashMap<IpAddr, String> = HashMap::new();
    let of_nodes = nodes.iter().flat_map(|node| {
        let owner = format!("node {}", node.name);
        node.draft.networks.iter().map(move |(_, (ip, at))| (*ip, *at, owner.clone()))
    });
    let of_vips = vips.iter().flat_map(|vip| {
        let owner = format!("vip {}", vip.name);
        let ips = vip.draft.addresses.iter();
        ips.filter_map(move |(text, at)| Some((text.parse().ok()?, *at, owner.clone())))
    });
    for (ip, at, owner) in of_nodes.chain(of_vips) {
        if let Some(other) = seen.get(&ip) {
            let message = format!("{ip} is the address of {other} already");
            let finding = Diagnostic::error(at, "duplicate-address", message);
            findings.push(finding.help(format!("give {owner} an address of its own")));
        } else {
            seen.insert(ip, owner);
        }
    }
}

/// A number that two groups of one network have.
pub(super) fn groups(vips: &[Vip], findings: &mut Vec<Diagnostic>) {
    for (at, vip) in vips.iter().enumerate() {
        let same = |other: &&Vip| {
            other.network == vip.network && other.router_id == vip.router_id && vip.router_id != 0
        };
        if let Some(other) = vips[..at].iter().find(same) {
            let message = format!(
                "vip {} has router_id {} on this network already",
                other.name, vip.router_id
            );
            let finding = Diagnostic::error(vip.span, "duplicate-router-id", message);
            findings.push(finding.help("give each virtual IP of a network its own router_id"));
        }
    }
}
