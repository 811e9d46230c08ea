//! Scenario files in the simulator. The same files run on real processes in `crates/outlast/tests/cluster`.

use std::path::PathBuf;

use outlast_sim::scenarios::run;
use scenario::Scenario;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/scenarios")
}

#[test]
fn every_scenario_file_is_kept_in_the_simulator() {
    let mut files: Vec<_> =
        std::fs::read_dir(folder()).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 14, "{files:?}");
    for (seed, file) in (1..).zip(files) {
        let file_name = file.display();
        let scenario = Scenario::parse(&std::fs::read_to_string(&file).unwrap());
        let scenario = scenario.unwrap_or_else(|mistakes| panic!("{file_name}: {mistakes:?}"));
        let record =
            run(&scenario, seed).unwrap_or_else(|failure| panic!("{file_name}: {failure}"));
        let late: Vec<_> = record.kept.iter().filter(|kept| !kept.is_in_time()).collect();
        assert!(late.is_empty() && !record.kept.is_empty(), "{file_name}: {late:?}");
    }
}

/// What a file expects wrongly is told with its line: otherwise the judge would judge nothing.
#[test]
fn what_does_not_come_is_told_with_its_line() {
    let head = "nodes node01 node02 node03 node04 node05\nnetworks mgmt storage tenant\n";
    let rows = [
        (
            "at 0s power-off node05\nby +800ms others call node05 unreachable",
            "line 4, `by +800ms others call node05 unreachable`: node01 calls node05 alive",
        ),
        (
            "at 0s cut node04 storage\nby +1.3s only node04/tenant down",
            "line 4, `by +1.3s only node04/tenant down`: node01 does not hear node04 on storage",
        ),
        (
            "at 0s pause node02\nby +1.1s for 1s others call node02 suspect",
            "line 4, `by +1.1s for 1s others call node02 suspect`: node01 calls node02 unreachable",
        ),
        (
            "never anybody doubts node03\nat 0s link-down node03 *\nby +2s others call node03 unreachable",
            "line 3, `never anybody doubts node03`: node01 said of node03: Suspect",
        ),
        (
            "never two hold\nat 0s split node01,node02 mgmt\nby +9s for 5s one holds",
            "line 3, `never two hold`: node01 and node03 hold",
        ),
        (
            "at 0s join\nby +1s for 500ms one view",
            "line 4, `by +1s for 500ms one view`: everybody is called alive",
        ),
        ("at 0s stop node05\nby +2s all well", "line 4, `by +2s all well`: node05 does not run"),
        // The simulator's own properties are judged, too: its kernel keeps an address of killed processes.
        (
            "at 0s kill-node node01\nby +2s others call node01 unreachable",
            "line 3, `at 0s kill-node node01`: S9 vip: ctl1 holds without a process",
        ),
    ];
    for (lines, expected) in rows {
        let scenario = Scenario::parse(&format!("{head}{lines}\n")).unwrap();
        let told = run(&scenario, 1).unwrap_err().to_string();
        assert!(told.starts_with(expected), "{told}\n instead of\n{expected}");
    }
}
