//! Where the kernel takes no program that ends vip leases: the nodes hold all the same, and say so. What is held ends by the
//! vip process alone, and by its supervisor when that dies.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::*;

const WHY: &str = "this process may not load programs into the kernel (CAP_BPF, CAP_NET_ADMIN)";

/// The program without the rights that the kernel wants for it, as a unit file with too few of them starts it.
fn bare() -> PathBuf {
    let path = Path::new("/run/bare");
    let text = format!(
        "#!/bin/sh\nexec setpriv --bounding-set=-bpf,-perfmon,-sys_admin '{OUTLAST}' \"$@\"\n"
    );
    fs::write(path, text).expect("a file system of the test's own");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a mode can be set");
    path.to_owned()
}

#[test]
fn where_the_kernel_takes_no_gate_it_is_told_and_a_vip_process_that_dies_makes_no_two_holders() {
    let name = "bare::where_the_kernel_takes_no_gate_it_is_told_and_a_vip_process_that_dies_makes_no_two_holders";
    contained(name, || {
        let mut stage = Stage::started(LINES, &bare(), |_| {});
        assert_eq!(stage.not_enforced().as_deref(), Some(WHY));
        is_told(&stage);
        let alone = (0..TRIES).any(|_| lose_the_vip_process(&stage));
        assert!(alone, "each time two answered");
        freeze_the_vip_process(&stage);
        lose_all(&mut stage);
    });
}

/// By each node, of itself, and nothing stands on its device.
fn is_told(stage: &Stage) {
    stage.holds();
    for node in 0..NODES {
        assert_eq!(stage.cluster.within(node, gated), Some(false));
        for (words, part) in [
            (&["status"][..], "its vip lease is not enforced"),
            (&["why", "vip/internal"], "the vip lease is not enforced on this node"),
        ] {
            let told = stage.types(node, words);
            assert!(told.contains(&format!("{part}: {WHY}")), "{told}");
        }
        until("it is told", || {
            let told = stage.events(node, "vip-unenforced", Time::ZERO);
            told.iter().any(|event| event.evidence.contains(WHY))
        });
    }
}

/// A holder that all grant it, for longer than a vip process that begins is silent: what is told of the one before may be old.
fn granted(stage: &Stage) -> (usize, Time) {
    let mut since = sys::clock::now();
    until("all grant it for a while", || {
        if !(0..NODES).all(|node| stage.votes(node)) {
            since = sys::clock::now();
        }
        sys::clock::now().since(since) > LONG
    });
    (stage.holds(), sys::clock::now())
}

/// When its supervisor had told that it took off what a vip process left.
fn rescued(stage: &Stage, node: usize, since: Time) -> Time {
    let mut found = None;
    until("it is told that the address was taken off", || {
        let heard = stage.cluster.heard().into_iter();
        let mut heard = heard.filter(|heard| heard.node == node && heard.at >= since);
        found = heard.find(|heard| heard.event.what == "vip-rescued").map(|heard| heard.at);
        found.is_some()
    });
    found.expect("it was found")
}

/// From the first to the last question that two answered since then; none after the supervisor took it off.
fn both(stage: &Stage, since: Time, rescued: Time) -> Option<Duration> {
    until("one answers alone", || stage.holder().is_some());
    let two: Vec<Time> = stage.prober.doubles().into_iter().filter(|at| *at >= since).collect();
    assert!(two.iter().all(|at| *at <= rescued), "two answer though the address was taken off");
    two.first().zip(two.last()).map(|(first, last)| last.since(*first))
}

/// Its supervisor is told by the kernel, and takes the address off before the others may hold it; whether it did in time.
fn lose_the_vip_process(stage: &Stage) -> bool {
    let (holder, since) = granted(stage);
    kill(stage.cluster.pid(holder, Role::Vip).expect("it runs"), "KILL");
    let (_, took) = stage.followed(holder, since);
    says("without a gate, the vip process of the holder killed", took);
    let both = both(stage, since, rescued(stage, holder, since));
    eprintln!("two answered for {both:?}");
    both.is_none()
}

/// Two may answer until its supervisor kills it.
fn freeze_the_vip_process(stage: &Stage) {
    let (holder, since) = granted(stage);
    kill(stage.cluster.pid(holder, Role::Vip).expect("it runs"), "STOP");
    let (_, took) = stage.followed(holder, since);
    says("without a gate, the vip process of the holder frozen", took);
    let rescued = rescued(stage, holder, since);
    let both = both(stage, since, rescued);
    eprintln!("killed after {:?} at most, two answered for {both:?}", rescued.since(since));
    assert!(rescued.since(since) < SOON);
}

/// Nobody is left who could take it off: its kernel answers beside the next holder, until the next start.
fn lose_all(stage: &mut Stage) {
    let (holder, since) = granted(stage);
    stage.cluster.kill_all(holder).expect("its processes can be killed");
    stage.followed(holder, since);
    until("two answer", || stage.prober.doubles().iter().any(|at| *at >= since));
    stage.cluster.start(holder).expect("it can be started");
    until("its start takes the address off", || stage.has(holder) == Some(false));
    let off = sys::clock::now();
    until("one answers alone", || stage.holder().is_some());
    assert!(stage.prober.doubles().iter().all(|at| *at <= off));
}
