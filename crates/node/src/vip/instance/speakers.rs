//! The sockets through which the neighbours of an address are told.

use sys::arp;

use super::Instance;

impl Instance {
    /// What the neighbours are told through, as far as its devices are there: before it is needed.
    pub(in crate::vip) fn open_speakers(&mut self) {
        for address in &self.vip.addresses {
            let device = address.device.as_deref().unwrap_or(&self.vip.interface);
            if !self.speakers.contains_key(device)
                && let Ok(socket) = arp::Socket::open(device)
            {
                self.speakers.insert(device.to_owned(), socket);
            }
        }
    }

    /// The device is called by that now.
    pub(in crate::vip) fn mac_changed(&mut self, device: &str, mac: [u8; 6]) {
        if self.speakers.get(device).is_some_and(|speaker| speaker.mac() != mac) {
            self.speakers.remove(device);
        }
    }
}
