//! Version 3: hundredths of seconds, learned from who holds.

use super::*;

const PSEUDO: Protocol = Protocol::V3 { sends: Checksum::Pseudo };

/// As [`config`] in version 3 with this interval (milliseconds).
fn third(interval: u64) -> Config {
    let mut third = config();
    third.vip.protocol = PSEUDO;
    third.vip.password = None;
    third.vip.advert_interval = Duration::from_millis(interval);
    third
}

/// Nobody but routers of others.
fn alone(interval: u64) -> Config {
    Config { peers: vec![], ..third(interval) }
}

fn advert(priority: u8, interval: u64) -> Advert<'static> {
    let interval = Duration::from_millis(interval);
    Advert { protocol: PSEUDO, interval, password: None, ..super::advert(priority) }
}

impl Bench {
    /// An advert of version 3 with an interval (milliseconds).
    fn third(&mut self, ms: u64, priority: u8, interval: u64) {
        self.tell(ms, Input::Advert { source: FOREIGN, advert: advert(priority, interval) });
    }
}

#[test]
fn a_node_that_starts_waits_by_its_own_interval() {
    let mut bench = Bench::new(alone(10));
    bench.until(80);
    // Three intervals and 106/256 of one.
    bench.check(expect![[r#"
        0.000s (Backup)
        0.034s claim, announce, advertise 150, (Master: Silence)
        0.044s announce, advertise 150
        0.054s advertise 150
        0.064s advertise 150
        0.074s advertise 150
    "#]]);
}

#[test]
fn a_backup_waits_by_the_interval_of_whom_it_obeys_and_holds_by_its_own() {
    let mut bench = Bench::new(alone(100));
    bench.third(200, 200, 1000);
    // Three of its seconds and 106/256 of one; then every 100 ms.
    bench.until(3900);
    bench.check(expect![[r#"
        0.000s (Backup)
        3.614s claim, announce, advertise 150, (Master: Silence)
        3.624s announce
        3.714s announce, advertise 150
        3.814s advertise 150
    "#]]);
    // Out of the race and back, it has heard nobody.
    bench.tell(3900, Input::Carrier { interface: 0, up: false });
    bench.tell(4000, Input::Carrier { interface: 0, up: true });
    assert_eq!(bench.vip.master_down(), Duration::from_micros(341_406) + Duration::from_nanos(250));
}

#[test]
fn a_holder_that_gives_way_waits_by_the_interval_of_the_winner() {
    let mut bench = Bench::new(alone(100));
    bench.until(400);
    bench.third(410, 200, 500);
    bench.third(900, 200, 40);
    bench.until(1100);
    bench.check(expect![[r#"
        0.000s (Backup)
        0.341s claim, announce, advertise 150, (Master: Silence)
        0.351s announce
        0.410s release, advertise 150, (Backup: Stronger)
        1.036s claim, announce, advertise 150, (Master: Silence)
        1.046s announce
    "#]]);
}

#[test]
fn of_a_weaker_holder_that_may_be_preempted_nothing_is_learned() {
    let mut preempts = alone(100);
    preempts.vip.preempt = true;
    let mut bench = Bench::new(preempts);
    bench.third(200, 100, 5000);
    bench.until(345);
    assert!(bench.vip.holding(), "{}", bench.log);
}

#[test]
fn a_goodbye_leaves_a_part_of_an_interval() {
    let mut bench = Bench::new(alone(100));
    bench.third(100, 200, 100);
    bench.third(200, 0, 100);
    bench.until(245);
    bench.check(expect![[r#"
        0.000s (Backup)
        0.241s claim, announce, advertise 150, (Master: Goodbye)
    "#]]);
}

#[test]
fn adverts_of_version_2_are_counted_and_do_not_count() {
    let mut bench = Bench::new(alone(1000));
    let second = Advert { password: None, ..super::advert(200) };
    bench.tell(3000, Input::Advert { source: FOREIGN, advert: second });
    bench.until(3500);
    assert!(bench.vip.holding());
    assert_eq!((bench.vip.counters().version, bench.vip.counters().obeyed), (1, 0));
    let message = Advert { protocol: Protocol::V3 { sends: Checksum::Message }, ..advert(200, 10) };
    bench.tell(3600, Input::Advert { source: FOREIGN, advert: message });
    assert!(!bench.vip.holding(), "either checksum will do");
}

#[test]
fn unicast_from_a_router_that_is_not_listed_is_ignored() {
    let mut unicast = alone(100);
    unicast.vip.unicast_peers = vec![NODE02];
    let mut bench = Bench::new(unicast);
    bench.third(300, 200, 100);
    assert_eq!((bench.vip.counters().source, bench.vip.counters().obeyed), (1, 0));
}

/// A flood of weaker masters would put off its next advert for ever if each did.
#[test]
fn a_holder_speaks_in_every_interval_however_many_it_has_to_answer() {
    let mut bench = Bench::new(alone(10));
    bench.until(100);
    bench.log.clear();
    for ms in 100..200 {
        bench.third(ms, 1, 10);
    }
    let spoke = bench.log.matches("advertise 150").count();
    assert!((10..=20).contains(&spoke), "{spoke} adverts in 100 ms: {}", bench.log);
}

#[test]
fn who_was_not_named_waits_no_longer_than_for_silence() {
    let mut bench = Bench::new(third(10));
    bench.hello(5, 1, |_| {});
    bench.hello(5, 2, |_| {});
    bench.tell(10, Input::Advert { source: NODE02, advert: advert(200, 10) });
    bench.named(12, 1, 2, 1);
    bench.until(70);
    bench.check(expect![[r#"
        0.000s (Backup)
        0.005s (Backup)
        0.012s (Backup)
        0.047s claim, announce, advertise 150, (Master: Goodbye)
        0.057s announce, advertise 150
        0.067s advertise 150
    "#]]);
}

#[test]
fn a_holder_that_stood_still_for_as_long_as_others_wait_drops_the_address() {
    let mut bench = Bench::new(alone(10));
    bench.until(100);
    bench.log.clear();
    bench.step(at(130), Input::Timeout);
    bench.check(expect![[r#"
        0.130s release, advertise 0, (Backup: Stalled)
    "#]]);
}
