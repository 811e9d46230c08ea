use super::*;
use crate::kv::{self, Command, Entry, Kv, LOCKS, Outcome, acquired};
use crate::tenure::SHORTEST;

mod unwell;

const NAME: &str = "leader";
const LIMIT: Duration = Duration::from_secs(8);
/// Between two looks of the world.
const TICK: Duration = Duration::from_millis(20);

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Members that hold one name in turn, and the store.
struct World {
    now: Time,
    kv: Kv,
    members: Vec<Succession>,
    /// What each of them thinks.
    views: Vec<View>,
    /// Who does not run.
    dead: Vec<u8>,
    /// Whose watch of the name tells nothing.
    blind: Vec<u8>,
    /// Whose own store does not run: nothing comes of what it asks, and it is told nothing.
    stopped: Vec<u8>,
    told: Vec<u64>,
    acting: Vec<Option<Token>>,
    log: Vec<String>,
}

impl World {
    fn new(count: u8) -> Self {
        let all = usize::from(count);
        let mut world = Self {
            now: Time::ZERO,
            kv: Kv::new(),
            members: (0..count).map(|me| Succession::new(me, LIMIT)).collect(),
            views: (0..count).map(|me| fit(count, me)).collect(),
            dead: vec![],
            blind: vec![],
            stopped: vec![],
            told: vec![u64::MAX; all],
            acting: vec![None; all],
            log: vec![],
        };
        world.run(ms(100));
        world
    }

    fn clock(&self) -> u64 {
        u64::try_from(self.now.since(Time::ZERO).as_millis()).unwrap()
    }

    fn commit(&mut self, transaction: kv::Transaction) -> Outcome {
        let clock = self.clock();
        self.kv.apply(&Entry { clock, command: Command::Transact(transaction) }).unwrap()
    }

    fn holder(&self) -> Option<Holder> {
        let item = self.kv.get(&format!("{LOCKS}{NAME}"))?;
        Some(Holder { who: Some(item.value[0] - b'0'), token: Token(item.created) })
    }

    /// Who acts by its own reckoning and runs.
    fn leads(&self) -> Option<u8> {
        let leads = |me: &u8| {
            let member = &self.members[usize::from(*me)];
            !self.dead.contains(me) && member.token(self.now).is_some()
        };
        (0..u8::try_from(self.members.len()).unwrap()).find(leads)
    }

    fn step(&mut self, me: u8, input: Input) -> Vec<Action> {
        let mut out = Buffer::new();
        self.members[usize::from(me)].step(self.now, input, &mut out);
        out.drain().collect()
    }

    /// Does what is ordered at once, and feeds the answers.
    fn feed(&mut self, me: u8, input: Input) {
        let mut orders = std::collections::VecDeque::from(self.step(me, input));
        while let Some(order) = orders.pop_front() {
            if let Some(answer) = self.perform(me, order) {
                orders.extend(self.step(me, answer));
            }
        }
    }

    fn perform(&mut self, me: u8, order: Action) -> Option<Input> {
        let (id, limit) = (me.to_string(), self.members[usize::from(me)].limit_ms());
        let is_stopped = self.stopped.contains(&me);
        let (transaction, question) = match order {
            Action::Bequeath { take, .. } if is_stopped => {
                return Some(Input::Freed { take, answer: Freed::Nothing });
            }
            Action::Acquire { .. } | Action::Renew { .. } | Action::Release { .. }
                if is_stopped =>
            {
                return None;
            }
            Action::Bequeath { take, from } => {
                let within = u32::try_from(TAKEN_WITHIN.as_millis()).unwrap();
                let outcome = self.commit(kv::bequeath(NAME, from, &id, within));
                let (revision, holder) = (outcome.revision, self.holder());
                let answer = if outcome.held { Freed::Yes } else { Freed::No { revision, holder } };
                return Some(Input::Freed { take, answer });
            }
            Action::Acquire { question, inherits: true } => {
                (kv::inherit(NAME, &id, limit), question)
            }
            Action::Acquire { question, inherits: false } => {
                (kv::acquire(NAME, &id, limit), question)
            }
            Action::Renew { question, token } => (kv::renew(NAME, token, &id, limit), question),
            Action::Release { token } => {
                self.commit(kv::release(NAME, token));
                return None;
            }
            Action::Begin { token, taken, .. } => {
                self.acting[usize::from(me)] = Some(token);
                let how = taken.map(|(from, why)| format!(" after {:?}: {why:?}", from.who));
                self.log.push(format!("{} {me} begins{}", self.clock(), how.unwrap_or_default()));
                return None;
            }
            Action::Stop { why, .. } => {
                self.acting[usize::from(me)] = None;
                self.log.push(format!("{} {me} stops: {why:?}", self.clock()));
                return None;
            }
            Action::Tell { asker, outcome } => {
                self.log.push(format!("{asker} is told {outcome:?}"));
                return None;
            }
        };
        let outcome = self.commit(transaction);
        let revision = outcome.revision;
        Some(match acquired(&outcome) {
            Ok(token) => Input::Granted { question, token },
            Err(_) => Input::Refused { question, revision, holder: self.holder() },
        })
    }

