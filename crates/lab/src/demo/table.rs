//! The table, line by line as scenarios end, or JSON lines.

use std::io::{self, Write};

use serde::Serialize;

use super::figures::Figures;
use super::promise::Promise;
use super::recorded::Stock;
use super::scenario::{SCENARIOS, Scenario};

/// What came out of one scenario.
#[derive(Debug)]
pub(super) struct Outcome<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) seen: Figures,
    pub(super) stock: Option<Stock>,
    /// None: not judged.
    pub(super) misses: Option<Vec<String>>,
    /// Runs thrown away because the machine stood still.
    pub(super) repeated: u32,
}

#[derive(Serialize)]
struct Line<'a> {
    scenario: &'a str,
    /// Null: a plain user's run, which is not judged.
    kept: Option<bool>,
    misses: &'a [String],
    #[serde(flatten)]
    seen: &'a Figures,
    promise: PromiseLine<'a>,
    stock: &'a Option<Stock>,
    repeated: u32,
}

#[derive(Serialize)]
struct PromiseLine<'a> {
    text: String,
    #[serde(flatten)]
    promise: &'a Promise,
}

impl Outcome<'_> {
    pub(super) fn json(&self) -> io::Result<String> {
        let line = Line {
            scenario: self.scenario.name,
            kept: self.misses.as_ref().map(Vec::is_empty),
            misses: self.misses.as_deref().unwrap_or_default(),
            seen: &self.seen,
            promise: PromiseLine {
                text: self.scenario.promise.text(),
                promise: &self.scenario.promise,
            },
            stock: &self.stock,
            repeated: self.repeated,
        };
        serde_json::to_string(&line).map_err(io::Error::other)
    }

    /// One line of the table, and one per broken part of the promise.
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let seen = &self.seen;
        let verdict = match &self.misses {
            None => "-",
            Some(misses) if misses.is_empty() => "kept",
            Some(_) => "BROKEN",
        };
        writeln!(
            out,
            "{:21} {verdict:7} {:9.1} {:7} {:5} {:8.0} {:5} {:6}  {:STOCK$} {}",
            self.scenario.name,
            seen.outage_ms,
            seen.failed,
            seen.slow,
            seen.longest_ms,
            seen.moves,
            seen.two_holders,
            self.stock.as_ref().map_or_else(|| "none".to_owned(), stock_cell),
            self.scenario.promise.text(),
        )?;
        for miss in self.misses.iter().flatten() {
            writeln!(out, "    broken: {miss}")?;
        }
        if !seen.failures.is_empty() && self.misses.iter().flatten().next().is_some() {
            let reasons: Vec<String> =
                seen.failures.iter().map(|(why, count)| format!("{count} {why}")).collect();
            writeln!(out, "    failed: {}", reasons.join(", "))?;
        }
        Ok(())
    }
}

/// Room for the longest: `9998 ms, 10000 failed 2 writers`.
const STOCK: usize = 32;

fn stock_cell(stock: &Stock) -> String {
    let writers = if stock.two_writers > 0 { " 2 writers" } else { "" };
    format!("{:.0} ms, {} failed{writers}", stock.outage_ms, stock.failed)
}

/// The head of the table, with what the numbers mean.
pub(super) fn heading(stock_source: &str) -> String {
    format!(
        "{:21} {:7} {:>9} {:>7} {:>5} {:>8} {:>5} {:>6}  {:STOCK$} promise",
        "scenario",
        "",
        "outage ms",
        "failed",
        "slow",
        "longest",
        "moves",
        "double",
        format!("stock ({stock_source})"),
    )
}

/// `--list`: every scenario with its promise; false if one has no number to be held to.
pub(super) fn list(out: &mut dyn Write, json: bool) -> io::Result<bool> {
    let mut complete = true;
    for scenario in &SCENARIOS {
        let promise = &scenario.promise;
        if json {
            let line = serde_json::json!({
                "scenario": scenario.name,
                "about": scenario.about,
                "promise": PromiseLine { text: promise.text(), promise },
            });
            writeln!(out, "{line}")?;
        } else {
            writeln!(out, "{:21} {}", scenario.name, scenario.about)?;
            writeln!(out, "{:21}   promise: {}", "", promise.text())?;
        }
        if !promise.is_numeric() {
            complete = false;
            writeln!(io::stderr(), "{}: no numeric promise", scenario.name)?;
        }
    }
    Ok(complete)
}
