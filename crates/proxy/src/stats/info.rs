//! `show info`: the process in numbers, with haproxy 2.6's keys.

use std::fmt::Write;
use std::time::Duration;

use base::Time;
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use crate::counters::{Count, Side};
use crate::log::Tally;
use crate::view::View;

/// Which haproxy the texts are those of; monitoring programs parse a version.
const SPEAKS: &str = "2.6";

/// The day of this version.
const RELEASED: &str = "2026/11/24";

/// All keys with their values, in haproxy's order. Empty: not measured.
pub(crate) fn all(view: &View, now: Time) -> Vec<(&'static str, String)> {
    let mut out = Vec::with_capacity(72);
    process(view, now, &mut out);
    connections(view, &mut out);
    let zeros = [
        "SslRate",
        "SslRateLimit",
        "MaxSslRate",
        "SslFrontendKeyRate",
        "SslFrontendMaxKeyRate",
        "SslFrontendSessionReuse_pct",
        "SslBackendKeyRate",
        "SslBackendMaxKeyRate",
        "SslCacheLookups",
        "SslCacheMisses",
        "CompressBpsIn",
        "CompressBpsOut",
        "CompressBpsRateLim",
    ];
    out.extend(zeros.map(|key| (key, "0".to_owned())));
    state(view, now, &mut out);
    out
}

/// The answer to `show info`.
pub(crate) fn text(view: &View, now: Time) -> String {
    let mut text = String::with_capacity(2048);
    for (key, value) in all(view, now) {
        writeln!(text, "{key}: {value}").expect("a String takes every byte");
    }
    text
}

/// `2.6-outlast0.1.0` where we stand in for haproxy, our own otherwise.
pub(crate) fn version(view: &View) -> String {
    let own = env!("CARGO_PKG_VERSION");
    if view.mode == api::Mode::Strict { format!("{SPEAKS}-outlast{own}") } else { own.to_owned() }
}

pub(crate) fn name(view: &View) -> &'static str {
    if view.mode == api::Mode::Strict { "HAProxy" } else { "Outlast" }
}

/// `0d 0h00m03s`.
pub(crate) fn uptime(span: Duration) -> String {
    let s = span.as_secs();
    format!("{}d {}h{:02}m{:02}s", s / 86_400, s / 3600 % 24, s / 60 % 60, s % 60)
}

fn process(view: &View, now: Time, out: &mut Vec<(&'static str, String)>) {
    let up = now.since(view.started);
    let files = getrlimit(Resource::Nofile).current.unwrap_or(0);
    let mut put = |key, value: String| out.push((key, value));
    put("Name", name(view).to_owned());
    put("Version", version(view));
    put("Release_date", RELEASED.to_owned());
    put("Nbthread", view.workers.to_string());
    put("Nbproc", "1".to_owned());
    put("Process_num", "1".to_owned());
    put("Pid", view.pid.to_string());
    put("Uptime", uptime(up));
    put("Uptime_sec", up.as_secs().to_string());
    // There are no pools and no limit on memory.
    put("Memmax_MB", "0".to_owned());
    put("PoolAlloc_MB", "0".to_owned());
    put("PoolUsed_MB", "0".to_owned());
    put("PoolFailed", "0".to_owned());
    put("Ulimit-n", files.to_string());
    put("Maxsock", files.to_string());
    put("Maxconn", view.maxconn.to_string());
    put("Hard_maxconn", view.maxconn.to_string());
}

fn connections(view: &View, out: &mut Vec<(&'static str, String)>) {
    let process = &view.counters.process;
    let rate = sum(view, Side::rate).to_string();
    let most = process.most_rate().to_string();
    let mut put = |key, value: String| out.push((key, value));
    put("CurrConns", process.current().to_string());
    put("CumConns", sum(view, |side| side.total(Count::Connections)).to_string());
    put("CumReq", sum(view, |side| side.total(Count::Requests)).to_string());
    put("MaxSslConns", "0".to_owned());
    put("CurrSslConns", "0".to_owned());
    put("CumSslConns", "0".to_owned());
    put("Maxpipes", "0".to_owned());
    put("PipesUsed", "0".to_owned());
    put("PipesFree", "0".to_owned());
    put("ConnRate", rate.clone());
    put("ConnRateLimit", "0".to_owned());
    put("MaxConnRate", most.clone());
    put("SessRate", rate);
    put("SessRateLimit", "0".to_owned());
    put("MaxSessRate", most);
}

fn state(view: &View, now: Time, out: &mut Vec<(&'static str, String)>) {
    let global = &view.config.global;
    let listeners: usize = view.config.proxies.iter().map(|proxy| proxy.binds.len()).sum();
    let listeners = listeners + global.stats_sockets.len();
    let current = usize::try_from(view.counters.process.current()).unwrap_or(usize::MAX);
    let mut put = |key, value: String| out.push((key, value));
    put("Tasks", current.to_string());
    put("Run_queue", "0".to_owned());
    put("Idle_pct", idle(view, now).to_string());
    put("node", global.node.clone().unwrap_or_else(|| view.node.clone()));
    if let Some(description) = &global.description {
        put("description", description.clone());
    }
    put("Stopping", u8::from(view.is_draining()).to_string());
    put("Jobs", current.saturating_add(listeners).to_string());
    put("Unstoppable Jobs", "0".to_owned());
    put("Listeners", listeners.to_string());
    put("ActivePeers", "0".to_owned());
    put("ConnectedPeers", "0".to_owned());
    put("DroppedLogs", view.logs.iter().map(Tally::lost).sum::<u64>().to_string());
    put("BusyPolling", "0".to_owned());
    put("FailedResolutions", "0".to_owned());
    put("TotalBytesOut", sum(view, |side| side.total(Count::BytesOut)).to_string());
    put("TotalSplicdedBytesOut", "0".to_owned());
    put("BytesOutRate", String::new());
    put("DebugCommandsIssued", "0".to_owned());
    put("CumRecvLogs", "0".to_owned());
    put("Build info", version(view));
    put("Memmax_bytes", "0".to_owned());
    put("PoolAlloc_bytes", "0".to_owned());
    put("PoolUsed_bytes", "0".to_owned());
    put("Start_time_sec", (view.started_ms / 1000).to_string());
    put("Tainted", "0".to_owned());
}

/// Over all frontends.
fn sum(view: &View, of: impl Fn(&Side) -> u64) -> u64 {
    view.counters.proxies.iter().map(|proxy| of(&proxy.frontend)).sum()
}

/// Percent of the data threads' time since the start that was not spent.
fn idle(view: &View, now: Time) -> u64 {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    let spent = u64::try_from(spent.tv_sec * 1000 + spent.tv_nsec / 1_000_000).unwrap_or(0);
    let threads = u64::try_from(view.workers.max(1)).unwrap_or(1);
    let given = u64::try_from(now.since(view.started).as_millis()).unwrap_or(u64::MAX);
    let given = given.saturating_mul(threads).max(1);
    100 - (spent.saturating_mul(100) / given).min(100)
}
