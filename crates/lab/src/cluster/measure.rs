//! `outlast lab cluster`: how fast agents know of a crash, and what they cost. It makes its own
//! namespaces and prints a JSON object per sample; `cargo xtask bench cluster` reads them.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use api::{Event, Role};
use base::Chain;
use serde::Serialize;
use sys::netns::{Isolated, isolate};
use sys::process::{Child, Exit, SIGKILL, SpawnOptions, spawn};

use super::{Cluster, Heard, Plan, accuses};
use crate::cloud::node::OWN;
use crate::wait;

pub(crate) const FOLDER: &str = "/run/lab";
/// As many as may be controllers.
pub(super) const MOST_NODES: usize = 32;
pub(super) const NETWORKS: [&str; 2] = ["management", "storage"];
/// A start takes half a second; 32 of them, or a machine at load 20, need more.
const PATIENCE: Duration = Duration::from_secs(90);
/// Processes that want a processor all the time, in the measurement under load.
pub(super) const BUSY: usize = 20;
/// Less is no busy machine: that many processes are this much in the mean of a minute after a minute and a half.
const LOAD: f64 = 15.0;
/// After a start, so that what was only needed for it is gone and what grows has grown.
const SETTLE: Duration = Duration::from_secs(3);
/// The kernel's unit of processor time: `USER_HZ` is 100 on every architecture we build for.
const TICK: Duration = Duration::from_millis(10);

/// One measured number.
#[derive(Debug, Serialize)]
struct Sample<'a> {
    name: &'a str,
    value: f64,
}

/// What a run does.
#[derive(Clone, Copy, Debug)]
struct Order<'a> {
    nodes: usize,
    /// So many of them are compute nodes: then these are harmed, and controllers looked at.
    computes: usize,
    /// `detect` of the cluster file.
    detect: &'a str,
    /// Of each kind of crash.
    rounds: u32,
    /// How long memory and processor time are looked at.
    idle: Duration,
    /// How long wrong verdicts are counted at load 20.
    busy: Duration,
}

/// Must be called before the first thread is started.
pub(crate) fn main(words: &[&str]) -> ExitCode {
    let Some(order) = read(words) else {
        return complain("NODES DETECT ROUNDS IDLE-SECONDS BUSY-SECONDS [COMPUTE-NODES]");
    };
    inside(|| run(order))
}

/// Does it in namespaces of its own.
pub(crate) fn inside(work: impl FnOnce() -> io::Result<()>) -> ExitCode {
    match isolate("outlast-lab") {
        Ok(Isolated::Ended(Exit::Code(code))) => {
            ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
        }
        Ok(Isolated::Ended(Exit::Signal(_))) => ExitCode::FAILURE,
        Ok(Isolated::Inside { fresh_proc: false }) => complain("cannot mount /proc"),
        Ok(Isolated::Inside { fresh_proc: true }) => match work() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => complain(&Chain(&error).to_string()),
        },
        Err(error) => complain(&format!("cannot make namespaces: {error}")),
    }
}

/// Wants a processor all the time.
pub(crate) fn be_busy() -> ExitCode {
    loop {
        std::hint::spin_loop();
    }
}

fn read<'a>(words: &[&'a str]) -> Option<Order<'a>> {
    let (words, computes) = words.split_first_chunk::<5>()?;
    let [nodes, detect, rounds, idle, busy] = words;
    let computes = match computes {
        [] => "0",
        [computes] => computes,
        [_, _, ..] => return None,
    };
    let nodes = nodes.parse().ok().filter(|nodes| (2..=MOST_NODES).contains(nodes))?;
    let computes = computes.parse().ok().filter(|computes| *computes < nodes)?;
    let seconds = |word: &str| word.parse().ok().map(Duration::from_secs);
    let (idle, busy) = (seconds(idle)?, seconds(busy)?);
    Some(Order { nodes, computes, detect, rounds: rounds.parse().ok()?, idle, busy })
}

pub(crate) fn complain(text: &str) -> ExitCode {
    // Nobody is left to be told where stderr is closed.
    drop(writeln!(io::stderr(), "outlast lab cluster: {text}"));
    ExitCode::FAILURE
}

