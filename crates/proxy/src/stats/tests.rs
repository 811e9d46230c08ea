use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use base::{Layer, Report, Time};
use expect_test::{Expect, expect};

use super::command::{After, Desk, Level, age, run};
use super::example::{self, RealHaproxy};
use super::page::Ask;
use super::*;
use crate::counters::Count;
use crate::view::{Admin, SessionLine, View, Wish};

/// As seen 65 s after the start.
const NOW: Time = Time::from_nanos(66_000_000_000);

fn three() -> Arc<View> {
    example::view(example::three_proxies(), api::Mode::Strict)
}

fn session() -> SessionLine {
    SessionLine {
        id: 0xabc,
        worker: 1,
        client: Some("10.0.0.9:4000".parse().unwrap()),
        frontend: 0,
        backend: Some(0),
        server: Some(1),
        began: NOW - Duration::from_secs(61),
        bytes_in: 10,
        bytes_out: 20,
        expires: Some(Duration::from_secs(9)),
    }
}

/// Runs a line; gives the answer, what was wished, and what becomes of the connection.
fn obey(view: &View, level: Level, line: &str) -> (String, Vec<Wish>, After) {
    let mut out = String::new();
    let mut wishes = Vec::new();
    let sessions = || vec![session()];
    let mut desk =
        Desk { view, now: NOW, wall_ms: 1_795_478_760_000, ask: &sessions, wishes: &mut wishes };
    let mut level = level;
    let after = run(line, &mut level, &mut desk, &mut out);
    (out, wishes, after)
}

fn answer(view: &View, line: &str) -> String {
    obey(view, Level::Admin, line).0
}

fn check(line: &str, expected: &Expect) {
    expected.assert_eq(&answer(&three(), line));
}

