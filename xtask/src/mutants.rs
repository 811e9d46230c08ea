//! `cargo xtask mutants`: bugs put into the machines on purpose, each as a patch; the sweep must find
//! every one of them within a minute of one core, or the unit tests of the crate that the patch names.
//!
//! The patches are applied to a copy of the workspace under `target`, with a target folder of its own.

mod suite;

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{fs, io};

use serde::{Deserialize, Serialize};

use crate::shell::{self, Failure, Outcome};

/// One file per bug; its name says what it does, its first line why that is wrong, the second who judges it
/// if that is not the sweep: "Judged by the unit tests of `store`."
const FOLDER: &str = "xtask/mutants";
/// Seconds of one core in which each must be found.
const LIMIT: f64 = 60.0;
/// A sweep looks at its time between two seeds; one whose seed does not end is ended by the kernel after so many more.
const LAST_SEED: f64 = 30.0;
/// The machines as they are must survive so long, or nothing is proven.
const SOUND: f64 = 20.0;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only those whose name contains this
    only: Option<String>,
    #[arg(long)]
    json: bool,
    /// Keep the short script that found each in the simulator's folder of regressions
    #[arg(long)]
    keep: bool,
}

/// What became of one bug.
#[derive(Debug, Serialize)]
struct Found {
    name: String,
    found: bool,
    cpu_s: f64,
    /// Which property it broke, which mark was never reached, or which test failed.
    by: String,
}

/// What the sweep says.
#[derive(Debug, Deserialize)]
struct Said {
    cpu_s: f64,
    never: Vec<String>,
    violations: Vec<Violation>,
}

#[derive(Debug, Deserialize)]
struct Violation {
    seed: u64,
    property: String,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let wanted =
        |patch: &PathBuf| args.only.as_deref().is_none_or(|only| name(patch).contains(only));
    let patches: Vec<_> = patches(&shell::root())?.into_iter().filter(wanted).collect();
    let scratch = Scratch::make()?;
    scratch.is_sound(&patches)?;
    let mut all = vec![];
    for patch in patches {
        let found = scratch.hunt(&patch, args.keep)?;
        if !args.json {
            let word = if found.found { "found" } else { "NOT FOUND" };
            println!("{:<44} {word:<9} {:>5.1} s  {}", found.name, found.cpu_s, found.by);
        }
        all.push(found);
    }
    if args.json {
        let text = serde_json::to_string_pretty(&all);
        println!("{}", text.map_err(|error| Failure::new(error.to_string()))?);
    }
    let lost: Vec<_> = all.iter().filter(|found| !found.found).collect();
    if !args.json {
        println!("{} of {} found", all.len() - lost.len(), all.len());
    }
    if lost.is_empty() { Ok(()) } else { Err(Failure::new("not every bug is seen")) }
}

fn patches(root: &Path) -> Outcome<Vec<PathBuf>> {
    let folder = root.join(FOLDER);
    let entries = fs::read_dir(&folder).map_err(Failure::trying("reading the mutants"))?;
    let files = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut files: Vec<_> =
        files.collect::<io::Result<_>>().map_err(Failure::trying("reading the mutants"))?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "patch"));
    files.sort();
    Ok(files)
}

