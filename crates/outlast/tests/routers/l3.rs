//! Neutron's own classes start, watch, change and end routers: those of 2025.1, from Python's index (`l3.py` says which). Host `a` has
//! this executable under both names, host `b` neutron's own monitor.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sys::netlink::Netlink;
use sys::netns;

use crate::host::ip;
use crate::lonely::{OUTLAST, contained, kill, runs};

const ROUTERS: [&str; 2] =
    ["4f1c0a62-0000-4000-8000-000000000001", "77b2e9d1-0000-4000-8000-000000000002"];
/// A Python that imports neutron takes seconds beside others.
const PATIENCE: Duration = Duration::from_secs(90);

/// Where `cargo xtask test` puts it.
fn packages() -> PathBuf {
    let profile = Path::new(OUTLAST).parent().expect("a program lies in a folder");
    profile.parent().expect("a profile lies in a folder").join("neutron")
}

fn patiently(what: &str, hosts: &[&Node], mut condition: impl FnMut() -> bool) {
    let end = sys::clock::now() + PATIENCE;
    while !condition() {
        if sys::clock::now() >= end {
            let logs: Vec<String> = hosts.iter().map(|host| host.log()).collect();
            panic!("waited {PATIENCE:?} in vain: {what}\n{}", logs.join("\n---\n"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A host with neutron's agent, in a mount namespace of its own: names of network namespaces are the same on both.
struct Node {
    folder: PathBuf,
    agent: Child,
    orders: usize,
}

impl Node {
    fn start(name: &str, monitor: &Path) -> Self {
        let folder = Path::new("/run").join(name);
        let programs = folder.join("bin");
        fs::create_dir_all(&programs).expect("a folder");
        symlink(OUTLAST, programs.join("keepalived")).expect("a name");
        symlink(monitor, programs.join("neutron-keepalived-state-change")).expect("a name");
        fs::write(folder.join("orders"), "").expect("a file");
        let path = std::env::var("PATH").expect("there is one");
        let path = format!("{}:{}:{path}", programs.display(), packages().join("bin").display());
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/routers/l3.py");
        let mut agent = Command::new("unshare");
        agent.args(["--mount", "sh", "-c"]).arg(
            "mount -t tmpfs none /run/netns && { \"$OUTLAST\" routers & } && exec python3 \"$0\" \"$@\"",
        );
        agent.arg(script).arg(name).arg(&folder);
        agent.env("OUTLAST", OUTLAST).env("OUTLAST_ROUTERS", folder.join("routers.sock"));
        agent.env("PYTHONPATH", packages()).env("PATH", path).env("TMPDIR", &folder);
        let log = File::create(folder.join("log")).expect("a log");
        let agent = agent.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        Self { folder, agent: agent.expect("unshare ran a moment ago"), orders: 0 }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.join(name)).unwrap_or_default()
    }

    /// Returns when neutron has done it.
    fn order(&mut self, line: &str) {
        let orders = OpenOptions::new().append(true).open(self.folder.join("orders"));
        writeln!(orders.expect("it is there"), "{line}").expect("it can be written");
        self.orders += 1;
        let wanted = self.orders.to_string();
        patiently(line, &[&*self], || self.read("done") == wanted);
    }

    fn has(&self, router: &str, address: &str) -> bool {
        let root = Path::new("/proc").join(self.agent.id().to_string()).join("root/run/netns");
        let Ok(netns) = File::open(root.join(format!("qrouter-{router}"))) else { return false };
        let found = netns::within(netns.as_fd(), || Netlink::open()?.addresses());
        let found = found.expect("a namespace").unwrap_or_default();
        found.iter().any(|at| format!("{}/{}", at.ip, at.prefix) == address)
    }

    /// The address by which neutron knows the router that forwards.
    fn holds(&self, number: usize) -> bool {
        self.has(ROUTERS[number], &format!("169.254.0.{}/24", number + 1))
    }

    fn holds_all(&self) -> bool {
        (0..ROUTERS.len()).all(|number| self.holds(number))
    }

    /// How it is, as neutron's server was told last by this host.
    fn told(&self, number: usize) -> Option<String> {
        let text = self.read("server");
        let mut lines = text.lines().rev();
        lines.find_map(|line| {
            let states: serde_json::Value = serde_json::from_str(line).ok()?;
            Some(states.get(ROUTERS[number])?.as_str()?.to_owned())
        })
    }

    fn is_told(&self, state: &str) -> bool {
        (0..ROUTERS.len()).all(|number| self.told(number).as_deref() == Some(state))
    }

    /// Of what neutron started for a router: its keepalived, or its monitor.
    fn pid(&self, file: &str) -> Option<i32> {
        self.read(file).trim().parse().ok()
    }

    fn keepalived(&self, number: usize) -> Option<i32> {
        self.pid(&format!("ha_confs/{}.pid.keepalived", ROUTERS[number]))
    }

    fn monitor(&self, number: usize) -> Option<i32> {
        let of = ROUTERS[number];
        self.pid(&format!("external/pids/{of}.monitor.pid.neutron-keepalived-state-change-monitor"))
    }

    /// All of it ends, the agent first: it would start what has ended again.
    fn die(&mut self) {
        self.agent.kill().expect("it runs");
        self.agent.wait().expect("a child");
        let numbers = 0..ROUTERS.len();
        let pids = numbers.flat_map(|number| [self.keepalived(number), self.monitor(number)]);
        pids.chain([self.pid("routers.sock.lock")]).flatten().for_each(|pid| kill(pid, "KILL"));
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ended = self.agent.kill();
        let _ended = self.agent.wait();
    }
}

#[test]
fn neutrons_own_classes_start_watch_change_and_end_routers_of_two_hosts() {
    let test = "neutrons_own_classes_start_watch_change_and_end_routers_of_two_hosts";
    if !packages().join("neutron-26.0.6.dist-info").is_dir() {
        let reason = "neutron 26.0.6 is not there: `cargo xtask test` puts it under target/neutron";
        return lab::skip::note(&format!("outlast::{test}"), reason);
    }
    contained(&format!("l3::{test}"), || {
        fs::create_dir_all("/run/netns").expect("a folder");
        (1..=ROUTERS.len()).for_each(lay_cables);
        let theirs = packages().join("bin/neutron-keepalived-state-change");
        let (mut a, mut b) = (Node::start("a", Path::new(OUTLAST)), Node::start("b", &theirs));
        for host in [&mut a, &mut b] {
            for (number, router) in (1..).zip(ROUTERS) {
                host.order(&format!("add {router} {number}"));
            }
        }
        both_are_known(&a, &b);

        // Neutron writes the file again and signals: what stays, stays.
        a.order(&format!("floating {} 172.24.4.10", ROUTERS[1]));
        patiently("the floating address is there", &[&a], || a.has(ROUTERS[1], "172.24.4.10/32"));
        assert!(a.holds_all() && a.has(ROUTERS[1], "10.1.2.1/24"), "{}", a.log());

        // One is killed: the other host has it, and neutron starts it again here.
        let killed = a.keepalived(0).expect("it runs");
        kill(killed, "KILL");
        patiently("the other host has it", &[&a, &b], || b.holds(0) && !a.holds(0));
        patiently("neutron's server knows it", &[&a, &b], || {
            a.told(0).as_deref() == Some("standby") && b.told(0).as_deref() == Some("active")
        });
        patiently("neutron starts it again", &[&a], || {
            a.keepalived(0).is_some_and(|pid| pid != killed && runs(pid))
        });
        assert!(a.holds(1) && b.holds(0), "who comes takes nothing");

        // It is deleted there. Neutron removes their numbers when it has told them to end, and waits for nothing more.
        let pids = [a.keepalived(0), a.monitor(0)].map(|pid| pid.expect("it runs"));
        a.order(&format!("delete {}", ROUTERS[0]));
        patiently("both have ended", &[&a], || !pids.iter().any(|pid| runs(*pid)));
        assert!(b.holds(0) && !a.folder.join("ha_confs").join(ROUTERS[0]).exists());

        a.die();
        patiently("the other host has all", &[&b], || b.holds_all());
        patiently("neutron's server knows it", &[&b], || b.is_told("active"));
        b.die();
    });
}

/// A switch for one router, and a cable to each host: whether the other one is there, a device does not show.
fn lay_cables(number: usize) {
    let switch = format!("s{number}");
    ip(&["link", "add", &switch, "type", "bridge"]);
    ip(&["link", "set", &switch, "up"]);
    for host in ["a", "b"] {
        let (cable, port) = (format!("c{number}{host}"), format!("p{number}{host}"));
        ip(&["link", "add", &cable, "type", "veth", "peer", "name", &port]);
        ip(&["link", "set", &port, "master", &switch, "up"]);
    }
}

/// Whoever came first has them all.
fn both_are_known(a: &Node, b: &Node) {
    patiently("one of them has each", &[a, b], || {
        (0..ROUTERS.len()).all(|number| a.holds(number) != b.holds(number))
    });
    assert!(a.holds_all(), "who comes takes nothing\n{}\n{}", a.log(), b.log());
    patiently("neutron's server knows it", &[a, b], || a.is_told("active") && b.is_told("standby"));
}
