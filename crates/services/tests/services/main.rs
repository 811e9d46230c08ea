//! The dashboard and the metrics over made-up facts, through real sockets.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up fails")]
#![expect(unreachable_pub, reason = "the fixture is shared with an example")]

mod browser;
mod fixture;
mod metrics;
mod pages;
mod prometheus;
mod stored;
mod strangers;
mod stream;
mod thousand;
mod webdriver;
mod window;

/// Long enough for a loaded machine.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// Waits until it is so.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = sys::clock::now() + PATIENCE;
    while !is_so() {
        assert!(sys::clock::now() < end, "not in time: {what}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// Says that a test could not run here.
fn skip(test: &str, reason: &str) {
    let line = format!("SKIP services::{test}: {reason}\n");
    eprint!("{line}");
    if let Some(file) = std::env::var_os("OUTLAST_SKIPS") {
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(file).unwrap();
        std::io::Write::write_all(&mut file, line.as_bytes()).unwrap();
    }
}
