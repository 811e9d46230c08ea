//! Steps of intents that are for this node: what [`engine::intent::Receiver`] decides, carried out.
//!
//! ```text
//!   order --> Receiver --> kept on disk --> done by a thread --> kept --> the answer, when it is asked again
//! ```
//!
//! The coordinator orders a step again and again until it hears that it has ended, so an order waits here
//! a moment for that, and says that it goes on otherwise.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api::{Carried, Event, StepOrder};
use base::Chain;
use engine::Buffer;
use engine::intent::{At, Damage, Duty, Order, Receiver, Step, Word};
use engine::kv::Token;

/// In the state folder, in the order in which they are written: a disk that damages one of them leaves the other.
pub(in crate::agent) const FILES: [&str; 2] = ["steps", "steps.copy"];
/// How long an order waits for the end of its step: shorter than [`engine::errand::PATIENCE`].
const WAIT: Duration = Duration::from_secs(2);

/// Between two tries to write to a disk that does not take it.
const KEEP_AGAIN: Duration = Duration::from_secs(1);

/// What a node can do for the cluster.
pub(crate) trait Does: Send + Sync {
    fn me(&self) -> &str;
    /// Does a step; returns when it can be seen that it is done.
    ///
    /// # Errors
    /// In words, why it is not.
    fn perform(&self, what: &Step, by: &str) -> Result<(), String>;
    /// Whether a step that was begun is done already.
    fn is_done(&self, what: &Step) -> bool;
    fn tell(&self, event: Event);
    /// An order was refused as stale.
    fn count_stale(&self);
}

/// What this node knows of the steps that it did.
pub(crate) struct Steps {
    deeds: Box<dyn Does>,
    folder: PathBuf,
    receiver: Mutex<Receiver>,
    ended: Condvar,
}

impl Steps {
    /// As the process before this one kept it.
    pub(crate) fn open(deeds: Box<dyn Does>, folder: &Path) -> Arc<Self> {
        let copies = FILES.map(|name| match fs::read(folder.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            // What cannot be read is as good as damaged.
            read => Some(read.unwrap_or_default()),
        });
        let (receiver, damage) = Receiver::revive(copies.each_ref().map(|copy| copy.as_deref()));
        if let Some(damage) = damage {
            deeds.tell(unreadable(deeds.me(), folder, damage));
        }
        let receiver = Mutex::new(receiver.restarted());
        Arc::new(Self { deeds, folder: folder.to_owned(), receiver, ended: Condvar::new() })
    }

