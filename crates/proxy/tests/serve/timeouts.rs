//! Each timer of the file, by what its end looks like.

use std::time::Duration;

use crate::rig::{Rig, Server, strict};

fn times(more: &str) -> String {
    format!(" timeout client 5s\n timeout server 5s\n timeout connect 5s\n{more}")
}

fn web(server: &Server, more: &str) -> String {
    let times = times(more);
    format!("listen web\n mode http\n bind 127.0.0.1:1\n{times} server a {}\n", server.address)
}

/// Runs `act` and says how long it took.
fn took<T>(act: impl FnOnce() -> T) -> (T, Duration) {
    let start = sys::clock::now();
    let done = act();
    (done, sys::clock::now().since(start))
}

/// Not before its time; soon after is up to the machine's load.
fn about(time: Duration, ms: u64) -> bool {
    (Duration::from_millis(ms)..Duration::from_millis(ms + 2_000)).contains(&time)
}

#[test]
fn a_slow_head_is_a_408() {
    let server = Server::named("alpha");
    let rig = strict(&web(&server, " timeout http-request 150ms\n"));
    for piece in ["", "GET / HTTP/1.1\r\n"] {
        let mut client = rig.connect("web");
        client.send(piece);
        let (text, time) = took(|| client.read_text());
        assert!(text.starts_with("HTTP/1.1 408 Request Time-out\r\n"), "{text:?}");
        assert!(about(time, 140), "{time:?}");
    }
}

#[test]
fn an_idle_client_is_closed_without_a_word() {
    let server = Server::named("alpha");
    let rig = strict(&web(&server, " timeout http-keep-alive 150ms\n timeout http-request 5s\n"));
    let mut client = rig.connect("web");
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.answer().status, 200);
    let (text, time) = took(|| client.read_text());
    assert_eq!(text, "");
    assert!(about(time, 140), "{time:?}");
}

#[test]
fn a_silent_server_is_a_504_and_the_client_stays() {
    let server = Server::start(|guest| {
        guest.client.read_text();
    });
    let rig = strict(&web(&server, " timeout server 150ms\n"));
    let mut client = rig.connect("web");
    for _ in 0..2 {
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        let (answer, time) = took(|| client.answer());
        assert_eq!(answer.status, 504);
        assert!(about(time, 140), "{time:?}");
    }
}

#[test]
fn a_server_that_goes_silent_in_the_body_ends_the_connection() {
    let server = Server::start(|guest| {
        guest.request();
        guest.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
        guest.client.read_text();
    });
    let rig = strict(&web(&server, " timeout server 150ms\n"));
    let mut client = rig.connect("web");
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(client.read_text().ends_with("\r\n\r\nabc"));
}

#[test]
fn a_client_that_owes_its_body_is_a_408() {
    let server = Server::start(|guest| {
        guest.client.read_text();
    });
    let rig = strict(&web(&server, " timeout client 150ms\n timeout http-request 5s\n"));
    let mut client = rig.connect("web");
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab");
    assert!(client.read_text().starts_with("HTTP/1.1 408 Request Time-out\r\n"));
}

#[test]
fn a_connect_without_answer_is_a_503_after_its_retries() {
    // A port that is bound, does not listen and drops what comes cannot be had on loopback; an
    // address of a documentation network is not answered (or, without a route, refused at once).
    let times = times(" timeout connect 150ms\n retries 1\n");
    let rig = strict(&format!(
        "listen web\n mode http\n bind 127.0.0.1:1\n{times} server a 192.0.2.1:9\n"
    ));
    let answer = rig.get("web", "/");
    assert_eq!((answer.status, answer.header("connection")), (503, None));
}

fn pair(server: &Server, more: &str) -> Rig {
    let times = times(more);
    strict(&format!(
        "listen db\n mode tcp\n bind 127.0.0.1:1\n{times} server a {}\n",
        server.address
    ))
}

#[test]
fn a_silent_tcp_session_ends() {
    let server = Server::start(|guest| {
        guest.client.read_text();
    });
    let rig = pair(&server, " timeout client 150ms\n");
    let mut client = rig.connect("db");
    let (text, time) = took(|| client.read_text());
    assert_eq!(text, "");
    assert!(about(time, 140), "{time:?}");
}

#[test]
fn timeout_tunnel_replaces_the_others_once_bytes_flow_both_ways() {
    let server = Server::start(|guest| {
        let heard = guest.client.read_some(1);
        guest.say(&heard);
        guest.client.read_text();
    });
    let rig = pair(&server, " timeout client 50ms\n timeout server 50ms\n timeout tunnel 300ms\n");
    let mut client = rig.connect("db");
    client.send("x");
    assert_eq!(client.read_some(1), "x");
    let (_, time) = took(|| client.read_text());
    assert!(about(time, 250), "{time:?}");
}

#[test]
fn a_half_closed_session_ends_by_its_own_timer() {
    let server = Server::start(|guest| {
        guest.say("bye");
    });
    let rig = pair(&server, " timeout client-fin 150ms\n");
    let mut client = rig.connect("db");
    assert_eq!(client.read_text(), "bye");
    // The proxy waits for our end for 150 ms, then it is gone: a second write meets a reset.
    let (_, time) = took(|| {
        let gone = |client: &mut crate::rig::Client| {
            use std::io::Write;
            client.stream.write_all(b"x").is_err()
        };
        crate::rig::eventually("the session is gone", || gone(&mut client));
    });
    assert!(time < Duration::from_secs(4), "{time:?}");
}
