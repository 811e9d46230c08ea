//! One controller: its namespace, its folder, its processes.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sys::process::{Child, SIGCONT, SIGHUP, SIGKILL, SIGTERM, Signal, SpawnOptions, spawn};

use super::ask;
use super::files::Files;
use super::network::{Host, address};
use crate::wait;

/// A process the demo starts on a node.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Part {
    Web,
    Database,
    /// Takes what the balancers log.
    Logs,
    /// The supervisor, which starts the rest itself.
    Outlast,
    Haproxy,
    Keepalived,
}

/// What runs on the nodes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Software {
    /// This executable.
    Outlast { breaks: Vec<String> },
    /// Debian's keepalived and haproxy.
    Stock,
}

/// This executable, even after the file was replaced by a newer build.
pub(crate) const OWN: &str = "/proc/self/exe";
/// How long processes of a node may take to end after SIGKILL, or a stock balancer to start.
const SOON: Duration = Duration::from_secs(5);
/// A node says goodbye and ends.
const GRACE: Duration = Duration::from_secs(10);

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Database => "database",
            Self::Logs => "logs",
            Self::Outlast => "outlast",
            Self::Haproxy => "haproxy",
            Self::Keepalived => "keepalived",
        }
    }
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) number: u8,
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    pub(crate) software: Software,
    /// None: powered off.
    host: Option<Host>,
    parts: BTreeMap<Part, Child>,
    /// Processes that were told to vanish.
    vanished: BTreeSet<Part>,
    /// Stock only: the balancer was away, so keepalived has to begin anew.
    shaken: bool,
}

impl Node {
    pub(crate) fn new(number: u8, folder: &Path, software: Software) -> Self {
        let name = format!("node0{}", number + 1);
        Self {
            number,
            folder: folder.join(&name),
            name,
            software,
            host: None,
            parts: BTreeMap::new(),
            vanished: BTreeSet::new(),
            shaken: false,
        }
    }

    pub(crate) fn is_on(&self) -> bool {
        self.host.is_some()
    }

    pub(crate) fn host(&self) -> Option<&Host> {
        self.host.as_ref()
    }

    /// Plugs the machine in, with nothing running on it.
    pub(crate) fn plug_in(&mut self) -> io::Result<()> {
        if self.host.is_none() {
            let addresses = [address(self.number, 0), address(self.number, 1)];
            self.host = Some(Host::plug(&self.name, &addresses)?);
        }
        Ok(())
    }

    /// Silently: the ports leave their switches first, then every process dies.
    pub(crate) fn power_off(&mut self) -> io::Result<()> {
        let Some(host) = self.host.take() else { return Ok(()) };
        host.cut()?;
        kill_all_inside(&host)?;
        for child in std::mem::take(&mut self.parts).into_values() {
            child.wait()?;
        }
        self.vanished.clear();
        host.unplug()
    }

    /// Starts what is missing, undoes freezing and vanishing.
    pub(crate) fn revive(&mut self, files: &Files) -> io::Result<()> {
        self.plug_in()?;
        self.bury()?;
        for (part, child) in &self.parts {
            child.signal(SIGCONT)?;
            if self.vanished.contains(part) {
                child.signal(sys::process::SIGUSR2)?;
            }
        }
        self.vanished.clear();
        if let Some(host) = &self.host {
            (0..2).try_for_each(|network| host.set_carrier(network, true))?;
        }
        self.ensure(Part::Web, self.stand_in(Part::Web, &files.web_ports))?;
        self.ensure(Part::Database, self.stand_in(Part::Database, &files.database_ports))?;
        if !files.log_ports.is_empty() {
            self.ensure(Part::Logs, self.stand_in(Part::Logs, &files.log_ports))?;
        }
        self.start_software()
    }

    /// Undoes what a person at the keyboard may have done beyond the scenarios: frozen processes of
    /// any kind go on, ports are in their switches.
    pub(crate) fn mend(&self) -> io::Result<()> {
        let Some(host) = &self.host else { return Ok(()) };
        host.join()?;
        signal_all_inside(host, SIGCONT).map(drop)
    }

