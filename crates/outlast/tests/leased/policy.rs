//! Who votes and holds nothing, and addresses that leave a node only after proof.

use super::*;

/// Node 2 runs no balancer, holds nothing, and votes.
const THIRD: usize = 2;

fn with_a_voter(cluster: &Cluster) {
    for node in 0..NODES {
        let file = Path::new(FOLDER).join(cluster.name(node)).join("outlast.toml");
        let text = std::fs::read_to_string(&file).expect("the lab wrote it");
        let third = format!("[node.{}]\n", cluster.name(THIRD));
        let voter = text.replace(&third, &format!("{third}role = \"voter\"\n"));
        assert_ne!(text, voter);
        std::fs::write(&file, voter).expect("it can be written");
    }
}

#[test]
fn of_two_nodes_and_a_voter_one_holds_whichever_dies_and_whatever_is_cut() {
    let name = "policy::of_two_nodes_and_a_voter_one_holds_whichever_dies_and_whatever_is_cut";
    contained(name, || {
        let Some(mut stage) = Stage::prepared(name, LINES, with_a_voter) else { return };
        let votes_only = |node| {
            let voted = stage.vip(node).and_then(|vip| vip.state.vip_lease);
            voted.map(|voted| voted.votes_only)
        };
        until("the third one votes, and could not hold it", || {
            (0..NODES).all(|node| votes_only(node) == Some(node == THIRD))
        });
        stage.undisturbed(lose_one_of_two);
        stage.undisturbed(cut_the_two);
        assert_eq!(stage.has(THIRD), Some(false), "a voter has the address");
        let why = stage.types(THIRD, &["why", "vip/internal"]);
        assert!(why.contains("votes, and never holds it"), "{why}");
        stage.never_two();
    });
}

fn lose_one_of_two(stage: &mut Stage, _: Time) -> Result<(), String> {
    let first = stage.holds();
    until("all grant it", || (0..NODES).all(|node| stage.votes(node)));
    let since = sys::clock::now();
    stage.cluster.kill_all(first).expect("its processes can be killed");
    let (second, took) = stage.followed(first, since);
    says("all processes of one of two killed", took);
    assert_eq!(second, 1 - first);
    stage.cluster.start(first).expect("it can be started");
    until("it grants what others ask for", || stage.votes(first));
    stage.stays(second, "who comes back takes nothing")
}

/// Each hears the third one, and not the other.
fn cut_the_two(stage: &mut Stage, _: Time) -> Result<(), String> {
    let holder = stage.holds();
    let ways: Vec<_> =
        (0..NETWORKS).flat_map(|network| [(0, 1, network), (1, 0, network)]).collect();
    stage.cluster.lose_ways(&ways).expect("ways can be lost");
    let end = sys::clock::now() + LONG;
    until("the other one had the time to ask", || sys::clock::now() > end);
    let stays = stage.stays(holder, "cut from the other one");
    stage.cluster.find_all_ways().expect("ways can be found");
    stays
}

