use expect_test::{Expect, expect};

use super::*;
use crate::demo::order::{Before, Deed, Target};
use crate::demo::stage::Actor;

fn at(ms: u64) -> Time {
    Time::ZERO + Duration::from_millis(ms)
}

/// The balancer of the holder was killed at 10 s; the first answer after it came 15 ms later.
fn live() -> Live {
    let mut live = Live::new(Duration::from_millis(5), at(0));
    for ms in (0..12_000).step_by(5) {
        if ms == 10_000 {
            live.mark(at(10_000));
        }
        let late = if (10_000..10_015).contains(&ms) { 10_020 - ms } else { 1 };
        live.note(Port::Api, at(ms), at(ms + late), true);
        live.note(Port::Database, at(ms), at(ms + 1), true);
    }
    live
}

fn scene() -> Scene {
    let actor = |name: &str| Actor { name: name.to_owned(), on: true, ..Actor::default() };
    let deed = Deed::Kill(Target::Balancer);
    let before = Before { holder: true, database_in_use: false };
    let effect = Effect {
        at: at(10_000),
        text: deed.text("node01"),
        stock: deed.stock(before),
        judged: vec![Port::Api, Port::Database],
        holder: Some(0),
        moves: 0,
    };
    Scene {
        actors: vec![actor("node01"), actor("node02"), actor("node03")],
        holder: Some(0),
        effects: [effect].into(),
        ..Scene::default()
    }
}

fn check(scene: &Scene, live: &Live, now: u64, size: (u16, u16), expected: &Expect) {
    let picture = Picture {
        scene,
        live,
        chosen: &Chosen::default(),
        dashboards: &["http://127.0.0.1:7412/".to_owned(), "http://127.0.0.1:7413/".to_owned()],
        theme: Theme { colour: false, unicode: false },
        now: at(now),
    };
    let area = Rect::new(0, 0, size.0, size.1);
    let mut buffer = Buffer::empty(area);
    let rest = picture.draw(area, &mut buffer);
    picture.tour(rest, &mut buffer);
    let line = |y| {
        let line: String = (0..size.0).map(|x| buffer[(x, y)].symbol()).collect();
        format!("|{}\n", line.trim_end())
    };
    expected.assert_eq(&(0..size.1).map(line).collect::<String>());
}

#[test]
fn a_deed_stands_with_its_cost_and_that_of_stock() {
    check(
        &scene(),
        &live(),
        12_000,
        (150, 8),
        &expect![[r#"
            | outlast demo   dashboards: node01 http://127.0.0.1:7412/  node02 http://127.0.0.1:7413/
            | client: api      answers               longest gap 19 ms   failed 0    slow 0    answered 400     ........................
            | client: database answers               longest gap 0 ms    failed 0    slow 0    answered 400     ........................
            | machines   1 node01: HOLDS THE ADDRESS   2 node02: on   3 node03: on
            | keys mean  whoever holds the address, its balancer
            |   2.0 s ago  kill the balancer of node01: longest gap 19 ms, 0 failed, 0 slow  (stock: 4351 ms, 1493 failed)
            |
            |
        "#]],
    );
}

#[test]
fn a_silence_that_goes_on_is_shown_as_such() {
    let mut scene = scene();
    scene.actors[0].on = false;
    scene.actors[0].marks = vec!["OFF".to_owned()];
    scene.holder = None;
    scene.trouble = Some("node01 is off".to_owned());
    check(
        &scene,
        &live(),
        14_500,
        (110, 8),
        &expect![[r#"
            | outlast demo   dashboards: node01 http://127.0.0.1:7412/  node02 http://127.0.0.1:7413/
            | client: api      NO ANSWER for 2.5 s   longest gap 2.4 s   failed 0    slow 0    ......................!!!!!
            | client: database NO ANSWER for 2.5 s   longest gap 2.4 s   failed 0    slow 0    ......................!!!!!
            | machines   1 node01: OFF   2 node02: on   3 node03: on   nobody alone answers for the address
            | keys mean  whoever holds the address, its balancer   node01 is off
            |   4.5 s ago  kill the balancer of node01: longest gap 2.4 s, 0 failed, 0 slow  (stock: 4351 ms, 1493 failed)
            |
            |
        "#]],
    );
}

#[test]
fn a_tour_takes_the_lower_part() {
    let mut scene = scene();
    let lines = ["scenario  outage", "one  kept", "two  BROKEN", "three  kept"];
    scene.tour = Some(lines.map(str::to_owned).to_vec());
    check(
        &scene,
        &live(),
        12_000,
        (80, 11),
        &expect![[r#"
            | outlast demo   dashboards: http://127.0.0.1:7412  :7413
            | client: api      answers               longest gap 19 ms   failed 0    slow 0
            | client: database answers               longest gap 0 ms    failed 0    slow 0
            | machines   1 node01: HOLDS THE ADDRESS   2 node02: on   3 node03: on
            | keys mean  whoever holds the address, its balancer
            |   2.0 s ago  kill the balancer of node01: longest gap 19 ms, 0 failed, 0 slow
            | a tour: every scenario with its promise
            | scenario  outage
            | two  BROKEN
            | three  kept
            | over; Esc: back
        "#]],
    );
}
