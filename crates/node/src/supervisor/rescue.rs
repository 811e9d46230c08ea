//! What is done for a vip process that is gone and that no other one follows.

use std::os::fd::{AsFd, OwnedFd};

use api::Event;
use base::Chain;
use sys::bpf::gate::Cells;
use sys::process::is_exiting;

use super::children::Child;
use super::{Slot, Supervisor, begin, tell};

impl Supervisor {
    /// It knows the configuration that the next vip process runs.
    pub(super) fn renew_rescue(&mut self) {
        if !std::mem::take(&mut self.rescue_is_old) {
            return;
        }
        match begin::open_rescue(&self.plan) {
            Ok(rescue) => self.rescue = rescue,
            Err(error) => tell::line(&Chain(&error).to_string()),
        }
    }

    /// The memory of a gate that a vip process opened.
    pub(super) fn learn_gate(&mut self, fd: Option<OwnedFd>, cells: u16) {
        let mapped = fd.as_ref().map(|fd| Cells::of(fd.as_fd(), usize::from(cells)));
        if let Some(Err(error)) = &mapped {
            tell::line(&format!("cannot see the gate: {error}"));
        }
        self.gate = mapped.and_then(Result::ok);
        self.succession.learn_gate(fd);
    }

    /// A vip process that died left filters on devices, for the next one: whoever else holds these addresses on this
    /// machine would be mute.
    pub(super) fn leave_no_gate(&self) {
        if let Some(rescue) =
            self.rescue.as_ref().filter(|_| self.plan.vips.iter().any(|v| v.has_lease))
        {
            rescue.take_gates_off();
        }
    }

    /// The channel of a vip process that was not told to end is closed, which it is before all else that it had: nothing
    /// of it runs any more, and the kernel may take longer for the rest than its vip leases last.
    pub(super) fn vip_is_ending(&mut self, slot: Slot) {
        let ends = |child: &&mut Child| child.is_running_vip() && is_exiting(child.process.pid());
        if let Some(child) = self.children.get_mut(&slot).filter(ends) {
            child.taken_down = true;
            self.vip_is_gone(false, None);
        }
    }

    pub(super) fn vip_is_gone(&mut self, in_order: bool, exit: Option<sys::process::Exit>) {
        self.counts_are_gone();
        if self.vip_ended(in_order) {
            self.rescue_addresses(exit);
        }
    }

    /// The vip process ended without having said goodbye, and none follows: no address may stay.
    /// `exit`: how it ended, if that is known yet.
    pub(super) fn rescue_addresses(&mut self, exit: Option<sys::process::Exit>) {
        let began = sys::clock::now();
        // What it has a vip lease of goes mute at once, whatever becomes of the addresses.
        let shut = self.gate.take().map(|gate| gate.shut());
        self.succession.learn_gate(None);
        let owed = self.estate.dies();
        let Some(rescue) = &mut self.rescue else { return };
        let done = rescue.act(self.lives.next(), &owed, shut.is_some());
        self.closed = shut.is_some() || done.is_clean();
        self.event(Event {
            what: "vip-rescued".to_owned(),
            object: format!("node/{}", self.plan.node),
            evidence: exit.map_or_else(
                || "the vip process is ending".to_owned(),
                |exit| format!("the vip process ended: {}", tell::exit(exit)),
            ),
            decision: "no address stays on a node whose vip process is gone".to_owned(),
            action: done.to_string(),
            took_us: tell::micros(sys::clock::now() - began),
            ..Event::default()
        });
    }
}
