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
    let placed = |by: &u16| Placed { by: Some(*by), held: true, stays: false, fit: able, able };
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
