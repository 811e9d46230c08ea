//! `bfd_instance`, and where an instance tracks one.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::time::Duration;

use base::Span;

use super::instance::weight;
use super::{Instance, Keepalived};
use crate::diagnostic::Diagnostic;
use crate::guess;
use crate::keyword::{Keyword, idle, now};
use crate::line::{Line, Word};
use crate::vip::{BfdSession, TrackedBfd};

/// `bfd_instance NAME`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BfdBlock {
    pub session: BfdSession,
    /// Without it there is no session.
    pub neighbor: Option<Span>,
    /// `ttl` or `hoplimit`.
    pub ttl: Option<u8>,
    /// Of instances that do not say.
    pub weight: i16,
    pub reversed: bool,
    pub span: Span,
}

const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
const MICROSECOND: Duration = Duration::from_micros(1);
/// As keepalived has them (milliseconds).
const PACE: RangeInclusive<f64> = 1.0..=4_294_967.0;
const IDLE: RangeInclusive<f64> = 1000.0..=4_294_967.0;
const NEIGHBOR: &str = "the other system";
const HOPS: &str = "what packets leave with";

/// Every keyword of the block, and `multihop` of keepalived 2.4.
pub(crate) const BFD: &[Keyword<BfdBlock>] = &[
    now("hoplimit", "<1-255>", "64", HOPS, ttl),
    now("idle_tx", "<ms>", "1000", "between two packets while it is not up", |block, line| {
        block.session.idle_tx = milliseconds(line, &IDLE)?;
        Ok(())
    }),
    now(
        "max_hops",
        "<0-255>",
        "0",
        "so many routers may be between; 255: any number",
        |b, line| {
            b.session.max_hops = byte(line, 0)?;
            Ok(())
        },
    ),
    now("min_rx", "<ms>", "10", "between two packets that can be received", |block, line| {
        block.session.min_rx = milliseconds(line, &PACE)?;
        Ok(())
    }),
    now("min_tx", "<ms>", "10", "between two packets that are sent", |block, line| {
        block.session.min_tx = milliseconds(line, &PACE)?;
        Ok(())
    }),
    now("multihop", "", "", "over routers: UDP port 4784", |block, line| {
        block.session.multihop = true;
        line.finish();
        Ok(())
    }),
    now("multiplier", "<1-255>", "5", "so many missing packets take it down", |block, line| {
        block.session.multiplier = byte(line, 1)?;
        Ok(())
    }),
    now("neighbor_ip", "<ip>", "", NEIGHBOR, neighbor),
    now("neighbour_ip", "<ip>", "", NEIGHBOR, neighbor),
    now("passive", "", "", "does not speak first", |block, line| {
        block.session.passive = true;
        line.finish();
        Ok(())
    }),
    now("source_ip", "<ip>", "as the kernel chooses", "where packets come from", |block, line| {
        block.session.source = Some(line.expect("an IP address")?.parse("an IP address")?);
        line.finish();
        Ok(())
    }),
    now("ttl", "<1-255>", "255", HOPS, ttl),
    now("weight", "<-253..253> [reverse]", "0", "without it the address goes", |block, line| {
        block.weight = weight(&line.expect("a weight")?)?;
        block.reversed = line.accept("reverse");
        line.finish();
        Ok(())
    }),
    idle("checker", "there are no checkers beside"),
    idle("vrrp", "who tracks it is told"),
];

fn neighbor(block: &mut BfdBlock, line: &mut Line<'_>) -> Result<(), Diagnostic> {
    let word = line.expect("an IP address")?;
    block.session.neighbor = word.parse("an IP address")?;
    block.neighbor = Some(word.span);
    line.finish();
    Ok(())
}

fn ttl(block: &mut BfdBlock, line: &mut Line<'_>) -> Result<(), Diagnostic> {
    block.ttl = Some(byte(line, 1)?);
    Ok(())
}

fn byte(line: &mut Line<'_>, least: u64) -> Result<u8, Diagnostic> {
    let number = line.number("a number", least, 255)?;
    line.finish();
    Ok(u8::try_from(number).unwrap_or(u8::MAX))
}

