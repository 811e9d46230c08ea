//! One router of a group: a namespace of its own, and ours or Debian's keepalived in it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use sys::netlink::Netlink;
use sys::process::{Child, SIGKILL, SIGTERM, Signal, SpawnOptions};
use sys::vrrp;

use crate::group::{GROUP, VIP, far};
use crate::lonely::{OUTLAST, PATIENCE};

const KEEPALIVED: &str = "/usr/sbin/keepalived";
pub(crate) const DEVICE: &str = "eth0";
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Of a group over IPv6, which names an address of the link first.
pub(crate) const LINK_VIP: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x40);
/// What keepalived says of adverts that it does not take.
const COMPLAINTS: [&str; 6] =
    ["Invalid", "bogus", "mismatch", "expected", "unexpected", "not present"];

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Maker {
    Ours,
    Theirs,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Transport {
    Multicast,
    Unicast,
}

/// What a group speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Version {
    /// An advert a second, with a password.
    Two,
    /// The same without one.
    Open,
    /// With this interval (hundredths of seconds).
    Three(u16),
    /// The same over IPv6; the address of the client is held with those that adverts name.
    Six(u16),
}

impl Version {
    pub(crate) const fn interval(self) -> Duration {
        match self {
            Self::Two | Self::Open => Duration::from_secs(1),
            Self::Three(centiseconds) | Self::Six(centiseconds) => {
                Duration::from_millis(centiseconds as u64 * 10)
            }
        }
    }

    /// Many adverts a second: waits of two members differ by less than a loaded machine delays one.
    pub(crate) fn is_quick(self) -> bool {
        self.interval() < Duration::from_secs(1)
    }

    /// RFC 3768 and 9568 §6.1.
    pub(crate) fn skew(self, priority: u8) -> Duration {
        let whole = match self {
            Self::Two | Self::Open => Duration::from_secs(1),
            Self::Three(_) | Self::Six(_) => self.interval(),
        };
        whole * (256 - u32::from(priority)) / 256
    }

    fn lines(self) -> String {
        match self {
            Self::Two => "  advert_int 1\n  authentication {\n    auth_type PASS\n    auth_pass secret12\n  }\n".to_owned(),
            Self::Open => "  advert_int 1\n".to_owned(),
            Self::Three(_) => {
                format!("  version 3\n  advert_int {}\n", self.interval().as_secs_f64())
            }
            Self::Six(_) => {
                format!("  native_ipv6\n  advert_int {}\n", self.interval().as_secs_f64())
            }
        }
    }

    pub(crate) const fn is_v6(self) -> bool {
        matches!(self, Self::Six(_))
    }

    fn addresses(self) -> String {
        let held = format!("{{\n    {VIP}/32 dev {DEVICE}\n  }}\n");
        if !self.is_v6() {
            return format!("  virtual_ipaddress {held}");
        }
        let named = format!("{{\n    {LINK_VIP}/64\n    {}/64\n  }}\n", far(VIP));
        format!("  virtual_ipaddress {named}  virtual_ipaddress_excluded {held}")
    }
}

/// How a group is configured, the same for all its members.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    pub(crate) transport: Transport,
    pub(crate) version: Version,
    /// Two of ours share a secret and a cluster file; one alone is called as keepalived.
    pub(crate) cluster: bool,
    /// Two of theirs: without this switch of keepalived's they lose the clients to each other.
    pub(crate) loser_speaks: bool,
}

#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) maker: Maker,
    pub(crate) priority: u8,
    pub(crate) ip: Ipv4Addr,
    pub(crate) mac: [u8; 6],
    /// Neither cut off nor without carrier.
    pub(crate) connected: bool,
    netns: OwnedFd,
    netlink: Netlink,
    folder: PathBuf,
    cluster: bool,
    /// One of ours that is alone is called by the peer's name; else it can be asked.
    pub(crate) as_keepalived: bool,
    /// Lines of its instance beside those that all have.
    pub(crate) more: &'static str,
    /// Added to that of the test for what is started.
    pub(crate) environment: Vec<(&'static str, String)>,
    process: Option<Child>,
}

impl Member {
    /// `netns` has the device already.
    pub(crate) fn new(
        maker: Maker,
        priority: u8,
        ip: Ipv4Addr,
        netns: OwnedFd,
        folder: PathBuf,
    ) -> Self {
        let open = || {
            let netlink = Netlink::open().expect("a netlink socket");
            let link = netlink.link(DEVICE).expect("the kernel answers").expect("it was made");
            (netlink, link.mac)
        };
        let (netlink, mac) = sys::netns::within(netns.as_fd(), open).expect("a namespace");
        fs::create_dir_all(&folder).expect("a folder of the test");
        let (connected, cluster, process) = (true, false, None);
        let (environment, more) = (Vec::new(), "");
        Self {
            maker,
            priority,
            ip,
            mac,
            connected,
            netns,
            netlink,
            folder,
            cluster,
            as_keepalived: true,
            more,
            environment,
            process,
        }
    }

