//! Who takes a name next, and from whom: what one member of the store decides about a name that one of them holds.
//!
//! ```text
//!   nobody has it ---------------------------------> wanted; at rest only once it is left over
//!   it has it, and is at rest ---------------------> given back, if another one could have it
//!   its holder is gone, by this node's own verdict --> taken from exactly that token, in turn --> wanted
//!   a former process of this node has it -----------> the same, at once
//!   an operator says so ----------------------------> the same, from whoever has it
//!   another one has it, this node doubts itself ----> nothing
//! ```
//!
//! At rest is a node that takes on no work, and one whose own store has stopped: started again it may stop again, and
//! what it coordinates would hang each time. Of the latter the others do not know: where nobody else takes a name, one
//! of them does after [`LEFT_OVER`].
//!
//! Whoever is followed before its time is up may go on for a while by its own reckoning. It changes nothing: what it
//! commits is conditional on its token, and who has been ordered something by the one that follows refuses it
//! ([`crate::kv::Fence`]). What the one that follows *ends without the word of a node* must wait until then
//! ([`Action::Begin`]).

use std::time::Duration;

use base::Time;

use crate::Buffer;
use crate::errand::PATIENCE;
use crate::kv::Token;
use crate::tenure::{self, End, MARGIN, Tenure};

pub use words::{Action, Freed, Holder, Input, NotTaken, View, Why};

#[cfg(test)]
mod tests;
mod words;

/// A node at rest takes a name that nobody on duty has taken for so long: somebody must decide that it goes on duty.
pub const LEFT_OVER: Duration = Duration::from_secs(4);
/// A commit takes milliseconds, an election of the store a second: so long a name is kept for its heir.
pub const TAKEN_WITHIN: Duration = Duration::from_secs(2);
/// A question that was put to a store whose leader has just died may be answered in seconds, or never. After this it
/// counts as perhaps done; it is put again where it was not.
const ANSWERED_WITHIN: Duration = Duration::from_millis(500);
/// Between the first of those who could follow and the next one: more than their verdicts are apart
/// ([`crate::verdict::Times::confirm`] at the usual detection time), less than an operator notices.
pub const TURN: Duration = Duration::from_millis(300);
/// What the store did not do, or what was outdated, is tried again after this.
pub const AGAIN: Duration = Duration::from_millis(100);
/// So often the name is taken from another one than was known, as that was outdated: one that changes hands faster
/// is not to be had by a command.
const MAX_LOOKS: u8 = 3;
/// No key was ever made at revision 0.
const NO_TOKEN: Token = Token(0);

/// The name is being taken from that token.
#[derive(Clone, Copy, Debug)]
struct Taking {
    take: u64,
    from: Holder,
    why: Why,
    until: Time,
}

/// The name is, or may be, kept for this node.
#[derive(Clone, Copy, Debug)]
struct Heir {
    from: Holder,
    why: Why,
    until: Time,
    /// Which question asked for it; a refusal of an earlier one says nothing about it.
    question: Option<u64>,
}

/// An operator waits.
#[derive(Clone, Copy, Debug)]
struct Waits {
    asker: u64,
    until: Time,
    looks: u8,
}

/// One name, as one member of the store tries to have it or leaves it to others.
#[derive(Clone, Debug)]
pub struct Succession {
    me: u8,
    limit: Duration,
    tenure: Tenure,
    view: View,
    /// The revision at which the holder was told; none: nothing was told yet.
    known: Option<u64>,
    /// Nothing was ever told, so nothing was asked for.
    is_new: bool,
    holder: Option<Holder>,
    /// Since when that token is known.
    since: Time,
    /// Since when nobody has it.
    free: Option<Time>,
    /// Since when its holder is called gone.
    gone: Option<Time>,
    /// Of this node, under which nobody acts any more: of a process before this one, or of a time in office that ended.
    former: Option<Token>,
    rests: bool,
    /// Until then its own store may stop again, as it did.
    unwell: Time,
    taking: Option<Taking>,
    heir: Option<Heir>,
    waits: Option<Waits>,
    takes: u64,
    /// The newest question for a name that nobody has.
    newest: u64,
    /// Nothing is taken before that.
    pause: Time,
    due: Time,
    left_at: Time,
}

