use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;

/// MariaDB 10.11.19 (Debian 12), recorded.
const GREETING: &[u8] = b"d\x00\x00\x00\n5.5.5-10.11.19-MariaDB-0+deb12u1\x00\x06\x00\x00\x00>|{sNjN&\x00\xfe\xf7\x08\x02\x00\xff\x81\x15\x00\x00\x00\x00\x00\x00\x1d\x00\x00\x00p#\\(O5ZF/XPg\x00mysql_native_password\x00";
const OK_41: &[u8] = b"\x07\x00\x00\x02\x00\x00\x00\x02\x00\x00\x00";
const OK_40: &[u8] = b"\x03\x00\x00\x02\x00\x00\x00";
const DENIED_41: &[u8] = b"J\x00\x00\x02\xff\x15\x04#28000Access denied for user 'hapro0y'@'127.0.0.1' (using password: NO)";
const DENIED_40: &[u8] =
    b"D\x00\x00\x02\xff\x15\x04Access denied for user 'hapro0y'@'127.0.0.1' (using password: NO)";

fn http(expect: &[(u16, u16)]) -> Probe {
    let question = HttpQuestion::new("OPTIONS", "/", "HTTP/1.0", &[], "", expect);
    Probe::new(Arc::new(Question::Http(question)))
}

fn mysql(question: MysqlQuestion) -> Probe {
    Probe::new(Arc::new(Question::Mysql(question)))
}

fn login() -> Probe {
    mysql(MysqlQuestion::login("haproxy", false))
}

/// Connects, feeds `answer` in every way it can be cut in two, closes, and shows the verdict.
fn check(make: &dyn Fn() -> Probe, answer: &[u8], close: bool, expected: &Expect) {
    let run = |cut: usize| {
        let mut probe = make();
        let mut progress = probe.on_connected();
        for part in [&answer[..cut], &answer[cut..]] {
            if !part.is_empty() && !matches!(progress, Progress::Done(_)) {
                progress = probe.on_bytes(part);
            }
        }
        if close && !matches!(progress, Progress::Done(_)) {
            progress = probe.on_closed();
        }
        shown(&progress)
    };
    let whole = run(answer.len());
    for cut in 0..answer.len() {
        assert_eq!(run(cut), whole, "cut at {cut}");
    }
    expected.assert_eq(&whole);
}

fn shown(progress: &Progress) -> String {
    match progress {
        Progress::More | Progress::Send(_) => "waits".to_owned(),
        Progress::Done(r) => {
            format!("{} {} code={:?} info={:?}", r.passed, r.layer.code(), r.code, r.info)
        }
    }
}

fn sent(progress: Progress) -> Vec<u8> {
    match progress {
        Progress::Send(bytes) => bytes,
        Progress::More | Progress::Done(_) => panic!("sends nothing: {progress:?}"),
    }
}

