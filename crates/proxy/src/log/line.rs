//! The text of one line, byte by byte. No I/O, no clock.

use std::io::Write;
use std::net::SocketAddr;

use config::haproxy::Haproxy;

use crate::record::{Destination, LogRecord};

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Dates already written: the same second comes many times.
#[derive(Debug, Default)]
pub(super) struct Stamps {
    syslog: Stamp,
    /// Two, because requests that began in the last second end in this one.
    accept: [Stamp; 2],
}

#[derive(Debug, Default)]
struct Stamp {
    second: u64,
    text: Vec<u8>,
}

impl Stamp {
    fn is(&self, second: u64) -> bool {
        self.second == second && !self.text.is_empty()
    }

    fn write(&mut self, second: u64, put: impl FnOnce(&mut Vec<u8>, sys::calendar::Local)) {
        self.second = second;
        self.text.clear();
        put(&mut self.text, sys::calendar::local(second));
    }
}

impl Stamps {
    /// `Nov  2 03:43:15 `: the day padded with a space (RFC 3164 4.1.2).
    pub(super) fn syslog(&mut self, second: u64) -> &[u8] {
        if !self.syslog.is(second) {
            self.syslog.write(second, |out, at| {
                let month = month(at.month);
                let (day, hour, minute, second) = (at.day, at.hour, at.minute, at.second);
                push(out, format_args!("{month} {day:2} {hour:02}:{minute:02}:{second:02} "));
            });
        }
        &self.syslog.text
    }

    /// `02/Nov/2026:03:43:15`.
    pub(super) fn accept(&mut self, second: u64) -> &[u8] {
        let known = self.accept.iter().position(|stamp| stamp.is(second));
        let slot = known.unwrap_or_else(|| usize::from(second % 2 == 1));
        let stamp = &mut self.accept[slot];
        if known.is_none() {
            stamp.write(second, self::stamp);
        }
        &stamp.text
    }
}

/// `22/Nov/2026:03:43:15`.
pub(super) fn stamp(out: &mut Vec<u8>, at: sys::calendar::Local) {
    let (day, month, year) = (at.day, month(at.month), at.year);
    let (hour, minute, second) = (at.hour, at.minute, at.second);
    push(out, format_args!("{day:02}/{month}/{year}:{hour:02}:{minute:02}:{second:02}"));
}

/// `22/Nov/2026:03:43:15.797`, for other texts of haproxy's.
pub(crate) fn moment(ms: u64) -> String {
    let mut out = Vec::new();
    stamp(&mut out, sys::calendar::local(ms / 1000));
    format!("{}.{:03}", String::from_utf8_lossy(&out), ms % 1000)
}

fn month(number: u8) -> &'static str {
    MONTHS.get(usize::from(number).saturating_sub(1)).copied().unwrap_or("Jan")
}

/// `%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq
/// %{+Q}r`.
pub(super) fn http(out: &mut Vec<u8>, config: &Haproxy, stamps: &mut Stamps, r: &LogRecord<'_>) {
    begin(out, config, stamps, r);
    times(out, &[r.request, r.waiting, r.connect, r.response, r.total]);
    out.push(b' ');
    signed(out, r.status.map_or(-1, i64::from));
    out.push(b' ');
    number(out, r.bytes);
    // Captured cookies: none are captured.
    out.extend_from_slice(b" - - ");
    out.extend_from_slice(&r.termination);
    end(out, r);
    out.extend_from_slice(b" \"");
    match r.request_line {
        [] => out.extend_from_slice(b"<BADREQ>"),
        line => escaped(out, line),
    }
    out.push(b'"');
}

/// `%ci:%cp [%t] %ft %b/%s %Tw/%Tc/%Tt %B %ts %ac/%fc/%bc/%sc/%rc %sq/%bq`.
pub(super) fn tcp(out: &mut Vec<u8>, config: &Haproxy, stamps: &mut Stamps, r: &LogRecord<'_>) {
    begin(out, config, stamps, r);
    times(out, &[r.waiting, r.connect, r.total]);
    out.push(b' ');
    number(out, r.bytes);
    out.push(b' ');
    out.extend_from_slice(&r.termination[..2]);
    end(out, r);
}

