//! What the stand-in of an agent knows of one node's past, and a node that goes silent.

use api::{Standing, Status, Why};

/// What is added where a node is asked about: evidence by kinds, and verdicts of before.
pub fn of_node(object: &str) -> Why {
    if object != "node/node02" {
        return Why::default();
    }
    let turn = |at_ms, verdict, rule: &str, cause: &str| api::Turn {
        at_ms,
        verdict,
        networks: if verdict == api::Verdict::CutOff { vec!["storage".into()] } else { vec![] },
        rule: rule.to_owned(),
        cause: cause.to_owned(),
    };
    Why {
        kinds: vec![api::KindLine {
            name: "view".to_owned(),
            meaning: "which nodes a node hears on which network, as its beats say".to_owned(),
            counts: "while it is said".to_owned(),
        }],
        history: vec![
            turn(1_795_484_000_000, api::Verdict::Alive, "alive", "beat: manager: its last beat"),
            turn(
                1_795_484_060_120,
                api::Verdict::CutOff,
                "cut-off",
                "view: node03 does not hear it on storage; own reach: this node reaches 3 of 3 nodes",
            ),
        ],
        ..Why::default()
    }
}

pub fn darken(status: &mut Status, name: &str) {
    for line in status.nodes.iter_mut().filter(|line| line.state.node == name) {
        line.state.standing = Standing::Suspect;
        line.state.why = "no beat on any network for 1 s".to_owned();
        let cells = line.state.cells.iter_mut();
        cells.for_each(|cell| (cell.alive, cell.age_ms) = (false, Some(1300)));
    }
    for server in status.servers.iter_mut().filter(|server| server.server == name) {
        server.suspect = true;
        server.why = "its node is silent".to_owned();
    }
}

/// What the agent says of a token if it knows this one.
#[must_use]
pub fn of_token(program: Option<&str>, token: &str) -> api::Answer {
    use api::access::{AccessAnswer, Grant, Scope};
    let grant = || Grant { name: "reader".to_owned(), scopes: vec![Scope::Read], until_ms: None };
    match program {
        None => api::Answer::Refused("too many questions at once".to_owned()),
        Some(program) if program == token => api::Answer::Access(AccessAnswer::Grant(grant())),
        Some(_) => api::Answer::Access(AccessAnswer::NoSuchToken),
    }
}
