//! Answers of mail servers and webhooks to notifications.

use remote::mail::{Conversation, Envelope, Login, MAX_REPLY, Message, Step};
use remote::webhook::{Answer, headers};

/// The first byte says where the answer is cut in two, and what is asked for.
pub(crate) fn answer(bytes: &[u8]) {
    let Some((&first, answer)) = bytes.split_first() else { return };
    let cut = usize::from(first).min(answer.len());
    let whole = mail(first, [answer].into_iter());
    assert_eq!(mail(first, [&answer[..cut], &answer[cut..]].into_iter()), whole, "in two pieces");
    let posted = post([answer].into_iter());
    assert_eq!(post([&answer[..cut], &answer[cut..]].into_iter()), posted, "in two pieces");
    if answer.len() < 512 {
        assert_eq!(mail(first, answer.chunks(1)), whole, "byte by byte");
        assert_eq!(post(answer.chunks(1)), posted, "byte by byte");
    }
    if let Ok(text) = std::str::from_utf8(answer)
        && let Ok(found) = headers(text)
    {
        let is_line = |text: &String| !text.contains(['\r', '\n', '\0']);
        assert!(found.iter().all(|(name, value)| is_line(name) && is_line(value)), "{found:?}");
    }
}

/// All that is said to these words, and how it ends. A server speaks in turn: what it says too early is kept back by
/// this driver, as by a connection.
fn mail<'a>(first: u8, pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<u8>, Step) {
    let login = Login { user: "u".to_owned(), password: "Hunter2".to_owned() };
    let envelope = Envelope {
        helo: "node01".to_owned(),
        from: "o@example.org".to_owned(),
        to: vec!["a@example.org".to_owned(), "b@example.org".to_owned()],
        now: vec!["a@example.org".to_owned(), "b@example.org".to_owned()],
        login: (first & 1 == 1).then_some(login),
        starts_tls: false,
    };
    let message = Message {
        id: "a@b".to_owned(),
        at_ms: 0,
        subject: "moved".to_owned(),
        text: "it did".to_owned(),
    };
    let mut conversation = Conversation::new(envelope, &message);
    let mut said = vec![];
    for piece in pieces {
        let mut step = conversation.on_bytes(piece);
        loop {
            match step {
                Step::More => break,
                Step::Send(bytes) => said.extend(bytes),
                Step::Secure => panic!("there is to be no TLS"),
                Step::Done { ref later, ref never } => {
                    assert!(later.len() + never.len() < 2, "somebody has it: {step:?}");
                    return (said, step);
                }
                Step::Failed { ref why, .. } | Step::Unsure(ref why) => {
                    assert!(!why.contains("Hunter2") && why.len() < 2 * MAX_REPLY, "{why}");
                    assert!(!why.chars().any(char::is_control), "it goes into logs: {why}");
                    return (said, step);
                }
            }
            step = conversation.on_bytes(&[]);
        }
    }
    (said, conversation.on_closed())
}

fn post<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Result<(), String> {
    let mut answer = Answer::default();
    for piece in pieces {
        if let Some(verdict) = answer.on_bytes(piece) {
            return verdict;
        }
    }
    answer.on_closed()
}
