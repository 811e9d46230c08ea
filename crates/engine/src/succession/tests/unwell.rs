//! A member whose own store stops by itself.

use super::*;

#[test]
fn one_whose_store_has_stopped_gives_the_name_away_and_leaves_it_to_others_for_a_limit() {
    let mut world = World::new(3);
    world.run(ms(500));
    // Somebody waits for an answer of a store that gives none.
    (world.views[0].store_stopped, world.views[0].is_asked) = (Some(world.now), true);
    world.run(ms(100));
    assert_eq!(world.leads(), Some(1), "{:?}", world.log);
    // It runs again and the one that coordinates fails: what stopped the first may stop it anew, so others come first.
    world.views[1].store_stopped = Some(world.now);
    world.run(ms(100));
    assert_eq!(world.leads(), Some(2), "{:?}", world.log);
    world.run(LIMIT);
    world.dies(2);
    world.run(ms(100));
    assert_eq!(world.leads(), Some(0), "well again for so long: {:?}", world.log);
    // Where nobody else could have it, it keeps it.
    (world.views[0].store_stopped, world.views[0].fit) = (Some(world.now), 0);
    world.run(LIMIT);
    assert_eq!(world.leads(), Some(0));
}
