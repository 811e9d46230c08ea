//! Requests and sessions.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

use crate::bench::{Bench, PATIENCE, Reserved};

const FILE: &str = "
global
 log 127.0.0.1:{log} local1
 nbthread 1
 stats socket {folder}/stats level admin
defaults
 log global
 mode http
 retries 0
 timeout connect 2s
 timeout client 2s
 timeout server 2s
 timeout http-request 300ms
listen api
 option httplog
 bind 127.0.0.1:{api}
 server node01 127.0.0.1:{server}
listen impatient
 option httplog
 timeout server 200ms
 bind 127.0.0.1:{impatient}
 server node01 127.0.0.1:{server}
listen nobody
 option httplog
 bind 127.0.0.1:{nobody}
listen refused
 option httplog
 bind 127.0.0.1:{refused}
 server node01 127.0.0.1:{closed}
listen again
 option httplog
 option redispatch
 retries 2
 bind 127.0.0.1:{again}
 server node01 127.0.0.1:{closed}
 server node02 127.0.0.1:{server}
listen plain
 bind 127.0.0.1:{plain}
 server node01 127.0.0.1:{server}
listen db
 mode tcp
 option tcplog
 bind 127.0.0.1:{db}
 server node01 127.0.0.1:{server}
listen db_refused
 mode tcp
 option tcplog
 bind 127.0.0.1:{db_refused}
 server node01 127.0.0.1:{closed}
";

const PROXIES: [&str; 8] =
    ["api", "impatient", "nobody", "refused", "again", "plain", "db", "db_refused"];

/// Where to, what is sent, how the client ends, and how many lines that gives.
struct Case {
    to: &'static str,
    send: &'static [u8],
    end: End,
    lines: usize,
}

#[derive(Clone, Copy)]
enum End {
    /// Closes when the answer is whole: the server says so by closing or a known end.
    AfterAnswer,
    /// Closes its sending side at once, then waits for the end.
    HalfClose,
    /// Waits until the proxy closes.
    Wait,
}

const fn case(to: &'static str, send: &'static [u8], end: End) -> Case {
    Case { to, send, end, lines: 1 }
}

