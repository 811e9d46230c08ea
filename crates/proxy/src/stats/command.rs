//! The language of the statistics socket: one line in, text out.
//!
//! Answers are haproxy 2.6's to the byte wherever a program may read them. What changes something
//! becomes a [`Wish`] and is done by the control thread after the answer.

mod list;
mod servers;

use base::Time;

use super::{info, rows, typed};
use crate::log;
use crate::view::{SessionLine, View, Wish};

/// What a connection may do.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Level {
    User,
    Operator,
    Admin,
}

/// What a command works on.
pub(crate) struct Desk<'a> {
    pub(crate) view: &'a View,
    pub(crate) now: Time,
    /// Milliseconds since 1970 (UTC).
    pub(crate) wall_ms: u64,
    pub(crate) ask: &'a dyn Fn() -> Vec<SessionLine>,
    pub(crate) wishes: &'a mut Vec<Wish>,
}

impl std::fmt::Debug for Desk<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").field("now", &self.now).finish_non_exhaustive()
    }
}

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum After {
    Goes,
    /// `prompt`.
    Toggles,
    /// `quit`.
    Ends,
}

/// Runs the commands of one line, separated by `;`. An empty line behind each answer ends it.
pub(crate) fn run(line: &str, level: &mut Level, desk: &mut Desk<'_>, out: &mut String) -> After {
    let mut after = After::Goes;
    for command in split(line) {
        match obey(&command, level, desk, out) {
            After::Goes => {}
            After::Toggles => after = After::Toggles,
            After::Ends => return After::Ends,
        }
    }
    after
}

/// Runs one command.
pub(crate) fn obey(
    command: &str,
    level: &mut Level,
    desk: &mut Desk<'_>,
    out: &mut String,
) -> After {
    let mut words: Vec<&str> = command.split_ascii_whitespace().collect();
    // Of haproxy's master: "ask this worker". There is one.
    if words.first().is_some_and(|word| word.starts_with('@')) {
        words.remove(0);
    }
    let after = match words.as_slice() {
        ["quit"] => return After::Ends,
        ["prompt"] => After::Toggles,
        words => {
            one(words, level, desk, out);
            After::Goes
        }
    };
    out.push('\n');
    after
}

/// A backslash takes a `;` its meaning. A `;` at the end begins no command.
pub(crate) fn split(line: &str) -> Vec<String> {
    let mut commands = vec![String::new()];
    let mut escaped = false;
    for char in line.chars() {
        match char {
            ';' if !escaped => commands.push(String::new()),
            _ => commands.last_mut().expect("there is one").push(char),
        }
        escaped = char == '\\' && !escaped;
    }
    if commands.len() > 1 && commands.last().is_some_and(|last| last.trim().is_empty()) {
        commands.pop();
    }
    commands
}

fn one(words: &[&str], level: &mut Level, desk: &mut Desk<'_>, out: &mut String) {
    match words {
        ["help", ..] => list::help(out),
        ["user"] => *level = Level::User,
        ["operator"] if *level < Level::Operator => out.push_str("Permission denied\n"),
        ["operator"] => *level = Level::Operator,
        ["show", rest @ ..] => show(words, rest, *level, desk, out),
        ["get", "weight", target, ..] => servers::weight(target, desk.view, out),
        ["get", "weight"] => out.push_str("Require 'backend/server'.\n"),
        ["set", "server", ..] | ["set", "weight", ..] | ["disable" | "enable", "server", ..]
            if *level < Level::Admin =>
        {
            out.push_str("Permission denied\n");
        }
        ["set", "server", rest @ ..] => servers::set(rest, desk, out),
        ["set", "weight", rest @ ..] => servers::set_weight(rest, desk, out),
        [word @ ("disable" | "enable"), "server", rest @ ..] => {
            servers::switch(*word == "enable", rest, desk, out);
        }
        ["clear", "counters", ..] => {
            out.push_str("'clear counters' is not supported: counters only grow.\n");
        }
        ["set", "timeout", "cli", ..] => {}
        words => list::unknown(words, out),
    }
}

