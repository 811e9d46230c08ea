//! The documents' own injector (`../shared/bench/vip.sh conform`): our column beside keepalived's.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use crate::differences::{ANOTHER_LIST, Difference, MESSAGE_ALONE, NOT_LISTED};
use crate::have;
use crate::lonely::{OUTLAST, alone};

/// Cases in which we do something else, as in those of our own. All others are equal.
static DEVIATIONS: [(&str, &Difference); 4] = [
    ("v3 ip4 message-only checksum (RFC9568)", &MESSAGE_ALONE),
    ("v3 different VIP list (superset)", &ANOTHER_LIST),
    ("v3 different VIP", &ANOTHER_LIST),
    ("v3 unicast DUT, advert from unlisted source", &NOT_LISTED),
];

/// keepalived 2.2 takes 0 for its own interval, and holds and lets go 30 times in 3 s: what it does at the moment of the
/// question is luck. We ignore it.
const LUCK: &str = "v3 interval 0 (RFC9568 erratum: MUST reject)";

/// A router has 1.6 s to start and to hold; on a loaded machine that may be too short for either.
const ATTEMPTS: usize = 3;

#[test]
fn the_documents_injector_finds_keepaliveds_answers() {
    let name = "conform::the_documents_injector_finds_keepaliveds_answers";
    let test = "the_documents_injector_finds_keepaliveds_answers";
    if script().is_none() {
        lab::skip::note(&format!("outlast::{test}"), "there is no shared folder with bench/vip.sh");
        return;
    }
    let scapy = Path::new("/usr/lib/python3/dist-packages/scapy").is_dir();
    if !scapy {
        lab::skip::note(&format!("outlast::{test}"), "python3-scapy is not installed");
    } else if have(test, &["keepalived", "gcc", "haproxy", "socat"]) {
        let _alone = lab::trial::alone();
        alone(name, compare);
    }
}

fn script() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let folder = std::env::var_os("OUTLAST_SHARED").map_or(beside, PathBuf::from);
    Some(folder.join("bench/vip.sh")).filter(|script| script.is_file())
}

/// What the injector printed: `accepted` or `REJECTED`, and what the program said.
type Column = BTreeMap<String, (String, String)>;

fn compare() {
    let wrapper = Path::new("/run/conform/bin/keepalived");
    fs::create_dir_all("/run/conform/bin").expect("a folder of the test");
    // The injector reads `word: text` in every line of the log; our messages have several lines.
    let text = format!(
        "#!/bin/bash\nexec -a keepalived {OUTLAST} \"$@\" 2> >(exec sed -u 's/^/outlast: /' >&2)\n"
    );
    fs::write(wrapper, text).expect("a file of the test");
    fs::set_permissions(wrapper, fs::Permissions::from_mode(0o755)).expect("a mode can be set");
    let mut wrong = Vec::new();
    for _ in 0..ATTEMPTS {
        let (theirs, ours) = thread::scope(|scope| {
            let theirs = scope.spawn(|| column("ka", None));
            let ours = scope.spawn(|| column("ou", Some(wrapper)));
            (theirs.join().expect("the injector runs"), ours.join().expect("the injector runs"))
        });
        assert_eq!((theirs.len(), ours.len()), (26, 26), "cases");
        wrong = differences(&theirs, &ours);
        if wrong.is_empty() {
            return;
        }
    }
    panic!("{wrong:#?}");
}

/// Cases in which the answers are not as expected.
fn differences(theirs: &Column, ours: &Column) -> Vec<String> {
    let mut wrong = Vec::new();
    for (case, (their_answer, they_said)) in theirs {
        let (our_answer, we_said) = &ours[case];
        let wanted = DEVIATIONS.iter().find(|(name, _)| name == case);
        let reason = wanted.map(|(_, difference)| difference.reason);
        eprintln!("{case:58} {their_answer} {our_answer} {}", reason.unwrap_or_default());
        let is_as_expected = match case.as_str() {
            LUCK => our_answer == "REJECTED",
            _ => (their_answer != our_answer) == reason.is_some(),
        };
        if !is_as_expected {
            wrong.push(format!(
                "{case}: {their_answer} ({they_said}), ours {our_answer} ({we_said})"
            ));
        }
    }
    wrong
}

fn column(prefix: &str, program: Option<&Path>) -> Column {
    let base = format!("/run/conform/{prefix}");
    let script = script().expect("it was there a moment ago");
    let mut command = Command::new(script);
    command.arg(&base).arg("conform").args(program).env("P", prefix).stdin(Stdio::null());
    let output = command.output().expect("the injector runs");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the injector failed: {complaints}");
    let read = |line: &str| {
        let at = ["REJECTED", "accepted"].iter().find_map(|word| line.find(word))?;
        let (case, rest) = line.split_at(at);
        let (answer, said) = rest.split_once(' ').unwrap_or((rest, ""));
        Some((case.trim().to_owned(), (answer.to_owned(), said.trim().to_owned())))
    };
    String::from_utf8_lossy(&output.stdout).lines().filter_map(read).collect()
}
