//! The store as processes under faults: nothing that was acknowledged is lost, and what clients saw has
//! an explanation.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod process;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use outlast_store::linear::{self, Deed, Operation};
use process::mount::Disk;
use process::slow::Slow;
use process::{Cluster, NODES, Program, Way, ask, mount, node, until};

const CLIENTS: u64 = 5;
const KEYS: u64 = 8;
/// Between two operations of a client: some thousand in all are enough, and are judged in a second.
const PAUSE: Duration = Duration::from_millis(3);
/// A node answers "unknown" before that, unless it is frozen.
const PATIENCE: Duration = Duration::from_secs(6);

/// Not a test of its own: what the tests below start as a node.
#[test]
fn a_process_that_is_told_to_be_a_node_is_one() {
    node::run_if_told();
}

fn program() -> Program {
    let role = "a_process_that_is_told_to_be_a_node_is_one";
    let arguments = ["--exact", role, "--nocapture"].map(str::to_owned).to_vec();
    Program { path: std::env::current_exe().unwrap(), arguments }
}

fn folder(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("outlast-{name}-{}", std::process::id()))
}

/// Clients that ask any node, and what they saw.
struct Clients {
    ports: Arc<Mutex<BTreeMap<u64, u16>>>,
    stop: Arc<AtomicBool>,
    /// How many operations were answered so far.
    answered: Arc<AtomicU64>,
    threads: Vec<JoinHandle<Vec<Operation>>>,
}

impl Clients {
    fn start(cluster: &Cluster) -> Self {
        let ports = Arc::new(Mutex::new(cluster.client_ports()));
        let stop = Arc::new(AtomicBool::new(false));
        let values = Arc::new(AtomicU64::new(1));
        let answered = Arc::new(AtomicU64::new(0));
        let threads = (1..=CLIENTS)
            .map(|seed| {
                let (ports, stop) = (Arc::clone(&ports), Arc::clone(&stop));
                let (values, answered) = (Arc::clone(&values), Arc::clone(&answered));
                std::thread::spawn(move || {
                    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
                    let mut history = vec![];
                    while !stop.load(Ordering::SeqCst) {
                        let ports: Vec<_> = ports.lock().unwrap().values().copied().collect();
                        let port = ports[dice.below(ports.len() as u64)];
                        let seen = operate(&mut dice, port, &values);
                        let answers = seen.as_ref().is_some_and(|seen| seen.answered.is_some());
                        answered.fetch_add(u64::from(answers), Ordering::SeqCst);
                        history.extend(seen);
                        std::thread::sleep(PAUSE);
                    }
                    history
                })
            })
            .collect();
        Self { ports, stop, answered, threads }
    }

    /// Nodes have other ports after a restart.
    fn look_again(&self, cluster: &Cluster) {
        *self.ports.lock().unwrap() = cluster.client_ports();
    }

    /// What they saw, when enough happened to judge.
    fn stop(self, enough: u64) -> Vec<Operation> {
        until("enough answers to judge", || {
            (self.answered.load(Ordering::SeqCst) > enough).then_some(())
        });
        self.stop.store(true, Ordering::SeqCst);
        self.threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    }
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides).unwrap()
    }
}

fn now() -> u64 {
    sys::clock::now().as_nanos()
}

/// One operation; nothing if it was surely not done.
fn operate(dice: &mut Dice, port: u16, values: &AtomicU64) -> Option<Operation> {
    let key = dice.below(KEYS) as u64;
    let new = values.fetch_add(1, Ordering::SeqCst);
    let (line, deed) = match dice.below(4) {
        0 | 1 => (format!("r k{key}"), Deed::Read(None)),
        2 => (format!("w k{key} {new}"), Deed::Write(new)),
        _ => {
            // What is there is known well enough to hold now and then.
            let there = ask(port, &format!("r k{key}"), PATIENCE).ok()?;
            let from = there.strip_prefix("v ").map(|value| value.parse().unwrap());
            let old = from.map_or_else(|| "-".to_owned(), |old: u64| old.to_string());
            (format!("s k{key} {old} {new}"), Deed::Swap { from, to: new, held: None })
        }
    };
    let called = now();
    let answer = ask(port, &line, PATIENCE);
    // Nobody listens there: it was never sent.
    if answer.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused) {
        return None;
    }
    let answered = Some(now());
    let lost = Operation { key, called, answered: None, deed };
    let done = |deed| Some(Operation { key, called, answered, deed });
    match (answer.as_deref(), deed) {
        (Ok("none"), Deed::Read(_)) => done(Deed::Read(None)),
        (Ok("done"), Deed::Write(_)) => done(deed),
        (Ok("held"), Deed::Swap { from, to, .. }) => {
            done(Deed::Swap { from, to, held: Some(true) })
        }
        (Ok("not"), Deed::Swap { from, to, .. }) => {
            done(Deed::Swap { from, to, held: Some(false) })
        }
        (Ok("no-leader"), _) => None,
        (Ok(text), Deed::Read(_)) => {
            done(Deed::Read(Some(text.strip_prefix("v ")?.parse().unwrap())))
        }
        (Ok("unknown") | Err(_), _) => Some(lost),
        (Ok(other), _) => panic!("{line}: {other}"),
    }
}

