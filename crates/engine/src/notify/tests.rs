use super::*;

mod alone;
mod limits;
mod parts;

/// A shelf and the receivers, as several machines see them.
#[derive(Default)]
struct World {
    now: Time,
    revision: u64,
    letters: BTreeMap<String, (Letter, u64)>,
    since: Option<(u64, u64)>,
    /// What arrived: receiver, batch.
    arrived: Vec<(String, String, Vec<String>)>,
    /// For whom each of them was.
    left: Vec<Vec<String>>,
    /// Receivers that take nothing.
    down: bool,
    /// What they say instead of taking it.
    says: Option<Outcome>,
    words: Vec<Word>,
}

const START_MS: u64 = 1_700_000_000_000;

impl World {
    fn write(&mut self, write: &Write) -> Result<u64, bool> {
        let is = |id: &str| self.letters.get(id).map(|(_, revision)| *revision);
        let fits = write.letters.iter().all(|(letter, expected)| is(&letter.id) == *expected)
            && write.removed.iter().all(|(id, revision)| is(id) == Some(*revision))
            && write.since.is_none_or(|(_, expected)| self.since.map(|(_, is)| is) == expected);
        if !fits {
            return Err(true);
        }
        self.revision += 1;
        for (letter, _) in &write.letters {
            self.letters.insert(letter.id.clone(), (letter.clone(), self.revision));
        }
        for (id, _) in &write.removed {
            self.letters.remove(id);
        }
        if let Some((since_ms, _)) = write.since {
            self.since = Some((since_ms, self.revision));
        }
        Ok(self.revision)
    }

    fn wall(&self) -> u64 {
        START_MS + self.now.as_nanos() / 1_000_000
    }

    fn shelf(&self) -> Input {
        let letters = self.letters.values().map(|(letter, revision)| (letter.clone(), *revision));
        let (since, revision) = (self.since, self.revision);
        Input::Shelf { letters: letters.collect(), since, revision }
    }
}

fn receivers() -> Vec<Addressee> {
    let of = |name: &str, topics: &[Topic]| Addressee {
        name: name.to_owned(),
        topics: topics.to_vec(),
        retry_for: Duration::from_secs(3600),
    };
    vec![of("ops", &Topic::ALL)]
}

fn moved(at: u64, from: Option<&str>, to: &str) -> Letter {
    let at_ms = START_MS + at;
    Letter {
        id: format!("vip-a-{to}-{at_ms}"),
        object: "vip/a".to_owned(),
        at_ms,
        node: to.to_owned(),
        from: from.map(str::to_owned),
        to: Some(to.to_owned()),
        cause: "nobody advertised".to_owned(),
        term: at,
        ..Letter::default()
    }
}

fn happened(letter: Letter) -> Input {
    Input::Happened { letter: Box::new(letter), awaits: false }
}

/// One process, and at which of its deeds it dies.
struct Process {
    outbox: Outbox,
    /// So many more deeds are done; then it is dead.
    life: u32,
    /// It died in the deed: what was written or delivered was, and it never heard so.
    dies_after_the_deed: bool,
}

impl Process {
    fn begins(world: &World, office: u64) -> (Self, Vec<Action>) {
        let outbox = Outbox::new(receivers(), None);
        let mut process = Self { outbox, life: u32::MAX, dies_after_the_deed: false };
        let mut all = vec![];
        for input in [Input::Wall(world.wall()), Input::Office(Some(office)), world.shelf()] {
            all.extend(process.step(world.now, input));
        }
        (process, all)
    }

    fn step(&mut self, now: Time, input: Input) -> Vec<Action> {
        let mut out = Buffer::new();
        self.outbox.step(now, input, &mut out);
        out.drain().collect()
    }

