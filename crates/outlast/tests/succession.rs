//! How soon somebody coordinates again, by real processes: the coordinator's node loses its power, is stopped, or its
//! agent is killed.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/lonely.rs"]
mod lonely;

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/trio.rs"]
mod trio;

use std::fs::File;
use std::io::Write;

use api::Event;
use lonely::{alone, kill, until};
use trio::{NODES, Trio};

/// The limit of the name: who has it for less may be followed by it alone.
const LIMIT_MS: u64 = 8_000;
/// On a busy machine; on an idle one a third of it.
const FOLLOWED_WITHIN_MS: u64 = 4_000;

/// Three nodes that miss each other after a second, as a file has it that says nothing.
fn quick() -> Trio {
    let mut trio = Trio::laid("", "");
    for node in NODES {
        let file = trio.config_file(node);
        let text = std::fs::read_to_string(&file).expect("it was laid");
        std::fs::write(&file, text.replace("detect = \"3s\"", "detect = \"1s\"")).expect("a file");
    }
    trio.start_all();
    trio
}

fn others(node: &str) -> Vec<&'static str> {
    NODES.into_iter().filter(|other| *other != node).collect()
}

/// How one of them began under a later token.
fn began(trio: &Trio, among: &[&'static str], before: u64) -> (&'static str, Event) {
    let mut found = None;
    until("another time in office begins", || {
        let Some((token, node)) = trio.newest(among).filter(|(token, _)| *token > before) else {
            return false;
        };
        let events = trio.events(node, "coordinator-began");
        let is_it = |event: &Event| event.evidence.ends_with(&format!(" {token}"));
        found = events.into_iter().find(is_it).map(|event| (node, event));
        found.is_some()
    });
    found.expect("it was waited for")
}

/// For `cargo xtask bench store`, where it names a file: what was done, and milliseconds until another coordinates.
fn figure(what: &str, took: u64) {
    if let Some(file) = std::env::var_os("OUTLAST_FIGURES") {
        let mut file = File::options().create(true).append(true).open(file).expect("a file");
        writeln!(file, "{what}\t{took}").expect("it is written");
    }
}

#[test]
fn a_coordinator_whose_node_loses_its_power_is_followed_in_seconds() {
    alone("a_coordinator_whose_node_loses_its_power_is_followed_in_seconds", || {
        let mut trio = quick();
        let (before, first) = trio.leads();
        let left = others(first);
        until("its first limit is over, as the others know", || {
            let now = sys::clock::wall_ms();
            left.iter().all(|node| {
                let known = trio.status(node).and_then(|status| status.coordinator);
                known.is_some_and(|known| {
                    known.token == before && now > known.since_ms + LIMIT_MS + 100
                })
            })
        });
        let killed = sys::clock::wall_ms();
        trio.power_off(first);
        let (second, event) = began(&trio, &left, before);
        let took = event.at_ms.saturating_sub(killed);
        figure("power off", took);
        assert!(took < FOLLOWED_WITHIN_MS, "{took} ms: {event:?}");
        let why = format!("{first} is unreachable as this node and a majority see it, token ");
        assert!(event.evidence.starts_with(&why), "{event:?}");
        // It decides.
        let (code, said) = trio.types(left[0], &["node", "standby", second]);
        assert_eq!(code, Some(0), "{said}");
    });
}

#[test]
fn a_coordinator_that_is_stopped_or_whose_agent_is_killed_is_followed_at_once() {
    alone("a_coordinator_that_is_stopped_or_whose_agent_is_killed_is_followed_at_once", || {
        let mut trio = quick();
        let (mut before, first) = trio.leads();
        let killed = sys::clock::wall_ms();
        kill(trio.agent(first), "KILL");
        let (same, event) = began(&trio, &NODES, before);
        let took = event.at_ms.saturating_sub(killed);
        figure("agent killed", took);
        assert_eq!(same, first, "nobody calls it gone, and it goes on itself: {event:?}");
        assert!(event.evidence.starts_with("its own former time in office has ended"), "{event:?}");
        assert!(took < FOLLOWED_WITHIN_MS, "{took} ms: {event:?}");

        before = trio.leads().0;
        let at = trio.nodes.iter().position(|(name, _)| *name == first).expect("it runs");
        let (_, mut child) = trio.nodes.remove(at);
        let stopped = sys::clock::wall_ms();
        kill(i32::try_from(child.id()).expect("a pid"), "TERM");
        let (_, event) = began(&trio, &others(first), before);
        let took = event.at_ms.saturating_sub(stopped);
        figure("stopped", took);
        assert!(took < FOLLOWED_WITHIN_MS, "{took} ms: {event:?}");
        assert!(event.evidence.starts_with(&format!("{first} has left, ")), "{event:?}");
        child.wait().expect("a child can be waited for");
    });
}
