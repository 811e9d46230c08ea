use std::time::Duration;

use base::Time;
use expect_test::{Expect, expect};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyModifiers};
use ratatui::style::Color;

use super::*;
use crate::example;

const NOW: Time = Time::from_nanos(1_000_000_000_000);
const BRIGHT: Theme = Theme { colour: true, unicode: true };
const PLAIN: Theme = Theme { colour: false, unicode: false };

fn known(age: Duration) -> Known {
    Known {
        status: Some(Box::new(example::status())),
        answered: Some(NOW - age),
        trouble: (age > STALE).then(|| "cannot reach the agent: connection refused".to_owned()),
        events: example::events().into(),
        why: None,
    }
}

fn press(view: &mut View, known: &Known, code: KeyCode) -> Wish {
    view.key(KeyEvent::new(code, KeyModifiers::NONE), known, NOW)
}

fn terminal(known: &Known, view: &View, size: (u16, u16)) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).unwrap();
    terminal.draw(|frame| draw(known, view, NOW, frame.area(), frame.buffer_mut())).unwrap();
    terminal
}

fn text(known: &Known, view: &View, size: (u16, u16)) -> String {
    let terminal = terminal(known, view, size);
    let buffer = terminal.backend().buffer();
    let line = |y: u16| {
        let line: String = (0..size.0).map(|x| buffer[(x, y)].symbol()).collect();
        format!("|{}\n", line.trim_end())
    };
    (0..size.1).map(line).collect()
}

fn check(known: &Known, view: &View, size: (u16, u16), expected: &Expect) {
    expected.assert_eq(&text(known, view, size));
}

