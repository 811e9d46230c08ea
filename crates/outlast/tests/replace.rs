//! A dead controller is replaced by a new machine, with one command.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/lonely.rs"]
mod lonely;

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "store/trio.rs"]
mod trio;

#[expect(unreachable_pub, reason = "part of this test program")]
#[path = "replace/typed.rs"]
mod typed;

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use lonely::{alone, until};
use serde_json::Value;
use trio::{NODES, Trio, said};

/// Where the running node of the authority answers joins.
const DESK: &str = "127.0.0.2:7413";

#[test]
fn a_dead_controller_is_replaced_by_one_command_under_its_own_name() {
    alone("a_dead_controller_is_replaced_by_one_command_under_its_own_name", || {
        let mut trio = Trio::founded("controller");
        for node in NODES {
            trio.start(node);
        }
        trio.leader(&NODES);
        trio.put("node01", "a", "1");
        until("it is heard", || trio.standing("node03") == "alive");
        trio.refused(&trio.replace("node03", &["--i-know-it-is-off"]), "node03 is heard");
        trio.refused(&trio.replace("node01", &["--i-know-it-is-off"]), "is this node");
        trio.lose_the_third();
        trio.refused(&trio.replace("node03", &[]), "nobody has proven that node03 is off");
        trio.put("node02", "a", "2");
        let token = trio.ask("node01", &["access", "add", "reader", "--scope", "read"]);
        trio.files.write("reader", &String::from_utf8_lossy(&token.stdout));
        let token = trio.files.path("reader").display().to_string();
        let asked = trio.replace("node03", &["--i-know-it-is-off", "--token-file", &token]);
        trio.refused(&asked, "needs the role admin");
        let printed = trio.replace("node03", &["--i-know-it-is-off"]);
        trio.join_as_printed(&printed, "node03");
        // Typed again it puts nobody out.
        let again = trio.replace("node03", &["--i-know-it-is-off"]);
        let text = String::from_utf8_lossy(&again.stdout).into_owned();
        assert!(text.contains("node03 has joined: start outlast there"), "{text}{}", said(&again));
        trio.start("node03");
        trio.leader(&NODES);
        assert_eq!(trio.get("node03", "a").as_deref(), Some("2"));
        trio.put("node03", "a", "3");
        until("all vote", || trio.voters("node01") == NODES);
        until("its disk counts", || trio.report("node03")["floor"].is_null());
        trio.old_keys_are_refused();
        let audit = trio.said(&["trust", "audit"], "node01");
        assert!(audit.contains("node replace node03 with node03: done"), "{audit}");
        let audit = trio.ask("node01", &["audit"]).stdout;
        let audit = String::from_utf8_lossy(&audit).into_owned();
        let with = "node replace node03 with node03: ";
        for (by, outcome) in [
            ("token reader", "node replace node03 with node03: this needs the role admin"),
            ("uid 0", "node replace node03 with node03: node03 is heard: stop it first"),
            ("uid 0", "node replace node01 with node01: node01 is this node"),
            ("uid 0", "node replace node03 with node03: nobody has proven that node03 is off"),
        ] {
            let told = |line: &&str| line.contains(by) && line.contains(outcome);
            assert_eq!(audit.lines().filter(told).count(), 1, "{outcome}: {audit}");
        }
        assert_eq!(outcomes(&audit, with, 2), ["begun", "done", "begun", "done"], "{audit}");
    });
}

#[test]
fn who_was_confirmed_off_is_proven_dead_until_a_new_machine_has_joined_under_its_name() {
    alone(
        "who_was_confirmed_off_is_proven_dead_until_a_new_machine_has_joined_under_its_name",
        || {
            let mut trio = Trio::founded("controller");
            for node in NODES {
                trio.start(node);
            }
            trio.leader(&NODES);
            until("it is heard", || trio.standing("node03") == "alive");
            trio.lose_the_third();
            let words =
                ["node", "confirm-off", "node03", "--i-know-it-is-off", "--reason", "burnt"];
            until("it is confirmed", || trio.ask("node01", &words).status.success());
            let is_dead = |by: &str| trio.verdict_at(by, "node03") == "proven-dead";
            until("it is proven dead", || ["node01", "node02"].into_iter().all(is_dead));
            // The proof stands for the word of who types this.
            let printed = trio.replace("node03", &[]);
            assert!(printed.status.success() && is_dead("node01"), "{}", said(&printed));
            assert!(trio.get("node01", "proof/node03").is_some());
            trio.join_as_printed(&printed, "node03");
            until("the proof is ended", || trio.get("node01", "proof/node03").is_none());
            trio.start("node03");
            trio.leader(&NODES);
            let is_alive = |by: &&str| trio.verdict_at(by, "node03") == "alive";
            until("it is a node like all others", || NODES.iter().all(is_alive));
            let events = trio.ask("node01", &["events"]).stdout;
            let events = String::from_utf8_lossy(&events).into_owned();
            assert!(events.contains("a new one has joined under it since"), "{events}");
        },
    );
}

