//! The dashboard may crash freely.

use super::*;

fn with_dashboard() -> Config {
    Config { vip: false, services: true, ..config() }
}

fn reload_with(dashboard: Dashboard) -> Input {
    Input::Reload { generation: 2, vip: false, agent: false, dashboard, store: false }
}

#[test]
fn a_dashboard_that_dies_is_restarted_with_growing_pauses_and_nobody_else_notices() {
    let mut story = Story::new(Config { proxy: false, ..with_dashboard() });
    for _ in 0..3 {
        let services = story.roles.slot_of(Part::Services).unwrap();
        story.give(Input::Exited { slot: services });
        story.pass(50);
    }
    story.check(expect_test::expect![[r#"
        0 spawn Agent 1 of 1
        0 spawn Services 2 of 1
        0 lost Services 2: Exited
        10 spawn Services 3 of 1
        50 lost Services 3: Exited
        70 spawn Services 4 of 1
        100 lost Services 4: Exited
        140 spawn Services 5 of 1
    "#]]);
}

#[test]
fn another_section_for_the_dashboard_restarts_it_alone() {
    let mut story = Story::new(Config { proxy: false, ..with_dashboard() });
    story.give(reload_with(Dashboard::Same));
    story.give(reload_with(Dashboard::New));
    let ending = story.roles.slot_of(Part::Ending).unwrap();
    story.give(Input::Exited { slot: ending });
    story.check(expect_test::expect![[r#"
        0 spawn Agent 1 of 1
        0 spawn Services 2 of 1
        0 Reloaded { generation: 2 }
        0 Reloaded { generation: 2 }
        0 Retire { slot: 2 }
        0 spawn Services 3 of 2
    "#]]);
}

#[test]
fn a_dashboard_comes_and_goes_with_the_file() {
    let mut story = Story::new(Config { proxy: false, ..with_dashboard() });
    story.give(reload_with(Dashboard::None));
    let ending = story.roles.slot_of(Part::Ending).unwrap();
    story.give(Input::Exited { slot: ending });
    story.pass(10_000);
    story.give(reload_with(Dashboard::New));
    story.check(expect_test::expect![[r#"
        0 spawn Agent 1 of 1
        0 spawn Services 2 of 1
        0 Reloaded { generation: 2 }
        0 Retire { slot: 2 }
        10000 Reloaded { generation: 2 }
        10000 spawn Services 3 of 2
    "#]]);
}

#[test]
fn at_the_end_the_dashboard_goes_with_the_agent() {
    let mut story = Story::running(with_dashboard());
    let (agent, services) = (Part::Agent, Part::Services);
    let slots = [agent, services].map(|part| story.roles.slot_of(part).unwrap());
    story.give(Input::Stop { drain: Duration::from_secs(1) });
    story.give(Input::Exited { slot: 1 });
    story.give(Input::Exited { slot: 4 });
    for slot in slots {
        story.give(Input::Exited { slot });
    }
    story.check(expect_test::expect![[r#"
        20000 Kill { slot: 4 }
        20000 Drain { slot: 1 }
        20000 Stop { slot: 2 }
        20000 Stop { slot: 3 }
        20000 Done
    "#]]);
}
