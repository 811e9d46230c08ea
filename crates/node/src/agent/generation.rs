//! Brings the newest generation of the configuration onto this node, on threads of its own, and says in the store
//! what the node runs; a node that has no store is brought it by members, and answers them ([`super::carry`]).
//!
//! What to do next is decided by [`engine::generation`]; the files are written by [`crate::generation`]; whether a
//! generation is good, and how it takes over, is the supervisor's as for SIGHUP. If it does, this agent is replaced
//! by one that was started with the new texts, and that one puts the files in place.

use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use ::store::{Local, Store};
use api::generation::{Applied, Brought, Files, Generation};
use api::{Event, Report, Start};
use base::{Chain, Time};
use engine::generation::{self as keys, Facts, Lying, Next, Tried};
use engine::kv::Keys;

use super::books::Books;
use super::books::ring::Ring;
use super::command::Voice;
use super::told::Told;
use super::turn::Turn;
use crate::files::Texts;
use crate::generation::{Place, digests};

mod lacks;
mod watch;

/// How soon a file that was changed by hand is seen.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Between two tries to reach the store of this node.
const AGAIN: Duration = Duration::from_secs(1);
/// The supervisor decides within seconds; an answer that does not come within this was lost.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// Steps at one look: each kind happens once, and a look that goes round finds an end.
const MOST_STEPS: usize = 8;
/// What is said of a refusal fits into one message and one line (bytes).
const MAX_WHY: usize = 400;

/// The threads that look after generations, where this node has a cluster file.
#[derive(Clone, Default)]
pub(crate) struct Generations {
    news: Option<Sender<News>>,
    limit: Arc<Mutex<Option<String>>>,
    /// Where members of the store bring it.
    pub(super) told: Option<Arc<Told>>,
    /// Set once there are any.
    pub(super) books: Arc<OnceLock<Arc<Books>>>,
}

#[derive(Debug)]
pub(super) enum News {
    /// The newest generation in the store; 0: there is none.
    Newest(u64),
    /// The newest generation, by a member of the store.
    Brought(Box<Brought>),
    Refused {
        generation: u64,
        why: String,
        at_start: bool,
    },
}

impl Generations {
    /// The supervisor did not take it.
    pub(crate) fn refused(&self, generation: u64, why: String, at_start: bool) {
        if let Some(news) = &self.news {
            // A thread that ended has nothing to remember.
            let _ = news.send(News::Refused { generation, why, at_start });
        }
    }

