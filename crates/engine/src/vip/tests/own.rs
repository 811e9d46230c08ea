//! Between our own nodes.

use super::*;

#[test]
fn a_holder_without_a_successor_only_says_goodbye() {
    let mut bench = Bench::master(config());
    bench.tell(9100, Input::Stop);
    bench.check(expect![[r#"
        9.100s release, advertise 0, (Fault: Stopping)
    "#]]);
    assert_eq!(bench.vip.deadline(), Time::NEVER);
    bench.advert(9200, FOREIGN, 0);
    bench.named(9300, 1, 0, 99);
    bench.check(expect![""]);
}

#[test]
fn a_holder_releases_then_says_goodbye_then_names() {
    for (input, cause) in [
        (Input::Stop, Cause::Stopping),
        (Input::Carrier { interface: 0, up: false }, Cause::Carrier),
        (Input::Refused, Cause::Refused),
    ] {
        let mut bench = Bench::master(config());
        bench.hello(9050, 1, |_| {});
        bench.log.clear();
        bench.tell(9100, input);
        assert_eq!(
            bench.log,
            format!("9.100s release, advertise 0, hand over to 1 in term 2, (Fault: {cause:?})\n")
        );
    }
}

#[test]
fn the_successor_is_the_strongest_that_could_hold_and_spoke_lately() {
    let mut bench = Bench::master(config());
    assert_eq!(bench.vip.successor(), None);
    bench.hello(9000, 2, |_| {});
    assert_eq!(bench.vip.successor(), Some(2));
    bench.hello(9000, 1, |_| {});
    assert_eq!(bench.vip.successor(), Some(1));
    bench.hello(9100, 1, |hello| hello.eligible = false);
    assert_eq!(bench.vip.successor(), Some(2));
    bench.hello(9200, 1, |hello| hello.priority = 100);
    assert_eq!(bench.vip.successor(), Some(2), "equal priorities: the higher address");
    bench.tell(9300, Input::PeerLost { node: 2 });
    assert_eq!(bench.vip.successor(), Some(1));
    bench.until(10_500);
    assert_eq!(bench.vip.successor(), None, "silent for a second");
}

#[test]
fn the_named_node_claims_at_once_and_once() {
    let mut bench = Bench::new(config());
    bench.hello(100, 1, |hello| hello.term = 7);
    bench.advert(100, NODE02, 200);
    bench.log.clear();
    bench.named(500, 1, 0, 8);
    bench.named(500, 1, 0, 8);
    bench.check(expect![[r#"
        0.500s claim, announce, advertise 150, (Master: Named)
    "#]]);
    assert_eq!(bench.vip.term(), 8);
}

#[test]
fn an_overtaken_hand_over_is_ignored() {
    let mut bench = Bench::new(config());
    bench.hello(100, 2, |hello| hello.term = 8);
    bench.named(500, 1, 0, 8);
    assert_eq!(bench.vip.role(), Role::Backup);
}

/// Found by the simulator (seeds 211 and 403): a recorded message was news to a process without a past.
#[test]
fn a_hand_over_to_the_process_before_is_obeyed_by_nobody() {
    let recorded = |bench: &Bench, to, to_life| {
        Input::HandOver(HandOver { group: bench.vip.group(), from: 1, to, term: 9, to_life })
    };
    let mut young = Bench::new(config());
    young.tell(10, recorded(&young, 0, LIFE - 1));
    assert_eq!((young.vip.role(), young.vip.term()), (Role::Backup, 0));
    young.tell(20, recorded(&young, 0, LIFE));
    assert_eq!((young.vip.role(), young.vip.term()), (Role::Master, 9));

    // Those who are not named know the process by its last hello, also when it was lost since.
    for (life, waits) in [(LIFE - 1, false), (LIFE, true), (LIFE + 1, false)] {
        let mut other = Bench::new(config());
        other.advert(1000, NODE02, 200);
        other.tell(1100, recorded(&other, 2, LIFE));
        assert_eq!(other.vip.term(), 0, "node 2 was never heard");
        other.hello(1200, 2, |hello| hello.life = life);
        other.tell(1300, Input::PeerLost { node: 2 });
        other.tell(1400, recorded(&other, 2, LIFE));
        let (term, refused) = if waits { (9, 1) } else { (0, 2) };
        assert_eq!((other.vip.term(), other.vip.counters().outlived), (term, refused), "{life}");
        other.until(2400);
        assert_eq!(other.vip.holding(), waits, "the named one has a grace, then all stand: {life}");
    }
}

#[test]
fn a_hand_over_names_the_process_that_was_heard_last() {
    let mut bench = Bench::master(config());
    bench.hello(9050, 1, |hello| hello.life = 6);
    bench.hello(9060, 1, |hello| hello.life = 7);
    assert_eq!((bench.vip.successor(), bench.vip.successor_life()), (Some(1), Some(7)));
    let mut out = Buffer::new();
    bench.vip.step(at(9100), Input::Stop, &mut out);
    let named = out.iter().find_map(|action| match action {
        Action::HandOver(message) => Some((message.to, message.to_life)),
        Action::Claim
        | Action::Release
        | Action::Announce
        | Action::Advertise { .. }
        | Action::Hello(_)
        | Action::Probe
        | Action::Report => None,
    });
    assert_eq!(named, Some((1, 7)));
}

#[test]
fn a_named_node_that_may_not_hold_does_not() {
    let mut bench = Bench::new(config());
    bench.tell(100, Input::Carrier { interface: 0, up: false });
    bench.named(500, 1, 0, 8);
    bench.until(9000);
    assert_eq!(bench.vip.role(), Role::Fault);
}

#[test]
fn the_others_wait_for_the_named_one_and_then_stand() {
    let mut bench = Bench::new(config());
    bench.advert(1000, NODE02, 200);
    bench.hello(1000, 2, |_| {});
    bench.named(1500, 1, 2, 2);
    bench.advert(1501, NODE02, 0);
    bench.log.clear();
    bench.until(1915);
    bench.check(expect![[r#"
        1.914s claim, announce, advertise 150, (Master: Goodbye)
    "#]]);

    // A short skew does not make the wait shorter than what the named one may need.
    let mut strong = config();
    strong.vip.priority = 250;
    let mut bench = Bench::new(strong);
    bench.hello(1000, 2, |_| {});
    bench.named(1500, 1, 2, 2);
    bench.advert(1501, NODE02, 0);
    bench.until(1705);
    assert_eq!(bench.vip.role(), Role::Backup);
    bench.until(1706);
    assert_eq!(bench.vip.role(), Role::Master);
}

#[test]
fn the_last_adverts_of_the_old_holder_do_not_depose_its_heir() {
    let mut bench = Bench::new(config());
    bench.named(500, 1, 0, 2);
    bench.advert(501, NODE02, 200);
    assert!(bench.vip.holding(), "sent before the hand-over, read after it");
    bench.advert(502, NODE03, 200);
    assert!(!bench.vip.holding(), "from another node it is a rival");

    let mut bench = Bench::new(config());
    bench.named(500, 1, 0, 2);
    bench.advert(700, NODE02, 200);
    assert!(!bench.vip.holding(), "later it is a rival");
}

#[test]
fn a_hello_of_the_holder_is_as_good_as_an_advert_on_the_network_of_the_address() {
    for (network, role) in [(MANAGEMENT, Role::Backup), (STORAGE, Role::Master)] {
        let mut bench = Bench::new(config());
        let hello = Hello {
            group: bench.vip.group(),
            node: 1,
            source: NODE02,
            priority: 200,
            role: Role::Master,
            eligible: true,
            term: 1,
            life: LIFE,
        };
        bench.until(2900);
        bench.tell(3000, Input::Hello { network, hello });
        bench.until(4000);
        assert_eq!(bench.vip.role(), role, "heard on network {network}");
    }
}

#[test]
fn a_hello_from_before_the_hand_over_speaks_for_nobody() {
    let mut bench = Bench::new(config());
    bench.named(500, 1, 0, 2);
    let hello = Hello {
        group: bench.vip.group(),
        node: 1,
        source: NODE02,
        priority: 200,
        role: Role::Master,
        eligible: true,
        term: 1,
        life: LIFE,
    };
    bench.tell(900, Input::Hello { network: MANAGEMENT, hello });
    assert!(bench.vip.holding());
}

#[test]
fn preempt_between_our_nodes_is_a_planned_move() {
    let mut greedy = config();
    greedy.vip.preempt = true;
    let mut bench = Bench::master(greedy);
    bench.hello(9500, 2, |_| {});
    bench.check(expect![[r#"
        9.414s advertise 150
        9.500s (Master: Silence)
    "#]]);
    let mut stronger = None;
    bench.hello(9550, 1, |hello| {
        hello.priority = 200;
        stronger = Some(*hello);
    });
    assert!(bench.vip.holding(), "it may be cut off from the network of the address");
    bench.log.clear();
    let hello = stronger.unwrap();
    bench.tell(9600, Input::Hello { network: MANAGEMENT, hello });
    bench.until(10_013);
    bench.check(expect![[r#"
        9.600s announce, release, advertise 0, hand over to 1 in term 2, (Backup: Stronger)
    "#]]);
    bench.until(10_015);
    bench.check(expect![[r#"
        10.014s claim, announce, advertise 150, (Master: Goodbye)
    "#]]);
    bench.tell(10_500, Input::Hello { network: MANAGEMENT, hello });
    assert!(bench.vip.holding(), "a peer that does not claim may not make the address flap");
}

#[test]
fn messages_of_strangers_are_counted_and_do_not_count() {
    let mut bench = Bench::new(config());
    bench.named(100, 9, 0, 5);
    bench.hello(100, 9, |hello| hello.term = 5);
    bench.hello(100, 1, |hello| hello.group.router_id = 7);
    assert_eq!(bench.vip.role(), Role::Backup);
    assert_eq!((bench.vip.counters().strangers, bench.vip.term()), (3, 0));
}

#[test]
fn without_own_nodes_nothing_but_vrrp_is_sent() {
    let mut bench = Bench::new(Config { peers: vec![], network: None, ..config() });
    let mut out = Buffer::new();
    for ms in (0..9000).step_by(10) {
        bench.vip.step(at(ms), Input::Timeout, &mut out);
        for action in out.drain() {
            assert!(!matches!(action, Action::Hello(_) | Action::HandOver(_)), "{action:?}");
        }
    }
}

#[test]
fn hellos_go_out_four_times_a_second_and_at_each_change() {
    let mut bench = Bench::new(config());
    let mut hellos = vec![];
    let mut out = Buffer::new();
    for ms in (0..4000).step_by(2) {
        bench.vip.step(at(ms), Input::Timeout, &mut out);
        for action in out.drain() {
            if let Action::Hello(hello) = action {
                hellos.push((ms, hello.role));
            }
        }
    }
    assert_eq!(hellos.len(), 13 + 3);
    assert_eq!(hellos[13], (3416, Role::Master));
}

#[test]
fn a_backup_that_did_not_run_trusts_neither_its_timer_nor_old_messages() {
    let mut bench = Bench::new(config());
    bench.advert(1000, NODE02, 200);
    bench.log.clear();
    bench.step(at(9000), Input::Timeout);
    bench.named(9000, 1, 0, 2);
    bench.until(10_500);
    bench.check(expect![[r#"
        9.000s (Backup)
        9.414s claim, announce, advertise 150, (Master: Goodbye)
        9.424s announce
        9.514s announce
        10.414s announce, advertise 150
    "#]]);

    let mut bench = Bench::new(config());
    bench.advert(1000, NODE02, 200);
    bench.log.clear();
    bench.step(at(9000), Input::Timeout);
    bench.until(10_500);
    bench.check(expect![[r#"
        10.414s claim, announce, advertise 150, (Master: Silence)
        10.424s announce
    "#]]);
}

/// Found by the simulator: the other holder let go while it was cut off, and its clients stayed
/// with it.
#[test]
fn when_a_peer_comes_back_the_holder_tells_clients_where_the_address_is() {
    let mut bench = Bench::master(config());
    bench.until(9500);
    let mut hello = None;
    bench.hello(9500, 1, |sent| hello = Some(*sent));
    bench.log.clear();
    let hello = hello.unwrap();
    for ms in [9600, 9850, 10_100] {
        bench.tell(ms, Input::Hello { network: MANAGEMENT, hello });
    }
    bench.tell(12_000, Input::Hello { network: STORAGE, hello });
    bench.tell(12_100, Input::Hello { network: MANAGEMENT, hello });
    let announced: Vec<_> = bench.log.lines().filter(|line| line.contains("announce")).collect();
    let begun = |second: &str| announced.iter().any(|line| line.starts_with(second));
    assert!(begun("9.600s") && begun("12.100s"), "{announced:#?}");
    assert!(!begun("9.850s") && !begun("10.100s") && !begun("12.000s"), "{announced:#?}");
}

#[test]
fn a_winner_greets_at_once_for_a_rival_that_multicast_does_not_reach() {
    let mut bench = Bench::master(config());
    let mut out = Buffer::new();
    bench.vip.step(at(9010), Input::Timeout, &mut out);
    out.clear();
    let rival = Input::Advert { source: NODE02, advert: advert(100) };
    bench.vip.step(at(9020), rival, &mut out);
    assert!(out.iter().any(|action| matches!(action, Action::Hello(_))), "{out:?}");
}

#[test]
fn a_holder_is_not_deposed_by_a_node_that_cannot_hear_it_until_it_says_goodbye() {
    let mut bench = Bench::new(config());
    bench.advert(1000, NODE02, 200);
    bench.named(1100, 2, 0, 5);
    assert!(!bench.vip.holding(), "node 1 holds, whatever node 2 says");
    bench.advert(1200, NODE02, 0);
    bench.named(1300, 2, 0, 6);
    assert!(bench.vip.holding());
}

/// Found beside keepalived: a weaker one of theirs, which hears adverts only, was sooner.
#[test]
fn hellos_do_not_make_a_backup_wait_longer_than_adverts_do() {
    let after_an_advert = |hellos: &[u64], until| {
        let mut bench = Bench::new(config());
        bench.advert(1000, NODE02, 200);
        for ms in hellos {
            let (group, node, source) = (bench.vip.group(), 1, NODE02);
            let (priority, role, eligible, term) = (200, Role::Master, true, 0);
            let hello = Hello { group, node, source, priority, role, eligible, term, life: LIFE };
            bench.tell(*ms, Input::Hello { network: MANAGEMENT, hello });
        }
        bench.until(until);
        bench.vip.holding()
    };
    // Three adverts and the skew after the last advert.
    assert!(!after_an_advert(&[1250, 1500, 1750, 1990], 4413));
    assert!(after_an_advert(&[1250, 1500, 1750, 1990], 4415));
    let hellos: Vec<u64> = (1250..20_000).step_by(250).collect();
    assert!(!after_an_advert(&hellos, 20_000), "hellos alone keep a holder known");
}