/// What the deed came to where it was begun, each time; the first so many lines of it are left out.
fn outcomes(audit: &str, deed: &str, skipped: usize) -> Vec<String> {
    let told = |line: &str| line.split_once(deed).map(|(_, outcome)| outcome.to_owned());
    let is_own = |line: &&str| !line.contains("token reader");
    audit.lines().filter(is_own).filter_map(told).skip(skipped).collect()
}

#[test]
fn the_controller_that_signs_is_replaced_where_a_copy_of_its_key_is_kept() {
    alone("the_controller_that_signs_is_replaced_where_a_copy_of_its_key_is_kept", || {
        let mut trio = Trio::founded("controller");
        let file = |name: &str| trio.files.path(name).display().to_string();
        let (exported, secret) = (file("exported"), file("passphrase"));
        trio.files.write("passphrase", "correct horse battery\n");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&secret, mode).expect("a mode can be set");
        for (words, node) in [("export-authority", "node01"), ("import-authority", "node02")] {
            trio.said(&["trust", words, &exported, "--passphrase-file", &secret], node);
        }
        for node in NODES {
            trio.start(node);
        }
        trio.leader(&NODES);
        trio.put("node01", "a", "1");
        let here = "node02";
        let off = ["--i-know-it-is-off"];
        until("it is heard", || trio.standing_at("node02", "node03") == "alive");
        let elsewhere = trio.replace_on(here, "node03", &off);
        trio.refused(&elsewhere, "node03 is heard: stop it first");
        trio.lose("node01", "node02");
        trio.leader(&NODES[1..]);
        let typed = trio.replace_on("node03", "node01", &off);
        trio.refused(&typed, "node03 has no copy of that key");
        let typed = trio.replace_on(here, "node01", &off);
        trio.refused(&typed, "`outlast trust take-authority --lost` here, then type this again");
        trio.said(&["trust", "take-authority", "--lost"], "node02");
        let printed = trio.replace_on(here, "node01", &off);
        let text = String::from_utf8_lossy(&printed.stdout).into_owned();
        assert!(text.contains("join - --node node01 --address 127.0.0.2"), "{text}");
        trio.join_as_printed(&printed, "node01");
        let again = trio.replace_on(here, "node01", &off);
        let text = String::from_utf8_lossy(&again.stdout).into_owned();
        assert!(text.contains("node01 has joined: start outlast there"), "{text}{}", said(&again));
        // What was refused is not done, here and there.
        let audit =
            |node: &str| String::from_utf8_lossy(&trio.ask(node, &["audit"]).stdout).into_owned();
        let deed = "node replace node01 with node01: ";
        let there = outcomes(&audit("node03"), deed, 0);
        assert!(!there.contains(&"done".to_owned()), "{there:?}");
        let (last, before) = there.split_last().expect("lines of the log");
        let is_begun = before.last().is_some_and(|line| line == "begun");
        assert!(is_begun && last.contains("has no copy of that key"), "{there:?}");
        let here = outcomes(&audit("node02"), deed, 0);
        assert!(here[1].contains("take-authority --lost` here"), "{here:?}");
        assert_eq!(here[2..], ["begun", "done", "begun", "done"], "{here:?}");
        trio.start("node01");
        trio.leader(&NODES);
        assert_eq!(trio.get("node01", "a").as_deref(), Some("1"));
        trio.put("node01", "a", "2");
        until("all vote", || trio.voters("node02") == NODES);
        until("its disk counts", || trio.report("node01")["floor"].is_null());
        until("it is heard", || trio.standing_at("node03", "node01") == "alive");
        let roster = trio.said(&["trust", "status"], "node02");
        assert!(roster.contains("revoked"), "the old machine is out: {roster}");
        replaces_the_next(&mut trio, &secret);
    });
}

