//! `static_ipaddress`, `static_routes` and `static_rules`: what this node has whoever holds an address.

use base::Span;

use super::instance::{addresses, entries, unknown_entry};
use super::routes::routes;
use super::rules::{WrittenRule, rules};
use super::{Global, Instance, Keepalived};
use crate::diagnostic::Diagnostic;
use crate::guess;
use crate::line::{Line, Statement, Word};
use crate::vip::{Address, Fixed, Route, Way};

/// What stands in these blocks.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FixedBlocks {
    pub addresses: Vec<Address>,
    pub routes: Vec<Route>,
    pub rules: Vec<WrittenRule>,
    /// `track_group NAME`.
    pub groups: Vec<TrackGroup>,
    /// What of the others says `track_group`.
    pub followed: Vec<Followed>,
}

/// `track_group NAME`: instances that are not held while the device of something static has no carrier.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TrackGroup {
    pub name: String,
    /// Names of instances, and where they stand.
    pub members: Vec<(String, Span)>,
    pub span: Span,
}

/// An address, a route or a rule that says `track_group`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Followed {
    pub group: String,
    /// Of the name of the group.
    pub span: Span,
    /// That of the address or route, or where the packets of a rule come in; none: an address is where the file says for all.
    pub device: Option<String>,
}

/// The blocks, with what may stand in them and what it does.
pub(crate) const BLOCKS: [(&str, &str, &str); 4] = [
    (
        "static_ipaddress",
        "{ <ip>[/<mask>] [dev <name>] [label <l>] [brd <ip>] [scope <s>] [track_group <name>] }",
        "addresses that this node has from its start to its end",
    ),
    ("static_routes", super::routes::ENTRIES, "routes that it has so long"),
    ("static_rules", super::rules::ENTRIES, "rules that it has so long"),
    (
        "track_group",
        "<name> { group { <instance> ... } }",
        "these are not held while a device has no carrier that something static with this `track_group` is on",
    ),
];

