//! `virtual_routes`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use base::Span;

use super::instance::{entries, with_length};
use crate::diagnostic::Diagnostic;
use crate::guess;
use crate::line::{Line, Word};
use crate::vip::Route;

/// How entries are written, for the manual.
pub(super) const ENTRIES: &str = "{ <network>|default [via <ip>] [dev <name>] [src <ip>] [scope <s>] \
     [table <t>] [metric <n>] [protocol <p>] }";

/// What an entry may have, and we run.
const OPTIONS: [&str; 15] = [
    "to",
    "inet",
    "inet6",
    "via",
    "gw",
    "dev",
    "oif",
    "src",
    "scope",
    "table",
    "metric",
    "priority",
    "preference",
    "protocol",
    "no_track",
];

/// What 2.2.7 knows beside.
const LATER: [&str; 38] = [
    "add",
    "advmss",
    "append",
    "as",
    "blackhole",
    "congctl",
    "cwnd",
    "dsfield",
    "encap",
    "expires",
    "fastopen_no_cookie",
    "features",
    "from",
    "hoplimit",
    "initcwnd",
    "initrwnd",
    "local",
    "mtu",
    "multicast",
    "nexthop",
    "onlink",
    "or",
    "pref",
    "prepend",
    "prohibit",
    "quickack",
    "realms",
    "reordering",
    "rto_min",
    "rtt",
    "rttvar",
    "ssthresh",
    "throw",
    "tos",
    "track_group",
    "unreachable",
    "vrf",
    "window",
];

pub(super) fn routes(line: &mut Line<'_>) -> Result<Vec<Route>, Diagnostic> {
    let mut found = Vec::new();
    let of = line.taken().next().unwrap_or_default().to_owned();
    for words in entries(line, &of)? {
        match route(words) {
            Ok(route) => found.push(route),
            Err(finding) => line.report(finding),
        }
    }
    Ok(found)
}

fn route(words: Vec<Word>) -> Result<Route, Diagnostic> {
    let mut route = Route::plain();
    let first = words.first().map_or_else(Span::default, |word| word.span);
    let (mut to, mut is_v6) = (None, None);
    let mut words = words.into_iter();
    while let Some(option) = words.next() {
        let mut value = || {
            let message = format!("expected a value behind `{}`", option.text);
            words.next().ok_or_else(|| Diagnostic::error(option.span, "missing-word", message))
        };
        match option.text.as_str() {
            // One that is gone is made again when a device or an address comes, whether it has this word or not.
            "no_track" | "unicast" => {}
            "inet" | "inet6" => is_v6 = Some(option.text == "inet6"),
            "to" => to = Some(value()?),
            "via" | "gw" => {
                let word = value()?;
                let is_family = matches!(word.text.as_str(), "inet" | "inet6");
                let word = if is_family { value()? } else { word };
                route.via = Some(word.parse("the IP address of a gateway")?);
            }
            "src" => route.source = Some(value()?.parse("an IP address")?),
            "dev" | "oif" => route.device = Some(value()?.text),
            "scope" => route.scope = scope(&value()?)?,
            "table" => route.table = table(&value()?)?,
            "metric" | "priority" | "preference" => {
                route.metric = Some(value()?.parse("a metric from 0 to 4294967295")?);
            }
            "protocol" => route.protocol = protocol(&value()?)?,
            text if LATER.contains(&text) => {
                return Err(Diagnostic::not_yet(option.span, format!("`{text}` of a route")));
            }
            text if to.is_none() && is_network(text) => to = Some(option),
            text => {
                let message = format!("`{text}` is no option of a route");
                let finding = Diagnostic::error(option.span, "unknown-keyword", message);
                return Err(guess::suggest(finding, text, OPTIONS.into_iter().chain(LATER)));
            }
        }
    }
    let Some(to) = to else {
        let message = "expected a network like 10.0.0.0/24, or `default`";
        return Err(Diagnostic::error(first, "missing-word", message));
    };
    let ways: Vec<IpAddr> = route.via.into_iter().chain(route.source).collect();
    let is_v6 = is_v6.unwrap_or_else(|| ways.iter().any(IpAddr::is_ipv6));
    (route.destination, route.prefix) = network(&to, is_v6)?;
    if ways.iter().any(|ip| ip.is_ipv4() != route.destination.is_ipv4()) {
        let message = "the network and the way to it are of different versions of IP";
        return Err(Diagnostic::error(to.span, "bad-value", message));
    }
    if route.via.is_none() && route.device.is_none() {
        let finding = Diagnostic::error(to.span, "missing-word", "this route leads nowhere");
        return Err(finding.help("write `via` and a gateway, `dev` and a device, or both"));
    }
    Ok(route)
}

pub(super) fn is_any(text: &str) -> bool {
    matches!(text, "default" | "any" | "all")
}

fn is_network(text: &str) -> bool {
    is_any(text) || text.contains(['.', ':'])
}

/// `is_v6`: what `default` means.
pub(super) fn network(word: &Word, is_v6: bool) -> Result<(IpAddr, u8), Diagnostic> {
    if is_any(&word.text) {
        let any: IpAddr =
            if is_v6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        return Ok((any, 0));
    }
    let (ip, prefix) = with_length(word, "a network like 10.0.0.0/24, or `default`")?;
    // The kernel refuses it; of IPv6 it cuts the rest off.
    if let IpAddr::V4(ip) = ip {
        let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
        let network = Ipv4Addr::from_bits(ip.to_bits() & mask);
        if network != ip {
            let message = format!("`{}` is no network, it is an address in one", word.text);
            let finding = Diagnostic::error(word.span, "bad-value", message);
            return Err(finding.help(format!("write {network}/{prefix}, or {ip}/32")));
        }
    }
    Ok((ip, prefix))
}

/// Of an address or a route: a name of `/etc/iproute2/rt_scopes`, or its number.
pub(super) fn scope(word: &Word) -> Result<u8, Diagnostic> {
    let names = [("global", 0), ("site", 200), ("link", 253), ("host", 254), ("nowhere", 255)];
    number(word, &names, "global, site, link, host or a number")
}

pub(super) fn table(word: &Word) -> Result<u32, Diagnostic> {
    let names = [("main", 254), ("default", 253), ("local", 255)];
    number(word, &names, "main, default, local or a number")
}

pub(super) fn protocol(word: &Word) -> Result<u8, Diagnostic> {
    let names =
        [("kernel", 2), ("boot", 3), ("static", 4), ("ra", 9), ("dhcp", 16), ("keepalived", 18)];
    number(word, &names, "static, boot, keepalived or a number")
}

/// What iproute2 has a name for.
fn number<T: Copy + std::str::FromStr>(
    word: &Word,
    names: &[(&str, T)],
    what: &str,
) -> Result<T, Diagnostic> {
    match names.iter().find(|(name, _)| *name == word.text) {
        Some((_, number)) => Ok(*number),
        None => word.parse(what),
    }
}
