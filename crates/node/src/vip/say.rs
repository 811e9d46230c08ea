//! What this process says to its supervisor.

use api::Report;
use base::Time;

use super::Driver;

impl Driver<'_> {
    /// Waits for nobody.
    pub(super) fn tell(&self, report: &Report) {
        self.line.say(report);
    }

    pub(super) fn tell_state(&mut self, number: usize) {
        self.line.say(self.words.state(&self.instances[number]));
    }

    pub(super) fn tell_fault(&mut self, number: usize, cause: Option<engine::vip::Cause>) {
        self.line.say(self.words.fault(&self.instances[number], &self.node, cause));
    }

    pub(super) fn tell_states(&mut self) {
        (0..self.instances.len()).for_each(|number| self.tell_state(number));
    }

    /// Its addresses came or went.
    pub(super) fn tell_moved(&mut self, number: usize, began: Time) {
        let of = (self.node.as_str(), self.nodes.as_slice());
        self.line.say(self.words.moved(&self.instances[number], of, began));
    }
}