    /// Does what is ordered, and what follows from it; false: it died.
    fn does(&mut self, world: &mut World, mut actions: Vec<Action>) -> bool {
        while !actions.is_empty() {
            let action = actions.remove(0);
            if !matches!(action, Action::Tell(_)) {
                let is_last = self.life == 0;
                if is_last && !self.dies_after_the_deed {
                    return false;
                }
                self.life = self.life.saturating_sub(1);
                let input = match action {
                    Action::Write { number, write } => {
                        Input::Written { number, outcome: world.write(&write) }
                    }
                    Action::Deliver(batch) => {
                        let Batch { id, receiver, letters, left } = *batch;
                        let down = || Outcome::failed("refused".to_owned());
                        let outcome = match (&world.says, world.down) {
                            (Some(says), _) => says.clone(),
                            (None, true) => down(),
                            (None, false) => Outcome::TAKEN,
                        };
                        if !matches!(outcome, Outcome::Failed { .. }) {
                            let ids = letters.iter().map(|letter| letter.id.clone()).collect();
                            world.arrived.push((receiver.clone(), id.clone(), ids));
                            world.left.push(left);
                        }
                        Input::Delivered { batch: id, receiver, outcome }
                    }
                    Action::Tell(_) => continue,
                };
                if is_last {
                    return false;
                }
                actions.extend(self.step(world.now, input));
            } else if let Action::Tell(word) = action {
                world.words.push(word);
            }
        }
        true
    }

    fn hears(&mut self, world: &mut World, input: Input) -> bool {
        let actions = self.step(world.now, input);
        self.does(world, actions)
    }

    /// Lets time pass, second by second.
    fn waits(&mut self, world: &mut World, seconds: u64) -> bool {
        (0..seconds).all(|_| {
            world.now += Duration::from_secs(1);
            let wall = Input::Wall(world.wall());
            self.hears(world, wall) && self.hears(world, Input::Timeout)
        })
    }
}

fn started() -> (World, Process) {
    let mut world = World { now: Time::from_nanos(1_000_000_000), ..World::default() };
    let (mut process, actions) = Process::begins(&world, 1);
    assert!(process.does(&mut world, actions));
    (world, process)
}

fn batches(world: &World) -> Vec<&str> {
    world.arrived.iter().map(|(_, batch, _)| batch.as_str()).collect()
}

#[test]
fn a_move_is_told_once_however_often_it_is_heard_of() {
    let (mut world, mut process) = started();
    let letter = moved(900, Some("n1"), "n2");
    for _ in 0..3 {
        process.hears(&mut world, happened(letter.clone()));
    }
    process.waits(&mut world, 3);
    process.hears(&mut world, happened(letter.clone()));
    assert_eq!(batches(&world), [letter.id.as_str()]);
    let told =
        Word::Told { receiver: "ops".to_owned(), batch: letter.id.clone(), letters: 1, tries: 0 };
    assert_eq!(world.words, [told]);
    // Neither by the next one in office, who reads of it again.
    let (mut next, actions) = Process::begins(&world, 2);
    next.does(&mut world, actions);
    next.hears(&mut world, happened(letter));
    next.waits(&mut world, 100);
    assert_eq!(world.arrived.len(), 1);
}

#[test]
fn whichever_deed_the_teller_dies_at_it_is_told_once_or_twice_under_one_name() {
    let mut twice = 0;
    for dies_after_the_deed in [false, true] {
        for life in 0..8 {
            let (mut world, mut first) = started();
            (first.life, first.dies_after_the_deed) = (life, dies_after_the_deed);
            let letters = [moved(800, None, "n1"), moved(900, Some("n1"), "n2")];
            for letter in &letters {
                if !first.hears(&mut world, happened(letter.clone())) {
                    break;
                }
            }
            let (mut next, actions) = Process::begins(&world, 2);
            next.does(&mut world, actions);
            for letter in &letters {
                next.hears(&mut world, happened(letter.clone()));
            }
            next.waits(&mut world, 60);
            let names: std::collections::BTreeSet<_> = batches(&world).into_iter().collect();
            assert_eq!(names.len(), 2, "{life} {dies_after_the_deed}: {:?}", world.arrived);
            twice += world.arrived.len() - 2;
        }
    }
    assert_eq!(
        twice, 4,
        "only who dies between a delivery and the word of it, of two letters in two ways"
    );
}

