//! What the agent's machines are fed and what they decide, on its way to files.

use std::path::Path;

use api::Start;
use base::Time;
use config::cluster::Cluster;
use engine::Buffer;
use engine::member::{Action, Input, Member};
use engine::replay::{CaseFact, Recorder};
use engine::verdict::{Rule, Verdict};

use crate::record::{Record, Trouble, Whose};

/// Nothing in them: there is no cluster file, it says that nothing is recorded, or nobody is watched by gossip.
#[derive(Default)]
pub(super) struct Tapes {
    member: Option<Record>,
    gossip: Option<Record>,
}

impl Tapes {
    pub(super) fn start(start: &Start, cluster: Option<&Cluster>, trouble: &Trouble) -> Self {
        let Some(cluster) = cluster else { return Self::default() };
        let folder = Path::new(&start.state_dir);
        let tape =
            |whose, trouble| Record::start(whose, folder, &start.node, cluster, vec![], trouble);
        let has_computes = cluster.nodes.len() > cluster.controllers().len();
        Self {
            member: tape(Whose::Member, trouble.clone()),
            // Its own: each says when its present file takes nothing more. The folder is one: membership's is told.
            gossip: has_computes.then(|| tape(Whose::Gossip, Trouble::default())).flatten(),
        }
    }

    /// One step of the membership machine.
    pub(super) fn step(
        &mut self,
        now: Time,
        member: &mut Member,
        input: Input<'_>,
        out: &mut Buffer<Action>,
    ) {
        if let Some(record) = &mut self.member {
            record.before(now, |head| Recorder::begin(head, member));
        }
        member.step(now, input, out);
        if let Some(record) = &mut self.member {
            record.after(now, |recorder| recorder.note(now, &input, out));
        }
    }

    /// A case of the gossip that had another verdict than the one before.
    pub(super) fn judged(&mut self, fact: CaseFact, verdict: Verdict, rule: &Rule) {
        let Some(record) = &mut self.gossip else { return };
        let now = fact.case.now;
        record.before(now, Recorder::begin_cases);
        record.after(now, |recorder| recorder.note_case(&fact, verdict, rule));
    }

    /// Once in each turn of the loop.
    pub(super) fn wind(&mut self, now: Time) {
        if let Some(record) = &mut self.gossip {
            record.due(now);
        }
    }

    pub(super) fn close(self) {
        [self.member, self.gossip].into_iter().flatten().for_each(Record::close);
    }
}
