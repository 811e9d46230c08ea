//! One node by itself, as a process, in namespaces that end with the test.
//!
//! A test calls [`alone`], which runs it again inside `unshare`: as root of its own network, mount and
//! process namespaces, whoever calls. Whatever the test leaves behind is ended by the kernel.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;
use std::{env, thread};

use api::{Event, Role, Status, VipRole};
use sys::netlink::{AddressOptions, Netlink};

pub const OUTLAST: &str = env!("CARGO_BIN_EXE_outlast");
/// The virtual IP and the node's own address.
pub const VIP: Ipv4Addr = Ipv4Addr::new(10, 79, 0, 40);
pub const OWN: Ipv4Addr = Ipv4Addr::new(10, 79, 0, 41);
const DEVICE: &str = "eth0";
/// Set in the run inside.
const INSIDE: &str = "OUTLAST_TEST_INSIDE";
/// What takes a second on an idle machine may take this long on a loaded one.
pub const PATIENCE: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Runs `body` in namespaces of its own, as a node with a device; `name` is the test's own name.
pub fn alone(name: &str, body: fn()) {
    contained(name, || {
        plug_in().expect("cannot make the network of the test");
        body();
    });
}

/// Runs `body` in namespaces of its own without a device; `name` is the test's own name.
pub fn contained(name: &str, body: impl FnOnce()) {
    if env::var_os(INSIDE).is_some() {
        furnish().expect("cannot make the network of the test");
        return body();
    }
    let mut flags = vec!["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
    if !sys::rights::is_root() {
        flags.splice(0..0, ["--user", "--map-root-user"]);
    }
    let probe = Command::new("unshare").args(&flags).arg("true").output();
    if !probe.is_ok_and(|output| output.status.success()) {
        return lab::skip::note(&format!("outlast::{name}"), "this user may not make namespaces");
    }
    let test = env::current_exe().expect("a test knows its executable");
    let mut again = Command::new("unshare");
    again.args(&flags).arg(test).args(["--exact", name, "--nocapture"]).env(INSIDE, "1");
    let output = again.stdin(Stdio::null()).output().expect("unshare ran a moment ago");
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}\n{complained}");
}

/// Where the files of the node are: a file system of the test's own.
const FOLDER: &str = "/run/node";

fn furnish() -> io::Result<()> {
    let mount = Command::new("mount").args(["-t", "tmpfs", "outlast", "/run"]).status()?;
    if !mount.success() {
        return Err(io::Error::other("cannot mount a file system at /run"));
    }
    sys::netns::loopback_up()?;
    sys::netns::set_sysctl("net.ipv4.ip_nonlocal_bind", "1")
}

/// A device with the node's address and a carrier.
pub fn plug_in() -> io::Result<()> {
    let netlink = Netlink::open()?;
    netlink.create_veth(DEVICE, "wire", None)?;
    let index = |name| -> io::Result<u32> {
        let link = netlink.link(name)?.ok_or(io::ErrorKind::NotFound)?;
        Ok(link.index)
    };
    let (wire, device) = (index("wire")?, index(DEVICE)?);
    netlink.set_up(wire, true)?;
    let _new = netlink.add_address(device, OWN.into(), 24, AddressOptions::default())?;
    netlink.set_up(device, true)
}

/// The device is gone, as with a card that dies.
pub fn pull_out() -> io::Result<()> {
    let netlink = Netlink::open()?;
    match netlink.link(DEVICE)? {
        Some(link) => netlink.delete_link(link.index),
        None => Ok(()),
    }
}

/// Puts the virtual IP onto the loopback device, for programs that only balance.
pub fn hold_by_hand() -> io::Result<()> {
    const LOOPBACK: u32 = 1;
    let netlink = Netlink::open()?;
    netlink.add_address(LOOPBACK, VIP.into(), 32, AddressOptions::default()).map(|_| ())
}

