use super::*;

fn envelope(starts_tls: bool, login: bool) -> Envelope {
    let login = login.then(|| Login { user: "u".to_owned(), password: "Hunter2".to_owned() });
    Envelope {
        helo: "node01".to_owned(),
        from: "o@example.org".to_owned(),
        to: vec!["a@example.org".to_owned(), "b@example.org".to_owned()],
        now: vec!["a@example.org".to_owned(), "b@example.org".to_owned()],
        login,
        starts_tls,
    }
}

fn message() -> Message {
    Message {
        id: "1@cloud".to_owned(),
        at_ms: 0,
        subject: "moved".to_owned(),
        text: "it did".to_owned(),
    }
}

/// What is said to these words of a server, a line each.
fn talk(envelope: Envelope, server: &[&str]) -> Vec<String> {
    let mut conversation = Conversation::new(envelope, &message());
    let mut said = vec![];
    for words in server {
        let step = match *words {
            "TLS" => conversation.on_secured(),
            "END" => conversation.on_closed(),
            words => conversation.on_bytes(format!("{words}\r\n").as_bytes()),
        };
        said.push(match step {
            Step::More => "...".to_owned(),
            Step::Send(bytes) => {
                let text = String::from_utf8(bytes).unwrap();
                let text = if text.starts_with("From:") { "message".to_owned() } else { text };
                text.trim_end().to_owned()
            }
            Step::Secure => "(TLS)".to_owned(),
            Step::Done { later, never } => format!("done, later {later:?}, never {never:?}"),
            Step::Failed { why, .. } => format!("failed: {why}"),
            Step::Unsure(why) => format!("unsure: {why}"),
        });
    }
    said
}

#[test]
fn a_message_goes_to_those_that_the_server_takes() {
    let said = talk(
        envelope(false, false),
        &[
            "220 hi",
            "250-mail",
            "250 SIZE 1",
            "250 ok",
            "550 5.1.1 nobody",
            "250 ok",
            "354 go",
            "250 queued",
        ],
    );
    let expected = [
        "EHLO node01",
        "...",
        "MAIL FROM:<o@example.org>",
        "RCPT TO:<a@example.org>",
        "RCPT TO:<b@example.org>",
        "DATA",
        "message",
        "done, later [], never [Refused { to: \"a@example.org\", why: \"550 5.1.1 nobody\" }]",
    ];
    assert_eq!(said, expected);
}

#[test]
fn who_is_refused_for_a_while_and_who_for_good_are_told_apart() {
    let begun = ["220 hi", "250 mail", "250 ok"];
    let words = [&begun[..], &["450 4.2.0 greylisted", "250 ok", "354 go", "250 ok"]].concat();
    let said = talk(envelope(false, false), &words);
    assert_eq!(
        said.last().unwrap(),
        "done, later [Refused { to: \"a@example.org\", why: \"450 4.2.0 greylisted\" }], never []"
    );
    // To him alone, though the message names both.
    let left = Envelope { now: vec!["a@example.org".to_owned()], ..envelope(false, false) };
    let said = talk(left, &[&begun[..], &["250 ok", "354 go"]].concat());
    assert_eq!(said[2..], ["RCPT TO:<a@example.org>", "DATA", "message"]);
    let mut conversation = Conversation::new(envelope(false, false), &message());
    let mut last = Step::More;
    for line in [&begun[..], &["550 no", "450 later"]].concat() {
        last = conversation.on_bytes(format!("{line}\r\n").as_bytes());
    }
    let Step::Failed { never, .. } = last else { panic!("{last:?}") };
    assert_eq!(never.len(), 1, "{never:?}");
}

