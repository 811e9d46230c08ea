use config::cluster::parse;

use super::*;

fn event(what: &str, object: &str, evidence: &str, decision: &str) -> Event {
    let [what, object, evidence, decision] = [what, object, evidence, decision].map(str::to_owned);
    let (node, at_ms, seq) = ("node02".to_owned(), 1_700_000_000_123, 57);
    Event { node, what, object, evidence, decision, at_ms, seq, ..Event::default() }
}

/// Names of events come from other nodes, and go into the heads of mails and of requests.
#[test]
fn a_name_that_would_break_the_head_of_a_mail_is_left_of_it() {
    let evil = Event {
        node: "n\r\nBcc: all@example.org".to_owned(),
        ..event("vip-claimed", "vip/a>\r\n\r\n.\r\nMAIL FROM:<x>\u{e9}", "", "")
    };
    let name = id(&evil);
    assert_eq!(name, "vip-a-----.--MAIL-FROM--x---n--Bcc--all-example.org-1700000000123-57");
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let long =
        Event { node: "n".repeat(5000), ..event("vip-claimed", &"ö/".repeat(5000), "", "") };
    for of in [&evil, &long] {
        let name = id(of);
        assert!(name.chars().all(plain) && name.len() < 2 * NAME + 40, "{name}");
        assert!(name.ends_with("-1700000000123-57"), "{name}");
    }
    assert_ne!(id(&long), id(&Event { seq: 58, ..long.clone() }), "they are told apart");
}

#[test]
fn what_another_node_told_is_read_from_its_events() {
    let told = |tries| Word::Told {
        receiver: "ops".to_owned(),
        batch: "vip-a-n1-1-2".to_owned(),
        letters: 1,
        tries,
    };
    let gone = Word::GivenUp {
        receiver: "ops".to_owned(),
        id: "vip-a-n1-1-2".to_owned(),
        why: "not told within 60 s: a, b".to_owned(),
    };
    let expected =
        || Input::Settled { receiver: "ops".to_owned(), batch: "vip-a-n1-1-2".to_owned() };
    for word in [told(0), told(3), gone] {
        assert_eq!(settled(&super::event(&word)), Some(expected()), "{word:?}");
    }
    let failing = Word::Failing { receiver: "ops".to_owned(), why: "x".to_owned() };
    assert_eq!(settled(&super::event(&failing)), None);
}

#[test]
fn events_that_somebody_wants_are_letters_and_all_have_a_row_in_the_catalogue() {
    let text = "[cluster]\nname = \"c\"\n[node.a]\nnetworks = { m = \"10.0.0.1\" }\n[notify.ops]\n\
                webhook = { url = \"https://h/x\" }\nevents = [\"node-verdict\", \"server-down\"]\n";
    let source = config::Source { path: "outlast.toml".to_owned(), text: text.to_owned() };
    let cluster = parse(&source, 0).0.expect("a cluster");
    let story = Story::default();
    let decision = "unreachable on m, before alive; rule silent: no beat";
    let verdict = event("node-verdict", "node/node03", "no beat", decision);
    let Some(Input::Happened { letter, awaits: false }) = happened(&verdict, &cluster, &story)
    else {
        panic!("it is told");
    };
    assert_eq!(letter.to.as_deref(), Some("unreachable"));
    assert_eq!((letter.topic.word(), letter.object.as_str()), ("node-verdict", "node/node03"));
    assert_eq!(letter.cause, format!("no beat; {decision}"));
    let kept = super::letter(notification(&letter)).expect("its topic is known");
    assert_eq!(kept, *letter, "as it comes back from the store");
    assert_eq!(happened(&event("server-up", "server/a/b", "", ""), &cluster, &story), None);
    assert_eq!(happened(&event("move", "vip/a", "", ""), &cluster, &story), None);
    for (kind, _) in Topic::EVENTS {
        assert!(api::catalogue::EVENTS.iter().any(|row| row.name == kind), "{kind}");
    }
}