#[test]
fn servers_are_listed_with_their_state() {
    let view = three();
    {
        let mut board = view.board();
        let refused = Report {
            passed: false,
            layer: Layer::ConnectError,
            code: None,
            info: "Connection refused".to_owned(),
            duration: Duration::from_millis(3),
            facts: Vec::new(),
        };
        (board[0][1].up, board[0][1].report) = (false, Some(refused));
        board[0][1].changed = NOW - Duration::from_secs(3);
        board[0][2].admin = Admin::Drain;
    }
    expect![[r"
        1
        # be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port
        2 api 1 node01 127.10.0.41 2 0 1 1 65 1 0 4 6 0 0 0 - 9000 - 0 0 - - 0
        2 api 2 node02 127.10.0.42 0 0 1 1 3 8 2 0 6 0 0 0 - 9000 - 0 0 - - 0
        2 api 3 node03 127.10.0.43 2 8 1 1 65 1 0 4 6 0 0 0 - 9000 - 0 0 - - 0

    "]]
    .assert_eq(&answer(&view, "show servers state api"));
}

#[test]
fn sessions_are_listed() {
    check(
        "show sess",
        &expect![[r"
        0xabc: proto=tcpv4 src=10.0.0.9:4000 fe=api be=api srv=node02 ts=01 age=1m1s rq[i=10] rp[i=20] exp=9s

    "]],
    );
}

#[test]
fn small_answers_are_haproxys() {
    check("show backend", &expect![["# name\napi\ndb\nstats\n\n"]]);
    check("show servers state zz", &expect![["Can't find backend.\n\n"]]);
    check("set server api/zz state ready", &expect![["No such server.\n\n"]]);
    check("set server zz/a state ready", &expect![["No such backend.\n\n"]]);
    check("set server", &expect![["Require 'backend/server'.\n\n"]]);
    check(
        "set server api/node01 state xx",
        &expect![["'set server <srv> state' expects 'ready', 'drain' and 'maint'.\n\n"]],
    );
    check("get weight api/node01", &expect![["1 (initial 1)\n\n"]]);
    check("show cli level", &expect![["admin\n\n"]]);
    check("show info json", &expect![["'show info' is only available as text.\n\n"]]);
}

#[test]
fn an_unknown_command_is_answered_with_alike_ones() {
    check(
        "show nothing",
        &expect![[r"
        Unknown command, but maybe one of the following ones is a better match:
          show backend                            : list backends in the current running config
          show cli level                          : display the level of the current CLI session
          show errors [<px>] [request|response]   : report last request and/or response errors for each proxy
          show info                               : report information about the running process
          show servers state [<backend>]          : dump volatile server information (all or for a single backend)
          show sess [id]                          : report the list of current sessions or dump this exact session
          show stat [no-maint|up]*                : report counters for each proxy and server
          show version                            : show version of the current process
          help [<command>]                        : list matching or all commands
          prompt                                  : toggle interactive mode with prompt
          quit                                    : disconnect

    "]],
    );
    assert!(answer(&three(), "nonsense").starts_with("Unknown command. Please enter one of"));
    assert!(answer(&three(), "").starts_with("Unknown command. Please enter one of"));
    assert!(answer(&three(), "help").starts_with("The following commands are valid"));
}

#[test]
fn commands_are_joined_by_semicolons() {
    check("show backend; show cli level ;", &expect![["# name\napi\ndb\nstats\n\nadmin\n\n"]]);
    assert_eq!(obey(&three(), Level::Admin, "quit;show backend").2, After::Ends);
}

#[test]
fn a_state_is_a_wish_of_who_may() {
    let view = three();
    let wished = |line| {
        let (text, wishes, _) = obey(&view, Level::Admin, line);
        (text, wishes)
    };
    let to = |proxy, server, to| vec![Wish::SetServer { proxy, server, to }];
    let quiet = "\n".to_owned();
    assert_eq!(
        wished("set server api/node02 state drain"),
        (quiet.clone(), to(0, 1, Admin::Drain))
    );
    assert_eq!(wished("disable server db/node01"), (quiet.clone(), to(1, 0, Admin::Maintenance)));
    assert_eq!(wished("enable server db/node01"), (quiet.clone(), to(1, 0, Admin::Ready)));
    assert_eq!(wished("set server api/node01 weight 0%"), (quiet, to(0, 0, Admin::Drain)));
    assert!(wished("set server api/node01 weight 7").1.is_empty());
    let (text, wishes, _) = obey(&view, Level::Operator, "set server api/node02 state maint");
    assert_eq!((text.as_str(), wishes), ("Permission denied\n\n", Vec::new()));
    let (text, wishes, _) =
        obey(&view, Level::Admin, "operator;set server api/node02 state maint;show cli level");
    assert_eq!((text.as_str(), wishes), ("\nPermission denied\n\noperator\n\n", Vec::new()));
}

#[test]
fn ages_are_haproxys() {
    let ages = [0, 59, 60, 61, 3600, 7384, 86_400, 100_000].map(age);
    assert_eq!(ages, ["0s", "59s", "1m", "1m1s", "1h", "2h3m", "1d", "1d3h"]);
}

/// Rows of a table as maps, by proxy and server.
fn table(csv: &str) -> BTreeMap<(String, String), BTreeMap<String, String>> {
    let mut lines = csv.lines().filter(|line| !line.is_empty());
    let names: Vec<_> = lines.next().unwrap()[2..].split(',').collect();
    lines
        .map(|line| {
            let row: BTreeMap<_, _> = names
                .iter()
                .zip(line.split(','))
                .map(|(n, v)| ((*n).to_owned(), v.to_owned()))
                .collect();
            ((row["pxname"].clone(), row["svname"].clone()), row)
        })
        .collect()
}

#[test]
fn numbers_come_from_the_counters() {
    let view = three();
    let side = &view.counters.proxies[0].servers[1];
    side.enter();
    side.add(0, Count::Sessions, 7);
    side.add(0, Count::BytesOut, 1234);
    side.add(0, Count::Status5xx, 2);
    {
        let mut board = view.board();
        (board[0][1].count, board[0][1].downs) = (1, 4);
        board[0][0].admin = Admin::Maintenance;
    }
    let table = table(&answer(&view, "show stat"));
    let row = &table[&("api".to_owned(), "node02".to_owned())];
    let values = ["scur", "stot", "bout", "hrsp_5xx", "status", "chkdown", "check_health", "addr"]
        .map(|column| row[column].as_str());
    assert_eq!(values, ["1", "7", "1234", "2", "UP 2/3", "4", "3", "127.10.0.42:9000"]);
    assert_eq!(table[&("api".to_owned(), "node01".to_owned())]["status"], "MAINT");
    assert_eq!(table.len(), 5 + 3 + 2);
    assert_eq!(answer(&view, "show stat 3 4 -1").lines().count(), 1 + 1 + 1);
    assert!(!answer(&view, "show stat no-maint").contains("MAINT"));
}

/// Servers of every kind; none is checked yet, so that nothing changes while it is looked at.
const FILE: &str = "global
 stats socket {folder}/stats level admin
 description some words
defaults
 mode http
 timeout connect 1s
 timeout client 1s
 timeout server 1s
listen api
 bind unix@{folder}/api
 balance source
 server node01 127.10.0.41:9000 weight 3
 server node02 127.10.0.42:9000 backup maxconn 9
backend db
 mode tcp
 server node01 127.10.0.41:3306 disabled check rise 4 fall 5
backend idle
 default-server rise 1
 server node01 127.10.0.41:3306
 server node02 127.10.0.42:3306 rise 7
frontend web
 bind unix@{folder}/web
 default_backend api
";

/// Columns whose values come from the file, or are zero at the start.
const SAME: &str = "type iid sid pid mode algo addr weight uweight act bck check_rise check_fall \
    rate_lim intercepted hrsp_2xx qcur stot econ dreq ereq lastsess req_tot conn_tot";

fn both(test: &str) -> Option<(Arc<View>, RealHaproxy)> {
    let real = RealHaproxy::start(test, FILE)?;
    Some((example::parsed(&FILE.replace("{folder}", "/nowhere"), api::Mode::Strict), real))
}

#[test]
fn columns_and_keys_are_those_of_the_real_haproxy() {
    let test = "proxy::columns_and_keys_are_those_of_the_real_haproxy";
    let Some((view, real)) = both(test) else { return };
    let keys = |text: &str| -> Vec<String> {
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        lines.map(|(key, _)| key.to_owned()).collect()
    };
    assert_eq!(keys(&answer(&view, "show info")), keys(&real.ask("show info")));

    let (ours, theirs) = (answer(&view, "show stat"), real.ask("show stat"));
    assert_eq!(ours.lines().next(), theirs.lines().next());
    let (ours, theirs) = (table(&ours), table(&theirs));
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    for (name, row) in &theirs {
        for column in SAME.split(' ') {
            assert_eq!(ours[name][column], row[column], "{column} of {name:?}");
        }
        if name.1 == "node02" || name.0 == "db" {
            assert_eq!(ours[name]["status"], row["status"], "status of {name:?}");
        }
        if name.1 == "node02" {
            assert_eq!(ours[name]["slim"], row["slim"]);
        }
    }
}

#[test]
fn answers_are_those_of_the_real_haproxy() {
    let Some((view, real)) = both("proxy::answers_are_those_of_the_real_haproxy") else { return };
    for line in [
        "show backend",
        "set server",
        "set server api/x state ready",
        "get weight x",
        "set server api/node01 bogus",
        "show servers state x",
        "get weight api/node01",
        "operator;show cli level;set server api/node01 state maint",
    ] {
        assert_eq!(answer(&view, line), real.ask(line), "{line}");
    }
    // All but the time since the last change.
    let states = |text: &str| -> Vec<String> {
        let words = text.lines().map(|line| line.split(' ').enumerate());
        words.map(|words| words.filter(|(at, _)| *at != 9).map(|(_, w)| w).collect()).collect()
    };
    let line = "show servers state";
    assert_eq!(states(&answer(&view, line)), states(&real.ask(line)));
}

/// The control thread's loop around a socket of ours, while `client` talks to it.
fn served<T: Send + 'static>(
    admin: bool,
    idle: Option<Duration>,
    client: impl FnOnce(UnixStream) -> T + Send + 'static,
) -> (T, Vec<Wish>) {
    let view = three();
    let mut view = Arc::into_inner(view).unwrap();
    view.config.global.stats_timeout = idle;
    let view = Arc::new(view);
    let thread = format!("{:?}", std::thread::current().id());
    let thread: String = thread.chars().filter(char::is_ascii_digit).collect();
    let path = std::env::temp_dir().join(format!("outlast-stats-{}-{thread}", std::process::id()));
    let listener = sys::socket::listen_unix(&path, Some(0o600)).unwrap();
    let poller = sys::poll::Poller::new().unwrap();
    let mut socket = Socket::new(&view, vec![(listener, admin)], 5 << 32);
    socket.start(&poller).unwrap();
    let (done, answered) = mpsc::channel();
    let (wake, waker) = (sys::poll::Waker::new().unwrap(), 1);
    poller.add(std::os::fd::AsFd::as_fd(&wake), waker, sys::poll::Interest::READ).unwrap();
    let end = wake.clone();
    let stream = UnixStream::connect(&path).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    std::thread::spawn(move || {
        drop(done.send(client(stream)));
        end.wake();
    });
    let mut wishes = Vec::new();
    let mut ready = Vec::with_capacity(16);
    let answer = loop {
        if let Ok(answer) = answered.try_recv() {
            break answer;
        }
        let now = sys::clock::now();
        let wait = socket.deadline().min(now + Duration::from_secs(20)) - now;
        poller.wait(&mut ready, Some(wait)).unwrap();
        let now = sys::clock::now();
        for event in ready.iter().filter(|event| event.token != waker) {
            socket.ready(&poller, *event, now, &|| vec![session()], &mut wishes);
        }
        socket.timeout(&poller, now);
    };
    drop(std::fs::remove_file(path));
    assert!(wishes.iter().all(|(_, by)| by.ends_with(&format!("(pid {})", std::process::id()))));
    (answer, wishes.into_iter().map(|(wish, _)| wish).collect())
}

fn talk(mut stream: UnixStream, text: &str, half_close: bool) -> String {
    stream.write_all(text.as_bytes()).unwrap();
    if half_close {
        stream.shutdown(Shutdown::Write).unwrap();
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_line_is_answered_and_the_connection_closed() {
    for half_close in [false, true] {
        let (answer, _) =
            served(true, None, move |stream| talk(stream, "show backend\nignored\n", half_close));
        assert_eq!(answer, "# name\napi\ndb\nstats\n\n");
    }
}

#[test]
fn what_a_client_may_depends_on_its_socket() {
    let line = "disable server api/node01\n";
    let (answer, wishes) = served(false, None, move |stream| talk(stream, line, true));
    assert_eq!((answer.as_str(), wishes.len()), ("Permission denied\n\n", 0));
    let (answer, wishes) = served(true, None, move |stream| talk(stream, line, true));
    assert_eq!((answer.as_str(), wishes.len()), ("\n", 1));
}

#[test]
fn half_a_command_is_not_obeyed() {
    let (answer, wishes) =
        served(true, None, |stream| talk(stream, "disable server api/node01", true));
    assert_eq!((answer.as_str(), wishes.len()), ("", 0));
}

#[test]
fn after_prompt_many_lines_are_answered() {
    let (answer, _) = served(true, None, |stream| {
        talk(stream, "prompt\nshow cli level\nshow backend;quit\n", false)
    });
    assert_eq!(answer, "\n> admin\n\n> # name\napi\ndb\nstats\n\n> ");
}

#[test]
fn who_says_nothing_is_hung_up_on() {
    let (answer, _) =
        served(true, Some(Duration::from_millis(30)), |stream| talk(stream, "show", false));
    assert_eq!(answer, "");
}

#[test]
fn a_line_without_end_is_hung_up_on() {
    let (answer, _) = served(true, None, |mut stream| {
        let sent = stream.write_all(&vec![b'x'; 4_000_000]);
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer));
        (sent.is_err(), answer)
    });
    assert_eq!(answer, (true, Vec::new()));
}

fn get<'a>(uri: &'a str, authorization: Option<&'a str>) -> Ask<'a> {
    Ask {
        method: b"GET",
        uri: uri.as_bytes(),
        authorization: authorization.map(str::as_bytes),
        keep_alive: true,
    }
}

fn paged(view: &View, ask: &Ask<'_>) -> (u16, String) {
    let mut out = Vec::new();
    let status = page(view, 2, ask, &mut out);
    (status, String::from_utf8(out).unwrap())
}

/// `openstack:secret`.
const KEY: Option<&str> = Some("Basic b3BlbnN0YWNrOnNlY3JldA==");

#[test]
fn the_page_asks_who_is_there() {
    for wrong in [None, Some("Basic b3BlbnN0YWNrOndyb25n"), Some("Bearer x"), Some("Basic ***")] {
        let (status, text) = paged(&three(), &get("/", wrong));
        assert_eq!(status, 401);
        expect![[r#"
            HTTP/1.1 401 Unauthorized
            content-length: 112
            cache-control: no-cache
            content-type: text/html
            www-authenticate: Basic realm="Haproxy Stats"

            <html><body><h1>401 Unauthorized</h1>
            You need a valid user and password to access this content.
            </body></html>
        "#]]
        .assert_eq(&text.replace('\r', ""));
    }
    assert_eq!(paged(&three(), &get("/", KEY)).0, 200);
}

#[test]
fn the_page_shows_every_server() {
    let view = three();
    {
        let mut board = view.board();
        (board[0][1].suspect, board[0][1].why) = (true, "its node is <silent>".to_owned());
        board[0][0].up = false;
    }
    let (_, text) = paged(&view, &get("/", KEY));
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("\r\nrefresh: 15\r\n") || head.ends_with("\r\nrefresh: 15"), "{head}");
    assert!(head.contains(&format!("content-length: {}\r\n", body.len())));
    for word in ["node01", "node03", "Session rate", "LastChk", "Dwntme", "Denied", "LbTot"] {
        assert!(body.contains(word), "{word}");
    }
    assert!(body.contains("<b class=\"down\">DOWN</b>"));
    assert!(body.contains("suspect: its node is &lt;silent&gt;"));
    let (_, up) = paged(&view, &get("/;up;norefresh", KEY));
    assert!(!up.contains("<b class=\"down\">DOWN</b>") && !up.contains("refresh: 15"));
}

#[test]
fn the_page_is_also_a_table() {
    let (_, text) = paged(&three(), &get("/;csv", KEY));
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("content-type: text/plain"));
    let rows = table(body);
    assert_eq!(rows.len(), 10);
    // Addresses of servers are for the operator's socket only.
    assert_eq!(rows[&("db".to_owned(), "node01".to_owned())]["addr"], "");
}

#[test]
fn other_methods_are_answered_as_by_haproxy() {
    let view = three();
    let ask = |method: &'static [u8]| Ask { method, keep_alive: false, ..get("/", KEY) };
    let (status, text) = paged(&view, &ask(b"HEAD"));
    assert!(status == 200 && text.ends_with("connection: close\r\n\r\n"));
    let (status, text) = paged(&view, &ask(b"POST"));
    assert!(status == 303 && text.contains("\r\nlocation: /;st=DENY\r\n"));
    assert_eq!(paged(&view, &ask(b"PUT")).0, 503);
}

#[test]
fn the_page_is_where_its_uri_says() {
    let mut proxies = example::three_proxies();
    proxies[2].stats.as_mut().unwrap().uri = "/haproxy?stats".to_owned();
    let view = example::view(proxies, api::Mode::Strict);
    assert!(matches(&view, 2, b"/haproxy?stats;csv"));
    assert!(!matches(&view, 2, b"/haproxy") && !matches(&view, 0, b"/haproxy?stats"));
    assert!(paged(&view, &get("/haproxy?stats;csv", KEY)).1.contains("# pxname"));
}
