use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use config::haproxy::{Check, HttpCheck, Mode, MysqlCheck, Proxy, Timeouts};
use expect_test::{Expect, expect};

use super::*;
use crate::stats::example;

/// Longer than anything here takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(20);

struct Run {
    driver: Driver,
    poller: Poller,
    out: Vec<Outcome>,
}

impl Run {
    fn new(proxies: Vec<Proxy>) -> Self {
        let view = example::view(proxies, api::Mode::Strict);
        let driver = Driver::new(&view, 7 << 32);
        Self { driver, poller: Poller::new().unwrap(), out: Vec::new() }
    }

    /// The control thread's loop, until `enough`.
    fn until(&mut self, enough: impl Fn(&Driver, &[Outcome]) -> bool) -> &[Outcome] {
        let end = sys::clock::now() + PATIENCE;
        let mut ready = Vec::with_capacity(16);
        while !enough(&self.driver, &self.out) {
            let now = sys::clock::now();
            assert!(now < end, "still waiting after {PATIENCE:?}: {:?}", self.out);
            let wait = self.driver.deadline().min(end) - now;
            self.poller.wait(&mut ready, Some(wait)).unwrap();
            let now = sys::clock::now();
            for event in &ready {
                self.driver.ready(&self.poller, *event, now, &mut self.out);
            }
            self.driver.timeout(&self.poller, now, &mut self.out);
        }
        &self.out
    }

    fn begin(&mut self) {
        self.driver.start(sys::clock::now());
    }
}

/// A server that does `serve` with every connection.
fn listen(serve: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            serve(stream);
        }
    });
    address
}

/// A port where nobody listens.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn quick(address: SocketAddr) -> Server {
    let check = Check {
        interval: Duration::from_millis(20),
        fast_interval: None,
        down_interval: None,
        rise: 2,
        fall: 2,
        address: None,
        port: None,
    };
    Server { check: Some(check), ..example::server("node01", address) }
}

fn one(address: SocketAddr, kind: CheckKind, timeouts: Timeouts) -> Run {
    let proxy = example::proxy("api", Mode::Http, vec![quick(address)]);
    Run::new(vec![Proxy { check: kind, timeouts, ..proxy }])
}

fn httpchk() -> CheckKind {
    CheckKind::Http(HttpCheck {
        method: "OPTIONS".to_owned(),
        uri: "/".to_owned(),
        version: "HTTP/1.0".to_owned(),
        headers: Vec::new(),
        body: String::new(),
        expect_status: Vec::new(),
    })
}

fn with_check_timeout(ms: u64) -> Timeouts {
    Timeouts { check: Some(Duration::from_millis(ms)), ..Timeouts::default() }
}

fn shown(outcome: &Outcome) -> String {
    let r = &outcome.report;
    format!("{} {:?} {:?} count={} up={}", r.layer, r.code, r.info, outcome.count, outcome.up)
}

fn check(mut run: Run, outcomes: usize, expected: &Expect) {
    run.begin();
    run.until(|_, out| out.len() >= outcomes);
    let lines: Vec<_> = run.out[..outcomes].iter().map(shown).collect();
    expected.assert_eq(&lines.join("\n"));
}

