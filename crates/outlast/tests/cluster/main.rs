//! Five real nodes on three networks in namespaces: what each of them thinks while they are hurt.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "../node/lonely.rs"]
mod lonely;
#[expect(unreachable_pub, reason = "a module of a test program")]
mod stage;

use std::time::Duration;

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
        stage.heals();
        stage.nobody_was_accused_wrongly();
    });
}

#[test]
fn a_crash_and_a_leave_are_known_on_all_others_in_time() {
    contained("a_crash_and_a_leave_are_known_on_all_others_in_time", || {
        let mut stage = Stage::of_five();
        let off = stage.hurts(4);
        let others: Vec<usize> = stage.others(off).collect();
        let begin = sys::clock::now();
        stage.cluster.power_off(off).expect("a node can be switched off");
        let took = stage.known_after(begin, &others, off, &["node-suspect"]);
        assert!(took <= Duration::from_millis(1100) + BUSY, "a crash was known after {took:?}");
        stage.heals();

        let killed = stage.hurts(0);
        let others: Vec<usize> = stage.others(killed).collect();
        let begin = sys::clock::now();
        // Its agent lives long enough to say so.
        stage.cluster.kill_supervisor(killed).expect("a node can be killed");
        let took = stage.known_after(begin, &others, killed, &["node-left"]);
        assert!(took <= Duration::from_millis(200) + BUSY, "its end was known after {took:?}");
        stage.heals();
        let begin = sys::clock::now();
        stage.cluster.kill_all(killed).expect("a node can be killed");
        let took = stage.known_after(begin, &others, killed, &["node-suspect", "node-verdict"]);
        assert!(took <= Duration::from_millis(1100) + BUSY, "its crash was known after {took:?}");
        stage.heals();

        let left = stage.hurts(1);
        let others: Vec<usize> = stage.others(left).collect();
        let begin = sys::clock::now();
        stage.cluster.stop(left).expect("a node can be told to end");
        let took = stage.known_after(begin, &others, left, &["node-left"]);
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
        stage.known_after(begin, &others, still, &["node-suspect"]);
        stage.cluster.resume(still).expect("it can go on");
        stage.known_after(begin, &others, still, &["node-alive"]);
        stage.heals();
        let name = stage.cluster.name(still);
        let accusations = stage.accusations(|who, _| who == name);
        assert!(accusations.is_empty(), "{accusations:#?}");
        stage.nobody_was_accused_wrongly();
    });
}
