//! Another vip process goes on in the place of the one before, and nobody notices.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use sys::netlink::{Change, Monitor};
use sys::poll::{Interest, Poller};
use sys::process::table;
use sys::vrrp::Socket;

use super::*;

const TIMES: usize = 5;
/// Without an answer, asked each millisecond: a few beats, on a machine that does more than this.
const GAP: Duration = Duration::from_millis(300);
/// Held by VRRP, beside the one that is held by votes.
const PLAIN: Ipv4Addr = Ipv4Addr::new(10, 79, 0, 39);
const ROUTER_ID: u8 = 122;
/// Between two of its adverts, and what a busy machine adds.
const INTERVAL: Duration = Duration::from_millis(1500);
const ALL_THE_TIME: Duration = Duration::from_secs(3);

fn pid(stage: &Stage, node: usize) -> i32 {
    let mut found = None;
    // A reload replaces the agent as well.
    until("its agent says who runs", || {
        found = stage.cluster.pid(node, Role::Vip).ok();
        found.is_some()
    });
    found.expect("it was found")
}

/// Whom it has started: read in one step, so that nobody is missed who lives for a few milliseconds.
fn children(pid: i32) -> Vec<i32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("it runs").flatten();
    let read = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("children")).ok();
    let pids =
        |text: String| text.split(' ').filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>();
    threads.filter_map(read).flat_map(pids).collect()
}

/// Another number of seconds each time.
fn with_other_detect(text: &str) -> String {
    let (two, three) = ("detect = \"2s\"", "detect = \"3s\"");
    if text.contains(two) { text.replace(two, three) } else { text.replace(three, two) }
}

/// None of those.
fn with_a_third_detect(text: &str) -> String {
    with_other_detect(text)
        .replace("detect = \"2s\"", "detect = \"4s\"")
        .replace("detect = \"3s\"", "detect = \"4s\"")
}

pub(super) fn replace(stage: &Stage, node: usize, since: Time) {
    replace_by(stage, node, since, with_other_detect);
}

/// Another process is in its place.
fn replace_by(stage: &Stage, node: usize, since: Time, change: fn(&str) -> String) {
    let before = pid(stage, node);
    let told = stage.events(node, "vip-succeeded", since).len();
    stage.reloads(node, change);
    until("another process is in its place", || {
        stage.events(node, "vip-succeeded", since).len() > told
            && stage.cluster.pid(node, Role::Vip).is_ok_and(|pid| pid != before)
    });
}

#[test]
fn vip_processes_follow_each_other_on_a_holder_and_on_a_voter_and_nobody_notices() {
    let name =
        "succeeded::vip_processes_follow_each_other_on_a_holder_and_on_a_voter_and_nobody_notices";
    contained(name, || {
        let Some(mut stage) = Stage::new(name) else { return };
        stage.undisturbed(|stage, since| {
            let holder = stage.holds();
            until("all grant it", || (0..NODES).all(|node| stage.votes(node)));
            let before = stage.vip(holder).expect("it is asked");
            for _ in 0..TIMES {
                replace(stage, holder, since);
                stage.stays(holder, "another vip process")?;
            }
            let gap = stage.prober.longest_gap(since);
            eprintln!("{TIMES} processes, the longest time without an answer: {gap:?}");
            let after = stage.vip(holder).expect("it is asked");
            let same = after.state.holding && after.state.term == before.state.term;
            let moved = stage.events(holder, "vip-released", since).len();
            if same && moved == 0 && gap < GAP { Ok(()) } else { Err(format!("{gap:?}, {moved}")) }
        });
        // A voter that is followed keeps its promise: who holds goes on without a third one.
        stage.undisturbed(|stage, since| {
            let holder = stage.holds();
            let (voter, other) = ((holder + 1) % NODES, (holder + 2) % NODES);
            until("all grant it", || (0..NODES).all(|node| stage.votes(node)));
            stage.cluster.kill_all(other).expect("its processes can be killed");
            for _ in 0..2 {
                replace(stage, voter, since);
            }
            let stayed = stage.stays(holder, "another process of a voter");
            stage.cluster.start(other).expect("it can be started");
            until("it grants what others ask for", || stage.votes(other));
            stayed
        });
        stage.never_two();
    });
}