#[test]
fn a_refusing_server_goes_down_after_its_first_failure() {
    check(
        one(nobody(), CheckKind::Tcp, Timeouts::default()),
        2,
        &expect![[r#"
            Layer4 connection problem None "Connection refused" count=0 up=false
            Layer4 connection problem None "Connection refused" count=0 up=false"#]],
    );
}

#[test]
fn an_accepting_server_stays_up() {
    check(
        one(listen(drop), CheckKind::Tcp, Timeouts::default()),
        2,
        &expect![[r#"
            Layer4 check passed None "" count=0 up=true
            Layer4 check passed None "" count=0 up=true"#]],
    );
}

#[test]
fn a_server_that_answers_500_is_down() {
    let address = listen(|mut stream| {
        let mut request = [0; 22];
        stream.read_exact(&mut request).unwrap();
        assert_eq!(&request, b"OPTIONS / HTTP/1.0\r\n\r\n");
        stream.write_all(b"HTTP/1.1 500 Oops it broke\r\n\r\n").unwrap();
    });
    check(
        one(address, httpchk(), with_check_timeout(20_000)),
        1,
        &expect![[r#"Layer7 wrong status Some(500) "Oops it broke" count=0 up=false"#]],
    );
}

#[test]
fn a_silent_server_is_given_its_time_after_the_connect() {
    let (keep, kept) = std::sync::mpsc::channel();
    let address = listen(move |stream| drop(keep.send(stream)));
    let mut run = one(address, httpchk(), with_check_timeout(120));
    run.begin();
    let outcome = &run.until(|_, out| !out.is_empty())[0];
    assert_eq!(outcome.report.layer, Layer::AnswerTimeout);
    // The interval is 20 ms: without `timeout check` it would have ended there.
    assert!(outcome.report.duration >= Duration::from_millis(120));
    drop(kept);
}

#[test]
fn a_database_is_asked_to_let_the_user_in() {
    let address = listen(|mut stream| {
        let greeting = b"\x0a5.5.5-10.11.19-MariaDB\0rest";
        let packet = [&[u8::try_from(greeting.len()).unwrap(), 0, 0, 0], &greeting[..]].concat();
        stream.write_all(&packet).unwrap();
        let mut login = [0; 50];
        stream.read_exact(&mut login).unwrap();
        assert!(login.windows(8).any(|w| w == b"haproxy\0"));
        stream.write_all(b"\x07\0\0\x02\0\0\0\x02\0\0\0").unwrap();
    });
    let kind = CheckKind::Mysql(MysqlCheck { user: Some("haproxy".to_owned()), pre_41: false });
    check(
        one(address, kind, with_check_timeout(20_000)),
        1,
        &expect![[r#"Layer7 check passed Some(0) "5.5.5-10.11.19-MariaDB" count=0 up=true"#]],
    );
}

#[test]
fn a_server_comes_back_after_rise_answers() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut run = one(address, CheckKind::Tcp, Timeouts::default());
    run.begin();
    run.until(|_, out| out.last().is_some_and(|o| !o.up));
    let _listener = TcpListener::bind(address).unwrap();
    let out = run.until(|_, out| out.last().is_some_and(|o| o.up));
    let last = out.iter().rev().take(2).map(|o| (o.report.passed, o.up));
    assert_eq!(last.collect::<Vec<_>>(), [(true, true), (true, false)]);
}

#[test]
fn a_server_in_maintenance_is_left_alone() {
    let mut run = one(nobody(), CheckKind::Tcp, Timeouts::default());
    run.begin();
    run.until(|_, out| out.last().is_some_and(|o| !o.up));
    let now = sys::clock::now();
    run.driver.set_admin(&run.poller, 0, 0, Admin::Maintenance, now);
    assert_eq!(run.driver.deadline(), Time::NEVER);
    run.driver.set_admin(&run.poller, 0, 0, Admin::Ready, now);
    assert!(run.driver.is_up(0, 0), "as haproxy: up until the check that follows at once");
    assert_eq!(run.driver.deadline(), now);
    run.out.clear();
    assert!(!run.until(|_, out| !out.is_empty())[0].up);
}

#[test]
fn suspicion_brings_the_next_check_forward() {
    let mut server = quick(nobody());
    server.check.as_mut().unwrap().interval = Duration::from_secs(3600);
    let mut run = Run::new(vec![example::proxy("api", Mode::Http, vec![server.clone(), server])]);
    run.begin();
    assert!(run.driver.deadline() <= sys::clock::now());
    run.until(|_, out| out.len() == 1);
    assert!(run.driver.deadline() > sys::clock::now() + Duration::from_secs(1700));
    run.driver.check_now(0, 1, sys::clock::now());
    let out = run.until(|_, out| out.len() == 2);
    assert_eq!(out[1].server, 1);
    let evidence = evidence(&out[1].report, sys::clock::now());
    assert_eq!(evidence, Some(Evidence::Refused));
}

#[test]
fn the_first_checks_are_spread_over_an_interval() {
    let servers = (0..4).map(|_| example::server("node", nobody())).collect();
    let mut run = Run::new(vec![example::proxy("api", Mode::Http, servers)]);
    let now = Time::from_nanos(1_000_000_000);
    run.driver.start(now);
    let due = run.driver.targets.iter().map(|t| (t.due - now).as_millis());
    assert_eq!(due.collect::<Vec<_>>(), [0, 500, 1000, 1500]);
}

#[test]
fn counting_goes_on_in_the_next_generation() {
    let mut run = one(nobody(), CheckKind::Tcp, Timeouts::default());
    let mut state = api::ServerState {
        proxy: "api".to_owned(),
        server: "node01".to_owned(),
        check: api::ServerCheck::Down,
        suspect: false,
        why: String::new(),
        count: 1,
        resting: false,
    };
    run.driver.restore(std::slice::from_ref(&state));
    assert!(!run.driver.is_up(0, 0));
    assert_eq!(run.driver.targets[0].health.count(), 1);
    state.check = api::ServerCheck::Maintenance;
    run.driver.restore(std::slice::from_ref(&state));
    assert!(!run.driver.targets[0].wanted);
    state.check = api::ServerCheck::Up;
    run.driver.restore(std::slice::from_ref(&state));
    assert!(run.driver.targets[0].wanted && run.driver.is_up(0, 0));
}

#[test]
fn who_slept_accuses_nobody() {
    let (keep, kept) = std::sync::mpsc::channel();
    let address = listen(move |stream| drop(keep.send(stream)));
    let mut run = one(address, httpchk(), Timeouts::default());
    run.begin();
    run.until(|driver, _| driver.targets[0].probing.is_some());
    // As if the process had been frozen for a minute.
    let late = sys::clock::now() + Duration::from_secs(60);
    run.driver.timeout(&run.poller, late, &mut run.out);
    assert!(run.out.is_empty(), "{:?}", run.out);
    assert_eq!(run.driver.targets[0].due, late);
    drop(kept);
}

#[test]
fn events_of_a_closed_socket_are_nobodys() {
    let mut run = one(nobody(), CheckKind::Tcp, Timeouts::default());
    run.begin();
    run.until(|_, out| out.len() == 3);
    let number = run.driver.targets[0].number;
    let old = Ready {
        token: (7 << 32) | ((number - 1) << INDEX_BITS),
        readable: true,
        writable: true,
        hangup: true,
        error: true,
    };
    run.driver.ready(&run.poller, old, sys::clock::now(), &mut run.out);
    assert_eq!(run.out.len(), 3);
}