/// RFC 5321 6.1: nobody knows whether it keeps it.
#[test]
fn a_server_that_is_silent_after_the_message_leaves_it_open() {
    let begun = ["220 hi", "250 mail", "250 ok", "250 ok", "250 ok", "354 go"];
    let said = talk(envelope(false, false), &[&begun[..], &["END"]].concat());
    assert_eq!(said.last().unwrap(), "unsure: it closed the connection to the message");
    let said = talk(envelope(false, false), &[&begun[..], &["250-it goes on", "END"]].concat());
    assert_eq!(said.last().unwrap(), "unsure: it closed the connection to the message");
    // Before that all is known.
    let said = talk(envelope(false, false), &[&begun[..5], &["END"]].concat());
    assert_eq!(said.last().unwrap(), "failed: it closed the connection to DATA");
}

#[test]
fn before_there_is_tls_nothing_is_said_and_a_password_only_then() {
    let said = talk(
        envelope(true, true),
        &[
            "220 hi",
            "250-mail\r\n250-STARTTLS\r\n250 AUTH PLAIN",
            "220 go",
            "TLS",
            "250-mail\r\n250 auth login plain",
            "235 ok",
        ],
    );
    assert_eq!(said[1..3], ["STARTTLS", "(TLS)"]);
    assert_eq!(said[3..5], ["EHLO node01", "AUTH PLAIN AHUASHVudGVyMg=="]);
    assert_eq!(said[5], "MAIL FROM:<o@example.org>");
    let none = talk(envelope(true, true), &["220 hi", "250-mail\r\n250 AUTH PLAIN"]);
    assert_eq!(none[1], "failed: it offers no STARTTLS, and nothing is said in the clear");
    let more = talk(
        envelope(true, true),
        &["220 hi", "250-mail\r\n250 STARTTLS", "220 go\r\n250 AUTH PLAIN"],
    );
    assert_eq!(more[2], "failed: it says something after STARTTLS, before there is TLS");
}

#[test]
fn a_server_of_the_old_way_of_login_is_answered_in_it() {
    let said = talk(
        envelope(false, true),
        &["220 hi", "250-mail\r\n250 AUTH=LOGIN", "334 VXNlcg==", "334 UGFzcw==", "535 5.7.8 no"],
    );
    assert_eq!(said[1..4], ["AUTH LOGIN", "dQ==", "SHVudGVyMg=="]);
    assert_eq!(said[4], "failed: it answers 535 5.7.8 no to AUTH");
    let said = talk(envelope(false, true), &["220 hi", "250-mail\r\n250 AUTH GSSAPI"]);
    assert!(said[1].starts_with("failed: it offers neither"), "{said:?}");
}

#[test]
fn what_is_no_mail_server_or_refuses_is_told_in_its_words() {
    for (server, why) in [
        (&["HTTP/1.1 400 Bad"][..], "this is no mail server: HTTP/1.1 400 Bad"),
        (&["554 go away"], "it answers 554 go away before it was spoken to"),
        (&["220 hi", "END"], "it closed the connection to EHLO"),
        (
            &["220 hi", "250 mail", "250 ok", "550 a", "550 b"],
            "it takes nobody of those who are to get it: a@example.org: 550 a; b@example.org: 550 b",
        ),
        (
            &["220 hi", "250 mail", "250 ok", "250 ok", "250 ok", "354 go", "451 later"],
            "it answers 451 later to the message",
        ),
    ] {
        let said = talk(envelope(false, false), server);
        assert_eq!(said.last().unwrap(), &format!("failed: {why}"));
    }
    let long = "220-".to_owned() + &"x".repeat(MAX_REPLY + 1);
    let said = talk(envelope(false, false), &[&long]);
    assert_eq!(said, ["failed: it says more than a mail server has to say"]);
    assert!(!format!("{:?}", envelope(false, true)).contains("Hunter2"));
}

#[test]
fn a_reply_of_lines_that_say_nothing_comes_to_an_end() {
    let mut conversation = Conversation::new(envelope(false, false), &message());
    let lines = "220-\n".repeat(100);
    let steps = (0..MAX_REPLY / 100).map(|_| conversation.on_bytes(lines.as_bytes()));
    let ended: Vec<Step> = steps.skip_while(|step| *step == Step::More).take(1).collect();
    let why = "it says more than a mail server has to say".to_owned();
    assert_eq!(ended, [Step::Failed { why, never: vec![] }]);
}
