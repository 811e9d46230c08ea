//! `preempt_delay`.

use super::*;

/// Takes the address from a weaker holder after so many milliseconds.
fn patient(delay: u64) -> Config {
    let mut patient = config();
    (patient.vip.preempt, patient.vip.preempt_delay) = (true, Duration::from_millis(delay));
    patient
}

/// When it claims, if adverts with these priorities come each second, from 1 s on.
fn claims(priorities: &[u8]) -> Option<Time> {
    let mut bench = Bench::new(patient(5000));
    for (second, priority) in (1..).zip(priorities) {
        bench.advert(second * 1000, FOREIGN, *priority);
        if bench.vip.holding() {
            break;
        }
    }
    let line = bench.log.lines().find(|line| line.contains("claim"))?;
    let (seconds, millis) = line.split_once("s ")?.0.split_once('.')?;
    Some(at(seconds.parse::<u64>().ok()? * 1000 + millis.parse::<u64>().ok()?))
}

#[test]
fn a_weaker_holder_of_others_is_left_in_peace_for_the_delay_and_deposed_by_its_adverts_alone() {
    let (weak, strong) = (100, 200);
    let rows: [(&[u8], Option<Time>); 6] = [
        // The delay is over at 6 s, the last advert that was obeyed came at 5 s: as keepalived, a whole wait after it.
        (&[weak; 12], Some(at(8414))),
        (&[strong; 12], None),
        // A stronger one in between: the delay begins anew, at 4 s.
        (
            &[weak, weak, strong, weak, weak, weak, weak, weak, weak, weak, weak, weak],
            Some(at(11_414)),
        ),
        // It is silent: nobody waits for the delay.
        (&[weak, weak, weak], None),
        // It says goodbye: 0.414 s.
        (&[weak, weak, 0, 0], Some(at(3414))),
        // The first weaker one comes late.
        (&[strong, strong, strong, strong, weak, weak, weak, weak, weak], None),
    ];
    for (priorities, expected) in rows {
        assert_eq!(claims(priorities), expected, "{priorities:?}");
    }
    let mut bench = Bench::new(patient(5000));
    bench.advert(1000, FOREIGN, weak);
    bench.until(4500);
    assert!(bench.vip.holding(), "silence is silence");
    // It fell back: counted from anew.
    bench.advert(4600, FOREIGN, strong);
    bench.log.clear();
    (5..14).for_each(|second| bench.advert(second * 1000, FOREIGN, weak));
    bench.check(expect![[r#"
        12.414s claim, announce, advertise 150, (Master: Silence)
        12.424s announce
        12.514s announce
        13.000s advertise 150, announce
    "#]]);
}

#[test]
fn a_holder_gives_the_address_to_a_stronger_node_that_was_ready_for_the_delay() {
    let mut bench = Bench::master(patient(2000));
    let mut say = |ms: u64, node: u16, priority: u8, eligible: bool| {
        let mut hello = Hello {
            group: bench.vip.group(),
            node,
            source: if node == 1 { NODE02 } else { NODE03 },
            priority,
            role: Role::Backup,
            eligible,
            term: 0,
            life: LIFE,
        };
        hello.eligible = eligible;
        // It is said on all networks, and counts on that of the address.
        for network in [STORAGE, MANAGEMENT, STORAGE] {
            bench.tell(ms, Input::Hello { network, hello });
        }
        bench.vip.holding()
    };
    (10_000..11_800).step_by(250).for_each(|ms| assert!(say(ms, 1, 200, true)));
    // A check of it failed for a moment.
    assert!(say(11_800, 1, 200, false));
    (11_900..13_900).step_by(250).for_each(|ms| assert!(say(ms, 1, 200, true)));
    // One that is stronger still, and came just now, is not named before its time.
    assert!(say(13_895, 2, 220, true));
    assert!(!say(13_901, 1, 200, true));
    let line = bench.log.lines().find(|line| line.contains("release"));
    let expected = "13.901s release, advertise 0, hand over to 1 in term 2, (Backup: Stronger)";
    assert_eq!(line, Some(expected));
}

#[test]
fn of_two_stronger_nodes_the_second_waits_until_the_first_is_silent() {
    let mut bench = Bench::master(patient(2000));
    let hello = |bench: &Bench, node: u16| Hello {
        group: bench.vip.group(),
        node,
        source: if node == 1 { NODE02 } else { NODE03 },
        priority: 200,
        role: Role::Backup,
        eligible: true,
        term: 0,
        life: LIFE,
    };
    let mut moved = None;
    for ms in (10_000..20_000).step_by(250) {
        for node in [1, 2] {
            if (node == 2 || ms < 11_000) && moved.is_none() {
                let hello = hello(&bench, node);
                bench.tell(ms, Input::Hello { network: MANAGEMENT, hello });
                moved = (!bench.vip.holding()).then_some((ms, bench.vip.term()));
            }
        }
    }
    // The last word of the first came at 10.75 s, a second later the other one counts.
    assert_eq!(moved, Some((14_000, 2)));
}

#[test]
fn a_holder_is_gone_after_as_many_adverts_as_the_file_says() {
    for (adverts, expected) in [(1, 2414), (3, 4414), (10, 11_414)] {
        let mut counted = config();
        counted.vip.down_timer_adverts = adverts;
        let mut bench = Bench::new(counted);
        bench.advert(1000, FOREIGN, 200);
        bench.until(expected - 1);
        assert!(!bench.vip.holding(), "{adverts}");
        bench.until(expected + 1);
        assert!(bench.vip.holding(), "{adverts}");
        // A holder that is late by less than others wait goes on.
        bench.step(at(expected + 1400), Input::Timeout);
        assert!(bench.vip.holding(), "{adverts}");
        bench.step(at(expected + 2500 + u64::from(adverts) * 1000), Input::Timeout);
        assert!(!bench.vip.holding(), "{adverts}: it stood still for so long that others hold");
    }
}

#[test]
fn who_ignores_its_own_interface_holds_without_a_carrier() {
    let mut blind = config();
    blind.vip.ignores_interface = true;
    blind.vip.track_interfaces = vec!["eth1".to_owned()];
    let mut bench = Bench { vip: Vip::new(blind, Time::ZERO), log: String::new() };
    bench.tell(0, Input::NoDevice { interface: 0 });
    bench.tell(0, Input::Carrier { interface: 1, up: true });
    bench.until(9000);
    bench.tell(9000, Input::Carrier { interface: 0, up: false });
    assert!(bench.vip.holding());
    bench.tell(9100, Input::Carrier { interface: 1, up: false });
    assert_eq!(bench.vip.cause(), Some(Cause::Carrier));
}
