//! Scenarios one after the other, each with its line of the table.

use std::io::{self, Write};

use super::DemoError;
use super::figures::{Figures, ms};
use super::measure::{Measure, STALL};
use super::recorded::Stock;
use super::scenario::Scenario;
use super::table::{self, Outcome};
use crate::cloud::Cloud;
use crate::cloud::node::Software;

/// One in so many runs may be repeated because the machine stood still.
const REPEATS: usize = 10;

/// One run through the table.
pub(super) struct Show {
    measure: Measure,
    judged: bool,
    repeats_left: usize,
    repeated: u32,
    pub(super) broken: u32,
}

impl Show {
    /// For so many runs.
    pub(super) fn new(measure: Measure, judged: bool, runs: usize) -> Self {
        let repeats_left = runs.div_ceil(REPEATS);
        Self { measure, judged, repeats_left, repeated: 0, broken: 0 }
    }

    /// What the machine did to a run is nobody's excuse.
    pub(super) fn without_repeats(self) -> Self {
        Self { repeats_left: 0, ..self }
    }

    /// Measures one scenario, again if the machine stood still, and shows its line.
    pub(super) fn one(
        &mut self,
        cloud: &mut Cloud,
        scenario: &Scenario,
        last: bool,
        talk: &mut Talk,
    ) -> Result<(), DemoError> {
        let mut repeated = 0;
        let (seen, mut misses) = loop {
            let (seen, misses) =
                match self.measure.run(cloud, scenario, last && self.repeats_left == 0) {
                    Ok(Some(seen)) => {
                        let misses = scenario.promise.misses(&seen);
                        (seen, misses)
                    }
                    Ok(None) => {
                        let name = scenario.name;
                        return talk.say(&format!("{name:21} the stock pair has no such part"));
                    }
                    Err(error) => (Figures::default(), vec![format!("it did not run: {error}")]),
                };
            // A stall can only make figures worse: a run that kept its promise stands.
            if misses.is_empty() || seen.stalled_ms <= ms(STALL) || self.repeats_left == 0 {
                break (seen, misses);
            }
            let stalled = seen.stalled_ms;
            talk.say(&format!(
                "{:21} again: this machine stood still for {stalled:.0} ms",
                scenario.name
            ))?;
            self.repeats_left -= 1;
            repeated += 1;
        };
        self.repeated += repeated;
        let ran = seen.requests > 0;
        if !misses.is_empty() && seen.stalled_ms > ms(STALL) {
            misses.push(format!("(this machine stood still for {:.0} ms)", seen.stalled_ms));
        }
        let stock = match cloud.software {
            Software::Stock => Some(Stock::measured(&seen)),
            Software::Outlast { .. } => Stock::recorded(scenario.name),
        };
        // What did not run is broken for everybody.
        let misses = (self.judged || !ran).then_some(misses);
        self.broken += u32::from(misses.as_ref().is_some_and(|misses| !misses.is_empty()));
        let outcome = Outcome { scenario, seen, stock, misses, repeated };
        talk.outcome(&outcome)
    }

    pub(super) fn conclusion(&self, runs: usize) -> String {
        let repeated = match self.repeated {
            0 => String::new(),
            n => format!("; {n} repeated because this machine stood still"),
        };
        if !self.judged {
            return format!("{runs} runs, not judged{repeated}");
        }
        match self.broken {
            0 => format!("{runs} runs, every promise held{repeated}"),
            n => format!("{runs} runs, {n} promises broken{repeated}"),
        }
    }
}

/// Where the demo speaks.
pub(super) enum Talk {
    /// To stdout.
    Text,
    /// Figures to stdout, all else to stderr.
    Json,
    /// To a screen.
    Lines(Box<dyn FnMut(&str) + Send>),
}

impl Talk {
    pub(super) fn say(&mut self, text: &str) -> Result<(), DemoError> {
        match self {
            Self::Text => {
                let mut out = io::stdout().lock();
                writeln!(out, "{text}").and_then(|()| out.flush()).map_err(DemoError::Write)
            }
            Self::Json => writeln!(io::stderr(), "{text}").map_err(DemoError::Write),
            Self::Lines(show) => {
                show(text);
                Ok(())
            }
        }
    }

    /// The head of a table, where there is one.
    pub(super) fn head(&mut self, stock_source: &str) -> Result<(), DemoError> {
        match self {
            Self::Json => Ok(()),
            Self::Text | Self::Lines(_) => self.say(&table::heading(stock_source)),
        }
    }

    fn outcome(&mut self, outcome: &Outcome<'_>) -> Result<(), DemoError> {
        if matches!(self, Self::Json) {
            let line = outcome.json().map_err(DemoError::Write)?;
            let mut out = io::stdout().lock();
            return writeln!(out, "{line}").and_then(|()| out.flush()).map_err(DemoError::Write);
        }
        let mut text = vec![];
        outcome.write(&mut text).map_err(DemoError::Write)?;
        self.say(String::from_utf8_lossy(&text).trim_end())
    }
}