fn millis(begun: u64) -> u64 {
    (now() - begun) / 1_000_000
}

#[test]
fn nothing_is_lost_and_all_is_explained_under_kills_pauses_cuts_and_a_restart_of_all() {
    let mut cluster = Cluster::start(program(), &folder("faults"));
    let mut leader = cluster.leader(&NODES, None);
    let clients = Clients::start(&cluster);
    let between = || std::thread::sleep(Duration::from_millis(400));
    let others = |node| NODES.into_iter().filter(|other| *other != node).collect::<Vec<_>>();
    let mut told = vec![];
    for fault in ["kill", "pause", "cut", "mute", "deaf", "kill"] {
        between();
        let begun = now();
        match fault {
            "kill" => cluster.kill(leader),
            "pause" => cluster.pause(leader),
            "mute" => cluster.lose_way(leader, Way::FromIt, true),
            "deaf" => cluster.lose_way(leader, Way::ToIt, true),
            _ => cluster.isolate(leader, true),
        }
        cluster.leader(&others(leader), Some(leader));
        told.push(format!("{fault}: {} ms", millis(begun)));
        between();
        match fault {
            "kill" => cluster.launch(leader, None),
            "pause" => cluster.resume(leader),
            "mute" => cluster.lose_way(leader, Way::FromIt, false),
            "deaf" => cluster.lose_way(leader, Way::ToIt, false),
            _ => cluster.isolate(leader, false),
        }
        clients.look_again(&cluster);
        leader = cluster.leader(&NODES, None);
    }
    between();
    for node in NODES {
        cluster.kill(node);
    }
    for node in NODES {
        cluster.launch(node, None);
    }
    clients.look_again(&cluster);
    cluster.leader(&NODES, None);
    between();
    let mut history = clients.stop(300);
    // What is there in the end was acknowledged, or may have been done.
    let port = cluster.client_ports()[&2];
    for key in 0..KEYS {
        let called = now();
        let answer = ask(port, &format!("r k{key}"), PATIENCE).unwrap();
        let found = answer.strip_prefix("v ").map(|value| value.parse().unwrap());
        history.push(Operation { key, called, answered: Some(now()), deed: Deed::Read(found) });
    }
    let answered = history.iter().filter(|operation| operation.answered.is_some()).count();
    eprintln!("new leader after {}; {answered} answers of {}", told.join(", "), history.len());
    linear::check(&history).unwrap();
}

#[test]
fn a_full_disk_stops_one_node_and_costs_nothing() {
    let test = "a_full_disk_stops_one_node_and_costs_nothing";
    lose_disks(test, Disk::Small(24), (mount::fill, "No space left on device"));
}

#[test]
fn a_disk_that_turns_read_only_stops_one_node_and_costs_nothing() {
    let test = "a_disk_that_turns_read_only_stops_one_node_and_costs_nothing";
    lose_disks(test, Disk::Fragile(24), (mount::turn_read_only, "Read-only file system"));
}

/// Under clients, the leader's disk fails, and a follower's. Its process ends with a reason, the others go
/// on, and with another disk it is filled up.
fn lose_disks(test: &str, disk: Disk, (fail, why): (fn(u32, &std::path::Path), &str)) {
    if let Some(absent) = mount::is_missing(disk) {
        return skip(test, absent);
    }
    let mut cluster = Cluster::start_on(Some(disk), program(), &folder(test));
    let leader = cluster.leader(&NODES, None);
    let clients = Clients::start(&cluster);
    let mut filled = Filled::default();
    for leads in [true, false] {
        let leader = if leads { leader } else { cluster.leader(&NODES, None) };
        let loses = NODES.into_iter().find(|node| (*node == leader) == leads).unwrap();
        let others: Vec<_> = NODES.into_iter().filter(|node| *node != loses).collect();
        fail(cluster.pid(loses), &cluster.folder_of(loses));
        let ended = until("the node ends", || {
            filled.more(&cluster, others[0]);
            cluster.ended(loses)
        });
        assert_eq!(ended, 3, "it says that its store has stopped");
        let said = std::fs::read_to_string(cluster.said(loses)).unwrap();
        let last = said.lines().last().unwrap_or_default();
        assert!(last.starts_with("the store has stopped: ") && last.contains(why), "{said}");
        cluster.leader(&others, leads.then_some(loses));
        let before = clients.answered.load(Ordering::SeqCst);
        until("the others go on", || {
            filled.more(&cluster, others[1]);
            (clients.answered.load(Ordering::SeqCst) > before + 50).then_some(())
        });
        cluster.launch(loses, Some(disk));
        clients.look_again(&cluster);
        let keys = cluster.status(others[0])["keys"];
        until("the node is back with everything", || {
            (cluster.status(loses).get("keys") >= Some(&keys)).then_some(())
        });
    }
    filled.are_there(&cluster);
    let history = clients.stop(200);
    let answered = history.iter().filter(|operation| operation.answered.is_some()).count();
    eprintln!("{} large values, {answered} answers of {}", filled.0.len(), history.len());
    linear::check(&history).unwrap();
}