    pub(crate) fn name(&self) -> String {
        let maker = if self.maker == Maker::Ours { "ours" } else { "theirs" };
        format!("{maker} {}", self.priority)
    }

    pub(crate) fn holds(&self) -> bool {
        let addresses = self.netlink.addresses().expect("addresses can be listed");
        addresses.iter().any(|address| address.ip == VIP || address.ip == far(VIP))
    }

    /// Where its adverts come from.
    pub(crate) fn source(&self, manner: Manner) -> IpAddr {
        let [a, b, c, d, e, f] = self.mac.map(u16::from);
        match manner {
            Manner { version: Version::Two | Version::Open | Version::Three(_), .. } => {
                self.ip.into()
            }
            Manner { transport: Transport::Unicast, .. } => far(self.ip),
            // As the kernel makes it of the device (RFC 4291, appendix A).
            Manner { transport: Transport::Multicast, .. } => {
                let id = [(a ^ 2) << 8 | b, c << 8 | 0xff, 0xfe00 | d, e << 8 | f];
                Ipv6Addr::new(0xfe80, 0, 0, 0, id[0], id[1], id[2], id[3]).into()
            }
        }
    }

    /// Hears and sends adverts where it is, beside it.
    pub(crate) fn beside(&self, version: Version) -> vrrp::Socket {
        let open = || match version.is_v6() {
            true => vrrp::Socket::open_v6(DEVICE, true),
            false => vrrp::Socket::open(DEVICE, true),
        };
        let socket = sys::netns::within(self.netns.as_fd(), open);
        socket.expect("a namespace").expect("a socket for adverts")
    }

    /// Of its namespace.
    pub(crate) const fn netlink(&self) -> &Netlink {
        &self.netlink
    }

    pub(crate) fn netns(&self) -> std::os::fd::BorrowedFd<'_> {
        self.netns.as_fd()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn runs(&self) -> bool {
        self.process.is_some()
    }

    /// Writes the files; `all` are the members with their addresses.
    pub(crate) fn configure(&mut self, manner: Manner, all: &[(Maker, u8, Ipv4Addr)]) {
        self.cluster = manner.cluster && self.maker == Maker::Ours;
        self.write("keepalived.conf", &self.keepalived_conf(manner, all));
        if self.cluster {
            let ours = all.iter().filter(|(maker, ..)| *maker == Maker::Ours);
            let nodes: String = ours
                .map(|(_, priority, ip)| {
                    format!(
                        "[node.n{priority}]\nnetworks = {{ lan = \"{ip}\" }}\npriority = {priority}\n"
                    )
                })
                .collect();
            let head = "[cluster]\nname = \"mixed\"\nsecret_file = \"secret\"\n";
            self.write("outlast.toml", &format!("{head}keepalived = \"keepalived.conf\"\n{nodes}"));
            self.write("secret", "what two of a mixed group know, and the third does not");
            let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            fs::set_permissions(self.folder.join("secret"), private).expect("a mode can be set");
        }
    }

