//! Called as `keepalived`: that program's arguments and exit codes (`man 8 keepalived`).

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use api::Mode;
use node::Launch;

mod options;

use options::{Does, OPTIONS, Takes, Which};

const FILE: &str = "/etc/keepalived/keepalived.conf";

#[derive(Debug, Default)]
struct Words {
    file: Option<PathBuf>,
    pid_file: Option<PathBuf>,
    vrrp_pid_file: Option<PathBuf>,
    config_id: Option<String>,
    namespace: Option<String>,
    needs_all_included: bool,
    foreground: bool,
    check: bool,
    /// Gets what the check says, in place of standard error.
    check_log: Option<PathBuf>,
    help: bool,
    version: bool,
    signal: Option<String>,
    /// What is accepted and not obeyed, and words that mean nothing.
    told: Vec<String>,
}

pub(crate) fn main(words: impl Iterator<Item = OsString>) -> ExitCode {
    let words = match parse(words) {
        Ok(words) => words,
        Err(why) => {
            let _ = writeln!(std::io::stderr(), "keepalived: {why}");
            return ExitCode::FAILURE;
        }
    };
    if words.version {
        let _ = writeln!(std::io::stderr(), "Keepalived v2.2.7 (outlast in rfc mode)");
        return ExitCode::SUCCESS;
    }
    if words.help {
        let _ = write!(std::io::stderr(), "{}", options::usage());
        return ExitCode::SUCCESS;
    }
    if let Some(word) = &words.signal {
        return match node::signum(word) {
            Some(number) => {
                let _ = writeln!(std::io::stdout(), "{number}");
                ExitCode::SUCCESS
            }
            None => {
                let _ = writeln!(std::io::stderr(), "Unknown sigfunc {word}");
                ExitCode::FAILURE
            }
        };
    }
    for line in &words.told {
        let _ = writeln!(std::io::stderr(), "keepalived: {line}");
    }
    let launch = launch(&words);
    if words.check {
        return check(&launch, words.check_log.as_deref());
    }
    if node::routers::stands_in(&launch) {
        let daemon = launch.daemon;
        let part = node::routers::Part::Router(Box::new(launch));
        return match node::routers::stand_in(&part, daemon) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                crate::complain(&error);
                ExitCode::FAILURE
            }
        };
    }
    match node::supervise(&launch) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            crate::complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn launch(words: &Words) -> Launch {
    Launch {
        mode: Mode::Rfc,
        haproxy: vec![],
        more_lines: String::new(),
        keepalived: Some(words.file.clone().unwrap_or_else(|| PathBuf::from(FILE))),
        config_id: words.config_id.clone(),
        needs_all_included: words.needs_all_included,
        network_namespace: words.namespace.clone(),
        cluster: None,
        node: None,
        run_dir: None,
        state_dir: None,
        pid_file: words.pid_file.clone(),
        vrrp_pid_file: words.vrrp_pid_file.clone(),
        daemon: !words.foreground,
        replaces: vec![],
        breaks: vec![],
    }
}

/// `-t`: 0 well, 4 no file, 5 mistakes, 6 programs that run without `enable_script_security`, or a file that had to be
/// there and is not.
fn check(launch: &Launch, log: Option<&Path>) -> ExitCode {
    let tested = node::config_test(launch);
    let written = match log {
        None => write!(std::io::stderr(), "{}", tested.told),
        Some(path) => OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o644)
            .open(path)
            .and_then(|mut file| write!(file, "{}", tested.told)),
    };
    match (written, log) {
        (Err(error), Some(path)) => {
            let _ =
                writeln!(std::io::stderr(), "keepalived: cannot write {}: {error}", path.display());
            ExitCode::FAILURE
        }
        _ => ExitCode::from(tested.verdict.exit_code()),
    }
}

/// Short options may stand together (`-nld`), a value follows or is glued on (`-fFILE`), a long name may be cut off where
/// no other one begins so: as `getopt_long` has it.
fn parse(words: impl Iterator<Item = OsString>) -> Result<Words, String> {
    let mut parsed = Words::default();
    let mut extra: Vec<String> = Vec::new();
    let mut words = words.map(|word| word.to_string_lossy().into_owned());
    while let Some(word) = words.next() {
        if word == "--" {
            extra.extend(words.by_ref());
        } else if let Some(long) = word.strip_prefix("--") {
            let (name, glued) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (long, None),
            };
            let option = options::long(name)?;
            let missing = || format!("Missing parameter for option --{}", option.long);
            let value = match option.takes {
                Takes::Nothing => None,
                Takes::Value => {
                    let value = glued.or_else(|| words.next());
                    Some(value.filter(|value| !value.is_empty()).ok_or_else(missing)?)
                }
                Takes::Glued => glued.filter(|value| !value.is_empty()),
            };
            option.does.obey(value, &mut parsed)?;
        } else if let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) {
            short(letters, &mut words, &mut parsed)?;
        } else {
            extra.push(word);
        }
    }
    if !extra.is_empty() {
        parsed.told.push(format!("Unexpected argument(s): {}", extra.join(" ")));
    }
    Ok(parsed)
}

