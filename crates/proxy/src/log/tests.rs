use std::net::UdpSocket;
use std::time::Duration;

use base::{Layer, Report};
use expect_test::{Expect, expect};

use super::*;
use crate::record::Destination;
use crate::stats::example;
use crate::view::Admin;

fn record(request_line: &[u8]) -> LogRecord<'_> {
    LogRecord {
        client: Some(SocketAddr::from(([127, 0, 0, 1], 33008))),
        // 2026-11-05 03:43:15.007 UTC.
        began_ms: 1_793_850_195_007,
        accepted_ms: 1_793_850_194_907,
        local: Some(SocketAddr::from(([127, 0, 0, 2], 80))),
        path: Some([([10, 0, 0, 1], 40001), ([10, 0, 0, 2], 8080)].map(SocketAddr::from)),
        http: true,
        frontend: 0,
        backend: Some(0),
        destination: Destination::Server(1),
        idle: 100,
        data: 4,
        request: 0,
        waiting: 1,
        connect: 2,
        response: 3,
        total: 6,
        status: Some(200),
        bytes: 56,
        bytes_up: 70,
        number: 10,
        termination: *b"----",
        connections: [5, 4, 3, 2],
        retries: 0,
        redispatched: false,
        queues: [0, 0],
        request_line,
        null: false,
        failed: false,
    }
}

/// A logger, and the socket its lines come to.
fn logger(change: impl FnOnce(&mut Vec<config::haproxy::Proxy>)) -> (Logger, UdpSocket) {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    receiver.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut proxies = example::three_proxies();
    for proxy in &mut proxies {
        proxy.logs = vec![example::log_to(receiver.local_addr().unwrap())];
    }
    change(&mut proxies);
    let view = example::view(proxies, api::Mode::Strict);
    let sockets = Sockets::open(&view).unwrap();
    (Logger::new(&view, &sockets), receiver)
}

