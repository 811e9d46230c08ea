//! Instances whose network comes later than this process: which device is theirs is known then.

use api::Report;
use engine::vip::Input;

use super::{Driver, source};
use crate::launch::Interfaces;

impl Driver<'_> {
    /// Instances whose network is there now take part from now on.
    pub(super) fn look_for_networks(&mut self) {
        if self.instances.iter().all(|instance| instance.awaits.is_none()) {
            return;
        }
        self.tell(&Report::Busy);
        let interfaces = Interfaces::read();
        let vips = self.instances.iter().map(|instance| &instance.vip);
        let virtual_ips = source::virtual_ips(vips, &[]);
        for number in 0..self.instances.len() {
            let instance = &mut self.instances[number];
            let is_new = instance.vip.interface.is_empty();
            let arrived = instance.arrive(&interfaces, &virtual_ips, &self.netlink);
            let Some(input) = arrived else { continue };
            let device = instance.vip.interface.clone();
            if is_new {
                self.wire.add(&instance.vip, &self.poller);
                self.make_virtual_macs(number);
            }
            self.step(number, input);
            let carrier = match self.netlink.link(&device).ok().flatten() {
                Some(link) => Input::Carrier { interface: 0, up: link.up && link.carrier },
                None => Input::NoDevice { interface: 0 },
            };
            self.step(number, carrier);
        }
    }
}
