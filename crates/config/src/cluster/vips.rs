//! The keys of `[vip.NAME]` and of its check.

use std::net::IpAddr;
use std::time::Duration;

use base::Span;

use super::accept;
use super::bfd::BFD;
use super::check::{CheckDraft, check, command};
use super::fields::At;
use super::hmac::{self, HmacDraft};
use super::lease::{self, After};
use super::place;
use super::read::{
    Field, REQUIRED, boolean, fields, number, parsed, span, text, texts, time, wrong,
};
use super::track::{self, TrackDraft};
use super::{run_as, virtual_mac};
use crate::diagnostic::Diagnostic;
use crate::notify::Program;
use crate::vip::{Checksum, Protocol};

/// `[vip.NAME]`
#[derive(Debug, Default)]
pub(crate) struct VipDraft {
    pub(crate) addresses: Vec<At<String>>,
    pub(crate) prefix: Option<At<u8>>,
    pub(crate) network: Option<At<String>>,
    pub(crate) router_id: Option<At<u8>>,
    pub(crate) order: Option<Vec<At<String>>>,
    pub(crate) check: Option<CheckDraft>,
    pub(crate) password: Option<At<String>>,
    pub(crate) hmac: HmacDraft,
    pub(crate) unicast: bool,
    pub(crate) interface: Option<String>,
    pub(crate) source: Option<At<IpAddr>>,
    pub(crate) advert_interval: Option<At<Duration>>,
    pub(crate) version: Option<At<u8>>,
    pub(crate) checksum_as_v2: Option<At<bool>>,
    pub(crate) track: TrackDraft,
    pub(crate) sync_group: Option<At<String>>,
    pub(crate) has_lease: Option<At<bool>>,
    pub(crate) after: Option<At<After>>,
    pub(crate) last_man: Option<At<Option<Duration>>>,
    pub(crate) virtual_mac: Option<At<bool>>,
    pub(crate) accept: Option<bool>,
    pub(crate) bfd: Option<crate::vip::TrackedBfd>,
    pub(crate) spread: Option<At<String>>,
    pub(crate) apart_from: Vec<At<String>>,
    pub(crate) never_with: Vec<At<String>>,
    pub(crate) follows: Option<At<()>>,
    pub(crate) notify: Option<Program>,
}

pub(crate) const VIP: &[Field<VipDraft>] = &[
    Field {
        name: "address",
        form: "\"10.79.0.40\"",
        default: REQUIRED,
        does: "the virtual IP, or a list of them that move together",
        set: |draft, value, _| {
            draft.addresses = texts(value, "an IP address")?;
            Ok(())
        },
    },
    Field {
        name: "network",
        form: "\"management\"",
        default: "the network of which the address is nearest to a node's",
        does: "the network whose interface carries adverts and address",
        set: |draft, value, _| {
            draft.network = Some((text(value, "the name of a network")?, span(value)));
            Ok(())
        },
    },
    Field {
        name: "router_id",
        form: "121",
        default: REQUIRED,
        does: "VRRP's number of the group, once per network",
        set: |draft, value, _| {
            let id = u8::try_from(number(value, "a number", 1, 255)?).unwrap_or(255);
            draft.router_id = Some((id, span(value)));
            Ok(())
        },
    },
    Field {
        name: "check",
        form: "\"balancer\"",
        default: "\"balancer\" with a balancer, else \"none\"",
        does: "\"balancer\", \"none\", { script = [...], interval = \"2s\", fall = 2, rise = 10 }, or a list of them",
        set: |draft, value, findings| {
            draft.check = Some(match value.get_ref().as_array() {
                None => check(value, findings)?,
                Some(list) => {
                    let each = list.iter().map(|value| check(value, findings));
                    CheckDraft::All(each.collect::<Result<_, _>>()?)
                }
            });
            Ok(())
        },
    },
    Field {
        name: "order",
        form: "[\"node01\", \"node02\"]",
        default: "the order of the nodes in this file",
        does: "which node takes the address at a cold start; nodes left out never do, and with `lease` vote all the same",
        set: |draft, value, _| {
            draft.order = Some(texts(value, "names of nodes")?);
            Ok(())
        },
    },
    Field {
        name: "prefix",
        form: "32",
        default: "32, for IPv6 128",
        does: "prefix length of the address on the device",
        set: |draft, value, _| {
            let prefix = u8::try_from(number(value, "a prefix length", 1, 128)?).unwrap_or(128);
            draft.prefix = Some((prefix, span(value)));
            Ok(())
        },
    },
    Field {
        name: "password",
        form: "\"8 bytes\"",
        default: "none",
        does: "VRRP's own password, for foreign routers; only 8 bytes are used",
        set: |draft, value, _| {
            draft.password = Some((text(value, "a password")?, span(value)));
            Ok(())
        },
    },
    hmac::KEYS,
    hmac::ACTIVE,
    hmac::REPLAY,
    hmac::WINDOW,
    hmac::MODE,
    Field {
        name: "unicast",
        form: "true",
        default: "false: multicast",
        does: "sends adverts to each other node, for networks without multicast",
        set: |draft, value, _| {
            draft.unicast = boolean(value)?;
            Ok(())
        },
    },
    Field {
        name: "interface",
        form: "\"eth0\"",
        default: "the one that has the node's address, as soon as one has it",
        does: "device for adverts and address",
        set: |draft, value, _| {
            draft.interface = Some(text(value, "the name of an interface")?);
            Ok(())
        },
    },
    Field {
        name: "source",
        form: "\"10.79.0.41\"",
        default: "the node's address; for IPv6 the first of its device that is for the link",
        does: "source of the adverts",
        set: |draft, value, _| {
            draft.source = Some((parsed(value, "an IP address")?, span(value)));
            Ok(())
        },
    },
    Field {
        name: "advert_interval",
        form: "\"1s\"",
        default: "1s",
        does: "between two adverts of the holder, the same on every router of the group; in version 2 whole seconds up to \"255s\", in version 3 multiples of \"10ms\" up to \"40950ms\"",
        set: |draft, value, _| {
            draft.advert_interval = Some((time(value)?, span(value)));
            Ok(())
        },
    },
    Field {
        name: "version",
        form: "3",
        default: "2, for IPv6 3",
        does: "of VRRP, the same on every router of the group",
        set: |draft, value, _| {
            let version = u8::try_from(number(value, "a version", 2, 3)?).unwrap_or(2);
            draft.version = Some((version, span(value)));
            Ok(())
        },
    },
    Field {
        name: "v3_checksum_as_v2",
        form: "true",
        default: "false",
        does: "in version 3, sends the checksum of RFC 9568, over the message alone, for routers that take no other; both are taken",
        set: |draft, value, _| {
            draft.checksum_as_v2 = Some((boolean(value)?, span(value)));
            Ok(())
        },
    },
    track::INTERFACES,
    track::PROCESSES,
    track::FILES,
    Field {
        name: "sync_group",
        form: "\"router\"",
        default: "none",
        does: "virtual IPs with the same name here are held by one node together, or not at all: one that cannot be held takes the others with it",
        set: |draft, value, _| {
            draft.sync_group = Some((text(value, "a name")?, span(value)));
            Ok(())
        },
    },
    accept::ACCEPT,
    BFD,
    virtual_mac::VIRTUAL_MAC,
    lease::BY_VOTES,
    lease::AFTER,
    lease::LAST_MAN,
    place::SPREAD,
    place::APART_FROM,
    place::NEVER_WITH,
    place::FOLLOWS,
    Field {
        name: "notify",
        form: "{ script = [\"/usr/local/bin/changed\"] }",
        default: "none",
        does: "run when the state of the address on this node changes, with `INSTANCE`, its name, MASTER, BACKUP, FAULT, STOP or DELETED, and the priority as more arguments",
        set: |draft, value, findings| {
            let table = value.get_ref().as_table();
            let table = table.ok_or_else(|| wrong(value, "{ script = [...] }"))?;
            let mut program = Program::default();
            fields(PROGRAM, "`notify`", span(value), table, &mut program, findings);
            draft.notify = Some(program);
            Ok(())
        },
    },
];

