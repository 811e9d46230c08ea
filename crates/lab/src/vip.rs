//! `outlast lab vip`: what faults of a virtual IP cost its client: three controllers on two networks, real executables, in
//! namespaces of its own; a client that asks the service each millisecond, and a sampler that asks each node. A JSON object
//! ([`Case`]) per fault and heal; `cargo xtask bench vip` makes the table of them.

mod case;
mod fault;
mod sampler;
mod seen;
mod sequence;
mod stage;
mod stress;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

pub use case::Case;

use self::fault::Fault;
use self::stage::{BY_VOTES, Stage};
use crate::cloud::files::{Files, Given};
use crate::cloud::node::{Software, is_installed};
use crate::cluster::measure::{complain, inside};

/// For the client's requests under way; what the system allows, if that is less.
const OPEN_FILES: u64 = 32 * 1024;

/// What a run does.
#[derive(Clone, Debug, Parser)]
#[command(name = "outlast lab vip", disable_help_subcommand = true)]
struct Order {
    /// Debian's keepalived and haproxy instead of this program
    #[arg(long)]
    stock: bool,
    /// Addresses held by VRRP instead of by votes
    #[arg(long, conflicts_with = "stock")]
    vrrp: bool,
    /// Beats of so many milliseconds in place of 10: begins when every vip process is in time for them
    #[arg(long, conflicts_with_all = ["stock", "vrrp"], value_parser = clap::value_parser!(u8).range(2..=9))]
    beat_ms: Option<u8>,
    /// Faults, one after the other, in every round
    #[arg(long, value_delimiter = ',', value_parser = parse_fault)]
    faults: Vec<Fault>,
    #[arg(long, default_value_t = 1)]
    rounds: u32,
    /// Number of the first round: each second one hurts the last node of the order where a heal is looked at
    #[arg(long, default_value_t = 0)]
    first: u32,
    /// How long four processes want every processor, with real-time vip processes and then with ordinary ones
    #[arg(long, default_value_t = 0)]
    stress: u64,
    /// So many sequences of random faults
    #[arg(long, default_value_t = 0)]
    sequences: u64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn parse_fault(word: &str) -> Result<Fault, String> {
    let names = || Fault::ALL.map(Fault::name).join(", ");
    Fault::named(word).ok_or_else(|| format!("there is {}", names()))
}

/// Must be called before the first thread is started.
pub(crate) fn main(words: &[&str]) -> ExitCode {
    let order = match Order::try_parse_from([&["vip"], words].concat()) {
        Ok(order) => order,
        Err(error) => return complain(&error.to_string()),
    };
    if order.stock && !(is_installed("keepalived") && is_installed("haproxy")) {
        return complain("keepalived or haproxy is not installed");
    }
    let files = match Files::new(&Given::example(), !sys::rights::is_root()) {
        Ok(files) => files,
        Err(error) => return complain(&error.to_string()),
    };
    inside(|| run(&order, files))
}

fn run(order: &Order, files: Files) -> io::Result<()> {
    // Fewer open files only limit how many requests can hang at once.
    drop(sys::rights::raise_open_files(OPEN_FILES));
    // The client opens them while other threads of this process look on: it must not wait for a table that grows.
    drop(sys::rights::make_room_for_files(OPEN_FILES));
    let ours = Software::Outlast { breaks: vec![] };
    let (files, software) = match (order.stock, order.vrrp) {
        (true, _) => (files, (Software::Stock, "keepalived".to_owned())),
        (false, true) => (files, (ours, "outlast-vrrp".to_owned())),
        (false, false) => {
            let program = match order.beat_ms {
                Some(beat) => format!("{BY_VOTES}-{beat}ms"),
                None => BY_VOTES.to_owned(),
            };
            (files.by_votes(order.beat_ms), (ours, program))
        }
    };
    let realtime =
        std::thread::spawn(|| sys::schedule::realtime(1).is_ok()).join().unwrap_or(false);
    let mut stage = Stage::build(files, software, realtime)?;
    let mut faults = order.faults.clone();
    faults.retain(|fault| fault.concerns(&stage.cloud.software));
    for round in order.first..order.first + order.rounds {
        for fault in &faults {
            stage.one(*fault, round, &mut say)?;
        }
    }
    if order.stress > 0 {
        stress::run(&mut stage, order.stress, &mut say)?;
    }
    if order.sequences > 0 {
        sequence::run(&mut stage, (order.seed, order.sequences), &mut say)?;
    }
    Ok(())
}

fn say(case: &Case) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(case)?)?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_read_and_unknown_faults_are_named() {
        let order = |words: &[&str]| Order::try_parse_from([&["vip"], words].concat());
        let read = order(&["--faults", "gone,stop", "--rounds", "5"]).unwrap();
        assert_eq!((read.faults, read.rounds, read.seed), (vec![Fault::Gone, Fault::Stop], 5, 1));
        let error = order(&["--faults", "rain"]).unwrap_err().to_string();
        assert!(error.contains("kill-vip, kill-parent"), "{error}");
        assert!(order(&["--stock", "--vrrp"]).is_err());
    }
}
