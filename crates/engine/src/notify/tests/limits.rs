//! How much fits.

use super::*;

fn sixteen() -> Vec<Addressee> {
    let of = |at: usize| Addressee {
        name: format!("r{at:02}"),
        topics: Topic::ALL.to_vec(),
        retry_for: Duration::from_secs(3600),
    };
    (0..16).map(of).collect()
}

fn with_sixteen() -> (World, Process) {
    let mut world = World { now: Time::from_nanos(1_000_000_000), ..World::default() };
    let outbox = Outbox::new(sixteen(), None);
    let mut process = Process { outbox, life: u32::MAX, dies_after_the_deed: false };
    let shelf = world.shelf();
    for input in [Input::Wall(world.wall()), Input::Office(Some(1)), shelf] {
        process.hears(&mut world, input);
    }
    (world, process)
}

/// A debug build fails where one step orders more than fits; each word has to come out.
#[test]
fn sixteen_receivers_that_give_up_at_once_are_all_named() {
    let (mut world, mut process) = with_sixteen();
    world.down = true;
    for at in 0..3 {
        process.hears(&mut world, happened(moved(900 + at, None, "n2")));
    }
    process.waits(&mut world, 3_700);
    let given_up = world.words.iter().filter(|word| matches!(word, Word::GivenUp { .. }));
    assert_eq!(given_up.count(), 16 * 3);
    assert!(world.letters.values().all(|(letter, _)| letter.is_settled()));
}

#[test]
fn what_is_given_up_as_too_much_waits_is_named_for_all_sixteen() {
    let (mut world, mut process) = with_sixteen();
    world.down = true;
    for at in 0..u64::try_from(MOST_OPEN).unwrap() + 2 {
        process.hears(&mut world, happened(moved(900 + at, None, "n2")));
    }
    process.waits(&mut world, 5);
    let given_up = world.words.iter().filter(|word| matches!(word, Word::GivenUp { .. }));
    assert_eq!(given_up.count(), 16 * 2);
}

/// What sixteen deliveries came to waits for one write, and others went on with all of them meanwhile.
#[test]
fn sixteen_that_are_overtaken_are_all_named() {
    let (mut world, mut process) = with_sixteen();
    let (mut deliveries, mut held) = (vec![], None);
    let mut actions = process.step(world.now, happened(moved(900, None, "n2")));
    while deliveries.len() < 16 {
        assert!(!actions.is_empty(), "only {} are sent", deliveries.len());
        match actions.remove(0) {
            Action::Write { number, write } => {
                let outcome = world.write(&write);
                actions.extend(process.step(world.now, Input::Written { number, outcome }));
            }
            Action::Deliver(batch) => deliveries.push(*batch),
            Action::Tell(word) => world.words.push(word),
        }
    }
    // Something else is being written while all of them end.
    for action in process.step(world.now, happened(moved(950, None, "n3"))) {
        if let Action::Write { number, .. } = action {
            held = Some(number);
        }
    }
    let number = held.expect("it is written");
    for Batch { id, receiver, .. } in deliveries {
        let outcome = Outcome::TAKEN;
        let ended = Input::Delivered { batch: id, receiver, outcome };
        assert!(process.step(world.now, ended).is_empty());
    }
    // The next in office has taken all of them.
    for (letter, revision) in world.letters.values_mut() {
        letter.dues.iter_mut().for_each(|due| due.fate = Fate::Sending { office: 2 });
        *revision += 100;
    }
    let letters: Vec<_> = world.letters.values().cloned().collect();
    for (letter, revision) in letters {
        let id = letter.id.clone();
        let changed = Input::Changed { id, letter: Some(Box::new(letter)), revision };
        assert!(process.step(world.now, changed).is_empty());
    }
    process.hears(&mut world, Input::Written { number, outcome: Err(true) });
    process.waits(&mut world, 10);
    let overtaken = world.words.iter().filter(|word| matches!(word, Word::Overtaken { .. }));
    assert_eq!(overtaken.count(), 16, "{:?}", world.words);
}

/// The write that began them was done, and nobody said so.
#[test]
fn sixteen_that_are_begun_are_all_sent() {
    let (mut world, mut process) = with_sixteen();
    let mut letter = moved(900, None, "n2");
    for receiver in sixteen() {
        let mut due = Due::new(receiver.name, Fate::Sending { office: 1 });
        due.batch.clone_from(&letter.id);
        letter.dues.push(due);
    }
    let (id, revision) = (letter.id.clone(), 100);
    world.revision = 100;
    world.letters.insert(id.clone(), (letter.clone(), revision));
    process.hears(&mut world, Input::Changed { id, letter: Some(Box::new(letter)), revision });
    process.waits(&mut world, 10);
    assert_eq!(world.arrived.len(), 16);
}

#[test]
fn of_too_much_at_once_the_oldest_goes_and_that_is_told() {
    let (mut world, mut process) = started();
    // The store does not answer.
    let actions = process.step(world.now, happened(moved(900, None, "n2")));
    let [Action::Write { number, .. }] = &actions[..] else { panic!("{actions:?}") };
    let all = u64::try_from(MOST_HEARD).unwrap() + 5;
    for at in 1..=all {
        let actions = process.step(world.now, happened(moved(900 + at, None, "n2")));
        world.words.extend(actions.into_iter().filter_map(|action| match action {
            Action::Tell(word) => Some(word),
            Action::Write { .. } | Action::Deliver(_) => None,
        }));
    }
    process.hears(&mut world, Input::Written { number: *number, outcome: Err(false) });
    process.waits(&mut world, 120);
    let dropped = |word: &Word| {
        if let Word::Dropped { letters } = word { Some(*letters) } else { None }
    };
    let dropped: Vec<usize> = world.words.iter().filter_map(dropped).collect();
    assert_eq!(dropped.iter().sum::<usize>(), 6, "the first one, too: {dropped:?}");
    assert_eq!(dropped.len(), 2, "not one by one");
    let newest = moved(900 + all, None, "n2").id;
    assert!(world.letters.contains_key(&newest), "the newest is the one that matters");
}

/// It was woken without end while the receiver of another node was down.
#[test]
fn whoever_is_not_in_office_is_not_woken_for_what_waits() {
    let (mut world, mut process) = started();
    world.down = true;
    process.hears(&mut world, happened(moved(900, None, "n2")));
    let mut idle = Outbox::new(receivers(), None);
    let mut out = Buffer::new();
    for input in [Input::Wall(world.wall()), world.shelf()] {
        idle.step(world.now, input, &mut out);
    }
    assert_eq!((out.len(), idle.deadline()), (0, Time::NEVER));
}
