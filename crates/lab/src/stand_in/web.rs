//! A small HTTP server: every request is answered with the name of its node.

use std::io;
use std::net::SocketAddr;

use super::serve::{Protocol, serve};

/// A longer head is not answered.
const MAX_HEAD: usize = 16 * 1024;

struct Http {
    node: String,
    /// Bytes of a request's body still to be skipped.
    body: usize,
}

pub(crate) fn run(node: &str, addresses: &[SocketAddr]) -> io::Result<()> {
    serve(addresses, || Http { node: node.to_owned(), body: 0 })
}

impl Protocol for Http {
    fn opening(&mut self) -> Vec<u8> {
        Vec::new()
    }

    fn answer(&mut self, received: &mut Vec<u8>, out: &mut Vec<u8>) -> bool {
        loop {
            let skip = self.body.min(received.len());
            received.drain(..skip);
            self.body -= skip;
            let Some(end) = received.windows(4).position(|w| w == b"\r\n\r\n") else {
                return received.len() <= MAX_HEAD;
            };
            let head = String::from_utf8_lossy(&received[..end]).to_ascii_lowercase();
            received.drain(..end + 4);
            let value = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
            self.body =
                value("content-length:").and_then(|v| v.trim().parse().ok()).unwrap_or_default();
            let close = value("connection:").is_some_and(|v| v.trim() == "close");
            let connection = if close { "Connection: close\r\n" } else { "" };
            let (node, length) = (&self.node, self.node.len());
            out.extend_from_slice(
                format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n{connection}\r\n{node}")
                    .as_bytes(),
            );
            if close {
                return false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_in_one_piece_are_answered_one_by_one() {
        let mut http = Http { node: "node01".into(), body: 0 };
        let mut received = b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n\
            Connection: close\r\n\r\n"
            .to_vec();
        let mut out = Vec::new();
        assert!(!http.answer(&mut received, &mut out));
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.matches("node01").count(), 2);
    }
}
