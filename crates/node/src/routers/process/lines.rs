//! What routers there are, for whoever asks.

use api::router::{EntryAnswer, RouterLine};

use super::{Hall, Part};

/// In one message.
const LINES: usize = 200;

impl Hall<'_> {
    pub(super) fn list(&self, number: u64) {
        let mut lines = vec![];
        for seat in self.seats.values() {
            let Part::Router(router) = &seat.part else { continue };
            let mut watches = self.seats.values().filter_map(|seat| match &seat.part {
                Part::Watch(watch) if watch.entry.folder == router.folder => watch.news.told(),
                Part::New | Part::Router(_) | Part::Watch(_) => None,
            });
            lines.push(RouterLine {
                router: router.name(),
                file: router.entry.file.clone(),
                pid: router.entry.pid,
                role: router.role,
                told: watches.next_back(),
            });
        }
        let parts = lines.len().div_ceil(LINES).max(1);
        for (part, routers) in (1..=parts).zip(lines.chunks(LINES).chain([&[][..]])) {
            let routers = routers.to_vec();
            self.answer(number, &EntryAnswer::Routers { routers, more: part < parts });
        }
    }
}
