//! Virtual IPs of a sync group: one vip lease for all of them.

use super::*;

/// Where the second one has its clients.
const INSIDE: u8 = 1;

fn second() -> config::vip::Vip {
    let ip = std::net::Ipv4Addr::new(10, 80, 0, 40).into();
    let address = config::vip::Address::plain(ip);
    config::vip::Vip::plain("inside", "eth1", 122, vec![address])
}

fn both(config: &mut Config) {
    config.seats[0].beside = vec![second()];
    config.seats[0].networks = 1 << CLIENTS | 1 << INSIDE;
}

fn held() -> Trio {
    let mut trio = Trio::of(both);
    (0..3).for_each(|node| trio.inside(node, true));
    trio.run(AWAKE + 30);
    assert_eq!(trio.holders(), [0]);
    trio
}

impl Trio {
    /// The device of the second one.
    fn inside(&mut self, node: usize, up: bool) {
        let mut seat = seat(121);
        seat.beside = vec![second()];
        let (interface, _) = seat.facts_at(1);
        self.step(node, Input::Fact { vip: 0, fact: Fact::Carrier { interface, up } });
    }

    /// Nothing goes to or from that node on one network.
    fn mute(&mut self, node: usize, network: u8, is_so: bool) {
        assert_eq!(network, CLIENTS);
        for other in (0..3).filter(|other| *other != node) {
            (self.quiet[node][other], self.quiet[other][node]) = (is_so, is_so);
        }
    }
}

#[test]
fn what_keeps_one_of_a_group_from_being_held_keeps_all_of_them() {
    let mut trio = Trio::of(both);
    trio.comes_to(AWAKE + 100, None);
    trio.inside(2, true);
    trio.comes_to(AWAKE + 350, Some(2));
    (0..2).for_each(|node| trio.inside(node, true));
    trio.run_for(30);
    trio.inside(2, false);
    trio.comes_to(AWAKE + 450, Some(0));
    let view = trio.machines[2].view(0).unwrap();
    assert_eq!((view.stand, view.cause), (Stand::Unfit, Some(Cause::Fact(FactCause::Carrier))));
    trio.carrier(0, false);
    trio.comes_to(AWAKE + 550, Some(1));
}

#[test]
fn checks_and_interfaces_of_each_have_their_own_numbers() {
    let script = |name: &str| config::vip::Script {
        name: name.to_owned(),
        command: vec!["true".to_owned()],
        interval: Duration::from_secs(2),
        timeout: Duration::from_secs(2),
        fall: 1,
        rise: 1,
        weight: 0,
        starts_failed: false,
        reversed: false,
        user: None,
        group: None,
        secure: false,
    };
    let mut one = seat(121);
    one.vip.track_interfaces = vec!["eth8".to_owned()];
    one.vip.track_scripts = vec![script("a"), script("b")];
    let mut other = second();
    other.track_scripts = vec![script("c")];
    one.beside = vec![other, second()];
    assert_eq!([0, 1, 2].map(|member| one.facts_at(member)), [(0, 0), (2, 2), (3, 3)]);
    let mut facts = one.facts();
    (0..4).for_each(|interface| facts.carrier(interface, true));
    (0..3).for_each(|index| facts.script(index, true));
    let now = Time::ZERO;
    assert_eq!(facts.fault(now), None);
    for interface in 0..4 {
        facts.carrier(interface, false);
        assert_eq!(facts.objection(now), Some(FactCause::Carrier), "{interface}");
        facts.carrier(interface, true);
    }
    for index in 0..3 {
        facts.script(index, false);
        assert_eq!(facts.objection(now), Some(FactCause::Script), "{index}");
        facts.script(index, true);
    }
    assert_eq!(facts.fault(now), None);
}

#[test]
fn a_node_whose_file_has_them_apart_speaks_of_something_else() {
    let one = config(0).seats[0].group();
    let mut grouped = config(0);
    both(&mut grouped);
    assert_ne!(grouped.seats[0].group(), one);
    // Two of three files have them apart: whoever reads the new one is granted nothing, and none of them twice.
    let mut trio = Trio::of(|config| {
        if config.node == 0 {
            both(config);
        }
    });
    (0..3).for_each(|node| trio.inside(node, true));
    trio.comes_to(AWAKE + 300, Some(1));
    trio.restart_with(1, true, both);
    trio.inside(1, true);
    trio.run_for(600);
    assert_eq!(trio.holders().len(), 1);
    assert_ne!(trio.holders(), [2], "it is alone with its file");
}

#[test]
fn a_group_leaves_a_holder_that_is_silent_on_one_of_its_networks() {
    let mut trio = held();
    trio.mute(0, CLIENTS, true);
    trio.run_for(60);
    let next = trio.holders();
    assert!(next == [1] || next == [2], "{next:?}");
    trio.mute(0, CLIENTS, false);
    trio.run_for(200);
    assert_eq!(trio.holders(), next);
    // No reference point answers the holder on the second one: to a node that lacks none on either.
    let holder = next[0];
    let refer = |trio: &mut Trio, node: usize, network: u8, answers: bool| {
        trio.step(node, Input::Reference { network, answers: Some(answers) });
    };
    for node in 0..3 {
        [CLIENTS, INSIDE].iter().for_each(|network| refer(&mut trio, node, *network, true));
    }
    let third = 3 - holder;
    refer(&mut trio, third, CLIENTS, false);
    trio.run_for(300);
    refer(&mut trio, holder, INSIDE, false);
    trio.run_for(300);
    assert_eq!(trio.holders(), [0]);
}
