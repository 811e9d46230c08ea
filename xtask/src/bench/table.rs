//! The demo's rows, as it prints them with `--json` and as a person reads them.

use serde::Deserialize;

use crate::shell::{Failure, Outcome};

/// What `outlast demo --json` says of one scenario; it says more than this.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub(super) struct Row {
    pub scenario: String,
    /// Nothing where nobody judged: a plain user's run.
    pub kept: Option<bool>,
    pub outage_ms: f64,
    pub failed: u64,
    pub slow: u64,
    pub longest_ms: f64,
    pub two_holders: u64,
    pub moves: u64,
    /// Runs thrown away because the machine stood still.
    #[serde(default)]
    pub repeated: u64,
    pub promise: Promise,
    /// What stock costs: recorded, or measured in the same session.
    pub stock: Option<Stock>,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
pub(super) struct Promise {
    pub text: String,
    pub outage_ms: Option<u32>,
    pub first_answer_ms: Option<u32>,
    pub failed: Option<u32>,
    pub moves: Option<u32>,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
pub(super) struct Stock {
    pub source: String,
    pub outage_ms: f64,
}

/// One object per line; other lines are for people.
pub(super) fn read(text: &str) -> Outcome<Vec<Row>> {
    let objects = text.lines().filter(|line| line.starts_with('{'));
    objects
        .map(|line| {
            serde_json::from_str(line)
                .map_err(|error| Failure::new(format!("reading the demo's row {line}: {error}")))
        })
        .collect()
}

pub(super) fn beside(rows: &mut [Row], stock: &[Row]) {
    for row in rows {
        let same = stock.iter().find(|other| other.scenario == row.scenario);
        let now = |other: &Row| Stock { source: "now".into(), outage_ms: other.outage_ms };
        row.stock = same.map(now).or_else(|| row.stock.take());
    }
}

pub(super) fn print(rows: &[Row]) -> String {
    let mut text = String::from(
        "| scenario | kept | outage ms | failed | slow | longest ms | two holders | moves | stock ms | promise |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let kept = row.kept.map_or("-", |kept| if kept { "yes" } else { "NO" });
        let stock = row.stock.as_ref();
        let stock = stock.map(|stock| format!("{:.0} ({})", stock.outage_ms, stock.source));
        let stock = stock.unwrap_or_else(|| "-".to_owned());
        text += &format!(
            "| {} | {kept} | {:.0} | {} | {} | {:.0} | {} | {} | {stock} | {} |\n",
            row.scenario,
            row.outage_ms,
            row.failed,
            row.slow,
            row.longest_ms,
            row.two_holders,
            row.moves,
            row.promise.text,
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"scenario":"balancer-killed","kept":true,"outage_ms":12.4,"failed":0,"slow":0,"longest_ms":13.0,"two_holders":0,"moves":0,"promise":{"text":"outage <= 50 ms"},"stock":{"source":"recorded","outage_ms":1}}"#;

    #[test]
    fn rows_are_read_and_printed() {
        let mut rows = read(&format!("a cloud starts\n{LINE}\n")).unwrap();
        let stock = read(&LINE.replace("12.4", "3400")).unwrap();
        beside(&mut rows, &stock);
        let line = print(&rows).lines().last().unwrap().to_owned();
        assert_eq!(
            line,
            "| balancer-killed | yes | 12 | 0 | 0 | 13 | 0 | 0 | 3400 (now) | outage <= 50 ms |"
        );
    }

    #[test]
    fn a_row_without_its_figures_is_refused() {
        assert!(read("{\"scenario\":\"x\"}").is_err());
    }
}