    fn keepalived_conf(&self, manner: Manner, all: &[(Maker, u8, Ipv4Addr)]) -> String {
        let global = if manner.loser_speaks && self.maker == Maker::Theirs {
            "vrrp_higher_prio_send_advert true"
        } else {
            ""
        };
        // Of a group that speaks often: a process that has to wait for others is silent for as long as a dead one.
        let prompt = if manner.version.is_quick() { "vrrp_rt_priority 50" } else { "" };
        let unicast = match manner.transport {
            Transport::Multicast => String::new(),
            Transport::Unicast => {
                let at = |ip: Ipv4Addr| if manner.version.is_v6() { far(ip) } else { ip.into() };
                let others = all.iter().filter(|(.., ip)| *ip != self.ip);
                let others: String = others.map(|(.., ip)| format!("    {}\n", at(*ip))).collect();
                format!("  unicast_src_ip {}\n  unicast_peer {{\n{others}  }}\n", at(self.ip))
            }
        };
        format!(
            "global_defs {{\n  {global}\n  {prompt}\n}}\nvrrp_instance internal {{\n  state BACKUP\n  \
             interface {DEVICE}\n  virtual_router_id {GROUP}\n  priority {}\n  \
             nopreempt\n{}{unicast}{}{}}}\n",
            self.priority,
            self.more,
            manner.version.lines(),
            manner.version.addresses()
        )
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.join(name)).expect("a file of the test")
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.join(name), text).expect("a file of the test");
    }

    pub(crate) fn start(&mut self) {
        let path = |name: &str| self.path(name).display().to_string();
        let (program, argv0, words): (&str, &str, Vec<String>) = match (self.maker, self.cluster) {
            (Maker::Theirs, _) => {
                for file in ["pid", "vrrp.pid"] {
                    let _absent = fs::remove_file(self.folder.join(file));
                }
                let words = ["-P", "-n", "-l", "-D", "-f"].map(str::to_owned);
                let files = [path("keepalived.conf"), "-p".into(), path("pid")];
                let more = ["-r".into(), path("vrrp.pid")];
                (KEEPALIVED, "keepalived", [&words[..], &files, &more].concat())
            }
            (Maker::Ours, false) if !self.as_keepalived => {
                let words = ["run".into(), "--keepalived".into(), path("keepalived.conf")];
                let run = ["--run-dir".into(), path("run"), "--state-dir".into(), path("state")];
                (OUTLAST, "outlast", [&words[..], &run].concat())
            }
            (Maker::Ours, false) => {
                let words = ["-n".into(), "-l".into(), "-f".into(), path("keepalived.conf")];
                (OUTLAST, "keepalived", words.to_vec())
            }
            (Maker::Ours, true) => {
                let words = ["run".into(), "--config".into(), path("outlast.toml")];
                let node = ["--node".into(), format!("n{}", self.priority)];
                let run = ["--run-dir".into(), path("run"), "--state-dir".into(), path("state")];
                (OUTLAST, "outlast", [&words[..], &node, &run].concat())
            }
        };
        let log = File::options().create(true).append(true).open(self.folder.join("log"));
        let log = log.expect("a log of the test");
        let environment: Vec<(&str, &OsStr)> =
            self.environment.iter().map(|(name, value)| (*name, OsStr::new(value))).collect();
        self.process = Some(self.spawn(program, argv0, &words, &environment, log));
    }

    /// Where it is, beside it or in its place.
    pub(crate) fn spawn(
        &self,
        program: &str,
        argv0: &str,
        words: &[String],
        environment: &[(&str, &OsStr)],
        log: File,
    ) -> Child {
        let options = SpawnOptions {
            environment,
            netns: Some(self.netns.as_fd()),
            stdout: Some(log.try_clone().expect("a descriptor").into()),
            stderr: Some(log.into()),
            new_session: true,
            ..SpawnOptions::default()
        };
        let words: Vec<&OsStr> = words.iter().map(OsStr::new).collect();
        let child = sys::process::spawn(Path::new(program), Some(argv0), &words, None, options);
        child.expect("a router starts")
    }

    /// SIGTERM; says when.
    pub(crate) fn stop(&mut self) {
        self.end(SIGTERM);
    }

    /// SIGKILL of the process that was started.
    pub(crate) fn kill(&mut self) {
        self.end(SIGKILL);
    }

    fn end(&mut self, signal: Signal) {
        if let Some(child) = &self.process {
            child.signal(signal).expect("a child that was not reaped");
        }
    }

    /// After [`Member::stop`] or [`Member::kill`].
    pub(crate) fn reap(&mut self) {
        let Some(child) = self.process.take() else { return };
        let end = sys::clock::now() + PATIENCE;
        while child.reap().expect("a child that was not reaped").is_none() {
            assert!(sys::clock::now() < end, "{} does not end", self.name());
            thread::sleep(LOOK_EVERY);
        }
    }

    /// SIGKILL of the process that speaks VRRP; the one that was started makes another one.
    pub(crate) fn kill_worker(&self) {
        let parent = self.process.as_ref().expect("it runs").pid();
        let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
        let children = children.expect("the parent runs");
        let is_worker = |pid: &i32| {
            let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            self.maker == Maker::Theirs || words.ends_with(b"role\0vip\0")
        };
        let pids = children.split_whitespace().filter_map(|pid| pid.parse().ok());
        let worker = pids.into_iter().find(is_worker);
        let worker = worker.unwrap_or_else(|| {
            panic!("{} has no worker, but {children:?}; its log:\n{}", self.name(), self.log())
        });
        let pidfd = sys::process::watch(worker).expect("it runs");
        sys::process::signal(pidfd.as_fd(), SIGKILL).expect("it runs");
    }

    /// What one that can be asked answers: `status`, `events`.
    pub(crate) fn ask(&self, word: &str) -> String {
        let mut command = std::process::Command::new(OUTLAST);
        command.args([word, "--json", "--run-dir"]).arg(self.folder.join("run"));
        let output = command.output().expect("outlast can be asked");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Lines of the log that say that something of the wire was not as it should be.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let log = self.log();
        let bad = |line: &&str| match self.maker {
            Maker::Theirs => COMPLAINTS.iter().any(|word| line.contains(word)),
            Maker::Ours => line.contains("panicked"),
        };
        log.lines().filter(bad).map(str::to_owned).collect()
    }
}
