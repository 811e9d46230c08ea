//! What a node that was called as `keepalived` answers to that program's signals (`keepalived --signum=WORD`): a file
//! with what it runs, one with counts, the same as JSON. Names, places and keys are those of keepalived 2.2.7.
//!
//! Written aside and put in place with one rename, by a thread: a disk that hangs costs the node nothing.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api::{Order, RefusedAdvert, RefusedAdverts, VipCounts, VipRole, VipState};
use config::vip::{Address, Protocol, Vip};
use engine::role::Kind;
use serde::Serialize;
use serde_json::Number;
use sys::signal::{SIGUSR1, SIGUSR2, Signal};

use super::children::Child;
use super::{Supervisor, tell};

/// What is wanted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Dump {
    /// SIGUSR1: `keepalived.data`.
    Data,
    /// SIGUSR2: `keepalived.stats`.
    Stats,
    /// `keepalived.stats`, and counting begins anew.
    ClearStats,
    /// `keepalived.json`.
    Json,
}

impl Dump {
    pub(crate) const ALL: [Self; 4] = [Self::Data, Self::Stats, Self::ClearStats, Self::Json];

    /// None: that signal asks for no file.
    pub(crate) fn asked_by(signal: Signal) -> Option<Self> {
        Self::ALL.into_iter().find(|dump| dump.signal() == signal)
    }

    pub(crate) fn signal(self) -> Signal {
        match self {
            Self::Data => SIGUSR1,
            Self::Stats => SIGUSR2,
            Self::ClearStats => sys::signal::realtime_from_last(1),
            Self::Json => sys::signal::realtime_from_first(2),
        }
    }

    pub(crate) const fn file(self) -> &'static str {
        match self {
            Self::Data => "keepalived.data",
            Self::Stats | Self::ClearStats => "keepalived.stats",
            Self::Json => "keepalived.json",
        }
    }
}

/// The words of `--signum` that this program knows, with their numbers.
#[must_use]
pub fn signum(word: &str) -> Option<Signal> {
    Some(match word {
        "STOP" => sys::signal::SIGTERM,
        "RELOAD" => sys::signal::SIGHUP,
        "DATA" => Dump::Data.signal(),
        "STATS" => Dump::Stats.signal(),
        "STATS_CLEAR" => Dump::ClearStats.signal(),
        "JSON" => Dump::Json.signal(),
        _ => return None,
    })
}

/// One instance: as it is written, as it is, and what it counted.
pub(crate) struct Line<'a> {
    pub(crate) vip: &'a Vip,
    pub(crate) state: Option<&'a VipState>,
    pub(crate) counts: VipCounts,
    /// What was not obeyed, of this instance.
    pub(crate) refused: Vec<RefusedAdverts>,
}

impl Line<'_> {
    fn role(&self) -> Option<VipRole> {
        self.state.map(|state| state.role)
    }

    fn is_held(&self) -> bool {
        self.state.is_some_and(|state| state.holding)
    }

    /// As `ip` and keepalived show it, and whether the kernel has it.
    fn address(&self, address: &Address) -> String {
        let whole = if address.ip.is_ipv4() { 32 } else { 128 };
        let prefix = match address.prefix {
            prefix if prefix == whole => String::new(),
            prefix => format!("/{prefix}"),
        };
        let label = address.label.as_ref().map(|label| format!(" label {label}"));
        let device = address.device.as_deref().unwrap_or(&self.vip.interface);
        let set = if self.is_held() { " set" } else { "" };
        format!(
            "{}{prefix} dev {device} scope global{}{set}",
            address.ip,
            label.unwrap_or_default()
        )
    }

    fn addresses(&self, excluded: bool) -> Vec<String> {
        let all = self.vip.addresses.iter().filter(|address| address.is_excluded == excluded);
        all.map(|address| self.address(address)).collect()
    }
}

/// The text of a file.
pub(crate) fn text(dump: Dump, lines: &[Line<'_>]) -> String {
    match dump {
        Dump::Data => data(lines),
        Dump::Stats | Dump::ClearStats => stats(lines),
        Dump::Json => json(lines),
    }
}

fn word(role: Option<VipRole>) -> &'static str {
    match role {
        Some(VipRole::Master) => "MASTER",
        Some(VipRole::Backup) => "BACKUP",
        Some(VipRole::Fault) => "FAULT",
        None => "INIT",
    }
}

