//! Whatever reads bytes that others sent has a target.

use std::fs;
use std::path::{Path, PathBuf};

use outlast_fuzz::TARGETS;

/// Every file that has a function `decode`, and the target that reaches it. By the rule of the house all
/// parsers of packets and messages are called so.
const DECODERS: [(&str, &str); 15] = [
    ("api/src/message.rs", "api_message"),
    ("engine/src/gossip/said.rs", "gossip"),
    ("engine/src/gossip/wire.rs", "gossip"),
    ("engine/src/intent/receiver.rs", "store_entry"),
    ("engine/src/intent/record.rs", "store_entry"),
    ("engine/src/kv/packet.rs", "store_entry"),
    ("engine/src/member/beat.rs", "datagram"),
    ("engine/src/member/news.rs", "datagram"),
    ("engine/src/reach.rs", "datagram"),
    ("engine/src/vip/message.rs", "datagram"),
    ("engine/src/vip/packet.rs", "datagram"),
    ("store/src/embedded/message.rs", "store_message"),
    ("store/src/local.rs", "store_message"),
    ("trust/src/hex.rs", "trust_message"),
    ("trust/src/wire.rs", "trust_message"),
];

/// What only this node itself wrote, to its own disk.
const OWN: [&str; 1] = ["store/src/embedded/disk/owner.rs"];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("it can be listed") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_file_that_decodes_what_others_sent_has_a_target() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = vec![];
    for layer in ["api", "engine", "proxy", "remote", "services", "store", "sys", "trust"] {
        sources(&crates.join(layer).join("src"), &mut files);
    }
    let decodes = |path: &PathBuf| {
        let text = fs::read_to_string(path).expect("a source can be read");
        text.lines().any(|line| line.contains("fn decode(") || line.contains("fn decode<"))
    };
    let name = |path: &PathBuf| {
        path.strip_prefix(&crates).expect("it was found there").display().to_string()
    };
    let mut found: Vec<String> = files.iter().filter(|path| decodes(path)).map(name).collect();
    found.retain(|file| !OWN.contains(&file.as_str()));
    found.sort();
    let known: Vec<&str> = DECODERS.iter().map(|(file, _)| *file).collect();
    assert_eq!(found, known, "a new decoder needs a target, and a row here that names it");
    for (file, target) in DECODERS {
        assert!(TARGETS.iter().any(|known| known.name == target), "{file}: no target {target}");
    }
}
