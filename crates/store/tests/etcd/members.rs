//! Members of Debian's etcd as processes on loopback.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use outlast_store::Store;
use outlast_store::etcd::{Account, Etcd};
use rustix::process::{Pid, Signal, kill_process};

use crate::proxy::Proxy;

/// Longer than anything here takes on a machine that is ten times too slow.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Members {
    pub(crate) folder: PathBuf,
    pub(crate) clients: Vec<u16>,
    peers: Vec<u16>,
    children: Vec<Option<Child>>,
    /// More for each of them.
    arguments: Vec<String>,
    network: Option<Network>,
}

/// A network between members that can be cut. A member reaches each other one by a name, and what that
/// name means differs from member to member: a proxy for each of both directions.
pub(crate) struct Network {
    proxies: Vec<Vec<Option<Proxy>>>,
    /// Of the proxies to each member.
    ports: Vec<u16>,
}

impl Network {
    fn between(folder: &Path, peers: &[u16]) -> Self {
        let many = u8::try_from(peers.len()).unwrap();
        let (mut ports, mut proxies) = (vec![0; peers.len()], vec![]);
        for from in 0..many {
            let (mut row, mut hosts) = (vec![], "127.0.0.1 localhost\n".to_owned());
            for to in 0..many {
                let (address, at) = (Ipv4Addr::new(127, 0, from + 1, to + 1), usize::from(to));
                hosts.push_str(&format!("{address} m{to}\n"));
                row.push((from != to).then(|| {
                    let proxy = Proxy::at((address, ports[at]));
                    ports[at] = proxy.port;
                    proxy.lead_to(peers[at]);
                    proxy
                }));
            }
            std::fs::write(folder.join(format!("hosts{from}")), hosts).unwrap();
            proxies.push(row);
        }
        Self { proxies, ports }
    }

    /// Cuts a member off from all others, or heals that.
    pub(crate) fn isolate(&self, member: usize, cut: bool) {
        for (from, row) in self.proxies.iter().enumerate() {
            for (to, proxy) in row.iter().enumerate() {
                if let Some(proxy) = proxy.as_ref().filter(|_| from == member || to == member) {
                    proxy.cut(cut);
                }
            }
        }
    }
}

/// Whether there is no etcd; that is told.
pub(crate) fn is_missing(test: &str) -> bool {
    let missing = Command::new("etcd").arg("--version").stdout(Stdio::null()).status().is_err();
    if missing {
        skip(test, "no etcd");
    }
    missing
}

