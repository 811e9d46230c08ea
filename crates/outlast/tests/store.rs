//! Three nodes as processes on one loopback: their store is one, over mutual TLS.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/lonely.rs"]
mod lonely;

#[expect(unreachable_pub, reason = "so that the test programs can share it")]
#[path = "store/trio.rs"]
mod trio;

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lonely::{alone, kill, until};
use serde_json::Value;
use sys::poll::{Interest, Poller};
use trio::{NODES, Trio, check, said};

#[test]
fn three_nodes_found_one_store_and_its_process_is_replaced() {
    alone("three_nodes_found_one_store_and_its_process_is_replaced", || {
        let mut trio = Trio::founded("controller");
        // Two of them found nothing: the third may have a store already.
        trio.start("node01");
        trio.start("node02");
        until("the first says for whom it waits", || {
            let report = trio.report("node01");
            report["trouble"].as_str().is_some_and(|text| text.contains("node03"))
        });
        assert_eq!(trio.report("node01")["leader"], Value::Null);
        trio.start("node03");
        let leader = trio.leader(&NODES);
        let report = trio.report(&leader);
        let voters = report["voters"].as_array().expect("a list");
        let mut voters: Vec<_> = voters.iter().map(|voter| voter["name"].as_str()).collect();
        voters.sort_unstable();
        assert_eq!(voters, NODES.map(Some));
        trio.put("node01", "a", "1");
        for node in NODES {
            assert_eq!(trio.get(node, "a").as_deref(), Some("1"), "{node}");
            assert_eq!(trio.get(node, "b"), None);
        }
        refused_for_its_length(&trio);
        trio.tells_its_facts("node02", &leader);
        // A process that is killed or hangs is replaced; the others go on meanwhile.
        let other = NODES.into_iter().find(|node| *node != leader).expect("there are three");
        for (signal, value) in [("KILL", "2"), ("STOP", "3")] {
            let before = trio.process(&leader);
            kill(before, signal);
            trio.put(other, "a", value);
            until("another process runs", || trio.process(&leader) != before);
            trio.leader(&NODES);
            assert_eq!(trio.get(&leader, "a").as_deref(), Some(value));
        }
    });
}

/// One byte over the limit is refused with both numbers, and what was there stays.
fn refused_for_its_length(trio: &Trio) {
    const MOST: usize = 256 << 10;
    let fits = trio.put_from_input("node02", "large", &[b'x'; MOST]);
    assert_eq!(fits.status.code(), Some(0), "{}", said(&fits));
    let refused = trio.put_from_input("node02", "large", &[b'y'; MOST + 1]);
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    let words = "the value of `large` has 262145 bytes, the limit is 262144";
    assert!(said(&refused).contains(words), "{}", said(&refused));
    let there = trio.get("node03", "large").expect("it is there");
    assert_eq!((there.len(), there.contains('y')), (MOST, false));
}

/// How long a door is waited for: a member that is being replaced sends nobody away.
const ANSWER: Duration = Duration::from_millis(5);

/// Connections that say nothing, at each door as many as it keeps, from eight addresses: a new one when one of them
/// was sent away, or after [`ANSWER`].
fn strangers(doors: &[SocketAddr], enough: &AtomicBool) {
    let door = |at: &SocketAddr| (*at, Poller::new().expect("a poller"), BTreeMap::new());
    let mut doors: Vec<(SocketAddr, Poller, BTreeMap<u64, OwnedFd>)> =
        doors.iter().map(door).collect();
    let mut from = (1..=8).cycle();
    let (mut number, mut ended) = (0, vec![]);
    while !enough.load(Ordering::Relaxed) {
        for (door, poller, idle) in &mut doors {
            let from = Ipv4Addr::new(127, 0, 9, from.next().expect("for ever"));
            let from = SocketAddr::from((from, 0));
            if let Ok(stranger) = sys::socket::connect_tcp_from(*door, Some(from)) {
                number += 1;
                poller.add(stranger.as_fd(), number, Interest::READ).expect("a new descriptor");
                idle.insert(number, stranger);
            }
            poller.wait(&mut ended, Some(ANSWER)).expect("it can be waited for");
            for stranger in &ended {
                idle.remove(&stranger.token);
            }
            if idle.len() > 100 {
                idle.pop_first();
            }
        }
    }
}

