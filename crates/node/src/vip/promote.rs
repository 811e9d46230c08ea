//! `promote_secondaries` of devices, where an instance asks for it: what was before is there again at the end, also of a process that
//! was killed.
//!
//! Before a switch is turned a file says so, in a folder that does not outlive the kernel. Whoever finds one that nobody holds
//! turns the switch back.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use api::{Mode, Start};
use sys::device::{self, Family};

use super::Driver;

/// A switch of the kernel.
const SWITCH: &str = "promote_secondaries";

/// Devices that keep other addresses while this process is there, and did not before.
#[derive(Debug, Default)]
pub(super) struct Promoted {
    /// None: nothing is remembered.
    notes: Option<Notes>,
    /// With what says so, locked while this process is there.
    devices: Vec<(String, Option<File>)>,
}

/// Files of one network namespace.
#[derive(Debug)]
struct Notes {
    folder: PathBuf,
    prefix: String,
}

impl Promoted {
    pub(super) fn new(start: &Start) -> Self {
        Self { notes: Notes::of(start), devices: vec![] }
    }

    /// Turns back what a process before turned that was killed; what is wanted now stays.
    fn look_for_left(&mut self, wanted: &[&str]) {
        let Some(notes) = &self.notes else { return };
        for device in notes.devices() {
            // Whoever holds it is alive.
            let Some(file) = notes.lock(&device) else { continue };
            if wanted.contains(&device.as_str()) {
                self.devices.push((device, Some(file)));
            } else {
                put_back(&device);
                notes.forget(&device);
            }
        }
    }

    fn promote(&mut self, device: &str) {
        if self.devices.iter().any(|(known, _)| known == device) {
            // One that was made anew meanwhile is as all are.
            let _gone = device::write(Family::V4, device, SWITCH, 1);
            return;
        }
        if device::read(Family::V4, device, SWITCH).is_ok_and(|before| before == 0) {
            let note = self.notes.as_ref().and_then(|notes| notes.lock(device));
            if device::write(Family::V4, device, SWITCH, 1).is_ok() {
                self.devices.push((device.to_owned(), note));
            } else if let Some(notes) = &self.notes {
                notes.forget(device);
            }
        }
    }

    pub(super) fn demote(&mut self) {
        for (device, _note) in self.devices.drain(..) {
            put_back(&device);
            if let Some(notes) = &self.notes {
                notes.forget(&device);
            }
        }
    }
}

fn put_back(device: &str) {
    // One that is gone has no switch.
    let _gone = device::write(Family::V4, device, SWITCH, 0);
}

impl Notes {
    /// Under a peer's name each process has a run folder of its own, which the next one does not know: what is remembered lies
    /// beside it.
    fn of(start: &Start) -> Option<Self> {
        let run = Path::new(&start.run_dir);
        let folder = if start.mode == Mode::Adaptive { Some(run) } else { run.parent() };
        let folder = folder.filter(|folder| !folder.as_os_str().is_empty())?;
        let namespace = fs::read_link("/proc/thread-self/ns/net").ok()?;
        let number: String =
            namespace.to_string_lossy().chars().filter(char::is_ascii_digit).collect();
        Some(Self { folder: folder.to_owned(), prefix: format!("promoted-{number}-") })
    }

    fn path(&self, device: &str) -> PathBuf {
        self.folder.join(format!("{}{device}", self.prefix))
    }

    fn devices(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        names.filter_map(|name| name.strip_prefix(&self.prefix).map(str::to_owned)).collect()
    }

    /// None: somebody else holds it, or the folder takes nothing.
    fn lock(&self, device: &str) -> Option<File> {
        let mut options = File::options();
        options.create(true).write(true).truncate(false);
        let file = options.open(self.path(device)).ok()?;
        file.try_lock().ok()?;
        Some(file)
    }

    fn forget(&self, device: &str) {
        // One that stays makes the next process turn back a switch that is as it was.
        let _stays = fs::remove_file(self.path(device));
    }
}

impl Driver<'_> {
    /// Where an instance asks for it; what the kernel does not take changes nothing.
    pub(super) fn promote(&mut self) {
        let wanted = self.instances.iter().filter(|it| it.vip.promotes_secondaries);
        let wanted: Vec<&str> = wanted.map(|it| it.vip.interface.as_str()).collect();
        self.around.promoted.look_for_left(&wanted);
        for device in wanted {
            self.around.promoted.promote(device);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The folder of a test, gone with it.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("outlast-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn promoted(&self) -> Promoted {
            let notes = Notes { folder: self.0.clone(), prefix: "promoted-7-".to_owned() };
            Promoted { notes: Some(notes), devices: vec![] }
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _gone = fs::remove_dir_all(&self.0);
        }
    }

    fn switch() -> i32 {
        device::read(Family::V4, "lo", SWITCH).unwrap()
    }

    #[test]
    fn what_a_killed_process_turned_is_turned_back_and_what_a_living_one_turned_is_not() {
        let test = "vip::promote::tests::what_a_killed_process_turned_is_turned_back_and_what_a_living_one_turned_is_not";
        if !crate::vip::tests::network::may_make_networks(test) {
            return;
        }
        let folder = Folder::new("promoted");
        let netns = sys::netns::create().unwrap();
        let work = || {
            device::write(Family::V4, "lo", SWITCH, 0).unwrap();
            let mut killed = folder.promoted();
            killed.promote("lo");
            assert_eq!(switch(), 1);
            // While it lives nobody turns it back, another one that wants the same neither.
            folder.promoted().look_for_left(&[]);
            let mut beside = folder.promoted();
            beside.promote("lo");
            beside.demote();
            assert_eq!(switch(), 1);
            // Of a process that is killed the files are closed, and nothing else happens.
            drop(killed);
            assert_eq!(switch(), 1);
            let mut next = folder.promoted();
            next.look_for_left(&["lo"]);
            next.promote("lo");
            assert_eq!((switch(), next.devices.len()), (1, 1), "it is wanted still");
            drop(next);
            folder.promoted().look_for_left(&[]);
            assert_eq!(switch(), 0, "nobody wants it any more");
            assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 0, "nothing is left of it");
            let mut last = folder.promoted();
            last.promote("lo");
            last.demote();
            assert_eq!((switch(), fs::read_dir(&folder.0).unwrap().count()), (0, 0));
        };
        sys::netns::within(std::os::fd::AsFd::as_fd(&netns), work).unwrap();
    }
}
