//! What waits to be told to a receiver of notifications, and why.

use std::time::Duration;

use api::NotificationFate;

use super::{Ground, Told, seen, span};

pub(super) fn why(ground: &Ground<'_>, name: &str) -> Option<Told> {
    let notify = ground.status.notify.as_deref()?;
    let receiver = notify.receivers.iter().find(|receiver| receiver.name == name)?;
    let age = |at_ms: u64| Some(ground.status.at_ms.saturating_sub(at_ms));
    let state = match receiver.waiting {
        0 => "everything was told".to_owned(),
        waiting => format!("{waiting} to be told"),
    };
    let mut evidence = vec![
        seen(receiver.way.clone(), None),
        seen(format!("it is told of: {}", receiver.topics.join(", ")), None),
        seen(
            match notify.by.as_str() {
                "" => "no node coordinates now, so nobody tells".to_owned(),
                by => format!("{by} tells"),
            },
            None,
        ),
    ];
    if let Some(why) = &receiver.failing {
        evidence.push(seen(format!("the last delivery failed: {why}"), None));
    }
    if let Some(at_ms) = receiver.waiting_since_ms {
        evidence.push(seen("the oldest that waits happened".to_owned(), age(at_ms)));
    }
    if let Some(at_ms) = receiver.last_told_ms {
        evidence.push(seen(format!("the last of {} was told", receiver.told), age(at_ms)));
    }
    if receiver.given_up > 0 {
        evidence.push(seen(format!("{} were given up", receiver.given_up), None));
    }
    let waits = notify.newest.iter().rev().filter_map(|one| {
        let due = one.dues.iter().find(|due| due.receiver == name)?;
        let word = match due.fate {
            NotificationFate::Waiting => "waits",
            NotificationFate::Sending(_) => "is being sent",
            NotificationFate::Told(_) | NotificationFate::GivenUp => return None,
        };
        let (words, tries) = (one.words(), due.tries);
        Some(seen(format!("{word}, tried {tries} times: {words} ({})", one.id), age(one.at_ms)))
    });
    evidence.extend(waits);
    let rule = format!(
        "one node tells at a time, after it is written that it does; what fails is tried again after 1 s, and in pauses \
         twice as long each time, of at most {}",
        span(Duration::from_secs(300))
    );
    Some(Told {
        state,
        evidence,
        rule,
        rules: vec![],
        would_change: vec![format!("`outlast notify test {name}` tries it at once, with a test")],
    })
}
