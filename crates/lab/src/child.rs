//! Processes of the demo beside those of the program: `outlast lab web|database|logs NODE ADDRESS...`;
//! `outlast lab cluster`, which `cargo xtask bench cluster` starts, and `outlast lab scenario`, which `cargo
//! xtask scenario` starts.

use std::ffi::OsString;
use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;

use crate::cluster::{corosync, forged, measure, scenarios};
use crate::{stand_in, vip};

/// Becomes a stand-in; ends on SIGTERM.
#[must_use]
pub fn main(words: &[OsString]) -> ExitCode {
    let words: Option<Vec<&str>> = words.iter().map(|word| word.to_str()).collect();
    match words.as_deref() {
        Some(["cluster", words @ ..]) => measure::main(words),
        Some(["corosync", words @ ..]) => corosync::main(words),
        Some(["forged", words @ ..]) => forged::main(words),
        Some(["scenario", words @ ..]) => scenarios::main(words),
        Some(["vip", words @ ..]) => vip::main(words),
        Some(["busy"]) => measure::be_busy(),
        Some([kind @ ("web" | "database" | "logs"), node, addresses @ ..]) => {
            let addresses: Result<Vec<SocketAddr>, _> =
                addresses.iter().map(|text| text.parse()).collect();
            let Ok(addresses) = addresses else { return usage() };
            let served = match *kind {
                "web" => stand_in::run_web(node, &addresses),
                "logs" => stand_in::run_logs(&addresses),
                _ => stand_in::run_database(node, &addresses),
            };
            match served {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    complain(&format!("cannot serve {node}: {error}"));
                    ExitCode::FAILURE
                }
            }
        }
        Some(_) | None => usage(),
    }
}

fn usage() -> ExitCode {
    complain(
        "usage: outlast lab web|database|logs NODE ADDRESS:PORT...  (started by `outlast demo`)\n       \
         outlast lab cluster NODES DETECT ROUNDS IDLE-SECONDS BUSY-SECONDS [COMPUTE-NODES] (by `cargo xtask bench cluster`)\n       \
         outlast lab corosync NODES ROUNDS [TOKEN-MS BUSY-SECONDS]  (by `cargo xtask bench cluster`)\n       \
         outlast lab vip [--faults NAME,...] [--rounds N]...  (by `cargo xtask bench vip`)\n       \
         outlast lab forged SECONDS  (by `cargo xtask bench forged`)\n       \
         outlast lab scenario PATIENCE-MS FILE...  (by `cargo xtask scenario`)",
    );
    ExitCode::from(2)
}

fn complain(text: &str) {
    // Nobody is left to be told where stderr is closed.
    drop(writeln!(std::io::stderr(), "{text}"));
}
