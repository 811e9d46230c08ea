//! Hears what nodes tell as it happens: one follower of each node's own events.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use api::{Answer, Ask, Event};
use base::Time;

/// An agent that is not there is asked again.
const AGAIN: Duration = Duration::from_millis(20);

/// One event, and when this process was told of it.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Whose log it is from.
    pub node: usize,
    pub at: Time,
    pub event: Event,
}

#[derive(Debug, Default)]
struct Shared {
    heard: Mutex<Vec<Heard>>,
    closed: AtomicBool,
}

#[derive(Debug)]
pub(super) struct Ears {
    shared: Arc<Shared>,
}

impl Ears {
    /// One thread per control socket. Each ends with its agent after [`Self::close`].
    pub(super) fn open(sockets: Vec<PathBuf>) -> Self {
        let shared = Arc::new(Shared::default());
        for (node, socket) in sockets.into_iter().enumerate() {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let mut after = 0;
                while !shared.closed.load(Ordering::Relaxed) {
                    // An agent that ended, or is not there yet, is asked again.
                    let _ended = follow(&socket, node, &mut after, &shared);
                    thread::sleep(AGAIN);
                }
            });
        }
        Self { shared }
    }

    pub(super) fn heard(&self) -> Vec<Heard> {
        self.shared.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn close(&self) {
        self.shared.closed.store(true, Ordering::Relaxed);
    }
}

/// Whether an event says something bad of a node.
#[must_use]
pub fn accuses(event: &Event) -> bool {
    match event.what.as_str() {
        "node-suspect" => true,
        "node-verdict" => !event.decision.starts_with("alive"),
        _ => false,
    }
}

/// Until the agent ends.
fn follow(socket: &Path, node: usize, after: &mut u64, shared: &Shared) -> io::Result<()> {
    let mut stream = UnixStream::connect(socket)?;
    let mut line = vec![];
    api::encode(&Ask::Events { after: *after, follow: true }, &mut line);
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut reader = BufReader::new(stream);
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let at = sys::clock::now();
        let Ok(Answer::Event(event)) = api::decode(line.trim_ascii()) else { return Ok(()) };
        *after = event.seq;
        let mut heard = shared.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.push(Heard { node, at, event });
    }
}
