//! What clients say, and what servers answer to it.

use std::fmt::Write;

use crate::generate::Dice;

/// One conversation: bytes of the client, and how it ends.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    pub(crate) name: &'static str,
    pub(crate) send: String,
    pub(crate) end: End,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum End {
    /// Listens until the proxy closes.
    Waits,
    /// Closes its sending side at once, then listens.
    HalfCloses,
}

/// Scenes per small file: enough that every kind comes many times in 200 files.
const PER_FILE: usize = 6;

/// The target that makes a server answer this; `k`: and keep the connection, `c`: and close it.
fn target(kind: char, answer: &str) -> String {
    let mut text = format!("/{kind}");
    for byte in answer.bytes() {
        // Into a string: cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nVia: s\r\n\r\nok";
/// Says that it is the last one: who closes without a word races with the next request.
const LAST: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
const CHUNKED: &str =
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Custom: 7\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
const CLOSED: &str = "HTTP/1.1 200 OK\r\nServer: old\r\n\r\nuntil the end";
const OLD: &str = "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc";
const NO_BODY: &str = "HTTP/1.1 204 No Content\r\nX-Gone: 1\r\n\r\n";
const UNCHANGED: &str = "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n";
const FAILED: &str = "HTTP/1.1 500 Internal\r\nContent-Length: 4\r\nVia: x\r\nVia: y\r\n\r\noops";
const EARLY: &str =
    "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const CUT: &str = "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort";
const GARBAGE: &str = "this is not HTTP\r\n\r\n";

fn http() -> Vec<Scene> {
    let get = |answer: (char, &str), version: &str, headers: &str| {
        format!("GET {} HTTP/{version}\r\nHost: a.b\r\n{headers}\r\n", target(answer.0, answer.1))
    };
    let waits = |name, send| Scene { name, send, end: End::Waits };
    let close = "Connection: close\r\n";
    let headers = "Accept: */*\r\nUser-Agent: t/1\r\nX-Gone: 1\r\nX-Forwarded-For: 9.9.9.9\r\n\
        X-Forwarded-Proto: http\r\nX-Custom: a\r\nX-Custom: b\r\nx-client-address: 8.8.8.8\r\n";
    let mut scenes = vec![
        waits("a request", get(('k', OK), "1.1", "")),
        waits("a request that closes", get(('k', OK), "1.1", close)),
        waits("many headers", get(('k', OK), "1.1", headers)),
        waits("HTTP/1.0", get(('k', OK), "1.0", "")),
        waits("HTTP/1.0 that stays", get(('k', OK), "1.0", "Connection: keep-alive\r\n")),
        waits("chunks", get(('k', CHUNKED), "1.1", "")),
        waits("chunks to HTTP/1.0", get(('k', CHUNKED), "1.0", "")),
        waits("an answer without length", get(('c', CLOSED), "1.1", "")),
        waits("an answer of HTTP/1.0", get(('c', OLD), "1.1", "")),
        waits("no content", get(('k', NO_BODY), "1.1", "")),
        waits("not modified", get(('k', UNCHANGED), "1.1", close)),
        waits("a failure of the server", get(('k', FAILED), "1.1", "")),
        waits("an early hint", get(('k', EARLY), "1.1", close)),
        waits("an answer cut short", get(('c', CUT), "1.1", "")),
        waits("garbage", get(('c', GARBAGE), "1.1", "")),
        waits("no answer", get(('c', ""), "1.1", "")),
    ];
    scenes.extend(odd());
    scenes.extend([
        waits(
            "two requests at once",
            get(('k', OK), "1.1", "") + &get(('k', CHUNKED), "1.1", close),
        ),
        waits("three requests at once", {
            get(('k', OK), "1.1", "") + &get(('c', LAST), "1.1", "") + &get(('k', OK), "1.1", close)
        }),
    ]);
    for (name, verb, headers, body) in [
        ("HEAD", "HEAD", "", ""),
        ("a body", "POST", "Content-Length: 5\r\n", "hello"),
        ("a body in chunks", "POST", "Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
        ("an empty body", "PUT", "Content-Length: 0\r\n", ""),
        ("DELETE", "DELETE", "", ""),
        ("OPTIONS", "OPTIONS", "", ""),
    ] {
        let answer = if verb == "HEAD" { OK.trim_end_matches("ok") } else { OK };
        let target = target('k', answer);
        let send = format!("{verb} {target} HTTP/1.1\r\nHost: a.b\r\n{close}{headers}\r\n{body}");
        scenes.push(waits(name, send));
    }
    scenes.push(Scene {
        name: "a request, then half closed",
        send: get(('k', OK), "1.1", ""),
        end: End::HalfCloses,
    });
    scenes.push(Scene {
        name: "half a request, then half closed",
        send: "GET /x HT".into(),
        end: End::HalfCloses,
    });
    scenes.push(Scene { name: "half closed", send: String::new(), end: End::HalfCloses });
    scenes
}

/// What is no plain request to a server.
fn odd() -> Vec<Scene> {
    let waits = |name, send| Scene { name, send, end: End::Waits };
    let (host, close) = ("Host: a.b\r\n", "Connection: close\r\n");
    let target = target('k', OK);
    vec![
        waits("no request", "NONSENSE\r\n\r\n".to_owned()),
        waits("half a request", "GET /slow HTTP/1.1\r\nHost:".to_owned()),
        waits("nothing", String::new()),
        waits("the monitor", "GET /alive HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        waits(
            "the monitor by its address",
            "GET http://a/alive HTTP/1.1\r\nHost: a\r\n\r\n".into(),
        ),
        waits(
            "an absolute target",
            format!("GET http://a.b{target} HTTP/1.1\r\n{host}{close}\r\n"),
        ),
        waits("no host", format!("GET {target} HTTP/1.1\r\n{close}\r\n")),
        waits("blank lines first", format!("\r\n\r\nGET {target} HTTP/1.1\r\n{host}{close}\r\n")),
    ]
}

fn tcp() -> Vec<Scene> {
    let scene = |name, send: String, end| Scene { name, send, end };
    let line = |kind, answer: &str| format!("say {}\n", target(kind, answer));
    vec![
        scene("a line and an answer", line('c', "hello"), End::Waits),
        scene("an answer that stays", line('k', "hello"), End::HalfCloses),
        scene("two lines", line('k', "one ") + &line('c', "two"), End::Waits),
        scene("no answer", line('c', ""), End::Waits),
        scene("bytes without an end", "abc".to_owned(), End::HalfCloses),
        scene("half closed", String::new(), End::HalfCloses),
        scene("many bytes", line('c', &"x".repeat(3000)), End::Waits),
        scene("HTTP through TCP", format!("GET {} HTTP/1.1\r\n\r\n", target('c', OK)), End::Waits),
    ]
}

pub(crate) fn choose(dice: &mut Dice, is_http: bool) -> Vec<Scene> {
    let mut all = if is_http { http() } else { tcp() };
    let count = PER_FILE.min(all.len());
    (0..count).map(|_| all.swap_remove(dice.below(all.len()))).collect()
}
