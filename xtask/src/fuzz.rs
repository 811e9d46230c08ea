//! `cargo xtask fuzz`: looks for bytes that break a promise of a parser (crate `fuzz`), target by target.
//!
//! libFuzzer sees which edges an input reaches through LLVM's coverage counters, which the stable compiler puts in
//! when asked to by flags; C++ is needed for libFuzzer itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::shell::{self, Failure, Outcome};

const FOLDER: &str = "fuzz";

/// Builds with these flags are apart from all others.
const BUILD: &str = "target/fuzz";

/// Counters per edge and where they are, and what is compared with what: libFuzzer's eyes.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
                     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
                     -Cllvm-args=-sanitizer-coverage-pc-table \
                     -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing";

/// No parser needs more; what does has read without a limit (MB).
const MEMORY: u32 = 2048;

/// One input that takes longer hangs the process that reads it (seconds).
const PATIENCE: u32 = 25;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// One target instead of all
    target: Option<String>,
    /// How long each is tried
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// Take what was found into fuzz/corpus, as few inputs as reach as much
    #[arg(long)]
    keep: bool,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let all = targets(&shell::read(&shell::root().join(FOLDER).join("Cargo.toml"))?);
    let wanted = match args.target.as_deref() {
        None => all,
        Some(name) if all.iter().any(|known| known == name) => vec![name.to_owned()],
        Some(name) => {
            return Err(Failure::new(format!("no target {name}; there are {}", all.join(", "))));
        }
    };
    let programs = build(&wanted)?;
    let mut broken = vec![];
    for target in wanted {
        let program = programs.join(&target);
        let result = one(&program, &target, args.seconds)?;
        println!("{}", result.line(&target));
        if result.clean {
            if args.keep {
                shrink(&program, &target)?;
            }
        } else {
            keep_breaking(&target)?;
            broken.push(target);
        }
    }
    if broken.is_empty() { Ok(()) } else { Err(Failure::new(advice(&broken))) }
}

/// Names of the programs, from their manifest.
fn targets(manifest: &str) -> Vec<String> {
    let paths = manifest.lines().filter_map(|line| line.strip_prefix("path = \"fuzz_targets/"));
    paths.filter_map(|rest| rest.strip_suffix(".rs\"")).map(str::to_owned).collect()
}

/// Builds the programs, and says where they are.
fn build(wanted: &[String]) -> Outcome<PathBuf> {
    if shell::find_program("c++").is_none() {
        let advice = "as root: apt-get install --no-install-recommends g++";
        return Err(Failure::new(format!("libFuzzer needs a C++ compiler; {advice}")));
    }
    let host = host()?;
    let folder = shell::root().join(BUILD);
    let mut command = Command::new("cargo");
    // With a target of its own, build scripts and macros are built without the flags.
    command.args(["build", "--quiet", "--release", "--target", &host, "--target-dir"]);
    command.arg(&folder).current_dir(shell::root().join(FOLDER)).env("RUSTFLAGS", FLAGS);
    for target in wanted {
        command.args(["--bin", target]);
    }
    shell::run(&mut command)?;
    Ok(folder.join(host).join("release"))
}

/// The name of this machine's kind, as the compiler calls it.
fn host() -> Outcome<String> {
    let said = Command::new("rustc").arg("-vV").output();
    let said = said.map_err(Failure::trying("asking the compiler for its host"))?.stdout;
    let said = String::from_utf8_lossy(&said).into_owned();
    let line = said.lines().find_map(|line| line.strip_prefix("host: "));
    line.map(str::to_owned).ok_or_else(|| Failure::new("the compiler names no host".to_owned()))
}

/// What one run came to.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Run {
    runs: u64,
    /// Edges of the program that some input reached.
    coverage: u64,
    seconds: u64,
    /// Peak memory in MB.
    memory: u64,
    clean: bool,
}

impl Run {
    fn line(&self, target: &str) -> String {
        let result = if self.clean { "clean" } else { "BROKEN" };
        format!(
            "{target:<16} {result:<7} {:>12} runs {:>5} s  coverage {:>5}  peak {:>4} MB",
            self.runs, self.seconds, self.coverage, self.memory
        )
    }
}

/// The lowest priority: whoever else works here goes first.
fn niced(program: &Path) -> Command {
    let mut command = Command::new("nice");
    command.args(["-n", "19"]).arg(program).current_dir(shell::root());
    command
}

/// Where inputs that broke a promise are written first.
fn artifacts(target: &str) -> PathBuf {
    shell::root().join(FOLDER).join("artifacts").join(target)
}

