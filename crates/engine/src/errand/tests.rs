use super::*;

fn at(millis: u64) -> Time {
    Time::from_nanos(millis * 1_000_000)
}

fn ways(networks: &[u8]) -> Ways {
    networks.iter().copied().collect()
}

/// Node 0, life 100, asks node 1, life 200, over two networks; some networks lose what goes to node 1 or
/// comes from it.
struct Story {
    asker: Errands,
    doer: Errands,
    now: u64,
    lost_there: Vec<u8>,
    lost_back: Vec<u8>,
    /// What node 1 was told to do.
    done: Vec<Vec<u8>>,
    keys: Vec<Key>,
    /// What node 0 was told, and when.
    ended: Vec<(u64, Outcome)>,
    /// Node 1 answers at once.
    prompt: bool,
    /// What is asked are questions.
    repeats: bool,
}

impl Story {
    fn new() -> Self {
        let (asker, doer) = (Errands::new(100), Errands::new(200));
        let (lost_there, lost_back) = (vec![], vec![]);
        let (done, keys, ended) = (vec![], vec![], vec![]);
        let (prompt, repeats) = (true, false);
        Self { asker, doer, now: 0, lost_there, lost_back, done, keys, ended, prompt, repeats }
    }

    fn ask(&mut self, id: u64, life: u64) {
        let input = Input::Ask { id, to: 1, life, ways: ways(&[0, 1]), text: b"rest" };
        self.asker_does(input);
    }

    fn asker_does(&mut self, input: Input<'_>) {
        let mut out = Buffer::new();
        self.asker.step(at(self.now), input, &mut out);
        for action in out.drain() {
            match action {
                Action::Send { kind, network, body, .. } if !self.lost_there.contains(&network) => {
                    let packet = Input::Packet { from: 0, life: 100, network, kind, body: &body };
                    self.doer_does(packet);
                }
                Action::Send { .. } => {}
                Action::Do { .. } => panic!("nobody asks node 0"),
                Action::Ended { outcome, .. } => self.ended.push((self.now, outcome)),
            }
        }
    }

    fn doer_does(&mut self, input: Input<'_>) {
        let mut out = Buffer::new();
        self.doer.step(at(self.now), input, &mut out);
        for action in out.drain() {
            match action {
                Action::Send { kind, network, body, .. } if !self.lost_back.contains(&network) => {
                    let packet = Input::Packet { from: 1, life: 200, network, kind, body: &body };
                    self.asker_does(packet);
                }
                Action::Send { .. } => {}
                Action::Do { key, text } => {
                    self.done.push(text);
                    self.keys.push(key);
                    if self.prompt {
                        let (outcome, repeats) = (Outcome::Done(b"ok".to_vec()), self.repeats);
                        self.doer_does(Input::Did { key, outcome, repeats });
                    }
                }
                Action::Ended { .. } => panic!("node 1 asks nobody"),
            }
        }
    }

    fn pass(&mut self, millis: u64) {
        let end = self.now + millis;
        while self.asker.deadline() <= at(end) {
            self.now += 1;
            if self.asker.deadline() <= at(self.now) {
                self.asker_does(Input::Timeout);
            }
        }
        self.now = end;
    }
}

fn ok() -> Outcome {
    Outcome::Done(b"ok".to_vec())
}

#[test]
fn a_request_is_done_and_answered_at_once() {
    let mut story = Story::new();
    story.ask(1, 200);
    assert_eq!((story.done.len(), &story.ended[..]), (1, &[(0, ok())][..]));
    assert_eq!(story.asker.deadline(), Time::NEVER);
}

#[test]
fn a_dead_network_costs_one_more_try_and_nothing_is_done_twice() {
    let mut story = Story::new();
    story.lost_there = vec![0];
    story.ask(1, 200);
    story.pass(1000);
    assert_eq!((story.done.len(), &story.ended[..]), (1, &[(200, ok())][..]));
    // Dead in one direction: done at once, known after the second try.
    (story.lost_there, story.lost_back) = (vec![], vec![0]);
    story.ask(2, 200);
    story.pass(1000);
    assert_eq!((story.done.len(), story.ended[1].clone()), (2, (1200, ok())));
}

#[test]
fn what_takes_long_is_asked_for_again_and_done_once() {
    let mut story = Story::new();
    story.prompt = false;
    story.ask(1, 200);
    story.pass(1000);
    assert_eq!((story.done.len(), story.ended.len()), (1, 0));
    let key = story.keys[0];
    let outcome = Outcome::Refused(b"no".to_vec());
    story.doer_does(Input::Did { key, outcome, repeats: false });
    assert_eq!(story.ended, [(1000, Outcome::Refused(b"no".to_vec()))]);
    story.doer_does(Input::Did { key, outcome: ok(), repeats: false });
    assert_eq!(story.ended.len(), 1, "the first word counts");
}

