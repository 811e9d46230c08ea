//! The store says who votes: a controller that is lost leaves the list of voters, and the machine that takes its place comes as
//! another one, while the address stays.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Output, Stdio};

use api::{VoterList, VotersInUse};

use super::*;

/// By which list of the store a node goes, once nothing that it granted under another one counts any more.
fn list(stage: &Stage, node: usize) -> Option<VoterList> {
    let voters = stage.cluster.status(node)?.vip_process?.voters.filter(|voters| voters.settled)?;
    match voters.in_use {
        VotersInUse::List(list) => Some(list),
        VotersInUse::Unread | VotersInUse::ByFile(_) => None,
    }
}

/// All go by the list of this number; waits for it.
fn agreed(stage: &Stage, number: u32) -> VoterList {
    let mut found = None;
    until(&format!("all go by list {number}"), || {
        let all: Option<Vec<_>> = (0..NODES).map(|node| list(stage, node)).collect();
        found = all.filter(|all| all.iter().all(|list| *list == all[0] && list.list == number));
        found.is_some()
    });
    found.expect("it was waited for").remove(0)
}

fn folder(stage: &Stage, node: usize, name: &str) -> PathBuf {
    Path::new(FOLDER).join(stage.cluster.name(node)).join(name)
}

/// Typed on the node that signs.
fn replace(stage: &Stage, lost: usize) -> Output {
    let mut command = Command::new(OUTLAST);
    command.args(["node", "replace", stage.cluster.name(lost), "--i-know-it-is-off"]);
    command.arg("--trust-dir").arg(folder(stage, 0, "trust"));
    command.arg("--config").arg(folder(stage, 0, "outlast.toml"));
    command.arg("--run-dir").arg(folder(stage, 0, "run"));
    command.output().expect("the tool runs")
}

/// What that printed is typed on the new machine.
fn join(stage: &Stage, printed: &str, new: usize) {
    let mut lines = printed.lines().skip_while(|line| !line.contains("outlast join - "));
    let words = lines.next().expect("a command").split_whitespace().skip(1);
    let words: Vec<&str> = words.take_while(|word| *word != "--files").collect();
    let token = lines.nth(1).expect("a token in a line of its own").trim();
    let trust = folder(stage, new, "trust");
    until("the new machine joins", || {
        let joins = stage.cluster.within(new, || {
            let mut join = Command::new(OUTLAST);
            join.args(&words).arg("--trust-dir").arg(&trust).stdin(Stdio::piped());
            let mut join = join.spawn().expect("the tool runs");
            let typed = writeln!(join.stdin.take().expect("its input"), "{token}");
            join.wait().expect("it ends").success() && typed.is_ok()
        });
        joins == Some(true)
    });
}

#[test]
fn a_controller_that_is_replaced_is_another_voter_and_the_address_stays() {
    let name = "voters::a_controller_that_is_replaced_is_another_voter_and_the_address_stays";
    contained(name, || {
        let Some(mut stage) = Stage::laid_out(name, &format!("{LINES}[store]\n")) else { return };
        let first = agreed(&stage, 1);
        let (holder, since) = (stage.holds(), sys::clock::now());
        // The first one signs.
        let lost = (1..NODES).find(|node| *node != holder).expect("there are three");
        stage.cluster.kill_all(lost).expect("its processes can be killed");
        for gone in ["state", "run", "trust"] {
            std::fs::remove_dir_all(folder(&stage, lost, gone)).expect("it is there");
        }
        let mut printed = String::new();
        until("nobody hears it, and it is replaced", || {
            let output = replace(&stage, lost);
            printed = String::from_utf8_lossy(&output.stdout).into_owned();
            output.status.success()
        });
        join(&stage, &printed, lost);
        stage.cluster.start(lost).expect("it can be started");
        let third = agreed(&stage, 3);
        let voter = |list: &VoterList| {
            let is_it = |voter: &&api::Voter| voter.node == stage.cluster.name(lost);
            list.voters.iter().find(is_it).expect("it votes").joined_ms
        };
        assert!(voter(&first) > 0 && voter(&third) > voter(&first), "{first:?} {third:?}");
        assert_eq!((third.voters.len(), third.store), (NODES, first.store));
        if !stage.was_lost(since) {
            stage.stays(holder, "while the list of voters changed").expect("nobody stood still");
        }
        stage.never_two();
        until("it grants what others ask for", || stage.votes(lost));
        let changed = (0..NODES).flat_map(|node| stage.events(node, "voters-changed", since));
        assert_eq!(changed.count(), 2, "one left, one came");
        for words in [&["status"][..], &["why", "vip/internal"]] {
            let told = stage.types(0, words);
            assert!(told.contains("voters by list 3 of store"), "{told}");
        }
    });
}
