//! The commands of docs/operate/cluster.md, "When the worst has happened": that tests run them, and those that no
//! other test runs.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up fails")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const OUTLAST: &str = env!("CARGO_BIN_EXE_outlast");

/// Exit code, and all that is said.
fn run(program: &str, words: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(program).args(words).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

fn well(program: &str, words: &[&str]) -> String {
    let (code, said) = run(program, words);
    assert_eq!(code, Some(0), "{program} {words:?}: {said}");
    said
}

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// `outlast trust serve`; ends with the test.
struct Desk {
    process: Child,
    address: String,
}

impl Desk {
    fn new(trust: &str) -> Self {
        let mut command = Command::new(OUTLAST);
        command.args(["trust", "serve", "--listen", "127.0.0.1:0", "--trust-dir", trust]);
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let mut said = BufReader::new(process.stdout.take().unwrap());
        said.read_line(&mut line).unwrap();
        let address = line.split(" at ").nth(1).and_then(|rest| rest.split(',').next());
        let address = address.unwrap_or_else(|| panic!("{line}")).to_owned();
        // Read on by nobody: what a desk says of one join fits into the pipe.
        process.stdout = Some(said.into_inner());
        Self { process, address }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn the_authority_comes_back_from_a_copy_of_its_folder() {
    let name = format!("recover-{}", std::process::id());
    let folder = Folder(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name));
    fs::create_dir_all(&folder.0).unwrap();
    let path = |name: &str| folder.0.join(name).to_str().unwrap().to_owned();
    let (trust, copy) = (path("trust"), path("copy"));
    let address = ["--address", "127.0.0.1", "--trust-dir", &trust];
    well(OUTLAST, &[&["init", "cloud", "--node", "node01"], &address[..]].concat());
    let status = ["trust", "status", "--trust-dir", &trust];
    let before = well(OUTLAST, &status);
    let token =
        ["token", "create", "--address", "127.0.0.1:7413", "--trust-dir", &trust].map(String::from);
    let token: Vec<&str> = token.iter().map(String::as_str).collect();
    let first = well(OUTLAST, &token);

    well("cp", &["-a", &trust, &copy]);
    fs::remove_dir_all(&trust).unwrap();
    let (code, said) = run(OUTLAST, &token);
    assert_ne!(code, Some(0), "there is no authority: {said}");

    well("cp", &["-a", &copy, &trust]);
    assert_eq!(well(OUTLAST, &status), before, "the same cluster, with all that are in");
    let second = well(OUTLAST, &token);
    assert_ne!(first, second, "it lets nodes in again");
    let joined = path("joined");
    let desk = Desk::new(&trust);
    let token = ["token", "create", "--address", &desk.address, "--trust-dir", &trust];
    let token = well(OUTLAST, &token);
    let join = ["join", token.trim(), "--node", "node02", "--trust-dir", &joined];
    let said = well(OUTLAST, &join);
    assert!(said.starts_with("this node is node02 "), "{said}");
    drop(desk);
    let cluster = |text: &str| text.lines().next().unwrap_or_default().to_owned();
    let there = well(OUTLAST, &["trust", "status", "--trust-dir", &joined]);
    assert!(cluster(&before).starts_with("cluster cloud, fingerprint "), "{before}");
    assert_eq!(cluster(&there), cluster(&before), "the same authority let it in");
    assert!(well(OUTLAST, &status).contains("node02"), "and knows it");
    for file in ["authority.key", "node.key", "key", "trust.json"] {
        let mode = fs::metadata(Path::new(&trust).join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

/// What the tests of this package say, with the parts that a test program takes from other files.
fn tests() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let files = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path());
    let rust = files.filter(|file| file.extension().is_some_and(|name| name == "rs"));
    let whole = |file: PathBuf| {
        let text = fs::read_to_string(file).unwrap();
        let parts = text.split("#[path = \"").skip(1).filter_map(|rest| rest.split('"').next());
        let parts = parts.map(|part| fs::read_to_string(folder.join(part)).unwrap());
        std::iter::once(text.clone()).chain(parts).collect()
    };
    rust.map(whole).collect()
}

/// A word that is typed as it is: no name, number or file.
fn is_fixed(word: &str) -> bool {
    word == "-" || word.bytes().all(|byte| byte == b'-' || byte.is_ascii_lowercase())
}

/// The commands of a row of the page, and the tests that it names.
fn of_row(row: &str) -> (Vec<Vec<&str>>, Vec<&str>) {
    let spans = || row.split('`').skip(1).step_by(2);
    let is_command = |words: &Vec<&str>| matches!(words[..], ["outlast" | "trust" | "cp", _, ..]);
    let commands = spans().map(|span| span.split_whitespace().collect()).filter(is_command);
    (commands.collect(), spans().filter(|span| span.matches('_').count() > 3).collect())
}

#[test]
fn every_command_of_the_recovery_is_one_that_the_named_tests_type_and_the_program_knows() {
    let section = section("When the worst has happened");
    let tests = tests();
    let mut helps: BTreeMap<Vec<&str>, String> = BTreeMap::new();
    let mut count = 0;
    for row in section.lines().filter(|line| line.starts_with("| ")).skip(1) {
        let (commands, named) = of_row(row);
        let shows = |test: &&str| {
            let is_it = |text: &&String| text.contains(&format!("fn {test}("));
            tests.iter().find(is_it).unwrap_or_else(|| panic!("no test {test} for: {row}"))
        };
        let source: String = named.iter().map(shows).map(String::as_str).collect();
        for command in commands {
            count += 1;
            for word in command.iter().filter(|word| is_fixed(word) && **word != "outlast") {
                let typed = source.contains(&format!("\"{word}\""));
                assert!(typed, "no test of {named:?} types {word} of: {}", command.join(" "));
            }
            if command[0] == "cp" {
                continue;
            }
            // A command and its verb; the rest are arguments.
            let words = command.iter().skip(usize::from(command[0] == "outlast"));
            let verbs: Vec<&str> = words
                .take_while(|word| is_fixed(word) && !word.starts_with('-'))
                .copied()
                .collect();
            let help = helps
                .entry(verbs)
                .or_insert_with_key(|verbs| well(OUTLAST, &[&verbs[..], &["--help"]].concat()));
            for option in command.iter().filter(|word| word.starts_with("--")) {
                assert!(help.contains(option), "{} has no {option}", command.join(" "));
            }
        }
    }
    assert!(count > 12, "{count} commands in the section");
}

/// Of a page, from one heading to the next.
fn section(title: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operate/cluster.md");
    let page = fs::read_to_string(page).unwrap();
    let rest = page.split(&format!("\n## {title}\n")).nth(1).unwrap();
    rest.split("\n## ").next().unwrap().to_owned()
}

/// A number with its unit, as `1.3 s` or `50 ms`.
fn has_time(text: &str) -> bool {
    let words: Vec<&str> = text.split([' ', ',', ':', ';']).collect();
    let is_time = |pair: &[&str]| pair[0].parse::<f64>().is_ok() && matches!(pair[1], "s" | "ms");
    words.windows(2).any(is_time)
}

#[test]
fn every_row_of_the_failure_table_says_within_which_time_of_what_kind_and_its_scenario_exists() {
    let section = section("When X, then Y within Z");
    let rows = section.lines().filter(|line| line.starts_with("| ")).skip(1);
    let scenarios = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/scenarios");
    let mut count = 0;
    for row in rows {
        count += 1;
        let cells: Vec<&str> = row.split(" | ").collect();
        let [_, _, _, within, shown] = cells[..] else { panic!("five cells: {row}") };
        assert!(has_time(within), "no time in: {row}");
        let kinds = ["judged", "file", "limit", "need no disk"];
        assert!(kinds.iter().any(|kind| within.contains(kind)), "what kind of time: {row}");
        let files =
            shown.split("scenario file `").skip(1).filter_map(|rest| rest.split('`').next());
        for file in files {
            assert!(scenarios.join(format!("{file}.txt")).exists(), "no scenario file {file}");
        }
        let names_file = shown.contains("scenario file") || within.contains("as above");
        assert!(!within.contains(", file") || names_file, "no file: {row}");
    }
    assert!(count > 20, "{count} rows");
}
