//! What is kept of generations, in the store and beside a node's files, one file per type in `tests/golden`.

#[path = "samples/golden.rs"]
mod samples;

use std::collections::BTreeMap;

use outlast_api::generation::{Applied, Brought, Content, Files, Generation, Note};
use outlast_api::{Has, Parcel};
use samples::golden;

#[test]
fn what_is_kept_of_generations_is_as_in_its_golden_file() {
    let files = |text: &str| Files::from([("haproxy.cfg".to_owned(), text.to_owned())]);
    let nodes = [("node01", "a"), ("node02", "a"), ("node03", "b")];
    let nodes = nodes.map(|(node, text)| (node.to_owned(), files(text)));
    let content = Content::new(nodes.into());
    assert_eq!((content.texts.len(), content.of("node02")), (2, Some(files("a"))));
    golden("content.jsonl", &[content]);
    let generation = Generation {
        number: 7,
        at_ms: 1_700_000_000_123,
        who: "alice@node01".to_owned(),
        why: "one more server".to_owned(),
        from: Some(5),
        force: true,
        digest: "00ff".to_owned(),
        bytes: 812,
        key: Some("3f2a90b1c4d5e6f7".to_owned()),
    };
    let plain = Generation { from: None, force: false, key: None, ..generation.clone() };
    let files = Some(files("a"));
    golden("brought.jsonl", &[Brought { generation: plain.clone(), files }, Brought::default()]);
    golden("generation.jsonl", &[generation, plain]);
    let applied = Applied {
        seen: 7,
        runs: Some(6),
        refused: Some("cannot bind 10.79.0.40:3306".to_owned()),
        note: Some("haproxy.cfg was changed by hand".to_owned()),
        at_ms: 1_700_000_000_123,
    };
    let whole = Has { generation: 7, windows: 2, applied: Some(applied.clone()) };
    golden("has.jsonl", &[whole, Has::default()]);
    golden("parcel.jsonl", &[Parcel::Generation, Parcel::Windows]);
    golden("applied.jsonl", &[applied, Applied { seen: 7, runs: Some(7), ..Applied::default() }]);
    let digests = BTreeMap::from([("haproxy.cfg".to_owned(), "00ff".to_owned())]);
    let note = Note { number: 7, files: digests, gone: vec!["old.cfg".to_owned()] };
    golden("note.jsonl", &[note]);
}
