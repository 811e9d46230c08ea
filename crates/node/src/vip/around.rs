//! What goes on around the virtual IPs of a process: check scripts, processes and files that are tracked, ways to other systems,
//! devices that bounce.

use std::io;

use api::Start;
use base::Time;
use config::vip::Vip;
use engine::vip::bounce::{Bounces, Delays};
use sys::poll::Poller;

use super::bfd::Sessions;
use super::instance::keep_out;
use super::promote::Promoted;
use super::scripts::apart::Checks;
use super::slow::Slow;
use super::watch::Watch;
use super::{CHECKS, Driver, SLOW, WATCH};

pub(super) struct Around {
    pub(super) scripts: Checks,
    pub(super) watch: Option<Watch>,
    pub(super) sessions: Sessions,
    pub(super) bounces: Bounces,
    pub(super) promoted: Promoted,
    /// None: nothing was to be done by it.
    pub(super) slow: Option<Slow>,
    /// A thread of this process ended that was not told to.
    pub(super) lost_thread: Option<&'static str>,
}

impl Around {
    pub(super) fn new(vips: &[Vip], start: &Start, poller: &Poller, now: Time) -> io::Result<Self> {
        let delays = vips.iter().flat_map(|vip| &vip.interface_delays);
        let delays = delays.map(|it| (it.name.clone(), Delays { down: it.down, up: it.up }));
        let needs_slow = |vip: &Vip| !vip.virtual_macs.is_empty() || keep_out::is_kept_out(vip);
        let slow = vips.iter().any(needs_slow).then(|| Slow::start(poller, SLOW));
        Ok(Self {
            scripts: Checks::start(vips, poller, CHECKS)?,
            watch: Watch::start(vips, poller, WATCH)?,
            sessions: Sessions::new(vips, &start.adopt, start.life, now),
            bounces: Bounces::new(delays),
            promoted: Promoted::new(start),
            slow: slow.transpose()?,
            lost_thread: None,
        })
    }

    pub(super) fn deadline(&self) -> Time {
        self.sessions.deadline().min(self.bounces.deadline())
    }
}

impl Driver<'_> {
    /// What there is around the addresses, when nobody follows this process.
    pub(super) fn end_links(&mut self) {
        self.end_bfd();
        self.around.promoted.demote();
        self.remove_virtual_macs();
        self.end_slow();
    }
}
