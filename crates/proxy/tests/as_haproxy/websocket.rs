//! Conversations that leave HTTP (`101 Switching Protocols`) through both programs: what each end
//! sees, and the log lines.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};

use crate::bench::{Bench, PATIENCE};
use crate::sessions::masked;

/// Silence of one side ends HTTP after 700 ms, a tunnel after 1500 ms.
const FILE: &str = "
global
 log 127.0.0.1:{log} local1
 nbthread 1
 stats socket {folder}/stats level admin
defaults
 log global
 mode http
 option httplog
 option forwardfor
 retries 0
 timeout connect 5s
 timeout client 700ms
 timeout server 700ms
 timeout tunnel 1500ms
listen console
 bind 127.0.0.1:{console}
 server node01 127.0.0.1:{server}
listen closing
 option http-server-close
 bind 127.0.0.1:{closing}
 server node01 127.0.0.1:{server}
listen leaving
 option abortonclose
 bind 127.0.0.1:{leaving}
 server node01 127.0.0.1:{server}
";

const HANDSHAKE: &str = "GET /console?token=1 HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// One end of the conversation. The server's begins with its first connection.
struct End<'a> {
    name: &'static str,
    stream: Option<TcpStream>,
    accepted: Option<&'a Receiver<TcpStream>>,
    said: Vec<String>,
}

impl<'a> End<'a> {
    fn client(to: SocketAddr) -> Self {
        let stream = Some(ready(TcpStream::connect(to).unwrap()));
        Self { name: "client", stream, accepted: None, said: Vec::new() }
    }

    fn server(accepted: &'a Receiver<TcpStream>) -> Self {
        Self { name: "server", stream: None, accepted: Some(accepted), said: Vec::new() }
    }

    /// A new request may come on a new connection.
    fn stream(&mut self) -> &mut TcpStream {
        if let (None, Some(accepted)) = (&self.stream, self.accepted) {
            self.stream = Some(ready(accepted.recv_timeout(PATIENCE).unwrap()));
        }
        self.stream.as_mut().unwrap()
    }

    /// What cannot be said is no failure here: the other end will not hear it.
    fn say(&mut self, text: &str) {
        drop(self.stream().write_all(text.as_bytes()));
    }

    /// What comes next comes on another connection.
    fn anew(&mut self) {
        self.stream = None;
    }

    fn shut(&mut self) {
        drop(self.stream().shutdown(Shutdown::Write));
    }

    /// Reads as many bytes as `text` has, or what there is until the end.
    fn hear(&mut self, text: &str) {
        let mut heard = Vec::new();
        let most = u64::try_from(text.len()).unwrap();
        let error = self.stream().take(most).read_to_end(&mut heard).err().map(|e| e.kind());
        let heard = String::from_utf8_lossy(&heard).into_owned();
        self.said.push(format!("{}: {heard} {error:?}", self.name));
    }

    fn hear_head(&mut self) {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            if self.stream().read_exact(&mut byte).is_err() {
                break;
            }
            head.push(byte[0]);
        }
        let text = String::from_utf8_lossy(&head).to_lowercase();
        let mut lines: Vec<&str> = text.trim_end().lines().collect();
        lines.sort_unstable();
        self.said.push(format!("{}: {}", self.name, lines.join(" | ")));
    }

    /// Nothing more comes: the other side ended its half, or all of it. haproxy resets the server's
    /// connection when it gives a conversation up, we close it: to the server both are the end.
    fn hear_end(&mut self) {
        let mut rest = Vec::new();
        let late = self.stream().read_to_end(&mut rest).err().map(|error| error.kind());
        let late = late.filter(|kind| *kind != ErrorKind::ConnectionReset);
        self.said.push(format!(
            "{}: {:?}, end {late:?}",
            self.name,
            String::from_utf8_lossy(&rest)
        ));
    }
}