pub(super) fn say(name: &str, value: f64) -> io::Result<()> {
    let line = serde_json::to_string(&Sample { name, value })?;
    writeln!(io::stdout(), "{line}")
}

fn run(order: Order<'_>) -> io::Result<()> {
    let plan = Plan {
        names: (1..=order.nodes).map(|number| format!("node{number:02}")).collect(),
        networks: NETWORKS.map(str::to_owned).to_vec(),
        lines: format!("detect = \"{}\"", order.detect),
        computes: order.computes,
    };
    let mut cluster = Cluster::lay_out(Path::new(FOLDER), Path::new(OWN), plan)?;
    heal(&mut cluster)?;
    if !order.idle.is_zero() {
        idle(&cluster, order.idle)?;
    }
    let controllers = order.nodes - order.computes;
    for round in 0..order.rounds {
        let round = usize::try_from(round).unwrap_or(0);
        if order.computes > 0 {
            let victim = controllers + round % order.computes;
            crashes(&mut cluster, &OF_COMPUTES, victim, controllers)?;
        } else {
            crashes(&mut cluster, &OF_CONTROLLERS, round % order.nodes, controllers)?;
        }
    }
    if !order.busy.is_zero() {
        busy(&mut cluster, order.busy, controllers)?;
    }
    Ok(())
}

/// Everything runs, and everybody hears everybody.
pub(super) fn heal(cluster: &mut Cluster) -> io::Result<()> {
    cluster.mend()?;
    let Some(illness) = lasting_illness(cluster) else { return Ok(()) };
    let words: String = cluster.numbers().map(|node| cluster.last_words(node)).collect();
    Err(io::Error::other(format!("the cluster is not well: {illness}{words}")))
}

/// What is still wrong with it after a while.
fn lasting_illness(cluster: &Cluster) -> Option<String> {
    let mut illness = None;
    wait::until(PATIENCE, || {
        illness = cluster.illness();
        illness.is_none()
    });
    illness
}

fn agents(cluster: &Cluster) -> io::Result<Vec<i32>> {
    cluster.numbers().map(|node| cluster.pid(node, Role::Agent)).collect()
}

