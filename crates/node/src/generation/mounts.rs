//! Whether a file can be replaced by a rename: not across mounts, and not what is a mount itself.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Refuses a file that lies in another file system or mount than the folder that its successor is in. What only the
/// rename itself would tell (a file that may not change) is found then, and undone.
pub(super) fn refuse_apart(used: &Path, folder: &Path) -> io::Result<()> {
    let there =
        used.ancestors().skip(1).find(|path| path.is_dir()).unwrap_or_else(|| Path::new("."));
    let same_system = fs::metadata(there)?.dev() == fs::metadata(folder)?.dev();
    // Without /proc only that is known.
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let (there, folder) = (there.canonicalize()?, folder.canonicalize()?);
    let file = match used.file_name() {
        Some(name) if used.parent().is_some_and(Path::is_dir) => there.join(name),
        Some(_) | None => there,
    };
    let (of_file, of_folder) = (mount_of(&mounts, &file), mount_of(&mounts, &folder));
    if same_system && of_file == of_folder {
        return Ok(());
    }
    let why = match of_file == file {
        true => "is a mount point".to_owned(),
        false => format!("lies in another file system or mount ({})", of_file.display()),
    };
    let text =
        format!("{} {why}, so no rename from {} can replace it", used.display(), folder.display());
    Err(io::Error::other(text))
}

/// The innermost mount point that has this path; itself, if it is one. Text as in proc(5), /proc/PID/mountinfo.
fn mount_of(mounts: &str, path: &Path) -> PathBuf {
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(4)).map(|point| {
        let point = point.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n");
        PathBuf::from(point.replace("\\134", "\\"))
    });
    let around = points.filter(|point| path.starts_with(point));
    around.max_by_key(|point| point.components().count()).unwrap_or_else(|| PathBuf::from("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_mount_has_a_file_and_a_file_may_be_one() {
        let mounts = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
                      30 22 8:2 / /etc/my\\040files rw - ext4 /dev/sda2 rw\n\
                      31 22 8:1 /x /etc/outlast/haproxy.cfg rw - ext4 /dev/sda1 rw\n";
        for (path, point) in [
            ("/etc/outlast/outlast.toml", "/"),
            ("/etc/outlast/haproxy.cfg", "/etc/outlast/haproxy.cfg"),
            ("/etc/outlast/haproxy.cfg.old", "/"),
            ("/etc/my files/a.cfg", "/etc/my files"),
        ] {
            assert_eq!(mount_of(mounts, Path::new(path)), Path::new(point), "{path}");
        }
    }

    #[test]
    fn a_file_of_another_file_system_is_refused_by_name() {
        let here = std::env::temp_dir();
        refuse_apart(&here.join("a.cfg"), &here).unwrap();
        let error = refuse_apart(Path::new("/proc/self/a.cfg"), &here).unwrap_err();
        assert!(
            error.to_string().starts_with("/proc/self/a.cfg lies in another file system"),
            "{error}"
        );
    }
}
