//! What the balancer's file takes for granted on this machine: its user, its group, its root folder.
//!
//! A proxy that misses one of them ends as soon as it is started, and so does the next. It is told
//! before the first, not in `config check`, whose files may be meant for another machine.

use std::path::Path;

use config::Source;

use crate::launch::{LaunchError, Plan, Problem};

/// Sections that end `global`.
const OTHERS: [&str; 13] = [
    "defaults",
    "frontend",
    "backend",
    "listen",
    "userlist",
    "peers",
    "mailers",
    "resolvers",
    "cache",
    "program",
    "http-errors",
    "ring",
    "fcgi-app",
];

/// What is missing, all at once.
pub(super) fn check(plan: &Plan) -> Result<(), LaunchError> {
    let Some(haproxy) = &plan.haproxy else { return Ok(()) };
    let mut missing = vec![];
    let mut add = |keyword: &str, value: &str, what: &str| {
        let place = place(&plan.texts.haproxy, keyword, value);
        missing.push(Problem::Ground(format!("{place}`{keyword} {value}`: {what}")));
    };
    let global = &haproxy.global;
    if let Some(name) = &global.user
        && sys::rights::user(name).is_none()
    {
        add("user", name, "there is no such user on this machine (`useradd --system` makes one)");
    }
    if let Some(name) = &global.group
        && sys::rights::group(name).is_none()
    {
        add(
            "group",
            name,
            "there is no such group on this machine (`groupadd --system` makes one)",
        );
    }
    // Without the right to change into it the folder does not matter, and `status` says that.
    if let Some(path) = &global.chroot
        && sys::rights::is_root()
        && !sys::rights::is_contained()
        && let Some(why) = unfit(path)
    {
        let folder = path.display().to_string();
        add("chroot", &folder, &format!("{why}; make it: mkdir -p {folder}"));
    }
    if missing.is_empty() { Ok(()) } else { Err(LaunchError::Problems(missing)) }
}

fn unfit(folder: &Path) -> Option<String> {
    match std::fs::metadata(folder) {
        Ok(found) if found.is_dir() => None,
        Ok(_) => Some("this is no folder".to_owned()),
        Err(error) => Some(format!("the folder cannot be used: {error}")),
    }
}

/// `FILE:LINE: ` of what `global` says; nothing where it is written in a way that only the parser
/// understands.
fn place(sources: &[Source], keyword: &str, value: &str) -> String {
    let mut found = String::new();
    let mut in_global = false;
    for source in sources {
        for (number, line) in (1..).zip(source.text.lines()) {
            let number: u32 = number;
            let mut words = line.split_whitespace();
            match words.next() {
                Some("global") => in_global = true,
                Some(word) if OTHERS.contains(&word) => in_global = false,
                Some(word) if in_global && word == keyword && words.next() == Some(value) => {
                    found = format!("{}:{number}: ", source.path);
                }
                Some(_) | None => {}
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_the_last_one_in_global() {
        let text = "global\n user one\n user two\nuserlist us\n user two\nglobal\n user two\n";
        let sources = [Source { path: "a.cfg".to_owned(), text: text.to_owned() }];
        for (keyword, value, expected) in
            [("user", "one", "a.cfg:2: "), ("user", "two", "a.cfg:7: "), ("group", "two", "")]
        {
            assert_eq!(place(&sources, keyword, value), expected);
        }
    }
}