    /// Time passes; who runs looks, and is told of the name.
    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while self.now < end {
            self.now += TICK;
            for me in 0..u8::try_from(self.members.len()).unwrap() {
                if self.dead.contains(&me) {
                    continue;
                }
                let (at, revision) = (usize::from(me), self.kv.revision());
                let is_told = !self.blind.contains(&me) && !self.stopped.contains(&me);
                if is_told && self.told[at] != revision {
                    self.told[at] = revision;
                    let holder = self.holder();
                    self.feed(me, Input::Named { revision, holder, anew: false });
                }
                self.feed(me, Input::Looks(self.views[at]));
            }
        }
    }

    /// It runs no more, and the others think so after a second.
    fn dies(&mut self, who: u8) {
        self.dead.push(who);
        self.run(ms(1000));
        for view in &mut self.views {
            view.fit &= !(1 << who);
            view.unreachable |= 1 << who;
        }
    }
}

/// All others are fit, and so is this one.
fn fit(count: u8, me: u8) -> View {
    View { on_duty: true, fit: ((1 << count) - 1) & !(1 << me), ..View::default() }
}

#[test]
fn a_holder_that_is_gone_is_followed_at_once_by_the_first_that_is_fit() {
    let mut world = World::new(3);
    world.run(LIMIT);
    world.dies(0);
    world.run(ms(100));
    assert_eq!(world.log, ["20 0 begins", "9120 1 begins after Some(0): Unreachable"]);
    // Neither of the two that are left has to wait for a limit.
    world.run(LIMIT);
    world.dies(1);
    world.run(ms(100));
    assert_eq!(world.leads(), Some(2));
}

#[test]
fn the_next_one_follows_if_the_first_does_not() {
    let mut world = World::new(3);
    world.run(LIMIT);
    world.dies(0);
    world.views[1].doubts_itself = true;
    world.run(TURN + ms(100));
    assert_eq!(world.leads(), Some(2));
}

#[test]
fn of_two_that_take_it_at_once_one_has_it_and_the_other_is_told() {
    let mut world = World::new(4);
    world.run(LIMIT);
    world.dead.push(0);
    // Each takes the others for gone, so each is the first.
    for me in 1..4 {
        world.views[me] = View { on_duty: true, unreachable: 1, ..View::default() };
    }
    let looks =
        |me: u8| Input::Looks(View { on_duty: true, unreachable: 1 << 0, fit: 0, ..fit(4, me) });
    world.now += TICK;
    let all: Vec<_> = (1..4).map(|me| (me, world.step(me, looks(me)))).collect();
    for (me, orders) in all {
        assert!(matches!(orders[..], [Action::Bequeath { .. }]), "{me}: {orders:?}");
        for order in orders {
            let answer = world.perform(me, order).unwrap();
            world.feed(me, answer);
        }
    }
    world.run(ms(100));
    assert_eq!(world.acting.iter().skip(1).flatten().count(), 1, "{:?}", world.log);
}

#[test]
fn who_doubts_itself_or_only_the_holder_takes_nothing() {
    let mut world = World::new(3);
    world.run(LIMIT);
    // Doubt is neither of the two verdicts: nothing is in the view.
    world.views[1].fit &= !1;
    world.views[2].fit &= !1;
    world.run(ms(2000));
    for view in &mut world.views[1..] {
        (view.unreachable, view.doubts_itself) = (1, true);
    }
    world.run(ms(4000));
    assert_eq!(world.log, ["20 0 begins"]);
}