impl Succession {
    /// `me`: this node's position among the members of the store. `limit`: how long the store keeps the name without
    /// being asked ([`Tenure::new`]).
    #[must_use]
    pub fn new(me: u8, limit: Duration) -> Self {
        let tenure = Tenure::new(limit);
        Self {
            me,
            limit: Duration::from_millis(tenure.limit_ms().into()),
            tenure,
            view: View::default(),
            known: None,
            is_new: true,
            holder: None,
            since: Time::ZERO,
            free: None,
            gone: None,
            former: None,
            rests: false,
            unwell: Time::ZERO,
            taking: None,
            heir: None,
            waits: None,
            takes: 0,
            newest: 0,
            pause: Time::ZERO,
            due: Time::NEVER,
            left_at: Time::NEVER,
        }
    }

    /// As the store is told it, in milliseconds.
    #[must_use]
    pub fn limit_ms(&self) -> u32 {
        self.tenure.limit_ms()
    }

    /// The token under which this node may act *now* ([`Tenure::token`]).
    #[must_use]
    pub fn token(&self, now: Time) -> Option<Token> {
        self.tenure.token(now)
    }

    /// Who has the name, as far as this node was told.
    #[must_use]
    pub const fn holder(&self) -> Option<Holder> {
        self.holder
    }

    /// When the machine next wants [`Input::Timeout`].
    #[must_use]
    pub fn deadline(&self) -> Time {
        let never = Time::NEVER;
        let taking = self.taking.map_or(never, |taking| taking.until);
        let heir = self.heir.map_or(never, |heir| heir.until);
        let waits = self.waits.map_or(never, |waits| waits.until);
        self.tenure.deadline().min(taking).min(heir).min(waits).min(self.due).min(self.left_at)
    }

    /// The only way in.
    pub fn step(&mut self, now: Time, input: Input, out: &mut Buffer<Action>) {
        if self.tenure.deadline() <= now {
            self.hold(now, tenure::Input::Timeout, out);
        }
        match input {
            Input::Named { revision, holder, anew } => {
                if anew {
                    self.known = None;
                }
                self.named(now, revision, holder, out);
            }
            Input::Looks(view) => {
                self.view = view;
                self.unwell = view.store_stopped.map_or(Time::ZERO, |stopped| stopped + self.limit);
            }
            Input::Asked { asker } => self.asked(now, asker, out),
            Input::Freed { take, answer } => self.freed(now, take, answer, out),
            Input::Granted { question, token } => {
                self.hold(now, tenure::Input::Granted { question, token }, out);
            }
            Input::Refused { question, revision, holder } => {
                self.named(now, revision, holder, out);
                self.refused(now, question, out);
                self.hold(now, tenure::Input::Refused { question }, out);
            }
            Input::Stale { token } => self.hold(now, tenure::Input::Stale { token }, out),
            Input::Timeout => {}
        }
        self.expire(now, out);
        self.look(now);
        self.take(now, out);
        self.want(now, out);
        self.due = if self.is_busy() { Time::NEVER } else { self.due_why(now).0 };
        if now < self.unwell {
            // Then it is one like the others.
            self.due = self.due.min(self.unwell);
        }
    }

    /// It takes on no work, or could not do it.
    fn is_at_rest(&self, now: Time) -> bool {
        !self.view.on_duty || now < self.unwell
    }

    fn named(
        &mut self,
        now: Time,
        revision: u64,
        holder: Option<Holder>,
        out: &mut Buffer<Action>,
    ) {
        if self.known.is_some_and(|known| revision < known) {
            // It was on its way while something newer came.
            return;
        }
        if std::mem::take(&mut self.is_new) {
            // How old it is nobody knows: it was there before this process. So was whoever has it here.
            let mine = holder.filter(|holder| holder.who == Some(self.me));
            self.former = mine.map(|holder| holder.token);
        } else if holder.map(|holder| holder.token) != self.holder.map(|holder| holder.token) {
            self.since = now;
        }
        if holder.map(|holder| holder.token) != self.holder.map(|holder| holder.token) {
            self.gone = None;
        }
        self.known = Some(revision);
        self.holder = holder;
        if holder.is_some() {
            self.free = None;
        } else {
            self.free.get_or_insert(now);
        }
        // That this node has it is told by the answer to its question, which may come later than this.
        let other = holder.filter(|holder| holder.who != Some(self.me));
        let is_over = |heir: &Heir| other.is_some_and(|other| other.token != heir.from.token);
        if self.heir.as_ref().is_some_and(is_over) && self.tenure.token(now).is_none() {
            self.heir = None;
            self.tell(Err(NotTaken::Overtaken(holder)), out);
        }
    }