fn name(patch: &Path) -> String {
    patch.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// A copy of the workspace.
#[derive(Debug)]
struct Scratch {
    tree: PathBuf,
    target: PathBuf,
}

impl Scratch {
    fn make() -> Outcome<Self> {
        let folder = shell::target().join("mutants");
        let scratch = Self { tree: folder.join("tree"), target: folder.join("target") };
        let root = shell::root();
        let list = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(&root)
            .output()
            .map_err(Failure::trying("listing the files of the workspace"))?;
        let list = String::from_utf8_lossy(&list.stdout).into_owned();
        for file in list.split('\0').filter(|file| !file.is_empty()) {
            copy(&root.join(file), &scratch.tree.join(file))?;
        }
        Ok(scratch)
    }

    /// Whether the judges of these bugs have nothing to say where there is none.
    fn is_sound(&self, patches: &[PathBuf]) -> Outcome {
        let judges = patches.iter().map(|patch| suite::judge(patch));
        for judge in judges.collect::<Outcome<BTreeSet<_>>>()? {
            let Some(of) = judge else {
                let sound = self.sweep(SOUND, None)?;
                if sound.violations.is_empty() {
                    continue;
                }
                let text = format!("the machines are broken as they are: {sound:?}");
                return Err(Failure::new(text));
            };
            let sound = suite::run(&self.tree, &self.target, &of, LIMIT)?;
            if !sound.failed.is_empty() {
                let text = format!("{of} is broken as it is: {}", sound.failed.join(", "));
                return Err(Failure::new(text));
            }
        }
        Ok(())
    }

    /// Puts one bug in, hunts it, and takes it out again.
    fn hunt(&self, patch: &Path, keep: bool) -> Outcome<Found> {
        let Some(of) = suite::judge(patch)? else { return self.hunt_by_sweep(patch, keep) };
        self.apply(patch, &[])?;
        let verdict = suite::run(&self.tree, &self.target, &of, LIMIT);
        self.apply(patch, &["--reverse"])?;
        let suite::Verdict { failed, cpu_s } = verdict?;
        let by = failed.first().cloned().unwrap_or_default();
        Ok(Found { name: name(patch), found: !by.is_empty(), cpu_s, by })
    }

    fn hunt_by_sweep(&self, patch: &Path, keep: bool) -> Outcome<Found> {
        let out =
            if keep { shell::root().join("crates/sim/regressions") } else { self.target.clone() };
        self.apply(patch, &[])?;
        let said = self.sweep(LIMIT, keep.then_some((out.as_path(), &name(patch))));
        self.apply(patch, &["--reverse"])?;
        let said = said.map_err(|failure| Failure::new(format!("{}: {failure}", name(patch))))?;
        let violation = said.violations.first();
        let by = match (violation, said.never.first()) {
            (Some(violation), _) => format!("{} (seed {})", violation.property, violation.seed),
            (None, Some(mark)) => format!("never {mark}"),
            (None, None) => String::new(),
        };
        Ok(Found { name: name(patch), found: !by.is_empty(), cpu_s: said.cpu_s, by })
    }

    fn apply(&self, patch: &Path, options: &[&str]) -> Outcome {
        let mut command = git_apply(&self.tree);
        // The copy lies inside of the repository, and is none of its folders.
        command.env("GIT_CEILING_DIRECTORIES", self.target.parent().unwrap_or(&self.tree));
        shell::run(command.args(options).arg(patch))
    }

    fn sweep(&self, seconds: f64, keep: Option<(&Path, &str)>) -> Outcome<Said> {
        let mut build = shell::cargo(["build", "--quiet", "--offline", "--package", "outlast-sim"]);
        build.args(["--bin", "outlast-sweep", "--profile", "sweep"]).current_dir(&self.tree);
        shell::run(build.env("CARGO_TARGET_DIR", &self.target))?;
        let script = format!("ulimit -t {:.0}; exec \"$0\" \"$@\"", seconds + LAST_SEED);
        let mut command = Command::new("sh");
        command.args(["-c", &script]).arg(self.target.join("sweep/outlast-sweep"));
        command.args(["--hunt", "--mixed", "--json", "--seconds", &seconds.to_string()]);
        if let Some((out, name)) = keep {
            command.arg("--out").arg(out).args(["--name", name]);
        }
        // A machine that panics says so in the report too.
        let said = command.stderr(Stdio::null()).output();
        let said = said.map_err(Failure::trying("starting the sweep"))?;
        if said.status.signal().is_some() {
            // No violation, so that it counts as not found.
            let cpu_s = seconds + LAST_SEED;
            return Ok(Said { cpu_s, never: vec![], violations: vec![] });
        }
        serde_json::from_slice(&said.stdout)
            .map_err(|error| Failure::new(format!("the sweep says nothing readable: {error}")))
    }
}

fn git_apply(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command.arg("apply").current_dir(folder);
    command
}

/// Only what differs, so that nothing is built twice.
fn copy(from: &Path, to: &Path) -> Outcome {
    // A file that was deleted and not committed is listed and not there.
    let Ok(new) = fs::read(from) else { return Ok(()) };
    if fs::read(to).is_ok_and(|old| old == new) {
        return Ok(());
    }
    let folder = to.parent().unwrap_or(to);
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(to, new))
        .map_err(Failure::trying(format_args!("copying {}", from.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mutant_applies_to_the_tree_and_says_why_it_is_a_bug() {
        let root = shell::root();
        let patches = patches(&root).unwrap();
        assert!(patches.len() >= 20, "only {}", patches.len());
        for patch in patches {
            let output = git_apply(&root).arg("--check").arg(&patch).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}: {said}", name(&patch));
            let text = fs::read_to_string(&patch).unwrap();
            let first = text.lines().next().unwrap_or_default();
            assert!(first.ends_with('.') && first.len() > 20, "{}: {first:?}", name(&patch));
            let changed = text.lines().filter(|line| line.starts_with(['+', '-'])).count();
            assert!(changed < 20, "{} is no small bug", name(&patch));
        }
    }
}
