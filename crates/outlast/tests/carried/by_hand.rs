//! What is typed at the store itself.

use super::lonely::{alone, until};
use super::{CLUSTER, Mixed};

#[test]
fn what_is_done_to_the_store_by_hand_is_in_the_audit_log() {
    alone("by_hand::what_is_done_to_the_store_by_hand_is_in_the_audit_log", || {
        let mut mixed = Mixed::new(CLUSTER);
        mixed.start("node01");
        until("the store has a leader", || {
            mixed.types("node01", &["store", "status"]).status.success()
        });
        let copy = mixed.files.path("copy").display().to_string();
        for (deed, words) in [
            ("store put", &["store", "put", "site/motd", "hello"][..]),
            ("store backup", &["store", "backup", &copy]),
            ("store delete", &["store", "delete", "site/motd"]),
        ] {
            let (code, text) = mixed.says("node01", words);
            assert_eq!(code, Some(0), "{deed}: {text}");
            let (_, log) = mixed.says("node01", &["audit"]);
            let lines: Vec<_> = log.lines().filter(|line| line.contains(deed)).collect();
            let [begun, done] = lines[..] else { panic!("{deed}: {log}") };
            assert!(begun.contains("uid 0 (pid ") && begun.contains(words[2]), "{begun}");
            assert!(begun.ends_with("begun") && done.ends_with("done"), "{begun}\n{done}");
            assert!(!log.contains("hello"), "no value is in the log: {log}");
        }
        // What nodes act upon is not written by mistake.
        for words in
            [&["store", "put", "proof/node02", "x"][..], &["store", "delete", "intent-last"]]
        {
            let (code, text) = mixed.says("node01", words);
            assert_eq!(code, Some(2), "{text}");
            assert!(
                text.contains("is a key of the cluster's own") && text.contains("--force"),
                "{text}"
            );
        }
    });
}
