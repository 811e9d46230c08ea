//! What goes on around the virtual IPs of a process: processes and files that are tracked, ways to other systems, devices that
//! bounce.

use std::io;

use api::Start;
use base::Time;
use config::vip::Vip;
use engine::vip::bounce::{Bounces, Delays};
use sys::poll::Poller;

use super::WATCH;
use super::bfd::Sessions;
use super::watch::Watch;

pub(super) struct Around {
    pub(super) watch: Option<Watch>,
    pub(super) sessions: Sessions,
    pub(super) bounces: Bounces,
    /// Devices that keep other addresses while this process is there, and did not before.
    pub(super) promoted: Vec<String>,
}

impl Around {
    pub(super) fn new(vips: &[Vip], start: &Start, poller: &Poller, now: Time) -> io::Result<Self> {
        let delays = vips.iter().flat_map(|vip| &vip.interface_delays);
        let delays = delays.map(|it| (it.name.clone(), Delays { down: it.down, up: it.up }));
        Ok(Self {
            watch: Watch::start(vips, poller, WATCH)?,
            sessions: Sessions::new(vips, &start.adopt, start.life, now),
            bounces: Bounces::new(delays),
            promoted: vec![],
        })
    }

    pub(super) fn deadline(&self) -> Time {
        self.sessions.deadline().min(self.bounces.deadline())
    }
}
