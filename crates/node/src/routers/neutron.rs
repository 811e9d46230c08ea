//! Tells neutron's agent how routers stand, in ordinary threads: neither its disk nor its answer delays an advert.
//!
//! As `neutron-keepalived-state-change` does it: the file `state` beside the router's configuration, and a request on the
//! agent's socket whose headers say which router and what it is.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use api::MAX_MESSAGE;
use api::router::WatchEntry;
use serde::{Deserialize, Serialize};
use sys::channel::Channel;
use sys::poll::{Interest, Poller};

/// So many may be told at the same time: an agent that starts answers slowly.
const THREADS: usize = 4;
/// A message, an answer and a few small buffers (bytes).
const STACK: usize = 128 * 1024;
/// An agent that does not answer in so long is asked again.
const PATIENCE: Duration = Duration::from_secs(5);
/// What a stand-in said, in one message, and what is said beside it (bytes).
const LONGEST: usize = 2 * MAX_MESSAGE;

/// One telling.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Job {
    pub(super) number: u64,
    pub(super) primary: bool,
    /// What the agent calls that.
    pub(super) word: String,
    pub(super) watch: WatchEntry,
    /// Numbers of the descriptors of its folders.
    pub(super) folders: Vec<RawFd>,
}

/// What came of it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Outcome {
    pub(super) number: u64,
    pub(super) primary: bool,
    /// Why the agent has not heard it.
    pub(super) error: Option<String>,
}

/// The threads. They end when this does.
#[derive(Debug)]
pub(super) struct Neutron {
    jobs: Channel,
    buffer: Vec<u8>,
    /// Folders that a thread may be looking into: they stay open until it has answered.
    going: BTreeMap<u64, Arc<[OwnedFd]>>,
}

impl Neutron {
    /// Before the calling thread is a real-time one.
    pub(super) fn start() -> io::Result<Self> {
        let (jobs, taken) = Channel::pair()?;
        let taken = Arc::new(taken);
        for _ in 0..THREADS {
            let taken = Arc::clone(&taken);
            let thread = std::thread::Builder::new().name("outlast-neutron".to_owned());
            thread.stack_size(STACK).spawn(move || work(&taken))?;
        }
        Ok(Self { jobs, buffer: vec![0; LONGEST], going: BTreeMap::new() })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.jobs.as_fd()
    }

    /// False: too many are on their way. `folders`: where the router's files are, and where the agent listens; none: they are
    /// found by their names.
    pub(super) fn tell(&mut self, mut job: Job, folders: &Arc<[OwnedFd]>) -> bool {
        job.folders = folders.iter().map(AsRawFd::as_raw_fd).collect();
        let mut bytes = vec![];
        api::encode(&job, &mut bytes);
        let sent = self.jobs.send(&bytes, &[]).is_ok();
        if sent {
            self.going.insert(job.number, Arc::clone(folders));
        }
        sent
    }

    pub(super) fn outcome(&mut self) -> Option<Outcome> {
        let length = self.jobs.receive(&mut self.buffer, &mut vec![]).ok()?;
        let outcome: Outcome = api::decode(&self.buffer[..length]).ok()?;
        self.going.remove(&outcome.number);
        Some(outcome)
    }
}

fn work(jobs: &Channel) {
    let Ok(poller) = Poller::new() else { return };
    if poller.add(jobs.as_fd(), 0, Interest::READ).is_err() {
        return;
    }
    let (mut ready, mut buffer) = (Vec::with_capacity(1), vec![0; LONGEST]);
    loop {
        match jobs.receive(&mut buffer, &mut vec![]) {
            Ok(0) => return,
            Ok(length) => {
                let Ok(job) = api::decode::<Job>(&buffer[..length]) else { continue };
                let error = tell(&job).err().map(|error| error.to_string());
                let outcome = Outcome { number: job.number, primary: job.primary, error };
                let mut bytes = vec![];
                api::encode(&outcome, &mut bytes);
                // There are no more outcomes than jobs, which had room.
                let _gone = jobs.send(&bytes, &[]);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if poller.wait(&mut ready, None).is_err() {
                    return;
                }
            }
            Err(_) => return,
        }
    }
}

fn tell(job: &Job) -> io::Result<()> {
    let watch = &job.watch;
    let by_number = |folder: &RawFd| PathBuf::from(format!("/proc/self/fd/{folder}"));
    let (folder, agent) = match &job.folders[..] {
        // Whatever these are called where the agent is.
        [folder, agent] => {
            let name = Path::new(&watch.agent).file_name().unwrap_or_default();
            (by_number(folder), by_number(agent).join(name))
        }
        _ => (PathBuf::from(&watch.folder), PathBuf::from(&watch.agent)),
    };
    let written = write_state(&folder, watch, &job.word);
    request(&agent, &watch.router, &job.word)?;
    written
}

/// The agent reads it, and writes it itself when it starts: it has to stay its own.
fn write_state(folder: &Path, watch: &WatchEntry, word: &str) -> io::Result<()> {
    let path = folder.join("state");
    let is_new = path.symlink_metadata().is_err();
    // The folder is the agent's, and this process is root: nothing is written behind a link.
    let flags = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    let mut options = File::options();
    options.write(true).create(true).truncate(true).custom_flags(flags);
    let mut file = options.open(&path)?;
    file.write_all(word.as_bytes())?;
    if let Some((user, group)) = watch.owner.filter(|_| is_new) {
        std::os::unix::fs::fchown(&file, Some(user), Some(group))?;
    }
    Ok(())
}