#[test]
fn the_name_goes_round_no_faster_than_by_its_limit_however_often_verdicts_change() {
    let mut world = World::new(3);
    let end = Time::ZERO + Duration::from_secs(60);
    while world.now < end {
        // Everybody calls everybody else unreachable, and takes it back.
        for me in 0..3_usize {
            world.views[me].unreachable = !(1 << me) & 0b111;
        }
        world.run(ms(200));
        for view in &mut world.views {
            view.unreachable = 0;
        }
        world.run(ms(200));
    }
    let begun = world.log.iter().filter(|line| line.contains("begins")).count();
    assert!((2..=8).contains(&begun), "{:?}", world.log);
}

#[test]
fn a_goodbye_is_believed_however_young_the_holder_is() {
    let mut world = World::new(3);
    world.run(ms(500));
    world.dead.push(0);
    for view in &mut world.views {
        (view.left, view.fit) = (1, view.fit & !1);
    }
    world.run(ms(100));
    assert_eq!(world.leads(), Some(1));
    // A silence is not, before its limit.
    world.run(ms(500));
    world.dies(1);
    world.run(ms(2000));
    assert_eq!(world.leads(), None);
    world.run(LIMIT);
    assert_eq!(world.leads(), Some(2));
}

#[test]
fn a_new_process_follows_its_former_one_at_once_and_under_another_token() {
    let mut world = World::new(3);
    world.run(ms(500));
    let before = world.holder().unwrap();
    world.members[0] = Succession::new(0, LIMIT);
    // It has just started, and hears nobody yet.
    world.views[0] = View { on_duty: true, doubts_itself: true, ..View::default() };
    world.told[0] = u64::MAX;
    world.run(ms(100));
    let now = world.holder().unwrap();
    assert_eq!(now.who, Some(0));
    assert!(now.token > before.token, "{:?}", world.log);
    assert_eq!(world.acting[0], Some(now.token));
}

#[test]
fn one_whose_time_was_up_takes_its_own_name_again_at_once() {
    let mut world = World::new(1);
    world.run(ms(500));
    world.dead.push(0);
    world.run(LIMIT - MARGIN);
    world.dead.clear();
    world.run(ms(600));
    assert_eq!(world.log[1..], ["6620 0 stops: TimeIsUp", "7120 0 begins after Some(0): Former"]);
}

#[test]
fn what_was_given_back_or_given_and_nobody_heard_of_it_is_put_right() {
    // A node at rest gives it back, and that is lost.
    let mut world = World::new(2);
    world.run(ms(500));
    world.views[0].on_duty = false;
    world.views[1].fit = 0;
    world.now += TICK;
    let orders = world.step(0, Input::Looks(world.views[0]));
    assert!(matches!(orders[..], [Action::Stop { .. }, Action::Release { .. }]), "{orders:?}");
    world.acting[0] = None;
    world.run(ANSWERED_WITHIN + ms(200));
    assert_eq!(world.leads(), Some(1), "{:?}", world.log);
    // It is given, and the answer is lost.
    let mut lost = World::new(0);
    lost.members.push(Succession::new(0, LIMIT));
    (lost.views, lost.told, lost.acting) = (vec![fit(1, 0)], vec![u64::MAX], vec![None]);
    lost.step(0, Input::Looks(fit(1, 0)));
    let orders = lost.step(0, Input::Named { revision: 0, holder: None, anew: true });
    assert!(matches!(orders[..], [Action::Acquire { .. }]));
    lost.perform(0, orders[0]);
    lost.run(ms(1200));
    assert_eq!(lost.leads(), Some(0), "{:?}", lost.log);
}

