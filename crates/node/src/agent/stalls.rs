//! Disks and mounts that do not answer, seen from threads of their own: what hangs there hangs nobody else.
//!
//! One thread for the folder of this node's state and one per network mount asks the kernel again and
//! again, and notes when it began to. Whoever looks at that note never waits. The list of mounts is read
//! again and again too: file systems come and go while a node runs. Reading it asks no file system.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use base::Time;
use engine::evidence::{Ailment, Ailments};

/// How often each is asked: a hung one is known as soon as an operator looks, and a disk of an idle
/// node may sleep in between.
const EVERY: Duration = Duration::from_secs(5);
/// A busy disk may take seconds for one block; this long it is stuck.
const DISK_HUNG: Duration = Duration::from_secs(5);
/// A file server in the same building answers in milliseconds.
const MOUNT_HUNG: Duration = Duration::from_secs(2);
/// Threads at most: one each, and a node with more mounts has other troubles.
const MOST_MOUNTS: usize = 16;
/// A question needs no more (bytes).
const STACK: usize = 128 * 1024;
/// The file in the state folder that is written and synchronised.
const PULSE: &str = "pulse";
/// Kinds of file systems that wait for somebody else.
const REMOTE: [&str; 8] = ["nfs", "nfs4", "cifs", "smb3", "ceph", "9p", "afs", "lustre"];

/// All that is watched.
#[derive(Debug, Default)]
pub(crate) struct Stalls(Mutex<Vec<Arc<Watched>>>);

#[derive(Debug)]
struct Watched {
    ailment: Ailment,
    path: PathBuf,
    hung_after: Duration,
    /// When the question that has no answer was asked, in nanoseconds; 0: there is none.
    asked: AtomicU64,
    /// It is no mount any more: its thread ends with the answer it waits for.
    is_gone: AtomicBool,
}

impl Stalls {
    /// Watches the state folder, and the network mounts that there are at any time.
    pub(crate) fn start(state_dir: &Path) -> Arc<Self> {
        let stalls = Arc::new(Self::default());
        let pulse = state_dir.join(PULSE);
        // An error is an answer: a full disk is told by the event log.
        stalls.watch(Ailment::Disk, state_dir, DISK_HUNG, move || drop(write(&pulse)));
        let list = Arc::clone(&stalls);
        let listing = move || {
            loop {
                let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
                list.follow(&remote_mounts(&mounts));
                thread::sleep(EVERY);
            }
        };
        let thread = thread::Builder::new().name("mounts".to_owned()).stack_size(STACK);
        // Without this thread mounts are not watched, and the disk is.
        let _runs = thread.spawn(listing);
        stalls
    }

    /// Watches mounts that came, and forgets those that went; both by their place.
    fn follow(&self, mounts: &[PathBuf]) {
        self.all().retain(|watched| {
            let stays = watched.ailment != Ailment::Mount || mounts.contains(&watched.path);
            watched.is_gone.store(!stays, Ordering::Relaxed);
            stays
        });
        for mount in mounts {
            let (is_known, count) = {
                let all = self.all();
                let mut watched = all.iter().filter(|it| it.ailment == Ailment::Mount);
                (watched.clone().any(|it| it.path == *mount), watched.by_ref().count())
            };
            if !is_known && count < MOST_MOUNTS {
                let path = mount.clone();
                self.watch(Ailment::Mount, mount, MOUNT_HUNG, move || {
                    drop(fs::metadata(&path));
                    drop(fs::read_dir(&path).map(|mut entries| entries.next()));
                });
            }
        }
    }

    fn all(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Watched>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A thread that cannot be had leaves that place unwatched.
    fn watch(
        &self,
        ailment: Ailment,
        path: &Path,
        hung_after: Duration,
        mut ask: impl FnMut() + Send + 'static,
    ) {
        let watched = Arc::new(Watched {
            ailment,
            path: path.to_owned(),
            hung_after,
            asked: AtomicU64::new(0),
            is_gone: AtomicBool::new(false),
        });
        let note = Arc::clone(&watched);
        let asking = move || {
            while !note.is_gone.load(Ordering::Relaxed) {
                note.asked.store(sys::clock::now().as_nanos().max(1), Ordering::Relaxed);
                ask();
                note.asked.store(0, Ordering::Relaxed);
                thread::sleep(EVERY);
            }
        };
        let thread = thread::Builder::new().name("stall".to_owned()).stack_size(STACK);
        if thread.spawn(asking).is_ok() {
            self.all().push(watched);
        }
    }

    /// What does not answer now.
    pub(crate) fn ailments(&self, now: Time) -> Ailments {
        let mut ailments = Ailments::NONE;
        for watched in self.hung(now) {
            ailments.set(watched.ailment, true);
        }
        ailments
    }

    /// The same in words, for `status`.
    pub(crate) fn words(&self, now: Time) -> impl Iterator<Item = String> {
        self.hung(now).into_iter().map(move |watched| {
            let asked = Time::from_nanos(watched.asked.load(Ordering::Relaxed));
            let seconds = now.since(asked).as_secs();
            format!("{} has not answered for {seconds} s", watched.path.display())
        })
    }

    fn hung(&self, now: Time) -> Vec<Arc<Watched>> {
        let mut hung = self.all().clone();
        hung.retain(|watched| {
            let asked = watched.asked.load(Ordering::Relaxed);
            asked != 0 && now.since(Time::from_nanos(asked)) > watched.hung_after
        });
        hung
    }
}

/// One block all the way to the disk.
fn write(pulse: &Path) -> std::io::Result<()> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(pulse)?;
    file.write_all_at(b"pulse\n", 0)?;
    file.sync_data()
}

