//! Devices that somebody gave another name while they are up.
//!
//! An instance whose file names its network is told by the address that is on it: it follows, and nothing moves. One whose file
//! names the device has lost it, as with keepalived: after the next start it would not find it either.

use super::Instance;

impl Instance {
    /// Its file names the network and not the device: it goes on under another name. Where a file names the device too, its
    /// words are of a device that is not there any more.
    pub(in crate::vip) fn can_follow(&self, former: &str) -> bool {
        let weighed = self.vip.weighed_interfaces.iter().map(|weighed| &weighed.name);
        let mut tracked = self.vip.track_interfaces.iter().chain(weighed);
        let mut named = self.vip.addresses.iter().filter_map(|address| address.device.as_deref());
        self.is_by_network
            && self.vip.interface == former
            && !tracked.any(|name| name == former)
            && !named.any(|name| name == former)
    }

    /// The device of its network is called so from now on. What was opened on it is of the device, whatever that is called.
    pub(in crate::vip) fn follow(&mut self, former: &str, to: &str) {
        self.vip.learn_interface(to);
        if let Some(index) = self.indexes.remove(former) {
            self.indexes.insert(to.to_owned(), index);
        }
        if let Some(speaker) = self.speakers.remove(former) {
            self.speakers.insert(to.to_owned(), speaker);
        }
        self.keep_out();
    }

    /// What a device was called here that has another name now, if this one needs it.
    pub(in crate::vip) fn former_name(&self, index: u32, name: &str) -> Option<String> {
        let places = || self.vip.places().map(|(.., device)| device);
        let is_needed = |device: &str| self.devices().chain(places()).any(|it| it == device);
        let mut known = self.indexes.iter().filter(|(_, known)| **known == index);
        let former = known.find(|(other, _)| *other != name && is_needed(other));
        former.map(|(former, _)| former.clone())
    }

    pub(in crate::vip) fn note_renamed(&mut self, from: &str, to: &str) {
        self.renamed = Some((from.to_owned(), to.to_owned()));
    }

    /// What an event says of it; empty: nothing was.
    pub(in crate::vip) fn renamed(&self) -> String {
        self.renamed.as_ref().map_or_else(String::new, |(from, to)| {
            format!(
                " ({from} is called {to} now: give it its name back, or write the new one and reload)"
            )
        })
    }
}