const CASES: [Case; 22] = [
    case("api", b"GET /plain HTTP/1.1\r\nHost: a\r\n\r\n", End::AfterAnswer),
    case("api", b"GET /plain HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", End::Wait),
    case("api", b"GET /plain HTTP/1.0\r\n\r\n", End::Wait),
    case("api", b"HEAD /plain HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", End::Wait),
    case(
        "api",
        b"POST /a\"b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
        End::Wait,
    ),
    Case {
        lines: 2,
        ..case(
            "api",
            b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            End::Wait,
        )
    },
    case("api", b"NONSENSE\r\n\r\n", End::Wait),
    case("api", b"GET /slow HTTP/1.1\r\nHost:", End::Wait),
    case("api", b"GET /shut HTTP/1.1\r\nHost: a\r\n\r\n", End::Wait),
    case("api", b"GET /garbage HTTP/1.1\r\nHost: a\r\n\r\n", End::Wait),
    case("api", b"GET /cut HTTP/1.1\r\nHost: a\r\n\r\n", End::Wait),
    case("impatient", b"GET /silence HTTP/1.1\r\nHost: a\r\n\r\n", End::Wait),
    case("nobody", b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", End::Wait),
    case("refused", b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", End::Wait),
    case("again", b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", End::Wait),
    case("api", b"", End::HalfClose),
    case("api", b"GET /x HT", End::HalfClose),
    case("api", b"GET /plain HTTP/1.1\r\nHost: a\r\n\r\n", End::HalfClose),
    case("db", b"GET /plain HTTP/1.1\r\n\r\n", End::HalfClose),
    case("plain", b"GET /plain HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", End::Wait),
    case("db", b"GET /bye HTTP/1.1\r\n\r\n", End::Wait),
    case("db_refused", b"hello", End::Wait),
];

/// A server that does what the path says, once per connection or for as long as it is asked.
fn serve(listener: TcpListener) {
    for mut stream in listener.incoming().flatten() {
        std::thread::spawn(move || {
            let mut seen = Vec::new();
            let mut buffer = [0; 4096];
            while let Ok(count) = stream.read(&mut buffer) {
                if count == 0 {
                    return;
                }
                seen.extend_from_slice(&buffer[..count]);
                while let Some(end) = seen.windows(4).position(|w| w == b"\r\n\r\n") {
                    let head: Vec<u8> = seen.drain(..end + 4).collect();
                    let head = String::from_utf8_lossy(&head).into_owned();
                    if head.starts_with("POST") {
                        while seen.len() < 5 {
                            let Ok(count) = stream.read(&mut buffer) else { return };
                            seen.extend_from_slice(&buffer[..count]);
                        }
                        seen.drain(..5);
                    }
                    if answer(&mut stream, &head).is_none() {
                        return;
                    }
                }
            }
        });
    }
}

fn answer(stream: &mut TcpStream, head: &str) -> Option<()> {
    let path = head.split(' ').nth(1)?;
    let say = |stream: &mut TcpStream, text: &str| stream.write_all(text.as_bytes()).ok();
    match path {
        "/shut" => None,
        "/bye" => {
            say(stream, "bye")?;
            None
        }
        "/garbage" => {
            say(stream, "this is not HTTP\r\n\r\n")?;
            None
        }
        "/cut" => {
            say(stream, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")?;
            None
        }
        // Until the proxy has had enough.
        "/silence" => {
            drop(stream.read(&mut [0; 16]));
            None
        }
        _ if head.starts_with("HEAD") => {
            say(stream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
        }
        _ => say(stream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    }
}

/// The lines of one case, masked.
fn run(bench: &Bench, case: &Case) -> Vec<String> {
    let mut stream = TcpStream::connect(bench.at(case.to)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(case.send).unwrap();
    match case.end {
        End::HalfClose => {
            stream.shutdown(Shutdown::Write).unwrap();
            drop(stream.read_to_end(&mut Vec::new()));
        }
        End::AfterAnswer => {
            let mut seen = Vec::new();
            let mut buffer = [0; 1024];
            while !seen.ends_with(b"ok") {
                let count = stream.read(&mut buffer).unwrap();
                assert!(count > 0, "closed after {:?}", String::from_utf8_lossy(&seen));
                seen.extend_from_slice(&buffer[..count]);
            }
        }
        End::Wait => drop(stream.read_to_end(&mut Vec::new())),
    }
    drop(stream);
    let line = || bench.line().map_or_else(|| "no line".to_owned(), |line| masked(&line));
    (0..case.lines).map(|_| line()).collect()
}

/// Hides moments, durations, ports and the process. `-1` stays: it says how far a session got.
pub(crate) fn masked(line: &str) -> String {
    let (header, text) = line.split_once("]: ").unwrap();
    let priority = header.split('>').next().unwrap();
    let mut words: Vec<String> = text.trim_end().split(' ').map(str::to_owned).collect();
    let durations = |word: &str| {
        let parts = word.split('/').map(|part| if part == "-1" { "-1" } else { "T" });
        parts.collect::<Vec<_>>().join("/")
    };
    if words[0] == "Connect" {
        (words[2], words[4]) = ("CLIENT".to_owned(), "SERVER".to_owned());
    } else {
        words[0] = "CLIENT".to_owned();
        words[1] = "[DATE]".to_owned();
        words[4] = durations(&words[4]);
        // Of HTTP, haproxy counts its own representation of messages and nothing for 400 and 408;
        // we count the bytes that the client got.
        if text.contains('"') {
            words[6] = "BYTES".to_owned();
        }
    }
    format!("{priority}>{}", words.join(" "))
}

#[test]
fn log_lines_are_those_of_the_real_haproxy() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = listener.local_addr().unwrap().port();
    std::thread::spawn(move || serve(listener));
    let test = "proxy::log_lines_are_those_of_the_real_haproxy";
    let closed = Reserved::new();
    let more = [("server", server), ("closed", closed.port)];
    let Some((ours, theirs)) = Bench::pair(test, FILE, &PROXIES, &more) else { return };
    let mut differences = Vec::new();
    for case in &CASES {
        let (our, their) = (run(&ours, case), run(&theirs, case));
        if our != their {
            differences.push(format!("ours   {our:?}\ntheirs {their:?}\n"));
        }
    }
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
}
