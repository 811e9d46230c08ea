//! The same file, the same bytes from client and server: Debian's haproxy and ours must agree.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::rig::{Client, Rig, Server, eventually, script, strict};

const PROGRAM: &str = "/usr/sbin/haproxy";

/// Where ours differs on purpose, and so is not compared: requests with both framings, unknown
/// versions, NUL, folded lines or a coded HTTP/1.0 body are a 400 here, because what stands behind
/// us may read them otherwise (RFC 9112 11.2); haproxy 2.6 repairs them.
const TIMES: &str = "defaults\n mode http\n timeout client 5s\n timeout server 300ms\n\
    timeout connect 300ms\n timeout queue 300ms\n timeout http-request 150ms\n retries 1\n";

/// Connections that would stay are closed after an answer, so that nobody waits for long.
const SHORT: &str = " timeout http-keep-alive 30ms\n";

struct Haproxy {
    process: Child,
    folder: PathBuf,
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

fn skip(test: &str, reason: &str) {
    let line = format!("SKIP proxy::same_bytes::{test}: {reason}\n");
    drop(std::io::stderr().write_all(line.as_bytes()));
    if let Some(path) = std::env::var_os("OUTLAST_SKIPS") {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
        drop(file.and_then(|mut file| file.write_all(line.as_bytes())));
    }
}

/// haproxy on a port that was free a moment ago; if somebody was faster, on another one.
fn haproxy(test: &str, text: &str) -> Option<(Haproxy, SocketAddr)> {
    if !Path::new(PROGRAM).exists() {
        skip(test, &format!("there is no {PROGRAM}"));
        return None;
    }
    let folder = std::env::temp_dir().join(format!("outlast-{}-{test}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for _ in 0..5 {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let file = folder.join("haproxy.cfg");
        std::fs::write(&file, text.replace("127.0.0.1:1\n", &format!("{address}\n"))).unwrap();
        let process = Command::new(PROGRAM)
            .args(["-db", "-f"])
            .arg(file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut haproxy = Haproxy { process, folder: folder.clone() };
        let mut over = false;
        eventually("haproxy listens or ends", || {
            over = haproxy.process.try_wait().unwrap().is_some();
            over || std::net::TcpStream::connect(address).is_ok()
        });
        if !over {
            return Some((haproxy, address));
        }
    }
    panic!("haproxy did not start");
}

/// Sends all pieces, each after the answer to the one before began, and reads to the end.
fn ask(address: SocketAddr, pieces: &[&str]) -> String {
    let mut client = Client::connect(address);
    let mut heard = String::new();
    for (number, piece) in pieces.iter().enumerate() {
        client.send(piece);
        if number + 1 < pieces.len() {
            heard.push_str(&client.read_some(1));
        }
    }
    heard.push_str(&client.read_text());
    heard
}

/// Asks both the same, in turn, and compares what clients and servers see.
fn compare(test: &str, text: &str, server: &Server, scenes: &[Vec<String>]) {
    let Some((_process, theirs)) = haproxy(test, text) else { return };
    let rig: Rig = strict(text);
    let ours = rig.address("web");
    for scene in scenes {
        let pieces: Vec<&str> = scene.iter().map(String::as_str).collect();
        let before = server.diary().len();
        let expected = ask(theirs, &pieces);
        let expected_diary = server.diary().split_off(before);
        let before = server.diary().len();
        let got = ask(ours, &pieces);
        assert_eq!(got, expected, "to {pieces:?}");
        assert_eq!(server.diary().split_off(before), expected_diary, "behind {pieces:?}");
    }
}

fn one(text: &str) -> Vec<String> {
    vec![text.to_owned()]
}

#[test]
fn pages_of_our_own_are_the_same() {
    let text = format!("{TIMES}\nlisten web\n bind 127.0.0.1:1\n monitor-uri /alive\n");
    let requests = [
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
        "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        "GET /alive HTTP/1.1\r\n\r\n",
        "HEAD /alive HTTP/1.0\r\n\r\n",
        "GET /",
        "",
        "NONSENSE\r\n\r\n",
    ];
    let scenes: Vec<_> = requests.map(one).into();
    compare("pages_of_our_own_are_the_same", &text, &Server::scripted(), &scenes);
}

#[test]
fn refusals_by_rule_are_the_same() {
    for status in ["", " deny_status 429", " deny_status 404", " deny_status 503"] {
        let text = format!(
            "{TIMES}\nlisten web\n bind 127.0.0.1:1\n http-request deny{status}\n server a 127.0.0.1:9\n"
        );
        let scenes = [one("GET / HTTP/1.1\r\n\r\n"), one("HEAD / HTTP/1.0\r\n\r\n")];
        compare("refusals_by_rule_are_the_same", &text, &Server::scripted(), &scenes);
    }
}

#[test]
fn answers_that_a_rule_refuses_are_the_same() {
    let server = Server::scripted();
    for rule in ["deny", "deny deny_status 503", "deny unless { ssl_fc }", "deny if { ssl_fc }"] {
        let text = format!(
            "{TIMES}{SHORT}\nlisten web\n bind 127.0.0.1:1\n http-response {rule}\n server a {}\n",
            server.address
        );
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
        let scenes = [asking(answer, true, "1.1", ""), asking(answer, false, "1.0", "")];
        compare("answers_that_a_rule_refuses_are_the_same", &text, &server, &scenes);
    }
}

#[test]
fn failures_of_servers_look_the_same() {
    let silent = Server::start(|guest| {
        guest.client.read_text();
    });
    let dead = Server::named("dead");
    dead.kill();
    for server in [&silent, &dead] {
        let text =
            format!("{TIMES}\nlisten web\n bind 127.0.0.1:1\n server a {}\n", server.address);
        let scenes = [
            one("GET / HTTP/1.1\r\n\r\n"),
            one("HEAD / HTTP/1.1\r\n\r\n"),
            one("GET / HTTP/1.0\r\n\r\n"),
        ];
        compare("failures_of_servers_look_the_same", &text, server, &scenes);
    }
}

fn asking(answer: &str, keep: bool, version: &str, more: &str) -> Vec<String> {
    vec![format!("GET {} HTTP/{version}\r\nHost: x\r\n{more}\r\n", script(keep, answer))]
}

#[test]
fn answers_pass_in_the_same_form() {
    let server = Server::scripted();
    let text =
        format!("{TIMES}{SHORT}\nlisten web\n bind 127.0.0.1:1\n server a {}\n", server.address);
    let ok = "HTTP/1.1 200 OK\r\n";
    let mut scenes = Vec::new();
    for (keep, answer) in [
        (true, format!("{ok}Content-Length: 3\r\nX-Mixed: A\r\n\r\nabc")),
        (true, format!("{ok}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")),
        (true, format!("{ok}Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")),
        (false, format!("{ok}\r\nabc")),
        (false, "HTTP/1.0 200 OK\r\n\r\nabc".into()),
        (false, "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc".into()),
        (true, "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc".into()),
        (
            false,
            format!("{ok}Connection: close\r\nKeep-Alive: t=5\r\nContent-Length: 3\r\n\r\nabc"),
        ),
        (true, "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n".into()),
        (true, "HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n".into()),
        (true, "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n".into()),
        (true, format!("{ok}Content-Length: 3\r\n\r\nabcdef")),
        (true, "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 204 N\r\n\r\n".into()),
        (false, String::new()),
        (false, format!("{ok}Half")),
        (false, "no http\r\n\r\n".into()),
        (false, format!("{ok}Content-Length: 10\r\n\r\nabc")),
        (true, format!("{ok}Transfer-Encoding: gzip\r\n\r\nabc")),
        (true, format!("{ok}A : b\r\n\r\n")),
    ] {
        scenes.push(asking(&answer, keep, "1.1", ""));
        scenes.push(asking(&answer, keep, "1.0", ""));
        scenes.push(asking(&answer, keep, "1.0", "Connection: keep-alive\r\n"));
        scenes.push(asking(&answer, keep, "1.1", "Connection: close\r\n"));
    }
    compare("answers_pass_in_the_same_form", &text, &server, &scenes);
}

#[test]
fn requests_pass_in_the_same_form() {
    let server = Server::scripted();
    let text = format!(
        "{TIMES}{SHORT}\nlisten web\n bind 127.0.0.1:1\n option forwardfor\n\
         http-request set-header X-Proto https\n http-request del-header X-Gone\n\
         http-request add-header X-Add one\n http-response del-header Server\n\
         http-response set-header X-Resp yes\n server a {}\n",
        server.address
    );
    let answer = script(true, "HTTP/1.1 200 OK\r\nServer: s\r\nContent-Length: 2\r\n\r\nok");
    let heads = [
        "",
        "X-Gone: 1\r\nx-proto: http\r\nX-Forwarded-For: 9.9.9.9\r\nAccept:  a  \r\nEmpty:\r\n",
        "Connection: keep-alive\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nTE: trailers\r\n",
        "Connection: close, X-Other\r\nX-Other: 1\r\n",
        "Connection: upgrade, keep-alive\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        "Content-Length: 0\r\n",
        "Content-Length: 0, 0\r\n",
        "Host: x\r\n",
        "Host: y\r\n",
        "Nocolon\r\n",
        "Bad Name: 1\r\n",
        "Space : 1\r\n",
        "B(ad: 1\r\n",
        "A: b\rc\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 1\r\nContent-Length: 2\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket\r\n",
    ];
    let mut scenes: Vec<_> =
        heads.map(|head| one(&format!("GET {answer} HTTP/1.1\r\nHost: x\r\n{head}\r\n"))).into();
    for line in [
        format!("GET {answer} HTTP/1.0\r\n"),
        format!("get {answer} HTTP/1.1\r\n"),
        format!("GET  {answer} HTTP/1.1\r\n"),
        format!("GET {answer} b HTTP/1.1\r\n"),
        format!("GET {answer} HTTP/1.12\r\n"),
        format!("G@T {answer} HTTP/1.1\r\n"),
        format!("GET http://y{answer} HTTP/1.1\r\nHost: x\r\n"),
        format!("GET {answer}\u{80} HTTP/1.1\r\n"),
        format!("GET {answer}\r\n"),
        format!("\r\n\r\nGET {answer} HTTP/1.1\r\n"),
    ] {
        scenes.push(one(&format!("{line}\r\n")));
    }
    for count in [80, 94, 95, 96, 97, 98, 99, 100, 101] {
        let headers = "A: b\r\n".repeat(count);
        scenes.push(one(&format!("GET {answer} HTTP/1.1\r\n{headers}\r\n")));
    }
    compare("requests_pass_in_the_same_form", &text, &server, &scenes);
}

#[test]
fn bodies_pass_in_the_same_form() {
    let server = Server::scripted();
    let text = format!(
        "{TIMES}\nlisten web\n bind 127.0.0.1:1\n timeout http-keep-alive 150ms\n server a {}\n",
        server.address
    );
    let answer = script(true, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let post = format!("POST {answer} HTTP/1.1\r\nHost: x\r\n");
    let scenes = [
        one(&format!("{post}Content-Length: 5\r\n\r\nhello")),
        one(&format!("{post}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")),
        one(&format!("{post}Content-Length: 1\r\n\r\naGET {answer} HTTP/1.1\r\n\r\n")),
        vec![format!("{post}\r\n"), format!("{post}\r\n")],
    ];
    compare("bodies_pass_in_the_same_form", &text, &server, &scenes);
}

#[test]
fn closing_mode_is_the_same() {
    let server = Server::scripted();
    let text = format!(
        "{TIMES}\nlisten web\n bind 127.0.0.1:1\n option httpclose\n server a {}\n",
        server.address
    );
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let scenes = [
        asking(ok, true, "1.1", ""),
        asking(ok, true, "1.0", ""),
        asking(ok, true, "1.0", "Connection: keep-alive\r\n"),
        asking(ok, true, "1.1", "Connection: X-Foo\r\n"),
    ];
    compare("closing_mode_is_the_same", &text, &server, &scenes);
}
