//! How large the executable is, and how much memory the processes of an idle node take.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{fs, thread};

use serde_json::Value;

use crate::shell::{self, Failure, Outcome};

#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    pub what: &'static str,
    pub megabytes: f64,
    /// As `outlast status --json` names the process.
    role: &'static str,
}

const EXECUTABLE: Bound = Bound { what: "executable", megabytes: 25.0, role: "" };
const PROCESSES: [Bound; 3] = [
    Bound { what: "memory of the vip process", megabytes: 8.0, role: "vip" },
    Bound { what: "memory of the agent", megabytes: 30.0, role: "agent" },
    Bound { what: "memory of an idle proxy", megabytes: 12.0, role: "proxy" },
];

/// A node is up in a second; a loaded machine gets ten times that.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(100);
/// After the start, so that what was only needed for it is gone and what grows has grown.
const SETTLE: Duration = Duration::from_secs(3);

pub(super) fn measure(outlast: &Path) -> Outcome<Vec<(Bound, f64)>> {
    let bytes = fs::metadata(outlast).map_err(Failure::trying("measuring the executable"))?.len();
    let mut measured = vec![(EXECUTABLE, megabytes(bytes))];
    let node = Node::start(outlast)?;
    let mut pids = vec![];
    for _ in 0..TRIES {
        pids = node.processes();
        if pids.len() == PROCESSES.len() {
            break;
        }
        thread::sleep(PAUSE);
    }
    thread::sleep(SETTLE);
    for bound in PROCESSES {
        let Some((_, pid)) = pids.iter().find(|(role, _)| role == bound.role) else {
            return Err(Failure::new(format!("the node has no process {}", bound.role)));
        };
        measured.push((bound, megabytes(resident(*pid)?)));
    }
    Ok(measured)
}

/// One lonely node in a network namespace of its own, ended when dropped.
#[derive(Debug)]
struct Node {
    child: Child,
    outlast: PathBuf,
    folder: PathBuf,
}

const CLUSTER: &str = r#"[cluster]
name = "bench"
secret_file = "secret"
haproxy = "haproxy.cfg"
run_dir = "FOLDER"
state_dir = "FOLDER/state"
[node.node01]
networks = { management = "10.79.0.41" }
[node.node02]
networks = { management = "10.79.0.42" }
[vip.internal]
address = "10.79.0.40"
network = "management"
router_id = 121
check = "balancer"
"#;

/// The interface, then the program in the place of the shell: its pid is ours to end.
const SCRIPT: &str = "set -e
ip link set lo up
ip link add management type veth peer name wire
ip link set wire up
ip address add 10.79.0.41/24 dev management
ip link set management up
exec \"$0\" run --config \"$1\"";

impl Node {
    fn start(outlast: &Path) -> Outcome<Self> {
        let folder = shell::target().join(format!("bench.{}", std::process::id()));
        fs::create_dir_all(&folder).map_err(Failure::trying("making a folder for a node"))?;
        let shown = folder.display().to_string();
        shell::write(&folder.join("outlast.toml"), &CLUSTER.replace("FOLDER", &shown))?;
        shell::write(&folder.join("secret"), "a secret of a node that nobody talks to, ever")?;
        shell::write(&folder.join("haproxy.cfg"), &proxies())?;
        shell::run(Command::new("chmod").args(["600", "secret"]).current_dir(&folder))?;
        let mut command = Command::new("unshare");
        if !shell::is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        command.args(["--net", "sh", "-c", SCRIPT]).arg(outlast).arg(folder.join("outlast.toml"));
        let log = fs::File::create(folder.join("log"))
            .map_err(Failure::trying("making a log for a node"))?;
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        let child = child.map_err(Failure::trying("starting a node with unshare"))?;
        Ok(Self { child, outlast: outlast.to_owned(), folder })
    }

    /// Role and pid of what runs; empty before the agent answers.
    fn processes(&self) -> Vec<(String, u64)> {
        let mut status = Command::new(&self.outlast);
        status.args(["status", "--json", "--run-dir"]).arg(&self.folder).stderr(Stdio::null());
        let Ok(output) = status.output() else { return vec![] };
        let status: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let processes = status["processes"].as_array().cloned().unwrap_or_default();
        let wanted = |role: &str| PROCESSES.iter().any(|bound| bound.role == role);
        let named = processes.iter().filter(|process| process["running"] == Value::Bool(true));
        named
            .filter_map(|p| Some((p["role"].as_str()?.to_owned(), p["pid"].as_u64()?)))
            .filter(|(role, _)| wanted(role))
            .collect()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let mut end = Command::new("kill");
        // Both fail only for one that has ended already; its log says why it did.
        let ended = end.arg(self.child.id().to_string()).status().is_ok_and(|s| s.success());
        let _ = self.child.wait();
        if ended {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// Sixteen proxies of three servers, as the published file has them.
fn proxies() -> String {
    let mut text = String::from(
        "defaults\n  mode http\n  timeout connect 10s\n  timeout client 1m\n  timeout server 1m\n",
    );
    for port in 5000..5016 {
        text += &format!("listen api_{port}\n  bind 10.79.0.40:{port}\n");
        for server in 1..=3 {
            text += &format!("  server node0{server} 10.79.0.4{server}:{port} check inter 2000\n");
        }
    }
    text
}

/// `VmRSS` of a process in bytes.
fn resident(pid: u64) -> Outcome<u64> {
    let text = shell::read(&PathBuf::from(format!("/proc/{pid}/status")))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.map(|kilobytes| kilobytes * 1024).ok_or_else(|| Failure::new("no VmRSS in /proc"))
}

fn megabytes(bytes: u64) -> f64 {
    // Sizes of programs and processes are far below what f64 counts exactly.
    u32::try_from(bytes / 1024).map_or(f64::INFINITY, |kilobytes| f64::from(kilobytes) / 1024.0)
}