pub fn has_vip() -> bool {
    let addresses = Netlink::open().and_then(|netlink| netlink.addresses());
    addresses.expect("addresses can be listed").iter().any(|address| address.ip == VIP)
}

/// Waits for a condition; a test that waits in vain says for what.
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = sys::clock::now() + PATIENCE;
    while !condition() {
        assert!(sys::clock::now() < end, "waited {PATIENCE:?} in vain: {what}");
        thread::sleep(LOOK_EVERY);
    }
}

/// Files and folders of a node, and its supervisor while it runs.
#[derive(Debug)]
pub struct Lonely {
    pub folder: PathBuf,
    pub port: u16,
    supervisor: Option<Child>,
}

impl Lonely {
    /// A node whose one proxy listens on the virtual IP, in front of a server that answers `ok`.
    pub fn new() -> Self {
        let folder = PathBuf::from(FOLDER);
        fs::create_dir_all(&folder).expect("a folder for the test");
        let port = free_port();
        let node = Self { folder, port, supervisor: None };
        node.write("haproxy.cfg", &node.haproxy(&[port]));
        node.write("outlast.toml", CLUSTER);
        node.write("secret", "a secret between one node and nobody");
        let secret = node.path("secret");
        fs::set_permissions(secret, fs::Permissions::from_mode(0o600)).expect("a mode can be set");
        node
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        let text = text.replace("FOLDER", &self.folder.display().to_string());
        fs::write(self.path(name), text).expect("a file of the test can be written");
    }

    /// A file with one proxy per port, each in front of a server of its own.
    pub fn haproxy(&self, ports: &[u16]) -> String {
        let mut text = String::from(
            "defaults\n  mode http\n  timeout connect 1s\n  timeout client 5s\n  timeout server 5s\n",
        );
        for port in ports {
            let server = serve();
            text += &format!("listen api{port}\n  bind {VIP}:{port}\n  server one {server}\n");
        }
        text
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(OUTLAST);
        command.arg("run").arg("--config").arg(self.path("outlast.toml"));
        command
    }

    /// Starts the node and waits until it serves behind its virtual IP.
    pub fn start(&mut self) {
        let command = self.command();
        self.start_with(command);
        until("the node serves behind its virtual IP", || self.serves(self.port));
    }

    pub fn start_with(&mut self, mut command: Command) {
        let log = File::create(self.path("log")).expect("a log for the node");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.supervisor = Some(command.spawn().expect("the node starts"));
    }

    pub fn pid(&self) -> i32 {
        let child = self.supervisor.as_ref().expect("the node was started");
        i32::try_from(child.id()).expect("a pid is an i32")
    }

    pub fn signal(&self, signal: &str) {
        kill(self.pid(), signal);
    }

    /// Waits for the supervisor's end.
    pub fn ended(&mut self) -> ExitStatus {
        let mut child = self.supervisor.take().expect("the node was started");
        let mut status = None;
        until("the supervisor ends", || {
            status = child.try_wait().expect("a child can be waited for");
            status.is_some()
        });
        status.expect("it has ended")
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    pub fn try_status(&self) -> Option<Status> {
        let output = self.ask(["status", "--json"]);
        serde_json::from_slice(&output).ok()
    }

    pub fn status(&self) -> Status {
        let mut found = None;
        until("the agent answers", || {
            found = self.try_status();
            found.is_some()
        });
        found.expect("it answered")
    }

    pub fn events(&self) -> Vec<Event> {
        let output = self.ask(["events", "--json"]);
        let lines = output.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).expect("an event is JSON")).collect()
    }

    fn ask<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Vec<u8> {
        let mut command = Command::new(OUTLAST);
        command.args(words).arg("--run-dir").arg(self.path("run"));
        command.output().expect("outlast can be asked").stdout
    }

    /// The pid of a running process; waits until there is one.
    pub fn process(&self, role: Role) -> i32 {
        let mut found = None;
        until("a process runs", || {
            let processes = self.try_status().map(|status| status.processes).unwrap_or_default();
            found = processes.iter().find(|p| p.role == role && p.running).map(|p| p.pid);
            found.is_some()
        });
        found.expect("it runs")
    }

    pub fn vip_role(&self) -> Option<VipRole> {
        self.try_status()?.vips.first().map(|vip| vip.state.role)
    }

    /// Whether somebody listens on the virtual IP: else its port can be had.
    pub fn listens(&self) -> bool {
        TcpListener::bind((VIP, self.port)).is_err()
    }

    pub fn serves(&self, port: u16) -> bool {
        request(port).is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
    }
}

