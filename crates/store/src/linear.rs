//! Whether a recorded history of one key is linearizable: after Wing and Gong (1993), with Lowe's memory.
//!
//! Every operation must have happened at one moment between its call and its answer, in an order that one
//! register explains. An operation without an answer may have happened at any moment after its call, or
//! never. Keys are independent of each other, so each is judged alone.

use std::collections::{BTreeMap, HashSet};

/// What was done to a key, with its answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Deed {
    /// Found this, or nothing.
    Read(Option<u64>),
    Write(u64),
    /// If the key had this value, or none; whether it did, if that was answered.
    Swap {
        from: Option<u64>,
        to: u64,
        held: Option<bool>,
    },
}

/// One operation of a client, in any unit of one clock.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Operation {
    pub key: u64,
    pub called: u64,
    /// Nothing if it was never answered or nobody knows whether it was done.
    pub answered: Option<u64>,
    pub deed: Deed,
}

/// No order explains the history.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no order of the operations on key {key} explains {stuck:?}")]
pub struct Violation {
    pub key: u64,
    /// The operation that the longest explained part could not be followed by.
    pub stuck: Operation,
}

/// Judges a history of many keys, all absent at its begin.
///
/// # Errors
/// The first key whose operations have no explanation.
pub fn check(history: &[Operation]) -> Result<(), Violation> {
    let mut keys: BTreeMap<u64, Vec<Operation>> = BTreeMap::new();
    for operation in history {
        // A read that nobody heard of says nothing.
        let silent = operation.answered.is_none() && matches!(operation.deed, Deed::Read(_));
        if !silent {
            keys.entry(operation.key).or_default().push(*operation);
        }
    }
    for (key, operations) in keys {
        Search::new(&operations)
            .run()
            .map_err(|stuck| Violation { key, stuck: operations[stuck] })?;
    }
    Ok(())
}

/// What the register is after the deed, if the answer fits.
fn after(value: Option<u64>, deed: Deed) -> Option<Option<u64>> {
    match deed {
        Deed::Read(found) => (found == value).then_some(value),
        Deed::Write(new) => Some(Some(new)),
        Deed::Swap { from, to, held } => {
            let holds = from == value;
            let fits = held.is_none_or(|held| held == holds);
            fits.then_some(if holds { Some(to) } else { value })
        }
    }
}

/// Calls and answers in the order of time, as a list from which explained operations are taken out.
struct Search<'a> {
    operations: &'a [Operation],
    /// Operation of each entry, and whether it is its call.
    entries: Vec<(usize, bool)>,
    /// Entry of the answer of each operation.
    answers: Vec<usize>,
    next: Vec<usize>,
    before: Vec<usize>,
    done: Vec<u64>,
}

impl<'a> Search<'a> {
    /// Entry 0 stands before the first and the last one behind the end.
    fn new(operations: &'a [Operation]) -> Self {
        let mut order = vec![];
        for (number, operation) in operations.iter().enumerate() {
            order.push((operation.called, 0, number));
            order.push((operation.answered.unwrap_or(u64::MAX), 1, number));
        }
        // At one moment calls come first: then the two overlap, and nothing is judged too hard.
        order.sort_unstable();
        let mut entries = vec![(usize::MAX, true)];
        let mut answers = vec![0; operations.len()];
        for (_, kind, number) in order {
            if kind == 1 {
                answers[number] = entries.len();
            }
            entries.push((number, kind == 0));
        }
        let ends = entries.len();
        let (next, before) =
            ((1..=ends + 1).collect(), (0..=ends).map(|at| at.max(1) - 1).collect());
        let done = vec![0; operations.len().div_ceil(64)];
        Self { operations, entries, answers, next, before, done }
    }

    /// # Errors
    /// The operation at which the longest explained part ends.
    fn run(mut self) -> Result<(), usize> {
        let ends = self.entries.len();
        let (mut value, mut taken, mut seen) = (None, vec![], HashSet::new());
        let mut furthest = (0, 0);
        let mut at = self.next[0];
        while self.next[0] != ends {
            let (number, is_call) = self.entries[at];
            if is_call {
                let deed = self.operations[number].deed;
                if let Some(then) = after(value, deed)
                    && self.take_if_new(number, then, &mut seen)
                {
                    taken.push((at, value));
                    self.lift(at, number);
                    value = then;
                    at = self.next[0];
                } else {
                    at = self.next[at];
                }
                continue;
            }
            // This one was answered and cannot be explained any more: the last step was wrong.
            furthest = furthest.max((taken.len(), number));
            let Some((call, earlier)) = taken.pop() else { return Err(furthest.1) };
            let (number, _) = self.entries[call];
            self.done[number / 64] &= !(1 << (number % 64));
            self.put_back(call, number);
            value = earlier;
            at = self.next[call];
        }
        Ok(())
    }

