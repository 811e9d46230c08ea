//! What the log says about servers.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use crate::bench::{Bench, Reserved};

/// One bad server per proxy, so that the order of checks does not show in the numbers.
const FILE: &str = "
global
 log 127.0.0.1:{log} local1
 nbthread 1
 stats socket {folder}/stats level admin
defaults
 log global
 mode http
 timeout connect 2s
 timeout client 2s
 timeout server 2s
 timeout check 5s
 default-server inter 100ms rise 1 fall 1
listen connects
 bind 127.0.0.1:{connects}
 server good 127.0.0.1:{good} check
 server bad 127.0.0.1:{closed} check
listen asks
 bind 127.0.0.1:{asks}
 option httpchk GET /health
 server good 127.0.0.1:{good} check
 server bad 127.0.0.1:{sick} check backup
listen expects
 bind 127.0.0.1:{expects}
 option httpchk
 http-check send meth GET uri / ver HTTP/1.1 hdr Host a.b
 http-check expect status 201-299
 server bad 127.0.0.1:{good} check
listen garbage
 bind 127.0.0.1:{garbage}
 option httpchk
 server bad 127.0.0.1:{database} check
listen database
 bind 127.0.0.1:{db}
 mode tcp
 option mysql-check user haproxy post-41
 server good 127.0.0.1:{database} check
 server bad 127.0.0.1:{blocked} check backup
listen told
 bind 127.0.0.1:{told}
 option log-health-checks
 option mysql-check
 server bad 127.0.0.1:{blocked} check
 server good 127.0.0.1:{database} check
";

const PROXIES: [&str; 6] = ["connects", "asks", "expects", "garbage", "db", "told"];

/// A server that says `first` at once and `then` after bytes came.
fn server(first: &'static [u8], then: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || drop(converse(stream, first, then)));
        }
    });
    port
}

fn converse(mut stream: TcpStream, first: &[u8], then: &[u8]) -> std::io::Result<()> {
    stream.write_all(first)?;
    let mut buffer = [0; 1024];
    if stream.read(&mut buffer)? > 0 {
        stream.write_all(then)?;
    }
    // Until the probe closes.
    while stream.read(&mut buffer)? > 0 {}
    Ok(())
}

const GREETING: &[u8] = b"\x22\0\0\0\x0a5.5.5-10.11.19-MariaDB\0rest-of-it";
const WELCOME: &[u8] = b"\x07\0\0\x02\0\0\0\x02\0\0\0";
const BLOCKED: &[u8] = b"\x14\0\0\0\xff\x69\x04Host \"x\" is <b>.";

/// Hides how long checks took, and the process.
fn masked(line: &str) -> String {
    let (header, text) = line.split_once("]: ").unwrap();
    let text = match text.split_once("check duration: ") {
        Some((before, after)) => {
            let rest = after.trim_start_matches(|char: char| char.is_ascii_digit());
            format!("{before}check duration: N{rest}")
        }
        None => text.to_owned(),
    };
    format!("{}>{text}", header.split('>').next().unwrap())
}

/// Takes lines until `count` different ones came: the order of different proxies is chance.
fn lines(bench: &Bench, count: usize) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    while seen.len() < count {
        let Some(line) = bench.line() else { break };
        seen.insert(masked(&line));
    }
    seen
}

#[test]
fn lines_about_servers_are_those_of_the_real_haproxy() {
    let closed = Reserved::new();
    let more = [
        ("good", server(b"", b"HTTP/1.1 200 OK\r\n\r\n")),
        ("sick", server(b"", b"HTTP/1.1 503 Not \"well\" today\r\n\r\n")),
        ("database", server(GREETING, WELCOME)),
        ("blocked", server(BLOCKED, b"")),
        ("closed", closed.port),
    ];
    let test = "proxy::lines_about_servers_are_those_of_the_real_haproxy";
    let Some((ours, theirs)) = Bench::pair(test, FILE, &PROXIES, &more) else { return };
    let same = |count: usize| {
        let (our, their) = (lines(&ours, count), lines(&theirs, count));
        assert_eq!(our, their);
        assert_eq!(our.len(), count);
    };
    // connects, asks, database: a line each; expects, garbage: two; told: three.
    same(1 + 1 + 1 + 2 + 2 + 3);

    rustix::net::listen(&closed, 64).unwrap();
    same(1);

    let commands = [
        ("set server connects/bad state maint", 1),
        ("set server connects/good state drain", 2),
        ("set server connects/good state ready", 1),
        ("set server connects/bad state ready", 1),
        ("disable server asks/good", 2),
        ("enable server asks/good", 1),
        ("set server asks/bad state maint", 1),
        ("set server asks/bad state ready", 1),
    ];
    for (command, count) in commands {
        assert_eq!(ours.ask(command), theirs.ask(command), "{command}");
        let (our, their) = (lines(&ours, count), lines(&theirs, count));
        assert_eq!(our, their, "{command}");
    }
}
