//! A line of the operator's own format (`log-format`).

use std::net::{IpAddr, SocketAddr};

use config::haproxy::{Haproxy, LogLine, LogPart, LogStyle, LogValue};

use super::MAX_LINE;
use super::line::{Stamps, backend, escaped, frontend, number, push, server, signed, stamp};
use crate::record::LogRecord;

/// What a client of a Unix socket is called, and the number of its listener.
const UNIX: (&[u8], u64) = (b"unix", 1);

const NO_REQUEST: &[u8] = b"<BADREQ>";

/// What a line tells that is of the process, not of the session.
#[derive(Debug)]
pub(super) struct Around<'a> {
    pub(super) config: &'a Haproxy,
    pub(super) host: &'a str,
    pub(super) pid: u32,
    /// Lines of this frontend before this one.
    pub(super) lines: u64,
}

/// Writes until the line is full; what is too long is cut by the caller.
pub(super) fn line(
    out: &mut Vec<u8>,
    line: &LogLine,
    around: &Around<'_>,
    stamps: &mut Stamps,
    r: &LogRecord<'_>,
) {
    // Blanks at the beginning are dropped too, and values without text hide one.
    let mut blank = true;
    for part in &line.parts {
        if out.len() >= MAX_LINE {
            return;
        }
        match part {
            LogPart::Blank if blank => {}
            LogPart::Blank => {
                out.push(b' ');
                blank = true;
            }
            LogPart::Text(text) => {
                out.extend_from_slice(text.as_bytes());
                blank = false;
            }
            // Of headers none are captured: HAProxy writes nothing then, not even quotes.
            LogPart::Value(
                LogValue::RequestHeaders
                | LogValue::RequestHeaderList
                | LogValue::ResponseHeaders
                | LogValue::ResponseHeaderList,
                _,
            ) => {}
            LogPart::Value(what, style) => {
                Value { out, style: *style, around, stamps, r }.write(*what);
                blank = false;
            }
        }
    }
}

/// One value on its way into the line.
struct Value<'a, 'r> {
    out: &'a mut Vec<u8>,
    style: LogStyle,
    around: &'a Around<'a>,
    stamps: &'a mut Stamps,
    r: &'a LogRecord<'r>,
}

