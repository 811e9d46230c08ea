//! What is typed at the store itself.

use api::Role;

use super::lonely::{alone, kill, until};
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
        // A value that is read, too: one line.
        let (code, text) = mixed.says("node01", &["store", "put", "site/motd", "hello"]);
        assert_eq!(code, Some(0), "{text}");
        let (code, text) = mixed.says("node01", &["store", "get", "site/motd"]);
        assert_eq!((code, text.as_str()), (Some(0), "hello\n"));
        let (_, log) = mixed.says("node01", &["audit"]);
        let lines: Vec<_> = log.lines().filter(|line| line.contains("store get")).collect();
        let [line] = lines[..] else { panic!("{log}") };
        assert!(line.contains("uid 0 (pid ") && line.ends_with("site/motd: asked for"), "{line}");
        // An agent that stands still, until it is replaced, writes nothing down: a backup is made all the same.
        let without_agent = |words: &[&str]| {
            let mut agent = None;
            until("an agent runs", || {
                let processes = mixed.status("node01").map(|status| status.processes);
                let mut running = processes.into_iter().flatten().filter(|one| one.running);
                agent = running.find(|one| one.role == Role::Agent).map(|one| one.pid);
                agent.is_some()
            });
            kill(agent.expect("it was waited for"), "STOP");
            mixed.says("node01", words)
        };
        let (code, text) = without_agent(&["store", "backup", &copy, "--force"]);
        assert_eq!(code, Some(0), "{text}");
        assert!(text.contains("this is in no audit log: "), "{text}");
        let (code, text) = without_agent(&["store", "get", "site/motd"]);
        assert_eq!(code, Some(0), "{text}");
        assert!(text.contains("this is in no audit log: ") && text.contains("hello"), "{text}");
        let (code, text) = without_agent(&["store", "put", "site/motd", "again"]);
        assert!(code.is_some_and(|code| code > 0), "a put is not begun: {text}");
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