fn show(words: &[&str], rest: &[&str], level: Level, desk: &Desk<'_>, out: &mut String) {
    match rest {
        ["info", kind, ..] if is_other_form(kind) => {
            out.push_str("'show info' is only available as text.\n");
        }
        ["info", ..] => out.push_str(&info::text(desk.view, desk.now)),
        ["stat", rest @ ..] => stat(rest, level, desk, out),
        ["servers", "state", rest @ ..] => servers::state(rest.first().copied(), desk, out),
        ["backend"] => {
            out.push_str("# name\n");
            for proxy in desk.view.config.proxies.iter().filter(|p| p.is_backend()) {
                out.push_str(&proxy.name);
                out.push('\n');
            }
        }
        ["sess", "all"] | ["sess"] if level >= Level::Operator => sessions(desk, out),
        ["sess", ..] if level >= Level::Operator => out.push_str("Session not found.\n"),
        ["errors", ..] if level >= Level::Operator => {
            // None are kept: a bad request is in the log, with its client and its first bytes never.
            let at = log::moment(desk.wall_ms);
            out.push_str(&format!("Total events captured on [{at}] : 0\n"));
        }
        ["sess" | "errors", ..] => out.push_str("Permission denied\n"),
        ["version"] => out.push_str(&format!("{}\n", info::version(desk.view))),
        ["cli", "level"] => out.push_str(match level {
            Level::User => "user\n",
            Level::Operator => "operator\n",
            Level::Admin => "admin\n",
        }),
        _ => list::unknown(words, out),
    }
}

/// Machine-readable forms that we do not write must not be taken for the plain one.
fn is_other_form(word: &str) -> bool {
    matches!(word, "json" | "typed" | "desc" | "float")
}

/// `show stat [ID TYPES SERVER] [json|typed] [up] [no-maint]`.
fn stat(rest: &[&str], level: Level, desk: &Desk<'_>, out: &mut String) {
    let number = |at: usize| rest.get(at).and_then(|word| word.parse::<i64>().ok());
    let named = rest.first().and_then(|word| {
        let proxies = &desk.view.config.proxies;
        let position = proxies.iter().position(|proxy| proxy.name == *word)?;
        i64::try_from(position + rows::FIRST_PROXY).ok()
    });
    let (only, types, server) = match (number(0).or(named), number(1), number(2)) {
        (Some(only), Some(types), Some(server)) => (only, types, server),
        _ => (-1, -1, -1),
    };
    let is = |wanted: i64, actual: usize| wanted < 0 || i64::try_from(actual) == Ok(wanted);
    let mut rows = rows::all(desk.view, desk.now, level >= Level::Operator);
    rows.retain(|row| {
        let status = row.value("status");
        let hidden = row.kind == rows::Kind::Server
            && ((rest.contains(&"up") && (status.starts_with("DOWN") || status == "MAINT"))
                || (rest.contains(&"no-maint") && status == "MAINT"));
        let asked = types < 0 || types & (1 << row.kind as u8) != 0;
        let of_server = row.kind != rows::Kind::Server || is(server, row.id);
        asked && !hidden && of_server && is(only, row.proxy + rows::FIRST_PROXY)
    });
    if rest.contains(&"json") {
        typed::json(rows.iter(), out);
        out.push('\n');
    } else if rest.contains(&"typed") {
        rows.iter().for_each(|row| typed::typed(row, out));
    } else {
        rows::header(out);
        rows.iter().for_each(|row| row.csv(out));
    }
}

/// haproxy's fields, without those that speak of its own insides.
fn sessions(desk: &Desk<'_>, out: &mut String) {
    let config = &desk.view.config;
    for line in (desk.ask)() {
        let (protocol, source) = match line.client {
            None => ("unix_stream", "unix:1".to_owned()),
            Some(client) if client.is_ipv4() => ("tcpv4", client.to_string()),
            Some(client) => ("tcpv6", format!("{}:{}", client.ip(), client.port())),
        };
        let frontend = config.proxies.get(line.frontend).map_or("<NONE>", |p| p.name.as_str());
        let backend = line.backend.and_then(|number| config.proxies.get(number));
        let server = backend.zip(line.server).and_then(|(proxy, at)| proxy.servers.get(at));
        let expires = line.expires.map_or_else(String::new, |left| age(left.as_secs()));
        out.push_str(&format!(
            "{:#x}: proto={protocol} src={source} fe={frontend} be={} srv={} ts={:02} age={} \
             rq[i={}] rp[i={}] exp={expires}\n",
            line.id,
            backend.map_or("<NONE>", |proxy| proxy.name.as_str()),
            server.map_or("<none>", |server| server.name.as_str()),
            line.worker,
            age(desk.now.since(line.began).as_secs()),
            line.bytes_in,
            line.bytes_out,
        ));
    }
}

/// The two greatest units, as haproxy's `human_time`: `3s`, `1m5s`, `2h`, `1d4h`.
pub(crate) fn age(seconds: u64) -> String {
    let units = [(86_400, 'd'), (3600, 'h'), (60, 'm'), (1, 's')];
    let Some(first) = units.iter().position(|(size, _)| seconds >= *size) else {
        return "0s".to_owned();
    };
    let (size, name) = units[first];
    let mut text = format!("{}{name}", seconds / size);
    if let Some((smaller, name)) = units.get(first + 1) {
        match seconds % size / smaller {
            0 => {}
            rest => text.push_str(&format!("{rest}{name}")),
        }
    }
    text
}
