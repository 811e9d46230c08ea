//! Notifications as they are kept, shown and posted.

use outlast_api::{
    Notification, NotificationDue, NotificationFate, Notifying, ReceiverState, Tried, WebhookBody,
};

use crate::examples::took;
use crate::samples::golden;

pub(crate) fn tried() -> Tried {
    Tried {
        receiver: "ops".to_owned(),
        way: "webhook https://hooks.example.org:443".to_owned(),
        failed: Some("it answers 500 Oops".to_owned()),
        note: String::new(),
    }
}

fn notification() -> Notification {
    let due = |fate| NotificationDue {
        receiver: "ops".to_owned(),
        fate,
        batch: "vip-internal-node02-1700000000123-57".to_owned(),
        tries: 2,
        why: "connection refused".to_owned(),
        left: vec![],
        unsure: 0,
    };
    let some = NotificationDue {
        left: vec!["night@example.org".to_owned()],
        unsure: 1,
        ..due(NotificationFate::Waiting)
    };
    Notification {
        id: "vip-internal-node02-1700000000123-57".to_owned(),
        topic: "move".to_owned(),
        object: "vip/internal".to_owned(),
        at_ms: 1_700_000_000_123,
        node: "node02".to_owned(),
        from: Some("node01".to_owned()),
        to: Some("node02".to_owned()),
        cause: "nobody advertised".to_owned(),
        term: 9,
        took: Some(took()),
        away_ms: None,
        dues: vec![
            due(NotificationFate::Waiting),
            due(NotificationFate::Sending(7)),
            due(NotificationFate::Told(1_700_000_009_000)),
            due(NotificationFate::GivenUp),
            some,
        ],
    }
}

#[test]
fn a_notification_is_kept_shown_and_posted_as_in_its_golden_file() {
    let lost = Notification {
        topic: "loss".to_owned(),
        to: None,
        took: None,
        dues: vec![],
        ..notification()
    };
    let back = Notification {
        topic: "return".to_owned(),
        away_ms: Some(12_340),
        dues: vec![],
        ..notification()
    };
    let words = [notification(), lost.clone(), back.clone()].map(|one| one.words());
    assert_eq!(
        words,
        [
            "vip/internal moved from node01 to node02",
            "vip/internal is held by nobody, node01 held it last",
            "vip/internal is held again, by node02 after 12.3 s",
        ]
    );
    let first = Notification { from: None, dues: vec![], ..notification() };
    assert_eq!(first.words(), "vip/internal is held by node02");
    let other = Notification {
        topic: "node-verdict".to_owned(),
        object: "node/node03".to_owned(),
        to: Some("unreachable".to_owned()),
        ..first.clone()
    };
    assert_eq!(other.words(), "node/node03: node-verdict, unreachable");
    let plain = Notification { topic: "server-down".to_owned(), to: None, ..first.clone() };
    assert_eq!(plain.words(), "vip/internal: server-down");
    golden("notification.jsonl", &[notification(), lost.clone(), back.clone(), first]);
    let body = WebhookBody {
        id: "summary-of-2-from-loss-after-vip-internal-node02-1700000000123-57".to_owned(),
        cluster: "cloud".to_owned(),
        text: "cloud: vip/internal is held again, by node02 after 12.3 s".to_owned(),
        notifications: vec![lost, back],
    };
    golden("webhook_body.jsonl", &[body]);
    let receiver = ReceiverState {
        name: "ops".to_owned(),
        way: "mail to ops@example.org by mail.example.org:587".to_owned(),
        topics: vec!["move".to_owned()],
        waiting: 1,
        waiting_since_ms: Some(1_700_000_000_123),
        told: 3,
        given_up: 1,
        last_told_ms: Some(1_700_000_000_100),
        failing: Some("connection refused".to_owned()),
    };
    let by = "node01".to_owned();
    let newest = vec![notification()];
    golden("notifying.jsonl", &[Notifying { by, receivers: vec![receiver], newest }]);
}
