//! Tells people of moves, by mail and webhook: what [`engine::notify::Outbox`] decides, carried out on a thread that
//! may wait.
//!
//! ```text
//!   events of all nodes --> Outbox --> shelf (the store, or a file of this node) --> a thread per delivery
//!        ^                    ^              |                                              |
//!   who holds what, 1/s ------+--------------+----------------------------------------------+
//! ```

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver as Letters, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::{Event, Report, Standing, Start, Tried};
use base::Time;
use config::cluster::{Cluster, Receiver};
use engine::Buffer;
use engine::notify::{
    Action, Addressee, Batch, Company, Input, Outbox, Outcome, Refusal, Vigil, Word,
};
use store::Link;

use super::core::Core;
use super::hands::Hands;
use super::lock;
use super::story::Story;
use crate::files::Texts;
use deliver::{Parcel, tell};
use shelf::{Shelf, Told};

mod deliver;
mod line;
mod shelf;
mod text;
mod words;

pub(crate) use deliver::check;

/// So often it is looked what happened and who is in office.
const GLANCE: Duration = Duration::from_millis(200);
/// So often it is looked who holds what.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A move takes no longer, whatever its timers; with slow adverts they decide ([`Teller::long`]).
const MOVES_WITHIN: Duration = Duration::from_secs(5);

/// What comes to the thread.
enum Mail {
    Shelf(Told),
    Delivered { batch: String, receiver: String, outcome: Outcome },
}

/// Sends a test to those who are asked for.
pub(crate) type Tester = Box<dyn Fn(Option<&str>) -> Result<Vec<Tried>, String> + Send + Sync>;

struct Teller {
    me: String,
    cluster: Arc<Cluster>,
    /// Of the cluster file: relative paths are meant from there.
    folder: PathBuf,
    core: Arc<Mutex<Core>>,
    hands: Arc<Hands>,
    story: Arc<Story>,
    shelf: Shelf,
    /// There is a store, and another node may be in office.
    is_shared: bool,
    /// Of this process: its office where the shelf is its own.
    life: u64,
    outbox: Outbox,
    vigil: Vigil,
    /// Up to where the story was read.
    place: u64,
    office: Option<u64>,
    look_at: Time,
    box_of: Sender<Mail>,
}

/// Begins it, where the cluster file has receivers and this node is a controller; tests are made in any case.
pub(crate) fn begin(
    (start, texts): (&Start, &Texts),
    hands: &Arc<Hands>,
    story: &Arc<Story>,
) -> Tester {
    if let Some((cluster, folder)) = receivers(hands.core(), texts) {
        start_teller(start, (cluster, folder), hands, story);
    }
    tester(hands, texts)
}

fn start_teller(
    start: &Start,
    (cluster, folder): (Arc<Cluster>, PathBuf),
    hands: &Arc<Hands>,
    story: &Arc<Story>,
) {
    let me = cluster.nodes.iter().position(|node| node.name == start.node);
    let Some(me) = me.filter(|me| !cluster.is_compute(*me)) else { return };
    let is_shared = cluster.store.is_some();
    let is_member = cluster.store.as_ref().is_some_and(|store| store.members.contains(&me));
    let link = if is_member { Link::start(&hands.run_dir).ok() } else { None };
    // What happens to a controller without a part of the store reaches the others, which tell it.
    if is_shared && link.is_none() {
        return;
    }
    let (box_of, letters) = mpsc::channel();
    let shelf = match link {
        Some(link) => Shelf::shared(link, box_of.clone()),
        None => Shelf::own(Path::new(&start.state_dir), box_of.clone()),
    };
    let addressees = cluster.notify.iter().map(|receiver| Addressee {
        name: receiver.name.clone(),
        topics: receiver.topics.clone(),
        retry_for: receiver.retry_for,
    });
    let named = |at: usize| cluster.nodes.get(at).map(|node| node.name.clone());
    let company = (!is_shared).then(|| {
        let order = (0..cluster.controllers().len()).filter_map(named).collect();
        Company::new(start.node.clone(), order)
    });
    let outbox = Outbox::new(addressees.collect(), company);
    let teller = Teller {
        me: start.node.clone(),
        cluster,
        folder,
        core: Arc::clone(hands.core()),
        hands: Arc::clone(hands),
        story: Arc::clone(story),
        shelf,
        is_shared,
        life: start.life,
        outbox,
        vigil: Vigil::default(),
        place: 0,
        office: None,
        look_at: Time::ZERO,
        box_of,
    };
    let work = move || teller.run(&letters);
    if std::thread::Builder::new().name("notify".to_owned()).spawn(work).is_err() {
        let limit = "nobody is told of moves: the system has no thread left".to_owned();
        lock(hands.core()).picture.limits.push(limit);
    }
}

