//! Many nodes that gossip: the real machine, packets lost, networks cut, nodes crashed.

use std::time::Duration;

use base::Time;
use engine::gossip::Input;
use engine::verdict::Verdict;
use outlast_sim::gossip::{Crowd, Setup};

const CONTROLLERS: u16 = 5;
const SOMEBODY: u16 = 31;

const fn setup(computes: u16, loss: u64) -> Setup {
    let detect = Duration::from_secs(1);
    Setup { controllers: CONTROLLERS, computes, networks: 2, detect, loss, seed: 11 }
}

/// All alive in the eyes of all controllers, and nothing counted yet.
fn settled(setup: Setup) -> Crowd {
    let mut crowd = Crowd::new(setup);
    crowd.run(Duration::from_secs(20));
    for node in CONTROLLERS..CONTROLLERS + setup.computes {
        assert!(crowd.all_say(node, Verdict::Alive), "node {node}");
    }
    crowd.judged.clear();
    crowd.take_sent();
    crowd
}

/// How long until `is_so`, at most `limit`.
fn takes(crowd: &mut Crowd, limit: Duration, is_so: impl Fn(&Crowd) -> bool) -> Duration {
    let from = crowd.now;
    assert!(crowd.run_until(from + limit, is_so), "not within {limit:?}");
    crowd.now - from
}

/// What controllers said of compute nodes beside this one.
fn about_others(crowd: &Crowd, node: u16) -> usize {
    crowd.judged.iter().filter(|judged| judged.by < CONTROLLERS && judged.node != node).count()
}

#[test]
fn a_crashed_compute_node_is_unreachable_on_all_controllers_and_missed_by_all_others() {
    let mut crowd = settled(setup(95, 0));
    crowd.crash(SOMEBODY);
    let is_known = |crowd: &Crowd| crowd.all_say(SOMEBODY, Verdict::Unreachable);
    let took = takes(&mut crowd, Duration::from_secs(3), is_known);
    assert!(took > Duration::from_millis(500), "{took:?}: nobody had the time to answer");
    let all = |crowd: &Crowd| {
        (CONTROLLERS..100).all(|by| by == SOMEBODY || crowd.says(by, SOMEBODY, Verdict::Suspect))
    };
    takes(&mut crowd, Duration::from_millis(200), all);
    crowd.run(Duration::from_secs(20));
    assert_eq!(about_others(&crowd, SOMEBODY), 0);
    crowd.start(SOMEBODY);
    let back = |crowd: &Crowd| {
        (0..100).all(|by| by == SOMEBODY || crowd.says(by, SOMEBODY, Verdict::Alive))
    };
    takes(&mut crowd, Duration::from_secs(10), back);
}

#[test]
fn a_controller_that_is_unreachable_by_the_beats_of_controllers_is_in_doubt_on_all_compute_nodes_at_once()
 {
    let (gone, detect) = (2, Duration::from_secs(1));
    let others = || (0..CONTROLLERS).filter(|by| *by != gone);
    let told = |verdict| Input::Controller { node: gone, verdict };
    let all = |crowd: &Crowd, verdict| (CONTROLLERS..100).all(|by| crowd.says(by, gone, verdict));
    let mut crowd = settled(setup(95, 0));
    assert!(all(&crowd, Verdict::Alive));
    crowd.crash(gone);
    crowd.run(detect);
    // Who has no majority itself tells nobody.
    crowd.tell(0, Input::Quorum(false));
    crowd.tell(0, told(Verdict::Unreachable));
    crowd.run(Duration::from_millis(200));
    assert!((CONTROLLERS..100).all(|by| !crowd.says(by, gone, Verdict::Suspect)));
    crowd.tell(0, Input::Quorum(true));
    // Nor is doubt told, which one has alone.
    others().for_each(|by| crowd.tell(by, told(Verdict::Suspect)));
    crowd.run(Duration::from_millis(200));
    assert!((CONTROLLERS..100).all(|by| !crowd.says(by, gone, Verdict::Suspect)));
    others().for_each(|by| crowd.tell(by, told(Verdict::Unreachable)));
    let took = takes(&mut crowd, detect, |crowd| all(crowd, Verdict::Suspect));
    assert!(took < Duration::from_millis(100), "{took:?}");
    // A life that began since is another one, whoever still says so.
    crowd.start(gone);
    takes(&mut crowd, Duration::from_secs(10), |crowd| all(crowd, Verdict::Alive));
    others().for_each(|by| crowd.tell(by, told(Verdict::Unreachable)));
    crowd.run(Duration::from_millis(200));
    assert!(all(&crowd, Verdict::Alive));
}

