//! Rules: the same file, the same bytes; Debian's haproxy and ours must do the same.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;

use crate::differential::{SHORT, TIMES, compare};
use crate::rig::{Server, strict};

/// A server that says the same to every request.
fn server() -> Server {
    Server::start(|guest| {
        while guest.request().is_some() {
            guest.say("HTTP/1.1 200 OK\r\nServer: s\r\nX-R: a, b\r\nContent-Length: 2\r\n\r\nok");
        }
    })
}

/// Requests that rules below tell apart.
fn scenes() -> Vec<Vec<String>> {
    let one = |line: &str, more: &str| vec![format!("{line}\r\n{more}\r\n")];
    let get = |target: &str, more: &str| {
        one(&format!("GET {target} HTTP/1.1"), &format!("Host: Www.Example.com:80\r\n{more}"))
    };
    vec![
        get("/", ""),
        get("/api/v1", "X-A: one, two\r\nX-A: three\r\nCookie: a=1; b=2\r\n"),
        get("/admin", "X-B: b\r\n"),
        get("/old/x?q=1&r=2", "User-Agent: curl/7\r\n"),
        one("HEAD /gone HTTP/1.1", "Host: h\r\n"),
        one("POST /post HTTP/1.1", "Host: h\r\nContent-Length: 0\r\n"),
        one("GET /nohost HTTP/1.0", ""),
        one("GET http://h.x/abs HTTP/1.1", "Host: h.x\r\n"),
    ]
}

/// One listener with these lines before one server.
fn same(test: &str, lines: &[&str]) {
    let server = server();
    for lines in lines {
        let text = format!(
            "{TIMES}{SHORT}\nlisten web\n bind 127.0.0.1:1\n{lines}\n server a {}\n",
            server.address
        );
        compare(test, &text, &server, &scenes());
    }
}

#[test]
fn headers_by_rule_are_the_same() {
    same(
        "headers_by_rule_are_the_same",
        &[
            " http-request set-header X-Path %[path] if { path_beg /api }\n \
              http-request add-header X-List %[req.hdr(x-a)],%[req.hdr(x-a,1),upper]\n \
              http-request set-header X-Src %[src] unless { method POST }\n \
              http-request del-header X-B if { hdr_cnt(x-b) gt 0 }\n \
              http-request set-header Host %[req.hdr(host),lower,field(1,:)]\n \
              http-response set-header X-Seen %[res.hdr(server)]-%[status]\n \
              http-response del-header Server if { status 200 }",
            " http-request set-var(txn.c) req.cook(b)\n \
              http-request set-header X-Cookie \"%[var(txn.c)] 100%%\" if { var(txn.c) -m found }\n \
              http-request replace-header X-A ^(.*),\\ *(.*)$ \\2;\\1\n \
              http-request replace-value X-A t(.) \\1t\n \
              http-request del-header x- -m beg if { path_end /none }\n \
              http-response set-header X-Var %[var(txn.c)]\n \
              http-response replace-header X-R a b-\\0\n \
              http-response set-status 203 if { var(txn.c) -m str 2 }",
        ],
    );
}

#[test]
fn targets_by_rule_are_the_same() {
    same(
        "targets_by_rule_are_the_same",
        &[
            " http-request set-path /new%[path] if { path_beg /old }\n \
              http-request set-query z=%[urlp(q)]&%[query] if { urlp(q) -m found }\n \
              http-request replace-path ^/api/(.*) /\\1/x\n \
              http-request set-method PUT if { path_beg /post }\n \
              http-request set-pathq /pq?%[path] if { path /nohost }",
            " http-request set-uri %[url,regsub(/gone,/here)] if METH_GET\n \
              http-request replace-uri ^http://[^/]*(.*) \\1",
        ],
    );
}

#[test]
fn refusals_answers_and_redirects_by_rule_are_the_same() {
    same(
        "refusals_answers_and_redirects_by_rule_are_the_same",
        &[
            " acl admin path_beg /admin\n acl admin path_dir gone\n http-request deny if admin\n \
              http-request allow if METH_POST\n http-request deny deny_status 429 if { hdr(user-agent) -m beg curl }\n \
              http-request deny if { path_beg /api }",
            " http-request return status 200 content-type text/plain string hello if { path_beg /api }\n \
              http-request return status 404 if { path_beg /admin }\n \
              http-request return status 429 content-type text/plain lf-string \"%[path] %ci\" hdr X-Why %[method] if METH_POST\n \
              http-request return if { path_beg /gone }",
            " http-request redirect location http://x.y/z if { path_beg /api }\n \
              http-request redirect prefix https://x.y code 301 drop-query if { path_beg /old }\n \
              redirect scheme https if { hdr(host) -i www.example.com:80 }\n \
              redirect prefix https://p append-slash code 308 unless METH_GET\n \
              redirect location /there code 303 if HTTP_1.0",
            " monitor-uri /alive\n monitor fail if { src 127.0.0.1 }\n \
              http-request deny if { src 10.0.0.0/8 } or { path -m reg ^/a.*n/ } METH_GET\n \
              http-response deny if { res.hdr(x-r) b }",
        ],
    );
}

#[test]
fn backends_by_rule_are_the_same() {
    let server = server();
    let map = std::env::temp_dir().join(format!("outlast-hosts-{}", std::process::id()));
    std::fs::write(&map, "example.com two\nh.x none\n").unwrap();
    let at = server.address;
    let text = format!(
        "{TIMES}{SHORT}\nfrontend web\n bind 127.0.0.1:1\n acl api path_beg /api\n \
         use_backend one if api !METH_POST\n \
         use_backend %[req.hdr(host),lower,map_dom({},three)] if {{ path_beg /admin /old }}\n \
         use_backend %[req.hdr(none)] if METH_POST\n default_backend three\n\
         backend one\n http-request set-header X-Back %[be_name]\n http-response add-header X-One 1\n server a {at}\n\
         backend two\n http-request deny if {{ path_beg /admin }}\n http-request set-header X-Back two\n server a {at}\n\
         backend three\n http-response add-header X-Three %[status]\n server a {at}\n",
        map.display()
    );
    compare("backends_by_rule_are_the_same", &text, &server, &scenes());
    std::fs::remove_file(map).unwrap();
}

#[test]
fn connections_are_let_in_or_not_as_by_haproxy() {
    let server = server();
    let test = "connections_are_let_in_or_not_as_by_haproxy";
    for rules in [
        " tcp-request connection reject if { src 10.0.0.0/8 }",
        " tcp-request connection accept if { src 127.0.0.0/8 }\n tcp-request connection reject",
        " tcp-request content reject if { path_beg /admin }",
        " tcp-request content accept if { src 127.0.0.1 }\n tcp-request content reject",
    ] {
        let text = format!(
            "{TIMES}{SHORT}\nlisten web\n bind 127.0.0.1:1\n{rules}\n server a {}\n",
            server.address
        );
        compare(test, &text, &server, &scenes());
    }
    let closed = format!(
        "{TIMES}\nlisten web\n bind 127.0.0.1:1\n tcp-request connection reject\n server a {}\n",
        server.address
    );
    let rig = strict(&closed);
    let mut stream = TcpStream::connect(rig.address("web")).unwrap();
    // Nothing is waited for: not even a byte, as with haproxy.
    let heard = stream.read(&mut [0; 9]).map_err(|error| error.kind());
    assert_eq!(heard, Err(ErrorKind::ConnectionReset));
}
