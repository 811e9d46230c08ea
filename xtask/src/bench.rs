//! `cargo xtask bench`: every scenario of the demo and the sizes, against what is promised.

mod sizes;
mod table;

use std::process::{Command, Stdio};

use crate::shell::{self, Failure, Outcome};
use crate::{demo, packages};
use table::Row;

/// The last measurement that somebody found worth keeping.
const PAGE: &str = "docs/benchmarks.md";

pub(crate) fn run(scenario: &str, against_stock: bool, write: bool) -> Outcome {
    if against_stock {
        packages::provide(&packages::STOCK)?;
    }
    let outlast = demo::build()?;
    let (sizes, mut broken) = sizes(&outlast)?;
    print!("{sizes}");
    let mut rows = scenarios(&outlast, scenario, &[])?;
    if against_stock {
        table::beside(&mut rows, &scenarios(&outlast, scenario, &["--stock"])?);
    }
    let table = table::print(&rows);
    print!("{table}");
    if write {
        let page = format!("{HEAD}\n{sizes}\n## Scenarios\n\n{table}");
        shell::write(&shell::root().join(PAGE), &page)?;
    }
    let broken_rows = rows.iter().filter(|row| row.kept == Some(false));
    broken.extend(broken_rows.map(|row| format!("{}: {}", row.scenario, row.promise.text)));
    if broken.is_empty() {
        return Ok(());
    }
    if !shell::is_root() {
        println!("not judged: promises bind runs as root, with real-time scheduling");
        return Ok(());
    }
    Err(Failure::new(format!("{} promises broken:\n{}", broken.len(), broken.join("\n"))))
}

const HEAD: &str = "# Benchmarks

Written by `cargo xtask bench --write`, as root on a machine with 2 cores. What is measured and how: docs/operate/demo.md. Figures vary by
some milliseconds from run to run; what is promised is in the last column, and `cargo xtask bench` fails when it is not kept.

## Sizes
";

/// A table of sizes, and the lines of it that break a promise.
fn sizes(outlast: &std::path::Path) -> Outcome<(String, Vec<String>)> {
    let mut text = String::from("| what | measured MB | promised MB |\n|---|---|---|\n");
    let mut broken = vec![];
    for (bound, measured) in sizes::measure(outlast)? {
        let line = format!("| {} | {measured:.1} | < {} |", bound.what, bound.megabytes);
        text += &format!("{line}\n");
        if measured >= bound.megabytes {
            broken.push(line);
        }
    }
    Ok((text, broken))
}

/// The demo's exit code repeats what its rows say, so only the rows count.
fn scenarios(outlast: &std::path::Path, scenario: &str, more: &[&str]) -> Outcome<Vec<Row>> {
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
