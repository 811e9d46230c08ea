use proptest::prelude::*;

use super::*;

/// Brings rows, and says nothing of itself.
const MESSENGER: u16 = 63;

/// Nodes that all know each other on two networks, and who has lost whom: (from, of, network).
fn rows(nodes: u16, lost: &[(u16, u16, u8)]) -> Vec<Row> {
    let row = |node| {
        let mut row = Row {
            node,
            life: 1,
            version: 1,
            known: Nodes::first(usize::from(nodes)).without(Nodes::one(node)),
            ..Row::default()
        };
        for (_, of, network) in lost.iter().filter(|(from, ..)| *from == node) {
            row.lost[usize::from(*network)].insert(*of);
        }
        row
    };
    (0..nodes).map(row).collect()
}

fn reach(me: u16, nodes: u16) -> Reach {
    let mut on = [Nodes::NONE; MAX_NETWORKS];
    on[..2].fill(Nodes::first(usize::from(nodes)));
    Reach::new(me, usize::from(nodes), 2, on)
}

fn view(me: u16, rows: &[Row]) -> View {
    let mut reach = reach(me, u16::try_from(rows.len()).unwrap());
    for row in rows {
        reach.tell(*row, MESSENGER);
    }
    reach.view(Nodes::NONE)
}

/// One line per node: `0 part 012 heard 012 gone - cut 2:1`.
fn told(rows: &[Row]) -> String {
    let mut lines = String::new();
    let set = |nodes: Nodes| {
        let text: String = nodes.iter().map(|node| node.to_string()).collect();
        if text.is_empty() { "-".to_owned() } else { text }
    };
    for me in 0..u16::try_from(rows.len()).unwrap() {
        let view = view(me, rows);
        let all = Nodes::first(rows.len());
        let gone: Nodes = all.iter().filter(|node| view.is_gone(*node)).collect();
        let cut: Vec<String> = all
            .iter()
            .flat_map(|n| view.cut[usize::from(n)].iter().map(move |at| format!("{n}:{at}")))
            .collect();
        lines +=
            &format!("{me} part {} gone {} cut {}\n", set(view.part), set(gone), cut.join(" "));
    }
    lines
}

fn both_ways(a: u16, b: u16, network: u8) -> [(u16, u16, u8); 2] {
    [(a, b, network), (b, a, network)]
}

