//! A member whose own store stops by itself.

use super::*;

impl World {
    /// Its store ends by itself, and is started again after that.
    fn store_stops(&mut self, who: u8, again: Duration) {
        self.stopped.push(who);
        self.views[usize::from(who)].store_stopped = Some(self.now);
        self.run(again);
        self.stopped.retain(|other| *other != who);
    }
}

#[test]
fn one_whose_store_has_stopped_gives_the_name_away_and_leaves_it_to_others_for_a_limit() {
    let mut world = World::new(3);
    world.run(ms(500));
    // Somebody waits for an answer of a store that gives none.
    world.views[0].is_asked = true;
    world.store_stops(0, ms(300));
    assert_eq!(
        world.leads(),
        None,
        "it acts no more, and its word reaches nobody: {:?}",
        world.log
    );
    world.run(ANSWERED_WITHIN);
    assert_eq!(world.leads(), Some(1), "{:?}", world.log);
    // It runs again and the one that coordinates fails: what stopped the first may stop it anew, so others come first.
    world.store_stops(1, ms(300));
    world.run(ANSWERED_WITHIN);
    assert_eq!(world.leads(), Some(2), "{:?}", world.log);
    world.run(LIMIT);
    world.dies(2);
    world.run(ms(100));
    assert_eq!(world.leads(), Some(0), "well again for so long: {:?}", world.log);
    // Where nobody else could have it, it keeps it.
    world.views[0].fit = 0;
    world.store_stops(0, ms(300));
    world.run(LIMIT);
    assert_eq!(world.leads(), Some(0));
}

#[test]
fn where_the_stores_of_all_that_are_left_have_stopped_one_of_them_follows_all_the_same() {
    let mut world = World::new(3);
    world.run(LIMIT);
    world.store_stops(1, ms(300));
    world.store_stops(2, ms(300));
    world.dies(0);
    world.run(LEFT_OVER - ms(100));
    assert_eq!(world.leads(), None, "somebody whose store is well may come");
    world.run(ms(300));
    assert_eq!(world.leads(), Some(1), "{:?}", world.log);
    world.run(LIMIT);
    assert_eq!(world.log.len(), 2, "and keeps it: {:?}", world.log);
}

#[test]
fn of_those_the_next_one_follows_if_the_first_does_not() {
    let mut world = World::new(3);
    world.run(LIMIT);
    world.store_stops(1, ms(300));
    world.store_stops(2, ms(300));
    world.dies(0);
    world.views[1].doubts_itself = true;
    world.run(LEFT_OVER + TURN + ms(100));
    assert_eq!(world.leads(), Some(2), "{:?}", world.log);
}

#[test]
fn one_that_is_well_again_follows_at_that_moment_without_being_looked_at() {
    let mut taker = Succession::new(1, LIMIT);
    let (mut out, stopped) = (Buffer::new(), Time::ZERO + LIMIT);
    let gone = View { fit: 1 << 2, unreachable: 1, store_stopped: Some(stopped), ..fit(3, 1) };
    let holder = Some(Holder { who: Some(0), token: Token(5) });
    taker.step(stopped, Input::Looks(View { unreachable: 0, ..gone }), &mut out);
    taker.step(stopped, Input::Named { revision: 5, holder, anew: true }, &mut out);
    // So late that it is well before the name counts as left over.
    let well = stopped + LIMIT;
    taker.step(well - ms(1000), Input::Looks(gone), &mut out);
    assert_eq!((out.drain().last(), taker.deadline()), (None, well));
    taker.step(well, Input::Timeout, &mut out);
    assert_eq!(out.drain().last(), Some(Action::Bequeath { take: 1, from: Token(5) }));
}
