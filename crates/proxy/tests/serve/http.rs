use crate::rig::{Server, adaptive, script, strict};

const TIMES: &str = " timeout client 5s\n timeout server 5s\n timeout connect 5s\n";

fn one(server: &Server, more: &str) -> String {
    format!(
        "listen web\n mode http\n bind 127.0.0.1:1\n{TIMES}{more} server a {}\n",
        server.address
    )
}

#[test]
fn a_request_is_answered_and_the_connection_stays() {
    let server = Server::named("alpha");
    let rig = strict(&one(&server, " option forwardfor\n"));
    let mut client = rig.connect("web");
    for _ in 0..3 {
        client.send("GET /x HTTP/1.1\r\nHost: h\r\nUser-Agent: t\r\n\r\n");
        let answer = client.answer();
        assert_eq!((answer.status, answer.body.as_str()), (200, "alpha"));
        assert_eq!(answer.head, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n");
    }
    let seen = "GET /x HTTP/1.1\r\nhost: h\r\nuser-agent: t\r\nx-forwarded-for: 127.0.0.1\r\n\r\n";
    assert_eq!(server.diary(), [seen; 3]);
    // The first request of a session opens its own connection, later ones use it again.
    assert_eq!(server.connections(), 1);
}

#[test]
fn the_first_request_of_a_client_is_never_sent_over_a_used_connection() {
    let server = Server::named("alpha");
    let rig = strict(&one(&server, ""));
    assert_eq!(rig.get("web", "/").status, 200);
    assert_eq!(rig.get("web", "/").status, 200);
    assert_eq!(server.connections(), 2);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = Server::scripted();
    let rig = strict(&one(&server, ""));
    let mut client = rig.connect("web");
    let answers = ["one", "two", "three"];
    let request = |body: &str| {
        let length = body.len();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
        format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", script(true, &answer))
    };
    client.send(&answers.map(request).concat());
    for body in answers {
        assert_eq!(client.answer().body, body);
    }
}

#[test]
fn a_head_may_come_byte_by_byte() {
    let server = Server::named("alpha");
    let rig = strict(&one(&server, ""));
    let mut client = rig.connect("web");
    for byte in "GET / HTTP/1.1\r\nHost: x\r\n\r\n".chars() {
        client.send(&byte.to_string());
    }
    assert_eq!(client.answer().body, "alpha");
}

#[test]
fn requests_take_turns_over_the_servers() {
    let servers = ["a", "b", "c"].map(Server::named);
    let lines: String =
        servers.iter().enumerate().map(|(i, s)| format!(" server s{i} {}\n", s.address)).collect();
    let rig = strict(
        &format!("listen web\n mode http\n bind 127.0.0.1:1\n nbthread 1\n{TIMES}{lines}")
            .replace(" nbthread 1\n", ""),
    );
    let mut client = rig.connect("web");
    let mut bodies = Vec::new();
    for _ in 0..6 {
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        bodies.push(client.answer().body);
    }
    assert_eq!(bodies, ["a", "b", "c", "a", "b", "c"]);
}

#[test]
fn a_frontend_hands_over_to_its_backend_with_the_rules_of_both() {
    let server = Server::named("alpha");
    let rig = strict(&format!(
        "frontend web\n mode http\n bind 127.0.0.1:1\n{TIMES} http-request set-header X-A front\n\
         default_backend pool\n\nbackend pool\n mode http\n{TIMES} http-request add-header X-B back\n\
         http-response set-header X-C answer\n server a {}\n",
        server.address
    ));
    let answer = rig.get("web", "/");
    assert_eq!(answer.header("x-c"), Some("answer"));
    assert_eq!(server.diary(), ["GET / HTTP/1.1\r\nhost: x\r\nx-a: front\r\nx-b: back\r\n\r\n"]);
}

#[test]
fn conditions_on_tls_are_false() {
    let server = Server::named("alpha");
    let rules = " http-request del-header X-Forwarded-Proto if { ssl_fc }\n\
                 http-request set-header X-P https if { ssl_fc }\n";
    let rig = strict(&one(&server, rules));
    let mut client = rig.connect("web");
    client.send("GET / HTTP/1.1\r\nX-Forwarded-Proto: https\r\n\r\n");
    client.answer();
    assert_eq!(server.diary(), ["GET / HTTP/1.1\r\nx-forwarded-proto: https\r\n\r\n"]);
}

#[test]
fn old_clients_are_told_whether_the_connection_stays() {
    let server = Server::named("alpha");
    let rig = strict(&one(&server, ""));
    let mut client = rig.connect("web");
    client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!(client.answer().header("connection"), Some("keep-alive"));
    client.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(client.answer().header("connection"), Some("close"));
    assert_eq!(client.read_text(), "");
}

#[test]
fn httpclose_ends_both_connections() {
    let server = Server::named("alpha");
    let rig = strict(&one(&server, " option httpclose\n"));
    let mut client = rig.connect("web");
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.answer().header("connection"), Some("close"));
    assert_eq!(client.read_text(), "");
    assert_eq!(server.diary(), ["GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"]);
}

