//! Heads of requests and responses: read once, judged strictly.
//!
//! What could be read in two ways is refused (RFC 9112 11.2): both framings at once, differing
//! lengths, unknown transfer codings, folded lines, blanks before a colon.

use std::mem::MaybeUninit;

use httparse::{Header, ParserConfig, Status};

use super::body::Body;

/// HAProxy's buffer of 16 KB less the KB it reserves for rewriting.
pub(crate) const MAX_HEAD: usize = 15 * 1024;

/// Space for one head; `tune.http.maxhdr` is 101 and HAProxy needs one of them as end mark.
pub(crate) type Space<'b> = [MaybeUninit<Header<'b>>; MAX_HEADERS];

pub(crate) const MAX_HEADERS: usize = 100;

pub(crate) const fn space<'b>() -> Space<'b> {
    [const { MaybeUninit::uninit() }; MAX_HEADERS]
}

/// Why a head is not passed on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Trouble {
    /// Not HTTP, or ambiguous.
    Bad,
    /// A transfer coding beside `chunked`: HAProxy answers 422.
    Coding,
}

/// What may be done with a request again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Method {
    Head,
    Connect,
    /// GET, OPTIONS, TRACE, PUT, DELETE: twice is as good as once (RFC 9110 9.2.2).
    Idempotent,
    Other,
}

#[derive(Debug)]
pub(crate) struct Request<'h, 'b> {
    pub(crate) length: usize,
    pub(crate) method: Method,
    pub(crate) verb: &'b str,
    pub(crate) target: &'b str,
    /// HTTP/1.1, not 1.0.
    pub(crate) modern: bool,
    pub(crate) body: Body,
    /// The client does not want to close.
    pub(crate) keep_alive: bool,
    /// Asks for a WebSocket, and for nothing else. Other protocols are asked for in vain: a tunnel to
    /// HTTP/2 (`h2c`) would carry requests past every rule.
    pub(crate) upgrade: bool,
    pub(crate) headers: &'h [Header<'b>],
}

#[derive(Debug)]
pub(crate) struct Response<'h, 'b> {
    pub(crate) length: usize,
    pub(crate) status: u16,
    pub(crate) reason: &'b str,
    pub(crate) modern: bool,
    pub(crate) body: Body,
    /// The server keeps the connection open.
    pub(crate) keep_alive: bool,
    pub(crate) headers: &'h [Header<'b>],
}

/// Headers that say how to read the message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Known {
    Host,
    Upgrade,
    Connection,
    ContentLength,
    TransferEncoding,
    WebSocketKey,
    Other,
}

impl Known {
    pub(crate) fn of(name: &str) -> Self {
        let is = |word: &str, known| {
            if name.eq_ignore_ascii_case(word) { known } else { Self::Other }
        };
        match name.len() {
            4 => is("host", Self::Host),
            7 => is("upgrade", Self::Upgrade),
            10 => is("connection", Self::Connection),
            14 => is("content-length", Self::ContentLength),
            17 if name.as_bytes()[0] | 32 == b't' => {
                is("transfer-encoding", Self::TransferEncoding)
            }
            17 => is("sec-websocket-key", Self::WebSocketKey),
            _ => Self::Other,
        }
    }
}

/// What the headers say about the connection and the body.
#[derive(Debug, Default)]
struct Facts<'b> {
    length: Option<u64>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
    upgrade: bool,
    /// Among the protocols of all `Upgrade` headers.
    websocket: bool,
    /// One that is not WebSocket.
    other_protocol: bool,
    host: Option<&'b [u8]>,
    has_websocket_key: bool,
}

/// None: not whole yet.
pub(crate) fn request<'h, 'b>(
    bytes: &'b [u8],
    space: &'h mut Space<'b>,
) -> Result<Option<Request<'h, 'b>>, Trouble> {
    let mut parsed = httparse::Request::new(&mut []);
    let mut parser = ParserConfig::default();
    parser.allow_multiple_spaces_in_request_line_delimiters(true);
    let outcome = parser.parse_request_with_uninit_headers(&mut parsed, bytes, space);
    let length = match outcome {
        Ok(Status::Complete(length)) if length <= MAX_HEAD => length,
        Ok(Status::Partial) if bytes.len() < MAX_HEAD => return Ok(None),
        Ok(_) | Err(_) => return Err(Trouble::Bad),
    };
    let httparse::Request { method: Some(verb), path: Some(target), version, headers } = parsed
    else {
        return Err(Trouble::Bad);
    };
    let headers: &'h [Header<'b>] = headers;
    if !target.is_ascii() {
        return Err(Trouble::Bad);
    }
    let facts = Facts::read(headers)?;
    let modern = version == Some(1);
    facts.check_request(modern, target)?;
    let body =
        if facts.chunked { Body::CHUNKED } else { Body::of_length(facts.length.unwrap_or(0)) };
    let keep_alive = if modern { !facts.close } else { facts.keep_alive && !facts.close };
    let method = method(verb);
    let upgrade = facts.upgrade && facts.websocket && !facts.other_protocol;
    Ok(Some(Request { length, method, verb, target, modern, body, keep_alive, upgrade, headers }))
}

fn method(verb: &str) -> Method {
    match verb {
        "GET" | "OPTIONS" | "PUT" | "DELETE" | "TRACE" => Method::Idempotent,
        "HEAD" => Method::Head,
        "CONNECT" => Method::Connect,
        _ => Method::Other,
    }
}