/// Large values, each another number; those that were acknowledged.
#[derive(Default)]
struct Filled(Vec<u64>);

impl Filled {
    /// Beyond that many the first are written again.
    const KEYS: u64 = 50;

    fn more(&mut self, cluster: &Cluster, node: u64) {
        let number = self.0.last().map_or(1, |last| last + 1);
        let line = format!("f large{} {number} 60000", number % Self::KEYS);
        // One that nobody knows of may have been done: it is written again before anything else is.
        until("a large value is written", || {
            (cluster.ask(node, &line).as_deref() == Some("done")).then_some(())
        });
        self.0.push(number);
    }

    fn are_there(&self, cluster: &Cluster) {
        for number in self.0.iter().rev().take(usize::try_from(Self::KEYS).unwrap()) {
            let there = cluster.ask(1, &format!("r large{}", number % Self::KEYS)).unwrap();
            let there = there.strip_prefix("v ").expect("it is there").parse();
            assert_eq!(there, Ok(*number), "large{}", number % Self::KEYS);
        }
    }
}

#[test]
fn a_slow_disk_loses_nothing_and_one_of_three_holds_nobody_up() {
    if let Some(why) = Slow::is_missing() {
        skip("a_slow_disk_loses_nothing_and_one_of_three_holds_nobody_up", why);
        return;
    }
    let mut cluster = Cluster::start(program(), &folder("slow"));
    // A follower that takes 3 s for each write: the leader and the other are a majority. Where another
    // came to lead meanwhile it says nothing, and is done once more.
    let (by, writes) = (Duration::from_secs(3), 20);
    let took = (0..5).find_map(|_| beside_a_slow_follower(&cluster, by, writes));
    let took = took.expect("one leader for some seconds");
    let most = 3000 * writes / 2;
    assert!(took < most, "{writes} writes took {took} ms: they waited for the slow disk");
    // A leader whose disk is slower than the network: others have on disk what it has not, and what it
    // loses then was promised to nobody.
    let clients = Clients::start(&cluster);
    for _ in 0..3 {
        let leader = cluster.leader(&NODES, None);
        let slow = cluster.slow(leader, Duration::from_millis(60));
        std::thread::sleep(Duration::from_millis(900));
        cluster.kill(leader);
        drop(slow);
        cluster.launch(leader, None);
        clients.look_again(&cluster);
        cluster.leader(&NODES, None);
    }
    let history = clients.stop(40);
    let answered = history.iter().filter(|operation| operation.answered.is_some()).count();
    eprintln!("{writes} writes in {took} ms; {answered} answers of {}", history.len());
    linear::check(&history).unwrap();
}

/// How long that many writes took together, milliseconds, while one follower took `by` longer for each.
/// Nothing if the leader did not stay the same.
fn beside_a_slow_follower(cluster: &Cluster, by: Duration, writes: u64) -> Option<u64> {
    let leader = cluster.leader(&NODES, None);
    let leads = || {
        let mut status = cluster.status(leader);
        Some((status.remove("leader")?, status.remove("term")?))
    };
    let before = leads();
    let follower = NODES.into_iter().find(|node| *node != leader)?;
    let slow = cluster.slow(follower, by);
    let begun = now();
    for write in 0..writes {
        until("it is written", || {
            let answer = cluster.ask(leader, &format!("w before {write}"));
            (answer.as_deref() == Some("done")).then_some(())
        });
    }
    let took = millis(begun);
    let after = leads();
    drop(slow);
    (before.is_some() && before == after).then_some(took)
}

fn skip(test: &str, reason: &str) {
    let line = format!("SKIP store::{test}: {reason}\n");
    eprint!("{line}");
    if let Some(path) = std::env::var_os("OUTLAST_SKIPS") {
        use std::io::Write;
        let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
        file.unwrap().write_all(line.as_bytes()).unwrap();
    }
}
