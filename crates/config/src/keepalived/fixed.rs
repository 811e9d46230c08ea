//! `static_ipaddress`, `static_routes` and `static_rules`: what this node has whoever holds an address.

use super::instance::addresses;
use super::routes::routes;
use super::rules::{WrittenRule, rules};
use super::{Global, Keepalived};
use crate::diagnostic::Diagnostic;
use crate::line::Line;
use crate::vip::{Address, Fixed, Route, Way};

/// What stands in these blocks.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FixedBlocks {
    pub addresses: Vec<Address>,
    pub routes: Vec<Route>,
    pub rules: Vec<WrittenRule>,
}

/// The blocks, with what may stand in them and what it does.
pub(crate) const BLOCKS: [(&str, &str, &str); 3] = [
    (
        "static_ipaddress",
        "{ <ip>[/<mask>] [dev <name>] [label <l>] [brd <ip>] [scope <s>] }",
        "addresses that this node has from its start to its end",
    ),
    ("static_routes", super::routes::ENTRIES, "routes that it has so long"),
    ("static_rules", super::rules::ENTRIES, "rules that it has so long"),
];

impl FixedBlocks {
    pub(super) fn read(&mut self, block: &str, line: &mut Line<'_>) -> Result<(), Diagnostic> {
        match block {
            "static_ipaddress" => {
                let (found, spans) = addresses(line, block)?;
                let on_virtual_mac = found.iter().zip(spans).filter(|(it, _)| it.uses_virtual_mac);
                for (_, span) in on_virtual_mac {
                    line.report(Diagnostic::not_yet(span, "`use_vmac` of a static address"));
                }
                self.addresses.extend(found);
            }
            "static_routes" => self.routes.extend(routes(line)?),
            _ => self.rules.extend(rules(line)?),
        }
        Ok(())
    }
}

impl Keepalived {
    /// The same as the node makes it.
    pub(crate) fn fixed(&self) -> Fixed {
        let device = |global: &Global| {
            global.default_interface.clone().unwrap_or_else(|| DEFAULT_INTERFACE.to_owned())
        };
        let addresses = self.fixed.addresses.iter().map(|address| {
            let device = address.device.clone().unwrap_or_else(|| device(&self.global));
            Address { device: Some(device), ..address.clone() }
        });
        let rules = self.fixed.rules.iter().map(|written| Way::Rule(written.rule.clone()));
        let routes = self.fixed.routes.iter().cloned().map(Way::Route);
        Fixed { addresses: addresses.collect(), ways: routes.chain(rules).collect() }
    }
}

/// keepalived's.
const DEFAULT_INTERFACE: &str = "eth0";
