//! os-ken's router (OpenStack's, in Python) in one group with ours: a third implementation, which has a virtual MAC and puts
//! the address on no device. That it holds, it says itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use sys::process::{Child, SIGKILL};

use crate::group::{GROUP, Group, LOOK_EVERY, VIP};
use crate::have;
use crate::lonely::{OUTLAST, alone};
use crate::member::Maker::{Ours, Theirs};
use crate::member::{DEVICE, Maker, Manner, Transport, Version};

/// A router of Python takes seconds to start beside a dozen of its kind.
const PATIENCE: Duration = Duration::from_secs(30);
/// Nothing moves for so long: somebody who wrongly would had the time to.
const PEACE: Duration = Duration::from_millis(2500);
/// Beside ours; in its place no keepalived is started.
const OSKEN: Maker = Theirs;

/// Members with their priorities, and in which order they start.
#[derive(Clone, Debug)]
struct Row {
    members: Vec<(Maker, u8)>,
    order: Vec<usize>,
    version: Version,
}

#[test]
fn with_os_kens_router_there_is_one_holder_whoever_starts_first_is_killed_or_cut_off() {
    let test = "with_os_kens_router_there_is_one_holder_whoever_starts_first_is_killed_or_cut_off";
    if !is_installed() {
        let reason = "os-ken 4.2.2 is not there: python3 -m pip install --target target/python os-ken==4.2.2";
        lab::skip::note(&format!("outlast::{test}"), reason);
    } else if have(test, &["tcpdump"]) {
        let _alone = lab::trial::alone();
        alone(&format!("osken::{test}"), run_all);
    }
}

/// Where `cargo xtask test` puts it.
fn packages() -> PathBuf {
    let profile = Path::new(OUTLAST).parent().expect("a program lies in a folder");
    profile.parent().expect("a profile lies in a folder").join("python")
}

fn is_installed() -> bool {
    let mut python = Command::new("python3");
    python.env("PYTHONPATH", packages()).args(["-c", "import os_ken.services.protocols.vrrp"]);
    python.output().is_ok_and(|output| output.status.success())
}

fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for version in [Version::Open, Version::Three(100)] {
        for priorities in [[200, 100], [100, 200]] {
            for order in [[0, 1], [1, 0]] {
                let members = vec![(Ours, priorities[0]), (OSKEN, priorities[1])];
                rows.push(Row { members, order: order.to_vec(), version });
            }
        }
    }
    for priorities in [[200, 150, 100], [150, 100, 200]] {
        for order in [[0, 1, 2], [1, 2, 0], [2, 0, 1]] {
            let [a, b, c] = priorities;
            let members = vec![(Ours, a), (Ours, b), (OSKEN, c)];
            rows.push(Row { members, order: order.to_vec(), version: Version::Three(100) });
        }
    }
    rows
}

fn run_all() {
    let rows = rows();
    thread::scope(|scope| {
        for (number, row) in rows.iter().enumerate() {
            // Of each version one: a program of Python takes a second to start.
            let is_read = rows[..number].iter().all(|other| other.version != row.version);
            scope.spawn(move || Course::new(number, row, is_read).run());
        }
    });
}

struct Course<'a> {
    row: &'a Row,
    group: Group,
    folder: PathBuf,
    /// os-ken's place, the last.
    foreign: usize,
    process: Option<Child>,
    /// os-ken's codec reads its adverts at the end.
    is_read: bool,
}

impl<'a> Course<'a> {
    fn new(number: usize, row: &'a Row, is_read: bool) -> Self {
        let folder = PathBuf::from(format!("/run/osken/{number}"));
        let cluster = row.members.len() > 2;
        let (transport, version) = (Transport::Multicast, row.version);
        let manner = Manner { transport, version, cluster, loser_speaks: false };
        let group = Group::new(&folder, &row.members, manner);
        let foreign = row.members.len() - 1;
        Self { row, group, folder, foreign, process: None, is_read }
    }

    fn run(mut self) {
        let [first, others @ ..] = self.row.order.as_slice() else { return };
        let (first, others) = (*first, others.to_vec());
        self.start(first);
        self.until("who starts first holds", |holders| holders == [first]);
        others.iter().for_each(|at| self.start(*at));
        self.peace(first);
        // Who holds is killed, and returns; then it is cut off, and heals. Each is so once.
        let next = self.kill(first);
        let last = self.cut(next);
        self.kill(last);
        for at in 0..self.group.members.len() {
            self.end(at);
        }
        if self.is_read {
            self.read_again();
        }
    }

