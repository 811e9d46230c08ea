//! `cargo xtask bench`: every scenario of the demo and the sizes, against what is promised.

use std::path::Path;
use std::process::{Command, Stdio};

use super::figure::{Bound, Figure};
use super::{sizes, table};
use crate::packages;
use crate::shell::{Failure, Outcome};
use table::{Promise, Row};

/// What one bench of scenarios found.
#[derive(Debug)]
pub(super) struct Measured {
    pub sizes: Vec<Figure>,
    pub rows: Vec<Row>,
}

pub(super) fn measure(outlast: &Path, scenario: &str, against_stock: bool) -> Outcome<Measured> {
    if against_stock {
        packages::provide(&packages::STOCK)?;
    }
    let size = |(bound, megabytes): (sizes::Bound, f64)| {
        let figure = Figure::new(bound.what, "MB", Bound::Absolute(bound.megabytes)).must();
        figure.measured(None, Some(megabytes), 1)
    };
    let sizes = sizes::measure(outlast)?.into_iter().map(size).collect();
    let mut rows = demo(outlast, scenario, &[])?;
    if against_stock {
        table::beside(&mut rows, &demo(outlast, scenario, &["--stock"])?);
    }
    Ok(Measured { sizes, rows })
}

impl Measured {
    pub(super) fn figures(&self) -> Vec<Figure> {
        let rows = self.rows.iter().flat_map(figures);
        self.sizes.iter().cloned().chain(rows).collect()
    }
}

/// The demo's exit code repeats what its rows say, so only the rows count.
fn demo(outlast: &Path, scenario: &str, more: &[&str]) -> Outcome<Vec<Row>> {
    let mut demo = Command::new(outlast);
    demo.args(["demo", "--json", "--scenario", scenario]).args(more);
    let output = demo
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(Failure::trying("starting the demo"))?;
    let rows = table::read(&String::from_utf8_lossy(&output.stdout))?;
    if rows.is_empty() {
        return Err(Failure::new(format!("the demo measured nothing ({})", output.status)));
    }
    Ok(rows)
}

/// A scenario's numbers, those promised with their bounds, and whether all of its promise was kept.
fn figures(row: &Row) -> Vec<Figure> {
    let Promise { outage_ms, first_answer_ms, failed, moves, .. } = row.promise;
    let bound = |max: Option<u32>| max.map_or(Bound::None, |max| Bound::Absolute(max.into()));
    let stock = row.stock.as_ref().map(|stock| stock.outage_ms);
    let promised = [
        ("outage", "ms", stock, row.outage_ms, bound(outage_ms.or(first_answer_ms))),
        ("failed", "requests", None, count(row.failed), bound(failed)),
        ("moves", "moves", None, count(row.moves), bound(moves)),
        ("two holders", "probes", None, count(row.two_holders), Bound::Absolute(0.0)),
    ];
    let mut figures: Vec<Figure> = promised
        .into_iter()
        .map(|(what, unit, peer, ours, bound)| {
            let figure = Figure::new(&format!("{} {what}", row.scenario), unit, bound);
            let figure = if bound == Bound::None { figure } else { figure.must() };
            figure.measured(peer, Some(ours), 1)
        })
        .collect();
    let broken = row.kept.map(|kept| f64::from(u8::from(!kept)));
    let whole = format!("{} broken promises", row.scenario);
    let whole = Figure::new(&whole, "runs", Bound::Absolute(0.0)).must();
    figures.push(whole.measured(None, broken, 1));
    if row.kept.is_none() {
        // A plain user's run is measured and not judged.
        figures.iter_mut().for_each(|figure| (figure.must, figure.kept) = (false, None));
    }
    figures.iter_mut().for_each(|figure| figure.repeated = row.repeated > 0);
    figures
}

/// Counts of one run are far below what f64 counts exactly.
fn count(number: u64) -> f64 {
    u32::try_from(number).map_or(f64::INFINITY, f64::from)
}

#[cfg(test)]
mod tests {
    use super::super::figure::broken;
    use super::*;

    const LINE: &str = r#"{"scenario":"vip-killed","kept":false,"outage_ms":60.0,"failed":1,"slow":0,"longest_ms":13.0,"two_holders":0,"moves":1,"repeated":0,"promise":{"text":"outage <= 50 ms","outage_ms":50},"stock":{"source":"recorded","outage_ms":1000}}"#;

    #[test]
    fn a_broken_promise_is_in_the_figures() {
        let rows = table::read(LINE).unwrap();
        let measured = Measured { sizes: vec![], rows };
        let figures = measured.figures();
        assert_eq!(figures[0].ratio, Some(0.06));
        assert_eq!(
            broken(&figures),
            [
                "vip-killed outage: 60.00 (promised: <= 50)",
                "vip-killed broken promises: 1.00 (promised: <= 0)"
            ]
        );
    }

    #[test]
    fn a_plain_users_run_is_not_judged() {
        let rows = table::read(&LINE.replace("false", "null")).unwrap();
        assert!(broken(&figures(&rows[0])).is_empty());
        assert_eq!(figures(&rows[0])[0].kept, None);
    }
}
