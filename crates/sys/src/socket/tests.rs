use std::net::TcpStream;
use std::os::unix::net::UnixStream;

use super::*;
use crate::poll::{Interest, Poller};

fn wait_for(fd: BorrowedFd<'_>, interest: Interest) {
    let poller = Poller::new().unwrap();
    poller.add(fd, 0, interest).unwrap();
    let mut ready = Vec::new();
    poller.wait(&mut ready, Some(Duration::from_secs(10))).unwrap();
    assert_eq!(ready.len(), 1, "nothing happened in time");
}

#[test]
fn a_connection_is_made_and_closed_without_blocking() {
    let listener = listen_tcp("127.0.0.1:0".parse().unwrap(), &Listen::default()).unwrap();
    assert_eq!(accept(listener.as_fd()).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    let address = local(listener.as_fd()).unwrap();
    let client = connect_tcp(address).unwrap();
    wait_for(client.as_fd(), Interest::WRITE);
    take_error(client.as_fd()).unwrap();
    let (server, from) = accept(listener.as_fd()).unwrap();
    assert_eq!(from, Peer::Tcp(local(client.as_fd()).unwrap()));
    assert_eq!(peer(client.as_fd()).unwrap(), Peer::Tcp(address));
    no_delay(server.as_fd()).unwrap();
    keep_alive(server.as_fd()).unwrap();
    keep_alive_every(server.as_fd(), Duration::from_secs(5)).unwrap();
    let idle = sockopt::tcp_keepidle(&server).unwrap();
    assert_eq!(idle, Duration::from_secs(5));
    assert_eq!(send(server.as_fd(), b"hello", false).unwrap(), 5);
    shutdown_write(server.as_fd()).unwrap();
    wait_for(client.as_fd(), Interest::READ);
    let mut buffer = [0; 8];
    assert_eq!(receive(client.as_fd(), &mut buffer).unwrap(), 5);
    assert_eq!(receive(client.as_fd(), &mut buffer).unwrap(), 0);
}

#[test]
fn a_reset_is_seen_by_the_other_side() {
    let listener = listen_tcp("127.0.0.1:0".parse().unwrap(), &Listen::default()).unwrap();
    let client = connect_tcp(local(listener.as_fd()).unwrap()).unwrap();
    wait_for(listener.as_fd(), Interest::READ);
    let (server, _from) = accept(listener.as_fd()).unwrap();
    reset_on_close(server.as_fd()).unwrap();
    drop(server);
    wait_for(client.as_fd(), Interest::READ);
    let error = receive(client.as_fd(), &mut [0; 8]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[test]
fn a_refused_connection_says_so() {
    let listener = listen_tcp("127.0.0.1:0".parse().unwrap(), &Listen::default()).unwrap();
    let address = local(listener.as_fd()).unwrap();
    drop(listener);
    let client = match connect_tcp(address) {
        Ok(client) => client,
        Err(error) => return assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused),
    };
    wait_for(client.as_fd(), Interest::WRITE);
    let error = take_error(client.as_fd()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
}

#[test]
fn an_address_of_another_node_can_be_listened_on() {
    let foreign = "192.0.2.77:0".parse().unwrap();
    let error = listen_tcp(foreign, &Listen::default()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
    let options = Listen { transparent: true, ..Listen::default() };
    let listener = listen_tcp(foreign, &options).unwrap();
    assert_eq!(local(listener.as_fd()).unwrap().ip(), foreign.ip());
    listen_tcp("[2001:db8::7]:0".parse().unwrap(), &options).unwrap();
}

#[test]
fn ipv4_through_an_ipv6_listener_is_shown_as_ipv4() {
    let listener = listen_tcp("[::]:0".parse().unwrap(), &Listen::default()).unwrap();
    let port = local(listener.as_fd()).unwrap().port();
    let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let (_server, from) = accept(listener.as_fd()).unwrap();
    assert_eq!(from, Peer::Tcp(client.local_addr().unwrap()));
}

#[test]
fn a_path_is_taken_over_from_the_listener_before() {
    let folder = std::env::temp_dir().join(format!("outlast-sys-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("stats.sock");
    let first = listen_unix(&path, None).unwrap();
    let second = listen_unix(&path, Some(0o600)).unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let _client = UnixStream::connect(&path).unwrap();
    assert_eq!(accept(first.as_fd()).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    assert_eq!(accept(second.as_fd()).unwrap().1, Peer::Unix);
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn the_newest_of_two_udp_sockets_on_a_port_receives() {
    let old = udp("127.0.0.1:0".parse().unwrap(), None).unwrap();
    let address = local(old.as_fd()).unwrap();
    let new = udp(address, None).unwrap();
    let sender = udp(any(address.ip()), None).unwrap();
    send_to(sender.as_fd(), b"beat", address).unwrap();
    wait_for(new.as_fd(), Interest::READ);
    let (count, from) = receive_from(new.as_fd(), &mut [0; 16]).unwrap();
    assert_eq!((count, from.ip()), (4, address.ip()));
}

#[test]
fn a_port_where_nobody_listens_is_told_to_the_socket_that_talks_to_it() {
    let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let closed = udp(SocketAddr::new(local, 0), None).unwrap();
    let address = rustix::net::getsockname(&closed).unwrap();
    let address = SocketAddr::try_from(address).unwrap();
    let towards = udp_towards(local, address).unwrap();
    send(towards.as_fd(), b"beat", false).unwrap();
    assert!(take_error(towards.as_fd()).is_ok(), "somebody listens");
    drop(closed);
    send(towards.as_fd(), b"beat", false).unwrap();
    // On loopback the refusal comes back within the call that sends.
    let refused = take_error(towards.as_fd()).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    assert!(take_error(towards.as_fd()).is_ok(), "told once");
}
