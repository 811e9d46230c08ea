//! The documents' own injector (`../shared/bench/vip.sh conform`): our column beside keepalived's.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use crate::have;
use crate::lonely::{OUTLAST, alone};

/// Cases in which we do something else, each with its reason. All others of version 2 are equal.
/// (Those of unicast, where an unlisted source is ignored by us, run in version 3 only there; the
/// test `inject` has them in version 2.)
const DEVIATIONS: [(&str, &str); 0] = [];
/// A router that is configured for version 3 is refused at the start, by name.
const REFUSED: &str = "version";

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
    let (theirs, ours) = thread::scope(|scope| {
        let theirs = scope.spawn(|| column("ka", None));
        let ours = scope.spawn(|| column("ou", Some(wrapper)));
        (theirs.join().expect("the injector runs"), ours.join().expect("the injector runs"))
    });
    let mut wrong = Vec::new();
    let mut judged = 0;
    for (case, (their_answer, _)) in &theirs {
        let (our_answer, said) = &ours[case];
        let router_speaks_3 =
            !case.contains("to v2 DUT") && (case.starts_with("v3 ") || case.contains("to v3 DUT"));
        let reason = DEVIATIONS.iter().find(|(name, _)| name == case).map(|(_, reason)| *reason);
        if router_speaks_3 {
            eprintln!("{case:58} {their_answer} not run");
            if !said.contains(REFUSED) {
                wrong.push(format!("{case}: version 3 is not refused: {said}"));
            }
            continue;
        }
        judged += 1;
        eprintln!("{case:58} {their_answer} {our_answer} {}", reason.unwrap_or_default());
        if (their_answer != our_answer) != reason.is_some() {
            wrong.push(format!("{case}: {their_answer}, ours {our_answer}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(judged, 6, "cases of version 2");
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
