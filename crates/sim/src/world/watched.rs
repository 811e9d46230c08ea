//! A world that is run step by step and looked at in between.

use std::time::Duration;

use base::Time;
use engine::verdict::Verdict;

use super::{Fault, Names, Script, Violation, World};

/// What one agent thinks of a host: the verdict, and whether it hears it on each network.
pub(crate) type Thought = (Verdict, Vec<bool>);

/// A world in the hands of somebody who decides when what is done to it.
#[derive(Debug)]
pub(crate) struct Watched(World);

impl Watched {
    /// Everything is switched on. `members`: of the store; none: all controllers.
    #[must_use]
    pub(crate) fn begin(script: &Script, members: &[u16]) -> Self {
        let mut world = World::new(script);
        members.clone_into(&mut world.store.members);
        world.opinions = Some(vec![]);
        world.begin();
        Self(world)
    }

    #[must_use]
    pub(crate) const fn now(&self) -> Time {
        self.0.now
    }

    #[must_use]
    pub(crate) const fn names(&self) -> &Names {
        &self.0.names
    }

    /// Lets time go on.
    ///
    /// # Errors
    /// A property of the world that did not hold.
    pub(crate) fn pass(&mut self, span: Duration) -> Result<(), Violation> {
        let world = &mut self.0;
        let end = world.now + span;
        while world.violation.is_none()
            && world.queue.next_at().is_some_and(|at| at <= end)
            && let Some((at, due)) = world.queue.pop()
        {
            world.now = world.now.max(at);
            world.handle(at, due);
        }
        world.now = world.now.max(end);
        world.violation.clone().map_or(Ok(()), Err)
    }

    /// # Errors
    /// A property of the world that did not hold.
    pub(crate) fn disturb(&mut self, fault: Fault) -> Result<(), Violation> {
        self.0.disturb(fault);
        self.0.violation.clone().map_or(Ok(()), Err)
    }

    /// What a host's agent thinks of each host; none where it does not run.
    #[must_use]
    pub(crate) fn thoughts(&self, host: u16) -> Option<Vec<Thought>> {
        let node = &self.0.hosts[usize::from(host)];
        let mind = node.agent.machine.as_ref().filter(|_| node.agent_acts())?;
        let now = self.0.local(host);
        let hosts = 0..u16::try_from(self.0.hosts.len()).unwrap_or(0);
        let thought = |of: u16| {
            let cells = mind.cells(of, now).into_iter();
            let cells = cells.map(|cell| cell.is_some_and(|cell| cell.alive)).collect();
            (mind.opinion(of).map_or(Verdict::Unknown, |told| told.verdict), cells)
        };
        Some(hosts.map(thought).collect())
    }

    /// Whether a client that asks for the virtual IP gets this host's answer.
    #[must_use]
    pub(crate) fn holds(&self, host: u16) -> bool {
        self.0.hosts[usize::from(host)].answers()
    }

    /// Whom each controller takes for the leader of the store, and for the coordinator.
    #[must_use]
    pub(crate) fn leaders(&mut self) -> Vec<(Option<u16>, Option<u16>)> {
        (0..self.0.controllers).map(|host| self.0.leaders_seen(host)).collect()
    }

    /// A write by the store's process of that host begins.
    pub(crate) fn write(&mut self, host: u16) {
        self.0.write_as_client(host);
    }

    /// When the newest of the acknowledged writes had begun.
    #[must_use]
    pub(crate) fn written(&self) -> Option<Time> {
        self.0.written()
    }

    /// Keys of acknowledged writes that are not there as they were written.
    #[must_use]
    pub(crate) fn lost_writes(&self) -> Vec<String> {
        self.0.lost_writes()
    }

    /// Opinions since the last question: who, of whom, what.
    pub(crate) fn take_opinions(&mut self) -> Vec<(u16, u16, Verdict)> {
        self.0.opinions.replace(vec![]).unwrap_or_default()
    }
}
