//! Faults of the machine around a node: what is lost is counted and said, and nothing else suffers.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/lonely.rs"]
mod lonely;

use std::fs;
use std::io::Write;
use std::process::Command;

use api::{Event, Role};
use lonely::{Lonely, alone, has_vip, until};

/// Fills a file until the disk takes nothing more.
fn fill(node: &Lonely) {
    let mut file = fs::File::create(node.path("state/filler")).expect("room for a name");
    let block = [0; 512];
    while file.write_all(&block).is_ok() {}
}

fn limited(node: &Lonely) -> Option<String> {
    let limits = node.try_status()?.limits;
    limits.into_iter().find(|limit| limit.starts_with("events are in memory only ("))
}

fn refusals(node: &Lonely) -> usize {
    node.events().iter().filter(|event| event.what == "reload-refused").count()
}

/// A broken file at SIGHUP changes nothing, and is an event.
fn make_an_event(node: &Lonely) {
    let before = refusals(node);
    node.signal("HUP");
    until("the refusal is told", || refusals(node) > before);
}

#[test]
fn a_full_disk_costs_no_event_and_nothing_else() {
    alone("a_full_disk_costs_no_event_and_nothing_else", || {
        let mut node = Lonely::new();
        let state = node.path("state");
        fs::create_dir_all(&state).expect("a folder of the test");
        let mount = ["-t", "tmpfs", "-o", "size=64k", "tiny"];
        let mounted = Command::new("mount").args(mount).arg(&state).status();
        assert!(mounted.is_ok_and(|status| status.success()), "cannot mount a tiny disk");
        node.start();
        until("the start is told", || node.events().iter().any(|event| event.what == "started"));
        fill(&node);
        node.write("haproxy.cfg", "listen broken\n  nonsense\n");
        let mut made = 0;
        while limited(&node).is_none() {
            make_an_event(&node);
            made += 1;
            assert!(made < 100, "the disk is not full");
        }
        for _ in 0..3 {
            make_an_event(&node);
        }
        let events = node.events();
        let began = |event: &Event| event.what == "journal-unwritable";
        assert!(events.iter().any(began), "{events:?}");
        assert!(node.serves(node.port) && has_vip());
        let agent = node.process(Role::Agent);
        lonely::kill(agent, "KILL");
        until("there is another agent", || node.process(Role::Agent) != agent);
        // What the killed agent had not written is gone, and counted; numbers are not used again.
        let last = events.last().expect("there are events").seq;
        until("the loss is told", || {
            let told = |event: &Event| {
                event.what == "events-not-written"
                    && event.seq > last
                    && event.evidence.starts_with("the process before ended while the disk took")
            };
            node.events().iter().any(told)
        });
        make_an_event(&node);
        until("the disk is still full", || limited(&node).is_some());
        assert!(node.serves(node.port) && has_vip());

        fs::remove_file(node.path("state/filler")).expect("it is there");
        until("the end is told", || {
            let ended = |event: &Event| {
                event.what == "events-not-written"
                    && event.evidence.starts_with("the disk takes events again: ")
                    && event.evidence.contains(" 0 are in no file ")
            };
            node.events().iter().any(ended)
        });
        until("status says nothing of it", || limited(&node).is_none());
        let known: Vec<u64> = node.events().iter().map(|event| event.seq).collect();
        until("every event that is known is in the file", || {
            let text = fs::read_to_string(node.path("state/events.jsonl")).unwrap_or_default();
            let numbers: Vec<u64> = text.lines().filter_map(number).collect();
            assert!(numbers.is_sorted(), "{numbers:?}");
            known.iter().all(|number| numbers.contains(number))
        });
        node.signal("TERM");
        node.ended();
        assert!(!has_vip());
    });
}

fn number(line: &str) -> Option<u64> {
    let value: serde_json::Value = serde_json::from_str(line).ok()?;
    value.get("msg")?.get("seq")?.as_u64()
}
