//! Called as `keepalived`: that program's arguments (`man keepalived`).

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use api::Mode;
use node::Launch;

const FILE: &str = "/etc/keepalived/keepalived.conf";

#[derive(Debug, Default)]
struct Words {
    file: Option<PathBuf>,
    pid_file: Option<PathBuf>,
    vrrp_pid_file: Option<PathBuf>,
    foreground: bool,
    check: bool,
    version: bool,
    signal: Option<String>,
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
    if let Some(word) = words.signal {
        return match node::signum(&word) {
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
    let launch = Launch {
        mode: Mode::Rfc,
        haproxy: vec![],
        more_lines: String::new(),
        keepalived: Some(words.file.unwrap_or_else(|| PathBuf::from(FILE))),
        cluster: None,
        node: None,
        run_dir: None,
        state_dir: None,
        pid_file: words.pid_file,
        vrrp_pid_file: words.vrrp_pid_file,
        daemon: !words.foreground,
        replaces: vec![],
        breaks: vec![],
    };
    if words.check {
        return match node::check(&launch) {
            Ok(warnings) => {
                let _ = write!(std::io::stderr(), "{warnings}");
                ExitCode::SUCCESS
            }
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

/// Short options may stand together (`-nld`), a value follows or is glued on (`-fFILE`).
fn parse(words: impl Iterator<Item = OsString>) -> Result<Words, String> {
    let mut parsed = Words::default();
    let mut words = words.map(|word| word.to_string_lossy().into_owned());
    while let Some(word) = words.next() {
        let (name, glued) = match word.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
            _ => (word.as_str(), None),
        };
        let letters: Vec<char> = match name {
            "--use-file" => vec!['f'],
            "--pid" => vec!['p'],
            "--vrrp_pid" => vec!['r'],
            "--checkers_pid" => vec!['c'],
            "--dont-fork" => vec!['n'],
            "--log-console" => vec!['l'],
            "--log-detail" => vec!['D'],
            "--dump-conf" => vec!['d'],
            "--vrrp" => vec!['P'],
            "--config-test" => vec!['t'],
            "--version" => vec!['v'],
            "--signum" => {
                let word = glued.or_else(|| words.next()).ok_or("--signum needs a word")?;
                parsed.signal = Some(word);
                continue;
            }
            name if name.starts_with('-') && !name.starts_with("--") && name.len() > 1 => {
                name.chars().skip(1).collect()
            }
            other => return Err(format!("`{other}` is not run yet")),
        };
        let mut rest = letters.iter();
        while let Some(letter) = rest.next() {
            match letter {
                'n' => parsed.foreground = true,
                't' => parsed.check = true,
                'v' => parsed.version = true,
                // Logging goes to stderr and the event log; there is no other process to choose.
                'l' | 'D' | 'd' | 'P' | 'V' | 'I' | 'R' => {}
                'f' | 'p' | 'r' | 'c' | 'S' => {
                    let joined: String = rest.by_ref().collect();
                    let value = glued
                        .clone()
                        .or_else(|| Some(joined).filter(|joined| !joined.is_empty()))
                        .or_else(|| words.next())
                        .ok_or_else(|| format!("-{letter} needs a value"))?;
                    match letter {
                        'f' => parsed.file = Some(value.into()),
                        'p' => parsed.pid_file = Some(value.into()),
                        'r' => parsed.vrrp_pid_file = Some(value.into()),
                        _ => {}
                    }
                }
                other => return Err(format!("`-{other}` is not run yet")),
            }
        }
    }
    Ok(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Words {
        parse(line.split_whitespace().map(OsString::from)).unwrap()
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
    fn a_value_may_be_glued_on() {
        assert_eq!(of("-n -f/etc/k.conf").file, Some("/etc/k.conf".into()));
        assert_eq!(of("--use-file=/etc/k.conf").file, Some("/etc/k.conf".into()));
    }
}
