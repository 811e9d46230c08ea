//! Connections whose other end is not reached any more.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};

use sys::netlink::Connections;

use super::cable::{Cable, inside, may_make_networks};

#[test]
fn what_waits_for_an_acknowledgement_ends_and_what_is_idle_stays() {
    if !may_make_networks("what_waits_for_an_acknowledgement_ends_and_what_is_idle_stays") {
        return;
    }
    let cable = Cable::new();
    // A socket of IPv6 that takes connections over IPv4 has them as its own.
    for bind in ["0.0.0.0:0", "[::]:0"] {
        let listener = inside(&cable.left, || TcpListener::bind(bind).unwrap());
        let port = listener.local_addr().unwrap().port();
        let to = SocketAddr::from((Cable::LEFT, port));
        let pair = || {
            let asks = inside(&cable.right, || TcpStream::connect(to).unwrap());
            (asks, listener.accept().unwrap().0)
        };
        let (_asks, mut sends) = pair();
        let (_other, mut idle) = pair();
        let (_closed, closes) = pair();
        let ends = |local: IpAddr, most| {
            let ended = || Connections::open().unwrap().end_unanswered(local, most).unwrap();
            inside(&cable.left, ended)
        };
        let (here, other) = (Cable::LEFT.into(), "10.79.0.99".parse().unwrap());
        assert_eq!(ends(here, 10), 0, "all is well");
        cable.switch_right(false);
        sends.write_all(b"!").unwrap();
        drop(closes);
        assert_eq!(ends(other, 10), 0, "another address");
        assert_eq!([ends(here, 1), ends(here, 10), ends(here, 10)], [1, 1, 0]);
        let mut byte = [0];
        sends.set_nonblocking(true).unwrap();
        assert_ne!(sends.read(&mut byte).unwrap_err().kind(), ErrorKind::WouldBlock);
        idle.set_nonblocking(true).unwrap();
        assert_eq!(idle.read(&mut byte).unwrap_err().kind(), ErrorKind::WouldBlock);
        cable.switch_right(true);
    }
}
