//! Addresses that are never on one node.

use super::*;

impl Trio {
    /// `count` addresses of which no two are ever on one node.
    fn strict(count: u8, order: &[u16]) -> Self {
        Self::of(|config| {
            let all = (1_u64 << count) - 1;
            let seat = |at: u8| {
                let rule = Rule { never: all & !(1 << at), ..Rule::default() };
                SeatConfig { rule, order: order.to_vec(), ..seat(121 + at) }
            };
            config.seats = (0..count).map(seat).collect();
        })
    }

    /// By address; never two of one node.
    fn apart(&self) -> Vec<Option<usize>> {
        let place = |vip: usize| {
            let open = |node: &usize| self.machines[*node].until(vip) > self.now;
            (0..3).find(open)
        };
        let places: Vec<_> = (0..self.machines[0].seats.len()).map(place).collect();
        let mut held: Vec<usize> = places.iter().flatten().copied().collect();
        held.sort_unstable();
        assert!(held.windows(2).all(|two| two[0] != two[1]), "{places:?} at {}", self.now);
        places
    }

    fn watch(&mut self, millis: u64) {
        for _ in 0..millis {
            self.run_for(1);
            self.apart();
        }
    }

    fn held_apart(&self) -> usize {
        self.apart().iter().flatten().count()
    }
}

#[test]
fn two_that_are_never_on_one_node_are_held_by_two_or_one_of_them_by_nobody() {
    let mut trio = Trio::strict(2, &[0, 1, 2]);
    trio.watch(AWAKE + 100);
    assert_eq!(trio.apart(), [Some(0), Some(1)]);
    trio.step(1, Input::Standby(true));
    trio.watch(100);
    assert_eq!(trio.apart(), [Some(0), Some(2)]);
    // One node is left that may.
    trio.step(2, Input::Standby(true));
    trio.watch(2000);
    assert_eq!(trio.apart(), [Some(0), None]);
    let view = trio.machines[0].view(1).unwrap();
    assert_eq!((view.stand, view.cause), (Stand::Unfit, Some(Cause::Barred)));
    // Nobody moves one onto the other.
    trio.step(0, Input::MoveTo { vip: 0, node: 1 });
    trio.watch(100);
    assert_eq!(trio.apart(), [Some(0), None]);
    // Who lets go of the one may take the other; whoever is back takes what nobody has.
    trio.step(1, Input::Standby(false));
    trio.watch(100);
    assert_eq!(trio.apart(), [Some(0), Some(1)]);
}

#[test]
fn a_node_that_is_gone_leaves_one_of_them_to_nobody_until_it_is_back() {
    let mut trio = Trio::strict(3, &[0, 1, 2]);
    trio.watch(AWAKE + 200);
    assert_eq!(trio.held_apart(), 3);
    let gone = trio.apart()[1].unwrap();
    trio.isolate(gone);
    trio.watch(300);
    assert_eq!((trio.held_apart(), trio.apart()[1]), (2, None));
    trio.cut = [[false; 3]; 3];
    trio.watch(300);
    assert_eq!((trio.held_apart(), trio.apart()[1]), (3, Some(gone)));
    // All processes at once.
    for node in 0..3 {
        let seats = trio.machines[node].seats.len();
        trio.restart_with(node, true, |config| {
            let rule = |at: usize| Rule { never: 0b111 & !(1 << at), ..Rule::default() };
            let seat =
                |at: usize| SeatConfig { rule: rule(at), ..seat(121 + u8::try_from(at).unwrap()) };
            config.seats = (0..seats).map(seat).collect();
        });
    }
    trio.watch(800);
    assert_eq!(trio.held_apart(), 3);
}
