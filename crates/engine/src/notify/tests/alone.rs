//! Nodes without a shelf that they share.

use super::*;

const NODES: [&str; 3] = ["n1", "n2", "n3"];

/// One of the three, with a shelf of its own; what each sends is seen by all.
struct Node {
    world: World,
    process: Process,
    told: usize,
}

fn node(name: &str, now: Time) -> Node {
    let company = Company::new(name.to_owned(), NODES.map(str::to_owned).to_vec());
    let outbox = Outbox::new(receivers(), Some(company));
    let mut process = Process { outbox, life: u32::MAX, dies_after_the_deed: false };
    let mut world = World { now, ..World::default() };
    let shelf = world.shelf();
    for input in [Input::Wall(world.wall()), Input::Office(Some(7)), shelf] {
        process.hears(&mut world, input);
    }
    Node { world, process, told: 0 }
}

fn three() -> Vec<Node> {
    let mut all: Vec<Node> =
        NODES.iter().map(|name| node(name, Time::from_nanos(1_000_000_000))).collect();
    hear(&mut all, &NODES);
    all
}

/// All of them hear these.
fn hear(all: &mut [Node], heard: &[&str]) {
    for node in all {
        let heard = heard.iter().map(|&name| name.to_owned()).collect();
        node.process.hears(&mut node.world, Input::Seen(heard));
    }
}

fn all_hear(all: &mut [Node], input: &Input) {
    for node in all {
        node.process.hears(&mut node.world, input.clone());
    }
}

/// So many seconds, in which what one told reaches the others, as its events do.
fn pass(all: &mut [Node], seconds: u64) {
    for _ in 0..seconds {
        for node in all.iter_mut() {
            node.process.waits(&mut node.world, 1);
        }
        for teller in 0..all.len() {
            let node = &mut all[teller];
            let words: Vec<Word> = node.world.words[node.told..].to_vec();
            node.told = node.world.words.len();
            for word in words {
                let Word::Told { receiver, batch, .. } = word else { continue };
                let settled = Input::Settled { receiver, batch };
                let others = all.iter_mut().enumerate().filter(|(at, _)| *at != teller);
                for (_, other) in others {
                    other.process.hears(&mut other.world, settled.clone());
                }
            }
        }
    }
}

fn arrived(all: &[Node]) -> Vec<(&'static str, String)> {
    let of = |(name, node): (&'static str, &Node)| {
        let all: Vec<_> =
            node.world.arrived.iter().map(|(_, batch, _)| (name, batch.clone())).collect();
        all
    };
    NODES.into_iter().zip(all).flat_map(of).collect()
}

#[test]
fn a_node_alone_tells_what_happened_to_it_and_no_more() {
    let mut node = node("n1", Time::from_nanos(1_000_000_000));
    node.process.hears(&mut node.world, happened(moved(900, None, "n2")));
    node.process.hears(&mut node.world, happened(moved(950, None, "n1")));
    assert_eq!(node.world.arrived.len(), 1);
}

#[test]
fn a_loss_that_all_see_is_told_by_one_of_them() {
    let mut all = three();
    all_hear(&mut all, &happened(moved(900, Some("n1"), "n3")));
    pass(&mut all, 3);
    // n3 is gone, and nobody takes it.
    hear(&mut all[..2], &["n1", "n2"]);
    let (object, cause) = ("vip/a".to_owned(), String::new());
    let unheld = Input::Unheld { object, at_ms: START_MS + 5_000, cause };
    all_hear(&mut all[..2], &unheld);
    pass(&mut all[..2], 30);
    let claim = moved(900, Some("n1"), "n3").id;
    let loss = format!("loss-after-{claim}");
    assert_eq!(arrived(&all), [("n1", loss.clone()), ("n3", claim.clone())]);
    // The one that told it is gone as well: whoever knows that it was told does not tell it again.
    hear(&mut all[1..2], &["n2"]);
    pass(&mut all[1..2], 30);
    assert_eq!(arrived(&all).len(), 2, "{:?}", arrived(&all));
}

#[test]
fn a_loss_is_told_though_the_first_of_those_that_saw_it_dies_of_it() {
    let mut all = three();
    all_hear(&mut all, &happened(moved(900, Some("n1"), "n3")));
    pass(&mut all, 3);
    hear(&mut all[..2], &["n1", "n2"]);
    let (object, cause) = ("vip/a".to_owned(), String::new());
    all_hear(&mut all[1..2], &Input::Unheld { object, at_ms: START_MS + 5_000, cause });
    pass(&mut all[1..2], 5);
    assert!(all[1].world.arrived.is_empty(), "n1 may tell it");
    hear(&mut all[1..2], &["n2"]);
    pass(&mut all[1..2], 12);
    assert_eq!(all[1].world.arrived.len(), 1, "{:?}", all[1].world.arrived);
}

