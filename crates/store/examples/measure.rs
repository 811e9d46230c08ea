//! Measures a store of three processes on one disk: `cargo xtask bench store` runs it and judges.
//!
//! Prints one line per figure: name, tab, number. Every node is this program again.
#![expect(clippy::unwrap_used, reason = "what cannot be measured ends the measurement")]
#![expect(clippy::print_stdout, reason = "what was measured is printed")]
#![expect(dead_code, reason = "the tests use more of the processes than this does")]

#[path = "../tests/process/mod.rs"]
mod process;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use process::{Cluster, NODES, Program, node};

/// Of each rate.
const SPAN: Duration = Duration::from_secs(4);
/// Serial writes and the bare disk take turns: both have the same neighbours on this machine.
const TURNS: usize = 6;
const TURN: Duration = Duration::from_millis(1500);
/// Leaders that are killed, and stopped.
const ROUNDS: usize = 9;

fn main() {
    node::run_if_told();
    let folder = std::env::args_os().nth(1).map(std::path::PathBuf::from);
    let folder = folder.unwrap_or_else(std::env::temp_dir);
    let folder = folder.join(format!("outlast-measure-{}", std::process::id()));
    let program = Program { path: std::env::current_exe().unwrap(), arguments: vec![] };
    let mut cluster = Cluster::start(program, &folder);
    cluster.leader(&NODES, None);
    serial(&cluster, &folder);
    let many = rate(&cluster, 64, SPAN);
    many.print("64 clients");
    for fault in ["killed", "stopped"] {
        let mut times: Vec<_> = (0..ROUNDS).map(|_| lose(&mut cluster, fault)).collect();
        times.sort_by(f64::total_cmp);
        println!("leader {fault}, new leader, median\t{}", times[ROUNDS / 2]);
        println!("leader {fault}, new leader, worst\t{}", times[ROUNDS - 1]);
    }
}

fn seconds(begun: base::Time) -> f64 {
    sys::clock::now().since(begun).as_secs_f64()
}

/// Seconds of single writes, and what they cost.
struct Rate {
    times: Vec<f64>,
    /// From the first to the last, in seconds.
    took: f64,
    /// Of the node that completes a majority.
    syncs: f64,
}

impl Rate {
    fn each(&self) -> f64 {
        self.took * 1000.0 / self.times.len() as f64
    }

    fn part(&self, hundredths: usize) -> f64 {
        self.times[self.times.len() * hundredths / 100] * 1000.0
    }

    fn print(&self, name: &str) {
        println!("writes, {name}, ms each\t{}", self.each());
        println!("writes, {name}, p99\t{}", self.part(99));
        let syncs = self.syncs / self.times.len() as f64;
        println!("fsyncs per write on a majority, {name}\t{syncs}");
    }
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

/// One client, and beside it what the disk does without a store.
fn serial(cluster: &Cluster, folder: &Path) {
    let (mut bare, mut rates) = (vec![], vec![]);
    for _ in 0..TURNS {
        bare.push(disk(folder));
        rates.push(rate(cluster, 1, TURN));
    }
    let median_of = |of: fn(&Rate) -> f64| median(rates.iter().map(of).collect());
    println!("three writers without a store, ms each\t{}", median(bare));
    println!("writes, serial, ms each\t{}", median_of(Rate::each));
    println!("writes, serial, p50\t{}", median_of(|rate| rate.part(50)));
    println!("writes, serial, p99\t{}", median_of(|rate| rate.part(99)));
    let syncs = median_of(|rate| rate.syncs / rate.times.len() as f64);
    println!("fsyncs per write on a majority, serial\t{syncs}");
}

/// As many writers as there are nodes, each with a file that has its size already; each writes as many
/// pages as a commit does at other places, and waits for its disk. Milliseconds of one round.
fn disk(folder: &Path) -> f64 {
    /// Bytes of the file, and of a page.
    const WHOLE: usize = 1 << 20;
    const PAGE: usize = 4096;
    const PAGES: usize = WHOLE / PAGE;
    let threads: Vec<_> = NODES
        .iter()
        .map(|node| {
            let path = folder.join(format!("bare{node}"));
            std::thread::spawn(move || {
                let mut options = std::fs::OpenOptions::new();
                let file = options.write(true).create(true).truncate(true).open(path).unwrap();
                file.write_all_at(&vec![1; WHOLE], 0).unwrap();
                file.sync_all().unwrap();
                let (begun, mut rounds) = (sys::clock::now(), 0_u32);
                let places = (0..PAGES).map(|page| page * 7 % PAGES * PAGE);
                let mut places = places.map(|at| u64::try_from(at).unwrap()).cycle();
                while sys::clock::now().since(begun) < TURN / 3 {
                    for at in places.by_ref().take(5) {
                        file.write_all_at(&[2; PAGE], at).unwrap();
                    }
                    file.sync_data().unwrap();
                    rounds += 1;
                }
                seconds(begun) * 1000.0 / f64::from(rounds)
            })
        })
        .collect();
    median(threads.into_iter().map(|thread| thread.join().unwrap()).collect())
}

/// Writes of that many clients that each wait for their answer, on the leader.
fn rate(cluster: &Cluster, clients: usize, span: Duration) -> Rate {
    let leader = cluster.leader(&NODES, None);
    let port = cluster.client_ports()[&leader];
    let before = NODES.map(|node| cluster.status(node)["syncs"]);
    let stop = Arc::new(AtomicBool::new(false));
    let begun = sys::clock::now();
    let threads: Vec<_> = (0..clients)
        .map(|client| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || write(port, client, &stop))
        })
        .collect();
    std::thread::sleep(span);
    stop.store(true, Ordering::SeqCst);
    let mut times: Vec<f64> = threads.into_iter().flat_map(|t| t.join().unwrap()).collect();
    let took = seconds(begun);
    let mut syncs: Vec<_> = NODES
        .iter()
        .zip(before)
        .map(|(node, before)| (cluster.status(*node)["syncs"] - before) as f64)
        .collect();
    syncs.sort_by(f64::total_cmp);
    times.sort_by(f64::total_cmp);
    // The second busiest disk is the one that completes a majority.
    Rate { times, took, syncs: syncs[1] }
}

fn write(port: u16, client: usize, stop: &AtomicBool) -> Vec<f64> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut answers = BufReader::new(stream.try_clone().unwrap());
    let (mut times, mut answer) = (vec![], String::new());
    while !stop.load(Ordering::Relaxed) {
        let begun = sys::clock::now();
        let line = format!("w c{client}/{} {:0100}\n", times.len() % 100, times.len());
        stream.write_all(line.as_bytes()).unwrap();
        answer.clear();
        answers.read_line(&mut answer).unwrap();
        // A leader that was lost on the way: that write is none, and its time counts all the same.
        if answer == "done\n" {
            times.push(seconds(begun));
        }
    }
    times
}

/// Seconds until both others follow a new leader.
fn lose(cluster: &mut Cluster, fault: &str) -> f64 {
    let leader = cluster.leader(&NODES, None);
    // At any moment between two beats.
    std::thread::sleep(Duration::from_millis(500 + u64::from(std::process::id() % 97)));
    let others: Vec<_> = NODES.into_iter().filter(|node| *node != leader).collect();
    let begun = sys::clock::now();
    if fault == "killed" {
        cluster.kill(leader);
    } else {
        cluster.pause(leader);
    }
    cluster.leader(&others, Some(leader));
    let took = seconds(begun);
    if fault == "killed" {
        cluster.launch(leader, None);
    } else {
        cluster.resume(leader);
    }
    took
}
