//! Who is told of moves: what is kept about it, what is shown, and what a webhook gets.

use serde::{Deserialize, Serialize};

use crate::Took;

/// Something that was, or is to be, told; as the store keeps it.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Notification {
    /// The same on every node, for ever.
    pub id: String,
    /// `move`, `loss`, `return`, or the name of an event.
    pub topic: String,
    /// `KIND/NAME`, e.g. `vip/internal`.
    pub object: String,
    /// Milliseconds since 1970 (UTC), by the clock of [`Notification::node`].
    pub at_ms: u64,
    /// Whose event it is.
    pub node: String,
    /// Who held it before; none: nobody, as far as is known.
    pub from: Option<String>,
    /// Who holds it; none: nobody. Of another event than one of an address: what was concluded, in a word.
    pub to: Option<String>,
    /// In words.
    pub cause: String,
    pub term: u64,
    /// What each stage took; none of a loss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took: Option<Took>,
    /// Of a return: for how long nobody held it, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub away_ms: Option<u64>,
    /// One for each receiver; a webhook is not told of others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dues: Vec<NotificationDue>,
}

/// What is owed to one receiver.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct NotificationDue {
    pub receiver: String,
    pub fate: NotificationFate,
    /// The name under which it is, was, or is to be sent; empty: that is not settled.
    pub batch: String,
    /// Deliveries that failed.
    pub tries: u32,
    /// Why the last of them did.
    pub why: String,
    /// Of a mail that some have already: who is to get it still.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<String>,
    /// Deliveries that may have arrived, as the receiver had all of it and said nothing.
    #[serde(default, skip_serializing_if = "is_none")]
    pub unsure: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_none(count: &u32) -> bool {
    *count == 0
}

/// What has become of it.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NotificationFate {
    #[default]
    Waiting,
    /// By whoever coordinates under that token.
    Sending(u64),
    /// When, milliseconds since 1970 (UTC).
    Told(u64),
    GivenUp,
}

/// What a webhook gets.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct WebhookBody {
    /// The same whenever it is sent again; also in the header `Idempotency-Key`.
    pub id: String,
    pub cluster: String,
    /// All of it in one line, for people.
    pub text: String,
    /// One, or in a summary several, the oldest first.
    pub notifications: Vec<Notification>,
}

/// Notifications, as `outlast status` shows them.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Notifying {
    /// Which node tells; empty: nobody does now.
    pub by: String,
    pub receivers: Vec<ReceiverState>,
    /// The newest, oldest first, at most [`Notifying::NEWEST`].
    pub newest: Vec<Notification>,
}

impl Notifying {
    /// Enough for the last moves of each address.
    pub const NEWEST: usize = 32;
}

/// One `[notify.NAME]`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct ReceiverState {
    pub name: String,
    /// `mail to ops@example.org by mail.example.org:587`.
    pub way: String,
    /// What it is told.
    pub topics: Vec<String>,
    /// To be told.
    pub waiting: u64,
    /// The oldest of those, milliseconds since 1970 (UTC).
    pub waiting_since_ms: Option<u64>,
    /// As far as the store still knows.
    pub told: u64,
    pub given_up: u64,
    pub last_told_ms: Option<u64>,
    /// Why the last delivery failed, while something waits.
    pub failing: Option<String>,
}

/// What came of `outlast notify test` for one receiver.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Tried {
    pub receiver: String,
    pub way: String,
    /// None: it took the message.
    pub failed: Option<String>,
    /// What it said besides, e.g. who of several it does not know.
    pub note: String,
}

impl Notification {
    /// For an operator, in one line.
    #[must_use]
    pub fn words(&self) -> String {
        let who = |name: &Option<String>| name.clone().unwrap_or_else(|| "nobody".to_owned());
        let (object, from, to) = (&self.object, who(&self.from), who(&self.to));
        match self.topic.as_str() {
            "loss" => format!("{object} is held by nobody, {from} held it last"),
            "return" => {
                let away =
                    self.away_ms.map(|ms| format!(" after {}.{} s", ms / 1000, ms % 1000 / 100));
                format!("{object} is held again, by {to}{}", away.unwrap_or_default())
            }
            "move" if self.from.is_none() => format!("{object} is held by {to}"),
            "move" => format!("{object} moved from {from} to {to}"),
            topic => match &self.to {
                Some(to) => format!("{object}: {topic}, {to}"),
                None => format!("{object}: {topic}"),
            },
        }
    }
}
