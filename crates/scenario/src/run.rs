//! The judge: does what a file says to a cloud, and holds what is seen against what is expected.

use std::fmt::{self, Write as _};
use std::time::Duration;

use crate::deed::{Deed, Runs};
use crate::expect::{Answer, Eye, Never, Stored};
use crate::sight::{Look, StoreSight, Told};
use crate::{Expectation, Line, Scenario, Statement};

/// What a scenario runs on. It begins well: everybody hears everybody everywhere, and where the file asks for
/// it the first node holds the virtual IP.
pub trait Cloud {
    /// Since any moment.
    fn now(&self) -> Duration;

    /// Lets time go on for a little, at most for this long.
    ///
    /// # Errors
    /// When something is wrong that no file expects.
    fn pass(&mut self, at_most: Duration) -> Result<(), String>;

    /// # Errors
    /// When it cannot be done.
    fn act(&mut self, deed: &Deed) -> Result<(), String>;

    fn look(&mut self) -> Look;

    /// Verdicts since the last question.
    fn told(&mut self) -> Vec<Told>;

    /// Of a cloud with a store, where a client writes all along.
    fn store(&mut self) -> StoreSight {
        StoreSight::default()
    }

    /// Names of acknowledged writes that are not read as they were written; none: nobody can be asked now.
    fn lost(&mut self) -> Option<Vec<String>> {
        None
    }
}

/// What was expected and came.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Kept {
    pub line: usize,
    pub text: String,
    pub within: Duration,
    /// After the deed before it.
    pub took: Duration,
}

impl Kept {
    /// Not later than the file says: a patient judge also takes what is late.
    #[must_use]
    pub fn is_in_time(&self) -> bool {
        self.took <= self.within
    }
}

/// A scenario that was kept.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Record {
    pub kept: Vec<Kept>,
    pub span: Duration,
}

/// The line that was not kept, and what was seen instead.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    pub line: usize,
    pub text: String,
    /// Since the begin.
    pub at: Duration,
    pub what: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, text, at, what } = self;
        write!(f, "line {line}, `{text}`: {what} (at {:.3} s)", at.as_secs_f64())
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        for kept in &self.kept {
            let late = if kept.is_in_time() { "" } else { " LATE" };
            let took = kept.took.as_secs_f64();
            writeln!(text, "  {took:>7.3} s{late}  {}", kept.text)?;
        }
        f.write_str(&text)
    }
}

/// Runs a scenario. `patience` is added to every time that the file gives: none in the simulator, some on a
/// machine that has other things to do.
///
/// # Errors
/// The first line that was not kept.
pub fn run(
    scenario: &Scenario,
    cloud: &mut impl Cloud,
    patience: Duration,
) -> Result<Record, Failure> {
    let begin = cloud.now();
    drop(cloud.told());
    let nodes = scenario.nodes.len();
    let mut judge = Judge {
        scenario,
        cloud,
        patience,
        begin,
        deed_at: begin,
        running: vec![true; nodes],
        hurt: vec![false; nodes],
        nevers: vec![],
        waits: vec![],
        kept: vec![],
        last: None,
    };
    for line in &scenario.lines {
        judge.line(line)?;
    }
    judge.settle()?;
    judge.kept.sort_by_key(|kept| kept.line);
    let span = judge.now().saturating_sub(begin);
    Ok(Record { kept: judge.kept, span })
}

struct Judge<'a, C> {
    scenario: &'a Scenario,
    cloud: &'a mut C,
    patience: Duration,
    begin: Duration,
    deed_at: Duration,
    running: Vec<bool>,
    /// Something was done to them: they may be accused.
    hurt: Vec<bool>,
    nevers: Vec<(&'a Line, &'a Never)>,
    waits: Vec<Wait<'a>>,
    kept: Vec<Kept>,
    /// The line that was read last, for failures of the cloud itself.
    last: Option<&'a Line>,
}

/// What is awaited after a deed.
struct Wait<'a> {
    line: &'a Line,
    what: &'a Expectation,
    within: Duration,
    hold: Duration,
    /// Since when it is as expected.
    since: Option<Duration>,
    is_over: bool,
}

impl<'a, C: Cloud> Judge<'a, C> {
    fn line(&mut self, line: &'a Line) -> Result<(), Failure> {
        match &line.statement {
            Statement::Never(never) => self.nevers.push((line, never)),
            Statement::By { within, hold, what } => {
                let (within, hold) = (*within, *hold);
                self.waits.push(Wait { line, what, within, hold, since: None, is_over: false });
            }
            Statement::At(at, deed) => {
                self.settle()?;
                self.last = Some(line);
                while self.now() < self.begin + *at {
                    let left = (self.begin + *at).saturating_sub(self.now());
                    self.pass(left)?;
                    self.observe()?;
                }
                self.act(line, deed)?;
            }
        }
        Ok(())
    }

    fn now(&self) -> Duration {
        self.cloud.now()
    }

    fn fail(&self, line: &Line, what: String) -> Failure {
        let at = self.now().saturating_sub(self.begin);
        Failure { line: line.number, text: line.text.clone(), at, what }
    }

