//! The bench of virtual IPs in small: a fault and a heal of each kind of judgement, once, and facts alone. Its figures are the
//! business of `cargo xtask bench vip`.

use std::process::Command;

use lab::vip::Case;

const OUTLAST: &str = env!("CARGO_BIN_EXE_outlast");

/// Lines of the lab; none where namespaces are forbidden.
fn measured(test: &str, words: &[&str]) -> Option<Vec<Case>> {
    let _alone = lab::trial::alone();
    let output = Command::new(OUTLAST).args(["lab", "vip"]).args(words).output();
    let output = output.expect("the executable was built for this test");
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    );
    let forbidden = ["cannot make namespaces", "cannot mount /proc"];
    if forbidden.iter().any(|words| stderr.contains(words)) {
        lab::skip::note(&format!("outlast::{test}"), stderr.trim());
        return None;
    }
    assert!(output.status.success(), "{stdout}\n{stderr}");
    let case = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    Some(stdout.lines().map(case).collect())
}

/// Two nodes never answer; without rights nothing ends a vip lease in time but the process itself.
fn never_two(case: &Case) {
    if sys::rights::is_root() {
        assert_eq!((case.doubles, case.doubles_between), (0, 0), "{case:?}");
    }
}

#[test]
fn the_bench_of_virtual_ips_sees_a_stop_a_node_that_is_gone_and_returns_and_a_random_sequence() {
    let name = "the_bench_of_virtual_ips_sees_a_stop_a_node_that_is_gone_and_returns_and_a_random_sequence";
    let words = ["--faults", "stop,gone", "--sequences", "1", "--seed", "7"];
    let Some(cases) = measured(name, &words) else { return };
    cases.iter().for_each(never_two);
    // The last of each: a machine that stood still has it done again.
    let last = |fault: &str| {
        let case = cases.iter().rev().find(|case| case.fault.starts_with(fault));
        case.unwrap_or_else(|| panic!("no {fault} in {cases:?}"))
    };
    for fault in ["stop", "gone"] {
        let case = last(fault);
        assert!(case.held && case.requests > 0, "{case:?}");
        assert!(case.before.is_some() && case.after.is_some(), "{case:?}");
        assert!(case.arp_ms < 1000.0 && case.tcp_ms < 1000.0, "{case:?}");
    }
    // Who is gone cannot answer: for as long as its vip lease lasts nobody does.
    let gone = last("gone");
    assert!(gone.arp_ms > 5.0 && gone.tcp_ms > 5.0 && gone.request_ms > 5.0, "{gone:?}");
    let back = last("return");
    assert!(back.held && back.requests > back.failed, "{back:?}");
    assert_eq!(last("sequence").run, 7);
}
