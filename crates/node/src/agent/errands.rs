//! Commands for other nodes and from them: what [`engine::errand`] decides, carried out.
//!
//! ```text
//! a thread that answers an operator -> Desk -> loop -> datagrams -> loop of the other node -> a thread there
//! ```

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use engine::Buffer;
use engine::errand::{Action, Errands, Input, Key, Outcome, PATIENCE};
use engine::packet::{Kind, MAX_PACKET};

use super::command::Voice;
use super::{Agent, lock};

/// What a thread waits beyond the machine's patience, before it thinks that the loop is gone.
const GRACE: Duration = Duration::from_millis(500);

/// Does what another node asks, by its position; a text and a text, and whether it may be done twice.
pub(crate) type Doer = Arc<dyn Fn(u16, &[u8]) -> Did + Send + Sync>;

/// What a [`Doer`] came to.
pub(crate) struct Did {
    pub(crate) outcome: Result<Vec<u8>, String>,
    pub(crate) repeats: bool,
}

/// Is told what a request came to, on the agent's loop: it puts a message somewhere and returns.
type Tell = Box<dyn FnOnce(Outcome) + Send>;

/// From threads to the loop.
enum Letter {
    Ask { to: u16, text: Vec<u8>, tell: Tell },
    Did { key: Key, outcome: Outcome, repeats: bool },
}

/// Where threads leave what they want of other nodes.
#[derive(Clone)]
pub(crate) struct Desk {
    letters: Sender<Letter>,
    voice: Voice,
}

/// The answer of another node, that comes or not.
pub(crate) struct Promise {
    name: String,
    told: Receiver<Outcome>,
}

/// The loop's side.
pub(crate) struct Office {
    machine: Errands,
    letters: Receiver<Letter>,
    desk: Desk,
    waiting: HashMap<u64, Tell>,
    next: u64,
    does: Doer,
}

impl Desk {
    pub(crate) fn new(voice: Voice) -> (Self, Receive) {
        let (letters, received) = mpsc::channel();
        (Self { letters, voice }, Receive(received))
    }

    /// Asks a node, by its position and name.
    pub(crate) fn ask(&self, to: u16, name: &str, text: Vec<u8>) -> Promise {
        let (tell, told) = mpsc::channel();
        self.ask_then(to, text, move |outcome| {
            // Who asked may have gone away.
            let _ = tell.send(outcome);
        });
        Promise { name: name.to_owned(), told }
    }

    /// The same for who does not wait.
    pub(crate) fn ask_then(
        &self,
        to: u16,
        text: Vec<u8>,
        then: impl FnOnce(Outcome) + Send + 'static,
    ) {
        self.put(Letter::Ask { to, text, tell: Box::new(then) });
    }

    /// A letter that cannot be left is one that nobody answers.
    fn put(&self, letter: Letter) {
        if self.letters.send(letter).is_ok() {
            self.voice.knock();
        }
    }
}

/// What comes to the loop.
pub(crate) struct Receive(Receiver<Letter>);

impl Promise {
    /// Waits for it.
    ///
    /// # Errors
    /// In words for the operator: refused, or not known to be done.
    pub(crate) fn kept(self) -> Result<Vec<u8>, String> {
        let name = self.name;
        match self.told.recv_timeout(PATIENCE + GRACE) {
            Ok(Outcome::Done(text)) => Ok(text),
            Ok(Outcome::Refused(why)) => Err(String::from_utf8_lossy(&why).into_owned()),
            Ok(Outcome::Restarted) => {
                Err(format!("the agent of {name} has just been started again: nothing was done"))
            }
            Ok(Outcome::Silence) => Err(format!(
                "{name} did not answer for {} s on any network: it may have been done, and a version of \
                 outlast that takes no commands from other nodes never answers",
                PATIENCE.as_secs()
            )),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                Err("the agent of this node is too busy, or ending".to_owned())
            }
        }
    }
}

impl Office {
    pub(crate) fn new(life: u64, desk: Desk, letters: Receive, does: Doer) -> Self {
        let (machine, waiting) = (Errands::new(life), HashMap::new());
        Self { machine, letters: letters.0, desk, waiting, next: 1, does }
    }

    pub(crate) fn deadline(&self) -> base::Time {
        self.machine.deadline()
    }
}

impl Agent<'_> {
    /// What threads have left.
    pub(super) fn letters(&mut self) {
        while let Ok(letter) = self.office.letters.try_recv() {
            match letter {
                Letter::Ask { to, text, tell } => {
                    let (life, ways) = {
                        let core = lock(&self.core);
                        match (core.crowd(to), &core.member) {
                            (Some(gossip), _) => (gossip.life(to), gossip.ways(to)),
                            (None, Some(member)) => (member.life(to), member.ways(to)),
                            (None, None) => Default::default(),
                        }
                    };
                    let id = self.office.next;
                    self.office.next += 1;
                    self.office.waiting.insert(id, tell);
                    self.errand(Input::Ask { id, to, life, ways, text: &text });
                }
                Letter::Did { key, outcome, repeats } => {
                    self.errand(Input::Did { key, outcome, repeats });
                }
            }
        }
    }

    /// Feeds the machine and performs what it orders.
    pub(super) fn errand(&mut self, input: Input<'_>) {
        let mut out = Buffer::new();
        self.office.machine.step(sys::clock::now(), input, &mut out);
        for action in out.drain() {
            match action {
                Action::Send { kind, to, network, body } => self.carry(kind, (to, network), &body),
                Action::Do { key, text } => self.does(key, text),
                Action::Ended { id, outcome } => {
                    if let Some(tell) = self.office.waiting.remove(&id) {
                        tell(outcome);
                    }
                }
            }
        }
    }

    fn carry(&mut self, kind: Kind, (to, network): (u16, u8), body: &[u8]) {
        let mut packet = [0; MAX_PACKET];
        let length = {
            let mut core = lock(&self.core);
            let Some(seal) = core.seal_mut() else { return };
            seal.seal(kind, (to, network), body, &mut packet)
        };
        if let Some(beats) = self.beats.as_mut().filter(|_| length > 0) {
            beats.send_to(to, network, &packet[..length]);
        }
    }

    /// Beside the loop: it takes a disk's time.
    fn does(&self, key: Key, text: Vec<u8>) {
        let (does, desk) = (Arc::clone(&self.office.does), self.office.desk.clone());
        let work = move || {
            let Did { outcome, repeats } = does(key.asker, &text);
            let outcome = match outcome {
                Ok(text) => Outcome::Done(text),
                Err(why) => Outcome::Refused(why.into_bytes()),
            };
            desk.put(Letter::Did { key, outcome, repeats });
        };
        if std::thread::Builder::new().name("errand".to_owned()).spawn(work).is_err() {
            let outcome = Outcome::Refused(b"its agent has no thread to spare".to_vec());
            self.office.desk.put(Letter::Did { key, outcome, repeats: false });
        }
    }
}
