//! The demo's judgement has teeth: break one thing, and `kept` turns false for the reason that
//! belongs to it.

use lab::trial;

const OUTLAST: &str = env!("CARGO_BIN_EXE_outlast");

/// Runs a scenario with something broken; the promise must be broken in a way that contains `how`.
fn bites(test: &str, broken: &str, scenario: &str, how: &str) {
    let trial = trial::run(OUTLAST, &["--judge", "--break", broken, "--scenario", scenario]);
    if let Some(reason) = trial.forbidden() {
        return lab::skip::note(&format!("outlast::{test}"), reason);
    }
    let line = trial.line();
    assert!(line.requests > 0, "it did not run: {:?}", line.misses);
    assert_eq!(line.kept, Some(false), "{line:?}");
    assert!(line.misses.iter().any(|miss| miss.starts_with(how)), "{line:?}");
    assert!(!trial.success);
}

#[test]
fn a_missing_spare_is_noticed() {
    bites("a_missing_spare_is_noticed", "spare", "balancer-killed", "moves");
}

#[test]
fn a_missing_arp_burst_is_noticed() {
    bites("a_missing_arp_burst_is_noticed", "arp-burst", "graceful-stop", "outage");
}

#[test]
fn a_missing_redispatch_is_noticed() {
    bites("a_missing_redispatch_is_noticed", "redispatch", "server-killed", "failed");
}

#[test]
fn a_second_holder_is_noticed() {
    bites("a_second_holder_is_noticed", "second-holder", "agent-killed", "two holders");
}

#[test]
fn a_missing_successor_is_noticed() {
    bites("a_missing_successor_is_noticed", "successor", "graceful-stop", "outage");
}

#[test]
fn a_fail_back_is_noticed() {
    bites("a_fail_back_is_noticed", "fail-back", "database-node-killed", "database moves");
}
