//! What an operator asks for.

use super::*;

#[test]
fn a_planned_move_names_the_node_that_was_asked_for() {
    let mut bench = Bench::master(config());
    // node 1 is stronger and would be named; node 2 was asked for.
    bench.hello(9050, 1, |_| {});
    bench.hello(9050, 2, |_| {});
    bench.log.clear();
    bench.tell(9100, Input::MoveTo { node: 2 });
    bench.check(expect![[r#"
        9.100s release, advertise 0, hand over to 2 in term 2, (Backup: Moved)
    "#]]);
    assert!(!bench.vip.holding());
    bench.hello(9110, 2, |hello| (hello.role, hello.term) = (Role::Master, 2));
    bench.advert(9110, NODE03, 100);
    bench.until(12_000);
    assert_eq!(bench.vip.role(), Role::Backup, "it does not take it back");
}

#[test]
fn nobody_is_moved_to_a_node_that_could_not_hold() {
    for spoil in [(|hello: &mut Hello| hello.eligible = false) as fn(&mut Hello), |hello| {
        hello.role = Role::Fault;
    }] {
        let mut bench = Bench::master(config());
        bench.hello(9050, 1, spoil);
        bench.hello(9050, 2, |_| {});
        bench.log.clear();
        bench.tell(9100, Input::MoveTo { node: 1 });
        bench.check(expect![[""]]);
        assert!(bench.vip.holding());
    }
    let mut bench = Bench::master(config());
    bench.tell(9100, Input::MoveTo { node: 2 });
    assert!(bench.vip.holding(), "it was never heard");
}

#[test]
fn an_address_that_the_named_node_does_not_take_comes_back() {
    let mut bench = Bench::master(config());
    bench.hello(9050, 2, |_| {});
    bench.tell(9100, Input::MoveTo { node: 2 });
    bench.log.clear();
    bench.until(11_000);
    bench.check(expect![[r#"
        9.514s claim, announce, advertise 150, (Master: Goodbye)
        9.524s announce
        9.614s announce
        10.264s (Master: Goodbye)
        10.514s announce, advertise 150
    "#]]);
}

#[test]
fn a_node_on_standby_hands_over_holds_nothing_and_is_named_by_nobody() {
    let mut bench = Bench::master(config());
    bench.hello(9050, 1, |_| {});
    bench.log.clear();
    bench.tell(9100, Input::Standby(true));
    bench.check(expect![[r#"
        9.100s release, advertise 0, hand over to 1 in term 2, (Fault: Standby)
    "#]]);
    assert_eq!((bench.vip.role(), bench.vip.cause()), (Role::Fault, Some(Cause::Standby)));
    // Named all the same, by one that did not hear: it does not claim.
    bench.named(9200, 1, 0, 9);
    bench.until(20_000);
    assert_eq!(bench.vip.role(), Role::Fault);
    bench.log.clear();
    bench.tell(20_100, Input::Standby(false));
    bench.check(expect![[r#"
        20.100s (Backup)
    "#]]);
    assert_eq!(bench.vip.role(), Role::Backup, "back on duty it takes nothing back");
}

#[test]
fn who_is_proven_dead_hands_over_claims_nothing_and_is_named_by_nobody_until_that_is_taken_back() {
    let mut bench = Bench::master(config());
    bench.hello(9050, 1, |_| {});
    bench.log.clear();
    bench.tell(9100, Input::Proven { node: bench.vip.config.node, dead: true });
    bench.check(expect![[r#"
        9.100s release, advertise 0, hand over to 1 in term 2, (Fault: ProvenDead)
    "#]]);
    assert_eq!((bench.vip.role(), bench.vip.cause()), (Role::Fault, Some(Cause::ProvenDead)));
    // Named by one that did not hear of it, and alone: it does not claim.
    bench.named(9200, 1, 0, 9);
    bench.until(20_000);
    assert_eq!(bench.vip.role(), Role::Fault);
    bench.tell(20_100, Input::Proven { node: bench.vip.config.node, dead: false });
    assert_eq!(bench.vip.role(), Role::Backup);
}

#[test]
fn a_peer_that_is_proven_dead_is_no_successor_no_target_of_a_move_and_takes_nothing_back() {
    let mut bench = Bench::master(config());
    bench.hello(9050, 2, |_| {});
    assert_eq!(bench.vip.successor(), Some(2));
    bench.tell(9060, Input::Proven { node: 2, dead: true });
    assert_eq!(bench.vip.successor(), None);
    bench.hello(9070, 2, |hello| hello.priority = 250);
    bench.tell(9100, Input::MoveTo { node: 2 });
    assert_eq!(bench.vip.role(), Role::Master);
    bench.hello(9200, 2, |_| {});
    bench.tell(9210, Input::Proven { node: 2, dead: false });
    assert_eq!(bench.vip.successor(), Some(2));
}

#[test]
fn what_is_told_before_the_first_carrier_counts() {
    let mut vip = Vip::new(config(), Time::ZERO);
    let mut out = Buffer::new();
    vip.step(Time::ZERO, Input::Standby(true), &mut out);
    vip.step(Time::ZERO, Input::Carrier { interface: 0, up: true }, &mut out);
    assert_eq!((vip.role(), vip.cause()), (Role::Fault, Some(Cause::Standby)));
}

#[test]
fn who_has_no_network_yet_is_out_of_the_race_and_takes_part_once_it_has_one() {
    let nowhere = Config {
        vip: config::vip::Vip { interface: String::new(), ..vip(121) },
        source: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        network: None,
        ..config()
    };
    let mut bench = Bench { vip: Vip::new(nowhere, Time::ZERO), log: String::new() };
    bench.tell(0, Input::Timeout);
    bench.check(expect![[r#"
        0.000s (Fault: NoNetwork)
    "#]]);
    assert_eq!(bench.vip.objection(at(0)), Some(Cause::NoNetwork), "that is known, and told");
    bench.hello(100, 1, |_| {});
    bench.named(200, 1, 0, 9);
    bench.until(9000);
    assert_eq!(bench.vip.role(), Role::Fault, "who is named all the same does not claim");
    bench.log.clear();
    bench.tell(9100, Input::Network { source: ME, network: Some(MANAGEMENT) });
    bench.tell(9200, Input::Carrier { interface: 0, up: true });
    bench.check(expect![[r#"
        9.100s (Fault: Carrier)
        9.200s (Backup)
    "#]]);
    bench.until(20_000);
    assert!(bench.vip.holding());
    // Where it is known nothing changes it any more.
    bench.tell(20_100, Input::Network { source: FOREIGN, network: None });
    let config = &bench.vip.config;
    assert_eq!((config.source, config.network), (ME, Some(MANAGEMENT)));
    assert!(bench.vip.holding());
}
