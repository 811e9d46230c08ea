//! What the dashboard's process and the keeper of its key say to each other, one file per type in `tests/golden`.

#[path = "samples/golden.rs"]
mod samples;

use api::access::{Grant, Scope};
use api::keeper::{KeeperAnswer, KeeperAsk, Shown};
use outlast_api as api;
use samples::golden;

#[test]
fn the_keepers_conversation_is_as_in_its_golden_files() {
    golden(
        "keeper_ask.jsonl",
        &[
            KeeperAsk::Show { known: 3 },
            KeeperAsk::Sign { shown: 3, scheme: 0x0403, message: "20".to_owned() },
            KeeperAsk::Who { certificate: "3082".to_owned() },
        ],
    );
    let grant = Grant { name: "node01".to_owned(), scopes: vec![Scope::Metrics], until_ms: None };
    golden(
        "keeper_answer.jsonl",
        &[
            KeeperAnswer::Same,
            KeeperAnswer::Shown(Shown {
                number: 4,
                chain: vec!["3082".to_owned(), "3081".to_owned()],
                authority: Some("3081".to_owned()),
                schemes: vec![0x0403],
            }),
            KeeperAnswer::Signed { signature: "3045".to_owned() },
            KeeperAnswer::Known(grant),
            KeeperAnswer::Stranger,
            KeeperAnswer::Failed { why: "the key makes no such signature".to_owned() },
        ],
    );
}
