//! Where the adverts of an instance go, and over how many routers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use base::Span;

use super::instance::entries;
use super::{Global, Instance};
use crate::diagnostic::Diagnostic;
use crate::line::{Line, Word};
use crate::vip::Routed;

pub(super) const PEERS: &str = "{ <ip> [min_ttl <0-255>] [max_ttl <0-255>] ... }";
pub(super) const GROUP: &str = "to whom adverts go, instead of all VRRP routers of the link";

/// `unicast_peer`
pub(super) fn peers(instance: &mut Instance, line: &mut Line<'_>) -> Result<(), Diagnostic> {
    for words in entries(line, "unicast_peer")? {
        match peer(&words) {
            Ok((ip, routed)) => {
                instance.unicast_peers.push(ip);
                instance.travel.routed.extend(routed);
            }
            Err(finding) => line.report(finding),
        }
    }
    Ok(())
}

fn peer(words: &[Word]) -> Result<(IpAddr, Option<Routed>), Diagnostic> {
    let [first, options @ ..] = words else {
        return Err(Diagnostic::error(Span::default(), "missing-word", "expected an IP address"));
    };
    let peer: IpAddr = first.parse("an IP address")?;
    let mut routed = Routed { peer, least: 0, most: 255 };
    let mut options = options.iter();
    while let Some(option) = options.next() {
        let bound = match option.text.as_str() {
            "min_ttl" => &mut routed.least,
            "max_ttl" => &mut routed.most,
            _ => return Err(option.wrong("`min_ttl` or `max_ttl`")),
        };
        let message = format!("expected a number behind `{}`", option.text);
        let value = options.next();
        let value = value.ok_or_else(|| Diagnostic::error(option.span, "missing-word", message))?;
        *bound = u8::try_from(value.number("a number", 0, 255)?).unwrap_or(255);
        if routed.least > routed.most {
            return Err(value.wrong("`min_ttl` to be no more than `max_ttl`"));
        }
    }
    Ok((peer, (words.len() > 1).then_some(routed)))
}

/// `unicast_ttl`
pub(super) fn hops(instance: &mut Instance, line: &mut Line<'_>) -> Result<(), Diagnostic> {
    let word = line.expect("a number")?;
    // With 0 none would leave the node.
    let hops = word.number("a number from 1 to 255", 1, 255)?;
    instance.travel.hops = u8::try_from(hops).unwrap_or(255);
    line.finish();
    Ok(())
}

/// `mcast_dst_ip`
pub(super) fn group(instance: &mut Instance, line: &mut Line<'_>) -> Result<(), Diagnostic> {
    let word = line.expect("a multicast address")?;
    let group: IpAddr = word.parse("a multicast address")?;
    if !group.is_multicast() {
        return Err(word.wrong("a multicast address"));
    }
    instance.travel.group = Some(group);
    instance.written.group = Some(word.span);
    line.finish();
    Ok(())
}

/// `vrrp_mcast_group4`
pub(super) fn group_v4(global: &mut Global, line: &mut Line<'_>) -> Result<(), Diagnostic> {
    const WHAT: &str = "a multicast address of IPv4";
    let word = line.expect(WHAT)?;
    let group: Ipv4Addr = word.parse(WHAT)?;
    if !group.is_multicast() {
        return Err(word.wrong(WHAT));
    }
    global.multicast_group = Some(group);
    line.finish();
    Ok(())
}

/// `vrrp_mcast_group6`
pub(super) fn group_v6(global: &mut Global, line: &mut Line<'_>) -> Result<(), Diagnostic> {
    const WHAT: &str = "a multicast address of IPv6";
    let word = line.expect(WHAT)?;
    let group: Ipv6Addr = word.parse(WHAT)?;
    if !group.is_multicast() {
        return Err(word.wrong(WHAT));
    }
    global.multicast_group_v6 = Some(group);
    line.finish();
    Ok(())
}

/// The group of all, where the instance names none, and what means nothing beside peers.
pub(super) fn settle(instance: &mut Instance, global: &Global, found: &mut Vec<Diagnostic>) {
    let is_v6 = instance.is_v6();
    if instance.unicast_peers.is_empty() {
        let of_all = match is_v6 {
            true => global.multicast_group_v6.map(IpAddr::from),
            false => global.multicast_group.map(IpAddr::from),
        };
        let group = instance.travel.group.or(of_all);
        instance.travel.group = group.filter(|group| *group != usual(is_v6));
        if let (Some(at), Some(group)) = (instance.written.group, group)
            && group.is_ipv6() != is_v6
        {
            let kind = if is_v6 { "IPv6" } else { "IPv4" };
            let message = format!("{group} cannot be the group: the adverts go over {kind}");
            let finding = Diagnostic::error(at, "ip-version", message);
            found.push(finding.help("write a multicast address of that kind"));
        }
        return;
    }
    instance.travel.group = None;
    if let Some(at) = instance.written.group {
        let message = "`mcast_dst_ip` means nothing beside `unicast_peer`";
        let finding = Diagnostic::warning(at, "group-unused", message);
        found.push(finding.help("remove one of them"));
    }
}

/// Where adverts go unless a file says something else.
fn usual(is_v6: bool) -> IpAddr {
    match is_v6 {
        true => Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12).into(),
        false => Ipv4Addr::new(224, 0, 0, 18).into(),
    }
}
