use proptest::prelude::*;

use super::*;

/// `+n` and `-n`: server n is usable, is not; `hold`, `drop`: the address came, went; `n@t/by`: told;
/// `?n`: an operator wants it.
fn run(writer: &mut Writer, story: &str) -> String {
    let mut said = Vec::new();
    for word in story.split_whitespace() {
        let input = match word.split_at(1) {
            ("+", index) => Input::Server { index: index.parse().unwrap(), usable: true },
            ("-", index) => Input::Server { index: index.parse().unwrap(), usable: false },
            ("?", index) => Input::Asked { server: index.parse().unwrap() },
            _ if word == "hold" => Input::Holding(true),
            _ if word == "drop" => Input::Holding(false),
            _ => {
                let (server, rest) = word.split_once('@').unwrap();
                let (term, by) = rest.split_once('/').unwrap();
                let (server, term) = (server.parse().unwrap(), term.parse().unwrap());
                Input::Told { server, term, by: by.parse().unwrap() }
            }
        };
        let mut out = Buffer::new();
        writer.step(input, &mut out);
        let step: Vec<String> = out
            .drain()
            .map(|action| match action {
                Action::CloseSessions { server } => format!("close {server}"),
                Action::Use { server, term, by } => format!("use {server}@{term}/{by}"),
            })
            .collect();
        if !step.is_empty() {
            said.push(step.join(", "));
        }
    }
    said.join("; ")
}

fn check(story: &str, expected: &str) {
    assert_eq!(run(&mut Writer::new(3, 1), story), expected, "{story}");
}

#[test]
fn the_first_usable_server_is_used() {
    check("+0 +1 +2", "use 0@1/1");
    check("-0 +1 +2", "use 1@1/1");
}

#[test]
fn the_server_in_use_stays_until_it_fails_and_then_does_not_come_back() {
    check("+0 +1 +2 -1 +1", "use 0@1/1");
    check("+0 +1 +2 -0 +0", "use 0@1/1; close 0, use 1@2/1");
    check("+0 +1 +2 -0 +0 -1 +1", "use 0@1/1; close 0, use 1@2/1; close 1, use 0@3/1");
}

#[test]
fn a_server_that_an_operator_wants_is_used_from_then_on_if_it_works_from_here() {
    check("hold +0 +1 +2 ?2 -0 +0", "use 0@1/1; close 0, use 2@2/1");
    check("hold +0 +1 +2 ?2 -2 +2", "use 0@1/1; close 0, use 2@2/1; close 2, use 0@3/1");
    // In use already, down, or none of the file.
    check("hold +0 +1 ?0 ?2 ?7", "use 0@1/1");
    // Its term is greater than every one that was told.
    check("hold +0 +1 1@8/2 ?0", "use 0@1/1; close 0, use 1@8/2; close 1, use 0@9/1");
}

#[test]
fn sessions_stay_where_they_are_while_nobody_is_better() {
    check("+0 -0 +0", "use 0@1/1");
    check("+0 -0 +2 +0", "use 0@1/1; close 0, use 2@2/1");
}

#[test]
fn a_newer_choice_is_followed_and_an_older_one_is_not() {
    check("+0 +1 +2 2@5/0", "use 0@1/1; close 0, use 2@5/0");
    check("+0 +1 +2 2@5/0 1@4/2", "use 0@1/1; close 0, use 2@5/0");
    check("+0 +1 +2 2@5/0 2@5/0", "use 0@1/1; close 0, use 2@5/0");
    check("+0 2@1/0", "use 0@1/1");
}

#[test]
fn of_two_choices_of_one_term_the_higher_node_decides() {
    check("+0 +1 1@1/2", "use 0@1/1; close 0, use 1@1/2");
    check("+0 +1 1@1/0", "use 0@1/1");
}

#[test]
fn a_newer_term_for_the_same_server_closes_nothing() {
    check("+0 0@7/2", "use 0@1/1; use 0@7/2");
}

#[test]
fn only_the_holder_chooses_once_a_choice_was_told() {
    check("+0 +1 0@3/0 -0", "use 0@1/1; use 0@3/0");
    check("+0 +1 0@3/0 -0 hold", "use 0@1/1; use 0@3/0; close 0, use 1@4/1");
    check("+0 +1 0@3/0 hold -0", "use 0@1/1; use 0@3/0; close 0, use 1@4/1");
    check("+0 +1 0@3/0 hold drop -0", "use 0@1/1; use 0@3/0");
}

#[test]
fn the_holder_goes_on_from_a_told_server_that_does_not_work_here() {
    check("hold +0 +1 2@9/0", "use 0@1/1; use 0@10/1");
    check("hold +0 +1 1@9/0", "use 0@1/1; close 0, use 1@9/0");
    check("hold -0 2@9/0 +1", "use 2@9/0; close 2, use 1@10/1");
    check("+0 2@9/0", "use 0@1/1; close 0, use 2@9/0");
}

