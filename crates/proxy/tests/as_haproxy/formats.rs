//! `log-format`: the same line from both programs, value by value.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

use crate::bench::{Bench, PATIENCE, Reserved};

/// Values are `name=value` with `;` between them, so that a test knows what may differ.
const FILE: &str = r#"
global
 log 127.0.0.1:{log} local1
 nbthread 1
 stats socket {folder}/stats level admin
defaults
 mode http
 log global
 timeout connect 400ms
 timeout client 400ms
 timeout server 400ms
 retries 1
 log-format "Ta=%Ta;ci=%ci;cp=%cp;fi=%fi;fp=%fp;si=%si;sp=%sp;bi=%bi;bp=%bp;f=%f;ft=%ft;b=%b;s=%s"
listen ends
 bind 127.0.0.1:{ends}
 server one 127.0.0.1:{server}
listen refused
 bind 127.0.0.1:{refused}
 server one 127.0.0.1:{closed}
listen times
 bind 127.0.0.1:{times}
 log-format "TR=%TR;Tq=%Tq;Tw=%Tw;Tc=%Tc;Tr=%Tr;Td=%Td;Ta=%Ta;Tt=%Tt;Tu=%Tu;Th=%Th;Ti=%Ti;ts=%ts;tsc=%tsc;ST=%ST;B=%B;U=%U"
 server one 127.0.0.1:{server}
listen dates
 bind 127.0.0.1:{dates}
 log-format "t=%t;T=%T;Tl=%Tl;tr=%tr;trg=%trg;trl=%trl;Ts=%Ts;ms=%ms;Tsx=%{+X}Ts;B=%B"
 server one 127.0.0.1:{server}
listen request
 bind 127.0.0.1:{request}
 log-format "HM=%HM;HP=%HP;HPO=%HPO;HQ=%HQ;HU=%HU;HV=%HV;r=%r;q=%{+Q}r;e=%{+E}HU;eq=%{+E,+Q}HP;B=%B"
 server one 127.0.0.1:{server}
listen counts
 bind 127.0.0.1:{counts}
 log-format "ac=%ac/%fc/%bc/%sc/%rc;q=%sq/%bq;lc=%lc;lcx=%{+X}lc;pid=%pid;H=%H;ID=%ID;CC=%CC;CS=%CS;hr=%hr%hrl%hs%hsl;sslc=%sslc/%sslv"
 server one 127.0.0.1:{server}
listen styles
 bind 127.0.0.1:{styles}
 log-format "  two  blanks=%hr %hs  .;cix=%{+X}ci;fpx=%{+X}fp;%{+Q}o;ci=%ci;cp=%cp;s=%s;ID=%ID;ft=%ft;ST=%ST;%{-Q,-M}o;ID=%ID;b=%{+Q,+Z,E}b;p=100%%;x=%-;B=%B"
 server one 127.0.0.1:{server}
