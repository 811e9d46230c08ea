//! Why a server gets requests or not.

use std::time::Duration;

use api::{ServerCheck, ServerState, Standing};
use config::haproxy::{Check, CheckKind, Server};
use engine::balance::{LEAST_PATIENCE, MOST_PATIENCE};
use engine::health::ANSWER_SILENCE;

use super::{Ground, Told, count, fact, span};

pub(super) fn why(ground: &Ground<'_>, proxy: &str, name: &str) -> Option<Told> {
    let state = ground.status.servers.iter().find(|s| s.proxy == proxy && s.server == name)?;
    let section = ground.files.haproxy.proxies.iter().find(|known| known.name == proxy);
    let file = section.and_then(|section| section.servers.iter().find(|s| s.name == name));
    let check = file.and_then(|server| server.check.as_ref());
    let kind = section.map_or("a connect", |section| match section.check {
        CheckKind::Tcp => "a connect",
        CheckKind::Http(_) => "an HTTP request",
        CheckKind::Mysql(_) => "a MySQL greeting",
    });
    let mut evidence = vec![];
    let object = format!("server/{proxy}/{name}");
    if let (Some(file), Some(check)) = (file, check) {
        let every = span(check.interval);
        let what = format!("checked by {kind} to {} every {every}", target(file, check));
        evidence.push(fact(what));
    }
    let last = if state.why.is_empty() { "no check has counted yet" } else { &state.why };
    evidence.push(ground.heard(format!("last word of the checks: {last}"), &object));
    if let Some(file) = file {
        evidence.extend(on_node(ground, file));
    }
    if let Some(choice) = ground.status.choices.iter().find(|choice| choice.proxy == proxy) {
        let is =
            if choice.server == name { "the one that is written to" } else { "not written to" };
        evidence.push(ground.heard(format!("it is {is}"), &format!("pool/{proxy}")));
    }
    Some(Told {
        state: sentence(state, file),
        evidence,
        rule: rule(ground.times.detect(), state, check),
        rules: vec![],
        would_change: would_change(ground.times.detect(), state, check),
    })
}

fn target(server: &Server, check: &Check) -> String {
    let (mut to, port) = (server.address, check.port.unwrap_or_else(|| server.address.port()));
    to.set_ip(check.address.unwrap_or_else(|| server.address.ip()));
    to.set_port(port);
    to.to_string()
}

/// The node that its address lives on.
fn on_node(ground: &Ground<'_>, server: &Server) -> Option<api::Evidence> {
    let position = ground.files.node_of(server.address.ip())?;
    let line = ground.status.nodes.get(position)?;
    let age = line.state.cells.iter().filter_map(|cell| cell.age_ms).min();
    let standing = match line.state.standing {
        Standing::Unknown => "was not heard yet",
        Standing::Alive => "is alive",
        Standing::Suspect => "is silent on every network",
        Standing::Left => "said goodbye",
    };
    Some(super::seen(format!("its node {} {standing}", line.state.node), age))
}

fn sentence(state: &ServerState, file: Option<&Server>) -> String {
    let backup = if file.is_some_and(|file| file.backup) { " (backup)" } else { "" };
    let name = format!("{} of {}{backup}", state.server, state.proxy);
    match (state.check, state.suspect) {
        (ServerCheck::Down, _) => format!("{name} is down: it gets no request"),
        (ServerCheck::Drain, _) => format!("{name} drains: it gets no new session"),
        (ServerCheck::Maintenance, _) => format!("{name} is in maintenance: it gets no request"),
        (ServerCheck::Up, true) => {
            format!("{name} is up but suspect: it gets no new request while another is up")
        }
        (ServerCheck::Unchecked, true) => {
            format!("{name} is suspect: it gets no new request while another is up")
        }
        (ServerCheck::Up, false) => format!("{name} is up"),
        (ServerCheck::Unchecked, false) => format!("{name} is not checked, and so up"),
    }
}

fn rule(detect: Duration, state: &ServerState, check: Option<&Check>) -> String {
    let counted = match check {
        Some(check) => format!(
            "{} in a row take it down, {} bring it back",
            count(u64::from(check.fall), "failed check", "failed checks"),
            count(u64::from(check.rise), "passed check", "passed checks")
        ),
        None => "the file does not check it".to_owned(),
    };
    if state.suspect {
        return format!(
            "{counted}; before that its node's silence ({}), a refused connect, a connect without \
             answer ({} to {}) or requests without answer ({}) make it suspect",
            span(detect),
            span(LEAST_PATIENCE),
            span(MOST_PATIENCE),
            span(ANSWER_SILENCE)
        );
    }
    match state.check {
        ServerCheck::Drain | ServerCheck::Maintenance => {
            "an operator's word over the statistics socket stands until it is taken back".to_owned()
        }
        ServerCheck::Unchecked | ServerCheck::Up | ServerCheck::Down => counted,
    }
}

fn would_change(detect: Duration, state: &ServerState, check: Option<&Check>) -> Vec<String> {
    let mut changes = vec![];
    let counted = u32::from(state.count);
    match (state.check, check) {
        (ServerCheck::Up, Some(check)) => {
            let more = check.fall.max(1).saturating_sub(counted).max(1);
            let every = check.fast_interval.unwrap_or(check.interval);
            changes.push(more_checks(more, "failed", every, "mark it down"));
        }
        (ServerCheck::Down, Some(check)) => {
            let more = check.rise.max(1).saturating_sub(counted).max(1);
            let every = check.down_interval.unwrap_or(check.interval);
            changes.push(more_checks(more, "passed", every, "mark it up"));
        }
        (ServerCheck::Drain | ServerCheck::Maintenance, _) => {
            let (proxy, server) = (&state.proxy, &state.server);
            changes
                .push(format!("`set server {proxy}/{server} state ready` gives it requests again"));
        }
        (ServerCheck::Unchecked | ServerCheck::Up | ServerCheck::Down, _) => {}
    }
    if state.suspect {
        changes.push(
            "an answer, a beat of its node, or a check that had to say something clears it"
                .to_owned(),
        );
    } else if matches!(state.check, ServerCheck::Up | ServerCheck::Unchecked) {
        changes.push(format!(
            "{} without a beat of its node, or {} to {} without an answer to a connect, make it suspect",
            span(detect),
            span(LEAST_PATIENCE),
            span(MOST_PATIENCE)
        ));
    }
    changes
}

/// `2 more failed checks (4 s) mark it down`.
fn more_checks(more: u32, which: &str, every: Duration, then: &str) -> String {
    let (checks, then) = match more {
        1 => ("check", then.replacen("mark", "marks", 1)),
        _ => ("checks", then.to_owned()),
    };
    format!("{more} more {which} {checks} ({}) {then}", span(every * more))
}
