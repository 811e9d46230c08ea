//! Intents under kills and pauses: whoever dies, in the middle of whatever, each procedure ends once.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up fails")]

#[path = "intent/cloud.rs"]
mod cloud;
#[path = "intent/world.rs"]
mod world;

use cloud::Cloud;
use engine::intent::{State, Wish};
use outlast_sim::Chance;
use world::{Blow, How, World};

/// Runs the same requests with these blows, checks, and says what the intents came to.
fn run(blows: &[Blow]) -> World {
    asked(cloud::steps(), blows)
}

fn asked(requests: Vec<Wish>, blows: &[Blow]) -> World {
    let mut world = World::new(requests, blows);
    world.run();
    world.check();
    world
}

#[test]
fn left_alone_every_procedure_comes_to_its_end() {
    let world = run(&[]);
    let states: Vec<&str> = world.records().map(|(_, record)| record.state.name()).collect();
    assert_eq!(states, ["done", "done", "failed", "refused", "refused"]);
    assert_eq!(world.effects.len(), 2 + 3 + 1, "{:?}", world.effects);
}

#[test]
fn killed_or_paused_at_every_step_each_procedure_ends_exactly_once() {
    let actions = run(&[]).actions;
    assert!(actions > 60, "only {actions} steps were taken");
    let (mut looked, mut stale, mut restarted) = (0, 0, 0);
    for at in 0..actions {
        for how in [How::Kill, How::Pause] {
            let world = run(&[Blow { at, how }]);
            looked += world.looked;
            stale += world.stale;
            restarted += usize::from(world.leaders > 1);
        }
    }
    // The marks: without them this test would prove nothing.
    assert!(looked > 0, "no step was found done or begun after a death");
    assert!(stale > 0, "no receiver refused a stale token");
    assert!(restarted > 20, "only {restarted} times another leader went on");
}

#[test]
fn several_blows_at_once_change_nothing_about_that() {
    let actions = run(&[]).actions;
    for seed in 0..200 {
        let mut chance = Chance::new(seed);
        let blows: Vec<Blow> = (0..=chance.below(3))
            .map(|_| Blow {
                at: usize::try_from(chance.below(2 * actions as u64)).unwrap(),
                how: chance.choose(&[How::Kill, How::Pause]),
            })
            .collect();
        let world = run(&blows);
        let open = world.records().filter(|(_, record)| record.state.is_open()).count();
        assert_eq!(open, 0, "seed {seed}: {blows:?}");
        let known = [State::Done.name(), "failed", "refused"];
        assert!(world.records().all(|(_, record)| known.contains(&record.state.name())));
    }
}

/// Of every command of an operator: what comes of it is the same, whoever was struck before which step.
#[test]
fn every_procedure_of_the_product_ends_exactly_once_whoever_is_killed_or_paused_before_any_step() {
    let states = |world: &World| -> Vec<&str> {
        world.records().map(|(_, record)| record.state.name()).collect()
    };
    let whole = asked(cloud::procedures(), &[]);
    let ends = ["done", "done", "done", "done", "failed", "done", "done", "done", "refused"];
    assert_eq!(states(&whole), ends);
    assert_eq!(whole.cloud, Cloud::afterwards());
    assert!(whole.actions > 90, "only {} steps were taken", whole.actions);
    let (mut looked, mut restarted) = (0, 0);
    for at in 0..whole.actions {
        for how in [How::Kill, How::Pause] {
            let world = asked(cloud::procedures(), &[Blow { at, how }]);
            // Some are asked of a leader that dies with them, and are nobody's then; the others end as ever.
            let known: Vec<_> = world.records().map(|(_, record)| record).collect();
            for record in &known {
                let wished = cloud::procedures().into_iter().position(|wish| {
                    (wish.what == record.what && wish.object == record.object)
                        && (record.steps == wish.steps || record.steps.is_empty())
                });
                let end = ends[wished.expect("it was asked for")];
                assert_eq!(record.state.name(), end, "{record:?} after {how:?} at {at}");
            }
            if known.len() == ends.len() {
                assert_eq!(world.cloud, Cloud::afterwards(), "after {how:?} at {at}");
            }
            looked += world.looked;
            restarted += usize::from(world.leaders > 1);
        }
    }
    assert!(looked > 0, "no step was found done or begun after a death");
    assert!(restarted > 20, "only {restarted} times another leader went on");
}

#[test]
fn a_store_that_is_founded_anew_does_its_intents_whatever_the_former_one_had_done() {
    let actions = run(&[]).actions;
    let (mut former, mut ended) = (0, 0);
    // What is founded later has no time to end before the world does.
    for at in 0..actions * 3 / 4 {
        let world = run(&[Blow { at, how: How::Found }]);
        let states: Vec<&str> = world.records().map(|(_, record)| record.state.name()).collect();
        assert_eq!(states, ["done", "done", "failed", "refused", "refused"], "founded at {at}");
        ended += usize::from(world.effects.len() > 6);
        // The one that was about to act stood still meanwhile, and wakes up in another store.
        former += world.former;
        if at < actions / 2 {
            let blows = [Blow { at: at / 2, how: How::Pause }, Blow { at, how: How::Found }];
            former += run(&blows).former;
        }
    }
    assert!(former > 0, "no order of a former store was refused");
    assert!(ended > 20, "only {ended} times the former store had done something");
}
