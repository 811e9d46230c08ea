//! Running other programs from the root of the workspace.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;
use std::{env, fmt, fs, io};

/// Why a task failed, in one sentence.
#[derive(Debug)]
pub(crate) struct Failure(String);

pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// For `map_err`: what was being tried, then the cause.
    pub(crate) fn trying(what: impl fmt::Display) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self(format!("{what}: {cause}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The folder that holds the workspace. Cargo says where xtask is when it runs it; the place it was
/// built at is for those who call the executable by hand.
pub(crate) fn root() -> PathBuf {
    let xtask = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    xtask.parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// Where cargo puts what it builds.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

pub(crate) fn cargo<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let program = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root());
    // Set by `cargo run` for xtask itself; the tests must not believe it is theirs.
    command.env_remove("CARGO_MANIFEST_DIR");
    command
}

/// Runs to the end; anything but success is a failure that names the command.
pub(crate) fn run(command: &mut Command) -> Outcome {
    let said = format!("{command:?}").replace('"', "");
    let status = command.status().map_err(Failure::trying(format_args!("starting {said}")))?;
    if status.success() { Ok(()) } else { Err(Failure(format!("{said}: {status}"))) }
}

pub(crate) fn read(path: &Path) -> Outcome<String> {
    fs::read_to_string(path).map_err(Failure::trying(format_args!("reading {}", path.display())))
}

pub(crate) fn write(path: &Path, text: &str) -> Outcome {
    fs::write(path, text).map_err(Failure::trying(format_args!("writing {}", path.display())))
}

/// Looks where root's programs are too: a plain user's PATH often has no sbin.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let sbin = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    let mut places = env::split_paths(&path).chain(sbin);
    places.find_map(|place| Some(place.join(name)).filter(|file| file.is_file()))
}

pub(crate) fn has_cargo(subcommand: &str) -> bool {
    find_program(&format!("cargo-{subcommand}")).is_some()
        || env::var_os("CARGO_HOME").is_some_and(|home| {
            Path::new(&home).join("bin").join(format!("cargo-{subcommand}")).is_file()
        })
}

/// Effective user id, read where the kernel says it: xtask has no `unsafe` and no libc.
pub(crate) fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    line.and_then(|ids| ids.split_whitespace().nth(1)).is_some_and(|id| id == "0")
}

#[expect(clippy::disallowed_methods, reason = "xtask measures itself and imports no crate of ours")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
