use super::*;

const NODES: u16 = 3;
const ORDER: [u16; 3] = [0, 1, 2];

fn group(seats: usize, apart: &[(usize, usize)]) -> Vec<Rule> {
    let rule = |seat| {
        let with = apart.iter().filter(|(one, _)| *one == seat).map(|(_, other)| *other);
        let apart = with.fold(0, |all, other| all | 1 << other);
        Rule { group: Some(0), apart, ..Rule::default() }
    };
    (0..seats).map(rule).collect()
}

fn map(holders: &[u16], able: u32) -> Map {
    let placed =
        |by: &u16| Placed { by: Some(*by), held: true, stays: false, fit: able, able, barred: 0 };
    Map { placed: holders.iter().map(placed).collect(), leads: 0 }
}

/// The holders of that many seats, in the way of a number whose digits are nodes.
fn holders(seats: usize, number: u32) -> Vec<u16> {
    let digit = |seat| number / u32::from(NODES).pow(seat) % u32::from(NODES);
    (0..u32::try_from(seats).unwrap()).map(|seat| u16::try_from(digit(seat)).unwrap()).collect()
}

fn counts(map: &Map) -> [usize; 3] {
    ORDER.map(|node| map.placed.iter().filter(|placed| placed.by == Some(node)).count())
}

fn conflicts(map: &Map, rules: &[Rule]) -> u32 {
    let mut all = 0;
    for (seat, placed) in map.placed.iter().enumerate() {
        let mut costs = [Cost::default(); 3];
        map.costs(rules, seat, &mut costs);
        all += costs[usize::from(placed.by.unwrap())].conflicts;
    }
    all / 2
}

/// Moves until nothing is to be moved any more; how often that was.
fn settle(map: &mut Map, rules: &[Rule]) -> usize {
    let mut moves = 0;
    while let Some(wish) = map.wish(rules, |_| &ORDER) {
        let squares = |map: &Map| counts(map).iter().map(|count| count * count).sum::<usize>();
        let before = (conflicts(map, rules), squares(map));
        map.placed[wish.seat].by = Some(wish.to);
        assert!((conflicts(map, rules), squares(map)) < before, "{wish:?} makes nothing better");
        moves += 1;
    }
    moves
}

#[test]
fn from_wherever_they_are_addresses_come_to_counts_that_differ_by_one_in_as_few_moves_as_can_be() {
    for seats in 1..=6 {
        let rules = group(seats, &[]);
        for number in 0..u32::from(NODES).pow(u32::try_from(seats).unwrap()) {
            for able in [0b111, 0b011, 0b110, 0b101] {
                let mut map = map(&holders(seats, number), able);
                let before = counts(&map);
                let moves = settle(&mut map, &rules);
                let (after, is_able) = (counts(&map), |node: &usize| able & 1 << node != 0);
                let able: Vec<usize> = (0..3).filter(is_able).map(|node| after[node]).collect();
                let (most, least) = (able.iter().max().unwrap(), able.iter().min().unwrap());
                assert!(most - least <= 1, "{before:?} to {after:?}");
                let must: usize = (0..3).map(|node| before[node].saturating_sub(after[node])).sum();
                assert_eq!(moves, must, "{before:?} to {after:?}");
            }
        }
    }
}

#[test]
fn whatever_is_to_be_apart_from_whatever_it_ends_and_no_move_goes_back() {
    let pairs = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)];
    for graph in 0..64_u32 {
        let apart: Vec<_> = (0..6).filter(|at| graph & 1 << at != 0).map(|at| pairs[at]).collect();
        let rules = group(4, &apart);
        for number in 0..81 {
            let mut map = map(&holders(4, number), 0b111);
            // Each move is asserted to be one for the better.
            settle(&mut map, &rules);
            // One pair may stay that no single move parts.
            assert!(conflicts(&map, &rules) <= 1, "{apart:?}: {:?}", counts(&map));
        }
    }
}

#[test]
fn two_that_should_be_apart_are_where_they_can_and_stay_together_where_nothing_else_is_left() {
    let rules: Vec<_> = [0b10, 0].map(|apart| Rule { apart, ..Rule::default() }).into();
    let mut both = map(&[1, 1], 0b111);
    let wish = both.wish(&rules, |_| &ORDER);
    assert_eq!(wish, Some(Wish { seat: 0, to: 0, why: Reason::Apart }));
    settle(&mut both, &rules);
    assert_eq!(counts(&both), [1, 1, 0]);
    assert_eq!(map(&[1, 1], 0b010).wish(&rules, |_| &ORDER), None);
}