#[test]
fn a_tenth_of_all_packets_lost_is_no_false_verdict_among_many() {
    let mut crowd = settled(setup(45, 100));
    crowd.run(Duration::from_secs(120));
    assert_eq!(about_others(&crowd, u16::MAX), 0, "{:?}", crowd.judged);
    crowd.crash(SOMEBODY);
    let is_known = |crowd: &Crowd| crowd.all_say(SOMEBODY, Verdict::Unreachable);
    takes(&mut crowd, Duration::from_secs(3), is_known);
}

#[test]
fn one_cut_network_of_a_compute_node_is_one_cell_and_no_doubt() {
    let mut crowd = settled(setup(45, 0));
    crowd.cut(SOMEBODY, 1, true);
    let networks = [1].into_iter().collect();
    let is_cut = |crowd: &Crowd| crowd.all_say(SOMEBODY, Verdict::CutOff { networks });
    takes(&mut crowd, Duration::from_secs(4), is_cut);
    crowd.run(Duration::from_secs(10));
    let cells = |crowd: &Crowd| -> Vec<bool> {
        let machine = crowd.machine(0).unwrap();
        machine.cells(SOMEBODY, crowd.now).map(|cell| cell.unwrap().alive).collect()
    };
    assert_eq!(cells(&crowd), [true, false]);
    assert!(is_cut(&crowd));
    assert_eq!(about_others(&crowd, SOMEBODY), 0);
    let all = (CONTROLLERS..50).filter(|by| *by != SOMEBODY);
    assert!(all.into_iter().all(|by| crowd.says(by, SOMEBODY, Verdict::Alive)));
    assert!(
        (0..50)
            .filter(|node| *node != SOMEBODY)
            .all(|node| { !crowd.says(SOMEBODY, node, Verdict::Suspect) }),
        "who is cut off accuses nobody"
    );
    crowd.cut(SOMEBODY, 1, false);
    takes(&mut crowd, Duration::from_secs(5), |crowd| crowd.all_say(SOMEBODY, Verdict::Alive));
}

#[test]
fn a_goodbye_of_a_compute_node_is_known_everywhere_within_a_fifth_of_a_second() {
    let mut crowd = settled(setup(195, 100));
    crowd.leave(SOMEBODY);
    let all = |crowd: &Crowd| {
        (0..200).all(|by| by == SOMEBODY || crowd.says(by, SOMEBODY, Verdict::Leaving))
    };
    takes(&mut crowd, Duration::from_millis(200), all);
    assert_eq!(about_others(&crowd, SOMEBODY), 0);
}

fn in_doubt(crowd: &Crowd) -> bool {
    crowd.all_say(SOMEBODY, Verdict::Suspect)
}

#[test]
fn killed_processes_of_a_compute_node_are_known_to_all_controllers_within_a_fifth_of_a_second() {
    let mut crowd = settled(setup(195, 0));
    crowd.kill(SOMEBODY);
    let took = takes(&mut crowd, Duration::from_millis(100), in_doubt);
    assert!(took > Duration::from_millis(50), "{took:?}: it may be started again");
    let rule = |by: u16| crowd.machine(by).unwrap().opinion(SOMEBODY).rule.name;
    assert!((0..CONTROLLERS).all(|by| rule(by) == "agent-gone"));
    let is_known = |crowd: &Crowd| crowd.all_say(SOMEBODY, Verdict::Unreachable);
    takes(&mut crowd, Duration::from_secs(2), is_known);
    crowd.start(SOMEBODY);
    takes(&mut crowd, Duration::from_secs(10), |crowd| crowd.all_say(SOMEBODY, Verdict::Alive));
    assert_eq!(about_others(&crowd, SOMEBODY), 0);
    // Its next process gets connections of its own.
    crowd.run(Duration::from_secs(2));
    crowd.kill(SOMEBODY);
    takes(&mut crowd, Duration::from_millis(200), in_doubt);
}

/// Whether all other compute nodes of so many nodes have that verdict on it.
fn fellows_say(crowd: &Crowd, nodes: u16, verdict: Verdict) -> bool {
    let mut fellows = (CONTROLLERS..nodes).filter(|by| *by != SOMEBODY);
    fellows.all(|by| crowd.says(by, SOMEBODY, verdict))
}

