//! Fetches: samples out of connections, messages, counters.

use std::borrow::Cow;

use config::haproxy::expr::{Fetch, Gauge, Header, Side, Where};

use super::message::{Message, end_of_value, values};
use super::{Sample, Scene};

/// The one sample that is meant where one is wanted: of several headers or cookies the last.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "some fetches have several samples, all others one"
)]
pub(super) fn one<'s>(fetch: &'s Fetch, scene: &'s Scene<'s>) -> Option<Sample<'s>> {
    match fetch {
        Fetch::Header(header) => last(header, scene).map(Sample::str),
        Fetch::HeaderIp(header) => last(header, scene).and_then(as_ip),
        Fetch::HeaderNumber(header) => last(header, scene).and_then(as_number),
        Fetch::Cookie(side, name) => cookies(*side, name.as_deref(), scene).last().map(Sample::str),
        Fetch::CookieNumber(side, name) => {
            cookies(*side, name.as_deref(), scene).last().and_then(as_number)
        }
        Fetch::UrlParameter { name, separator } => {
            parameters(scene, name.as_deref(), *separator).next().map(Sample::str)
        }
        Fetch::Constant(value) => Some(Sample::of(value)),
        _ => around(fetch, scene).or_else(|| of_message(fetch, scene)),
    }
}

/// Shows all samples until `look` says yes: conditions look at every value of a header.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "some fetches have several samples, all others one"
)]
pub(super) fn each<'s>(
    fetch: &'s Fetch,
    scene: &'s Scene<'s>,
    look: &mut dyn FnMut(Sample<'s>) -> bool,
) -> bool {
    match fetch {
        Fetch::Header(header) if header.occurrence == 0 => {
            lines(header, scene).any(|value| look(Sample::str(value)))
        }
        Fetch::HeaderIp(header) if header.occurrence == 0 => {
            lines(header, scene).filter_map(as_ip).any(look)
        }
        Fetch::HeaderNumber(header) if header.occurrence == 0 => {
            lines(header, scene).filter_map(as_number).any(look)
        }
        Fetch::Cookie(side, name) => {
            cookies(*side, name.as_deref(), scene).any(|value| look(Sample::str(value)))
        }
        Fetch::CookieNumber(side, name) => {
            cookies(*side, name.as_deref(), scene).filter_map(as_number).any(look)
        }
        Fetch::UrlParameter { name, separator } => {
            parameters(scene, name.as_deref(), *separator).any(|value| look(Sample::str(value)))
        }
        _ => one(fetch, scene).is_some_and(look),
    }
}

/// What needs no message.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "a group of fetches is taken here, whatever else there is elsewhere"
)]
fn around<'s>(fetch: &'s Fetch, scene: &'s Scene<'s>) -> Option<Sample<'s>> {
    let name = |at: Option<usize>| {
        let proxy = scene.view.config.proxies.get(at?)?;
        Some(Sample::str(proxy.name.as_bytes()))
    };
    match fetch {
        Fetch::Variable(variable) => {
            let variables = scene.variables.borrow();
            variables.value(variable).map(|value| owned(Sample::of(value)))
        }
        Fetch::Random(below) => Some(Sample::Int(random(scene, *below))),
        Fetch::HostName => Some(Sample::str(scene.host.as_bytes())),
        Fetch::Date(offset) => {
            Some(Sample::Int(i64::try_from(scene.wall).ok()?.saturating_add(*offset)))
        }
        Fetch::Source => scene.peer.map(|peer| Sample::Ip(peer.ip())),
        Fetch::SourcePort => scene.peer.map(|peer| Sample::Int(i64::from(peer.port()))),
        Fetch::Destination => local(scene).map(|at| Sample::Ip(at.ip())),
        Fetch::DestinationPort => local(scene).map(|at| Sample::Int(i64::from(at.port()))),
        Fetch::Tls => Some(Sample::Bool(false)),
        Fetch::FrontendName => name(Some(scene.front)),
        Fetch::BackendName => name(scene.back),
        Fetch::ServerName => {
            let servers = &scene.view.config.proxies.get(scene.back?)?.servers;
            Some(Sample::str(servers.get(scene.server?)?.name.as_bytes()))
        }
        Fetch::FirstRequest => Some(Sample::Bool(scene.is_first)),
        Fetch::IsHttp => Some(Sample::Bool(scene.http)),
        Fetch::Gauge(gauge, place) => measure(*gauge, place, scene).map(Sample::Int),
        Fetch::Status => scene.status.map(|status| Sample::Int(i64::from(status))),
        _ => None,
    }
}