#[test]
fn a_connect_probe_asks_nothing_more() {
    let mut probe = Probe::new(Arc::new(Question::Connect));
    assert_eq!(shown(&probe.on_connected()), r#"true L4OK code=None info="""#);
}

#[test]
fn a_refused_connection_is_told_in_the_systems_words() {
    let refused = io::Error::from_raw_os_error(111);
    assert_eq!(
        shown(&http(&[]).on_refused(&refused)),
        r#"false L4CON code=None info="Connection refused""#
    );
    let mut probe = http(&[]);
    probe.on_connected();
    assert_eq!(
        shown(&probe.on_broken(&io::Error::from_raw_os_error(104))),
        r#"false SOCKERR code=None info="Connection reset by peer""#
    );
}

#[test]
fn silence_is_told_by_how_far_the_probe_got() {
    assert_eq!(shown(&http(&[]).on_timeout()), r#"false L4TOUT code=None info="""#);
    let mut probe = http(&[]);
    probe.on_connected();
    assert_eq!(shown(&probe.on_timeout()), r#"false L7TOUT code=None info="""#);
}

#[test]
fn http_requests_are_those_of_haproxy() {
    let request = |method, uri, version, headers: &[(&str, &str)], body| {
        let headers: Vec<_> =
            headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let question = HttpQuestion::new(method, uri, version, &headers, body, &[]);
        String::from_utf8(question.request().to_vec()).unwrap()
    };
    assert_eq!(sent(http(&[]).on_connected()), b"OPTIONS / HTTP/1.0\r\n\r\n");
    assert_eq!(
        request("GET", "/x", "HTTP/1.1", &[("Host", "q")], "abc"),
        "GET /x HTTP/1.1\r\nhost: q\r\ncontent-length: 3\r\nconnection: close\r\n\r\nabc"
    );
    assert_eq!(
        request("POST", "/x", "HTTP/1.0", &[], ""),
        "POST /x HTTP/1.0\r\ncontent-length: 0\r\n\r\n"
    );
}

#[test]
fn http_answers_are_judged_by_their_status() {
    let no = |answer: &[u8], expected: Expect| check(&|| http(&[]), answer, true, &expected);
    no(b"HTTP/1.0 200 OK\r\n\r\n", expect![[r#"true L7OK code=Some(200) info="""#]]);
    no(b"\r\nHTTP/1.1 302 Found\na: b\n\n", expect![[r#"true L7OK code=Some(302) info="""#]]);
    no(b"HTTP/1.0 200\r\n\r\n", expect![[r#"true L7OK code=Some(200) info="""#]]);
    no(
        b"HTTP/1.1 503 Service Unavailable\r\nA: b\r\n\r\nbody",
        expect![[r#"false L7STS code=Some(503) info="Service Unavailable""#]],
    );
    no(b"HTTP/1.1 099 Nope\r\n\r\n", expect![[r#"false L7STS code=Some(99) info="Nope""#]]);
    no(b"", expect![[r#"false L7RSP code=None info="""#]]);
    no(b"HTTP/1.0 200 OK\r\n", expect![[r#"false L7RSP code=None info="""#]]);
    no(b"<html>hello</html>", expect![[r#"false L7RSP code=None info="""#]]);
    no(b"SSH-2.0-x\r\n\r\n", expect![[r#"false L7RSP code=None info="""#]]);
    no(b"HTTP/1.1 200 OK\r\nno header\r\n\r\n", expect![[r#"false L7RSP code=None info="""#]]);
}

#[test]
fn http_waits_for_the_end_of_the_head() {
    check(&|| http(&[]), b"HTTP/1.0 200 OK\r\n", false, &expect!["waits"]);
}

#[test]
fn http_expectations_replace_the_usual_ones() {
    let make = || http(&[(200, 204), (401, 401)]);
    check(
        &make,
        b"HTTP/1.1 302 Found\r\n\r\n",
        false,
        &expect![[r#"false L7STS code=Some(302) info="Found""#]],
    );
    check(
        &make,
        b"HTTP/1.1 401 Who\r\n\r\n",
        false,
        &expect![[r#"true L7OK code=Some(401) info="""#]],
    );
}

#[test]
fn an_answer_without_end_is_cut_at_the_limit() {
    let mut probe = http(&[]);
    probe.on_connected();
    probe.on_bytes(b"HTTP/1.1 200 OK\r\nx: ");
    let mut progress = Progress::More;
    for _ in 0..100 {
        progress = probe.on_bytes(&[b'x'; 1000]);
    }
    assert_eq!(shown(&progress), r#"false L7RSP code=None info="""#);
    assert_eq!(probe.answer.len(), MAX_ANSWER);
}

#[test]
fn mysql_requests_are_those_of_haproxy() {
    let zeros = [0; 23];
    let wanted: Vec<u8> = [
        b")\x00\x00\x01\x00\x82\x00\x00\x00\x80\x00\x01!".as_slice(),
        &zeros,
        b"haproxy\x00\x00\x01\x00\x00\x00\x01",
    ]
    .concat();
    assert_eq!(sent(login().on_connected()), wanted);
    assert_eq!(
        sent(mysql(MysqlQuestion::login("haproxy", true)).on_connected()),
        b"\x0e\x00\x00\x01\x00\x80\x00\x00\x01haproxy\x00\x00\x01\x00\x00\x00\x01"
    );
    assert_eq!(mysql(MysqlQuestion::greeting()).on_connected(), Progress::More);
}

#[test]
fn a_greeting_is_enough_without_a_user() {
    check(
        &|| mysql(MysqlQuestion::greeting()),
        GREETING,
        false,
        &expect![[r#"true L7OK code=Some(0) info="5.5.5-10.11.19-MariaDB-0+deb12u1""#]],
    );
}

#[test]
fn a_user_must_be_let_in() {
    for ok in [OK_41, OK_40] {
        check(
            &login,
            &[GREETING, ok].concat(),
            false,
            &expect![[r#"true L7OK code=Some(0) info="5.5.5-10.11.19-MariaDB-0+deb12u1""#]],
        );
    }
    check(&login, GREETING, false, &expect!["waits"]);
    check(
        &login,
        &[GREETING, DENIED_41].concat(),
        false,
        &expect![[
            r##"false L7STS code=Some(1045) info="#28000Access denied for user 'hapro0y'@'127.0.0.1' (using password: NO)""##
        ]],
    );
    check(
        &login,
        &[GREETING, DENIED_40].concat(),
        false,
        &expect![[
            r#"false L7STS code=Some(1045) info="Access denied for user 'hapro0y'@'127.0.0.1' (using password: NO)""#
        ]],
    );
}

#[test]
fn a_server_that_blocks_us_says_so_instead_of_greeting() {
    let text = b"\xff\x69\x04Host '1.2.3.4' is blocked because of many connection errors";
    let mut packet = vec![u8::try_from(text.len()).unwrap(), 0, 0, 0];
    packet.extend_from_slice(text);
    check(
        &login,
        &packet,
        false,
        &expect![[
            r#"false L7STS code=Some(1129) info="Host '1.2.3.4' is blocked because of many connection errors""#
        ]],
    );
}

#[test]
fn half_a_mysql_answer_is_invalid() {
    let invalid = expect![[r#"false L7RSP code=None info="""#]];
    check(&login, &GREETING[..20], true, &invalid);
    check(&login, GREETING, true, &invalid);
    check(&login, b"HTTP/1.1 400 Bad\r\n\r\n", true, &invalid);
    check(&login, b"\x00\x00\x00\x00", true, &invalid);
    let mut probe = mysql(MysqlQuestion::greeting());
    probe.on_connected();
    assert_eq!(
        shown(&probe.on_closed()),
        r#"false L7RSP code=None info="TCPCHK got an empty response at step 2""#
    );
}

#[test]
fn info_is_cut_to_haproxys_length() {
    let text = "ü".repeat(100);
    let mut packet = vec![u8::try_from(text.len() + 3).unwrap(), 0, 0, 0, 0xff, 1, 0];
    packet.extend_from_slice(text.as_bytes());
    let mut probe = login();
    probe.on_connected();
    let Progress::Done(report) = probe.on_bytes(&packet) else { panic!("not done") };
    assert_eq!(report.info.len(), 126);
}

proptest! {
    #[test]
    fn no_bytes_make_a_probe_panic(
        parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..8),
        greeted in any::<bool>(),
        kind in 0..3,
    ) {
        let mut probe = match kind {
            0 => http(&[]),
            1 => login(),
            _ => mysql(MysqlQuestion::greeting()),
        };
        probe.on_connected();
        if greeted {
            probe.on_bytes(GREETING);
        }
        for part in parts {
            probe.on_bytes(&part);
        }
        prop_assert!(matches!(probe.on_closed(), Progress::Done(_)));
    }
}