impl FixedBlocks {
    pub(super) fn read(&mut self, block: &str, line: &mut Line<'_>) -> Result<(), Diagnostic> {
        if block == "track_group" {
            self.groups.push(track_group(line)?);
            return Ok(());
        }
        self.follow(block, line);
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

    /// Takes `track_group NAME` out of the entries of a block.
    fn follow(&mut self, block: &str, line: &mut Line<'_>) {
        let mut found = Vec::new();
        for entry in line.block.iter_mut().flatten() {
            let Some(at) = entry.words.iter().position(|word| word.text == "track_group") else {
                continue;
            };
            let word = entry.words.remove(at);
            if at >= entry.words.len() {
                let message = "expected the name of a `track_group` behind this";
                found.push(Err(Diagnostic::error(word.span, "missing-word", message)));
                continue;
            }
            let name = entry.words.remove(at);
            let device = behind(&entry.words, if block == "static_rules" { "iif" } else { "dev" })
                .or_else(|| behind(&entry.words, "dev"));
            if device.is_none() && block != "static_ipaddress" {
                let message = "nothing is followed of what names no device";
                let finding = Diagnostic::warning(name.span, "track-group", message);
                found.push(Err(finding.help("add `dev eth0`, of a rule `iif eth0`")));
                continue;
            }
            if entry.words.iter().any(|word| word.text == "no_track") {
                let message = "with `no_track` nothing is followed";
                let finding = Diagnostic::warning(name.span, "track-group", message);
                found.push(Err(finding.help("remove one of the two")));
                continue;
            }
            found.push(Ok(Followed { group: name.text, span: name.span, device }));
        }
        for one in found {
            match one {
                Ok(followed) => self.followed.push(followed),
                Err(finding) => line.report(finding),
            }
        }
    }
}

/// The word behind that one.
fn behind(words: &[Word], key: &str) -> Option<String> {
    let at = words.iter().position(|word| word.text == key)?;
    words.get(at + 1).map(|word| word.text.clone())
}

fn track_group(line: &mut Line<'_>) -> Result<TrackGroup, Diagnostic> {
    let Word { text: name, span } = line.expect("the name of the group")?;
    line.finish();
    let mut group = TrackGroup { name, members: Vec::new(), span };
    let missing = || {
        let message = "the block is missing";
        let finding = Diagnostic::error(span, "missing-block", message);
        finding.help("write `track_group NAME {`, `group {`, names of instances, `}` and `}`")
    };
    let Some(statements) = line.block.take() else { return Err(missing()) };
    for statement in statements {
        let Statement { words, .. } = &statement;
        let Some(first) = words.first().cloned() else { continue };
        let mut inner = line.inner(statement);
        inner.take();
        let read = if first.text == "group" {
            entries(&mut inner, "group")
        } else {
            Err(unknown_entry(&first, "track_group", &["group"]))
        };
        match read {
            Ok(read) => {
                let members = read.into_iter().flatten();
                group.members.extend(members.map(|Word { text, span }| (text, span)));
            }
            Err(finding) => inner.report(finding),
        }
    }
    Ok(group)
}

/// What is named has to be there.
pub(super) fn verify(read: &Keepalived, found: &mut Vec<Diagnostic>) {
    let FixedBlocks { groups, followed, .. } = &read.fixed;
    for (at, group) in groups.iter().enumerate() {
        if groups[..at].iter().any(|other| other.name == group.name) {
            let message = format!("there is a `track_group {}` already", group.name);
            found.push(Diagnostic::error(group.span, "duplicate-name", message));
        }
        if group.members.is_empty() {
            let message = format!("`track_group {}` has no instances", group.name);
            let finding = Diagnostic::error(group.span, "missing-key", message);
            found.push(finding.help("add `group {`, the names of instances and `}`"));
        }
        for (member, span) in &group.members {
            let names = read.instances.iter().map(|instance| instance.name.as_str());
            if !names.clone().any(|known| known == member) {
                let message = format!("there is no `vrrp_instance {member}`");
                let finding = Diagnostic::error(*span, "unknown-name", message);
                found.push(guess::suggest(finding, member, names.collect::<Vec<_>>()));
            }
        }
    }
    for Followed { group, span, device: _ } in followed {
        let names = groups.iter().map(|known| known.name.as_str());
        if !names.clone().any(|known| known == group) {
            let message = format!("there is no `track_group {group}`");
            let finding = Diagnostic::error(*span, "unknown-name", message);
            let finding = guess::suggest(finding, group, names.collect::<Vec<_>>());
            found.push(finding.help_if_none(|| "add it, or remove the word".to_owned()));
        }
    }
}

impl Keepalived {
    /// Devices of something static without whose carrier the instance is not held.
    pub(crate) fn followed_devices(&self, instance: &Instance) -> Vec<String> {
        let groups = self
            .fixed
            .groups
            .iter()
            .filter(|group| group.members.iter().any(|(member, _)| *member == instance.name));
        let mut devices: Vec<String> = Vec::new();
        for group in groups {
            let all = self.fixed.followed.iter().filter(|it| it.group == group.name);
            for device in all.map(|it| self.global.device_of(it.device.as_ref())) {
                if !devices.contains(&device) {
                    devices.push(device);
                }
            }
        }
        devices
    }

    /// The same as the node makes it.
    pub(crate) fn fixed(&self) -> Fixed {
        let addresses = self.fixed.addresses.iter().map(|address| {
            let device = self.global.device_of(address.device.as_ref());
            Address { device: Some(device), ..address.clone() }
        });
        let rules = self.fixed.rules.iter().map(|written| Way::Rule(written.rule.clone()));
        let routes = self.fixed.routes.iter().cloned().map(Way::Route);
        Fixed { addresses: addresses.collect(), ways: routes.chain(rules).collect() }
    }
}

impl Global {
    /// Where something static is, that names a device or none.
    fn device_of(&self, named: Option<&String>) -> String {
        let device = named.or(self.default_interface.as_ref());
        device.map_or_else(|| DEFAULT_INTERFACE.to_owned(), String::clone)
    }
}

/// keepalived's.
const DEFAULT_INTERFACE: &str = "eth0";
