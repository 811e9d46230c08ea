//! What one node asks another, and what operators keep in the store, one file per type in `tests/golden`.

#[path = "samples/golden.rs"]
mod samples;

use api::books::{BookAnswer, BookAsk, BookLine, BookPart, BookStanding};
use api::generation::{Applied, Content, Generation};
use api::maintenance::Window;
use api::proof::Proof;
use api::{Command, Errand, IntentStep, Mark, StepOrder};
use outlast_api as api;
use samples::golden;

/// A value per variant; a variant without one does not compile.
macro_rules! each {
    ($kind:ident { $($variant:pat => $value:expr,)+ }) => {{
        use $kind::*;
        let all = vec![$($value),+];
        for one in &all {
            match one {
                $($variant)|+ => {}
            }
        }
        all
    }};
}

fn mark(bytes: u64) -> Mark {
    Mark { digest: "6a".repeat(32), bytes }
}

fn order() -> StepOrder {
    let what = IntentStep {
        node: "node01".to_owned(),
        verb: "hand-over".to_owned(),
        object: "vip/internal node02".to_owned(),
    };
    StepOrder {
        token: 31,
        incarnation: 1_764_000_000_000,
        number: 7,
        step: 1,
        what,
        by: "uid 0 (pid 7) on node02".to_owned(),
    }
}

#[test]
fn every_errand_travels_as_in_its_golden_file() {
    let errands = each!(Errand {
        Command(_) => Command(api::Command::Standby { node: "node01".to_owned() }),
        Typed { .. } => Typed {
            command: api::Command::Standby { node: "node01".to_owned() },
            by: "uid 0 (pid 7)".to_owned(),
        },
        Intend { .. } => Intend {
            command: api::Command::Drain { node: "node01".to_owned(), limit: 60 },
            by: "uid 0 (pid 7)".to_owned(),
        },
        Step(_) => Step(order()),
        Coordinator => Coordinator,
        Intents { .. } => Intents { before: 8 },
        Book { .. } => Book {
            ask: BookAsk::History,
            by: "uid 0 (pid 7)".to_owned(),
            at: 880,
        },
        Under { .. } => Under { node: "node01".to_owned() },
        Offer { .. } => Offer {
            generation: mark(7),
            windows: mark(2),
            look: Some(api::Look { incarnation: 3, revision: 9 }),
        },
        Piece { .. } => Piece {
            of: api::Parcel::Generation,
            digest: "6a".repeat(32),
            at: 880,
            text: "bind 10.0.0.1:80\n".to_owned(),
        },
    });
    golden("errand.jsonl", &errands);
}

#[test]
fn every_word_about_the_books_travels_as_in_its_golden_file() {
    let (node, nodes) = ("node03".to_owned(), vec!["node04".to_owned()]);
    let generation = Generation { number: 7, digest: "00ff".to_owned(), ..Generation::default() };
    let window = Window { node: Some(node.clone()), why: "memory".to_owned(), ..Window::default() };
    let proof = Proof { node: node.clone(), why: "no power".to_owned(), ..Proof::default() };
    let asks = each!(BookAsk {
        History => History,
        Standing => Standing,
        Generation { .. } => Generation { number: 7 },
        Commit(_) => Commit(generation.clone()),
        Windows => Windows,
        Begin { .. } => Begin { window: window.clone(), millis: 7_200_000 },
        End { .. } => End { node: Some(node.clone()) },
        Prove(_) => Prove(proof.clone()),
        TakeBack { .. } => TakeBack { node: node.clone() },
        Join { .. } => Join { nodes: nodes.clone(), instead_of: Some(node.clone()) },
        Leave { .. } => Leave { nodes: nodes.clone() },
        Wishes => Wishes,
        Hears { .. } => Hears { node: node.clone(), passed_on: true },
        Replace { .. } => Replace { old: node.clone(), new: "node04".to_owned() },
    });
    golden("book_ask.jsonl", &asks);
    let applied = Some(Applied { seen: 7, runs: Some(7), ..Applied::default() });
    let line = BookLine { node: node.clone(), is_member: true, applied };
    let standing = BookStanding { newest: Some(generation.clone()), nodes: vec![line] };
    let whole = Box::new((generation.clone(), Content::default()));
    let answers = each!(BookAnswer {
        History(_) => History(vec![generation.clone()]),
        Standing(_) => Standing(Box::new(standing.clone())),
        Generation(_) => Generation(Some(whole.clone())),
        Overtaken(_) => Overtaken(8),
        Windows(_) => Windows(vec![window.clone()]),
        Wishes(_) => Wishes(vec![(node.clone(), "leave".to_owned())]),
        Done(_) => Done(true),
    });
    golden("book_answer.jsonl", &answers);
    let part = BookPart { whole: mark(2000), text: "{\"v\":2".to_owned() };
    golden("book_part.jsonl", &[part, BookPart::default()]);
}

#[test]
fn every_command_travels_as_in_its_golden_file() {
    let commands = each!(Command {
        Standby { .. } => Standby { node: "node01".to_owned() },
        Drain { .. } => Drain { node: "node01".to_owned(), limit: 60 },
        Resume { .. } => Resume { node: "node01".to_owned() },
        Move { .. } => Move { vip: "internal".to_owned(), to: "node02".to_owned() },
        Anywhere { .. } => Anywhere { vip: "internal".to_owned() },
        Use { .. } => Use { pool: "mariadb".to_owned(), to: "node02".to_owned() },
        Coordinate { .. } => Coordinate { to: "node02".to_owned() },
        Lead { .. } => Lead { to: "node02".to_owned() },
    });
    golden("command.jsonl", &commands);
}
