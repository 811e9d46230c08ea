//! `option mysql-check`: does the server greet, and does it let the user in?
//!
//! ```text
//! probe   --> authentication + COM_QUIT     (only with a user; sent at once, as HAProxy does)
//! server  --> greeting | ERR
//! server  --> OK | ERR                      (only with a user)
//! ```
//!
//! Packets are `length(3, little endian) sequence(1) payload`
//! (MySQL internals, "Protocol::Packet"; recorded from MariaDB 10.11 in the tests).

use base::Layer;

use super::{MAX_ANSWER, Progress, invalid, report};

/// First payload byte of a packet that says no.
const ERR: u8 = 0xff;

/// `CLIENT_LONG_PASSWORD | CLIENT_PROTOCOL_41 ...` as HAProxy sends them: protocol 4.1, secure
/// connection, plug-in authentication off, so that old servers answer too.
const CAPABILITIES_41: [u8; 4] = [0x00, 0x82, 0x00, 0x00];

/// No packet of ours is longer than the server is told (`max_packet_size`).
const MAX_PACKET_41: [u8; 4] = [0x00, 0x80, 0x00, 0x01];

/// utf8_general_ci, which every server since 4.1 knows.
const CHARSET_UTF8: u8 = 33;

/// Sent behind the authentication so that the server ends the session itself: COM_QUIT as a packet
/// of one byte, sequence 0.
const COM_QUIT: [u8; 5] = [1, 0, 0, 0, 1];

/// With which bytes the server is asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MysqlQuestion {
    /// Empty: only the greeting is read.
    request: Vec<u8>,
}

impl MysqlQuestion {
    /// Reads the greeting only.
    #[must_use]
    pub const fn greeting() -> Self {
        Self { request: Vec::new() }
    }

    /// Logs in as `user` without a password; `pre_41` speaks the protocol before 4.1.
    #[must_use]
    pub fn login(user: &str, pre_41: bool) -> Self {
        let mut payload = Vec::new();
        if pre_41 {
            payload.extend_from_slice(&[0x00, 0x80, 0x00, 0x00, 0x01]);
        } else {
            payload.extend_from_slice(&CAPABILITIES_41);
            payload.extend_from_slice(&MAX_PACKET_41);
            payload.push(CHARSET_UTF8);
            payload.extend_from_slice(&[0; 23]);
        }
        payload.extend_from_slice(user.as_bytes());
        payload.extend_from_slice(&[0, 0]);
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes();
        let mut request = vec![length[0], length[1], length[2], 1];
        request.append(&mut payload);
        request.extend_from_slice(&COM_QUIT);
        Self { request }
    }

    pub(super) fn request(&self) -> &[u8] {
        &self.request
    }

    pub(super) fn judge(&self, answer: &[u8], last: bool) -> Progress {
        let (greeting, rest) = match Packet::read(answer) {
            Read::Whole(packet, rest) => (packet, rest),
            Read::Part if !last => return Progress::More,
            Read::Part if answer.is_empty() => return self.nothing(),
            Read::Part | Read::TooLong => return invalid(""),
        };
        if let Some(no) = greeting.error() {
            return no;
        }
        if self.request.is_empty() {
            return passed(&greeting);
        }
        match Packet::read(rest) {
            Read::Whole(packet, _) => packet.error().unwrap_or_else(|| passed(&greeting)),
            Read::Part if !last => Progress::More,
            Read::Part | Read::TooLong => invalid(""),
        }
    }

    /// HAProxy counts connect, send and expect as steps, and names the one that got nothing.
    fn nothing(&self) -> Progress {
        let step = if self.request.is_empty() { 2 } else { 3 };
        invalid(&format!("TCPCHK got an empty response at step {step}"))
    }
}

struct Packet<'a>(&'a [u8]);

enum Read<'a> {
    Whole(Packet<'a>, &'a [u8]),
    Part,
    /// It can never fit, so there is nothing to wait for.
    TooLong,
}

impl<'a> Packet<'a> {
    fn read(bytes: &'a [u8]) -> Read<'a> {
        let [a, b, c, _sequence, rest @ ..] = bytes else { return Read::Part };
        let length = usize::from(*a) | usize::from(*b) << 8 | usize::from(*c) << 16;
        match rest.split_at_checked(length) {
            Some((payload, rest)) => Read::Whole(Packet(payload), rest),
            None if length > MAX_ANSWER => Read::TooLong,
            None => Read::Part,
        }
    }

    /// `ff code(2) text`.
    fn error(&self) -> Option<Progress> {
        match self.0 {
            [ERR, low, high, text @ ..] => {
                let code = u16::from_le_bytes([*low, *high]);
                let text = String::from_utf8_lossy(text);
                Some(Progress::Done(report(Layer::AnswerBad, Some(code), &text)))
            }
            [ERR, ..] | [] => Some(invalid("")),
            _ => None,
        }
    }
}

/// The info is the server's version: the greeting is `protocol(1) version NUL ...`.
fn passed(greeting: &Packet<'_>) -> Progress {
    let version = greeting.0[1..].split(|&b| b == 0).next().unwrap_or_default();
    Progress::Done(report(Layer::AnswerOk, Some(0), &String::from_utf8_lossy(version)))
}
