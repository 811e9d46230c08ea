//! Whether somebody has the address already.

use super::*;

const MAC: Mac = [2, 0, 0, 0, 0, 9];
const IN_USE: Input<'static> = Input::InUse { mac: MAC };

/// When it asks until `ms`, in milliseconds.
fn asks(bench: &mut Bench, ms: u64) -> Vec<u128> {
    let mut asked = vec![];
    while bench.vip.deadline() <= at(ms) {
        let now = bench.vip.deadline();
        let mut out = Buffer::new();
        bench.vip.step(now, Input::Timeout, &mut out);
        assert!(bench.vip.deadline() > now);
        if out.iter().any(|action| *action == Action::Probe) {
            asked.push(now.since(Time::ZERO).as_millis());
        }
    }
    asked
}

#[test]
fn who_stands_for_an_address_that_nobody_holds_asks_twice_and_waits_no_longer() {
    let mut new = Bench { vip: Vip::new(config(), Time::ZERO), log: String::new() };
    let mut out = Buffer::new();
    new.vip.step(at(0), Input::Carrier { interface: 0, up: true }, &mut out);
    assert!(out.iter().any(|action| *action == Action::Probe), "at once");
    assert_eq!(asks(&mut new, 3413), [1707], "in the middle of the wait");
    assert!(!new.vip.holding() && new.vip.searches());
    assert_eq!(asks(&mut new, 9000), []);
    assert!(new.vip.holding() && !new.vip.searches());
}

#[test]
fn an_address_that_somebody_else_has_is_not_claimed_until_it_is_free_for_two_questions() {
    let mut bench = Bench::new(config());
    bench.tell(1710, IN_USE);
    bench.until(3415);
    assert_eq!(bench.vip.in_use_by(), Some(MAC));
    bench.check(expect![[r#"
        0.000s (Backup)
        3.414s (Fault: InUse)
    "#]]);
    // It asks each two seconds, and is answered twice.
    assert_eq!(asks(&mut bench, 5415), [5414]);
    bench.tell(5416, IN_USE);
    assert_eq!(asks(&mut bench, 7415), [7414]);
    bench.tell(7416, IN_USE);
    bench.until(12_415);
    assert_eq!(bench.vip.role(), Role::Fault);
    bench.until(16_000);
    bench.check(expect![[r#"
        12.416s (Backup)
        15.830s claim, announce, advertise 150, (Master: Silence)
        15.840s announce
        15.930s announce
    "#]]);
}

#[test]
fn who_follows_a_holder_asks_nobody_and_takes_over_whoever_answers() {
    // It is the holder who answers, or its kernel, when all of its processes are dead.
    for priority in [200, 100] {
        let mut greedy = config();
        greedy.vip.preempt = true;
        let mut bench = Bench::new(greedy);
        bench.tell(100, IN_USE);
        bench.advert(1000, FOREIGN, priority);
        assert!(!bench.vip.searches());
        bench.tell(1100, IN_USE);
        bench.until(5000);
        assert!(bench.vip.holding(), "{priority}: {}", bench.log);
    }
    // Named, or after a goodbye.
    let mut bench = Bench::new(config());
    bench.tell(100, IN_USE);
    bench.hello(200, 1, |hello| hello.term = 1);
    bench.named(300, 1, 0, 2);
    assert!(bench.vip.holding());
    let mut bench = Bench::new(config());
    bench.tell(100, IN_USE);
    bench.advert(1000, FOREIGN, 0);
    bench.until(1500);
    assert!(bench.vip.holding());
}

#[test]
fn a_router_of_the_group_that_is_heard_after_all_is_followed() {
    let mut bench = Bench::new(config());
    bench.tell(100, IN_USE);
    bench.until(3500);
    assert_eq!(bench.vip.cause(), Some(Cause::InUse));
    bench.advert(4000, FOREIGN, 200);
    assert_eq!((bench.vip.role(), bench.vip.in_use_by()), (Role::Backup, None));
    bench.advert(5000, FOREIGN, 200);
    bench.tell(5100, IN_USE);
    bench.until(8500);
    assert!(bench.vip.holding());
}

#[test]
fn a_holder_that_hears_of_another_one_keeps_the_address() {
    let mut bench = Bench::master(config());
    bench.tell(9100, IN_USE);
    bench.until(12_000);
    assert!(bench.vip.holding());
}
