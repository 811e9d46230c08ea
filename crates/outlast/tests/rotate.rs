//! All keys of a running cluster are changed, and nobody notices: no beat is missing, no write, no leader.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/lonely.rs"]
mod lonely;

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "store/trio.rs"]
mod trio;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use api::{Answer, Ask, Standing, Status};
use lonely::alone;
use trio::{NODES, Trio};

/// Of the cluster's `detect = "1s"`.
const BEAT: Duration = Duration::from_millis(100);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Nodes ask each other every five seconds, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);
/// It is looked so long after all have new keys.
const AFTERWARDS: Duration = Duration::from_secs(3);
/// A machine that is busy may be so late; a pause of a second is none of its lateness.
const MOST_LATE: Duration = Duration::from_millis(600);

fn status(run_dir: &Path) -> Option<Status> {
    let mut stream = UnixStream::connect(run_dir.join("control.sock")).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let mut line = vec![];
    api::encode(&Ask::Status, &mut line);
    line.push(b'\n');
    stream.write_all(&line).ok()?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).ok()?;
    match api::decode(answer.trim_end().as_bytes()).ok()? {
        Answer::Status(status) => Some(*status),
        Answer::Event(_)
        | Answer::Why(_)
        | Answer::Under(_)
        | Answer::Intents(_)
        | Answer::Tried(_)
        | Answer::Book(_)
        | Answer::Access(_)
        | Answer::Refused(_) => None,
    }
}

/// What was the worst while somebody looked.
#[derive(Debug, Default)]
struct Seen {
    /// Of each cell: who, of whom, on which network.
    oldest: BTreeMap<String, Duration>,
    not_alive: Vec<String>,
    looks: usize,
    /// By how much the one who looked was woken too late, or waited for an answer: the machine's doing.
    late: Duration,
}

impl Seen {
    fn look(&mut self, folders: &[PathBuf]) {
        let begin = sys::clock::now();
        thread::sleep(LOOK_EVERY);
        for (node, folder) in NODES.iter().zip(folders) {
            let Some(status) = status(folder) else {
                self.not_alive.push(format!("the agent of {node} does not answer"));
                continue;
            };
            for line in status.nodes.iter().filter(|line| line.state.node != *node) {
                let of = &line.state.node;
                if line.state.standing != Standing::Alive {
                    self.not_alive.push(format!("{node} says {of} is {:?}", line.state.standing));
                }
                for cell in &line.state.cells {
                    let age = Duration::from_millis(cell.age_ms.unwrap_or(u64::MAX));
                    let name = format!("{node} of {of} on {}", cell.network);
                    let oldest = self.oldest.entry(name).or_default();
                    *oldest = age.max(*oldest);
                }
            }
        }
        self.looks += 1;
        let took = sys::clock::now().since(begin).saturating_sub(LOOK_EVERY);
        self.late = took.max(self.late);
    }
}

/// Tells a thread when it is dropped, also by a panic.
struct Told<'a>(&'a AtomicBool);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Writes one key after the other until told to end; those that were acknowledged, and what failed.
fn writer(trio: &Trio, ends: &AtomicBool) -> (Vec<String>, Vec<String>) {
    let (mut acknowledged, mut failed) = (vec![], vec![]);
    for number in 0.. {
        if ends.load(Ordering::Relaxed) {
            break;
        }
        let key = format!("w/{number}");
        let output = trio.store(NODES[number % NODES.len()], &["put", &key, "written"]);
        if output.status.success() {
            acknowledged.push(key);
        } else {
            failed.push(format!("{key}: {}", trio::said(&output)));
        }
    }
    (acknowledged, failed)
}

/// The line about a node's own keys.
fn own_keys(trio: &Trio) -> Vec<Option<String>> {
    let said = NODES.map(|node| trio.said(&["trust", "status"], node));
    said.iter().map(|text| text.lines().nth(1).map(str::to_owned)).collect()
}

fn have_new_keys(trio: &Trio, before: &[Option<String>]) -> bool {
    let now = own_keys(trio);
    let old = NODES.iter().any(|node| trio.said(&["trust", "status"], node).contains("former"));
    !old && now.iter().zip(before).all(|(now, before)| now != before)
}

#[test]
fn all_keys_are_changed_without_a_pause_of_beats_or_of_the_store() {
    alone("all_keys_are_changed_without_a_pause_of_beats_or_of_the_store", || {
        let mut trio = Trio::founded("controller");
        for node in NODES {
            trio.start(node);
        }
        let leader = trio.leader(&NODES);
        let folders = NODES.map(|node| trio.run_dir(node));
        let all_alive = || {
            let mut seen = Seen::default();
            seen.look(&folders);
            seen.not_alive.is_empty()
        };
        lonely::until("everybody hears everybody", all_alive);
        let term = trio.report(&leader)["term"].clone();
        let before = own_keys(&trio);
        let (ends, done) = (AtomicBool::new(false), AtomicBool::new(false));
        let mut seen = Seen::default();
        let (acknowledged, failed) = thread::scope(|scope| {
            // Whatever fails here, the writer ends.
            let told = Told(&ends);
            let writes = scope.spawn(|| writer(&trio, &ends));
            let ordered = trio.said(&["trust", "rotate", "--forget-after", "120"], "node01");
            assert!(ordered.contains("3 nodes take new keys"), "{ordered}");
            let changed = scope.spawn(|| {
                let _told = Told(&done);
                let end = sys::clock::now() + PATIENCE;
                while !have_new_keys(&trio, &before) {
                    assert!(sys::clock::now() < end, "not all have new keys after {PATIENCE:?}");
                    // Each question is six processes.
                    thread::sleep(Duration::from_millis(500));
                }
            });
            while !done.load(Ordering::Relaxed) {
                seen.look(&folders);
            }
            changed.join().expect("they are changed");
            // Connections that were opened with former keys end meanwhile.
            let end = sys::clock::now() + AFTERWARDS;
            while sys::clock::now() < end {
                seen.look(&folders);
            }
            drop(told);
            writes.join().expect("it writes")
        });
        assert!(have_new_keys(&trio, &before), "they were changed meanwhile");
        let limit = BEAT * 3 + seen.late.min(MOST_LATE);
        assert!(seen.not_alive.is_empty(), "{:?}", seen.not_alive);
        assert!(seen.oldest.len() == 12 && seen.looks > 50, "{seen:?}");
        let paused: Vec<_> = seen.oldest.iter().filter(|(_, age)| **age >= limit).collect();
        assert!(paused.is_empty(), "older than {limit:?}: {paused:#?}");
        assert!(failed.is_empty(), "{failed:#?}");
        assert!(acknowledged.len() > 20, "{acknowledged:?}");
        let found = trio.store("node02", &["list", "w/"]);
        let found = String::from_utf8(found.stdout).expect("text");
        let lost = |key: &&String| {
            !found.lines().any(|line| line.split_whitespace().any(|word| word == *key))
        };
        let lost: Vec<_> = acknowledged.iter().filter(lost).collect();
        assert!(lost.is_empty(), "{lost:?} of {found}");
        assert_eq!(trio.leader(&NODES), leader);
        assert_eq!(trio.report(&leader)["term"], term, "no election");
    });
}
