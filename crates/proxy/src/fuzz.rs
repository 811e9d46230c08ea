//! Doors for the fuzzer and its corpus (crate `fuzz`): what parsers in here promise whatever the bytes.
//! Nothing of the running program calls them.
//!
//! The functions panic where a promise is broken, as tests do.

use std::sync::{Arc, OnceLock};

use base::Time;
use config::haproxy::Haproxy;

use crate::http::body::{BadChunk, Body};
use crate::http::head::{self, MAX_HEAD, MAX_HEADERS, Method, Trouble};
use crate::http::rules::{Edits, Program};
use crate::http::write;
use crate::stats::{self, Ask, Level};
use crate::view::View;

/// Heads of requests and of answers, read from the same bytes.
///
/// # Panics
/// When a promise is broken.
pub fn http_head(bytes: &[u8]) {
    request(bytes);
    for to in [Method::Head, Method::Connect, Method::Idempotent, Method::Other] {
        for upgrade in [false, true] {
            response(bytes, to, upgrade);
        }
    }
}

/// What one head came to; enough to tell whether two agree.
#[derive(Debug, Eq, PartialEq)]
struct Seen {
    length: usize,
    line: String,
    modern: bool,
    body: Body,
    keep_alive: bool,
    headers: Vec<(String, Vec<u8>)>,
}

type Reading = Result<Option<Seen>, Trouble>;