impl Drop for Lonely {
    fn drop(&mut self) {
        if let Some(child) = &mut self.supervisor {
            let _ = child.kill();
            let _ = child.wait();
        }
        if thread::panicking() {
            eprintln!("the node said:\n{}", self.log());
        }
    }
}

pub const CLUSTER: &str = r#"[cluster]
name = "test"
secret_file = "secret"
haproxy = "haproxy.cfg"
run_dir = "FOLDER/run"
state_dir = "FOLDER/state"
[node.node01]
networks = { management = "10.79.0.41" }
[vip.internal]
address = "10.79.0.40"
network = "management"
router_id = 121
check = "balancer"
"#;

/// Runs a command that is expected to end by itself: its code and what it wrote to stderr.
pub fn run_to_end(command: &mut Command) -> (Option<i32>, String) {
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut child = child.expect("the program starts");
    let mut stderr = child.stderr.take().expect("it was piped");
    let reader = thread::spawn(move || {
        let mut said = String::new();
        stderr.read_to_string(&mut said).map(|_| said)
    });
    let mut status = None;
    until("a command ends by itself", || {
        status = child.try_wait().expect("a child can be waited for");
        status.is_some()
    });
    let said = reader.join().expect("reading does not panic").expect("it wrote text");
    (status.and_then(|status| status.code()), said)
}

pub fn kill(pid: i32, signal: &str) {
    let status = Command::new("kill").arg(format!("-{signal}")).arg(pid.to_string()).status();
    assert!(status.expect("kill runs").success(), "cannot send {signal} to {pid}");
}

/// Whether a process executes: a zombie that nobody waits for does not.
pub fn runs(pid: i32) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
    let state = stat.ok().and_then(|stat| stat.rsplit(')').next()?.trim().chars().next());
    state.is_some_and(|state| state != 'Z' && state != 'X')
}

/// Memory of a process in bytes that is its own: without the pages of the executable, which are many
/// in the builds that tests use (`cargo xtask bench` counts everything, in the build that is shipped).
pub fn own_memory(pid: i32) -> u64 {
    let path = Path::new("/proc").join(pid.to_string()).join("status");
    let text = fs::read_to_string(path).expect("the process runs");
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let words = line.and_then(|line| line.split_whitespace().next());
    words.and_then(|kilobytes| kilobytes.parse::<u64>().ok()).expect("the kernel counts") * 1024
}

/// One request to the virtual IP; the whole answer.
pub fn request(port: u16) -> io::Result<String> {
    let limit = Duration::from_secs(2);
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((VIP, port)), limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: vip\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// A port nobody has at the moment; within a namespace nobody else comes.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback is up");
    listener.local_addr().expect("it is bound").port()
}

/// A server that answers every connection with `ok`, until the test ends.
fn serve() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback is up");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(stream));
        }
    });
    address
}

/// Reads a head, answers, closes. A client that breaks off is its own concern.
fn answer(mut stream: TcpStream) {
    let mut head = vec![];
    let mut bytes = [0; 1024];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut bytes) {
            Ok(0) | Err(_) => return,
            Ok(length) => head.extend_from_slice(&bytes[..length]),
        }
    }
    let _ =
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
}
