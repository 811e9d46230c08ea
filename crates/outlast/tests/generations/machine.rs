//! A machine that is new has nothing but a token: its files come with its certificate.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use super::lonely::{alone, until};
use super::{CLUSTER, DOORS, NODES, Trio, line, serve};

#[test]
fn a_new_machine_gets_its_files_from_the_cluster_that_it_joins() {
    alone("machine::a_new_machine_gets_its_files_from_the_cluster_that_it_joins", || {
        let mut trio = Trio::founded();
        let one = serve("one");
        for (node, door) in NODES.iter().zip(DOORS) {
            fs::write(trio.files.path(&format!("{node}/outlast.toml")), CLUSTER).expect("a file");
            fs::write(trio.used(node), trio.haproxy(door, one)).expect("a file");
        }
        for node in NODES {
            trio.start(node);
        }
        trio.all_answer(&NODES, "one");
        until("who answers joins is there", || {
            !fetched(&trio, "node02").contains("nobody answers")
        });
        let nothing = fetched(&trio, "node02");
        assert!(nothing.contains("no generation was committed"), "{nothing}");
        let (code, said) = trio.apply("node01", &trio.folder(one, ""), &[]);
        assert_eq!((code, &said["generation"]), (0, &1.into()), "{said}");
        // What is there and the same stays.
        let same = fetched(&trio, "node02");
        assert!(same.starts_with("files of generation 1 in "), "{same}");

        trio.power_off("node03");
        for folder in ["node03", "state-node03", "run-node03"] {
            fs::remove_dir_all(trio.files.path(folder)).expect("it is there");
        }
        until("nobody hears it", || {
            let status = trio.status("node01");
            let nodes = status["nodes"].as_array().expect("a list");
            nodes.iter().any(|line| {
                line["state"]["node"] == "node03" && line["state"]["standing"] == "suspect"
            })
        });
        let joined = join_as_printed(&trio, "node03");
        assert!(joined.contains("files of generation 1 in "), "{joined}");
        let own = fs::read_to_string(trio.used("node03")).expect("its own file came");
        assert_eq!(own, trio.haproxy(DOORS[2], one), "and not that of another node");
        trio.start("node03");
        trio.all_answer(&NODES, "one");
        until("it runs the generation", || {
            let (code, said) = trio.config("node01", &["status"]);
            code == 0 && line(&said, "node03") == ("applied", Some(1), "")
        });
        let audit = trio.trusted(&["trust", "audit"], "node01");
        assert!(audit.contains("config give node03: done"), "{audit}");

        // A file of another content is kept, and nothing is written.
        fs::write(trio.used("node02"), "listen mine\n").expect("a file");
        fs::remove_file(trio.files.path("node02/outlast.toml")).expect("it is there");
        let kept = fetched(&trio, "node02");
        assert!(kept.contains("haproxy.cfg is there with another content"), "{kept}");
        assert!(!trio.files.path("node02/outlast.toml").exists());
        // Who was put out, or is of no cluster, is told nothing.
        trio.trusted(&["trust", "revoke", "node02"], "node01");
        let refused = fetched(&trio, "node02");
        assert!(refused.contains("this node was revoked"), "{refused}");
    });
}

/// What `outlast trust fetch` says, asked at the first node.
fn fetched(trio: &Trio, node: &str) -> String {
    let into = trio.files.path(node).display().to_string();
    let mut command = trio.trusting(&["trust", "fetch", &into, "--from", "127.0.0.2:7413"], node);
    let output = command.stderr(Stdio::piped()).output().expect("the tool runs");
    let said = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&said).into_owned()
}

/// `outlast node replace` on the first node, and what it prints, typed on the new machine.
fn join_as_printed(trio: &Trio, node: &str) -> String {
    let trust = trio.files.path("node01/trust").display().to_string();
    let words = ["node", "replace", node, "--i-know-it-is-off", "--trust-dir", &trust];
    let printed = trio.ask("node01", &[&words[..], &["--address", "127.0.0.2:7413"]].concat());
    let text = String::from_utf8_lossy(&printed.stdout).into_owned();
    assert!(printed.status.success(), "{text}{}", String::from_utf8_lossy(&printed.stderr));
    let mut lines = text.lines().skip_while(|line| !line.contains("outlast join - "));
    let words = lines.next().expect("a command").trim().replace("outlast ", "");
    let token = lines.nth(1).expect("a token in a line of its own").trim().to_owned();
    let words = words.replace("/etc/outlast", &trio.files.path(node).display().to_string());
    let words: Vec<&str> = words.split_whitespace().collect();
    assert!(words.contains(&"--files"), "a generation was applied: {words:?}");
    let mut said = String::new();
    until("the new machine joins", || {
        let mut join = trio.trusting(&words, node);
        let join = join.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut join = join.spawn().expect("the tool runs");
        let typed = writeln!(join.stdin.take().expect("its input"), "{token}");
        let output = join.wait_with_output().expect("it ends");
        said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        output.status.success() && typed.is_ok()
    });
    said
}