fn headers(headers: &[httparse::Header<'_>]) -> Vec<(String, Vec<u8>)> {
    headers.iter().map(|h| (h.name.to_ascii_lowercase(), h.value.to_vec())).collect()
}

fn read_request(bytes: &[u8]) -> Reading {
    let mut space = head::space();
    Ok(head::request(bytes, &mut space)?.map(|head| Seen {
        length: head.length,
        line: format!("{} {} upgrade={}", head.verb, head.target, head.upgrade),
        modern: head.modern,
        body: head.body,
        keep_alive: head.keep_alive,
        headers: headers(head.headers),
    }))
}

fn read_response(bytes: &[u8], to: Method, upgrade: bool) -> Reading {
    let mut space = head::space();
    Ok(head::response(bytes, &mut space, to, upgrade)?.map(|head| Seen {
        length: head.length,
        line: format!("{} {}", head.status, head.reason),
        modern: head.modern,
        body: head.body,
        keep_alive: head.keep_alive,
        headers: headers(head.headers),
    }))
}

/// Pieces read as the whole does: nothing before the head is whole, the same from then on; what is
/// refused early is refused for good.
fn in_pieces(bytes: &[u8], whole: &Reading, read: &dyn Fn(&[u8]) -> Reading) {
    let ends = match whole {
        Ok(Some(seen)) => {
            assert!(seen.length <= bytes.len() && seen.length <= MAX_HEAD, "{seen:?}");
            assert!(seen.headers.len() <= MAX_HEADERS);
            assert_eq!(read(&bytes[..seen.length]), *whole, "without what follows");
            seen.length
        }
        Ok(None) => {
            assert!(bytes.len() < MAX_HEAD, "it waits for ever");
            bytes.len()
        }
        Err(_) => bytes.len(),
    };
    // Every cut of a short head, some of a long one: each is a reading of its own.
    let step = (ends / 32).max(1);
    for cut in (0..ends).step_by(step).chain(ends.checked_sub(1)) {
        match (read(&bytes[..cut]), whole) {
            (Ok(None), _) | (Err(_), Err(_)) => {}
            (early, late) => panic!("{cut} bytes read as {early:?}, all as {late:?}"),
        }
    }
}

fn request(bytes: &[u8]) {
    let whole = read_request(bytes);
    in_pieces(bytes, &whole, &read_request);
    let Ok(Some(seen)) = whole else { return };
    let once = write_request(bytes);
    assert!(once.len() <= bytes.len() + 3 * MAX_HEADERS + 64, "a head grows by little");
    if once.len() > MAX_HEAD {
        return;
    }
    // What the server reads is what we read: nobody smuggles a second request past us.
    let again = read_request(&once).expect("what we write we read").expect("and it is whole");
    assert_eq!(again.length, once.len());
    assert_eq!(
        (&again.line, again.modern, again.body),
        (&seen.line, seen.modern, seen.body),
        "{:?}",
        String::from_utf8_lossy(&once)
    );
    assert_eq!(
        String::from_utf8_lossy(&write_request(&once)),
        String::from_utf8_lossy(&once),
        "written twice it stays"
    );
}

fn write_request(bytes: &[u8]) -> Vec<u8> {
    let mut space = head::space();
    let head = head::request(bytes, &mut space).expect("it was read before");
    let mut out = Vec::new();
    let head = head.expect("and it was whole");
    write::request(&head, &Program::default(), None, false, &mut out);
    assert!(write::weight(&head) > 0);
    out
}

fn response(bytes: &[u8], to: Method, upgrade: bool) {
    let read = |bytes: &[u8]| read_response(bytes, to, upgrade);
    let whole = read(bytes);
    in_pieces(bytes, &whole, &read);
    let Ok(Some(seen)) = whole else { return };
    let write = |bytes: &[u8]| {
        let mut space = head::space();
        let head = head::response(bytes, &mut space, to, upgrade).expect("it was read before");
        let mut out = Vec::new();
        let head = head.expect("and it was whole");
        write::response(&head, &Edits::default(), false, true, &mut out);
        out
    };
    let once = write(bytes);
    assert!(once.len() <= bytes.len() + 3 * MAX_HEADERS + 64, "a head grows by little");
    if once.len() > MAX_HEAD {
        return;
    }
    let again = read(&once).expect("what we write we read").expect("and it is whole");
    assert_eq!(again.length, once.len());
    assert_eq!(
        (&again.line, again.modern, again.body),
        (&seen.line, seen.modern, seen.body),
        "{:?}",
        String::from_utf8_lossy(&once)
    );
}

/// The first byte says where to cut; the rest is a body, once in chunks, once of a length, and once
/// packed into chunks by ourselves.
///
/// # Panics
/// When a promise is broken.
pub fn http_body(bytes: &[u8]) {
    let Some((&cut, bytes)) = bytes.split_first() else { return };
    let cut = usize::from(cut);
    for body in [Body::CHUNKED, Body::of_length(cut as u64), Body::UntilClose, Body::Done] {
        let whole = advance(body, [bytes].into_iter());
        let (one, other) = bytes.split_at(cut.min(bytes.len()));
        assert_eq!(advance(body, [one, other].into_iter()), whole, "in two pieces");
        if bytes.len() < 1024 {
            assert_eq!(advance(body, bytes.chunks(1)), whole, "byte by byte");
        }
    }
    packed(bytes, cut.max(1));
}

/// Bytes that belong to the body, what of them counts, and where it stands.
fn advance<'b>(
    mut body: Body,
    pieces: impl Iterator<Item = &'b [u8]>,
) -> Result<(usize, u64, Body), BadChunk> {
    let (mut bytes, mut payload) = (0, 0);
    for piece in pieces {
        let taken = body.advance(piece)?;
        assert!(taken.bytes <= piece.len() && taken.payload <= taken.bytes as u64 + 1, "{taken:?}");
        assert!(taken.bytes == piece.len() || body.is_done(), "bytes are left, and it goes on");
        bytes += taken.bytes;
        payload += taken.payload;
    }
    Ok((bytes, payload, body))
}

/// Chunks that we made end where we ended them.
fn packed(content: &[u8], size: usize) {
    let mut message = Vec::new();
    for chunk in content.chunks(size) {
        message.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        message.extend_from_slice(chunk);
        message.extend_from_slice(b"\r\n");
    }
    message.extend_from_slice(b"0\r\n\r\n");
    let length = message.len();
    // One counts for the end mark.
    let expected = Ok((length, content.len() as u64 + 1, Body::Done));
    assert_eq!(advance(Body::CHUNKED, [&message[..]].into_iter()), expected);
    message.extend_from_slice(b"GET / HTTP/1.1\r\n\r\n");
    assert_eq!(advance(Body::CHUNKED, [&message[..]].into_iter()), expected);
}

