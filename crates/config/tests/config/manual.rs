//! The committed pages are the tables' own.

use std::fs;
use std::path::Path;

use outlast_config::{explain, manual};

fn check(name: &str, written: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference").join(name);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, written).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == written, "docs/reference/{name} is old: run with UPDATE_EXPECT=1");
}

#[test]
fn the_page_of_haproxys_keywords_is_that_of_the_tables() {
    check("haproxy-keywords.md", &manual::haproxy());
}

#[test]
fn the_page_of_keepaliveds_keywords_is_that_of_the_tables() {
    check("keepalived-keywords.md", &manual::keepalived());
}

#[test]
fn the_page_of_the_cluster_file_is_that_of_the_tables() {
    check("outlast-toml.md", &manual::cluster());
}

#[test]
fn every_keyword_that_can_be_explained_stands_in_its_page() {
    let pages = [
        ("HAProxy", manual::haproxy()),
        ("keepalived", manual::keepalived()),
        ("outlast.toml", manual::cluster()),
    ];
    let rows = explain::all();
    assert!(rows.len() > 900, "only {} rows", rows.len());
    for row in rows {
        let (_, page) = pages.iter().find(|(language, _)| *language == row.language).unwrap();
        assert!(page.contains(&format!("`{}`", row.name)), "{}: {}", row.language, row.name);
    }
}
