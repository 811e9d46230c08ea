//! `bfd = { ... }` of a virtual IP: a way that has to work where it is held.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use toml::de::DeValue;

use super::Vip;
use super::read::{Field, REQUIRED, boolean, fields, number, parsed, span, time, wrong};
use super::vips::VipDraft;
use crate::diagnostic::Diagnostic;
use crate::vip::{BfdSession, TrackedBfd};

const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(60);

pub(super) const BFD: Field<VipDraft> = Field {
    name: "bfd",
    form: "{ neighbor = \"10.79.0.1\" }",
    default: "none",
    does: "gives the address up while the way to this system fails, which has to speak BFD as well: a gateway, a router",
    set: |draft, value, findings| {
        let table = value.get_ref().as_table();
        let table = table.ok_or_else(|| wrong(value, "{ neighbor = \"...\" }"))?;
        let mut session = BfdSession::plain("", IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        // Of a kernel that is busy with other things, too.
        (session.min_rx, session.min_tx) = (Duration::from_millis(100), Duration::from_millis(100));
        session.multiplier = 3;
        let mut tracked = TrackedBfd { session, weight: 0, reversed: false };
        fields(BFD_KEYS, "`bfd`", span(value), table, &mut tracked, findings);
        // On one link 255 whatever the version of IP (RFC 5881 5); over routers nothing is known of it.
        tracked.session.ttl = 255;
        tracked.session.max_hops = if tracked.session.multihop { u8::MAX } else { 0 };
        let ends = (tracked.session.neighbor, tracked.session.source);
        if matches!(ends.0, IpAddr::V6(ip) if ip.is_unicast_link_local()) {
            return Err(wrong(value, "an address that is not of a link alone"));
        }
        if ends.1.is_some_and(|ip| ip.is_ipv6() != ends.0.is_ipv6()) {
            return Err(wrong(value, "two addresses of one kind"));
        }
        draft.bfd = Some(tracked);
        Ok(())
    },
};

/// `bfd = { neighbor = ... }`
pub(crate) const BFD_KEYS: &[Field<TrackedBfd>] = &[
    Field {
        name: "neighbor",
        form: "\"10.79.0.1\"",
        default: REQUIRED,
        does: "the other system",
        set: |tracked, value, _| {
            tracked.session.neighbor = parsed(value, "an IP address")?;
            Ok(())
        },
    },
    Field {
        name: "source",
        form: "\"10.79.0.41\"",
        default: "as the kernel chooses it",
        does: "where packets come from",
        set: |tracked, value, _| {
            tracked.session.source = Some(parsed(value, "an IP address")?);
            Ok(())
        },
    },
    Field {
        name: "interval",
        form: "\"100ms\"",
        default: "100ms",
        does: "between two packets, in both directions; the slower of both ends makes the pace",
        set: |tracked, value, _| {
            let interval = time(value)?;
            if !(SHORTEST..=LONGEST).contains(&interval) {
                return Err(wrong(value, "a time from \"1ms\" to \"60s\""));
            }
            (tracked.session.min_rx, tracked.session.min_tx) = (interval, interval);
            Ok(())
        },
    },
    Field {
        name: "multiplier",
        form: "3",
        default: "3",
        does: "so many packets of this node have to be missing until the other end gives up",
        set: |tracked, value, _| {
            let multiplier = number(value, "a number", 1, 255)?;
            tracked.session.multiplier = u8::try_from(multiplier).unwrap_or(u8::MAX);
            Ok(())
        },
    },
    Field {
        name: "multihop",
        form: "true",
        default: "false: on one link",
        does: "over routers (RFC 5883)",
        set: |tracked, value, _| {
            tracked.session.multihop = boolean(value)?;
            Ok(())
        },
    },
    Field {
        name: "passive",
        form: "true",
        default: "false",
        does: "does not speak first",
        set: |tracked, value, _| {
            tracked.session.passive = boolean(value)?;
            Ok(())
        },
    },
    Field {
        name: "weight",
        form: "-20",
        default: "0: the node cannot hold the address while the way fails",
        does: "added to the priority while the way works, or taken from it while it fails",
        set: |tracked, value, _| {
            let what = "a weight from -253 to 253";
            let DeValue::Integer(integer) = value.get_ref() else { return Err(wrong(value, what)) };
            let weight = i16::from_str_radix(integer.as_str(), integer.radix()).ok();
            let weight = weight.filter(|weight| (-253..=253).contains(weight));
            tracked.weight = weight.ok_or_else(|| wrong(value, what))?;
            Ok(())
        },
    },
];

/// A session has the name of its virtual IP.
pub(super) fn settle(draft: Option<TrackedBfd>, name: &str) -> Option<TrackedBfd> {
    let mut tracked = draft?;
    name.clone_into(&mut tracked.session.name);
    Some(tracked)
}

pub(super) fn check(vips: &[Vip], findings: &mut Vec<Diagnostic>) {
    for vip in vips.iter().filter(|vip| vip.bfd.is_some() && vip.has_lease) {
        let message = format!("`{}` has a vip lease, which looks at no ways", vip.name);
        let finding = Diagnostic::error(vip.span, "bfd", message);
        findings.push(finding.help("remove `bfd`, or `lease`; `reference` asks a gateway for all"));
    }
}