#[test]
fn a_whole_cluster_is_one_part() {
    expect_test::expect![[r"
        0 part 012 gone - cut 
        1 part 012 gone - cut 
        2 part 012 gone - cut 
    "]]
    .assert_eq(&told(&rows(3, &[])));
}

#[test]
fn a_dead_node_is_gone_for_all_others_and_a_mute_one_learns_that_nobody_hears_it() {
    let lost = [(0, 2, 0), (0, 2, 1), (1, 2, 0), (1, 2, 1)];
    expect_test::expect![[r"
        0 part 01 gone 2 cut 
        1 part 01 gone 2 cut 
        2 part 2 gone - cut 2:0 2:1
    "]]
    .assert_eq(&told(&rows(3, &lost)));
}

#[test]
fn one_cut_network_turns_one_cell_on_every_node() {
    let lost: Vec<_> = [both_ways(0, 1, 1), both_ways(2, 1, 1)].concat();
    expect_test::expect![[r"
        0 part 012 gone - cut 1:1
        1 part 012 gone - cut 1:1
        2 part 012 gone - cut 1:1
    "]]
    .assert_eq(&told(&rows(3, &lost)));
}

#[test]
fn a_pair_that_lost_each_other_is_cut_at_its_later_node_for_everybody() {
    expect_test::expect![[r"
        0 part 012 gone - cut 2:0
        1 part 012 gone - cut 2:0
        2 part 012 gone - cut 2:0
    "]]
    .assert_eq(&told(&rows(3, &both_ways(0, 2, 0))));
}

#[test]
fn one_way_is_no_way() {
    let expected = told(&rows(3, &both_ways(0, 2, 0)));
    assert_eq!(told(&rows(3, &[(0, 2, 0)])), expected);
    assert_eq!(told(&rows(3, &[(2, 0, 0)])), expected);
}

#[test]
fn a_deaf_node_is_cut_off_not_gone_and_has_lost_the_quorum() {
    let lost = [(2, 0, 0), (2, 0, 1), (2, 1, 0), (2, 1, 1)];
    let rows = rows(3, &lost);
    expect_test::expect![[r"
        0 part 01 gone - cut 2:0 2:1
        1 part 01 gone - cut 2:0 2:1
        2 part 2 gone 01 cut 
    "]]
    .assert_eq(&told(&rows));
    assert!(view(0, &rows).has_quorum(3));
    assert!(!view(2, &rows).has_quorum(3));
}

#[test]
fn halves_of_a_cluster_have_no_quorum() {
    let lost: Vec<_> = [(0, 2), (0, 3), (1, 2), (1, 3)]
        .into_iter()
        .flat_map(|(a, b)| [both_ways(a, b, 0), both_ways(a, b, 1)].concat())
        .collect();
    let rows = rows(4, &lost);
    for me in 0..4 {
        assert!(!view(me, &rows).has_quorum(4), "{me}");
        assert_eq!(view(me, &rows).part.count(), 2);
    }
}

#[test]
fn who_was_never_heard_is_neither_lost_nor_known() {
    let mut rows = rows(3, &[]);
    for row in &mut rows {
        row.known = row.known.without(Nodes::one(2));
    }
    let view = view(0, &rows[..2]);
    let three = {
        let mut reach = reach(0, 3);
        rows[..2].iter().for_each(|row| assert!(reach.tell(*row, MESSENGER)));
        reach.view(Nodes::NONE)
    };
    assert_eq!(three.part, Nodes::first(2));
    assert!(!three.known.has(2) && !three.is_gone(2));
    assert_eq!(view.part, three.part);
}

#[test]
fn the_newest_row_counts_in_whatever_order_they_come() {
    let mut reach = reach(0, 3);
    let row = |life, version, of: u16| {
        let mut row = Row { node: 1, life, version, known: Nodes::first(3), ..Row::default() };
        row.lost[0].insert(of);
        row
    };
    assert!(reach.tell(row(5, 2, 0), MESSENGER));
    assert!(!reach.tell(row(5, 1, 2), MESSENGER), "an old version");
    assert!(!reach.tell(row(4, 9, 2), MESSENGER), "an old life");
    assert!(!reach.tell(row(5, 3, 0), MESSENGER), "a new version that says the same");
    assert!(reach.tell(row(6, 1, 2), MESSENGER), "a new life");
    assert!(reach.tell(row(1, 1, 0), 1), "who speaks for itself overrules every messenger");
    assert!(!reach.tell(row(1, 0, 2), 1), "its own old words do not");
    assert!(!reach.tell(Row { node: 7, ..row(9, 9, 0) }, MESSENGER), "no such node");
}

#[test]
fn between_two_lives_who_hears_the_node_is_believed() {
    let mut reach = reach(0, 4);
    let rows = rows(4, &[(0, 3, 0), (0, 3, 1), (1, 3, 0), (1, 3, 1)]);
    let of_3 = |life, version| Row { life, version, known: Nodes::one(2), ..rows[3] };
    // Before its disk was lost node 3 was heard by all, and heard all.
    let former = Row { life: 9, version: 5, ..rows[3] };
    assert!(reach.tell(former, 3));
    rows[..3].iter().for_each(|row| assert!(reach.tell(*row, row.node)));
    assert!(!reach.tell(of_3(2, 1), 1), "node 1 does not hear it");
    assert!(reach.tell(of_3(2, 1), 2), "only node 2 hears its present life, an earlier one");
    assert!(!reach.tell(former, 1), "the former row is in many heads");
    assert!(!reach.tell(of_3(10, 1), 1), "nor is a later life believed of who does not hear it");
    assert!(!reach.tell(of_3(2, 1), 2) && reach.row(3) == Some(&of_3(2, 1)));
    // Node 2 is lost as well: of two who do not hear it, the later life is the better guess.
    let lost = [Nodes::one(2).and_those(Nodes::one(3)); MAX_NETWORKS];
    assert!(reach.tell(Row { version: 2, lost, ..rows[0] }, 0));
    assert!(reach.tell(former, 1));
}

#[test]
fn news_is_passed_on_first_and_everything_in_turn() {
    let mut reach = reach(0, 12);
    for row in rows(12, &[]) {
        reach.tell(row, MESSENGER);
    }
    let mut beats = 0;
    let mut told = Nodes::NONE;
    while told.count() < 12 {
        told = told.and_those(reach.rows_to_tell().iter().map(|row| row.node).collect());
        beats += 1;
    }
    assert!(beats <= 9, "{beats} beats: 11 rows, 4 at a time, each three times at first");
    for _ in 0..20 {
        reach.rows_to_tell();
    }
    reach.tell(Row { version: 2, ..rows(12, &[(9, 3, 0)])[9] }, 9);
    let first = reach.rows_to_tell();
    assert_eq!(first.iter().map(|row| row.node).take(2).collect::<Vec<_>>(), [0, 9]);
    for _ in 0..3 {
        let seen: Vec<u16> = reach.rows_to_tell().iter().map(|row| row.node).collect();
        let once: std::collections::BTreeSet<_> = seen.iter().collect();
        assert_eq!(once.len(), seen.len(), "no row twice in one beat");
    }
}

#[test]
fn a_row_is_read_as_it_was_written() {
    let row = Row { life: u64::MAX - 3, version: 77, ..rows(40, &[(3, 39, 1), (3, 0, 0)])[3] };
    for networks in [2, MAX_NETWORKS] {
        let mut bytes = [0; Row::length(MAX_NETWORKS)];
        let length = row.encode(networks, &mut bytes);
        assert_eq!(Row::decode(networks, &bytes[..length]), Some(row));
        assert_eq!(Row::decode(networks, &bytes[..length - 1]), None);
        assert_eq!(row.encode(networks, &mut bytes[..length - 1]), 0);
    }
}

fn any_lost(nodes: u16) -> impl Strategy<Value = Vec<(u16, u16, u8)>> {
    let pair = (0..nodes, 0..nodes, 0..2_u8);
    prop::collection::vec(pair, 0..40)
        .prop_map(|lost| lost.into_iter().filter(|(from, of, _)| from != of).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// However links are lost, one way or both: whoever is in one part has one view.
    #[test]
    fn all_nodes_of_a_part_have_the_same_view(lost in any_lost(7)) {
        let rows = rows(7, &lost);
        for me in 0..7 {
            let mine = view(me, &rows);
            for other in mine.part.iter() {
                prop_assert_eq!(mine, view(other, &rows));
            }
        }
    }

    /// Who is cut off nowhere is joined with everybody who is cut off nowhere.
    #[test]
    fn whoever_is_not_cut_off_reaches_all_who_are_not(lost in any_lost(7)) {
        let rows = rows(7, &lost);
        let view = view(0, &rows);
        for network in 0..2 {
            let whole = view.heard.iter().filter(|node| !view.cut[usize::from(*node)].has(network));
            let whole: Nodes = whole.collect();
            for (from, of, at) in &lost {
                prop_assert!(*at != network || !whole.has(*from) || !whole.has(*of));
            }
        }
    }

    /// The order in which rows come, and rows that come twice or late, change nothing.
    #[test]
    fn the_order_of_rows_changes_nothing(
        lost in any_lost(5),
        order in prop::collection::vec(0..5_usize, 0..20),
    ) {
        let rows = rows(5, &lost);
        let mut reach = reach(0, 5);
        for at in order.into_iter().chain((0..5).rev()) {
            reach.tell(Row { version: 0, ..rows[at] }, MESSENGER);
            reach.tell(rows[at], MESSENGER);
            reach.tell(Row { version: 0, known: Nodes::NONE, ..rows[at] }, MESSENGER);
        }
        prop_assert_eq!(reach.view(Nodes::NONE), view(0, &rows));
    }

    /// Any bytes are read without a panic, and what was read is written the same.
    #[test]
    fn any_bytes_are_a_row_or_none(bytes in prop::collection::vec(any::<u8>(), 0..120), networks in 0..9_usize) {
        if let Some(row) = Row::decode(networks, &bytes) {
            let mut again = [0; Row::length(MAX_NETWORKS)];
            let length = row.encode(networks, &mut again);
            prop_assert_eq!(&again[..length], &bytes[..length]);
        }
    }
}
