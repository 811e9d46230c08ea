//! A host of routers in namespaces `HOST-ROUTER`, and what neutron's agent does and sees there.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use api::router::RouterLine;
use sys::netlink::Netlink;
use sys::netns;

use crate::lonely::{OUTLAST, until};

/// By which neutron knows the router that forwards.
pub(crate) const PRIMARY: &str = "169.254.0.1/24";

/// As `neutron/agent/linux/keepalived.py` builds it; adverts each second instead of each two.
const FILE: &str = "global_defs {
    notification_email_from neutron@openstack.local
    router_id neutron
}
vrrp_instance VR_1 {
    state BACKUP
    interface ha-1
    virtual_router_id 1
    priority 50
    garp_master_delay 60
    nopreempt
    advert_int 1
    track_interface {
        ha-1
    }
    virtual_ipaddress {
        169.254.0.1/24 dev ha-1
    }
    virtual_ipaddress_excluded {
        TENANT dev ha-1 no_track
    }
}";

pub(crate) fn ip(words: &[&str]) {
    let status = Command::new("ip").args(words).status().expect("iproute2 is installed");
    assert!(status.success(), "ip {words:?}");
}

fn prepare(netns: &str, address: &str) {
    ip(&["-n", netns, "link", "set", "lo", "up"]);
    ip(&["-n", netns, "address", "add", address, "dev", "ha-1"]);
    ip(&["-n", netns, "link", "set", "ha-1", "up"]);
}

/// Of host `a`; what is behind the device answers nothing.
pub(crate) fn namespace(router: &str, number: u8) {
    let (netns, far) = (format!("a-{router}"), format!("far-{router}"));
    ip(&["netns", "add", &netns]);
    ip(&["netns", "add", &far]);
    let pair = ["-n", &netns, "link", "add", "ha-1", "type", "veth", "peer", "name", "far"];
    ip(&[&pair[..], &["netns", &far]].concat());
    ip(&["-n", &far, "address", "add", "169.254.192.9/18", "dev", "far"]);
    ip(&["-n", &far, "link", "set", "far", "up"]);
    prepare(&netns, &format!("169.254.192.{number}/18"));
}

/// One router on two hosts.
pub(crate) fn cable(router: &str) {
    let (one, other) = (format!("a-{router}"), format!("b-{router}"));
    ip(&["netns", "add", &one]);
    ip(&["netns", "add", &other]);
    let pair = ["-n", &one, "link", "add", "ha-1", "type", "veth", "peer", "name", "ha-1"];
    ip(&[&pair[..], &["netns", &other]].concat());
    prepare(&one, "169.254.192.1/18");
    prepare(&other, "169.254.192.2/18");
}

pub(crate) fn enter(netns: &str) -> OwnedFd {
    File::open(Path::new("/run/netns").join(netns)).expect("it is there").into()
}

fn addresses(netns: &OwnedFd) -> Vec<String> {
    let found = netns::within(netns.as_fd(), || Netlink::open()?.addresses());
    let found = found.expect("a namespace").expect("an answer");
    found.iter().map(|at| format!("{}/{}", at.ip, at.prefix)).collect()
}

/// The first figure of what is a process's own, in kB: pages that it changed.
pub(crate) fn first_private_kb(pid: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("it runs");
    let lines = text.lines().filter_map(|line| line.strip_prefix("Private_"));
    lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum()
}

pub(crate) struct Host {
    name: &'static str,
    folder: PathBuf,
    /// None: keepalived itself.
    programs: Option<PathBuf>,
    desk: Option<Child>,
}

impl Host {
    pub(crate) fn new(name: &'static str) -> Self {
        let mut host = Self::of_keepalived(name);
        let programs = host.folder.join("bin");
        fs::create_dir_all(&programs).expect("a folder");
        for program in ["keepalived", "neutron-keepalived-state-change"] {
            symlink(OUTLAST, programs.join(program)).expect("a name");
        }
        host.programs = Some(programs);
        host
    }

    pub(crate) fn of_keepalived(name: &'static str) -> Self {
        let folder = Path::new("/run").join(name);
        fs::create_dir_all(&folder).expect("a folder");
        Self { name, folder, programs: None, desk: None }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.join("routers.sock")
    }

    fn program(&self, name: &str) -> PathBuf {
        self.programs.as_ref().map_or_else(|| name.into(), |programs| programs.join(name))
    }

    pub(crate) fn path(&self, router: &str, name: &str) -> PathBuf {
        self.folder.join(router).join(name)
    }

