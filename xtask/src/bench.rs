//! `cargo xtask bench`: every scenario of the demo and the sizes, against what is promised.

mod sizes;
mod table;

use std::process::{Command, Stdio};

use crate::shell::{self, Failure, Outcome};
use crate::{demo, packages};
use table::Row;

pub(crate) fn run(scenario: &str, against_stock: bool) -> Outcome {
    if against_stock {
        packages::provide(&packages::STOCK)?;
    }
    let outlast = demo::build()?;
    let mut broken = vec![];
    for (bound, measured) in sizes::measure(&outlast)? {
        let line = format!("{}: {measured:.1} MB, promised < {} MB", bound.what, bound.megabytes);
        println!("{line}");
        if measured >= bound.megabytes {
            broken.push(line);
        }
    }
    let mut rows = scenarios(&outlast, scenario, &[])?;
    if against_stock {
        table::beside(&mut rows, &scenarios(&outlast, scenario, &["--stock"])?);
    }
    print!("{}", table::print(&rows));
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
