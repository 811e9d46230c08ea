//! What of that which is tracked keeps this node from holding, by its kind and name. The machine knows its position alone.

use std::fmt;

use api::VipCause;
use config::vip::Vip;
use engine::vip::Cause;

use super::Instance;

/// What is tracked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Script,
    Interface,
    Process,
    File,
    Way,
}

impl Kind {
    const fn cause(self) -> VipCause {
        match self {
            Self::Script => VipCause::Script,
            Self::Interface => VipCause::Carrier,
            Self::Process => VipCause::Process,
            Self::File => VipCause::File,
            Self::Way => VipCause::Way,
        }
    }

    /// What was seen.
    const fn words(self) -> &'static str {
        match self {
            Self::Script => Cause::Script.words(),
            Self::Interface => Cause::Carrier.words(),
            Self::Process => "processes do not run as they have to",
            Self::File => "the number in a tracked file takes the address",
            Self::Way => "the way to another system fails",
        }
    }
}

/// In the order of their positions (`engine::vip::Input::Script`).
fn tracked(vip: &Vip) -> impl Iterator<Item = (Kind, &str)> {
    let scripts = vip.track_scripts.iter().map(|it| (Kind::Script, it.name.as_str()));
    let weighed = vip.weighed_interfaces.iter().map(|it| (Kind::Interface, it.name.as_str()));
    let processes = vip.track_processes.iter().map(|it| (Kind::Process, it.name.as_str()));
    let files = vip.track_files.iter().map(|it| (Kind::File, it.path.as_str()));
    let ways = vip.track_bfds.iter().map(|it| (Kind::Way, it.session.name.as_str()));
    scripts.chain(weighed).chain(processes).chain(files).chain(ways)
}

fn failed(vip: &Vip, bits: u64) -> impl Iterator<Item = (Kind, &str)> {
    let first = tracked(vip).enumerate().take(64);
    first.filter(move |(at, _)| bits >> at & 1 == 1).map(|(_, it)| it)
}

impl Instance {
    fn failed(&self) -> impl Iterator<Item = (Kind, &str)> {
        let bits = self.seat.as_ref().map_or_else(|| self.machine.failed(), |seat| seat.failed);
        failed(&self.vip, bits)
    }

    /// A cause that says that something is not as it has to be, by what that is.
    pub(in crate::vip) fn told_apart(&self, cause: VipCause) -> VipCause {
        let first = self.failed().next().filter(|_| cause == VipCause::Script);
        first.map_or(cause, |(kind, _)| kind.cause())
    }

    /// What was seen when it moved last, or why it cannot hold, in words.
    pub(in crate::vip) const fn seen<'a>(&'a self, words: &'a str) -> Seen<'a> {
        Seen { instance: self, words }
    }
}

/// Asks for no memory.
pub(in crate::vip) struct Seen<'a> {
    instance: &'a Instance,
    words: &'a str,
}

impl fmt::Display for Seen<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_tracked = self.words == Cause::Script.words();
        write(f, self.words, self.instance.failed().filter(|_| is_tracked))
    }
}

/// `words`, unless something is named instead.
fn write<'a>(
    f: &mut impl fmt::Write,
    words: &str,
    failed: impl Iterator<Item = (Kind, &'a str)>,
) -> fmt::Result {
    let mut is_first = true;
    for (kind, name) in failed {
        let between = if is_first { "" } else { "; " };
        write!(f, "{between}{}: {name}", kind.words())?;
        is_first = false;
    }
    if is_first { f.write_str(words) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use config::vip::{BfdSession, TrackedBfd, TrackedFile, TrackedProcess, Weighed};

    use super::*;

    #[test]
    fn what_takes_an_address_is_named_by_its_kind() {
        let session = BfdSession::plain("gateway", "10.0.0.1".parse().unwrap());
        let file = |name: &str, path: &str| TrackedFile {
            name: name.to_owned(),
            path: path.to_owned(),
            weight: 0,
            reversed: false,
        };
        let vip = Vip {
            weighed_interfaces: vec![Weighed {
                name: "eth1".to_owned(),
                weight: 3,
                reversed: false,
            }],
            track_processes: vec![TrackedProcess::plain("web"), TrackedProcess::plain("dns")],
            track_files: vec![file("drain", "/run/drain")],
            track_bfds: vec![TrackedBfd { session, weight: 0, reversed: false }],
            ..Vip::plain("v", "eth0", 7, vec![])
        };
        let rows = [
            (0, VipCause::Script, "a check script failed"),
            (0b00010, VipCause::Process, "processes do not run as they have to: web"),
            (
                0b01100,
                VipCause::Process,
                "processes do not run as they have to: dns; the number in a tracked file takes the address: /run/drain",
            ),
            (0b10000, VipCause::Way, "the way to another system fails: gateway"),
            (1 << 63, VipCause::Script, "a check script failed"),
        ];
        for (bits, cause, words) in rows {
            let mut text = String::new();
            write(&mut text, Cause::Script.words(), failed(&vip, bits)).unwrap();
            assert_eq!(text, words, "{bits:b}");
            let first = failed(&vip, bits).next().map(|(kind, _)| kind.cause());
            assert_eq!(first.unwrap_or(VipCause::Script), cause, "{bits:b}");
        }
    }
}
