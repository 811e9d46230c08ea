//! What the parsers of this crate promise, for `crates/fuzz`.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use crate::embedded::fuzz::{Frame, decoders};

/// Messages between nodes: frames, and every kind of body.
///
/// # Panics
/// When a promise is broken.
pub fn message(bytes: &[u8]) {
    let mut rest = bytes;
    while let Some(frame) = frame(&mut rest) {
        let again = frame.encode();
        let before = bytes.len() - rest.len();
        assert!(
            bytes[..before].ends_with(&again),
            "what was read and is written again is the same"
        );
    }
    for decode in decoders() {
        // What was read, written and read again is written alike.
        if let Some(once) = decode(bytes) {
            assert!(once.len() <= bytes.len() + 64, "{} bytes of {}", once.len(), bytes.len());
            assert_eq!(decode(&once).as_ref(), Some(&once), "what we write we read");
        }
    }
}

/// What an etcd answers: heads, chunks, lines of a watch, JSON and base64.
///
/// # Panics
/// When a promise is broken.
pub fn etcd(bytes: &[u8]) {
    crate::etcd::fuzz::answer(bytes);
}

/// The next whole frame; a slice is always ready.
fn frame(from: &mut &[u8]) -> Option<Frame> {
    match pin!(Frame::read(from)).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(frame) => frame.ok(),
        Poll::Pending => None,
    }
}
