//! What operators keep in the store: generations, windows, who votes. Done here on a member; a controller that is
//! none asks one, by errands.
//!
//! ```text
//!   control socket --> role, audit log --> member:    the store of this node
//!                                          another:   Errand::Book --> a member that lives, piece by piece
//! ```

use std::sync::Arc;
use std::time::Duration;

use ::store::{Error, Local, Store, WISHES, Wish};
use api::access::Deed;
use api::books::{BookAnswer, BookAsk, BookLine, BookPart, BookStanding};
use api::generation::{Applied, CLUSTER_FILE, Content, Generation};
use api::maintenance::Window;
use api::proof::Proof;
use api::{Errand, Mark, Standing};
use engine::carry::{self, Arrival};
use engine::generation::{self as keys, Draft};
use engine::kv::{Keys, Op, Transaction};
use engine::maintenance::{MAX_LENGTH, MIN_LENGTH, SLACK, WINDOWS, key};
use engine::verdict::{Judgement, PROOFS};

use super::errands::Desk;
use super::hands::{Hands, position, put};
use ring::{Ring, Unread};

pub(super) mod ring;

/// What to write where there is no store.
const NO_STORE: &str = "this cluster has no store: write `[store]` into the outlast.toml of all nodes, with \
                        `members = [...]` where not every controller is to have it, and restart them \
                        (docs/operate/store.md)";
/// A reason in a window (bytes).
const MAX_REASON: usize = 200;
/// A voter that lives is asked ten times a second, and says at least who it is, also while its disk stands still.
const HEARD_WITHIN: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// What nodes that are replaced are remembered under.
const REPLACED: &str = "replaced/";
/// An answer of so many pieces is no list.
const MOST_PIECES: usize = 512;

/// The books of the cluster, as this node has them.
pub(crate) struct Books {
    hands: Arc<Hands>,
    desk: Desk,
    me: String,
    /// Members of the store, by name; none without a store.
    members: Option<Vec<String>>,
}

impl Books {
    pub(crate) fn new(me: &str, hands: &Arc<Hands>, desk: &Desk) -> Arc<Self> {
        let members = {
            let core = super::lock(hands.core());
            core.cluster.as_ref().and_then(|cluster| {
                let named = |at: &usize| cluster.nodes.get(*at).map(|node| node.name.clone());
                Some(cluster.store.as_ref()?.members.iter().filter_map(named).collect())
            })
        };
        let (hands, desk, me) = (Arc::clone(hands), desk.clone(), me.to_owned());
        Arc::new(Self { hands, desk, me, members })
    }

    /// Does what is asked on the control socket; a commit comes with its content.
    ///
    /// # Errors
    /// In words for the operator: nothing was done, or what it depends on.
    pub(crate) fn does(
        &self,
        ask: &BookAsk,
        by: &str,
        content: &[u8],
    ) -> Result<BookAnswer, String> {
        if let BookAsk::Replace { old, .. } = ask {
            return self.may_replace(old, by);
        }
        let members = self.members.as_ref().ok_or(NO_STORE)?;
        if members.contains(&self.me) {
            return self.here(ask, &format!("{by} on {}", self.me), content);
        }
        let status = self.hands.looks().0;
        if status.nodes.iter().any(|line| line.compute && line.state.node == self.me) {
            return Err(format!("{} is a compute node: ask a controller", self.me));
        }
        if matches!(ask, BookAsk::Generation { .. } | BookAsk::Commit(_)) {
            let (me, members) = (&self.me, members.join(", "));
            return Err(format!("{me} is no member of the store: type it on one of {members}"));
        }
        let is_alive = |name: &&String| {
            let is_it = |line: &&api::NodeLine| line.state.node == **name;
            let line = status.nodes.iter().find(is_it);
            line.is_some_and(|line| line.state.standing == Standing::Alive)
        };
        let mut why = "no member of the store is alive as far as this node knows".to_owned();
        for name in members.iter().filter(is_alive) {
            match self.asks(name, ask, by) {
                Ok(answer) => return Ok(answer),
                Err(other) => why = other,
            }
            // What changes something may have been done there.
            if Deed::of_book(ask).0.row().changes {
                break;
            }
        }
        Err(why)
    }