fn one(program: &Path, target: &str, seconds: u64) -> Outcome<Run> {
    let root = shell::root().join(FOLDER);
    let found = artifacts(target).join("found");
    fs::create_dir_all(&found).map_err(Failure::trying("making a folder for new inputs"))?;
    let mut command = niced(program);
    // New inputs go into the first folder: the corpus in the repository stays as it is.
    command.arg(&found).arg(root.join("corpus").join(target));
    command.arg(format!("-artifact_prefix={}/", artifacts(target).display()));
    command.arg(format!("-max_total_time={seconds}")).arg(format!("-rss_limit_mb={MEMORY}"));
    command.arg(format!("-timeout={PATIENCE}")).arg("-print_final_stats=1");
    if let Some(words) = dictionary(&root, target) {
        command.arg(format!("-dict={}", words.display()));
    }
    let log = root.join("artifacts").join(format!("{target}.log"));
    let file = fs::File::create(&log).map_err(Failure::trying("making a log"))?;
    let same = file.try_clone().map_err(Failure::trying("making a log"))?;
    let start = shell::now();
    let status = command.stdin(Stdio::null()).stdout(same).stderr(file).status();
    let status = status.map_err(Failure::trying("starting the fuzzer"))?;
    let said = String::from_utf8_lossy(
        &fs::read(&log).map_err(Failure::trying("reading what the fuzzer said"))?,
    )
    .into_owned();
    let run = read(&said, start.elapsed().as_secs(), status.success());
    if !run.clean {
        eprintln!("{}", tail(&said));
    }
    Ok(run)
}

fn dictionary(root: &Path, target: &str) -> Option<PathBuf> {
    Some(root.join("dict").join(format!("{target}.dict"))).filter(|path| path.is_file())
}

/// Reads libFuzzer's statistics; what it did not get to say is 0.
fn read(said: &str, seconds: u64, clean: bool) -> Run {
    let number = |text: &str| text.trim().parse().unwrap_or(0);
    let statistic = |name: &str| {
        let mut rows = said.lines().rev().filter_map(|line| line.strip_prefix(name));
        rows.next().map_or(0, number)
    };
    let mut coverage = said.lines().rev().filter_map(|line| {
        let (_, rest) = line.split_once(" cov: ")?;
        rest.split_whitespace().next()?.parse().ok()
    });
    Run {
        runs: statistic("stat::number_of_executed_units:"),
        coverage: coverage.next().unwrap_or(0),
        seconds,
        memory: statistic("stat::peak_rss_mb:"),
        clean,
    }
}

/// The end of a log, where a panic and the name of its input are.
const TAIL: usize = 40;

fn tail(said: &str) -> String {
    let lines: Vec<&str> = said.lines().collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}

/// Takes what was found into the corpus of the repository, as few inputs as reach as much.
fn shrink(program: &Path, target: &str) -> Outcome {
    let corpus = shell::root().join(FOLDER).join("corpus").join(target);
    let mut command = niced(program);
    command.args(["-merge=1", "-max_len=4096"]).arg(corpus).arg(artifacts(target).join("found"));
    shell::run(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()))
}

/// What broke a promise is an input for the tests from now on.
fn keep_breaking(target: &str) -> Outcome {
    let trying = || Failure::trying("keeping what broke a promise");
    let kept = shell::root().join(FOLDER).join("corpus").join(target);
    for entry in fs::read_dir(artifacts(target)).map_err(trying())? {
        let path = entry.map_err(trying())?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if ["crash-", "timeout-", "oom-"].iter().any(|kind| name.starts_with(kind)) {
            fs::rename(&path, kept.join(name)).map_err(trying())?;
            println!("kept: {}", kept.join(name).display());
        }
    }
    Ok(())
}

fn advice(broken: &[String]) -> String {
    let target = &broken[0];
    format!(
        "promises are broken: {}\nthe inputs are in fuzz/corpus/{target}, and fail there: cargo test -p \
         outlast-fuzz; fix the parser, and give each a name that says what it was",
        broken.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_fuzzer_says_is_one_line() {
        let said = "#2\tINITED cov: 5 ft: 5 corp: 1/1b\n#41 NEW    cov: 17 ft: 31 corp: 2/5b\n\
                    #99\tDONE   cov: 18 ft: 33 corp: 3/9b\nstat::number_of_executed_units: 99\n\
                    stat::peak_rss_mb:              31\n";
        let line = read(said, 600, true).line("stats");
        let expected =
            "stats            clean             99 runs   600 s  coverage    18  peak   31 MB";
        assert_eq!(line, expected);
        assert_eq!(read("", 1, false).runs, 0);
    }

    #[test]
    fn every_program_of_the_manifest_is_a_target() {
        let manifest = "[[bin]]\nname = \"stats\"\npath = \"fuzz_targets/stats.rs\"\n";
        assert_eq!(targets(manifest), ["stats"]);
    }
}
