//! Whether an instance speaks over IPv4 or IPv6: as the addresses that its adverts name, which are all of one kind.

use std::net::IpAddr;

use base::Span;

use super::Instance;
use crate::diagnostic::Diagnostic;

/// More do not go into one packet of an Ethernet (keepalived counts the same).
const MOST_V6: usize = 90;

impl Instance {
    /// Whether its adverts go over IPv6.
    pub(super) fn is_v6(&self) -> bool {
        self.addresses.first().is_some_and(|first| first.ip.is_ipv6())
    }
}

/// What does not go together.
pub(super) fn verify(instance: &Instance, found: &mut Vec<Diagnostic>) {
    let is_v6 = instance.is_v6();
    let mut wrong = |at: Span, message: String, help: &str| {
        found.push(Diagnostic::error(at, "ip-version", message).help(help));
    };
    if let Some(at) =
        instance.written.native_ipv6.filter(|_| !is_v6 && !instance.addresses.is_empty())
    {
        let message = "`native_ipv6` does not go with addresses of IPv4".to_owned();
        wrong(at, message, "remove it, or move them to `virtual_ipaddress_excluded`");
    }
    let at = |position: usize| instance.address_spans.get(position).copied();
    let kind = if is_v6 { "IPv6" } else { "IPv4" };
    let other = |ip: &&IpAddr| ip.is_ipv6() != is_v6;
    if let Some(position) = instance.addresses.iter().position(|address| other(&&address.ip)) {
        let message = format!("an advert over {kind} names addresses of {kind} only");
        let help = "move it to `virtual_ipaddress_excluded`: it is held with the others";
        wrong(at(position).unwrap_or(instance.span), message, help);
    }
    if let Some(peer) = instance.unicast_peers.iter().find(other) {
        let message = format!("{peer} cannot be a peer: the adverts go over {kind}");
        wrong(instance.span, message, "write its address of that kind");
    }
    if let Some(source) = instance.source.as_ref().filter(other) {
        let message = format!("{source} cannot be the source: the adverts go over {kind}");
        wrong(instance.span, message, "write an address of that kind");
    }
    if !is_v6 {
        return;
    }
    if instance.written.version == Some(2) {
        wrong(instance.span, "VRRP version 2 knows no IPv6".to_owned(), "write `version 3`");
    }
    if instance.addresses.len() > MOST_V6 {
        let message = format!("an advert over IPv6 names at most {MOST_V6} addresses");
        let help = "move the others to `virtual_ipaddress_excluded`: they are held with them";
        wrong(at(MOST_V6).unwrap_or(instance.span), message, help);
    }
    let is_for_link = |ip: IpAddr| matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
    let first = instance.addresses.first().filter(|first| !is_for_link(first.ip));
    if first.is_some() && instance.unicast_peers.is_empty() {
        let message = "the first address of a group over IPv6 should be for its link";
        let finding = Diagnostic::warning(at(0).unwrap_or(instance.span), "link-local", message);
        found.push(finding.help("write one like fe80::40/64 before it (RFC 9568 5.2.9)"));
    }
}
