//! Processes and files that are tracked: files as `keepalived` weighs them, beside us; processes by real ones that come
//! and are killed. keepalived 2.2.7 hears of no process inside a network namespace (the kernel's process connector answers
//! `ECONNREFUSED` there), so it judges files only.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/lonely.rs"]
mod lonely;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command};

use lonely::{Lonely, OUTLAST, alone, has_vip, until};

const INSTANCE: &str = "vrrp_instance internal {
    interface eth0
    virtual_router_id 121
    priority 100
    virtual_ipaddress {
        10.79.0.40 dev eth0
    }
";

/// Both numbers lie in the folder of the test.
fn files(folder: &Path) -> String {
    let block = |name: &str, file: &str, weight: &str| {
        let path = folder.join(file);
        format!("vrrp_track_file {name} {{\n    file {}\n{weight}}}\n", path.display())
    };
    let blocks = [
        block("twice", "number", "    weight 2\n"),
        block("once", "number", ""),
        block("none", "fatal", "    weight 0\n"),
    ];
    let tracked =
        "    track_file {\n        twice\n        once weight 3 reverse\n        none\n    }\n";
    format!("{}{INSTANCE}{tracked}}}\n", blocks.concat())
}

fn start(node: &mut Lonely, program: &Path, name: &str) {
    let folder = node.path(name);
    fs::create_dir_all(&folder).expect("a folder of the test");
    let mut command = Command::new(program);
    command.env("TMPDIR", &folder).args(["-nlD", "-f"]).arg(node.path("keepalived.conf"));
    command.arg("-p").arg(folder.join("pid")).arg("-r").arg(folder.join("vrrp"));
    node.start_with(command);
}

fn priority(node: &Lonely, name: &str) -> Option<u64> {
    node.signal("36");
    let text = fs::read_to_string(node.path(name).join("keepalived.json")).ok()?;
    let all: serde_json::Value = serde_json::from_str(&text).ok()?;
    all[0]["data"]["effective_priority"].as_u64()
}

fn becomes(node: &Lonely, name: &str, expected: u64) {
    until(&format!("{name} has {expected}"), || priority(node, name) == Some(expected));
}

/// What the node of ours has told.
fn events(node: &Lonely) -> String {
    let folder = format!("/run/outlast/keepalived-{}", node.pid());
    let told = Command::new(OUTLAST).args(["events", "--run-dir", &folder]).output();
    String::from_utf8_lossy(&told.expect("it runs").stdout).into_owned()
}

fn end(node: &mut Lonely) {
    node.signal("TERM");
    assert_eq!(node.ended().code(), Some(0), "{}", node.log());
}

fn judge_files(node: &mut Lonely, program: &Path, name: &str) {
    let (number, fatal) = (node.path("number"), node.path("fatal"));
    // What is not there is 0.
    for absent in [&number, &fatal] {
        let _absent = fs::remove_file(absent);
    }
    let say = |path: &Path, text: &str| fs::write(path, text).expect("a file of the test");
    start(node, program, name);
    until("it holds the address", has_vip);
    becomes(node, name, 100);
    // Twice the number, less three times.
    say(&number, "5\n");
    becomes(node, name, 95);
    say(&number, "-0x10");
    becomes(node, name, 116);
    say(&number, "no number");
    becomes(node, name, 100);
    // A file that another one takes the place of.
    say(&node.path("aside"), "7");
    fs::rename(node.path("aside"), &number).expect("both are there");
    becomes(node, name, 93);
    assert!(has_vip(), "a weight takes the address from nobody: {}", node.log());
    fs::remove_file(&number).expect("it is there");
    becomes(node, name, 100);
    // Any number but 0 takes it where the weight is 0, and so does a sum below what a priority has.
    say(&fatal, "1");
    until("the address goes", || !has_vip());
    if name == "ours" {
        let words = format!("the number in a tracked file takes the address: {}", fatal.display());
        until("the event names the file", || events(node).contains(&words));
    }
    say(&fatal, "0");
    until("it is back", has_vip);
    say(&number, "-200");
    until("the address goes", || !has_vip());
    say(&number, "1");
    until("it is back", has_vip);
    becomes(node, name, 99);
    end(node);
}

#[test]
fn a_number_in_a_file_weighs_as_in_keepalived_and_may_take_the_address() {
    let test = "a_number_in_a_file_weighs_as_in_keepalived_and_may_take_the_address";
    alone(test, || {
        let mut node = Lonely::new();
        node.write("keepalived.conf", &files(&node.folder));
        let program = node.path("keepalived");
        symlink(OUTLAST, &program).expect("a name");
        judge_files(&mut node, &program, "ours");
        let peer = Path::new("keepalived");
        if Command::new(peer).arg("--version").output().is_err() {
            let test =
                "outlast::a_number_in_a_file_weighs_as_in_keepalived_and_may_take_the_address";
            return lab::skip::note(test, "keepalived is not installed");
        }
        judge_files(&mut node, peer, "theirs");
    });
}

/// Ended with the test.
struct Sleeper(Child);

impl Sleeper {
    /// A process of that name with those arguments.
    fn start(program: &Path, seconds: &str) -> Self {
        Self(Command::new(program).arg(seconds).spawn().expect("it starts"))
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        // It may have ended.
        let _ended = self.0.kill();
        let _ended = self.0.wait();
    }
}

const PROCESSES: &str = "vrrp_track_process any {
    process sleeper
    weight 7
}
vrrp_track_process fatal {
    process sleeper
    weight 0
}
vrrp_track_process one {
    process sleeper
    quorum_max 1
    weight -20
}
vrrp_track_process exact {
    process PROGRAM 1000
    weight 3
}
vrrp_track_process other {
    process PROGRAM 20
    weight 40
}
vrrp_track_process begins {
    process PROGRAM 20
    param_match initial
    weight 1 reverse
}
";

#[test]
fn processes_that_come_and_are_killed_weigh_and_take_the_address() {
    alone("processes_that_come_and_are_killed_weigh_and_take_the_address", || {
        let mut node = Lonely::new();
        let (program, name) = (node.path("keepalived"), "ours");
        symlink(OUTLAST, &program).expect("a name");
        let sleeper = node.path("sleeper");
        fs::copy("/bin/sleep", &sleeper).expect("a program");
        let blocks = PROCESSES.replace("PROGRAM", &sleeper.display().to_string());
        let tracked = "    track_process {\n        any\n        fatal\n        one\n        exact\n        \
                       other\n        begins weight 2 reverse\n    }\n";
        node.write("keepalived.conf", &format!("{blocks}{INSTANCE}{tracked}}}\n"));
        let first = Sleeper::start(&sleeper, "1000");
        start(&mut node, &program, name);
        until("one runs", has_vip);
        // 7 for one, 3 for its arguments.
        becomes(&node, name, 110);
        // Two are too many for one of the rules, and one begins with 20.
        let second = Sleeper::start(&sleeper, "2000");
        becomes(&node, name, 88);
        drop(first);
        becomes(&node, name, 105);
        assert!(has_vip(), "one is enough: {}", node.log());
        drop(second);
        until("the address goes", || !has_vip());
        let words = "processes do not run as they have to: fatal";
        until("the event names them", || events(&node).contains(words));
        let third = Sleeper::start(&sleeper, "20");
        until("it is back", has_vip);
        becomes(&node, name, 145);
        drop(third);
        until("the address goes", || !has_vip());
        end(&mut node);
    });
}