#[test]
fn killed_processes_of_a_compute_node_are_doubt_on_all_others_within_a_fifth_of_a_second() {
    for (computes, loss) in [(195, 0), (95, 100)] {
        let nodes = CONTROLLERS + computes;
        let mut crowd = settled(setup(computes, loss));
        crowd.kill(SOMEBODY);
        let all = |crowd: &Crowd| fellows_say(crowd, nodes, Verdict::Suspect);
        let took = takes(&mut crowd, Duration::from_millis(200), all);
        assert!(took > Duration::from_millis(50), "{took:?}: it may be started again");
        let rule = |by: u16| crowd.machine(by).unwrap().opinion(SOMEBODY).rule.name;
        assert_eq!((rule(CONTROLLERS), rule(nodes - 1)), ("declared", "declared"));
        crowd.start(SOMEBODY);
        let back = |crowd: &Crowd| fellows_say(crowd, nodes, Verdict::Alive);
        takes(&mut crowd, Duration::from_secs(10), back);
        assert_eq!(about_others(&crowd, SOMEBODY), 0);
    }
}

#[test]
fn killed_processes_of_a_node_that_is_cut_off_on_one_network_are_doubt_as_fast() {
    let mut crowd = settled(setup(45, 0));
    crowd.cut(SOMEBODY, 1, true);
    let networks = [1].into_iter().collect();
    let is_cut = |crowd: &Crowd| crowd.all_say(SOMEBODY, Verdict::CutOff { networks });
    takes(&mut crowd, Duration::from_secs(4), is_cut);
    crowd.run(Duration::from_secs(7));
    crowd.kill(SOMEBODY);
    let all = |crowd: &Crowd| in_doubt(crowd) && fellows_say(crowd, 50, Verdict::Suspect);
    takes(&mut crowd, Duration::from_millis(200), all);
    let rule = |by: u16| crowd.machine(by).unwrap().opinion(SOMEBODY).rule.name;
    assert!((0..CONTROLLERS).all(|by| rule(by) == "agent-gone"));
    let is_known = |crowd: &Crowd| crowd.all_say(SOMEBODY, Verdict::Unreachable);
    takes(&mut crowd, Duration::from_secs(2), is_known);
    // It is started again where it was: cut off, and nothing worse.
    crowd.start(SOMEBODY);
    takes(&mut crowd, Duration::from_secs(10), is_cut);
    takes(&mut crowd, Duration::from_secs(10), |crowd| fellows_say(crowd, 50, Verdict::Alive));
    assert_eq!(about_others(&crowd, SOMEBODY), 0);
}

/// Whoever dies in a rack is told of together, in packets that hold many.
#[test]
fn a_rack_whose_processes_are_killed_together_is_doubt_on_all_others_within_a_fifth_of_a_second() {
    let mut crowd = settled(setup(95, 0));
    let rack = 40..80;
    rack.clone().for_each(|node| crowd.kill(node));
    let all = |crowd: &Crowd| {
        let mut others = (0..100).filter(|by| !rack.contains(by));
        others.all(|by| rack.clone().all(|node| crowd.says(by, node, Verdict::Suspect)))
    };
    takes(&mut crowd, Duration::from_millis(200), all);
    let is_well = |verdict: Verdict| matches!(verdict, Verdict::Alive | Verdict::Unknown);
    let mut wrong = crowd.judged.iter().filter(|judged| !rack.contains(&judged.node));
    assert!(wrong.all(|judged| is_well(judged.verdict)), "{:?}", crowd.judged);
}

/// A firewall on the node itself that refuses two of five controllers, say: they doubt it, and tell nobody else.
#[test]
fn what_the_kernel_of_a_node_refuses_to_few_controllers_is_doubt_nowhere_else() {
    let mut crowd = settled(setup(45, 0));
    [0, 1].iter().for_each(|few| crowd.refuse(*few, SOMEBODY));
    let few_say =
        |crowd: &Crowd| [0, 1].iter().all(|few| crowd.says(*few, SOMEBODY, Verdict::Suspect));
    takes(&mut crowd, Duration::from_millis(200), few_say);
    crowd.run(Duration::from_secs(20));
    let wrong = crowd.judged.iter().filter(|judged| judged.by > 1);
    assert_eq!(wrong.count(), 0, "{:?}", crowd.judged);
}

/// The doubt of members ends by the word of the node itself, whatever controllers were refused.
#[test]
fn a_living_node_that_refuses_most_controllers_is_doubted_by_members_for_a_moment() {
    let mut crowd = settled(setup(45, 0));
    (0..3).for_each(|most| crowd.refuse(most, SOMEBODY));
    let some =
        |crowd: &Crowd| (CONTROLLERS..50).any(|by| crowd.says(by, SOMEBODY, Verdict::Suspect));
    takes(&mut crowd, Duration::from_millis(200), some);
    let none = |crowd: &Crowd| fellows_say(crowd, 50, Verdict::Alive);
    takes(&mut crowd, Duration::from_secs(2), none);
}

