//! What the parser takes, and what it refuses with the line.

use std::time::Duration;

use outlast_scenario::{Cell, Deed, Expectation, Scenario, Statement, Who, Word};

const HEAD: &str = "# A title\nnodes a b c\nnetworks x y\n";

#[test]
fn a_file_is_read_word_by_word() {
    let text = format!(
        "{HEAD}detect 300ms\n\n# a remark\nat 1s one-way a b y,x\nat +500ms cut c *\n\
         by 2.5s for 1s a,b call c cut-off y\nby +1s only a>b/x+c/y down\nby +1s one holds\n"
    );
    let scenario = Scenario::parse(&text).unwrap();
    assert_eq!((scenario.title.as_str(), scenario.detect.as_millis()), ("A title", 300));
    assert!(scenario.waits_for_holders());
    let ms = Duration::from_millis;
    let cell = |from, to, network| Cell { from, to, network };
    let statements: Vec<_> =
        scenario.lines.iter().map(|line| (line.number, line.statement.clone())).collect();
    let call =
        Expectation::Call { who: Who::These(vec![0, 1]), node: 2, verdict: Word::CutOff(vec![1]) };
    let down = vec![cell(0, 1, 0), cell(0, 2, 1), cell(1, 2, 1), cell(2, 0, 1), cell(2, 1, 1)];
    assert_eq!(
        statements[..4],
        [
            (7, Statement::At(ms(1000), Deed::OneWay(0, 1, vec![0, 1]))),
            (8, Statement::At(ms(1500), Deed::Cut(2, vec![0, 1]))),
            // A time is of the whole file, and counted from the deed above.
            (9, Statement::By { within: ms(1000), hold: ms(1000), what: call }),
            (10, Statement::By { within: ms(1000), hold: ms(0), what: Expectation::Down(down) }),
        ]
    );
}

#[test]
fn what_is_not_known_is_refused_with_its_line_and_what_there_is() {
    let rows = [
        (
            "on 1s stop a",
            "line 4: no `on`; there are nodes, computes, networks, store, detect, at, by, never",
        ),
        ("at 1s kill-node leader", "line 4: a `store` line comes before it"),
        ("store a b", "line 4: a store that outlives a member has three different ones"),
        ("store a b c\nat 1s start leader", "line 5: `start` is not for the leader; power-off,"),
        ("at 0s stop a\nby +1s store led", "line 5: a `store` line comes before it"),
        ("at 1s explode a", "line 4: no deed `explode`; there are power-off, power-on,"),
        ("at 1s stop d", "line 4: no node `d`; there are a, b, c"),
        ("at 1s cut a z", "line 4: no network `z`; there are x, y"),
        ("at 1s cut a", "line 4: lacks a network at its end"),
        ("at 1s stop a b", "line 4: says `b` too much"),
        ("at soon stop a", "line 4: `soon` is no time like 1.5s or 300ms"),
        ("at -1s stop a", "line 4: `-1s` is no time like 1.5s or 300ms"),
        ("at 1e9s stop a", "line 4: `1e9s` is no time like 1.5s or 300ms"),
        ("at 11111s stop a", "line 4: 11111s is longer than 600s"),
        ("at 2s stop a\nat 1s stop b", "line 5: 1s is before 2s of the deed above"),
        ("at 2s stop a\nby 1s all well", "line 5: 1s is before 2s of the deed above"),
        ("at 0s one-way a a x", "line 4: needs two different nodes"),
        ("by +1s all well", "line 4: nothing was done yet: a `by` line follows an `at` line"),
        ("at 0s stop a\nby +1s all ill", "line 5: `ill` where `well` belongs"),
        ("at 0s stop a\nby +1s others call a dead", "line 5: no verdict `dead`; there are alive,"),
        ("at 0s stop a\nby +1s a calls a alive", "line 5: a does not judge itself"),
        ("at 0s stop a\nby +1s one view", "line 5: `one view` needs a `for`"),
        (
            "at 0s stop a\nby +1s only a down",
            "line 5: `a` is no NODE/NETWORK and no FROM>TO/NETWORK",
        ),
        ("at 0s stop a\nby +1s some call a alive", "line 5: no node `some`; there are a, b, c; an"),
        ("never a hates b", "line 4: `hates` where `doubts` or `accuses` belongs"),
        ("nodes a b", "line 4: they are named already"),
        ("detect 100ms", "line 4: a detection time is between 300ms and 30s"),
        ("at 0s stop a", "nothing is expected: no `by` and no `never` line"),
    ];
    for (lines, expected) in rows {
        let mistakes = Scenario::parse(&format!("{HEAD}{lines}\n")).unwrap_err();
        let told = mistakes[0].to_string();
        assert!(told.starts_with(expected), "{lines}: {told}");
    }
}

#[test]
fn all_mistakes_of_a_file_are_told() {
    let mistakes = Scenario::parse("nodes a/b c\nat 0s stop c\nnever two\n").unwrap_err();
    let told: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "line 1: `a/b` is no name of at most 8 letters, digits and `-`",
            "line 2: no node `c`; there are ",
            "line 3: lacks `hold` at its end",
            "no `nodes` line with at least two of them",
            "no `networks` line",
            "nothing is expected: no `by` and no `never` line",
        ]
    );
}

#[test]
fn compute_nodes_come_after_controllers_and_are_harmed_alone() {
    let read = |lines: &str| {
        let text = format!("{lines}\nby +1s all well\n");
        Scenario::parse(&text).map_err(|mistakes| mistakes[0].to_string())
    };
    let head = "nodes a b\ncomputes c d\nnetworks x\n";
    let scenario = read(&format!("{head}at 0s stop d")).unwrap();
    assert_eq!((scenario.nodes.join(" "), scenario.computes), ("a b c d".to_owned(), 2));
    for (lines, mistake) in [
        ("computes c d\nnodes a b\nnetworks x\nat 0s stop d", "line 1: a `nodes` line"),
        ("nodes a b\ncomputes c\ncomputes d\nnetworks x\nat 0s stop c", "line 3: they are named"),
        ("nodes a b\ncomputes c b\nnetworks x\nat 0s stop c", "line 2: `b` is named twice"),
        (&format!("{head}at 0s stop a"), "line 4: a: with a `computes` line nothing is done"),
        (&format!("{head}at 0s part c d x"), "line 4: no two compute nodes are parted"),
        (&format!("{head}at 0s split c x"), "line 4: a: with a `computes` line"),
    ] {
        let refused = read(lines).unwrap_err();
        assert!(refused.starts_with(mistake), "{lines}: {refused}");
    }
}
