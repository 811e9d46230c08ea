//! The pages of the manual that list keywords, written from the tables the parsers use.

use std::fmt::Write as _;

use crate::cluster::{check, fields, notify, store, track, vips};
use crate::explain::SECTIONS;
use crate::haproxy;
use crate::keepalived;
use crate::keyword::{Keyword, Run, places};

mod tables;

use tables::{Page, field_table};

/// `docs/reference/haproxy-keywords.md`
#[must_use]
pub fn haproxy() -> String {
    let mut page = Page::new(
        "HAProxy's language: keywords",
        "Every keyword of HAProxy 2.6, and what Outlast does with it. Semantics are HAProxy's own; \
         its manual describes them.",
        "HAProxy",
    );
    sections(&mut page.text, "HAProxy");
    page.table("global", &[haproxy::GLOBAL_KEYWORDS], false);
    page.table("defaults, frontend, listen, backend", haproxy::PROXY_TABLES, true);
    page.table("Options of bind and stats socket", &[haproxy::BIND_OPTIONS], false);
    page.table("Options of server and default-server", &[haproxy::SERVER_OPTIONS], false);
    page.table("Actions of http-request", &[haproxy::REQUEST_ACTIONS], false);
    page.table("Actions of http-response", &[haproxy::RESPONSE_ACTIONS], false);
    page.table("Actions of http-after-response", &[haproxy::AFTER_ACTIONS], false);
    page.text.push_str("## Other sections\n\nNot run yet, with their keywords:\n\n");
    for section in haproxy::SECTIONS {
        let names: Vec<String> =
            section.keywords.iter().map(|row| format!("`{}`", row.name)).collect();
        let _ = writeln!(page.text, "- `{}`: {}", section.name, names.join(", "));
    }
    let fetches = haproxy::FETCHES.split_ascii_whitespace().filter(|name| *name != "ssl_fc");
    let fetches: Vec<String> = fetches.map(|name| format!("`{name}`")).collect();
    let _ = writeln!(
        page.text,
        "\n## What conditions look at\n\nRun: `ssl_fc`, alone in `if {{ ssl_fc }}` or `unless {{ ssl_fc }}`, \
         and `TRUE`. Not yet: {}.",
        fetches.join(", ")
    );
    page.finish()
}

/// `docs/reference/keepalived-keywords.md`
#[must_use]
pub fn keepalived() -> String {
    let mut page = Page::new(
        "keepalived's language: keywords",
        "Every keyword of keepalived 2.2 that concerns VRRP, and what Outlast does with it.",
        "keepalived",
    );
    sections(&mut page.text, "keepalived");
    page.table("global_defs", &[keepalived::GLOBAL_KEYWORDS], false);
    page.table("vrrp_script NAME", &[keepalived::SCRIPT_KEYWORDS], false);
    page.table("vrrp_instance NAME", &[keepalived::INSTANCE_KEYWORDS], false);
    page.table("vrrp_sync_group NAME", &[keepalived::SYNC_GROUP_KEYWORDS], false);
    page.table("vrrp_track_process NAME", &[keepalived::PROCESS_KEYWORDS], false);
    page.table("vrrp_track_file NAME", &[keepalived::FILE_KEYWORDS], false);
    page.table("bfd_instance NAME", &[keepalived::BFD_KEYWORDS], false);
    let names = |words: &[&str]| -> String {
        words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
    };
    let _ = writeln!(
        page.text,
        "## At the top of a file\n\n{}\n## Other blocks\n\nNot run yet: {}.\n\n\
         Accepted at the top of a file, nothing to do: {}.",
        keepalived::TOP_RUN
            .iter()
            .chain(&keepalived::FIXED_BLOCKS)
            .map(|(name, syntax, does)| format!("- `{name}` `{syntax}`: {does}.\n"))
            .collect::<String>(),
        names(&keepalived::OTHER_BLOCKS),
        names(&keepalived::TOP_WORDS)
    );
    let _ = writeln!(
        page.text,
        "\n## Other files, conditions, parameters\n\n\
         Run as by keepalived 2.2: {}, with paths from the folder of who includes, `*`, `?`, `[...]` and `{{a,b}}`; \
         `@name` and `@^name` before a line (the name: `-i`, `--config-id`, else the host's up to its first dot); \
         `$NAME=value`, with values of several lines, `$NAME` and `${{NAME}}`; `${{_PWD}}`, `${{_INSTANCE}}`, `${{_RANDOM}}` \
         (the same numbers each time that the same node reads the same file), `${{_HASH}}`, `${{_BANG}}`; `~SEQ(...)`, \
         `~SEQx(...)` and `~LST(...)`.\n\n\
         Otherwise than there: an included file that is there and cannot be read is an error, whoever includes it, and one \
         that is missing a warning, also where keepalived says nothing; an include behind a condition or with a parameter \
         is read once; a line may be longer than 1,024 bytes.",
        names(&keepalived::INCLUDES)
    );
    page.finish()
}

/// The sections that are run.
fn sections(text: &mut String, language: &str) {
    text.push_str("## Sections\n\n| section | followed by | what it is |\n|---|---|---|\n");
    for (_, name, syntax, does) in SECTIONS.iter().filter(|row| row.0 == language) {
        let syntax = if syntax.is_empty() { String::new() } else { format!("`{syntax}`") };
        let _ = writeln!(text, "| `{name}` | {syntax} | {does} |");
    }
    text.push('\n');
}

/// `docs/reference/outlast-toml.md`
#[must_use]
pub fn cluster() -> String {
    let mut text = String::from(
        "# outlast.toml\n\n<!-- written by a test from the table of keys in crates/config; \
         UPDATE_EXPECT=1 rewrites it -->\n\nThe cluster file: TOML, the same on every node. Keys \
         without a default must be there.\n\n",
    );
    sections(&mut text, "outlast.toml");
    field_table(&mut text, "[cluster]", fields::CLUSTER);
    field_table(&mut text, "[node.NAME]", fields::NODE);
    field_table(&mut text, "[vip.NAME]", vips::VIP);
    field_table(&mut text, "check = { ... } of [vip.NAME]", check::SCRIPT);
    let track = |key: &str| format!("{key} = [{{ ... }}] of [vip.NAME]");
    field_table(&mut text, &track("track_interfaces"), track::INTERFACE);
    field_table(&mut text, &track("track_processes"), track::PROCESS);
    field_table(&mut text, &track("track_files"), track::FILE);
    field_table(&mut text, "bfd = { ... } of [vip.NAME]", crate::cluster::BFD_KEYS);
    field_table(&mut text, "notify = { ... } of [vip.NAME]", vips::PROGRAM);
    field_table(&mut text, "[service.NAME]", fields::SERVICE);
    field_table(&mut text, "[dashboard]", fields::DASHBOARD);
    field_table(&mut text, "[access]", crate::cluster::ACCESS);
    field_table(&mut text, "[store]", store::STORE);
    field_table(&mut text, "[notify.NAME]", notify::NOTIFY);
    field_table(&mut text, "smtp = { ... } of [notify.NAME]", notify::MAIL);
    field_table(&mut text, "webhook = { ... } of [notify.NAME]", notify::WEBHOOK);
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}