    fn start_software(&mut self) -> io::Result<()> {
        match self.software.clone() {
            Software::Outlast { breaks } => {
                let folder = |name: &str| self.folder.join(name).into_os_string();
                let mut words: Vec<OsString> = vec![OWN.into(), "run".into()];
                words.extend(["--config".into(), folder("outlast.toml")]);
                words.extend(["--node".into(), self.name.clone().into()]);
                words.extend(["--run-dir".into(), folder("run")]);
                words.extend(["--state-dir".into(), folder("state")]);
                for name in breaks {
                    words.extend(["--break".into(), name.into()]);
                }
                self.ensure(Part::Outlast, words)
            }
            Software::Stock => {
                let file = |name: &str| self.folder.join(name).into_os_string();
                let haproxy: Vec<OsString> =
                    vec!["haproxy".into(), "-db".into(), "-f".into(), file("haproxy.cfg")];
                let keepalived: Vec<OsString> = vec![
                    "keepalived".into(),
                    "-n".into(),
                    "-l".into(),
                    "-D".into(),
                    "-f".into(),
                    file("keepalived.conf"),
                    "-p".into(),
                    file("main.pid"),
                    "-r".into(),
                    file("vrrp.pid"),
                    "-c".into(),
                    file("check.pid"),
                ];
                self.ensure(Part::Haproxy, haproxy)?;
                if !wait::until(SOON, || ask::servers(&self.folder).is_some()) {
                    return Err(io::Error::other(format!(
                        "haproxy did not start: {}",
                        self.last_words()
                    )));
                }
                if std::mem::take(&mut self.shaken) {
                    self.stop(Part::Keepalived)?;
                }
                self.ensure(Part::Keepalived, keepalived)
            }
        }
    }

    fn stand_in(&self, part: Part, ports: &[u16]) -> Vec<OsString> {
        let mut words: Vec<OsString> = vec![OWN.into(), "lab".into(), part.name().into()];
        words.push(self.name.clone().into());
        // Lines may be logged to the loopback address, too.
        let ip = if part == Part::Logs { Ipv4Addr::UNSPECIFIED } else { address(self.number, 0) };
        words.extend(ports.iter().map(|port| OsString::from(format!("{ip}:{port}"))));
        words
    }

    fn ensure(&mut self, part: Part, words: Vec<OsString>) -> io::Result<()> {
        if self.parts.contains_key(&part) {
            return Ok(());
        }
        let host = self.host.as_ref().ok_or_else(|| io::Error::other("the node is off"))?;
        let log = File::create(self.folder.join(format!("{}.log", part.name())))?;
        let options = SpawnOptions {
            netns: Some(host.netns()),
            stdout: Some(log.try_clone()?.into()),
            stderr: Some(log.into()),
            new_session: true,
            ..SpawnOptions::default()
        };
        let program = find(&words[0])?;
        let arguments: Vec<&OsStr> = words[1..].iter().map(OsString::as_os_str).collect();
        let name = (words[0] == OWN).then_some("outlast");
        let child = spawn(&program, name, &arguments, None, options)?;
        self.parts.insert(part, child);
        Ok(())
    }

    /// Forgets processes that ended.
    fn bury(&mut self) -> io::Result<()> {
        let mut ended = Vec::new();
        for (part, child) in &self.parts {
            if child.reap()?.is_some() {
                ended.push(*part);
            }
        }
        for part in ended {
            self.parts.remove(&part);
            self.shaken |= part == Part::Haproxy;
        }
        Ok(())
    }

    pub(crate) fn signal(&mut self, part: Part, signal: Signal) -> io::Result<()> {
        if signal == sys::process::SIGUSR1 {
            self.vanished.insert(part);
        }
        self.shaken |= part == Part::Haproxy;
        match self.parts.get(&part) {
            Some(child) => child.signal(signal),
            None => Err(io::Error::other(format!("{} has no {}", self.name, part.name()))),
        }
    }

