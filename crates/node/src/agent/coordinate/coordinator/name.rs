//! Who holds the name, and whether this node wants it.

use std::time::Duration;

use base::Time;
use engine::tenure;
use store::News;

use super::Coordinator;
use crate::agent::lock;

/// A node at rest takes a name that nobody has wanted for so long: somebody must decide that it goes on duty.
const LEFT_OVER: Duration = Duration::from_secs(4);

/// Who has the name, as the store told last.
#[derive(Default)]
pub(super) struct Name {
    /// The store has told who has it, or that nobody has.
    is_known: bool,
    /// With the token.
    holder: Option<(String, u64)>,
    /// Since when nobody has it.
    free: Option<Time>,
}

impl Coordinator {
    pub(super) fn named(&mut self, news: News) {
        let name = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let before = self.name.holder.take();
        self.name.holder = match news {
            News::All { items, .. } => {
                items.first().map(|(_, item)| (name(&item.value), item.created))
            }
            // Written again by the same holder it is renewed; its token is the revision that made it.
            News::Changes(changes) => changes.into_iter().fold(before.clone(), |holder, change| {
                let new = name(change.value.as_deref()?);
                holder.filter(|(old, _)| *old == new).or(Some((new, change.revision)))
            }),
            // What was known last is all that is known.
            News::Away(_) => {
                self.name.holder = before;
                return;
            }
        };
        self.name.is_known = true;
        if self.name.holder.is_some() {
            self.name.free = None;
        } else {
            self.name.free.get_or_insert_with(sys::clock::now);
        }
        if self.name.holder != before {
            let (node, token) = self.name.holder.clone().unwrap_or_default();
            let mut core = lock(&self.place.here);
            let shown = core.coordinator.get_or_insert_default();
            (shown.node, shown.token, shown.since_ms) = (node, token, sys::clock::wall_ms());
        }
        self.want();
    }

    /// Others wait until nobody holds the name. Who is named as this node may be its process of before: then
    /// this one asks until that one's time is up. A node that is put at rest gives it away if
    /// another member is on duty, and takes it again only if nobody else does.
    pub(super) fn want(&mut self) {
        let now = sys::clock::now();
        // Who asked is told first what became of it: a commit takes milliseconds, and the time in office ends.
        let is_asked = self.office.as_ref().is_some_and(|office| !office.asked.is_empty());
        let at_rest = !lock(&self.place.here).picture.duty().is_on();
        let begins = at_rest && !self.rests && !is_asked && (self.place.has_heir)();
        self.rests = at_rest && (self.rests || begins);
        let rests = self.rests;
        let is_others = self.name.holder.as_ref().is_some_and(|(name, _)| *name != self.place.me);
        let is_left = self.name.free.is_some_and(|free| now.since(free) >= LEFT_OVER);
        let holds = self.tenure.token(now).is_some();
        let wanted =
            self.name.is_known && !is_others && (!rests || (!begins && (holds || is_left)));
        self.hold(tenure::Input::Want(wanted));
    }
}
