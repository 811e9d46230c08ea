//! What strangers may not do.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use crate::fixture::{Face, ask, status};
use crate::until;

#[test]
fn every_answer_forbids_the_browser_what_no_page_needs() {
    let face = Face::new(status());
    for path in ["/", "/index.json", "/metrics", "/nothing", "/assets/outlast.css"] {
        let reply = face.get(path);
        let policy = reply.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{path}: {policy}");
        assert!(!policy.contains("unsafe"), "{path}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{path}");
    }
    for path in ["/", "/vip/internal", "/pool/mariadb", "/node/node01", "/events"] {
        let page = face.get(path).body;
        for inline in
            [" style=", "<style", " onclick", " onload", "javascript:", "http://", "hx-on"]
        {
            assert!(!page.contains(inline), "{path} has {inline}");
        }
    }
}

#[test]
fn another_sites_name_for_this_machine_is_refused() {
    let face = Face::new(status());
    for host in ["evil.example", "evil.example:80", "127.0.0.1.evil.example"] {
        assert_eq!(face.ask_for("/", &format!("Host: {host}\r\n")).status, 421, "{host}");
        assert_eq!(face.ask_for("/index.json", &format!("Host: {host}\r\n")).status, 421);
    }
    for host in ["localhost", "localhost:9999", "127.0.0.1", "[::1]:80"] {
        assert_eq!(face.ask_for("/", &format!("Host: {host}\r\n")).status, 200, "{host}");
    }
}

/// An address of this machine that is not loopback; none in a namespace without network.
fn outside() -> Option<Ipv4Addr> {
    // Nothing is sent: connecting a datagram socket only asks which way it would go.
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    match socket.local_addr().ok()? {
        SocketAddr::V4(address) if !address.ip().is_loopback() => Some(*address.ip()),
        SocketAddr::V4(_) | SocketAddr::V6(_) => None,
    }
}

#[test]
fn elsewhere_than_on_loopback_the_token_is_asked_for() {
    // All addresses, which is not loopback, whichever this machine has.
    let any: SocketAddr = ([0, 0, 0, 0], 0).into();
    let mut face = Face::at(status(), any, Some("correct-horse"));
    let ip = outside().unwrap_or(Ipv4Addr::LOCALHOST);
    face.address = (ip, face.address.port()).into();
    for path in ["/", "/index.json", "/metrics", "/live?page=/", "/assets/live.js"] {
        assert_eq!(face.get(path).status, 401, "{path}");
    }
    assert_eq!(face.get("/?token=correct-hors").status, 401);
    assert_eq!(face.get("/?token=").status, 401);
    let bearer = "Authorization: Bearer correct-horse\r\n";
    assert_eq!(face.ask_for("/metrics", bearer).status, 200);
    assert_eq!(face.ask_for("/metrics", "Authorization: Bearer wrong\r\n").status, 401);
    let welcome = face.get("/node/node01?token=correct-horse");
    assert_eq!(welcome.status, 303);
    assert_eq!(welcome.header("location"), Some("/node/node01"));
    let cookie = welcome.header("set-cookie").unwrap().to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    assert!(!cookie.contains("correct-horse"), "{cookie}");
    let pair = cookie.split(';').next().unwrap();
    assert_eq!(face.ask_for("/", &format!("Cookie: a=b; {pair}\r\n")).status, 200);
    assert_eq!(face.ask_for("/", &format!("Cookie: {pair}0\r\n")).status, 401);
    // No other host gets into the address that the browser is sent to.
    let sent = face.get("//evil.example/?token=correct-horse");
    assert_eq!(sent.header("location"), Some("/evil.example/"));
}

#[test]
fn an_agent_that_cannot_say_whose_token_it_is_makes_nobody_a_stranger() {
    let any: SocketAddr = ([0, 0, 0, 0], 0).into();
    let mut face = Face::at(status(), any, Some("correct-horse"));
    face.address = (Ipv4Addr::LOCALHOST, face.address.port()).into();
    face.tell(|story| story.program = None);
    let asked = |token: &str| {
        face.ask_for("/index.json", &format!("Authorization: Bearer {token}\r\n")).status
    };
    assert_eq!((asked("outlast_1"), asked("outlast_2")), (503, 503));
    face.tell(|story| story.program = Some("outlast_1".to_owned()));
    assert_eq!((asked("outlast_1"), asked("outlast_2")), (200, 401), "nothing was remembered");
}