/// Ends the strangers, also when the test fails.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn idle_strangers_at_the_stores_doors_keep_no_member_out() {
    alone("idle_strangers_at_the_stores_doors_keep_no_member_out", || {
        let mut trio = Trio::founded("controller");
        NODES.iter().for_each(|node| trio.start(node));
        let leader = trio.leader(&NODES);
        let member = NODES.into_iter().find(|node| *node != leader).expect("there are three");
        let enough = AtomicBool::new(false);
        let doors: Vec<SocketAddr> = (0..2)
            .flat_map(|network| (2..5).map(move |node| Ipv4Addr::new(127, 0, network, node)))
            .map(|address| SocketAddr::from((address, 7414)))
            .collect();
        std::thread::scope(|scope| {
            scope.spawn(|| strangers(&doors, &enough));
            let end = End(&enough);
            let turned_away = |node: &str| {
                let of = trio.status(node)["store"]["turned_away"].clone();
                of["connections"].as_u64().unwrap_or(0)
            };
            until("strangers are sent away everywhere", || {
                NODES.iter().all(|node| turned_away(node) > 100)
            });
            // Whoever is killed while they hold all doors is back, and is served.
            for (node, value) in [(member, "1"), (&leader, "2")] {
                let before = trio.process(node);
                kill(before, "KILL");
                until("another process runs", || trio.process(node) != before);
                trio.leader(&NODES);
                trio.put(node, "a", value);
                for node in NODES {
                    assert_eq!(trio.get(node, "a").as_deref(), Some(value), "{node}");
                }
            }
            until("the new ones send strangers away, too", || turned_away(member) > 0);
            let said = String::from_utf8(trio.ask(member, &["status"]).stdout).expect("text");
            let line =
                "connections that waited at the store's door were sent away (last from 127.0.9.";
            assert!(said.contains(line), "{said}");
            drop(end);
        });
    });
}

#[test]
fn a_backup_is_restored_on_all_members_and_no_revision_comes_twice() {
    alone("a_backup_is_restored_on_all_members_and_no_revision_comes_twice", || {
        let mut trio = Trio::founded("controller");
        for node in NODES {
            trio.start(node);
        }
        trio.leader(&NODES);
        trio.put("node01", "a", "before");
        let file = trio.files.path("backup");
        let file = file.to_str().expect("a path of the test");
        assert!(trio.store("node02", &["backup", file]).status.success());
        checks_backups(&trio, file);
        trio.put("node01", "a", "after");
        trio.put("node01", "b", "after");
        let revision = trio.report("node01")["revision"].as_u64().expect("a number");
        // Its process may just be replaced.
        until("a store that runs is not read by others", || {
            said(&trio.check("node01")).contains("stop outlast")
        });
        trio.stop();
        // As the process of a store holds it.
        let held = File::open(trio.folder("node01").join("store.redb")).expect("a file");
        held.lock().expect("nobody else has it");
        let output = trio.restore("node01", file, &[]);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains("stop outlast"), "{}", said(&output));
        drop(held);
        is_refused(&trio.restore("node01", &trio.damaged(file), &[]));
        is_whole(&trio, "node01");
        let first = trio.restored(file);
        is_logged(&trio, "store restore");
        assert!(first > revision);
        // A disk with a flipped bit is found.
        let old = trio.folder("node01").join("store.redb.before-restore");
        let bad = trio.files.path("bad");
        std::fs::create_dir_all(&bad).expect("a folder");
        let mut bytes = std::fs::read(&old).expect("a file");
        bytes.iter_mut().skip(4096).step_by(512).for_each(|byte| *byte ^= 0x40);
        std::fs::write(bad.join("store.redb"), bytes).expect("a file");
        let output = check(&bad);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        for node in NODES {
            trio.start(node);
        }
        trio.leader(&NODES);
        assert_eq!(trio.get("node03", "a").as_deref(), Some("before"));
        assert_eq!(trio.get("node03", "b"), None);
        trio.put("node02", "c", "new");
        let revision = trio.revision_after("node02", first);
        // The same again.
        trio.stop();
        for node in NODES {
            let old = trio.folder(node).join("store.redb.before-restore");
            std::fs::remove_file(old).expect("it is there");
        }
        let output = trio.restore("node01", file, &["--from", &first.to_string()]);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains("would give revisions again"), "{}", said(&output));
        let second = trio.restored(file);
        assert!(second > revision, "{second} after {revision}");
        for node in NODES {
            trio.start(node);
        }
        trio.leader(&NODES);
        assert_eq!(trio.get("node02", "a").as_deref(), Some("before"));
        assert_eq!(trio.get("node02", "c"), None);
        trio.put("node03", "d", "new");
        for node in NODES {
            assert_eq!(trio.get(node, "d").as_deref(), Some("new"), "{node}");
        }
        trio.revision_after("node03", second);
    });
}

