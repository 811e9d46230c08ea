//! `virtual_mac`: the group's own hardware address.

use super::Vip;
use super::read::{Field, boolean, span};
use super::vips::VipDraft;
use crate::diagnostic::Diagnostic;

pub(super) const VIRTUAL_MAC: Field<VipDraft> = Field {
    name: "virtual_mac",
    form: "true",
    default: "false: the device's own",
    does: "address and adverts on a device of the group's own hardware address (00:00:5e:00:01:ID, for IPv6 02), as RFC 9568 has it: neighbours keep what they know when the address moves; the same on every router of the group",
    set: |draft, value, _| {
        draft.virtual_mac = Some((boolean(value)?, span(value)));
        Ok(())
    },
};

pub(super) fn check(vips: &[Vip], findings: &mut Vec<Diagnostic>) {
    for vip in vips.iter().filter(|vip| vip.has_virtual_mac && vip.has_lease) {
        let message = format!(
            "`{}` has a vip lease, which the kernel ends on the device of the network",
            vip.name
        );
        let finding = Diagnostic::error(vip.span, "vmac", message);
        findings.push(finding.help("remove `virtual_mac`, or `lease`"));
    }
}
