//! Clusters are founded and joined by real processes on loopback.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up fails")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

const OUTLAST: &str = env!("CARGO_BIN_EXE_outlast");
/// Changes what one program reads as the date; the clock of the machine is not touched.
const PRELOAD: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

/// The trust folder of one node; gone at the end.
struct Node(PathBuf);

impl Node {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("trust-{}-{number}", std::process::id());
        Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name))
    }

    /// The first node of a cluster `cloud`.
    fn founded() -> (Self, String) {
        let node = Self::new();
        let said = node.well(&["init", "cloud", "--node", "node01", "--address", "127.0.0.1"]);
        let line = said.lines().find(|line| line.contains("fingerprint of the cluster"));
        (node, line.unwrap().split_whitespace().last().unwrap().to_owned())
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(OUTLAST);
        command.args(words).arg("--trust-dir").arg(&self.0).stdin(Stdio::null());
        command
    }

    /// Exit code, standard output, standard error.
    fn run(&self, words: &[&str]) -> (i32, String, String) {
        let output = self.command(words).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    }

    fn well(&self, words: &[&str]) -> String {
        let (code, out, error) = self.run(words);
        assert_eq!((code, error.as_str()), (0, ""), "{words:?}");
        out
    }

    /// What it says as it refuses, with this code.
    fn refused(&self, words: &[&str], expected: i32) -> String {
        let (code, out, error) = self.run(words);
        assert_eq!((code, out.as_str()), (expected, ""), "{error}");
        error
    }

    fn token(&self, desk: &Desk, more: &[&str]) -> String {
        let words = [&["token", "create", "--address", &desk.address], more].concat();
        self.well(&words).trim().to_owned()
    }

    fn roster(&self) -> String {
        self.well(&["trust", "status"])
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// `outlast trust serve` of a node; ends with the test.
struct Desk {
    process: Child,
    said: BufReader<std::process::ChildStdout>,
    address: String,
}

impl Desk {
    fn new(node: &Node) -> Self {
        let mut command = node.command(&["trust", "serve", "--listen", "127.0.0.1:0"]);
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(process.stdout.take().unwrap());
        let mut desk = Self { process, said, address: String::new() };
        let line = desk.line();
        let address = line.split(" at ").nth(1).and_then(|rest| rest.split(',').next());
        desk.address = address.unwrap_or_else(|| panic!("{line}")).to_owned();
        desk
    }

    /// The next line that it says.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        line
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_node_joins_by_a_token_and_both_sides_show_the_same_fingerprints() {
    let (first, fingerprint) = Node::founded();
    let mut desk = Desk::new(&first);
    let token = first.token(&desk, &["--role", "controller"]);
    let second = Node::new();
    let words = ["join", "-", "--node", "node02", "--fingerprint", &fingerprint];
    let mut command = second.command(&words);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(token.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.starts_with("this node is node02 (controller) of cloud\n"), "{said}");
    assert!(said.contains(&fingerprint), "{said}");
    let own = said.split_whitespace().last().unwrap().to_owned();
    assert!(desk.line().contains(&format!("done, fingerprint {own}")), "the other side shows it");
    assert!(first.roster().contains(&format!("node02  controller  -  {own}\n")));

    let third = Node::new();
    let error = third.refused(&["join", &token, "--node", "node03"], 1);
    assert!(error.contains("the token was used by `node02`"), "{error}");
    assert!(first.well(&["token", "list"]).contains("used by node02"));
    let log = first.well(&["trust", "audit"]);
    for words in
        ["uid 0", "init cloud: done", "token create", "join node02: done", "join node03: the"]
    {
        assert!(words == "uid 0" || log.contains(words), "{words} is not in:\n{log}");
    }
    assert!(!log.contains(&token[82..114]), "the secret of a token is in the log");
}

#[test]
fn a_stranger_who_holds_the_door_keeps_nobody_out() {
    let (first, _) = Node::founded();
    let desk = Desk::new(&first);
    let token = first.token(&desk, &["--role", "controller"]);
    // A hundred connections of one address that never say a word.
    let (to, from) = (desk.address.parse().unwrap(), "127.0.0.9:0".parse().unwrap());
    let idle: Vec<_> =
        (0..100).map(|_| sys::socket::connect_tcp_from(to, Some(from)).unwrap()).collect();
    let begun = sys::clock::now();
    let second = Node::new();
    assert!(second.well(&["join", &token, "--node", "node02"]).contains("this node is node02"));
    // They would have held the room for ten seconds.
    let took = sys::clock::now().since(begun);
    assert!(took < std::time::Duration::from_secs(9), "{took:?}");
    let log = first.well(&["trust", "audit"]);
    let line =
        log.lines().find(|line| line.contains("connections turned away")).unwrap_or_default();
    assert!(line.contains("127.0.0.9"), "{log}");
    drop(idle);
}

/// What every user of the machine reads about a process.
fn arguments(pid: u32) -> Vec<u8> {
    fs::read(format!("/proc/{pid}/cmdline")).unwrap()
}

/// A join that runs, ended with the test.
struct Waiting(Child);

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn while_a_join_waits_its_token_is_in_no_list_of_processes() {
    let (first, _) = Node::founded();
    // Who answers joins there takes the connection and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let token = first.well(&["token", "create", "--address", &address]);
    let token = token.trim();
    for word in [token, "-"] {
        let second = Node::new();
        let mut command = second.command(&["join", word, "--node", "node02"]);
        let mut join = Waiting(command.stdin(Stdio::piped()).spawn().unwrap());
        let typed = if word == "-" { format!("{token}\n") } else { String::new() };
        // It stays open: a line is enough.
        let mut input = join.0.stdin.take().unwrap();
        input.write_all(typed.as_bytes()).unwrap();
        let (_asked, _) = silent.accept().unwrap();
        let words = arguments(join.0.id());
        let expected = ["join", "-", "--node", "node02"].join("\0");
        let words = String::from_utf8_lossy(&words).into_owned();
        assert!(words.contains(&expected) && !words.contains(token), "{words:?}");
        assert!(join.0.try_wait().unwrap().is_none(), "it waits for an answer");
    }
}

#[test]
fn a_revoked_node_is_told_so_and_its_name_is_free_again() {
    let (first, _) = Node::founded();
    let desk = Desk::new(&first);
    let second = Node::new();
    second.well(&["join", &first.token(&desk, &[]), "--node", "node02"]);
    let third = Node::new();
    third.well(&["join", &first.token(&desk, &[]), "--node", "node03"]);
    assert!(!second.roster().contains("node03"));
    assert!(second.well(&["trust", "refresh", "--from", &desk.address]).contains("node03"));
    first.well(&["trust", "revoke", "node02"]);
    let error = second.refused(&["trust", "refresh", "--from", &desk.address], 1);
    assert!(error.contains("this node was revoked"), "{error}");
    let error = first.refused(&["trust", "revoke", "node01"], 2);
    assert!(error.contains("is this node itself"), "{error}");
    Node::new().well(&["join", &first.token(&desk, &[]), "--node", "node02"]);
    let roster = first.roster();
    assert_eq!(roster.matches("node02").count(), 2, "{roster}");
    assert_eq!(roster.matches("revoked").count(), 1, "{roster}");
}

#[test]
fn each_mistake_of_a_join_is_told_and_costs_nothing() {
    let ((first, fingerprint), (twin, other)) = (Node::founded(), Node::founded());
    let desk = Desk::new(&first);
    let token = first.token(&desk, &[]);
    let before = first.roster();
    let node = Node::new();
    let join = |token: &str, more: &[&str], code| {
        node.refused(&[&["join", token, "--node", "node02"], more].concat(), code)
    };
    assert!(join("hello", &[], 2).contains("this is no join token"));
    assert!(join(&token[..token.len() - 1], &[], 2).contains("this is no join token"));
    assert!(
        join(&token.replacen('0', "1", 1), &[], 2).contains("a character of the token is wrong")
    );
    assert!(join(&token, &["--fingerprint", &other], 2).contains("nothing was sent"));
    assert!(join(&token, &["--fingerprint", "ab"], 2).contains("64 hexadecimal digits"));
    assert!(join(&token, &["--node", "a b"], 2).contains("cannot be used multiple times"));
    let taken = join(&token, &["--address", "127.0.0.1"], 1);
    assert!(taken.contains("the address 127.0.0.1 is that of the node `node01`"), "{taken}");
    let named = node.refused(&["join", &token, "--node", "node01"], 1);
    assert!(named.contains("a node `node01` is in the cluster already"), "{named}");

    // Another cluster of the same name behind the address of the token.
    let away = Desk::new(&twin);
    let words = ["token", "create", "--address", &away.address];
    let astray = first.well(&words).trim().to_owned();
    let error = join(&astray, &[], 1);
    assert!(error.contains("another cluster, whatever its name"), "{error}");
    assert!(error.contains(&other) && error.contains(&fingerprint), "{error}");
    drop(away);
    assert!(join(&astray, &[], 3).contains("nobody answers at"));
    let error = first.refused(&["trust", "serve", "--listen", &desk.address], 2);
    assert!(error.contains("cannot listen at") && error.contains("in use"), "{error}");
    let error = twin.refused(&["join", &token, "--node", "node02"], 2);
    assert!(error.contains("belongs to the cluster `cloud` already"), "{error}");
    let way = format!("first move it away: `mv {0} {0}.old`", twin.0.display());
    assert!(error.contains(&way), "{error}");
    let error = twin.refused(&["init", "cloud"], 2);
    assert!(error.contains("belongs to the cluster `cloud` already"), "{error}");

    assert_eq!(first.roster(), before, "nothing changed");
    node.well(&["join", &token, "--node", "node02"]);
}

#[test]
fn tokens_that_expired_or_were_revoked_let_nobody_in() {
    let (first, _) = Node::founded();
    let desk = Desk::new(&first);
    let (late, revoked) = (first.token(&desk, &["--minutes", "1"]), first.token(&desk, &[]));
    // As if it had been made a day ago: waiting would take a minute.
    let path = first.0.join("trust.json");
    let state = fs::read_to_string(&path).unwrap();
    let line = state.lines().find(|line| line.contains("expires_ms")).unwrap();
    fs::write(&path, state.replacen(line, "\"expires_ms\": 1000,", 1)).unwrap();
    let node = Node::new();
    let error = node.refused(&["join", &late, "--node", "node02"], 1);
    assert!(error.contains("the token expired"), "{error}");
    let list = first.well(&["token", "list"]);
    let number = list.lines().nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    first.well(&["token", "revoke", &number]);
    let error = node.refused(&["join", &revoked, "--node", "node02"], 1);
    assert!(error.contains("the token was revoked"), "{error}");
    let error = first.refused(&["token", "revoke", &number], 2);
    assert!(error.contains("used or revoked already"), "{error}");
    let error =
        first.refused(&["token", "create", "--minutes", "1441", "--address", "127.0.0.1:1"], 2);
    assert!(error.contains("1 minute to 24 hours"), "{error}");
}

/// A file in the folder of a node that only its owner may read.
fn secret_file(node: &Node, name: &str, text: &str) -> String {
    let path = node.0.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn the_authoritys_key_lives_on_on_a_second_node_when_the_first_one_is_lost() {
    let (first, fingerprint) = Node::founded();
    let desk = Desk::new(&first);
    let [second, third, compute] = [(); 3].map(|()| Node::new());
    let join = |node: &Node, name: &str, desk: &Desk, from: &Node, role: &str| {
        node.well(&["join", &from.token(desk, &["--role", role]), "--node", name]);
    };
    join(&second, "node02", &desk, &first, "controller");
    join(&third, "node03", &desk, &first, "compute");
    join(&compute, "node04", &desk, &first, "compute");

    let file = first.0.join("spare").to_str().unwrap().to_owned();
    let words = ["correct horse battery", "another passphrase", "short"];
    let [right, wrong, short] = words.map(|text| secret_file(&second, &text[..5], text));
    let moved = |command: &str, file: &str, passphrase: &str| {
        ["trust", command, file, "--passphrase-file", passphrase].map(str::to_owned)
    };
    let refused = |node: &Node, words: &[String]| {
        node.refused(&words.iter().map(String::as_str).collect::<Vec<_>>(), 2)
    };
    let well = |node: &Node, words: &[String]| {
        node.well(&words.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let error = refused(&second, &moved("export-authority", &file, &right));
    assert!(error.contains("does not have the authority's key: ask on `node01`"), "{error}");
    let error = refused(&first, &moved("export-authority", &file, &short));
    assert!(error.contains("a passphrase has 12 to 1024 bytes"), "{error}");
    let said = well(&first, &moved("export-authority", &file, &right));
    assert!(said.contains(&fingerprint), "{said}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let error = refused(&first, &moved("export-authority", &file, &right));
    assert!(error.contains("is there already"), "{error}");

    let error = refused(&second, &moved("import-authority", &file, &wrong));
    assert!(error.contains("the passphrase is another one"), "{error}");
    let error = refused(&compute, &moved("import-authority", &file, &right));
    assert!(error.contains("`node04` is a compute node"), "{error}");
    let (other, _) = Node::founded();
    fs::remove_file(other.0.join("authority.key")).unwrap();
    let error = refused(&other, &moved("import-authority", &file, &right));
    assert!(error.contains(&format!("the key is that of the cluster {fingerprint}")), "{error}");
    let said = well(&second, &moved("import-authority", &file, &right));
    assert!(said.contains("keeps a copy of the authority's key; node01 signs on"), "{said}");
    assert!(second.roster().contains("keeps a copy of the authority's key"));
    second.refused(&["token", "create", "--address", "127.0.0.1:7413"], 2);

    // As running nodes do every few seconds: who was let in is known on the second one, too.
    second.well(&["trust", "refresh", "--from", &desk.address]);
    // The first one is lost with its disk.
    drop(desk);
    drop(first);
    let gone = ["trust", "take-authority", "--from", "127.0.0.1:1"];
    let error = second.refused(&gone, 3);
    assert!(error.contains("if it is gone for good: --lost"), "{error}");
    second.well(&["trust", "take-authority", "--lost"]);
    let desk = Desk::new(&second);
    let fifth = Node::new();
    join(&fifth, "node05", &desk, &second, "controller");
    assert!(fifth.roster().contains(&fingerprint), "it is the same cluster");
    second.well(&["trust", "revoke", "node01"]);
    let roster = third.well(&["trust", "refresh", "--from", &desk.address]);
    assert!(roster.contains("node05") && roster.contains("revoked"), "{roster}");
    let log = second.well(&["trust", "audit"]);
    for words in
        ["import-authority", "the passphrase is another one", "take-authority node01: done"]
    {
        assert!(log.contains(words), "{words} is not in:\n{log}");
    }
    assert!(!log.contains("correct horse"), "the passphrase is in the log");
}

#[test]
fn a_clock_that_is_wrong_at_a_join_is_told_and_costs_no_token() {
    if !Path::new(PRELOAD).exists() {
        let test = "outlast::a_clock_that_is_wrong_at_a_join_is_told_and_costs_no_token";
        return lab::skip::note(test, "faketime is not installed");
    }
    let (first, _) = Node::founded();
    let desk = Desk::new(&first);
    let token = first.token(&desk, &["--role", "controller"]);
    let second = Node::new();
    let words = ["join", &token, "--node", "node02"];
    let not_valid = "is not valid at the time of this machine's clock: set the clock";
    let expired = "by this machine's clock: create another one, or set the clock";
    for (shift, expected) in
        [("+2h", expired), ("-2h", not_valid), ("-400d", not_valid), ("+4000d", expired)]
    {
        let mut command = second.command(&words);
        command.env("LD_PRELOAD", PRELOAD).env("FAKETIME", shift);
        let output = command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{shift}: {said}");
        assert!(said.contains(expected), "{shift}: {said}");
        second.refused(&["trust", "status"], 2);
    }
    assert!(!first.roster().contains("node02"), "nobody was let in");
    // With the clock put right.
    second.well(&words);
    assert!(first.roster().contains("node02  controller"));
}

#[test]
fn a_command_whose_reader_leaves_says_nothing_of_it() {
    let (node, _) = Node::founded();
    for words in [&["trust", "status"][..], &["token", "create"], &["trust", "status", "--json"]] {
        // As `| head -1` is once it has its line.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = node.command(words).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{words:?}");
        assert!(!output.status.success(), "{words:?} was not told");
    }
    // What else goes wrong is told.
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = node.command(&["trust", "status"]).stdout(full).stderr(Stdio::piped()).output();
    let error = String::from_utf8_lossy(&output.unwrap().stderr).into_owned();
    assert!(error.starts_with("outlast: cannot write the answer: "), "{error}");
}
