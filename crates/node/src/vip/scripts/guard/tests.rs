use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::time::Duration;

use super::*;

/// A folder that only root can change; gone with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Option<Self> {
        if !sys::rights::is_root() {
            crate::vip::tests::network::skip(test, "only root has files that others cannot change");
            return None;
        }
        let path = std::env::temp_dir().join(format!("outlast-{test}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        let folder = Self(path);
        folder.mode("", 0o755);
        Some(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        if name.is_empty() { self.0.clone() } else { self.0.join(name) }
    }

    fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn program(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "#!/bin/sh\nexit 0\n").unwrap();
        self.mode(name, 0o755);
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn script(program: &Path, user: &str) -> Script {
    Script {
        name: "alive".to_owned(),
        command: vec![program.to_str().unwrap().to_owned()],
        interval: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
        fall: 1,
        rise: 1,
        weight: 0,
        starts_failed: false,
        reversed: false,
        user: Some(user.to_owned()),
        group: None,
        secure: true,
    }
}

#[test]
fn a_file_that_others_than_root_could_change_is_found_by_mode_and_owner() {
    let test = "a_file_that_others_than_root_could_change_is_found_by_mode_and_owner";
    let Some(folder) = Folder::new(test) else { return };
    let program = folder.program("check");
    for (owner, group, mode, open) in [
        (0, 0, 0o755, false),
        (0, 0, 0o775, false),
        (0, 1, 0o755, false),
        (0, 1, 0o775, true),
        (0, 0, 0o757, true),
        (1, 0, 0o500, true),
    ] {
        chown(&program, Some(owner), Some(group)).unwrap();
        folder.mode("check", mode);
        let expected = open.then(|| program.clone());
        assert_eq!(changeable(&program).unwrap(), expected, "{owner}:{group} {mode:o}");
    }
}

#[test]
fn every_folder_and_link_of_the_path_counts() {
    let Some(folder) = Folder::new("every_folder_and_link_of_the_path_counts") else { return };
    let program = folder.program("inner/check");
    let (inner, link) = (folder.path("inner"), folder.path("link"));
    symlink("inner/../inner", &link).unwrap();
    let through = folder.path("link/./check");
    assert_eq!(changeable(&through).unwrap(), None);
    folder.mode("inner", 0o777);
    assert_eq!(changeable(&program).unwrap(), Some(inner.clone()));
    assert_eq!(changeable(&through).unwrap(), Some(inner));
    // Nobody but root replaces what is root's.
    folder.mode("inner", 0o1777);
    assert_eq!(changeable(&through).unwrap(), None);
    std::os::unix::fs::lchown(&link, Some(1), None).unwrap();
    assert_eq!(changeable(&through).unwrap(), Some(link));
}

#[test]
fn links_in_a_circle_end() {
    let Some(folder) = Folder::new("links_in_a_circle_end") else { return };
    symlink("two", folder.path("one")).unwrap();
    symlink("one", folder.path("two")).unwrap();
    assert_eq!(changeable(&folder.path("one")).unwrap_err().to_string(), "too many symbolic links");
}

#[test]
fn only_what_would_run_as_root_is_refused_and_only_if_asked_for() {
    let test = "only_what_would_run_as_root_is_refused_and_only_if_asked_for";
    let Some(folder) = Folder::new(test) else { return };
    let program = folder.program("check");
    folder.mode("check", 0o777);
    let as_root = script(&program, "root");
    let told =
        format!("it would run as root, and others than root can change {}", program.display());
    assert_eq!(objection(&as_root), Some(told.clone()));
    assert_eq!(objection(&Script { secure: false, ..as_root.clone() }), None);
    let plain = script(&program, "nobody");
    assert_eq!(objection(&plain), None);
    let group = Some("root".to_owned());
    assert_eq!(objection(&Script { group, ..plain.clone() }), Some(told.clone()));
    // It becomes root whoever starts it.
    folder.mode("check", 0o4777);
    assert_eq!(objection(&plain), Some(told));
    folder.mode("check", 0o755);
    assert_eq!(objection(&as_root), None);
    let missing = objection(&script(&folder.path("none"), "root")).unwrap();
    assert!(missing.contains("none: No such file"), "{missing}");
    if sys::rights::user(DEFAULT_USER).is_none() {
        let unnamed = objection(&Script { user: None, ..as_root }).unwrap();
        assert_eq!(unnamed, "no user is named and there is no user keepalived_script");
    }
}