    /// What the tool does then is in the log of the trust folder.
    fn may_replace(&self, old: &str, by: &str) -> Result<BookAnswer, String> {
        if self.members.is_none() {
            return Ok(BookAnswer::Done(false));
        }
        match self.does(&hears(old), by, &[])? {
            BookAnswer::Done(true) => Err(format!(
                "{old} is no lost machine: it votes in the store and answers there; stop it first"
            )),
            BookAnswer::Done(false)
            | BookAnswer::History(_)
            | BookAnswer::Standing(_)
            | BookAnswer::Generation(_)
            | BookAnswer::Overtaken(_)
            | BookAnswer::Windows(_)
            | BookAnswer::Wishes(_) => Ok(BookAnswer::Done(true)),
        }
    }

    /// Answers somebody on another node, from that byte of the answer on.
    ///
    /// # Errors
    /// As [`Self::does`].
    pub(super) fn part(&self, ask: &BookAsk, by: &str, at: u64) -> Result<BookPart, String> {
        let is_member = self.members.as_ref().is_some_and(|members| members.contains(&self.me));
        if !is_member {
            return Err(format!("{} is no member of the store", self.me));
        }
        if at > 0 && Deed::of_book(ask).0.row().changes {
            return Err("that is answered by one piece".to_owned());
        }
        let answer = self.here(ask, by, &[])?;
        let text = String::from_utf8(put(&answer)).unwrap_or_default();
        let carry::Mark { digest, bytes } = carry::Mark::of(&text);
        let text = carry::piece(&text, at).to_owned();
        Ok(BookPart { whole: Mark { digest, bytes }, text })
    }

    fn asks(&self, name: &str, ask: &BookAsk, by: &str) -> Result<BookAnswer, String> {
        let at = u16::try_from(position(&self.hands.looks().0, name)?);
        let to = at.map_err(|_| "too many nodes".to_owned())?;
        let mut arrival = Arrival::default();
        let mut has = 0;
        for _ in 0..MOST_PIECES {
            let errand = Errand::Book { ask: ask.clone(), by: by.to_owned(), at: has };
            let said = self.desk.ask(to, name, put(&errand)).kept()?;
            let read = |error: api::ReadError| base::Chain(&error).to_string();
            let part: BookPart = api::decode(&said).map_err(read)?;
            let Mark { digest, bytes } = part.whole;
            let mark = carry::Mark { digest, bytes };
            // It is another answer than that of the piece before, where the store changed meanwhile.
            if arrival.offered(&mark) != has {
                has = 0;
                continue;
            }
            let (now, whole) = arrival.piece(&mark.digest, has, &part.text);
            if let Some(whole) = whole {
                return api::decode(whole.as_bytes()).map_err(read);
            }
            has = now;
        }
        Err(format!("the answer of {name} does not come to an end"))
    }

