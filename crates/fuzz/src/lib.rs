//! What every parser of bytes from outside promises, whatever the bytes.
//!
//! Each [`Target`] is a function that feeds bytes to parsers and panics where a promise is broken:
//! nothing panics, pieces read as the whole does, what was read and printed again reads the same,
//! nothing is consumed that was not given, output has a bound. Two callers: `cargo fuzz` (the folder
//! `fuzz` at the root, nightly), which looks for such bytes, and the tests of this crate, which run
//! every input that was ever worth keeping (`fuzz/corpus`).

mod bfd;
mod config;
mod gossip;
mod messages;
mod network;
mod probes;
mod receivers;

/// One entry of [`TARGETS`].
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Also the name of its program in `fuzz/fuzz_targets` and of its folder in `fuzz/corpus`.
    pub name: &'static str,
    /// What it reads, for people.
    pub reads: &'static str,
    /// # Panics
    /// When a promise is broken.
    pub run: fn(&[u8]),
}

const fn target(name: &'static str, reads: &'static str, run: fn(&[u8])) -> Target {
    Target { name, reads, run }
}

/// Every parser of bytes that others wrote.
pub const TARGETS: [Target; 21] = [
    target("haproxy_cfg", "files in HAProxy's language", config::haproxy),
    target("keepalived_conf", "files in keepalived's language", config::keepalived),
    target("outlast_toml", "the cluster file", config::cluster),
    target("config_files", "all files of one start together", config::files),
    target("config_changes", "files that are repaired and imported", config::changes),
    target("datagram", "adverts, sealed packets and what is in them", network::datagram),
    target("vip_beat", "what vip processes say about their vip leases", network::vip_beat),
    target("bfd", "packets of BFD, one after the other", bfd::packets),
    target("gossip", "what many nodes tell each other about each other", gossip::body),
    target("http_head", "heads of requests and of answers", proxy::fuzz::http_head),
    target("http_body", "chunked bodies and bodies of a length", proxy::fuzz::http_body),
    target("probe_answer", "answers of HTTP and MySQL servers to probes", probes::answer),
    target("receiver_answer", "answers of mail servers and webhooks", receivers::answer),
    target("stats", "commands on the statistics socket, requests for its page", proxy::fuzz::stats),
    target("api_message", "messages between the processes of a node", messages::api),
    target("event_log", "the event log on disk, torn lines too", messages::event_log),
    target("store_message", "messages between nodes of the store", store::fuzz::message),
    target("store_entry", "entries, results and snapshots of the store", messages::store),
    target(
        "etcd_answer",
        "answers of an etcd: HTTP, chunks, lines, JSON, base64",
        store::fuzz::etcd,
    ),
    target("recording", "recordings of membership, to be played again", messages::recording),
    target("trust_message", "questions and answers of joins, tokens", messages::trust),
];

/// Runs one target.
///
/// # Panics
/// When there is no such target, or when a promise is broken.
pub fn run(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    (target.expect("the name is in TARGETS").run)(bytes);
}
