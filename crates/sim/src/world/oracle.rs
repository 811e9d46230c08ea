//! What an agent may believe: its peers' letters as the world knows them, judged by a second, plain
//! reading of the rules of `engine::member`.
//!
//! It has its own numbers: a constant that is changed in the machine is found.

use std::time::Duration;

use base::Time;
use engine::member::{Member, Standing};

use super::net::{EVERYBODY, MAX_NETWORKS, Says, Truth};

const MARGIN: Duration = Duration::from_millis(1);

/// What one host can know of another.
#[derive(Clone, Debug, Default)]
struct Seen {
    life: u64,
    serial: [u64; MAX_NETWORKS],
    proof: [Option<Time>; MAX_NETWORKS],
    known_at: Option<Time>,
    /// The life that said goodbye.
    left: Option<u64>,
}

impl Seen {
    fn last(&self) -> Option<Time> {
        self.proof.iter().flatten().chain(&self.known_at).max().copied()
    }
}

/// What one host can know.
#[derive(Clone, Debug)]
struct Row {
    seen: Vec<Seen>,
    /// When it last came to itself, or got a carrier back.
    woke: Option<Time>,
    /// Since when nothing hinders it.
    well_since: Time,
}

/// What every controller can know of the others. Moments are those of the observer's own clock.
#[derive(Debug)]
pub(crate) struct Oracle {
    rows: Vec<Row>,
    networks: usize,
    /// Silence on every network for so long makes a suspect.
    silent: Duration,
    /// Who was not running, or had no carrier, listens so long before it judges.
    patience: Duration,
    /// Away for longer than this, it must have noticed: a beat of its own, and the lateness it allows.
    pub(crate) gap: Duration,
    /// Well for so long, it has no excuse to be late.
    well: Duration,
    /// A host that is slower than this is late by its own rules, and judges nobody.
    slow: Duration,
}

/// What a letter is to its reader.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum News {
    /// Must not be believed.
    None,
    Proof,
    Goodbye,
    /// Of a peer whose goodbye still stands, or about something else.
    Else,
}

impl Oracle {
    pub(crate) fn new(hosts: u16, networks: u8, detect: Duration) -> Self {
        let row = Row {
            seen: vec![Seen::default(); usize::from(hosts)],
            woke: None,
            well_since: Time::ZERO,
        };
        Self {
            rows: vec![row; usize::from(hosts)],
            networks: usize::from(networks),
            silent: detect,
            patience: detect / 2,
            gap: detect * 3 / 5 + MARGIN,
            well: detect * 2,
            slow: detect * 2 / 5,
        }
    }

    /// A new process knows nothing but what it is told.
    pub(crate) fn starts(&mut self, observer: u16, now: Time, known: &[Standing]) {
        let Some(row) = self.rows.get_mut(usize::from(observer)) else { return };
        (row.woke, row.well_since) = (None, now);
        for (seen, standing) in row.seen.iter_mut().zip(known) {
            *seen = Seen::default();
            seen.known_at = (*standing == Standing::Alive).then_some(now);
        }
    }

    /// It did not run for `gap`, or got a carrier back.
    pub(crate) fn wakes(&mut self, observer: u16, now: Time, gap: Duration) {
        let Some(row) = self.rows.get_mut(usize::from(observer)) else { return };
        row.well_since = now;
        if gap > self.gap {
            row.woke = Some(now);
        }
    }

    /// Something slows it down, or does so no longer.
    pub(crate) fn is_hindered(&mut self, observer: u16, now: Time) {
        if let Some(row) = self.rows.get_mut(usize::from(observer)) {
            row.well_since = now;
        }
    }

    /// Whether somebody that it must not accuse now has been silent for it.
    pub(crate) fn would_accuse(&self, observer: u16, now: Time) -> bool {
        let row = self.rows.get(usize::from(observer));
        row.into_iter()
            .flat_map(|row| &row.seen)
            .any(|seen| seen.last().is_some_and(|last| now.since(last) > self.silent))
    }

    /// Whether it must not accuse a host that it has heard: it was not running itself just now.
    pub(crate) fn must_be_patient(&self, observer: u16, of: u16, now: Time) -> bool {
        let row = &self.rows[usize::from(observer)];
        let was_away = row.woke.is_some_and(|woke| now.since(woke) + MARGIN < self.patience);
        was_away && row.seen[usize::from(of)].last().is_some()
    }

