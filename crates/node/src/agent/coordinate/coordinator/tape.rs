//! What the coordinator is told and what it decides, on its way to a file.

use std::path::Path;

use api::Start;
use base::Time;
use config::cluster::Cluster;
use engine::Buffer;
use engine::intent::{Action, Input, Leader};
use engine::replay::{LeaderFact, Recorder};

use crate::record::{Record, Trouble, Whose};

/// Nothing in it: the file says that nothing is recorded. Nothing is written while this node does not coordinate.
pub(in crate::agent::coordinate) struct Tape(Option<Record>);

impl Tape {
    pub(in crate::agent::coordinate) fn start(start: &Start, cluster: &Cluster) -> Self {
        let folder = Path::new(&start.state_dir);
        let (whose, trouble) = (Whose::Coordinator, Trouble::default());
        Self(Record::start(whose, folder, &start.node, cluster, vec![], trouble))
    }

    /// A time in office begins or ends.
    pub(super) fn turn(&mut self, now: Time, before: Option<&Leader>, fact: &LeaderFact) {
        if let Some(record) = &mut self.0 {
            record.before(now, |head| Recorder::begin_leader(head, before));
            record.after(now, |recorder| recorder.note_leader(now, fact, &Buffer::new()));
        }
    }

    /// One step of the machine.
    pub(super) fn step(
        &mut self,
        now: Time,
        leader: &mut Leader,
        input: Input,
        out: &mut Buffer<Action>,
    ) {
        let Some(record) = &mut self.0 else { return leader.step(now, input, out) };
        record.before(now, |head| Recorder::begin_leader(head, Some(leader)));
        let fact = LeaderFact::Told(input.clone());
        leader.step(now, input, out);
        record.after(now, |recorder| recorder.note_leader(now, &fact, out));
    }
}