#[test]
fn a_next_vip_process_that_dies_before_its_time_changes_nothing() {
    let name = "succeeded::a_next_vip_process_that_dies_before_its_time_changes_nothing";
    contained(name, || {
        let Some(mut stage) = Stage::new(name) else { return };
        stage.undisturbed(|stage, since| {
            let holder = stage.holds();
            let before = pid(stage, holder);
            let supervisor = stage.cluster.pid(holder, Role::Supervisor).expect("it runs");
            let runs = children(supervisor);
            stage.reloads(holder, with_other_detect);
            let is_next = |pid: &i32| {
                !runs.contains(pid) && table::words(*pid) == [&b"outlast"[..], b"role", b"vip"]
            };
            // Without a pause: it is ready within some ten milliseconds.
            let late = sys::clock::now() + Duration::from_secs(20);
            let next =
                std::iter::from_fn(|| (sys::clock::now() < late).then(|| children(supervisor)))
                    .find_map(|all| all.into_iter().find(is_next));
            kill(next.expect("the next one is there"), "KILL");
            until("it is told", || {
                let refused = stage.events(holder, "reload-refused", since);
                refused.iter().any(|event| event.evidence.contains("the next vip process ended"))
            });
            assert_eq!(pid(stage, holder), before, "the one before goes on");
            stage.stays(holder, "the next vip process died")?;
            // And the next reload is as any other.
            replace_by(stage, holder, since, with_a_third_detect);
            stage.stays(holder, "another vip process")
        });
        stage.never_two();
    });
}

/// What others hear of an address, and what its kernel tells of it, until it is ended.
struct Ears {
    ending: Arc<AtomicBool>,
    running: JoinHandle<(Vec<Time>, usize)>,
}

impl Ears {
    /// On the device of the node that holds it, and of another one.
    fn open(stage: &Stage, holder: usize) -> Self {
        let hears = || Socket::open("eth0", true).expect("a socket");
        let socket = stage.cluster.within((holder + 1) % NODES, hears).expect("it is on");
        let looks = || Monitor::open().expect("a socket");
        let monitor = stage.cluster.within(holder, looks).expect("it is on");
        let ending = Arc::<AtomicBool>::default();
        let is_over = Arc::clone(&ending);
        let running = std::thread::spawn(move || listen(&socket, monitor, &is_over));
        Self { ending, running }
    }

    /// Adverts came all the time since then, and the address was never gone.
    fn went_on(self, since: Time) {
        // More adverts than those of processes that begin.
        until("it is heard for a while", || sys::clock::now().since(since) > ALL_THE_TIME);
        self.ending.store(true, Ordering::Relaxed);
        let (heard, gone) = self.running.join().expect("it does not panic");
        let all = std::iter::once(&since).chain(&heard);
        let gap = all.clone().zip(all.skip(1)).map(|(one, next)| next.since(*one)).max();
        eprintln!("{} adverts, at most {gap:?} apart", heard.len());
        assert!(gap.is_some_and(|gap| gap < INTERVAL) && heard.len() > 2, "{heard:?}");
        assert_eq!(gone, 0, "it was taken off its device");
    }
}

fn listen(socket: &Socket, mut monitor: Monitor, is_over: &AtomicBool) -> (Vec<Time>, usize) {
    let poller = Poller::new().expect("a poller");
    poller.add(socket.as_fd(), 0, Interest::READ).expect("it can be polled");
    poller.add(monitor.as_fd(), 1, Interest::READ).expect("it can be polled");
    let (mut heard, mut gone, mut buffer) = (vec![], 0, [0; 2048]);
    let mut ready = Vec::with_capacity(2);
    while !is_over.load(Ordering::Relaxed) {
        poller.wait(&mut ready, Some(Duration::from_millis(20))).expect("it waits");
        while let Ok(received) = socket.receive(&mut buffer) {
            let advert = &buffer[received.payload];
            if advert.get(1) == Some(&ROUTER_ID) && advert.get(2) != Some(&0) {
                heard.push(sys::clock::now());
            }
        }
        while let Ok(Some(change)) = monitor.next() {
            let is_it = |ip: IpAddr| ip == IpAddr::from(PLAIN);
            gone += usize::from(
                matches!(change, Change::Address { address, gone: true } if is_it(address.ip)),
            );
        }
    }
    (heard, gone)
}

/// The one that is held by VRRP.
fn plain_lines() -> String {
    format!("[vip.plain]\naddress = \"{PLAIN}\"\nnetwork = \"mgmt\"\nrouter_id = {ROUTER_ID}\n")
}

/// Who holds that; waits until somebody does.
fn plain(stage: &Stage) -> usize {
    let holds = |node: &usize| {
        let vips = stage.cluster.status(*node).map(|status| status.vips).unwrap_or_default();
        vips.iter().any(|vip| vip.name == "plain" && vip.state.holding)
    };
    let mut with = None;
    until("somebody holds the one of VRRP", || {
        with = (0..NODES).find(holds);
        with.is_some()
    });
    with.expect("it was found")
}