#[test]
fn a_refusal_of_an_older_question_does_not_end_a_newer_take() {
    let mut world = World::new(2);
    let mut late = Succession::new(1, SHORTEST);
    let (mut out, now) = (Buffer::new(), world.now);
    late.step(now, Input::Looks(fit(2, 1)), &mut out);
    late.step(now, Input::Named { revision: 0, holder: None, anew: true }, &mut out);
    assert_eq!(out.drain().last(), Some(Action::Acquire { question: 1, inherits: false }));
    // Another one was faster; an operator takes it from that one.
    let holder = world.holder();
    late.step(now, Input::Named { revision: 1, holder, anew: false }, &mut out);
    late.step(now, Input::Asked { asker: 7 }, &mut out);
    let from = holder.unwrap().token;
    assert_eq!(out.drain().last(), Some(Action::Bequeath { take: 1, from }));
    late.step(now, Input::Freed { take: 1, answer: Freed::Yes }, &mut out);
    assert_eq!(out.drain().last(), Some(Action::Acquire { question: 2, inherits: true }));
    // Only now comes what became of the first question.
    late.step(now, Input::Refused { question: 1, revision: 1, holder }, &mut out);
    assert_eq!(out.drain().last(), None, "nobody is told anything");
    late.step(now, Input::Granted { question: 2, token: Token(3) }, &mut out);
    let orders: Vec<_> = out.drain().collect();
    let told = Action::Tell { asker: 7, outcome: Ok(()) };
    assert!(matches!(orders[..], [t, Action::Begin { token: Token(3), .. }] if t == told));
    assert_eq!(world.step(0, Input::Timeout), []);
}

#[test]
fn a_watch_that_is_faster_than_the_answer_takes_nothing_from_who_asked() {
    let mut taker = Succession::new(1, LIMIT);
    let (mut out, now) = (Buffer::new(), Time::ZERO);
    let from = Holder { who: Some(0), token: Token(1) };
    let named = |revision, holder| Input::Named { revision, holder, anew: false };
    taker.step(now, Input::Looks(fit(2, 1)), &mut out);
    taker.step(now, named(1, Some(from)), &mut out);
    taker.step(now, Input::Asked { asker: 5 }, &mut out);
    taker.step(now, Input::Freed { take: 1, answer: Freed::Yes }, &mut out);
    assert_eq!(out.drain().last(), Some(Action::Acquire { question: 1, inherits: true }));
    let token = Token(3);
    taker.step(now, named(3, Some(Holder { who: Some(1), token })), &mut out);
    assert_eq!(out.drain().last(), None);
    taker.step(now, Input::Granted { question: 1, token }, &mut out);
    let orders: Vec<_> = out.drain().collect();
    let alone_from = now + LIMIT - MARGIN + PATIENCE;
    let begin = Action::Begin { token, alone_from, taken: Some((from, Why::Asked)) };
    assert_eq!(orders, [Action::Tell { asker: 5, outcome: Ok(()) }, begin]);
}

#[test]
fn a_take_from_an_outdated_holder_looks_again_and_is_told_the_truth() {
    let mut world = World::new(3);
    world.blind.push(2);
    // The name goes from 0 to 1 and back, and 2 is not told.
    for (who, gone) in [(1, 0), (0, 1)] {
        world.feed(who, Input::Asked { asker: u64::from(who) });
        world.run(ms(200));
        assert_eq!(world.holder().unwrap().who, Some(who), "{gone} had it: {:?}", world.log);
    }
    let known = world.members[2].holder();
    assert_ne!(known, world.holder());
    world.feed(2, Input::Asked { asker: 9 });
    assert_eq!(world.members[2].holder(), world.holder(), "the refusal says who has it");
    assert!(!world.log.iter().any(|line| line.starts_with("9 ")), "and it looks again");
    world.run(ms(200));
    assert!(world.log.contains(&"9 is told Ok(())".to_owned()), "{:?}", world.log);
    assert_eq!(world.leads(), Some(2));
    // Nobody has it, and this one was told of somebody.
    let token = world.holder().unwrap().token;
    world.blind.push(1);
    world.views[1].on_duty = false;
    world.commit(kv::release(NAME, token));
    world.dead.extend([0, 2]);
    world.feed(1, Input::Asked { asker: 11 });
    world.run(ms(400));
    assert!(world.log.iter().any(|line| line.starts_with("11 is told ")), "{:?}", world.log);
}