    /// An operator's word: from whoever has it. What is known of that may be old, and is looked at by taking it.
    fn asked(&mut self, now: Time, asker: u64, out: &mut Buffer<Action>) {
        let why_not = if self.tenure.token(now).is_some() {
            NotTaken::Already
        } else if self.waits.is_some() {
            NotTaken::UnderWay
        } else {
            self.waits = Some(Waits { asker, until: now + TAKEN_WITHIN * 2, looks: 0 });
            self.pause = now;
            return;
        };
        out.push(Action::Tell { asker, outcome: Err(why_not) });
    }

    fn freed(&mut self, now: Time, take: u64, answer: Freed, out: &mut Buffer<Action>) {
        let Some(taking) = self.taking.filter(|taking| taking.take == take) else { return };
        self.taking = None;
        match answer {
            // It may be free all the same: then it is seen to be.
            Freed::Yes | Freed::Unknown => self.inherits_from(now, taking),
            Freed::Nothing => self.pause = now + AGAIN,
            Freed::No { revision, holder } => {
                self.pause = now + AGAIN;
                self.named(now, revision, holder, out);
                match self.holder {
                    // It may be kept for this node since an answer that was lost.
                    None if taking.from.token != NO_TOKEN => self.inherits_from(now, taking),
                    None => self.tell(Err(NotTaken::Nobody), out),
                    Some(_) => {}
                }
                if let Some(waits) = &mut self.waits {
                    waits.looks += 1;
                    if waits.looks >= MAX_LOOKS {
                        self.tell(Err(NotTaken::Overtaken(self.holder)), out);
                    }
                }
            }
        }
    }

    fn inherits_from(&mut self, now: Time, Taking { from, why, .. }: Taking) {
        self.heir = Some(Heir { from, why, until: now + TAKEN_WITHIN, question: None });
    }

    fn refused(&mut self, now: Time, question: u64, out: &mut Buffer<Action>) {
        let mine = self.holder.filter(|holder| holder.who == Some(self.me));
        if question == self.newest && self.tenure.token(now).is_none() {
            // It was given to an earlier question, whose answer was lost.
            self.former = mine.map(|holder| holder.token).or(self.former);
        }
        if self.heir.is_none_or(|heir| heir.question != Some(question)) {
            return;
        }
        (self.heir, self.pause) = (None, now + AGAIN);
        // Where nobody has it, it is looked at once more.
        if let Some(other) = self.holder.filter(|holder| holder.who != Some(self.me)) {
            self.tell(Err(NotTaken::Overtaken(Some(other))), out);
        }
    }

    fn expire(&mut self, now: Time, out: &mut Buffer<Action>) {
        if let Some(taking) = self.taking.filter(|taking| now >= taking.until) {
            self.taking = None;
            self.inherits_from(now, taking);
        }
        self.heir = self.heir.filter(|heir| now < heir.until);
        if self.waits.is_some_and(|waits| now >= waits.until) {
            self.tell(Err(NotTaken::Late), out);
        }
    }

    /// Who asked is told, if anybody did.
    fn tell(&mut self, outcome: Result<(), NotTaken>, out: &mut Buffer<Action>) {
        if let Some(Waits { asker, .. }) = self.waits.take() {
            out.push(Action::Tell { asker, outcome });
        }
    }

    /// Since when the holder is gone.
    fn look(&mut self, now: Time) {
        let bit = self.holder.and_then(|holder| bit(holder.who?)).unwrap_or(0);
        if (self.view.unreachable | self.view.left) & bit == 0 {
            self.gone = None;
        } else {
            self.gone.get_or_insert(now);
        }
    }

    /// When the name is taken from its holder, and why; [`Time::NEVER`]: not as things are.
    fn due_why(&self, now: Time) -> (Time, Why) {
        let Some(Holder { who, token }) = self.holder else {
            // Who asked is told the truth, which this may not be.
            let at = self.waits.map_or(Time::NEVER, |_| self.pause);
            return (at, Why::Asked);
        };
        if self.waits.is_some() {
            return (self.pause, Why::Asked);
        }
        if self.former == Some(token) {
            return (self.pause, Why::Former);
        }
        let View { on_duty, doubts_itself, fit, unreachable, left, .. } = self.view;
        let fit = fit & !(unreachable | left);
        let has_left = who.and_then(bit).is_some_and(|bit| left & bit != 0);
        let why = if has_left { Why::Left } else { Why::Unreachable };
        let Some(gone) = self.gone.filter(|_| !doubts_itself && who != Some(self.me)) else {
            return (Time::NEVER, why);
        };
        let before = bit(self.me).map_or(0, |bit| fit & (bit - 1)).count_ones();
        let turn = match (self.is_at_rest(now), fit) {
            (false, _) => gone + TURN * before,
            // Nobody says of the others that their stores have not stopped as well: they come in turn, after those
            // whose stores are well.
            (true, _) if on_duty => gone + LEFT_OVER + TURN * before,
            (true, 0) => gone + LEFT_OVER,
            (true, _) => Time::NEVER,
        };
        // However often verdicts change, the name goes round no faster than it would by its limit. Who said goodbye
        // is not one that comes and goes.
        let settled = if has_left { Time::ZERO } else { self.since + self.limit };
        (turn.max(settled).max(self.pause), why)
    }

