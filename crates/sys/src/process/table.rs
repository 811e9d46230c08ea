//! Which processes there are.

use std::fs;

/// A process that runs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    pub pid: i32,
    /// As the kernel calls it: at most 15 bytes.
    pub name: String,
}

/// All that run now; who has ended and was not reaped does not. What comes or goes meanwhile may be there or not.
#[must_use]
pub fn all() -> Vec<Entry> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(entry).collect()
}

fn entry(pid: i32) -> Option<Entry> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    // `pid (name) state ...`, and a name may have anything in it.
    let start = stat.iter().position(|byte| *byte == b'(')? + 1;
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let has_ended = matches!(stat.get(end + 2), None | Some(b'Z' | b'X'));
    let name = String::from_utf8_lossy(stat.get(start..end)?).into_owned();
    (!has_ended).then_some(Entry { pid, name })
}

/// The program and the arguments that a process was started with; empty where it is gone, or is of the kernel.
#[must_use]
pub fn words(pid: i32) -> Vec<Vec<u8>> {
    let text = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let text = text.strip_suffix(&[0]).unwrap_or(&text);
    if text.is_empty() {
        return Vec::new();
    }
    text.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_runs_is_listed_with_its_words() {
        let own = i32::try_from(std::process::id()).expect("a pid");
        let name = fs::read_to_string("/proc/self/comm").expect("it has a name");
        let found = all().into_iter().find(|entry| entry.pid == own).expect("it runs");
        // The name of the process is that of its first thread, which this one may not be.
        assert!(!found.name.is_empty() && !name.is_empty());
        let first = std::env::args().next().expect("a program");
        assert_eq!(words(own).first().map(Vec::as_slice), Some(first.as_bytes()));
        assert_eq!(words(-1), Vec::<Vec<u8>>::new());
        let mut child = std::process::Command::new("true").spawn().expect("it starts");
        let pid = i32::try_from(child.id()).expect("a pid");
        let ended = crate::process::watch(pid).expect("it was not reaped");
        let poller = crate::poll::Poller::new().expect("a poller");
        poller
            .add(std::os::fd::AsFd::as_fd(&ended), 1, crate::poll::Interest::READ)
            .expect("it can be polled");
        poller.wait(&mut Vec::new(), None).expect("it ends");
        assert!(all().iter().all(|entry| entry.pid != pid), "who has ended does not run");
        child.wait().expect("it ended");
    }
}
