//! What a stand-in answers to keepalived's other signals: files of one router, beside its own file, and where keepalived has
//! them, which is one place for all routers of a host.

use std::path::{Path, PathBuf};

use api::router::{Entry, EntryAnswer, RouterCounts};
use config::vip::Vip;
use sys::process::stand_in::Kept;

use super::{Part, StandIn};
use crate::supervisor::dump::{self, Dump, Line};

impl StandIn<'_> {
    pub(super) fn dump(&self, kept: &Kept, dump: Dump) {
        let Part::Router(_) = self.part else { return };
        let entry = Entry::Count { clear: dump == Dump::ClearStats };
        // What is wrong with the socket is seen when it is read next.
        let Ok(EntryAnswer::Counted(counts)) = Self::say(&kept.socket, &entry, &[]) else { return };
        let Some(known) = self.known(kept) else { return };
        let text = dump::text(dump, &lines(&known.vips, &counts));
        for folder in self.folders() {
            if let Err(error) = dump::write(&folder, dump.file(), &text) {
                let path = folder.join(dump.file());
                let why = format!("cannot write {}: {error}", path.display());
                Self::tell_trouble(&kept.socket, why);
            }
        }
    }

    fn folders(&self) -> Vec<PathBuf> {
        let own = self.file().parent().map(Path::to_owned);
        own.into_iter().chain([dump::folder()]).collect()
    }
}

fn lines<'a>(vips: &'a [Vip], all: &'a RouterCounts) -> Vec<Line<'a>> {
    let line = |(number, vip): (u16, &'a Vip)| {
        let counts = all.counts.iter().find(|counts| counts.instance == number);
        let refused = all.refused.iter().filter(|one| one.vip.as_ref() == Some(&vip.name));
        Line {
            vip,
            state: all.states.iter().find(|state| state.instance == number),
            counts: counts.copied().unwrap_or_default(),
            refused: refused.cloned().collect(),
        }
    };
    (0..).zip(vips).map(line).collect()
}
