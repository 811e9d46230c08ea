use std::time::Duration;

use super::*;

fn script(words: &[&str]) -> Script {
    Script {
        name: "alive".to_owned(),
        command: words.iter().map(|word| (*word).to_owned()).collect(),
        interval: Duration::from_secs(3600),
        timeout: Duration::from_secs(20),
        fall: 1,
        rise: 1,
        weight: 0,
        starts_failed: false,
        reversed: false,
        user: None,
        group: None,
        secure: false,
    }
}

fn scripts(script: Script) -> Scripts {
    let program = find(&script.command[0]);
    let user = user_of(script.user.as_deref(), script.group.as_deref(), "no-such-user");
    let (next_at, run) = (Time::ZERO, Run::None);
    Scripts { all: vec![Runner { instance: 3, index: 1, script, program, user, next_at, run }] }
}

/// Waits for the next result, or for the deadline of the scripts when `at` says what time it is.
fn result_of(scripts: &mut Scripts) -> bool {
    let poller = Poller::new().unwrap();
    let mut ready = Vec::new();
    let give_up = sys::clock::now() + Duration::from_secs(30);
    loop {
        let now = sys::clock::now();
        assert!(now < give_up, "no result in time");
        if let Some(outcome) = scripts.next_result(&poller, now) {
            assert_eq!((outcome.instance, outcome.index), (3, 1));
            return outcome.passed;
        }
        poller.wait(&mut ready, Some(scripts.deadline().since(now))).unwrap();
    }
}

#[test]
fn only_code_zero_is_good() {
    assert!(result_of(&mut scripts(script(&["/bin/true"]))));
    assert!(!result_of(&mut scripts(script(&["/bin/false"]))));
    assert!(!result_of(&mut scripts(script(&["/no/such/program"]))));
}

#[test]
fn a_name_without_a_folder_is_looked_up() {
    assert!(result_of(&mut scripts(script(&["sh", "-c", "exit 0"]))));
    assert!(!result_of(&mut scripts(script(&["no-such-program-anywhere"]))));
}

#[test]
fn a_script_that_hangs_fails_at_its_timeout_and_dies_with_its_children() {
    let short = Duration::from_millis(50);
    let hanging = script(&["/bin/sh", "-c", "sleep 1000 & sleep 1000"]);
    let mut scripts = scripts(Script { timeout: short, interval: short, ..hanging });
    assert!(!result_of(&mut scripts));
    let Run::Dying { child, .. } = &scripts.all[0].run else { panic!("not told to die") };
    // Fails as soon as no member of the group is left, once the leader is reaped.
    let exit = child.wait().unwrap();
    assert_eq!(exit, sys::process::Exit::Signal(SIGKILL));
    // The next run begins and hangs again.
    assert!(!result_of(&mut scripts));
}

#[test]
fn a_script_that_does_not_die_fails_once_per_interval_and_gets_no_second_beside_it() {
    let interval = Duration::from_secs(10);
    let hanging = script(&["/bin/sleep", "1000"]);
    let mut scripts = scripts(Script { interval, ..hanging });
    let poller = Poller::new().unwrap();
    let start = Time::ZERO + interval;
    assert_eq!(scripts.next_result(&poller, start), None);
    let Run::Running { child, .. } = std::mem::replace(&mut scripts.all[0].run, Run::None) else {
        panic!("not started")
    };
    // As one in the kernel's hands: told to die, and it does not.
    let (pid, killed) = (child.pid(), start + interval);
    scripts.all[0].run = Run::Dying { child, fails_at: killed + interval };
    let mut failed = |at: Time| {
        let passed = scripts.next_result(&poller, at).map(|outcome| outcome.passed);
        let Run::Dying { child, .. } = &scripts.all[0].run else { panic!("another one runs") };
        assert_eq!(child.pid(), pid);
        passed == Some(false)
    };
    assert!(!failed(killed), "counted when it was killed");
    assert!(failed(killed + interval));
    assert!(!failed(killed + interval));
    assert!(!failed(killed + interval * 3 / 2));
    assert!(failed(killed + interval * 2));
    let Run::Dying { child, .. } = &scripts.all[0].run else { panic!("another one runs") };
    child.signal_group(SIGKILL).unwrap();
    child.wait().unwrap();
    let gone = killed + interval * 5 / 2;
    assert_eq!(scripts.next_result(&poller, gone), None);
    assert!(scripts.deadline() <= gone, "the run that is due does not wait");
    assert_eq!(scripts.next_result(&poller, gone), None);
    assert!(matches!(scripts.all[0].run, Run::Running { .. }));
    scripts.kill();
}

#[test]
fn a_script_of_an_unknown_user_does_not_run_as_root() {
    let user = Some("nobody-of-that-name".to_owned());
    assert!(!result_of(&mut scripts(Script { user, ..script(&["/bin/true"]) })));
}

#[test]
fn a_script_without_a_user_runs_as_the_default_one_if_that_exists() {
    let (uid, gid) = sys::rights::user("nobody").unwrap();
    let nobody = if sys::rights::is_root() { User::Other { uid, gid } } else { User::Own };
    assert_eq!(user_of(None, None, "nobody"), nobody);
    assert_eq!(user_of(None, None, "nobody-of-that-name"), User::Own);
    assert_eq!(user_of(Some("root"), None, "nobody"), User::Own);
}
