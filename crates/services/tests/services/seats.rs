//! How many ask the stand-in for the agent at once.

use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub struct Seats {
    pub now: usize,
    pub most: usize,
    /// Questions per object.
    pub asked: BTreeMap<String, usize>,
}

impl Seats {
    pub fn sit(&mut self, object: &str) {
        self.now += 1;
        self.most = self.most.max(self.now);
        *self.asked.entry(object.to_owned()).or_default() += 1;
    }
}