fn next(receiver: &UdpSocket) -> String {
    let mut buffer = [0; 4096];
    let length = receiver.recv(&mut buffer).unwrap();
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

/// Hides what differs from machine to machine: now, process, time zone.
fn masked(line: &str) -> String {
    let (header, text) = line.split_once("]: ").unwrap_or_else(|| panic!("no header: {line}"));
    let (priority, rest) = header.split_once('>').unwrap();
    // `Nov  5 03:43:15 haproxy[27163`
    let (date, tag) = rest.split_at(16);
    assert!(date.is_ascii() && date.ends_with(' ') && date.as_bytes()[6] == b' ', "{date:?}");
    let tag = tag.split('[').next().unwrap();
    let text = match (text.find('['), text.find(']')) {
        (Some(open), Some(close)) => format!("{}[DATE{}", &text[..open], &text[close..]),
        _ => text.to_owned(),
    };
    format!("{priority}> {tag}: {text}")
}

fn check(write: impl FnOnce(&mut Logger), expected: &Expect) {
    let (mut logger, receiver) = logger(|_| {});
    write(&mut logger);
    logger.flush();
    expected.assert_eq(&masked(&next(&receiver)));
}

#[test]
fn an_http_request_is_logged_as_httplog() {
    check(
        |logger| logger.session(&record(b"GET / HTTP/1.1")),
        &expect![[r#"
            <142> haproxy: 127.0.0.1:33008 [DATE] api api/node02 0/1/2/3/6 200 56 - - ---- 5/4/3/2/0 0/0 "GET / HTTP/1.1"
        "#]],
    );
}

#[test]
fn a_bad_request_has_no_server_and_no_line() {
    check(
        |logger| {
            logger.session(&LogRecord {
                client: Some("[::1]:58252".parse().unwrap()),
                backend: None,
                destination: Destination::Nobody,
                request: -1,
                waiting: -1,
                connect: -1,
                response: -1,
                total: 501,
                status: Some(408),
                bytes: 0,
                termination: *b"cR--",
                connections: [1, 1, 0, 0],
                ..record(b"")
            });
        },
        &expect![[r#"
            <142> haproxy: ::1:58252 [DATE] api api/<NOSRV> -1/-1/-1/-1/501 408 0 - - cR-- 1/1/0/0/0 0/0 "<BADREQ>"
        "#]],
    );
}

#[test]
fn a_redispatched_request_shows_its_retries_with_a_plus() {
    check(
        |logger| {
            logger.session(&LogRecord {
                retries: 3,
                redispatched: true,
                queues: [2, 7],
                status: None,
                ..record(b"GET /a\"b#c\xc3\xa4 HTTP/1.1")
            });
        },
        &expect![[r#"
            <142> haproxy: 127.0.0.1:33008 [DATE] api api/node02 0/1/2/3/6 -1 56 - - ---- 5/4/3/2/+3 2/7 "GET /a#22b#23c#C3#A4 HTTP/1.1"
        "#]],
    );
}

#[test]
fn a_tcp_session_is_logged_as_tcplog() {
    check(
        |logger| {
            logger.session(&LogRecord {
                frontend: 1,
                backend: Some(1),
                destination: Destination::Server(0),
                client: None,
                termination: *b"CD  ",
                ..record(b"")
            });
        },
        &expect![[r"
            <142> haproxy: unix:1 [DATE] db db/node01 1/2/6 56 CD 5/4/3/2/0 0/0
        "]],
    );
}

#[test]
fn a_proxy_without_format_logs_at_the_beginning() {
    let (mut logger, receiver) = logger(|proxies| proxies[0].log_format = LogFormat::Plain);
    let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
    logger.session(&record(b"GET / HTTP/1.1"));
    logger.accepted(0, at(4502), at(18191));
    logger.flush();
    assert_eq!(
        masked(&next(&receiver)),
        "<142> haproxy: Connect from 127.0.0.1:4502 to 127.0.0.1:18191 (api/HTTP)\n"
    );
}

#[test]
fn dates_are_written_with_their_zeros_and_spaces() {
    let mut stamps = Stamps::default();
    let offset = sys::calendar::local(1_793_850_195).offset;
    // The same clock time in whatever zone the machine is.
    let second = (1_793_850_195 - offset).unsigned_abs();
    assert_eq!(String::from_utf8_lossy(stamps.syslog(second)), "Nov  5 03:43:15 ");
    assert_eq!(moment(second * 1000 + 7), "05/Nov/2026:03:43:15.007");
    assert_eq!(String::from_utf8_lossy(stamps.syslog(second + 864_000)), "Nov 15 03:43:15 ");
}

#[test]
fn lines_are_cut_to_haproxys_length() {
    let (mut logger, receiver) = logger(|_| {});
    let long = [b"GET /".as_slice(), &[b'x'; 3000]].concat();
    logger.session(&record(&long));
    logger.flush();
    let line = next(&receiver);
    assert_eq!(line.len(), 1025);
    assert!(line.ends_with("xxx\n"));
}

#[test]
fn options_leave_lines_out() {
    let (mut logger, receiver) = logger(|proxies| {
        proxies[0].no_log_null = true;
        proxies[0].no_log_normal = true;
    });
    logger.session(&record(b"GET /normal HTTP/1.1"));
    logger.session(&LogRecord { null: true, failed: true, ..record(b"") });
    logger.session(&LogRecord { failed: true, ..record(b"GET /failed HTTP/1.1") });
    logger.flush();
    assert!(next(&receiver).contains("/failed"));
}

#[test]
fn levels_are_filtered_and_raised_per_target() {
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    other.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let (mut logger, receiver) = logger(|proxies| {
        proxies[0].logs[0].level = 5;
        let mut target = example::log_to(other.local_addr().unwrap());
        (target.facility, target.min_level) = (3, 4);
        proxies[0].logs.push(target);
    });
    logger.session(&record(b"GET / HTTP/1.1"));
    logger.stopped(0);
    logger.flush();
    assert!(next(&other).starts_with("<30>"));
    assert!(next(&other).starts_with("<28>"));
    let line = masked(&next(&receiver));
    assert_eq!(line, "<140> haproxy: Proxy api stopped (cumulated conns: FE: 0, BE: 0).\n");
}

#[test]
fn many_lines_leave_in_order() {
    let (mut logger, receiver) = logger(|_| {});
    for number in 0..2 * BATCH + 3 {
        logger.session(&record(format!("GET /{number} HTTP/1.1").as_bytes()));
    }
    logger.flush();
    for number in 0..2 * BATCH + 3 {
        assert!(next(&receiver).contains(&format!("\"GET /{number} ")));
    }
}

fn failed() -> Report {
    Report {
        passed: false,
        layer: Layer::ConnectError,
        code: None,
        info: "Connection refused".to_owned(),
        duration: Duration::from_millis(3),
        facts: Vec::new(),
    }
}

/// Applies the change to the board of `api`, and returns what the log says.
fn told(
    prepare: &[(usize, bool, Admin)],
    server: usize,
    change: ServerChange<'_>,
    lines: usize,
) -> String {
    let (mut logger, receiver) = logger(|_| {});
    let view = Arc::clone(&logger.view);
    let mut board = view.board();
    for &(server, up, admin) in prepare {
        (board[0][server].up, board[0][server].admin) = (up, admin);
    }
    logger.server(0, server, &board[0], change);
    logger.flush();
    (0..lines).map(|_| masked(&next(&receiver))).collect()
}

#[test]
fn a_server_that_goes_down_is_told_with_its_reason() {
    let text = told(&[(1, false, Admin::Ready)], 1, ServerChange::Down(&failed()), 1);
    expect![[r#"
        <137> haproxy: Server api/node02 is DOWN, reason: Layer4 connection problem, info: "Connection refused", check duration: 3ms. 1 active and 1 backup servers left. 0 sessions active, 0 requeued, 0 remaining in queue.
    "#]]
    .assert_eq(&text);
}

#[test]
fn the_last_active_server_leaves_the_backup() {
    let prepare = [(0, false, Admin::Ready), (1, true, Admin::Maintenance)];
    let text = told(&prepare, 1, ServerChange::Admin { from: Admin::Ready }, 1);
    expect![[r"
        <137> haproxy: Server api/node02 is going DOWN for maintenance. 0 active and 1 backup servers left. Running on backup. 0 sessions active, 0 requeued, 0 remaining in queue.
    "]]
    .assert_eq(&text);
}

#[test]
fn the_last_server_leaves_nobody() {
    let down = [(0, false, Admin::Ready), (1, true, Admin::Drain), (2, false, Admin::Ready)];
    let text = told(&down, 2, ServerChange::Down(&failed()), 2);
    expect![[r#"
        <137> haproxy: Backup Server api/node03 is DOWN, reason: Layer4 connection problem, info: "Connection refused", check duration: 3ms. 0 active and 0 backup servers left. 0 sessions active, 0 requeued, 0 remaining in queue.
        <136> haproxy: proxy api has no server available!
    "#]]
    .assert_eq(&text);
}

#[test]
fn a_server_that_comes_up_is_told_with_what_it_said() {
    let report = Report {
        passed: true,
        layer: Layer::AnswerOk,
        code: Some(0),
        info: "8.0\"19\n".to_owned(),
        ..failed()
    };
    let text = told(&[], 0, ServerChange::Up(&report), 1);
    expect![[r#"
        <141> haproxy: Server api/node01 is UP, reason: Layer7 check passed, code: 0, info: "8.0<22>19<0A>", check duration: 3ms. 2 active and 1 backup servers online. 0 sessions requeued, 0 total in queue.
    "#]]
    .assert_eq(&text);
}

#[test]
fn every_check_is_told_where_that_is_wanted() {
    let (mut logger, receiver) = logger(|proxies| proxies[0].log_health_checks = true);
    let view = Arc::clone(&logger.view);
    let outcome =
        |count, up| crate::view::Outcome { proxy: 0, server: 0, report: failed(), count, up };
    logger.checked(&outcome(1, true));
    logger.checked(&outcome(0, false));
    let mut board = view.board();
    board[0][0].up = false;
    logger.server(0, 0, &board[0], ServerChange::Down(&failed()));
    logger.flush();
    let text: String = (0..3).map(|_| masked(&next(&receiver))).collect();
    expect![[r#"
        <141> haproxy: Health check for server api/node01 failed, reason: Layer4 connection problem, info: "Connection refused", check duration: 3ms, status: 2/3 UP.
        <141> haproxy: Health check for server api/node01 failed, reason: Layer4 connection problem, info: "Connection refused", check duration: 3ms, status: 0/2 DOWN.
        <137> haproxy: Server api/node01 is DOWN. 1 active and 1 backup servers left. 0 sessions active, 0 requeued, 0 remaining in queue.
    "#]]
    .assert_eq(&text);
}

#[test]
fn what_the_operator_wants_is_told() {
    let admin = |from| ServerChange::Admin { from };
    let mut text = told(&[(0, true, Admin::Drain)], 0, admin(Admin::Ready), 1);
    text += &told(&[], 0, admin(Admin::Drain), 1);
    text += &told(&[], 0, admin(Admin::Maintenance), 1);
    text += &told(&[(0, false, Admin::Ready)], 0, admin(Admin::Maintenance), 1);
    text += &told(&[(0, false, Admin::Maintenance)], 0, admin(Admin::Ready), 1);
    expect![[r"
        <141> haproxy: Server api/node01 enters drain state. 1 active and 1 backup servers online. 0 sessions requeued, 0 total in queue.
        <141> haproxy: Server api/node01 is UP (leaving forced drain).
        <141> haproxy: Server api/node01 is UP/READY (leaving forced maintenance).
        <141> haproxy: Server api/node01 is DOWN/READY (leaving forced maintenance).
        <141> haproxy: Server api/node01 was DOWN and now enters maintenance.
    "]]
    .assert_eq(&text);
}
