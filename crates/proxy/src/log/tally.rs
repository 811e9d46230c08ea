//! What became of the lines for each log target: nothing is lost that is not counted.

use std::io;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering::Relaxed};

use config::haproxy::{Haproxy, LogTarget, LogTo};

/// One target's lines. Written by whoever sends, read by whoever asks.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) entry: LogTarget,
    taken: AtomicU64,
    lost: AtomicU64,
    /// Of the last loss, as the kernel numbers them; 0: none yet.
    error: AtomicI32,
}

/// The targets of all proxies, each once.
pub(crate) fn of(config: &Haproxy) -> Vec<Tally> {
    let mut tallies: Vec<Tally> = Vec::new();
    for entry in config.proxies.iter().flat_map(|proxy| &proxy.logs) {
        if !tallies.iter().any(|tally| tally.entry == *entry) {
            tallies.push(Tally::new(entry.clone()));
        }
    }
    tallies
}

impl Tally {
    fn new(entry: LogTarget) -> Self {
        let zero = AtomicU64::default;
        Self { entry, taken: zero(), lost: zero(), error: AtomicI32::default() }
    }

    /// Lines that the kernel took.
    pub(super) fn take(&self, lines: usize) {
        self.taken.fetch_add(lines as u64, Relaxed);
    }

    /// Lines that the kernel did not take, or that the target's machine refused.
    pub(super) fn lose(&self, lines: usize, error: &io::Error) {
        self.error.store(error.raw_os_error().unwrap_or(0), Relaxed);
        self.lost.fetch_add(lines as u64, Relaxed);
    }

    pub(crate) fn taken(&self) -> u64 {
        self.taken.load(Relaxed)
    }

    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }

    /// Why the last loss was one.
    pub(crate) fn error(&self) -> Option<io::Error> {
        let number = self.error.load(Relaxed);
        (number != 0).then(|| io::Error::from_raw_os_error(number))
    }

    /// As in the file.
    pub(crate) fn name(&self) -> String {
        match &self.entry.to {
            LogTo::Udp(address) => address.to_string(),
            LogTo::Unix(path) => path.display().to_string(),
        }
    }
}
