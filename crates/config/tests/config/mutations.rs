//! 300 files with one mistake each: HAProxy 2.6 and we accept and refuse the same ones.
//!
//! The mistakes are made by a generator with a fixed seed, from files that are right.

use std::fs;
use std::path::Path;
use std::process::Command;

use outlast_config::{Severity, Source, haproxy};

use crate::skip::{self, Folder};

const VERSION: &str = "version 2.6.";

/// Mutated files per run; one costs HAProxy about 20 ms.
const FILES: u64 = 300;

/// Why we may refuse what HAProxy accepts: a part of our message, the reason.
const STRICTER: &[(&str, &str)] = &[
    ("expected a count", "HAProxy reads the digits, ignores the rest and wraps around (atol)"),
    ("expected a weight", "the same"),
    ("expected a port", "the same"),
    ("expected a status", "the same"),
    ("expected a size", "the same"),
    ("expected codes like", "the same; codes below 100 never come"),
    ("expected a number like -1", "the same"),
    ("is no port", "HAProxy reads the digits of a port and ignores the rest (atol)"),
    ("is no address", "HAProxy takes `2` and `007.1` as the C library's old forms of addresses"),
    ("expected user:password", "HAProxy takes a user without a password, whom nobody can be"),
    ("nothing is expected here, found", "HAProxy ignores words behind some keywords"),
];

/// Why we may accept what HAProxy refuses: a part of its message, a part of our note about the same
/// word, because of which `outlast run` refuses the file. Users and groups are no matter of the file:
/// `run` looks for them on the node.
const LATER: &[(&str, &str)] = &[
    ("could not resolve address", "looking up the name"),
    ("invalid address", "looking up the name"),
    ("unable to set TLS 1.3 cipher suites", "`ssl` of `bind` is not run yet"),
    ("unable to set SSL cipher list", "`ssl` of `bind` is not run yet"),
    ("unable to stat SSL certificate", "`crt` of `bind` is not run yet"),
    ("Couldn't open the ca-file", "`ca-file` of `server` is not run yet"),
    ("cannot find user id for", ""),
    ("cannot find group id for", ""),
    ("unknown user name", ""),
    ("unknown group name", ""),
];

/// A generator whose numbers do not change with a library's version (xorshift64*).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(number).unwrap() % limit.max(1)
    }

    fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }
}

const NUMBERS: [&str; 12] = [
    "0",
    "-1",
    "1",
    "65535",
    "65536",
    "257",
    "99999999999",
    "10x",
    "0x10",
    "1.5",
    "007",
    "2147483648",
];

const UNITS: [&str; 10] = ["us", "ms", "s", "m", "h", "d", "sec", "x", "S", ""];

/// The file with one mistake, and what it is.
fn mutated(text: &str, dice: &mut Dice) -> (String, String) {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let written: Vec<usize> = (0..lines.len())
        .filter(|line| {
            let line = lines[*line].trim();
            !line.is_empty() && !line.starts_with('#')
        })
        .collect();
    let all: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    let at = *dice.pick(&written);
    if dice.below(12) == 11 {
        let other = *dice.pick(&written);
        match dice.below(3) {
            0 => lines.swap(at, other),
            1 => drop(lines.remove(at)),
            _ => {
                let again = lines[other].clone();
                lines.insert(at, again);
            }
        }
        return (lines.join("\n") + "\n", format!("lines {at} and {other}"));
    }
    let indent: String = lines[at].chars().take_while(|c| c.is_whitespace()).collect();
    let mut words: Vec<String> = lines[at].split_whitespace().map(str::to_owned).collect();
    let what = mutate(&mut words, &all, dice);
    lines[at] = format!("{indent}{}", words.join(" "));
    (lines.join("\n") + "\n", format!("{what}: `{}`", lines[at].trim()))
}

/// One mistake in one line.
fn mutate(words: &mut Vec<String>, all: &[String], dice: &mut Dice) -> &'static str {
    let word = dice.below(words.len());
    let numbers: Vec<usize> =
        (0..words.len()).filter(|at| words[*at].contains(|c: char| c.is_ascii_digit())).collect();
    match dice.below(11) {
        0 => {
            let other = dice.below(words.len());
            words.swap(word, other);
            "words swapped"
        }
        1 => {
            words.remove(word);
            "a word deleted"
        }
        2 => {
            let again = words[word].clone();
            words.insert(word, again);
            "a word twice"
        }
        3 => {
            words[word] = dice.pick(all).clone();
            "a word of elsewhere"
        }
        4 => {
            words.insert(word + 1, dice.pick(all).clone());
            "a word too many"
        }
        6 | 7 if !numbers.is_empty() => {
            let word = *dice.pick(&numbers);
            let old = words[word].clone();
            let start = old.find(|c: char| c.is_ascii_digit()).unwrap();
            let rest = old[start..].trim_start_matches(|c: char| c.is_ascii_digit());
            words[word] = format!("{}{}{rest}", &old[..start], dice.pick(&NUMBERS));
            "another number"
        }
        8 | 9 if !numbers.is_empty() => {
            let word = *dice.pick(&numbers);
            let old = words[word].trim_end_matches(|c: char| c.is_ascii_alphabetic()).to_owned();
            words[word] = format!("{old}{}", dice.pick(&UNITS));
            "another unit"
        }
        10 => {
            words.truncate(word.max(1));
            "cut off"
        }
        _ => {
            let mut letters: Vec<char> = words[word].chars().collect();
            let letter = dice.below(letters.len());
            match dice.below(3) {
                0 => drop(letters.remove(letter)),
                1 => letters.insert(letter, 'x'),
                _ => letters[letter] = 'z',
            }
            words[word] = letters.into_iter().collect();
            "a typing error"
        }
    }
}