/// As where a firewall keeps the connections out, or forgets them: the first probe of a member that is refused tells.
#[test]
fn killed_processes_are_known_by_the_refusals_that_gossip_meets_where_there_is_no_connection() {
    let mut crowd = settled(setup(95, 0));
    crowd.forget_tethers(SOMEBODY);
    crowd.kill(SOMEBODY);
    takes(&mut crowd, Duration::from_millis(800), in_doubt);
    let rule = |by: u16| crowd.machine(by).unwrap().opinion(SOMEBODY).rule.name;
    assert!((0..CONTROLLERS).all(|by| rule(by) == "agent-gone"));
    let sooner = |by: u16| crowd.judged.iter().position(|judged| judged.by == by);
    let controllers = (0..CONTROLLERS).filter_map(sooner).min();
    let others = (CONTROLLERS..100).filter_map(sooner).min();
    assert!(others.is_none_or(|others| controllers < Some(others)), "no refusal decides there");
}

#[test]
fn a_process_that_is_started_again_within_30_ms_is_not_missed() {
    let mut crowd = settled(setup(45, 0));
    for _ in 0..20 {
        crowd.kill(SOMEBODY);
        crowd.run(Duration::from_millis(30));
        crowd.start(SOMEBODY);
        crowd.run(Duration::from_secs(3));
    }
    assert_eq!(crowd.judged.iter().filter(|judged| judged.by < CONTROLLERS).count(), 0);
}

#[test]
fn a_compute_node_that_stands_still_for_a_while_accuses_nobody() {
    let mut crowd = settled(setup(45, 0));
    for _ in 0..5 {
        crowd.pause(SOMEBODY, Duration::from_millis(450));
        crowd.run(Duration::from_secs(5));
    }
    assert_eq!(about_others(&crowd, u16::MAX), 0, "nor is it accused: {:?}", crowd.judged);
    crowd.pause(SOMEBODY, Duration::from_secs(8));
    crowd.run(Duration::from_secs(20));
    assert_eq!(about_others(&crowd, SOMEBODY), 0);
    assert!(crowd.all_say(SOMEBODY, Verdict::Alive));
    assert!(crowd.judged.iter().all(|judged| judged.by != SOMEBODY), "{:?}", crowd.judged);
}

#[test]
fn controllers_without_a_majority_conclude_nothing_of_compute_nodes() {
    let mut crowd = settled(setup(45, 0));
    for controller in 0..CONTROLLERS {
        crowd.tell(controller, Input::Quorum(false));
    }
    crowd.crash(SOMEBODY);
    crowd.run(Duration::from_secs(10));
    assert!(crowd.judged.iter().all(|judged| judged.verdict != Verdict::Unreachable));
    assert!(crowd.all_say(SOMEBODY, Verdict::Suspect));
}

#[test]
fn two_of_five_controllers_that_hear_nothing_of_a_node_conclude_nothing() {
    let mut crowd = settled(setup(45, 0));
    for deaf in [0, 1] {
        crowd.part(deaf, SOMEBODY, true);
    }
    crowd.run(Duration::from_secs(30));
    let is_wrong = |judged: &&outlast_sim::gossip::Judged| judged.verdict == Verdict::Unreachable;
    assert_eq!(crowd.judged.iter().find(is_wrong).map(|judged| judged.by), None);
    assert!((2..CONTROLLERS).all(|by| crowd.says(by, SOMEBODY, Verdict::Alive)));
}

#[test]
fn gossip_costs_less_than_four_kilobytes_a_second_on_each_network() {
    for loss in [0, 100] {
        let mut crowd = settled(setup(95, loss));
        // Answers to newcomers end after a minute at the latest.
        crowd.run(Duration::from_secs(45));
        crowd.take_sent();
        crowd.run(Duration::from_secs(20));
        let sent = crowd.take_sent();
        let networks = sent.iter().skip(usize::from(CONTROLLERS)).flat_map(|sent| &sent[..2]);
        let computes = networks.map(|sent| sent / 20);
        let (least, most) = (computes.clone().min(), computes.max());
        assert!(least.is_some_and(|least| least > 0), "{loss}: a network without traffic");
        assert!(most.is_some_and(|most| (500..4000).contains(&most)), "{loss}: {most:?} B/s");
    }
}

#[test]
fn the_same_seed_gossips_the_same() {
    let story = |seed| {
        let mut crowd = Crowd::new(Setup { seed, ..setup(25, 50) });
        crowd.run(Duration::from_secs(5));
        crowd.crash(20);
        crowd.run(Duration::from_secs(5));
        let judged = crowd.judged.iter().map(|judged| (judged.at, judged.by, judged.node));
        (crowd.events, judged.collect::<Vec<(Time, u16, u16)>>())
    };
    assert_eq!(story(1), story(1));
    assert_ne!(story(1), story(2));
}
