//! One scenario, from a healthy cloud to figures, and back to a healthy cloud.

use std::cell::Cell;
use std::io;
use std::time::Duration;

use base::Time;

use super::act;
use super::figures::{Figures, Span, ms};
use super::scenario::{Fault, Scenario};
use crate::client::{Client, Plan, Port};
use crate::cloud::Cloud;
use crate::cloud::node::Software;
use crate::wait;
use crate::watch::Idle;

/// When the client gives up: longer than the `timeout server 5s` of one scenario, shorter than the
/// patience of a person.
const LIMIT: Duration = Duration::from_secs(8);
/// Long database sessions.
const SESSIONS: usize = 6;
/// Answers on each port before the fault: 200 ms of a working cloud.
const BEFORE: u64 = 40;
/// Until they are there.
const BEFORE_WITHIN: Duration = Duration::from_secs(10);
/// How long a node remembers that its balancer was lost, and what a scenario itself takes.
const REMEMBERED: Duration = Duration::from_secs(15);
/// An idle thread that comes later than this makes a run doubtful.
pub(super) const STALL: Duration = Duration::from_millis(5);

/// What measures, beside the cloud.
#[derive(Debug)]
pub(super) struct Measure {
    idle: Idle,
    realtime: bool,
    /// When a scenario last hurt a balancer.
    balancer_lost: Cell<Time>,
}

impl Measure {
    /// One request to each port in this time.
    pub(super) const INTERVAL: Duration = Duration::from_millis(5);

    pub(super) fn new(idle: Idle, realtime: bool) -> Self {
        Self { idle, realtime, balancer_lost: Cell::default() }
    }

    /// Runs a scenario, and repairs the cloud unless it is the `last` one; none where the software has no such part.
    pub(super) fn run(
        &self,
        cloud: &mut Cloud,
        scenario: &Scenario,
        last: bool,
    ) -> io::Result<Option<Figures>> {
        if !act::concerns(&cloud.software, scenario.fault) {
            return Ok(None);
        }
        cloud.wait_until_healthy()?;
        self.let_losses_age(cloud, scenario.fault);
        let measured = self.measure(cloud, scenario);
        if !last {
            restore(cloud, scenario)?;
        }
        measured.map(Some)
    }

    /// Two losses of one balancer within 10 s move the address, whatever the second one is: a
    /// scenario is not to inherit the first one from the scenario before.
    fn let_losses_age(&self, cloud: &Cloud, fault: Fault) {
        let hurts = matches!(fault, Fault::KillBalancer | Fault::FreezeBalancer);
        if hurts && cloud.software != Software::Stock {
            act::until(self.balancer_lost.get() + REMEMBERED, || true);
            self.balancer_lost.set(sys::clock::now());
        }
    }

    fn measure(&self, cloud: &mut Cloud, scenario: &Scenario) -> io::Result<Figures> {
        let victims = act::prepare(cloud, scenario)?;
        // The answers of a working cloud, while the client warms up, belong to the record.
        cloud.watch.forget();
        let client = Client::start(cloud.client().netns(), Self::plan(cloud, self.realtime))?;
        let warm = |port| client.answered(port) >= BEFORE;
        if victims.is_some()
            && !wait::until(BEFORE_WITHIN, || warm(Port::Api) && warm(Port::Database))
        {
            drop(client.finish()?);
            return Err(io::Error::other("the client gets no answers before the fault"));
        }
        let _before = self.idle.take_worst();
        let fault = sys::clock::now();
        let watch = match cloud.software {
            Software::Outlast { .. } => scenario.watch,
            Software::Stock => scenario.watch_stock,
        };
        let struck = act::strike(cloud, scenario.fault, victims);
        act::until(fault + watch / 2, || struck.is_ok() && client.is_running());
        let struck = struck.and_then(|()| act::second_half(cloud, scenario.fault, victims));
        act::until(fault + watch, || struck.is_ok() && client.is_running());
        let end = sys::clock::now();
        let name = |node: usize| cloud.nodes[node].name.clone();
        let holder_before = victims.map(|victims| name(victims.holder));
        let holder_after = cloud.holder().map(name);
        let watched = cloud.watch.seen();
        let stalled = self.idle.take_worst();
        let run = client.finish()?;
        struck?;
        let span = Span { fault, end, judged: scenario.judged };
        let mut figures = Figures::new(&run, &watched, span, ms(stalled));
        if victims.is_none() {
            // Nothing answered before a cold start: it is an outage from the first moment on.
            figures.outage_ms = figures.outage_ms.max(figures.first_answer_ms);
        }
        Ok(Figures { holder_before, holder_after, ..figures })
    }

    pub(super) fn plan(cloud: &Cloud, realtime: bool) -> Plan {
        Plan {
            api: cloud.api(),
            database: Some(cloud.database()),
            interval: Self::INTERVAL,
            limit: LIMIT,
            sessions: SESSIONS,
            realtime,
        }
    }
}

fn restore(cloud: &mut Cloud, scenario: &Scenario) -> io::Result<()> {
    cloud.revive()?;
    if scenario.server_timeout.is_some() {
        cloud.write_files(None)?;
        cloud.wait_until_healthy()?;
        cloud.reload()?;
    }
    cloud.wait_until_healthy()
}