    fn act(&mut self, line: &Line, deed: &Deed) -> Result<(), Failure> {
        let aimed = if let Deed::Leader(strike) = deed {
            self.leader().map(|leader| strike.on(leader))
        } else {
            Some(deed.clone())
        };
        let nobody = || self.fail(line, "nobody leads the store".to_owned());
        let deed = &aimed.ok_or_else(nobody)?;
        self.deed_at = self.now();
        match deed.runs() {
            Runs::No(node) => self.running[node] = false,
            Runs::AsBefore | Runs::Yes(_) | Runs::All => {}
        }
        for node in deed.hurts(self.hurt.len()) {
            self.hurt[node] = true;
        }
        self.cloud.act(deed).map_err(|what| self.fail(line, what))?;
        match deed.runs() {
            Runs::Yes(node) => self.running[node] = true,
            Runs::All => self.running.fill(true),
            Runs::No(_) | Runs::AsBefore => {}
        }
        Ok(())
    }

    fn leader(&mut self) -> Option<usize> {
        let (look, store) = (Look::default(), Stored::default());
        let sight = self.cloud.store();
        let running = &self.running;
        Eye { scenario: self.scenario, look: &look, running, store: &store }.named(&sight.leaders)
    }

    /// What is known of the store, where something about it is awaited.
    fn stored(&mut self) -> Stored {
        let awaits = |is_it: fn(&Expectation) -> bool| {
            self.waits.iter().any(|wait| !wait.is_over && is_it(wait.what))
        };
        let sees = awaits(Expectation::is_of_store);
        let reads = awaits(|what| *what == Expectation::NothingLost);
        let sight = if sees { self.cloud.store() } else { StoreSight::default() };
        let lost = if reads { self.cloud.lost() } else { None };
        Stored { sight, deed_at: self.deed_at, lost }
    }

    /// Until all that is awaited has come and stayed.
    fn settle(&mut self) -> Result<(), Failure> {
        while !self.waits.is_empty() {
            let look = self.observe()?;
            self.compare(&look)?;
            let now = self.now();
            self.waits.retain(|wait| !wait.is_over);
            let late = |wait: &Wait<'_>| self.deed_at + wait.within + self.patience;
            let ends = self.waits.iter().map(|wait| match wait.since {
                Some(_) => wait.end(self.deed_at + wait.within),
                None => late(wait),
            });
            if let Some(end) = ends.min() {
                self.pass(end.saturating_sub(now).max(Duration::from_millis(1)))?;
            }
        }
        Ok(())
    }

    fn pass(&mut self, at_most: Duration) -> Result<(), Failure> {
        let nowhere = || Failure {
            line: 0,
            text: "the cloud".to_owned(),
            at: Duration::ZERO,
            what: String::new(),
        };
        self.cloud.pass(at_most).map_err(|what| match self.last {
            Some(line) => self.fail(line, what),
            None => Failure { what, ..nowhere() },
        })
    }

    /// What must never be is looked for at every moment that is looked at.
    fn observe(&mut self) -> Result<Look, Failure> {
        let look = self.cloud.look();
        let told = self.cloud.told();
        let store = Stored::default();
        let running = &self.running;
        let eye = Eye { scenario: self.scenario, look: &look, running, store: &store };
        for (line, never) in &self.nevers {
            if **never == Never::TwoHold && eye.holders().len() > 1 {
                return Err(self.fail(line, eye.who_holds()));
            }
            if let Some(told) = told.iter().find(|told| never.is_broken_by(told)) {
                return Err(self.fail(line, self.words(told)));
            }
        }
        // Nobody to whom nothing was done is doubted by one to whom nothing was done either, or accused by
        // anybody.
        for told in told.iter().filter(|told| !self.hurt[told.of]) {
            let is_wrong =
                told.verdict.is_accusation() || (!self.hurt[told.who] && told.verdict.is_doubt());
            if let (true, Some(line)) = (is_wrong, self.last) {
                let what = format!("{}, to whom nothing was done", self.words(told));
                return Err(self.fail(line, what));
            }
        }
        Ok(look)
    }

    fn words(&self, told: &Told) -> String {
        let (who, of) = (self.scenario.name(told.who), self.scenario.name(told.of));
        format!("{who} said of {of}: {:?}", told.verdict)
    }

    fn compare(&mut self, look: &Look) -> Result<(), Failure> {
        let store = self.stored();
        let now = self.cloud.now();
        let mut failed = None;
        let running = &self.running;
        let eye = Eye { scenario: self.scenario, look, running, store: &store };
        for wait in &mut self.waits {
            let due = self.deed_at + wait.within;
            let (is_late, is_told) = (now > due + self.patience, now >= wait.end(due));
            match eye.sees(wait.what) {
                Answer::Yes => {
                    let since = *wait.since.get_or_insert(now);
                    if now >= wait.end(due) {
                        wait.is_over = true;
                        self.kept.push(Kept {
                            line: wait.line.number,
                            text: wait.line.text.clone(),
                            within: wait.within,
                            took: since.saturating_sub(self.deed_at),
                        });
                    }
                }
                // A busy agent may not answer at once; that is no other answer.
                Answer::Unknown(what) => {
                    if is_late && (wait.since.is_none() || is_told) {
                        failed = failed.or(Some((wait.line, what)));
                    }
                }
                Answer::No(what) => {
                    let before = if wait.since.take().is_some() { "did not last: " } else { "" };
                    if is_late {
                        failed = failed.or_else(|| Some((wait.line, format!("{before}{what}"))));
                    }
                }
            }
        }
        match failed {
            Some((line, what)) => Err(self.fail(line, what)),
            None => Ok(()),
        }
    }
}

impl Wait<'_> {
    /// When it has been as expected for long enough.
    fn end(&self, due: Duration) -> Duration {
        let Some(since) = self.since else { return Duration::MAX };
        if self.hold.is_zero() { since } else { since.max(due) + self.hold }
    }
}
