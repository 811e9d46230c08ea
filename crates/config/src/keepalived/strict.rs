//! `accept`, `no_accept` and `strict_mode`: what keepalived makes of an instance that has to keep to the RFC.

use std::time::Duration;

use super::{Global, Instance, State};
use crate::diagnostic::Diagnostic;
use crate::vip::Protocol;

pub(super) const STRICT: &str =
    "keeps to the RFC: no password, no delay, accepts only as the owner of the address";
pub(super) const ACCEPT: &str = "accepts packets for the addresses, as without it";
pub(super) const NO_ACCEPT: &str = "packets for the addresses are forwarded and not accepted here, but by the owner (priority 255)";

const OWNER: u8 = 255;

/// When all of it is read.
pub(super) fn settle(instance: &mut Instance, global: &Global, found: &mut Vec<Diagnostic>) {
    let is_strict = instance.written.strict.unwrap_or(global.strict);
    let is_owner = instance.priority == OWNER;
    instance.accepts = instance.written.accept.unwrap_or(!is_strict || is_owner);
    if !is_strict {
        return;
    }
    let (at, mut told) = (instance.span, Vec::new());
    if instance.written.accept == Some(true) && instance.protocol == Protocol::V2 {
        instance.accepts = is_owner;
        told.push((at, "`accept` in VRRP version 2 is against RFC 3768: it is not used"));
    }
    let as_owner = if is_owner { State::Master } else { State::Backup };
    if instance.state != as_owner {
        let at = instance.state_span.unwrap_or(at);
        told.push((
            at,
            "in strict mode `state MASTER` is of the owner of the address (priority 255)",
        ));
        instance.state = as_owner;
    }
    if let Some(authentication) = instance.authentication.take() {
        told.push((
            authentication.span,
            "in strict mode there is no password: this one is not used",
        ));
    }
    if !instance.preempt_delay.is_zero() {
        let at = instance.preempt_delay_span.unwrap_or(at);
        told.push((at, "`preempt_delay` does not go with strict mode: it is not used"));
        instance.preempt_delay = Duration::ZERO;
    }
    if instance.virtual_mac.speaks_from_base {
        told.push((at, "`vmac_xmit_base` does not go with strict mode: it is not used"));
        instance.virtual_mac.speaks_from_base = false;
    }
    for (at, message) in told {
        let finding = Diagnostic::warning(at, "strict-mode", message);
        found.push(finding.help("remove it, or `strict_mode` and `vrrp_strict`"));
    }
    let mut first = instance.addresses.iter().zip(&instance.address_spans);
    let is_of_link = |ip| matches!(ip, std::net::IpAddr::V6(ip) if ip.is_unicast_link_local());
    if let Some((_, at)) = first.next().filter(|(it, _)| it.ip.is_ipv6() && !is_of_link(it.ip)) {
        let message = "in strict mode the first address of IPv6 has to be for the link";
        let finding = Diagnostic::error(*at, "strict-mode", message);
        found.push(finding.help("write one like fe80::40/64 before it (RFC 9568 5.2.9)"));
    }
}