/// What `outlast notify test` wants.
fn tester(hands: &Arc<Hands>, texts: &Texts) -> Tester {
    let core = Arc::clone(hands.core());
    let known = receivers(&core, texts);
    Box::new(move |wanted| {
        let Some((cluster, folder)) = &known else {
            return Err("no [notify.NAME] in this node's outlast.toml: nobody is told".to_owned());
        };
        let asked = |receiver: &&Receiver| wanted.is_none_or(|name| name == receiver.name);
        let all: Vec<&Receiver> = cluster.notify.iter().filter(asked).collect();
        if all.is_empty() {
            let names: Vec<&str> = cluster.notify.iter().map(|one| one.name.as_str()).collect();
            return Err(format!("there is no such receiver; known are {}", names.join(", ")));
        }
        let node = lock(&core).picture.node.clone();
        let message = text::test(&cluster.name, &node, sys::clock::wall_ms());
        let tries = std::thread::scope(|scope| {
            let each = all.iter().map(|receiver| {
                let (node, message) = (&node, &message);
                let parcel = Parcel { receiver, folder, node, message, left: &[] };
                scope.spawn(move || tell(&parcel))
            });
            let each: Vec<_> = each.collect();
            each.into_iter().map(|one| one.join().ok()).collect::<Vec<_>>()
        });
        let tried = all.iter().zip(tries).map(|(receiver, outcome)| {
            let (failed, note) = match outcome {
                Some(Outcome::Taken { later, never }) => {
                    (None, not_taken(&[later, never].concat()))
                }
                Some(Outcome::Failed { why, .. } | Outcome::Unsure(why)) => {
                    (Some(why), String::new())
                }
                None => (Some("it ended in the middle".to_owned()), String::new()),
            };
            Tried { receiver: receiver.name.clone(), way: receiver.words(), failed, note }
        });
        Ok(tried.collect())
    })
}

/// For whom of several; empty: it is taken for all.
fn not_taken(refused: &[Refusal]) -> String {
    let each = refused.iter().map(|Refusal { to, why }| format!("{to}: {why}"));
    let each = each.collect::<Vec<_>>().join("; ");
    if each.is_empty() { each } else { format!("not taken for {each}") }
}

fn receivers(core: &Mutex<Core>, texts: &Texts) -> Option<(Arc<Cluster>, PathBuf)> {
    let cluster = lock(core).cluster.clone().filter(|cluster| !cluster.notify.is_empty())?;
    let file = Path::new(&texts.cluster.as_ref()?.path);
    let folder = file.parent().unwrap_or_else(|| Path::new("."));
    Some((Arc::new(cluster), folder.to_owned()))
}

