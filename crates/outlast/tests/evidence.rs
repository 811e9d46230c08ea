//! Evidence of a node's own making, from its source to the verdict of the others: real processes, a real mount.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/lonely.rs"]
mod lonely;

use std::fs::{self, File};
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use api::{Role, Verdict};
use lab::cluster::{Cluster, Plan};
use lonely::{OUTLAST, contained, until};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

const FOLDER: &str = "/run/lab";
/// A client waits no longer for its answer: five seconds of evidence are many requests.
const PATIENT: Duration = Duration::from_millis(200);
/// What a look at the status of a node may take while a mount hangs.
const PROMPT: Duration = Duration::from_secs(5);

/// Three nodes; each has a balancer with what `file` says for it.
fn stage(file: impl Fn(usize) -> String) -> Cluster {
    let plan = Plan {
        names: (1..=3).map(|number| format!("node0{number}")).collect(),
        networks: ["mgmt", "storage"].map(str::to_owned).to_vec(),
        // A busy machine makes nobody suspect by silence.
        lines: "detect = \"5s\"\nhaproxy = \"haproxy.cfg\"".to_owned(),
        computes: 0,
    };
    let cluster = Cluster::lay_out(Path::new(FOLDER), Path::new(OUTLAST), plan);
    let mut cluster = cluster.expect("namespaces of the test's own");
    for node in cluster.numbers() {
        let path = Path::new(FOLDER).join(cluster.name(node)).join("haproxy.cfg");
        fs::write(path, file(node)).expect("a file can be written");
    }
    cluster.mend().expect("everything can be started");
    until("everybody hears everybody", || cluster.illness().is_none());
    cluster
}

/// A balancer that serves nobody.
fn idle(_: usize) -> String {
    "defaults\n mode tcp\n timeout connect 1s\n timeout client 5s\n timeout server 5s\n\
     listen idle\n bind 127.0.0.1:9100\n server one 127.0.0.1:9101\n"
        .to_owned()
}

/// What `node` concludes of `of`: the verdict and the name of its rule.
fn opinion(cluster: &Cluster, node: usize, of: usize) -> Option<(Verdict, String)> {
    let opinion = cluster.view(node, of)?.state.opinion;
    Some((opinion.verdict, opinion.rule))
}

/// Whether these nodes doubt that one by this rule.
fn all_doubt(cluster: &Cluster, who: &[usize], of: usize, rule: &str) -> bool {
    let doubts = (Verdict::Suspect, rule.to_owned());
    who.iter().all(|&node| opinion(cluster, node, of).as_ref() == Some(&doubts))
}

fn all_are_well(cluster: &Cluster) -> bool {
    let pairs = cluster.numbers().flat_map(|a| cluster.numbers().map(move |b| (a, b)));
    pairs
        .filter(|(a, b)| a != b)
        .all(|(a, b)| opinion(cluster, a, b).is_some_and(|(verdict, _)| verdict == Verdict::Alive))
}

