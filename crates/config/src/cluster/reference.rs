//! `reference` in `[cluster]`: addresses beside the cluster that each node pings.

use std::net::IpAddr;

use base::Span;

use super::fields::At;
use super::{MOST_REFERENCES, Node, Reference, Vip};
use crate::diagnostic::Diagnostic;

/// An address is on a network whose nodes begin with as many of its bits: every private range of IPv4 is in one
/// of a length that is not shorter, and so is every allocation of IPv6.
const ALIKE: (u32, u32) = (8, 16);

/// Each with the network that it is a point of: where a node's address has the most leading bits in common with it.
pub(super) fn resolve(
    drafts: Vec<At<String>>,
    (nodes, networks): (&[Node], usize),
    vips: &[Vip],
    findings: &mut Vec<Diagnostic>,
) -> Vec<Reference> {
    if let Some((_, at)) = drafts.get(MOST_REFERENCES) {
        let message = format!("a cluster has at most {MOST_REFERENCES} reference points");
        let finding = Diagnostic::error(*at, "too-many-references", message);
        findings.push(finding.help("one or two on each network are enough"));
    }
    let mut points: Vec<Reference> = Vec::new();
    for (text, at) in drafts.into_iter().take(MOST_REFERENCES) {
        match point(&text, at, (nodes, networks), vips) {
            Ok(point) if points.iter().any(|known| known.address == point.address) => {
                let message = format!("{} stands here twice", point.address);
                findings.push(Diagnostic::error(at, "duplicate-address", message));
            }
            Ok(point) => points.push(point),
            Err(finding) => findings.push(*finding),
        }
    }
    points
}

fn point(
    text: &str,
    at: Span,
    (nodes, networks): (&[Node], usize),
    vips: &[Vip],
) -> Result<Reference, Box<Diagnostic>> {
    let wrong = |code, message: String, help: &str| {
        Box::new(Diagnostic::error(at, code, message).help(help.to_owned()))
    };
    let gateway = "name a machine that is none of the cluster, as the gateway of the network";
    let Ok(address) = text.parse::<IpAddr>() else {
        let help = "write its address: names are not looked up, since that takes what may be gone";
        return Err(wrong("bad-value", format!("`{text}` is no IP address"), help));
    };
    if let Some(node) = nodes.iter().find(|node| node.addresses.contains(&Some(address))) {
        let message = format!("{address} is the address of node {}", node.name);
        return Err(wrong("own-reference", message, gateway));
    }
    if let Some(vip) = vips.iter().find(|vip| vip.addresses.contains(&address)) {
        let message =
            format!("{address} is the address of vip {}: it is where it is wanted", vip.name);
        return Err(wrong("own-reference", message, gateway));
    }
    if address.is_multicast() || address.is_unspecified() {
        let message = format!("{address} is not the address of one machine");
        return Err(wrong("bad-value", message, gateway));
    }
    let alike = |network: &usize| {
        let on = nodes.iter().filter_map(|node| node.addresses.get(*network).copied().flatten());
        on.map(|ip| super::parse::shared_bits(&address, &ip)).max().unwrap_or(0)
    };
    let least = if address.is_ipv4() { ALIKE.0 } else { ALIKE.1 };
    // Of equals the first network.
    let network = (0..networks).rev().max_by_key(alike).filter(|network| alike(network) >= least);
    let Some(network) = network else {
        let message = format!("{address} is on no network on which a node has an address");
        return Err(wrong("unknown-network", message, gateway));
    };
    Ok(Reference { address, network })
}

#[cfg(test)]
mod tests {
    use crate::{Source, cluster};

    const HEAD: &str = "[cluster]\nname = \"cloud\"\nsecret_file = \"secret\"\n";
    const NODES: &str = "[node.node01]\nnetworks = { mgmt = \"10.0.0.11\", storage = \"10.0.1.11\", six = \"fd00:1::b\" }\n\
         [node.node02]\nnetworks = { mgmt = \"10.0.0.12\", storage = \"10.0.1.12\" }\n\
         [vip.internal]\naddress = \"10.0.0.40\"\nnetwork = \"mgmt\"\nrouter_id = 7\ncheck = \"none\"\n";

    /// Points by address and network, and what is wrong.
    fn read(reference: &str) -> (Vec<String>, Vec<String>) {
        let text = format!("{HEAD}reference = {reference}\n{NODES}");
        let source = Source { path: "outlast.toml".to_owned(), text };
        let (cluster, findings) = cluster::parse(&source, 0);
        let cluster = cluster.unwrap();
        let points = cluster.reference.iter();
        let points =
            points.map(|point| format!("{} {}", point.address, cluster.networks[point.network]));
        (points.collect(), findings.into_iter().map(|finding| finding.message).collect())
    }

    #[test]
    fn a_reference_point_is_on_the_network_whose_addresses_are_most_like_it() {
        let (points, findings) = read("[\"10.0.1.1\", \"10.0.0.1\", \"fd00:1::1\", \"10.9.9.9\"]");
        assert_eq!(points, ["10.0.1.1 storage", "10.0.0.1 mgmt", "fd00:1::1 six", "10.9.9.9 mgmt"]);
        assert!(findings.is_empty(), "{findings:?}");
        assert_eq!(read("[]"), (vec![], vec![]));
    }

    #[test]
    fn what_cannot_be_a_reference_point_is_refused_and_named() {
        for (reference, message) in [
            ("[\"gateway\"]", "`gateway` is no IP address"),
            ("[\"10.0.0.1/24\"]", "`10.0.0.1/24` is no IP address"),
            ("[\"10.0.0.12\"]", "10.0.0.12 is the address of node node02"),
            (
                "[\"10.0.0.40\"]",
                "10.0.0.40 is the address of vip internal: it is where it is wanted",
            ),
            ("[\"192.168.0.1\"]", "192.168.0.1 is on no network on which a node has an address"),
            ("[\"2001:db8::1\"]", "2001:db8::1 is on no network on which a node has an address"),
            ("[\"224.0.0.18\"]", "224.0.0.18 is not the address of one machine"),
            ("[\"10.0.0.1\", \"10.0.0.1\"]", "10.0.0.1 stands here twice"),
        ] {
            let (_, findings) = read(reference);
            assert_eq!(findings, [message], "{reference}");
        }
        let many: Vec<_> = (1..=17).map(|last| format!("\"10.0.2.{last}\"")).collect();
        let (points, findings) = read(&format!("[{}]", many.join(", ")));
        assert_eq!((points.len(), findings.len()), (16, 1), "{findings:?}");
        assert_eq!(findings, ["a cluster has at most 16 reference points"]);
    }
}
