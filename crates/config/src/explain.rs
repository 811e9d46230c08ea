//! What a keyword means, in any of the three languages: the rows of the tables, for people.

use crate::cluster::{Field, REQUIRED, check, fields, notify, store, track, vips};
use crate::guess;
use crate::haproxy;
use crate::keepalived;
use crate::keyword::{Keyword, Run, places};

/// What becomes of a keyword.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fate {
    Runs,
    /// Accepted, and nothing needs to be done.
    Accepted,
    /// A note in `config check`, a refusal in `run`.
    NotYet,
    /// The peer refuses it too.
    Gone,
}

impl Fate {
    /// As the operator reads it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Runs => "run",
            Self::Accepted => "accepted, nothing to do",
            Self::NotYet => "not run yet: `outlast run` refuses the file and names it",
            Self::Gone => "gone: the peer refuses it too",
        }
    }
}

/// One row of one table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Explained {
    /// `HAProxy`, `keepalived` or `outlast.toml`.
    pub language: &'static str,
    /// Section, block or line that it stands in.
    pub place: String,
    pub name: String,
    /// What follows it; for `outlast.toml` an example.
    pub syntax: &'static str,
    /// What holds without it; empty: nothing.
    pub default: &'static str,
    pub does: &'static str,
    pub fate: Fate,
    pub negatable: bool,
    pub required: bool,
}

/// Rows of which `word` is the name, the family or the second word, or that a finding of `check`
/// calls so (`http-request use-service`, `stick` of `server`); where there are none, rows whose name
/// starts with it.
#[must_use]
pub fn explain(word: &str) -> Vec<Explained> {
    let all = all();
    let word = word.replace('`', "");
    let word = match word.split_once(" of ") {
        Some((option, line)) => format!("{line} {option}"),
        None => word,
    };
    let part = |row: &Explained| {
        row.name.split_once(' ').is_some_and(|(head, tail)| head == word || tail == word)
    };
    let exact = all.iter().filter(|row| row.name == word);
    let exact: Vec<Explained> = exact.chain(all.iter().filter(|row| part(row))).cloned().collect();
    if !exact.is_empty() || word.is_empty() {
        return exact;
    }
    let started: Vec<Explained> =
        all.iter().filter(|row| row.name.starts_with(&word)).cloned().collect();
    if !started.is_empty() {
        return started;
    }
    let Some((line, option)) = word.split_once(' ') else { return vec![] };
    let quoted = format!("`{line}`");
    let on_line = |row: &&Explained| {
        row.name == option && (row.place.contains(&quoted) || row.place.starts_with(line))
    };
    all.iter().filter(on_line).cloned().collect()
}

/// The known keyword that was probably meant.
#[must_use]
pub fn meant(word: &str) -> Option<String> {
    let all = all();
    guess::nearest(word, all.iter().map(|row| row.name.as_str())).map(str::to_owned)
}

/// Every row of every table.
#[must_use]
pub fn all() -> Vec<Explained> {
    let mut rows = Vec::new();
    of_sections(&mut rows);
    of_haproxy(&mut rows);
    of_keepalived(&mut rows);
    let toml = &mut rows;
    keys(toml, "[cluster]", fields::CLUSTER);
    keys(toml, "[node.NAME]", fields::NODE);
    keys(toml, "[vip.NAME]", vips::VIP);
    keys(toml, "`check = { ... }` of [vip.NAME]", check::SCRIPT);
    keys(toml, "`track_interfaces = [{ ... }]` of [vip.NAME]", track::INTERFACE);
    keys(toml, "`track_processes = [{ ... }]` of [vip.NAME]", track::PROCESS);
    keys(toml, "`track_files = [{ ... }]` of [vip.NAME]", track::FILE);
    keys(toml, "`bfd = { ... }` of [vip.NAME]", crate::cluster::BFD_KEYS);
    keys(toml, "`notify = { ... }` of [vip.NAME]", vips::PROGRAM);
    keys(toml, "[service.NAME]", fields::SERVICE);
    keys(toml, "[dashboard]", fields::DASHBOARD);
    keys(toml, "[access]", crate::cluster::ACCESS);
    keys(toml, "[store]", store::STORE);
    keys(toml, "[notify.NAME]", notify::NOTIFY);
    keys(toml, "`smtp = { ... }` of [notify.NAME]", notify::MAIL);
    keys(toml, "`webhook = { ... }` of [notify.NAME]", notify::WEBHOOK);
    rows
}

