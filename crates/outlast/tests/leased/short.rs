//! Beats of 2 ms: used where all vip processes are in time for them, and refused with the figure where one of them is not.

use api::Beats;

use super::*;

const WANTED_US: u64 = 2000;
/// It stands still for so long, so often.
const STILL: Duration = Duration::from_millis(12);
const RUNS: Duration = Duration::from_millis(40);

fn beats(stage: &Stage, node: usize) -> Option<Beats> {
    stage.cluster.status(node)?.vip_process?.beats
}

/// What all say, once each knows how late it is and all say the same.
fn agreed(stage: &Stage) -> Option<Vec<Beats>> {
    let all: Option<Vec<Beats>> = (0..NODES).map(|node| beats(stage, node)).collect();
    let all = all?;
    let slowest = all.iter().map(|beats| beats.wish_us).max()?;
    let same = |beats: &Beats| beats.beat_us == slowest && beats.lease_us == slowest * 7 / 2;
    (all.iter().all(|beats| beats.late_us.is_some()) && all.iter().all(same)).then_some(all)
}

/// Five times the lateness in whole milliseconds; at least what the file says, at most what is usual.
fn least_us(late_us: u64) -> u64 {
    (late_us * 5).div_ceil(1000).clamp(2, 10) * 1000
}

#[test]
fn beats_of_2_ms_are_used_where_all_are_in_time_and_refused_with_the_figure_where_one_is_not() {
    let name = "short::beats_of_2_ms_are_used_where_all_are_in_time_and_refused_with_the_figure_where_one_is_not";
    contained(name, || {
        let Some(mut stage) = Stage::with(name, "vip_beat = \"2ms\"\n") else { return };
        let mut all = vec![];
        // A thousand times that it was due alone: whom beats of others wake just before has them in half a minute.
        until("two know how late they are", || {
            let know = |node: &usize| beats(&stage, *node).is_some_and(|it| it.late_us.is_some());
            (0..NODES).filter(know).count() >= 2
        });
        until("all know how late they are, and beat alike", || {
            all = agreed(&stage).unwrap_or_default();
            !all.is_empty()
        });
        for beats in &all {
            let late = beats.late_us.expect("it is known");
            assert_eq!(beats.wanted_us, WANTED_US);
            // It is never shorter again within ten seconds, though it may be less late by now.
            assert!(beats.wish_us >= least_us(late), "{all:?}");
            assert_eq!(beats.refused().is_some(), beats.beat_us > WANTED_US, "{all:?}");
        }
        eprintln!("beats each {} us: {all:?}", all[0].beat_us);

        stage.undisturbed(|stage, since| {
            let first = stage.holds();
            stage.cluster.kill_all(first).expect("its processes can be killed");
            let (second, took) = stage.followed(first, since);
            says("with short beats, all processes of the holder killed", took);
            stage.cluster.start(first).expect("it can be started");
            until("it grants what others ask for", || stage.votes(first));
            stage.stays(second, "who comes back takes nothing")
        });
        stand_still(&mut stage);
        stage.never_two();
    });
}

/// One that stands still again and again, and holds nothing.
fn stand_still(stage: &mut Stage) {
    let slow = (stage.holds() + 1) % NODES;
    let vip = stage.cluster.pid(slow, Role::Vip).expect("it runs");
    let since = sys::clock::now();
    let mut next = since;
    until("it is told that it is late", || {
        let now = sys::clock::now();
        if now >= next {
            kill(vip, "STOP");
            std::thread::sleep(STILL);
            kill(vip, "CONT");
            next = sys::clock::now() + RUNS;
        }
        beats(stage, slow).is_some_and(|beats| beats.late_us.is_some() && beats.wish_us == 10_000)
    });
    until("all beat as it can", || agreed(stage).is_some_and(|all| all[0].beat_us == 10_000));
    let told = stage.events(slow, "vip-beats-refused", Time::ZERO);
    let evidence = told.last().map(|event| event.evidence.clone()).unwrap_or_default();
    assert!(evidence.contains("late once in a thousand times"), "{evidence}");
    let why = stage.types(slow, &["why", "vip/internal"]);
    assert!(why.contains("beats come each 10") && why.contains("and not each 2"), "{why}");
    let status = stage.types(slow, &["status"]);
    assert!(status.contains("and not each 2"), "{status}");
}
