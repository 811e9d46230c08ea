//! The generations in the store.

use std::io;
use std::time::Duration;

use api::books::{BookAnswer, BookAsk, BookLine};
use api::generation::{Applied, Content, Generation};
use engine::generation as keys;
use serde_json::json;

use super::{GenerationError, collect};
use crate::reach::{self, Instance, ReachError, Socket};

const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The store of the cluster, as a shelf of generations.
pub(super) struct Shelf(Socket);

/// What is known of one node.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) node: String,
    /// Others are brought generations by members.
    pub(super) is_member: bool,
    pub(super) applied: Option<Applied>,
}

impl Line {
    pub(super) fn is_well(&self, number: u64) -> bool {
        self.applied.as_ref().is_some_and(|it| it.runs == Some(number))
    }

    /// It has looked at it, and runs another one.
    pub(super) fn is_refused(&self, number: u64) -> bool {
        self.state(number).0 == "refused"
    }

    /// It has made up its mind, or cannot.
    fn is_settled(&self, number: u64) -> bool {
        self.applied.as_ref().is_some_and(|applied| applied.seen >= number)
    }

    fn state(&self, number: u64) -> (&'static str, String) {
        let Some(applied) = &self.applied else {
            let text = match self.is_member {
                true => "has not said anything yet: away, or it has no store yet",
                false => "has not said anything yet: away, or no member of the store reaches it",
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
    pub(super) fn open(instance: &Instance) -> Result<Self, GenerationError> {
        Ok(Self(instance.socket()?))
    }

    fn ask(&self, ask: BookAsk, content: &[u8]) -> Result<BookAnswer, GenerationError> {
        Ok(reach::book(&self.0, ask, content)?)
    }

    /// Those that are kept, the oldest first.
    pub(super) fn history(&self) -> Result<Vec<Generation>, GenerationError> {
        let answer = self.ask(BookAsk::History, &[])?;
        let BookAnswer::History(kept) = answer else { return Err(ReachError::Other.into()) };
        Ok(kept)
    }

    pub(super) fn generation(&self, number: u64) -> Result<(Generation, Content), GenerationError> {
        let answer = self.ask(BookAsk::Generation { number }, &[])?;
        let BookAnswer::Generation(found) = answer else { return Err(ReachError::Other.into()) };
        found.map(|found| *found).ok_or(GenerationError::Unknown(number))
    }

    /// Commits it after the one before it, or says that somebody else did.
    pub(super) fn commit(
        &self,
        mut generation: Generation,
        content: &Content,
    ) -> Result<(), GenerationError> {
        let mut whole = vec![];
        api::encode(content, &mut whole);
        if whole.len() > keys::MAX_CONTENT {
            return Err(GenerationError::Large { found: whole.len() });
        }
        generation.digest = keys::digest(&whole);
        generation.bytes = u64::try_from(whole.len()).unwrap_or(u64::MAX);
        let answer = self.ask(BookAsk::Commit(generation), &whole)?;
        if let BookAnswer::Overtaken(number) = answer {
            return Err(GenerationError::Overtaken(number));
        }
        Ok(())
    }

    /// The newest generation, and what every node of it says.
    pub(super) fn standing(&self) -> Result<(Option<Generation>, Vec<Line>), GenerationError> {
        let answer = self.ask(BookAsk::Standing, &[])?;
        let BookAnswer::Standing(standing) = answer else { return Err(ReachError::Other.into()) };
        let line = |line: BookLine| {
            let BookLine { node, is_member, applied } = line;
            Line { node, is_member, applied }
        };
        Ok((standing.newest, standing.nodes.into_iter().map(line).collect()))
    }

    /// Waits until every node has made up its mind about a generation; each is told once. It is committed: what
    /// the store answers meanwhile, or does not, makes what is known of the nodes late and old, not wrong. Why the
    /// store did not answer when the wait was over comes with the lines.
    pub(super) fn wait_for(
        &self,
        number: u64,
        content: &Content,
        limit: Duration,
        tell: impl FnMut(&Line) -> io::Result<()>,
    ) -> Result<(Vec<Line>, Option<GenerationError>), GenerationError> {
        let unheard = lines(content);
        let end = sys::clock::now() + limit;
        let is_over = || sys::clock::now() >= end;
        settled(number, unheard, is_over, || Ok(self.standing()?.1), tell)
    }
}

/// One per node of a generation that has said nothing yet.
fn lines(content: &Content) -> Vec<Line> {
    let cluster = collect::cluster(content);
    let members: Vec<String> = cluster.map_or_else(Vec::new, |cluster| {
        let store = cluster.store.iter().flat_map(|store| &store.members);
        store.filter_map(|at| Some(cluster.nodes.get(*at)?.name.clone())).collect()
    });
    let line = |node: &String| Line {
        node: node.clone(),
        is_member: members.contains(node),
        applied: None,
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