/// A statistics socket's answer to one command about the proxies below is no longer (bytes).
const MOST_PER_COMMAND: usize = 16 * 1024;

const PROXIES: &str = "global\n stats socket /x.sock level admin\ndefaults\n mode http\n timeout client 1m\n \
    timeout connect 1m\n timeout server 1m\nlisten api\n bind :80\n server node01 127.0.0.1:1 check\n \
    server node02 127.0.0.2:1 check backup\nfrontend f\n bind :81\n default_backend b\nbackend b\n \
    server one 127.0.0.3:1\nlisten stats\n bind :82\n stats enable\n stats uri /\n stats auth a:b\n";

/// The first byte chooses between the socket (and its level) and the page; the rest is a line of
/// commands, or method, URI and credentials on a line each.
///
/// # Panics
/// When a promise is broken.
pub fn stats(bytes: &[u8]) {
    let Some((&first, bytes)) = bytes.split_first() else { return };
    match first % 4 {
        0 => page(bytes),
        1 => command(bytes, Level::User),
        2 => command(bytes, Level::Operator),
        _ => command(bytes, Level::Admin),
    }
}

fn command(bytes: &[u8], granted: Level) {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let (mut level, mut wishes, mut out) = (granted, Vec::new(), String::new());
    let mut desk = stats::Desk {
        view: view(),
        now: Time::from_nanos(90_000_000_000),
        wall_ms: 1_795_478_760_000,
        ask: &Vec::new,
        wishes: &mut wishes,
    };
    stats::run(&line, &mut level, &mut desk, &mut out);
    let commands = line.matches(';').count() + 1;
    assert!(level <= granted, "nobody gives himself rights");
    assert!(wishes.is_empty() || granted == Level::Admin, "{wishes:?}");
    assert!(wishes.len() <= commands, "{wishes:?}");
    assert!(out.len() <= commands * MOST_PER_COMMAND, "{} bytes", out.len());
    assert!(out.is_empty() || out.ends_with('\n'));
    assert!(!out.chars().any(|c| c.is_control() && c != '\n'), "{out:?}");
}

fn page(bytes: &[u8]) {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let (method, uri, authorization) = (line(), line(), line());
    let authorization = Some(authorization).filter(|value| !value.is_empty());
    let view = view();
    let proxy = view.config.proxies.len() - 1;
    let mut out = Vec::new();
    let ask = Ask { method, uri, authorization, keep_alive: true };
    let status = stats::page(view, proxy, &ask, &mut out);
    assert!(status == 401 || authorization.is_some(), "without a password: {status}");
    let to = if method == b"HEAD" { Method::Head } else { Method::Other };
    let seen = read_response(&out, to, false).expect("it is an answer").expect("a whole one");
    assert!(seen.line.starts_with(&status.to_string()), "{seen:?}");
    let body = (out.len() - seen.length) as u64;
    assert!(matches!(seen.body, Body::Length(length) if length == body) || body == 0, "{seen:?}");
    assert!(out.len() <= 4 * MOST_PER_COMMAND, "{} bytes", out.len());
}

fn view() -> &'static View {
    static VIEW: OnceLock<Arc<View>> = OnceLock::new();
    VIEW.get_or_init(|| {
        let source = config::Source { path: "haproxy.cfg".to_owned(), text: PROXIES.to_owned() };
        let config: Haproxy = config::haproxy::parse(&[source], 0).0;
        assert_eq!(config.proxies.len(), 4);
        let (started, wall_ms) = (Time::from_nanos(1_000_000_000), 1_795_478_700_000);
        View::new(config, api::Mode::Strict, "node01", 1, 1000, started, wall_ms)
    })
}