#[test]
fn nothing_is_moved_that_an_operator_moved_nor_while_one_has_no_holder() {
    let rules = group(3, &[]);
    let mut all = map(&[0, 0, 0], 0b111);
    all.placed[0].stays = true;
    assert_eq!(all.wish(&rules, |_| &ORDER).map(|wish| wish.seat), Some(1));
    all.placed.iter_mut().for_each(|placed| placed.stays = true);
    assert_eq!(all.wish(&rules, |_| &ORDER), None);
    let mut asked = map(&[0, 0, 0], 0b111);
    asked.placed[2].held = false;
    assert_eq!(asked.wish(&rules, |_| &ORDER), None, "somebody asks for it");
    asked.placed[2].by = None;
    assert_eq!(asked.wish(&rules, |_| &ORDER), None, "nobody has it");
    let groups: Vec<_> =
        (0..3).map(|group| Rule { group: Some(group), ..Rule::default() }).collect();
    assert_eq!(map(&[0, 0, 0], 0b111).wish(&groups, |_| &ORDER), None, "they are of three groups");
}

#[test]
fn those_that_nobody_has_are_expected_at_the_cheapest_each_counting_for_the_next() {
    let expected = |map: &Map, rules: &[Rule]| {
        let mut expected = ArrayVec::new();
        map.expect(rules, |_| &ORDER, &mut expected);
        expected.into_iter().collect::<Vec<_>>()
    };
    let (rules, mut gone) = (group(7, &[]), map(&[0, 1, 0, 2, 0, 0, 1], 0b110));
    gone.placed.iter_mut().filter(|it| it.by == Some(0)).for_each(|it| it.by = None);
    // Node 2 has one, node 1 two.
    let taken = [Some(2), None, Some(1), None, Some(2), Some(1), None];
    assert_eq!(expected(&gone, &rules), taken);
    // What is taken as it was expected changes nothing for the others.
    for (seat, node) in taken.iter().enumerate().filter(|(_, node)| node.is_some()) {
        gone.placed[seat].by = *node;
        let rest = expected(&gone, &rules);
        assert_eq!(rest[seat + 1..], taken[seat + 1..], "after {seat}");
    }
    // Apart from what is expected before it; nobody is expected for what nobody could hold, or what has no rule.
    let rules = [Rule { never: 0b10, ..Rule::default() }, Rule { never: 1, ..Rule::default() }];
    let mut both = map(&[0, 0], 0b111);
    both.placed.iter_mut().for_each(|it| it.by = None);
    assert_eq!(expected(&both, &rules), [Some(0), Some(1)]);
    assert_eq!(expected(&both, &[Rule::default(), Rule::default()]), [None, None]);
    both.placed.iter_mut().for_each(|it| it.fit = 0);
    assert_eq!(expected(&both, &rules), [None, None]);
}

#[test]
fn who_coordinates_is_the_cheapest_for_what_follows_it() {
    let rules = [Rule { follows: true, ..Rule::default() }];
    let mut map = map(&[0], 0b111);
    let mut costs = [Cost::default(); 3];
    map.costs(&rules, 0, &mut costs);
    assert!(costs.iter().all(|cost| !cost.astray), "nobody coordinates");
    map.leads = 0b100;
    map.costs(&rules, 0, &mut costs);
    assert_eq!(costs.map(|cost| cost.astray), [true, true, false]);
    assert_eq!(map.wish(&rules, |_| &ORDER), None, "that waits for no calm");
}

/// Seats with those that each is never on a node with, by pairs.
fn never(seats: usize, pairs: &[(usize, usize)]) -> Vec<Rule> {
    let mut rules = vec![Rule::default(); seats];
    for (one, other) in pairs {
        rules[*one].bar(*other);
        rules[*other].bar(*one);
    }
    rules
}

/// As all nodes see it who are well: who holds what; all that may hold what nobody has, or what a node has beside.
fn seen(rules: &[Rule], at: &[Option<u16>]) -> Map {
    let placed = |(seat, by): (usize, &Option<u16>)| {
        let bars = |node: u16| {
            let mut others = at.iter().enumerate().filter(|(other, _)| *other != seat);
            others.any(|(other, by)| *by == Some(node) && rules[seat].is_never_with(other))
        };
        let barred = ORDER.into_iter().filter(|node| bars(*node)).fold(0, |all, it| all | bit(it));
        let fit = 0b111 & !barred;
        Placed { by: *by, held: by.is_some(), stays: false, fit, able: fit, barred }
    };
    Map { placed: at.iter().enumerate().map(placed).collect(), leads: 0 }
}