#[test]
fn a_server_that_this_file_does_not_have_is_nobodys_choice() {
    check("+0 3@9/0 -0 +1", "use 0@1/1; close 0, use 1@2/1");
}

#[test]
fn a_term_at_its_end_does_not_overflow() {
    let mut writer = Writer::new(3, 1);
    run(&mut writer, &format!("hold +0 +1 2@{}/0 -0", u64::MAX));
    assert_eq!((writer.server(), writer.term(), writer.by()), (Some(1), u64::MAX, Some(1)));
}

#[test]
fn backups_come_after_all_others() {
    let text = "listen db\n bind 127.0.0.1:1\n server a 10.0.0.1:1 backup\n server b 10.0.0.2:1\n \
                server c 10.0.0.3:1 backup\n server d 10.0.0.4:1\n";
    let source = config::Source { path: "test.cfg".into(), text: text.into() };
    let proxy = config::haproxy::parse(&[source], 0).0.proxies.remove(0);
    let mut writer = Writer::of(&proxy, 0);
    let said = run(&mut writer, "hold +1 +0 +2 +3 -1 -3 -0");
    assert_eq!(said, "use 1@1/0; close 1, use 3@2/0; close 3, use 0@3/0; close 0, use 2@4/0");
}

#[test]
fn broken_on_purpose_it_goes_back() {
    let mut writer = Writer::new(3, 1);
    writer.break_fail_back();
    let said = run(&mut writer, "hold +0 +1 -0 +0");
    assert_eq!(said, "use 0@1/1; close 0, use 1@2/1; close 1, use 0@3/1");
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Server { node: usize, index: usize, usable: bool },
    Holder(usize),
    Tell { from: usize, to: usize },
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (0..3_usize, 0..3_usize, any::<bool>()).prop_map(|(node, index, usable)| Event::Server {
            node,
            index,
            usable
        }),
        (0..3_usize).prop_map(Event::Holder),
        (0..3_usize, 0..3_usize).prop_map(|(from, to)| Event::Tell { from, to }),
    ]
}

/// What one node does, with what its clients can see.
struct Node {
    writer: Writer,
    sessions: Option<usize>,
}

impl Node {
    fn step(&mut self, input: Input) {
        let mut out = Buffer::new();
        self.writer.step(input, &mut out);
        for action in out.drain() {
            match action {
                Action::CloseSessions { server } => {
                    assert_eq!(self.sessions.take(), Some(server), "closes what is not used");
                }
                Action::Use { server, .. } => {
                    let former = self.sessions.replace(server);
                    assert!(
                        former.is_none_or(|former| former == server),
                        "two servers with sessions"
                    );
                }
            }
        }
    }

    fn choice(&self) -> Option<Input> {
        let (server, by) = (self.writer.server()?, self.writer.by()?);
        Some(Input::Told { server, term: self.writer.term(), by })
    }
}

proptest! {
    /// Whatever fails, moves or is told late: no node ever has sessions with two servers, terms only grow,
    /// and when everybody has told everybody all use the same one, usable for the holder if any is.
    #[test]
    fn all_nodes_end_with_one_writer(events in prop::collection::vec(event(), 0..60)) {
        let mut nodes: Vec<Node> =
            (0..3).map(|me| Node { writer: Writer::new(3, me), sessions: None }).collect();
        let mut holder = None;
        for event in events {
            let terms: Vec<_> = nodes.iter().map(|node| node.writer.term()).collect();
            match event {
                Event::Server { node, index, usable } => nodes[node].step(Input::Server { index, usable }),
                Event::Holder(next) => {
                    if let Some(former) = holder.replace(next) {
                        nodes[former].step(Input::Holding(false));
                    }
                    nodes[next].step(Input::Holding(true));
                }
                Event::Tell { from, to } => {
                    if let Some(told) = nodes[from].choice() {
                        nodes[to].step(told);
                    }
                }
            }
            for (node, term) in nodes.iter().zip(terms) {
                prop_assert!(node.writer.term() >= term);
            }
        }
        for _ in 0..4 {
            for (from, to) in (0..3).flat_map(|from| (0..3).map(move |to| (from, to))) {
                if let Some(told) = nodes[from].choice() {
                    nodes[to].step(told);
                }
            }
        }
        let used: Vec<_> = nodes.iter().map(|node| node.sessions).collect();
        prop_assert!(used[0] == used[1] && used[1] == used[2], "{used:?}");
        if let (Some(holder), Some(used)) = (holder, used[0]) {
            let usable = nodes[holder].writer.usable;
            prop_assert!(usable.is_empty() || usable.contains(used), "{used} of {usable:?}");
        }
    }
}