#[test]
fn a_name_that_changes_hands_faster_than_it_is_looked_at_is_not_taken() {
    let mut succession = Succession::new(1, LIMIT);
    let (mut out, mut now) = (Buffer::new(), Time::ZERO);
    let holder = |token: u64| Some(Holder { who: Some(0), token: Token(token) });
    succession.step(now, Input::Looks(fit(2, 1)), &mut out);
    succession.step(now, Input::Named { revision: 1, holder: holder(1), anew: true }, &mut out);
    succession.step(now, Input::Asked { asker: 3 }, &mut out);
    let mut all: Vec<_> = out.drain().collect();
    for token in 2..20 {
        let Some(Action::Bequeath { take, .. }) = all.pop() else { break };
        let answer = Freed::No { revision: token, holder: holder(token) };
        succession.step(now, Input::Freed { take, answer }, &mut out);
        now = succession.deadline().min(now + AGAIN);
        succession.step(now, Input::Timeout, &mut out);
        all = out.drain().collect();
        if let [Action::Tell { asker: 3, outcome: Err(NotTaken::Overtaken(told)) }] = all[..] {
            assert_eq!((told, token), (holder(4), 4));
            return;
        }
    }
    panic!("it never ends");
}

#[test]
fn a_node_at_rest_gives_the_name_away_and_takes_only_what_is_left_over() {
    let mut world = World::new(2);
    world.run(ms(500));
    world.views[0].on_duty = false;
    world.views[1].fit = 0;
    world.run(ms(1000));
    assert_eq!(world.leads(), Some(1), "{:?}", world.log);
    // All are at rest: the one that has it keeps it.
    world.views[0].fit = 0;
    world.views[1].on_duty = false;
    world.run(LIMIT);
    assert_eq!(world.leads(), Some(1));
    world.dies(1);
    world.run(LEFT_OVER - ms(100));
    assert_eq!(world.leads(), None, "somebody on duty may come");
    world.run(ms(300));
    assert_eq!(world.leads(), Some(0), "{:?}", world.log);
}

#[test]
fn what_the_store_does_not_answer_is_asked_again_and_what_it_did_is_found() {
    let mut world = World::new(2);
    world.run(LIMIT);
    world.dead.push(0);
    let gone = View { on_duty: true, unreachable: 1, ..View::default() };
    // It was done, and nobody heard of it.
    world.now += TICK;
    let orders = world.step(1, Input::Looks(gone));
    let [Action::Bequeath { take: 1, from }] = orders[..] else { panic!("{orders:?}") };
    let within = u32::try_from(TAKEN_WITHIN.as_millis()).unwrap();
    assert!(world.commit(kv::bequeath(NAME, from, "1", within)).held);
    world.blind.push(1);
    world.views[1] = gone;
    world.run(ANSWERED_WITHIN + ms(100));
    assert_eq!(world.leads(), Some(1), "{:?}", world.log);
    // Surely not done: it is put again, and not in a circle without a pause.
    let mut again = Succession::new(1, LIMIT);
    let mut out = Buffer::new();
    let holder = Some(Holder { who: Some(0), token: Token(5) });
    let start = Time::ZERO + LIMIT;
    again.step(start, Input::Looks(gone), &mut out);
    again.step(start, Input::Named { revision: 5, holder, anew: true }, &mut out);
    assert_eq!(out.drain().last(), Some(Action::Bequeath { take: 1, from: Token(5) }));
    again.step(start, Input::Freed { take: 1, answer: Freed::Nothing }, &mut out);
    assert_eq!(out.drain().last(), None);
    assert_eq!(again.deadline(), start + AGAIN);
    again.step(start + AGAIN, Input::Timeout, &mut out);
    assert_eq!(out.drain().last(), Some(Action::Bequeath { take: 2, from: Token(5) }));
}

#[test]
fn what_was_told_before_its_own_time_began_is_old() {
    let mut world = World::new(1);
    let mut out = Buffer::new();
    let token = world.acting[0].unwrap();
    let other = Some(Holder { who: Some(3), token: Token(0) });
    let old = Input::Named { revision: token.0 - 1, holder: other, anew: false };
    world.members[0].step(world.now, old, &mut out);
    assert_eq!(out.drain().last(), None);
    assert_eq!(world.members[0].token(world.now), Some(token));
}
