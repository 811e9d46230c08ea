//! Limits and queues, exact over all threads.

use std::io::Write;

use crate::rig::{Client, Server, eventually, strict};

const TIMES: &str = " timeout client 5s\n timeout server 5s\n timeout connect 5s\n";

fn web(more: &str, servers: &str) -> String {
    format!("listen web\n mode http\n bind 127.0.0.1:1\n{TIMES}{more}{servers}")
}

/// Answers when the test says so.
fn gated() -> (Server, std::sync::Arc<std::sync::Barrier>) {
    let gate = std::sync::Arc::new(std::sync::Barrier::new(2));
    let shared = std::sync::Arc::clone(&gate);
    let server = Server::start(move |guest| {
        while guest.request().is_some() {
            shared.wait();
            guest.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    (server, gate)
}

fn ask(client: &mut Client) {
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
}

#[test]
fn what_is_over_maxconn_of_a_server_waits_its_turn() {
    let (server, gate) = gated();
    let rig = strict(&web("", &format!(" server a {} maxconn 1\n", server.address)));
    let mut clients: Vec<_> = (0..5).map(|_| rig.connect("web")).collect();
    clients.iter_mut().for_each(ask);
    for served in 1..=5 {
        eventually("one request is at the server", || server.diary().len() == served);
        gate.wait();
    }
    for client in &mut clients {
        assert_eq!(client.answer().body, "ok");
    }
}

#[test]
fn who_waits_too_long_gets_a_503() {
    let (server, gate) = gated();
    let servers = format!(" server a {} maxconn 1\n", server.address);
    let rig = strict(&web(" timeout queue 150ms\n", &servers));
    let (mut first, mut second) = (rig.connect("web"), rig.connect("web"));
    ask(&mut first);
    eventually("the first is served", || server.diary().len() == 1);
    ask(&mut second);
    assert_eq!(second.answer().status, 503);
    gate.wait();
    assert_eq!(first.answer().status, 200);
}

#[test]
fn a_frontend_at_its_limit_leaves_connections_to_the_kernel() {
    for limits in [" maxconn 2\n", ""] {
        let server = Server::named("alpha");
        let global = if limits.is_empty() { "global\n maxconn 2\n\n" } else { "" };
        let listen = web(limits, &format!(" server a {}\n", server.address));
        let rig = strict(&format!("{global}{listen}"));
        let mut clients: Vec<_> = (0..3).map(|_| rig.connect("web")).collect();
        clients.iter_mut().for_each(ask);
        let mut answers: Vec<_> = clients.drain(..2).collect();
        for client in &mut answers {
            assert_eq!(client.answer().status, 200);
        }
        // The third has been sent, and nobody reads it.
        assert_eq!(server.diary().len(), 2);
        drop(answers);
        assert_eq!(clients[0].answer().status, 200);
    }
}

#[test]
fn many_clients_at_once_are_all_answered() {
    let server = Server::named("alpha");
    let rig = strict(&web("", &format!(" server a {} maxconn 3\n", server.address)));
    let address = rig.address("web");
    let clients: Vec<_> = (0..8)
        .map(|_| {
            std::thread::spawn(move || {
                let mut client = Client::connect(address);
                (0..50).all(|_| {
                    ask(&mut client);
                    client.answer().status == 200
                })
            })
        })
        .collect();
    assert!(clients.into_iter().all(|client| client.join().unwrap()));
    assert_eq!(server.diary().len(), 400);
}

#[test]
fn the_turn_of_one_who_left_goes_to_the_next() {
    let server = Server::named("alpha");
    let servers = format!(" server a {} maxconn 1\n", server.address);
    // Longer than this test's patience: only a turn can end the wait.
    let rig = strict(&web(" timeout queue 30s\n", &servers));
    let address = rig.address("web");
    let leaver = move || {
        for _ in 0..150 {
            let mut client = Client::connect(address);
            ask(&mut client);
            sys::socket::reset_on_close(std::os::fd::AsFd::as_fd(&client.stream)).unwrap();
        }
    };
    let stayer = move || {
        let mut client = Client::connect(address);
        (0..150).all(|_| {
            ask(&mut client);
            client.answer().status == 200
        })
    };
    let leavers: Vec<_> = (0..4).map(|_| std::thread::spawn(leaver)).collect();
    let stayers: Vec<_> = (0..4).map(|_| std::thread::spawn(stayer)).collect();
    assert!(stayers.into_iter().all(|thread| thread.join().unwrap()));
    leavers.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn a_log_server_that_is_down_costs_no_request_and_is_told() {
    // Bound, but hears somebody else only: packets are refused.
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.connect("127.0.0.1:9").unwrap();
    let missing = std::env::temp_dir().join(format!("outlast-no-log-{}", std::process::id()));
    for target in [udp.local_addr().unwrap().to_string(), missing.display().to_string()] {
        let server = Server::named("alpha");
        let more = format!(" log {target} local0\n option httplog\n");
        let mut rig = strict(&web(&more, &format!(" server a {}\n", server.address)));
        for _ in 0..20 {
            assert_eq!(rig.get("web", "/").status, 200);
        }
        let object = format!("log/{target}");
        rig.wait_for(|report| {
            matches!(report, api::Report::Event(event)
                if event.what == "log-lines-lost" && event.object == object)
        });
        assert_eq!(rig.get("web", "/").status, 200);
    }
}

#[test]
fn who_closes_while_it_waits_in_a_queue_is_let_go_where_the_file_says_so() {
    let (server, gate) = gated();
    let servers = format!(" server a {} maxconn 1\n", server.address);
    let rig = strict(&web(" option abortonclose\n", &servers));
    let (mut first, mut second) = (rig.connect("web"), rig.connect("web"));
    ask(&mut first);
    eventually("the first is served", || server.diary().len() == 1);
    ask(&mut second);
    second.shut();
    assert_eq!(second.answer().status, 503);
    gate.wait();
    assert_eq!((first.answer().status, server.diary().len()), (200, 1));
}

#[test]
fn a_client_that_goes_on_after_a_refusal_is_read_for_eight_megabytes_at_most() {
    let server = Server::named("a");
    let rig = strict(&web("", &format!(" server a {}\n", server.address)));
    let mut client = rig.connect("web");
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    let piece = vec![b'1'; 64 * 1024];
    let mut taken = 0;
    // Slowly, so that the proxy has read everything each time.
    while taken < 32 * 1024 * 1024 && client.stream.write_all(&piece).is_ok() {
        taken += piece.len();
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    assert!(taken < 24 * 1024 * 1024, "{taken} bytes were taken");
}