    /// On a member. What is written down has the word of the node that knows who asks, beside that of his tool.
    fn here(&self, ask: &BookAsk, by: &str, content: &[u8]) -> Result<BookAnswer, String> {
        let local = Local::new(&self.hands.run_dir).map_err(|error| error.to_string())?;
        let store = Shelf { local, ring: self.hands.ring() };
        match ask {
            BookAsk::History => store.history().map(BookAnswer::History),
            BookAsk::Standing => store.standing().map(Box::new).map(BookAnswer::Standing),
            BookAsk::Generation { number } => {
                store.generation(*number).map(|found| BookAnswer::Generation(found.map(Box::new)))
            }
            BookAsk::Commit(generation) => store.commit(generation, content),
            BookAsk::Windows => store.windows().map(BookAnswer::Windows),
            BookAsk::Wishes => store.wishes().map(BookAnswer::Wishes),
            BookAsk::Begin { window, millis } => {
                if let Some(node) = &window.node {
                    position(&self.hands.looks().0, node)?;
                }
                store.begin(&Window { by: by.to_owned(), ..window.clone() }, *millis)
            }
            BookAsk::End { node } => {
                let ended = store.wait(store.local.client().delete(&key(node.as_deref())))?;
                Ok(BookAnswer::Done(ended))
            }
            BookAsk::Prove(proof) => {
                self.speaks_against(&proof.node)?;
                // Its agent may be gone alone.
                if self.hears(&store, &proof.node, false)? == BookAnswer::Done(true) {
                    return Err(format!("{} is not off: it votes in the store", proof.node));
                }
                let joined_ms = store.ring.joined_ms(&proof.node);
                store.prove(&Proof { by: by.to_owned(), joined_ms, ..proof.clone() })
            }
            BookAsk::TakeBack { node } => {
                let key = format!("{PROOFS}{node}");
                Ok(BookAnswer::Done(store.wait(store.local.client().delete(&key))?))
            }
            BookAsk::Join { nodes, instead_of } => {
                store.wish(nodes, &Wish::Join { instead_of: instead_of.clone() })
            }
            BookAsk::Leave { nodes } => store.wish(nodes, &Wish::Leave),
            BookAsk::Hears { node, passed_on } => self.hears(&store, node, *passed_on),
            BookAsk::Replace { old, .. } => self.may_replace(old, ""),
        }
    }

    /// Whoever gives a sign of life is not off, whatever somebody says.
    fn speaks_against(&self, node: &str) -> Result<(), String> {
        let status = self.hands.looks().0;
        let at = position(&status, node)?;
        if status.nodes[at].state.standing == Standing::Alive {
            return Err(format!("{} hears {node}: it is not off", self.me));
        }
        let core = super::lock(self.hands.core());
        let judged = u16::try_from(at).ok().and_then(|at| core.judgement(at));
        match judged.filter(Judgement::tells_of_life) {
            Some(Judgement { rule, .. }) => {
                Err(format!("{node} is not off: rule {}: {}", rule.name, rule.sentence))
            }
            None => Ok(()),
        }
    }

