//! Where messages end, and what is refused.

use crate::rig::{Client, Server, adaptive, eventually, script, strict};

const TIMES: &str = " timeout client 5s\n timeout server 5s\n timeout connect 5s\n";

fn one(server: &Server) -> String {
    format!("listen web\n mode http\n bind 127.0.0.1:1\n{TIMES} server a {}\n", server.address)
}

/// What the client sees of an answer that the server closes after (`keep` false) or not.
fn passed(method: &str, keep: bool, answer: &str) -> String {
    let server = Server::scripted();
    let rig = strict(&one(&server));
    let mut client = rig.connect("web");
    let target = script(keep, answer);
    client.send(&format!("{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
    client.read_text()
}

#[test]
fn bodies_end_where_their_heads_say() {
    let close = "connection: close\r\n\r\n";
    for (method, keep, answer, body) in [
        (
            "GET",
            true,
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
            "content-length: 3\r\n{}abc",
        ),
        (
            "GET",
            true,
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef",
            "content-length: 3\r\n{}abc",
        ),
        ("GET", false, "HTTP/1.1 200 OK\r\n\r\nabc", "{}abc"),
        ("HEAD", true, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "content-length: 3\r\n{}"),
        (
            "GET",
            true,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGARBAGE",
            "transfer-encoding: chunked\r\n{}3\r\nabc\r\n0\r\n\r\n",
        ),
        (
            "GET",
            true,
            "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "transfer-encoding: chunked\r\n{}0\r\n\r\n",
        ),
    ] {
        let expected = format!("HTTP/1.1 200 OK\r\n{}", body.replace("{}", close));
        assert_eq!(passed(method, keep, answer), expected, "{answer:?}");
    }
}

#[test]
fn answers_without_body_do_not_wait_for_one() {
    let close = "connection: close\r\n\r\n";
    let answer = "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(passed("GET", true, answer), format!("HTTP/1.1 204 No Content\r\n{close}"));
    let answer = "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n";
    let expected = format!("HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n{close}");
    assert_eq!(passed("GET", true, answer), expected);
}

#[test]
fn garbage_from_the_server_is_a_502() {
    for garbage in [
        "I am not HTTP\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "HTTP/1.1 200 OK\r\nCut off",
        "",
    ] {
        let answer = passed("GET", false, garbage);
        assert!(answer.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{garbage:?}: {answer:?}");
    }
}

#[test]
fn a_body_that_ends_too_early_ends_the_connection_too() {
    let server = Server::scripted();
    let rig = strict(&one(&server));
    let mut client = rig.connect("web");
    let target = script(false, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    client.send(&format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"));
    assert_eq!(client.read_text(), "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc");
}

#[test]
fn what_is_no_request_is_a_400_and_never_reaches_a_server() {
    let server = Server::named("alpha");
    for rig in [strict(&one(&server)), adaptive(&one(&server))] {
        for bad in [
            "GARBAGE\r\n\r\n",
            "GET / HTTP/1.1\r\nHost : x\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            "POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
            "GET / HTTP/1.1\r\nA: b\r\n folded: c\r\n\r\n",
            "GET / HTTP/1.1\r\nA: \0\r\n\r\n",
        ] {
            let mut client = rig.connect("web");
            client.send(bad);
            let answer = client.read_text();
            assert!(answer.starts_with("HTTP/1.1 400 Bad request\r\n"), "{bad:?}: {answer:?}");
        }
    }
    assert_eq!(server.diary(), [""; 0]);
}

#[test]
fn a_head_beyond_the_limit_is_refused_while_it_is_sent() {
    let server = Server::named("alpha");
    let rig = strict(&one(&server));
    let mut client = rig.connect("web");
    client.send(&format!("GET /{}", "a".repeat(20_000)));
    assert!(client.read_text().starts_with("HTTP/1.1 400 Bad request\r\n"));
}

#[test]
fn nothing_is_smuggled_behind_a_body() {
    let server = Server::named("alpha");
    let rig = strict(&one(&server));
    let mut client = rig.connect("web");
    client.send(
        "POST /1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n\
         GET /2 HTTP/1.1\r\nHost: x\r\n\r\n",
    );
    assert_eq!((client.answer().status, client.answer().status), (200, 200));
    let lines: Vec<_> =
        server.diary().iter().map(|seen| seen.lines().next().unwrap().to_owned()).collect();
    assert_eq!(lines, ["POST /1 HTTP/1.1", "GET /2 HTTP/1.1"]);
}

#[test]
fn a_chunk_that_breaks_later_breaks_the_request() {
    let server = Server::start(|guest| {
        let all = guest.client.read_text();
        guest.note(all);
    });
    let rig = strict(&one(&server));
    let mut client = rig.connect("web");
    client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    eventually("the server is asked", || server.connections() == 1);
    client.send("oops\r\n");
    assert!(client.read_text().starts_with("HTTP/1.1 400 Bad request\r\n"));
    eventually("the server sees the end", || server.diary().len() == 1);
    assert!(!server.diary()[0].contains("oops"));
}

/// Deterministic, without repetition that could hide a lost piece.
fn noise(length: usize) -> String {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'a' + u8::try_from(state >> 24).unwrap() % 26)
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn large_bodies_arrive_whole_both_ways() {
    const SIZE: usize = 3_000_000;
    let server = Server::start(|guest| {
        while let Some(head) = guest.request() {
            let length = head.lines().find_map(|l| l.strip_prefix("content-length: "));
            let length: usize = length.unwrap().parse().unwrap();
            guest.say(&format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"));
            guest.say(&noise(length));
        }
    });
    let rig = strict(&one(&server));
    let mut client = rig.connect("web");
    for size in [SIZE, 10, 70_000] {
        let body = noise(size);
        client.send(&format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n"));
        client.send(&body);
        assert!(client.answer().body == body, "{size} bytes came back changed");
    }
    assert!(server.diary()[0].ends_with(&noise(SIZE)));
}

#[test]
fn a_slow_reader_gets_everything() {
    const SIZE: usize = 8_000_000;
    // Made before: on a loaded machine it takes longer than a server may.
    let body = noise(SIZE);
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n{body}");
    let server = Server::start(move |guest| {
        guest.request();
        guest.say(&answer);
    });
    let rig = strict(&one(&server));
    let mut client = rig.connect("web");
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    eventually("the server is asked", || !server.diary().is_empty());
    assert_eq!(rig.get("web", "/").status, 200, "others are served meanwhile");
    assert!(client.answer().body == body);
}

#[test]
fn an_early_answer_does_not_lose_the_next_request() {
    let server = Server::start(|guest| {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            head.push_str(&guest.client.read_some(1));
        }
        guest.say("HTTP/1.1 413 Too\r\nContent-Length: 0\r\n\r\n");
        guest.client.read_some(4);
        while guest.request().is_some() {
            guest.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let rig = strict(&one(&server));
    let mut client = rig.connect("web");
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n");
    assert_eq!(client.answer().status, 413);
    client.send("bodyGET /next HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.answer().body, "ok");
}

#[test]
fn clients_that_reset_in_the_middle_cost_nothing() {
    let server = Server::named("alpha");
    let rig = strict(&one(&server));
    for piece in ["", "GET", "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc"] {
        let client = rig.connect("web");
        let mut client: Client = client;
        client.send(piece);
        sys::socket::reset_on_close(std::os::fd::AsFd::as_fd(&client.stream)).unwrap();
    }
    assert_eq!(rig.get("web", "/").status, 200);
}

#[test]
fn a_chunk_that_breaks_during_the_answer_ends_the_request_but_not_the_answer() {
    let server = Server::start(|guest| {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            head.push_str(&guest.client.read_some(1));
        }
        guest.say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok");
        let all = guest.client.read_text();
        guest.note(all);
        guest.say("ok");
    });
    let rig = strict(&one(&server));
    let mut client = rig.connect("web");
    client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    let begun = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nok".len();
    assert!(client.read_some(begun).ends_with("ok"));
    client.send("3\r\nabc\r\n");
    client.send("oops\r\n");
    client.send("5\r\nhello\r\n0\r\n\r\n");
    assert_eq!(client.read_text(), "ok");
    let seen = server.diary().concat();
    assert!(!seen.contains("oops") && !seen.contains("hello"), "{seen}");
}

#[test]
fn interim_answers_that_nobody_reads_stay_with_the_server() {
    const MOST: usize = 64 * 1024 * 1024;
    let server = Server::start(|guest| {
        guest.request();
        let hint = format!("HTTP/1.1 103 Early Hints\r\nLink: {}\r\n\r\n", noise(4000));
        let patience = std::time::Duration::from_millis(500);
        guest.client.stream.set_write_timeout(Some(patience)).unwrap();
        let stream = &mut guest.client.stream;
        let sent = (0..MOST / hint.len())
            .take_while(|_| std::io::Write::write_all(stream, hint.as_bytes()).is_ok())
            .count();
        guest.note(format!("{}", sent * hint.len()));
    });
    let rig = strict(&one(&server));
    let mut client = rig.connect("web");
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    eventually("the server gave up", || server.diary().len() == 2);
    let sent: usize = server.diary()[1].parse().unwrap();
    assert!(sent < MOST / 2, "the proxy took {sent} bytes");
    assert!(client.read_text().starts_with("HTTP/1.1 103 "));
}
