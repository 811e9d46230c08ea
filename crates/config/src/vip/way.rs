//! Where packets go: routes, and rules that choose among tables of routes.

use std::fmt;
use std::net::IpAddr;

use super::Route;

/// What is made and removed with the addresses of a virtual IP.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Way {
    Route(Route),
    Rule(Rule),
}

/// As `ip route` or `ip rule` writes it.
impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Route(route) => route.fmt(f),
            Self::Rule(rule) => rule.fmt(f),
        }
    }
}

/// A network: an address and its length.
pub type Network = (IpAddr, u8);

/// A rule of routing (`virtual_rules`, `static_rules`).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rule {
    pub is_v6: bool,
    /// It is obeyed where the rest does not fit (`not`).
    pub is_inverted: bool,
    /// The lower, the earlier it is looked at.
    pub priority: u32,
    pub from: Option<Network>,
    pub to: Option<Network>,
    /// The device that packets come in by, and the one that they are to leave by.
    pub input: Option<String>,
    pub output: Option<String>,
    /// The mark of packets (`fwmark`), and which bits of it count.
    pub mark: Option<(u32, Option<u32>)>,
    pub tos: u8,
    pub then: Then,
    /// A way with a network of this length or shorter is not taken (`suppress_prefixlength`).
    pub suppressed: Option<u32>,
    /// Who made it: a number of `/etc/iproute2/rt_protos`.
    pub protocol: u8,
}

/// What becomes of a packet that a rule fits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Then {
    /// The number of a table (`/etc/iproute2/rt_tables`).
    Table(u32),
    Nothing,
    Blackhole,
    Unreachable,
    Prohibit,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { is_v6, is_inverted, priority, from, to, input, output, mark, tos, .. } = self;
        write!(f, "rule {priority}:{}", if *is_inverted { " not" } else { "" })?;
        match from {
            Some((ip, prefix)) => write!(f, " from {ip}/{prefix}")?,
            None => write!(f, " from {}", if *is_v6 { "::/0" } else { "0.0.0.0/0" })?,
        }
        let network = |(ip, prefix): &Network| format!("{ip}/{prefix}");
        let mark = mark.map(|(mark, mask)| match mask {
            Some(mask) => format!("{mark:#x}/{mask:#x}"),
            None => format!("{mark:#x}"),
        });
        let words = [
            ("to", to.as_ref().map(network)),
            ("tos", (*tos != 0).then(|| format!("{tos:#04x}"))),
            ("fwmark", mark),
            ("iif", input.clone()),
            ("oif", output.clone()),
        ];
        let mut words = words.into_iter().filter_map(|(word, value)| Some((word, value?)));
        words.try_for_each(|(word, value)| write!(f, " {word} {value}"))?;
        match self.then {
            Then::Table(table) => write!(f, " lookup {table}")?,
            Then::Nothing => write!(f, " nop")?,
            Then::Blackhole => write!(f, " blackhole")?,
            Then::Unreachable => write!(f, " unreachable")?,
            Then::Prohibit => write!(f, " prohibit")?,
        }
        match self.suppressed {
            Some(length) => write!(f, " suppress_prefixlength {length}"),
            None => Ok(()),
        }
    }
}
