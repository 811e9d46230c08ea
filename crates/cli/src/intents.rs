//! `outlast intents`: what the cluster has decided to do, who asked for it, and what became of it.

use std::io::{self, Write};

use api::{Answer, Ask, Intent, IntentState, IntentStep};

use crate::reach::{self, Instance, ReachError};

/// Show what the cluster has decided to do, who asked for it, and what became of it
///
/// A command that changes a node or an address is an intent where the cluster has a store: it is written
/// down by a majority before anything is done, its steps are carried out one after the other, and what
/// became of it is written down too. The newest are at the end; the same is shown on every node. About 250
/// are kept. Without a majority nothing is shown: what this node remembers may be old.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The newest so many
    #[arg(long, default_value_t = 20, value_name = "NUMBER")]
    last: u32,
    /// Only those that are not carried out yet
    #[arg(long)]
    open: bool,
    /// As JSON, a line each
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    instance: Instance,
}

/// Runs the subcommand.
///
/// # Errors
/// When no instance answers, or there is no store or no majority.
pub fn run(args: &Args, out: &mut impl Write) -> Result<(), ReachError> {
    let ask = Ask::Intents { last: args.last };
    let answer = reach::one(&args.instance.socket()?, &ask)?;
    let Answer::Intents(mut intents) = answer else { return Err(ReachError::Other) };
    if args.open {
        intents.retain(|intent| intent.state == IntentState::Committed);
    }
    let written = if args.json { json(&intents, out) } else { table(&intents, out) };
    written.map_err(ReachError::Output)
}

fn json(intents: &[Intent], out: &mut impl Write) -> io::Result<()> {
    for intent in intents {
        serde_json::to_writer(&mut *out, intent)?;
        writeln!(out)?;
    }
    Ok(())
}

fn table(intents: &[Intent], out: &mut impl Write) -> io::Result<()> {
    let heading = ["NUMBER", "AT", "WHAT", "OBJECT", "STATE", "BY"];
    let rows: Vec<Vec<String>> = intents
        .iter()
        .map(|intent| {
            vec![
                intent.number.to_string(),
                crate::events::clock(intent.at_ms),
                intent.what.clone(),
                intent.object.clone(),
                state(intent),
                intent.by.clone(),
            ]
        })
        .collect();
    crate::table::print(out, &heading, &rows)
}

/// With what is being done, or why it was not.
fn state(intent: &Intent) -> String {
    let word = intent.state.word();
    let next = intent.next.and_then(|next| intent.steps.get(usize::from(next)));
    match next {
        Some(IntentStep { node, verb, object }) if intent.why.is_empty() => {
            format!("{word}, {node} does {verb} {object}")
        }
        Some(IntentStep { node, verb, object }) => {
            format!("{word}, {node} is to do {verb} {object}: {}", intent.why)
        }
        None if intent.why.is_empty() => word.to_owned(),
        None => format!("{word}: {}", intent.why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_intent_is_shown_with_who_asked_and_what_became_of_it() {
        let step = IntentStep {
            node: "node02".to_owned(),
            verb: "wait-until-empty".to_owned(),
            object: "node/node02 60".to_owned(),
        };
        let open = Intent {
            number: 7,
            what: "drain".to_owned(),
            object: "node/node02".to_owned(),
            by: "uid 0 (pid 9) on node01".to_owned(),
            next: Some(0),
            steps: vec![step],
            ..Intent::default()
        };
        let refused = Intent {
            number: 8,
            state: IntentState::Refused,
            why: "intent 7 about node/node02 is under way".to_owned(),
            next: None,
            steps: vec![],
            ..open.clone()
        };
        let waits = Intent {
            number: 9,
            why: "node02 does not answer on any network".to_owned(),
            ..open.clone()
        };
        let mut out = vec![];
        table(&[open, refused, waits], &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        for part in [
            "drain  node/node02  committed, node02 does wait-until-empty node/node02 60  ",
            "committed, node02 is to do wait-until-empty node/node02 60: node02 does not answer on any network",
            "refused: intent 7 about node/node02 is under way",
            "uid 0 (pid 9) on node01",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
