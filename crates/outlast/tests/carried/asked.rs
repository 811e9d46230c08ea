//! An operator at a terminal is asked, and what a later version wrote is refused by name.

use std::process::{Command, Stdio};

use super::lonely::{OUTLAST, alone, until};
use super::{CLUSTER, Mixed};

/// On a terminal, as `script` makes one, with this typed.
fn typed_on_a_terminal(mixed: &Mixed, words: &str, answer: &str) -> (Option<i32>, String) {
    use std::io::Write;
    let line = format!("{OUTLAST} {words} --run-dir {}", mixed.run_dir("node01").display());
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("script runs");
    let mut keys = child.stdin.take().expect("a pipe");
    keys.write_all(answer.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn an_operator_is_asked_and_a_generation_of_a_later_version_is_refused_by_name() {
    let name = "asked::an_operator_is_asked_and_a_generation_of_a_later_version_is_refused_by_name";
    alone(name, || {
        let mut mixed = Mixed::new(CLUSTER);
        mixed.start_all();
        let apply = format!("config apply {}", mixed.folder(8080, ""));
        until("the store has a leader", || {
            mixed.types("node01", &["store", "status"]).status.success()
        });
        let (code, text) = typed_on_a_terminal(&mixed, &apply, "n\n");
        assert!(text.contains("commit this as generation 1? [y/N]"), "{text}");
        assert!(text.contains("nothing was committed") && code == Some(1), "{code:?} {text}");
        // There is nothing to compare with, so no list of all that would change.
        assert!(text.contains("takes them as they are, without a reload"), "{text}");
        assert!(text.contains("outlast.toml  ") && !text.contains("What that takes"), "{text}");
        let (code, text) = typed_on_a_terminal(&mixed, &apply, "y\n");
        assert!(text.contains("generation 1 is committed") && code == Some(0), "{code:?} {text}");

        let put = |key: &str, value: &str| {
            until("it is written", || {
                mixed.types("node01", &["store", "put", key, value, "--force"]).status.success()
            });
        };
        put("config/generation/0000000002", "{\"v\":99,\"msg\":{}}");
        put("config/newest", "2");
        until("the member says so", || {
            let (_, text) = mixed.says("node01", &["status"]);
            text.contains("generation 2 is committed, this node runs generation 1")
                && text.contains("this node cannot read it")
        });
        let (code, text) = mixed.says("node01", &["config", "status"]);
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains("config/generation/0000000002"), "{text}");
        put("config/newest", "1");
        until("it is taken away", || {
            let words = ["store", "delete", "config/generation/0000000002", "--force"];
            mixed.types("node01", &words).status.success()
        });
        until("all is well again", || mixed.config(&["status"]).0 == 0);
    });
}
