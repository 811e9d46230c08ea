//! One vip process after another, of the same life: to the other nodes it is one process.
//!
//! ```text
//!   next one: everything is opened and loaded ──> says so, waits        ──> goes on: cells, a beat, then all the rest
//!   this one: beats, holds ─────────────────────> leaves all, in one message, says nothing more, ends
//! ```
//! Sockets and the cells of the gate go from one to the other, so no beat is lost in between and no gate closes. What is not left in one message
//! is not left at all: then this process goes on, and its supervisor hears of it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use api::bequest::{FORM, Group, NEWEST, OLDEST, UNVOTED, VipBequest};
use api::{Event, MAX_MESSAGE, Report};
use base::Time;
use engine::vip::lease::bequest::Unfit;
use engine::vip::lease::{self, Stand};
use sys::channel::Channel;
use sys::poll::{Interest, Poller};

use super::Driver;
use super::lease::VipLeases;

mod form;

/// The supervisor gives the word within a reload, or never.
const PATIENCE: Duration = Duration::from_secs(30);
/// Steps until none is in the middle of something: each does what fits.
const STEPS: usize = 16;

/// Why nothing was taken over. What the one before had may be open: this process has to end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BequestError {
    #[error("cannot read what the vip process before left")]
    Unread(#[source] api::ReadError),
    #[error(
        "what the vip process before left is of form {0}, this program reads {OLDEST} to {NEWEST}"
    )]
    Form(u32),
    #[error("what the vip process before left contradicts itself: {0}")]
    Broken(&'static str),
    #[error("what the vip process before left does not fit this one")]
    Unfit(#[from] Unfit),
    #[error("cannot wait for what the vip process before leaves")]
    Wait(#[source] std::io::Error),
}

/// Who waits for what this one leaves.
pub(super) struct Heir {
    pub(super) way: Channel,
    /// It reads these forms.
    pub(super) oldest: u32,
    pub(super) newest: u32,
}

/// Why nothing was left.
struct Kept {
    why: String,
    /// To another one it might be.
    again: bool,
}

impl Driver<'_> {
    /// Leaves what it has to the process that waits for it, and is not to do anything more. False: it has all of it still.
    pub(super) fn hand_on(&mut self) -> bool {
        let nobody = || Kept { why: "there is no way to it".to_owned(), again: false };
        let left = self.heir.take().ok_or_else(nobody).and_then(|heir| self.leave_to(&heir));
        if let Err(Kept { why, again }) = &left {
            self.tell(&Report::Kept { why: why.clone(), again: *again });
        }
        left.is_ok()
    }

    fn leave_to(&mut self, heir: &Heir) -> Result<(), Kept> {
        let form = if self.vip_leases.is_some() { FORM } else { UNVOTED };
        if !(heir.oldest..=heir.newest).contains(&form) {
            let (oldest, newest) = (heir.oldest, heir.newest);
            let why =
                format!("it reads forms {oldest} to {newest} of that, and this one writes {form}");
            return Err(Kept { why, again: false });
        }
        let unable = |why: &str| Kept { why: why.to_owned(), again: false };
        let left = self.bequeath().ok_or_else(|| unable("a step does not end"))?;
        let (packets, sockets) = self.wire.leaves();
        let gate = self.vip_leases.as_ref().and_then(|all| all.guard.gate.as_ref());
        let message = VipBequest {
            packets,
            newest: self.wire.newest().map(form::newest).collect(),
            held: self.holds_by_vrrp(),
            queues: gate.map(|gate| gate.queues().to_vec()).unwrap_or_default(),
            networks: sockets.iter().map(|(network, _)| *network).collect(),
            ..left
        };
        let fds: Vec<BorrowedFd<'_>> = sockets.iter().map(|(_, socket)| *socket).collect();
        let mut bytes = vec![];
        api::encode(&message, &mut bytes);
        if bytes.len() > MAX_MESSAGE {
            return Err(unable("it is too long for one message"));
        }
        // From here on the other one may act. One that is gone has taken nothing.
        let sent = heir.way.send(&bytes, &fds);
        sent.map_err(|error| Kept { why: format!("it takes no message: {error}"), again: true })?;
        self.around.scripts.rest();
        Ok(())
    }

    /// What concerns votes. None: a step does not end.
    fn bequeath(&mut self) -> Option<VipBequest> {
        for _ in 0..STEPS {
            let Some(all) = &self.vip_leases else { return Some(form::unvoted()) };
            if let Some(left) = all.machine.bequeath() {
                return Some(form::written(&left));
            }
            self.step_leases(sys::clock::now(), lease::Input::Timeout);
        }
        None
    }

    fn holds_by_vrrp(&self) -> Vec<Group> {
        let held = self.instances.iter().filter(|it| it.seat.is_none() && it.machine.holding());
        held.map(|instance| group(&instance.vip)).collect()
    }

    /// Says that it waits; what the process before leaves, and sockets. None: nothing.
    pub(super) fn wait_for_bequest(
        &self,
        way: &Channel,
    ) -> Result<Option<(VipBequest, Vec<OwnedFd>)>, BequestError> {
        let poller = Poller::new().map_err(BequestError::Wait)?;
        poller.add(way.as_fd(), 0, Interest::READ).map_err(BequestError::Wait)?;
        let (mut bytes, mut fds, mut ready) = (vec![0; MAX_MESSAGE], vec![], Vec::with_capacity(1));
        self.tell(&Report::Heir { oldest: OLDEST, newest: NEWEST });
        let end = sys::clock::now() + PATIENCE;
        let length = loop {
            let now = sys::clock::now();
            if now >= end {
                return Ok(None);
            }
            poller.wait(&mut ready, Some(end.since(now))).map_err(BequestError::Wait)?;
            match way.receive(&mut bytes, &mut fds) {
                Ok(0) => return Ok(None),
                Ok(length) => break length,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(BequestError::Wait(error)),
            }
        };
        let left: VipBequest = api::decode(&bytes[..length]).map_err(BequestError::Unread)?;
        if !(OLDEST..=NEWEST).contains(&left.form) {
            return Err(BequestError::Form(left.form));
        }
        Ok(Some((left, fds)))
    }

    /// Goes on in the place of the process that left this: a beat first. Gives the instances whose addresses are here.
    pub(super) fn inherit(
        &mut self,
        left: &VipBequest,
        sockets: Vec<OwnedFd>,
    ) -> Result<Vec<u16>, BequestError> {
        let began = sys::clock::now();
        if sockets.len() != left.networks.len() {
            return Err(BequestError::Broken("its sockets are not beside it"));
        }
        self.inherit_votes(began, left)?;
        let newest = left.newest.iter().map(form::heard);
        let sockets = left.networks.iter().copied().zip(sockets);
        self.wire.inherit((left.packets, newest), sockets, &self.poller);
        self.held_by_votes();
        // What it holds ends as it would have: who comes too late lets go here.
        self.step_leases(sys::clock::now(), lease::Input::Timeout);
        let mut held = self.held_by_votes();
        for number in 0..self.instances.len() {
            let instance = &self.instances[number];
            if instance.seat.is_none() && left.held.contains(&group(&instance.vip)) {
                self.adopt(number);
                held.push(self.instances[number].number);
            }
        }
        self.tell(&Report::Event(succeeded(&self.node, left, began)));
        Ok(held)
    }

    fn inherit_votes(&mut self, began: Time, left: &VipBequest) -> Result<(), BequestError> {
        let all = match &mut self.vip_leases {
            None if left.form == UNVOTED => return Ok(()),
            Some(all) if left.form != UNVOTED => all,
            // One of the two holds by votes what the other knows nothing of.
            None | Some(_) => return Err(Unfit::Address.into()),
        };
        let bequest = form::read(left).ok_or(BequestError::Broken("a list of voters"))?;
        all.machine.inherit(began, &bequest)?;
        all.usual = bequest.usual;
        if let Some(gate) = &mut all.guard.gate {
            gate.inherit_queues(&left.queues);
        }
        Ok(())
    }

    /// Those whose addresses are here by votes.
    fn held_by_votes(&mut self) -> Vec<u16> {
        let seats = self.vip_leases.as_ref().map_or(0, VipLeases::seats);
        (0..seats).for_each(|seat| self.look_at_seat(seat));
        let mut held = vec![];
        for instance in &mut self.instances {
            if let Some(seat) = &instance.seat {
                instance.held = seat.view.stand == Stand::Holder;
                held.extend(instance.held.then_some(instance.number));
            }
        }
        held
    }

    /// The addresses of that one are here, from the process before.
    pub(super) fn adopt(&mut self, number: usize) {
        let now = sys::clock::now();
        self.instances[number].machine.adopt(now);
        self.instances[number].held = true;
        self.around.sessions.adopt(number, now);
    }

    /// What is held by votes is renewed while a process that went on in the place of another begins.
    pub(super) fn keep_up(&mut self, goes_on: bool) {
        if !goes_on {
            return;
        }
        for token in self.wire.of_networks() {
            self.beats(token);
        }
        let now = sys::clock::now();
        if self.vip_leases.as_ref().is_some_and(|all| now >= all.machine.deadline()) {
            self.step_leases(now, lease::Input::Timeout);
        }
    }
}

/// By which a group is known on its device.
fn group(vip: &config::vip::Vip) -> Group {
    Group { interface: vip.interface.clone(), router_id: vip.router_id, is_v6: vip.is_v6() }
}

/// This process goes on in the place of another one, which left it that.
fn succeeded(node: &str, left: &VipBequest, began: Time) -> Event {
    let held = left.seats.iter().filter(|seat| seat.holds.is_some()).count() + left.held.len();
    let took = sys::clock::now().since(began).as_micros();
    Event {
        at_ms: sys::clock::wall_ms(),
        node: node.to_owned(),
        what: "vip-succeeded".to_owned(),
        object: format!("node/{node}"),
        evidence: format!(
            "the vip process before left what it promised, heard and held ({held} virtual IPs)"
        ),
        decision: "go on in its place; no address moves".to_owned(),
        took_us: u64::try_from(took).unwrap_or(u64::MAX),
        ..Event::default()
    }
}