    /// Marks the operation as explained, unless the same were explained with the same value before.
    fn take_if_new(
        &mut self,
        number: usize,
        value: Option<u64>,
        seen: &mut HashSet<(Vec<u64>, Option<u64>)>,
    ) -> bool {
        self.done[number / 64] |= 1 << (number % 64);
        let new = seen.insert((self.done.clone(), value));
        if !new {
            self.done[number / 64] &= !(1 << (number % 64));
        }
        new
    }

    fn lift(&mut self, call: usize, number: usize) {
        for at in [call, self.answers[number]] {
            let (before, next) = (self.before[at], self.next[at]);
            self.next[before] = next;
            self.before[next] = before;
        }
    }

    fn put_back(&mut self, call: usize, number: usize) {
        for at in [self.answers[number], call] {
            let (before, next) = (self.before[at], self.next[at]);
            self.next[before] = at;
            self.before[next] = at;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn done(called: u64, answered: u64, deed: Deed) -> Operation {
        Operation { key: 0, called, answered: Some(answered), deed }
    }

    const fn lost(called: u64, deed: Deed) -> Operation {
        Operation { key: 0, called, answered: None, deed }
    }

    const fn swap(from: Option<u64>, to: u64, held: Option<bool>) -> Deed {
        Deed::Swap { from, to, held }
    }

    use Deed::{Read, Write};

    #[test]
    fn histories_that_one_register_explains_pass() {
        let rows: [&[Operation]; 7] = [
            &[],
            &[done(0, 1, Read(None)), done(2, 3, Write(1)), done(4, 5, Read(Some(1)))],
            // Two writes at once may have either order.
            &[done(0, 9, Write(1)), done(0, 9, Write(2)), done(10, 11, Read(Some(1)))],
            &[done(0, 9, Write(1)), done(0, 9, Write(2)), done(10, 11, Read(Some(2)))],
            // A write that was never answered shows late, or never.
            &[lost(0, Write(1)), done(1, 2, Read(None)), done(3, 4, Read(Some(1)))],
            &[lost(0, swap(None, 1, None)), done(1, 2, Write(2)), done(3, 4, Read(Some(2)))],
            // A swap that failed saw what was written meanwhile.
            &[
                done(0, 5, Write(1)),
                done(0, 5, swap(None, 2, Some(false))),
                done(6, 7, Read(Some(1))),
            ],
        ];
        for history in rows {
            assert_eq!(check(history), Ok(()), "{history:?}");
        }
    }

    #[test]
    fn lost_writes_stale_reads_and_two_winners_are_rejected() {
        let rows: [&[Operation]; 7] = [
            // An acknowledged write is lost.
            &[done(0, 1, Write(1)), done(2, 3, Read(None))],
            // A read goes back in time.
            &[
                done(0, 1, Write(1)),
                done(2, 9, Write(2)),
                done(3, 4, Read(Some(2))),
                done(5, 6, Read(Some(1))),
            ],
            // Nobody ever wrote that.
            &[done(0, 1, Read(Some(7)))],
            // Two clients both took the absent key.
            &[done(0, 9, swap(None, 1, Some(true))), done(0, 9, swap(None, 2, Some(true)))],
            // A swap says that it failed though its condition held all the time.
            &[done(0, 1, Write(1)), done(2, 3, swap(Some(1), 2, Some(false)))],
            // A write that was never answered cannot show, go and show again.
            &[
                lost(0, Write(1)),
                done(1, 2, Read(Some(1))),
                done(3, 4, Write(2)),
                done(5, 6, Read(Some(1))),
            ],
            // Seen before it was called.
            &[done(0, 1, Read(Some(1))), done(2, 3, Write(1))],
        ];
        for history in rows {
            assert!(check(history).is_err(), "{history:?}");
        }
    }

    #[test]
    fn keys_are_judged_apart_and_the_guilty_one_is_named() {
        let stuck = Operation { key: 2, ..done(2, 3, Read(None)) };
        let history = [done(0, 1, Write(1)), Operation { key: 2, ..done(0, 1, Write(1)) }, stuck];
        assert_eq!(check(&history), Err(Violation { key: 2, stuck }));
    }

    #[test]
    fn a_long_history_of_many_clients_is_judged_quickly_and_one_wrong_read_in_it_is_found() {
        // Eight clients take turns; operations of one round overlap.
        let mut history = vec![];
        for round in 0..400 {
            for client in 0..8 {
                let (called, answered) = (round * 100 + client, round * 100 + 50 + client);
                let deed = if client == 0 { Write(round) } else { Read(Some(round)) };
                history.push(done(called, answered, deed));
            }
        }
        assert_eq!(check(&history), Ok(()));
        history[8 * 200 + 3].deed = Read(Some(198));
        assert!(check(&history).is_err());
    }
}
