//! The store says who votes: a controller that is lost leaves the list of voters, and the machine that takes its place comes as
//! another one, while the address stays.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Output, Stdio};

use api::{VoterList, VotersInUse};

use super::succeeded::replace as pass_on;
use super::*;

#[path = "restored.rs"]
mod restored;

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

/// All that was on that machine is lost, and another one is to take its place; what is printed of that.
fn lose(stage: &mut Stage, lost: usize) -> String {
    stage.cluster.kill_all(lost).expect("its processes can be killed");
    for gone in ["state", "run", "trust"] {
        std::fs::remove_dir_all(folder(stage, lost, gone)).expect("it is there");
    }
    let mut printed = String::new();
    until("nobody hears it, and it is replaced", || {
        let output = replace(stage, lost);
        printed = String::from_utf8_lossy(&output.stdout).into_owned();
        output.status.success()
    });
    printed
}

/// So many lists were made since then.
fn changed(stage: &Stage, since: Time) -> usize {
    (0..NODES).map(|node| stage.events(node, "voters-changed", since).len()).sum()
}

#[test]
fn a_controller_that_is_replaced_is_another_voter_while_vip_processes_follow_each_other() {
    let name = "voters::a_controller_that_is_replaced_is_another_voter_while_vip_processes_follow_each_other";
    contained(name, || {
        let Some(mut stage) = Stage::laid_out(name, &format!("{LINES}[store]\n")) else { return };
        let first = agreed(&stage, 1);
        let (holder, since) = (stage.holds(), sys::clock::now());
        let term = stage.vip(holder).expect("it is asked").state.term;
        // The first one signs.
        let lost = (1..NODES).find(|node| *node != holder).expect("there are three");
        let stay: Vec<usize> = (0..NODES).filter(|node| *node != lost).collect();
        let printed = lose(&mut stage, lost);
        let asked = sys::clock::now();
        join(&stage, &printed, lost);
        // Other keys are a reason of their own for a process that nothing is left to.
        until("both go by list 2, and know the new machine", || {
            let second = |node| list(&stage, node).is_some_and(|list| list.list == 2);
            let keys = |node| !stage.events(node, "keys-changed", asked).is_empty();
            stay.iter().all(|node| second(*node) && keys(*node))
        });
        stage.cluster.start(lost).expect("it can be started");
        until("another list is made", || changed(&stage, since) == 2);
        // Within the half second in which both lists count.
        stay.iter().for_each(|node| pass_on(&stage, *node, since));
        let third = agreed(&stage, 3);
        let voter = |list: &VoterList| {
            let is_it = |voter: &&api::Voter| voter.node == stage.cluster.name(lost);
            list.voters.iter().find(is_it).expect("it votes").joined_ms
        };
        assert!(voter(&first) > 0 && voter(&third) > voter(&first), "{first:?} {third:?}");
        assert_eq!((third.voters.len(), third.store), (NODES, first.store));
        for node in stay {
            assert_eq!(stage.events(node, "vip-not-succeeded", since), vec![]);
        }
        if !stage.was_lost(since) {
            stage.stays(holder, "while lists and processes follow each other").expect("it stays");
            let after = stage.vip(holder).expect("it is asked").state;
            assert_eq!((after.holding, after.term), (true, term));
        }
        stage.never_two();
        until("it grants what others ask for", || stage.votes(lost));
        assert_eq!(changed(&stage, since), 2, "one left, one came");
        for (node, words) in [(0, &["status"][..]), (holder, &["why", "vip/internal"])] {
            let told = stage.types(node, words);
            assert!(told.contains("voters by list 3 of store"), "{told}");
        }
    });
}

/// By which write the store has that key now; 0: it has none.
fn written(stage: &Stage, by: usize, key: &str) -> u64 {
    let listed = stage.types(by, &["store", "list", key]);
    let line = listed.lines().find(|line| line.split_whitespace().any(|word| word == key));
    let numbers = line.into_iter().flat_map(str::split_whitespace);
    numbers.filter_map(|word| word.parse().ok()).next().unwrap_or(0)
}

#[test]
fn a_machine_that_was_proven_dead_and_starts_says_so_to_the_store_before_it_votes() {
    let name =
        "voters::a_machine_that_was_proven_dead_and_starts_says_so_to_the_store_before_it_votes";
    contained(name, || {
        let Some(mut stage) = Stage::laid_out(name, &format!("{LINES}[store]\n")) else { return };
        agreed(&stage, 1);
        let holder = stage.holds();
        let off = (0..NODES).find(|node| *node != holder).expect("there are three");
        let named = stage.cluster.name(off).to_owned();
        let (word, proof) = (format!("vip/voter/{named}"), format!("proof/{named}"));
        stage.cluster.kill_all(off).expect("its processes can be killed");
        let typed = ["node", "confirm-off", &named, "--i-know-it-is-off", "--reason", "seen"];
        until("it is confirmed off", || {
            stage.types(holder, &typed);
            written(&stage, holder, &proof) > 0
        });
        let proven = written(&stage, holder, &proof);
        let before = written(&stage, holder, &word);
        assert!((1..proven).contains(&before), "{before} {proven}");
        // As if the machine had lost its power.
        let kept = folder(&stage, off, "state").join("voters");
        let text = std::fs::read_to_string(&kept).expect("it was kept");
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("a boot");
        let former = text.replace(boot.trim(), "00000000-0000-4000-8000-000000000000");
        assert_ne!(former, text);
        std::fs::write(&kept, former).expect("it can be written");
        stage.cluster.start(off).expect("it can be started");
        until("it says that it was started", || written(&stage, holder, &word) > proven);
        until("it is kept which start of the machine that was", || {
            std::fs::read_to_string(&kept).is_ok_and(|text| text.contains(boot.trim()))
        });
        until("it votes again", || stage.votes(off));
        a_list_of_a_later_release_is_left_alone(&stage, holder);
        stage.never_two();
    });
}

fn a_list_of_a_later_release_is_left_alone(stage: &Stage, by: usize) {
    let later = r#"{"v":99,"msg":{"who":"votes"}}"#;
    let refused = stage.types(by, &["store", "put", "vip/voters", later]);
    assert!(refused.contains("--force"), "{refused}");
    stage.types(by, &["store", "put", "vip/voters", later, "--force"]);
    until("who coordinates says for what the next list waits", || {
        (0..NODES).any(|node| stage.types(node, &["status"]).contains("is of a later release"))
    });
    assert!(stage.types(by, &["store", "get", "vip/voters"]).contains("99"));
    stage.types(by, &["store", "delete", "vip/voters", "--force"]);
    agreed(stage, 2);
}