impl Teller {
    /// Until the process ends.
    fn run(mut self, letters: &Letters<Mail>) {
        loop {
            let wait = self.outbox.deadline().since(sys::clock::now()).min(GLANCE);
            match letters.recv_timeout(wait) {
                Ok(Mail::Shelf(told)) => self.told(told),
                Ok(Mail::Delivered { batch, receiver, outcome }) => {
                    self.step(Input::Delivered { batch, receiver, outcome });
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.step(Input::Wall(sys::clock::wall_ms()));
            self.take_office();
            self.read();
            let now = sys::clock::now();
            if now >= self.look_at {
                self.look_at = now + LOOK_EVERY;
                self.watch(now);
                self.show();
            }
            self.step(Input::Timeout);
        }
    }

    fn told(&mut self, told: Told) {
        for input in told {
            self.step(input);
        }
    }

    /// Who coordinates tells; without a store each node does for itself.
    fn take_office(&mut self) {
        let office = if self.is_shared {
            let core = lock(&self.core);
            let holder = core.coordinator.as_ref().filter(|holder| holder.node == self.me);
            holder.map(|holder| holder.token)
        } else {
            Some(self.life)
        };
        // What it holds decides, so it is not begun before that is known.
        let office = office.filter(|token| *token > 0 && self.outbox.is_read());
        if office == self.office {
            return;
        }
        self.office = office;
        self.vigil.forget();
        self.step(Input::Office(office));
        // All that is known of, once more: what the one before did not write is news.
        self.place = 0;
    }

    /// What happened since it was looked last.
    fn read(&mut self) {
        if self.office.is_none() {
            return;
        }
        let (events, place) = self.story.after(self.place, Duration::ZERO);
        self.place = place;
        for event in events {
            if event.what == "vip-claimed" {
                self.vigil.moved(sys::clock::now(), &event.object);
            }
            if let Some(input) = words::happened(&event, &self.cluster, &self.story) {
                self.step(input);
            }
            if event.node != self.me
                && let Some(input) = words::settled(&event)
            {
                self.step(input);
            }
        }
    }

    /// Who holds what, as far as this node hears; what nobody holds for too long is lost.
    fn watch(&mut self, now: Time) {
        if self.office.is_none() {
            return;
        }
        let (vips, held) = self.held();
        if !self.is_shared {
            self.step(Input::Seen(self.seen()));
        }
        for (name, long) in vips {
            let object = format!("vip/{name}");
            if self.vigil.look(now, &object, held.contains(&name), long) {
                let millis = u64::try_from(long.as_millis()).unwrap_or(u64::MAX);
                let at_ms = sys::clock::wall_ms().saturating_sub(millis);
                let cause = words::lost(&object, &self.story, |node| self.standing(node));
                let cause = format!("{cause}, as {} sees it", self.me);
                self.step(Input::Unheld { object, at_ms, cause });
            }
        }
    }

    /// All addresses with how long a move of each takes at most, and those that somebody alive holds.
    fn held(&self) -> (Vec<(String, Duration)>, BTreeSet<String>) {
        let core = lock(&self.core);
        let now = sys::clock::now();
        let picture = &core.picture;
        let vips = picture.files.vips.iter().map(|vip| {
            let silence = Duration::from_millis(vip.advert_ms) * u32::from(vip.missing).max(3);
            (vip.name.clone(), MOVES_WITHIN.max(silence + Duration::from_secs(3)))
        });
        let mut vips: Vec<(String, Duration)> = vips.collect();
        // Those that this node has no part in; their timers are in its file, and not worth knowing.
        for name in picture.files.peers.iter().flatten() {
            if !vips.iter().any(|(known, _)| known == name) {
                vips.push((name.clone(), MOVES_WITHIN * 2));
            }
        }
        let mut held: BTreeSet<String> = picture.held_names().into_iter().collect();
        let count = core.cluster.as_ref().map_or(0, |cluster| cluster.controllers().len());
        for node in (0..u16::try_from(count).unwrap_or(u16::MAX)).filter(|node| *node != core.me) {
            if core.node(now, node).standing == Standing::Alive {
                let bits = core.member.as_ref().map_or(0, |member| member.holds(node));
                held.extend(picture.names_of(node, bits));
            }
        }
        (vips, held)
    }

    /// Controllers that are alive, as far as this one hears, and itself.
    fn seen(&self) -> Vec<String> {
        let core = lock(&self.core);
        let now = sys::clock::now();
        let is_there = |at: u16| at == core.me || core.node(now, at).standing == Standing::Alive;
        let all = 0..u16::try_from(self.cluster.controllers().len()).unwrap_or(u16::MAX);
        let named = |at: u16| self.cluster.nodes.get(usize::from(at)).map(|node| node.name.clone());
        all.filter(|at| is_there(*at)).filter_map(named).collect()
    }

    /// How another node stands, in a word.
    fn standing(&self, name: &str) -> Option<&'static str> {
        let core = lock(&self.core);
        let at = core.picture.names.iter().position(|known| known == name)?;
        let state = core.node(sys::clock::now(), u16::try_from(at).ok()?);
        Some(match state.standing {
            Standing::Alive => return None,
            Standing::Left => "has left",
            Standing::Suspect | Standing::Unknown => "is not heard",
        })
    }

    fn step(&mut self, input: Input) {
        let mut out = Buffer::new();
        self.outbox.step(sys::clock::now(), input, &mut out);
        for action in out.drain() {
            match action {
                Action::Write { number, write } => self.shelf.write(number, &write),
                Action::Deliver(batch) => self.deliver(*batch),
                Action::Tell(word) => self.say(&word),
            }
        }
    }

    /// On a thread of its own: one receiver that does not answer delays no other.
    fn deliver(&self, batch: Batch) {
        let tell_us = self.box_of.clone();
        let receiver = self.cluster.notify.iter().find(|one| one.name == batch.receiver).cloned();
        let (folder, node) = (self.folder.clone(), self.me.clone());
        let message = text::of(&self.cluster.name, &batch, sys::clock::wall_ms());
        let (id, name, left) = (batch.id, batch.receiver, batch.left);
        let failed = Mail::Delivered {
            batch: id.clone(),
            receiver: name.clone(),
            outcome: Outcome::failed("the system has no thread left".to_owned()),
        };
        let work = move || {
            let outcome = match &receiver {
                Some(receiver) => {
                    let (folder, node, message) = (&folder, &node, &message);
                    tell(&Parcel { receiver, folder, node, message, left: &left })
                }
                None => Outcome::failed("nobody has that name".to_owned()),
            };
            // It ends with the process.
            let _ = tell_us.send(Mail::Delivered { batch: id, receiver: name, outcome });
        };
        if std::thread::Builder::new().name("tells".to_owned()).spawn(work).is_err() {
            let _ = self.box_of.send(failed);
        }
    }

    fn say(&self, word: &Word) {
        let event = Event { at_ms: sys::clock::wall_ms(), ..words::event(word) };
        // A loop that is too busy to hear it is told by the state of the receiver.
        let _ = self.hands.voice().say(&Report::Event(event));
    }

    /// Where `outlast status` reads it.
    fn show(&self) {
        let by = match self.is_shared {
            true => lock(&self.core).coordinator.as_ref().map(|holder| holder.node.clone()),
            false => Some(self.me.clone()),
        };
        let shown = words::shown(&self.outbox, &self.cluster, by.unwrap_or_default());
        lock(&self.core).notifying = Some(Box::new(shown));
    }
}
