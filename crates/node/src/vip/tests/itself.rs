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
