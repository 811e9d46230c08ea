//! The tool on a terminal and in a shell: `top`, `why`, completion, pages of the manual.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/lonely.rs"]
mod lonely;
#[expect(unreachable_pub, reason = "shared by test programs")]
#[path = "screen/tmux.rs"]
mod tmux;

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use lonely::{Lonely, OUTLAST, alone};
use tmux::Terminal;

const SUBCOMMANDS: [&str; 9] =
    ["run", "config", "status", "events", "why", "top", "demo", "completion", "man"];

fn outlast(words: &[&str]) -> Output {
    let mut command = Command::new(OUTLAST);
    command.args(words).stdin(Stdio::null()).output().expect("the executable was built")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn top_shows_the_node_and_says_when_nobody_answers() {
    const TEST: &str = "top_shows_the_node_and_says_when_nobody_answers";
    alone(TEST, || {
        let mut node = Lonely::new();
        node.start();
        let run = node.path("run");
        let line = format!("{OUTLAST} top --run-dir {}", run.display());
        let Some(terminal) = Terminal::start(TEST, (110, 30), &line) else { return };
        terminal.until("the address with its holder", |text| {
            text.lines().any(|line| line.contains("● internal") && line.contains("master"))
        });
        terminal.press(&["Down", "Enter"]);
        terminal.until("an explanation", |text| text.contains("why vip/internal"));
        terminal.press(&["Escape", "/", "z", "z", "z", "Enter"]);
        terminal.until("a filter that hides all", |text| text.contains("nothing with this text"));
        terminal.press(&["Escape"]);
        node.signal("TERM");
        assert!(node.ended().success());
        terminal.until("an answer that grows old", |text| text.contains("STALE"));
        terminal.press(&["q"]);
        terminal.until("the end", |text| text.contains("ended with 0"));
    });
}

#[test]
fn a_passphrase_is_asked_for_twice_and_never_shown() {
    const TEST: &str = "a_passphrase_is_asked_for_twice_and_never_shown";
    let folder =
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("asked-{}", std::process::id()));
    let trust = folder.join("trust").display().to_string();
    let founded = outlast(&["init", "cloud", "--node", "node01", "--trust-dir", &trust]);
    assert!(founded.status.success(), "{}", text(&founded.stderr));
    let file = folder.join("spare");
    let line = format!("{OUTLAST} trust export-authority {} --trust-dir {trust}", file.display());
    if let Some(terminal) = Terminal::start(TEST, (160, 30), &line) {
        terminal.until("a question", |text| text.contains("of the exported key:"));
        terminal.press(&["correcthorse", "Enter"]);
        terminal.until("the second one", |text| text.contains("the same once more:"));
        terminal.press(&["correcthorse", "Enter"]);
        let seen = terminal.until("the end", |text| text.contains("ended with 0"));
        assert!(!seen.contains("correct"), "the passphrase is on the screen:\n{seen}");
        assert!(file.exists());
    }
    let _ = std::fs::remove_dir_all(folder);
}

#[test]
fn why_explains_and_an_unknown_name_gets_the_nearest() {
    alone("why_explains_and_an_unknown_name_gets_the_nearest", || {
        let mut node = Lonely::new();
        node.start();
        let run = node.path("run").display().to_string();
        let why = outlast(&["why", "vip/internal", "--json", "--run-dir", &run]);
        assert_eq!(why.status.code(), Some(0), "{}", text(&why.stderr));
        let why: api::Why = serde_json::from_slice(&why.stdout).expect("one JSON object");
        assert_eq!(why.object, "vip/internal");
        assert!(!why.evidence.is_empty() && !why.rule.is_empty(), "{why:?}");
        assert!(!why.would_change.is_empty(), "{why:?}");
        let plain = text(&outlast(&["why", "vip/internal", "--run-dir", &run]).stdout);
        for title in ["evidence", "rule", "what would change it", "last events"] {
            assert!(plain.lines().any(|line| line == title), "{title} in {plain}");
        }
        for (word, near) in [("vip/intrenal", "vip/internal"), ("internal", "vip/internal")] {
            let unknown = outlast(&["why", word, "--run-dir", &run]);
            assert_eq!(unknown.status.code(), Some(2));
            let said = text(&unknown.stderr);
            assert!(said.contains(&format!("did you mean {near}")), "{said}");
        }
        for object in ["balancer", "process/proxy", "process/vip"] {
            let why = outlast(&["why", object, "--run-dir", &run]);
            assert_eq!(why.status.code(), Some(0), "{object}: {}", text(&why.stderr));
        }
    });
}

