//! What will happen, in the order of time; of one moment, in the order it was planned.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use base::Time;

/// Which machine of a host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Machine {
    Agent,
    Vip,
}

/// What is due.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Due {
    /// A packet arrives: its place among those on their way.
    Packet(u32),
    /// A machine's deadline, or its supervisor's turn.
    Turn { host: u16, machine: Machine },
    /// What an agent does about intents.
    Office { host: u16 },
    /// Something about the store, or an intent, arrives.
    Mail(u32),
    /// An operator has his answer.
    Operator(u32),
    /// The next step of the script.
    Step,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Entry {
    at: Time,
    number: u64,
    due: Due,
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// A heap that keeps its memory.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    heap: BinaryHeap<Reverse<Entry>>,
    number: u64,
}

impl Queue {
    pub(crate) fn push(&mut self, at: Time, due: Due) {
        self.number += 1;
        self.heap.push(Reverse(Entry { at, number: self.number, due }));
    }

    pub(crate) fn next_at(&self) -> Option<Time> {
        self.heap.peek().map(|Reverse(entry)| entry.at)
    }

    pub(crate) fn pop(&mut self) -> Option<(Time, Due)> {
        self.heap.pop().map(|Reverse(entry)| (entry.at, entry.due))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_at_one_moment_comes_as_it_was_planned() {
        let mut queue = Queue::default();
        let at = |millis: u64| Time::from_nanos(millis * 1_000_000);
        queue.push(at(2), Due::Step);
        queue.push(at(1), Due::Packet(7));
        queue.push(at(1), Due::Packet(3));
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|(_, due)| due).collect();
        assert_eq!(order, [Due::Packet(7), Due::Packet(3), Due::Step]);
    }
}
