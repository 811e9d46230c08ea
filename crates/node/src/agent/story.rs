//! Events of all nodes as far as they are known here: what `outlast events` and the dashboard show.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api::Event;

/// Events kept of each node: a fault and what came before it.
pub(crate) const KEPT: usize = 256;

/// Read by threads that answer, written by the agent's loop.
#[derive(Debug, Default)]
pub(crate) struct Story {
    told: Mutex<Told>,
    grown: Condvar,
}

#[derive(Debug, Default)]
struct Told {
    /// Counts what came, so that a follower hears each event once.
    arrivals: u64,
    nodes: BTreeMap<String, VecDeque<(u64, Event)>>,
}

impl Story {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps an event; its `node` says whose it is. What is known is not told again; another event of
    /// that number takes its place: its node has lost its log and counts from one.
    pub(crate) fn tell(&self, event: Event) {
        let mut told = self.told();
        let events = told.nodes.entry(event.node.clone()).or_default();
        // The one that comes again is mostly among the newest.
        if let Some(index) = events.iter().rposition(|(_, known)| known.seq == event.seq) {
            if events[index].1 == event {
                return;
            }
            events.remove(index);
        }
        if events.len() == KEPT {
            events.pop_front();
        }
        told.arrivals += 1;
        let arrival = told.arrivals;
        told.nodes.entry(event.node.clone()).or_default().push_back((arrival, event));
        drop(told);
        self.grown.notify_all();
    }

    /// The newest `last` events, oldest first, and the place from which [`Story::after`] goes on.
    pub(crate) fn newest(&self, last: usize) -> (Vec<Event>, u64) {
        let told = self.told();
        (told.newest(|_| true, last), told.arrivals)
    }

    /// What came after this place, in the order in which it came; waits up to `patience` for the first.
    pub(crate) fn after(&self, place: u64, patience: Duration) -> (Vec<Event>, u64) {
        let (told, _) = self
            .grown
            .wait_timeout_while(self.told(), patience, |told| told.arrivals <= place)
            .unwrap_or_else(PoisonError::into_inner);
        let all = told.nodes.values().flatten().filter(|(arrival, _)| *arrival > place);
        let mut events: Vec<&(u64, Event)> = all.collect();
        events.sort_by_key(|(arrival, _)| *arrival);
        (events.into_iter().map(|(_, event)| event.clone()).collect(), told.arrivals)
    }

    /// The newest events about an object, oldest first.
    pub(crate) fn about(&self, is_about: impl Fn(&Event) -> bool, last: usize) -> Vec<Event> {
        self.told().newest(is_about, last)
    }
}

impl Told {
    /// Copies only what is wanted.
    fn newest(&self, is_wanted: impl Fn(&Event) -> bool, last: usize) -> Vec<Event> {
        let all = self.nodes.values().flatten().map(|(_, event)| event);
        let mut events: Vec<&Event> = all.filter(|event| is_wanted(event)).collect();
        events.sort_by(|one, other| {
            (one.at_ms, &one.node, one.seq).cmp(&(other.at_ms, &other.node, other.seq))
        });
        let skipped = events.len().saturating_sub(last);
        events.into_iter().skip(skipped).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn event(node: &str, seq: u64, at_ms: u64) -> Event {
        Event { node: node.to_owned(), seq, at_ms, ..Event::default() }
    }

    fn seen(events: &[Event]) -> Vec<(&str, u64)> {
        events.iter().map(|event| (event.node.as_str(), event.seq)).collect()
    }

    #[test]
    fn events_of_several_nodes_are_one_story() {
        let story = Story::default();
        for (node, seq, at) in [("a", 1, 10), ("a", 2, 30), ("b", 7, 20), ("b", 8, 30)] {
            story.tell(event(node, seq, at));
        }
        let (events, place) = story.newest(3);
        assert_eq!(seen(&events), [("b", 7), ("a", 2), ("b", 8)]);
        story.tell(event("c", 1, 5));
        story.tell(event("a", 3, 40));
        let (events, place) = story.after(place, Duration::ZERO);
        assert_eq!(seen(&events), [("c", 1), ("a", 3)], "as they arrive, however old");
        assert_eq!(story.after(place, Duration::ZERO).0, []);
    }

    #[test]
    fn a_node_that_tells_much_does_not_push_others_out() {
        let story = Story::default();
        story.tell(event("quiet", 1, 1));
        for seq in 0..1000 {
            story.tell(event("loud", seq, seq));
        }
        let (events, _) = story.newest(usize::MAX);
        assert_eq!(events.len(), KEPT + 1);
        assert!(events.iter().any(|event| event.node == "quiet"));
    }

    #[test]
    fn what_comes_again_is_not_told_again_and_a_new_log_replaces_the_old_one() {
        let story = Story::default();
        for seq in [1, 2, 1, 2] {
            story.tell(event("a", seq, 10 * seq));
        }
        story.tell(event("b", 1, 10));
        let (events, place) = story.newest(usize::MAX);
        assert_eq!(seen(&events), [("a", 1), ("b", 1), ("a", 2)]);
        story.tell(event("a", 2, 20));
        assert_eq!(story.after(place, Duration::ZERO).0, []);
        story.tell(event("a", 1, 70));
        assert_eq!(seen(&story.after(place, Duration::ZERO).0), [("a", 1)]);
        assert_eq!(seen(&story.newest(usize::MAX).0), [("b", 1), ("a", 2), ("a", 1)]);
    }

    #[test]
    fn of_one_object_the_newest_are_found() {
        let story = Story::default();
        for seq in 1..=9 {
            story.tell(event("a", seq, seq));
        }
        let about = story.about(|event| event.seq % 2 == 0, 3);
        assert_eq!(seen(&about), [("a", 4), ("a", 6), ("a", 8)]);
    }

    #[test]
    fn a_follower_wakes_up_for_what_comes() {
        let story = Arc::new(Story::default());
        let asked = Arc::clone(&story);
        let follower = std::thread::spawn(move || asked.after(0, Duration::from_secs(20)));
        story.tell(event("a", 1, 1));
        assert_eq!(seen(&follower.join().unwrap().0), [("a", 1)]);
    }
}
