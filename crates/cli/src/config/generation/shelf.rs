//! The generations in the store.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use ::store::{Local, Store};
use api::generation::{Applied, Content, Generation};
use engine::generation::{self as keys, Draft};
use engine::kv::{Item, Keys};
use serde_json::json;

use super::{GenerationError, collect};
use crate::reach::Instance;
use crate::store::Here;

const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The store of this node, as a shelf of generations.
pub(super) struct Shelf(Local);

/// What is known of one node.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) node: String,
    /// Without a store there is nobody who could take a generation from it.
    pub(super) is_member: bool,
    pub(super) applied: Option<Applied>,
}

impl Line {
    pub(super) fn is_well(&self, number: u64) -> bool {
        !self.is_member || self.applied.as_ref().is_some_and(|it| it.runs == Some(number))
    }

    /// It has made up its mind, or cannot.
    fn is_settled(&self, number: u64) -> bool {
        !self.is_member || self.applied.as_ref().is_some_and(|applied| applied.seen >= number)
    }

    fn state(&self, number: u64) -> (&'static str, String) {
        let Some(applied) = self.applied.as_ref().filter(|_| self.is_member) else {
            let text = match self.is_member {
                true => "has not said anything yet: away, or it has no store yet",
                false => "has no store: copy its files there and reload, nothing does that yet",
            };
            return ("unknown", text.to_owned());
        };
        let runs = match applied.runs {
            Some(runs) => format!("generation {runs}"),
            None => "its own files".to_owned(),
        };
        let note = applied.note.as_ref().map(|note| format!("; {note}")).unwrap_or_default();
        if applied.runs == Some(number) {
            return ("applied", format!("runs {runs}{note}"));
        }
        if applied.seen < number {
            let text = format!("has not seen generation {number} yet, ran {runs} last{note}");
            return ("away", text);
        }
        let why = applied.refused.as_deref().unwrap_or("it is about to");
        ("refused", format!("still runs {runs}: {why}{note}"))
    }

    pub(super) fn text(&self, number: u64) -> String {
        format!("{}: {}", self.node, self.state(number).1)
    }

    pub(super) fn json(&self, number: u64) -> serde_json::Value {
        let (state, text) = self.state(number);
        let applied = self.applied.as_ref();
        json!({
            "node": self.node,
            "member": self.is_member,
            "state": state,
            "text": text,
            "runs": applied.and_then(|applied| applied.runs),
            "seen": applied.map(|applied| applied.seen),
            "refused": applied.and_then(|applied| applied.refused.clone()),
        })
    }
}

impl Shelf {
    pub(super) fn open(here: &Here) -> Result<Self, GenerationError> {
        let instance = Instance { run_dir: here.run_dir.clone(), ..Instance::default() };
        Ok(Self(Local::new(instance.socket()?.folder())?))
    }

    fn range(&self, keys: Keys) -> Result<Vec<(String, Item)>, GenerationError> {
        Ok(self.0.wait(self.0.client().range(keys))?.0)
    }

    /// Those that are kept, the oldest first.
    pub(super) fn history(&self) -> Result<Vec<Generation>, GenerationError> {
        let found = self.range(Keys::Prefix(keys::GENERATIONS.to_owned()))?;
        found.iter().map(|(key, item)| read(key, &item.value)).collect()
    }

    pub(super) fn generation(&self, number: u64) -> Result<(Generation, Content), GenerationError> {
        let key = keys::generation_key(number);
        let item = self.0.wait(self.0.client().get(&key))?;
        let item = item.ok_or(GenerationError::Unknown(number))?;
        let generation: Generation = read(&key, &item.value)?;
        let prefix = keys::content_prefix(number);
        let parts = self.range(Keys::Prefix(prefix.clone()))?;
        let whole: Vec<u8> =
            parts.iter().flat_map(|(_, item)| item.value.iter().copied()).collect();
        if keys::digest(&whole) != generation.digest {
            return Err(GenerationError::Damaged(number));
        }
        Ok((generation, read(&prefix, &whole)?))
    }