impl Value<'_, '_> {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "a group of values is written here, whatever else there is elsewhere"
    )]
    fn write(mut self, what: LogValue) {
        use LogValue as V;
        let r = self.r;
        match what {
            V::ClientAddress => self.address(r.client.map(|at| at.ip())),
            V::ClientPort => self.port(r.client.map(|at| at.port())),
            V::FrontendAddress => self.address(r.local.map(|at| at.ip())),
            V::FrontendPort => self.port(r.local.map(|at| at.port())),
            // An expression has no value where there is no address; a port is a text to it.
            V::SourceAddress => self.text(&ip(r.client)),
            V::SourcePort => self.text(&port(r.client)),
            V::LocalAddress => self.text(&ip(r.local)),
            V::LocalPort => self.text(&port(r.local)),
            V::BackendAddress => self.far_address(r.path.map(|[from, _]| from)),
            V::BackendPort => self.far_port(r.path.map(|[from, _]| from)),
            V::ServerAddress => self.far_address(r.path.map(|[_, to]| to)),
            V::ServerPort => self.far_port(r.path.map(|[_, to]| to)),
            V::Frontend => self.text(frontend(self.around.config, r)),
            V::FrontendKind => self.quoted(|out| {
                out.extend_from_slice(frontend(self.around.config, r));
            }),
            V::Backend => self.text(backend(self.around.config, r)),
            V::Server => self.text(server(self.around.config, r)),
            V::HostName => self.text(self.around.host.as_bytes()),
            // None is captured, made or spoken.
            V::ClientCookie | V::ServerCookie | V::UniqueId | V::Cipher | V::TlsVersion => {
                self.text(b"");
            }
            V::RequestHeaders
            | V::RequestHeaderList
            | V::ResponseHeaders
            | V::ResponseHeaderList => {}
            V::Method | V::Path | V::PathOnly | V::Query | V::Uri | V::Version | V::RequestLine => {
                self.request(what);
            }
            V::Accept
            | V::AcceptUtc
            | V::AcceptZone
            | V::RequestBegan
            | V::RequestBeganUtc
            | V::RequestBeganZone => self.date(what),
            V::Termination => self.out.extend_from_slice(&r.termination[..2]),
            V::TerminationCookie => {
                self.out.extend_from_slice(&r.termination[..2]);
                self.out.extend_from_slice(b"--");
            }
            V::Retries => {
                if r.redispatched {
                    self.out.push(b'+');
                }
                number(self.out, u64::from(r.retries));
            }
            V::Seconds => self.count(r.accepted_ms / 1000, 4),
            V::Milliseconds if self.style.hexadecimal => self.count(r.accepted_ms % 1000, 2),
            V::Milliseconds => push(self.out, format_args!("{:03}", r.accepted_ms % 1000)),
            V::LineNumber => self.count(self.around.lines, 4),
            V::Pid => self.count(u64::from(self.around.pid), 4),
            V::RequestNumber => self.count(u64::from(r.number), 4),
            _ => signed(self.out, figure(what, r)),
        }
    }

    /// Between quotes, if those are wanted.
    fn quoted(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if self.style.quoted {
            self.out.push(b'"');
        }
        write(self.out);
        if self.style.quoted {
            self.out.push(b'"');
        }
    }

    /// Text of the operator: only `+E` changes it.
    fn text(&mut self, text: &[u8]) {
        let style = self.style;
        if text.is_empty() && !style.quoted && style.mandatory {
            self.out.push(b'-');
            return;
        }
        self.quoted(|out| {
            for &byte in text {
                if style.escaped && matches!(byte, b'"' | b'\\' | b']') {
                    out.push(b'\\');
                }
                out.push(byte);
            }
        });
    }

    /// A part of the request line, in which a client could write anything.
    fn request(&mut self, what: LogValue) {
        let line = self.r.request_line;
        let part = if line.is_empty() { NO_REQUEST } else { part_of(line, what) };
        let escape = self.style.escaped;
        self.quoted(|out| {
            if !escape {
                escaped(out, part);
                return;
            }
            for byte in part {
                if matches!(byte, b'\\' | b']') {
                    out.push(b'\\');
                }
                escaped(out, std::slice::from_ref(byte));
            }
        });
    }

    /// Of the client's side; none: a Unix socket.
    fn address(&mut self, address: Option<IpAddr>) {
        match address {
            Some(ip) => self.ip(ip),
            None => self.text(UNIX.0),
        }
    }

    fn port(&mut self, port: Option<u16>) {
        match port {
            Some(port) => self.count(u64::from(port), 4),
            None => number(self.out, UNIX.1),
        }
    }

    /// Of the server's side; none: it was never reached.
    fn far_address(&mut self, address: Option<SocketAddr>) {
        match address {
            Some(address) => self.ip(address.ip()),
            None => self.text(b""),
        }
    }

    fn far_port(&mut self, address: Option<SocketAddr>) {
        match address {
            Some(address) => self.count(u64::from(address.port()), 4),
            None => self.text(b""),
        }
    }

    fn ip(&mut self, ip: IpAddr) {
        if !self.style.hexadecimal {
            self.text(ip.to_string().as_bytes());
            return;
        }
        let mut digits = |bytes: &[u8]| {
            for byte in bytes {
                push(self.out, format_args!("{byte:02X}"));
            }
        };
        match ip {
            IpAddr::V4(four) => digits(&four.octets()),
            IpAddr::V6(six) => digits(&six.octets()),
        }
    }

    /// A number that can be hexadecimal, with so many digits at least.
    fn count(&mut self, value: u64, digits: usize) {
        if self.style.hexadecimal {
            push(self.out, format_args!("{value:0digits$X}"));
        } else {
            number(self.out, value);
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "a group of values is written here, whatever else there is elsewhere"
    )]
    fn date(&mut self, what: LogValue) {
        use LogValue as V;
        let began = matches!(what, V::RequestBegan | V::RequestBeganUtc | V::RequestBeganZone);
        let ms = if began { self.r.began_ms } else { self.r.accepted_ms };
        match what {
            V::Accept | V::RequestBegan => {
                self.out.extend_from_slice(self.stamps.accept(ms / 1000));
                push(self.out, format_args!(".{:03}", ms % 1000));
            }
            V::AcceptUtc | V::RequestBeganUtc => {
                stamp(self.out, sys::calendar::utc(ms / 1000));
                self.out.extend_from_slice(b" +0000");
            }
            _ => {
                let at = sys::calendar::local(ms / 1000);
                stamp(self.out, at);
                let minutes = at.offset.unsigned_abs() / 60;
                let sign = if at.offset < 0 { '-' } else { '+' };
                push(self.out, format_args!(" {sign}{:02}{:02}", minutes / 60, minutes % 60));
            }
        }
    }
}

