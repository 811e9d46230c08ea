//! What must come of a deed, and whether a look shows it.

use std::time::Duration;

use crate::sight::{Look, Sight, StoreSight, Told, Verdict};
use crate::{Scenario, sight::View};

/// What a `by` line waits for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Expectation {
    /// These nodes come to this verdict on that one.
    Call {
        who: Who,
        node: usize,
        verdict: Word,
    },
    /// Of all cells of all nodes that run exactly these are down.
    Down(Vec<Cell>),
    /// All nodes that run think the same of each node, and not well of everybody: what was done has had its effect.
    OneView,
    /// Everybody runs, hears everybody everywhere and thinks well of everybody.
    Well,
    Holds(usize),
    OneHolds,
    /// A majority of the members of the store follow one leader, which runs.
    StoreLed,
    /// A write that was begun after the deed is acknowledged.
    WritesGoOn,
    /// Whatever was acknowledged is read as it was written.
    NothingLost,
    /// A majority of the members of the store name one coordinator, which runs.
    OneCoordinates,
}

impl Expectation {
    /// Whether it is about the store.
    pub(crate) const fn is_of_store(&self) -> bool {
        matches!(self, Self::StoreLed | Self::WritesGoOn | Self::NothingLost | Self::OneCoordinates)
    }
}

/// Who must think so.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Who {
    /// All that run, but the one in question.
    Others,
    These(Vec<usize>),
}

/// A verdict as a file names it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Word {
    Alive,
    Suspect,
    Unreachable,
    Leaving,
    /// Suspect or unreachable.
    Doubted,
    CutOff(Vec<usize>),
}

/// What one node hears of another on one network.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Cell {
    pub from: usize,
    pub to: usize,
    pub network: usize,
}

/// What must not be seen for a moment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Never {
    TwoHold,
    /// None: anybody.
    Says {
        who: Option<Vec<usize>>,
        whom: Option<Vec<usize>>,
        how: Degree,
    },
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Degree {
    /// Suspect, or more.
    Doubts,
    /// Cut off, unreachable, dead.
    Accuses,
}

/// What a look says about an expectation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Answer {
    Yes,
    No(String),
    /// Somebody who must be asked does not answer.
    Unknown(String),
}

impl Word {
    fn is(&self, verdict: &Verdict) -> bool {
        match self {
            Self::Alive => *verdict == Verdict::Alive,
            Self::Suspect => *verdict == Verdict::Suspect,
            Self::Unreachable => *verdict == Verdict::Unreachable,
            Self::Leaving => *verdict == Verdict::Leaving,
            Self::Doubted => matches!(verdict, Verdict::Suspect | Verdict::Unreachable),
            Self::CutOff(networks) => *verdict == Verdict::CutOff(networks.clone()),
        }
    }
}

impl Never {
    pub(crate) fn is_broken_by(&self, told: &Told) -> bool {
        let Self::Says { who, whom, how } = self else { return false };
        let among = |list: &Option<Vec<usize>>, node: usize| {
            list.as_ref().is_none_or(|list| list.contains(&node))
        };
        let is_said = match how {
            Degree::Doubts => told.verdict.is_doubt(),
            Degree::Accuses => told.verdict.is_accusation(),
        };
        is_said && among(who, told.who) && among(whom, told.of)
    }
}

/// Looks at one moment with what is known of it.
pub(crate) struct Eye<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) look: &'a Look,
    /// Who runs, by what was done so far.
    pub(crate) running: &'a [bool],
    pub(crate) store: &'a Stored,
}

/// What is known of the store at that moment.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    pub(crate) sight: StoreSight,
    /// Of the last deed.
    pub(crate) deed_at: Duration,
    /// As [`crate::Cloud::lost`] says.
    pub(crate) lost: Option<Vec<String>>,
}

