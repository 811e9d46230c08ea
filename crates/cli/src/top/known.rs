//! What the screen shows: the last answer of an agent, how old it is, and what happened since.

use std::collections::VecDeque;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api::{Answer, Ask, Event, Status, Why};
use base::{Chain, Time};

use super::view::View;
use crate::reach::{self, ReachError, Socket};

/// Between two questions for the state: four times a second is as fast as an eye follows.
const ASK_EVERY: Duration = Duration::from_millis(250);
/// An answer older than this is shown as stale: three questions were not answered.
pub const STALE: Duration = Duration::from_millis(1000);
/// Before a broken stream of events, or an explanation, is asked for again.
const AGAIN: Duration = Duration::from_secs(1);
/// Events kept for the screen: more than any terminal has lines.
const MOST_EVENTS: usize = 200;
/// Events of before that are asked for.
const LAST: u32 = 100;

/// All that is known here.
#[derive(Clone, Debug, Default)]
pub struct Known {
    pub status: Option<Box<Status>>,
    /// When that answer came.
    pub answered: Option<Time>,
    /// Why there is no newer one.
    pub trouble: Option<String>,
    /// Oldest first.
    pub events: VecDeque<Event>,
    /// What was asked last, and what came.
    pub why: Option<(String, Result<Box<Why>, String>)>,
}

impl Known {
    /// Age of the answer; none before the first.
    #[must_use]
    pub fn age(&self, now: Time) -> Option<Duration> {
        self.answered.map(|at| now.since(at))
    }
}

/// Asks one agent all the time, until it is dropped.
#[derive(Debug)]
pub struct Source {
    socket: Socket,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    known: Mutex<Known>,
    stop: AtomicBool,
    /// When an explanation was last asked for.
    asked: Mutex<Time>,
    /// Signalled when the source is dropped.
    stopped: Condvar,
    /// The stream of events, so that a thread that reads it can be stopped.
    stream: Mutex<Option<UnixStream>>,
}

impl Source {
    /// Starts to ask at this control socket.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn start(socket: &Socket) -> std::io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let source = Self { socket: socket.clone(), shared };
        source.thread(ask_for_status)?;
        source.thread(follow_events)?;
        Ok(source)
    }

    #[must_use]
    pub fn known(&self) -> Known {
        self.shared.known().clone()
    }

    /// Asks again while an explanation is looked at, so that its ages are true.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn keep_up(&self, view: &View) -> std::io::Result<()> {
        let Some(object) = view.explained() else { return Ok(()) };
        let asked = *self.shared.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if sys::clock::now().since(asked) < AGAIN { Ok(()) } else { self.ask_why(object) }
    }

    /// Asks why `object` is as it is; the answer is in [`Known::why`] later.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn ask_why(&self, object: &str) -> std::io::Result<()> {
        let object = object.to_owned();
        *self.shared.asked.lock().unwrap_or_else(PoisonError::into_inner) = sys::clock::now();
        self.thread(move |socket, shared| {
            let question = Ask::Why { object: object.clone() };
            let answer = match reach::one(socket, &question) {
                Ok(Answer::Why(why)) => Ok(why),
                Ok(_) => Err("the agent answered another question".to_owned()),
                Err(error) => Err(Chain(&error).to_string()),
            };
            shared.known().why = Some((object, answer));
        })
    }

    fn thread(&self, work: impl FnOnce(&Socket, &Shared) + Send + 'static) -> std::io::Result<()> {
        let (socket, shared) = (self.socket.clone(), Arc::clone(&self.shared));
        let thread = std::thread::Builder::new().name("ask".to_owned());
        thread.spawn(move || work(&socket, &shared)).map(drop)
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.shared.stopped.notify_all();
        if let Some(stream) = self.shared.stream().take() {
            // Closed already: the thread that reads it has noticed.
            drop(stream.shutdown(Shutdown::Both));
        }
    }
}

impl Shared {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stream(&self) -> MutexGuard<'_, Option<UnixStream>> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits, at most so long; false once nobody looks any more.
    fn goes_on_after(&self, pause: Duration) -> bool {
        let known = self.known();
        if !self.stop.load(Ordering::Relaxed) {
            drop(self.stopped.wait_timeout(known, pause));
        }
        !self.stop.load(Ordering::Relaxed)
    }
}

fn ask_for_status(socket: &Socket, shared: &Shared) {
    loop {
        let answer = reach::status(socket);
        let mut known = shared.known();
        match answer {
            Ok(status) => {
                known.status = Some(status);
                known.answered = Some(sys::clock::now());
                known.trouble = None;
            }
            Err(error) => known.trouble = Some(Chain(&error).to_string()),
        }
        drop(known);
        if !shared.goes_on_after(ASK_EVERY) {
            return;
        }
    }
}

/// Of all nodes together; of this one where the agent cannot tell that.
fn follow_events(socket: &Socket, shared: &Shared) {
    let mut question = Ask::Timeline { last: LAST, follow: true };
    loop {
        let mut first = true;
        let followed = follow(socket, shared, &question, |event| {
            let mut known = shared.known();
            // What was known before is told again.
            if std::mem::take(&mut first) {
                known.events.clear();
            }
            if known.events.len() >= MOST_EVENTS {
                known.events.pop_front();
            }
            // What another node tells late belongs where it happened.
            let later = known.events.iter().rev().take_while(|other| other.at_ms > event.at_ms);
            let at = known.events.len() - later.count();
            known.events.insert(at, event);
        });
        if matches!(followed, Err(ReachError::Refused(_))) {
            question = Ask::Events { after: 0, follow: true };
        }
        if !shared.goes_on_after(AGAIN) {
            return;
        }
    }
}

fn follow(
    socket: &Socket,
    shared: &Shared,
    question: &Ask,
    mut each: impl FnMut(Event),
) -> Result<(), ReachError> {
    let stream = reach::put(socket, question)?;
    *shared.stream() = stream.try_clone().ok();
    if shared.stop.load(Ordering::Relaxed) {
        return Ok(());
    }
    reach::answers(&stream, |answer| {
        if let Answer::Event(event) = answer {
            each(event);
        }
        Ok(())
    })
}