/// None: not whole yet. `to` is the request's method, `upgrade` whether it asked for 101.
pub(crate) fn response<'h, 'b>(
    bytes: &'b [u8],
    space: &'h mut Space<'b>,
    to: Method,
    upgrade: bool,
) -> Result<Option<Response<'h, 'b>>, Trouble> {
    let mut parsed = httparse::Response::new(&mut []);
    let parser = ParserConfig::default();
    let outcome = parser.parse_response_with_uninit_headers(&mut parsed, bytes, space);
    let length = match outcome {
        Ok(Status::Complete(length)) if length <= MAX_HEAD => length,
        Ok(Status::Partial) if bytes.len() < MAX_HEAD => return Ok(None),
        Ok(_) | Err(_) => return Err(Trouble::Bad),
    };
    let httparse::Response { code: Some(status), reason, version, headers } = parsed else {
        return Err(Trouble::Bad);
    };
    let headers: &'h [Header<'b>] = headers;
    let facts = Facts::read(headers)?;
    let modern = version == Some(1);
    let keep_alive = if modern { !facts.close } else { facts.keep_alive && !facts.close };
    let body = match status {
        // There is no such class; interim to one reader, final to the other (RFC 9110 15).
        0..100 => return Err(Trouble::Bad),
        // Nor to a protocol that nobody asked for.
        101 if !upgrade || facts.other_protocol => return Err(Trouble::Bad),
        101 => Body::UntilClose,
        100..=199 | 204 | 304 => Body::Done,
        _ if to == Method::Head => Body::Done,
        200..=299 if to == Method::Connect => Body::UntilClose,
        _ if facts.chunked => Body::CHUNKED,
        _ => facts.length.map_or(Body::UntilClose, Body::of_length),
    };
    // Both framings at once: chunked counts, and nothing more is trusted on this connection.
    let keep_alive = keep_alive && !(facts.chunked && facts.length.is_some());
    let reason = reason.unwrap_or("");
    Ok(Some(Response { length, status, reason, modern, body, keep_alive, headers }))
}

impl<'b> Facts<'b> {
    fn read(headers: &[Header<'b>]) -> Result<Self, Trouble> {
        let mut facts = Self::default();
        for header in headers {
            match Known::of(header.name) {
                Known::Other => {}
                Known::Host => facts.host(header.value)?,
                Known::Upgrade => facts.protocols(header.value),
                Known::Connection => facts.connection(header.value),
                Known::ContentLength => facts.content_length(header.value)?,
                Known::TransferEncoding => facts.transfer_encoding(header.value)?,
                Known::WebSocketKey => facts.has_websocket_key = header.value.len() == 24,
            }
        }
        Ok(facts)
    }

    fn host(&mut self, value: &'b [u8]) -> Result<(), Trouble> {
        if self.host.is_some_and(|host| !host.eq_ignore_ascii_case(value)) {
            return Err(Trouble::Bad);
        }
        self.host = Some(value);
        Ok(())
    }

    fn protocols(&mut self, value: &[u8]) {
        for protocol in tokens(value) {
            let is_websocket = protocol.eq_ignore_ascii_case(b"websocket");
            self.websocket |= is_websocket;
            self.other_protocol |= !is_websocket;
        }
    }

    fn connection(&mut self, value: &[u8]) {
        for token in tokens(value) {
            match token.len() {
                5 if token.eq_ignore_ascii_case(b"close") => self.close = true,
                10 if token.eq_ignore_ascii_case(b"keep-alive") => self.keep_alive = true,
                7 if token.eq_ignore_ascii_case(b"upgrade") => self.upgrade = true,
                _ => {}
            }
        }
    }

    /// One number, or the same several times (RFC 9110 8.6).
    fn content_length(&mut self, value: &[u8]) -> Result<(), Trouble> {
        for number in value.split(|byte| *byte == b',') {
            let number = number.trim_ascii();
            if number.is_empty() || number.len() > 18 || !number.iter().all(u8::is_ascii_digit) {
                return Err(Trouble::Bad);
            }
            let number = number.iter().fold(0, |n, digit| n * 10 + u64::from(digit - b'0'));
            if self.length.is_some_and(|length| length != number) {
                return Err(Trouble::Bad);
            }
            self.length = Some(number);
        }
        Ok(())
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Trouble> {
        let mut codings = tokens(value).peekable();
        let mut others = false;
        while let Some(coding) = codings.next() {
            let is_chunked = coding.eq_ignore_ascii_case(b"chunked");
            if !is_chunked && codings.peek().is_none() || is_chunked && self.chunked {
                return Err(Trouble::Bad);
            }
            self.chunked |= is_chunked;
            others |= !is_chunked;
        }
        if others {
            Err(Trouble::Coding)
        } else if self.chunked {
            Ok(())
        } else {
            Err(Trouble::Bad)
        }
    }

    fn check_request(&self, modern: bool, target: &str) -> Result<(), Trouble> {
        let ambiguous = self.chunked && (self.length.is_some() || !modern);
        let keyless = self.upgrade && self.websocket && !self.has_websocket_key;
        if ambiguous || keyless || !self.host_fits(target) {
            return Err(Trouble::Bad);
        }
        Ok(())
    }

    /// An absolute target must name the same host as the header.
    fn host_fits(&self, target: &str) -> bool {
        let (Some(host), Some((scheme, rest))) = (self.host, target.split_once("://")) else {
            return true;
        };
        if target.starts_with('/') {
            return true;
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let authority = &rest[..end];
        let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let port: &[u8] = if scheme.eq_ignore_ascii_case("https") { b":443" } else { b":80" };
        let bare = |name: &[u8]| name.strip_suffix(port).unwrap_or(name).to_ascii_lowercase();
        bare(authority.as_bytes()) == bare(host)
    }
}

/// The comma-separated parts of a header's value.
pub(crate) fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}
