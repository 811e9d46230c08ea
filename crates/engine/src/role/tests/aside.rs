//! Agent and dashboard: asked like the others, with more patience.

use super::*;

fn everything() -> Config {
    Config { services: true, ..config() }
}

/// Everything runs for 20 s, then the process that is this part answers no more.
fn frozen(part: Part) -> (Story, u32) {
    let mut story = Story::running(everything());
    let slot = story.roles.slot_of(part).unwrap();
    story.frozen.push(slot);
    (story, slot)
}

#[test]
fn a_frozen_agent_is_killed_within_3_s_and_another_is_started() {
    let (mut story, slot) = frozen(Part::Agent);
    story.pass(1900);
    assert_eq!(story.said, "", "a slow answer is none that is missing");
    story.pass(700);
    story.give(Input::Exited { slot });
    story.pass(20);
    story.check(expect_test::expect![[r#"
        22500 Kill { slot: 3 }
        22500 lost Agent 3: Frozen
        22600 spawn Agent 6 of 1
    "#]]);
    assert_eq!(story.roles.starts(Kind::Agent), 2);
}

#[test]
fn a_frozen_dashboard_is_killed_and_another_is_started() {
    let (mut story, slot) = frozen(Part::Services);
    story.pass(2600);
    story.give(Input::Exited { slot });
    story.pass(20);
    story.check(expect_test::expect![[r#"
        22500 Kill { slot: 4 }
        22500 lost Services 4: Frozen
        22600 spawn Services 6 of 1
    "#]]);
}

#[test]
fn an_agent_that_freezes_again_and_again_is_started_ever_later() {
    let mut story = Story::running(everything());
    let mut pauses = vec![];
    for _ in 0..8 {
        let slot = story.roles.slot_of(Part::Agent).unwrap();
        story.pass(600);
        story.frozen.push(slot);
        story.pass(3000);
        story.give(Input::Exited { slot });
        let gone = story.now;
        while story.roles.slot_of(Part::Agent).is_none() {
            story.pass(10);
        }
        pauses.push(story.now - gone);
    }
    assert!(pauses.is_sorted(), "{pauses:?}");
    assert!(pauses[0] <= 10 && pauses[7] > 0, "{pauses:?}");
}

#[test]
fn an_agent_that_has_not_answered_yet_is_slow_and_not_frozen() {
    // What it reads at its start may lie on a disk that is busy.
    let mut story = Story::with_frozen(everything(), vec![3, 4]);
    let agent = story.roles.slot_of(Part::Agent);
    story.serve(1);
    story.pass(60_000);
    assert_eq!(story.roles.slot_of(Part::Agent), agent);
    assert!(!story.said.contains("lost Agent"), "{}", story.said);
}

#[test]
fn a_supervisor_that_was_late_itself_does_not_judge_its_agent() {
    let (mut story, slot) = frozen(Part::Agent);
    story.pass(700);
    // Stopped for ten seconds, like everything else on this machine.
    story.now += 10_000;
    story.give(Input::Timeout);
    story.pass(1900);
    assert_eq!(story.roles.slot_of(Part::Agent), Some(slot), "{}", story.said);
    assert!(!story.said.contains("lost Agent"), "{}", story.said);
    story.pass(200);
    assert!(story.said.contains("lost Agent"), "{}", story.said);
}