/// An end: its name, how it is made, and what says so.
type Kind = (&'static str, fn(&mut Cluster, usize) -> io::Result<()>, fn(&Event) -> bool);

const OF_CONTROLLERS: [Kind; 5] = [
    ("agent killed", |cluster, node| cluster.kill_agent(node), is_noticed),
    ("power off", Cluster::power_off, is_unreachable),
    ("processes killed", Cluster::kill_all, accuses),
    ("supervisor killed", Cluster::kill_supervisor, is_known),
    ("leave", |cluster, node| cluster.stop(node), is_known),
];

/// An agent that is started again is no event there.
const OF_COMPUTES: [Kind; 4] =
    [OF_CONTROLLERS[1], OF_CONTROLLERS[2], OF_CONTROLLERS[3], OF_CONTROLLERS[4]];

/// Each kind of end once, with the time until the last of the other controllers said so.
fn crashes(
    cluster: &mut Cluster,
    kinds: &[Kind],
    victim: usize,
    controllers: usize,
) -> io::Result<()> {
    for kind in kinds {
        finds(cluster, *kind, victim, controllers)?;
        let (name, ..) = kind;
        // Of a killed agent the supervisor lives on.
        if *name != "agent killed" {
            cluster.ended(victim)?;
        }
        heal(cluster)?;
    }
    Ok(())
}

/// One end, and the time until the last of the other controllers said so; of a compute node also until the last of the
/// other compute nodes did, which doubt at most.
fn finds(
    cluster: &mut Cluster,
    (name, hurt, is_it): Kind,
    victim: usize,
    controllers: usize,
) -> io::Result<()> {
    let (deciding, others): (Vec<usize>, Vec<usize>) =
        cluster.numbers().filter(|node| *node != victim).partition(|node| *node < controllers);
    let begin = sys::clock::now();
    hurt(cluster, victim)?;
    let all_know = |who: &[usize], name: &str, is_it: fn(&Event) -> bool| {
        let mut known = None;
        wait::until(PATIENCE, || {
            known = cluster.known_after(begin, who, victim, is_it);
            known.is_some()
        });
        let unknown = || io::Error::other(format!("{name}: not everybody knows of it"));
        say(name, known.ok_or_else(unknown)?.as_secs_f64() * 1000.0)
    };
    all_know(&deciding, name, is_it)?;
    if others.is_empty() {
        return Ok(());
    }
    all_know(&others, &format!("{name} on compute nodes"), is_known)
}

fn is_unreachable(event: &Event) -> bool {
    event.what == "node-verdict" && event.decision.starts_with("unreachable")
}

fn is_known(event: &Event) -> bool {
    event.what == "node-left" || accuses(event)
}

/// In doubt, or heard under another number: its supervisor has started it again.
fn is_noticed(event: &Event) -> bool {
    event.what == "node-alive" || accuses(event)
}

/// Memory, processor time and traffic of each agent while nothing happens.
fn idle(cluster: &Cluster, span: Duration) -> io::Result<()> {
    std::thread::sleep(SETTLE);
    let pids = agents(cluster)?;
    let before: Vec<Duration> = pids.iter().map(|pid| used(*pid)).collect::<Result<_, _>>()?;
    let carried = cluster.numbers().map(|node| traffic(cluster, node));
    let carried: Vec<Traffic> = carried.collect::<Result<_, _>>()?;
    std::thread::sleep(span);
    for (node, before) in cluster.numbers().zip(carried) {
        let now = traffic(cluster, node)?;
        let per_second = |now: u32, before: u32| f64::from(now - before) / span.as_secs_f64();
        say("sent", per_second(now.sent, before.sent) / 1000.0)?;
        say("received", per_second(now.received, before.received) / 1000.0)?;
        say("packets sent", per_second(now.packets, before.packets))?;
    }
    for (pid, before) in pids.iter().zip(before) {
        let used = used(*pid)?.saturating_sub(before);
        say("agent cpu", used.as_secs_f64() / span.as_secs_f64() * 100.0)?;
        say("agent memory", resident(*pid)?)?;
    }
    Ok(())
}

impl Cluster {
    /// A file as a process of that machine reads it.
    fn read_inside(&self, node: usize, path: &Path) -> io::Result<String> {
        let off = || io::Error::other(format!("{} is off", self.name(node)));
        let host = self.nodes[node].host.as_ref().ok_or_else(off)?;
        sys::netns::within(host.netns(), || std::fs::read_to_string(path))?
    }
}

/// What a machine's device on the first network has carried, headers of Ethernet included.
struct Traffic {
    received: u32,
    sent: u32,
    packets: u32,
}

/// The line of `eth0` in `/proc/net/dev`: received bytes first, sent bytes and packets at 8 and 9.
fn traffic(cluster: &Cluster, node: usize) -> io::Result<Traffic> {
    let text = cluster.read_inside(node, Path::new("/proc/thread-self/net/dev"))?;
    let line = text.lines().find_map(|line| line.trim().strip_prefix("eth0:"));
    let words = line.unwrap_or_default().split_whitespace();
    let numbers: Vec<u32> = words.map_while(|word| word.parse().ok()).collect();
    match numbers[..] {
        [received, _, _, _, _, _, _, _, sent, packets, ..] => {
            Ok(Traffic { received, sent, packets })
        }
        _ => Err(io::Error::other("no eth0 in /proc/net/dev")),
    }
}

/// Processor time of a process: the 14th and 15th word of `/proc/PID/stat`.
pub(super) fn used(pid: i32) -> io::Result<Duration> {
    let text = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"))?;
    let words = text.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u32 = words.skip(11).take(2).filter_map(|word| word.parse::<u32>().ok()).sum();
    Ok(TICK * ticks)
}

/// Resident memory of a process in megabytes.
fn resident(pid: i32) -> io::Result<f64> {
    let text = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u32>().ok());
    let kilobytes = kilobytes.ok_or_else(|| io::Error::other("no VmRSS in /proc"))?;
    Ok(f64::from(kilobytes) / 1024.0)
}

