//! Who asks, what he may ([`api::access`]), and the log of it.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use api::access::{AccessAnswer, AccessAsk, Audited, Deed, Grant, Role, Scope, Secret, Who};
use api::books::BookAnswer;
use api::{Answer, Ask};
use base::{Chain, Time};
use config::cluster::{Access, Person};
use sys::rights::Peer;
use trust::access::Tokens;
use trust::audit::{self, Entry};

/// Refusals of one user for one deed are written once in this time: a loop of them must not push what was
/// done out of the log.
const REFUSALS_EVERY: Duration = Duration::from_secs(10);
/// Users and deeds of which that is remembered.
const MAX_REFUSALS: usize = 64;
/// No answer is longer.
const MAX_LINES: u32 = 10_000;

/// Users and groups of a role, as numbers.
#[derive(Debug, Default)]
struct People {
    users: Vec<u32>,
    groups: Vec<u32>,
}

/// Decides who may what, and writes down what was ordered.
#[derive(Debug)]
pub(crate) struct Doors {
    admins: People,
    operators: People,
    /// None: everybody.
    viewers: Option<People>,
    tokens: Tokens,
    log: Log,
}

#[derive(Debug)]
struct Log {
    folder: std::path::PathBuf,
    refused: Mutex<Vec<(String, Deed, Time)>>,
    /// One thread at a time: two that both find the file full would both put it aside.
    writing: Mutex<()>,
}

/// Somebody with a question.
#[derive(Debug)]
pub(crate) struct Guest {
    /// For the log.
    pub(crate) by: String,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Nobody,
    Person(Role),
    Program(Vec<Scope>),
}

/// Who may what; names that nobody has are a limit that the operator sees.
pub(crate) fn open(start: &api::Start, core: &Mutex<super::Core>) -> Doors {
    let mut core = super::lock(core);
    let wanted = core.cluster.as_ref().map(|cluster| cluster.access.clone()).unwrap_or_default();
    let (doors, unknown) = Doors::new(&wanted, Path::new(&start.state_dir));
    core.picture.limits.extend(unknown);
    doors
}

impl Doors {
    /// Names that nobody has are told in words.
    pub(crate) fn new(access: &Access, state_dir: &Path) -> (Self, Vec<String>) {
        let mut unknown = vec![];
        let mut people = |list: &[Person]| {
            let mut people = People::default();
            for person in list {
                let number = match person {
                    Person::Uid(number) | Person::Gid(number) => Some(*number),
                    Person::User(name) => sys::rights::user(name).map(|(uid, _)| uid),
                    Person::Group(name) => sys::rights::group(name),
                };
                let Some(number) = number else {
                    unknown.push(format!(
                        "[access] names `{person}`, whom this machine does not know"
                    ));
                    continue;
                };
                match person {
                    Person::Uid(_) | Person::User(_) => people.users.push(number),
                    Person::Gid(_) | Person::Group(_) => people.groups.push(number),
                }
            }
            people
        };
        let admins = people(&access.admin);
        let operators = people(&access.operator);
        let viewers = access.viewer.as_deref().map(&mut people).map(|mut viewers| {
            // The dashboard asks as this user, and asks its own guests for a token then. Whoever else
            // runs as `nobody` counts as the dashboard (docs/operate/cluster.md).
            viewers.users.extend(sys::rights::user(crate::services::USER).map(|(uid, _)| uid));
            viewers
        });
        let log = Log {
            folder: state_dir.to_owned(),
            refused: Mutex::default(),
            writing: Mutex::default(),
        };
        (Self { admins, operators, viewers, tokens: Tokens::new(state_dir), log }, unknown)
    }

    fn role(&self, peer: &Peer) -> Option<Role> {
        if peer.uid == 0 || peer.uid == sys::rights::own_user() || self.admins.has(peer) {
            Some(Role::Admin)
        } else if self.operators.has(peer) {
            Some(Role::Operator)
        } else if self.viewers.as_ref().is_none_or(|viewers| viewers.has(peer)) {
            Some(Role::Viewer)
        } else {
            None
        }
    }

    /// Who asks, and the question itself.
    pub(crate) fn guest(&self, peer: Option<&Peer>, ask: Ask) -> (Guest, Ask) {
        let user = peer.map_or_else(
            || "a user whom the kernel does not name".to_owned(),
            |peer| format!("uid {} (pid {})", peer.uid, peer.pid),
        );
        let Ask::As { token, ask } = ask else {
            let role = peer.and_then(|peer| self.role(peer));
            return (Guest { by: user, kind: role.map_or(Kind::Nobody, Kind::Person) }, ask);
        };
        let guest = match self.grant(&token) {
            Ok(Some(grant)) => Guest {
                by: format!("token {} of {user}", grant.name),
                kind: Kind::Program(grant.scopes),
            },
            Ok(None) => Guest { by: format!("an unknown token of {user}"), kind: Kind::Nobody },
            // Whoever it is: what cannot be read gives nothing.
            Err(why) => Guest { by: format!("a token of {user} ({why})"), kind: Kind::Nobody },
        };
        (guest, *ask)
    }

