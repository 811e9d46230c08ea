//! Five real nodes on three networks in namespaces: what each of them thinks while they are hurt.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "../node/lonely.rs"]
mod lonely;
#[expect(unreachable_pub, reason = "a module of a test program")]
mod stage;

use std::time::Duration;

use api::{Opinion, Verdict};
use lab::cluster::accuses;
use lonely::{contained, until};
use stage::{NETWORKS, Stage, is_alive};

/// Of what is promised with an optimised build on a machine of its own: a test on a busy one gets this
/// much more. `cargo xtask bench cluster` holds to the promise itself.
const BUSY: Duration = Duration::from_secs(1);

#[test]
fn one_network_cut_turns_one_cell_on_every_other_node_and_nothing_else() {
    contained("one_network_cut_turns_one_cell_on_every_other_node_and_nothing_else", || {
        const STORAGE: usize = 1;
        let mut stage = Stage::of_five();
        let cut = stage.hurts(2);
        stage.cluster.set_joined(cut, STORAGE, false).expect("a port can be taken out");
        until("the cell turns on every node", || {
            stage
                .others(cut)
                .all(|node| !stage.hears(node, cut, STORAGE) && !stage.hears(cut, node, STORAGE))
        });
        // For as long as it would take to come to a wrong conclusion.
        let end = sys::clock::now() + BUSY;
        while sys::clock::now() < end {
            for node in stage.cluster.numbers() {
                for other in stage.others(node) {
                    let state = stage.thinks(node, other);
                    assert!(is_alive(&state), "{state:?}");
                    for (network, name) in NETWORKS.iter().enumerate() {
                        let is_cut = network == STORAGE && (node == cut || other == cut);
                        let cell = &state.cells[network];
                        assert_eq!(cell.alive, !is_cut, "node {node} of {other} on {name}");
                    }
                }
            }
        }
        let storage = |view: &[Opinion]| is_cut_off(&view[cut], "storage");
        let view = stage.comes_to_one_view(&[], Duration::ZERO, storage);
        assert_eq!(view.iter().filter(|opinion| opinion.verdict != Verdict::Alive).count(), 1);
        stage.heals();
        stage.nobody_was_accused_wrongly();
    });
}

fn is_cut_off(opinion: &Opinion, network: &str) -> bool {
    opinion.verdict == Verdict::CutOff && opinion.networks == [network]
}

#[test]
fn a_crash_and_a_leave_are_known_on_all_others_in_time() {
    contained("a_crash_and_a_leave_are_known_on_all_others_in_time", || {
        let mut stage = Stage::of_five();
        let off = stage.hurts(4);
        let others: Vec<usize> = stage.others(off).collect();
        let begin = sys::clock::now();
        stage.cluster.power_off(off).expect("a node can be switched off");
        let took = stage.known_after(begin, &others, off, accuses);
        assert!(took <= Duration::from_millis(1100) + BUSY, "a crash was known after {took:?}");
        stage.heals();

        let killed = stage.hurts(0);
        let others: Vec<usize> = stage.others(killed).collect();
        let begin = sys::clock::now();
        // Its agent lives long enough to say so.
        stage.cluster.kill_supervisor(killed).expect("a node can be killed");
        let took = stage.known_after(begin, &others, killed, |event| event.what == "node-left");
        assert!(took <= Duration::from_millis(200) + BUSY, "its end was known after {took:?}");
        stage.heals();
        let begin = sys::clock::now();
        stage.cluster.kill_all(killed).expect("a node can be killed");
        let took = stage.known_after(begin, &others, killed, accuses);
        assert!(took <= Duration::from_millis(1100) + BUSY, "its crash was known after {took:?}");
        stage.heals();

        let left = stage.hurts(1);
        let others: Vec<usize> = stage.others(left).collect();
        let begin = sys::clock::now();
        stage.cluster.stop(left).expect("a node can be told to end");
        let took = stage.known_after(begin, &others, left, |event| event.what == "node-left");
        assert!(took <= Duration::from_millis(200) + BUSY, "a leave was known after {took:?}");
        stage.cluster.ended(left).expect("it ends");
        stage.heals();
        stage.nobody_was_accused_wrongly();
    });
}

