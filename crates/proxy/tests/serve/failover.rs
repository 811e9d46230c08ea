//! Servers that die, vanish or stop being wanted.

use std::io::Write;

use api::{Break, Change, Choice, Mode, NodeState, Standing};

use crate::rig::{Plan, Rig, Server, adaptive, answer_by_name, eventually, strict};

const TIMES: &str = " timeout client 5s\n timeout server 5s\n timeout connect 2s\n";

fn web(more: &str, servers: &[&Server]) -> String {
    let lines: String =
        servers.iter().enumerate().map(|(i, s)| format!(" server s{i} {}\n", s.address)).collect();
    format!("listen web\n mode http\n bind 127.0.0.1:1\n{TIMES}{more}{lines}")
}

#[test]
fn a_refused_connect_goes_elsewhere() {
    for start in [strict, adaptive] {
        let (dead, alive) = (Server::named("dead"), Server::named("alive"));
        dead.kill();
        let rig = start(&web(" option redispatch\n", &[&dead, &alive]));
        for _ in 0..6 {
            assert_eq!(rig.get("web", "/").body, "alive");
        }
    }
}

#[test]
fn all_refused_is_a_503() {
    let dead = Server::named("dead");
    dead.kill();
    for start in [strict, adaptive] {
        let rig = start(&web(" retries 1\n timeout connect 100ms\n", &[&dead]));
        let answer = rig.get("web", "/");
        assert_eq!((answer.status, answer.header("connection")), (503, None));
    }
}

#[test]
fn the_break_that_tests_use_makes_refused_connects_fail() {
    let (dead, alive) = (Server::named("dead"), Server::named("alive"));
    dead.kill();
    let text = web(" option redispatch\n retries 1\n timeout connect 50ms\n", &[&dead, &alive]);
    let plan = Plan { breaks: vec![Break::Redispatch], ..Plan::new(Mode::Adaptive, &text) };
    let rig = Rig::start(plan);
    assert!((0..2).any(|_| rig.get("web", "/").status == 503));
}

#[test]
fn a_killed_server_costs_no_idempotent_request_in_adaptive_mode() {
    let (mortal, other) = (Server::named("mortal"), Server::named("other"));
    let rig = adaptive(&web("", &[&mortal, &other]));
    let mut clients: Vec<_> = (0..8).map(|_| rig.connect("web")).collect();
    for round in 0..10 {
        if round == 4 {
            mortal.kill();
        }
        for client in &mut clients {
            client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        }
        for client in &mut clients {
            assert_eq!(client.answer().status, 200, "round {round}");
        }
    }
}

#[test]
fn a_request_in_flight_is_sent_again_when_its_server_dies() {
    let silent = Server::start(|guest| {
        guest.request();
        guest.client.read_text();
    });
    let other = Server::named("other");
    let rig = adaptive(&web("", &[&silent, &other]));
    let mut client = rig.connect("web");
    client.send("PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody");
    eventually("the request is there", || silent.diary().len() == 1);
    silent.kill();
    assert_eq!(client.answer().body, "other");
    assert_eq!(silent.diary(), other.diary());
}

#[test]
fn what_must_not_happen_twice_is_not_sent_again() {
    let silent = Server::start(|guest| {
        guest.request();
    });
    let other = Server::named("other");
    let rig = adaptive(&web("", &[&silent, &other]));
    let mut client = rig.connect("web");
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody");
    assert_eq!(client.answer().status, 502);
    assert_eq!(other.diary().len(), 0);
}

#[test]
fn a_strict_proxy_does_not_repeat_requests() {
    let silent = Server::start(|guest| {
        guest.request();
    });
    let other = Server::named("other");
    let rig = strict(&web("", &[&silent, &other]));
    assert_eq!(rig.get("web", "/").status, 502);
    assert_eq!(other.diary().len(), 0);
}

#[test]
fn nothing_is_repeated_once_the_client_has_heard_something() {
    let cut = Server::start(|guest| {
        guest.request();
        guest.say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
    });
    let other = Server::named("other");
    let rig = adaptive(&web("", &[&cut, &other]));
    let mut client = rig.connect("web");
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(client.read_text().ends_with("\r\n\r\nabc"));
    assert_eq!(other.diary().len(), 0);
}

