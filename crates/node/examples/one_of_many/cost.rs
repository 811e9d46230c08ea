//! What the kernel counts.

use std::io;
use std::path::Path;

/// The kernel's unit of processor time: `USER_HZ` is 100 on every architecture we build for.
const TICK: f64 = 0.01;

/// Processor time of a process in seconds: the 14th and 15th word of `/proc/PID/stat`.
pub(crate) fn used(pid: i32) -> io::Result<f64> {
    let text = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"))?;
    let words = text.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u32 = words.skip(11).take(2).filter_map(|word| word.parse::<u32>().ok()).sum();
    Ok(f64::from(ticks) * TICK)
}

/// Resident memory of a process in megabytes.
pub(crate) fn resident(pid: i32) -> io::Result<f64> {
    let text = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u32>().ok());
    let kilobytes = kilobytes.ok_or_else(|| io::Error::other("no VmRSS in /proc"))?;
    Ok(f64::from(kilobytes) / 1024.0)
}

/// Bytes that went over this namespace's loopback, heads of Ethernet with them: the 9th number of its line.
pub(crate) fn sent_on_loopback() -> io::Result<u64> {
    let text = std::fs::read_to_string("/proc/net/dev")?;
    let line = text.lines().find_map(|line| line.trim_start().strip_prefix("lo:"));
    let sent = line.and_then(|line| line.split_whitespace().nth(8)?.parse().ok());
    sent.ok_or_else(|| io::Error::other("no loopback in /proc/net/dev"))
}
