//! Called as `haproxy`: that program's arguments (its manual, `management.txt` 3).

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use api::Mode;
use node::Launch;

/// The version whose language and texts we follow.
const VERSION: &str = "HAProxy version 2.6.12 (outlast in strict mode)";

#[derive(Debug, Default)]
struct Words {
    files: Vec<PathBuf>,
    pid_file: Option<PathBuf>,
    folder: Option<PathBuf>,
    check: bool,
    quiet: bool,
    daemon: bool,
    foreground: bool,
    version: bool,
    /// `-sf`, `-st`: pids to end once we serve; softly or at once.
    replace: Vec<(i32, bool)>,
}

pub(crate) fn main(words: impl Iterator<Item = OsString>) -> ExitCode {
    let words = match parse(words) {
        Ok(words) => words,
        Err(why) => {
            let _ = writeln!(std::io::stderr(), "haproxy: {why}");
            return ExitCode::FAILURE;
        }
    };
    if words.version {
        let _ = writeln!(std::io::stdout(), "{VERSION}");
        return ExitCode::SUCCESS;
    }
    if let Some(folder) = &words.folder
        && let Err(error) = std::env::set_current_dir(folder)
    {
        let _ = writeln!(std::io::stderr(), "haproxy: {}: {error}", folder.display());
        return ExitCode::FAILURE;
    }
    if words.files.is_empty() {
        let _ = writeln!(std::io::stderr(), "haproxy: no configuration file: give -f FILE");
        return ExitCode::FAILURE;
    }
    let launch = Launch {
        mode: Mode::Strict,
        haproxy: words.files.clone(),
        keepalived: None,
        cluster: None,
        node: None,
        run_dir: None,
        state_dir: None,
        pid_file: words.pid_file.clone(),
        daemon: words.daemon && !words.foreground,
        replaces: words.replace.clone(),
        breaks: vec![],
    };
    if words.check {
        return check(&launch, words.quiet);
    }
    crate::run::supervise(&launch)
}

/// `-c`: 0 and "Configuration file is valid", or 1 and what is wrong.
fn check(launch: &Launch, quiet: bool) -> ExitCode {
    match node::check(launch) {
        Ok(warnings) => {
            if !quiet {
                let _ = write!(std::io::stderr(), "{warnings}");
                let _ = writeln!(std::io::stdout(), "Configuration file is valid");
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            crate::complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn parse(words: impl Iterator<Item = OsString>) -> Result<Words, String> {
    let mut parsed = Words::default();
    let mut words = words.peekable();
    while let Some(word) = words.next() {
        let word = word.to_string_lossy().into_owned();
        let mut value = |name: &str| {
            words.next().ok_or_else(|| format!("{name} needs a value")).map(PathBuf::from)
        };
        match word.as_str() {
            "-f" => parsed.files.push(value("-f")?),
            "-p" => parsed.pid_file = Some(value("-p")?),
            "-C" => parsed.folder = Some(value("-C")?),
            "-c" => parsed.check = true,
            "-q" => parsed.quiet = true,
            "-D" => parsed.daemon = true,
            "-d" | "-db" => parsed.foreground = true,
            "-v" | "-vv" => parsed.version = true,
            // Our supervisor is always there, and is no option.
            "-W" | "-Ws" | "-V" => {}
            // Choice of the poller, of splice, of memory poisoning: ours are fixed.
            "-de" | "-dp" | "-dS" | "-dG" | "-dR" | "-dr" | "-dV" | "-dW" | "-dM" => {}
            "-n" | "-N" | "-m" | "-L" => {
                value(&word)?;
            }
            "-sf" | "-st" => {
                while let Some(pid) = words.peek().and_then(|word| word.to_str()?.parse().ok()) {
                    parsed.replace.push((pid, word == "-sf"));
                    words.next();
                }
            }
            "--" => parsed.files.extend(words.by_ref().map(PathBuf::from)),
            other if other.starts_with("-dM") => {}
            other if other.starts_with('-') => return Err(format!("`{other}` is not run yet")),
            other => parsed.files.push(PathBuf::from(other)),
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
    fn kolla_starts_a_file_and_a_folder() {
        let words = of("-W -db -p /run/haproxy.pid -f haproxy.cfg -f services.d/");
        assert_eq!(words.files, [PathBuf::from("haproxy.cfg"), PathBuf::from("services.d/")]);
        assert_eq!(words.pid_file, Some(PathBuf::from("/run/haproxy.pid")));
        assert!(words.foreground);
    }

    #[test]
    fn pids_to_replace_end_at_the_next_option() {
        let words = of("-f a -sf 12 13 -D");
        assert_eq!(words.replace, [(12, true), (13, true)]);
        assert!(words.daemon);
    }

    #[test]
    fn an_unknown_option_is_named() {
        let words = ["-S", "fd@3"].into_iter().map(OsString::from);
        assert_eq!(parse(words).unwrap_err(), "`-S` is not run yet");
    }
}
