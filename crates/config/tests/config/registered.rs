//! Every keyword that the installed HAProxy has registered is in our tables.

use outlast_config::{Source, haproxy};

use crate::skip;

/// Codes of findings about one file with `line` in `section`.
fn codes(section: &str, line: &str) -> Vec<&'static str> {
    let text = format!("{section}\n{line}\n");
    let source = Source { path: "lb.cfg".to_owned(), text };
    let findings = haproxy::parse(std::slice::from_ref(&source), 0).1;
    findings.into_iter().map(|finding| finding.code).collect()
}

/// The file in which a keyword, as `haproxy -dKall` prints it, must be known.
fn use_of(block: &str, keyword: &str) -> Option<(&'static str, String)> {
    let words: Vec<&str> = keyword.split_whitespace().collect();
    let value = if keyword.contains('+') { "1" } else { "" };
    let plain = |word: &str| word.trim_end_matches('*').to_owned();
    match (block, words.as_slice()) {
        ("global", ["stats"]) => None,
        ("global", [word]) => Some(("global", format!("{word} 1"))),
        ("listen", ["bind", _, "ssl", word, ..] | ["bind", _, word, ..]) => {
            Some(("frontend f", format!("bind :1 {word} {value}")))
        }
        // Stands behind `source` only.
        ("listen", ["server", _, _, "usesrc"]) => None,
        ("listen", ["server", _, _, word, ..]) if !word.starts_with('+') => {
            Some(("backend b", format!("server x 10.0.0.1:1 {word} {value}")))
        }
        ("listen", ["server", _, _, ..]) => None,
        ("listen", ["option", word, ..]) => Some(("listen l", format!("option {word}"))),
        ("listen", [family @ ("http-request" | "http-response" | "http-after-response"), word]) => {
            let word = plain(word).replace("track-sc", "track-sc0");
            Some(("listen l", format!("{family} {word} 1 1")))
        }
        ("listen", [family @ ("tcp-request" | "tcp-response"), kind, _]) => {
            Some(("listen l", format!("{family} {kind} x")))
        }
        ("listen", [word]) => {
            FAMILIES.iter().all(|family| family != word).then(|| ("listen l", format!("{word} 1")))
        }
        _ => None,
    }
}

/// Registered without the word that must follow.
const FAMILIES: [&str; 9] = [
    "declare",
    "external-check",
    "http-check",
    "rate-limit",
    "tcp-check",
    "tcp-request",
    "tcp-response",
    "timeout",
    "compression",
];

#[test]
fn every_keyword_that_haproxy_has_registered_is_in_our_tables() {
    let test = "every_keyword_that_haproxy_has_registered_is_in_our_tables";
    let Some(mut program) = skip::program(test, "haproxy", "version 2.6.") else { return };
    let output = program.args(["-dKall", "-q", "-c", "-f", "/dev/null"]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let list = told.split_once("registered configuration keywords").unwrap().1;
    let list = list.split_once("# List").unwrap().0;
    let (mut block, mut tried, mut unknown) = ("", 0, Vec::new());
    for line in list.lines() {
        if !line.starts_with('\t') {
            block = line;
            continue;
        }
        let Some((section, text)) = use_of(block, line) else { continue };
        tried += 1;
        if codes(section, &text).contains(&"unknown-keyword") {
            unknown.push(line.trim());
        }
    }
    assert!(tried > 400, "only {tried} keywords were printed");
    assert_eq!(unknown, Vec::<&str>::new());
}