    /// Only the leader knows what its voters say: a word that comes there from now on is a sign of life, however
    /// far the disk behind it lags.
    fn hears(&self, store: &Shelf, node: &str, passed_on: bool) -> Result<BookAnswer, String> {
        let client = store.local.client();
        let report = store.wait(client.report())?;
        if !report.voters.iter().any(|(name, _)| name == node) || report.engine == "etcd" {
            return Ok(BookAnswer::Done(false));
        }
        let leader = report.leader.clone().ok_or("no majority: the store has no leader")?;
        if leader == node {
            // Its agent may be silent; what is written now is committed by it, or there will be another one.
            store.wait(client.put(&format!("{REPLACED}asked"), node.as_bytes(), Some(60_000)))?;
            let leads = store.wait(client.report())?.leader.is_some_and(|leader| leader == node);
            return Ok(BookAnswer::Done(leads));
        }
        if leader != self.me {
            if passed_on {
                return Err("the store elects another leader just now: ask again".to_owned());
            }
            let ask = BookAsk::Hears { node: node.to_owned(), passed_on: true };
            return self.asks(&leader, &ask, "");
        }
        // Who lost the majority meanwhile hears nobody, and that says nothing about them.
        store.wait(client.put(&format!("{REPLACED}asked"), node.as_bytes(), Some(60_000)))?;
        let begun = sys::clock::now();
        loop {
            // Before the report: what it says of the last word is not older than that, however late it is read here.
            let waited = sys::clock::now().since(begun);
            let report = store.wait(client.report())?;
            let ago = report.heard.iter().find(|(name, _)| name == node).map(|(_, ago)| *ago);
            // Whole milliseconds are told.
            if ago.is_some_and(|ago| Duration::from_millis(ago + 1) <= waited) {
                return Ok(BookAnswer::Done(true));
            }
            if waited >= HEARD_WITHIN {
                return Ok(BookAnswer::Done(false));
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

fn hears(node: &str) -> BookAsk {
    BookAsk::Hears { node: node.to_owned(), passed_on: false }
}

/// The store of this node, for one question.
struct Shelf {
    local: Local,
    ring: Ring,
}

impl Shelf {
    fn wait<T>(&self, asked: impl Future<Output = Result<T, Error>>) -> Result<T, String> {
        self.local.wait(asked).map_err(|error| match error {
            Error::NoLeader(_) | Error::Away { .. } => {
                format!("no majority: {}", base::Chain(&error))
            }
            other @ (Error::Refused(_)
            | Error::Unknown
            | Error::Compacted(_)
            | Error::Stopped(_)
            | Error::Disk { .. }
            | Error::OtherOwner { .. }
            | Error::TwoVoters
            | Error::NoAddress(_)
            | Error::Etcd(_)
            | Error::Backup(_)
            | Error::Members(_)
            | Error::Lead(_)) => base::Chain(&other).to_string(),
        })
    }

    fn range(&self, keys: Keys) -> Result<Vec<(String, engine::kv::Item)>, String> {
        Ok(self.wait(self.local.client().range(keys))?.0)
    }

    fn history(&self) -> Result<Vec<Generation>, String> {
        let found = self.range(Keys::Prefix(keys::GENERATIONS.to_owned()))?;
        found.iter().map(|(key, item)| read(key, &item.value)).collect()
    }

    fn generation(&self, number: u64) -> Result<Option<(Generation, Content)>, String> {
        let key = keys::generation_key(number);
        let Some(item) = self.wait(self.local.client().get(&key))? else { return Ok(None) };
        let parts = self.range(Keys::Prefix(keys::content_prefix(number)))?;
        self.ring.opened(&item, &parts).map(Some).map_err(|unread| match unread {
            Unread::Lacks(why) => format!("generation {number} cannot be read here: {why}"),
            Unread::Wrong(why) => format!("generation {number} is damaged in the store: {why}"),
        })
    }

    fn standing(&self) -> Result<BookStanding, String> {
        let Some(last) = self.history()?.pop() else { return Ok(BookStanding::default()) };
        let Some((generation, content)) = self.generation(last.number)? else {
            return Ok(BookStanding::default());
        };
        let mut said = std::collections::BTreeMap::new();
        for (key, item) in self.range(Keys::Prefix(keys::NODES.to_owned()))? {
            let name = key.strip_prefix(keys::NODES).unwrap_or(&key).to_owned();
            said.insert(name, read::<Applied>(&key, &item.value)?);
        }
        let members = members(&content);
        let line = |node: &String| BookLine {
            node: node.clone(),
            is_member: members.contains(node),
            applied: said.remove(node),
        };
        let nodes = content.nodes.keys().map(line).collect();
        Ok(BookStanding { newest: Some(generation), nodes })
    }

    fn commit(&self, wanted: &Generation, whole: &[u8]) -> Result<BookAnswer, String> {
        if whole.len() > keys::MAX_CONTENT || keys::digest(whole) != wanted.digest {
            return Err("what came is not what was announced".to_owned());
        }
        let kept = self.history()?;
        let after = kept.last().map(|newest| newest.number);
        if after.map_or(1, |after| after + 1) != wanted.number {
            return Ok(BookAnswer::Overtaken(after.unwrap_or(0)));
        }
        let (key, stored) = self.ring.seal(wanted.number, whole)?;
        let wanted = &Generation { key, ..wanted.clone() };
        let line = put(wanted);
        let kept: Vec<_> = kept.iter().map(|one| (one.number, one.bytes)).collect();
        let draft = Draft { after, generation: &line, content: &stored, kept: &kept };
        let done = self.local.wait(self.local.client().transact(draft.transaction()));
        match done {
            Ok(outcome) if outcome.held => Ok(BookAnswer::Done(true)),
            Ok(_) => Ok(BookAnswer::Overtaken(wanted.number)),
            // Whose it is, is what is there: no two are the same in who, when and what.
            Err(Error::Unknown) => match self.generation(wanted.number)? {
                Some((there, _)) if there == *wanted => Ok(BookAnswer::Done(true)),
                Some(_) => Ok(BookAnswer::Overtaken(wanted.number)),
                None => Err(base::Chain(&Error::Unknown).to_string()),
            },
            Err(error) => self.wait(async { Err(error) }),
        }
    }

    fn windows(&self) -> Result<Vec<Window>, String> {
        let found = self.range(Keys::Prefix(WINDOWS.to_owned()))?;
        found.iter().map(|(key, item)| read(key, &item.value)).collect()
    }

    /// It begins by the clock of the node where it was typed, and its key goes by the store's.
    fn begin(&self, window: &Window, millis: u64) -> Result<BookAnswer, String> {
        let length = Duration::from_millis(millis);
        if !(MIN_LENGTH..=MAX_LENGTH).contains(&length)
            || window.why.is_empty()
            || window.why.len() > MAX_REASON
        {
            return Err(
                "a window has a reason, a minute at least and seven days at most".to_owned()
            );
        }
        // The clocks of nodes differ: the key outlives the window on each of them, and goes then.
        let limit = u32::try_from((length + SLACK).as_millis()).unwrap_or(u32::MAX);
        let key = key(window.node.as_deref());
        self.wait(self.local.client().put(&key, &put(window), Some(limit)))?;
        Ok(BookAnswer::Done(true))
    }

    fn prove(&self, proof: &Proof) -> Result<BookAnswer, String> {
        if proof.why.is_empty() || proof.why.len() > MAX_REASON {
            return Err(format!("a reason has at least one byte and at most {MAX_REASON}"));
        }
        let key = format!("{PROOFS}{}", proof.node);
        self.wait(self.local.client().put(&key, &put(proof), None))?;
        Ok(BookAnswer::Done(true))
    }

    fn wishes(&self) -> Result<Vec<(String, String)>, String> {
        let found = self.range(Keys::Prefix(WISHES.to_owned()))?;
        let name = |key: &str| key.strip_prefix(WISHES).unwrap_or(key).to_owned();
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        Ok(found.iter().map(|(key, item)| (name(key), text(&item.value))).collect())
    }

    /// Writes down what is wanted of these nodes, all at once.
    fn wish(&self, nodes: &[String], wish: &Wish) -> Result<BookAnswer, String> {
        let put = |node: &String| Op::Put {
            key: format!("{WISHES}{node}"),
            value: wish.text().as_bytes().into(),
            limit: None,
        };
        if self.wait(self.local.client().report())?.engine == "etcd" {
            return Err("the members of an etcd are changed with etcdctl".to_owned());
        }
        let then = nodes.iter().map(put).collect();
        let transaction = Transaction { compares: vec![], then, otherwise: vec![] };
        self.wait(self.local.client().transact(transaction))?;
        Ok(BookAnswer::Done(true))
    }
}

/// Members of the store, as a generation says.
fn members(content: &Content) -> Vec<String> {
    let first = content.nodes.keys().next().and_then(|node| content.of(node));
    let text = first.and_then(|mut files| files.remove(CLUSTER_FILE)).unwrap_or_default();
    let source = config::Source { path: CLUSTER_FILE.to_owned(), text };
    let Some(cluster) = config::cluster::parse(&source, 0).0 else { return vec![] };
    let store = cluster.store.iter().flat_map(|store| &store.members);
    store.filter_map(|at| Some(cluster.nodes.get(*at)?.name.clone())).collect()
}

fn read<T: serde::de::DeserializeOwned>(key: &str, value: &[u8]) -> Result<T, String> {
    let wrong = |error: api::ReadError| {
        format!("cannot read what the store has under {key}: {}", base::Chain(&error))
    };
    api::decode(value).map_err(wrong)
}
