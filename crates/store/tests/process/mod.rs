//! Nodes of the store as processes on loopback, with a network between them that can be cut.
//!
//! Every directed pair of nodes has a proxy in the process that watches: a cut swallows what is sent and
//! leaves the connection open, as a network does. A node answers clients by lines:
//!
//! ```text
//!   r KEY            none | v NUMBER
//!   w KEY NUMBER     done
//!   s KEY OLD NEW    held | not          OLD is a number or -
//!   f KEY NUMBER BYTES  done             zeros before the number, so many bytes in all
//!   status           leader=1 term=2 keys=3 syncs=4 last=5
//!   any of them      no-leader | unknown | refused ...
//! ```

pub(crate) mod mount;
pub(crate) mod node;
pub(crate) mod proxy;
pub(crate) mod slow;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mount::Disk;
use proxy::Proxy;
use rustix::process::{Pid, Signal, kill_process};
use slow::Slow;

pub(crate) const NODES: [u64; 3] = [1, 2, 3];
/// Longer than anything here takes on a machine that is ten times too slow.
const PATIENCE: Duration = Duration::from_secs(30);

/// The program that runs as a node when [`node::ROLE`] is set, and its arguments.
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) arguments: Vec<String>,
}

pub(crate) struct Cluster {
    program: Program,
    pub(crate) folder: PathBuf,
    proxies: BTreeMap<(u64, u64), Proxy>,
    nodes: BTreeMap<u64, Node>,
}

/// What of one node is lost.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Way {
    FromIt,
    ToIt,
}

struct Node {
    child: Child,
    client: u16,
}

impl Cluster {
    pub(crate) fn start(program: Program, folder: &Path) -> Self {
        Self::start_on(None, program, folder)
    }

