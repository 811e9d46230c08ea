//! Does what the machine of an instance ordered, and tells what came of it.

use api::Report;
use base::Time;
use engine::vip::{Action, Input, Undone};

use super::instance::Kept;
use super::{Driver, tell};

/// What came of the orders of one step of an instance.
pub(super) struct Done {
    /// Before it.
    held: bool,
    /// When that began to which it answers, and when it had decided.
    began: Time,
    decided: Time,
    refused: bool,
    kept: Option<Kept>,
}

/// What the kernel did not do.
enum Failure {
    Claim,
    Release(Kept),
}

impl Driver<'_> {
    /// Nothing yet, of what is decided now.
    pub(super) fn done(&self, number: usize, began: Time) -> Done {
        let (held, decided) = (self.instances[number].held, sys::clock::now());
        Done { held, began, decided, refused: false, kept: None }
    }

    /// Does what the machine ordered, unless what the kernel did not do before forbids it.
    pub(super) fn obey(&mut self, number: usize, action: Action, done: &mut Done) {
        let undone = Undone { claim: done.refused, release: done.kept.is_some() };
        if undone.forbids(&action) {
            return;
        }
        match self.act(number, action) {
            Ok(()) => {
                let at = (done.began, done.decided);
                self.instances[number].note_done(&action, done.held, at);
            }
            Err(Failure::Claim) => done.refused = true,
            Err(Failure::Release(addresses)) => done.kept = Some(addresses),
        }
    }

    fn act(&mut self, number: usize, action: Action) -> Result<(), Failure> {
        let (no_burst, no_successor, two) = (
            self.breaks(api::Break::ArpBurst),
            self.breaks(api::Break::Successor),
            self.breaks(api::Break::SecondHolder),
        );
        let waits = match action {
            Action::Claim | Action::Release | Action::Probe => true,
            Action::Announce => !self.instances[number].can_speak(),
            Action::Advertise { .. } | Action::HandOver(_) | Action::Hello(_) | Action::Report => {
                false
            }
        };
        if waits {
            self.tell(&Report::Busy);
        }
        let instance = &mut self.instances[number];
        match action {
            Action::Claim if !instance.claim(&self.netlink) => return Err(Failure::Claim),
            Action::Claim => {}
            Action::Release if two => {}
            Action::Release => instance.release(&self.netlink).map_err(Failure::Release)?,
            Action::Announce if no_burst => {}
            Action::Announce => instance.announce(),
            Action::Advertise { priority: 0 } if no_successor => {}
            Action::Advertise { priority } => {
                instance.note_sent(priority);
                self.wire.advertise(instance, priority);
            }
            Action::HandOver(_) if no_successor => {}
            Action::HandOver(message) => self.wire.hand_over(message),
            Action::Hello(message) => self.wire.hello(message),
            Action::Report if self.begins => {}
            Action::Probe => self.probes.ask(instance, &self.netlink, &self.poller),
            Action::Report => self.tell_state(number),
        }
        Ok(())
    }

    /// Tells what came of it; a refused address is told to the machine.
    pub(super) fn conclude(&mut self, number: usize, done: &Done) {
        let Done { held, began, refused, .. } = *done;
        let instance = &mut self.instances[number];
        let moved = instance.held != held && !(refused && instance.held);
        if moved {
            instance.note_moved();
        }
        let fault = instance.fault_news(began, moved);
        let instance = &self.instances[number];
        if let Some(kept) = &done.kept {
            let event = tell::release_failed(instance, &self.node, kept);
            self.tell(&Report::Event(event));
        } else if moved {
            self.tell_moved(number, began);
        }
        self.tell_routes(number);
        if self.instances[number].priority_is_news() {
            self.tell_state(number);
        }
        if let Some(fault) = fault {
            self.tell_fault(number, fault);
        }
        if !self.instances[number].machine.searches() {
            self.line.close(self.probes.end(number, &self.poller));
        }
        if refused {
            self.step_at(number, began, Input::Refused);
        }
    }
}