#[test]
fn what_a_former_office_was_sending_is_left_to_it_until_that_is_over() {
    let (mut world, mut first) = started();
    // It is written that it is sent, and then the process stands still.
    first.life = 2;
    first.hears(&mut world, happened(moved(900, None, "n2")));
    assert!(world.arrived.is_empty());
    let (mut next, actions) = Process::begins(&world, 2);
    next.does(&mut world, actions);
    next.waits(&mut world, TAKEN_AFTER.as_secs() - 1);
    assert!(world.arrived.is_empty(), "{:?}", world.arrived);
    next.waits(&mut world, 2);
    assert_eq!(world.arrived.len(), 1);
    // It wakes up, delivers, and finds that another one went on with it.
    let id = moved(900, None, "n2").id;
    first.life = u32::MAX;
    let letters: Vec<_> = world.letters.values().cloned().collect();
    let written = Input::Written { number: 3, outcome: Ok(letters[0].1) };
    let _ = first.step(world.now, Input::Office(None));
    let _ = first.step(world.now, written);
    for (letter, revision) in letters {
        let changed =
            Input::Changed { id: letter.id.clone(), letter: Some(Box::new(letter)), revision };
        first.hears(&mut world, changed);
    }
    let receiver = "ops".to_owned();
    let delivered = Input::Delivered { batch: id, receiver, outcome: Outcome::TAKEN };
    first.hears(&mut world, delivered);
    assert_eq!(world.letters.values().filter(|(letter, _)| letter.is_settled()).count(), 1);
}

#[test]
fn a_receiver_that_is_down_is_told_once_when_it_is_back_and_given_up_in_the_end() {
    let (mut world, mut process) = started();
    world.down = true;
    process.hears(&mut world, happened(moved(900, None, "n2")));
    process.waits(&mut world, 20);
    let failing = Word::Failing { receiver: "ops".to_owned(), why: "refused".to_owned() };
    assert_eq!(world.words, [failing], "once, not at each try");
    let due = &world.letters.values().next().expect("it is written").0.dues[0];
    assert!(due.tries == 5 && due.why == "refused" && due.fate == Fate::Waiting, "{due:?}");
    world.down = false;
    process.waits(&mut world, 20);
    assert_eq!(world.arrived.len(), 1);
    world.down = true;
    process.hears(&mut world, happened(moved(30_000, None, "n3")));
    process.waits(&mut world, 4000);
    world.down = false;
    process.waits(&mut world, 600);
    assert_eq!(world.arrived.len(), 1);
    let given_up = |word: &Word| matches!(word, Word::GivenUp { why, .. } if why == "not told within 3600 s: refused");
    assert_eq!(world.words.iter().filter(|word| given_up(word)).count(), 1, "{:?}", world.words);
}

#[test]
fn of_a_storm_the_first_are_told_one_by_one_and_the_rest_in_summaries() {
    let (mut world, mut process) = started();
    for at in 0..40 {
        process.hears(&mut world, happened(moved(900 + at, None, "n2")));
    }
    assert_eq!(world.arrived.len(), 6);
    process.waits(&mut world, 61);
    let (_, batch, ids) = world.arrived.last().expect("a summary");
    assert_eq!((world.arrived.len(), ids.len()), (7, 34), "{:?}", world.arrived);
    assert!(batch.starts_with("summary-of-34-from-vip-a-n2-"), "{batch}");
    let all: std::collections::BTreeSet<_> =
        world.arrived.iter().flat_map(|(_, _, ids)| ids).collect();
    assert_eq!(all.len(), 40, "each of them once");
    assert_eq!(world.arrived.iter().map(|(_, _, ids)| ids.len()).sum::<usize>(), 40);
}

