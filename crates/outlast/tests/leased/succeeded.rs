//! Another vip process goes on in the place of the one before, twenty times, and nobody notices.

use super::*;

const TIMES: usize = 20;

fn pid(stage: &Stage, node: usize) -> i32 {
    stage.cluster.pid(node, Role::Vip).expect("it runs")
}

/// Another number of seconds each time.
fn with_other_detect(text: &str) -> String {
    let (two, three) = ("detect = \"2s\"", "detect = \"3s\"");
    if text.contains(two) { text.replace(two, three) } else { text.replace(three, two) }
}

#[test]
fn twenty_vip_processes_follow_each_other_on_a_holder_and_nobody_notices() {
    let name = "succeeded::twenty_vip_processes_follow_each_other_on_a_holder_and_nobody_notices";
    contained(name, || {
        let Some(mut stage) = Stage::new(name) else { return };
        stage.undisturbed(|stage, since| {
            let holder = stage.holds();
            let vip = stage.vip(holder).expect("it is asked");
            for time in 0..TIMES {
                let before = pid(stage, holder);
                stage.reloads(holder, with_other_detect);
                until("another process is in its place, or somebody stood still", || {
                    let told = stage.events(holder, "vip-succeeded", since).len() > time;
                    told && stage.cluster.pid(holder, Role::Vip).is_some_and(|pid| pid != before)
                        || stage.was_lost(since)
                });
                stage.stays(holder, "another vip process")?;
            }
            let gap = stage.prober.longest_gap(since);
            eprintln!("{TIMES} processes, the longest time without an answer: {gap:?}");
            let after = stage.vip(holder).expect("it is asked");
            let same = after.state.holding && after.state.term == vip.state.term;
            let moved = stage.events(holder, "vip-released", since).len();
            let two = "two moves where nobody stood still";
            if same && moved == 0 { Ok(()) } else { Err(two.to_owned()) }
        });
        // A voter that is followed keeps its promise: who holds goes on without a third one.
        stage.undisturbed(|stage, since| {
            let holder = stage.holds();
            let (voter, other) = ((holder + 1) % NODES, (holder + 2) % NODES);
            until("all grant it", || (0..NODES).all(|node| stage.votes(node)));
            stage.cluster.kill_all(other).expect("its processes can be killed");
            for _ in 0..3 {
                let before = pid(stage, voter);
                stage.reloads(voter, with_other_detect);
                until("another process is in its place, or somebody stood still", || {
                    stage.cluster.pid(voter, Role::Vip).is_some_and(|pid| pid != before)
                        || stage.was_lost(since)
                });
                stage.stays(holder, "another process of a voter")?;
            }
            stage.cluster.start(other).expect("it can be started");
            until("it grants what others ask for", || stage.votes(other));
            stage.stays(holder, "another process of a voter")
        });
        stage.never_two();
    });
}
