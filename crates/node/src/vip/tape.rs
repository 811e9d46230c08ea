//! What the instances are fed and what they decide, on its way to a file.

use std::path::Path;

use api::{Event, Start};
use base::Time;
use config::cluster::Cluster;
use engine::Buffer;
use engine::replay::Recorder;
use engine::vip::{Action, Input};

use super::instance::Instance;
use crate::record::{Record, Trouble, Whose};

/// Nothing in it: this process has no cluster file, or the file says that nothing is recorded.
pub(super) struct Tape(Option<Record>);

impl Tape {
    /// Its writing thread is an ordinary one: it is started before this one becomes a real-time thread.
    pub(super) fn start(start: &Start, cluster: Option<&Cluster>, instances: &[Instance]) -> Self {
        let names = instances.iter().map(|instance| instance.vip.name.clone()).collect();
        let begin = |cluster| {
            let folder = Path::new(&start.state_dir);
            Record::start(Whose::Vips, folder, &start.node, cluster, names, Trouble::default())
        };
        Self(cluster.filter(|_| !instances.is_empty()).and_then(begin))
    }

    pub(super) fn before(&mut self, now: Time, instances: &[Instance]) {
        if let Some(record) = &mut self.0 {
            let vips = instances.iter().map(|instance| &instance.machine);
            let begin = |head| Recorder::begin_vips(head, vips.clone());
            record.before_again(now, begin, |recorder, at, bytes| {
                recorder.begin_vips_again(at, vips.clone(), bytes);
            });
        }
    }

    /// The instance as it is after the step.
    pub(super) fn after(
        &mut self,
        now: Time,
        instance: &Instance,
        input: &Input<'_>,
        out: &Buffer<Action>,
    ) {
        if let Some(record) = &mut self.0 {
            let vip = (instance.number, &instance.machine);
            record.after(now, |recorder| recorder.note_vip(now, vip, input, out));
        }
    }

    /// Recording stopped, or goes on.
    pub(super) fn news(&mut self, node: &str) -> Option<Event> {
        let why = self.0.as_mut()?.news()?;
        let (what, evidence, decision) = match why {
            Some(why) => ("vip-unrecorded", why, "go on without a recording, and try again"),
            None => ("vip-recorded", "the disk takes it again".to_owned(), "begin a new recording"),
        };
        Some(Event {
            at_ms: sys::clock::wall_ms(),
            node: node.to_owned(),
            what: what.to_owned(),
            object: format!("node/{node}"),
            evidence,
            decision: decision.to_owned(),
            ..Event::default()
        })
    }

    pub(super) fn close(&mut self) {
        if let Some(record) = self.0.take() {
            record.close();
        }
    }
}
