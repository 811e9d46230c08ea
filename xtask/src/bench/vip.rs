//! `cargo xtask bench vip`: what faults of a virtual IP cost a client, with the real executable on three controllers in
//! namespaces (`outlast lab vip`), and with Debian's keepalived in the same rounds.
//!
//! Medians are held to the aims, maxima to what is promised.

pub(super) mod documents;
mod table;

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use serde::Deserialize;

use super::shared;
use crate::packages;
use crate::shell::{self, Failure, Outcome};

pub(super) use table::{lines, page};

/// Rounds of each fault.
pub(super) const RUNS: u32 = 20;
/// Rounds of one cloud: then keepalived has its turn. Even, as the first and the last node of the order come in turn.
const TURN: u32 = 4;
/// Faults that both programs have, and that are looked at in each round.
const FAULTS: &str = "kill-vip,kill-parent,kill-all,proxy-killed,stop,link-down,silent,gone,apart,split,proxy-frozen";

/// Who decides who holds the address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Way {
    Votes,
    /// The same, with beats of so many milliseconds.
    Beats(u8),
    Vrrp,
}

impl Way {
    /// What the lab calls our program.
    fn program(self) -> String {
        match self {
            Self::Votes => "outlast".to_owned(),
            Self::Beats(beat) => format!("outlast-{beat}ms"),
            Self::Vrrp => "outlast-vrrp".to_owned(),
        }
    }

    /// Of the page of figures.
    pub(super) fn section(self) -> String {
        match self {
            Self::Votes => "Virtual IP".to_owned(),
            Self::Beats(beat) => format!("Virtual IP, beats of {beat} ms"),
            Self::Vrrp => "Virtual IP by VRRP".to_owned(),
        }
    }
}

/// What is measured.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) runs: u32,
    /// Rounds with keepalived, spread over ours.
    pub(super) stock_runs: u32,
    /// None: all.
    pub(super) faults: Option<String>,
    pub(super) way: Way,
    /// Busy processor, in seconds.
    pub(super) stress: u32,
    pub(super) sequences: u32,
    pub(super) seed: u32,
    /// Keep what was measured before, and add to it.
    pub(super) add: bool,
}

/// A line of `outlast lab vip`, as far as the table needs it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Case {
    program: String,
    fault: String,
    run: u32,
    arp_ms: f64,
    tcp_ms: f64,
    answer_ms: f64,
    failed: u32,
    longest_ms: f64,
    impaired_until_ms: Option<f64>,
    doubles: u32,
    doubles_between: u32,
    moves: u32,
    stalled_ms: f64,
}

/// Runs it all; what was measured is kept in a file, so that a long measurement can be taken in pieces.
pub(super) fn measure(outlast: &Path, order: &Order) -> Outcome<Vec<Case>> {
    shared::need_root("vip")?;
    if order.stock_runs > 0 {
        packages::provide(&packages::STOCK)?;
    }
    let file = shared::folder("vip")?.join("cases.jsonl");
    if !order.add {
        drop(std::fs::remove_file(&file));
    }
    let seen = cases(&file)?;
    // The next round in the order of nodes, where some were measured before.
    let ours = order.way.program();
    let first = seen.iter().filter(|case| case.program == ours).map(|case| case.run + 1).max();
    let faults = order.faults.as_deref().unwrap_or(FAULTS);
    let (mut done, mut stock_done) = (0, 0);
    while done < order.runs || stock_done < order.stock_runs {
        let turn = TURN.min(order.runs - done);
        let begin = first.filter(|_| order.add).unwrap_or(0) + done;
        if turn > 0 {
            let words = format!("--faults {faults} --rounds {turn} --first {begin}");
            lab(outlast, &words, order.way, &file)?;
        }
        done += turn;
        // As far with keepalived as with ours.
        let due =
            if done < order.runs { order.stock_runs * done / order.runs } else { order.stock_runs };
        if due > stock_done {
            let words = format!(
                "--stock --faults {faults} --rounds {} --first {stock_done}",
                due - stock_done
            );
            lab(outlast, &words, Way::Votes, &file)?;
            stock_done = due;
        }
    }
    if order.stress > 0 {
        lab(outlast, &format!("--stress {}", order.stress), order.way, &file)?;
    }
    if order.sequences > 0 {
        let words = format!("--sequences {} --seed {}", order.sequences, order.seed);
        lab(outlast, &words, order.way, &file)?;
    }
    cases(&file)
}

/// One cloud; its lines are added to the file. One that does not come back to health has a line of its own there, and what
/// is measured goes on with the next cloud.
fn lab(outlast: &Path, words: &str, way: Way, file: &Path) -> Outcome {
    let mut command = Command::new(outlast);
    command.args(["lab", "vip"]).args(words.split(' '));
    match way {
        Way::Votes => {}
        Way::Beats(beat) => drop(command.arg(format!("--beat-ms={beat}"))),
        Way::Vrrp => drop(command.arg("--vrrp")),
    }
    let keeping = || Failure::trying("keeping what was measured");
    let kept = std::fs::OpenOptions::new().create(true).append(true).open(file);
    let mut kept = kept.map_err(keeping())?;
    let ended = shared::each_line(&mut command, |line| {
        if line.starts_with('{') { writeln!(kept, "{line}").map_err(keeping()) } else { Ok(()) }
    });
    if let Err(failure) = ended {
        eprintln!("{failure}");
        let stock = words.contains("--stock");
        let program = if stock { "keepalived".to_owned() } else { way.program() };
        writeln!(kept, "{{\"program\":\"{program}\",\"fault\":\"unhealthy\"}}")
            .map_err(keeping())?;
    }
    Ok(())
}

fn cases(file: &Path) -> Outcome<Vec<Case>> {
    if !file.is_file() {
        return Ok(vec![]);
    }
    read(&shell::read(file)?)
}

fn read(text: &str) -> Outcome<Vec<Case>> {
    let line = |line: &str| {
        serde_json::from_str(line)
            .map_err(|error| Failure::new(format!("reading {line} of outlast lab vip: {error}")))
    };
    text.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_lab_are_cases_and_others_are_named() {
        let line = r#"{"program":"outlast","fault":"gone","run":3,"arp_ms":41.2,"doubles":0,"impaired_until_ms":null}"#;
        let cases = read(&format!("{line}\n{line}\n")).unwrap();
        assert_eq!((cases.len(), cases[1].run, cases[1].arp_ms), (2, 3, 41.2));
        assert!(format!("{:?}", read("{\"run\":true}")).contains("outlast lab vip"));
    }
}
