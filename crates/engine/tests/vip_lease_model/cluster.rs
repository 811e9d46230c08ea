//! Three nodes: what each remembers, in ages and in what is left.

use std::time::Duration;

use base::Time;
use outlast_engine::vip::lease::voter::{Promise, Voter, Word};

pub(crate) const NODES: usize = 3;
pub(crate) const TICK: Duration = Duration::from_millis(40);
/// Every clock shows this: what is kept is ages and what is left.
pub(crate) const NOW: Time = Time::from_nanos(1_000_000_000);
/// What a process writes into its gate that closes it.
pub(crate) const CLOSE: u8 = 15;

/// A rule that is broken on purpose.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Broken {
    Nothing,
    IgnoresDrift,
    /// Not a rule of the machine: a clock that is wrong one tick more often than the bound allows.
    DriftsOneTickMore,
    ForgetsItsPromise,
    CountsFromArrival,
    VotesAfterRestart,
    ObeysAnOlderSerial,
    BelievesALaterLife,
    CountsAnEarlierClaim,
    WritesASpanIntoTheGate,
    SpeaksBeforeItCloses,
}

/// Which beat a voter is bound to, as seen from what its sender does now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kept {
    /// One of its present claim.
    Present,
    /// One of a claim that it gave up since.
    GivenUp,
    /// One of the last claim of the process before.
    Former,
    /// One of a claim that the process before gave up.
    FormerGivenUp,
}

impl Kept {
    const ALL: [Self; 4] = [Self::Present, Self::GivenUp, Self::Former, Self::FormerGivenUp];

    /// A process first claims (1), then says that it claims nothing (2), then claims again (3).
    pub(crate) const fn word(self) -> Word {
        match self {
            Self::Present => Word { life: 2, serial: 3 },
            Self::GivenUp => Word { life: 2, serial: 1 },
            Self::Former => Word { life: 1, serial: 3 },
            Self::FormerGivenUp => Word { life: 1, serial: 1 },
        }
    }

    pub(crate) fn of(word: Word) -> Self {
        Self::ALL.into_iter().find(|kept| kept.word() == word).expect("words are of the model")
    }

    pub(crate) const fn is_former(self) -> bool {
        matches!(self, Self::Former | Self::FormerGivenUp)
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    pub(crate) to: u8,
    pub(crate) kept: Kept,
    /// Ticks, on the voter's clock.
    pub(crate) left: u8,
}

/// Ages count from 1, so that 0 is none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node {
    /// Age of the first beat of its claim; it sent one in each tick since.
    pub(crate) claim: u8,
    /// Ticks in which the kernel lets the address through; that outlives the process.
    pub(crate) gate: u8,
    /// What the process is about to write there; it does nothing else before.
    pub(crate) writes: u8,
    /// Ticks in which it votes for nobody.
    pub(crate) silent: u8,
    /// Age of the newest beat of its claim that somebody granted.
    pub(crate) granted: u8,
    /// The same of claims that it gave up.
    pub(crate) granted_before: u8,
    pub(crate) promise: Option<Bound>,
    /// It says that nothing of the process before is open.
    pub(crate) closed: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct State {
    pub(crate) nodes: [Node; NODES],
    /// Ticks since the skewed clock was wrong.
    pub(crate) steady: u8,
}

pub(crate) fn ticks(count: u8) -> Duration {
    TICK * u32::from(count)
}

/// Whole ones: a promise is not taken for longer than it is.
pub(crate) fn left(until: Time) -> u8 {
    u8::try_from(until.since(NOW).as_nanos() / TICK.as_nanos()).expect("spans are short")
}

pub(crate) fn index(node: usize) -> u16 {
    u16::try_from(node).expect("three nodes")
}

/// The younger of two ages, where 0 is none.
pub(crate) fn younger(one: u8, other: u8) -> u8 {
    if one == 0 || other == 0 { one.max(other) } else { one.min(other) }
}

impl Node {
    pub(crate) const NEW: Self = Self {
        claim: 0,
        gate: 0,
        writes: 0,
        silent: 0,
        granted: 0,
        granted_before: 0,
        promise: None,
        closed: true,
    };

