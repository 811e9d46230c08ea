//! An address that is never on a node with others, which have all nodes.

use super::*;

/// The first is never on a node with the second, nor with the third; these two may share one. Two nodes hold them.
fn of_two_nodes() -> Trio {
    let mut trio = Trio::of(|config| {
        config.seats =
            (0..3).map(|at| SeatConfig { order: vec![0, 1], ..seat(121 + at) }).collect();
        config.seats[0].rule.never = 0b110;
        config.seats[1].order = vec![0, 1];
        config.seats[2].order = vec![1, 0];
    });
    // The first one comes last.
    for node in 0..2 {
        let fact = Fact::Carrier { interface: 0, up: false };
        trio.step(node, Input::Fact { vip: 0, fact });
    }
    trio.run(AWAKE + 200);
    assert_eq!(trio.places(), [None, Some(0), Some(1)]);
    trio
}

impl Trio {
    fn first_can_come(&mut self) {
        for node in 0..2 {
            let fact = Fact::Carrier { interface: 0, up: true };
            self.step(node, Input::Fact { vip: 0, fact });
        }
    }
}

#[test]
fn one_that_finds_no_node_is_made_room_for_after_a_calm_by_one_move() {
    let mut trio = of_two_nodes();
    trio.first_can_come();
    trio.run_for(20);
    let view = trio.machines[0].view(0).unwrap();
    assert_eq!((view.stand, view.cause), (Stand::Unfit, Some(Cause::Barred)));
    assert_eq!(trio.moves(400), [], "not before the calm is over");
    let moves = trio.moves(300);
    assert!(matches!(moves[..], [(1, 1, gap), (0, 0, _)] if gap <= 2), "{moves:?}");
    assert_eq!(trio.moves(3000), [], "and nothing comes back");
}

#[test]
fn nobody_makes_room_while_others_are_not_heard_or_where_it_would_not_help() {
    // The one that would get room cannot be held on either node.
    let mut trio = of_two_nodes();
    assert_eq!(trio.moves(3000), []);
    // The voter hears node 1 no more where clients are: not everybody agrees.
    trio.quiet[1][2] = true;
    trio.first_can_come();
    assert_eq!(trio.moves(3000), []);
    trio.quiet[1][2] = false;
    assert_eq!(trio.moves(3000).len(), 2);
    assert!(trio.places().iter().all(Option::is_some));
}

#[test]
fn what_an_operator_put_in_the_way_stays_there_until_he_says_otherwise() {
    let mut trio = of_two_nodes();
    for (vip, from, to) in [(1, 0, 1), (2, 1, 0)] {
        trio.step(from, Input::MoveTo { vip, node: to });
        trio.run_for(30);
    }
    assert_eq!(trio.places(), [None, Some(1), Some(0)]);
    trio.first_can_come();
    assert_eq!(trio.moves(3000), []);
    trio.step(0, Input::Anywhere { vip: 2 });
    let moves = trio.moves(3000);
    assert!(matches!(moves[..], [(2, 1, _), (0, 0, _)]), "{moves:?}");
}
