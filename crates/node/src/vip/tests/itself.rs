//! What the process says about itself.

use api::VipProcess;

use super::leased::with_gate;
use super::*;

/// The last of what was told so far.
fn told(supervisor: &Channel) -> Option<VipProcess> {
    let (mut bytes, mut last) = (vec![0; MAX_MESSAGE], None);
    while let Ok(length @ 1..) = supervisor.receive(&mut bytes, &mut Vec::new()) {
        if let Ok(Report::VipProcess(told)) = api::decode(&bytes[..length]) {
            last = Some(told);
        }
    }
    last
}

#[test]
fn how_late_the_process_is_is_measured_and_told() {
    const STALL: Duration = Duration::from_millis(60);
    with_gate("itself", "how_late_the_process_is_is_measured_and_told", |mut stage, supervisor| {
        let waits = |driver: &Driver<'_>| driver.process.lateness.waits();
        stage.run_until("things were due", |driver| waits(driver) > 20);
        let before = stage.driver.process.lateness.longest();
        // Nobody runs it for that long: its beats are due each 10 ms.
        std::thread::sleep(STALL);
        let most = STALL - Duration::from_millis(10);
        stage.run_until("it was late", |driver| driver.process.lateness.longest() >= most);
        eprintln!("before {before:?}, then {:?}", stage.driver.process.lateness.longest());

        let mut last = None;
        let end = sys::clock::now() + PATIENCE;
        while last.as_ref().is_none_or(|told: &VipProcess| told.late.max_us < 50_000) {
            assert!(sys::clock::now() < end, "it is not told: {last:?}");
            let before = waits(&stage.driver);
            stage.run_until("more was due", |driver| waits(driver) > before);
            last = told(supervisor).or(last);
        }
        let late = last.unwrap().late;
        let steps: u64 = late.steps.iter().map(|step| step.waits).sum();
        assert_eq!(late.waits, steps, "{late:?}");
        assert!(late.steps.is_sorted_by_key(|step| step.upto_us.unwrap_or(u64::MAX)), "{late:?}");
        let quantiles = [late.p50_us, late.p99_us, late.p999_us, late.max_us];
        assert!(quantiles.is_sorted() && late.p50_us > 0, "{late:?}");
    });
}

#[test]
fn beats_claims_and_releases_ask_for_no_memory() {
    let test = "beats_claims_and_releases_ask_for_no_memory";
    with_gate("itself", test, |mut stage, supervisor| {
        let holds = |driver: &Driver<'_>| driver.instances.iter().all(|it| it.held);
        // The kernel tells what this process did when it started.
        let started = |driver: &Driver<'_>| driver.process.lateness.waits() > 2;
        stage.run_until("it runs", started);
        let asked = stage.count_until("it holds both", holds);
        assert_eq!(asked, 0, "from the first beat to the first claim");
        // What it says of itself comes each second.
        let end = sys::clock::now() + Duration::from_millis(2500);
        let asked = stage.count_until("it goes on", |_| sys::clock::now() > end);
        assert_eq!(asked, 0, "while it holds");
        for round in 0..2 {
            let gives = || stage.driver.step_all(Input::Standby(true));
            let asked = sys::counted::during(gives).1;
            assert_eq!(asked, 0, "it gives them up, round {round}");
            let gone = |driver: &Driver<'_>| driver.instances.iter().all(|it| !it.held);
            assert_eq!(stage.count_until("it holds none", gone), 0);
            stage.driver.step_all(Input::Standby(false));
            let asked = stage.count_until("it holds both again", holds);
            assert_eq!(asked, 0, "it takes them, round {round}");
        }
        let netlink = Netlink::open().unwrap();
        let index = netlink.link("eth0").unwrap().unwrap().index;
        for round in 0..2 {
            netlink.set_up(index, false).unwrap();
            let gone = |driver: &Driver<'_>| driver.instances.iter().all(|it| !it.held);
            let asked = stage.count_until("the device is gone", gone);
            assert_eq!(asked, 0, "the device goes, round {round}");
            netlink.set_up(index, true).unwrap();
            let asked = stage.count_until("it holds both again", holds);
            assert_eq!(asked, 0, "the device comes, round {round}");
        }
        let (asked, before) = {
            let mut bytes = Vec::new();
            api::encode(&api::Order::Ping(7), &mut bytes);
            supervisor.send(&bytes, &[]).unwrap();
            let before = stage.driver.process.lateness.waits();
            let more = |driver: &Driver<'_>| driver.process.lateness.waits() > before + 5;
            (stage.count_until("it is asked", more), before)
        };
        assert!(before > 0);
        assert_eq!(asked, 0, "a question of the supervisor");
    });
}
