use outlast_api as api;

use crate::examples;
use crate::samples::golden;

#[test]
fn lists_of_voters_are_kept_and_said_as_in_their_golden_files() {
    let list = examples::voters();
    golden("voter_list.jsonl", &[list.clone(), api::VoterList { former: None, ..list.clone() }]);
    let names = vec!["node01".to_owned(), "node02".to_owned()];
    let all = [
        api::VotersInUse::Unread,
        api::VotersInUse::ByFile(names),
        api::VotersInUse::List(list.clone()),
    ];
    let word = |in_use| {
        let said = api::Electorate { in_use, settled: true };
        api::VoterWord { joined_ms: 1_750_000_000_123, store: 1_764_000_900_000, said }
    };
    golden("voter_word.jsonl", &all.map(word));
    let boot = "3f2a77c0-0f0b-4b62-9d4a-1c2f3b7d9e11".to_owned();
    let kept = api::KeptVoters { boot, list: Some(list) };
    golden("kept_voters.jsonl", &[kept.clone(), api::KeptVoters { list: None, ..kept }]);
}