#[test]
fn nobody_waits_longer_than_patience() {
    let mut story = Story::new();
    story.lost_there = vec![0, 1];
    story.ask(1, 200);
    story.pass(10_000);
    assert_eq!((story.done.len(), &story.ended[..]), (0, &[(4000, Outcome::Silence)][..]));
    let input = Input::Ask { id: 2, to: 1, life: 200, ways: ways(&[]), text: b"rest" };
    story.asker_does(input);
    assert_eq!(story.ended[1], (10_000, Outcome::Silence), "there is no way");
}

#[test]
fn a_process_that_was_started_since_does_nothing() {
    let mut story = Story::new();
    story.ask(1, 199);
    assert_eq!((story.done.len(), &story.ended[..]), (0, &[(0, Outcome::Restarted)][..]));
}

#[test]
fn the_same_number_of_another_life_is_another_request() {
    let mut story = Story::new();
    story.ask(1, 200);
    story.asker = Errands::new(101);
    let body = print_again(
        Kind::Errand,
        &[&[1][..], &1_u64.to_be_bytes(), &200_u64.to_be_bytes()].concat(),
    );
    let body = body.expect("it is a request");
    let again = |life| Input::Packet { from: 0, life, network: 0, kind: Kind::Errand, body: &body };
    story.doer_does(again(100));
    assert_eq!(story.done.len(), 1);
    story.doer_does(again(101));
    assert_eq!(story.done.len(), 2);
}

/// What another node orders comes in; whether it is taken on.
fn is_taken_on(story: &mut Story, from: u16, id: u64) -> bool {
    let body = [&[1][..], &id.to_be_bytes(), &200_u64.to_be_bytes()].concat();
    let before = story.done.len();
    story.doer_does(Input::Packet { from, life: 7, network: 0, kind: Kind::Errand, body: &body });
    story.done.len() > before
}

#[test]
fn answers_to_commands_are_kept_for_a_minute_and_none_is_forgotten_for_a_new_one() {
    let mut story = Story::new();
    assert!((0..512).all(|id| is_taken_on(&mut story, 0, id)));
    assert!(!is_taken_on(&mut story, 0, 512), "more of one node");
    assert!((0..512).all(|id| is_taken_on(&mut story, 2, id)), "another node has its own room");
    assert!(!is_taken_on(&mut story, 3, 0), "there is none left at all");
    story.ask(513, 200);
    let (_, last) = story.ended.last().expect("it was refused");
    assert_eq!(*last, Outcome::Refused(b"too many commands of other nodes at once".to_vec()));
    story.now = 60_000;
    assert!(is_taken_on(&mut story, 0, 514));
}

#[test]
fn however_much_is_asked_a_command_has_room_and_is_done_once() {
    let mut story = Story::new();
    assert!(is_taken_on(&mut story, 2, 7), "a command");
    story.repeats = true;
    assert!((0..5000).all(|id| is_taken_on(&mut story, 0, id)), "questions of one node");
    story.repeats = false;
    assert!(is_taken_on(&mut story, 0, 5000), "a command of the same node");
    assert!(!is_taken_on(&mut story, 2, 7), "the first command is not done again");
    assert!(!is_taken_on(&mut story, 0, 5000));
}

#[test]
fn too_much_is_refused_before_it_is_sent() {
    let mut story = Story::new();
    story.lost_there = vec![0, 1];
    for id in 0..64 {
        story.ask(id, 200);
    }
    assert!(story.ended.is_empty());
    story.ask(64, 200);
    assert!(matches!(&story.ended[0].1, Outcome::Refused(why) if why.starts_with(b"too many")));
    let long = [0; MAX_TEXT + 1];
    let input = Input::Ask { id: 65, to: 1, life: 200, ways: ways(&[0]), text: &long };
    story.asker_does(input);
    assert!(matches!(&story.ended[1].1, Outcome::Refused(why) if why.ends_with(b"too long")));
}

/// A change of these texts is a change of the version byte.
#[test]
fn requests_and_answers_on_the_wire() {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut errands = Errands::new(100);
    let mut out = Buffer::new();
    let input = Input::Ask { id: 7, to: 1, life: 200, ways: ways(&[0]), text: b"rest" };
    errands.step(at(0), input, &mut out);
    let Some(Action::Send { kind: Kind::Errand, body, .. }) = out.drain().next() else {
        panic!("it is sent");
    };
    expect_test::expect!["01000000000000000700000000000000c872657374"].assert_eq(&hex(&body));
    let words: Vec<String> = [
        Outcome::Done(b"ok".to_vec()),
        Outcome::Refused(b"no".to_vec()),
        Outcome::Restarted,
        Outcome::Silence,
    ]
    .map(|outcome| hex(&answer(7, &outcome)))
    .to_vec();
    expect_test::expect![[r#"
        [
            "010000000000000007006f6b",
            "010000000000000007016e6f",
            "01000000000000000702",
            "01000000000000000703",
        ]
    "#]]
    .assert_debug_eq(&words);
    for body in [&b""[..], &[2; 30], &[1; 5]] {
        assert_eq!(print_again(Kind::Errand, body), None);
        assert_eq!(print_again(Kind::Answer, &body[..body.len().min(9)]), None);
    }
}