/// The exit code of `outlast status` there, and what it printed.
fn status(cluster: &Cluster, node: usize) -> (Option<i32>, String) {
    let run: PathBuf = Path::new(FOLDER).join(cluster.name(node)).join("run");
    let output = Command::new(OUTLAST).args(["status", "--run-dir"]).arg(run).output();
    let output = output.expect("the tool starts");
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

fn why(cluster: &Cluster, node: usize, object: &str) -> String {
    let run: PathBuf = Path::new(FOLDER).join(cluster.name(node)).join("run");
    let mut command = Command::new(OUTLAST);
    let output = command.args(["why", object, "--run-dir"]).arg(run).output();
    String::from_utf8_lossy(&output.expect("the tool starts").stdout).into_owned()
}

/// A file system of which the kernel waits for an answer until the file is closed: FUSE whose server never
/// reads a question (linux/Documentation/filesystems/fuse.rst).
fn hang_a_mount(at: &Path) -> File {
    let device = File::options().read(true).write(true).open("/dev/fuse").expect("a FUSE device");
    fs::create_dir_all(at).expect("a folder can be made");
    let number = std::os::fd::AsRawFd::as_raw_fd(&device);
    let data = format!("fd={number},rootmode=40000,user_id=0,group_id=0,subtype=glusterfs");
    let data = std::ffi::CString::new(data).expect("no zero in it");
    mount("gone:/volume", at, "fuse", MountFlags::empty(), data.as_c_str())
        .expect("root of a mount namespace mounts");
    device
}

#[test]
fn a_mount_that_hangs_is_doubt_on_the_others_and_hangs_no_agent() {
    if !Path::new("/dev/fuse").exists() {
        let test = "outlast::a_mount_that_hangs_is_doubt_on_the_others_and_hangs_no_agent";
        return lab::skip::note(test, "the kernel has no FUSE");
    }
    contained("a_mount_that_hangs_is_doubt_on_the_others_and_hangs_no_agent", || {
        let cluster = stage(idle);
        let at = Path::new("/run/volume");
        // All nodes of the test see it: like a file server that serves them all, and is gone.
        let server = hang_a_mount(at);
        let others =
            |node: usize| cluster.numbers().filter(move |n| *n != node).collect::<Vec<_>>();
        until("each node is doubted by the others, as it says itself", || {
            cluster.numbers().all(|node| all_doubt(&cluster, &others(node), node, "ailing"))
        });
        let text = why(&cluster, 0, "node/node02");
        assert!(text.contains("a mount does not answer"), "{text}");
        let begin = sys::clock::now();
        let status = cluster.status(0).expect("its agent answers");
        assert!(sys::clock::now().since(begin) < PROMPT, "a hung mount hangs the agent");
        let limits = status.limits.join("\n");
        assert!(limits.contains("/run/volume has not answered for "), "{limits}");
        let (code, text) = self::status(&cluster, 0);
        assert_eq!(code, Some(1), "in doubt by what it says itself: {text}");
        // Beats go on: nobody is silent, each cell of the table is alive.
        for line in status.nodes {
            assert!(line.state.cells.iter().all(|cell| cell.alive), "{line:?}");
        }
        // The server is back as far as the kernel is concerned: its questions end.
        drop(server);
        until("nobody is doubted any more", || all_are_well(&cluster));
        unmount(at, UnmountFlags::DETACH).expect("it can be taken away");
    });
}

#[test]
fn a_node_that_is_cut_off_on_a_network_makes_status_end_with_1_everywhere() {
    contained("a_node_that_is_cut_off_on_a_network_makes_status_end_with_1_everywhere", || {
        let cluster = stage(idle);
        let all = |code: i32, word: &str| {
            cluster.numbers().all(|node| {
                let (ended, text) = status(&cluster, node);
                ended == Some(code) && text.contains(word)
            })
        };
        until("all is well", || all(0, "alive"));
        cluster.set_joined(1, 1, false).expect("a port of the bridge");
        until("each node says that it is cut off there", || all(1, "CUT OFF storage"));
        // Its beats come over the other network: nobody misses it.
        let line = cluster.view(0, 1).expect("its agent answers");
        assert_eq!(line.state.standing, api::Standing::Alive, "{line:?}");
        cluster.set_joined(1, 1, true).expect("a port of the bridge");
        until("all is well again", || all(0, "alive"));
    });
}

#[test]
fn a_balancer_that_does_not_come_up_is_doubt_on_the_others() {
    contained("a_balancer_that_does_not_come_up_is_doubt_on_the_others", || {
        let cluster = stage(idle);
        until("nobody is doubted although balancers die for as long as it takes", || {
            // Each process that should serve dies as soon as it is there.
            let status = cluster.status(2).expect("its agent answers");
            let of = |role| matches!(role, Role::Proxy | Role::Spare);
            for process in status.processes.iter().filter(|it| it.running && of(it.role)) {
                let pid = process.pid.to_string();
                let _gone_already = Command::new("kill").args(["-KILL", &pid]).status();
            }
            all_doubt(&cluster, &[0, 1], 2, "ailing")
        });
        let text = why(&cluster, 0, "node/node03");
        assert!(text.contains("its balancer does not run"), "{text}");
        until("it serves again and is believed", || all_are_well(&cluster));
    });
}

/// Two servers of node02, as node01's balancer knows them; with `check`, checks of the file find out,
/// without, only requests do.
fn two_servers(check: &str) -> String {
    format!(
        "defaults\n mode tcp\n timeout connect 1s\n timeout client 5s\n timeout server 5s\n\
         listen api\n bind 127.0.0.1:9000\n server one 10.79.0.42:9001 {check}\n \
         server two 10.79.0.42:9002 {check}\n"
    )
}

#[test]
fn a_node_whose_servers_all_fail_their_checks_is_doubted_where_that_is_seen() {
    contained("a_node_whose_servers_all_fail_their_checks_is_doubted_where_that_is_seen", || {
        let checked = |node| match node {
            0 => two_servers("check inter 200ms fall 2 rise 1"),
            _ => idle(node),
        };
        let cluster = stage(checked);
        is_doubted_there_alone(&cluster);

        one_serves(&cluster);
        until("node02 is believed again", || all_are_well(&cluster));
    });
}

/// By node01, whose balancer has no answer of node02's servers, and by nobody else.
fn is_doubted_there_alone(cluster: &Cluster) {
    until("node01 doubts node02", || all_doubt(cluster, &[0], 1, "not-serving"));
    let text = why(cluster, 0, "node/node02");
    assert!(text.contains("all of its servers fail checks or requests"), "{text}");
    let elsewhere = opinion(cluster, 2, 1);
    assert_eq!(elsewhere, Some((Verdict::Alive, "alive".to_owned())), "opinion is local");
}

/// One server that answers is enough: node02 listens there itself from now on.
fn one_serves(cluster: &Cluster) {
    let file = "defaults\n mode tcp\n timeout connect 1s\n timeout client 5s\n timeout server 5s\n\
                listen one\n bind 10.79.0.42:9001\n server one 127.0.0.1:9101\n";
    let folder = Path::new(FOLDER).join("node02");
    fs::write(folder.join("haproxy.cfg"), file).expect("a file can be written");
    let supervisor = cluster.pid(1, Role::Supervisor).expect("it runs");
    lonely::kill(supervisor, "HUP");
}

/// Clients of the balancer of node01, one after the other, until `ends`; how many there were.
fn clients(cluster: &Cluster, ends: &AtomicBool) -> Option<u32> {
    cluster.within(0, || {
        let mut count = 0;
        while !ends.load(Ordering::Relaxed) {
            let balancer = SocketAddr::from((Ipv4Addr::LOCALHOST, 9000));
            let mut client = TcpStream::connect(balancer).expect("the balancer listens");
            client.set_read_timeout(Some(PATIENT)).expect("not zero");
            // Closed without a byte, or nothing for as long: then the next one comes.
            let _ = client.read(&mut [0]);
            count += 1;
        }
        count
    })
}

#[test]
fn a_node_whose_servers_refuse_all_requests_is_doubted_without_any_check() {
    contained("a_node_whose_servers_refuse_all_requests_is_doubted_without_any_check", || {
        let unchecked = |node| if node == 0 { two_servers("") } else { idle(node) };
        let cluster = stage(unchecked);
        let ends = AtomicBool::new(false);
        std::thread::scope(|scope| {
            // Ended even where something is not as it should be.
            let _end = End(&ends);
            let clients = scope.spawn(|| clients(&cluster, &ends));
            is_doubted_there_alone(&cluster);
            // Nobody stops asking: the one that answers ends it, the other still refuses.
            one_serves(&cluster);
            until("node02 is believed again", || all_are_well(&cluster));
            ends.store(true, Ordering::Relaxed);
            let asked = clients.join().expect("no client panics");
            assert!(asked.is_some_and(|asked| asked > 2), "{asked:?}");
        });
    });
}

/// Ends those who look at it.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