    /// # Errors
    /// With the role or scope that is needed.
    pub(crate) fn allows(&self, guest: &Guest, ask: &Ask) -> Result<(), String> {
        let (deed, object) = Deed::of(ask);
        if matches!(ask, Ask::As { .. }) {
            return Err("a question is asked with one token".to_owned());
        }
        let who = match &guest.kind {
            Kind::Nobody => Who::Nobody,
            Kind::Person(role) => Who::Person(*role),
            Kind::Program(scopes) => Who::Program(scopes),
        };
        api::access::allows(who, deed).map_err(|denied| {
            let denied = denied.to_string();
            self.log.refusal(&guest.by, (deed, &object), &denied);
            denied
        })
    }

    /// Writes down what a command came to. A log that cannot be written is told to who ordered it.
    pub(crate) fn wrote(&self, guest: &Guest, ask: &Ask, answer: &Answer) -> Result<(), String> {
        let (deed, object) = Deed::of(ask);
        if !deed.row().audited {
            return Ok(());
        }
        let outcome = match answer {
            Answer::Refused(why) => why.as_str(),
            Answer::Access(AccessAnswer::Logged) => ask.came_to().unwrap_or("begun"),
            Answer::Book(BookAnswer::Overtaken(_)) => "another one was committed meanwhile",
            // It is a question; the tool says what came of it.
            Answer::Book(BookAnswer::Done(_)) if matches!(deed, Deed::Replace) => "begun",
            Answer::Book(BookAnswer::Done(false)) => "there was nothing to do",
            Answer::Status(_)
            | Answer::Event(_)
            | Answer::Why(_)
            | Answer::Under(_)
            | Answer::Intents(_)
            | Answer::Tried(_)
            | Answer::Book(_)
            | Answer::Access(_) => "done",
        };
        self.log.add(&guest.by, (deed, &object), outcome).map_err(|error| {
            let folder = self.log.folder.display();
            format!("it was {outcome}, but the audit log in {folder} cannot be written: {error}")
        })
    }

    /// Writes down what came of what somebody on another node wanted of this one.
    pub(crate) fn did(
        &self,
        by: &str,
        what: (Deed, &str),
        outcome: &Result<(), String>,
    ) -> Result<(), String> {
        let word = outcome.as_ref().err().map_or("done", String::as_str);
        self.log.add(by, what, word).map_err(|error| {
            let folder = self.log.folder.display();
            format!("it was {word}, but the audit log in {folder} cannot be written: {error}")
        })
    }

    /// Writes down what somebody told another process of this node.
    ///
    /// # Errors
    /// When the disk takes nothing.
    pub(super) fn told(&self, by: &str, what: (Deed, &str), word: &str) -> std::io::Result<()> {
        self.log.add(by, what, word)
    }

    /// Writes down that somebody on another node was refused.
    pub(crate) fn denied(&self, by: &str, what: (Deed, &str), why: &str) {
        self.log.refusal(by, what, why);
    }

    /// Answers questions about access itself, line by line.
    pub(crate) fn answer(&self, ask: &AccessAsk) -> Vec<Answer> {
        let answers = match ask {
            AccessAsk::Show { token } => self.grant(token).map(|grant| {
                vec![match grant {
                    Some(grant) => Answer::Access(AccessAnswer::Grant(grant)),
                    None => Answer::Access(AccessAnswer::NoSuchToken),
                }]
            }),
            AccessAsk::List => {
                self.tokens.list().map_err(|error| Chain(&error).to_string()).map(|list| {
                    list.iter().map(grant).map(AccessAnswer::Grant).map(Answer::Access).collect()
                })
            }
            AccessAsk::Add { name, scopes, days } => {
                let words: Vec<&str> = scopes.iter().map(|scope| scope.word()).collect();
                let token = self.tokens.add(name, &words, *days, sys::clock::wall_ms());
                token.map_err(|error| Chain(&error).to_string()).map(|token| {
                    vec![Answer::Access(AccessAnswer::Token(Secret((*token).clone())))]
                })
            }
            AccessAsk::Revoke { name } => {
                let revoked = self.tokens.revoke(name).map_err(|error| Chain(&error).to_string());
                revoked.map(|()| vec![Answer::Access(AccessAnswer::Revoked)])
            }
            AccessAsk::Audit { last } => self.log.read(*last),
            // Written down with what was asked, by `wrote`.
            AccessAsk::Log { .. } => Ok(vec![Answer::Access(AccessAnswer::Logged)]),
        };
        answers.unwrap_or_else(|why| vec![Answer::Refused(why)])
    }

