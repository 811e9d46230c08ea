//! The statistics page of the published files (`listen stats`), asked on both programs.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use crate::bench::{Bench, PATIENCE, Reserved};

const FILE: &str = "
global
 log 127.0.0.1:{log} local1
 nbthread 1
 maxconn 400
 stats socket {folder}/stats level admin
defaults
 mode http
 timeout connect 2s
 timeout client 5s
 timeout server 300ms
listen stats
 bind 127.0.0.1:{stats}
 stats enable
 stats uri /
 stats refresh 15s
 stats realm Haproxy\\ Stats
 stats auth openstack:secretstat
listen api
 bind 127.0.0.1:{api}
 stats enable
 stats hide-version
 stats show-legends
 stats show-node
 stats show-desc the nodes of a page
 stats uri /admin?stats
 stats scope .
 stats scope db
 server node01 127.0.0.1:{server}
 server node02 127.0.0.1:{closed} check inter 100ms fall 1 backup
frontend web
 bind 127.0.0.1:{web}
 default_backend pool
backend pool
 balance source
 server node01 127.0.0.1:{server} weight 7
listen db
 mode tcp
 bind 127.0.0.1:{db}
 server node01 127.0.0.1:{server} check inter 100ms disabled
";

const PROXIES: [&str; 4] = ["stats", "api", "web", "db"];

/// `openstack:secretstat`.
const KEY: &str = "Authorization: Basic b3BlbnN0YWNrOnNlY3JldHN0YXQ=\r\n";

/// Where to and what is asked.
fn questions() -> Vec<(&'static str, String)> {
    let get = |target: &str, more: &str| {
        format!("GET {target} HTTP/1.1\r\nHost: a\r\n{more}Connection: close\r\n\r\n")
    };
    let mut questions = vec![
        ("stats", get("/", "")),
        ("stats", get("/", "Authorization: Basic d3Jvbmc6d3Jvbmc=\r\n")),
        ("stats", get("/", "Authorization: Bearer x\r\n")),
        ("stats", get("/;csv", "")),
    ];
    for target in
        ["/", "/;norefresh", "/;csv", "/;csv;norefresh", "/;up", "/anything?else", "/;json"]
    {
        questions.push(("stats", get(target, KEY)));
    }
    for method in ["HEAD", "POST", "PUT"] {
        let body = if method == "HEAD" { "" } else { "Content-Length: 0\r\n" };
        questions.push((
            "stats",
            format!("{method} / HTTP/1.1\r\nHost: a\r\n{KEY}{body}Connection: close\r\n\r\n"),
        ));
    }
    questions.push(("stats", format!("GET / HTTP/1.0\r\n{KEY}\r\n")));
    for target in ["/admin?stats", "/admin?stats;csv", "/admin", "/"] {
        questions.push(("api", get(target, "")));
    }
    questions
}

fn ask(bench: &Bench, to: &str, question: &str) -> (Vec<String>, String) {
    let mut stream = TcpStream::connect(bench.at(to)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(question.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let (mut lines, mut chunked) = (Vec::new(), false);
    for line in head.lines() {
        chunked |= line == "transfer-encoding: chunked";
        // How a body ends is the program's own business.
        if !line.starts_with("transfer-encoding") && !line.starts_with("content-length") {
            lines.push(line.to_owned());
        }
    }
    lines[1..].sort();
    (lines, if chunked { whole(body) } else { body.to_owned() })
}

/// The bytes of a chunked body.
fn whole(mut body: &str) -> String {
    let mut text = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        text.push_str(&rest[..size]);
        body = rest[size..].trim_start_matches("\r\n");
    }
    text
}

#[test]
fn the_page_answers_as_that_of_the_real_haproxy() {
    let Some((ours, theirs, _kept)) = both("proxy::the_page_answers_as_that_of_the_real_haproxy")
    else {
        return;
    };
    let mut differences = Vec::new();
    for (to, question) in questions() {
        let (our, their) = (ask(&ours, to, &question), ask(&theirs, to, &question));
        if our.0 != their.0 {
            let (our, their) = (our.0.join("\n  "), their.0.join("\n  "));
            differences.push(format!("{to}: {question}ours:\n  {our}\ntheirs:\n  {their}\n"));
        }
        if question.starts_with("HEAD") {
            assert!(our.1.is_empty(), "a body for HEAD");
        }
    }
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
}

/// Values that are measured: times, counts of this very conversation, and what we do not measure.
const MEASURED: [&str; 11] = [
    "lastchg",
    "downtime",
    "check_duration",
    "lastsess",
    "bout",
    "rate",
    "rate_max",
    "req_rate",
    "req_rate_max",
    "conn_rate",
    "conn_rate_max",
];

#[test]
fn the_table_has_the_rows_of_the_real_haproxys() {
    let Some((ours, theirs, _kept)) = both("proxy::the_table_has_the_rows_of_the_real_haproxys")
    else {
        return;
    };
    let key = format!("GET /;csv HTTP/1.1\r\nHost: a\r\n{KEY}Connection: close\r\n\r\n");
    let open = "GET /admin?stats;csv HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    for (to, question) in [("stats", key.as_str()), ("api", open)] {
        let (our, their) = (ask(&ours, to, question).1, ask(&theirs, to, question).1);
        assert_eq!(our.lines().next(), their.lines().next(), "the line above the rows");
        let (our, their) = (table(&our), table(&their));
        let names = |table: &Table| table.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&our), names(&their), "{to}");
        for (row, columns) in &our {
            for (column, value) in columns {
                let other = &their[row][column];
                let measured = MEASURED.contains(&column.as_str());
                // Empty: we do not measure it.
                assert!(
                    measured || value.is_empty() || value == other,
                    "{row:?} {column}: ours {value}, theirs {other}"
                );
            }
        }
    }
}

