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