/// The machine that has joined as it was printed for it signs from now on, and replaces the one that let it in: its
/// roster has its address.
fn replaces_the_next(trio: &mut Trio, secret: &str) {
    let exported = trio.files.path("exported-again").display().to_string();
    for (words, node) in [("export-authority", "node02"), ("import-authority", "node01")] {
        trio.said(&["trust", words, &exported, "--passphrase-file", secret], node);
    }
    std::fs::remove_dir_all(trio.files.path("trust-stolen")).expect("it is there");
    trio.lose("node02", "node01");
    trio.leader(&["node01", "node03"]);
    let trust = trio.files.path("trust-node03").display().to_string();
    let words = ["token", "create", "--trust-dir", &trust];
    let elsewhere = std::process::Command::new(lonely::OUTLAST).args(words).output();
    let elsewhere = said(&elsewhere.expect("the tool runs"));
    assert!(elsewhere.contains("ask on `node02`"), "{elsewhere}");
    trio.said(&["trust", "take-authority", "--lost"], "node01");
    let printed = trio.replace_by_roster("node01", "node02", &["--i-know-it-is-off"]);
    trio.join_as_printed(&printed, "node02");
    trio.start("node02");
    trio.leader(&NODES);
    assert_eq!(trio.get("node02", "a").as_deref(), Some("2"));
}

/// The process of that role; waits for it.
fn process(trio: &Trio, node: &str, role: &str) -> i32 {
    let mut found = None;
    until("it runs", || {
        let processes = trio.status(node)["processes"].as_array().cloned().unwrap_or_default();
        let process = processes.iter().find(|p| p["role"] == role && p["running"] == true);
        found = process.and_then(|process| process["pid"].as_i64());
        found.is_some()
    });
    i32::try_from(found.expect("it runs")).expect("a pid")
}

/// node03 votes, and nobody hears its agent; who would start another one stands still, too. Its store, and those.
fn silent_third() -> (Trio, i32, [i32; 2]) {
    let mut trio = Trio::founded("controller");
    for node in NODES {
        trio.start(node);
    }
    trio.leader(&NODES);
    until("it is heard", || trio.standing("node03") == "alive");
    let store = process(&trio, "node03", "store");
    let silent = [process(&trio, "node03", "supervisor"), process(&trio, "node03", "agent")];
    silent.iter().for_each(|pid| lonely::kill(*pid, "STOP"));
    until("nobody hears it", || trio.standing("node03") == "suspect");
    (trio, store, silent)
}

/// Every write of this process takes its disk so many seconds longer, as long as this lives.
struct Slow(std::process::Child);

impl Slow {
    fn disk_of(pid: i32, seconds: u32) -> Self {
        let mut strace = std::process::Command::new("strace");
        let delay = format!("inject=fdatasync:delay_enter={seconds}000000");
        strace.args(["-f", "-e", "trace=fdatasync", "-e", &delay, "-o", "/dev/null", "-p"]);
        strace.arg(pid.to_string()).stderr(Stdio::piped());
        let mut child = strace.spawn().expect("strace runs");
        let mut lines = BufReader::new(child.stderr.take().expect("its words")).lines();
        let attached = lines.any(|line| line.is_ok_and(|line| line.contains("attached")));
        assert!(attached, "strace takes hold of a process");
        // It goes on telling about threads that come and go.
        std::thread::spawn(move || lines.for_each(drop));
        Self(child)
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        // It lets the process go on as before.
        lonely::kill(i32::try_from(self.0.id()).expect("a pid"), "TERM");
        drop(self.0.wait());
    }
}

