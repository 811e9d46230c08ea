//! The first deeds of a process.

use api::Start;
use engine::vip::Input;

use super::Driver;
use super::instance::Instance;

impl Driver<'_> {
    /// What a process before this one may have left, then the first facts.
    pub(super) fn begin(&mut self, start: &Start) {
        self.shut_gate();
        self.keep_up(start.heir);
        self.begin_virtual_macs(&start.adopt);
        self.begin_kept_out();
        self.promote();
        self.instances.iter_mut().for_each(Instance::open_speakers);
        let mut refused = Vec::new();
        self.keep_up(start.heir);
        let seconds = self.take_leftovers_off(&start.leftovers, &start.adopt);
        for number in 0..self.instances.len() {
            let instance = &mut self.instances[number];
            if !start.adopt.contains(&instance.number) {
                instance.remove_leftovers(&self.netlink);
            } else if !instance.keep(&self.netlink) {
                // One that was there stays as it is; one that somebody removed is there again.
                refused.push(number);
            }
            self.keep_up(start.heir);
        }
        self.take_seconds_off(&seconds);
        self.wire.open_missing(&self.poller, sys::clock::now());
        self.keep_up(start.heir);
        for number in refused {
            self.step(number, Input::Refused);
        }
        self.look_at_devices();
        self.keep_up(start.heir);
        if self.breaks(api::Break::SecondHolder) {
            for instance in &mut self.instances {
                let _unable = instance.claim(&self.netlink);
                instance.announce();
            }
        }
        for number in 0..self.instances.len() {
            self.step(number, Input::Timeout);
        }
        // Until all of its devices were looked at, each was in fault.
        self.begins = false;
        self.around.scripts.begin();
        self.tell_states();
    }
}