/// Language, name, what follows it, what it is; a section of `outlast.toml` stands in brackets.
pub(crate) const SECTIONS: [(&str, &str, &str, &str); 17] = [
    ("HAProxy", "global", "", "what concerns the whole process: log, limits, statistics socket"),
    (
        "HAProxy",
        "defaults",
        "[<name>]",
        "what holds in the proxies behind it that do not say otherwise",
    ),
    ("HAProxy", "frontend", "<name>", "a proxy that listens and hands requests to a backend"),
    ("HAProxy", "backend", "<name>", "a proxy with servers, their checks and their order"),
    ("HAProxy", "listen", "<name>", "frontend and backend in one: it listens and has servers"),
    (
        "keepalived",
        "bfd_instance",
        "<name> { ... }",
        "a way to another system that is watched (BFD)",
    ),
    ("keepalived", "global_defs", "{ ... }", "what holds for all instances"),
    (
        "keepalived",
        "vrrp_script",
        "<name> { ... }",
        "a command run again and again; instances track it",
    ),
    (
        "keepalived",
        "vrrp_instance",
        "<name> { ... }",
        "virtual IPs that one node holds, and which one",
    ),
    ("outlast.toml", "cluster", "", "name, secret and the other files: the section [cluster]"),
    ("outlast.toml", "node", "", "one of the nodes with its addresses: a section [node.NAME]"),
    ("outlast.toml", "vip", "", "a virtual IP that one of the nodes holds: a section [vip.NAME]"),
    ("outlast.toml", "service", "", "what a proxy's servers are: a section [service.NAME]"),
    ("outlast.toml", "dashboard", "", "the page for a browser: the section [dashboard]"),
    ("outlast.toml", "access", "", "who may look, operate and administer: the section [access]"),
    ("outlast.toml", "store", "", "what all nodes hold alike: the section [store]"),
    (
        "outlast.toml",
        "notify",
        "",
        "who is told of moves by mail or webhook: a section [notify.NAME]",
    ),
];

fn of_sections(rows: &mut Vec<Explained>) {
    for (language, name, syntax, does) in SECTIONS {
        rows.push(Explained { syntax, does, ..row(language, "a file: it begins a section", name) });
    }
}

fn of_haproxy(rows: &mut Vec<Explained>) {
    const NAME: &str = "HAProxy";
    table(rows, NAME, "global", haproxy::GLOBAL_KEYWORDS);
    for rows_of in haproxy::PROXY_TABLES {
        table(rows, NAME, "", rows_of);
    }
    table(rows, NAME, "a `bind` or `stats socket` line", haproxy::BIND_OPTIONS);
    table(rows, NAME, "a `server` or `default-server` line", haproxy::SERVER_OPTIONS);
    table(rows, NAME, "an `http-request` line", haproxy::REQUEST_ACTIONS);
    table(rows, NAME, "an `http-response` line", haproxy::RESPONSE_ACTIONS);
    table(rows, NAME, "an `http-after-response` line", haproxy::AFTER_ACTIONS);
    for section in haproxy::SECTIONS {
        let name = section.name;
        later(rows, NAME, "a file", name);
        table(rows, NAME, name, section.keywords);
    }
    for name in haproxy::FETCHES.split_ascii_whitespace() {
        let fate = if name == "ssl_fc" { Fate::Runs } else { Fate::NotYet };
        let does = if name == "ssl_fc" { "whether the client speaks TLS to us" } else { "" };
        rows.push(Explained { does, fate, ..row(NAME, "a condition: `if { ... }`", name) });
    }
}

fn of_keepalived(rows: &mut Vec<Explained>) {
    const NAME: &str = "keepalived";
    table(rows, NAME, "global_defs", keepalived::GLOBAL_KEYWORDS);
    table(rows, NAME, "vrrp_script NAME", keepalived::SCRIPT_KEYWORDS);
    table(rows, NAME, "vrrp_instance NAME", keepalived::INSTANCE_KEYWORDS);
    table(rows, NAME, "vrrp_track_process NAME", keepalived::PROCESS_KEYWORDS);
    table(rows, NAME, "vrrp_track_file NAME", keepalived::FILE_KEYWORDS);
    table(rows, NAME, "bfd_instance NAME", keepalived::BFD_KEYWORDS);
    for name in keepalived::OTHER_BLOCKS {
        later(rows, NAME, "a file", name);
    }
    table(rows, NAME, "vrrp_sync_group NAME", keepalived::SYNC_GROUP_KEYWORDS);
    for (name, syntax, does) in keepalived::TOP_RUN.into_iter().chain(keepalived::FIXED_BLOCKS) {
        rows.push(Explained { syntax, does, ..row(NAME, "a file", name) });
    }
    for name in keepalived::INCLUDES {
        let does = "takes other files in, as if they stood here";
        rows.push(Explained { syntax: "<path>", does, ..row(NAME, "a file", name) });
    }
    for name in keepalived::TOP_WORDS {
        rows.push(Explained { fate: Fate::Accepted, ..row(NAME, "a file", name) });
    }
}

