//! Addresses as HAProxy's `str2sa_range` reads them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use crate::diagnostic::Diagnostic;
use crate::line::Word;

/// What a word means as an address.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Target {
    Inet {
        host: Host,
        port: Port,
    },
    Unix(PathBuf),
    Descriptor(i32),
    /// A family that we do not run yet, by its prefix.
    Later(&'static str),
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Host {
    /// Nothing or `*`.
    Any,
    Ip(IpAddr),
    Name(String),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Port {
    None,
    One(u16),
    /// First and last.
    Range(u16, u16),
    /// `+100`, `-100`: relative to the port of the client's connection.
    Offset,
}

/// Prefixes of families that HAProxy knows beyond those we use.
const LATER: [&str; 10] =
    ["abns@", "sockpair@", "rfd@", "quic4@", "quic6@", "udp@", "udp4@", "udp6@", "ring@", "uxdg@"];

/// Reads `word` (or a part of it, given as `text`).
pub(crate) fn parse(word: &Word, text: &str) -> Result<Target, Diagnostic> {
    if text.starts_with('/') {
        return Ok(Target::Unix(PathBuf::from(text)));
    }
    for prefix in ["unix@", "uxst@"] {
        if let Some(path) = text.strip_prefix(prefix) {
            return match path {
                "" => Err(wrong(word, format!("expected a path behind `{prefix}`"))),
                _ => Ok(Target::Unix(PathBuf::from(path))),
            };
        }
    }
    if let Some(number) = text.strip_prefix("fd@") {
        let parsed: Result<u16, _> = number.parse();
        return parsed
            .map(|number| Target::Descriptor(i32::from(number)))
            .map_err(|_| wrong(word, format!("`{number}` is no number of a descriptor")));
    }
    if let Some(prefix) = LATER.into_iter().find(|prefix| text.starts_with(prefix)) {
        return Ok(Target::Later(prefix));
    }
    let inet = ["ipv4@", "ipv6@", "tcp@", "tcp4@", "tcp6@", "ip@"];
    let rest = inet.into_iter().find_map(|prefix| text.strip_prefix(prefix)).unwrap_or(text);
    let (host, port) = match rest.rfind([':', ']']) {
        Some(at) if rest.as_bytes()[at] == b':' => (&rest[..at], &rest[at + 1..]),
        _ => (rest, ""),
    };
    Ok(Target::Inet { host: self::host(word, host, text)?, port: self::port(word, port)? })
}

fn host(word: &Word, host: &str, whole: &str) -> Result<Host, Diagnostic> {
    if host.is_empty() || host == "*" {
        return Ok(Host::Any);
    }
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Ok(Host::Ip(ip));
    }
    let named = !bare.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        && bare.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    if named {
        return Ok(Host::Name(bare.to_owned()));
    }
    let finding = wrong(word, format!("`{host}` is no address"));
    Err(match whole.parse::<Ipv6Addr>() {
        Ok(ip) => finding.help(format!("an IPv6 address with a port is written [{ip}]:80")),
        Err(_) => {
            finding.help("addresses are written 10.0.0.1:80, [fe80::1]:80, *:80 or unix@/path")
        }
    })
}

fn port(word: &Word, port: &str) -> Result<Port, Diagnostic> {
    let number = |text: &str| {
        text.parse::<u16>().map_err(|_| {
            wrong(word, format!("`{text}` is no port")).help("ports are numbers from 1 to 65535")
        })
    };
    if port.is_empty() {
        return Ok(Port::None);
    }
    if let Some(offset) = port.strip_prefix('+').or_else(|| port.strip_prefix('-')) {
        number(offset)?;
        return Ok(Port::Offset);
    }
    match port.split_once('-') {
        None => Ok(Port::One(number(port)?)),
        Some((first, last)) => {
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return Err(wrong(word, format!("the range {port} runs backwards")));
            }
            Ok(Port::Range(first, last))
        }
    }
}

fn wrong(word: &Word, message: String) -> Diagnostic {
    Diagnostic::error(word.span, "bad-address", message)
}

pub(crate) const ANY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

#[cfg(test)]
mod tests {
    use base::Span;

    use super::*;

    fn read(text: &str) -> Result<Target, String> {
        let word = Word { text: text.to_owned(), span: Span::default() };
        parse(&word, text).map_err(|finding| finding.message)
    }

    fn inet(host: Host, port: Port) -> Result<Target, String> {
        Ok(Target::Inet { host, port })
    }

    #[test]
    fn the_last_colon_divides_host_and_port() {
        assert_eq!(read(":::80"), inet(Host::Ip("::".parse().unwrap()), Port::One(80)));
        assert_eq!(read("[::1]:80"), inet(Host::Ip("::1".parse().unwrap()), Port::One(80)));
        assert_eq!(read("*:80"), inet(Host::Any, Port::One(80)));
        assert_eq!(read("db:3306"), inet(Host::Name("db".to_owned()), Port::One(3306)));
        assert_eq!(read("[::1]"), inet(Host::Ip("::1".parse().unwrap()), Port::None));
    }

    #[test]
    fn ranges_and_offsets_are_told_apart() {
        assert_eq!(read(":80-90"), inet(Host::Any, Port::Range(80, 90)));
        assert_eq!(read(":+100"), inet(Host::Any, Port::Offset));
        assert_eq!(read(":90-80"), Err("the range 90-80 runs backwards".to_owned()));
    }

    #[test]
    fn broken_addresses_are_refused() {
        assert_eq!(read("10.0.0.300:80"), Err("`10.0.0.300` is no address".to_owned()));
        assert_eq!(read("10.0.0.3:70000"), Err("`70000` is no port".to_owned()));
    }
}