fn ip(address: Option<SocketAddr>) -> Vec<u8> {
    address.map(|at| at.ip().to_string().into_bytes()).unwrap_or_default()
}

fn port(address: Option<SocketAddr>) -> Vec<u8> {
    address.map(|at| at.port().to_string().into_bytes()).unwrap_or_default()
}

/// Plain numbers: times, bytes, how many sessions there are.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "a group of values is written here, whatever else there is elsewhere"
)]
fn figure(what: LogValue, r: &LogRecord<'_>) -> i64 {
    use LogValue as V;
    let wide = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    match what {
        V::Request => r.request,
        V::Idle => r.idle,
        // What was whole is counted from the accept, with the idle time before it.
        V::RequestSinceAccept if r.request < 0 => -1,
        V::RequestSinceAccept => r.request + r.idle.max(0),
        V::Waiting => r.waiting,
        V::Connect => r.connect,
        V::Response => r.response,
        V::Data => r.data,
        V::Active | V::User => r.total,
        V::Total => r.total + r.idle.max(0),
        V::Status => r.status.map_or(if r.http { -1 } else { 0 }, i64::from),
        V::Bytes => wide(r.bytes),
        V::BytesUp => wide(r.bytes_up),
        V::Process => i64::from(r.connections[0]),
        V::FrontendConnections => i64::from(r.connections[1]),
        V::BackendConnections => i64::from(r.connections[2]),
        V::ServerConnections => i64::from(r.connections[3]),
        V::ServerQueue => i64::from(r.queues[0]),
        V::BackendQueue => i64::from(r.queues[1]),
        // `%Th`: there is neither TLS nor the PROXY protocol before a request.
        _ => 0,
    }
}

/// `GET /a?b HTTP/1.1` in parts.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "a group of values is written here, whatever else there is elsewhere"
)]
fn part_of(line: &[u8], what: LogValue) -> &[u8] {
    use LogValue as V;
    let mut words = line.splitn(3, |byte| *byte == b' ');
    let mut word = || words.next().unwrap_or_default();
    let (method, uri, version) = (word(), word(), word());
    let query = uri.iter().position(|byte| *byte == b'?').unwrap_or(uri.len());
    match what {
        V::Method => method,
        V::Uri => uri,
        V::Version => version,
        V::Path => &uri[..query],
        V::Query => &uri[query..],
        V::PathOnly => path(&uri[..query]),
        _ => line,
    }
}

/// The path of `/path` and of `http://host/path`; of `*` and `host:port` there is none.
fn path(uri: &[u8]) -> &[u8] {
    if uri.first() == Some(&b'/') {
        return uri;
    }
    let Some(scheme) = uri.windows(3).position(|three| three == b"://") else { return b"" };
    let rest = &uri[scheme + 3..];
    rest.iter().position(|byte| *byte == b'/').map_or(b"", |at| &rest[at..])
}
