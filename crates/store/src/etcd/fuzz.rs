//! Answers of an etcd, or of whoever stands in its place: HTTP, chunks, lines, JSON, base64.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use engine::kv::{Answer as Found, Keys, Op, Transaction};
use serde_json::Value;
use tokio::io::{AsyncRead, ReadBuf, join, sink};

use super::http::{self, Answer};
use super::json;
use super::said::{judge, trouble};
use super::watching::{self, Told};

const PREFIX: &str = "o/";

/// What was sent, so many bytes at a time.
struct Pieces {
    bytes: Vec<u8>,
    at: usize,
    most: usize,
}

impl AsyncRead for Pieces {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let rest = &self.bytes[self.at..];
        let part = rest.len().min(self.most).min(into.remaining());
        into.put_slice(&rest[..part]);
        self.at += part;
        Poll::Ready(Ok(()))
    }
}

/// Nothing here waits: what was not sent does not come.
fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

fn begin(bytes: &[u8], most: usize) -> Option<(u16, http::Stream)> {
    let pieces = Pieces { bytes: bytes.to_vec(), at: 0, most };
    now(http::answer(Box::new(join(pieces, sink()))))?.ok()
}

/// Status and whole body.
fn whole(bytes: &[u8], most: usize) -> Option<(u16, Vec<u8>)> {
    let (status, stream) = begin(bytes, most)?;
    Some((status, now(stream.rest())?.ok()?))
}

/// The first lines of a body that does not end.
fn lines(bytes: &[u8], most: usize) -> Vec<Vec<u8>> {
    let Some((_, mut stream)) = begin(bytes, most) else { return vec![] };
    std::iter::from_fn(|| now(stream.line())?.ok()).take(16).collect()
}

/// # Panics
/// When a promise is broken.
pub(crate) fn answer(bytes: &[u8]) {
    let at_once = whole(bytes, usize::MAX);
    let in_lines = lines(bytes, usize::MAX);
    for most in [1, 7] {
        assert_eq!(whole(bytes, most), at_once, "in pieces of {most} it reads as whole");
        assert_eq!(lines(bytes, most), in_lines, "in pieces of {most} it reads as whole");
    }
    let (status, body) = at_once.unwrap_or_else(|| (200, bytes.to_vec()));
    assert!(body.len() <= bytes.len(), "nothing is read that was not sent");
    for line in in_lines.iter().chain([&body]) {
        told(line);
    }
    for reads in [false, true] {
        if let Ok(value) = judge(Answer { status, body: body.clone() }, reads) {
            let _ = trouble(&value);
            outcome(&value);
        }
    }
    let text = String::from_utf8_lossy(bytes);
    if let Some(plain) = json::unbase64(&text) {
        assert!(plain.len() <= bytes.len(), "base64 grows");
        assert_eq!(json::unbase64(&json::base64(&plain)), Some(plain), "what we write we read");
    }
    assert_eq!(
        json::unbase64(&json::base64(bytes)).as_deref(),
        Some(bytes),
        "what we write we read"
    );
}

fn told(line: &[u8]) {
    if let Ok(Told::Changes(changes)) = watching::changes(PREFIX, line) {
        let size: usize = changes.iter().map(|change| change.key.len()).sum();
        assert!(size <= line.len(), "{} bytes of keys of {}", size, line.len());
    }
}

fn outcome(value: &Value) {
    let keys = || Keys::Prefix("a".to_owned());
    let put = Op::Put { key: "a".to_owned(), value: b"1".as_slice().into(), limit: None };
    let asked = Transaction {
        compares: vec![],
        then: vec![put, Op::Delete { keys: keys() }, Op::Read { keys: keys(), limit: 3 }],
        otherwise: vec![Op::Read { keys: keys(), limit: 3 }],
    };
    let Some(outcome) = json::outcome(PREFIX, &asked, value) else { return };
    let ops = if outcome.held { &asked.then } else { &asked.otherwise };
    assert_eq!(outcome.answers.len(), ops.len(), "an answer for each question");
    for (op, found) in ops.iter().zip(&outcome.answers) {
        let fits = match op {
            Op::Put { .. } => matches!(found, Found::Put),
            Op::Delete { .. } => matches!(found, Found::Deleted(_)),
            Op::Read { .. } => matches!(found, Found::Found { .. }),
        };
        assert!(fits, "{found:?} for {op:?}");
    }
}