fn owned<'s>(sample: Sample<'_>) -> Sample<'s> {
    match sample {
        Sample::Bool(is) => Sample::Bool(is),
        Sample::Int(number) => Sample::Int(number),
        Sample::Ip(ip) => Sample::Ip(ip),
        Sample::Str(text) => Sample::Str(Cow::Owned(text.into_owned())),
        Sample::Bin(bytes) => Sample::Bin(Cow::Owned(bytes.into_owned())),
    }
}

/// Xorshift: nothing hangs on these numbers but how load is divided.
fn random(scene: &Scene<'_>, below: Option<u32>) -> i64 {
    let mut state = scene.dice.get() | 1;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    scene.dice.set(state);
    let drawn = state >> 32;
    i64::try_from(below.map_or(drawn, |below| (drawn * u64::from(below)) >> 32)).unwrap_or(0)
}

fn local(scene: &Scene<'_>) -> Option<std::net::SocketAddr> {
    scene.client.and_then(|client| sys::socket::local(client).ok())
}

fn measure(gauge: Gauge, place: &Where, scene: &Scene<'_>) -> Option<i64> {
    let at = place.proxy.unwrap_or(scene.front);
    // A frontend has no servers: its backend is meant.
    let at = match &place.name {
        None => scene.back.filter(|_| gauge != Gauge::FrontendSessions).unwrap_or(at),
        Some(_) => at,
    };
    let counters = scene.view.counters.proxies.get(at)?;
    let usable = || {
        let servers = &scene.view.config.proxies.get(at)?.servers;
        let backend = scene.backends.get(at)?;
        let serves = (0..servers.len()).filter(|server| backend.serves(*server));
        Some(i64::try_from(serves.count()).unwrap_or(0))
    };
    let queued = i64::from(counters.backend.queued());
    Some(match gauge {
        Gauge::UsableServers => usable()?,
        Gauge::Queued => queued,
        Gauge::AverageQueue => {
            let usable = usable()?;
            if usable > 0 { (queued + usable - 1) / usable } else { queued }
        }
        Gauge::BackendSessions => i64::from(counters.backend.current()),
        Gauge::FrontendSessions => i64::from(counters.frontend.current()),
        Gauge::ServerSessions => i64::from(counters.servers.get(place.server?)?.current()),
        Gauge::ServerIsUp => i64::from(scene.backends.get(at)?.serves(place.server?)),
    })
}

fn message<'s>(side: Side, scene: &'s Scene<'s>) -> Option<&'s Message<'s>> {
    match side {
        Side::Request => scene.request,
        Side::Response => scene.response,
    }
}

/// What is in a head, or in the request line that was kept.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "a group of fetches is taken here, whatever else there is elsewhere"
)]
fn of_message<'s>(fetch: &'s Fetch, scene: &'s Scene<'s>) -> Option<Sample<'s>> {
    let captured = |at: usize| {
        let word = scene.line.splitn(3, |byte| *byte == b' ').nth(at);
        word.filter(|word| !word.is_empty()).map(Sample::str)
    };
    let count = |count: usize| Some(Sample::Int(i64::try_from(count).unwrap_or(i64::MAX)));
    let request = || scene.request;
    match fetch {
        Fetch::Method => match scene.request {
            Some(message) => Some(Sample::str(message.verb.as_bytes())),
            None => captured(0),
        },
        Fetch::CapturedMethod => captured(0),
        Fetch::CapturedUri => captured(1),
        Fetch::CapturedVersion => captured(2),
        Fetch::Version(side) => {
            Some(Sample::str(if message(*side, scene)?.modern { b"1.1" } else { b"1.0" }))
        }
        Fetch::Url => Some(Sample::str(request()?.target.as_bytes())),
        Fetch::Path => Some(Sample::str(request()?.path()?.as_bytes())),
        Fetch::PathQuery => Some(Sample::str(request()?.path_query()?.as_bytes())),
        Fetch::Query => {
            let (_, query) = request()?.target.split_once('?')?;
            Some(Sample::str(query.as_bytes()))
        }
        Fetch::Base => base(request()?, request()?.path()),
        Fetch::BaseQuery => base(request()?, request()?.path_query()),
        Fetch::HeaderCount(header) => count(lines(header, scene).count()),
        Fetch::CookieCount(side, name) => count(cookies(*side, name.as_deref(), scene).count()),
        Fetch::HeaderNames(side, separator) => {
            let mut names = Vec::new();
            for field in &message(*side, scene)?.fields {
                if !names.is_empty() {
                    names.push(*separator);
                }
                names.extend_from_slice(field.name.to_ascii_lowercase().as_bytes());
            }
            Some(Sample::Str(Cow::Owned(names)))
        }
        _ => None,
    }
}

