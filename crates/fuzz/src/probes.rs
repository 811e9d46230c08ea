//! Answers of other people's servers.

use std::sync::Arc;

use base::Report;
use remote::probe::{HttpQuestion, MAX_ANSWER, MysqlQuestion, Probe, Progress, Question};

/// As HAProxy cuts them (`HCHK_DESC_LEN`).
const MAX_INFO: usize = 127;

/// The first byte says where the answer is cut in two.
pub(crate) fn answer(bytes: &[u8]) {
    let Some((&cut, answer)) = bytes.split_first() else { return };
    let cut = usize::from(cut).min(answer.len());
    let http = |expect: &[(u16, u16)]| {
        Question::Http(HttpQuestion::new("OPTIONS", "/", "HTTP/1.0", &[], "", expect))
    };
    let questions = [
        Question::Connect,
        http(&[]),
        http(&[(200, 200), (500, 503)]),
        Question::Mysql(MysqlQuestion::greeting()),
        Question::Mysql(MysqlQuestion::login("haproxy", false)),
        Question::Mysql(MysqlQuestion::login("haproxy", true)),
    ];
    for question in questions.map(Arc::new) {
        let whole = verdict(&question, [answer].into_iter());
        let halves = verdict(&question, [&answer[..cut], &answer[cut..]].into_iter());
        assert_eq!(halves, whole, "in two pieces: {question:?}");
        if answer.len() < 512 {
            assert_eq!(verdict(&question, answer.chunks(1)), whole, "byte by byte: {question:?}");
        }
    }
}

fn verdict<'a>(question: &Arc<Question>, pieces: impl Iterator<Item = &'a [u8]>) -> Report {
    let mut probe = Probe::new(Arc::clone(question));
    let mut progress = probe.on_connected();
    let mut fed = 0;
    for piece in pieces.filter(|piece| !piece.is_empty()) {
        if matches!(progress, Progress::Done(_)) {
            break;
        }
        assert!(fed < MAX_ANSWER, "a server that never ends is not listened to for ever");
        fed += piece.len();
        progress = probe.on_bytes(piece);
    }
    if !matches!(progress, Progress::Done(_)) {
        progress = probe.on_closed();
    }
    let Progress::Done(report) = progress else { panic!("closed, and no verdict") };
    assert!(report.info.len() <= MAX_INFO, "{report:?}");
    assert!(!report.info.chars().any(char::is_control), "it goes into logs: {report:?}");
    report
}
