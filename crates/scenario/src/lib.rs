//! Scenario files: what is done to a cluster, when, and what must come of it.
//!
//! ```text
//!   file --- parse ---> Scenario --- run ---> Cloud (the simulator, or real processes in a lab)
//!                                     |  deeds -->  <-- looks, verdicts told
//!                                     +---> Record, or the line that was not kept
//! ```
//!
//! A file is read by one parser and judged by one judge, whatever it runs on. Its language is in
//! `docs/operate/scenarios.md`.
//!
//! ```text
//! nodes node01 node02 node03 node04 node05
//! networks mgmt storage tenant
//! detect 1s
//! never node04 accuses anybody
//! at 0s cut node04 storage
//! by +1.3s for 1s others call node04 cut-off storage
//! by +1.3s for 1s only node04/storage down
//! ```

mod deed;
mod expect;
mod parse;
mod run;
mod sight;

use std::fmt;
use std::time::Duration;

pub use deed::{Deed, Strike};
pub use expect::{Cell, Expectation, Never, Who, Word};
pub use run::{Cloud, Failure, Kept, Record, run};
pub use sight::{Look, Sight, StoreSight, Told, Verdict, View};

/// As many nodes as a cluster file may have.
pub const MAX_NODES: usize = 64;
/// As many networks as a cluster file may have, and the simulator knows.
pub const MAX_NETWORKS: usize = 4;

/// A file that was read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Scenario {
    /// The first comment of the file: what it is about.
    pub title: String,
    pub nodes: Vec<String>,
    /// So many of the last nodes are compute nodes.
    pub computes: usize,
    pub networks: Vec<String>,
    /// Nodes that are members of the store; none: there is none.
    pub store: Vec<usize>,
    /// The detection time of the cluster.
    pub detect: Duration,
    pub lines: Vec<Line>,
}

/// One statement and where it stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Line {
    /// From 1.
    pub number: usize,
    /// As it was written.
    pub text: String,
    pub statement: Statement,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Statement {
    /// So long after the begin, or later where something before it is still awaited.
    At(Duration, Deed),
    /// At most so long after the deed before it, and from that moment on without a break for so long.
    By { within: Duration, hold: Duration, what: Expectation },
    /// From here to the end.
    Never(Never),
}

/// What the parser does not take, and where.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mistake {
    /// From 1; 0: the file as a whole.
    pub line: usize,
    pub what: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            return f.write_str(&self.what);
        }
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl Scenario {
    /// Reads a file; refuses every line that it does not know.
    ///
    /// # Errors
    /// All mistakes of the file, by line.
    pub fn parse(text: &str) -> Result<Self, Vec<Mistake>> {
        parse::parse(text)
    }

    /// The name of a node.
    #[must_use]
    pub fn name(&self, node: usize) -> &str {
        self.nodes.get(node).map_or("?", String::as_str)
    }

    /// Whether it waits for a holder of the virtual IP: it begins with the first node as its holder.
    #[must_use]
    pub fn waits_for_holders(&self) -> bool {
        self.lines.iter().any(|line| match &line.statement {
            Statement::At(..) | Statement::Never(_) => false,
            Statement::By { what, .. } => {
                matches!(what, Expectation::Holds(_) | Expectation::OneHolds)
            }
        })
    }
}