    /// A letter is read.
    pub(crate) fn reads(&mut self, observer: u16, truth: &Truth, network: u8, now: Time) -> News {
        let is_meant = truth.to == observer || truth.to == EVERYBODY;
        let is_for_it = is_meant && truth.sender != observer;
        if truth.forged || truth.network != network || !is_for_it {
            return News::None;
        }
        let row = &mut self.rows[usize::from(observer)];
        let Some(seen) = row.seen.get_mut(usize::from(truth.sender)) else { return News::None };
        if truth.life < seen.life {
            return News::None;
        }
        if truth.life > seen.life {
            (seen.life, seen.serial) = (truth.life, [0; MAX_NETWORKS]);
        }
        if truth.says == Says::Else {
            return News::Else;
        }
        let newest = &mut seen.serial[usize::from(network)];
        if truth.serial <= *newest {
            return News::None;
        }
        *newest = truth.serial;
        seen.proof[usize::from(network)] = Some(now);
        if truth.says == Says::Goodbye {
            seen.left = Some(truth.life);
            News::Goodbye
        } else if seen.left == Some(truth.life) {
            News::Else
        } else {
            seen.left = None;
            News::Proof
        }
    }

    /// An agent said this of a peer, in the step in which it read `news` of `sender`.
    pub(crate) fn judges(
        &self,
        (observer, peer): (u16, u16),
        standing: Standing,
        now: Time,
        (sender, news): (u16, News),
    ) -> Result<(), String> {
        let row = &self.rows[usize::from(observer)];
        let seen = &row.seen[usize::from(peer)];
        let is_of_it = sender == peer;
        match standing {
            Standing::Alive if is_of_it && news == News::Proof => Ok(()),
            Standing::Left if is_of_it && news == News::Goodbye => Ok(()),
            Standing::Alive => Err("calls it alive without a fresh beat".to_owned()),
            Standing::Left => Err("says that it left, and it did not say goodbye".to_owned()),
            Standing::Unknown => Err("forgets it".to_owned()),
            Standing::Suspect => {
                let age = seen.last().map(|last| now.since(last));
                if age.is_none_or(|age| age < self.silent) {
                    return Err(format!("suspects it {age:?} after its last beat"));
                }
                if self.must_be_patient(observer, peer, now) {
                    return Err("accuses, and was not running itself".to_owned());
                }
                Ok(())
            }
        }
    }

    /// After a beat was read, and at each turn: what the agent thinks of everybody.
    pub(crate) fn agrees(
        &self,
        observer: u16,
        member: &Member,
        now: Time,
        (slow, has_carrier): (Duration, bool),
    ) -> Result<(), String> {
        let row = &self.rows[usize::from(observer)];
        // Verdicts on 25 hosts come in four portions.
        let margin = MARGIN + slow * 4;
        for (peer, seen) in (0_u16..).zip(&row.seen) {
            if peer == observer {
                continue;
            }
            let standing = member.standing(peer);
            self.cells(peer, seen, member, now)?;
            let last = seen.last();
            // Measured stalls, its own and the peer's, may lengthen a silence by as much again.
            let overdue = last.is_some_and(|last| now.since(last) > self.silent * 2 + margin);
            let is_well = slow <= self.slow && has_carrier && now.since(row.well_since) > self.well;
            if standing == Standing::Alive && overdue && is_well {
                return Err(format!("host {peer} is silent and called alive"));
            }
            if standing == Standing::Alive && last.is_none() {
                return Err(format!("host {peer} was never heard and is called alive"));
            }
            if seen.left.is_some_and(|left| left == seen.life) && standing != Standing::Left {
                return Err(format!("host {peer} left and is called {standing:?}"));
            }
            let fresh = last.is_some_and(|last| now.since(last) < self.silent);
            let stands = seen.left.is_none() && fresh;
            if stands && standing != Standing::Alive {
                return Err(format!("host {peer} was just heard and is called {standing:?}"));
            }
        }
        Ok(())
    }

    /// Each network by itself: cutting one turns one cell and nothing else.
    fn cells(&self, peer: u16, seen: &Seen, member: &Member, now: Time) -> Result<(), String> {
        for (network, cell) in member.cells(peer, now).enumerate().take(self.networks) {
            let age = seen.proof[network].map(|proof| now.since(proof));
            let alive = age.is_some_and(|age| age < self.silent);
            if cell.is_none_or(|cell| cell.age != age || cell.alive != alive) {
                return Err(format!(
                    "host {peer} on network {network}: {cell:?}, and the last beat came {age:?} ago"
                ));
            }
        }
        Ok(())
    }
}
