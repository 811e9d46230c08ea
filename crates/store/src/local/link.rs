//! The same for those who must not wait: a thread of its own asks, and tells when the answer comes.
//!
//! ```text
//!   a loop -- transact, range, watch --> thread --> store.sock
//!      ^                                   |
//!      +---- then(answer), news(change) ---+     what is told runs on the thread of the link: it puts a
//!                                                message somewhere and returns
//! ```

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use engine::kv::{Change, Item, Keys, Outcome, Transaction};
use tokio::runtime::Builder;
use tokio::sync::mpsc;

use super::Report;
use super::client::Client;
use crate::{Error, Store};

/// Questions that wait for an answer at once: many times what an agent asks, and a megabyte each at most.
const MAX_WAITING: usize = 256;
/// Between two tries to watch a store that does not answer.
const AGAIN: Duration = Duration::from_millis(500);

/// All keys of a question, with the revision to watch from.
pub type Range = (Vec<(String, Item)>, u64);

type Then<T> = Box<dyn FnOnce(Result<T, Error>) + Send>;
type Tell = Box<dyn FnMut(News) + Send>;

enum Question {
    Transact(Transaction, Then<Outcome>),
    Range(Keys, Then<Range>),
    Watch(Keys, Tell),
    Report(Then<Report>),
    Lead(String, Then<()>),
}

/// What is told of keys that are watched.
#[derive(Debug)]
pub enum News {
    /// All of them: at the beginning, and again wherever changes may have been missed.
    All { items: Vec<(String, Item)>, revision: u64 },
    /// In the order in which they happened, all of a revision together.
    Changes(Vec<Change>),
    /// The store does not answer: what was told before may be old. [`News::All`] follows.
    Away(Error),
}

/// The store of this node, for an event loop. Clones ask by the same thread, which ends with the last.
///
/// Questions do not wait for each other: who needs an order asks the next when the one before was
/// answered. As with [`Client`], [`Error::Unknown`] means that a write may have been done.
#[derive(Clone)]
pub struct Link {
    questions: mpsc::UnboundedSender<Question>,
    waiting: Arc<AtomicUsize>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("waiting", &self.waiting).finish_non_exhaustive()
    }
}

impl Link {
    /// To the store of the node with this run folder, whether it runs already or not.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn start(run_dir: &Path) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let client = Arc::new(Client::new(run_dir));
        let (questions, asked) = mpsc::unbounded_channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let link = Self { questions, waiting: Arc::clone(&waiting) };
        std::thread::Builder::new()
            .name("store-link".to_owned())
            .spawn(move || runtime.block_on(serve(&client, asked, &waiting)))?;
        Ok(link)
    }

    /// Does all of a transaction or nothing.
    pub fn transact(
        &self,
        transaction: Transaction,
        then: impl FnOnce(Result<Outcome, Error>) + Send + 'static,
    ) {
        self.ask(Box::new(then), |then| Question::Transact(transaction, then));
    }

    /// All keys of a range.
    pub fn range(&self, keys: Keys, then: impl FnOnce(Result<Range, Error>) + Send + 'static) {
        self.ask(Box::new(then), |then| Question::Range(keys, then));
    }

    /// What this node's store says of itself.
    pub fn report(&self, then: impl FnOnce(Result<Report, Error>) + Send + 'static) {
        self.ask(Box::new(then), Question::Report);
    }

    /// Gives the lead of the store to that node; to be asked on the leader.
    pub fn lead(&self, to: &str, then: impl FnOnce(Result<(), Error>) + Send + 'static) {
        self.ask(Box::new(then), |then| Question::Lead(to.to_owned(), then));
    }

    /// The value of one key.
    pub fn get(&self, key: &str, then: impl FnOnce(Result<Option<Item>, Error>) + Send + 'static) {
        let first = |found: Range| found.0.into_iter().next().map(|(_, item)| item);
        self.range(Keys::One(key.to_owned()), move |found| then(found.map(first)));
    }

    /// Writes one key; the revision is told.
    pub fn put(
        &self,
        key: &str,
        value: &[u8],
        then: impl FnOnce(Result<u64, Error>) + Send + 'static,
    ) {
        let revision = |outcome: Outcome| outcome.revision;
        self.transact(Transaction::put(key, value), move |done| then(done.map(revision)));
    }

    /// Tells what these keys are and every change of them, until the process ends.
    pub fn watch(&self, keys: Keys, tell: impl FnMut(News) + Send + 'static) {
        // Its thread is there as long as this link.
        let _ = self.questions.send(Question::Watch(keys, Box::new(tell)));
    }

    /// [`Link::transact`] for a thread that may wait: the store gives up in seconds.
    ///
    /// # Errors
    /// As [`Store::transact`].
    pub fn wait(&self, transaction: Transaction) -> Result<Outcome, Error> {
        waited(|then| self.transact(transaction, then))
    }

    /// [`Link::range`] for a thread that may wait.
    ///
    /// # Errors
    /// As [`Store::range`].
    pub fn wait_range(&self, keys: Keys) -> Result<Range, Error> {
        waited(|then| self.range(keys, then))
    }

    fn ask<T: 'static>(&self, then: Then<T>, question: impl FnOnce(Then<T>) -> Question) {
        if self.waiting.fetch_add(1, Ordering::AcqRel) >= MAX_WAITING {
            self.waiting.fetch_sub(1, Ordering::AcqRel);
            let why = format!("{MAX_WAITING} questions to it wait already");
            return then(Err(Error::Stopped(why)));
        }
        let waiting = Arc::clone(&self.waiting);
        let then = Box::new(move |answer| {
            waiting.fetch_sub(1, Ordering::AcqRel);
            then(answer);
        });
        // Its thread is there as long as this link.
        let _ = self.questions.send(question(then));
    }
}