/// What the agent's server hears: a request without a body, by HTTP/1.1.
fn question(router: &str, word: &str) -> String {
    format!(
        "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Neutron-Router-Id: {router}\r\nX-Neutron-State: {word}\r\n\
         Accept-Encoding: identity\r\nConnection: close\r\n\r\n"
    )
}

fn request(agent: &Path, router: &str, word: &str) -> io::Result<()> {
    let mut stream = UnixStream::connect(agent)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(question(router, word).as_bytes())?;
    let mut head = [0; 12];
    stream.read_exact(&mut head)?;
    match &head {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', _, b' ', b'2', b'0', b'0'] => Ok(()),
        other => Err(io::Error::other(format!(
            "the agent answered `{}`",
            String::from_utf8_lossy(other).escape_debug()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    /// An agent that answers once with these bytes; what it heard.
    fn asked(answer: &'static str) -> (io::Result<()>, String) {
        let path = std::env::temp_dir().join(format!(
            "outlast-agent-{}-{}",
            std::process::id(),
            answer.len()
        ));
        let listener = UnixListener::bind(&path).unwrap();
        let agent = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut heard, mut bytes) = (vec![], [0; 512]);
            while !heard.ends_with(b"\r\n\r\n") {
                let length = stream.read(&mut bytes).unwrap();
                heard.extend_from_slice(&bytes[..length]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(heard).unwrap()
        });
        let told = request(&path, "4f1c", "primary");
        let heard = agent.join().unwrap();
        std::fs::remove_file(&path).unwrap();
        (told, heard)
    }

    fn job(number: u64, folder: &str) -> Job {
        let watch = WatchEntry {
            pid: 1,
            router: "4f1c".to_owned(),
            folder: folder.to_owned(),
            interface: "ha-1".to_owned(),
            cidr: "169.254.0.1/24".to_owned(),
            agent: "/there/is/none".to_owned(),
            owner: None,
            told: None,
        };
        Job { number, primary: true, word: "primary".to_owned(), watch, folders: vec![] }
    }

    fn outcome(neutron: &mut Neutron) -> Outcome {
        let (poller, mut ready) = (Poller::new().unwrap(), Vec::with_capacity(1));
        poller.add(neutron.fd(), 0, Interest::READ).unwrap();
        poller.wait(&mut ready, Some(Duration::from_secs(20))).unwrap();
        neutron.outcome().expect("a thread has answered")
    }

    #[test]
    fn as_many_long_tellings_as_there_are_threads_end_none_of_them() {
        let mut neutron = Neutron::start().unwrap();
        let long = format!("/{}", "x".repeat(MAX_MESSAGE - 1000));
        for number in 0..5 {
            assert!(neutron.tell(job(number, &long), &Arc::from([])));
            let outcome = outcome(&mut neutron);
            assert_eq!((outcome.number, outcome.error.is_some()), (number, true));
        }
    }

    #[test]
    fn folders_that_are_handed_over_stand_for_those_of_the_names() {
        let folder = std::env::temp_dir().join(format!("outlast-handed-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let opened = || OwnedFd::from(File::open(&folder).unwrap());
        let mut neutron = Neutron::start().unwrap();
        assert!(neutron.tell(job(1, "/there/is/none"), &Arc::from([opened(), opened()])));
        // Nobody listens there; the state is written all the same.
        assert!(outcome(&mut neutron).error.is_some());
        assert_eq!(std::fs::read_to_string(folder.join("state")).unwrap(), "primary");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn the_agent_is_asked_as_neutrons_own_program_asks_it() {
        let (told, heard) = asked("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        told.unwrap();
        assert!(heard.starts_with("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n"), "{heard}");
        assert!(heard.contains("\r\nX-Neutron-Router-Id: 4f1c\r\n"), "{heard}");
        assert!(heard.contains("\r\nX-Neutron-State: primary\r\n"), "{heard}");
    }

    #[test]
    fn a_state_is_written_into_its_file_and_never_behind_a_link() {
        use std::fs;
        let folder = std::env::temp_dir().join(format!("outlast-state-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let watch = WatchEntry {
            pid: 0,
            router: "4f1c".to_owned(),
            folder: folder.display().to_string(),
            interface: "ha-1".to_owned(),
            cidr: "169.254.0.1/24".to_owned(),
            agent: String::new(),
            owner: None,
            told: None,
        };
        let (state, other) = (folder.join("state"), folder.join("other"));
        for word in ["primary", "backup"] {
            write_state(&folder, &watch, word).unwrap();
            assert_eq!(fs::read_to_string(&state).unwrap(), word);
        }
        // Whoever owns the folder would have root write into a file of his choice, or make one.
        for there in [Some("precious"), None] {
            fs::remove_file(&state).unwrap();
            let _absent = fs::remove_file(&other);
            if let Some(text) = there {
                fs::write(&other, text).unwrap();
            }
            std::os::unix::fs::symlink(&other, &state).unwrap();
            let refused = write_state(&folder, &watch, "primary").unwrap_err();
            assert_eq!(refused.raw_os_error(), Some(rustix::io::Errno::LOOP.raw_os_error()));
            assert_eq!(fs::read_to_string(&other).ok().as_deref(), there);
        }
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn another_answer_than_200_is_none() {
        for answer in ["HTTP/1.1 500 Oh\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n", "HTTP"] {
            assert!(asked(answer).0.is_err(), "{answer}");
        }
    }
}