    /// Every node has such a disk, if told.
    pub(crate) fn start_on(disk: Option<Disk>, program: Program, folder: &Path) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let mut proxies = BTreeMap::new();
        for from in NODES {
            for to in NODES.into_iter().filter(|to| *to != from) {
                proxies.insert((from, to), Proxy::at((Ipv4Addr::LOCALHOST, 0)));
            }
        }
        let mut cluster =
            Self { program, folder: folder.to_owned(), proxies, nodes: BTreeMap::new() };
        for node in NODES {
            cluster.launch(node, disk);
        }
        cluster
    }

    /// Starts a node; on an empty disk of its own, if told.
    pub(crate) fn launch(&mut self, node: u64, disk: Option<Disk>) {
        let folder = self.folder_of(node);
        std::fs::create_dir_all(&folder).unwrap();
        let mut command = match disk {
            None => Command::new(&self.program.path),
            Some(disk) => {
                let mut command = mount::unshare(&disk.mounts(&folder), &folder);
                command.arg(&self.program.path);
                command
            }
        };
        let peers: Vec<_> = NODES
            .iter()
            .filter_map(|to| Some(format!("{to}={}", self.proxies.get(&(node, *to))?.port)))
            .collect();
        let said = File::options().create(true).append(true).open(self.said(node)).unwrap();
        let mut child = command
            .args(&self.program.arguments)
            .env(node::ROLE, format!("{node} {}", peers.join(" ")))
            .env(node::FOLDER, &folder)
            .env(node::WITNESS, self.folder.join(format!("{node}.witness")))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(said)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ports = lines.find_map(|line| line.unwrap().strip_prefix("PORTS ").map(str::to_owned));
        let ports = ports.expect("a node tells its ports");
        let (raft, client) = ports.split_once(' ').unwrap();
        for (_, proxy) in self.proxies.iter().filter(|((_, to), _)| *to == node) {
            proxy.lead_to(raft.parse().unwrap());
        }
        self.nodes.insert(node, Node { child, client: client.parse().unwrap() });
    }

    /// The file of what a node said before it ended.
    pub(crate) fn said(&self, node: u64) -> PathBuf {
        self.folder.join(format!("{node}.said"))
    }

    pub(crate) fn client_ports(&self) -> BTreeMap<u64, u16> {
        self.nodes.iter().map(|(node, there)| (*node, there.client)).collect()
    }

    fn signal(&self, node: u64, signal: Signal) {
        let pid = Pid::from_child(&self.nodes[&node].child);
        kill_process(pid, signal).unwrap();
    }

    pub(crate) fn pid(&self, node: u64) -> u32 {
        self.nodes[&node].child.id()
    }

    pub(crate) fn folder_of(&self, node: u64) -> PathBuf {
        self.folder.join(node.to_string())
    }

    pub(crate) fn pause(&self, node: u64) {
        self.signal(node, Signal::STOP);
    }

    pub(crate) fn slow(&self, node: u64, by: Duration) -> Slow {
        Slow::disk_of(self.pid(node), by)
    }

    pub(crate) fn resume(&self, node: u64) {
        self.signal(node, Signal::CONT);
    }

    /// SIGKILL: no last words, no last write.
    pub(crate) fn kill(&mut self, node: u64) {
        let mut there = self.nodes.remove(&node).unwrap();
        there.child.kill().unwrap();
        there.child.wait().unwrap();
    }

    /// The exit code of a node that ended by itself.
    pub(crate) fn ended(&mut self, node: u64) -> Option<i32> {
        let status = self.nodes.get_mut(&node)?.child.try_wait().unwrap()?;
        self.nodes.remove(&node);
        Some(status.code().unwrap_or(-1))
    }

    /// Cuts a node off from all others, or heals that.
    pub(crate) fn isolate(&self, node: u64, cut: bool) {
        for (_, proxy) in self.proxies.iter().filter(|((a, b), _)| *a == node || *b == node) {
            proxy.cut(cut, cut);
        }
    }

    /// Loses what a node says to all others, or what they say to it; or heals that.
    pub(crate) fn lose_way(&self, node: u64, what: Way, lost: bool) {
        for ((from, to), proxy) in &self.proxies {
            let (there, back) = (what == Way::FromIt, what == Way::ToIt);
            if *from == node {
                proxy.cut(there && lost, back && lost);
            } else if *to == node {
                proxy.cut(back && lost, there && lost);
            }
        }
    }

    /// One line to a node, its answer.
    pub(crate) fn ask(&self, node: u64, line: &str) -> Option<String> {
        ask(self.nodes.get(&node)?.client, line, Duration::from_secs(10)).ok()
    }

    pub(crate) fn status(&self, node: u64) -> BTreeMap<String, u64> {
        let text = self.ask(node, "status").unwrap_or_default();
        let pairs = text.split_whitespace().filter_map(|pair| pair.split_once('='));
        pairs.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect()
    }

    /// A leader other than `not` that `among` all follow.
    pub(crate) fn leader(&self, among: &[u64], not: Option<u64>) -> u64 {
        until("there is a leader", || {
            let leaders: Vec<_> =
                among.iter().map(|node| self.status(*node).get("leader").copied()).collect();
            let leader = leaders.first().copied().flatten()?;
            let agreed = leaders.iter().all(|other| *other == Some(leader));
            (agreed && leader != 0 && Some(leader) != not).then_some(leader)
        })
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in self.nodes.values_mut() {
            drop(node.child.kill());
            drop(node.child.wait());
        }
        for node in NODES.into_iter().filter(|_| std::thread::panicking()) {
            let said = std::fs::read_to_string(self.said(node));
            eprintln!("{node} said:\n{}", said.unwrap_or_default());
        }
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

pub(crate) fn ask(port: u16, line: &str, patience: Duration) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_nodelay(true)?;
    stream.write_all(format!("{line}\n").as_bytes())?;
    let mut answer = String::new();
    if BufReader::new(stream).read_line(&mut answer)? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(answer.trim_end().to_owned())
}

pub(crate) fn until<T>(what: &str, mut seen: impl FnMut() -> Option<T>) -> T {
    let begun = sys::clock::now();
    loop {
        if let Some(seen) = seen() {
            return seen;
        }
        assert!(sys::clock::now().since(begun) < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
