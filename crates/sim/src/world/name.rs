//! Who has the name of the leader: what the succession of each controller is told, and what it orders.
//!
//! A watch of the name is a question that is put again and again: who does not reach the store is told late.

use base::Time;
use engine::Buffer;
use engine::intent::{self, LEADER};
use engine::kv::{
    Held, LOCKS, Op, Outcome, Token, Transaction, acquire, acquired, bequeath, inherit, release,
    renew,
};
use engine::member::Standing;
use engine::succession::{Action, Freed, Holder, Input, Succession, TAKEN_WITHIN, View, Why};
use engine::tenure::End;

use super::World;
use super::mail::Asker;
use super::mark::Mark;
use super::office::Deed;

impl World {
    pub(super) fn holder_of(&self, held: &Held) -> Holder {
        let who = self.names.hosts.iter().position(|name| *name == held.holder);
        Holder { who: who.and_then(|who| u8::try_from(who).ok()), token: held.token }
    }

    /// Who has the name in the store.
    pub(super) fn holder(&self) -> Option<Holder> {
        let item = self.store.kv.get(&format!("{LOCKS}{LEADER}"))?;
        let holder = String::from_utf8_lossy(&item.value).into_owned();
        Some(self.holder_of(&Held { holder, token: Token(item.created) }))
    }

    /// Of the one that a controller is, and of the others.
    pub(super) fn view(&self, host: u16, local: Time) -> View {
        let node = &self.hosts[usize::from(host)];
        let mut view = View { on_duty: !node.rests, ..View::default() };
        let Some(mind) = &node.agent.machine else { return view };
        view.doubts_itself = !mind.against_itself(local).is_empty();
        for of in (0..self.controllers).filter(|of| *of != host) {
            // Who is at rest says so in its beats; here that is known at once.
            let is_fit = mind.standing(of) == Standing::Alive && !self.hosts[usize::from(of)].rests;
            let verdict = mind.opinion(of).map(|told| told.verdict);
            view = view.with(usize::from(of), is_fit, verdict);
        }
        view
    }

    pub(super) fn succeed(&mut self, host: u16, local: Time, input: Input) {
        let office = &mut self.offices[usize::from(host)];
        let Some(machine) = &mut office.succession else { return };
        if let Input::Looks(view) = input {
            office.view = view;
        }
        let mut out = Buffer::new();
        machine.step(local, input, &mut out);
        let is_late = machine.deadline() <= local;
        let View { doubts_itself, unreachable, left, .. } = office.view;
        let holder = machine.holder().and_then(|holder| holder.who);
        let is_gone = |who: u8| (unreachable | left) & 1 << who != 0 && !doubts_itself;
        let takes = out.iter().any(|action| matches!(action, Action::Bequeath { .. }));
        let may = holder.is_some_and(|who| u16::from(who) == host || is_gone(who));
        office.first(out.drain().map(Deed::Hold));
        if is_late {
            self.fail("L3 livelock", host, "its succession has a deadline that has passed");
        }
        if takes && !may {
            let what =
                format!("takes the name from {holder:?}, which is not gone, or doubts itself");
            self.fail("S4 taken", host, &what);
        }
    }

    pub(super) fn hold_office(&mut self, host: u16, action: Action) {
        let office = &mut self.offices[usize::from(host)];
        let Some(limit) = office.succession.as_ref().map(Succession::limit_ms) else {
            return;
        };
        let id = &self.names.hosts[usize::from(host)];
        let (asker, transaction) = match action {
            Action::Bequeath { take, from } => {
                let within = u32::try_from(TAKEN_WITHIN.as_millis()).unwrap_or(u32::MAX);
                (Asker::Heir { take, from }, bequeath(LEADER, from, id, within))
            }
            Action::Acquire { question, inherits } => {
                let ask = if inherits { inherit } else { acquire };
                (Asker::Tenure(question), ask(LEADER, id, limit))
            }
            Action::Renew { question, token } => {
                (Asker::Tenure(question), renew(LEADER, token, id, limit))
            }
            Action::Release { token } => (Asker::Nobody, release(LEADER, token)),
            Action::Begin { token, alone_from, taken } => {
                office.begins(token, alone_from);
                if let Some((from, why)) = taken {
                    self.followed(host, from, why);
                }
                self.judge_begin(host, token);
                return self.ask_store(host, Asker::Read(token), intent::read());
            }
            Action::Stop { why, .. } => {
                office.leaves();
                if why == End::TimeIsUp {
                    self.marks.note(Mark::StoppedInTime);
                }
                self.say(host, || format!("leads no more: {why:?}"));
                return;
            }
            // Nobody asks for the name in this world.
            Action::Tell { .. } => return,
        };
        self.propose(host, asker, transaction);
    }

    fn followed(&mut self, host: u16, from: Holder, why: Why) {
        match why {
            Why::Unreachable => self.marks.note(Mark::FollowedUnreachable),
            Why::Left => self.marks.note(Mark::FollowedAtGoodbye),
            Why::Former => self.marks.note(Mark::FollowedItself),
            Why::Asked => {}
        }
        self.say(host, || format!("follows {:?}, token {}: {why:?}", from.who, from.token.0));
    }

    /// It asks who has the name, as a watch tells it.
    pub(super) fn watch_name(&mut self, host: u16) {
        self.propose(host, Asker::Watch, Transaction::of(Op::read(&format!("{LOCKS}{LEADER}"))));
    }

    /// The store answered about the name; none: nobody leads it.
    pub(super) fn name_told(&mut self, host: u16, asker: Asker, outcome: Option<&Outcome>) {
        let holder = |outcome: &Outcome| {
            let held = acquired(&Outcome { held: false, ..outcome.clone() }).err().flatten();
            held.map(|held| self.holder_of(&held))
        };
        let input = match (asker, outcome) {
            (Asker::Heir { take, .. }, None) => Input::Freed { take, answer: Freed::Nothing },
            (Asker::Heir { take, .. }, Some(outcome)) => {
                let answer = Freed::of(outcome, |held| self.holder_of(held));
                Input::Freed { take, answer }
            }
            (Asker::Tenure(question), Some(outcome)) => match acquired(outcome) {
                Ok(token) => Input::Granted { question, token },
                Err(_) => {
                    let (revision, holder) = (outcome.revision, holder(outcome));
                    Input::Refused { question, revision, holder }
                }
            },
            (Asker::Watch, Some(outcome)) => {
                let (revision, holder) = (outcome.revision, holder(outcome));
                Input::Named { revision, holder, anew: false }
            }
            _ => return,
        };
        self.put_on_desk(host, Deed::ToSuccession(input));
    }

    /// The name was taken from its holder, who may act on for a while by its own reckoning.
    pub(super) fn judge_taken(
        &mut self,
        host: u16,
        asker: Asker,
        before: Option<Holder>,
        held: bool,
    ) {
        let (Asker::Heir { from, .. }, true) = (asker, held) else { return };
        if before.is_none_or(|before| before.token != from) {
            let what = format!("takes the name from {before:?} instead of token {}", from.0);
            return self.fail("S4 taken", host, &what);
        }
        self.ledger.is_followed(from, self.now);
    }
}