impl Eye<'_> {
    pub(crate) fn sees(&self, what: &Expectation) -> Answer {
        match what {
            Expectation::Call { who, node, verdict } => self.call(who, *node, verdict),
            Expectation::Down(cells) => self.down(cells),
            Expectation::OneView => self.one_view(),
            Expectation::Well => self.well(),
            Expectation::Holds(node) => {
                let is_it = self.holders() == [*node];
                if is_it { Answer::Yes } else { Answer::No(self.who_holds()) }
            }
            Expectation::OneHolds => {
                let is_one = self.holders().len() == 1;
                if is_one { Answer::Yes } else { Answer::No(self.who_holds()) }
            }
            Expectation::StoreLed => self.agreed(&self.store.sight.leaders, "leads the store"),
            Expectation::OneCoordinates => {
                self.agreed(&self.store.sight.coordinators, "coordinates")
            }
            Expectation::WritesGoOn => {
                let is_new = self.store.sight.written.is_some_and(|at| at > self.store.deed_at);
                let what = "no write that was begun since is acknowledged".to_owned();
                if is_new { Answer::Yes } else { Answer::No(what) }
            }
            Expectation::NothingLost => match self.store.lost.as_deref() {
                Some([]) => Answer::Yes,
                Some(lost) => Answer::No(format!("acknowledged and lost: {}", lost.join(", "))),
                None => Answer::Unknown("the store does not answer".to_owned()),
            },
        }
    }

    /// Whom a majority of the store's members name, if it runs.
    pub(crate) fn named(&self, by: &[Option<usize>]) -> Option<usize> {
        let members = &self.scenario.store;
        let names = |node: &usize| {
            let it = |member: &&usize| by.get(**member).copied().flatten() == Some(*node);
            members.iter().filter(it).count() * 2 > members.len()
        };
        (0..self.running.len()).find(names).filter(|node| self.running[*node])
    }

    fn agreed(&self, by: &[Option<usize>], what: &str) -> Answer {
        if self.named(by).is_some() {
            return Answer::Yes;
        }
        let name = |node: &Option<usize>| node.map_or("nobody", |node| self.name(node));
        let names: Vec<_> = by.iter().map(name).collect();
        Answer::No(format!("no majority names one that runs; who {what}: {}", names.join(", ")))
    }

    pub(crate) fn holders(&self) -> Vec<usize> {
        (0..self.look.holds.len()).filter(|node| self.look.holds[*node]).collect()
    }

    pub(crate) fn who_holds(&self) -> String {
        let names: Vec<_> = self.holders().into_iter().map(|node| self.name(node)).collect();
        if names.is_empty() {
            "nobody holds".to_owned()
        } else {
            format!("{} hold", names.join(" and "))
        }
    }

    fn name(&self, node: usize) -> &str {
        self.scenario.name(node)
    }

    /// Controllers: a compute node concludes doubt at most, and is asked by name.
    fn judges(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.running.len() - self.scenario.computes).filter(|node| self.running[*node])
    }

    fn view(&self, of: usize) -> Result<&View, Answer> {
        let view = self.look.views.get(of).and_then(Option::as_ref);
        view.ok_or_else(|| Answer::Unknown(format!("{} does not answer", self.name(of))))
    }

    /// What all of these say of one node; the first that disagrees is told.
    fn call(&self, who: &Who, node: usize, word: &Word) -> Answer {
        let who: Vec<usize> = match who {
            Who::Others => self.judges().filter(|judge| *judge != node).collect(),
            Who::These(these) => these.clone(),
        };
        for judge in who {
            let view = match self.view(judge) {
                Ok(view) => view,
                Err(unknown) => return unknown,
            };
            let verdict = &view[node].verdict;
            if !word.is(verdict) {
                let (judge, node) = (self.name(judge), self.name(node));
                return Answer::No(format!("{judge} calls {node} {}", self.words(verdict)));
            }
        }
        Answer::Yes
    }

    fn words(&self, verdict: &Verdict) -> String {
        let Verdict::CutOff(networks) = verdict else {
            return format!("{verdict:?}").to_lowercase();
        };
        let names: Vec<_> =
            networks.iter().map(|network| self.scenario.networks[*network].as_str()).collect();
        format!("cut-off {}", names.join(","))
    }

    fn down(&self, cells: &[Cell]) -> Answer {
        for to in self.judges() {
            let view = match self.view(to) {
                Ok(view) => view,
                Err(unknown) => return unknown,
            };
            for from in (0..self.running.len()).filter(|from| *from != to) {
                for (network, alive) in view[from].cells.iter().enumerate() {
                    if *alive == cells.contains(&Cell { from, to, network }) {
                        let hears = if *alive { "hears" } else { "does not hear" };
                        let (to, from) = (self.name(to), self.name(from));
                        let network = &self.scenario.networks[network];
                        return Answer::No(format!("{to} {hears} {from} on {network}"));
                    }
                }
            }
        }
        Answer::Yes
    }

    fn one_view(&self) -> Answer {
        let mut is_well = true;
        for node in 0..self.running.len() {
            let mut first: Option<(usize, &Sight)> = None;
            for judge in self.judges().filter(|judge| *judge != node) {
                let sight = match self.view(judge) {
                    Ok(view) => &view[node],
                    Err(unknown) => return unknown,
                };
                is_well &= sight.verdict == Verdict::Alive;
                match first {
                    None => first = Some((judge, sight)),
                    Some((before, said)) if said.verdict != sight.verdict => {
                        return Answer::No(format!(
                            "{} calls {} {} and {} calls it {}",
                            self.name(before),
                            self.name(node),
                            self.words(&said.verdict),
                            self.name(judge),
                            self.words(&sight.verdict),
                        ));
                    }
                    Some(_) => {}
                }
            }
        }
        if is_well { Answer::No("everybody is called alive".to_owned()) } else { Answer::Yes }
    }

    fn well(&self) -> Answer {
        if let Some(node) = self.running.iter().position(|runs| !runs) {
            return Answer::No(format!("{} does not run", self.name(node)));
        }
        for node in 0..self.running.len() {
            let is_well = self.call(&Who::Others, node, &Word::Alive);
            if is_well != Answer::Yes {
                return is_well;
            }
        }
        self.down(&[])
    }
}
