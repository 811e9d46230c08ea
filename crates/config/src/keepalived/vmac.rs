//! `use_vmac` and its like: the hardware address of a group, and the devices that have it.

use base::Span;

use super::Instance;
use crate::diagnostic::Diagnostic;
use crate::line::{Line, Word};
use crate::vip::virtual_mac::of_group;
use crate::vip::{Mac, Vip};

pub(super) const SYNTAX: &str = "[<device>] [<mac>]";
pub(super) const DOES: &str =
    "addresses and adverts on a device of the group's own hardware address, 00:00:5e:00:01:ID";
pub(super) const ELSEWHERE: &str =
    "the same for addresses on other devices, and for those of the other kind of IP";
pub(super) const FROM_BASE: &str = "adverts leave with the interface's own hardware address";

/// Bytes of a name of a device (`IFNAMSIZ`, without the zero).
const LONGEST_NAME: usize = 15;

/// As one instance writes it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct VirtualMac {
    /// `use_vmac`: where it stands.
    pub at: Option<Span>,
    /// The name of its device; none: made of the router id.
    pub device: Option<String>,
    /// In place of the group's.
    pub mac: Option<WrittenMac>,
    /// `use_vmac_addr`
    pub elsewhere: bool,
    /// `vmac_xmit_base`
    pub speaks_from_base: bool,
}

/// A hardware address; with five bytes the router id is the sixth.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct WrittenMac([Option<u8>; 6]);

impl VirtualMac {
    /// As `use_vmac` has it; none: without.
    pub(crate) fn text(&self) -> Option<String> {
        self.at?;
        let mac = self.mac.map(|WrittenMac(bytes)| {
            let bytes: Vec<String> = bytes.iter().flatten().map(|it| format!("{it:02x}")).collect();
            bytes.join(":")
        });
        let device = self.device.clone().unwrap_or_else(|| "of its router id".to_owned());
        Some([Some(device), mac].into_iter().flatten().collect::<Vec<_>>().join(" "))
    }
}

impl WrittenMac {
    fn parse(text: &str) -> Option<Self> {
        let mut bytes = [None; 6];
        let mut count = 0;
        for part in text.split(':') {
            let byte = u8::from_str_radix(part, 16).ok().filter(|_| part.len() <= 2)?;
            *bytes.get_mut(count)? = Some(byte);
            count += 1;
        }
        // Of one host, as no group of hosts can have an address.
        let is_of_one = bytes[0].is_some_and(|first| first & 1 == 0);
        (count >= 5 && is_of_one).then_some(Self(bytes))
    }

    fn with(self, router_id: u8) -> Mac {
        self.0.map(|byte| byte.unwrap_or(router_id))
    }
}

pub(super) fn read(instance: &mut Instance, line: &mut Line<'_>) -> Result<(), Diagnostic> {
    let written = &mut instance.virtual_mac;
    written.at = Some(line.head());
    while let Some(word) = line.take() {
        if let Some(mac) = WrittenMac::parse(&word.text) {
            written.mac = Some(mac);
        } else if written.device.is_none() && is_name(&word) {
            written.device = Some(word.text);
        } else {
            let message = format!("`{}` is no name of a device", word.text);
            let finding = Diagnostic::warning(word.span, "device-name", message);
            line.report(
                finding.help("at most 15 bytes, no `/`; as with keepalived it is not used"),
            );
        }
    }
    line.finish();
    Ok(())
}

fn is_name(word: &Word) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'/' | b':');
    let text = &word.text;
    (1..=LONGEST_NAME).contains(&text.len()) && text.bytes().all(is_plain) && text != ".."
}

/// What does not go together.
pub(super) fn verify(all: &[Instance], at: usize, found: &mut Vec<Diagnostic>) {
    let (instance, written) = (&all[at], &all[at].virtual_mac);
    let name = written.device.as_deref();
    if let (Some(span), Some(name)) = (written.at, name) {
        let mut taken = |by: String| {
            let message = format!("the device `{name}` is {by}");
            let finding = Diagnostic::error(span, "device-name", message);
            found.push(finding.help("give the device of each group a name of its own"));
        };
        if all.iter().any(|other| other.interface == name) {
            taken("the interface of an instance".to_owned());
        }
        let same = |other: &&Instance| other.virtual_mac.device.as_deref() == Some(name);
        if let Some(other) = all[..at].iter().find(same) {
            taken(format!("that of `{}` already", other.name));
        }
    }
    let alone = |message: &str, help: &str, found: &mut Vec<Diagnostic>| {
        found.push(Diagnostic::warning(instance.span, "vmac", message).help(help));
    };
    if written.speaks_from_base && written.at.is_none() {
        alone("`vmac_xmit_base` means nothing without `use_vmac`", "remove it", found);
    }
    if written.at.is_some() && !instance.unicast_peers.is_empty() && !written.speaks_from_base {
        let message = "adverts to peers leave with the interface's own hardware address";
        alone(message, "write `vmac_xmit_base`, which says so", found);
    }
}

/// Puts the addresses of an instance on devices of its group where it says so. `names`: those that are taken.
pub(crate) fn place(instance: &Instance, vip: &mut Vip, names: &mut Vec<String>) {
    let written = &instance.virtual_mac;
    let is_v6 = vip.is_v6();
    if written.at.is_some() {
        let mac = written.mac.map(|mac| mac.with(vip.router_id));
        let mac = mac.unwrap_or_else(|| of_group(vip.router_id, is_v6));
        let is_from_base = written.speaks_from_base || !vip.unicast_peers.is_empty();
        vip.advert_mac = (!is_from_base).then_some(mac);
        vip.add_virtual_mac((written.device.as_deref(), names), &instance.interface, mac);
    }
    let mut addresses = std::mem::take(&mut vip.addresses);
    for address in &mut addresses {
        let on = address.device.clone().unwrap_or_else(|| vip.interface.clone());
        let is_elsewhere = on != vip.interface || address.ip.is_ipv6() != is_v6;
        let wants_own = address.uses_virtual_mac || (written.elsewhere && is_elsewhere);
        let main = written.at.and_then(|_| vip.virtual_macs.first()).map(|it| it.device.clone());
        // keepalived 2.2.7 leaves those of the other kind of IP on the interface.
        let device = match main.filter(|_| !is_elsewhere) {
            Some(main) => main,
            None if wants_own => {
                let mac = of_group(vip.router_id, address.ip.is_ipv6());
                vip.add_virtual_mac((None, names), &on, mac)
            }
            None => continue,
        };
        address.device = Some(device);
    }
    vip.addresses = addresses;
    vip.note_kinds();
}
