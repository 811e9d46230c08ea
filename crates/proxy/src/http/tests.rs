use super::head::{self, Method, Trouble};
use super::rules::Program;
use super::write;

fn program(rules: &str) -> Program {
    let text = format!("listen p\n mode http\n bind 127.0.0.1:1\n{rules}");
    let source = config::Source { path: "t".into(), text };
    let (file, problems) = config::haproxy::parse(&[source], 0);
    assert!(problems.iter().all(|p| p.severity != config::Severity::Error), "{problems:?}");
    Program::new(&file.proxies[0], None, false)
}

fn passed(request: &str, rules: &str) -> String {
    let mut space = head::space();
    let head = head::request(request.as_bytes(), &mut space).unwrap().unwrap();
    let mut out = Vec::new();
    write::request(&head, &program(rules), Some([10, 0, 0, 9].into()), false, &mut out);
    String::from_utf8(out).unwrap()
}

fn trouble(request: &str) -> Option<Trouble> {
    let text = format!("{request}\r\n\r\n");
    head::request(text.as_bytes(), &mut head::space()).err()
}

#[test]
fn names_leave_in_lower_case_and_connection_stays_behind() {
    assert_eq!(
        passed("GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\nAccept:  a  \r\n\r\n", ""),
        "GET / HTTP/1.1\r\nhost: x\r\naccept: a\r\n\r\n"
    );
}

#[test]
fn rules_apply_in_their_order_and_forwardfor_last() {
    let rules = " option forwardfor\n http-request add-header X-A 1\n http-request set-header X-A 2\n\
                  http-request del-header X-B\n http-request add-header X-B new\n\
                  http-request set-header X-Proto https if { ssl_fc }\n";
    assert_eq!(
        passed("GET / HTTP/1.1\r\nx-a: 0\r\nX-B: old\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n", rules),
        "GET / HTTP/1.1\r\nx-forwarded-for: 1.1.1.1\r\nx-a: 2\r\nx-b: new\r\n\
         x-forwarded-for: 10.0.0.9\r\n\r\n"
    );
}

#[test]
fn forwardfor_spares_networks_and_headers_that_are_there() {
    let request = "GET / HTTP/1.1\r\nX-Client: z\r\n\r\n";
    let same = "GET / HTTP/1.1\r\nx-client: z\r\n\r\n";
    assert_eq!(passed(request, " option forwardfor except 10.0.0.0/8\n"), same);
    assert_eq!(passed(request, " option forwardfor header X-Client if-none\n"), same);
}

#[test]
fn an_upgrade_keeps_its_connection_header() {
    const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let head = "GET / HTTP/1.1\r\nConnection: upgrade, keep-alive, X\r\nUpgrade: WebSocket\r\n";
    assert_eq!(
        passed(&format!("{head}{KEY}"), ""),
        format!(
            "GET / HTTP/1.1\r\nconnection: upgrade,X\r\nupgrade: WebSocket\r\n{}",
            KEY.replace("Sec-WebSocket-Key", "sec-websocket-key")
        )
    );
}

#[test]
fn nothing_but_a_websocket_is_asked_for() {
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for protocols in [
        "Upgrade: h2c\r\n",
        "Upgrade: foo\r\n",
        "Upgrade: websocket, h2c\r\n",
        "Upgrade: websocket\r\nUpgrade: h2c\r\n",
        "Upgrade: h2c\r\nUPGRADE: websocket\r\n",
        "Upgrade: websocket/13\r\n",
    ] {
        let request =
            format!("GET / HTTP/1.1\r\nA: b\r\nConnection: X, Upgrade\r\n{protocols}{key}\r\n");
        let mut space = head::space();
        let head = head::request(request.as_bytes(), &mut space).unwrap().unwrap();
        assert!(!head.upgrade, "{request:?}");
        let sent = passed(&request, "").to_ascii_lowercase();
        assert!(!sent.contains("upgrade"), "{request:?}: {sent:?}");
        assert!(sent.contains("connection: x\r\n") && sent.contains("a: b\r\n"), "{sent:?}");
    }
    let other = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n";
    let answer = |text: &str| {
        head::response(text.as_bytes(), &mut head::space(), Method::Idempotent, true).err()
    };
    assert_eq!(answer(other), Some(Trouble::Bad), "nobody asked for that one");
    assert_eq!(answer(&other.replace("h2c", "websocket")), None);
}

