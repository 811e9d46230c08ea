//! What the stock pair cost when it was last measured, for runs that do not measure it again.
//!
//! `recorded.jsonl` is written by
//! `(echo '{"date":"YYYY-MM-DD"}'; outlast demo --stock --json) > recorded.jsonl`.

use serde::{Deserialize, Serialize};

use super::figures::Figures;

const RECORDED: &str = include_str!("recorded.jsonl");

/// What stock keepalived and haproxy cost in the same scenario.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Stock {
    /// `measured now`, or `recorded` and when.
    pub(super) source: String,
    pub(super) outage_ms: f64,
    pub(super) first_answer_ms: f64,
    pub(super) failed: u32,
    pub(super) slow: u32,
    pub(super) longest_ms: f64,
    pub(super) two_holders: u32,
    pub(super) moves: u32,
    pub(super) two_writers: u32,
}

/// A line of the recorded run, as far as it is read.
#[derive(Deserialize)]
struct Line {
    scenario: String,
    stock: Stock,
}

#[derive(Deserialize)]
struct Head {
    date: String,
}

impl Stock {
    pub(super) fn measured(seen: &Figures) -> Self {
        Self {
            source: "measured now".into(),
            outage_ms: seen.outage_ms,
            first_answer_ms: seen.first_answer_ms,
            failed: seen.failed,
            slow: seen.slow,
            longest_ms: seen.longest_ms,
            two_holders: seen.two_holders,
            moves: seen.moves,
            two_writers: seen.two_writers,
        }
    }

    /// The recorded row; none where the stock pair has no such part.
    pub(super) fn recorded(scenario: &str) -> Option<Self> {
        let mut lines = RECORDED.lines();
        let head: Head = serde_json::from_str(lines.next()?).ok()?;
        let rows = lines.filter_map(|line| serde_json::from_str::<Line>(line).ok());
        let row = rows.into_iter().find(|row| row.scenario == scenario)?;
        Some(Self { source: format!("recorded {}", head.date), ..row.stock })
    }
}

#[cfg(test)]
mod tests {
    use super::super::scenario::SCENARIOS;
    use super::*;

    #[test]
    fn the_recorded_table_has_every_scenario_the_stock_pair_can_have() {
        let missing: Vec<&str> =
            SCENARIOS.iter().map(|s| s.name).filter(|n| Stock::recorded(n).is_none()).collect();
        assert_eq!(missing, ["agent-killed", "planned-move", "standby"]);
    }
}
