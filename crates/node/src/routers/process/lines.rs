//! What routers there are, for whoever asks.

use std::collections::BTreeMap;

use api::router::{EntryAnswer, RouterLine};

use super::{Hall, Part};

/// In one message.
const LINES: usize = 200;

impl Hall<'_> {
    pub(super) fn list(&self, number: u64) {
        // One look at all of them: who asks again and again delays no advert.
        let watches = self.seats.values().filter_map(|seat| match &seat.part {
            Part::Watch(watch) => Some((watch.entry.folder.as_str(), watch.news.told()?)),
            Part::New | Part::Router(_) => None,
        });
        let told: BTreeMap<&str, bool> = watches.collect();
        let mut lines = vec![];
        for seat in self.seats.values() {
            let Part::Router(router) = &seat.part else { continue };
            lines.push(RouterLine {
                router: router.name(),
                file: router.entry.file.clone(),
                pid: router.entry.pid,
                role: router.role,
                told: told.get(router.folder.as_str()).copied(),
            });
        }
        let parts = lines.len().div_ceil(LINES).max(1);
        for (part, routers) in (1..=parts).zip(lines.chunks(LINES).chain([&[][..]])) {
            let routers = routers.to_vec();
            self.answer(number, &EntryAnswer::Routers { routers, more: part < parts });
        }
    }
}
