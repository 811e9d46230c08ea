//! Every input that was ever worth keeping holds still: `fuzz/corpus/<target>`, as ordinary tests.

use std::fs;
use std::path::{Path, PathBuf};

use outlast_fuzz::TARGETS;

/// All corpora together; what is larger slows every test run for ever (bytes).
const MOST: u64 = 1 << 20;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus")
}

fn inputs(target: &str) -> Vec<PathBuf> {
    let folder = corpus().join(target);
    let entries = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{} has no corpus: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.expect("it can be listed").path()).collect();
    files.sort();
    files
}

fn holds(target: &str) {
    let inputs = inputs(target);
    assert!(inputs.len() >= 5, "{target} has {} inputs", inputs.len());
    for path in inputs {
        let bytes = fs::read(&path).expect("it can be read");
        // The name of the input stands above the message of a panic.
        let outcome = std::panic::catch_unwind(|| outlast_fuzz::run(target, &bytes));
        assert!(outcome.is_ok(), "{} breaks a promise", path.display());
    }
}

macro_rules! targets {
    ($($name:ident: $target:literal,)*) => {
        $(
            #[test]
            fn $name() {
                holds($target);
            }
        )*

        const TESTED: [&str; TARGETS.len()] = [$($target),*];
    };
}

targets! {
    kept_inputs_for_haproxys_language_hold: "haproxy_cfg",
    kept_inputs_for_keepaliveds_language_hold: "keepalived_conf",
    kept_inputs_for_the_cluster_file_hold: "outlast_toml",
    kept_inputs_for_files_together_hold: "config_files",
    kept_inputs_for_changed_files_hold: "config_changes",
    kept_inputs_for_datagrams_hold: "datagram",
    kept_inputs_for_vip_beats_hold: "vip_beat",
    kept_inputs_for_packets_of_bfd_hold: "bfd",
    kept_inputs_for_gossip_hold: "gossip",
    kept_inputs_for_http_heads_hold: "http_head",
    kept_inputs_for_http_bodies_hold: "http_body",
    kept_inputs_for_probe_answers_hold: "probe_answer",
    kept_inputs_for_answers_of_receivers_hold: "receiver_answer",
    kept_inputs_for_the_statistics_hold: "stats",
    kept_inputs_for_messages_hold: "api_message",
    kept_inputs_for_the_event_log_hold: "event_log",
    kept_inputs_for_messages_of_the_store_hold: "store_message",
    kept_inputs_for_the_store_hold: "store_entry",
    kept_inputs_for_answers_of_etcd_hold: "etcd_answer",
    kept_inputs_for_recordings_hold: "recording",
    kept_inputs_for_joins_hold: "trust_message",
}

#[test]
fn every_target_is_tested_and_has_a_program_for_the_fuzzer() {
    let manifest = fs::read_to_string(corpus().join("../Cargo.toml")).unwrap();
    for (target, tested) in TARGETS.iter().zip(TESTED) {
        let name = target.name;
        assert_eq!(name, tested);
        let program = corpus().join(format!("../fuzz_targets/{name}.rs"));
        let text = fs::read_to_string(&program).unwrap();
        assert!(text.contains(&format!("\"{name}\"")), "{} runs another one", program.display());
        assert!(manifest.contains(&format!("\"fuzz_targets/{name}.rs\"")), "{name}");
    }
    let programs = fs::read_dir(corpus().join("../fuzz_targets")).unwrap();
    assert_eq!(programs.count(), TARGETS.len());
}

#[test]
fn the_corpora_stay_small() {
    let files = TARGETS.iter().flat_map(|target| inputs(target.name));
    let size: u64 = files.map(|path| fs::metadata(path).unwrap().len()).sum();
    assert!(size < MOST, "{size} bytes");
}
