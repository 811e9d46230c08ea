//! Scripts that somebody else than root could change are not run as root, if the file asks for that
//! (keepalived's `enable_script_security`).

use std::collections::VecDeque;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use config::vip::{Script, Vip};

use super::{DEFAULT_USER, User, find, user_of};

#[cfg(test)]
mod tests;

/// Links that one path may lead through, as the kernel's own limit (path_resolution(7)).
const MAX_LINKS: usize = 40;
/// Bits of a mode: set-user-ID, set-group-ID, sticky, and the right to write of group and others.
const SET_USER: u32 = 0o4000;
const SET_GROUP: u32 = 0o2000;
const STICKY: u32 = 0o1000;
const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;

/// A script that is not run.
#[derive(Debug, Eq, PartialEq)]
pub(in crate::vip) struct Refused {
    /// Position of its instance.
    pub(in crate::vip) instance: usize,
    pub(in crate::vip) script: String,
    pub(in crate::vip) why: String,
}

/// Takes out what must not run. As with keepalived the instance goes on without: a node that a
/// wrong mode took out of the race would be the greater harm.
pub(in crate::vip) fn refuse(vips: &mut [Vip]) -> Vec<Refused> {
    let mut refused = Vec::new();
    for (instance, vip) in vips.iter_mut().enumerate() {
        vip.track_scripts.retain(|script| {
            let Some(why) = objection(script) else { return true };
            refused.push(Refused { instance, script: script.name.clone(), why });
            false
        });
    }
    refused
}

fn objection(script: &Script) -> Option<String> {
    // Without root there is nobody whose rights could be taken.
    if !script.secure || !sys::rights::is_root() {
        return None;
    }
    let (user, group) = (script.user.as_deref(), script.group.as_deref());
    objection_to(&script.command, user, user_of(user, group, DEFAULT_USER), true)
}

/// Why a program with its arguments must not run `as_whom`, whom `user` was found to be; none: it may.
pub(crate) fn objection_to(
    command: &[String],
    user: Option<&str>,
    as_whom: User,
    secure: bool,
) -> Option<String> {
    if !secure || !sys::rights::is_root() {
        return None;
    }
    // Root runs what is not said to be another's, where there is no default.
    if user.is_none() && as_whom == User::Own {
        return Some(format!("no user is named and there is no user {DEFAULT_USER}"));
    }
    let program = find(command.first().map_or("", String::as_str));
    let as_root = match as_whom {
        User::Own => true,
        User::Other { uid, gid } => uid == 0 || gid == 0 || becomes_root(&program),
        // It does not run at all.
        User::Unknown => return None,
    };
    if !as_root {
        return None;
    }
    match changeable(&program) {
        Ok(None) => None,
        Ok(Some(part)) => Some(format!(
            "it would run as root, and others than root can change {}",
            part.display()
        )),
        Err(error) => Some(format!("it would run as root, and {}: {error}", program.display())),
    }
}

fn becomes_root(program: &Path) -> bool {
    fs::metadata(program).is_ok_and(|file| {
        let (user, group) = (file.mode() & SET_USER != 0, file.mode() & SET_GROUP != 0);
        (user && file.uid() == 0) || (group && file.gid() == 0)
    })
}

/// The first part of the path, links and what they lead through included, that others than root
/// can change.
fn changeable(program: &Path) -> io::Result<Option<PathBuf>> {
    let mut left: VecDeque<PathBuf> = parts(&std::path::absolute(program)?).collect();
    let (mut at, mut links) = (PathBuf::from("/"), 0);
    while let Some(part) = left.pop_front() {
        // `..` as the kernel takes it: every link before it is resolved already.
        let next = if part == Path::new("..") {
            at.parent().unwrap_or(&at).to_owned()
        } else {
            at.join(part)
        };
        let found = fs::symlink_metadata(&next)?;
        if is_open(&found) {
            return Ok(Some(next));
        }
        if !found.is_symlink() {
            at = next;
            continue;
        }
        links += 1;
        if links > MAX_LINKS {
            return Err(io::Error::other("too many symbolic links"));
        }
        let target = fs::read_link(&next)?;
        for part in parts(&target).collect::<Vec<_>>().into_iter().rev() {
            left.push_front(part);
        }
    }
    Ok(None)
}

/// An absolute part replaces what came before it.
fn parts(path: &Path) -> impl Iterator<Item = PathBuf> {
    path.components()
        .filter(|component| *component != Component::CurDir)
        .map(|component| PathBuf::from(component.as_os_str()))
}

/// The rules are keepalived's: in a sticky folder only the owner replaces a file; links have no
/// mode.
fn is_open(found: &Metadata) -> bool {
    let mode = found.mode();
    let counts = found.is_file() || (found.is_dir() && mode & STICKY == 0);
    let written = (found.gid() != 0 && mode & GROUP_WRITES != 0) || mode & OTHERS_WRITE != 0;
    found.uid() != 0 || (counts && written)
}
