//! The dashboard's real server and its real keeper, asked by nodes with the certificates that they have.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use sys::channel::Channel;
use trust::{Folder, Founding, Joining, Mutual};

use crate::files::Texts;

/// A folder of the test; gone at the end.
struct Home(PathBuf);

impl Home {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("outlast-keeper-{}-{number}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn folder(&self, node: &str) -> Folder {
        Folder::new(&self.0.join(node), None)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Founds a cluster with a controller `a`, and lets a compute node `b` in.
fn cluster(home: &Home) {
    let (first, now_ms) = (home.folder("a"), sys::clock::wall_ms());
    std::fs::create_dir_all(&home.0).unwrap();
    let address = Some(Ipv4Addr::LOCALHOST.into());
    let founding = Founding { cluster: "c".to_owned(), node: "a".to_owned(), address };
    first.init(&founding, now_ms).unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let at = listener.local_addr().unwrap();
    let token = first.create_token((trust::Role::Compute, None), at, 600_000, now_ms).unwrap();
    let desk = thread::spawn(move || {
        let (stream, from) = listener.accept().unwrap();
        trust::answer_one(&first, stream, from.ip(), now_ms).unwrap()
    });
    let joining = Joining { token, node: "b".to_owned(), address: None, expected: None };
    trust::join(&home.folder("b"), &joining, now_ms).unwrap();
    desk.join().unwrap();
}

/// The dashboard of `a` as it runs: over TLS, and on loopback; and the supervisor's end of its channel.
fn dashboard(home: &Home) -> ([SocketAddr; 2], Channel) {
    let text = "[cluster]\nname = \"c\"\ntrust_dir = \"a\"\n[node.a]\nnetworks = { m = \"10.0.0.1\" }\n\
                [dashboard]\nlisten = \"m:7412\"\n";
    let path = home.0.join("outlast.toml").display().to_string();
    let texts =
        Texts { cluster: Some(config::Source { path, text: text.to_owned() }), ..Texts::default() };
    let (ours, theirs) = Channel::pair().unwrap();
    thread::spawn(move || super::run(&theirs, &texts).unwrap());
    // All addresses, which is not loopback.
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let loopback = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let addresses = [(Ipv4Addr::LOCALHOST, port).into(), loopback.local_addr().unwrap()];
    let setup = services::Setup {
        node: "a".to_owned(),
        control: home.0.join("control.sock"),
        stats: home.0.join("stats.sock"),
        listeners: vec![listener, loopback],
        token: None,
        keeper: Some(ours),
        is_for_all: true,
        generation: 1,
    };
    let (supervisor, services) = Channel::pair().unwrap();
    thread::spawn(move || services::run(setup, services).unwrap());
    (addresses, supervisor)
}

/// A connection with the certificate of a node.
struct Visitor(rustls::StreamOwned<rustls::ClientConnection, TcpStream>);

impl Visitor {
    fn of(folder: Folder, to: SocketAddr) -> Self {
        let config = Mutual::new(folder).client().unwrap();
        let name = Mutual::name_of("a").unwrap();
        let connection = rustls::ClientConnection::new(Arc::clone(&config), name).unwrap();
        Self(rustls::StreamOwned::new(connection, TcpStream::connect(to).unwrap()))
    }

    /// Says nothing after the handshake.
    fn idle(folder: Folder, to: SocketAddr) -> Self {
        let mut visitor = Self::of(folder, to);
        visitor.0.conn.complete_io(&mut visitor.0.sock).unwrap();
        visitor
    }

    /// The status of the answer; the connection stays.
    fn asks(&mut self, path: &Path) -> String {
        let ask = format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", path.display());
        self.0.write_all(ask.as_bytes()).unwrap();
        let (mut said, mut byte) = (vec![], [0]);
        while !said.ends_with(b"\r\n\r\n") {
            self.0.read_exact(&mut byte).unwrap();
            said.push(byte[0]);
        }
        let head = String::from_utf8(said).unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        self.0.read_exact(&mut vec![0; length.parse().unwrap()]).unwrap();
        head.split(' ').nth(1).unwrap().to_owned()
    }
}

#[test]
fn who_shows_a_certificate_of_the_cluster_sees_what_the_roster_says_until_it_is_put_out() {
    let home = Home::new();
    cluster(&home);
    let ([address, _], _supervisor) = dashboard(&home);
    let [pages, metrics] = ["/", "/metrics"].map(Path::new);
    let mut controller = Visitor::of(home.folder("a"), address);
    assert_eq!(controller.asks(metrics), "200");
    // The agent is not there, and the page says so.
    assert_eq!(controller.asks(pages), "200");
    let mut compute = Visitor::of(home.folder("b"), address);
    assert_eq!((compute.asks(metrics), compute.asks(pages)), ("200".to_owned(), "403".to_owned()));
    home.folder("a").revoke("b").unwrap();
    assert_eq!(compute.asks(metrics), "403", "on a connection that is open");
    let mut again = Visitor::of(home.folder("b"), address);
    assert_eq!(again.asks(metrics), "403");
    assert_eq!(controller.asks(metrics), "200");
}

/// Whether the other side has not ended it.
fn stands(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let waits = |error: &std::io::Error| error.kind() == std::io::ErrorKind::WouldBlock;
    stream.peek(&mut [0]).is_err_and(|error| waits(&error))
}

#[test]
fn idle_connections_over_tls_leave_half_of_the_places_to_loopback() {
    /// Of 64 places, those that TLS may take (`services::gate::HANDSHAKES`).
    const HALF: usize = 32;
    let home = Home::new();
    cluster(&home);
    let ([address, loopback], _supervisor) = dashboard(&home);
    // They have shown who they are, and say no more; as many again wait for a place, and would take any.
    let idle: Vec<_> = (0..HALF).map(|_| Visitor::idle(home.folder("a"), address)).collect();
    let more: Vec<_> = (0..2 * HALF).map(|_| TcpStream::connect(address).unwrap()).collect();
    // On loopback all places but one of the other half are taken by such as say nothing; the last is free.
    let local: Vec<_> = (0..HALF - 1).map(|_| TcpStream::connect(loopback).unwrap()).collect();
    let mut last = TcpStream::connect(loopback).unwrap();
    let ask = format!("GET /metrics HTTP/1.1\r\nHost: {loopback}\r\nConnection: close\r\n\r\n");
    last.write_all(ask.as_bytes()).unwrap();
    let mut answer = String::new();
    last.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // None of them was given up before that to make room.
    assert!(idle.iter().all(|visitor| stands(&visitor.0.sock)), "they are still there");
    assert!(more.iter().chain(&local).all(stands), "and so are these");
}