    /// The pid of a part that is about to be hurt.
    pub(crate) fn pid_for_fault(&mut self, part: Part) -> io::Result<i32> {
        self.shaken |= part == Part::Haproxy;
        let missing = || io::Error::other(format!("{} has no {}", self.name, part.name()));
        self.parts.get(&part).map(Child::pid).ok_or_else(missing)
    }

    /// SIGTERM, then SIGKILL; returns when the process has ended.
    pub(crate) fn stop(&mut self, part: Part) -> io::Result<()> {
        let Some(child) = self.parts.remove(&part) else { return Ok(()) };
        drop(child.signal(SIGTERM));
        if !wait::until(GRACE, || child.reap().map_or(true, |exit| exit.is_some())) {
            child.signal(SIGKILL)?;
            child.wait()?;
        }
        Ok(())
    }

    /// Kills and waits.
    pub(crate) fn kill(&mut self, part: Part) -> io::Result<()> {
        self.shaken |= part == Part::Haproxy;
        let Some(child) = self.parts.remove(&part) else { return Ok(()) };
        child.signal(SIGKILL)?;
        child.wait().map(drop)
    }

    /// Takes the files in its folder into use without an interruption.
    pub(crate) fn reload(&mut self) -> io::Result<()> {
        if self.parts.contains_key(&Part::Outlast) {
            return self.signal(Part::Outlast, SIGHUP);
        }
        self.kill(Part::Haproxy)
    }

    /// The lines a process of the node wrote last, for messages about failures.
    pub(crate) fn last_words(&self) -> String {
        let logs = ["outlast", "haproxy", "keepalived", "web", "database"];
        let last = |log: &&str| -> Option<String> {
            let text = fs::read_to_string(self.folder.join(format!("{log}.log"))).ok()?;
            let lines: Vec<&str> = text.lines().rev().take(4).collect();
            let lines: Vec<&str> = lines.into_iter().rev().collect();
            (!lines.is_empty())
                .then(|| format!("\n  {} {log}: {}", self.name, lines.join("\n    ")))
        };
        logs.iter().filter_map(last).collect()
    }
}

/// By the search path where it is no path: the administrator's folders too, which a plain user's
/// path lacks.
fn find(word: &OsStr) -> io::Result<PathBuf> {
    let path = Path::new(word);
    if path.is_absolute() {
        return Ok(path.to_owned());
    }
    ["/usr/sbin", "/sbin", "/usr/bin", "/usr/local/sbin"]
        .iter()
        .map(|folder| Path::new(folder).join(word))
        .find(|file| file.exists())
        .ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, format!("{} is not installed", path.display()))
        })
}

/// Whether a program of the stock pair is there.
pub(crate) fn is_installed(name: &str) -> bool {
    find(OsStr::new(name)).is_ok()
}

/// SIGKILL to everything in the namespace until nothing is left.
pub(crate) fn kill_all_inside(host: &Host) -> io::Result<()> {
    if wait::until(SOON, || signal_all_inside(host, SIGKILL).is_ok_and(|found| found == 0)) {
        Ok(())
    } else {
        Err(io::Error::other("processes of the node do not die"))
    }
}

/// Sends a signal to everything in the namespace; how many processes that were.
pub(crate) fn signal_all_inside(host: &Host, signal: Signal) -> io::Result<usize> {
    let identity = |path: &Path| fs::metadata(path).map(|m| (m.dev(), m.ino())).ok();
    let own = File::from(host.netns().try_clone_to_owned()?).metadata()?;
    let wanted = Some((own.dev(), own.ino()));
    let inside = fs::read_dir("/proc")?.flatten().filter_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        (identity(&entry.path().join("ns/net")) == wanted).then_some(pid)
    });
    Ok(inside.map(|pid| kill(pid, signal)).count())
}

/// A process that is gone already needs no signal.
pub(crate) fn kill(pid: i32, signal: Signal) {
    let pid = rustix::process::Pid::from_raw(pid);
    let signal = rustix::process::Signal::from_named_raw(signal);
    if let (Some(pid), Some(signal)) = (pid, signal) {
        let _gone = rustix::process::kill_process(pid, signal);
    }
}
