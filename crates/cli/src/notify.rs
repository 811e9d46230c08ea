//! `outlast notify test`: tries the receivers of notifications.

use std::io::{self, Write};

use api::{Answer, Ask, Notifying, Status};

use crate::reach::{self, Instance, ReachError};
use crate::table;
use crate::words;

/// Who is told, by mail and webhook, that an address moved
///
/// They stand in sections [notify.NAME] of outlast.toml. What waits to be told is in `outlast status`; why it waits, in
/// `outlast why notify/NAME`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    Test(TestArgs),
}

/// Send a test to one receiver, or to all of them, from the node that is asked
///
/// It waits for their answers, and retries nothing. Exit code 1 where one did not take it.
#[derive(Debug, clap::Args)]
pub struct TestArgs {
    /// NAME of [notify.NAME]; without one, all
    receiver: Option<String>,
    #[command(flatten)]
    instance: Instance,
}

/// Runs `outlast notify ...`; whether everybody took it.
///
/// # Errors
/// When no agent answers, who asks may not, or there is no such receiver.
pub fn run(command: &Command, out: &mut impl Write) -> Result<bool, ReachError> {
    let Command::Test(TestArgs { receiver, instance }) = command;
    let ask = Ask::NotifyTest { receiver: receiver.clone() };
    let Answer::Tried(tried) = reach::one(&instance.socket()?, &ask)? else {
        return Err(ReachError::Other);
    };
    for one in &tried {
        let (name, way) = (&one.receiver, &one.way);
        let line = match &one.failed {
            Some(why) => format!("{name}: {way}: {why}"),
            None if one.note.is_empty() => format!("{name}: {way}: taken"),
            None => format!("{name}: {way}: taken, {}", one.note),
        };
        writeln!(out, "{line}").map_err(ReachError::Output)?;
    }
    Ok(tried.iter().all(|one| one.failed.is_none()))
}

/// Whom this node knows of, and what waits to be told, in `outlast status`.
pub(crate) fn section(out: &mut impl Write, status: &Status) -> io::Result<()> {
    let Some(Notifying { by, receivers, .. }) = status.notify.as_deref() else { return Ok(()) };
    if receivers.is_empty() {
        return Ok(());
    }
    let rows: Vec<Vec<String>> = receivers
        .iter()
        .map(|receiver| {
            let since = receiver.waiting_since_ms.map(|at_ms| {
                let age = std::time::Duration::from_millis(status.at_ms.saturating_sub(at_ms));
                format!("{}, the oldest {} old", receiver.waiting, words::age(age))
            });
            vec![
                receiver.name.clone(),
                receiver.way.clone(),
                since.unwrap_or_else(|| "-".to_owned()),
                receiver.told.to_string(),
                receiver.given_up.to_string(),
                receiver.failing.clone().unwrap_or_default(),
            ]
        })
        .collect();
    writeln!(out)?;
    table::print(out, &["NOTIFY", "BY", "WAITING", "TOLD", "GIVEN UP", "WHY"], &rows)?;
    match by.as_str() {
        "" => writeln!(out, "nobody tells now: no node coordinates"),
        by => writeln!(out, "{by} tells"),
    }
}

#[cfg(test)]
mod tests {
    use api::ReceiverState;
    use expect_test::expect;

    use super::*;

    #[test]
    fn what_waits_is_shown_with_its_age_and_why() {
        let mut status = crate::example::status();
        status.notify = Some(Box::new(Notifying {
            by: "node01".to_owned(),
            receivers: vec![
                ReceiverState {
                    name: "ops".to_owned(),
                    way: "mail to ops@example.org by mail:587".to_owned(),
                    waiting: 2,
                    waiting_since_ms: Some(status.at_ms - 61_000),
                    told: 4,
                    failing: Some("connection refused".to_owned()),
                    ..ReceiverState::default()
                },
                ReceiverState {
                    name: "chat".to_owned(),
                    way: "webhook https://hooks.example.org:443".to_owned(),
                    told: 6,
                    given_up: 1,
                    ..ReceiverState::default()
                },
            ],
            newest: vec![],
        }));
        let mut out = vec![];
        section(&mut out, &status).expect("a Vec takes all");
        expect![[r#"

            NOTIFY  BY                                     WAITING                   TOLD  GIVEN UP  WHY
            ops     mail to ops@example.org by mail:587    2, the oldest 61.0 s old  4     0         connection refused
            chat    webhook https://hooks.example.org:443  -                         6     1
            node01 tells
        "#]].assert_eq(&String::from_utf8(out).expect("it is text"));
    }
}