    /// Does a step, once, whoever orders it how often.
    ///
    /// # Errors
    /// In words, when it is for another node or cannot be kept: nothing was begun.
    pub(crate) fn order(self: &Arc<Self>, order: StepOrder) -> Result<Carried, String> {
        let StepOrder { token, incarnation, number, step, what, by } = order;
        if what.node != self.deeds.me() {
            return Err(format!("that is for {}, and this is {}", what.node, self.deeds.me()));
        }
        let what = Step { node: what.node, verb: what.verb, object: what.object };
        let at = At { incarnation, number, step };
        let ordered = Order { token: Token(token), at, what };
        let mut receiver = self.lock();
        if self.feed(&mut receiver, Word::Ordered(ordered), &by)? {
            let newest = receiver.newest().map_or(0, |token| token.0);
            let known = receiver.incarnation().filter(|known| *known > incarnation);
            drop(receiver);
            self.refused(token, newest, (at, known));
            return Ok(Carried::Stale(newest));
        }
        let is_open = |receiver: &mut Receiver| receiver.outcome(at).is_none();
        let waited = self.ended.wait_timeout_while(receiver, WAIT, is_open);
        let receiver = waited.unwrap_or_else(PoisonError::into_inner).0;
        Ok(match receiver.outcome(at) {
            None => Carried::Begun,
            Some(Ok(())) => Carried::Done,
            Some(Err(why)) => Carried::Failed(why),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Receiver> {
        self.receiver.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Feeds the machine and performs what it orders; whether the token is too old.
    fn feed(
        self: &Arc<Self>,
        receiver: &mut Receiver,
        word: Word,
        by: &str,
    ) -> Result<bool, String> {
        let before = receiver.clone();
        let mut out = Buffer::new();
        receiver.step(word, &mut out);
        let mut is_stale = false;
        for duty in out.drain() {
            match duty {
                Duty::Keep => {
                    if let Err(error) = write(&self.folder, &receiver.encode()) {
                        // What is not on the disk has not happened.
                        *receiver = before;
                        let folder = self.folder.display();
                        return Err(format!(
                            "cannot keep that in {folder}, so nothing is done: {}",
                            Chain(&error)
                        ));
                    }
                }
                Duty::Do { at, what } => {
                    if !self.begin(at, what, by, false) {
                        self.feed(receiver, no_thread(at), by)?;
                    }
                }
                Duty::Look { at, what } => {
                    if !self.begin(at, what, by, true) {
                        self.feed(receiver, no_thread(at), by)?;
                    }
                }
                // Whoever ordered it waits for the outcome, or asks again.
                Duty::Answer { .. } => self.ended.notify_all(),
                Duty::Stale => is_stale = true,
            }
        }
        Ok(is_stale)
    }

    /// Beside whoever orders: it takes as long as it takes. False: there is no thread to do it.
    fn begin(self: &Arc<Self>, at: At, what: Step, by: &str, looks: bool) -> bool {
        let (steps, by) = (Arc::clone(self), by.to_owned());
        let work = move || {
            let word = if looks {
                Word::Looked { at, is_done: steps.deeds.is_done(&what) }
            } else {
                Word::Ended { at, outcome: steps.deeds.perform(&what, &by) }
            };
            // What cannot be kept is not answered: this process would forget it.
            while steps.feed(&mut steps.lock(), word.clone(), &by).is_err() {
                std::thread::sleep(KEEP_AGAIN);
            }
        };
        std::thread::Builder::new().name("step".to_owned()).spawn(work).is_ok()
    }

    fn refused(&self, token: u64, newest: u64, (at, known): (At, Option<u64>)) {
        let At { incarnation, number, .. } = at;
        self.deeds.count_stale();
        let evidence = match known {
            Some(known) => format!(
                "a step of intent {number} came under token {token} of a former store (incarnation \
                 {incarnation}), and incarnation {known} is known here"
            ),
            None => format!(
                "a step of intent {number} came under token {token}, and {newest} is known here"
            ),
        };
        self.deeds.tell(Event {
            what: "stale-order-refused".to_owned(),
            object: format!("node/{}", self.deeds.me()),
            evidence,
            decision: "refuse it: whoever ordered it coordinates no more".to_owned(),
            not_done: format!("nothing of intent {number} was done for that order"),
            ..Event::default()
        });
    }
}

fn no_thread(at: At) -> Word {
    Word::Ended { at, outcome: Err("its agent has no thread to spare".to_owned()) }
}

fn unreadable(me: &str, folder: &Path, damage: Damage) -> Event {
    let [first, second] = FILES;
    let looks =
        "look at each step that is ordered, before it is done: it may have been done before";
    let unknown = "an order of a former coordinator is not recognised until a later one orders";
    let (what, decision, not_done) = match damage {
        Damage::One => ("one of them is damaged".to_owned(), "go on with the other one", ""),
        Damage::All => ("none of them is whole".to_owned(), looks, unknown),
        Damage::Later(form) => {
            (format!("a later version of outlast wrote them, in form {form}"), looks, unknown)
        }
    };
    Event {
        what: "steps-unreadable".to_owned(),
        object: format!("node/{me}"),
        evidence: format!("{first} and {second} in {}: {what}", folder.display()),
        decision: decision.to_owned(),
        not_done: not_done.to_owned(),
        ..Event::default()
    }
}

/// On the disk before it returns, twice.
fn write(folder: &Path, bytes: &[u8]) -> io::Result<()> {
    FILES.iter().try_for_each(|name| crate::durable::write(folder, name, bytes))
}

impl Steps {
    pub(super) fn tell(&self, event: Event) {
        self.deeds.tell(event);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use api::IntentStep;

    use super::*;

    /// Counts what it does; a step of the verb `hang` ends with the test.
    #[derive(Default)]
    struct Doer {
        done: AtomicUsize,
        stale: AtomicUsize,
        told: Mutex<Vec<String>>,
    }

    struct Shared(Arc<Doer>);

    impl Does for Shared {
        fn me(&self) -> &'static str {
            "node02"
        }

        fn perform(&self, what: &Step, _: &str) -> Result<(), String> {
            if what.verb == "hang" {
                loop {
                    std::thread::park();
                }
            }
            self.0.done.fetch_add(1, Ordering::SeqCst);
            if what.verb == "fail" { Err("no route".to_owned()) } else { Ok(()) }
        }

        fn is_done(&self, _: &Step) -> bool {
            self.0.done.load(Ordering::SeqCst) > 0
        }

        fn tell(&self, event: Event) {
            self.0.told.lock().unwrap().push(event.what);
        }

        fn count_stale(&self) {
            self.0.stale.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn order(token: u64, number: u64, verb: &str) -> StepOrder {
        let what = IntentStep {
            node: "node02".to_owned(),
            verb: verb.to_owned(),
            object: "node/node02".to_owned(),
        };
        StepOrder { token, incarnation: 7, number, step: 0, what, by: "uid 0 on node01".to_owned() }
    }

    fn folder(name: &str) -> PathBuf {
        let name = format!("outlast-steps-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn a_step_is_done_once_over_a_restart_and_an_older_token_is_refused() {
        let folder = folder("once");
        let doer = Arc::new(Doer::default());
        let open = || Steps::open(Box::new(Shared(Arc::clone(&doer))), &folder);
        let ended = |steps: &Arc<Steps>, order: &StepOrder| loop {
            match steps.order(order.clone()).unwrap() {
                Carried::Begun => {}
                other @ (Carried::Done | Carried::Failed(_) | Carried::Stale(_)) => return other,
            }
        };
        let steps = open();
        assert_eq!(ended(&steps, &order(5, 1, "do")), Carried::Done);
        assert_eq!(ended(&steps, &order(5, 2, "fail")), Carried::Failed("no route".to_owned()));
        // It hangs, and its process dies. Another coordinator orders it of the next one.
        assert_eq!(steps.order(order(5, 3, "hang")).unwrap(), Carried::Begun);
        assert_eq!(doer.done.load(Ordering::SeqCst), 2);
        let steps = open();
        assert_eq!(ended(&steps, &order(6, 3, "hang")), Carried::Done, "it looks first");
        assert_eq!(ended(&steps, &order(6, 1, "do")), Carried::Done);
        assert_eq!(ended(&steps, &order(6, 2, "fail")), Carried::Failed("no route".to_owned()));
        assert_eq!(doer.done.load(Ordering::SeqCst), 2, "nothing was done again");
        // The one before wakes up.
        let steps = open();
        assert_eq!(steps.order(order(5, 4, "do")).unwrap(), Carried::Stale(6));
        assert_eq!(*doer.told.lock().unwrap(), ["stale-order-refused"]);
        assert_eq!(doer.done.load(Ordering::SeqCst), 2);
        // Another store: the same number and words, and smaller tokens. The former one is told no.
        let anew = StepOrder { incarnation: 8, ..order(1, 1, "do") };
        assert_eq!(ended(&steps, &anew), Carried::Done);
        assert_eq!(doer.done.load(Ordering::SeqCst), 3, "it is another step");
        let steps = open();
        assert_eq!(steps.order(order(6, 4, "do")).unwrap(), Carried::Stale(1));
        assert_eq!(ended(&steps, &anew), Carried::Done);
        assert_eq!(doer.done.load(Ordering::SeqCst), 3);
        assert_eq!(doer.stale.load(Ordering::SeqCst), 2, "both are counted");
        let elsewhere = StepOrder {
            what: IntentStep { node: "node03".to_owned(), ..order(6, 5, "do").what },
            ..order(6, 5, "do")
        };
        assert!(steps.order(elsewhere).unwrap_err().contains("is for node03"));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_cannot_be_kept_is_not_begun_and_can_be_ordered_again() {
        let folder = folder("unkept");
        let doer = Arc::new(Doer::default());
        let steps = Steps::open(Box::new(Shared(Arc::clone(&doer))), &folder);
        fs::remove_dir_all(&folder).unwrap();
        let why = steps.order(order(5, 1, "do")).unwrap_err();
        assert!(why.contains("so nothing is done"), "{why}");
        assert_eq!(doer.done.load(Ordering::SeqCst), 0);
        fs::create_dir_all(&folder).unwrap();
        while steps.order(order(5, 1, "do")).unwrap() == Carried::Begun {}
        assert_eq!(doer.done.load(Ordering::SeqCst), 1);
        fs::remove_dir_all(folder).unwrap();
    }
    #[test]
    fn what_a_disk_damages_is_told_and_nothing_is_done_twice_for_it() {
        let folder = folder("damaged");
        let doer = Arc::new(Doer::default());
        let open = || Steps::open(Box::new(Shared(Arc::clone(&doer))), &folder);
        let steps = open();
        while steps.order(order(5, 1, "do")).unwrap() == Carried::Begun {}
        for (damaged, stale) in [(&FILES[..1], true), (&FILES[1..], true), (&FILES[..], false)] {
            for name in damaged {
                let mut bytes = fs::read(folder.join(name)).unwrap();
                bytes[2] ^= 4;
                fs::write(folder.join(name), bytes).unwrap();
            }
            let steps = open();
            assert_eq!(doer.told.lock().unwrap().pop().as_deref(), Some("steps-unreadable"));
            if stale {
                assert_eq!(steps.order(order(4, 2, "do")).unwrap(), Carried::Stale(5));
                doer.told.lock().unwrap().clear();
            }
            while steps.order(order(5, 1, "do")).unwrap() == Carried::Begun {}
            assert_eq!(doer.done.load(Ordering::SeqCst), 1, "{damaged:?}: it was done before");
            write(&folder, &steps.lock().encode()).unwrap();
        }
        assert_eq!(*doer.told.lock().unwrap(), [""; 0], "each is told once");
        fs::remove_dir_all(folder).unwrap();
    }
}