#[test]
fn who_took_it_and_died_before_he_told_is_spoken_for_once() {
    let mut all = three();
    // n3 takes it, its events reach the others, and it is gone with its receivers down.
    all[2].world.down = true;
    let claim = moved(900, Some("n1"), "n3");
    all_hear(&mut all, &happened(claim.clone()));
    pass(&mut all, 3);
    hear(&mut all[..2], &["n1", "n2"]);
    pass(&mut all[..2], 9);
    assert_eq!(arrived(&all), [], "it may only be replaced");
    pass(&mut all, 4);
    assert_eq!(arrived(&all), [("n1", claim.id.clone())]);
    // It is back with its file, its receivers are there, and it hears that it was told.
    all[2].world.down = false;
    hear(&mut all, &NODES);
    pass(&mut all, 400);
    assert_eq!(arrived(&all).len(), 1, "{:?}", arrived(&all));
    let (letter, _) = &all[2].world.letters[&claim.id];
    assert!(letter.is_settled(), "{letter:?}");
}

/// Seed 35 of the simulator: it was sent again 45 s after the node was back.
#[test]
fn what_a_node_was_sending_when_it_died_is_not_sent_again_once_others_told_it() {
    let mut all = three();
    all[2].process.life = 2;
    let claim = moved(900, Some("n1"), "n3");
    all_hear(&mut all, &happened(claim.clone()));
    hear(&mut all[..2], &["n1", "n2"]);
    pass(&mut all[..2], 15);
    assert_eq!(arrived(&all), [("n1", claim.id.clone())]);
    let now = all[0].world.now;
    let mut back = node("n3", now);
    back.world = std::mem::take(&mut all[2].world);
    back.world.now = now;
    let shelf = back.world.shelf();
    let (receiver, batch) = ("ops".to_owned(), claim.id.clone());
    for input in [Input::Office(Some(8)), shelf, Input::Settled { receiver, batch }] {
        back.process.hears(&mut back.world, input);
    }
    back.process.waits(&mut back.world, 60);
    assert!(back.world.arrived.is_empty(), "{:?}", back.world.arrived);
    assert!(back.world.letters[&claim.id].0.is_settled());
}

#[test]
fn where_the_network_is_cut_each_side_tells_it_under_one_name() {
    let mut all = three();
    all_hear(&mut all, &happened(moved(900, Some("n1"), "n3")));
    pass(&mut all, 3);
    let (object, cause) = ("vip/a".to_owned(), String::new());
    let unheld = Input::Unheld { object, at_ms: START_MS + 5_000, cause };
    all_hear(&mut all[..2], &unheld);
    hear(&mut all[..1], &["n1"]);
    hear(&mut all[1..2], &["n2"]);
    // What the one tells does not reach the other.
    pass(&mut all[..1], 15);
    pass(&mut all[1..2], 15);
    let loss = format!("loss-after-{}", moved(900, Some("n1"), "n3").id);
    let told: Vec<_> = arrived(&all).into_iter().filter(|(_, batch)| *batch == loss).collect();
    assert_eq!(told, [("n1", loss.clone()), ("n2", loss.clone())]);
}

#[test]
fn what_several_say_of_another_node_is_one_thing() {
    let (mut world, mut process) = started();
    process.outbox.runs[0].to.topics = vec![Topic::Event("node-verdict")];
    let said = |by: &str, at: u64, what: &str| Letter {
        id: format!("node-n3-{by}-{at}"),
        topic: Topic::Event("node-verdict"),
        object: "node/n3".to_owned(),
        node: by.to_owned(),
        at_ms: START_MS + at,
        to: Some(what.to_owned()),
        ..Letter::default()
    };
    for (by, at) in [("n1", 1_000), ("n2", 1_300), ("n1", 1_900)] {
        process.hears(&mut world, happened(said(by, at, "unreachable")));
    }
    process.hears(&mut world, happened(said("n2", 9_000, "alive")));
    process.hears(&mut world, happened(said("n1", 60_000, "unreachable")));
    process.waits(&mut world, 3);
    let expected = ["node-n3-n1-1000", "node-n3-n2-9000", "node-n3-n1-60000"];
    assert_eq!(batches(&world), expected);
}
