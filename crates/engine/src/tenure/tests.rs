use super::*;
use crate::kv::{Command, Entry, Fence, Kv, acquire, acquired, release, renew};

const LIMIT: Duration = Duration::from_secs(10);
const NAME: &str = "leader";

/// Holders of one name, the store, and one receiver of orders.
struct World {
    now: Time,
    kv: Kv,
    holders: Vec<Tenure>,
    /// Under which token each holder acts, as its last order said.
    acting: Vec<Option<Token>>,
    fence: Fence,
    log: Vec<String>,
}

impl World {
    fn new(holders: usize) -> Self {
        Self {
            now: Time::ZERO,
            kv: Kv::new(),
            holders: vec![Tenure::new(LIMIT); holders],
            acting: vec![None; holders],
            fence: Fence::default(),
            log: vec![],
        }
    }

    fn clock(&self) -> u64 {
        u64::try_from(self.now.since(Time::ZERO).as_millis()).unwrap()
    }

    /// Feeds one holder and does what it orders, with the store as it is.
    fn step(&mut self, holder: usize, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let mut out = Buffer::new();
            self.holders[holder].step(self.now, input, &mut out);
            for action in out.drain() {
                let limit = self.holders[holder].limit_ms();
                let id = format!("node{holder}");
                let (transaction, question) = match action {
                    Action::Acquire { question } => (acquire(NAME, &id, limit), Some(question)),
                    Action::Renew { question, token } => {
                        (renew(NAME, token, &id, limit), Some(question))
                    }
                    Action::Release { token } => (release(NAME, token), None),
                    Action::Begin { token } => {
                        self.acting[holder] = Some(token);
                        self.log.push(format!("{:?} node{holder} begins", self.clock()));
                        continue;
                    }
                    Action::Stop { token: _, why } => {
                        self.acting[holder] = None;
                        self.log.push(format!("{:?} node{holder} stops: {why:?}", self.clock()));
                        continue;
                    }
                };
                let command = Command::Transact(transaction);
                let outcome = self.kv.apply(&Entry { clock: self.clock(), command }).unwrap();
                let Some(question) = question else { continue };
                inputs.push(match acquired(&outcome) {
                    Ok(token) => Input::Granted { question, token },
                    Err(_) => Input::Refused { question },
                });
            }
        }
    }

    /// Time passes; holders of the list run.
    fn run(&mut self, span: Duration, running: &[usize]) {
        let end = self.now + span;
        while self.now < end {
            self.now += Duration::from_millis(100);
            for holder in running {
                self.step(*holder, Input::Timeout);
            }
            let acting = self.acting.iter().flatten().count();
            assert!(acting <= 1 || running.len() < self.holders.len(), "{:?}", self.log);
        }
    }

    /// Whether an order of this holder passes at the receiver.
    fn order(&mut self, token: Token) -> bool {
        self.fence.pass(NAME, token).is_ok()
    }
}

#[test]
fn one_holds_and_renews_and_the_other_waits() {
    let mut world = World::new(2);
    world.step(0, Input::Want(true));
    world.step(1, Input::Want(true));
    world.run(Duration::from_secs(60), &[0, 1]);
    assert_eq!(world.log, ["0 node0 begins"]);
}

#[test]
fn a_dead_holder_is_followed_when_its_time_is_up_in_the_store() {
    let mut world = World::new(2);
    world.step(0, Input::Want(true));
    world.step(1, Input::Want(true));
    world.run(Duration::from_secs(1), &[0, 1]);
    world.run(Duration::from_secs(20), &[1]);
    assert_eq!(world.log.len(), 2, "{:?}", world.log);
    let at: u64 = world.log[1].split(' ').next().unwrap().parse().unwrap();
    assert!((10_000..=11_000).contains(&at), "{:?}", world.log);
}

#[test]
fn a_paused_ex_holder_acts_no_more() {
    let mut world = World::new(2);
    world.step(0, Input::Want(true));
    world.step(1, Input::Want(true));
    world.run(Duration::from_secs(1), &[0, 1]);
    let old = world.acting[0].expect("node0 holds");
    assert!(world.order(old));
    // Paused in the middle of an act: it holds the token in its hand, and nobody tells it anything.
    world.run(Duration::from_secs(30), &[1]);
    let new = world.acting[1].expect("node1 follows");
    assert!(new > old);
    assert!(world.order(new));
    assert!(!world.order(old), "the receiver refuses what was in its hand");
    // It looks before it acts again.
    assert_eq!(world.holders[0].token(world.now), None);
    world.step(0, Input::Timeout);
    assert!(world.log.last().unwrap().ends_with("node0 stops: TimeIsUp"), "{:?}", world.log);
    assert_eq!(world.acting[0], None);
}

#[test]
fn here_it_ends_before_it_ends_in_the_store() {
    let mut tenure = Tenure::new(LIMIT);
    let mut out = Buffer::new();
    tenure.step(Time::ZERO, Input::Want(true), &mut out);
    // The answer takes three seconds: the time counts from the question.
    let late = Time::ZERO + Duration::from_secs(3);
    out.clear();
    let mut again = Buffer::new();
    tenure.step(late, Input::Granted { question: 1, token: Token(4) }, &mut again);
    assert_eq!(tenure.token(late), Some(Token(4)));
    let end = Time::ZERO + LIMIT - MARGIN;
    assert_eq!(tenure.token(end - Duration::from_millis(1)), Some(Token(4)));
    assert_eq!(tenure.token(end), None);
}

#[test]
fn an_answer_that_is_too_late_is_given_back() {
    let mut tenure = Tenure::new(LIMIT);
    let mut out = Buffer::new();
    tenure.step(Time::ZERO, Input::Want(true), &mut out);
    out.clear();
    let end = Time::ZERO + LIMIT;
    tenure.step(end, Input::Granted { question: 1, token: Token(4) }, &mut out);
    let orders: Vec<_> = out.drain().collect();
    assert_eq!(orders[0], Action::Release { token: Token(4) });
    assert_eq!(tenure.token(end), None);
}

#[test]
fn a_receivers_word_ends_it_at_once_and_giving_back_too() {
    for (input, end) in [
        (Input::Stale { token: Token(4) }, Some(End::Replaced)),
        (Input::Stale { token: Token(3) }, None),
        (Input::Want(false), Some(End::GivenBack)),
    ] {
        let mut tenure = Tenure::new(LIMIT);
        let mut out = Buffer::new();
        tenure.step(Time::ZERO, Input::Want(true), &mut out);
        tenure.step(Time::ZERO, Input::Granted { question: 1, token: Token(4) }, &mut out);
        out.clear();
        tenure.step(Time::ZERO, input, &mut out);
        let stop = end.map(|why| Action::Stop { token: Token(4), why });
        assert_eq!(out.iter().next().copied(), stop, "{input:?}");
        assert_eq!(tenure.token(Time::ZERO).is_none(), end.is_some());
    }
}