type Table = BTreeMap<(String, String), BTreeMap<String, String>>;

fn table(csv: &str) -> Table {
    let mut lines = csv.lines();
    let header: Vec<&str> = lines.next().unwrap().trim_start_matches("# ").split(',').collect();
    lines
        .filter(|line| !line.is_empty())
        .map(|line| {
            let values = line.split(',').map(str::to_owned);
            let columns: BTreeMap<String, String> =
                header.iter().map(|name| (*name).to_owned()).zip(values).collect();
            ((columns["pxname"].clone(), columns["svname"].clone()), columns)
        })
        .collect()
}

/// Of each value its place and name, what it means and its type.
fn shapes(typed: &str) -> BTreeMap<String, String> {
    let shape = |line: &str| {
        let mut parts = line.splitn(4, ':').map(str::to_owned);
        Some((parts.next()?, format!("{}:{}", parts.next()?, parts.next()?)))
    };
    typed.lines().filter_map(shape).collect()
}

/// The same of JSON: everything but the number or text itself.
fn json_shapes(json: &str) -> BTreeMap<String, String> {
    let shape = |text: &str| {
        let (key, rest) = text.split_once(",\"processNum\"")?;
        let (meaning, _) = rest.split_once(",\"value\":")?;
        let (_, kind) = rest.split_once("\"value\":{\"type\":")?;
        Some((key.to_owned(), format!("{meaning} {}", kind.split(',').next()?)))
    };
    json.split("{\"objType\":").filter_map(shape).collect()
}

#[test]
fn values_have_the_types_of_the_real_haproxys() {
    let Some((ours, theirs, _kept)) = both("proxy::values_have_the_types_of_the_real_haproxys")
    else {
        return;
    };
    let compare = |our: BTreeMap<String, String>, their: BTreeMap<String, String>| {
        assert!(our.len() > 200, "{} values", our.len());
        for (name, shape) in our {
            assert_eq!(Some(&shape), their.get(&name), "{name}");
        }
    };
    let typed = |bench: &Bench| shapes(&bench.ask("show stat typed"));
    compare(typed(&ours), typed(&theirs));
    let json = |bench: &Bench| json_shapes(&bench.ask("show stat json"));
    compare(json(&ours), json(&theirs));
    let key = format!("GET /;json HTTP/1.1\r\nHost: a\r\n{KEY}Connection: close\r\n\r\n");
    let page = |bench: &Bench| json_shapes(&ask(bench, "stats", &key).1);
    compare(page(&ours), page(&theirs));
}

#[test]
fn the_page_shows_what_the_real_haproxys_shows() {
    let Some((ours, theirs, _kept)) = both("proxy::the_page_shows_what_the_real_haproxys_shows")
    else {
        return;
    };
    let key = format!("GET / HTTP/1.1\r\nHost: a\r\n{KEY}Connection: close\r\n\r\n");
    let open = "GET /admin?stats HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    for (to, question, shown, hidden) in [
        ("stats", key.as_str(), ["api", "pool", "node02", "db"].as_slice(), ["the nodes of"]),
        ("api", open, &["the nodes of a page", "node02", "db"], [">pool<"]),
    ] {
        for bench in [&ours, &theirs] {
            let (_, body) = ask(bench, to, question);
            for word in shown {
                assert!(body.contains(word), "{word} in {body}");
            }
            for word in hidden {
                assert!(!body.contains(word), "{word} in {body}");
            }
        }
    }
}

/// Both programs in the same state: what fails its check is down, and has been told so.
fn both(test: &str) -> Option<(Bench, Bench, [Reserved; 1])> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = listener.local_addr().unwrap().port();
    // Accepts in the kernel; nobody is served by it here.
    std::mem::forget(listener);
    let closed = Reserved::new();
    let more = [("server", server), ("closed", closed.port)];
    let (ours, theirs) = Bench::pair(test, FILE, &PROXIES, &more)?;
    for bench in [&ours, &theirs] {
        let end = sys::clock::now() + PATIENCE;
        while !bench.ask("show stat api 4 -1").contains("DOWN") {
            assert!(sys::clock::now() < end, "the check does not fail");
        }
    }
    Some((ours, theirs, [closed]))
}
