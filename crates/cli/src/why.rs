//! `outlast why OBJECT`: what it is, what that rests on, by which rule, and what would change it.

use std::io::{self, Write};
use std::time::Duration;

use api::{Answer, Ask, Why};

use crate::object::{self, ObjectError};
use crate::reach::{self, Instance, ReachError};
use crate::{events, words};

/// Explain the state of one object: evidence with its age, the rule, what would change it
///
/// OBJECT is a node's name, or vip/NAME, pool/NAME, server/POOL/NAME, balancer, process/ROLE, notify/NAME.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// node02, vip/internal, pool/keystone_internal, server/keystone_internal/node02, balancer,
    /// process/proxy
    object: String,
    /// Of a node: all rules in their order, with the one that applied
    #[arg(long)]
    all: bool,
    /// The same as one JSON object, with all rules
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    instance: Instance,
}

/// Runs the subcommand.
///
/// # Errors
/// When no instance answers or nothing has that name.
pub fn run(args: &Args, out: &mut impl Write) -> Result<(), ObjectError> {
    let socket = args.instance.socket()?;
    let object = object::resolve(&args.object, &*reach::status(&socket)?)?;
    let Answer::Why(why) = reach::one(&socket, &Ask::Why { object })? else {
        return Err(ReachError::Other.into());
    };
    let written = if args.json {
        serde_json::to_writer_pretty(&mut *out, &why)
            .map_err(io::Error::from)
            .and_then(|()| writeln!(out))
    } else {
        lines(&why, args.all).iter().try_for_each(|line| writeln!(out, "{line}"))
    };
    match written {
        // Whoever reads our output (head) may have seen enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(ReachError::Output(error).into())
        }
        _ => Ok(()),
    }
}

/// The explanation as text, for the subcommand and for the screen; the rules that did not apply with `all`.
pub(crate) fn lines(why: &Why, all: bool) -> Vec<String> {
    let mut lines = vec![format!("{}: {}", why.object, why.state)];
    let mut part = |title: &str, entries: Vec<String>| {
        if !entries.is_empty() {
            lines.push(title.to_owned());
            lines.extend(entries.into_iter().map(|entry| format!("  {entry}")));
        }
    };
    let evidence = why.evidence.iter().map(|evidence| match evidence.age_ms {
        Some(ms) => {
            format!("{} ({} ago)", evidence.what, words::age(Duration::from_millis(ms)))
        }
        None => evidence.what.clone(),
    });
    part("evidence", evidence.collect());
    part("rule", vec![why.rule.clone()].into_iter().filter(|rule| !rule.is_empty()).collect());
    let rules = (1..).zip(&why.rules).map(|(number, rule)| {
        let mark = if rule.applies { "->" } else { "  " };
        let numbers = match rule.numbers.as_str() {
            "" => String::new(),
            numbers => format!(" ({numbers})"),
        };
        format!("{mark} {number:>2} {}: {}{numbers}", rule.name, rule.sentence)
    });
    let rules: Vec<String> = if all { rules.collect() } else { vec![] };
    part("all rules, the first that applies decides", rules);
    part("what would change it", why.would_change.clone());
    part("verdicts on it, the newest last", why.history.iter().map(turn).collect());
    part(
        "last events",
        why.events.iter().map(|event| events::line_of_node(event).trim_end().to_owned()).collect(),
    );
    lines
}

/// `2026-11-24 14:03:05.120 cut-off on storage, rule cut-off: EVIDENCE`
fn turn(turn: &api::Turn) -> String {
    let on = if turn.networks.is_empty() { "" } else { " on " };
    format!(
        "{} {}{on}{}, rule {}: {}",
        events::clock(turn.at_ms),
        words::concluded(turn.verdict),
        turn.networks.join(", "),
        turn.rule,
        turn.cause
    )
}

#[cfg(test)]
mod tests {
    use api::{Evidence, RuleLine};
    use expect_test::expect;

    use super::*;
    use crate::example;

    #[test]
    fn evidence_has_its_age_and_every_part_its_title() {
        let why = Why {
            object: "node/node03".to_owned(),
            state: "suspect".to_owned(),
            evidence: vec![
                Evidence { what: "last beat on management".to_owned(), age_ms: Some(3210) },
                Evidence { what: "never heard on storage".to_owned(), age_ms: None },
            ],
            rule: "silent on every network for 1000 ms".to_owned(),
            rules: ["goodbye", "silent"]
                .map(|name| RuleLine {
                    name: name.to_owned(),
                    sentence: "in a sentence".to_owned(),
                    numbers: if name == "silent" { "1 s" } else { "" }.to_owned(),
                    applies: name == "silent",
                })
                .to_vec(),
            would_change: vec!["one beat on any network: alive".to_owned()],
            events: example::events().into_iter().skip(1).take(1).collect(),
            history: vec![api::Turn {
                at_ms: 1_795_483_982_950,
                verdict: api::Verdict::CutOff,
                networks: vec!["storage".to_owned()],
                rule: "cut-off".to_owned(),
                cause: "view: node02 does not hear it on storage".to_owned(),
            }],
            kinds: vec![],
        };
        expect![[r#"
            node/node03: suspect
            evidence
              last beat on management (3.2 s ago)
              never heard on storage
            rule
              silent on every network for 1000 ms
            all rules, the first that applies decides
                  1 goodbye: in a sentence
              ->  2 silent: in a sentence (1 s)
            what would change it
              one beat on any network: alive
            verdicts on it, the newest last
              2026-11-24 01:33:02.950 cut off on storage, rule cut-off: view: node02 does not hear it on storage
            last events
              node02 #12 2026-11-24 01:33:02.950 node/node03 node-suspect: no beat for 1 s; the rule applies"#]].assert_eq(&lines(&why, true).join("\n"));
        let short = lines(&why, false).join("\n");
        assert!(
            short.contains("rule\n  silent on every network for 1000 ms\nwhat would"),
            "{short}"
        );
    }
}
