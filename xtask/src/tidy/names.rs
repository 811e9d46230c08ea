//! What a Rust file may say: names that name something, `unsafe` in one place, no test put aside.

use super::Finding;
use super::code::{Code, Word};
use super::tree::File;

/// Words that say "I did not know what this is".
const EMPTY_WORDS: [&str; 5] = ["manager", "helper", "util", "common", "handler"];

/// What a trait of others asks for: openraft's storage.
const NAMED_BY_OTHERS: [&str; 4] =
    ["get_log_state", "get_log_reader", "get_snapshot_builder", "get_current_snapshot"];

/// Keywords after which a name is chosen.
const DECLARATIONS: [&str; 9] =
    ["fn", "struct", "enum", "trait", "mod", "type", "const", "static", "union"];

pub(super) fn check(file: &File) -> Vec<Finding> {
    let Some(code) = &file.code else { return vec![] };
    let mut findings = vec![];
    let mut complain = |line, message: String| {
        findings.push(Finding::new(&file.path, line, message));
    };
    let path = file.path.trim_end_matches(".rs");
    for part in path.split('/').filter_map(empty_word) {
        complain(1, format!("`{part}` in a file's name says nothing"));
    }
    for (line, name) in declared(code) {
        if let Some(word) = empty_word(name) {
            complain(line, format!("`{word}` in `{name}` says nothing: name the thing"));
        }
        if name.starts_with("get_") && name != "get_mut" && !NAMED_BY_OTHERS.contains(&name) {
            complain(line, format!("`{name}`: a getter is named like what it gives"));
        }
    }
    if file.layer() != Some("sys") {
        for word in code.words().filter(|word| word.text == "unsafe") {
            complain(word.line, "`unsafe` belongs into crates/sys".into());
        }
    }
    for word in code.words().filter(|word| matches!(word.text, "todo" | "unimplemented")) {
        if word.then == '!' {
            complain(word.line, format!("`{}!` is no implementation", word.text));
        }
    }
    for (line, _) in code.lines().filter(|(_, text)| text.contains("#[ignore")) {
        let message = "a test that cannot run prints SKIP and has a row in tests/skips.toml";
        complain(line, message.into());
    }
    findings
}

fn declared(code: &Code) -> impl Iterator<Item = (usize, &str)> {
    let mut before: Option<Word<'_>> = None;
    code.words().filter_map(move |word| {
        let declares = before.is_some_and(|b| DECLARATIONS.contains(&b.text) && b.then != '(');
        before = Some(word);
        declares.then_some((word.line, word.text))
    })
}

/// The empty word that this name contains, be it snake_case, CamelCase or SCREAMING.
fn empty_word(name: &str) -> Option<&'static str> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for character in name.chars() {
        if character == '_' || character == '-' || (character.is_uppercase() && was_lower) {
            words.push(String::new());
        }
        was_lower = character.is_lowercase();
        if character.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(character.to_lowercase());
        }
    }
    let is_empty = |word: &String, empty: &str| word.strip_suffix('s').unwrap_or(word) == empty;
    EMPTY_WORDS.into_iter().find(|empty| words.iter().any(|word| is_empty(word, empty)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_at(path: &str, text: &str, expected: &[&str]) {
        let findings = check(&File::new(path, text));
        let lines: Vec<_> = findings.into_iter().map(|finding| finding.message).collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn names_that_say_nothing_are_refused() {
        let path = "crates/node/src/vip.rs";
        check_at(
            path,
            "struct VipManager;",
            &["`manager` in `VipManager` says nothing: name the thing"],
        );
        check_at(
            path,
            "fn helpers_of() {}",
            &["`helper` in `helpers_of` says nothing: name the thing"],
        );
        check_at(path, "fn get_vip() {}", &["`get_vip`: a getter is named like what it gives"]);
        check_at(path, "let rabbitmq_management = utility; // helper", &[]);
        check_at("crates/node/src/utils.rs", "", &["`util` in a file's name says nothing"]);
    }

    #[test]
    fn unsafe_is_found_in_code_only() {
        let text = "// unsafe\n#![deny(unsafe_code)]\nlet x = \"unsafe\";\n";
        check_at("crates/node/src/lib.rs", text, &[]);
        let text = "unsafe { x() }";
        check_at("crates/node/src/lib.rs", text, &["`unsafe` belongs into crates/sys"]);
        check_at("crates/sys/src/lib.rs", text, &[]);
    }

    #[test]
    fn a_test_is_not_put_aside() {
        let message = "a test that cannot run prints SKIP and has a row in tests/skips.toml";
        check_at("crates/node/src/lib.rs", "#[ignore = \"slow\"]\nfn a() {}", &[message]);
    }
}
