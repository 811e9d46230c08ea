//! Measures a store of three real nodes on one disk, over mutual TLS: `cargo xtask bench store` runs it in
//! namespaces of its own and judges.
//!
//! ```text
//!   measure OUTLAST FOLDER      the executable, and where files of the nodes may lie
//! ```
//!
//! Clients ask as every process of a node does, by the socket of its store. Prints one line per figure:
//! name, tab, number.
#![expect(clippy::unwrap_used, reason = "what cannot be measured ends the measurement")]
#![expect(clippy::print_stdout, reason = "what was measured is printed")]

#[path = "measure/nodes.rs"]
mod nodes;

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nodes::{NODES, Nodes};
use outlast_store::Store;
use rustix::process::Signal;

/// Of the rate of many.
const SPAN: Duration = Duration::from_secs(4);
/// Serial writes and the bare disk take turns: both have the same neighbours on this machine.
const TURNS: usize = 6;
const TURN: Duration = Duration::from_millis(1500);
/// Of the clients' threads; nodes are started by another one, and have their own.
const CLIENTS_NICE: i32 = -10;
/// Leaders that are killed, and stopped.
const ROUNDS: u64 = 9;

fn main() {
    let mut words = std::env::args_os().skip(1).map(PathBuf::from);
    let (program, folder) = words.next().zip(words.next()).unwrap();
    let folder = folder.join(format!("outlast-measure-{}", std::process::id()));
    // Whoever asks is no part of what is measured: he gets his turn as soon as the store does.
    let prompt = || drop(sys::schedule::nice(CLIENTS_NICE));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .on_thread_start(prompt)
        .enable_all()
        .build();
    runtime.unwrap().block_on(async {
        let mut nodes = Nodes::found(&program, &folder).await;
        nodes.leader(&NODES, None).await;
        serial(&nodes, &folder).await;
        let many = rate(&nodes, 64, SPAN).await;
        many.print("64 clients");
        for fault in ["killed", "stopped"] {
            let mut times = vec![];
            for round in 0..ROUNDS {
                times.push(lose(&mut nodes, fault, round).await);
            }
            times.sort_by(f64::total_cmp);
            println!("leader {fault}, new leader, median\t{}", times[times.len() / 2]);
            println!("leader {fault}, new leader, worst\t{}", times[times.len() - 1]);
        }
    });
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
async fn serial(nodes: &Nodes, folder: &Path) {
    let (mut bare, mut rates) = (vec![], vec![]);
    for _ in 0..TURNS {
        bare.push(disk(folder));
        rates.push(rate(nodes, 1, TURN).await);
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
            let path = folder.join(format!("bare-{node}"));
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

/// Writes of that many clients that each wait for their answer, on the leader's node.
async fn rate(nodes: &Nodes, clients: usize, span: Duration) -> Rate {
    let leader = nodes.leader(&NODES, None).await;
    let before = nodes.syncs().await;
    let stop = Arc::new(AtomicBool::new(false));
    let begun = sys::clock::now();
    let task = |client| {
        let (store, stop) = (nodes.client(leader), Arc::clone(&stop));
        tokio::spawn(async move { write(&store, client, &stop).await })
    };
    let tasks: Vec<_> = (0..clients).map(task).collect();
    tokio::time::sleep(span).await;
    stop.store(true, Ordering::SeqCst);
    let mut times = vec![];
    for task in tasks {
        times.extend(task.await.unwrap());
    }
    let took = seconds(begun);
    let after = nodes.syncs().await;
    let mut syncs: Vec<_> = after.iter().zip(before).map(|(a, b)| a.saturating_sub(b)).collect();
    syncs.sort_unstable();
    times.sort_by(f64::total_cmp);
    // The second busiest disk is the one that completes a majority.
    Rate { times, took, syncs: syncs[1] as f64 }
}

async fn write(store: &impl Store, client: usize, stop: &AtomicBool) -> Vec<f64> {
    let mut times = vec![];
    while !stop.load(Ordering::Relaxed) {
        let begun = sys::clock::now();
        let key = format!("c{client}/{}", times.len() % 100);
        let value = format!("{:0100}", times.len());
        // A leader that was lost on the way: that write is none, and its time counts all the same.
        if store.put(&key, value.as_bytes(), None).await.is_ok() {
            times.push(seconds(begun));
        }
    }
    times
}

/// Seconds until both others follow a new leader.
async fn lose(nodes: &mut Nodes, fault: &str, round: u64) -> f64 {
    let leader = nodes.leader(&NODES, None).await;
    // At another moment between two beats each time.
    tokio::time::sleep(Duration::from_millis(1500 + 37 * round)).await;
    let others: Vec<_> = NODES.into_iter().filter(|node| *node != leader).collect();
    let killed = fault == "killed";
    let begun = nodes.strike(leader, if killed { Signal::KILL } else { Signal::STOP });
    nodes.leader(&others, Some(leader)).await;
    let took = seconds(begun);
    if killed {
        nodes.launch(leader);
    } else {
        nodes.resume(leader);
    }
    took
}
