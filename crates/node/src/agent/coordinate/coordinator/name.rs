//! What is known of the name and of those who could have it, for [`engine::succession`], and what it orders.

use engine::intent::LEADER;
use engine::kv::{self, Outcome, Token};
use engine::member::{Member, Standing};
use engine::succession::{Freed, Holder, Input, NotTaken, TAKEN_WITHIN, View, Why};
use store::News;

use super::{Coordinator, Mail};
use crate::agent::lock;

impl Coordinator {
    pub(super) fn holder(&self, name: &str, token: Token) -> Holder {
        let who = self.place.members.iter().position(|member| member == name);
        Holder { who: who.and_then(|who| u8::try_from(who).ok()), token }
    }

    pub(super) fn named(&mut self, news: News) {
        let name = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let (revision, holder, anew) = match news {
            News::All { items, revision } => {
                let first = items.first();
                let holder =
                    first.map(|(_, item)| self.holder(&name(&item.value), Token(item.created)));
                (revision, holder, true)
            }
            // Written again by the same holder it is renewed; its token is the revision that made it.
            News::Changes(changes) => {
                let newest = changes.last().map_or(self.revision, |change| change.revision);
                let holder = changes.into_iter().fold(self.told, |holder, change| {
                    let new = self.holder(&name(change.value.as_deref()?), Token(change.revision));
                    holder.filter(|old| old.who == new.who).or(Some(new))
                });
                (newest, holder, false)
            }
            // What was known last is all that is known.
            News::Away(_) => return,
        };
        (self.revision, self.told) = (revision, holder);
        self.succeed(Input::Named { revision, holder, anew });
    }

    /// What this node thinks of itself and of the other members.
    pub(super) fn view(&self) -> View {
        let now = sys::clock::now();
        // Who asked is told first what became of it: a commit takes milliseconds, and the time in office ends.
        let is_asked = self.office.as_ref().is_some_and(|office| !office.asked.is_empty());
        let core = lock(&self.place.here);
        let doubts = core.member.as_ref().map(|member| member.against_itself(now));
        let mut view = View {
            on_duty: core.picture.duty().is_on(),
            store_stopped: core.store_stopped,
            is_asked,
            doubts_itself: doubts.is_some_and(|doubts| !doubts.is_empty()),
            ..View::default()
        };
        let members = self.place.members.iter().enumerate();
        for (at, name) in members.filter(|(_, name)| **name != self.place.me) {
            let node = self.place.names.iter().position(|known| known == name);
            let Some(node) = node.and_then(|node| u16::try_from(node).ok()) else { continue };
            let stands = |member: &Member| member.standing(node) == Standing::Alive;
            let is_alive = core.member.as_ref().is_some_and(stands);
            let is_fit = is_alive && core.duty(node).is_on();
            view = view.with(at, is_fit, core.judgement(node).map(|judged| judged.verdict));
        }
        view
    }

    pub(super) fn bequeath(&self, take: u64, from: Token) {
        let limit = u32::try_from(TAKEN_WITHIN.as_millis()).unwrap_or(u32::MAX);
        let tell = self.box_of.clone();
        let asked = kv::bequeath(LEADER, from, &self.place.me, limit);
        self.place.link.transact(asked, move |answer| {
            // The coordinator ends with the process.
            let _ = tell.send(Mail::Free { take, answer });
        });
    }

    pub(super) fn freed(&mut self, take: u64, answer: Result<Outcome, store::Error>) {
        let answer = match answer {
            Ok(outcome) => Freed::of(&outcome, |held| self.holder(&held.holder, held.token)),
            Err(store::Error::NoLeader(_)) => Freed::Nothing,
            Err(_) => Freed::Unknown,
        };
        self.succeed(Input::Freed { take, answer });
    }

    /// What became of an operator's word.
    pub(super) fn took(&mut self, asker: u64, outcome: Result<(), NotTaken>) {
        let me = &self.place.me;
        let outcome = outcome.map_err(|why| match why {
            NotTaken::Already => format!("{me} coordinates already"),
            NotTaken::Nobody => "nobody coordinates now".to_owned(),
            NotTaken::Overtaken(Some(holder)) => {
                format!("{} has taken the name meanwhile", self.name(holder))
            }
            NotTaken::Overtaken(None) => "another one has the name since this was typed".to_owned(),
            NotTaken::UnderWay => format!("{me} is being made the coordinator already"),
            NotTaken::Late => "no majority of the store has agreed to it yet".to_owned(),
        });
        // Who asked may have gone away.
        let _ = self.takers.remove(&asker).map(|tell| tell.send(outcome));
    }

    /// From whom it was taken and why, before the words of what the store gave.
    pub(super) fn taken(&self, (from, why): (Holder, Why)) -> String {
        let name = self.name(from);
        let why = match why {
            Why::Unreachable => format!("{name} is unreachable as this node and a majority see it"),
            Why::Left => format!("{name} has left, or is proven dead"),
            Why::Former => "its own former time in office has ended".to_owned(),
            Why::Asked => format!("an operator wants it instead of {name}"),
        };
        format!("{why}, token {} was followed: ", from.token.0)
    }

    fn name(&self, holder: Holder) -> String {
        let member = holder.who.and_then(|who| self.place.members.get(usize::from(who)));
        member.cloned().unwrap_or_else(|| "another node".to_owned())
    }

    /// Who has the name, where `outlast status` reads it.
    pub(super) fn show(&mut self) {
        let holder = self.succession.holder();
        if holder == self.shown {
            return;
        }
        self.shown = holder;
        let node = holder.map(|holder| self.name(holder)).unwrap_or_default();
        let mut core = lock(&self.place.here);
        let shown = core.coordinator.get_or_insert_default();
        shown.node = node;
        shown.token = holder.map_or(0, |holder| holder.token.0);
        shown.since_ms = sys::clock::wall_ms();
    }
}
