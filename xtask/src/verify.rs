//! `cargo xtask verify`: what must hold before a commit, in under three minutes when warm.

use std::process::Command;
use std::time::Duration;

use crate::shell::{self, Failure, Outcome};
use crate::tidy;

/// Longer, and nobody runs it before a commit.
const LIMIT: Duration = Duration::from_secs(180);

pub(crate) fn run() -> Outcome {
    let start = shell::now();
    let mut failed = vec![];
    let mut times = vec![];
    for (name, step) in STEPS {
        let before = shell::now();
        eprintln!("verify: {name}");
        if let Err(failure) = step() {
            eprintln!("{failure}");
            failed.push(name);
        }
        times.push(format!("{name} {:.1} s", before.elapsed().as_secs_f32()));
    }
    let total = start.elapsed();
    println!("verify: {} = {:.0} s", times.join(", "), total.as_secs_f32());
    if total > LIMIT {
        println!("verify: over {} s; warm runs must stay below", LIMIT.as_secs());
    }
    if failed.is_empty() {
        Ok(())
    } else {
        Err(Failure::new(format!("verify failed: {}", failed.join(", "))))
    }
}

type Step = (&'static str, fn() -> Outcome);

const STEPS: [Step; 6] = [
    ("fmt", || shell::run(&mut shell::cargo(["fmt", "--all", "--check"]))),
    ("tidy", || tidy::run(false)),
    ("clippy", clippy),
    ("test", tests),
    ("doc", doc),
    ("deny", deny),
];

fn clippy() -> Outcome {
    let workspace = ["clippy", "--quiet", "--workspace", "--all-targets", "--all-features"];
    shell::run(shell::cargo(workspace).args(["--", "-D", "warnings"]))
}

/// Unit tests and the simulator. What needs several processes is `cargo xtask test`.
fn tests() -> Outcome {
    let mut command = if shell::has_cargo("nextest") {
        shell::cargo(["nextest", "run", "--status-level=fail", "--final-status-level=fail"])
    } else {
        shell::cargo(["test", "--quiet", "--all-targets"])
    };
    shell::run(command.args(["--workspace", "--all-features", "--exclude", "outlast"]))
}

fn doc() -> Outcome {
    let mut command = shell::cargo(["doc", "--quiet", "--workspace", "--no-deps"]);
    shell::run(command.env("RUSTDOCFLAGS", "-D warnings"))
}

/// Licences, sources and bans; advisories need the network and run elsewhere.
fn deny() -> Outcome {
    if !shell::has_cargo("deny") {
        eprintln!("cargo-deny is not installed: deny.toml was not checked");
        return Ok(());
    }
    let mut command = Command::new("cargo-deny");
    let checks = ["--offline", "check", "bans", "licenses", "sources"];
    shell::run(command.args(checks).current_dir(shell::root()))
}
