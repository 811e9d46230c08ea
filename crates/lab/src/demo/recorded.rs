//! What the stock pair cost when it was last measured, for runs that do not measure it again.

use super::figures::Figures;

/// One row of `recorded.json`, written from `outlast demo --stock --json`.
#[derive(Clone, Debug, serde::Deserialize)]
struct Recorded {
    scenario: String,
    date: String,
    outage_ms: f64,
    failed: u32,
    slow: u32,
    longest_ms: f64,
    two_holders: u32,
    moves: u32,
    two_writers: u32,
}

/// What stock keepalived and haproxy cost in the same scenario.
#[derive(Clone, Debug, serde::Serialize)]
pub(super) struct Stock {
    /// `measured now`, or `recorded` and when.
    pub(super) source: String,
    pub(super) outage_ms: f64,
    pub(super) failed: u32,
    pub(super) slow: u32,
    pub(super) longest_ms: f64,
    pub(super) two_holders: u32,
    pub(super) moves: u32,
    pub(super) two_writers: u32,
}

impl Stock {
    pub(super) fn measured(seen: &Figures) -> Self {
        Self {
            source: "measured now".into(),
            outage_ms: seen.outage_ms,
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
        let rows: Vec<Recorded> = serde_json::from_str(include_str!("recorded.json"))
            .expect("a test reads the same file");
        rows.into_iter().find(|row| row.scenario == scenario).map(|row| Self {
            source: format!("recorded {}", row.date),
            outage_ms: row.outage_ms,
            failed: row.failed,
            slow: row.slow,
            longest_ms: row.longest_ms,
            two_holders: row.two_holders,
            moves: row.moves,
            two_writers: row.two_writers,
        })
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
        assert_eq!(missing, ["agent-killed"]);
    }
}