#[test]
fn a_summary_that_failed_is_sent_again_to_the_letter() {
    let (mut world, mut process) = started();
    for at in 0..8 {
        process.hears(&mut world, happened(moved(900 + at, None, "n2")));
    }
    world.down = true;
    process.waits(&mut world, 61);
    let (mut next, actions) = Process::begins(&world, 2);
    next.does(&mut world, actions);
    next.hears(&mut world, happened(moved(50_000, None, "n3")));
    world.down = false;
    next.waits(&mut world, 10);
    let summary = &world.arrived[6];
    assert!(summary.1.starts_with("summary-of-2-") && summary.2.len() == 2, "{summary:?}");
    assert_eq!(world.arrived.len(), 8, "the one that came later is told by itself");
}

#[test]
fn a_loss_is_told_once_and_its_return_says_how_long_nobody_held_it() {
    let (mut world, mut process) = started();
    let unheld = |at| Input::Unheld {
        object: "vip/a".to_owned(),
        at_ms: START_MS + at,
        cause: "n2 is not heard".to_owned(),
    };
    process.hears(&mut world, unheld(500));
    assert!(world.letters.is_empty(), "it was never held");
    process.hears(&mut world, happened(moved(900, None, "n2")));
    process.hears(&mut world, unheld(2_000));
    process.hears(&mut world, unheld(3_000));
    process.hears(&mut world, happened(moved(9_000, None, "n3")));
    let mut told: Vec<&Letter> = world.letters.values().map(|(letter, _)| letter).collect();
    told.sort_by_key(|letter| letter.at_ms);
    let of =
        |letter: &Letter| (letter.topic, letter.from.clone(), letter.to.clone(), letter.away_ms);
    let name = |name: &str| Some(name.to_owned());
    assert_eq!(
        told.into_iter().map(of).collect::<Vec<_>>(),
        [
            (Topic::Move, None, name("n2"), None),
            (Topic::Loss, name("n2"), None, None),
            (Topic::Return, name("n2"), name("n3"), Some(7_000)),
        ]
    );
}

/// The vigil tells a loss once: whatever the outbox is doing then, it tells it.
#[test]
fn a_loss_within_seconds_of_a_take_over_is_told() {
    let (mut world, mut process) = started();
    let letter = moved(900, Some("n1"), "n2");
    process.hears(&mut world, Input::Happened { letter: Box::new(letter.clone()), awaits: true });
    process.waits(&mut world, 6);
    assert!(world.letters.is_empty(), "its first answer is waited for");
    let (object, cause) = (letter.object.clone(), "n2 is not heard".to_owned());
    process.hears(&mut world, Input::Unheld { object, at_ms: START_MS + 2_000, cause });
    process.waits(&mut world, 2);
    let loss = format!("loss-after-{}", letter.id);
    assert_eq!(batches(&world), [letter.id.as_str(), loss.as_str()], "nobody is going to answer");
    assert_eq!(world.letters[&loss].0.from.as_deref(), Some("n2"));
}

#[test]
fn a_loss_that_is_seen_before_its_last_holder_is_heard_of_is_told() {
    let (mut world, mut process) = started();
    let unheld = |object: &str, at| Input::Unheld {
        object: object.to_owned(),
        at_ms: START_MS + at,
        cause: String::new(),
    };
    process.hears(&mut world, unheld("vip/a", 2_000));
    process.hears(&mut world, unheld("vip/b", 2_000));
    process.hears(&mut world, happened(moved(1_500, None, "n2")));
    let other = Letter { object: "vip/b".to_owned(), ..moved(2_500, None, "n3") };
    process.hears(&mut world, happened(other));
    process.waits(&mut world, 2);
    let losses = world.letters.values().filter(|(letter, _)| letter.topic == Topic::Loss);
    let losses: Vec<_> = losses.map(|(letter, _)| letter.object.as_str()).collect();
    assert_eq!(losses, ["vip/a"], "the other one is held since");
}

