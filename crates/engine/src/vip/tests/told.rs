//! What is obeyed all the same, and told.

use super::*;

const PSEUDO: Protocol = Protocol::V3 { sends: Checksum::Pseudo };

#[test]
fn a_router_of_others_in_a_group_of_our_nodes_is_counted_once_it_stays_none_of_them() {
    let foreign = |bench: &Bench| bench.vip.counters().foreign;
    let mut bench = Bench::new(config());
    // Within a second a hello could still say that it is the address of a node of ours.
    for ms in [1000, 2000] {
        bench.advert(ms, FOREIGN, 200);
        assert_eq!(foreign(&bench), 0, "after {ms} ms");
    }
    bench.advert(2001, FOREIGN, 200);
    assert_eq!(foreign(&bench), 1);
    // Ours, by the cluster file.
    bench.advert(2500, NODE02, 200);
    bench.advert(4000, NODE02, 200);
    assert_eq!(foreign(&bench), 1);
    // Its address is known by its hello alone, as over IPv6.
    let mut bench = Bench::new(config());
    bench.advert(1000, FOREIGN, 200);
    bench.hello(1200, 1, |hello| hello.source = FOREIGN);
    bench.advert(3000, FOREIGN, 200);
    assert_eq!(foreign(&bench), 0);
    // Without nodes of our own nobody is foreign.
    let mut bench = Bench::new(Config { peers: vec![], ..config() });
    (1..9).for_each(|second| bench.advert(second * 1000, FOREIGN, 200));
    assert_eq!(foreign(&bench), 0);
}

#[test]
fn in_version_3_another_interval_is_obeyed_and_counted() {
    let mut third = config();
    (third.vip.protocol, third.vip.password) = (PSEUDO, None);
    let mut bench = Bench::new(third);
    for (ms, interval) in [(500, 1000), (1000, 200), (1500, 200)] {
        let interval = Duration::from_millis(interval);
        let advert = Advert { protocol: PSEUDO, interval, password: None, ..advert(200) };
        bench.tell(ms, Input::Advert { source: FOREIGN, advert });
    }
    let counters = bench.vip.counters();
    assert_eq!((counters.obeyed, counters.other_interval, counters.interval), (3, 2, 0));
}

/// Node 1 says four times a second, over this network, that it holds; its adverts come each second until `until`.
fn holder(network: u8, adverts_until: u64) -> u64 {
    let mut bench = Bench::new(config());
    for ms in (250..9000).step_by(250) {
        if ms % 1000 == 0 && ms <= adverts_until {
            bench.advert(ms, NODE02, 150);
        }
        let hello = Hello {
            group: bench.vip.group(),
            node: 1,
            source: NODE02,
            priority: 150,
            role: Role::Master,
            eligible: true,
            term: 1,
            life: LIFE,
        };
        bench.tell(ms, Input::Hello { network, hello });
    }
    assert_eq!(bench.vip.holding(), network == STORAGE && adverts_until == 0);
    bench.vip.counters().unheard
}

#[test]
fn a_holder_whose_adverts_do_not_come_where_its_hellos_do_is_counted() {
    let rows = [
        (MANAGEMENT, 9000, 0),
        // From three intervals after its first hello on: at 3.5 s, and each 250 ms.
        (MANAGEMENT, 0, 22),
        // From three intervals after its last advert on.
        (MANAGEMENT, 4000, 7),
        // On another network nobody waits for adverts.
        (STORAGE, 0, 0),
    ];
    for (network, adverts_until, unheard) in rows {
        assert_eq!(holder(network, adverts_until), unheard, "{network}, until {adverts_until}");
    }
}

#[test]
fn a_holder_outdoes_weaker_routers_that_speak_and_nobody_who_let_go_or_is_stronger() {
    let outdoes = |bench: &Bench, ms, source, priority| bench.vip.outdoes(at(ms), source, priority);
    let mut bench = Bench::new(config());
    assert!(!outdoes(&bench, 0, FOREIGN, 100), "it does not hold");
    bench.until(9000);
    for (source, priority, expected) in
        [(FOREIGN, 100, true), (FOREIGN, 0, false), (FOREIGN, 150, false), (FOREIGN, 200, false)]
    {
        assert_eq!(outdoes(&bench, 9000, source, priority), expected, "{source} {priority}");
    }
    // What was still on its way of the node that named this one.
    let mut bench = Bench::new(config());
    bench.advert(500, NODE02, 100);
    bench.hello(600, 1, |hello| (hello.role, hello.priority) = (Role::Master, 100));
    bench.named(1000, 1, 0, 1);
    assert!(bench.vip.holding());
    assert!(!outdoes(&bench, 1100, NODE02, 100) && outdoes(&bench, 1100, NODE03, 100));
    assert!(outdoes(&bench, 1300, NODE02, 100), "it holds again");
}

/// A group of our nodes that goes from version 2 to version 3 node by node: adverts of the other version are refused, and
/// sealed messages are obeyed in their place.
#[test]
fn nodes_of_two_versions_of_vrrp_follow_the_one_that_holds() {
    let mut third = config();
    (third.vip.protocol, third.vip.password) = (PSEUDO, None);
    for config in [config(), third] {
        let is_third = config.vip.protocol == PSEUDO;
        let mut bench = Bench::new(config);
        for ms in (250..9000).step_by(250) {
            let other = match is_third {
                true => advert(150),
                false => Advert { protocol: PSEUDO, password: None, ..advert(150) },
            };
            if ms % 1000 == 0 {
                bench.tell(ms, Input::Advert { source: NODE02, advert: other });
            }
            let group = bench.vip.group();
            let (role, eligible) = (Role::Master, true);
            let hello = Hello {
                group,
                node: 1,
                source: NODE02,
                priority: 150,
                role,
                eligible,
                term: 1,
                life: LIFE,
            };
            bench.tell(ms, Input::Hello { network: MANAGEMENT, hello });
            assert!(!bench.vip.holding(), "after {ms} ms, version 3: {is_third}");
        }
        assert_eq!((bench.vip.counters().obeyed, bench.vip.counters().version), (0, 8));
        // One that is gone is followed by an election, as ever.
        bench.until(15_000);
        assert!(bench.vip.holding());
    }
}