/// Host and path behind each other.
fn base<'s>(message: &'s Message<'s>, path: Option<&'s str>) -> Option<Sample<'s>> {
    let host = message.lines("host").next().filter(|host| !host.is_empty());
    let Some(host) = host else { return path.map(|path| Sample::str(path.as_bytes())) };
    Some(Sample::Str(Cow::Owned([host, path.unwrap_or("").as_bytes()].concat())))
}

/// Values or whole lines of a header; of every header without a name.
fn lines<'s>(header: &'s Header, scene: &'s Scene<'s>) -> impl Iterator<Item = &'s [u8]> {
    let name = header.name.as_deref();
    let fields = message(header.side, scene).map(|message| message.fields.as_slice());
    let is = move |field: &&'s super::Field<'s>| {
        name.is_none_or(|name| field.name.eq_ignore_ascii_case(name))
    };
    let lines = fields.unwrap_or_default().iter().filter(is).map(|field| &*field.value);
    lines.flat_map(|line| {
        let mut whole = header.full.then(|| line.trim_ascii());
        let mut parts = (!header.full).then(|| values(line));
        std::iter::from_fn(move || whole.take().or_else(|| parts.as_mut()?.next()))
    })
}

/// The occurrence that is meant; 0 is the last.
fn last<'s>(header: &'s Header, scene: &'s Scene<'s>) -> Option<&'s [u8]> {
    match usize::try_from(header.occurrence) {
        Ok(0) => lines(header, scene).last(),
        Ok(occurrence) => lines(header, scene).nth(occurrence - 1),
        Err(_) => {
            let back = usize::try_from(header.occurrence.unsigned_abs()).ok()?;
            let all = lines(header, scene).count();
            lines(header, scene).nth(all.checked_sub(back)?)
        }
    }
}

fn as_ip(value: &[u8]) -> Option<Sample<'_>> {
    let text = std::str::from_utf8(value).ok()?;
    // With a port behind it, as some proxies write it.
    let bare = || match text.strip_prefix('[') {
        Some(rest) => rest.split(']').next(),
        None if text.matches(':').count() == 1 => text.split(':').next(),
        None => None,
    };
    let ip = text.parse().ok().or_else(|| bare()?.parse().ok());
    ip.map(Sample::Ip)
}

fn as_number(value: &[u8]) -> Option<Sample<'_>> {
    Sample::str(value).int().map(Sample::Int)
}

/// Values of cookies of that name, or of all.
fn cookies<'s>(
    side: Side,
    name: Option<&'s [u8]>,
    scene: &'s Scene<'s>,
) -> impl Iterator<Item = &'s [u8]> {
    let header = match side {
        Side::Request => "cookie",
        Side::Response => "set-cookie",
    };
    let lines = message(side, scene).into_iter().flat_map(move |message| message.lines(header));
    lines.flat_map(move |line| {
        let line = match side {
            Side::Request => line,
            Side::Response => &line[..end_of_value(line)],
        };
        let parts = line.split(move |byte| match side {
            Side::Request => matches!(byte, b';' | b','),
            Side::Response => *byte == b';',
        });
        // What follows the first part of `Set-Cookie` is about it.
        let most = if side == Side::Request { usize::MAX } else { 1 };
        parts.take(most).filter_map(move |part| {
            let at = part.iter().position(|byte| *byte == b'=')?;
            let (key, value) = (part[..at].trim_ascii(), part[at + 1..].trim_ascii());
            name.is_none_or(|name| name == key).then_some(value)
        })
    })
}

/// Values of a parameter behind the separator.
fn parameters<'s>(
    scene: &'s Scene<'s>,
    name: Option<&'s [u8]>,
    separator: u8,
) -> impl Iterator<Item = &'s [u8]> {
    let target = scene.request.map_or(&b""[..], |message| message.target.as_bytes());
    let query = target.iter().position(|byte| *byte == separator).map(|at| &target[at + 1..]);
    let divides = move |byte: &u8| matches!(byte, b'&' | b';') || *byte == separator;
    query.into_iter().flat_map(move |query| query.split(divides)).filter_map(move |part| {
        let at = part.iter().position(|byte| *byte == b'=')?;
        name.is_none_or(|name| name == &part[..at]).then_some(&part[at + 1..])
    })
}