#[test]
fn the_monitor_answers_without_a_server() {
    let rig = strict(&format!(
        "listen web\n mode http\n bind 127.0.0.1:1\n{TIMES} monitor-uri /alive\n server a 127.0.0.1:9\n"
    ));
    let answer = rig.get("web", "/alive");
    assert_eq!((answer.status, answer.body.contains("Service ready.")), (200, true));
}

#[test]
fn the_statistics_page_asks_for_its_password() {
    let rig = strict(&format!(
        "listen web\n mode http\n bind 127.0.0.1:1\n{TIMES} stats enable\n stats uri /st\n\
         stats auth joe:secret\n server a 127.0.0.1:9\n"
    ));
    assert_eq!(rig.get("web", "/st").status, 401);
    let mut client = rig.connect("web");
    client.send("GET /st;csv HTTP/1.1\r\nHost: x\r\nAuthorization: Basic am9lOnNlY3JldA==\r\n\r\n");
    let answer = client.answer();
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains("web,FRONTEND"), "{answer:?}");
}

#[test]
fn an_upgrade_becomes_a_tunnel() {
    let server = Server::start(|guest| {
        guest.request();
        guest
            .say("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhi");
        let heard = guest.client.read_some(4);
        guest.say(&heard.to_uppercase());
    });
    let rig = strict(&one(&server, " timeout tunnel 5s\n"));
    let mut client = rig.connect("web");
    client.send(
        "GET /chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    let answer = client.answer();
    assert_eq!(
        answer.head,
        "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n"
    );
    client.send("ping");
    assert_eq!(client.read_some(6), "hiPING");
    assert_eq!(client.read_text(), "");
}

/// In a tunnel of HTTP/2 requests would reach the server past every rule ("h2c smuggling").
#[test]
fn a_server_that_speaks_h2c_is_not_asked_to_and_never_tunnelled_to() {
    let server = Server::start(|guest| {
        guest.request();
        guest
            .say("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
        let heard = guest.client.read_text();
        guest.note(heard);
    });
    let rig = strict(&one(&server, " timeout tunnel 5s\n"));
    for protocols in ["h2c", "h2c, websocket", "websocket\r\nUpgrade: h2c"] {
        let mut client = rig.connect("web");
        client.send(&format!(
            "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\n\
             Upgrade: {protocols}\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\
             PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nsmuggled"
        ));
        assert_eq!(client.answer().status, 502, "{protocols:?}");
    }
    for said in server.diary() {
        let said = said.to_ascii_lowercase();
        assert!(!said.contains("upgrade") && !said.contains("smuggled"), "{said}");
    }
}

#[test]
fn expect_is_between_client_and_server() {
    let server = Server::start(|guest| {
        guest.client.read_some(0);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let piece = guest.client.read_some(1);
            if piece.is_empty() {
                return;
            }
            head.push_str(&piece);
        }
        guest.say("HTTP/1.1 100 Continue\r\n\r\n");
        let body = guest.client.read_some(5);
        guest.note(body);
        guest.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    let rig = strict(&one(&server, ""));
    let mut client = rig.connect("web");
    client.send("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(client.answer().head, "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("hello");
    assert_eq!(client.answer().body, "ok");
    assert_eq!(server.diary(), ["hello"]);
}

#[test]
fn an_adaptive_proxy_passes_the_same_bytes() {
    let server = Server::named("alpha");
    let rig = adaptive(&one(&server, ""));
    let mut client = rig.connect("web");
    for _ in 0..2 {
        client.send("POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab");
        assert_eq!(client.answer().body, "alpha");
    }
    assert_eq!(server.diary(), ["POST /x HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\nab"; 2]);
}
