//! Mounts that only one process sees: a small disk, another `/etc/hosts`.

use std::path::Path;
use std::process::{Command, Stdio};

/// `unshare` with a shell that does `mounts` with `$0`, then becomes the program of the arguments that
/// follow.
pub(crate) fn unshare(mounts: &str, first: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &format!("{mounts} && exec \"$@\"")]).arg(first);
    command
}

/// Why there is no such thing here: it is tried.
pub(crate) fn is_missing() -> Option<&'static str> {
    let mounts = "mount -t tmpfs -o size=1m none \"$0\" && mount --bind /etc/hosts /etc/hosts";
    let mut probe = unshare(mounts, &std::env::temp_dir());
    let probe = probe.arg("true").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let may = probe.is_ok_and(|status| status.success());
    (!may).then_some("this user may not mount a small file system")
}