    pub(crate) const fn is_away(&self) -> bool {
        self.silent > 0 || self.writes > 0
    }

    pub(crate) fn voter(&self, me: usize) -> Voter {
        if self.claim > 0 {
            let word = Word { life: 2, serial: 0 };
            return Voter::bound(Promise { to: index(me), word, ends: Time::NEVER });
        }
        self.promise.map_or(Voter::new(NOW), |bound| {
            let (to, word) = (bound.to.into(), bound.kept.word());
            Voter::bound(Promise { to, word, ends: NOW + ticks(bound.left) })
        })
    }

    pub(crate) fn keep(&mut self, voter: &Voter) {
        self.promise = voter.promise(NOW).map(|promise| Bound {
            to: u8::try_from(promise.to).expect("three nodes"),
            kept: Kept::of(promise.word),
            left: left(promise.ends),
        });
    }

    pub(crate) fn stand(&mut self, me: usize) -> Option<()> {
        if self.claim > 0 || self.is_away() || !self.voter(me).keep(NOW, index(me), 2) {
            return None;
        }
        (self.claim, self.promise) = (1, None);
        Some(())
    }

    pub(crate) fn write(&mut self) -> Option<()> {
        let writes = std::mem::take(&mut self.writes);
        self.gate = if writes == CLOSE { 0 } else { self.gate.max(writes) };
        (writes > 0).then_some(())
    }

    pub(crate) fn pass(&mut self, count: u8, span: u8, broken: Broken) {
        let age = |age: u8| if age == 0 || age + count > span { 0 } else { age + count };
        if self.claim > 0 {
            self.claim = (self.claim + count).min(span);
        }
        (self.granted, self.granted_before) = (age(self.granted), age(self.granted_before));
        self.gate = self.gate.saturating_sub(count);
        self.silent = self.silent.saturating_sub(count);
        // A moment that is written later opens for less.
        if self.writes != CLOSE && broken != Broken::WritesASpanIntoTheGate {
            self.writes = self.writes.saturating_sub(count);
        }
        if let Some(bound) = &mut self.promise {
            bound.left = bound.left.saturating_sub(count);
        }
        self.promise = self.promise.filter(|bound| bound.left > 0);
    }

    /// `swapped`: nodes 1 and 2 have changed names.
    pub(crate) fn pack(&self, swapped: bool) -> u128 {
        let to = |to: u8| if swapped && to > 0 { 3 - to } else { to };
        let promise = self
            .promise
            .map_or(0, |bound| 1 + to(bound.to) + 4 * (bound.kept as u8) + 16 * bound.left);
        let ages = [self.claim, self.gate, self.writes, self.silent];
        let packed = ages.into_iter().fold(0, |packed, age| packed << 4 | u128::from(age));
        let packed = packed << 4 | u128::from(self.granted);
        let packed = packed << 4 | u128::from(self.granted_before);
        packed << 8 | u128::from(promise) << 1 | u128::from(self.closed)
    }
}

impl State {
    pub(crate) fn holders(&self) -> usize {
        self.nodes.iter().filter(|node| node.gate > 0).count()
    }

    /// The same for states in which nodes 1 and 2 have changed places.
    pub(crate) fn key(&self) -> u128 {
        let [a, b, c] = &self.nodes;
        let join = |nodes: [u128; NODES]| nodes.into_iter().fold(0, |key, node| key << 40 | node);
        let one = join([a.pack(false), b.pack(false), c.pack(false)]);
        let other = join([a.pack(true), c.pack(true), b.pack(true)]);
        one.min(other) << 4 | u128::from(self.steady)
    }

    /// What voters are bound to, after its sender did something.
    pub(crate) fn rename(&mut self, sender: usize, rename: impl Fn(Kept) -> Kept) {
        for bound in self.nodes.iter_mut().filter_map(|node| node.promise.as_mut()) {
            if usize::from(bound.to) == sender {
                bound.kept = rename(bound.kept);
            }
        }
    }

    pub(crate) fn binds_former(&self, sender: usize) -> bool {
        let mut bound = self.nodes.iter().filter_map(|node| node.promise);
        bound.any(|bound| usize::from(bound.to) == sender && bound.kept.is_former())
    }
}