/// `notify = { script = ... }`
pub(crate) const PROGRAM: &[Field<Program>] = &[
    Field {
        name: "script",
        form: "[\"/usr/local/bin/changed\", \"argument\"]",
        default: REQUIRED,
        does: "program and arguments; no shell",
        set: |program, value, _| {
            program.command = command(value)?;
            Ok(())
        },
    },
    run_as::user("user that runs it"),
    run_as::group("group that runs it"),
    run_as::secure(),
];

impl VipDraft {
    /// What the group speaks, and how often; what does not go together is told.
    pub(crate) fn protocol(
        &self,
        is_v6: bool,
        findings: &mut Vec<Diagnostic>,
    ) -> (Protocol, Duration) {
        let sends = match self.checksum_as_v2 {
            Some((true, _)) => Checksum::Message,
            Some((false, _)) | None => Checksum::Pseudo,
        };
        let protocol = match self.version {
            Some((3, _)) => Protocol::V3 { sends },
            None if is_v6 => Protocol::V3 { sends },
            Some(_) | None => Protocol::V2,
        };
        let mut wrong = |at: Span, message: &str, help: &str| {
            findings.push(Diagnostic::error(at, "bad-value", message).help(help));
        };
        if let (Protocol::V2, true, Some((_, at))) = (protocol, is_v6, self.version) {
            wrong(at, "VRRP version 2 knows no IPv6", "remove it, or write `version = 3`");
        }
        if let Some((source, at)) = self.source.filter(|(source, _)| source.is_ipv6() != is_v6) {
            let message = format!("{source} cannot be the source of adverts for this address");
            wrong(at, &message, "both have to be IPv4, or both IPv6");
        }
        if let (Protocol::V3 { .. }, Some((_, at))) = (protocol, &self.password) {
            let message = "VRRP version 3 has no password";
            wrong(*at, message, "remove it; own nodes know each other by `secret_file`");
        }
        if let (Protocol::V2, Some((_, at))) = (protocol, self.checksum_as_v2) {
            wrong(at, "VRRP version 2 has one checksum", "remove it, or write `version = 3`");
        }
        let Some((interval, at)) = self.advert_interval else { return (protocol, ADVERT_INTERVAL) };
        let is_told = interval.as_nanos().is_multiple_of(protocol.tick().as_nanos());
        if !is_told || interval > protocol.longest_interval() {
            let (message, help) = match protocol {
                Protocol::V2 => (
                    "VRRP version 2 counts whole seconds up to 255",
                    "write `\"1s\"`, or `version = 3` beside it",
                ),
                Protocol::V3 { .. } => (
                    "VRRP version 3 counts hundredths of seconds up to 40.95",
                    "write a multiple of `\"10ms\"` up to `\"40950ms\"`",
                ),
            };
            wrong(at, message, help);
        }
        (protocol, interval)
    }
}

/// keepalived's own default.
const ADVERT_INTERVAL: Duration = Duration::from_secs(1);