#[test]
fn a_node_that_stood_still_accuses_nobody_when_it_wakes() {
    contained("a_node_that_stood_still_accuses_nobody_when_it_wakes", || {
        let mut stage = Stage::of_five();
        let still = stage.hurts(3);
        let others: Vec<usize> = stage.others(still).collect();
        let begin = sys::clock::now();
        stage.cluster.pause(still).expect("a node can be stopped");
        stage.known_after(begin, &others, still, accuses);
        stage.cluster.resume(still).expect("it can go on");
        stage.known_after(begin, &others, still, |event| event.what == "node-alive");
        stage.heals();
        let name = stage.cluster.name(still);
        let accusations = stage.accusations(|who, _| who == name);
        assert!(accusations.is_empty(), "{accusations:#?}");
        stage.nobody_was_accused_wrongly();
    });
}

#[test]
fn one_way_and_partial_mesh_end_in_one_view_on_all_nodes() {
    contained("one_way_and_partial_mesh_end_in_one_view_on_all_nodes", || {
        let mut stage = Stage::of_five();
        let (from, to) = (stage.hurts(0), stage.hurts(1));
        stage.cluster.lose_way(from, to, 1).expect("a way can be lost");
        let one_is_cut_off = |view: &[Opinion]| {
            let ill: Vec<_> = view.iter().filter(|one| one.verdict != Verdict::Alive).collect();
            ill.len() == 1 && is_cut_off(ill[0], "storage")
        };
        let view = stage.comes_to_one_view(&[], BUSY, one_is_cut_off);
        let pair = [&view[from], &view[to]];
        assert!(pair.iter().any(|one| one.verdict == Verdict::CutOff), "one of the pair: {view:?}");
        stage.heals();
        stage.nobody_was_accused_wrongly();

        // Two pairs do not hear each other, and a third way is lost elsewhere.
        for (one, other) in [(0, 1), (2, 3)] {
            for (from, to) in [(one, other), (other, one)] {
                stage.hurts(from);
                stage.cluster.lose_way(from, to, 0).expect("a way can be lost");
            }
        }
        let (from, to) = (stage.hurts(4), 0);
        stage.cluster.lose_way(from, to, 2).expect("a way can be lost");
        let wanted = |view: &[Opinion]| {
            let cut = |network: &str| {
                let is_cut = |one: &&Opinion| one.networks.iter().any(|name| name == network);
                view.iter().filter(is_cut).count()
            };
            (cut("mgmt"), cut("storage"), cut("tenant")) == (2, 0, 1)
        };
        let view = stage.comes_to_one_view(&[], BUSY, wanted);
        let cut_off = view.iter().filter(|one| one.verdict == Verdict::CutOff).count();
        let alive = view.iter().filter(|one| one.verdict == Verdict::Alive).count();
        assert_eq!(cut_off + alive, 5, "{view:?}");
        stage.heals();
    });
}

#[test]
fn everything_at_once_ends_in_one_view_and_a_heal_brings_all_back() {
    contained("everything_at_once_ends_in_one_view_and_a_heal_brings_all_back", || {
        let mut stage = Stage::of_five();
        let (off, still) = (stage.hurts(4), stage.hurts(3));
        let (cut, killed) = (stage.hurts(2), stage.hurts(1));
        stage.cluster.power_off(off).expect("a node can be switched off");
        stage.cluster.pause(still).expect("a node can be stopped");
        stage.cluster.set_joined(cut, 1, false).expect("a port can be taken out");
        stage.cluster.lose_way(killed, cut, 2).expect("a way can be lost");
        stage.cluster.kill_agent(killed).expect("an agent can be killed");
        // Three of five are left: a majority that sees the same two missing.
        let view = stage.comes_to_one_view(&[off, still], BUSY, |view| {
            let gone = |node: usize| view[node].verdict == Verdict::Unreachable;
            let cut_off = |network: &str| {
                let is_cut_off = |one: &&Opinion| one.networks.iter().any(|name| name == network);
                view.iter().filter(is_cut_off).count()
            };
            gone(off) && gone(still) && (cut_off("storage"), cut_off("tenant")) == (1, 1)
        });
        assert_eq!(view[0].verdict, Verdict::Alive, "{view:?}");
        stage.heals();
        stage.nobody_was_accused_wrongly();
        let name = stage.cluster.name(still);
        let accusations = stage.accusations(|who, whom| who == name && whom == "node01");
        assert!(accusations.is_empty(), "{accusations:#?}");
    });
}
