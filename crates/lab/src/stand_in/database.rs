//! A server that greets, lets everybody in and says OK to everything, in MySQL's protocol.

use std::io;
use std::net::SocketAddr;

use super::mysql;
use super::serve::{Protocol, serve};

struct Session {
    node: String,
    number: u32,
    logged_in: bool,
}

pub(crate) fn run(node: &str, addresses: &[SocketAddr]) -> io::Result<()> {
    let mut count = 0_u32;
    serve(addresses, || {
        count = count.wrapping_add(1);
        Session { node: node.to_owned(), number: count, logged_in: false }
    })
}

impl Protocol for Session {
    fn opening(&mut self) -> Vec<u8> {
        mysql::greeting(&self.node, self.number)
    }

    fn answer(&mut self, received: &mut Vec<u8>, out: &mut Vec<u8>) -> bool {
        if mysql::is_too_long(received) {
            return false;
        }
        while let Some(payload) = mysql::take_packet(received) {
            if !self.logged_in {
                self.logged_in = true;
                out.extend_from_slice(&mysql::ok(2));
            } else if payload.first() == Some(&mysql::QUIT) {
                return false;
            } else {
                out.extend_from_slice(&mysql::ok(1));
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_that_logs_in_and_quits_at_once_gets_its_ok() {
        let mut session = Session { node: "node01".into(), number: 1, logged_in: false };
        let mut received = mysql::login("haproxy");
        received.extend_from_slice(&mysql::command(mysql::QUIT, b""));
        let mut out = Vec::new();
        assert!(!session.answer(&mut received, &mut out));
        assert_eq!(out, mysql::ok(2));
    }
}
