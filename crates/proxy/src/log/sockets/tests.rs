use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;

use config::haproxy::LogTarget;

use super::*;
use crate::stats::example;

const LINE: &[u8] = b"<142>line\n";

fn sockets(to: LogTo) -> Arc<Sockets> {
    let mut proxies = example::three_proxies();
    let entry = LogTarget { to, ..example::log_to(SocketAddr::from(([127, 0, 0, 1], 1))) };
    proxies.iter_mut().for_each(|proxy| proxy.logs = vec![entry.clone()]);
    Sockets::open(&example::view(proxies, api::Mode::Strict)).unwrap()
}

/// Hands `count` lines over at once.
fn send(sockets: &Sockets, count: usize) {
    let lines = LINE.repeat(count);
    let ends: Vec<_> = (1..=count).map(|number| (number * LINE.len(), 0)).collect();
    sockets.send(&lines, &ends);
}

fn counts(sockets: &Sockets) -> (u64, u64) {
    let tally = &sockets.view.logs[0];
    (tally.taken(), tally.lost())
}

/// A port whose packets are refused: its socket hears somebody else only.
fn refusing() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect("127.0.0.1:9").unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

#[test]
fn every_line_that_is_refused_is_counted() {
    let (_kept, address) = refusing();
    let sockets = sockets(LogTo::Udp(address));
    for (lines, sum) in [(1, 1), (1, 2), (5, 7), (32, 39)] {
        send(&sockets, lines);
        sockets.listen();
        assert_eq!(counts(&sockets).1, sum);
    }
    let error = sockets.view.logs[0].error().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
}

#[test]
fn a_log_server_that_comes_back_gets_lines_again() {
    let (server, address) = refusing();
    let sockets = sockets(LogTo::Udp(address));
    send(&sockets, 3);
    sockets.listen();
    assert_eq!(counts(&sockets).1, 3);
    let ours = rustix::net::getsockname(&sockets.targets[0].socket).unwrap();
    server.connect(SocketAddr::try_from(ours).unwrap()).unwrap();
    send(&sockets, 4);
    server.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    for _ in 0..4 {
        let mut buffer = [0; 64];
        assert_eq!(server.recv(&mut buffer).unwrap(), LINE.len());
    }
    sockets.listen();
    assert_eq!(counts(&sockets).1, 3);
}

/// A path of its own for each test.
fn path(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("outlast-log-{name}-{}", std::process::id()));
    drop(std::fs::remove_file(&path));
    path
}

#[test]
fn lines_for_a_socket_that_is_not_there_are_counted() {
    let path = path("missing");
    let sockets = sockets(LogTo::Unix(path.clone()));
    send(&sockets, 3);
    assert_eq!(counts(&sockets), (0, 3));
    assert_eq!(sockets.view.logs[0].error().unwrap().kind(), io::ErrorKind::NotFound);
    let server = UnixDatagram::bind(&path).unwrap();
    send(&sockets, 2);
    assert_eq!(counts(&sockets), (2, 3));
    let mut buffer = [0; 64];
    assert_eq!(server.recv(&mut buffer).unwrap(), LINE.len());
    drop(std::fs::remove_file(&path));
}

#[test]
fn a_log_server_that_does_not_read_is_never_waited_for() {
    let path = path("full");
    let server = UnixDatagram::bind(&path).unwrap();
    let sockets = sockets(LogTo::Unix(path.clone()));
    let mut sent = 0;
    while counts(&sockets).1 < 100 {
        send(&sockets, 10);
        sent += 10;
        assert!(sent < 1_000_000, "the kernel takes everything");
    }
    let (taken, lost) = counts(&sockets);
    assert_eq!(taken + lost, sent);
    server.set_nonblocking(true).unwrap();
    let mut buffer = [0; 64];
    let read = std::iter::from_fn(|| server.recv(&mut buffer).ok()).count();
    assert_eq!(read as u64, taken);
    drop(std::fs::remove_file(&path));
}

#[test]
fn a_target_that_cannot_be_reached_is_left_alone_for_a_moment() {
    // Broadcasts need a right that this socket has not asked for: refused at once, everywhere.
    let sockets = sockets(LogTo::Udp("255.255.255.255:514".parse().unwrap()));
    send(&sockets, 2);
    let first = sockets.view.logs[0].error().map(|error| error.kind());
    assert_eq!(first, Some(io::ErrorKind::PermissionDenied));
    assert!(sockets.targets[0].rest_until.load(Relaxed) > 0);
    send(&sockets, 2);
    assert_eq!(counts(&sockets), (0, 4));
    assert_eq!(sockets.view.logs[0].error().map(|error| error.kind()), first);
}
