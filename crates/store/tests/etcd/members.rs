//! Members of Debian's etcd as processes on loopback.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use outlast_store::Store;
use outlast_store::etcd::{Account, Etcd};
use rustix::process::{Pid, Signal, kill_process};

use crate::mount::{self, Disk};
use crate::patient::Patient;
use crate::proxy::Proxy;

/// Longer than anything here takes on a machine that is ten times too slow.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How soon a member stands for election, milliseconds.
#[derive(Clone, Copy)]
pub(crate) enum Elections {
    /// Where no member fails: a busy machine must not unseat a leader.
    Late,
    /// Where members fail on purpose, and everything that is asked is asked again.
    Soon,
}

impl Elections {
    const fn arguments(self) -> [&'static str; 4] {
        match self {
            Self::Late => ["--heartbeat-interval", "100", "--election-timeout", "3000"],
            Self::Soon => ["--heartbeat-interval", "50", "--election-timeout", "500"],
        }
    }
}

pub(crate) struct Members {
    pub(crate) folder: PathBuf,
    pub(crate) clients: Vec<u16>,
    /// Where the first one listens for clients with TLS, if its arguments say so.
    pub(crate) secure: u16,
    peers: Vec<u16>,
    children: Vec<Option<Child>>,
    elections: Elections,
    /// More for each of them.
    arguments: Vec<String>,
    network: Option<Network>,
    /// Of each, where they have a network.
    disk: Option<Disk>,
    /// They answered once: from then on they keep their ports.
    answered: bool,
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
                    proxy.cut(cut, cut);
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
    pub(crate) fn start(test: &str, elections: Elections) -> Option<Self> {
        (!is_missing(test)).then(|| Self::of(folder(test), 3, elections, vec![]))
    }

    /// That many, started with more arguments.
    pub(crate) fn of(
        folder: PathBuf,
        many: usize,
        elections: Elections,
        arguments: Vec<String>,
    ) -> Self {
        let mut members = Self {
            folder,
            clients: vec![0; many],
            secure: 0,
            peers: vec![],
            children: vec![],
            elections,
            arguments,
            network: None,
            disk: None,
            answered: false,
        };
        members.launch_all();
        members
    }

    /// Three with a network that can be cut, each with such a disk. Only who may mount can have them.
    pub(crate) fn apart(folder: PathBuf, disk: Disk) -> Self {
        let mut members = Self {
            folder,
            clients: vec![0; 3],
            secure: 0,
            peers: vec![],
            children: vec![],
            elections: Elections::Soon,
            arguments: vec![],
            network: None,
            disk: Some(disk),
            answered: false,
        };
        members.launch_all();
        members
    }

    pub(crate) fn network(&self) -> &Network {
        self.network.as_ref().unwrap()
    }

    /// As new ones, with ports of their own.
    fn launch_all(&mut self) {
        let many = self.clients.len();
        let ports = free_ports(2 * many + 1);
        self.clients = ports[..many].to_vec();
        self.peers = ports[many..2 * many].to_vec();
        self.secure = ports[2 * many];
        self.network = self.disk.map(|_| Network::between(&self.folder, &self.peers));
        for member in 0..many {
            let data = self.data(member);
            drop(std::fs::remove_dir_all(&data));
            std::fs::create_dir_all(&data).unwrap();
            // etcd complains otherwise.
            let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
            std::fs::set_permissions(&data, private).unwrap();
        }
        self.children = (0..many).map(|member| Some(self.launch(member))).collect();
    }

