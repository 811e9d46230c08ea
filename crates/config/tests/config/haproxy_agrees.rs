//! What HAProxy 2.6 refuses, we refuse, in the same lines; what it accepts, we accept.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use outlast_config::{Around, Severity, Source, haproxy, place, repair};

use crate::skip::{self, Folder};

const VERSION: &str = "version 2.6.";

/// Lines that HAProxy refuses, and whether it refuses the file.
fn theirs(haproxy: &mut Command, file: &Path) -> (bool, BTreeSet<usize>) {
    let output = haproxy.arg("-c").arg("-f").arg(file).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let path = file.to_str().unwrap();
    let of_line = |line: &str| {
        let (_, rest) = line.split_once(path)?;
        rest.strip_prefix(':')?.split(']').next()?.parse().ok()
    };
    let alerts = told.lines().filter(|line| line.starts_with("[ALERT]"));
    // 2 means: nothing wrong, but nothing to listen on.
    (output.status.code() == Some(1), alerts.filter_map(of_line).collect())
}

fn ours(text: &str) -> (bool, BTreeSet<usize>, Vec<String>) {
    let source = Source { path: "lb.cfg".to_owned(), text: text.to_owned() };
    let findings = haproxy::parse(std::slice::from_ref(&source), 0).1;
    let errors: Vec<_> =
        findings.iter().filter(|finding| finding.severity == Severity::Error).collect();
    let lines = errors.iter().map(|finding| place(&source.text, finding.span.start).line);
    let told = errors.iter().map(|finding| finding.message.clone()).collect();
    (!errors.is_empty(), lines.collect(), told)
}

/// The verdicts on one text, if they differ.
fn difference(name: &str, text: &str, folder: &Folder, test: &str) -> Option<String> {
    let file = folder.0.join("case.cfg");
    fs::write(&file, text).unwrap();
    let mut program = skip::program(test, "haproxy", VERSION)?;
    let (they_refuse, their_lines) = theirs(program.current_dir(&folder.0), &file);
    let (we_refuse, our_lines, told) = ours(text);
    let same_lines = their_lines.is_empty() || !they_refuse || their_lines == our_lines;
    (they_refuse != we_refuse || !same_lines).then(|| {
        format!(
            "{name}: haproxy {they_refuse} {their_lines:?}, outlast {we_refuse} {our_lines:?} {told:?}"
        )
    })
}

#[test]
fn small_files_are_refused_in_the_same_lines_as_by_haproxy() {
    let test = "small_files_are_refused_in_the_same_lines_as_by_haproxy";
    if skip::program(test, "haproxy", VERSION).is_none() {
        return;
    }
    let folder = Folder::new("haproxy-cases");
    let cases = include_str!("haproxy_cases.txt").split("=== ").skip(1);
    let different: Vec<String> = cases
        .filter_map(|case| {
            let (name, text) = case.split_once('\n').unwrap();
            difference(name, text, &folder, test)
        })
        .collect();
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[test]
fn the_documents_files_are_refused_in_the_same_lines_as_by_haproxy() {
    let test = "the_documents_files_are_refused_in_the_same_lines_as_by_haproxy";
    let Some(shared) = skip::shared(test) else { return };
    if skip::program(test, "haproxy", VERSION).is_none() {
        return;
    }
    let folder = Folder::new("haproxy-documents");
    let prepared = Command::new(shared.join("data/prepare.sh")).arg(&folder.0).status();
    let mut files = vec!["seed003.cfg", "seed003.verbatim.cfg", "kolla-rendered.cfg"];
    // Certificates need openssl.
    if prepared.is_ok_and(|status| status.success()) {
        files.push("kolla-tls-rendered.cfg");
    }
    for name in files {
        let text = fs::read_to_string(shared.join("data").join(name)).unwrap();
        assert_eq!(difference(name, &text, &folder, test), None);
    }
}

#[test]
fn the_example_is_valid_for_haproxy() {
    let test = "the_example_is_valid_for_haproxy";
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/three-controllers");
    let text = fs::read_to_string(example.join("haproxy.cfg")).unwrap();
    assert_eq!(difference("example", &text, &Folder::new("haproxy-example"), test), None);
}

/// The texts of files in which something can be repaired, with the repair.
fn repaired(texts: Vec<String>) -> Vec<(String, String)> {
    let one = |text: String| {
        let source = Source { path: "lb.cfg".to_owned(), text: text.clone() };
        let repair = repair(vec![source], Around::default());
        repair.files.into_iter().next().map(|file| (text, file.text))
    };
    texts.into_iter().filter_map(one).collect()
}

#[test]
fn what_is_repaired_without_an_error_left_is_valid_for_haproxy() {
    let test = "what_is_repaired_without_an_error_left_is_valid_for_haproxy";
    if skip::program(test, "haproxy", VERSION).is_none() {
        return;
    }
    let folder = Folder::new("haproxy-repaired");
    let cases = include_str!("haproxy_cases.txt").split("=== ").skip(1);
    let mut texts: Vec<String> =
        cases.map(|case| case.split_once('\n').unwrap().1.to_owned()).collect();
    texts.push(
        "defaults\n timeout client 1m\n timeout server 1m\n timeout connect 1s\n redispatch\n \
         clitimeout 10sec\nlisten a 127.0.0.1:80\n mode htpp\n balanse source\n \
         server x 127.0.0.1:1 chek inter 2sec\n"
            .to_owned(),
    );
    if let Some(shared) = skip::documents() {
        texts.push(fs::read_to_string(shared.join("data/seed003.verbatim.cfg")).unwrap());
    }
    let mut repairs = 0;
    for (before, after) in repaired(texts) {
        repairs += 1;
        assert_eq!(difference(&before, &after, &folder, test), None);
    }
    assert!(repairs > 10, "only {repairs} files could be repaired");
}
