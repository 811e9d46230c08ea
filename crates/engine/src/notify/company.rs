//! Where no shelf is shared: which node tells what.
//!
//! A deed is told by the node that did it. Where that is not heard any more, and of what several see, it is the first of
//! those controllers that hear each other, in the order of the cluster file. Where the network is cut, each side has a
//! first one.

use std::collections::BTreeMap;
use std::time::Duration;

use base::Time;

use super::Letter;

/// So long after it was heard last nobody speaks for a node: an agent that is replaced is silent for some seconds.
pub const SPOKEN_FOR_AFTER: Duration = Duration::from_secs(10);
/// What a node that is heard has not told by then is left to it: it tells when it can, and tells it when it is back.
pub const LEFT_TO_IT_AFTER: Duration = Duration::from_secs(600);

/// Controllers, this node among them.
#[derive(Debug)]
pub struct Company {
    me: String,
    /// As in the cluster file.
    order: Vec<String>,
    heard: Vec<String>,
    last: BTreeMap<String, Time>,
    /// Since when it is known who is heard.
    since: Option<Time>,
}

impl Company {
    #[must_use]
    pub fn new(me: String, order: Vec<String>) -> Self {
        Self { me, order, heard: vec![], last: BTreeMap::new(), since: None }
    }

    /// Those that are heard now.
    pub(super) fn hears(&mut self, now: Time, nodes: Vec<String>) {
        self.since.get_or_insert(now);
        for node in std::mem::replace(&mut self.heard, nodes) {
            self.last.insert(node, now);
        }
    }

    fn is_there(&self, now: Time, node: &str) -> bool {
        if node == self.me || self.heard.iter().any(|heard| heard == node) {
            return true;
        }
        let last = self.last.get(node).copied().or(self.since);
        last.is_none_or(|last| now < last + SPOKEN_FOR_AFTER)
    }

    /// Whether this node tells that.
    pub(super) fn tells(&self, now: Time, letter: &Letter) -> bool {
        let is_seen_by_several = letter.topic.is_seen_by_several();
        if !is_seen_by_several && self.is_there(now, &letter.node) {
            return letter.node == self.me;
        }
        self.order.iter().find(|node| self.is_there(now, node)) == Some(&self.me)
    }
}

#[cfg(test)]
mod tests {
    use config::cluster::Topic;

    use super::*;

    const fn s(seconds: u64) -> Time {
        Time::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn one_node_tells_each_thing_and_the_first_that_is_heard_speaks_for_one_that_is_not() {
        let names = || ["n1", "n2", "n3"].map(str::to_owned).to_vec();
        let of = |node: &str, topic| Letter { node: node.to_owned(), topic, ..Letter::default() };
        let mut all: Vec<Company> =
            names().into_iter().map(|me| Company::new(me, names())).collect();
        let who = |all: &[Company], now, letter: &Letter| -> String {
            all.iter().filter(|one| one.tells(now, letter)).map(|one| one.me.as_str()).collect()
        };
        // Nothing is known yet: nobody is spoken for.
        assert_eq!(who(&all, s(0), &of("n2", Topic::Move)), "n2");
        assert_eq!(who(&all, s(0), &of("n2", Topic::Loss)), "n1");
        for one in &mut all {
            one.hears(s(1), names());
        }
        assert_eq!(who(&all, s(100), &of("n3", Topic::Move)), "n3");
        assert_eq!(who(&all, s(100), &of("n3", Topic::Loss)), "n1");
        // n1 is gone, and n3 with it: n2 speaks for both, not before it is sure.
        all[1].hears(s(200), vec!["n2".to_owned()]);
        let rest = &all[1..2];
        assert_eq!(who(rest, s(209), &of("n3", Topic::Move)), "");
        assert_eq!(who(rest, s(209), &of("n3", Topic::Loss)), "");
        assert_eq!(who(rest, s(210), &of("n3", Topic::Move)), "n2");
        assert_eq!(who(rest, s(210), &of("n3", Topic::Loss)), "n2");
        assert_eq!(who(rest, s(210), &of("n2", Topic::Move)), "n2");
    }
}