    /// os-ken's codec reads every advert of ours, and writes the same from what it read.
    fn read_again(&mut self) {
        self.group.stop_recording();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mixed/osken/codec.py");
        let ours = self.group.members.iter().enumerate().filter(|(at, _)| *at != self.foreign);
        let sources = ours.map(|(_, member)| member.ip.to_string());
        let mut python = Command::new("python3");
        python.env("PYTHONPATH", packages()).arg(script).arg(&self.group.recording).args(sources);
        let output = python.output().expect("it ran before");
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{:?}: {complaints}", self.row);
        let count: u32 = String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number");
        assert!(count > 5, "{:?}: only {count} adverts", self.row);
    }

    fn start(&mut self, at: usize) {
        if at != self.foreign {
            return self.group.members[at].start();
        }
        let number = if self.row.version == Version::Open { "2" } else { "3" };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mixed/osken/router.py");
        let member = &self.group.members[at];
        let words = [
            script.display().to_string(),
            number.to_owned(),
            member.priority.to_string(),
            member.ip.to_string(),
            VIP.to_string(),
            GROUP.to_string(),
            DEVICE.to_owned(),
        ];
        let environment = [("PYTHONPATH", packages()), ("OSKEN_HUB_TYPE", "native".into())];
        let environment = environment.each_ref().map(|(name, value)| (*name, value.as_os_str()));
        let said = fs::File::create(self.log()).expect("a file of the test");
        let words = ["python3".to_owned()].into_iter().chain(words).collect::<Vec<_>>();
        self.process = Some(member.spawn("/usr/bin/env", "env", &words, &environment, said));
        self.until("os-ken is ready", |_| true);
    }

    fn log(&self) -> PathBuf {
        self.folder.join("os-ken.log")
    }

    /// How os-ken says that it stands; nothing while it does not run.
    fn state(&self) -> Option<String> {
        self.process.as_ref()?;
        let said = fs::read_to_string(self.log()).ok()?;
        said.lines().filter_map(|line| line.strip_prefix("state ")).next_back().map(str::to_owned)
    }

    /// Among those that the switch connects.
    fn holders(&self) -> Vec<usize> {
        let mut holders = self.group.holders();
        let is_connected = self.group.members[self.foreign].connected;
        if is_connected && self.state().as_deref() == Some("Master") {
            holders.push(self.foreign);
        }
        holders
    }

    fn until(&mut self, what: &str, wanted: impl Fn(&[usize]) -> bool) {
        let end = sys::clock::now() + PATIENCE;
        let is_ready = |it: &Self| {
            it.process.is_none() || matches!(it.state().as_deref(), Some("Master" | "Backup"))
        };
        while !(is_ready(self) && wanted(&self.holders())) {
            let said = fs::read_to_string(self.log()).unwrap_or_default();
            let holders = self.holders();
            assert!(sys::clock::now() < end, "{:?}: {what}: {holders:?}\n{said}", self.row);
            self.group.client.listen();
            thread::sleep(LOOK_EVERY);
        }
    }

    fn peace(&mut self, holder: usize) {
        self.until("all are ready", |holders| holders == [holder]);
        let end = sys::clock::now() + PEACE;
        while sys::clock::now() < end {
            assert_eq!(self.holders(), [holder], "{:?}: the address moved", self.row);
            thread::sleep(LOOK_EVERY);
        }
    }

    /// Who holds then.
    fn moved_from(&mut self, holder: usize, what: &str) -> usize {
        self.until(what, |holders| matches!(holders, [one] if *one != holder));
        self.holders()[0]
    }

    fn end(&mut self, at: usize) {
        if at != self.foreign {
            if self.group.members[at].runs() {
                self.group.members[at].kill();
                self.group.members[at].reap();
            }
        } else if let Some(process) = self.process.take() {
            process.signal(SIGKILL).expect("a child that was not reaped");
            let _ended = process.wait().expect("a child that was not reaped");
        }
    }

    /// SIGKILL, and it returns.
    fn kill(&mut self, holder: usize) -> usize {
        self.end(holder);
        let next = self.moved_from(holder, "another one holds when that one is killed");
        self.start(holder);
        self.peace(next);
        next
    }

    /// Its link goes nowhere and it does not notice; then it is healed.
    fn cut(&mut self, holder: usize) -> usize {
        self.group.set_cut(holder, true);
        let next = self.moved_from(holder, "another one holds when that one is cut off");
        self.group.set_cut(holder, false);
        let stronger = [holder, next].into_iter().max_by_key(|at| self.row.members[*at].1);
        let winner = stronger.expect("there are two");
        self.until("after the heal the stronger of both holds", |holders| holders == [winner]);
        self.peace(winner);
        winner
    }
}