    pub(crate) fn start_desk(&mut self) {
        let log = File::create(self.folder.join("log")).expect("a log");
        let mut command = Command::new(OUTLAST);
        command.arg("routers").arg("--socket").arg(self.socket()).stderr(log);
        self.desk = Some(command.stdin(Stdio::null()).spawn().expect("it starts"));
        until("it listens", || self.socket().exists());
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// The process that does the work.
    pub(crate) fn process(&self) -> i32 {
        let desk = self.desk();
        let mut found = None;
        until("it has its process", || {
            let path = format!("/proc/{desk}/task/{desk}/children");
            let text = fs::read_to_string(path).unwrap_or_default();
            found = text.split_whitespace().next().and_then(|pid| pid.parse().ok());
            found.is_some()
        });
        found.expect("it was found")
    }

    pub(crate) fn kill_desk(&mut self) {
        let mut desk = self.desk.take().expect("it was started");
        desk.kill().expect("it runs");
        desk.wait().expect("a child");
    }

    pub(crate) fn kill_desk_and_its_place(&mut self) {
        // A folder in its place: whoever is started there cannot listen.
        fs::remove_file(self.socket()).expect("it listens there");
        fs::create_dir_all(self.socket().join("in-the-way")).expect("a folder");
        self.kill_desk();
        fs::remove_file(self.folder.join("routers.sock.lock")).expect("it was locked");
        fs::create_dir(self.folder.join("routers.sock.lock")).expect("a folder");
    }

    /// Another desk can be started there again.
    pub(crate) fn make_place(&self) {
        fs::remove_dir_all(self.socket()).expect("it was in the way");
        fs::remove_dir(self.folder.join("routers.sock.lock")).expect("it was in the way");
    }

    pub(crate) fn desk(&self) -> u32 {
        self.desk.as_ref().expect("it was started").id()
    }

    /// Where programs of this host put what has no other place.
    pub(crate) fn temporary(&self) -> PathBuf {
        let folder = self.folder.join("tmp");
        fs::create_dir_all(&folder).expect("a folder");
        folder
    }

    pub(crate) fn listed(&self) -> Vec<RouterLine> {
        let mut command = Command::new(OUTLAST);
        command.args(["routers", "--list", "--json", "--socket"]).arg(self.socket());
        let output = command.output().expect("it can be asked").stdout;
        let lines = output.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.filter_map(|line| serde_json::from_slice(line).ok()).collect()
    }

    pub(crate) fn write(&self, router: &str, tenant: &str) {
        let path = self.path(router, "keepalived.conf");
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, FILE.replace("TENANT", tenant)).expect("a file");
    }

    pub(crate) fn command(&self, router: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &format!("{}-{router}", self.name)]);
        command.arg(self.program("keepalived")).arg("-P").arg("-f");
        command.arg(self.path(router, "keepalived.conf"));
        command.arg("-p").arg(self.path(router, "pid"));
        command.arg("-r").arg(self.path(router, "pid-vrrp")).arg("-D");
        command.env("OUTLAST_ROUTERS", self.socket()).env("TMPDIR", self.temporary());
        command
    }

    pub(crate) fn start(&self, router: &str) {
        let output = self.command(router).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}\n{}", self.log());
        until("its number is there", || self.number(router, "pid").is_some());
    }

    pub(crate) fn watch(&self, router: &str) {
        let mut command = Command::new(self.program("neutron-keepalived-state-change"));
        let conf_dir = self.folder.join(router).display().to_string();
        let words = [
            ("router_id", router.to_owned()),
            ("namespace", format!("{}-{router}", self.name)),
            ("conf_dir", conf_dir.clone()),
            ("monitor_interface", "ha-1".to_owned()),
            ("monitor_cidr", PRIMARY.to_owned()),
            ("pid_file", format!("{conf_dir}/monitor.pid")),
            ("state_path", self.folder.display().to_string()),
            ("user", "0".to_owned()),
            ("group", "0".to_owned()),
        ];
        command.args(words.iter().map(|(name, value)| format!("--{name}={value}")));
        let output = command.env("OUTLAST_ROUTERS", self.socket()).output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    pub(crate) fn number(&self, router: &str, file: &str) -> Option<i32> {
        fs::read_to_string(self.path(router, file)).ok()?.trim().parse().ok()
    }

    pub(crate) fn pid(&self, router: &str) -> i32 {
        self.number(router, "pid").expect("it was started")
    }

    pub(crate) fn has(&self, router: &str, address: &str) -> bool {
        let netns = enter(&format!("{}-{router}", self.name));
        addresses(&netns).iter().any(|found| found == address)
    }

    pub(crate) fn holds(&self, router: &str) -> bool {
        self.has(router, PRIMARY)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(desk) = &mut self.desk {
            let _ended = desk.kill();
            let _ended = desk.wait();
        }
        if std::thread::panicking() {
            eprintln!("the desk said:\n{}", self.log());
        }
    }
}

/// Neutron's agent: what it was told, router by router.
pub(crate) struct Agent {
    told: Arc<Mutex<BTreeMap<String, Vec<String>>>>,
}

