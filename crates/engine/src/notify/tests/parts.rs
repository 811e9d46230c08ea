//! Mails that some do not get, and messages of which nobody knows whether they arrived.

use super::*;

fn refusal(to: &str, why: &str) -> Refusal {
    Refusal { to: to.to_owned(), why: why.to_owned() }
}

fn only(world: &World) -> Due {
    assert_eq!(world.letters.len(), 1, "{:?}", world.letters);
    let (letter, _) = world.letters.values().next().expect("there is one");
    letter.dues[0].clone()
}

#[test]
fn who_is_refused_for_a_while_is_told_later_and_the_others_once() {
    let (mut world, mut process) = started();
    let later = vec![refusal("b@lab", "450 later")];
    world.says = Some(Outcome::Taken { later, never: vec![] });
    process.hears(&mut world, happened(moved(900, None, "n2")));
    let due = only(&world);
    assert_eq!((&due.fate, due.left.as_slice()), (&Fate::Waiting, &["b@lab".to_owned()][..]));
    assert_eq!(due.tries, 1);
    assert_eq!(due.why, "b@lab: 450 later");
    // It is refused again: nobody has it of those who are left. Others do not wait for that.
    world.says = Some(Outcome::failed("b@lab: 450 later".to_owned()));
    process.waits(&mut world, 20);
    world.says = None;
    process.hears(&mut world, happened(moved(15_000, None, "n3")));
    assert_eq!(batches(&world).len(), 2, "the next one leaves at once: {:?}", world.arrived);
    // Another node goes on with it, and knows who is left.
    let (mut next, actions) = Process::begins(&world, 2);
    next.does(&mut world, actions);
    next.waits(&mut world, 20);
    let of_first: Vec<_> = world
        .arrived
        .iter()
        .zip(&world.left)
        .filter(|((_, batch, _), _)| *batch == moved(900, None, "n2").id)
        .map(|(_, left)| left.clone())
        .collect();
    assert_eq!(of_first, [vec![], vec!["b@lab".to_owned()]], "to all, then to the one");
    let due = world.letters[&moved(900, None, "n2").id].0.dues[0].clone();
    assert!(matches!(due.fate, Fate::Told { .. }) && due.left.is_empty(), "{due:?}");
}

#[test]
fn who_is_refused_for_good_is_named_once_and_not_asked_for_again() {
    let (mut world, mut process) = started();
    let never = vec![refusal("x@lab", "550 nobody")];
    let later = vec![refusal("b@lab", "450 later")];
    world.says = Some(Outcome::Taken { later, never: never.clone() });
    process.hears(&mut world, happened(moved(900, None, "n2")));
    assert_eq!(only(&world).left, ["b@lab"], "the other one is not tried again");
    // Now the server says of that one, too, that it never takes it: nobody is left.
    let gone = vec![refusal("b@lab", "550 gone")];
    world.says = Some(Outcome::Failed { why: "nobody takes it".to_owned(), never: gone });
    process.waits(&mut world, 3);
    assert!(matches!(only(&world).fate, Fate::Told { .. }), "{:?}", only(&world));
    let refused = |world: &World| -> Vec<String> {
        let whom = |word: &Word| {
            if let Word::Refused { whom, .. } = word { Some(whom.clone()) } else { None }
        };
        world.words.iter().filter_map(whom).collect()
    };
    assert_eq!(refused(&world), ["x@lab: 550 nobody", "b@lab: 550 gone"]);
    // Of each message the same: that is no news.
    world.says = Some(Outcome::Taken { later: vec![], never });
    process.hears(&mut world, happened(moved(15_000, None, "n3")));
    process.hears(&mut world, happened(moved(16_000, None, "n2")));
    assert_eq!(refused(&world).len(), 2, "{:?}", world.words);
    let told = world.words.iter().filter(|word| matches!(word, Word::Told { .. }));
    assert_eq!(told.count(), 3);
}

/// A whole conversation that fails is tried for all, whatever was said of some.
#[test]
fn a_server_that_takes_nobody_may_be_mended() {
    let (mut world, mut process) = started();
    let never = vec![refusal("a@lab", "554 relay denied"), refusal("b@lab", "554 relay denied")];
    world.says = Some(Outcome::Failed { why: "554 relay denied".to_owned(), never });
    process.hears(&mut world, happened(moved(900, None, "n2")));
    let due = only(&world);
    assert!(due.fate == Fate::Waiting && due.left.is_empty(), "{due:?}");
    world.says = None;
    process.waits(&mut world, 2);
    assert_eq!(world.left, [Vec::<String>::new()]);
}

/// The storm: a server that takes everything and never says so was sent the same for 72 hours.
#[test]
fn what_may_have_arrived_is_sent_a_few_times_under_one_name_and_no_more() {
    let (mut world, mut process) = started();
    process.outbox.runs[0].to.retry_for = Duration::from_secs(72 * 3600);
    let silence = "it did not say whether it takes the message".to_owned();
    world.says = Some(Outcome::Unsure(silence));
    process.hears(&mut world, happened(moved(900, None, "n2")));
    let mut at = vec![];
    for second in 0..12_000 {
        let before = world.arrived.len();
        process.waits(&mut world, 1);
        if world.arrived.len() > before {
            at.push(second);
        }
    }
    assert_eq!(world.arrived.len(), usize::try_from(MOST_UNSURE).unwrap());
    let pauses = std::iter::once(at[0]).chain(at.windows(2).map(|two| two[1] - two[0]));
    let pauses: Vec<u64> = pauses.collect();
    let grow = pauses.iter().zip([60, 600, 3600]).all(|(is, least)| is.abs_diff(least) < 3);
    assert!(grow, "{pauses:?}");
    let names: std::collections::BTreeSet<_> = batches(&world).into_iter().collect();
    assert_eq!(names.len(), 1, "under one name");
    assert_eq!(only(&world).fate, Fate::GivenUp);
    let given_up = |word: &&Word| matches!(word, Word::GivenUp { why, .. } if why.starts_with("sent 4 times, and never a word"));
    assert_eq!(world.words.iter().filter(given_up).count(), 1, "{:?}", world.words);
}

#[test]
fn the_next_in_office_counts_on_how_often_it_may_have_arrived() {
    let (mut world, mut process) = started();
    world.says = Some(Outcome::Unsure("silence".to_owned()));
    process.hears(&mut world, happened(moved(900, None, "n2")));
    for office in 2..20 {
        let (next, actions) = Process::begins(&world, office);
        process = next;
        process.does(&mut world, actions);
        process.waits(&mut world, 5);
    }
    assert_eq!(world.arrived.len(), usize::try_from(MOST_UNSURE).unwrap());
    world.says = None;
    process.hears(&mut world, happened(moved(80_000, None, "n3")));
    process.waits(&mut world, 400);
    assert_eq!(world.arrived.len(), usize::try_from(MOST_UNSURE).unwrap() + 1, "others are told");
}