#[test]
fn a_voter_whose_disk_is_seconds_behind_is_heard_and_not_replaced() {
    let name = "a_voter_whose_disk_is_seconds_behind_is_heard_and_not_replaced";
    let traces = std::process::Command::new("strace").args(["-o", "/dev/null", "true"]).output();
    if !traces.is_ok_and(|output| output.status.success()) {
        return lab::skip::note(&format!("outlast::{name}"), "strace cannot trace here");
    }
    alone(name, || {
        let (trio, store, silent) = silent_third();
        let slow = Slow::disk_of(store, 10);
        let behind = |report: &Value| {
            let voters = report["voters"].as_array().cloned().unwrap_or_default();
            let has = voters.iter().find(|voter| voter["name"] == "node03");
            let has = has.and_then(|voter| voter["has"].as_u64());
            has.is_some_and(|has| report["last"].as_u64() > Some(has + 2))
        };
        // Where it led, another one does now: its own writes wait for its disk.
        until("the others go on without it", || {
            trio.store("node01", &["put", "a", "1"]);
            ["node01", "node02"].iter().any(|node| behind(&trio.report(node)))
        });
        let words = "it votes in the store and answers there";
        trio.refused(&trio.replace("node03", &["--i-know-it-is-off"]), words);
        drop(slow);
        silent.iter().for_each(|pid| lonely::kill(*pid, "CONT"));
    });
}

#[test]
fn a_controller_that_votes_in_the_store_is_not_replaced_however_silent_it_is() {
    alone("a_controller_that_votes_in_the_store_is_not_replaced_however_silent_it_is", || {
        let (trio, _, silent) = silent_third();
        let words = "it votes in the store and answers there";
        trio.refused(&trio.replace("node03", &["--i-know-it-is-off"]), words);
        // Nor is it off because somebody says so.
        let words = ["node", "confirm-off", "node03", "--i-know-it-is-off", "--reason", "dark"];
        trio.refused(&trio.ask("node01", &words), "node03 is not off: it votes in the store");
        let certificates = trio.said(&["trust", "status"], "node01");
        assert!(!certificates.contains("revoked"), "{certificates}");
        silent.iter().for_each(|pid| lonely::kill(*pid, "CONT"));
    });
}

#[test]
fn without_a_store_a_replacement_that_is_typed_again_puts_nobody_out() {
    alone("without_a_store_a_replacement_that_is_typed_again_puts_nobody_out", || {
        let mut trio = Trio::founded("controller");
        for node in NODES {
            let file = format!("{node}.toml");
            let text = std::fs::read_to_string(trio.files.path(&file)).expect("a file");
            trio.files.write(&file, text.trim_end().trim_end_matches("[store]"));
            trio.start(node);
        }
        until("it is heard", || trio.standing("node03") == "alive");
        let (_, mut third) = trio.nodes.pop().expect("it runs");
        third.kill().and_then(|()| third.wait()).expect("it ends");
        let (trust, stolen) = (trio.files.path("trust-node03"), trio.files.path("trust-stolen"));
        std::fs::rename(trust, stolen).expect("it is there");
        until("nobody hears it", || {
            ["suspect", "left"].contains(&trio.standing("node03").as_str())
        });
        let printed = trio.replace("node03", &["--i-know-it-is-off"]);
        trio.join_as_printed(&printed, "node03");
        let again = trio.replace("node03", &["--i-know-it-is-off"]);
        let text = String::from_utf8_lossy(&again.stdout).into_owned();
        assert!(text.contains("a new one has joined as node03"), "{text}{}", said(&again));
        assert!(text.contains("node03 has joined: start outlast there"), "{text}");
        trio.old_keys_are_refused();
        let words = ["trust", "refresh", "--from", DESK];
        until("the new machine is in", || {
            trio.trusting(&words, "node03").output().expect("the tool runs").status.success()
        });
    });
}

/// Changes of the disk that a command makes: its first is prevented, then the second of what is left, and so on.
const CHANGES: &str = "fsync,fdatasync,rename";

