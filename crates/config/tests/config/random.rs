//! No bytes make a parser panic, and every finding lies inside its file.

use outlast_config::{Source, cluster, haproxy, keepalived, load, render};
use proptest::prelude::*;

/// Words of all languages, so that random text gets past the first word.
const WORDS: [&str; 48] = [
    "global",
    "defaults",
    "listen a",
    "frontend f",
    "backend b",
    "bind",
    "server x",
    "10.0.0.1:80",
    "check",
    "inter",
    "2000",
    "timeout",
    "client",
    "option",
    "httpchk",
    "GET",
    "mysql-check",
    "user",
    "http-request",
    "set-header",
    "if",
    "{ ssl_fc }",
    "log",
    "local1",
    "balance",
    "\n",
    "\n ",
    "\t",
    "\"",
    "'",
    "\\",
    "$",
    "${",
    "}",
    "{",
    "#",
    "[cluster]",
    "name = \"c\"",
    "[node.a]",
    "=",
    "vrrp_instance v {",
    "virtual_ipaddress {",
    "auth_pass",
    "weight",
    "连接",
    "\u{0}",
    "::",
    "-1",
];

fn text() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        8 => prop::sample::select(WORDS.to_vec()).prop_map(str::to_owned),
        1 => ".{0,6}",
    ];
    let glue = prop_oneof![6 => Just(" "), 2 => Just("\n"), 1 => Just("")];
    prop::collection::vec((word, glue), 0..60)
        .prop_map(|words| words.into_iter().map(|(word, glue)| word + glue).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_words_never_panic(text in text()) {
        survive(text)?;
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        survive(String::from_utf8_lossy(&bytes).into_owned())?;
    }
}

fn survive(text: String) -> Result<(), TestCaseError> {
    let source = Source { path: "any".to_owned(), text };
    let one = std::slice::from_ref(&source);
    let mut findings = haproxy::parse(one, 0).1;
    findings.extend(keepalived::parse(&source, 0).1);
    findings.extend(cluster::parse(&source, 0).1);
    for finding in &findings {
        prop_assert!(finding.span.start <= source.text.len(), "{finding:?}");
        prop_assert!(finding.span.start <= finding.span.end, "{finding:?}");
    }
    let _ = render(one, &findings);
    let _ = load(vec![source.clone(), source]);
    Ok(())
}
