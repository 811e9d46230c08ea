//! What a request says and expects, byte by byte, without a socket.

use std::net::SocketAddr;

use super::Port;
use crate::stand_in::mysql;

/// No answer of a stand-in is longer.
const MAX_ANSWER: usize = 16 * 1024;

/// A conversation.
#[derive(Debug)]
pub(super) struct Talk {
    kind: Kind,
    received: Vec<u8>,
}

#[derive(Debug)]
enum Kind {
    Http {
        request: Vec<u8>,
    },
    /// Greeting, login, ping.
    Ping {
        step: Step,
        server: String,
    },
    /// Greeting, login, then writes.
    Session {
        step: Step,
        server: String,
    },
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    Greeting,
    Login,
    /// Logged in, nothing under way.
    Idle,
    Asked,
}

/// How far a conversation is.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Progress {
    Waiting,
    /// Over and well, answered by this server.
    Answered(String),
    /// A long session's write was taken by this server; it goes on.
    Acknowledged(String),
}

type Reply = Result<(Option<Vec<u8>>, Progress), String>;

impl Talk {
    pub(super) fn http(to: SocketAddr) -> Self {
        let request = format!("GET /v3 HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\r\n");
        Self { kind: Kind::Http { request: request.into_bytes() }, received: Vec::new() }
    }

    pub(super) fn ping() -> Self {
        let kind = Kind::Ping { step: Step::Greeting, server: String::new() };
        Self { kind, received: Vec::new() }
    }

    pub(super) fn session() -> Self {
        let kind = Kind::Session { step: Step::Greeting, server: String::new() };
        Self { kind, received: Vec::new() }
    }

    /// Which schedule it belongs to; none for a long session.
    pub(super) fn port(&self) -> Option<Port> {
        match self.kind {
            Kind::Http { .. } => Some(Port::Api),
            Kind::Ping { .. } => Some(Port::Database),
            Kind::Session { .. } => None,
        }
    }

    /// What to send once connected.
    pub(super) fn opening(&self) -> Option<Vec<u8>> {
        match &self.kind {
            Kind::Http { request } => Some(request.clone()),
            Kind::Ping { .. } | Kind::Session { .. } => None,
        }
    }

    /// What a long session sends now; none while it waits for an answer.
    pub(super) fn next_write(&mut self) -> Option<Vec<u8>> {
        match &mut self.kind {
            Kind::Session { step: step @ Step::Idle, .. } => {
                *step = Step::Asked;
                Some(mysql::command(mysql::QUERY, b"INSERT INTO t VALUES (1)"))
            }
            Kind::Session { .. } | Kind::Http { .. } | Kind::Ping { .. } => None,
        }
    }

    pub(super) fn received(&mut self, bytes: &[u8]) -> Reply {
        self.received.extend_from_slice(bytes);
        if self.received.len() > MAX_ANSWER {
            return Err("answer too long".into());
        }
        match &mut self.kind {
            Kind::Http { .. } => http_answer(&self.received).map(|progress| (None, progress)),
            Kind::Ping { step, server } => speak(&mut self.received, step, server, true),
            Kind::Session { step, server } => speak(&mut self.received, step, server, false),
        }
    }

    /// The other side closed.
    pub(super) fn ended(&self) -> Result<Progress, String> {
        Err(if self.received.is_empty() { "closed without an answer" } else { "cut answer" }.into())
    }
}

fn http_answer(bytes: &[u8]) -> Result<Progress, String> {
    let Some(head_end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else {
        return Ok(Progress::Waiting);
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]);
    let status = head.split_whitespace().nth(1).unwrap_or_default();
    if status != "200" {
        return Err(format!("HTTP {status}"));
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let body = &bytes[head_end + 4..];
    match length {
        None => Err("answer without a length".into()),
        Some(length) if body.len() < length => Ok(Progress::Waiting),
        Some(length) => Ok(Progress::Answered(String::from_utf8_lossy(&body[..length]).into())),
    }
}

/// One side of the conversation of `stand_in::mysql`; with `once` it ends after one ping.
fn speak(received: &mut Vec<u8>, step: &mut Step, server: &mut String, once: bool) -> Reply {
    let Some(packet) = mysql::take_packet(received) else { return Ok((None, Progress::Waiting)) };
    if packet.first() == Some(&0xff) {
        return Err("database error".into());
    }
    match *step {
        Step::Greeting => {
            *server = mysql::server_of(&packet).ok_or("no greeting")?;
            *step = Step::Login;
            Ok((Some(mysql::login("demo")), Progress::Waiting))
        }
        Step::Login if once => {
            *step = Step::Asked;
            Ok((Some(mysql::command(mysql::PING, b"")), Progress::Waiting))
        }
        Step::Login => {
            *step = Step::Idle;
            Ok((None, Progress::Waiting))
        }
        Step::Idle => Err("an answer nobody asked for".into()),
        Step::Asked if once => {
            Ok((Some(mysql::command(mysql::QUIT, b"")), Progress::Answered(server.clone())))
        }
        Step::Asked => {
            *step = Step::Idle;
            Ok((None, Progress::Acknowledged(server.clone())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_when_its_body_is_whole() {
        let mut talk = Talk::http("10.79.0.40:5000".parse().unwrap());
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nnod";
        assert_eq!(talk.received(head).unwrap().1, Progress::Waiting);
        let answered = Progress::Answered("node02".into());
        assert_eq!(talk.received(b"e02").unwrap().1, answered);
    }

    #[test]
    fn another_status_is_a_failure_with_its_number() {
        let mut talk = Talk::http("10.79.0.40:5000".parse().unwrap());
        let error = talk.received(b"HTTP/1.1 503 Service Unavailable\r\n\r\n").unwrap_err();
        assert_eq!(error, "HTTP 503");
    }

    #[test]
    fn a_ping_greets_logs_in_and_names_the_server() {
        let mut talk = Talk::ping();
        let (login, _) = talk.received(&mysql::greeting("node03", 1)).unwrap();
        assert!(login.is_some());
        let (ping, _) = talk.received(&mysql::ok(2)).unwrap();
        assert_eq!(ping.unwrap()[4], mysql::PING);
        let (_, progress) = talk.received(&mysql::ok(1)).unwrap();
        assert_eq!(progress, Progress::Answered("node03".into()));
    }
}