/// It is with that node still, and was all the time since then.
fn stayed(stage: &Stage, with: usize, since: Time) {
    assert_eq!(plain(stage), with);
    let released = stage.events(with, "vip-released", since);
    assert!(released.iter().all(|event| event.object != "vip/plain"), "{released:?}");
    assert_eq!(stage.events(with, "vip-not-succeeded", since), vec![]);
}

#[test]
fn an_address_of_vrrp_beside_it_stays_where_it_is_and_its_adverts_go_on() {
    let name = "succeeded::an_address_of_vrrp_beside_it_stays_where_it_is_and_its_adverts_go_on";
    contained(name, || {
        let lines = format!("{LINES}{}", plain_lines());
        let Some(stage) = Stage::laid_out(name, &lines) else { return };
        let (with, since) = (plain(&stage), sys::clock::now());
        let ears = Ears::open(&stage, with);
        for _ in 0..3 {
            replace(&stage, with, since);
        }
        ears.went_on(since);
        stayed(&stage, with, since);
        stage.never_two();
    });
}

/// An executable that can be exchanged; gone at the end of the test.
struct Program(PathBuf);

impl Program {
    fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("succeeded").join(name);
        fs::create_dir_all(&folder).expect("a folder of the test's own");
        let program = Self(folder.join("outlast"));
        program.exchange();
        program
    }

    /// By another file, as a package does.
    fn exchange(&self) {
        let next = self.0.with_extension("next");
        fs::copy(OUTLAST, &next).expect("there is room for it");
        fs::rename(&next, &self.0).expect("it is in the same folder");
    }

    fn is_run_by(&self, pid: i32) -> bool {
        let inode = |path: &Path| fs::metadata(path).map(|file| file.ino()).ok();
        inode(Path::new(&format!("/proc/{pid}/exe"))) == inode(&self.0)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // What stays is written over by the next run.
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn a_new_executable_is_taken_by_the_vip_process_at_a_signal_and_nothing_moves() {
    let name =
        "succeeded::a_new_executable_is_taken_by_the_vip_process_at_a_signal_and_nothing_moves";
    contained(name, || {
        let program = Program::new("by-votes");
        let Some(mut stage) = Stage::of_program(name, LINES, &program.0, |_| {}) else { return };
        stage.undisturbed(|stage, since| {
            let holder = stage.holds();
            until("all grant it", || (0..NODES).all(|node| stage.votes(node)));
            let before = stage.vip(holder).expect("it is asked");
            let supervisor = stage.cluster.pid(holder, Role::Supervisor).expect("it runs");
            program.exchange();
            assert!(!program.is_run_by(pid(stage, holder)), "it is another file");
            kill(supervisor, "HUP");
            until("its vip process is of the new one", || {
                !stage.events(holder, "vip-succeeded", since).is_empty()
                    && stage.cluster.pid(holder, Role::Vip).is_ok_and(|pid| program.is_run_by(pid))
            });
            assert!(!program.is_run_by(supervisor), "the others are of the new one at their start");
            stage.stays(holder, "a new executable")?;
            let after = stage.vip(holder).expect("it is asked");
            let same = after.state.holding && after.state.term == before.state.term;
            if same { Ok(()) } else { Err(format!("term {}", after.state.term)) }
        });
        stage.never_two();
    });
}

#[test]
fn a_node_that_holds_by_vrrp_alone_takes_a_new_executable_at_a_signal_and_nothing_moves() {
    let name = "succeeded::a_node_that_holds_by_vrrp_alone_takes_a_new_executable_at_a_signal_and_nothing_moves";
    contained(name, || {
        let program = Program::new("by-vrrp");
        let lines = format!("detect = \"2s\"\n{}", plain_lines());
        let stage = Stage::started(&lines, &program.0, |_| {});
        let (with, first) = (plain(&stage), sys::clock::now());
        let supervisor = stage.cluster.pid(with, Role::Supervisor).expect("it runs");
        let before = pid(&stage, with);
        kill(supervisor, "HUP");
        until("it is taken on", || !stage.events(with, "reloaded", first).is_empty());
        assert_eq!(pid(&stage, with), before, "the same executable, the same files");

        let since = sys::clock::now();
        let ears = Ears::open(&stage, with);
        program.exchange();
        assert!(!program.is_run_by(before), "it is another file");
        kill(supervisor, "HUP");
        until("its vip process is of the new one", || {
            !stage.events(with, "vip-succeeded", since).is_empty()
                && stage.cluster.pid(with, Role::Vip).is_ok_and(|pid| program.is_run_by(pid))
        });
        ears.went_on(since);
        stayed(&stage, with, first);
    });
}