#[test]
fn ambiguous_requests_are_refused() {
    for bad in [
        "GARBAGE",
        "GET /",
        "GET /a b HTTP/1.1",
        "GET / http/1.1",
        "GET / HTTP/1.1\r\nHost : x",
        "GET / HTTP/1.1\r\nA: b\r\n c",
        "GET / HTTP/1.1\r\nA: b\0c",
        "GET / HTTP/1.1\r\nnocolon",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b",
        "GET http://a/ HTTP/1.1\r\nHost: b",
        "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2",
        "POST / HTTP/1.1\r\nContent-Length: +1",
        "POST / HTTP/1.1\r\nContent-Length: -1",
        "POST / HTTP/1.1\r\nContent-Length: 1, 2",
        "POST / HTTP/1.1\r\nContent-Length:",
        "POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked",
        "POST / HTTP/1.1\r\nTransfer-Encoding: gzip",
        "POST / HTTP/1.1\r\nTransfer-Encoding: identity",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked, chunked",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "POST / HTTP/1.1\r\nTransfer-Encoding:",
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked",
        "GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket",
    ] {
        assert_eq!(trouble(bad), Some(Trouble::Bad), "{bad:?}");
    }
    let coding = "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked";
    assert_eq!(trouble(coding), Some(Trouble::Coding));
}

#[test]
fn odd_but_clear_requests_pass() {
    for good in [
        "GET / HTTP/1.1",
        "GET  / HTTP/1.1",
        "GET http://a:80/ HTTP/1.1\r\nHost: A",
        "POST / HTTP/1.1\r\nContent-Length: 1, 1",
        "GET /?u=http://b/ HTTP/1.1\r\nHost: a",
    ] {
        assert_eq!(trouble(good), None, "{good:?}");
    }
}

#[test]
fn a_head_of_100_headers_passes_one_more_does_not() {
    let head = |count| format!("GET / HTTP/1.1{}", "\r\nA: b".repeat(count));
    assert_eq!(trouble(&head(100)), None);
    assert_eq!(trouble(&head(101)), Some(Trouble::Bad));
}

#[test]
fn a_head_longer_than_the_buffer_is_refused_before_it_ends() {
    let text = format!("GET /{}", "a".repeat(head::MAX_HEAD));
    assert_eq!(head::request(text.as_bytes(), &mut head::space()).err(), Some(Trouble::Bad));
}

#[test]
fn responses_without_body_are_known() {
    use super::body::Body;
    let body = |text: &str, method| {
        let mut space = head::space();
        head::response(text.as_bytes(), &mut space, method, false).map(|r| r.unwrap().body)
    };
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n";
    assert_eq!(body(ok, Method::Head), Ok(Body::Done));
    assert_eq!(body(ok, Method::Other), Ok(Body::Length(4)));
    assert_eq!(body(ok, Method::Connect), Ok(Body::UntilClose));
    let not_modified = "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n";
    assert_eq!(body(not_modified, Method::Other), Ok(Body::Done));
    assert_eq!(body("HTTP/1.1 200 OK\r\n\r\n", Method::Other), Ok(Body::UntilClose));
    let switch = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n";
    assert_eq!(body(switch, Method::Other), Err(Trouble::Bad));
    let classless = "HTTP/1.1 099 OK\r\nContent-Length: 4\r\n\r\n";
    assert_eq!(body(classless, Method::Other), Err(Trouble::Bad));
}
