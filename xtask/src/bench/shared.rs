//! The benches beside the workspace: `bench/balance.sh`, `bench/vip.sh` in the shared folder.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::shell::{self, Failure, Outcome};

/// The entry script of a field; says what is missing and how to name it.
pub(super) fn script(name: &str) -> Outcome<PathBuf> {
    let folder = env::var_os("OUTLAST_SHARED")
        .map_or_else(|| shell::root().join("../shared"), PathBuf::from);
    let script = folder.join("bench").join(name);
    if script.is_file() {
        return Ok(script);
    }
    Err(Failure::new(format!(
        "there is no bench/{name} in the shared folder ({}): this bench measures beside the peer with it; OUTLAST_SHARED names another folder",
        folder.display()
    )))
}

/// Namespaces, real-time clients and other processes' memory are root's.
pub(super) fn need_root(bench: &str) -> Outcome {
    if shell::is_root() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "`cargo xtask bench {bench}` makes network namespaces: run it as root"
    )))
}

/// A folder of this bench below the target folder, kept between runs: what it compiles stays.
pub(super) fn folder(bench: &str) -> Outcome<PathBuf> {
    let folder = shell::target().join("bench").join(bench);
    std::fs::create_dir_all(&folder).map_err(Failure::trying("making a folder for the bench"))?;
    Ok(folder)
}

/// A copy of the executable that a build meanwhile does not replace, and a link per name it takes.
pub(super) fn install(outlast: &Path, folder: &Path, names: &[&str]) -> Outcome<PathBuf> {
    let programs = folder.join("programs");
    // Made anew: a running one of before cannot be written to.
    drop(std::fs::remove_dir_all(&programs));
    std::fs::create_dir_all(&programs).map_err(Failure::trying("making a folder for programs"))?;
    std::fs::copy(outlast, programs.join("outlast"))
        .map_err(Failure::trying("copying the executable"))?;
    for name in names {
        std::os::unix::fs::symlink("outlast", programs.join(name))
            .map_err(Failure::trying("linking the executable"))?;
    }
    Ok(programs)
}

/// An executable script.
pub(super) fn adaptor(path: &Path, text: &str) -> Outcome {
    use std::os::unix::fs::PermissionsExt;
    shell::write(path, text)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))
        .map_err(Failure::trying("making a script executable"))
}

/// Runs a bench; what it prints goes to standard error as it comes, so that `--json` stays clean, and
/// is returned.
pub(super) fn run(command: &mut Command) -> Outcome<String> {
    let mut text = String::new();
    each_line(command, |line| {
        text += line;
        text.push('\n');
        Ok(())
    })?;
    Ok(text)
}

/// The same, line by line as they come.
pub(super) fn each_line(command: &mut Command, mut take: impl FnMut(&str) -> Outcome) -> Outcome {
    use std::io::{BufRead, BufReader};
    let said = format!("{command:?}").replace('"', "");
    let failed = || Failure::trying(format!("running {said}"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = command.spawn().map_err(failed())?;
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            let line = line.map_err(failed())?;
            eprintln!("{line}");
            take(&line)?;
        }
    }
    let status = child.wait().map_err(failed())?;
    if status.success() { Ok(()) } else { Err(Failure::new(format!("{said}: {status}"))) }
}

/// From the environment, as the scripts take it.
pub(super) fn number(name: &str, default: u32) -> u32 {
    env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}
