//! `vrrp_startup_delay`.

use super::*;

fn delayed(priority: u8) -> Config {
    let mut delayed = Config { starts_at: at(5000), peers: vec![], ..config() };
    delayed.vip.priority = priority;
    delayed
}

#[test]
fn until_the_delay_is_over_nobody_is_missed_and_then_for_as_long_as_ever() {
    let mut bench = Bench::new(delayed(150));
    bench.until(8413);
    assert!(!bench.vip.holding());
    bench.until(8415);
    assert!(bench.vip.holding(), "5 s, and 3.4141 s of silence");
    // The owner of the address waits for nothing else.
    let mut bench = Bench::new(delayed(255));
    bench.until(4999);
    assert!(!bench.vip.holding());
    bench.until(5000);
    assert!(bench.vip.holding());
}

#[test]
fn a_holder_that_is_heard_and_falls_silent_within_the_delay_is_missed_when_it_is_over() {
    let mut bench = Bench::new(delayed(150));
    bench.advert(1000, FOREIGN, 200);
    bench.until(8413);
    assert!(!bench.vip.holding());
    bench.until(8415);
    assert!(bench.vip.holding());
    // Whoever says goodbye is not waited for.
    let mut bench = Bench::new(delayed(150));
    bench.advert(1000, FOREIGN, 200);
    bench.advert(2000, FOREIGN, 0);
    bench.until(2500);
    assert!(bench.vip.holding());
    // Later ones are missed as ever.
    let mut bench = Bench::new(delayed(150));
    bench.advert(6000, FOREIGN, 200);
    bench.until(9413);
    assert!(!bench.vip.holding());
    bench.until(9415);
    assert!(bench.vip.holding());
}