/// Where file systems of others are mounted, from the text of `/proc/self/mountinfo` (proc(5)):
/// `36 35 98:0 / /mnt/a\040b rw master:1 - nfs4 server:/ rw`.
fn remote_mounts(mountinfo: &str) -> Vec<PathBuf> {
    let place = |line: &str| {
        let (before, after) = line.split_once(" - ")?;
        let kind = after.split(' ').next()?;
        let is_remote = REMOTE.contains(&kind) || kind.starts_with("fuse.");
        let place = before.split(' ').nth(4).filter(|_| is_remote)?;
        Some(PathBuf::from(unescaped(place)))
    };
    mountinfo.lines().filter_map(place).collect()
}

/// `\040` is a space: the kernel writes blanks and backslashes as three octal digits.
fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let code = after.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(code) if code.is_ascii() => {
                out.push(char::from(code));
                rest = &after[3..];
            }
            Some(_) | None => {
                out.push('\\');
                rest = after;
            }
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn what_hangs_is_told_and_hangs_nobody() {
        let (answer, wait) = mpsc::channel::<()>();
        let (begun, begins) = mpsc::channel();
        let stalls = Stalls::default();
        stalls.watch(Ailment::Mount, Path::new("/mnt/nfs"), MOUNT_HUNG, move || {
            begun.send(()).unwrap();
            // Until the test drops its end: as a mount whose server is gone.
            let _ = wait.recv();
        });
        begins.recv().unwrap();
        let asked = Time::from_nanos(stalls.all()[0].asked.load(Ordering::Relaxed));
        assert!(stalls.ailments(asked + MOUNT_HUNG).is_empty(), "not yet");
        let later = asked + Duration::from_millis(2001);
        assert_eq!(stalls.ailments(later).iter().collect::<Vec<_>>(), [Ailment::Mount]);
        assert_eq!(stalls.words(later).collect::<Vec<_>>(), ["/mnt/nfs has not answered for 2 s"]);
        drop(answer);
        let deadline = sys::clock::now() + Duration::from_secs(10);
        while !stalls.ailments(later).is_empty() {
            assert!(sys::clock::now() < deadline, "it answered and is still called hung");
            thread::yield_now();
        }
    }

    #[test]
    fn a_mount_that_comes_later_is_watched_and_one_that_went_is_not() {
        let stalls = Stalls::default();
        let places = |stalls: &Stalls| -> Vec<PathBuf> {
            stalls.all().iter().map(|watched| watched.path.clone()).collect()
        };
        let [one, two] = ["/nowhere/one", "/nowhere/two"].map(PathBuf::from);
        stalls.watch(Ailment::Disk, Path::new("/nowhere"), DISK_HUNG, || {});
        stalls.follow(std::slice::from_ref(&one));
        stalls.follow(&[one.clone(), two.clone()]);
        assert_eq!(places(&stalls), [Path::new("/nowhere"), &one, &two]);
        let gone = Arc::clone(&stalls.all()[1]);
        stalls.follow(std::slice::from_ref(&two));
        assert_eq!(places(&stalls), [Path::new("/nowhere"), &two]);
        assert!(gone.is_gone.load(Ordering::Relaxed), "its thread ends");
        let many: Vec<PathBuf> = (0..100).map(|n| PathBuf::from(format!("/nowhere/{n}"))).collect();
        stalls.follow(&many);
        assert_eq!(places(&stalls).len(), 1 + MOST_MOUNTS, "bounded");
    }

    #[test]
    fn a_disk_that_answers_is_no_ailment() {
        let folder = std::env::temp_dir().join(format!("outlast-stalls-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        write(&folder.join(PULSE)).unwrap();
        write(&folder.join(PULSE)).unwrap();
        assert_eq!(fs::read(folder.join(PULSE)).unwrap(), b"pulse\n");
        fs::remove_dir_all(&folder).unwrap();
        assert!(write(&folder.join(PULSE)).is_err(), "an error is an answer, too");
    }

    #[test]
    fn file_systems_of_others_are_found_by_their_kind() {
        let text = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
                    36 22 0:42 / /mnt/a\\040b rw,relatime shared:1 - nfs4 server:/x rw\n\
                    37 22 0:43 / /var/lib/glance rw - fuse.glusterfs host:/v rw\n\
                    38 22 0:44 / /mnt/c\\d rw - cifs //host/s rw\n\
                    39 22 0:45 / /proc rw - proc proc rw\n\
                    torn line - nfs\n";
        let found = remote_mounts(text);
        let expected = ["/mnt/a b", "/var/lib/glance", "/mnt/c\\d"].map(PathBuf::from);
        assert_eq!(found, expected);
    }
}
