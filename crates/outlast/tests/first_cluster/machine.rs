//! A machine of the page: namespaces of its own, with folders of its own where the page says them.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use sys::netlink::{AddressOptions, Netlink};

use crate::lonely::OUTLAST;

const SWITCH: &str = "sw1";
/// A file system of the test, by [`crate::lonely::contained`].
const MACHINES: &str = "/run/machines";
/// What is typed is found here first.
const PROGRAMS: &str = "/run/programs";
/// Its own /etc with what names users, /var/lib, /run/outlast, and its name.
const SET_UP: &str = r#"set -e
mount --make-rprivate /
mkdir -p "$1/etc/outlast" "$1/lib" "$1/run" "$1/root" /run/outlast
for file in passwd group nsswitch.conf ld.so.cache; do [ ! -e /etc/$file ] || cp /etc/$file "$1/etc/"; done
mount --bind "$1/etc" /etc
mount --bind "$1/lib" /var/lib
mount --bind "$1/run" /run/outlast
echo "$2" > /proc/sys/kernel/hostname
cd "$1/root"
echo ready
exec sleep infinity
"#;
/// Between machines that share a file system: the last word is NODE:PATH, from the root or from its home.
const SCP: &str = r#"#!/bin/sh
for to; do :; done
node=${to%%:*} path=${to#*:}
case $path in /*) ;; *) path=/root/$path ;; esac
while [ $# -gt 1 ]; do cp -p "$1" "/run/machines/$node$path" || exit 1; shift; done
"#;

/// What came of a command.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) is_well: bool,
    pub(crate) out: String,
    pub(crate) error: String,
}

#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) name: &'static str,
    folder: PathBuf,
    /// Keeps the namespaces.
    inside: Child,
    /// What stays in the foreground.
    pub(crate) supervisor: Option<Child>,
}

/// The switch, and the programs that are typed.
pub(crate) fn furnish() -> io::Result<()> {
    fs::create_dir_all(PROGRAMS)?;
    std::os::unix::fs::symlink(OUTLAST, Path::new(PROGRAMS).join("outlast"))?;
    let scp = Path::new(PROGRAMS).join("scp");
    fs::write(&scp, SCP)?;
    fs::set_permissions(&scp, fs::Permissions::from_mode(0o755))?;
    let netlink = Netlink::open()?;
    netlink.create_bridge(SWITCH)?;
    netlink.set_up(existing(&netlink, SWITCH)?, true)
}

fn existing(netlink: &Netlink, name: &str) -> io::Result<u32> {
    let link = netlink.link(name)?;
    link.map(|link| link.index).ok_or_else(|| io::Error::other(format!("there is no link {name}")))
}

impl Machine {
    /// Switches one on, with this address on its device.
    pub(crate) fn on(name: &'static str, ip: Ipv4Addr) -> Self {
        let folder = Path::new(MACHINES).join(name);
        let mut unshare = Command::new("unshare");
        unshare.args(["--net", "--mount", "--uts", "sh", "-c", SET_UP, "machine"]);
        unshare.arg(&folder).arg(name).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut inside = unshare.spawn().expect("namespaces of the test's own");
        let mut line = String::new();
        let said = inside.stdout.take().expect("it was piped");
        BufReader::new(said).read_line(&mut line).expect("it speaks");
        assert_eq!(line, "ready\n", "the machine {name} did not come up");
        let machine = Self { name, folder, inside, supervisor: None };
        machine.plug_in(ip).expect("a device of its own");
        machine
    }

    fn plug_in(&self, ip: Ipv4Addr) -> io::Result<()> {
        let netns = File::open(format!("/proc/{}/ns/net", self.inside.id()))?;
        let netlink = Netlink::open()?;
        let port = format!("{SWITCH}-{}", self.name);
        netlink.create_veth(&port, "eth0", Some(netns.as_fd()))?;
        let index = existing(&netlink, &port)?;
        netlink.set_master(index, Some(existing(&netlink, SWITCH)?))?;
        netlink.set_up(index, true)?;
        sys::netns::within(netns.as_fd(), || {
            sys::netns::loopback_up()?;
            let netlink = Netlink::open()?;
            let device = existing(&netlink, "eth0")?;
            netlink.add_address(device, ip.into(), 24, AddressOptions::default())?;
            netlink.set_up(device, true)
        })?
    }

    pub(crate) fn writes(&self, file: &str, text: &str) {
        fs::write(self.folder.join(file), text).expect("a file of the test can be written");
    }

    fn shell(&self, command: &str) -> Command {
        let mut shell = Command::new("nsenter");
        shell.args(["--net", "--mount", "--uts", "--target", &self.inside.id().to_string()]);
        let home = self.folder.join("root");
        shell.arg(format!("--wd={}", home.display())).args(["sh", "-c", command]);
        let path = std::env::var("PATH").unwrap_or_default();
        shell.env("PATH", format!("{PROGRAMS}:{path}")).env("HOME", home);
        shell
    }

    /// Types a command, and what it is asked.
    pub(crate) fn types(&self, command: &str, input: &str) -> Said {
        let mut shell = self.shell(command);
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = shell.spawn().expect("a shell starts");
        // Who does not ask reads nothing, and may have ended.
        let _ = child.stdin.take().expect("it was piped").write_all(input.as_bytes());
        let output = child.wait_with_output().expect("it ends");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Said {
            is_well: output.status.success(),
            out: text(&output.stdout),
            error: text(&output.stderr),
        }
    }

    /// Types what stays in the foreground, in a shell of its own.
    pub(crate) fn starts(&mut self, command: &str) {
        let log = File::create(self.folder.join("log")).expect("a log for the node");
        let mut shell = self.shell(&format!("exec {command}"));
        shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.supervisor = Some(shell.spawn().expect("the node starts"));
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            eprintln!("{} said:\n{log}", self.name);
        }
        for child in self.supervisor.iter_mut().chain([&mut self.inside]) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