    /// What a member said before it ended, or since it started.
    fn said(&self) -> String {
        let read = |member: usize| {
            let log = std::fs::read_to_string(self.folder.join(format!("log{member}")));
            format!("m{member} said:\n{}\n", log.unwrap_or_default())
        };
        (0..self.clients.len()).map(read).collect()
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
        let secure = self.secure.to_string();
        let filled = |text: &String| text.replace("CLIENT", &client).replace("SECURE", &secure);
        let more = self.arguments.iter().map(filled);
        let data = self.data(member);
        let mut command = match self.disk {
            Some(disk) => {
                let mounts = format!("mount --bind \"$0\" /etc/hosts && {}", disk.mounts(&data));
                let hosts = self.folder.join(format!("hosts{member}"));
                let mut command = mount::unshare(&mounts, &hosts);
                command.arg("etcd");
                command
            }
            None => Command::new("etcd"),
        };
        let log = self.folder.join(format!("log{member}"));
        let log = std::fs::OpenOptions::new().append(true).create(true).open(log);
        command
            .args(["--name", &format!("m{member}"), "--log-level", "error"])
            .arg("--data-dir")
            .arg(data)
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer])
            .args(["--initial-advertise-peer-urls", &told(member)])
            .args(["--initial-cluster", &all.join(",")])
            .args(self.elections.arguments())
            .args(more)
            .stderr(log.unwrap())
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

    pub(crate) fn data(&self, member: usize) -> PathBuf {
        self.folder.join(member.to_string())
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

    /// Waits until it can be written to. A port that was free a moment ago may be taken: new members
    /// whose start fails are started again with other ports, old ones with the same.
    pub(crate) async fn ready(&mut self) {
        let begun = sys::clock::now();
        while Etcd::new(self.account(0)).put("ready", b"", None).await.is_err() {
            let late = sys::clock::now().since(begun) >= PATIENCE;
            assert!(!late, "etcd never answered; {}", self.said());
            let has_ended = |child: &mut Child| child.try_wait().unwrap().is_some();
            for member in 0..self.children.len() {
                let ended = self.children[member].as_mut().is_some_and(has_ended);
                if ended && self.answered {
                    self.launch_again(member);
                } else if ended {
                    self.kill_all();
                    self.launch_all();
                    break;
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.answered = true;
    }

    fn kill_all(&mut self) {
        for child in self.children.iter_mut().flatten() {
            drop((child.kill(), child.wait()));
        }
    }

    /// A store that asks again where that does no harm.
    pub(crate) fn store(&self, first: usize) -> Patient<Etcd> {
        Patient(Etcd::new(self.account(first)))
    }

    /// Asks the first member's gateway; status and body.
    pub(crate) fn ask(&self, path: &str, body: &str, token: Option<&str>) -> (u16, String) {
        ask(self.clients[0], path, body, token).unwrap()
    }

    /// The member that leads as a majority of these says, and is one of them; waits for it.
    pub(crate) fn leader(&self, among: &[usize]) -> usize {
        let begun = sys::clock::now();
        loop {
            let said: Vec<_> = among.iter().filter_map(|member| self.says(*member)).collect();
            let follow = |id: &str| said.iter().filter(|(_, leader)| leader == id).count();
            let leads = |(id, leader): &&(String, String)| id == leader && follow(id) >= 2;
            if let Some((id, _)) = said.iter().find(leads) {
                let is = |member: &&usize| self.says(**member).is_some_and(|(own, _)| own == *id);
                if let Some(leader) = among.iter().find(is) {
                    return *leader;
                }
            }
            let late = sys::clock::now().since(begun) >= PATIENCE;
            assert!(!late, "{among:?} have no leader: {said:?}; {}", self.said());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Its own number, and that of the member that it follows.
    fn says(&self, member: usize) -> Option<(String, String)> {
        let (_, body) = ask(self.clients[member], "/v3/maintenance/status", "{}", None).ok()?;
        let body: serde_json::Value = serde_json::from_str(&body).ok()?;
        let number = |value: &serde_json::Value| value.as_str().map(str::to_owned);
        Some((number(&body["header"]["member_id"])?, number(&body["leader"])?))
    }
}

fn ask(port: u16, path: &str, body: &str, token: Option<&str>) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let token = token.map_or_else(String::new, |token| format!("Authorization: {token}\r\n"));
    let head =
        format!("POST {path} HTTP/1.0\r\n{token}Content-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(head.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let cut = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(cut)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.ok_or_else(cut)?, body.to_owned()))
}

impl Drop for Members {
    fn drop(&mut self) {
        self.kill_all();
        if std::thread::panicking() {
            eprintln!("{}", self.said());
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
