//! Why a proxy serves, and by whom.

use api::{BalancerState, ProxyLine, ServerCheck, ServerState};

use super::{Ground, Told, fact};

pub(super) fn why(ground: &Ground<'_>, name: &str) -> Option<Told> {
    let line = ground.status.proxies.iter().find(|line| line.name == name)?;
    let servers: Vec<&ServerState> =
        ground.status.servers.iter().filter(|server| server.proxy == name).collect();
    if servers.is_empty() {
        return Some(passes_on(line));
    }
    let usable = servers.iter().filter(|server| serves(server)).count();
    let suspect = servers.iter().filter(|server| serves(server) && server.suspect).count();
    let mut evidence: Vec<_> = servers.iter().map(|server| told(ground, server)).collect();
    let choice = ground.status.choices.iter().find(|choice| choice.proxy == name);
    if let Some(choice) = choice.filter(|_| line.one_writer) {
        let by = ground.status.nodes.get(usize::from(choice.by));
        let by = by.map_or(String::new(), |node| format!(" by {}", node.state.node));
        let what = format!("{} was chosen{by}, choice {}", choice.server, choice.term);
        evidence.push(ground.heard(what, &format!("pool/{name}")));
    }
    let state = match usable {
        0 => format!("{name} has no server: {}", refused(line)),
        _ if suspect > 0 => {
            format!(
                "{usable} of {} servers of {name} are up, {suspect} of them suspect",
                servers.len()
            )
        }
        _ => format!("{usable} of {} servers of {name} are up", servers.len()),
    };
    let state = match choice.filter(|_| line.one_writer) {
        Some(choice) => format!("{state}; {} is used", choice.server),
        None => state,
    };
    Some(Told {
        state,
        evidence,
        rule: rule(line),
        rules: vec![],
        would_change: would_change(ground, line, &servers),
    })
}

fn passes_on(line: &ProxyLine) -> Told {
    let to = line.default_backend.as_deref();
    Told {
        state: match to {
            Some(to) => format!("{} passes its requests to {to}", line.name),
            None => format!("{} has no server and no default_backend", line.name),
        },
        evidence: vec![fact(format!("it listens on {}", line.binds.join(", ")))],
        rule: "a frontend has no servers of its own".to_owned(),
        rules: vec![],
        would_change: to
            .map(|to| format!("what becomes of its requests is said by `why pool/{to}`"))
            .into_iter()
            .collect(),
    }
}

/// What a client gets where nobody serves.
fn refused(line: &ProxyLine) -> &'static str {
    if line.mode == "http" { "every request gets 503" } else { "every connection is closed" }
}

const fn serves(server: &ServerState) -> bool {
    matches!(server.check, ServerCheck::Up | ServerCheck::Unchecked)
}

fn told(ground: &Ground<'_>, server: &ServerState) -> api::Evidence {
    let word = match server.check {
        ServerCheck::Unchecked => "not checked",
        ServerCheck::Up => "up",
        ServerCheck::Down => "down",
        ServerCheck::Drain => "drains",
        ServerCheck::Maintenance => "in maintenance",
    };
    let suspect = if server.suspect && serves(server) { ", suspect" } else { "" };
    let why = if server.why.is_empty() { String::new() } else { format!(": {}", server.why) };
    let object = format!("server/{}/{}", server.proxy, server.server);
    ground.heard(format!("{} is {word}{suspect}{why}", server.server), &object)
}

fn rule(line: &ProxyLine) -> String {
    if line.one_writer {
        return "one server at a time: the one in use stays until it fails, the next one does not give \
                back, sessions of the former are closed first"
            .to_owned();
    }
    let choice = match line.balance.as_str() {
        "source" => "the client's address chooses the server",
        "leastconn" => "the server with the fewest connections is chosen",
        "first" => "the first server with room is chosen",
        _ => "servers take turns by their weight",
    };
    format!(
        "{choice}; a suspect one is left out while another is up, backups serve when all others are down"
    )
}

fn would_change(ground: &Ground<'_>, line: &ProxyLine, servers: &[&ServerState]) -> Vec<String> {
    let usable: Vec<_> = servers.iter().filter(|server| serves(server)).collect();
    if ground.status.balancer == BalancerState::Failed {
        return vec![
            "nothing, while the balancer of this node does not serve: `why balancer`".to_owned(),
        ];
    }
    let mut changes = vec![match &usable[..] {
        [] => "the first server that is up again is used at once".to_owned(),
        [last] => format!("when {} goes down {}", last.server, refused(line)),
        several => format!("when all {} go down {}", several.len(), refused(line)),
    }];
    let choice = ground.status.choices.iter().find(|choice| choice.proxy == line.name);
    if let Some(choice) = choice.filter(|_| line.one_writer) {
        let next = usable.iter().find(|s| s.server != choice.server && !s.suspect);
        changes.push(match next {
            Some(next) => format!("{} is used when {} fails", next.server, choice.server),
            None => format!("there is nobody to follow {}", choice.server),
        });
    }
    changes
}