    /// What an operator should know when he asks for the status.
    pub(crate) fn limit(&self) -> Option<String> {
        self.limit.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Starts them, if this node has a cluster file.
pub(crate) fn begin(
    core: &Arc<Mutex<super::Core>>,
    start: &Start,
    texts: &Texts,
    voice: &Voice,
) -> Generations {
    let path = texts.cluster.as_ref().map(|file| file.path.as_str());
    let (is_member, ring) = {
        let core = super::lock(core);
        let me = core.cluster.as_ref().and_then(|cluster| super::lock_me(start, cluster));
        let cluster = core.cluster.as_ref();
        (crate::store::is_member(cluster, me.map(usize::from)), Ring::new(cluster, path))
    };
    let Some(file) = &texts.cluster else { return Generations::default() };
    let (news, hears) = mpsc::channel();
    let place = Place::of(Path::new(&file.path));
    let limit = Arc::new(Mutex::new(place.undone()));
    let told =
        (!is_member).then(|| Arc::new(Told::new(core, news.clone(), Path::new(&start.state_dir))));
    let running = place.named(texts);
    let run_dir = start.run_dir.clone();
    let (me, voice) = (start.node.clone(), voice.clone());
    let books = Arc::<OnceLock<Arc<Books>>>::default();
    let turn = Turn { me: me.clone(), core: Arc::clone(core), books: Arc::clone(&books) };
    let (limits, source) = (Arc::clone(&limit), told.clone());
    if is_member {
        let (run_dir, news) = (run_dir.clone(), news.clone());
        let watches = move || watch::forever(&run_dir, &news);
        // Both end with the process.
        let _watches = std::thread::Builder::new().name("generations".to_owned()).spawn(watches);
    }
    let _applies = std::thread::Builder::new().name("generation".to_owned()).spawn(move || {
        let shelf = match source {
            Some(told) => Shelf::Told(told),
            None => match Local::new(Path::new(&run_dir)) {
                Ok(local) => Shelf::Store(local),
                Err(_) => return,
            },
        };
        let mut applier = Applier {
            shelf,
            ring,
            turn,
            waits: None,
            me,
            place,
            running,
            voice,
            limit: limits,
            wanted: None,
            newest: 0,
            tried: (Tried::No, Time::NEVER),
            read_again: Time::NEVER,
            lacks: None,
            refused: None,
            note: None,
            said: None,
        };
        applier.run(&hears);
    });
    Generations { news: Some(news), limit, told, books }
}

struct Wanted {
    generation: Generation,
    files: Files,
}

/// Where the newest generation comes from, and where it is said what this node runs.
enum Shelf {
    Store(Local),
    Told(Arc<Told>),
}

struct Applier {
    shelf: Shelf,
    ring: Ring,
    turn: Turn,
    /// What has to be so before it is taken on.
    waits: Option<String>,
    me: String,
    place: Place,
    running: Files,
    voice: Voice,
    limit: Arc<Mutex<Option<String>>>,
    newest: u64,
    /// The newest generation, once it was read.
    wanted: Option<Wanted>,
    /// Until when that stands.
    tried: (Tried, Time),
    /// When a generation that could not be read is read again.
    read_again: Time,
    /// The generation for which this node waits for a key, and since when.
    lacks: Option<(u64, Time)>,
    refused: Option<String>,
    note: Option<String>,
    /// As it stands in the store.
    said: Option<Applied>,
}

impl Applier {
    fn run(&mut self, hears: &Receiver<News>) {
        loop {
            let is_behind =
                self.wanted.as_ref().map_or(0, |wanted| wanted.generation.number) != self.newest;
            let is_soon = is_behind || self.said.is_none() || self.waits.is_some();
            let wait = if is_soon { AGAIN } else { LOOK_EVERY };
            match hears.recv_timeout(wait) {
                Ok(News::Newest(number)) => self.newest = number,
                Ok(News::Brought(brought)) => {
                    let Brought { generation, files } = *brought;
                    self.newest = generation.number;
                    self.want(generation, files);
                }
                Ok(News::Refused { generation, why, at_start }) => {
                    self.was_refused(generation, &why, at_start);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if self.newest == 0 {
                continue;
            }
            self.fetch();
            if self.wanted.is_some() {
                self.work();
                self.say();
            }
        }
    }

    fn was_refused(&mut self, number: u64, why: &str, at_start: bool) {
        if self.wanted.as_ref().is_none_or(|wanted| wanted.generation.number != number) {
            return;
        }
        let mut why = cut(why);
        if at_start {
            why = match self.want_at_start(number) {
                Ok(()) => format!("{why}; it is taken on at its next start"),
                Err(error) => format!("{why}; and that cannot be written down: {error}"),
            };
        }
        self.refuse(why);
    }

    /// What is replaced now by force, is replaced then.
    fn want_at_start(&self, number: u64) -> std::io::Result<()> {
        let Some(wanted) = &self.wanted else { return Ok(()) };
        let foreign = match self.place.lying(&wanted.files)? {
            Lying::Foreign(foreign) if wanted.generation.force => foreign,
            Lying::Foreign(_) | Lying::Same | Lying::Known => vec![],
        };
        let is_forced = foreign.is_empty() || self.place.is_forced(number, &foreign)?;
        self.place.want_at_start(number, if is_forced { &foreign } else { &[] })
    }

    fn refuse(&mut self, why: String) {
        self.tried = (Tried::Refused, sys::clock::now() + keys::TRY_AGAIN);
        let is_news = self.refused.as_ref() != Some(&why);
        self.refused = Some(why.clone());
        if is_news {
            self.event("generation-refused", &why, String::new());
        }
    }

    /// Reads the newest generation, unless it is here; on failure the next look tries again. One that was read and
    /// is not understood is refused, and read again later.
    fn fetch(&mut self) {
        let number = self.newest;
        let is_known = self.wanted.as_ref().is_some_and(|it| it.generation.number == number);
        let Shelf::Store(local) = &self.shelf else { return };
        if is_known && sys::clock::now() < self.read_again {
            return;
        }
        let client = local.client();
        let Ok(Some(item)) = local.wait(client.get(&keys::generation_key(number))) else {
            return;
        };
        let parts = local.wait(client.range(Keys::Prefix(keys::content_prefix(number))));
        let Ok((parts, _)) = parts else { return };
        match self.ring.opened(&item, &parts) {
            Ok((generation, content)) => {
                let files = content.of(&self.me);
                self.want(generation, files);
            }
            Err(unread) if !is_known && self.is_on_its_way(number, &unread) => {}
            Err(unread) => {
                let before = self.refused.take().filter(|_| is_known);
                let who = "somebody".to_owned();
                self.want(Generation { number, who, ..Generation::default() }, None);
                self.refused = before;
                self.read_again = sys::clock::now() + unread.again();
                self.refuse(cut(&format!("this node cannot read it: {}", unread.why())));
            }
        }
    }

    /// This one is the newest from now on.
    fn want(&mut self, generation: Generation, files: Option<Files>) {
        (self.tried, self.note, self.waits) = ((Tried::No, Time::NEVER), None, None);
        // What waits for the next start is of a generation before; if it stays, a start takes that one first.
        let _ = self.place.forget_start(generation.number);
        (self.read_again, self.refused) = (Time::NEVER, None);
        if files.is_none() {
            self.refused = Some("it has no files for this node".to_owned());
        }
        self.wanted = Some(Wanted { generation, files: files.unwrap_or_default() });
    }

    /// Does what is to be done, until something is waited for.
    fn work(&mut self) {
        for _ in 0..MOST_STEPS {
            if sys::clock::now() >= self.tried.1 {
                self.tried = (Tried::No, Time::NEVER);
            }
            let Some(wanted) = &self.wanted else { return };
            if wanted.files.is_empty() {
                return;
            }
            let (number, files) = (wanted.generation.number, wanted.files.clone());
            let facts = match self.facts(number, &files, wanted.generation.force) {
                Ok(facts) => facts,
                Err(error) => {
                    self.note = Some(format!("its files cannot be looked at: {error}"));
                    return;
                }
            };
            if !self.take(&facts, number, &files) {
                return;
            }
        }
    }

    fn facts(&self, number: u64, files: &Files, force: bool) -> std::io::Result<Facts> {
        let note = self.place.note();
        let lying = self.place.lying(files)?;
        let foreign = match &lying {
            Lying::Foreign(foreign) => foreign.as_slice(),
            Lying::Same | Lying::Known => &[],
        };
        let force = force && self.place.is_forced(number, foreign)?;
        Ok(Facts {
            runs: self.running == *files,
            lying,
            staged: self.place.has_staged(number, files),
            noted: note.is_some_and(|n| n.number == number && n.files == digests(files)),
            force,
            tried: self.tried.0,
        })
    }

    /// One step; whether there is another at once.
    fn take(&mut self, facts: &Facts, number: u64, files: &Files) -> bool {
        self.waits = None;
        if facts.runs {
            self.refused = None;
        }
        let next = keys::next(facts);
        // A node that runs it and waits could not put its files in place.
        let stays = matches!(next, Next::Changed(_)) || (facts.runs && next == Next::Wait);
        if !stays {
            self.note = None;
        }
        let done = match next {
            Next::Stage => self.place.stage(number, files),
            Next::Ask if self.has_to_wait(number, files) => return false,
            Next::Ask => {
                self.tried = (Tried::Asked, sys::clock::now() + ANSWER_WITHIN);
                let asked = self.voice.say(&Report::Apply { generation: number });
                asked.map_err(std::io::Error::other)
            }
            Next::Install => self.install(facts, number),
            Next::Note => self.place.note_down(number, files),
            Next::Refuse(foreign) => {
                self.refuse(format!(
                    "changed by hand, and of no generation: {}; `outlast config rollback {number} --force` \
                     replaces what was changed and keeps it beside",
                    cut(&foreign.join(", "))
                ));
                return false;
            }
            Next::Changed(foreign) => {
                let files = cut(&foreign.join(", "));
                self.note =
                    Some(format!("changed by hand since, and read by the next start: {files}"));
                return false;
            }
            Next::Wait | Next::Done => return false,
        };
        let Err(error) = done else { return true };
        let why = cut(&Chain(&error).to_string());
        match facts.runs {
            true => {
                self.tried = (Tried::Refused, sys::clock::now() + keys::TRY_AGAIN);
                self.note = Some(format!("its files could not be put in place: {why}"));
            }
            false => self.refuse(format!("its files cannot be written: {why}")),
        }
        false
    }

    fn has_to_wait(&mut self, number: u64, files: &Files) -> bool {
        self.waits = match &self.shelf {
            Shelf::Store(local) => self.turn.waits(local, (&self.running, files), number),
            Shelf::Told(_) => None,
        };
        self.waits.is_some()
    }

    fn install(&mut self, facts: &Facts, number: u64) -> std::io::Result<()> {
        let foreign = match &facts.lying {
            Lying::Foreign(files) => files.as_slice(),
            Lying::Same | Lying::Known => &[],
        };
        self.place.install(number, foreign)?;
        let kept = match foreign.is_empty() {
            true => String::new(),
            false => format!("; kept in .outlast/kept: {}", cut(&foreign.join(", "))),
        };
        let action =
            format!("its files are in place: a restart runs generation {number}, too{kept}");
        self.event("generation-applied", "it serves", action);
        Ok(())
    }

    fn event(&self, what: &str, evidence: &str, action: String) {
        let Some(Wanted { generation, .. }) = &self.wanted else { return };
        let by = format!("generation {} by {}", generation.number, generation.who);
        let why = if generation.why.is_empty() { "no reason given" } else { &generation.why };
        // The supervisor, which passes it on, may be gone: then this process is about to end.
        let _ = self.voice.say(&Report::Event(Event {
            at_ms: sys::clock::wall_ms(),
            node: self.me.clone(),
            what: what.to_owned(),
            object: format!("node/{}", self.me),
            evidence: format!("{by} ({}): {evidence}", cut(why)),
            decision: "the newest generation is for every node".to_owned(),
            action,
            ..Event::default()
        }));
    }

    /// The generation that this node runs: the newest, or the one that its files are of.
    fn runs(&self) -> Option<u64> {
        let wanted = self.wanted.as_ref()?;
        if self.running == wanted.files {
            return Some(wanted.generation.number);
        }
        let note = self.place.note()?;
        (note.files == digests(&self.running)).then_some(note.number)
    }

    /// Tells the cluster, if that changed.
    fn say(&mut self) {
        let runs = self.runs();
        self.tell_status(runs);
        // A newer one may be there that was not read yet.
        let Some(seen) = self.wanted.as_ref().map(|wanted| wanted.generation.number) else {
            return;
        };
        let asked = self.tried.0 == Tried::Asked && runs != Some(seen);
        if asked || self.waits.is_some() {
            // Nothing is settled yet.
            return;
        }
        let (refused, note) = (self.refused.clone(), self.note.clone());
        let said = self.said.as_ref();
        let is_same = |said: &Applied| {
            (said.seen, said.runs, &said.refused, &said.note) == (seen, runs, &refused, &note)
        };
        if said.is_some_and(is_same) {
            return;
        }
        let at_ms = sys::clock::wall_ms();
        let applied = Applied { seen, runs, refused, note, at_ms };
        // Without a leader: the next look says it again.
        let is_said = match &self.shelf {
            Shelf::Told(told) => {
                told.say(applied.clone());
                true
            }
            Shelf::Store(local) => {
                let mut value = vec![];
                api::encode(&applied, &mut value);
                let key = keys::node_key(&self.me);
                local.wait(local.client().put(&key, &value, None)).is_ok()
            }
        };
        self.said = is_said.then_some(applied);
    }
}

/// The beginning of a text, where it is long.
fn cut(text: &str) -> String {
    let text = text.replace('\n', " | ");
    match text.char_indices().find(|(at, _)| *at > MAX_WHY) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text,
    }
}
