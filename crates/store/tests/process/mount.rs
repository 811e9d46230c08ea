//! Mounts that only one process sees: a disk of its own, another `/etc/hosts`.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// What a process has for its folder, instead of what everybody has.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Disk {
    /// A tmpfs of that many megabytes, as long as the process runs.
    Small(u32),
    /// ext4 of that many megabytes on a loop device, as long as the process runs: it turns read-only
    /// when it is found damaged.
    Fragile(u32),
}

impl Disk {
    /// Commands of a shell that put it at `folder`.
    pub(crate) fn mounts(self, folder: &Path) -> String {
        let at = folder.display();
        match self {
            Self::Small(megabytes) => {
                format!("mount -t tmpfs -o size={megabytes}m none {at}")
            }
            // The image is in memory: how long its fsyncs take is not what such a test is about.
            Self::Fragile(megabytes) => format!(
                "mount -t tmpfs none {at} && truncate -s {megabytes}m {at}/image && \
                 mkfs.ext4 -q -m 0 -O ^has_journal -F {at}/image && \
                 mount -o loop,errors=remount-ro {at}/image {at}"
            ),
        }
    }
}

/// `unshare` with a shell that does `mounts` with `$0`, then becomes the program of the arguments that
/// follow.
pub(crate) fn unshare(mounts: &str, first: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &format!("{mounts} && exec \"$@\"")]).arg(first);
    command
}

/// Writes beside the files of a process until nothing fits any more on its disk.
pub(crate) fn fill(pid: u32, folder: &Path) {
    let mut ballast = std::fs::File::create(seen_by(pid, folder).join("ballast")).unwrap();
    let full = (0..4096).find_map(|_| ballast.write_all(&[1; 64 << 10]).err());
    let full = full.expect("a small disk has an end");
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
}

/// As the kernel does when it finds a file system damaged: what is open cannot be written any more, and
/// nothing can be opened for it. (`remount,ro` alone is refused while a file is open for writing.)
pub(crate) fn turn_read_only(pid: u32, folder: &Path) {
    let mut command = Command::new("nsenter");
    command.args(["--target", &pid.to_string(), "--mount", "mount", "-o", "remount,abort"]);
    assert!(command.arg(folder).status().unwrap().success());
    let refused = std::fs::File::create(seen_by(pid, folder).join("new")).unwrap_err().kind();
    // Who has ended because of it has no mounts any more.
    let is_so = [std::io::ErrorKind::ReadOnlyFilesystem, std::io::ErrorKind::NotFound];
    assert!(is_so.contains(&refused), "{refused}");
}

/// A folder as the mounts of a process have it.
fn seen_by(pid: u32, folder: &Path) -> std::path::PathBuf {
    let root = std::path::PathBuf::from(format!("/proc/{pid}/root"));
    root.join(folder.strip_prefix("/").unwrap())
}

/// Why there is no such thing here: it is tried.
pub(crate) fn is_missing(disk: Disk) -> Option<&'static str> {
    let at = std::env::temp_dir();
    let mounts = format!("{} && mount --bind /etc/hosts /etc/hosts", disk.mounts(&at));
    let mut probe = unshare(&mounts, &at);
    let probe = probe.arg("true").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let may = probe.is_ok_and(|status| status.success());
    (!may).then_some(match disk {
        Disk::Small(_) => "this user may not mount a small file system",
        Disk::Fragile(_) => "this user may not mount ext4 on a loop device",
    })
}