listen escapes
 bind 127.0.0.1:{escapes}
 log-format {\"json\":\"%f\",\ \'s\':\'%s\',\"B\":%B}
 server o.ne 127.0.0.1:{server}
listen expressions
 bind 127.0.0.1:{expressions}
 log-format "src=%[src];src_port=%[src_port];dst=%{+Q}[dst];dst_port=%[dst_port];hm=%HM"
 server one 127.0.0.1:{server}
listen early
 bind 127.0.0.1:{early}
 log-format "%HM %HU %b/%s %ST %tsc"
 server one 127.0.0.1:{server}
defaults tcp
 mode tcp
 log global
 timeout connect 400ms
 timeout client 300ms
 timeout server 2s
 retries 0
 log-format {\"dip\":\"%fi\",\"dport\":\"%fp\",\"c_ip\":\"%ci\",\"fe_name\":\"%ft\",\"be_name\":\"%b\",\"s_name\":\"%s\",\"ts\":\"%ts\",\"bytes_read\":\"%B\"}
frontend db from tcp
 bind 127.0.0.1:{db}
 default_backend db_back
backend db_back from tcp
 server one 127.0.0.1:{server}
listen db_times from tcp
 bind 127.0.0.1:{db_times}
 log-format "Tw=%Tw;Tc=%Tc;Td=%Td;Tt=%Tt;Tu=%Tu;Th=%Th;ST=%ST;U=%U;B=%B;ts=%ts;tsc=%tsc;si=%si:%sp;rc=%rc"
 server one 127.0.0.1:{server}
listen db_refused from tcp
 bind 127.0.0.1:{db_refused}
 log-format "Tc=%Tc;Td=%Td;ST=%ST;ts=%ts;si=%si;sp=%sp;bi=%bi;s=%s;B=%B"
 server one 127.0.0.1:{closed}
listen db_early from tcp
 bind 127.0.0.1:{db_early}
 log-format "%s %f %tsc"
 server one 127.0.0.1:{server}
"#;

const PROXIES: [&str; 14] = [
    "ends",
    "refused",
    "times",
    "dates",
    "request",
    "counts",
    "styles",
    "escapes",
    "expressions",
    "early",
    "db",
    "db_times",
    "db_refused",
    "db_early",
];

/// What a client says; it listens until the proxy closes.
const PLAIN: &str = "GET /a?b=c HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
const ABSOLUTE: &str =
    "GET http://a.b/r/3?q=[\"\\] HTTP/1.1\r\nHost: a.b\r\nConnection: close\r\n\r\n";
const BARE: &str = "GET http://a.b HTTP/1.0\r\nHost: a.b\r\n\r\n";
const STAR: &str = "OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
const TWO: &str = "GET /one HTTP/1.1\r\nHost: a\r\n\r\nPUT /two HTTP/1.1\r\nHost: a\r\n\
    Content-Length: 0\r\nConnection: close\r\n\r\n";
const NO_REQUEST: &str = "NONSENSE\r\n\r\n";
/// The client is silent: the proxy's time for it ends.
const SILENT: &str = "";

/// To whom, what, and how many lines come of it.
const CASES: &[(&str, &str, usize)] = &[
    ("ends", PLAIN, 1),
    ("ends", SILENT, 1),
    ("refused", PLAIN, 1),
    ("times", PLAIN, 1),
    ("times", TWO, 2),
    ("times", NO_REQUEST, 1),
    ("times", "GET / HTTP/1.1\r\nHost:", 1),
    ("dates", PLAIN, 1),
    ("request", PLAIN, 1),
    ("request", ABSOLUTE, 1),
    ("request", BARE, 1),
    ("request", STAR, 1),
    ("request", NO_REQUEST, 1),
    ("counts", PLAIN, 1),
    ("counts", TWO, 2),
    ("styles", PLAIN, 1),
    ("styles", NO_REQUEST, 1),
    ("escapes", PLAIN, 1),
    ("expressions", PLAIN, 1),
    ("expressions", NO_REQUEST, 1),
    ("early", PLAIN, 1),
    ("early", TWO, 2),
    ("early", NO_REQUEST, 1),
    ("db", PLAIN, 1),
    ("db", "keep", 1),
    ("db", SILENT, 1),
    ("db_times", PLAIN, 1),
    ("db_times", "keep", 1),
    ("db_refused", PLAIN, 1),
    ("db_early", PLAIN, 1),
];

/// Answers every request; says nothing to what is none, and closes when the proxy does.
fn serve(listener: TcpListener) {
    for mut stream in listener.incoming().flatten() {
        std::thread::spawn(move || {
            let mut seen = Vec::new();
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = stream.read(&mut buffer) {
                seen.extend_from_slice(&buffer[..count]);
                while let Some(end) = seen.windows(4).position(|four| four == b"\r\n\r\n") {
                    let head: Vec<u8> = seen.drain(..end + 4).collect();
                    let last = head.windows(5).any(|five| five == b"close");
                    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                    if stream.write_all(answer).is_err() || last {
                        return;
                    }
                }
            }
        });
    }
}

fn run(bench: &Bench, (to, send, lines): &(&str, &str, usize)) -> Vec<String> {
    let mut stream = TcpStream::connect(bench.at(to)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(send.as_bytes()).unwrap();
    drop(stream.read_to_end(&mut Vec::new()));
    drop(stream.shutdown(Shutdown::Both));
    let port = bench.at(to).port();
    let line = || bench.line().map_or_else(|| "no line".to_owned(), |line| masked(&line, port));
    (0..*lines).map(|_| line()).collect()
}

/// Hides what differs from run to run: moments, durations, ports, the process; and what HAProxy
/// counts of HTTP, which is its own representation. Their form stays, and `-1`.
fn masked(line: &str, own_port: u16) -> String {
    let text = line.split_once("]: ").unwrap().1.trim_end_matches('\n');
    let text = text.replace(&format!("\"{own_port}\""), "OWN");
    let field = |field: &str| {
        let Some((name, value)) = field.split_once('=') else { return field.to_owned() };
        let is_http = text.contains("TR=") || text.contains("HM=");
        let digits = |value: &str| {
            value.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect::<String>()
        };
        let value = match name {
            _ if value == "-1" => value.to_owned(),
            "TR" | "Tq" | "Tw" | "Tc" | "Tr" | "Td" | "Ta" | "Tt" | "Tu" | "Ti" | "pid" | "Ts"
            | "cp" | "bp" | "src_port" => {
                if value.parse::<u32>().is_ok() {
                    "NUMBER".to_owned()
                } else {
                    value.to_owned()
                }
            }
            "fp" | "dst_port" if value == own_port.to_string() => "OWN".to_owned(),
            "fpx" if value == format!("{own_port:04X}") => "OWN".to_owned(),
            "B" | "U" if is_http || name == "B" && !text.contains("ST=0") => "BYTES".to_owned(),
            "Tsx" => value.len().to_string(),
            "t" | "T" | "Tl" | "tr" | "trg" | "trl" | "ms" => month(&digits(value)),
            _ => value.to_owned(),
        };
        format!("{name}={value}")
    };
    text.split(';').map(field).collect::<Vec<_>>().join(";")
}

/// A month may end while this runs.
fn month(date: &str) -> String {
    date.split('/')
        .map(|part| if part.len() == 3 { "Mon" } else { part })
        .collect::<Vec<_>>()
        .join("/")
}

#[test]
fn lines_of_an_own_format_are_those_of_the_real_haproxy() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = listener.local_addr().unwrap().port();
    std::thread::spawn(move || serve(listener));
    let test = "proxy::lines_of_an_own_format_are_those_of_the_real_haproxy";
    let closed = Reserved::new();
    let more = [("server", server), ("closed", closed.port)];
    let Some((ours, theirs)) = Bench::pair(test, FILE, &PROXIES, &more) else { return };
    let mut differences = Vec::new();
    for case in CASES {
        let (our, their) = (run(&ours, case), run(&theirs, case));
        if our != their {
            differences.push(format!("{case:?}\nours   {our:#?}\ntheirs {their:#?}\n"));
        }
    }
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
}
