//! Orders of the supervisor.

use api::{Mode, Order, Report};

use crate::rig::{Plan, Rig, Server, eventually, strict};

const TIMES: &str = " timeout client 5s\n timeout server 5s\n timeout connect 5s\n";

fn one(server: &Server) -> String {
    format!("listen web\n mode http\n bind 127.0.0.1:1\n{TIMES} server a {}\n", server.address)
}

#[test]
fn a_spare_accepts_nothing_before_it_is_activated() {
    let server = Server::named("alpha");
    let text = one(&server);
    let mut rig = Rig::start(Plan { active: false, ..Plan::new(Mode::Adaptive, &text) });
    let mut client = rig.connect("web");
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    rig.order(&Order::Ping(1));
    rig.wait_for(|report| *report == Report::Pong(1));
    assert_eq!(server.connections(), 0);
    rig.order(&Order::Activate);
    rig.wait_for(|report| matches!(report, Report::Serving { .. }));
    assert_eq!(client.answer().body, "alpha");
}

#[test]
fn a_drained_proxy_finishes_what_it_began_and_ends() {
    let server = Server::start(|guest| {
        while guest.request().is_some() {
            guest.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let mut rig = strict(&one(&server));
    let (mut idle, mut busy) = (rig.connect("web"), rig.connect("web"));
    idle.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(idle.answer().body, "ok");
    busy.send("GET /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n");
    eventually("the slow request is there", || server.connections() == 2);
    rig.order(&Order::Drain);
    assert_eq!(idle.read_text(), "", "idle connections close at once");
    busy.send("x");
    let answer = busy.answer();
    assert_eq!((answer.body.as_str(), answer.header("connection")), ("ok", Some("close")));
    rig.wait_for_end().unwrap();
}

#[test]
fn the_end_of_the_supervisor_is_the_end_of_the_proxy() {
    let server = Server::named("alpha");
    let mut rig = strict(&one(&server));
    rig.hang_up();
    rig.wait_for_end().unwrap();
}

#[test]
fn pings_pass_through_every_thread() {
    let server = Server::named("alpha");
    let mut rig = strict(&one(&server));
    for number in 0..20 {
        rig.order(&Order::Ping(number));
    }
    for number in 0..20 {
        rig.wait_for(|report| *report == Report::Pong(number));
    }
}

#[test]
fn all_servers_are_reported_at_the_start_and_changes_later() {
    let server = Server::named("alpha");
    let text = format!(
        "listen web\n mode http\n bind 127.0.0.1:1\n{TIMES} server a {} check inter 50ms fall 1\n\
         server b 127.0.0.1:9\n",
        server.address
    );
    let mut rig = strict(&text);
    let all = rig.wait_for(|report| matches!(report, Report::Servers(_)));
    let Report::Servers(all) = all else { panic!() };
    let states: Vec<_> = all.iter().map(|state| (state.server.as_str(), state.check)).collect();
    assert_eq!(states, [("a", api::ServerCheck::Up), ("b", api::ServerCheck::Unchecked)]);
    server.kill();
    rig.wait_for_server("a", |state| state.check == api::ServerCheck::Down);
    rig.wait_for(|report| matches!(report, Report::Event(event) if event.what == "server-down"));
}

#[test]
fn a_draining_proxy_closes_its_sockets_so_that_the_kernel_refuses_clients() {
    let server = Server::named("alpha");
    let mut rig = strict(&one(&server));
    let mut busy = rig.connect("web");
    busy.send("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n");
    eventually("the request is there", || server.connections() == 1);
    rig.order(&Order::Drain);
    let address = rig.address("web");
    eventually("a client is refused", || std::net::TcpStream::connect(address).is_err());
    busy.send("x");
    assert_eq!(busy.answer().body, "alpha");
    rig.wait_for_end().unwrap();
}
