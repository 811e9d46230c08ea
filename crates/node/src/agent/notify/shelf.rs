//! Where letters are kept: in the store that all members share, or in a file of this node.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;

use api::Notification;
use engine::kv::{Compare, Condition, Item, Keys, Op, Transaction};
use engine::notify::{Input, Letter, Write};
use serde::{Deserialize, Serialize};
use store::{Error, Link, News};

use super::{Mail, words};

/// What follows from one word of the shelf.
pub(super) type Told = Vec<Input>;

/// Of every key.
const KEYS: &str = "notify/";
const LETTERS: &str = "notify/letter/";
const SINCE: &str = "notify/since";
/// In the state folder, where there is no store.
const FILE: &str = "notifications";

pub(super) enum Shelf {
    Shared { link: Link, tell: Sender<Mail> },
    Own { folder: PathBuf, kept: Kept, tell: Sender<Mail> },
}

/// All of a node's own shelf.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Kept {
    revision: u64,
    since: Option<(u64, u64)>,
    letters: BTreeMap<String, (Notification, u64)>,
}

impl Shelf {
    pub(super) fn shared(link: Link, tell: Sender<Mail>) -> Self {
        let news = tell.clone();
        link.watch(Keys::Prefix(KEYS.to_owned()), move |told| {
            let told = match told {
                News::All { items, revision } => all(&items, revision),
                News::Changes(changes) => changes
                    .iter()
                    .filter_map(|change| {
                        changed(&change.key, change.value.as_deref(), change.revision)
                    })
                    .collect(),
                News::Away(_) => return,
            };
            // It ends with the process.
            let _ = news.send(Mail::Shelf(told));
        });
        Self::Shared { link, tell }
    }

    /// As the process before this one left it. One that cannot be read is begun anew: what happened before a minute ago
    /// is not told then.
    pub(super) fn own(folder: &Path, tell: Sender<Mail>) -> Self {
        let text = std::fs::read(folder.join(FILE)).unwrap_or_default();
        let kept: Kept = api::decode(&text).unwrap_or_default();
        let letters = kept.letters.values().cloned();
        let letters = letters.filter_map(|(kept, revision)| Some((words::letter(kept)?, revision)));
        let (since, revision) = (kept.since, kept.revision);
        let first = Input::Shelf { letters: letters.collect(), since, revision };
        let _ = tell.send(Mail::Shelf(vec![first]));
        Self::Own { folder: folder.to_owned(), kept, tell }
    }

    pub(super) fn write(&mut self, number: u64, write: &Write) {
        match self {
            Self::Shared { link, tell } => {
                let tell = tell.clone();
                link.transact(transaction(write), move |answer| {
                    let outcome = match answer {
                        Ok(outcome) if outcome.held => Ok(outcome.revision),
                        Ok(_) => Err(true),
                        Err(Error::Refused(_)) => Err(true),
                        Err(_) => Err(false),
                    };
                    let _ = tell.send(Mail::Shelf(vec![Input::Written { number, outcome }]));
                });
            }
            Self::Own { folder, kept, tell } => {
                let outcome = kept.write(folder, write);
                let _ = tell.send(Mail::Shelf(vec![Input::Written { number, outcome }]));
            }
        }
    }
}

impl Kept {
    /// # Errors
    /// When something else is there than was known (true), or the disk does not take it (false).
    fn write(&mut self, folder: &Path, write: &Write) -> Result<u64, bool> {
        let is = |id: &str| self.letters.get(id).map(|(_, revision)| *revision);
        let fits = write.letters.iter().all(|(letter, expected)| is(&letter.id) == *expected)
            && write.removed.iter().all(|(id, revision)| is(id) == Some(*revision))
            && write
                .since
                .is_none_or(|(_, expected)| self.since.map(|(_, revision)| revision) == expected);
        if !fits {
            return Err(true);
        }
        let mut next = self.clone();
        next.revision += 1;
        for (letter, _) in &write.letters {
            let kept = (words::notification(letter), next.revision);
            next.letters.insert(letter.id.clone(), kept);
        }
        for (id, _) in &write.removed {
            next.letters.remove(id);
        }
        if let Some((since_ms, _)) = write.since {
            next.since = Some((since_ms, next.revision));
        }
        let mut text = vec![];
        api::encode(&next, &mut text);
        crate::durable::write(folder, FILE, &text).map_err(|_| false)?;
        *self = next;
        Ok(self.revision)
    }
}

fn transaction(write: &Write) -> Transaction {
    let expected = |key: String, revision: Option<u64>| Compare {
        key,
        is: revision.map_or(Condition::Missing, Condition::Changed),
    };
    let mut transaction = Transaction::default();
    for (letter, revision) in &write.letters {
        let key = key(&letter.id);
        transaction.compares.push(expected(key.clone(), *revision));
        let mut text = vec![];
        api::encode(&words::notification(letter), &mut text);
        transaction.then.push(Op::put(&key, &text));
    }
    for (id, revision) in &write.removed {
        transaction.compares.push(expected(key(id), Some(*revision)));
        transaction.then.push(Op::Delete { keys: Keys::One(key(id)) });
    }
    if let Some((since_ms, revision)) = write.since {
        transaction.compares.push(expected(SINCE.to_owned(), revision));
        transaction.then.push(Op::put(SINCE, since_ms.to_string().as_bytes()));
    }
    transaction
}

fn key(id: &str) -> String {
    format!("{LETTERS}{id}")
}

/// What nobody can read is no letter: of a later version, which goes on with it.
fn read(value: &[u8]) -> Option<Letter> {
    words::letter(api::decode(value).ok()?)
}

fn mark(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

fn all(items: &[(String, Item)], revision: u64) -> Told {
    let letters = items.iter().filter(|(key, _)| key.starts_with(LETTERS));
    let letters = letters.filter_map(|(_, item)| Some((read(&item.value)?, item.changed)));
    let since = items.iter().find(|(key, _)| key == SINCE);
    let since = since.and_then(|(_, item)| Some((mark(&item.value)?, item.changed)));
    vec![Input::Shelf { letters: letters.collect(), since, revision }]
}

fn changed(key: &str, value: Option<&[u8]>, revision: u64) -> Option<Input> {
    if key == SINCE {
        return Some(Input::Since { since_ms: mark(value?)?, revision });
    }
    let id = key.strip_prefix(LETTERS)?.to_owned();
    let letter = match value {
        Some(value) => Some(Box::new(read(value)?)),
        None => None,
    };
    Some(Input::Changed { id, letter, revision })
}