/// So many processes that want every processor.
pub(crate) fn rivals(count: usize) -> io::Result<Vec<Child>> {
    let start = |_| {
        // In sessions of their own: a kernel that groups by session counts each as much as a node.
        let options = SpawnOptions { new_session: true, ..SpawnOptions::default() };
        let words = ["lab".as_ref(), "busy".as_ref()];
        spawn(Path::new(OWN), Some("outlast"), &words, None, options)
    };
    (0..count).map(start).collect()
}

pub(crate) fn end_of(rivals: Vec<Child>) -> io::Result<()> {
    for child in rivals {
        child.signal(SIGKILL)?;
        child.wait()?;
    }
    Ok(())
}

/// Accusations while [`BUSY`] processes want every processor; nothing is done to the nodes. Where the machine was not
/// busy there is no number; and as dead agents accuse nobody, all must have lived through it, hear each other at the end, and
/// find the one that loses its power then.
fn busy(cluster: &mut Cluster, span: Duration, controllers: usize) -> io::Result<()> {
    let (begin, before) = (sys::clock::now(), agents(cluster)?);
    let busy = rivals(BUSY)?;
    std::thread::sleep(span);
    let (end, text) = (sys::clock::now(), std::fs::read_to_string("/proc/loadavg")?);
    let heard = cluster.heard();
    let within = |heard: &&Heard| heard.at >= begin && heard.at < end;
    let wrong: Vec<_> = heard.iter().filter(within).filter(|it| accuses(&it.event)).collect();
    for heard in &wrong {
        let event = &heard.event;
        let who = cluster.name(heard.node);
        let text = format!("{who} of {}: {} {}", event.object, event.decision, event.evidence);
        drop(writeln!(io::stderr(), "{text}"));
    }
    drop(writeln!(io::stderr(), "load at the end: {}", text.trim()));
    if let Some(illness) = lasting_illness(cluster) {
        return Err(io::Error::other(format!("under load not all hear each other: {illness}")));
    }
    if agents(cluster)? != before {
        return Err(io::Error::other("an agent did not live through it"));
    }
    finds(cluster, ("power off at load", Cluster::power_off, is_unreachable), 0, controllers)?;
    end_of(busy)?;
    let load = load(&text).ok_or_else(|| io::Error::other("no load in /proc/loadavg"))?;
    say("load", load)?;
    if load < LOAD {
        drop(writeln!(io::stderr(), "a load below {LOAD} is none: nothing is said of verdicts"));
        return Ok(());
    }
    say("false verdicts", f64::from(u32::try_from(wrong.len()).unwrap_or(u32::MAX)))
}

/// Of the last minute, the first word of `/proc/loadavg`.
fn load(text: &str) -> Option<f64> {
    text.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_read_word_by_word() {
        let order = read(&["32", "300ms", "5", "10", "0", "2"]).expect("six words");
        assert_eq!(order.computes, 2);
        assert_eq!((order.nodes, order.detect, order.rounds), (32, "300ms", 5));
        assert_eq!((order.idle, order.busy), (Duration::from_secs(10), Duration::ZERO));
        assert!(read(&["3", "1s", "5", "10"]).is_none());
        assert!(read(&["3", "1s", "5", "10", "0"]).is_some_and(|order| order.computes == 0));
        assert!(read(&["33", "1s", "5", "10", "0", "0"]).is_none());
        assert!(read(&["3", "1s", "five", "10", "0", "0"]).is_none());
        assert!(read(&["3", "1s", "5", "10", "0", "3"]).is_none(), "somebody decides");
    }

    #[test]
    fn the_load_is_that_of_the_last_minute() {
        assert_eq!(load("21.93 20.00 12.41 3/200 1"), Some(21.93));
        assert_eq!(load(""), None);
    }

    #[test]
    fn a_process_uses_memory_and_time() {
        let own = i32::try_from(std::process::id()).expect("a pid is an i32");
        assert!(resident(own).expect("the kernel counts") > 0.1);
        let before = used(own).expect("the kernel counts");
        assert!(wait::until(PATIENCE, || {
            let _spent = std::hint::black_box((0..1_000_000_u32).fold(0, u32::wrapping_add));
            used(own).is_ok_and(|now| now > before)
        }));
    }
}