    /// Commits it after the newest of those that are kept, or says that somebody else did.
    pub(super) fn commit(
        &self,
        mut generation: Generation,
        content: &Content,
        kept: &[Generation],
    ) -> Result<(), GenerationError> {
        let mut whole = vec![];
        api::encode(content, &mut whole);
        if whole.len() > keys::MAX_CONTENT {
            return Err(GenerationError::Large { found: whole.len() });
        }
        generation.digest = keys::digest(&whole);
        generation.bytes = u64::try_from(whole.len()).unwrap_or(u64::MAX);
        let mut line = vec![];
        api::encode(&generation, &mut line);
        let kept: Vec<_> = kept.iter().map(|one| (one.number, one.bytes)).collect();
        let after = kept.last().map(|(number, _)| *number);
        let draft = Draft { after, generation: &line, content: &whole, kept: &kept };
        let number = draft.number();
        match self.0.wait(self.0.client().transact(draft.transaction())) {
            Ok(outcome) if outcome.held => Ok(()),
            Ok(_) => Err(GenerationError::Overtaken(number)),
            // Whose it is, is what is there: no two are the same in who, when and what.
            Err(::store::Error::Unknown) => match self.generation(number) {
                Ok((there, _)) if there == generation => Ok(()),
                Ok(_) => Err(GenerationError::Overtaken(number)),
                Err(_) => Err(::store::Error::Unknown.into()),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// What every node of a generation says.
    pub(super) fn lines(&self, content: &Content) -> Result<Vec<Line>, GenerationError> {
        let found = self.range(Keys::Prefix(keys::NODES.to_owned()))?;
        let mut said = BTreeMap::new();
        for (key, item) in &found {
            let name = key.strip_prefix(keys::NODES).unwrap_or(key).to_owned();
            said.insert(name, read::<Applied>(key, &item.value)?);
        }
        Ok(lines(content, said))
    }

    /// Waits until every member has made up its mind about a generation; each is told once. It is committed: what
    /// the store answers meanwhile, or does not, makes what is known of the nodes late and old, not wrong. Why the
    /// store did not answer when the wait was over comes with the lines.
    pub(super) fn wait_for(
        &self,
        number: u64,
        content: &Content,
        limit: Duration,
        tell: impl FnMut(&Line) -> io::Result<()>,
    ) -> Result<(Vec<Line>, Option<GenerationError>), GenerationError> {
        let unheard = lines(content, BTreeMap::new());
        let end = sys::clock::now() + limit;
        let is_over = || sys::clock::now() >= end;
        settled(number, unheard, is_over, || self.lines(content), tell)
    }
}

/// One per node of a generation, with what it said.
fn lines(content: &Content, mut said: BTreeMap<String, Applied>) -> Vec<Line> {
    let cluster = collect::cluster(content);
    let members: Vec<String> = cluster.map_or_else(Vec::new, |cluster| {
        let store = cluster.store.iter().flat_map(|store| &store.members);
        store.filter_map(|at| Some(cluster.nodes.get(*at)?.name.clone())).collect()
    });
    let line = |node: &String| Line {
        node: node.clone(),
        is_member: members.contains(node),
        applied: said.remove(node),
    };
    content.nodes.keys().map(line).collect()
}

/// Looks again until every node has made up its mind, or it is over; `lines` are what is known before.
pub(super) fn settled(
    number: u64,
    mut lines: Vec<Line>,
    is_over: impl Fn() -> bool,
    mut look: impl FnMut() -> Result<Vec<Line>, GenerationError>,
    mut tell: impl FnMut(&Line) -> io::Result<()>,
) -> Result<(Vec<Line>, Option<GenerationError>), GenerationError> {
    let mut told = vec![];
    loop {
        let is_over = is_over();
        let trouble = match look() {
            Ok(found) => {
                lines = found;
                None
            }
            Err(error) => Some(error),
        };
        for line in &lines {
            if (line.is_settled(number) || is_over) && !told.contains(&line.node) {
                told.push(line.node.clone());
                tell(line)?;
            }
        }
        if told.len() == lines.len() {
            return Ok((lines, trouble));
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn read<T: serde::de::DeserializeOwned>(key: &str, value: &[u8]) -> Result<T, GenerationError> {
    api::decode(value).map_err(|error| GenerationError::Read(key.to_owned(), error))
}