/// Moves and takes until nothing is left to do; how many moves that were.
fn make_room(rules: &[Rule], at: &mut [Option<u16>]) -> usize {
    let mut moves = 0;
    loop {
        let map = seen(rules, at);
        let taken = map.placed.iter().position(|it| it.by.is_none() && it.fit != 0);
        if let Some(seat) = taken {
            at[seat] = ORDER.into_iter().find(|node| map.placed[seat].fit & bit(*node) != 0);
            continue;
        }
        let Some(wish) = map.wish(rules, |_| &ORDER) else { return moves };
        assert_eq!(wish.why, Reason::Room);
        let able = map.placed[wish.seat].able;
        assert!(able & bit(wish.to) != 0, "{wish:?} would not be taken there: {at:?}");
        at[wish.seat] = Some(wish.to);
        moves += 1;
        assert!(moves <= 4, "it goes on and on: {at:?}");
    }
}

#[test]
fn whatever_is_never_with_whatever_all_are_held_where_all_can_be() {
    let pairs = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)];
    let (mut made, mut in_vain) = (0, 0);
    for graph in 0..64_u32 {
        let never_with: Vec<_> =
            (0..6).filter(|at| graph & 1 << at != 0).map(|at| pairs[at]).collect();
        let rules = never(4, &never_with);
        for number in 0..81 {
            let mut at: Vec<Option<u16>> = holders(4, number).into_iter().map(Some).collect();
            // Who came later than another one on its node got none.
            for seat in 0..4 {
                let is_barred = (0..seat)
                    .any(|other| at[other] == at[seat] && rules[seat].is_never_with(other));
                at[seat] = at[seat].filter(|_| !is_barred);
            }
            let before = at.clone();
            let moves = make_room(&rules, &mut at);
            made += moves;
            // Only four that all exclude each other have no three nodes.
            let held = at.iter().flatten().count();
            let most = if never_with.len() == 6 { 3 } else { 4 };
            assert_eq!(held, most, "{never_with:?}: {before:?} to {at:?}");
            in_vain += usize::from(held < 4 && moves > 0);
        }
    }
    assert!(made > 50, "{made} moves");
    assert_eq!(in_vain, 0, "something moved for one that found no node");
}

#[test]
fn room_is_made_in_the_fewest_moves_and_one_after_the_other_where_it_takes_several() {
    // 0 is never with 1, which is at node 0, nor with 2, 3 at node 1, nor with 4 at node 2; 1 is never with 4, nor with 2.
    let pairs = [(0, 1), (0, 2), (0, 3), (0, 4), (1, 4), (1, 2)];
    let rules = never(5, &pairs);
    let mut at = [None, Some(0), Some(1), Some(1), Some(2)];
    let wish = seen(&rules, &at).wish(&rules, |_| &ORDER);
    assert_eq!(wish, Some(Wish { seat: 4, to: 1, why: Reason::Room }), "one move is enough");
    // Where each of them bars what is elsewhere, two have to go.
    let rules = never(5, &[(0, 1), (0, 2), (0, 3), (0, 4), (1, 2), (1, 3), (2, 4)]);
    at = [None, Some(0), Some(1), Some(2), Some(2)];
    assert_eq!(make_room(&rules, &mut at), 2, "{at:?}");
    assert!(at.iter().all(Option::is_some), "{at:?}");
}

#[test]
fn nothing_makes_room_that_an_operator_moved_or_that_follows_or_for_one_that_is_unfit_elsewhere() {
    let rules = never(3, &[(0, 1), (0, 2)]);
    let at = [None, Some(0), Some(1)];
    let orders = |_: usize| [0, 1].as_slice();
    let wish = |rules: &[Rule], map: &Map| map.wish(rules, orders).map(|it| (it.seat, it.to));
    let mut map = seen(&rules, &at);
    map.placed.iter_mut().for_each(|it| it.fit &= 0b011);
    map.placed.iter_mut().for_each(|it| it.able &= 0b011);
    assert_eq!(wish(&rules, &map), Some((1, 1)));
    let mut stays = map.clone();
    stays.placed[1].stays = true;
    assert_eq!(wish(&rules, &stays), Some((2, 0)), "the other one can go");
    stays.placed[2].stays = true;
    assert_eq!(wish(&rules, &stays), None);
    let mut follows = rules.clone();
    follows[1].follows = true;
    assert_eq!(wish(&follows, &map), Some((2, 0)));
    // At node 0 something else keeps it away, so that is no room.
    let mut unfit = map.clone();
    unfit.placed[0].barred = 0b010;
    assert_eq!(wish(&rules, &unfit), Some((2, 0)));
    unfit.placed[0].barred = 0;
    assert_eq!(wish(&rules, &unfit), None);
    // Whoever would take it hears not everybody.
    let mut deaf = map.clone();
    deaf.placed[1].able = 0b001;
    assert_eq!(wish(&rules, &deaf), Some((2, 0)));
    deaf.placed[2].able = 0b010;
    assert_eq!(wish(&rules, &deaf), None);
}