#[test]
fn a_listener_without_token_that_is_not_loopback_does_not_begin() {
    let any: SocketAddr = ([0, 0, 0, 0], 0).into();
    let mut face = Face::at(status(), any, None);
    let error = face.thread.take().unwrap().join().unwrap().unwrap_err();
    assert!(error.to_string().contains("no token"), "{error}");
}

#[test]
fn a_large_head_and_other_methods_are_refused() {
    let face = Face::new(status());
    let long = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    let mut stream = TcpStream::connect(face.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // The server may be done with it before all is sent.
    let _ = stream.write_all(long.as_bytes());
    let mut answer = vec![];
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    let post =
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nConnection: close\r\n\r\nxx";
    assert_eq!(ask(face.address, post).status, 405);
}

/// More connections than there is room for wait their turn, and no more than so many are live.
#[test]
fn connections_and_followers_are_bounded() {
    let face = Face::new(status());
    let follow = || {
        let mut stream = TcpStream::connect(face.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let request = "GET /live?page=%2F HTTP/1.1\r\nHost: localhost\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        let mut start = [0; 12];
        stream.read_exact(&mut start).unwrap();
        (stream, String::from_utf8_lossy(&start).into_owned())
    };
    let mut live: Vec<TcpStream> = vec![];
    for _ in 0..32 {
        let (stream, start) = follow();
        assert_eq!(start, "HTTP/1.1 200");
        live.push(stream);
    }
    let (_refused, start) = follow();
    assert_eq!(start, "HTTP/1.1 503");
    assert_eq!(face.get("/").status, 200, "pages are still answered");
    // The rest of the 64 connections: open, and silent.
    let connect = || {
        let stream = TcpStream::connect(face.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    };
    let mut idle: Vec<TcpStream> = (live.len() + 1..64).map(|_| connect()).collect();
    let ask = b"GET /assets/outlast.svg HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let answer = |stream: &mut TcpStream| {
        let mut start = [0; 12];
        stream.read_exact(&mut start).map(|()| String::from_utf8_lossy(&start).into_owned())
    };
    for stream in &mut idle {
        stream.write_all(ask).unwrap();
        assert_eq!(answer(stream).unwrap(), "HTTP/1.1 200", "each of the 64 is served");
    }
    let mut waits = connect();
    waits.write_all(ask).unwrap();
    waits.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(answer(&mut waits).is_err(), "the 65th waits");
    waits.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    drop(idle);
    assert_eq!(answer(&mut waits).unwrap(), "HTTP/1.1 200", "and has its turn");
    drop(live);
    until("a place is free again", || follow().1 == "HTTP/1.1 200");
}

/// Whether the kernel still has the server's end of this connection.
fn is_open(client: &TcpStream) -> bool {
    let ports = (client.peer_addr().unwrap().port(), client.local_addr().unwrap().port());
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let port = |field: &str| {
        field.rsplit_once(':').and_then(|(_, port)| u16::from_str_radix(port, 16).ok())
    };
    table.lines().skip(1).any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_established = fields[3] == "01";
        is_established && (port(fields[1]), port(fields[2])) == (Some(ports.0), Some(ports.1))
    })
}

#[test]
fn who_asks_and_does_not_read_loses_its_place() {
    let face = Face::new(status());
    let mut greedy = TcpStream::connect(face.address).unwrap();
    greedy.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let request = "GET /assets/htmx-sse-4.0.1.min.js HTTP/1.1\r\nHost: localhost\r\n\r\n";
    // More than the kernel keeps for both of them; then the server stops to take requests too.
    let many = request.repeat(4000);
    let _ = greedy.write_all(many.as_bytes());
    assert!(is_open(&greedy));
    let begin = sys::clock::now();
    while is_open(&greedy) {
        assert!(sys::clock::now().since(begin) < Duration::from_secs(60), "it keeps its place");
        std::thread::sleep(Duration::from_millis(100));
    }
}
