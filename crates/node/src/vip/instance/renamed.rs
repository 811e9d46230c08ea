//! Devices that somebody gave another name.

use super::Instance;

impl Instance {
    /// What a device was called here that has another name now, if this one needs it.
    pub(in crate::vip) fn former_name(&self, index: u32, name: &str) -> Option<String> {
        let places = self.vip.places().map(|(.., device)| device);
        let needed: Vec<&str> = self.devices().chain(places).collect();
        let mut known = self.indexes.iter().filter(|(_, known)| **known == index);
        let former = known.find(|(other, _)| *other != name && needed.contains(&other.as_str()));
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