/// With a fraction, as 3.312.
fn milliseconds(line: &mut Line<'_>, bounds: &RangeInclusive<f64>) -> Result<Duration, Diagnostic> {
    let word = line.expect("milliseconds")?;
    let wrong = || word.wrong(&format!("milliseconds from {} to {}", bounds.start(), bounds.end()));
    let number: f64 = word.text.parse().map_err(|_| wrong())?;
    if !bounds.contains(&number) {
        return Err(wrong());
    }
    let time = Duration::try_from_secs_f64(number / 1000.0).map_err(|_| wrong())?;
    line.finish();
    Ok(time.max(MICROSECOND))
}

pub(super) fn new(name: Word) -> BfdBlock {
    let session = BfdSession::plain(&name.text, NOBODY);
    BfdBlock { session, neighbor: None, ttl: None, weight: 0, reversed: false, span: name.span }
}

impl BfdBlock {
    /// When all of it was read.
    pub(super) fn settle(&mut self) {
        let usual = BfdSession::plain("", self.session.neighbor).ttl;
        self.session.ttl = self.ttl.unwrap_or(usual);
    }
}

impl Keepalived {
    /// The sessions that an instance tracks, with what it makes of them.
    pub(crate) fn tracked_bfds(&self, instance: &Instance) -> Vec<TrackedBfd> {
        let of = |track: &super::Track| {
            let block = self.bfds.iter().find(|block| block.session.name == track.name)?;
            Some(TrackedBfd {
                session: block.session.clone(),
                weight: track.weight.unwrap_or(block.weight),
                reversed: track.reverse.unwrap_or(block.reversed),
            })
        };
        self.tracked_ways(instance).iter().filter_map(of).collect()
    }
}

/// What is missing, and what does not go together.
pub(super) fn verify(read: &Keepalived, found: &mut Vec<Diagnostic>) {
    let names: Vec<&str> = read.bfds.iter().map(|block| block.session.name.as_str()).collect();
    let of_groups = read.sync_groups.iter().flat_map(|group| &group.track_bfds);
    let all = read.instances.iter().flat_map(|instance| &instance.track_bfds);
    for track in all.chain(of_groups) {
        if !names.contains(&track.name.as_str()) {
            let message = format!("there is no `bfd_instance {}`", track.name);
            let finding = Diagnostic::error(track.span, "unknown-name", message);
            let finding = guess::suggest(finding, &track.name, names.iter().copied());
            found.push(finding.help_if_none(|| "add it, or remove the line".to_owned()));
        }
    }
    for (at, block) in read.bfds.iter().enumerate() {
        let session = &block.session;
        let mut wrong = |span: Span, code: &'static str, message: String, help: &str| {
            found.push(Diagnostic::error(span, code, message).help(help));
        };
        let Some(neighbor) = block.neighbor else {
            let message = format!("`{}` names no other system", session.name);
            wrong(block.span, "missing-key", message, "add `neighbor_ip 10.0.0.1`");
            continue;
        };
        if session.source.is_some_and(|ip| ip.is_ipv6() != session.neighbor.is_ipv6()) {
            let message = "one end of a session has IPv4, the other one IPv6".to_owned();
            wrong(neighbor, "ip-version", message, "write both addresses of one kind");
        }
        if matches!(session.neighbor, IpAddr::V6(ip) if ip.is_unicast_link_local()) {
            let message = "an address of a link says nothing without its device".to_owned();
            wrong(neighbor, "link-local", message, "write another address of that system");
        }
        if names[..at].contains(&session.name.as_str()) {
            let message = format!("there is a `bfd_instance {}` already", session.name);
            wrong(block.span, "duplicate-name", message, "give each a name of its own");
        }
        let same = |other: &BfdBlock| {
            let of = |it: &BfdSession| (it.neighbor, it.source, it.multihop);
            of(&other.session) == of(session)
        };
        if let Some(other) = read.bfds[..at].iter().find(|other| same(other)) {
            let message = format!("`{}` watches the same way", other.session.name);
            wrong(neighbor, "duplicate-session", message, "track that one");
        }
    }
}