#[test]
fn an_address_leaves_a_silent_node_when_that_is_confirmed_off_and_not_before() {
    let name = "policy::an_address_leaves_a_silent_node_when_that_is_confirmed_off_and_not_before";
    contained(name, || {
        let lines = format!("{LINES}after = \"proven-dead\"\n[store]\n");
        let Some(mut stage) = Stage::laid_out(name, &lines) else { return };
        until("the store is led", || {
            let store = |node| stage.cluster.status(node).and_then(|status| status.store);
            (0..NODES).all(|node| store(node).is_some_and(|store| store.is_well()))
        });
        let first = stage.holds();
        until("all grant it", || (0..NODES).all(|node| stage.votes(node)));
        let since = sys::clock::now();
        stage.cluster.kill_all(first).expect("its processes can be killed");
        let others: Vec<usize> = (0..NODES).filter(|node| *node != first).collect();
        until("all wait for proof", || {
            others.iter().all(|node| {
                let voted = stage.vip(*node).and_then(|vip| vip.state.vip_lease);
                voted.and_then(|voted| voted.awaits) == u16::try_from(first).ok()
            })
        });
        until("it is told", || !stage.events(others[0], "vip-unproven", since).is_empty());
        let dead = stage.cluster.name(first).to_owned();
        let status = stage.types(others[0], &["status"]);
        assert!(status.contains(&format!("outlast node confirm-off {dead}")), "{status}");
        until("nobody answers", || stage.prober.is_silent(LONG));
        assert_eq!(stage.prober.first_other(stage.macs[first], since), None);

        let mut confirmed = since;
        until("it can be confirmed", || {
            confirmed = sys::clock::now();
            let words = ["node", "confirm-off", &dead, "--i-know-it-is-off", "--reason", "seen"];
            stage.types(others[0], &words);
            stage.prober.first_other(stage.macs[first], since).is_some()
        });
        let (second, took) = stage.followed(first, confirmed);
        says("confirmed off", took);
        assert!(others.contains(&second), "{second}");
        stage.never_two();
    });
}

#[test]
fn the_last_of_three_holds_where_that_is_allowed_until_a_majority_is_heard() {
    let name = "policy::the_last_of_three_holds_where_that_is_allowed_until_a_majority_is_heard";
    contained(name, || {
        let lines = format!("{LINES}last_man = \"1s\"\n");
        let Some(mut stage) = Stage::laid_out(name, &lines) else { return };
        let last = stage.holds();
        until("all grant it", || (0..NODES).all(|node| stage.votes(node)));
        let others: Vec<usize> = (0..NODES).filter(|node| *node != last).collect();
        let since = sys::clock::now();
        for node in &others {
            stage.cluster.kill_all(*node).expect("its processes can be killed");
        }
        until("it is told that it holds alone", || holds_alone(&stage, last, since));
        let since = sys::clock::now();
        until("it answers", || stage.prober.first_since(since).is_some());
        let status = stage.types(last, &["status"]);
        assert!(status.contains("without a majority"), "{status}");

        for node in &others {
            stage.cluster.start(*node).expect("it can be started");
        }
        until("a majority grants it again", || {
            !stage.events(last, "vip-granted", since).is_empty()
        });
        until("all grant it", || (0..NODES).all(|node| stage.votes(node)));
        stage.never_two();

        cut_the_last(&mut stage);
    });
}

fn holds_alone(stage: &Stage, node: usize, since: Time) -> bool {
    !stage.events(node, "vip-alone", since).is_empty()
}

/// Two hold while they are cut from each other, and the one with a majority when they are not.
fn cut_the_last(stage: &mut Stage) {
    let cut = stage.holds();
    let others: Vec<usize> = (0..NODES).filter(|node| *node != cut).collect();
    let ways = |network| {
        others.iter().flat_map(move |other| [(cut, *other, network), (*other, cut, network)])
    };
    let ways: Vec<_> = (0..NETWORKS).flat_map(ways).collect();
    let since = sys::clock::now();
    stage.cluster.lose_ways(&ways).expect("ways can be lost");
    let (voted, took) = stage.followed(cut, since);
    says("the holder cut off", took);
    until("it is told that it holds alone", || holds_alone(stage, cut, since));
    until("two answer", || !stage.prober.doubles().is_empty());
    let healed = sys::clock::now();
    stage.cluster.find_all_ways().expect("ways can be found");
    until("it lets go", || !stage.events(cut, "vip-released", healed).is_empty());
    let since = sys::clock::now();
    until("the other one goes on", || {
        stage.prober.first_since(since).is_some_and(|(_, mac)| mac == stage.macs[voted])
            && sys::clock::now() > since + LONG
    });
    let late = stage.prober.doubles().into_iter().filter(|at| *at > healed + LONG);
    assert_eq!(late.collect::<Vec<_>>(), vec![], "two answered long after they heard each other");
    assert_eq!(stage.holder(), Some(voted));
}