#[test]
fn a_silent_connect_is_raced_by_another_server() {
    let alive = Server::named("alive");
    let servers = format!(" server gone 192.0.2.1:9\n server b {}\n", alive.address);
    let text = format!("listen web\n mode http\n bind 127.0.0.1:1\n{TIMES}{servers}");
    let rig = adaptive(&text.replace("timeout connect 2s", "timeout connect 5s"));
    // One in ten connects may be raced: save some first, over the living server's own turns.
    let start = sys::clock::now();
    let mut raced = 0;
    for _ in 0..24 {
        let before = sys::clock::now();
        assert_eq!(rig.get("web", "/").body, "alive");
        let took = sys::clock::now().since(before);
        raced += u32::from(took.as_millis() >= 150 && took.as_millis() < 3_000);
    }
    assert!(raced <= 2, "after the first the silent server is suspect");
    assert!(sys::clock::now().since(start).as_secs() < 9);
}

#[test]
fn a_node_at_rest_gets_no_new_request_while_another_is_up() {
    let one = Server::named("one");
    let cluster = "[cluster]\nname = \"c\"\n[node.node01]\nnetworks = { m = \"127.0.0.1\" }\n\
                   [node.node02]\nnetworks = { m = \"127.0.0.2\" }\n";
    let answer = |guest: &mut crate::rig::Guest<'_>| answer_by_name(guest, "two");
    let second = Server::on("127.0.0.2:0".parse().unwrap(), std::sync::Arc::new(answer));
    let text = web("", &[&one, &second]);
    let plan = Plan { cluster: Some(cluster), ..Plan::new(Mode::Adaptive, &text) };
    let mut rig = Rig::start(plan);
    let node = |node: &str, duty| {
        Change::Node(NodeState {
            node: node.into(),
            standing: Standing::Alive,
            cells: Vec::new(),
            why: String::new(),
            opinion: api::Opinion::default(),
            duty,
        })
    };
    rig.change(node("node02", api::Duty::Draining));
    rig.wait_for_server("s1", |state| state.resting && !state.suspect);
    assert!((0..6).all(|_| rig.get("web", "/").body == "one"));
    rig.change(node("node01", api::Duty::Standby));
    rig.wait_for_server("s0", |state| state.resting);
    let served: Vec<String> = (0..6).map(|_| rig.get("web", "/").body).collect();
    assert!(served.contains(&"one".to_owned()) && served.contains(&"two".to_owned()), "{served:?}");
    rig.change(node("node02", api::Duty::On));
    rig.wait_for_server("s1", |state| !state.resting);
    assert!((0..6).all(|_| rig.get("web", "/").body == "two"));
}