/// The record that says whose file it is, with the number of the next version.
fn make_newer(file: &Path) {
    use redb::ReadableTable;
    const FACTS: redb::TableDefinition<'_, &str, &[u8]> = redb::TableDefinition::new("facts");
    let database = redb::Database::open(file).expect("no store has it");
    let transaction = database.begin_write().expect("it can be written");
    {
        let mut facts = transaction.open_table(FACTS).expect("a store has facts");
        let owner = facts.get("owner").expect("it can be read").map(|owner| owner.value().to_vec());
        let mut owner = owner.expect("somebody owns it");
        assert_eq!(owner[0], 2, "the version of this program");
        owner[0] += 1;
        facts.insert("owner", owner.as_slice()).expect("it can be written");
    }
    transaction.commit().expect("it can be written");
}

#[test]
fn a_store_of_a_newer_version_is_refused_by_name_and_stays_as_it_is() {
    alone("a_store_of_a_newer_version_is_refused_by_name_and_stays_as_it_is", || {
        let mut trio = Trio::founded("controller");
        for node in NODES {
            trio.start(node);
        }
        trio.leader(&NODES);
        trio.put("node01", "a", "1");
        let backup = trio.files.path("backup");
        let backup = backup.to_str().expect("a path of the test");
        assert!(trio.store("node01", &["backup", backup]).status.success());
        trio.stop_one("node03");
        let file = trio.folder("node03").join("store.redb");
        make_newer(&file);
        let words = "it is of version 3, this program reads up to 2";
        let names = |text: &str| text.contains(words) && text.contains("store.redb");
        let output = trio.check("node03");
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(names(&said(&output)), "{}", said(&output));
        let before = std::fs::read(&file).expect("a file");
        let output = trio.restore("node03", backup, &[]);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(names(&said(&output)), "{}", said(&output));
        assert!(std::fs::read(&file).expect("a file") == before, "nothing was changed");
        assert!(!trio.folder("node03").join("store.redb.before-restore").exists());
        // The node runs, without its store, and says why; the others go on.
        trio.start("node03");
        until("its log says why", || {
            let log = std::fs::read_to_string(trio.files.path("log-node03")).unwrap_or_default();
            log.lines().any(names)
        });
        until("it says so while it is asked", || {
            let output = trio.ask("node03", &["status"]);
            let text = String::from_utf8_lossy(&output.stdout);
            output.status.code() == Some(1) && names(&text)
        });
        trio.put("node02", "a", "2");
        assert_eq!(trio.get("node01", "a").as_deref(), Some("2"));
        trio.stop_node("node03");
        assert_eq!(trio.check("node03").status.code(), Some(1), "it is as it was");
    });
}

/// A backup that is damaged is told as such.
fn is_refused(output: &std::process::Output) {
    assert_eq!(output.status.code(), Some(1), "{}", said(output));
    assert!(said(output).contains("damaged: the backup is not whole"), "{}", said(output));
}

