//! What a message says: a mail for people, JSON for programs.

use api::{Notification, WebhookBody, millis};
use config::cluster::Topic;
use engine::notify::Batch;

use super::words;
use crate::agent::journal;

/// One message, for whatever way.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Message {
    /// The same whenever it is sent again.
    pub(super) id: String,
    pub(super) cluster: String,
    pub(super) at_ms: u64,
    /// All of it in one line.
    pub(super) subject: String,
    /// In full, in lines.
    pub(super) text: String,
    pub(super) notifications: Vec<Notification>,
}

/// What is told in one batch.
pub(super) fn of(cluster: &str, batch: &Batch, now_ms: u64) -> Message {
    let untold = |letter| Notification { dues: vec![], ..words::notification(letter) };
    let notifications: Vec<Notification> = batch.letters.iter().map(untold).collect();
    let subject = match &notifications[..] {
        [one] => format!("{cluster}: {}", one.words()),
        all => {
            let mut objects: Vec<&str> = all.iter().map(|one| one.object.as_str()).collect();
            objects.sort_unstable();
            objects.dedup();
            format!("{cluster}: {} changes of {}", all.len(), objects.join(", "))
        }
    };
    let mut lines = vec![];
    match &notifications[..] {
        [one] => lines.extend(full(one)),
        all => {
            lines.push(
                "So much happened at once that it is told together, the oldest first:".to_owned(),
            );
            lines.push(String::new());
            lines.extend(
                all.iter()
                    .map(|one| format!("{}  {} ({})", clock(one.at_ms), one.words(), one.cause)),
            );
        }
    }
    lines.push(String::new());
    lines.push(format!(
        "This is {} of the cluster {cluster}. What comes again under this name is the same.",
        batch.id
    ));
    let (id, cluster) = (batch.id.clone(), cluster.to_owned());
    Message { id, cluster, at_ms: now_ms, subject, text: lines.join("\n"), notifications }
}

/// To try a receiver.
pub(super) fn test(cluster: &str, node: &str, now_ms: u64) -> Message {
    Message {
        id: format!("test-{node}-{now_ms}"),
        cluster: cluster.to_owned(),
        at_ms: now_ms,
        subject: format!("{cluster}: test of notifications from {node}"),
        text: format!(
            "Somebody typed `outlast notify test` on {node} at {}. Nothing happened.\n\n\
             Who gets this is told when a virtual IP of the cluster {cluster} moves.",
            clock(now_ms)
        ),
        notifications: vec![],
    }
}

fn full(one: &Notification) -> Vec<String> {
    let nobody = || "nobody".to_owned();
    let is_move = Topic::ALL.iter().any(|topic| topic.word() == one.topic);
    let mut lines = vec![format!("{}.", one.words()), String::new()];
    let mut row = |name: &str, value: String| lines.push(format!("{name:<16}{value}"));
    row("when", format!("{}, by the clock of {}", clock(one.at_ms), one.node));
    row("what", one.topic.clone());
    if is_move {
        row("from", one.from.clone().unwrap_or_else(nobody));
        row("to", one.to.clone().unwrap_or_else(nobody));
    } else {
        row("of", one.object.clone());
    }
    row("because", one.cause.clone());
    if let Some(took) = &one.took {
        row("took", millis(took.total_us()));
        for (stage, micros) in took.stages() {
            row(&format!("  {stage}"), micros.map_or_else(|| "not known".to_owned(), millis));
        }
    }
    if let Some(away) = one.away_ms {
        row("held by nobody", format!("{}.{} s", away / 1000, away % 1000 / 100));
    }
    if is_move {
        row("term", one.term.to_string());
    }
    lines
}

impl Message {
    /// For programs.
    pub(super) fn json(&self) -> Vec<u8> {
        let body = WebhookBody {
            id: self.id.clone(),
            cluster: self.cluster.clone(),
            text: self.subject.clone(),
            notifications: self.notifications.clone(),
        };
        // Strings and numbers are always JSON.
        serde_json::to_vec(&body).unwrap_or_default()
    }
}

/// `2026-11-24 01:33:02 UTC`.
fn clock(at_ms: u64) -> String {
    journal::utc(at_ms)
}

#[cfg(test)]
mod tests {
    use engine::notify::Letter;
    use expect_test::expect;

    use super::*;

    fn letter() -> Letter {
        Letter {
            id: "vip-internal-node02-1700000000123-57".to_owned(),
            object: "vip/internal".to_owned(),
            at_ms: 1_700_000_000_123,
            node: "node02".to_owned(),
            from: Some("node01".to_owned()),
            to: Some("node02".to_owned()),
            cause: "nobody advertised".to_owned(),
            term: 9,
            took: [Some(46_130), Some(700), Some(310), Some(95), None],
            ..Letter::default()
        }
    }

    #[test]
    fn a_mail_says_what_happened_in_full() {
        let (id, letters) = (letter().id, vec![letter()]);
        let batch = Batch { id, receiver: "ops".to_owned(), letters, left: vec![] };
        let message = of("cloud", &batch, 1_700_000_001_000);
        assert_eq!(message.subject, "cloud: vip/internal moved from node01 to node02");
        expect![[r#"
            vip/internal moved from node01 to node02.

            when            2023-11-14 22:13:20 UTC, by the clock of node02
            what            move
            from            node01
            to              node02
            because         nobody advertised
            took            47.23 ms
              detection     46.13 ms
              decision      0.70 ms
              address       0.31 ms
              ARP           0.09 ms
              first answer  not known
            term            9

            This is vip-internal-node02-1700000000123-57 of the cluster cloud. What comes again under this name is the same."#]].assert_eq(&message.text);
    }

    #[test]
    fn of_another_event_it_is_said_what_was_seen_and_by_whom() {
        let letter = Letter {
            id: "node-verdict-node-node03-node01-1700000000123-9".to_owned(),
            topic: Topic::Event("node-verdict"),
            object: "node/node03".to_owned(),
            node: "node01".to_owned(),
            from: None,
            to: Some("unreachable".to_owned()),
            cause: "no beat on any network".to_owned(),
            took: [None; 5],
            ..letter()
        };
        let (id, letters) = (letter.id.clone(), vec![letter]);
        let batch = Batch { id, receiver: "ops".to_owned(), letters, left: vec![] };
        let message = of("cloud", &batch, 1_700_000_001_000);
        assert_eq!(message.subject, "cloud: node/node03: node-verdict, unreachable");
        expect![[r#"
            node/node03: node-verdict, unreachable.

            when            2023-11-14 22:13:20 UTC, by the clock of node01
            what            node-verdict
            of              node/node03
            because         no beat on any network

            This is node-verdict-node-node03-node01-1700000000123-9 of the cluster cloud. What comes again under this name is the same."#]].assert_eq(&message.text);
    }

    #[test]
    fn a_summary_has_a_line_for_each() {
        let later = Letter { at_ms: 1_700_000_004_123, to: None, ..letter() };
        let letters = vec![letter(), later];
        let (id, receiver) = ("summary".to_owned(), "ops".to_owned());
        let batch = Batch { id, receiver, letters, left: vec![] };
        let message = of("cloud", &batch, 1_700_000_001_000);
        assert_eq!(message.subject, "cloud: 2 changes of vip/internal");
        assert_eq!(message.text.lines().count(), 6, "{}", message.text);
        let json: serde_json::Value = serde_json::from_slice(&message.json()).expect("it is JSON");
        assert_eq!(json["notifications"][1]["from"], "node01");
        assert!(
            json["notifications"][0].get("dues").is_none(),
            "who else is told is nobody's concern"
        );
    }
}