fn waited<T: Send + 'static>(ask: impl FnOnce(Then<T>)) -> Result<T, Error> {
    let (tell, told) = std::sync::mpsc::channel();
    ask(Box::new(move |answer| {
        // Who asked waits.
        let _ = tell.send(answer);
    }));
    // Nobody tells: the thread is gone, and what it was doing is not known.
    told.recv().unwrap_or(Err(Error::Unknown))
}

async fn serve(
    client: &Arc<Client>,
    mut asked: mpsc::UnboundedReceiver<Question>,
    waiting: &AtomicUsize,
) {
    while let Some(question) = asked.recv().await {
        let client = Arc::clone(client);
        drop(match question {
            Question::Transact(transaction, then) => {
                tokio::spawn(async move { then(client.transact(transaction).await) })
            }
            Question::Range(keys, then) => {
                tokio::spawn(async move { then(client.range(keys).await) })
            }
            Question::Report(then) => tokio::spawn(async move { then(client.report().await) }),
            Question::Lead(to, then) => tokio::spawn(async move { then(client.lead(&to).await) }),
            Question::Watch(keys, tell) => tokio::spawn(watch(client, keys, tell)),
        });
    }
    // The last link is gone; what it asked is still answered.
    while waiting.load(Ordering::Acquire) > 0 {
        tokio::time::sleep(AGAIN).await;
    }
}

/// Reads and watches, and again after each failure.
async fn watch(client: Arc<Client>, keys: Keys, mut tell: Tell) {
    let mut is_away = false;
    loop {
        let failure = match client.range(keys.clone()).await {
            Ok((items, revision)) => {
                is_away = false;
                tell(News::All { items, revision });
                follow(&client, revision, &keys, &mut tell).await
            }
            Err(failure) => failure,
        };
        // Once, however long it lasts. Changes that were missed are no outage: all is told again.
        if !is_away && !matches!(failure, Error::Compacted(_)) {
            is_away = true;
            tell(News::Away(failure));
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Tells changes until they cannot be had.
async fn follow(client: &Client, after: u64, keys: &Keys, tell: &mut Tell) -> Error {
    let mut watch = match client.watch(after, keys.clone()).await {
        Ok(watch) => watch,
        Err(failure) => return failure,
    };
    loop {
        match watch.next().await {
            Ok(changes) => tell(News::Changes(changes)),
            Err(failure) => return failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::*;
    use crate::{Host, Setup};

    const PATIENCE: Duration = Duration::from_secs(30);

    fn host(folder: &Path) -> Host {
        let setup = Setup {
            folder: folder.join("store"),
            run_dir: folder.to_owned(),
            cluster: "one".to_owned(),
            me: "node01".to_owned(),
            members: vec!["node01".to_owned()],
            own: vec![],
            peers: std::iter::once(("node01".to_owned(), vec![])).collect(),
            credentials: None,
            witness: None,
            trusted: false,
            known: 0,
            etcd: None,
        };
        Host::start(setup).expect("a store of one")
    }

    /// Until the link has told something that fits.
    fn until<T>(told: &Receiver<News>, fits: impl Fn(&News) -> Option<T>) -> T {
        loop {
            let news = told.recv_timeout(PATIENCE).expect("something is told");
            if let Some(found) = fits(&news) {
                return found;
            }
        }
    }

    #[test]
    fn who_must_not_wait_is_told_what_is_there_and_what_changes_over_restarts_of_the_store() {
        let folder = std::env::temp_dir().join(format!("outlast-link-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        // Before there is a store.
        let link = Link::start(&folder).unwrap();
        let (tell, told) = channel();
        link.watch(Keys::Prefix("a/".to_owned()), move |news| tell.send(news).unwrap());
        let first = host(&folder);
        let put = |key: &str, value: &[u8]| loop {
            let done = link.wait(Transaction::put(key, value));
            match done {
                Ok(outcome) => return outcome.revision,
                Err(Error::NoLeader(_) | Error::Unknown | Error::Away { .. }) => {}
                Err(other) => panic!("{other}"),
            }
        };
        until(&told, |news| {
            matches!(news, News::All { items, .. } if items.is_empty()).then_some(())
        });
        let revision = put("a/1", b"one");
        put("b/1", b"not watched");
        let change = |news: &News| match news {
            News::Changes(changes) => Some(changes[0].clone()),
            News::All { .. } | News::Away(_) => None,
        };
        let seen = until(&told, change);
        assert_eq!((seen.key.as_str(), seen.value.as_deref()), ("a/1", Some(&b"one"[..])));
        assert_eq!(seen.revision, revision);
        let (tell, answer) = channel();
        link.get("a/1", move |item| tell.send(item).unwrap());
        let item = answer.recv_timeout(PATIENCE).unwrap().unwrap().expect("it is there");
        assert_eq!(&*item.value, b"one");

        first.stop();
        until(&told, |news| matches!(news, News::Away(_)).then_some(()));
        let (tell, answer) = channel();
        link.put("a/2", b"two", move |done| tell.send(done).unwrap());
        assert!(answer.recv_timeout(PATIENCE).unwrap().is_err(), "nobody is there");
        let second = host(&folder);
        let items = until(&told, |news| match news {
            News::All { items, .. } => Some(items.clone()),
            News::Changes(_) | News::Away(_) => None,
        });
        assert_eq!(items.len(), 1);
        put("a/3", b"three");
        assert_eq!(until(&told, change).key, "a/3");
        second.stop();
        std::fs::remove_dir_all(folder).unwrap();
    }
}
