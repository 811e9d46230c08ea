//! An independent reader of every advert: Wireshark's dissector.

use std::net::IpAddr;
use std::path::Path;
use std::process::Command;

use crate::group::GROUP;
use crate::member::Version;

/// One advert, as tshark reads it.
#[derive(Clone, Debug)]
pub(crate) struct Dissected {
    /// Milliseconds since 1970.
    pub(crate) at_ms: u64,
    pub(crate) source: IpAddr,
    pub(crate) priority: u8,
    /// What is wrong with it, if anything.
    pub(crate) wrong: Option<String>,
}

/// Of IPv6 those of [`OVER_V6`] take the place of theirs.
const FIELDS: [&str; 12] = [
    "frame.time_epoch",
    "ip.src",
    "vrrp.prio",
    "ip.ttl",
    "ip.checksum.status",
    "vrrp.version",
    "vrrp.type",
    "vrrp.virt_rtr_id",
    "vrrp.checksum.status",
    "vrrp.adver_int",
    "vrrp.short_adver_int",
    "_ws.expert.severity",
];

const OVER_V6: [(&str, &str); 2] = [("ip.src", "ipv6.src"), ("ip.ttl", "ipv6.hlim")];

/// Every packet of protocol 112 in the recording.
pub(crate) fn read(recording: &Path, version: Version) -> Vec<Dissected> {
    let mut tshark = Command::new("tshark");
    tshark.arg("-r").arg(recording).args(["-n", "-o", "ip.check_checksum:TRUE", "-T", "fields"]);
    for field in FIELDS {
        let other = OVER_V6.iter().find(|(v4, _)| *v4 == field);
        let other = other.filter(|_| matches!(version, Version::Six(_)));
        tshark.args(["-e", other.map_or(field, |(_, v6)| v6)]);
    }
    let output = tshark.output().expect("tshark is installed");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "tshark: {complaints}");
    String::from_utf8_lossy(&output.stdout).lines().map(|line| dissected(line, version)).collect()
}

fn dissected(line: &str, version: Version) -> Dissected {
    let values: Vec<&str> = line.split('\t').collect();
    let value = |at: usize| values.get(at).copied().unwrap_or_default();
    let id = GROUP.to_string();
    let (number, seconds, centiseconds) = match version {
        Version::Two | Version::Open => ("2", "1", String::new()),
        Version::Three(centiseconds) | Version::Six(centiseconds) => {
            ("3", "", centiseconds.to_string())
        }
    };
    // Good checksums have the status 1; the head of IPv6 has none.
    let of_head = if matches!(version, Version::Six(_)) { "" } else { "1" };
    let expected = ["255", of_head, number, "1", &id, "1", seconds, &centiseconds, ""];
    let wrong: Vec<String> = (3..)
        .zip(expected)
        .filter(|(at, expected)| value(*at) != *expected)
        .map(|(at, expected)| format!("{} {:?}, not {expected:?}", FIELDS[at], value(at)))
        .collect();
    let seconds: f64 = value(0).parse().expect("a time");
    Dissected {
        at_ms: millis(seconds),
        source: value(1).parse().expect("an address"),
        priority: value(2).parse().unwrap_or_default(),
        wrong: (!wrong.is_empty()).then(|| format!("{}: {}", value(1), wrong.join(", "))),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "milliseconds since 1970 are positive and fit"
)]
fn millis(seconds: f64) -> u64 {
    (seconds * 1000.0) as u64
}