fn begin(out: &mut Vec<u8>, config: &Haproxy, stamps: &mut Stamps, r: &LogRecord<'_>) {
    client(out, r.client);
    out.extend_from_slice(b" [");
    out.extend_from_slice(stamps.accept(r.began_ms / 1000));
    push(out, format_args!(".{:03}] ", r.began_ms % 1000));
    out.extend_from_slice(frontend(config, r));
    out.push(b' ');
    out.extend_from_slice(backend(config, r));
    out.push(b'/');
    out.extend_from_slice(server(config, r));
    out.push(b' ');
}

fn proxy_name(config: &Haproxy, proxy: usize) -> &[u8] {
    config.proxies.get(proxy).map_or("", |proxy| proxy.name.as_str()).as_bytes()
}

pub(super) fn frontend<'c>(config: &'c Haproxy, r: &LogRecord<'_>) -> &'c [u8] {
    proxy_name(config, r.frontend)
}

pub(super) fn backend<'c>(config: &'c Haproxy, r: &LogRecord<'_>) -> &'c [u8] {
    proxy_name(config, r.backend.unwrap_or(r.frontend))
}

pub(super) fn server<'c>(config: &'c Haproxy, r: &LogRecord<'_>) -> &'c [u8] {
    match r.destination {
        Destination::Nobody => b"<NOSRV>",
        Destination::Statistics => b"<STATS>",
        Destination::Server(server) => {
            let backend = config.proxies.get(r.backend.unwrap_or(r.frontend));
            let server = backend.and_then(|backend| backend.servers.get(server));
            server.map_or("", |server| server.name.as_str()).as_bytes()
        }
    }
}

/// `ac/fc/bc/sc/rc sq/bq`, with a space before.
fn end(out: &mut Vec<u8>, r: &LogRecord<'_>) {
    out.push(b' ');
    for count in r.connections {
        number(out, u64::from(count));
        out.push(b'/');
    }
    if r.redispatched {
        out.push(b'+');
    }
    number(out, u64::from(r.retries));
    out.push(b' ');
    number(out, u64::from(r.queues[0]));
    out.push(b'/');
    number(out, u64::from(r.queues[1]));
}

/// A client over a Unix socket is shown as `unix:1`, as haproxy shows it.
fn client(out: &mut Vec<u8>, client: Option<SocketAddr>) {
    match client {
        None => out.extend_from_slice(b"unix:1"),
        Some(SocketAddr::V4(four)) => {
            for (position, octet) in four.ip().octets().into_iter().enumerate() {
                if position > 0 {
                    out.push(b'.');
                }
                number(out, u64::from(octet));
            }
            out.push(b':');
            number(out, u64::from(four.port()));
        }
        // No brackets.
        Some(SocketAddr::V6(six)) => push(out, format_args!("{}:{}", six.ip(), six.port())),
    }
}

fn times(out: &mut Vec<u8>, times: &[i64]) {
    for (position, &time) in times.iter().enumerate() {
        if position > 0 {
            out.push(b'/');
        }
        signed(out, time);
    }
}

/// `"`, `#` and what is no printable ASCII become `#XX`, so that a client cannot forge a field.
pub(super) fn escaped(out: &mut Vec<u8>, text: &[u8]) {
    for &byte in text {
        match byte {
            b'"' | b'#' | 0..=31 | 127.. => push(out, format_args!("#{byte:02X}")),
            _ => out.push(byte),
        }
    }
}

pub(super) fn signed(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    number(out, value.unsigned_abs());
}

/// Decimal digits, without the machinery of `fmt`: there are twenty of these in a line.
pub(super) fn number(out: &mut Vec<u8>, mut value: u64) {
    let start = out.len();
    loop {
        out.push(b'0' + u8::try_from(value % 10).unwrap_or(0));
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out[start..].reverse();
}

pub(super) fn push(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a Vec takes every byte");
}
