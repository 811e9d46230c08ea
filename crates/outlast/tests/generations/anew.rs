//! What every member takes on one after the other.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::lonely::{alone, until};
use super::{CLUSTER, DOORS, NODES, Trio, line, serve};

/// Processes that run a store, of all nodes of the test.
fn stores() -> Vec<i32> {
    let mut found = vec![];
    for entry in fs::read_dir("/proc").expect("there are processes").flatten() {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let pid = entry.file_name().to_string_lossy().parse::<i32>().ok();
        if line.windows(11).any(|words| words == b"\0role\0store") {
            found.extend(pid);
        }
    }
    found.sort_unstable();
    found
}

/// Three nodes that run the first generation; the address of their server, and the folder it came from.
fn begun() -> (Trio, SocketAddr, String) {
    let mut trio = Trio::founded();
    let one = serve("one");
    for (node, door) in NODES.iter().zip(DOORS) {
        fs::write(trio.files.path(&format!("{node}/outlast.toml")), CLUSTER).expect("a file");
        fs::write(trio.used(node), trio.haproxy(door, one)).expect("a file");
    }
    for node in NODES {
        trio.start(node);
    }
    let folder = trio.folder(one, "");
    let (code, said) = trio.apply("node01", &folder, &[]);
    assert_eq!(code, 0, "{said}");
    (trio, one, folder)
}

/// Tells threads when it is dropped, also by a panic.
struct Told<'a>(&'a AtomicBool);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Another node in the cluster file makes every member start its store process anew.
#[test]
fn store_processes_start_anew_one_after_the_other_while_writes_go_on() {
    alone("anew::store_processes_start_anew_one_after_the_other_while_writes_go_on", || {
        let (trio, one, folder) = begun();
        let before = stores();
        assert_eq!(before.len(), NODES.len());
        let more = "[node.node04]\nnetworks = { management = \"127.0.0.5\" }\n[dashboard]";
        let text = CLUSTER.replace("[dashboard]", more);
        fs::write(PathBuf::from(&folder).join("outlast.toml"), text).expect("a file");
        let shared = PathBuf::from(&folder).join("haproxy.cfg");
        fs::write(shared, trio.haproxy("127.0.0.5", one)).expect("a file");
        let over = AtomicBool::new(false);
        let (written, fewest) = std::thread::scope(|scope| {
            // Whatever fails here, both threads end.
            let told = Told(&over);
            let writes = scope.spawn(|| {
                let mut written = 0_u64;
                while !over.load(Ordering::Relaxed) {
                    let value = (written + 1).to_string();
                    let put = trio.ask("node01", &["store", "put", "counted", &value]);
                    written += u64::from(put.status.success());
                }
                written
            });
            let counts = scope.spawn(|| {
                let mut fewest = NODES.len();
                while !over.load(Ordering::Relaxed) {
                    fewest = fewest.min(stores().len());
                    std::thread::sleep(Duration::from_millis(2));
                }
                fewest
            });
            // The fourth is not there.
            let (_, said) = trio.apply("node02", &folder, &["--wait", "1"]);
            assert_eq!(said["generation"], 2, "{said}");
            until("all three have it", || {
                let (_, said) = trio.config("node02", &["status"]);
                NODES.iter().all(|node| line(&said, node) == ("applied", Some(2), ""))
            });
            drop(told);
            (writes.join().expect("it writes"), counts.join().expect("it counts"))
        });
        let after = stores();
        assert!(before.iter().all(|pid| !after.contains(pid)), "{before:?} {after:?}");
        assert!(fewest >= 2, "{fewest} of them ran at once");
        assert!(written > 10, "{written} writes were acknowledged");
        until("the last of them is there", || {
            let said = trio.ask("node03", &["store", "get", "counted"]).stdout;
            let found: u64 = String::from_utf8_lossy(&said).trim().parse().unwrap_or(0);
            found >= written
        });
    });
}

/// A balancer that goes is something that only a start can take on.
#[test]
fn a_node_that_starts_takes_the_generation_that_waited_for_it() {
    alone("anew::a_node_that_starts_takes_the_generation_that_waited_for_it", || {
        let (mut trio, _, folder) = begun();
        let without = CLUSTER.replace("haproxy = \"haproxy.cfg\"\n", "");
        let own = PathBuf::from(&folder).join("nodes/node03/outlast.toml");
        fs::write(own, &without).expect("a file");
        let (code, said) = trio.apply("node01", &folder, &[]);
        let (state, runs, why) = line(&said, "node03");
        assert_eq!((code, state, runs), (1, "refused", Some(1)), "{said}");
        assert!(why.contains("it is taken on at its next start"), "{why}");
        trio.all_answer(&NODES, "one");
        trio.power_off("node03");
        trio.start("node03");
        until("all have it", || trio.config("node01", &["status"]).0 == 0);
        let used = fs::read_to_string(trio.files.path("node03/outlast.toml")).expect("a file");
        assert_eq!(used, without);
        assert_eq!(trio.answer("node03"), "", "it has no balancer any more");
        trio.all_answer(&NODES[..2], "one");
    });
}