/// A clock that is behind made a return of a loss a plain move.
#[test]
fn a_return_by_a_clock_that_is_behind_is_one() {
    let (mut world, mut process) = started();
    process.hears(&mut world, happened(moved(30_000, None, "n2")));
    let (object, cause) = ("vip/a".to_owned(), String::new());
    process.hears(&mut world, Input::Unheld { object, at_ms: START_MS + 29_000, cause });
    process.hears(&mut world, happened(Letter { term: 40_000, ..moved(29_500, None, "n3") }));
    process.waits(&mut world, 2);
    let back = &world.letters[&moved(29_500, None, "n3").id].0;
    assert_eq!((back.topic, back.from.as_deref()), (Topic::Return, Some("n2")));
    assert_eq!(back.away_ms, Some(0));
}

#[test]
fn a_first_answer_is_waited_for_and_one_that_never_comes_delays_nothing_for_long() {
    let (mut world, mut process) = started();
    let letter = moved(900, None, "n2");
    let awaits = Input::Happened { letter: Box::new(letter.clone()), awaits: true };
    process.hears(&mut world, awaits.clone());
    process.waits(&mut world, 2);
    assert!(world.letters.is_empty());
    let took = [Some(1), Some(2), Some(3), Some(4), Some(5)];
    let (object, node) = (letter.object.clone(), letter.node.clone());
    process.hears(&mut world, Input::Answered { object, node, term: letter.term, took });
    assert_eq!(world.letters[&letter.id].0.took, took);
    let later = moved(4_000, None, "n3");
    process.hears(&mut world, Input::Happened { letter: Box::new(later), awaits: true });
    process.waits(&mut world, ANSWER_WITHIN.as_secs() + 2);
    assert_eq!(world.arrived.len(), 2);
}

#[test]
fn without_an_office_nothing_is_written_and_what_happened_before_the_first_one_is_history() {
    let mut world = World { now: Time::from_nanos(300_000_000_000), ..World::default() };
    let mut process = Process::begins(&world, 1).0;
    process.outbox = Outbox::new(receivers(), None);
    for input in [Input::Wall(world.wall()), world.shelf(), happened(moved(299_000, None, "n1"))] {
        assert!(process.step(world.now, input).is_empty());
    }
    process.hears(&mut world, Input::Office(Some(1)));
    process.hears(&mut world, happened(moved(200_000, None, "n1")));
    process.hears(&mut world, happened(moved(299_500, None, "n2")));
    assert_eq!(
        world.letters.values().map(|(letter, _)| letter.to.as_deref()).collect::<Vec<_>>(),
        [Some("n2")]
    );
}

#[test]
fn what_is_settled_for_long_goes_and_is_not_told_again() {
    let (mut world, mut process) = started();
    let all: Vec<Letter> = (0..200).map(|at| moved(1_000 + at, None, "n2")).collect();
    for letter in &all {
        process.hears(&mut world, happened(letter.clone()));
    }
    process.waits(&mut world, 600);
    assert!(world.letters.len() < KEPT + 10, "{}", world.letters.len());
    let arrived = world.arrived.len();
    for letter in &all {
        process.hears(&mut world, happened(letter.clone()));
    }
    process.waits(&mut world, 100);
    assert_eq!(world.arrived.len(), arrived);
}

#[test]
fn a_write_of_which_nobody_knows_is_found_on_the_shelf() {
    let (mut world, mut process) = started();
    let actions = process.step(world.now, happened(moved(900, None, "n2")));
    let [Action::Write { number, write }] = &actions[..] else { panic!("{actions:?}") };
    let revision = world.write(write);
    assert!(process.hears(&mut world, Input::Written { number: *number, outcome: Err(false) }));
    assert!(world.arrived.is_empty());
    let (letter, _) = world.letters.values().next().cloned().expect("it was written");
    let id = letter.id.clone();
    let revision = revision.expect("it was done");
    process.hears(&mut world, Input::Changed { id, letter: Some(Box::new(letter)), revision });
    process.waits(&mut world, 2);
    assert_eq!(world.arrived.len(), 1);
}