#[test]
fn a_wide_terminal_shows_everything() {
    let view = View::new("outlast top", BRIGHT);
    check(
        &known(Duration::from_millis(120)),
        &view,
        (130, 30),
        &expect![[r#"
            | outlast top · seen by node02 of cloud · adaptive · configuration 1                                           answered 120 ms ago
            |   VIP       ADDRESSES   HOLDER  NEXT    HERE           WHY
            | ● internal  10.79.0.40  node02  node01  master, holds  named by the holder
            |
            |   NODE    VERDICT      management    storage      CPU   MEMORY  FIBRE  HOLDS     WHY
            | ● node01  alive        up 240 ms     up 215 ms    12 %  40 %    2/2    -         its first beat came
            | ● node02  alive        up 120 ms     up 120 ms    12 %  40 %    2/2    internal  this node
            | ✖ node03  UNREACHABLE  SILENT 3.3 s  never heard  -     -       -      -         silent-everywhere: silent on every network for …
            |
            |   POOL, SERVER  STATE        WHY
            | ● balancer      serving      5 of 7 servers up
            | ▲ keystone      2 of 3 up
            | ✖   node03      DOWN         Layer4 connection problem, info: "Connection refused"
            | ▲ mariadb       1 of 2 up    one writer: node01 (choice 1)
            | ▲   node03      up, suspect  its node is silent
            | ● glance        2 of 2 up
            |
            |
            |
            |
            |   EVENTS
            |   01:33:00.004 node02 vip/internal vip-claimed: node01 named it; the rule applies
            |   01:33:02.950 node02 node/node03 node-suspect: no beat for 1 s; the rule applies
            |   01:33:03.120 node02 server/keystone/node03 server-down: connection refused three times; the rule applies
            |
            |
            |
            |
            |
            | up, down select (also k, j)  Enter why is it so  / show only lines with this text  p pause, go on  ? help  q quit
        "#]],
    );
}

#[test]
fn a_narrow_terminal_drops_columns_and_keeps_what_matters() {
    let view = View::new("outlast top", PLAIN);
    check(
        &known(Duration::from_millis(120)),
        &view,
        (50, 20),
        &expect![[r#"
            | outlast top                  answered 120 ms ago
            |   VIP       HOLDER  NEXT    HERE
            | * internal  node02  node01  master, holds
            |
            |   NODE    VERDICT      management    storage
            | * node01  alive        up 240 ms     up 215 ms
            | * node02  alive        up 120 ms     up 120 ms
            | X node03  UNREACHABLE  SILENT 3.3 s  never heard
            |
            |   POOL, SERVER  STATE        WHY
            | * balancer      serving      5 of 7 servers up
            | ! keystone      2 of 3 up
            | 4 more below
            |   EVENTS
            |   01:33:00.004 node02 vip/internal vip-claimed: ~
            |   01:33:02.950 node02 node/node03 node-suspect: ~
            |   01:33:03.120 node02 server/keystone/node03 serv
            |
            |
            | up, down select (also k, j)  ? help  q quit
        "#]],
    );
}

#[test]
fn a_silent_node_takes_one_line_per_pool() {
    let mut known = known(Duration::ZERO);
    let status = known.status.as_mut().unwrap();
    let one = status.servers.last().unwrap().clone();
    status.servers =
        (0..9).map(|n| api::ServerState { proxy: format!("p{n}"), ..one.clone() }).collect();
    let text = text(&known, &View::new("outlast top", PLAIN), (80, 40));
    let line = text.lines().find(|line| line.contains(" p8 ")).unwrap();
    assert!(line.contains("0 of 1 up") && line.contains("node03 up, suspect"), "{line}");
    assert_eq!(text.matches("up, suspect").count(), 9, "{text}");
}

#[test]
fn a_tiny_terminal_says_so() {
    let view = View::new("outlast top", PLAIN);
    check(
        &known(Duration::ZERO),
        &view,
        (20, 4),
        &expect![[r#"
            |too small: 24 x 5 at
            |least
            |
            |
        "#]],
    );
}

#[test]
fn a_silent_agent_is_shown_as_stale_with_its_age() {
    let view = View::new("outlast top", PLAIN);
    check(
        &known(Duration::from_millis(12_300)),
        &view,
        (100, 14),
        &expect![[r#"
            | outlast top | seen by node02 of cloud | adaptive | configuration 1               STALE, 12.3 s old
            | cannot reach the agent: connection refused
            |   VIP       ADDRESSES   HOLDER  NEXT    HERE           WHY
            | ? internal  10.79.0.40  node02  node01  master, holds  named by the holder
            |
            |   NODE    VERDICT          management     storage        CPU   MEMORY  HOLDS     WHY
            | ? node01  was alive        was up 12.4 s  was up 12.3 s  12 %  40 %    -         its first beat ca~
            | ? node02  was alive        was up 12.3 s  was up 12.3 s  12 %  40 %    internal  this node
            | ? node03  was UNREACHABLE  SILENT 15.5 s  never heard    -     -       -         silent-everywhere~
            | 8 more below
            |   EVENTS
            |   01:33:02.950 node02 node/node03 node-suspect: no beat for 1 s; the rule applies
            |   01:33:03.120 node02 server/keystone/node03 server-down: connection refused three times; the rule~
            | up, down select (also k, j)  Enter why is it so  ? help  q quit
        "#]],
    );
}

#[test]
fn before_the_first_answer_the_reason_is_shown() {
    let view = View::new("outlast top", PLAIN);
    let known = Known { trouble: Some("nothing listens".to_owned()), ..Known::default() };
    check(
        &known,
        &view,
        (60, 6),
        &expect![[r#"
            | outlast top                                  no answer yet
            | nothing listens
            |
            |
            |
            | up, down select (also k, j)  ? help  q quit
        "#]],
    );
}

#[test]
fn enter_asks_why_of_the_selected_line() {
    let mut known = known(Duration::ZERO);
    let mut view = View::new("outlast top", PLAIN);
    for _ in 0..4 {
        assert_eq!(press(&mut view, &known, KeyCode::Down), Wish::Nothing);
    }
    let asked = press(&mut view, &known, KeyCode::Enter);
    assert_eq!(asked, Wish::Why("node/node03".to_owned()));
    assert!(text(&known, &view, (80, 24)).contains("asking..."));
    let why = api::Why {
        object: "node/node03".to_owned(),
        state: "suspect since 2.1 s".to_owned(),
        evidence: vec![],
        rule: "silent on every network".to_owned(),
        rules: vec![],
        would_change: vec!["a beat".to_owned()],
        ..api::Why::default()
    };
    known.why = Some(("node/node03".to_owned(), Ok(Box::new(why))));
    check(
        &known,
        &view,
        (80, 20),
        &expect![[r#"
            | outlast top | seen by node02 of cloud | adaptive             answered 0 ms ago
            |   VIP       ADDRESSES   HOLDER  NEXT    HERE           WHY
            | * internal  10.79.0.40  node02  node01  master, holds  named by the holder
            |
            |   NODE    VERDICT      management    storage      CPU   HOLDS     WHY
            | * node01  alive        up 120 ms     up 95 ms     12 %  -         its first be~
            | * n-- why node/node03 -----------------------------------------------------
            |>X n node/node03: suspect since 2.1 s                                       ery~
            |     rule
            |   P   silent on every network
            | * b what would change it
            | ! k   a beat
            | 4 m-- Esc: back -----------------------------------------------------------
            |   EVENTS
            |   01:33:00.004 node02 vip/internal vip-claimed: node01 named it; the rule appl~
            |   01:33:02.950 node02 node/node03 node-suspect: no beat for 1 s; the rule appl~
            |   01:33:03.120 node02 server/keystone/node03 server-down: connection refused t~
            |
            |
            | up, down select (also k, j)  Enter why is it so  ? help  q quit
        "#]],
    );
    press(&mut view, &known, KeyCode::Esc);
    assert!(!text(&known, &view, (80, 24)).contains("suspect since"));
}

#[test]
fn a_filter_hides_lines_and_selection_stays_among_the_rest() {
    let known = known(Duration::ZERO);
    let mut view = View::new("outlast top", PLAIN);
    for code in "/mari".chars().map(KeyCode::Char) {
        press(&mut view, &known, code);
    }
    assert!(view.is_editing());
    press(&mut view, &known, KeyCode::Enter);
    press(&mut view, &known, KeyCode::Down);
    assert_eq!(view.selected(), Some("pool/mariadb"));
    let text = text(&known, &view, (80, 24));
    assert!(text.contains("mariadb") && !text.contains("keystone"), "{text}");
    press(&mut view, &known, KeyCode::Esc);
    assert!(self::text(&known, &view, (80, 24)).contains("keystone"));
}

#[test]
fn a_paused_picture_does_not_change_and_says_so() {
    let before = known(Duration::ZERO);
    let mut view = View::new("outlast top", PLAIN);
    press(&mut view, &before, KeyCode::Char('p'));
    let text = text(&Known::default(), &view, (80, 24));
    assert!(text.contains("PAUSED") && text.contains("node03"), "{text}");
    press(&mut view, &before, KeyCode::Char('p'));
    assert!(!self::text(&before, &view, (80, 24)).contains("PAUSED"));
}

#[test]
fn the_selected_line_is_always_in_sight() {
    let known = known(Duration::ZERO);
    let mut view = View::new("outlast top", PLAIN);
    press(&mut view, &known, KeyCode::End);
    assert_eq!(view.selected(), Some("pool/glance"));
    let text = text(&known, &view, (60, 8));
    assert!(text.contains("glance"), "{text}");
}

#[test]
fn without_colour_there_is_none_and_signs_say_the_same() {
    let known = known(Duration::ZERO);
    let coloured = |theme| {
        let terminal = terminal(&known, &View::new("outlast top", theme), (100, 24));
        let cells = terminal.backend().buffer().content();
        cells.iter().any(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset)
    };
    assert!(coloured(BRIGHT));
    assert!(!coloured(PLAIN));
    let text = text(&known, &View::new("outlast top", PLAIN), (100, 24));
    let line = text.lines().find(|line| line.contains("node03")).unwrap();
    assert!(line.contains("X node03") && line.contains("UNREACHABLE"), "{line}");
}

#[test]
fn help_names_every_key() {
    let mut view = View::new("outlast top", PLAIN);
    view.hints = vec![("x", "a key of a screen around this one")];
    let known = known(Duration::ZERO);
    press(&mut view, &known, KeyCode::Char('?'));
    let text = text(&known, &view, (80, 24));
    for (key, what) in view.hints.iter().chain(&View::HINTS) {
        assert!(text.contains(key) && text.contains(what), "{key}: {text}");
    }
}