/// Whether HAProxy refuses the file, and what it says.
fn theirs(program: &Command, folder: &Path, text: &str) -> (bool, String) {
    let file = folder.join("case.cfg");
    fs::write(&file, text).unwrap();
    let mut haproxy = Command::new(program.get_program());
    let output = haproxy.arg("-c").arg("-f").arg(&file).current_dir(folder).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let alerts: Vec<&str> = told.lines().filter(|line| line.contains("[ALERT]")).collect();
    // 2 means: nothing wrong, but nothing to listen on.
    (output.status.code() == Some(1), alerts.join("\n"))
}

/// Our errors, and what we do not run yet.
fn ours(text: &str) -> (Vec<String>, Vec<String>) {
    let source = Source { path: "case.cfg".to_owned(), text: text.to_owned() };
    let findings = haproxy::parse(std::slice::from_ref(&source), 0).1;
    let of = |severity| {
        let chosen = findings.iter().filter(move |finding| finding.severity == severity);
        chosen.map(|finding| finding.message.clone()).collect()
    };
    (of(Severity::Error), of(Severity::Note))
}

/// Whether the two agree, or why they need not.
fn agree(they_refuse: bool, told: &str, errors: &[String], notes: &[String]) -> bool {
    match (they_refuse, errors.is_empty()) {
        (true, false) | (false, true) => true,
        (true, true) => LATER.iter().any(|(theirs, ours)| {
            let noted = ours.is_empty() || notes.iter().any(|note| note.contains(ours));
            told.contains(theirs) && noted
        }),
        (false, false) => {
            let known = |error: &String| STRICTER.iter().any(|(ours, _)| error.contains(ours));
            errors.iter().all(known)
        }
    }
}

/// About this many lines: a long file costs HAProxy more than it shows us.
const LINES: usize = 100;

/// The first sections of a file, so many that no frontend lacks its backend.
fn beginning(text: &str) -> String {
    let mut kept = String::new();
    for (at, line) in text.lines().enumerate() {
        if at > LINES && (line.starts_with("frontend ") || line.starts_with("listen ")) {
            break;
        }
        kept.push_str(line);
        kept.push('\n');
    }
    kept
}

/// Files that are right, in the folder that they refer to.
fn bases(folder: &Path) -> Vec<String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let example = here.join("../../examples/three-controllers/haproxy.cfg");
    let mut texts =
        vec![fs::read_to_string(example).unwrap(), include_str!("many_keywords.cfg").to_owned()];
    if let Some(shared) = skip::documents() {
        let prepared = Command::new(shared.join("data/prepare.sh")).arg(folder).status();
        let mut files = vec!["seed003.cfg", "kolla-rendered.cfg"];
        // Certificates need openssl.
        if prepared.is_ok_and(|status| status.success()) {
            files.push("kolla-tls-rendered.cfg");
        }
        let read = |name| beginning(&fs::read_to_string(shared.join("data").join(name)).unwrap());
        texts.extend(files.into_iter().map(read));
    }
    texts
}

#[test]
fn files_with_one_mistake_are_accepted_and_refused_as_by_haproxy() {
    let test = "files_with_one_mistake_are_accepted_and_refused_as_by_haproxy";
    let Some(program) = skip::program(test, "haproxy", VERSION) else { return };
    let folder = Folder::new("haproxy-mutations");
    let bases = bases(&folder.0);
    for base in &bases {
        assert!(!theirs(&program, &folder.0, base).0, "{}", theirs(&program, &folder.0, base).1);
    }
    let seed = std::env::var("OUTLAST_SEED").ok().and_then(|seed| seed.parse().ok());
    let mut dice = Dice(seed.unwrap_or(0x0123_4567_89AB_CDEF));
    let (mut different, mut refused) = (Vec::new(), 0);
    let files = std::env::var("OUTLAST_FILES").ok().and_then(|n| n.parse().ok());
    for _ in 0..files.unwrap_or(FILES) {
        let base = dice.pick(&bases).clone();
        let (text, what) = mutated(&base, &mut dice);
        let (they_refuse, told) = theirs(&program, &folder.0, &text);
        let (errors, notes) = ours(&text);
        refused += u64::from(they_refuse);
        if !agree(they_refuse, &told, &errors, &notes) {
            different.push(format!("{what}\n  haproxy: {told}\n  outlast: {errors:?}"));
        }
    }
    assert!(refused > 50, "only {refused} files were refused: the mistakes are no mistakes");
    assert!(different.is_empty(), "{} differ:\n{}", different.len(), different.join("\n"));
}
