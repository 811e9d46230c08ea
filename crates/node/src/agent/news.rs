//! Events on their way to peers and from them.

use std::time::Duration;

use api::Event;
use engine::member::MAX_TEXT;
use engine::packet::MAX_PACKET;
use engine::timeline::BURST;

use super::{Agent, lock};

impl Agent<'_> {
    /// What the log took since the last time is told here, and the next beat says that there is more.
    pub(super) fn publish(&mut self) {
        let events = self.journal.shared().after(self.published, Duration::ZERO);
        let Some(newest) = events.last().map(|event| event.seq) else { return };
        self.published = newest;
        for event in events {
            self.story.tell(event);
        }
        if let Some(member) = &mut lock(&self.core).member {
            member.say_events(newest);
        }
    }

    /// Asks a peer for its events.
    pub(super) fn question(&mut self, node: u16, network: u8, after: u64) {
        let mut core = lock(&self.core);
        let (Some(member), Some(beats)) = (&mut core.member, &mut self.beats) else { return };
        let mut packet = [0; MAX_PACKET];
        let length = member.question(node, network, after, &mut packet);
        beats.send_to(node, network, &packet[..length]);
    }

    /// Tells a peer the next events of this node.
    pub(super) fn answer(&mut self, node: u16, network: u8, after: u64) {
        let events = self.journal.shared().after(after, Duration::ZERO);
        let mut core = lock(&self.core);
        let (Some(member), Some(beats)) = (&mut core.member, &mut self.beats) else { return };
        let mut previous = after;
        for event in events.into_iter().take(BURST) {
            let number = event.seq;
            let text = fitting(event, MAX_TEXT);
            let mut packet = [0; MAX_PACKET];
            let to = (node, network);
            let length = member.tell(to, (previous, number), &text, &mut packet);
            beats.send_to(node, network, &packet[..length]);
            previous = number;
        }
    }

    /// Keeps an event that a peer told.
    pub(super) fn told(&mut self, node: u16, number: u64, skipped: u64, text: &[u8]) {
        let Some(name) = lock(&self.core).picture.names.get(usize::from(node)).cloned() else {
            return;
        };
        let event = read(&name, number, text);
        if skipped > 0 {
            self.story.tell(gap(&event, skipped));
        }
        self.story.tell(event);
    }
}

/// A peer speaks for itself only.
fn read(node: &str, number: u64, text: &[u8]) -> Event {
    let event = api::decode::<Event>(text).unwrap_or_else(|error| Event {
        at_ms: sys::clock::wall_ms(),
        what: "event-unreadable".to_owned(),
        object: format!("node/{node}"),
        evidence: base::Chain(&error).to_string(),
        ..Event::default()
    });
    Event { node: node.to_owned(), seq: number, ..event }
}

/// Says that something is missing before an event.
fn gap(next: &Event, skipped: u64) -> Event {
    Event {
        seq: next.seq.saturating_sub(1),
        at_ms: next.at_ms,
        node: next.node.clone(),
        what: "events-skipped".to_owned(),
        object: format!("node/{}", next.node),
        evidence: format!("{skipped} events of {} before this are not known here", next.node),
        action: format!("`outlast events` on {} has them", next.node),
        ..Event::default()
    }
}

/// The text of an event with at most `limit` bytes: its longest part is cut first.
fn fitting(mut event: Event, limit: usize) -> Vec<u8> {
    loop {
        let mut text = vec![];
        api::encode(&event, &mut text);
        let Some(excess) = text.len().checked_sub(limit + 1) else { return text };
        let parts = [
            &mut event.evidence,
            &mut event.decision,
            &mut event.action,
            &mut event.not_done,
            &mut event.object,
            &mut event.what,
            &mut event.node,
        ];
        let Some(longest) = parts.into_iter().max_by_key(|part| part.len()) else { return text };
        // A character may take more bytes in JSON than here; then the next round cuts again.
        let mut end = longest.len().saturating_sub(excess / 2 + ELLIPSIS.len() + 1);
        while !longest.is_char_boundary(end) {
            end -= 1;
        }
        longest.truncate(end);
        longest.push_str(if end > 0 { ELLIPSIS } else { "" });
    }
}

const ELLIPSIS: &str = "…";

#[cfg(test)]
mod tests {
    use super::*;

    fn event(evidence: &str) -> Event {
        let [node, what, object] = ["node01", "server-down", "server/api/one"].map(str::to_owned);
        Event { seq: 9, node, what, object, evidence: evidence.to_owned(), ..Event::default() }
    }

    #[test]
    fn a_long_text_is_cut_with_an_ellipsis() {
        let whole = event("short");
        assert_eq!(read("node01", 9, &fitting(whole.clone(), MAX_TEXT)), whole);
        for long in ["x".repeat(5000), "ü".repeat(5000), "\"\n".repeat(3000), "…".repeat(500)] {
            let text = fitting(event(&long), MAX_TEXT);
            assert!(text.len() <= MAX_TEXT, "{}", text.len());
            assert!(text.len() > MAX_TEXT / 2, "cut more than needed: {}", text.len());
            let back = read("node01", 9, &text);
            assert!(long.starts_with(back.evidence.strip_suffix(ELLIPSIS).unwrap()));
            assert_eq!(Event { evidence: String::new(), ..back }, event(""));
        }
    }

    #[test]
    fn even_an_absurd_event_fits() {
        let long = || "\u{1}".repeat(3000);
        let event = Event {
            node: long(),
            what: long(),
            object: long(),
            evidence: long(),
            decision: long(),
            action: long(),
            not_done: long(),
            ..Event::default()
        };
        assert!(fitting(event, MAX_TEXT).len() <= MAX_TEXT);
    }

    #[test]
    fn a_peer_speaks_for_itself_only() {
        let text = fitting(Event { node: "node01".to_owned(), ..event("seen") }, MAX_TEXT);
        let told = read("node02", 4, &text);
        assert_eq!((told.node.as_str(), told.seq, told.evidence.as_str()), ("node02", 4, "seen"));
        let told = read("node02", 5, b"no event");
        assert_eq!((told.node.as_str(), told.what.as_str()), ("node02", "event-unreadable"));
    }

    #[test]
    fn a_gap_stands_before_the_event_that_came() {
        let gap = gap(&Event { seq: 745, at_ms: 1000, ..event("") }, 744);
        assert_eq!((gap.seq, gap.at_ms, gap.what.as_str()), (744, 1000, "events-skipped"));
        assert_eq!(gap.evidence, "744 events of node01 before this are not known here");
    }
}