    fn grant(&self, token: &Secret) -> Result<Option<Grant>, String> {
        let found = self.tokens.find(&token.0, sys::clock::wall_ms());
        found.map(|kept| kept.as_ref().map(grant)).map_err(|error| Chain(&error).to_string())
    }
}

/// Words that a later release knows give nothing here.
fn grant(kept: &trust::access::Kept) -> Grant {
    Grant {
        name: kept.name.clone(),
        scopes: kept.scopes.iter().filter_map(|word| Scope::of(word)).collect(),
        until_ms: kept.until_ms,
    }
}

impl People {
    fn has(&self, peer: &Peer) -> bool {
        self.users.contains(&peer.uid)
            || peer.groups.iter().any(|group| self.groups.contains(group))
    }
}

impl Log {
    fn add(&self, by: &str, (deed, object): (Deed, &str), outcome: &str) -> std::io::Result<()> {
        let entry = Entry {
            at_ms: sys::clock::wall_ms(),
            by: by.to_owned(),
            command: deed.row().word.to_owned(),
            object: object.to_owned(),
            outcome: outcome.to_owned(),
        };
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        audit::add(&self.folder, &entry)
    }

    fn refusal(&self, by: &str, (deed, object): (Deed, &str), why: &str) {
        let now = sys::clock::now();
        // The number of the process changes with every try.
        let who = by.split(" (pid").next().unwrap_or(by).to_owned();
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.retain(|(_, _, at)| now.since(*at) < REFUSALS_EVERY);
        let is_known = refused.iter().any(|(known, what, _)| *known == who && *what == deed);
        if is_known || refused.len() >= MAX_REFUSALS {
            return;
        }
        refused.push((who, deed, now));
        drop(refused);
        // Nothing was done; who asked is told no in any case.
        let _ = self.add(by, (deed, object), why);
    }

    fn read(&self, last: u32) -> Result<Vec<Answer>, String> {
        let log = audit::read(&self.folder)
            .map_err(|error| format!("cannot read the audit log: {error}"))?;
        let last = usize::try_from(last.min(MAX_LINES)).unwrap_or(usize::MAX);
        let skipped = log.len().saturating_sub(last);
        let line = |entry: Entry| {
            let Entry { at_ms, by, command, object, outcome } = entry;
            Answer::Access(AccessAnswer::Audited(Audited { at_ms, by, command, object, outcome }))
        };
        Ok(log.into_iter().skip(skipped).map(line).collect())
    }
}

#[cfg(test)]
mod tests {
    use api::Command;

    use super::*;

    const OTHER: u32 = 4_000_000_000;

    fn peer(uid: u32, groups: &[u32]) -> Peer {
        Peer { uid, pid: 4242, groups: groups.to_vec() }
    }