    /// Something is on its way already, or nothing is known.
    const fn is_busy(&self) -> bool {
        self.taking.is_some() || self.heir.is_some() || self.known.is_none()
    }

    fn take(&mut self, now: Time, out: &mut Buffer<Action>) {
        let (due, why) = self.due_why(now);
        if self.is_busy() || now < due {
            return;
        }
        if why == Why::Former && self.rests {
            // It was given back, and that was lost: a store that stops again and again may run for a moment only.
            self.pause = now + if now < self.unwell { AGAIN } else { ANSWERED_WITHIN };
            if let Some(token) = self.former {
                out.push(Action::Release { token });
            }
            return;
        }
        self.takes += 1;
        // The answer says who has it.
        let from = self.holder.unwrap_or(Holder { who: None, token: NO_TOKEN });
        self.taking = Some(Taking { take: self.takes, from, why, until: now + ANSWERED_WITHIN });
        out.push(Action::Bequeath { take: self.takes, from: from.token });
    }

    /// A node that is put at rest gives the name away if another member is on duty, and takes it again only if nobody
    /// else does.
    fn want(&mut self, now: Time, out: &mut Buffer<Action>) {
        let at_rest = self.is_at_rest(now);
        // Who waits is told first, by a store that runs.
        let is_asked = self.view.is_asked && now >= self.unwell;
        let begins = at_rest && !self.rests && !is_asked && self.view.fit != 0;
        self.rests = at_rest && (self.rests || begins);
        let is_here = |holder: Holder| {
            holder.who == Some(self.me) && self.former.is_none_or(|former| former != holder.token)
        };
        let is_others = self.holder.is_some_and(|holder| !is_here(holder));
        let left_at = self.free.map_or(Time::NEVER, |free| free + LEFT_OVER);
        let is_left = now >= left_at;
        self.left_at = if self.rests && !is_left { left_at } else { Time::NEVER };
        let holds = self.tenure.token(now).is_some();
        let is_free = !is_others && (!self.rests || (!begins && (holds || is_left)));
        let wanted = self.known.is_some() && (is_free || self.heir.is_some());
        self.hold(now, tenure::Input::Want(wanted), out);
    }

    fn hold(&mut self, now: Time, input: tenure::Input, out: &mut Buffer<Action>) {
        let mut orders = Buffer::new();
        self.tenure.step(now, input, &mut orders);
        for order in orders.drain() {
            let action = match order {
                tenure::Action::Acquire { question } => {
                    self.newest = question;
                    let inherits = self.heir.is_some();
                    if let Some(heir) = &mut self.heir {
                        heir.question = Some(question);
                    }
                    Action::Acquire { question, inherits }
                }
                tenure::Action::Renew { question, token } => Action::Renew { question, token },
                tenure::Action::Release { token } => Action::Release { token },
                tenure::Action::Begin { token } => self.begins(now, token, out),
                tenure::Action::Stop { token, why } => {
                    if why != End::Replaced {
                        (self.former, self.pause) = (Some(token), now + ANSWERED_WITHIN);
                    }
                    Action::Stop { token, why }
                }
            };
            out.push(action);
        }
    }

    /// The token is the revision that made the name: what was told at an earlier one is old.
    fn begins(&mut self, now: Time, token: Token, out: &mut Buffer<Action>) -> Action {
        self.known = Some(self.known.unwrap_or_default().max(token.0));
        self.holder = Some(Holder { who: Some(self.me), token });
        (self.since, self.free, self.gone, self.former) = (now, None, None, None);
        let taken = self.heir.take().map(|heir| (heir.from, heir.why));
        self.tell(Ok(()), out);
        // The former one orders no more by then; what it ordered last is sent for so long.
        let alone_from = now + self.limit.saturating_sub(MARGIN) + PATIENCE;
        Action::Begin { token, alone_from, taken }
    }
}

fn bit(who: u8) -> Option<u64> {
    1_u64.checked_shl(who.into())
}
