//! Whatever reads bytes that others sent has a target.

use std::fs;
use std::path::{Path, PathBuf};

use outlast_fuzz::TARGETS;

/// Every file that reads bytes of others, and the target that reaches it: a function `decode` (by the rule of the
/// house parsers of packets and messages are called so), or one of [`SIGNS`] outside of tests.
const READERS: [(&str, &str); 38] = [
    ("api/src/message.rs", "api_message"),
    ("engine/src/bfd/packet.rs", "bfd"),
    ("engine/src/errand.rs", "datagram"),
    ("engine/src/gossip/said.rs", "gossip"),
    ("engine/src/gossip/wire.rs", "gossip"),
    ("engine/src/intent/receiver.rs", "store_entry"),
    ("engine/src/intent/record.rs", "store_entry"),
    ("engine/src/keep.rs", "recording"),
    ("engine/src/kv/packet.rs", "store_entry"),
    ("engine/src/member/beat.rs", "datagram"),
    ("engine/src/member/news.rs", "datagram"),
    ("engine/src/packet.rs", "datagram"),
    ("engine/src/reach.rs", "datagram"),
    ("engine/src/replay.rs", "recording"),
    ("engine/src/vip/lease/beat.rs", "vip_beat"),
    ("engine/src/vip/message.rs", "datagram"),
    ("engine/src/vip/packet.rs", "datagram"),
    ("engine/src/vip/packet/sum.rs", "datagram"),
    ("engine/src/vip/packet/trailer.rs", "datagram"),
    ("engine/src/vip/packet/v2.rs", "datagram"),
    ("engine/src/vip/packet/v3.rs", "datagram"),
    ("engine/src/whole.rs", "store_entry"),
    ("proxy/src/http/head.rs", "http_head"),
    ("remote/src/probe/mysql.rs", "probe_answer"),
    ("store/src/bytes.rs", "store_message"),
    ("store/src/embedded/message.rs", "store_message"),
    ("store/src/etcd/http.rs", "etcd_answer"),
    ("store/src/etcd/said.rs", "etcd_answer"),
    ("store/src/etcd/watching.rs", "etcd_answer"),
    ("store/src/local.rs", "store_message"),
    ("sys/src/neighbour.rs", "datagram"),
    ("sys/src/ping.rs", "datagram"),
    ("sys/src/syn.rs", "datagram"),
    ("sys/src/vrrp.rs", "datagram"),
    ("trust/src/hex.rs", "trust_message"),
    ("trust/src/spare.rs", "trust_message"),
    ("trust/src/token.rs", "trust_message"),
    ("trust/src/wire.rs", "trust_message"),
];

/// Parsers by hand that nothing in their text gives away.
const BY_HAND: [(&str, &str); 5] = [
    ("proxy/src/http/body.rs", "http_body"),
    ("proxy/src/stats/command.rs", "stats"),
    ("proxy/src/stats/page.rs", "stats"),
    ("remote/src/probe/http.rs", "probe_answer"),
    ("store/src/etcd/json.rs", "etcd_answer"),
];

/// What a text has that takes bytes apart.
const SIGNS: [&str; 9] = [
    "fn decode(",
    "fn decode<",
    "from_be_bytes",
    "from_le_bytes",
    "serde_json::from_slice",
    "serde_json::from_str",
    "serde_json::from_reader",
    "httparse::",
    "Deserializer::from",
];

/// What only this node or its kernel wrote, or what is one number, and why it needs no target.
const OWN: [(&str, &str); 13] = [
    ("engine/src/intent/history.rs", "a number of eight bytes in a value of the store"),
    ("engine/src/intent/leader.rs", "a number of eight bytes in a value of the store"),
    ("node/src/agent/coordinate.rs", "a number of eight bytes in a value of the store"),
    ("node/src/vip/slow.rs", "records of its own thread"),
    ("node/src/vip/watch.rs", "records of its own thread"),
    ("sys/src/netlink/monitor.rs", "of the kernel; a test runs its filter by hand"),
    ("store/src/embedded/disk/owner.rs", "its own disk"),
    ("sys/src/arp.rs", "the checksum of what it sends"),
    ("sys/src/vrrp/filter.rs", "numbers of the own file, for the kernel's filter"),
    ("trust/src/access.rs", "its own disk"),
    ("trust/src/audit.rs", "its own disk"),
    ("trust/src/folder.rs", "its own disk"),
    ("trust/src/signed.rs", "serde, after the authority's signature was checked"),
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("it can be listed") {
        let path = entry.expect("it can be listed").path();
        let is_test = ["tests", "tests.rs", "fuzz.rs"].iter().any(|name| path.ends_with(name));
        if is_test {
            continue;
        }
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
    let layers =
        ["api", "cli", "engine", "node", "proxy", "remote", "services", "store", "sys", "trust"];
    for layer in layers {
        sources(&crates.join(layer).join("src"), &mut files);
    }
    let reads = |path: &PathBuf| {
        let text = fs::read_to_string(path).expect("a source can be read");
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        SIGNS.iter().any(|sign| text.contains(sign))
    };
    let name = |path: &PathBuf| {
        path.strip_prefix(&crates).expect("it was found there").display().to_string()
    };
    let mut found: Vec<String> = files.iter().filter(|path| reads(path)).map(name).collect();
    found.sort();
    let own = OWN.iter().map(|(file, _)| *file);
    let mut known: Vec<&str> = READERS.iter().map(|(file, _)| *file).chain(own).collect();
    known.sort_unstable();
    assert_eq!(found, known, "what reads bytes of others needs a target, and a row that names it");
    for (file, target) in READERS.into_iter().chain(BY_HAND) {
        assert!(crates.join(file).exists(), "{file} is gone");
        assert!(TARGETS.iter().any(|known| known.name == target), "{file}: no target {target}");
    }
}