impl Agent {
    pub(crate) fn start(host: &Host) -> Self {
        let listener = UnixListener::bind(host.folder.join("keepalived-state-change"));
        let listener = listener.expect("a socket");
        let told = Arc::<Mutex<BTreeMap<String, Vec<String>>>>::default();
        let theirs = Arc::clone(&told);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let (mut head, mut bytes) = (vec![], [0; 512]);
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read(&mut bytes) {
                        Ok(0) | Err(_) => break,
                        Ok(length) => head.extend_from_slice(&bytes[..length]),
                    }
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                let of = |name: &str| {
                    let mut lines = head.lines();
                    lines.find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()))
                };
                let (Some(router), Some(state)) =
                    (of("X-Neutron-Router-Id:"), of("X-Neutron-State:"))
                else {
                    continue;
                };
                let mut told = theirs.lock().expect("nobody panics here");
                told.entry(router).or_default().push(state);
                let _unread = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            }
        });
        Self { told }
    }

    pub(crate) fn all(&self, router: &str) -> Vec<String> {
        self.told.lock().expect("nobody panics here").get(router).cloned().unwrap_or_default()
    }

    pub(crate) fn last(&self, router: &str) -> String {
        self.all(router).pop().unwrap_or_default()
    }
}

/// Looks all the time whether the primary address of a router of host `a` is there.
pub(crate) struct Watched {
    ending: Arc<AtomicBool>,
    watching: JoinHandle<Result<(), String>>,
}

impl Watched {
    pub(crate) fn start(router: &str) -> Self {
        let (netns, router) = (enter(&format!("a-{router}")), router.to_owned());
        let ending = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&ending);
        let watching = std::thread::spawn(move || {
            netns::enter(netns.as_fd()).expect("a namespace");
            let netlink = Netlink::open().expect("a socket");
            while !is_over.load(Ordering::Relaxed) {
                let there = netlink.addresses().expect("an answer");
                let is_there = there.iter().any(|at| format!("{}/{}", at.ip, at.prefix) == PRIMARY);
                if !is_there {
                    return Err(format!("{PRIMARY} of {router} was gone"));
                }
                std::thread::sleep(Duration::from_millis(2));
            }
            Ok(())
        });
        Self { ending, watching }
    }

    pub(crate) fn end(self) {
        self.ending.store(true, Ordering::Relaxed);
        assert_eq!(self.watching.join().expect("it does not panic"), Ok(()));
    }
}

/// Hears the adverts of a router of host `a`, at the other end of its cable, or elsewhere.
pub(crate) struct Adverts {
    ending: Arc<AtomicBool>,
    hearing: JoinHandle<Duration>,
}

impl Adverts {
    pub(crate) fn start(router: &str) -> Self {
        Self::at(&format!("far-{router}"), "far")
    }

    pub(crate) fn at(netns: &str, device: &'static str) -> Self {
        let netns = enter(netns);
        let ending = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&ending);
        let hearing = std::thread::spawn(move || {
            netns::enter(netns.as_fd()).expect("a namespace");
            let socket = sys::vrrp::Socket::open(device, true).expect("a socket");
            let (mut last, mut longest) = (sys::clock::now(), Duration::ZERO);
            let mut bytes = [0; 2048];
            while !is_over.load(Ordering::Relaxed) {
                while socket.receive(&mut bytes).is_ok() {
                    last = sys::clock::now();
                }
                longest = longest.max(sys::clock::now().since(last));
                std::thread::sleep(Duration::from_millis(5));
            }
            longest
        });
        Self { ending, hearing }
    }

    /// The longest time without one.
    pub(crate) fn end(self) -> Duration {
        self.ending.store(true, Ordering::Relaxed);
        self.hearing.join().expect("it does not panic")
    }
}

/// As many adverts of a weaker router as one thread sends, from the other end of the cable.
pub(crate) struct Flood {
    ending: Arc<AtomicBool>,
    sending: JoinHandle<u64>,
}

impl Flood {
    pub(crate) fn start(router: &str) -> Self {
        let netns = enter(&format!("far-{router}"));
        let ending = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&ending);
        let sending = std::thread::spawn(move || {
            netns::enter(netns.as_fd()).expect("a namespace");
            let socket = sys::vrrp::Socket::open("far", true).expect("a socket");
            // Version 2, id 1, priority 1, one address, a checksum that is wrong.
            let advert = [0x21, 1, 1, 1, 0, 1, 0, 0, 169, 254, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
            let (from, group) = ([169, 254, 192, 9].into(), [224, 0, 0, 18].into());
            let mut sent = 0;
            while !is_over.load(Ordering::Relaxed) {
                sent += u64::from(socket.send(from, group, &advert).is_ok());
            }
            sent
        });
        Self { ending, sending }
    }

    pub(crate) fn end(self) -> u64 {
        self.ending.store(true, Ordering::Relaxed);
        self.sending.join().expect("it does not panic")
    }
}