fn data(lines: &[Line<'_>]) -> String {
    let mut out = String::from("------< VRRP Topology >------\n");
    for line in lines {
        let vip = line.vip;
        let source = vip.source.map_or_else(|| "(default)".to_owned(), |source| source.to_string());
        let preempts = if vip.preempt { "enabled" } else { "disabled" };
        let interval = match vip.protocol {
            Protocol::V2 => format!("{} sec", vip.advert_interval.as_secs()),
            Protocol::V3 { .. } => format!("{} milli-sec", vip.advert_interval.as_millis()),
        };
        let version = vip.protocol.version();
        // Writing to a string does not fail.
        let _ = writeln!(
            out,
            " VRRP Instance = {}\n   VRRP Version = {version}\n   State = {}\n   Interface = {}\n   Using src_ip = {source}",
            vip.name,
            word(line.role()),
            vip.interface,
        );
        let _ = writeln!(
            out,
            "   Virtual Router ID = {}\n   Priority = {}\n   Advert interval = {interval}\n   Preempt = {preempts}",
            vip.router_id, vip.priority,
        );
        let kind = if vip.password.is_some() { "SIMPLE_PASSWORD" } else { "none" };
        if vip.protocol == Protocol::V2 {
            let _ = writeln!(out, "   Authentication type = {kind}");
        }
        let peers: Vec<String> = vip.unicast_peers.iter().map(ToString::to_string).collect();
        if !peers.is_empty() {
            block(&mut out, "Unicast Peer", &peers);
        }
        block(&mut out, "Virtual IP", &line.addresses(false));
        let excluded = line.addresses(true);
        if !excluded.is_empty() {
            block(&mut out, "Virtual IP Excluded", &excluded);
        }
    }
    out
}

fn block(out: &mut String, title: &str, rows: &[String]) {
    let _ = writeln!(out, "   {title} ({}):", rows.len());
    for row in rows {
        let _ = writeln!(out, "     {row}");
    }
}

fn stats(lines: &[Line<'_>]) -> String {
    let mut out = String::new();
    for line in lines {
        let VipCounts { received, sent, became_master, released_master, .. } = line.counts;
        let VipCounts { zero_received, zero_sent, .. } = line.counts;
        let refused = Stats::of(line);
        let rows: [(&str, Option<u64>); 17] = [
            ("  Advertisements:", None),
            ("    Received", Some(received)),
            ("    Sent", Some(sent)),
            ("  Became master", Some(became_master)),
            ("  Released master", Some(released_master)),
            ("  Packet Errors:", None),
            ("    Length", Some(refused.packet_len_err)),
            ("    TTL", Some(refused.ip_ttl_err)),
            ("    Invalid Type", Some(refused.invalid_type_rcvd)),
            ("    Advertisement Interval", Some(refused.advert_interval_err)),
            ("    Address List", Some(refused.addr_list_err)),
            ("  Authentication Errors:", None),
            ("    Invalid Type", Some(refused.invalid_authtype)),
            ("    Type Mismatch", Some(refused.authtype_mismatch)),
            ("    Failure", Some(refused.auth_failure)),
            ("  Priority Zero:", None),
            ("    Received", Some(zero_received)),
        ];
        let _ = writeln!(out, "VRRP Instance: {}", line.vip.name);
        for (name, count) in rows {
            let _ = match count {
                Some(count) => writeln!(out, "{name}: {count}"),
                None => writeln!(out, "{name}"),
            };
        }
        let _ = writeln!(out, "    Sent: {zero_sent}");
    }
    out
}

fn json(lines: &[Line<'_>]) -> String {
    let all: Vec<_> =
        lines.iter().map(|line| Shown { data: Data::of(line), stats: Stats::of(line) }).collect();
    // Numbers and text only.
    serde_json::to_string(&all).unwrap_or_default()
}

#[derive(Serialize)]
struct Shown<'a> {
    data: Data<'a>,
    stats: Stats,
}

/// The keys of 2.2.7 that have a meaning here, in its order.
#[derive(Serialize)]
struct Data<'a> {
    iname: &'a str,
    dont_track_primary: u8,
    vmac_ifname: &'a str,
    ifp_ifname: &'a str,
    vrid: u8,
    base_priority: u8,
    effective_priority: u8,
    vipset: bool,
    adver_int: Number,
    nopreempt: bool,
    state: u8,
    wantstate: u8,
    version: u8,
    vips: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    evips: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    track_ifp: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    track_script: Vec<&'a str>,
    auth_type: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_data: Option<&'static str>,
}

impl<'a> Data<'a> {
    fn of(line: &Line<'a>) -> Self {
        let vip = line.vip;
        let state = match line.role() {
            None => 0,
            Some(VipRole::Backup) => 1,
            Some(VipRole::Master) => 2,
            Some(VipRole::Fault) => 3,
        };
        let has_password = vip.password.is_some();
        let needed = vip.track_interfaces.iter().map(String::as_str);
        let weighed = vip.weighed_interfaces.iter().map(|weighed| weighed.name.as_str());
        Self {
            iname: &vip.name,
            dont_track_primary: 0,
            vmac_ifname: "",
            ifp_ifname: &vip.interface,
            vrid: vip.router_id,
            base_priority: vip.priority,
            effective_priority: line.counts.priority.unwrap_or(vip.priority),
            vipset: line.is_held(),
            adver_int: seconds(vip.advert_interval),
            nopreempt: !vip.preempt,
            state,
            wantstate: if state == 2 { 2 } else { 1 },
            version: vip.protocol.version(),
            vips: line.addresses(false),
            evips: line.addresses(true),
            track_ifp: needed.chain(weighed).collect(),
            track_script: vip.track_scripts.iter().map(|script| script.name.as_str()).collect(),
            auth_type: u8::from(has_password),
            auth_data: has_password.then_some("(secret)"),
        }
    }
}

/// With a fraction only where there is one.
fn seconds(span: Duration) -> Number {
    let whole = Number::from(span.as_secs());
    let exact = Number::from_f64(span.as_secs_f64()).unwrap_or_else(|| whole.clone());
    if span.subsec_nanos() == 0 { whole } else { exact }
}

/// Its keys, in its order.
#[derive(Serialize)]
struct Stats {
    advert_rcvd: u64,
    advert_sent: u64,
    become_master: u64,
    release_master: u64,
    packet_len_err: u64,
    advert_interval_err: u64,
    ip_ttl_err: u64,
    invalid_type_rcvd: u64,
    addr_list_err: u64,
    invalid_authtype: u64,
    authtype_mismatch: u64,
    auth_failure: u64,
    pri_zero_rcvd: u64,
    pri_zero_sent: u64,
}

impl Stats {
    fn of(line: &Line<'_>) -> Self {
        let counts = &line.counts;
        let of = |reason: RefusedAdvert| {
            let about = line.refused.iter().filter(|refused| refused.reason == reason);
            about.map(|refused| refused.count).sum()
        };
        Self {
            advert_rcvd: counts.received,
            advert_sent: counts.sent,
            become_master: counts.became_master,
            release_master: counts.released_master,
            packet_len_err: of(RefusedAdvert::Malformed),
            advert_interval_err: of(RefusedAdvert::Interval),
            ip_ttl_err: of(RefusedAdvert::Ttl),
            // It has no other count for what is no advert of its version, or was damaged.
            invalid_type_rcvd: of(RefusedAdvert::Version) + of(RefusedAdvert::Checksum),
            addr_list_err: of(RefusedAdvert::Addresses),
            invalid_authtype: 0,
            authtype_mismatch: 0,
            auth_failure: of(RefusedAdvert::Password),
            pri_zero_rcvd: counts.zero_received,
            pri_zero_sent: counts.zero_sent,
        }
    }
}

/// Where files go: `$TMPDIR`, or `/tmp`.
pub(crate) fn folder() -> PathBuf {
    std::env::temp_dir()
}

/// Writes the file, mode 600: aside first, under a name that must be new, so that nothing that lies there is followed.
pub(crate) fn write(folder: &Path, name: &str, text: &str) -> io::Result<()> {
    let aside = folder.join(format!("{name}.{}", std::process::id()));
    // What a process of the same number left half written.
    let _ = std::fs::remove_file(&aside);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
    let written = file.write_all(text.as_bytes());
    let placed = written.and_then(|()| std::fs::rename(&aside, folder.join(name)));
    if placed.is_err() {
        // What failed is told; this is what is left of it.
        let _ = std::fs::remove_file(&aside);
    }
    placed
}

/// What is on its way to the disk: the newest of each file.
#[derive(Debug, Default)]
struct Waiting {
    texts: Vec<(Dump, String)>,
    /// A thread writes.
    writes: bool,
}

/// What was asked for, what of it waits for the vip process, and what for the disk.
#[derive(Debug, Default)]
pub(super) struct Dumps {
    /// One for each question that the vip process has not answered, the oldest first.
    asked: VecDeque<Dump>,
    /// What had been refused when counting began anew.
    before: Vec<RefusedAdverts>,
    waiting: Arc<Mutex<Waiting>>,
}

impl Dumps {
    /// Puts it into its file, on a thread of its own.
    fn place(&self, dump: Dump, text: String) {
        let mut waiting = lock(&self.waiting);
        waiting.texts.retain(|(other, _)| other.file() != dump.file());
        waiting.texts.push((dump, text));
        if std::mem::replace(&mut waiting.writes, true) {
            return;
        }
        drop(waiting);
        let all = Arc::clone(&self.waiting);
        let work = move || {
            while let Some((dump, text)) = next(&all) {
                let folder = folder();
                if let Err(error) = write(&folder, dump.file(), &text) {
                    let path = folder.join(dump.file());
                    tell::line(&format!("cannot write {}: {error}", path.display()));
                }
            }
        };
        if let Err(error) = std::thread::Builder::new().name("dump".to_owned()).spawn(work) {
            *lock(&self.waiting) = Waiting::default();
            tell::line(&format!("cannot write {}: {error}", dump.file()));
        }
    }

    /// Of one virtual IP, since counting began anew.
    fn refused(&self, all: Vec<&RefusedAdverts>) -> Vec<RefusedAdverts> {
        all.into_iter().map(|now| now.since(&self.before)).collect()
    }
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

/// None: the thread may end.
fn next(waiting: &Mutex<Waiting>) -> Option<(Dump, String)> {
    let mut waiting = lock(waiting);
    waiting.writes = !waiting.texts.is_empty();
    waiting.writes.then(|| waiting.texts.remove(0))
}

impl Supervisor {
    /// The vip process is asked what it counted; where there is none, nothing was.
    pub(super) fn dump(&mut self, dump: Dump) {
        self.dumps.asked.push_back(dump);
        if self.children.values().any(Child::is_running_vip) {
            let clear = dump == Dump::ClearStats;
            self.order_all(Kind::Vip, &Order::Count { clear });
        } else {
            self.counted(&[]);
        }
    }

    /// The vip process is gone: it answers no more, and another one counts anew.
    pub(super) fn counts_are_gone(&mut self) {
        while !self.dumps.asked.is_empty() {
            self.counted(&[]);
        }
        self.dumps.before.clear();
    }

    /// The vip process answered the oldest question.
    pub(super) fn counted(&mut self, counts: &[VipCounts]) {
        let Some(dump) = self.dumps.asked.pop_front() else { return };
        let count = |instance| counts.iter().find(|one| one.instance == instance).copied();
        let lines: Vec<Line<'_>> = (0..)
            .zip(&self.plan.vips)
            .map(|(instance, vip)| Line {
                vip,
                state: self.facts.vips().find(|state| state.instance == instance),
                counts: count(instance).unwrap_or_default(),
                refused: self.dumps.refused(self.facts.adverts_of(&vip.name)),
            })
            .collect();
        self.dumps.place(dump, text(dump, &lines));
        if dump == Dump::ClearStats {
            let all = self.plan.vips.iter().flat_map(|vip| self.facts.adverts_of(&vip.name));
            self.dumps.before = all.cloned().collect();
        }
    }
}
