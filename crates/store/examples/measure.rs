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
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use process::{Cluster, NODES, Program, node};

/// Of each rate.
const SPAN: Duration = Duration::from_secs(4);
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
    for (name, clients) in [("serial", 1), ("64 clients", 64)] {
        rate(&cluster, name, clients);
    }
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

/// Writes of that many clients that each wait for their answer, on the leader.
fn rate(cluster: &Cluster, name: &str, clients: usize) {
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
    std::thread::sleep(SPAN);
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
    let count = times.len() as f64;
    println!("writes, {name}, ms each\t{}", took * 1000.0 / count);
    println!("writes, {name}, p99\t{}", times[times.len() * 99 / 100] * 1000.0);
    // The second busiest disk is the one that completes a majority.
    println!("fsyncs per write on a majority, {name}\t{}", syncs[1] / count);
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
        assert_eq!(answer, "done\n");
        times.push(seconds(begun));
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