/// A folder of this test and process.
pub(crate) fn folder(test: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("outlast-{test}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// etcd wants to be told its ports; these were free a moment ago.
pub(crate) fn free_ports(many: usize) -> Vec<u16> {
    let held: Vec<_> = (0..many).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    held.iter().map(|port| port.local_addr().unwrap().port()).collect()
}

impl Members {
    /// Nothing where there is no etcd.
    pub(crate) fn start(test: &str) -> Option<Self> {
        (!is_missing(test)).then(|| Self::of(folder(test), 3, vec![]))
    }

    /// That many, started with more arguments.
    pub(crate) fn of(folder: PathBuf, many: usize, arguments: Vec<String>) -> Self {
        let ports = free_ports(2 * many);
        let (clients, peers) = (ports[..many].to_vec(), ports[many..].to_vec());
        let mut members =
            Self { folder, clients, peers, children: vec![], arguments, network: None };
        members.launch_all();
        members
    }

    /// Three with a network that can be cut; the last one has a disk of that many megabytes. Only root
    /// can have them.
    pub(crate) fn apart(folder: PathBuf, megabytes: u32) -> Self {
        let ports = free_ports(6);
        let (clients, peers) = (ports[..3].to_vec(), ports[3..].to_vec());
        let network = Some(Network::between(&folder, &peers));
        let arguments = vec![];
        let mut members = Self { folder, clients, peers, children: vec![], arguments, network };
        let small = members.folder.join("2");
        std::fs::create_dir_all(&small).unwrap();
        let size = format!("size={megabytes}m");
        let mut mount = Command::new("mount");
        let mount = mount.args(["-t", "tmpfs", "-o", &size, "none"]).arg(small).status();
        assert!(mount.unwrap().success());
        members.launch_all();
        members
    }

    pub(crate) fn network(&self) -> &Network {
        self.network.as_ref().unwrap()
    }

    fn launch_all(&mut self) {
        self.children = (0..self.clients.len()).map(|member| Some(self.launch(member))).collect();
    }

    /// The exit of a member that ended by itself.
    pub(crate) fn ended(&mut self, member: usize) -> Option<ExitStatus> {
        self.children[member].as_mut().unwrap().try_wait().unwrap()
    }

    fn launch(&self, member: usize) -> Child {
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let told = |member: usize| match &self.network {
            Some(network) => format!("http://m{member}:{}", network.ports[member]),
            None => url(self.peers[member]),
        };
        let all = (0..self.peers.len()).map(|member| format!("m{member}={}", told(member)));
        let all: Vec<_> = all.collect();
        let (client, peer) = (url(self.clients[member]), url(self.peers[member]));
        let more = self.arguments.iter().map(|text| text.replace("CLIENT", &client));
        let mut command = match &self.network {
            Some(_) => {
                let mut command = Command::new("unshare");
                command.args([
                    "--mount",
                    "sh",
                    "-c",
                    "mount --bind \"$0\" /etc/hosts && exec \"$@\"",
                ]);
                command.arg(self.folder.join(format!("hosts{member}"))).arg("etcd");
                command
            }
            None => Command::new("etcd"),
        };
        command
            .args(["--name", &format!("m{member}"), "--log-level", "error"])
            .arg("--data-dir")
            .arg(self.folder.join(member.to_string()))
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer])
            .args(["--initial-advertise-peer-urls", &told(member)])
            .args(["--initial-cluster", &all.join(",")])
            .args(["--heartbeat-interval", "50", "--election-timeout", "500"])
            .args(more)
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    pub(crate) fn kill(&mut self, member: usize) {
        let mut child = self.children[member].take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub(crate) fn pid(&self, member: usize) -> u32 {
        self.children[member].as_ref().unwrap().id()
    }

    pub(crate) fn signal(&self, member: usize, signal: Signal) {
        let pid = Pid::from_child(self.children[member].as_ref().unwrap());
        kill_process(pid, signal).unwrap();
    }

    pub(crate) fn launch_again(&mut self, member: usize) {
        self.children[member] = Some(self.launch(member));
    }

    /// Without TLS or account, `first` is asked first.
    pub(crate) fn account(&self, first: usize) -> Account {
        let many = self.clients.len();
        let member = |at: usize| format!("http://127.0.0.1:{}", self.clients[at % many]);
        Account {
            members: (first..first + many).map(member).collect(),
            ca_file: None,
            pair: None,
            user: None,
            prefix: String::new(),
        }
    }

    pub(crate) async fn ready(&self) {
        let begun = sys::clock::now();
        while Etcd::new(self.account(0)).put("ready", b"", None).await.is_err() {
            assert!(sys::clock::now().since(begun) < PATIENCE, "etcd never answered");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Asks the first member's gateway; status and body.
    pub(crate) fn ask(&self, path: &str, body: &str, token: Option<&str>) -> (u16, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.clients[0])).unwrap();
        let token = token.map_or_else(String::new, |token| format!("Authorization: {token}\r\n"));
        let head =
            format!("POST {path} HTTP/1.0\r\n{token}Content-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        for child in self.children.iter_mut().flatten() {
            drop(child.kill());
            drop(child.wait());
        }
        if self.network.is_some() {
            drop(Command::new("umount").arg(self.folder.join("2")).status());
        }
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

/// Runs openssl in a folder.
pub(crate) fn openssl(folder: &Path, arguments: &str) {
    let output = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

pub(crate) fn skip(test: &str, reason: &str) {
    let line = format!("SKIP store::{test}: {reason}\n");
    eprint!("{line}");
    if let Some(path) = std::env::var_os("OUTLAST_SKIPS") {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
        file.unwrap().write_all(line.as_bytes()).unwrap();
    }
}