fn short(
    letters: &str,
    words: &mut impl Iterator<Item = String>,
    parsed: &mut Words,
) -> Result<(), String> {
    let mut rest = letters.chars();
    while let Some(letter) = rest.next() {
        let option = OPTIONS.iter().find(|option| option.short == Some(letter));
        let option = option.ok_or_else(|| format!("Unknown option -{letter}"))?;
        let mut glued = || Some(rest.by_ref().collect::<String>()).filter(|it| !it.is_empty());
        let value = match option.takes {
            Takes::Nothing => None,
            Takes::Glued => glued(),
            Takes::Value => {
                let value = glued().or_else(|| words.next());
                Some(value.ok_or_else(|| format!("Missing parameter for option -{letter}"))?)
            }
        };
        option.does.obey(value, parsed)?;
    }
    Ok(())
}

impl Does {
    fn obey(&self, value: Option<String>, words: &mut Words) -> Result<(), String> {
        match self {
            Self::Nothing(_) => {}
            Self::Told(why) => words.told.push((*why).to_owned()),
            Self::Refused(why) => return Err((*why).to_owned()),
            Self::Sets(which) => which.set(value, words),
        }
        Ok(())
    }
}

impl Which {
    fn set(self, value: Option<String>, words: &mut Words) {
        let path = |value: Option<String>| value.map(PathBuf::from);
        match self {
            Self::File => words.file = path(value),
            Self::PidFile => words.pid_file = path(value),
            Self::VrrpPidFile => words.vrrp_pid_file = path(value),
            Self::ConfigId => words.config_id = value,
            Self::Namespace => words.namespace = value,
            Self::AllIncluded => words.needs_all_included = true,
            Self::Foreground => words.foreground = true,
            Self::Check => (words.check, words.check_log) = (true, path(value)),
            Self::Help => words.help = true,
            Self::Version => words.version = true,
            Self::Signal => words.signal = value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn try_of(line: &str) -> Result<Words, String> {
        parse(line.split_whitespace().map(OsString::from))
    }

    fn of(line: &str) -> Words {
        try_of(line).unwrap()
    }

    #[test]
    fn kolla_and_neutron_lines_are_understood() {
        let words = of("-nld -f /etc/k.conf -p /run/k.pid");
        assert!(words.foreground);
        assert_eq!(words.file, Some("/etc/k.conf".into()));
        assert_eq!(words.pid_file, Some("/run/k.pid".into()));
        let words = of("-P -f /etc/k.conf -p /run/k.pid -r /run/k.pid-vrrp -D");
        assert!(!words.foreground);
        assert_eq!(words.pid_file, Some("/run/k.pid".into()));
        assert_eq!(words.vrrp_pid_file, Some("/run/k.pid-vrrp".into()));
        assert_eq!(of("--signum=JSON").signal, of("--signum JSON").signal);
    }

    #[test]
    fn a_value_may_be_glued_on_and_a_long_name_cut_off() {
        assert_eq!(of("-n -f/etc/k.conf").file, Some("/etc/k.conf".into()));
        assert_eq!(of("--use-file=/etc/k.conf").file, Some("/etc/k.conf".into()));
        assert_eq!(of("--use /etc/k.conf").file, Some("/etc/k.conf".into()));
        assert_eq!(of("-t/tmp/log").check_log, Some("/tmp/log".into()));
        assert_eq!(of("-t -f k").check_log, None);
        assert_eq!(of("-nei main").config_id.as_deref(), Some("main"));
        assert!(of("-nei main").needs_all_included);
        assert_eq!(of("-s blue").namespace.as_deref(), Some("blue"));
    }

    #[test]
    fn each_option_is_obeyed_or_says_why_it_is_not() {
        for option in OPTIONS {
            let names = option.short.map(|letter| format!("-{letter}"));
            for name in names.into_iter().chain([format!("--{}", option.long)]) {
                let line = match option.takes {
                    Takes::Value => format!("{name} /x"),
                    Takes::Nothing | Takes::Glued => name,
                };
                match (try_of(&line), &option.does) {
                    (Err(why), Does::Refused(reason)) => assert_eq!(why, *reason),
                    (Ok(words), Does::Told(reason)) => assert_eq!(words.told, [*reason]),
                    (Ok(words), Does::Nothing(_) | Does::Sets(_)) => {
                        assert_eq!(words.told, [""; 0], "{line}");
                    }
                    (other, does) => panic!("{line}: {other:?} {does:?}"),
                }
            }
        }
    }

    #[test]
    fn a_word_that_keepalived_does_not_know_is_refused_as_there() {
        let rows = [
            ("-Z", "Unknown option -Z"),
            ("--bogus", "Unknown option --bogus"),
            ("-t -f", "Missing parameter for option -f"),
            ("--use-file=", "Missing parameter for option --use-file"),
            ("--lo", "Unknown option --lo"),
        ];
        for (line, why) in rows {
            assert_eq!(try_of(line).unwrap_err(), why, "{line}");
        }
        assert_eq!(of("-t a b").told, ["Unexpected argument(s): a b"]);
    }
}
