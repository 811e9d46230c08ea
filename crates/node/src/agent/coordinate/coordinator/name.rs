//! Who holds the name, and whether this node wants it.

use std::sync::mpsc::Sender;
use std::time::Duration;

use base::Time;
use engine::intent::LEADER;
use engine::kv::{self, Held, Token};
use engine::tenure;
use store::News;

use super::{Coordinator, Mail};
use crate::agent::lock;

/// A node at rest takes a name that nobody has wanted for so long: somebody must decide that it goes on duty.
const LEFT_OVER: Duration = Duration::from_secs(4);

/// A commit takes milliseconds while there is a majority; later it is not taken any more, and anybody may.
const TAKEN_WITHIN: Duration = Duration::from_secs(2);

/// The name is being taken from the node that had it.
pub(super) struct Taking {
    pub(super) until: Time,
    /// It is free for this node; before that, it is being asked for.
    is_free: bool,
    /// None: told already; the watch of the name has not shown it yet.
    tell: Option<Sender<Result<(), String>>>,
}

/// Who has the name, as the store told last.
#[derive(Default)]
pub(super) struct Name {
    /// The store has told who has it, or that nobody has.
    is_known: bool,
    /// With the token.
    holder: Option<(String, u64)>,
    /// Since when nobody has it.
    free: Option<Time>,
}

impl Coordinator {
    pub(super) fn named(&mut self, news: News) {
        let name = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let before = self.name.holder.take();
        self.name.holder = match news {
            News::All { items, .. } => {
                items.first().map(|(_, item)| (name(&item.value), item.created))
            }
            // Written again by the same holder it is renewed; its token is the revision that made it.
            News::Changes(changes) => changes.into_iter().fold(before.clone(), |holder, change| {
                let new = name(change.value.as_deref()?);
                holder.filter(|(old, _)| *old == new).or(Some((new, change.revision)))
            }),
            // What was known last is all that is known.
            News::Away(_) => {
                self.name.holder = before;
                return;
            }
        };
        self.name.is_known = true;
        let is_mine = self.name.holder.as_ref().is_some_and(|(node, _)| *node == self.place.me);
        // Who waits for it is told by the answer to the question, which may come later than this.
        self.taking = self.taking.take().filter(|taking| !is_mine || taking.tell.is_some());
        if self.name.holder.is_some() {
            self.name.free = None;
        } else {
            self.name.free.get_or_insert_with(sys::clock::now);
        }
        if self.name.holder != before {
            let (node, token) = self.name.holder.clone().unwrap_or_default();
            let mut core = lock(&self.place.here);
            let shown = core.coordinator.get_or_insert_default();
            (shown.node, shown.token, shown.since_ms) = (node, token, sys::clock::wall_ms());
        }
        self.want();
    }

    /// An operator's word: the name is taken from whoever has it, as the store told last.
    pub(super) fn take_name(&mut self, tell: Sender<Result<(), String>>) {
        let me = &self.place.me;
        let from = match &self.name.holder {
            Some((node, token)) if node != me => Token(*token),
            Some(_) => return drop(tell.send(Err(format!("{me} coordinates already")))),
            None => return drop(tell.send(Err("nobody coordinates now".to_owned()))),
        };
        let until = sys::clock::now() + TAKEN_WITHIN;
        self.taking = Some(Taking { until, is_free: false, tell: Some(tell) });
        let limit = u32::try_from(TAKEN_WITHIN.as_millis()).unwrap_or(u32::MAX);
        let tell = self.box_of.clone();
        self.place.link.transact(kv::bequeath(LEADER, from, me, limit), move |answer| {
            // The coordinator ends with the process.
            let _ = tell.send(Mail::Free(answer.ok().map(|outcome| outcome.held)));
        });
    }

    pub(super) fn inherits(&mut self, is_free: Option<bool>) {
        match is_free {
            // It may be free all the same: then it is seen to be.
            None | Some(true) => {
                if let Some(taking) = &mut self.taking {
                    taking.is_free = true;
                }
                self.want();
            }
            Some(false) => self.took(Err(None)),
        }
    }

    /// What became of it; [`Coordinator::named`] ends it.
    pub(super) fn took(&mut self, outcome: Result<(), Option<Held>>) {
        let Some(taking) = &mut self.taking else { return };
        let outcome = outcome.map_err(|held| match held {
            Some(held) => format!("{} has taken the name meanwhile", held.holder),
            None => "another one has the name since this was typed".to_owned(),
        });
        let is_mine = self.name.holder.as_ref().is_some_and(|(node, _)| *node == self.place.me);
        let is_over = outcome.is_err() || is_mine;
        // Who asked may have gone away.
        let _ = taking.tell.take().map(|tell| tell.send(outcome));
        if is_over {
            self.taking = None;
        }
    }

    /// Who asked is told by the end of his channel.
    pub(super) fn take_no_longer(&mut self) {
        self.taking = self.taking.take().filter(|taking| sys::clock::now() < taking.until);
    }

    /// Others wait until nobody holds the name. Who is named as this node may be its process of before: then
    /// this one asks until that one's time is up. A node that is put at rest gives it away if
    /// another member is on duty, and takes it again only if nobody else does.
    pub(super) fn want(&mut self) {
        let now = sys::clock::now();
        // Who asked is told first what became of it: a commit takes milliseconds, and the time in office ends.
        let is_asked = self.office.as_ref().is_some_and(|office| !office.asked.is_empty());
        let at_rest = !lock(&self.place.here).picture.duty().is_on();
        let begins = at_rest && !self.rests && !is_asked && (self.place.has_heir)();
        self.rests = at_rest && (self.rests || begins);
        let rests = self.rests;
        let is_others = self.name.holder.as_ref().is_some_and(|(name, _)| *name != self.place.me);
        let is_left = self.name.free.is_some_and(|free| now.since(free) >= LEFT_OVER);
        let holds = self.tenure.token(now).is_some();
        let is_free = !is_others && (!rests || (!begins && (holds || is_left)));
        let inherits = self.taking.as_ref().is_some_and(|taking| taking.is_free);
        let wanted = self.name.is_known && (is_free || inherits);
        self.hold(tenure::Input::Want(wanted));
    }
}
