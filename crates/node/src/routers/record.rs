//! What a stand-in leaves in a file while it lives: which router it stands for, and the text that is run.
//!
//! ```text
//!   accepted ---> file made and locked ---> another text: another file in its place ---> ended: file removed
//!                                                                    `--> killed: the kernel ends the lock
//! ```
//! Who has its file locked lives. A file that nobody has locked is of one that was killed: most often the process of routers has
//! released its addresses by then; where there was none, the next desk takes them off. The text is what a stand-in goes on
//! with when its own file has a mistake while it looks for another desk.

use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use api::router::RouterRecord;
use config::Source;
use config::vip::Vip;
use sys::netlink::Netlink;

use crate::files::Texts;
use crate::vip::namespace::effective;
use crate::vip::rescue::Rescue;

/// In one go: the desk has other things to do.
const AT_ONCE: usize = 64;
/// A file that is not in its place yet.
const ASIDE: &str = "new";

/// What a router is run by: the text that was accepted last, with what it includes, and what it means.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) text: String,
    pub(super) vips: Vec<Vip>,
}

impl Known {
    /// In the namespace of the router.
    pub(super) fn of(file: &str, text: String) -> Option<Self> {
        let source = Source { path: file.to_owned(), text: text.clone() };
        let texts = Texts { keepalived: Some(source), ..Texts::default() };
        let vips = effective(&texts).ok()?;
        Some(Self { text, vips })
    }

    pub(super) fn sealed(&self) -> io::Result<OwnedFd> {
        sys::memory::file("keepalived.conf", self.text.as_bytes())
    }

    /// Takes off what is here of it, with a goodbye; what was done.
    pub(super) fn take_off(&self) -> String {
        match Rescue::open(&self.vips, None, None, None) {
            Ok(mut rescue) => rescue.act(0, &[], false).to_string(),
            Err(error) => format!("cannot take its addresses off: {error}"),
        }
    }
}

fn folder(socket: &Path) -> PathBuf {
    super::beside(socket, "kept")
}

/// One for each file in each namespace.
fn place(socket: &Path, file: &str, identity: (u64, u64)) -> PathBuf {
    // FNV-1a.
    let hash = file.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    folder(socket).join(format!("{:x}-{hash:016x}", identity.1))
}

/// Made anew, in place of the one before; locked as long as this descriptor, or a duplicate, is open. To be called in the
/// namespace of the router.
pub(super) fn write(socket: &Path, file: &str, text: &str) -> io::Result<OwnedFd> {
    let identity = sys::netns::identity(sys::netns::current()?.as_fd())?;
    let netns = sys::netns::name_of(identity).unwrap_or_default();
    let path = place(socket, file, identity);
    DirBuilder::new().recursive(true).mode(0o700).create(folder(socket))?;
    let aside = path.with_extension(ASIDE);
    // What one that was killed left half written.
    let _none = std::fs::remove_file(&aside);
    let mut options = File::options();
    let mut made = options.read(true).write(true).create_new(true).mode(0o600).open(&aside)?;
    made.lock()?;
    let mut bytes = vec![];
    let desk = std::fs::metadata(socket).map_or(0, |there| there.ino());
    api::encode(&RouterRecord { file: file.to_owned(), netns, identity, desk }, &mut bytes);
    bytes.push(b'\n');
    bytes.extend(text.as_bytes());
    made.write_all(&bytes)?;
    std::fs::rename(&aside, &path)?;
    Ok(made.into())
}

/// None: there is none, or of an earlier version.
pub(super) fn read(record: BorrowedFd<'_>) -> Option<(RouterRecord, String)> {
    let text = String::from_utf8(sys::memory::read(record).ok()?).ok()?;
    let (head, text) = text.split_once('\n')?;
    Some((api::decode(head.as_bytes()).ok()?, text.to_owned()))
}

/// Its router is released.
pub(super) fn remove(socket: &Path, record: BorrowedFd<'_>) {
    if let Some((known, _)) = read(record) {
        let path = place(socket, &known.file, known.identity);
        if is_in_place(&path, record) {
            // The next desk would look at it, and find nothing to do.
            let _stays = std::fs::remove_file(path);
        }
    }
}

