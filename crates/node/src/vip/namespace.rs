//! The virtual IPs of one network namespace among many in this process: what the loop of all of them asks one for.
//!
//! Whoever calls is in that namespace: sockets are opened when they are needed, whenever that is.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use api::{Report, Start, VipCounts, VipState};
use base::Time;
use config::vip::{Vip, Way};
use engine::vip::Input;
use sys::poll::Ready;

use super::closing::Closing;
use super::outlet::Outlet;
use super::{Driver, VipError, keys, routes, tell};
use crate::files::Texts;
use crate::launch::Interfaces;

/// What a file in keepalived's language has, as it is run in this namespace.
pub(crate) fn effective(texts: &Texts) -> Result<Vec<Vip>, VipError> {
    let loaded = config::load(texts.sources());
    if let Some(refused) = config::refused(&loaded) {
        return Err(VipError::Config(vec![refused.first]));
    }
    vips(&loaded, None, texts, &Interfaces::read())
}

/// The same of all files of the node `me`.
pub(super) fn vips(
    loaded: &config::Loaded,
    me: Option<usize>,
    texts: &Texts,
    interfaces: &Interfaces,
) -> Result<Vec<Vip>, VipError> {
    let (cluster, keepalived) = (loaded.cluster.as_ref(), loaded.keepalived.as_ref());
    let of = |address| interfaces.of(address);
    config::effective_vips(cluster, keepalived, me, loaded.haproxy.is_some(), &of)
        .and_then(|vips| keys::load(vips, cluster, texts))
        .map_err(VipError::Config)
}

/// Everything of one namespace; its descriptors close with it.
pub(crate) struct Namespace {
    driver: Driver<'static>,
    ready: Vec<Ready>,
}

impl std::fmt::Debug for Namespace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Namespace").finish_non_exhaustive()
    }
}

impl Namespace {
    /// Opens what it needs, adopts what `start` says that it holds already, and takes off what else may be there of a
    /// process before.
    ///
    /// # Errors
    /// When the file cannot be run here, or the kernel gives no socket.
    pub(crate) fn open(start: &Start, texts: &Texts, closing: &Closing) -> Result<Self, VipError> {
        let mut namespace = Self::prepare(start, texts, closing)?;
        namespace.begin(start);
        Ok(namespace)
    }

    /// Opens what can be refused, and does nothing yet: [`Self::begin`] does.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) fn prepare(
        start: &Start,
        texts: &Texts,
        closing: &Closing,
    ) -> Result<Self, VipError> {
        let outlet = Outlet::Router(std::cell::RefCell::default(), closing.clone());
        Ok(Self { driver: Driver::new(outlet, start, texts)?, ready: Vec::with_capacity(16) })
    }

    /// Goes on after another one ended in this namespace: `start` says what that one left.
    pub(crate) fn goes_on(&mut self, start: &Start) {
        for number in &start.adopt {
            self.driver.adopt(usize::from(*number));
        }
        self.begin(start);
    }

    fn begin(&mut self, start: &Start) {
        let driver = &mut self.driver;
        for refused in std::mem::take(&mut driver.refused) {
            let event = tell::disabled(&driver.instances[refused.instance], &start.node, &refused);
            driver.tell(&Report::Event(event));
        }
        driver.begin(start);
    }

    /// Readable when there is something to do.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.driver.poller.as_fd()
    }

    /// When there is something to do, whatever comes.
    pub(crate) fn deadline(&self) -> Time {
        self.driver.due().min(self.driver.deadline())
    }

    /// Takes what came, and does what is due; waits for nothing.
    pub(crate) fn turn(&mut self) -> Result<(), VipError> {
        let mut ready = std::mem::take(&mut self.ready);
        let done = self.driver.turn_after(Some(Duration::ZERO), &mut ready);
        self.ready = ready;
        done
    }

    /// Positions of what it holds.
    pub(crate) fn holds(&self) -> Vec<u16> {
        let held = self.driver.instances.iter().filter(|instance| instance.holding());
        held.map(|instance| instance.number).collect()
    }

    /// How all stand, and what was counted; `clear`: counting begins anew.
    pub(crate) fn counted(&mut self, clear: bool) -> (Vec<VipState>, Vec<VipCounts>) {
        let states = self.driver.instances.iter().map(|one| tell::state(one, None, None));
        (states.collect(), self.driver.counted(clear))
    }

    /// Told since this was asked last.
    pub(crate) fn reports(&self) -> Vec<Report> {
        self.driver.line.take()
    }

    /// Gives these up in order, before the rest is passed on to the one that follows.
    pub(crate) fn give_up(&mut self, numbers: &[u16]) {
        for number in numbers.iter().map(|number| usize::from(*number)) {
            if number < self.driver.instances.len() {
                self.driver.step(number, Input::Stop);
            }
        }
        self.driver.around.scripts.rest();
    }

    /// Releases everything and says goodbye.
    pub(crate) fn stop(&mut self) {
        self.driver.step_all(Input::Stop);
        self.driver.end_links();
        self.driver.around.scripts.rest();
    }

    /// Of the file before, which this one has no more.
    pub(crate) fn remove_routes(&self, routes: &[Way]) {
        // Who has one is no second holder.
        let _kept = routes::remove(&self.driver.netlink, routes);
    }
}
