//! Making and removing rules of routing (`linux/fib_rules.h`).

use std::io;
use std::net::IpAddr;

use super::message::{self, Request};
use super::{Netlink, address};

/// A rule that chooses a table of routes, or says what becomes of a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rule<'a> {
    pub is_v6: bool,
    /// It is obeyed where the rest does not fit.
    pub is_inverted: bool,
    /// The lower, the earlier it is looked at.
    pub priority: u32,
    pub from: Option<(IpAddr, u8)>,
    pub to: Option<(IpAddr, u8)>,
    /// Names of devices; they need not be there.
    pub input: Option<&'a str>,
    pub output: Option<&'a str>,
    /// A mark of packets and which bits of it count.
    pub mark: Option<(u32, Option<u32>)>,
    pub tos: u8,
    pub then: Then,
    /// A way with a network of this length or shorter is not taken.
    pub suppressed: Option<u32>,
    /// Who made it: a number of `/etc/iproute2/rt_protos`.
    pub protocol: u8,
}

/// What becomes of a packet that it fits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Then {
    Table(u32),
    Nothing,
    Blackhole,
    Unreachable,
    Prohibit,
}

// `linux/fib_rules.h`; not in libc.
const FRA_DST: u16 = 1;
const FRA_SRC: u16 = 2;
const FRA_IIFNAME: u16 = 3;
const FRA_PRIORITY: u16 = 6;
const FRA_FWMARK: u16 = 10;
const FRA_SUPPRESS_PREFIXLEN: u16 = 14;
const FRA_TABLE: u16 = 15;
const FRA_FWMASK: u16 = 16;
const FRA_OIFNAME: u16 = 17;
const FRA_PROTOCOL: u16 = 21;
const FIB_RULE_INVERT: u32 = 2;

impl Then {
    /// `FR_ACT_...`
    const fn number(self) -> u8 {
        match self {
            Self::Table(_) => 1,
            Self::Nothing => 3,
            Self::Blackhole => 6,
            Self::Unreachable => 7,
            Self::Prohibit => 8,
        }
    }
}

impl Netlink {
    /// Makes a rule; false: exactly that one is there.
    ///
    /// # Errors
    /// Without `CAP_NET_ADMIN`, or when the kernel has no rules.
    pub fn make_rule(&self, rule: &Rule<'_>) -> io::Result<bool> {
        let flags = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
        let mut request = request(libc::RTM_NEWRULE, flags, rule);
        address::changed(self.transport.ask(&mut request, &mut |_, _| {}), &[libc::EEXIST])
    }

    /// Removes exactly that rule; false: it was not there.
    ///
    /// # Errors
    /// Without `CAP_NET_ADMIN`.
    pub fn delete_rule(&self, rule: &Rule<'_>) -> io::Result<bool> {
        let mut request = request(libc::RTM_DELRULE, 0, rule);
        address::changed(self.transport.ask(&mut request, &mut |_, _| {}), &[libc::ENOENT])
    }
}

fn request(kind: u16, flags: i32, rule: &Rule<'_>) -> Request {
    let family = if rule.is_v6 { libc::AF_INET6 } else { libc::AF_INET };
    let length = |network: Option<(IpAddr, u8)>| network.map_or(0, |(_, prefix)| prefix);
    let header = message::RuleHeader {
        family,
        to: length(rule.to),
        from: length(rule.from),
        tos: rule.tos,
        action: rule.then.number(),
        flags: if rule.is_inverted { FIB_RULE_INVERT } else { 0 },
    };
    let mut request = message::rule(kind, flags, &header);
    let mut network = |kind: u16, network: Option<(IpAddr, u8)>| match network {
        Some((IpAddr::V4(ip), _)) => request.attribute(kind, &ip.octets()),
        Some((IpAddr::V6(ip), _)) => request.attribute(kind, &ip.octets()),
        None => {}
    };
    network(FRA_DST, rule.to);
    network(FRA_SRC, rule.from);
    if let Some(name) = rule.input {
        request.text(FRA_IIFNAME, name);
    }
    if let Some(name) = rule.output {
        request.text(FRA_OIFNAME, name);
    }
    request.number(FRA_PRIORITY, rule.priority);
    if let Some((mark, mask)) = rule.mark {
        request.number(FRA_FWMARK, mark);
        if let Some(mask) = mask {
            request.number(FRA_FWMASK, mask);
        }
    }
    if let Then::Table(table) = rule.then {
        request.number(FRA_TABLE, table);
    }
    if let Some(length) = rule.suppressed {
        request.number(FRA_SUPPRESS_PREFIXLEN, length);
    }
    request.attribute(FRA_PROTOCOL, &[rule.protocol]);
    request
}