/// Another one may have been put there.
fn is_in_place(path: &Path, record: BorrowedFd<'_>) -> bool {
    let there = std::fs::symlink_metadata(path).map(|there| (there.dev(), there.ino())).ok();
    let own = rustix::fs::fstat(record).map(|own| (own.st_dev, own.st_ino)).ok();
    own.is_some() && own == there
}

/// Whether an address of it is in this namespace.
fn is_any_here(vips: &[Vip]) -> bool {
    let there = Netlink::open().and_then(|netlink| netlink.addresses()).unwrap_or_default();
    let mut addresses = vips.iter().flat_map(|vip| &vip.addresses);
    addresses.any(|address| there.iter().any(|here| here.ip == address.ip))
}

/// Looks for those that were killed: their addresses are taken off, unless that was done. What was done, and whether there is
/// more to do at once.
pub(super) fn sweep(socket: &Path) -> (Vec<String>, bool) {
    let (mut told, mut done) = (vec![], 0);
    // There is none before the first stand-in.
    let Ok(files) = std::fs::read_dir(folder(socket)) else { return (told, false) };
    let paths = files.flatten().map(|entry| entry.path());
    for path in paths.filter(|path| path.extension().is_none_or(|end| end != ASIDE)) {
        let Ok(file) = File::options().read(true).write(true).open(&path) else { continue };
        if file.try_lock().is_err() || !is_in_place(&path, file.as_fd()) {
            continue;
        }
        if done == AT_ONCE {
            return (told, true);
        }
        done += 1;
        if let Some((record, text)) = read(file.as_fd()) {
            told.extend(release(&record, text));
        }
        if let Err(error) = std::fs::remove_file(&path) {
            told.push(format!("cannot remove {}: {error}", path.display()));
        }
    }
    (told, false)
}

/// None: there was nothing to take off.
fn release(record: &RouterRecord, text: String) -> Option<String> {
    let netns = sys::netns::named(&record.netns).ok()?;
    if sys::netns::identity(netns.as_fd()).ok()? != record.identity {
        // Its own is gone, with its addresses.
        return None;
    }
    let work = || {
        let Some(known) = Known::of(&record.file, text) else {
            return Some("what it ran cannot be read any more".to_owned());
        };
        is_any_here(&known.vips).then(|| known.take_off())
    };
    let done = match sys::netns::within(netns.as_fd(), work) {
        Ok(done) => done?,
        Err(error) => format!("cannot be entered: {error}"),
    };
    Some(format!("{}: its stand-in was killed while nobody saw it: {done}", record.netns))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of this test.
    fn socket(test: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("outlast-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder.join("routers.sock")
    }

    #[test]
    fn a_record_of_one_that_lives_stays_and_one_of_a_dead_is_removed() {
        let socket = socket("records");
        let (live, dead) = ("/ha_confs/1/keepalived.conf", "/ha_confs/2/keepalived.conf");
        let first = write(&socket, live, "first").unwrap();
        let second = write(&socket, live, "second").unwrap();
        drop(first);
        drop(write(&socket, dead, "text").unwrap());
        let count = || std::fs::read_dir(folder(&socket)).unwrap().count();
        assert_eq!(count(), 2);
        assert_eq!(sweep(&socket), (vec![], false));
        assert_eq!(count(), 1);
        let (record, text) = read(second.as_fd()).unwrap();
        assert_eq!((record.file.as_str(), text.as_str()), (live, "second"));
        remove(&socket, second.as_fd());
        assert_eq!(count(), 0);
        std::fs::remove_dir_all(socket.parent().unwrap()).unwrap();
    }

    #[test]
    fn of_many_that_are_dead_some_wait_for_the_next_time() {
        let socket = socket("many-records");
        for number in 0..=AT_ONCE {
            drop(write(&socket, &format!("/{number}"), "").unwrap());
        }
        assert_eq!(sweep(&socket), (vec![], true));
        assert_eq!(sweep(&socket), (vec![], false));
        assert_eq!(std::fs::read_dir(folder(&socket)).unwrap().count(), 0);
        std::fs::remove_dir_all(socket.parent().unwrap()).unwrap();
    }
}
