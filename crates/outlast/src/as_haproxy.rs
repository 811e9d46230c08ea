//! Called as `haproxy`: that program's arguments (its manual, `management.txt` 3).

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use api::Mode;
use node::Launch;

mod build;

/// Without a configuration's consent nothing runs: haproxy's exit code for a condition that cannot be
/// read.
const UNREADABLE: u8 = 2;

/// What a shell adds to the number of the signal that ended a process; haproxy's master ends so
/// itself.
const BY_SIGNAL: u8 = 128;

#[derive(Debug, Default)]
struct Words {
    files: Vec<PathBuf>,
    pid_file: Option<PathBuf>,
    folder: Option<PathBuf>,
    check: bool,
    quiet: bool,
    daemon: bool,
    foreground: bool,
    /// `-W`, `-Ws`.
    master: bool,
    version: Option<fn() -> String>,
    condition: Option<String>,
    /// `-sf`, `-st`: pids to end once we serve; softly or at once.
    replace: Vec<(i32, bool)>,
    /// What stands for options, in HAProxy's language.
    lines: String,
}

pub(crate) fn main(words: impl Iterator<Item = OsString>) -> ExitCode {
    let words = match parse(words) {
        Ok(words) => words,
        Err(why) => return fail(&why),
    };
    if let Some(version) = words.version {
        let _ = write!(std::io::stdout(), "{}", version());
        return ExitCode::SUCCESS;
    }
    if let Some(condition) = &words.condition {
        return judge(condition);
    }
    if let Some(folder) = &words.folder
        && let Err(error) = std::env::set_current_dir(folder)
    {
        return fail(&format!("{}: {error}", folder.display()));
    }
    if words.files.is_empty() {
        return fail("no configuration file: give -f FILE");
    }
    let launch = Launch {
        mode: Mode::Strict,
        haproxy: words.files.clone(),
        more_lines: words.lines.clone(),
        keepalived: None,
        config_id: None,
        needs_all_included: false,
        network_namespace: None,
        cluster: None,
        node: None,
        run_dir: None,
        state_dir: None,
        pid_file: words.pid_file.clone(),
        vrrp_pid_file: None,
        daemon: words.daemon && !words.foreground,
        replaces: words.replace.clone(),
        breaks: vec![],
    };
    if words.check {
        return check(&launch, words.quiet);
    }
    match node::supervise(&launch) {
        Ok(Some(signal)) if words.master => {
            ExitCode::from(u8::try_from(signal).map_or(BY_SIGNAL, |signal| BY_SIGNAL + signal))
        }
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            crate::complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn fail(why: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "haproxy: {why}");
    ExitCode::FAILURE
}

/// `-cc`: 0 if the condition holds, 1 if not.
fn judge(condition: &str) -> ExitCode {
    let features = build::features();
    let facts = node::Facts { version: build::VERSION, features: &features };
    match node::holds(condition, facts) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            let _ = writeln!(std::io::stderr(), "haproxy: cannot evaluate the condition: {why}");
            ExitCode::from(UNREADABLE)
        }
    }
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
        let text = |value: PathBuf| value.to_string_lossy().into_owned();
        match word.as_str() {
            "-f" => parsed.files.push(value("-f")?),
            "-p" => parsed.pid_file = Some(value("-p")?),
            "-C" => parsed.folder = Some(value("-C")?),
            "-c" => parsed.check = true,
            "-q" => parsed.quiet = true,
            "-D" => parsed.daemon = true,
            "-d" | "-db" => parsed.foreground = true,
            "-v" => parsed.version = Some(build::short),
            "-vv" => parsed.version = Some(build::long),
            "-cc" => parsed.condition = Some(text(value("-cc")?)),
            // Our supervisor is always there; only how it ends is asked for.
            "-W" | "-Ws" => parsed.master = true,
            "-S" => parsed.lines += &master_socket(&text(value("-S")?)),
            "-n" => parsed.lines += &format!("global\n maxconn {}\n", text(value("-n")?)),
            "-V" => {}
            // Choice of the poller, of splice, of memory poisoning: ours are fixed.
            "-de" | "-dp" | "-dS" | "-dG" | "-dR" | "-dr" | "-dV" | "-dW" | "-dM" => {}
            // -N: a default that every proxy of ours leaves to the process. -m: memory is bounded
            // otherwise. -L: the name of a peer. -x: sockets are shared with who is replaced.
            "-N" | "-m" | "-L" | "-x" => {
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

/// `-S ADDRESS[,OPTION[,VALUE]...]`: the socket where haproxy's master answers. What it asks of a
/// worker (`@1 show info`) our only balancer answers itself.
fn master_socket(word: &str) -> String {
    format!("global\n stats socket {} level admin\n", word.replace(',', " "))
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
    fn options_that_the_language_has_words_for_become_lines() {
        let words = of("-W -S /run/m.sock,mode,600 -n 500 -f a");
        assert!(words.master);
        let lines =
            "global\n stats socket /run/m.sock mode 600 level admin\nglobal\n maxconn 500\n";
        assert_eq!(words.lines, lines);
    }

    #[test]
    fn an_unknown_option_is_named() {
        let words = ["-dX", "fd@3"].into_iter().map(OsString::from);
        assert_eq!(parse(words).unwrap_err(), "`-dX` is not run yet");
    }
}
