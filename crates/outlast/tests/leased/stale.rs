//! Connections of an address that is on another node now.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use super::*;

/// It asks once; a second time comes after a second.
const AT_ONCE: Duration = Duration::from_millis(800);

fn moves(stage: &Stage, from: usize, to: usize) {
    let name = stage.cluster.name(to);
    let mut said = String::new();
    until("it is there", || {
        if stage.holder() == Some(from) {
            said = stage.types(from, &["move", "vip/internal", name]);
        }
        stage.holder() == Some(to)
    });
    eprintln!("{said}");
}

/// From a node that does not hold it.
fn connect(stage: &Stage, node: usize, to: SocketAddr, from: Option<SocketAddr>) -> TcpStream {
    let socket = stage.cluster.within(node, || sys::socket::connect_tcp_from(to, from));
    let stream = TcpStream::from(socket.expect("it is on").expect("it is on its way"));
    stream.set_nonblocking(false).expect("a socket");
    stream
}

#[test]
fn what_an_address_left_unanswered_here_ends_and_its_client_is_let_in_when_it_is_back() {
    let name =
        "stale::what_an_address_left_unanswered_here_ends_and_its_client_is_let_in_when_it_is_back";
    contained(name, || {
        let Some(stage) = Stage::new(name) else { return };
        let first = stage.holds();
        let (second, client) = ((first + 1) % NODES, (first + 2) % NODES);
        let listener = stage.cluster.within(first, || TcpListener::bind("0.0.0.0:0"));
        let listener = listener.expect("it is on").expect("a free port");
        let port = listener.local_addr().expect("it has one").port();
        let vip = SocketAddr::from((VIP, port));
        let accept = || listener.accept().expect("somebody comes").0;
        let mut asks = connect(&stage, client, vip, None);
        let mut answers = accept();
        asks.write_all(b"?").expect("it is connected");
        let mut byte = [0];
        answers.read_exact(&mut byte).expect("it was asked");
        let idle = connect(&stage, client, vip, None);
        let mut unused = accept();

        moves(&stage, first, second);
        answers.write_all(b"!").expect("the kernel keeps it");
        answers.set_nonblocking(true).expect("a socket");
        until("what has no way out ends", || {
            answers.read(&mut byte).is_err_and(|error| error.kind() != ErrorKind::WouldBlock)
        });
        unused.set_nonblocking(true).expect("a socket");
        let kept = unused.read(&mut byte).expect_err("nobody said anything");
        assert_eq!(kept.kind(), ErrorKind::WouldBlock, "one that is idle stays");

        let from = asks.local_addr().expect("it has one");
        drop((asks, idle));
        moves(&stage, second, first);
        let since = sys::clock::now();
        let again = connect(&stage, client, vip, Some(from));
        accept();
        assert!(sys::clock::now().since(since) < AT_ONCE, "the same port is let in at once");
        drop(again);
        stage.never_two();
    });
}