#[test]
fn events_are_counted_from_the_end_and_told_by_object() {
    alone("events_are_counted_from_the_end_and_told_by_object", || {
        let mut node = Lonely::new();
        node.start();
        let run = node.path("run").display().to_string();
        let events = |words: &[&str]| -> Vec<api::Event> {
            let words = [&["events", "--json", "--run-dir", &run], words].concat();
            let output = outlast(&words);
            assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
            let lines = text(&output.stdout);
            lines.lines().map(|line| serde_json::from_str(line).expect("an event")).collect()
        };
        let all = events(&[]);
        assert!(all.len() > 1, "{all:?}");
        for (word, near) in [("vip/intrenal", "vip/internal"), ("garbage", "outlast status --all")]
        {
            for more in [&[][..], &["--cluster"], &["--follow"]] {
                let unknown = outlast(&[&["events", word, "--run-dir", &run], more].concat());
                assert_eq!(unknown.status.code(), Some(2), "{word}");
                assert!(unknown.stdout.is_empty(), "{word}");
                let said = text(&unknown.stderr);
                assert!(said.contains(&format!("there is no {word} here")), "{said}");
                assert!(said.contains(near), "{said}");
            }
        }
        let last = events(&["--last", "1"]);
        assert_eq!(last.len(), 1);
        assert!(last[0].seq >= all[all.len() - 1].seq);
        let vip = events(&["vip/internal"]);
        assert!(!vip.is_empty() && vip.iter().all(|event| event.object == "vip/internal"));
        let cluster = events(&["--cluster", "--last", "3"]);
        assert!(!cluster.is_empty() && cluster.len() <= 3, "{cluster:?}");
    });
}

#[test]
fn top_without_a_terminal_says_what_to_do_instead() {
    let output = outlast(&["top"]);
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    assert!(said.contains("no terminal") && said.contains("outlast status"), "{said}");
}

#[test]
fn bash_completes_a_subcommand_and_an_option() {
    const TEST: &str = "bash_completes_a_subcommand_and_an_option";
    let folder = PathBuf::from(OUTLAST).parent().expect("a file is in a folder").to_owned();
    let line = format!("PATH={}:$PATH PS1='> ' bash --norc --noprofile -i", folder.display());
    let Some(terminal) = Terminal::start(TEST, (100, 20), &line) else { return };
    terminal.until("a prompt", |text| text.trim() == ">");
    terminal.press(&["source <(outlast completion bash); echo sour''ced", "Enter"]);
    terminal.until("the completion is in force", |text| text.contains("sourced"));
    terminal.press(&["outlast stat", "Tab"]);
    terminal.until("the subcommand", |text| text.contains("> outlast status"));
    terminal.press(&["--js", "Tab"]);
    terminal.until("its option", |text| text.contains("> outlast status --json"));
}

#[test]
fn every_shell_gets_its_completion() {
    for shell in ["bash", "zsh", "fish"] {
        let output = outlast(&["completion", shell]);
        assert!(output.status.success());
        let text = text(&output.stdout);
        for subcommand in SUBCOMMANDS {
            assert!(text.contains(subcommand), "{shell} does not know {subcommand}");
        }
        assert!(!text.contains("lab web"), "what is hidden is not completed");
    }
}

#[test]
fn every_subcommand_has_a_page_of_the_manual_that_renders() {
    const TEST: &str = "outlast::every_subcommand_has_a_page_of_the_manual_that_renders";
    let folder = std::env::temp_dir().join(format!("outlast-man-{}", std::process::id()));
    let written = outlast(&["man", &folder.display().to_string()]);
    assert!(written.status.success(), "{}", text(&written.stderr));
    let said = format!("pages written to the new folder {}\n", folder.display());
    assert!(text(&written.stdout).ends_with(&said), "{}", text(&written.stdout));
    let pages: Vec<PathBuf> = SUBCOMMANDS
        .iter()
        .map(|name| folder.join(format!("outlast-{name}.1")))
        .chain([folder.join("outlast.1"), folder.join("outlast-config-check.1")])
        .collect();
    for page in &pages {
        let source = std::fs::read_to_string(page)
            .unwrap_or_else(|error| panic!("{}: {error}", page.display()));
        assert!(source.contains(".SH \"EXIT STATUS\""), "{} has no exit codes", page.display());
    }
    let status = std::fs::read_to_string(&pages[2]).expect("it was read before");
    assert!(status.contains("\\-\\-run\\-dir\\fR \\fIDIR\\fR]"), "{status}");
    let rendered = |page: &PathBuf| {
        let mut man = Command::new("man");
        man.args(["--warnings", "-l"]).arg(page).env("LC_ALL", "C.UTF-8").env("MANWIDTH", "100");
        man.stdin(Stdio::null()).output()
    };
    for page in &pages {
        let Ok(output) = rendered(page) else {
            std::fs::remove_dir_all(folder).expect("the folder is ours");
            return lab::skip::note(TEST, "there is no man");
        };
        let (page, said) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success() && said.is_empty(), "{said}");
        for part in ["NAME", "SYNOPSIS"] {
            assert!(page.contains(part), "{part} in {page}");
        }
    }
    std::fs::remove_dir_all(folder).expect("the folder is ours");
}

#[test]
fn every_help_ends_with_the_exit_codes() {
    for subcommand in SUBCOMMANDS.into_iter().chain(["config check"]) {
        let words: Vec<&str> = subcommand.split(' ').chain(["--help"]).collect();
        let help = text(&outlast(&words).stdout);
        assert!(help.contains("Exit codes:"), "{subcommand}: {help}");
    }
}
