//! Heads as they leave: HAProxy's spelling (lower-case names, one blank), rules applied, in one copy.

use std::io::Write;
use std::net::IpAddr;

use super::head::{Known, Request, Response, tokens};
use super::rules::{Edits, Program};

/// Writes a request's head for the server. `close`: the server shall close after the answer.
pub(crate) fn request(
    head: &Request<'_, '_>,
    program: &Program,
    client: Option<IpAddr>,
    close: bool,
    out: &mut Vec<u8>,
) {
    put(out, &[head.verb.as_bytes(), b" ", head.target.as_bytes()]);
    out.extend_from_slice(if head.modern { b" HTTP/1.1\r\n" } else { b" HTTP/1.0\r\n" });
    let has_forwarded = request_headers(head, program, out);
    let forward = program.forward_for.as_ref();
    out.extend_from_slice(&program.request.added);
    if let (Some(forward), Some(client)) = (forward, client)
        && forward.applies(client)
        && !(forward.if_none && has_forwarded)
    {
        // Writing to a Vec does not fail.
        drop(write!(out, "{}: {client}\r\n", forward.name));
    }
    match (close, head.modern) {
        (true, true) => out.extend_from_slice(b"connection: close\r\n"),
        (false, false) => out.extend_from_slice(b"connection: keep-alive\r\n"),
        (true, false) | (false, true) => {}
    }
    out.extend_from_slice(b"\r\n");
}

/// Whether the client sent the header of `option forwardfor` itself.
fn request_headers(head: &Request<'_, '_>, program: &Program, out: &mut Vec<u8>) -> bool {
    let forward = program.forward_for.as_ref();
    let mut has_forwarded = false;
    let (mut has_length, mut has_host) = (false, false);
    for header in head.headers {
        let known = Known::of(header.name);
        if known == Known::Connection {
            connection(header.value, head.upgrade, out);
        } else if known == Known::Upgrade && !head.upgrade {
            // A server that is not asked does not switch.
        } else if known == Known::ContentLength {
            // Said twice alike (else the head was refused), or as a list: once is enough.
            if !std::mem::replace(&mut has_length, true) {
                line(header.name, tokens(header.value).next().unwrap_or(b""), out);
            }
        } else if known == Known::TransferEncoding {
            line(header.name, header.value, out);
        } else if !(known == Known::Host && has_host || program.request.deletes(header.name)) {
            has_host |= known == Known::Host;
            has_forwarded |= forward.is_some_and(|f| f.name.eq_ignore_ascii_case(header.name));
            line(header.name, header.value, out);
        }
    }
    has_forwarded
}

/// What HAProxy counts for a first line beside its words, and for the end of the headers: its logs
/// and statistics show the size of messages in its own memory, and alarms compare with that.
const WEIGHT_OF_HEAD: u64 = 20 + 8 + 1;

/// A request's head, as HAProxy counts it.
pub(crate) fn weight(head: &Request<'_, '_>) -> u64 {
    let kept = head.headers.iter().filter(|h| Known::of(h.name) != Known::Connection);
    let headers: usize = kept.map(|header| header.name.len() + header.value.len()).sum();
    WEIGHT_OF_HEAD + (head.verb.len() + head.target.len() + headers) as u64
}

/// A whole answer of the proxy's own, as HAProxy counts it.
pub(crate) fn weight_of_text(text: &[u8]) -> u64 {
    let (mut weight, mut rest) = (WEIGHT_OF_HEAD, text);
    let mut first = true;
    while let Some(end) = memchr::memchr(b'\n', rest) {
        let line = &rest[..end];
        rest = &rest[end + 1..];
        if line.len() <= 1 {
            break;
        }
        // The version and two blanks, or `: `; and the CR.
        let around = if std::mem::take(&mut first) { 8 + 2 } else { 2 } + 1;
        if !line.starts_with(b"connection:") {
            weight += line.len().saturating_sub(around) as u64;
        }
    }
    weight + rest.len() as u64
}

/// Writes a response's head for the client and returns its size as HAProxy counts it (before rules,
/// without what was dropped at the door: `Connection`, and the length if there are chunks). `close`: this
/// connection ends with it; `modern_client`: it speaks HTTP/1.1.
pub(crate) fn response(
    head: &Response<'_, '_>,
    edits: &Edits,
    close: bool,
    modern_client: bool,
    out: &mut Vec<u8>,
) -> u64 {
    let mut weight = WEIGHT_OF_HEAD + 3 + head.reason.len() as u64;
    out.extend_from_slice(if head.modern { b"HTTP/1.1 " } else { b"HTTP/1.0 " });
    let status = head.status;
    let digit = |n: u16| b'0' + u8::try_from(n % 10).unwrap_or(0);
    put(out, &[&[digit(status / 100), digit(status / 10), digit(status)], b" "]);
    put(out, &[head.reason.as_bytes(), b"\r\n"]);
    let interim = status < 200;
    let chunked = head.headers.iter().any(|h| Known::of(h.name) == Known::TransferEncoding);
    let lengthless = chunked || status == 204 || interim;
    let mut has_length = false;
    for header in head.headers {
        let known = Known::of(header.name);
        let size = (header.name.len() + header.value.len()) as u64;
        let framing = matches!(known, Known::ContentLength | Known::TransferEncoding);
        if known == Known::Connection {
            let before = out.len();
            connection(header.value, true, out);
            weight += (out.len() - before).saturating_sub(4) as u64;
            continue;
        }
        let spare = known == Known::ContentLength && (chunked || has_length);
        weight += if spare { 0 } else { size };
        if known == Known::ContentLength && (lengthless || has_length) {
            continue;
        }
        if framing || !edits.deletes(header.name) {
            // No rule takes the framing away: the client could not tell where the body ends.
            has_length |= known == Known::ContentLength;
            line(header.name, header.value, out);
        }
    }
    if !interim {
        out.extend_from_slice(&edits.added);
        match (close, head.modern) {
            (true, true) => out.extend_from_slice(b"connection: close\r\n"),
            (false, modern) if !(modern && modern_client) => {
                out.extend_from_slice(b"connection: keep-alive\r\n");
            }
            (true, false) | (false, _) => {}
        }
    }
    out.extend_from_slice(b"\r\n");
    weight
}

fn line(name: &str, value: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(name.as_bytes());
    out[start..].make_ascii_lowercase();
    put(out, &[b": ", value, b"\r\n"]);
}

/// What is left of `Connection` when each side decides about its own connection.
fn connection(value: &[u8], upgrade: bool, out: &mut Vec<u8>) {
    let own = |token: &&[u8]| {
        !token.eq_ignore_ascii_case(b"close")
            && !token.eq_ignore_ascii_case(b"keep-alive")
            && (upgrade || !token.eq_ignore_ascii_case(b"upgrade"))
    };
    let mut kept = tokens(value).filter(own).peekable();
    if kept.peek().is_none() {
        return;
    }
    out.extend_from_slice(b"connection: ");
    while let Some(token) = kept.next() {
        out.extend_from_slice(token);
        out.extend_from_slice(if kept.peek().is_some() { b"," } else { b"\r\n" });
    }
}

fn put(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
}