/// Nothing in the store of that node was changed, and it is told by its name.
fn is_whole(trio: &Trio, node: &str) {
    let config = trio.files.path(&format!("{node}.toml"));
    let config = config.to_str().expect("a path of the test");
    let output = trio.check_with(node, &["--config", config]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", said(&output));
    assert!(text.contains(&format!("is whole: the store of {node} in cluster `")), "{text}");
}

/// A backup is whole, or what is broken is told; it is not written over unless somebody insists.
fn checks_backups(trio: &Trio, file: &str) {
    let output = check(Path::new(file));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", said(&output));
    assert!(text.contains("backup is whole: a backup of revision "), "{text}");
    let bytes = std::fs::read(file).expect("a file");
    let cut = trio.files.path("cut");
    std::fs::write(&cut, &bytes[..bytes.len() - 7]).expect("a file");
    for broken in [trio.damaged(file).as_str(), cut.to_str().expect("a path of the test")] {
        let output = check(Path::new(broken));
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(
            said(&output).contains("the backup is not whole: its checksum"),
            "{}",
            said(&output)
        );
    }
    let output = trio.store("node02", &["backup", file]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("is there already"), "{}", said(&output));
    assert!(std::fs::read(file).expect("a file") == bytes, "it is as it was");
    let output = trio.store("node02", &["backup", file, "--force"]);
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn a_member_that_was_left_out_of_a_restore_is_refused_by_name() {
    alone("a_member_that_was_left_out_of_a_restore_is_refused_by_name", || {
        let mut trio = Trio::founded("controller");
        for node in NODES {
            trio.start(node);
        }
        trio.leader(&NODES);
        trio.put("node01", "a", "before");
        let file = trio.files.path("backup");
        let file = file.to_str().expect("a path of the test");
        assert!(trio.store("node02", &["backup", file]).status.success());
        trio.put("node01", "a", "after");
        until("all have it", || NODES.iter().all(|node| trio.get(node, "a").is_some()));
        trio.stop();
        let output = trio.restore("node01", file, &[]);
        let text = String::from_utf8(output.stdout).expect("text");
        let from = text.split_once("--from ").and_then(|(_, rest)| rest.split_whitespace().next());
        let from: u64 = from.expect("a command for the others").parse().expect("a number");
        assert!(trio.restore("node02", file, &["--from", &from.to_string()]).status.success());
        // The third has a longer log and a higher term than what was restored.
        for node in NODES {
            trio.start(node);
        }
        trio.leader(&["node01", "node02"]);
        trio.says("node03", "this node was left out of a restore");
        trio.says("node01", "node03 was left out of a restore");
        assert_eq!(trio.report("node03")["leader"], Value::Null);
        assert_eq!(trio.get("node02", "a").as_deref(), Some("before"));
        // Another revision is another store.
        trio.stop_one("node03");
        let other = (from + 5).to_string();
        assert!(trio.restore("node03", file, &["--from", &other]).status.success());
        trio.start("node03");
        trio.says("node03", &format!("this node has store {other}"));
        trio.says("node02", "restored from another revision");
        // With an empty disk it is filled up, and nobody complains any more.
        trio.stop_one("node03");
        std::fs::remove_dir_all(trio.folder("node03")).expect("it is there");
        trio.start("node03");
        trio.leader(&NODES);
        assert_eq!(trio.get("node03", "a").as_deref(), Some("before"));
        let same = |node: &str| trio.report(node)["incarnation"].as_u64() == Some(from);
        until("all are one store", || {
            let silent = |node: &str| trio.report(node)["trouble"].is_null();
            NODES.into_iter().all(|node| same(node) && silent(node))
        });
    });
}

#[test]
fn a_member_that_was_revoked_has_no_part_in_the_store() {
    alone("a_member_that_was_revoked_has_no_part_in_the_store", || {
        let mut trio = Trio::founded("controller");
        for node in NODES {
            trio.start(node);
        }
        trio.leader(&NODES);
        trio.put("node03", "a", "1");
        trio.said(&["trust", "revoke", "node03"], "node01");
        trio.refresh("node02");
        until("node03 can write no more", || {
            !trio.store("node03", &["put", "a", "2"]).status.success()
        });
        trio.leader(&NODES[..2]);
        trio.put("node01", "a", "3");
        assert_eq!(trio.get("node02", "a").as_deref(), Some("3"));
        until("node03 cannot even read", || !trio.store("node03", &["get", "a"]).status.success());
    });
}

#[test]
fn a_compute_node_is_no_member_whatever_its_file_says() {
    alone("a_compute_node_is_no_member_whatever_its_file_says", || {
        let mut trio = Trio::founded("compute");
        for node in NODES {
            trio.start(node);
        }
        for node in &NODES[..2] {
            until("it says why it waits", || {
                let report = trio.report(node);
                let why = report["trouble"].as_str().unwrap_or_default();
                why.contains("`node03` is a compute node") && report["leader"].is_null()
            });
        }
        // What it waits for is told by name where it is not known, too.
        until("it is not let in", || {
            let report = trio.report("node03");
            report["trouble"].as_str().is_some_and(|why| why.contains("it may not know this node"))
        });
    });
}

/// It is in the first node's audit log, with what came of it.
fn is_logged(trio: &Trio, deed: &str) {
    let log = std::fs::read_to_string(trio.files.path("state-node01/audit.jsonl")).expect("a log");
    assert!(log.lines().any(|line| line.contains(deed) && line.contains("done")), "{log}");
}