fn ready(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

type Talk = for<'a> fn(client: &mut End<'a>, server: &mut End<'a>);

/// What is shown, how many log lines it leaves, and both ends in one thread: what happens is in the
/// order of the lines.
const TALKS: [(&str, usize, Talk); 7] = [
    ("bytes behind both heads, and an echo", 1, |client, server| {
        client.say(&format!("{HANDSHAKE}early"));
        server.hear_head();
        server.say(&format!("{SWITCHED}first frame"));
        client.hear_head();
        client.hear("first frame");
        server.hear("early");
        for text in ["a", "bb", "ccc"] {
            client.say(text);
            server.hear(text);
            server.say(text);
            client.hear(text);
        }
        client.shut();
        server.hear_end();
        server.shut();
        client.hear_end();
    }),
    ("megabytes both ways", 1, |client, server| {
        client.say(HANDSHAKE);
        server.hear_head();
        server.say(SWITCHED);
        client.hear_head();
        let text = "0123456789abcdef".repeat(128 * 1024);
        for (from, to) in [(0, 1), (1, 0)] {
            let ends = [&mut *client, &mut *server];
            let mut writer = ends[from].stream().try_clone().unwrap();
            let bytes = text.clone();
            let written = std::thread::spawn(move || writer.write_all(bytes.as_bytes()));
            let mut heard = vec![0; text.len()];
            ends[to].stream().read_exact(&mut heard).unwrap();
            written.join().unwrap().unwrap();
            assert!(heard == text.as_bytes(), "bytes changed on their way");
        }
        server.shut();
        client.hear_end();
        client.shut();
        server.hear_end();
    }),
    ("the client ends its half first and still hears", 1, |client, server| {
        client.say(HANDSHAKE);
        server.hear_head();
        server.say(SWITCHED);
        client.hear_head();
        client.say("last");
        client.shut();
        server.hear("last");
        server.hear_end();
        server.say("late");
        client.hear("late");
        server.shut();
        client.hear_end();
    }),
    ("longer silent than HTTP may be", 1, |client, server| {
        client.say(HANDSHAKE);
        server.hear_head();
        server.say(SWITCHED);
        client.hear_head();
        std::thread::sleep(std::time::Duration::from_millis(1000));
        client.say("still here");
        server.hear("still here");
        client.shut();
        server.hear_end();
        server.shut();
        client.hear_end();
    }),
    ("silent for too long", 1, |client, server| {
        client.say(HANDSHAKE);
        server.hear_head();
        server.say(SWITCHED);
        client.hear_head();
        client.hear_end();
        server.hear_end();
    }),
    ("refused: it stays HTTP", 2, |client, server| {
        client.say(HANDSHAKE);
        server.hear_head();
        server.say("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
        client.hear_head();
        client.hear("no");
        client.say("GET /again HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        server.hear_head();
        server.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
        client.hear_head();
        client.hear("ok");
        client.hear_end();
    }),
    ("nobody asked for another protocol", 1, |client, server| {
        client.say("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        server.hear_head();
        server.say(SWITCHED);
        client.hear_head();
        client.hear_end();
    }),
];

/// `option http-server-close`: every request has a connection of its own to the server, an upgrade
/// none that ends.
const CLOSING: [(&str, usize, Talk); 2] = [
    ("the client stays, the server's connection does not", 2, |client, server| {
        for path in ["/one", "/two"] {
            client.say(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
            server.hear_head();
            server.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            client.hear_head();
            client.hear("ok");
            server.hear_end();
            server.anew();
        }
        client.shut();
        client.hear_end();
    }),
    TALKS[0],
];

/// `option abortonclose`: who ends his half does not want the answer.
const LEAVING: [(&str, usize, Talk); 3] = [
    ("before the answer", 1, |client, server| {
        client.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        server.hear_head();
        client.shut();
        client.hear_end();
        server.hear_end();
    }),
    ("during the answer", 1, |client, server| {
        client.say("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        server.hear_head();
        server.say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nto");
        client.hear_head();
        client.hear("to");
        client.shut();
        server.say("ld");
        client.hear("ld");
        client.hear_end();
    }),
    TALKS[2],
];

/// What both ends heard, and the log lines without moments, durations, ports and sizes.
fn conversation(
    bench: &Bench,
    to: &str,
    accepted: &Receiver<TcpStream>,
    (_, lines, talk): (&str, usize, Talk),
) -> String {
    let (mut client, mut server) = (End::client(bench.at(to)), End::server(accepted));
    talk(&mut client, &mut server);
    let mut said = std::mem::take(&mut client.said);
    said.append(&mut server.said);
    drop((client, server));
    let line = || bench.line().map_or_else(|| "no line".to_owned(), |line| masked(&line));
    said.extend((0..lines).map(|_| line()));
    said.join("\n  ")
}

/// Connections to a server, as they come.
fn server() -> (u16, Receiver<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = listener.local_addr().unwrap().port();
    let (sender, accepted) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            if sender.send(stream).is_err() {
                return;
            }
        }
    });
    (server, accepted)
}

const PROXIES: [&str; 3] = ["console", "closing", "leaving"];

fn check(test: &str, to: &str, talks: &[(&str, usize, Talk)]) {
    let (server, accepted) = server();
    let Some((ours, theirs)) = Bench::pair(test, FILE, &PROXIES, &[("server", server)]) else {
        return;
    };
    let mut differences = Vec::new();
    for talk in talks {
        let our = conversation(&ours, to, &accepted, *talk);
        let their = conversation(&theirs, to, &accepted, *talk);
        if our != their {
            differences.push(format!("{}\nours\n  {our}\ntheirs\n  {their}\n", talk.0));
        }
    }
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
}

#[test]
fn a_websocket_is_passed_on_as_by_the_real_haproxy() {
    check("proxy::a_websocket_is_passed_on_as_by_the_real_haproxy", "console", &TALKS);
}

#[test]
fn http_server_close_is_that_of_the_real_haproxy() {
    check("proxy::http_server_close_is_that_of_the_real_haproxy", "closing", &CLOSING);
}

#[test]
fn abortonclose_is_that_of_the_real_haproxy() {
    check("proxy::abortonclose_is_that_of_the_real_haproxy", "leaving", &LEAVING);
}

/// Where haproxy ends both halves, we pass one on: what the client still says arrives.
#[test]
fn a_server_that_ends_its_half_first_hears_the_rest() {
    let (server, accepted) = server();
    let test = "proxy::a_server_that_ends_its_half_first_hears_the_rest";
    let Some((ours, _theirs)) = Bench::pair(test, FILE, &PROXIES, &[("server", server)]) else {
        return;
    };
    let talk: Talk = |client, server| {
        client.say(HANDSHAKE);
        server.hear_head();
        server.say(&format!("{SWITCHED}bye"));
        client.hear_head();
        server.shut();
        client.hear("bye");
        client.hear_end();
        client.say("late");
        server.hear("late");
        client.shut();
        server.hear_end();
    };
    let said = conversation(&ours, "console", &accepted, ("", 1, talk));
    for heard in ["client: bye None", "server: late None", "server: \"\", end None", " 101 "] {
        assert!(said.contains(heard), "{heard} in {said}");
    }
}