    fn doors(name: &str, access: &Access) -> (Doors, std::path::PathBuf) {
        let folder =
            std::env::temp_dir().join(format!("outlast-doors-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        (Doors::new(access, &folder).0, folder)
    }

    fn standby() -> Ask {
        Ask::Command(Command::Standby { node: "node01".to_owned() })
    }

    /// Whether it was allowed, and what came of it.
    fn asks(doors: &Doors, peer: Option<&Peer>, ask: Ask) -> Result<(), String> {
        let (guest, ask) = doors.guest(peer, ask);
        doors.allows(&guest, &ask)
    }

    #[test]
    fn many_who_order_at_once_lose_no_line_when_the_log_is_full() {
        let (doors, folder) = doors("many", &Access::default());
        doors.log.add("uid 0", (Deed::Move, "before"), "done").unwrap();
        let file = folder.join("audit.jsonl");
        // As long as a file gets.
        std::fs::File::options().append(true).open(file).unwrap().set_len(1 << 20).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| doors.log.add("uid 0", (Deed::Move, "at once"), "done").unwrap());
            }
        });
        assert_eq!(doors.log.read(100).unwrap().len(), 17);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn everybody_may_ask_and_only_root_and_the_own_user_may_command_unless_the_file_says_more() {
        let own = sys::rights::own_user();
        let (without, folder) = doors("without", &Access::default());
        for (peer, allowed) in [
            (Some(peer(0, &[0])), true),
            (Some(peer(own, &[])), true),
            (Some(peer(OTHER, &[OTHER])), false),
            (None, false),
        ] {
            assert_eq!(asks(&without, peer.as_ref(), standby()).is_ok(), allowed, "{peer:?}");
            assert_eq!(asks(&without, peer.as_ref(), Ask::Status).is_ok(), peer.is_some());
        }
        let text = asks(&without, Some(&peer(OTHER, &[])), standby()).unwrap_err();
        assert!(text.contains("the role operator") && text.contains("is viewer"), "{text}");
        let access = Access {
            admin: vec![Person::Uid(OTHER)],
            operator: vec![Person::Gid(OTHER + 1)],
            viewer: Some(vec![Person::Uid(OTHER + 2)]),
        };
        let (with, other) = doors("with", &access);
        let may =
            |uid: u32, groups: &[u32], ask: Ask| asks(&with, Some(&peer(uid, groups)), ask).is_ok();
        let list = || Ask::Access(AccessAsk::List);
        assert!(may(OTHER, &[], list()) && may(OTHER, &[], standby()));
        let group = [7, OTHER + 1];
        assert!(may(OTHER + 3, &group, standby()) && !may(OTHER + 3, &group, list()));
        assert!(may(OTHER + 2, &[], Ask::Status) && !may(OTHER + 2, &[], standby()));
        assert!(!may(OTHER + 4, &[], Ask::Status), "a list of viewers is all viewers");
        assert!(may(0, &[], list()), "root is not locked out");
        for folder in [folder, other] {
            std::fs::remove_dir_all(folder).unwrap();
        }
    }

    #[test]
    fn names_that_the_machine_does_not_know_are_told() {
        let access = Access {
            operator: vec![
                Person::User("no-such-user".to_owned()),
                Person::User("root".to_owned()),
            ],
            ..Access::default()
        };
        let (_, unknown) = Doors::new(&access, Path::new("/nonexistent"));
        assert_eq!(unknown, ["[access] names `no-such-user`, whom this machine does not know"]);
    }

    #[test]
    fn a_program_may_what_its_token_says_whoever_runs_it_and_all_of_it_is_in_the_log() {
        let (doors, folder) = doors("program", &Access::default());
        let add = |name: &str, scopes: Vec<Scope>| {
            let add = AccessAsk::Add { name: name.to_owned(), scopes, days: None };
            let answers = doors.answer(&add);
            let [Answer::Access(AccessAnswer::Token(token))] = &answers[..] else {
                panic!("{answers:?}")
            };
            token.clone()
        };
        let token = add("mover", vec![Scope::Standby]);
        let as_token = |ask: Ask| Ask::As { token: token.clone(), ask: Box::new(ask) };
        let (root, somebody) = (peer(0, &[]), peer(OTHER, &[]));
        assert_eq!(asks(&doors, Some(&somebody), as_token(standby())), Ok(()));
        assert!(asks(&doors, Some(&root), as_token(Ask::Status)).is_err(), "even as root");
        assert!(asks(&doors, Some(&root), as_token(as_token(standby()))).is_err(), "one token");
        let unknown = Secret("outlast_00".to_owned());
        let unknown = Ask::As { token: unknown, ask: Box::new(Ask::Status) };
        assert!(asks(&doors, Some(&root), unknown).is_err());

        let (guest, ask) = doors.guest(Some(&somebody), as_token(standby()));
        doors.wrote(&guest, &ask, &Answer::Refused("nobody else could".to_owned())).unwrap();
        for _ in 0..1000 {
            assert!(asks(&doors, Some(&somebody), standby()).is_err());
        }
        let lines = doors.answer(&AccessAsk::Audit { last: 100 });
        let lines: Vec<String> = lines
            .into_iter()
            .map(|line| {
                let Answer::Access(AccessAnswer::Audited(line)) = line else { panic!("{line:?}") };
                format!("{}: {} {}: {}", line.by, line.command, line.object, line.outcome)
            })
            .collect();
        let has = |text: &str| lines.iter().filter(|line| line.starts_with(text)).count();
        let by = format!("token mover of uid {OTHER} (pid 4242): node standby node01: nobody else");
        assert_eq!(has(&by), 1, "{lines:#?}");
        let refused = format!("uid {OTHER} (pid 4242): node standby node01: this needs the role");
        assert_eq!(has(&refused), 1, "a thousand refusals are one line: {lines:#?}");
        assert_eq!(has("an unknown token of uid 0"), 1, "{lines:#?}");
        assert!(!format!("{lines:?}").contains(&token.0), "no secret is in the log");

        assert!(matches!(
            doors.answer(&AccessAsk::Revoke { name: "mover".to_owned() })[0],
            Answer::Access(AccessAnswer::Revoked)
        ));
        assert!(asks(&doors, Some(&somebody), as_token(standby())).is_err());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
