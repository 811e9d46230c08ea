//! Which answers about secrets are a line in the audit log each, and which are counted: who asks without end puts
//! nothing else out of it.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base::{Repeats, Time};

use super::MAX_GUESTS;
use crate::audit::Entry;
use crate::folder::Folder;

/// The same answer to the same node is a line again after so long without it; of what goes on the number is as often.
const SAME_ANSWER: Duration = Duration::from_secs(3600);
/// Answers (command, node and outcome) that are told apart at once; of more only the number is a line.
const MOST_APART: usize = 256;
/// Keys that are given, and every refusal. Files that are given are asked for by hand.
const GIVE_KEYS: &str = "trust give-keys";

type Said = (String, String, String);

/// What one desk has said of late.
#[derive(Debug)]
pub(crate) struct Answers(Mutex<Repeats<Said>>);

impl Default for Answers {
    fn default() -> Self {
        Self(Mutex::new(Repeats::new(SAME_ANSWER, SAME_ANSWER, MOST_APART)))
    }
}

impl Answers {
    /// Whether `entry` is written; one that is not is counted.
    pub(crate) fn is_news(&self, entry: &Entry, now: Time) -> bool {
        if entry.command != GIVE_KEYS && entry.outcome == super::DONE {
            return true;
        }
        let said = (entry.command.clone(), entry.object.clone(), entry.outcome.clone());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).hear(&said, now)
    }

    /// Of those that were counted, the numbers that are to be written now.
    pub(crate) fn counted(&self, now: Time, at_ms: u64) -> Vec<Entry> {
        let due = self.0.lock().unwrap_or_else(PoisonError::into_inner).due(now);
        let entry = |(said, more): (Option<Said>, u64)| {
            let others = || (GIVE_KEYS.to_owned(), "?".to_owned(), "other answers".to_owned());
            let (command, object, outcome) = said.unwrap_or_else(others);
            let outcome = format!("{outcome} ({more} times more)");
            Entry { at_ms, by: "desk".to_owned(), command, object, outcome }
        };
        due.into_iter().map(entry).collect()
    }
}

/// Writes it down; what is said of it where the disk takes nothing.
pub(super) fn audited(folder: &Folder, entry: &Entry) -> String {
    match folder.audit(entry) {
        Ok(()) => String::new(),
        Err(error) => format!(" ({})", base::Chain(&error)),
    }
}

/// Writes down how many there was no room for since the last time, the newest of them from `from`.
pub(super) fn turned_away(folder: &Folder, from: IpAddr, refused: u64) -> String {
    let entry = Entry {
        at_ms: sys::clock::wall_ms(),
        by: from.to_string(),
        command: "connect".to_owned(),
        object: "join desk".to_owned(),
        outcome: format!(
            "{refused} connections turned away: {MAX_GUESTS} at once, {} of one address",
            MAX_GUESTS / 4
        ),
    };
    format!("{from}: {}{}", entry.outcome, audited(folder, &entry))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::fingerprint;
    use crate::configuration::NoStore;
    use crate::desk::{Desk, decided};
    use crate::folder::Founding;
    use crate::hex;
    use crate::keys::Keys;
    use crate::roster::Role;
    use crate::wire::{self, Answer, Ask, Join, Question};

    const NOW: u64 = 1_790_000_000_000;

    fn entry(command: &str, object: &str, outcome: &str) -> Entry {
        let [by, command, object, outcome] =
            ["10.0.0.2", command, object, outcome].map(str::to_owned);
        Entry { at_ms: 0, by, command, object, outcome }
    }

    #[test]
    fn a_node_that_asks_without_end_is_few_lines_a_day() {
        let answers = Answers::default();
        let asks = [
            entry("trust give-keys", "node02", "done"),
            entry("trust give-keys", "cmp1", "only controllers"),
            entry("config give", "node03", "this node was revoked"),
        ];
        let (mut lines, mut more) = ([0, 0, 0], 0);
        for second in 0..86_400 {
            let now = Time::ZERO + Duration::from_secs(second);
            for (asked, lines) in asks.iter().zip(&mut lines) {
                *lines += usize::from(answers.is_news(asked, now));
            }
            more += answers.counted(now, 0).len();
        }
        assert_eq!((lines, more), ([1, 1, 1], 3 * 23), "one each, and each hour a number");
        let last = answers.counted(Time::NEVER, 0).pop().unwrap();
        assert!(last.outcome.ends_with(" times more)"), "{last:?}");
    }

    #[test]
    fn files_that_are_given_are_a_line_each_and_so_is_another_outcome() {
        let answers = Answers::default();
        let now = Time::ZERO;
        let given = entry("config give", "node02", "done");
        assert!(answers.is_news(&given, now) && answers.is_news(&given, now));
        assert!(answers.is_news(&entry("trust give-keys", "node02", "no key"), now));
        assert!(answers.is_news(&entry("trust give-keys", "node02", "done"), now));
        assert!(!answers.is_news(&entry("trust give-keys", "node02", "no key"), now));
    }

    #[test]
    fn a_desk_writes_the_same_refusal_of_keys_once() {
        let path = std::env::temp_dir().join(format!("outlast-said-{}", std::process::id()));
        let folder = Folder::new(&path, None);
        let (cluster, node) = ("cloud".to_owned(), "node01".to_owned());
        folder.init(&Founding { cluster, node, address: None }, NOW).unwrap();
        let (address, from) = ("127.0.0.1:1".parse().unwrap(), [10, 0, 0, 2].into());
        let token = folder.create_token((Role::Compute, None), address, 600_000, NOW).unwrap();
        let answers = Answers::default();
        let desk = Desk { folder: &folder, files: &NoStore, answers: &answers, guest: None };
        let asks = |question, guest| {
            let ask = Ask { version: wire::VERSION, now_ms: NOW, question };
            decided(&desk, &ask, (guest, from), NOW).0
        };
        let keys = Keys::make().unwrap();
        let (public, proof) = (keys.public().unwrap(), keys.proof().unwrap());
        let came = asks(
            Question::Join(Join {
                token: hex::encode(&token.id),
                secret: hex::encode(&token.secret),
                node: "cmp1".to_owned(),
                address: None,
                signing: public.signing,
                agreement: public.agreement,
                proof,
            }),
            None,
        );
        let Answer::Welcome(welcome) = came else { panic!("{came:?}") };
        let guest = Some(fingerprint(&hex::decode(&welcome.certificate).unwrap()));
        for _ in 0..20 {
            let answer = asks(Question::ClusterKeys, guest);
            let Answer::Refused(why) = answer else { panic!("{answer:?}") };
            assert!(why.contains("`outlast trust refresh`"), "{why}");
            let answer = asks(Question::Configuration, guest);
            assert!(matches!(answer, Answer::Refused(_)), "{answer:?}");
        }
        let log = folder.audit_log().unwrap();
        let lines = |command: &str| log.iter().filter(|entry| entry.command == command).count();
        assert_eq!((lines("trust give-keys"), lines("config give"), lines("join")), (1, 1, 1));
        std::fs::remove_dir_all(path).unwrap();
    }
}