#[test]
fn a_suspect_node_gets_no_new_request_until_it_is_back() {
    let (one, two) = (Server::named("one"), Server::named("two"));
    let cluster = "[cluster]\nname = \"c\"\n[node.node01]\nnetworks = { m = \"127.0.0.1\" }\n\
                   [node.node02]\nnetworks = { m = \"127.0.0.2\" }\n";
    let second = Server::on(
        "127.0.0.2:0".parse().unwrap(),
        std::sync::Arc::new(|guest: &mut crate::rig::Guest<'_>| answer_by_name(guest, "two")),
    );
    drop(two);
    let text = web("", &[&one, &second]);
    let plan = Plan { cluster: Some(cluster), ..Plan::new(Mode::Adaptive, &text) };
    let mut rig = Rig::start(plan);
    let node = |standing| {
        Change::Node(NodeState {
            node: "node02".into(),
            standing,
            cells: Vec::new(),
            why: String::new(),
            opinion: api::Opinion::default(),
            duty: api::Duty::On,
        })
    };
    rig.change(node(Standing::Suspect));
    rig.wait_for_server("s1", |state| state.suspect);
    assert!((0..6).all(|_| rig.get("web", "/").body == "one"));
    rig.change(node(Standing::Alive));
    rig.wait_for_server("s1", |state| !state.suspect);
    assert!((0..2).any(|_| rig.get("web", "/").body == "two"));
}

#[test]
fn a_node_that_is_silent_in_vip_beats_gets_no_new_request_until_its_next_beat() {
    let one = Server::named("one");
    let cluster = "[cluster]\nname = \"c\"\ndetect = \"300ms\"\n\
                   [node.node01]\nnetworks = { m = \"127.0.0.1\" }\n\
                   [node.node02]\nnetworks = { m = \"127.0.0.2\" }\n";
    let answer = |guest: &mut crate::rig::Guest<'_>| answer_by_name(guest, "two");
    let second = Server::on("127.0.0.2:0".parse().unwrap(), std::sync::Arc::new(answer));
    let text = web("", &[&one, &second]);
    let plan = Plan { cluster: Some(cluster), ..Plan::new(Mode::Adaptive, &text) };
    let mut rig = Rig::start(plan);
    let silent = |silent| Change::Silence { node: "node02".to_owned(), silent };
    rig.change(silent(true));
    let why = "its node is silent in vip beats on every network";
    rig.wait_for_server("s1", |state| state.suspect && state.why == why);
    assert_eq!(rig.get("web", "/").body, "one");
    rig.change(silent(false));
    rig.wait_for_server("s1", |state| !state.suspect);
    assert!((0..2).any(|_| rig.get("web", "/").body == "two"));
    // Agents know more after their own time: without their word it ends by itself.
    rig.change(silent(true));
    rig.wait_for_server("s1", |state| state.suspect);
    rig.wait_for_server("s1", |state| !state.suspect);
}

#[test]
fn a_silent_node_is_one_event_for_all_its_servers() {
    let cluster = "[cluster]\nname = \"c\"\n[node.node01]\nnetworks = { m = \"127.0.0.1\" }\n\
                   [node.node02]\nnetworks = { m = \"127.0.0.2\" }\n";
    let mut text = format!("listen web\n mode http\n bind 127.0.0.1:1\n{TIMES}");
    text += " server home 127.0.0.1:9\n";
    for number in 1..=10 {
        text += &format!(" server s{number} 127.0.0.2:{number}\n");
    }
    let plan = Plan { cluster: Some(cluster), ..Plan::new(Mode::Adaptive, &text) };
    let mut rig = Rig::start(plan);
    rig.change(Change::Node(NodeState {
        node: "node02".into(),
        standing: Standing::Suspect,
        cells: Vec::new(),
        why: String::new(),
        opinion: api::Opinion::default(),
        duty: api::Duty::On,
    }));
    let is_one = |report: &api::Report| matches!(report, api::Report::Event(event) if event.what.starts_with("server"));
    let api::Report::Event(event) = rig.wait_for(is_one) else { panic!("asked for an event") };
    assert_eq!((event.what.as_str(), event.object.as_str()), ("servers-suspect", "node/node02"));
    assert!(event.decision.starts_with("10 servers on it are suspect: web/s1, web/s2"));
    assert!(event.decision.ends_with("and 2 more"), "{}", event.decision);
}

fn database(first: &Server, second: &Server, check: &str) -> String {
    format!(
        "listen db\n mode tcp\n bind 127.0.0.1:1\n{TIMES} server a {} {check}\n\
         server b {} {check} backup\n",
        first.address, second.address
    )
}

fn chosen(rig: &mut Rig, server: &str) -> Choice {
    let wanted = |report: &api::Report| matches!(report, api::Report::Choice(choice) if choice.server == server);
    let api::Report::Choice(choice) = rig.wait_for(wanted) else { panic!("asked for a choice") };
    choice
}

#[test]
fn the_writer_stays_when_the_first_server_returns() {
    let first = Server::named("first");
    let second = Server::named("second");
    let text = database(&first, &second, "check inter 50ms fall 1 rise 1");
    let mut rig = adaptive(&text);
    assert_eq!(chosen(&mut rig, "a").term, 1);
    assert_eq!(rig.get("db", "/").body, "first");
    let address = first.address;
    drop(first);
    assert_eq!(chosen(&mut rig, "b").term, 2);
    eventually("new sessions go to the second", || rig.get("db", "/").body == "second");
    let back = Server::on(address, std::sync::Arc::new(|g: &mut _| answer_by_name(g, "first")));
    rig.wait_for_server("a", |state| state.check == api::ServerCheck::Up);
    assert!((0..5).all(|_| rig.get("db", "/").body == "second"));
    drop(back);
}

#[test]
fn sessions_of_a_demoted_writer_are_closed_before_the_next_one_is_used() {
    let first = Server::named("first");
    let second = Server::named("second");
    let mut rig = adaptive(&database(&first, &second, ""));
    chosen(&mut rig, "a");
    let mut sessions: Vec<_> = (0..5).map(|_| rig.connect("db")).collect();
    for session in &mut sessions {
        session.send("GET / HTTP/1.1\r\n\r\n");
        assert_eq!(session.answer().body, "first");
    }
    let choice = Choice { proxy: "db".into(), server: "b".into(), term: 9, by: 1 };
    rig.change(Change::Choice(choice));
    eventually("new sessions go to the second", || {
        // One that comes before the change is closed with it.
        let mut client = rig.connect("db");
        let sent = client.stream.write_all(b"GET / HTTP/1.1\r\n\r\n");
        sent.is_ok() && client.answer().body == "second"
    });
    for session in &mut sessions {
        assert_eq!(session.read_text(), "");
    }
}

#[test]
fn a_choice_that_is_known_at_the_start_is_kept() {
    let (first, second) = (Server::named("first"), Server::named("second"));
    let text = database(&first, &second, "");
    let choices = vec![Choice { proxy: "db".into(), server: "b".into(), term: 4, by: 0 }];
    let rig = Rig::start(Plan { choices, ..Plan::new(Mode::Adaptive, &text) });
    assert_eq!(rig.get("db", "/").body, "second");
}

#[test]
fn a_strict_proxy_falls_back_as_haproxy_does() {
    let first = Server::named("first");
    let second = Server::named("second");
    let mut rig = strict(&database(&first, &second, "check inter 50ms fall 1 rise 1"));
    let address = first.address;
    drop(first);
    rig.wait_for_server("a", |state| state.check == api::ServerCheck::Down);
    assert_eq!(rig.get("db", "/").body, "second");
    let _back = Server::on(address, std::sync::Arc::new(|g: &mut _| answer_by_name(g, "first")));
    rig.wait_for_server("a", |state| state.check == api::ServerCheck::Up);
    assert_eq!(rig.get("db", "/").body, "first");
}

fn told(report: &api::Report, what: &str) -> bool {
    matches!(report, api::Report::Event(event) if event.what == what)
}

const STATS: &str =
    "listen stats\n mode http\n bind 127.0.0.1:1\n timeout client 5s\n stats uri /\n";

/// Whether a bare check of a server has ended well, by the statistics. `start`: of its line.
fn has_passed(rig: &Rig, start: &str) -> bool {
    let table = rig.get("stats", "/;csv").body;
    let line = table.lines().find(|line| line.starts_with(start)).unwrap();
    line.contains(",L4OK,")
}

#[test]
fn a_process_that_refuses_connects_is_one_suspicion_for_all_its_servers() {
    let (mortal, other) = (Server::named("mortal"), Server::named("other"));
    let mut text = String::new();
    for number in 0..3 {
        text += &format!("listen web{number}\n mode http\n bind 127.0.0.1:1\n{TIMES}");
        // `fall` is far away: nothing but suspicion keeps requests off it.
        let check = "check inter 100ms fall 10000";
        text += &format!(" server s{number} {} {check}\n", mortal.address);
        text += &format!(" server t{number} {} {check}\n", other.address);
    }
    let mut rig = adaptive(&(text + STATS));
    eventually("every server passed a check", || {
        (0..3).all(|number| has_passed(&rig, &format!("web{number},s{number},")))
    });
    mortal.kill();
    let first = rig.wait_for(|report| told(report, "server-suspect"));
    let api::Report::Event(event) = first else { panic!("asked for an event") };
    assert!(event.object.starts_with("server/web"), "{}", event.object);
    assert_eq!(event.evidence, "it refused a connection");
    // All three may stand in one report, or each in its own.
    rig.wait_for_servers(&["s0", "s1", "s2"], |state| state.suspect);
    assert!(!rig.has(|report| told(report, "server-suspect")), "told once");
}

#[test]
fn a_server_that_is_down_leaves_the_suspicion_of_another_on_its_machine_told() {
    let (mortal, other) = (Server::named("mortal"), Server::named("other"));
    let mut text = String::new();
    // Most of the time the one that goes down is the first to see it.
    for (number, check) in ["inter 20ms fall 1", "inter 300ms fall 10000"].iter().enumerate() {
        text += &format!("listen web{number}\n mode http\n bind 127.0.0.1:1\n{TIMES}");
        text += &format!(" server s{number} {} check {check}\n", mortal.address);
        text += &format!(" server t{number} {}\n", other.address);
    }
    let mut rig = adaptive(&(text + STATS));
    eventually("both servers passed a check", || {
        has_passed(&rig, "web0,s0,") && has_passed(&rig, "web1,s1,")
    });
    mortal.kill();
    let first = rig.wait_for(|report| told(report, "server-suspect"));
    let api::Report::Event(event) = first else { panic!("asked for an event") };
    assert_eq!(event.object, "server/web1/s1");
}

#[test]
fn a_server_that_is_down_at_the_start_is_said_to_be_so_by_its_first_check() {
    let dead = Server::named("dead");
    dead.kill();
    let text = format!(
        "listen web\n mode http\n bind 127.0.0.1:1\n{TIMES} server a {} check inter 1s fall 3\n",
        dead.address
    );
    let mut rig = adaptive(&text);
    let down = rig.wait_for(|report| told(report, "server-down"));
    let api::Report::Event(event) = down else { panic!("asked for an event") };
    assert_eq!(event.decision, "the first check of a server decides alone");
}