fn row(language: &'static str, place: &str, name: &str) -> Explained {
    Explained {
        language,
        place: place.to_owned(),
        name: name.to_owned(),
        syntax: "",
        default: "",
        does: "",
        fate: Fate::Runs,
        negatable: false,
        required: false,
    }
}

fn later(rows: &mut Vec<Explained>, language: &'static str, place: &str, name: &str) {
    rows.push(Explained { fate: Fate::NotYet, ..row(language, place, name) });
}

fn table<T>(
    rows: &mut Vec<Explained>,
    language: &'static str,
    place: &str,
    keywords: &[Keyword<T>],
) {
    for keyword in keywords {
        let place = if place.is_empty() { sections(keyword.places) } else { place.to_owned() };
        let fate = match keyword.run {
            _ if keyword.does == haproxy::CHECKED_ONLY => Fate::NotYet,
            Run::Now(_) | Run::Flag(_) | Run::Time(_) => Fate::Runs,
            Run::Idle => Fate::Accepted,
            Run::Later(_) | Run::Checked(_) => Fate::NotYet,
            Run::Gone(_) => Fate::Gone,
        };
        rows.push(Explained {
            syntax: keyword.syntax,
            default: keyword.default,
            does: if fate == Fate::NotYet { "" } else { keyword.does },
            fate,
            negatable: keyword.negatable,
            ..row(language, &place, keyword.name)
        });
    }
}

fn sections(at: u8) -> String {
    let all = [
        (places::DEFAULTS, "defaults"),
        (places::NAMED, "defaults with a name"),
        (places::FRONTEND, "frontend"),
        (places::LISTEN, "listen"),
        (places::BACKEND, "backend"),
    ];
    let names = all.into_iter().filter(|(place, _)| at & place != 0).map(|(_, name)| name);
    names.collect::<Vec<_>>().join(", ")
}

fn keys<T>(rows: &mut Vec<Explained>, place: &str, fields: &[Field<T>]) {
    for field in fields {
        let required = field.default == REQUIRED;
        rows.push(Explained {
            syntax: field.form,
            default: if required { "" } else { field.default },
            does: field.does,
            required,
            ..row("outlast.toml", place, field.name)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_explained_in_every_language_that_has_it() {
        let found = explain("priority");
        let languages: Vec<&str> = found.iter().map(|row| row.language).collect();
        assert_eq!(languages, ["keepalived", "outlast.toml"]);
    }

    #[test]
    fn the_first_letters_or_the_second_word_are_enough() {
        assert!(explain("timeout cl").iter().any(|row| row.name == "timeout client-fin"));
        let fates: Vec<Fate> = explain("redispatch").iter().map(|row| row.fate).collect();
        assert_eq!(fates, [Fate::Gone, Fate::Runs]);
        assert_eq!(explain("httplog")[0].name, "option httplog");
    }

    #[test]
    fn what_check_names_is_explained_as_it_names_it() {
        let told = [
            ("http-request use-service", "use-service"),
            ("`http-request use-service`", "use-service"),
            ("`stick` of `server`", "stick"),
            ("option redispatch", "option redispatch"),
        ];
        for (word, name) in told {
            let rows = explain(word);
            assert!(
                !rows.is_empty() && rows.iter().all(|row| row.name == name),
                "{word}: {rows:?}"
            );
        }
        assert!(explain("http-request use-service")[0].place.contains("http-request"));
    }

    #[test]
    fn every_section_of_every_language_is_explained() {
        for (language, name, ..) in SECTIONS {
            let found = explain(name);
            let row = found.iter().find(|row| row.language == language && row.name == name);
            assert!(row.is_some_and(|row| !row.does.is_empty()), "{name}");
        }
        assert!(haproxy::is_section("listen") && keepalived::is_block("vrrp_script"));
    }

    #[test]
    fn an_unknown_word_is_guessed() {
        assert_eq!(explain("virtual_routr_id"), []);
        assert_eq!(meant("virtual_routr_id").as_deref(), Some("virtual_router_id"));
    }
}