#[test]
fn a_replacement_that_is_killed_while_it_changes_the_disk_and_typed_again_ends_well() {
    let name = "a_replacement_that_is_killed_while_it_changes_the_disk_and_typed_again_ends_well";
    let traces = std::process::Command::new("strace").args(["-o", "/dev/null", "true"]).output();
    if !traces.is_ok_and(|output| output.status.success()) {
        return lab::skip::note(&format!("outlast::{name}"), "strace cannot trace here");
    }
    alone(name, || {
        let mut trio = Trio::founded("controller");
        for node in NODES {
            trio.start(node);
        }
        trio.leader(&NODES);
        trio.put("node01", "a", "1");
        until("it is heard", || trio.standing("node03") == "alive");
        trio.lose_the_third();
        trio.put("node01", "a", "2");
        let mut killed = 0;
        let printed = loop {
            // What was done is not done again, so each try gets further.
            let at = killed + 1;
            let kill = format!("inject={CHANGES}:signal=KILL:when={at}");
            let mut command = std::process::Command::new("strace");
            command.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={CHANGES}"), "-e"]);
            command.arg(kill).arg(lonely::OUTLAST).args(["node", "replace", "node03"]);
            command.args(["--i-know-it-is-off", "--address", DESK, "--trust-dir"]);
            command.arg(trio.files.path("trust-node01")).arg("--run-dir");
            let output = command.arg(trio.run_dir("node01")).output().expect("strace runs");
            if output.status.success() {
                break output;
            }
            assert!(output.status.code().is_none(), "{}", said(&output));
            killed += 1;
            assert!(killed < 40, "it comes to an end");
        };
        assert!(killed >= 2, "it was killed {killed} times");
        trio.join_as_printed(&printed, "node03");
        let again = trio.replace("node03", &["--i-know-it-is-off"]);
        let text = String::from_utf8_lossy(&again.stdout).into_owned();
        assert!(text.contains("node03 has joined: start outlast there"), "{text}{}", said(&again));
        trio.start("node03");
        trio.leader(&NODES);
        until("all vote", || trio.voters("node01") == NODES);
        until("its disk counts", || trio.report("node03")["floor"].is_null());
        assert_eq!(trio.get("node03", "a").as_deref(), Some("2"));
        trio.old_keys_are_refused();
    });
}

#[test]
fn a_dead_controller_is_replaced_by_a_machine_of_another_name() {
    alone("a_dead_controller_is_replaced_by_a_machine_of_another_name", || {
        let mut trio = Trio::founded("controller");
        let fourth =
            "[node.node04]\nnetworks = { management = \"127.0.0.5\", storage = \"127.0.1.5\" }\n";
        for node in NODES {
            let members = "members = [\"node01\", \"node02\", \"node03\"]\n";
            trio.write(node, &format!("{members}{fourth}"));
            trio.start(node);
        }
        trio.leader(&NODES);
        trio.put("node01", "a", "1");
        let members = |words: &[&str]| trio.store("node02", &[&["members"], words].concat());
        // What is not safe, or not known, is refused and changes nothing.
        trio.refused(&members(&["remove", "node03"]), "name a third node");
        trio.refused(&members(&["remove", "node01", "node02", "node03"]), "nobody would vote");
        assert_eq!(members(&["add", "node09"]).status.code(), Some(2));
        let waits = members(&["add", "node04", "--limit", "1"]);
        assert_eq!(waits.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&waits.stdout).contains("node04"), "{}", said(&waits));
        until("all vote", || trio.voters("node01") == NODES);
        until("it is heard", || trio.standing("node03") == "alive");
        trio.lose_the_third();
        // It may have led the store.
        trio.put("node01", "b", "1");
        let printed = trio.replace("node03", &["--with", "node04", "--i-know-it-is-off"]);
        trio.join_as_printed(&printed, "node04");
        let members = "members = [\"node01\", \"node02\", \"node04\"]\n";
        trio.write("node04", &format!("{members}{fourth}"));
        trio.start("node04");
        let now = ["node01", "node02", "node04"];
        // Wanted again it is the same wish; a loaded machine takes its time to fill a node up.
        let again = ["members", "add", "node04", "--instead-of", "node03", "--limit", "90"];
        let granted = trio.store("node01", &again);
        let text = String::from_utf8_lossy(&granted.stdout).into_owned();
        assert!(granted.status.success(), "{text}{}", said(&granted));
        until("the new one votes and the old one does not", || trio.voters("node01") == now);
        trio.leader(&now);
        assert_eq!(trio.get("node04", "a").as_deref(), Some("1"));
        trio.put("node04", "a", "2");
        assert_eq!(trio.get("node02", "a").as_deref(), Some("2"));
        trio.old_keys_are_refused();
        // A member whose file still names the old one is none the worse for it.
        trio.stop_one("node02");
        trio.put("node01", "a", "3");
        trio.start("node02");
        trio.leader(&now);
        until("its store knows them", || trio.voters("node02") == now);
        until("an event says who came and went", || {
            let events = trio.ask("node01", &["events"]);
            String::from_utf8_lossy(&events.stdout).contains("store-members")
        });
    });
}
