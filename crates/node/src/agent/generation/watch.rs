//! Which generation is the newest, as the store of this node says.

use std::path::Path;
use std::sync::mpsc::Sender;

use ::store::{Error, Local, Store};
use engine::generation as keys;
use engine::kv::Keys;

use super::{AGAIN, News};
use crate::agent::carry::number;

/// Tells which generation is the newest, for ever.
pub(super) fn forever(run_dir: &str, news: &Sender<News>) {
    let Ok(local) = Local::new(Path::new(run_dir)) else { return };
    loop {
        // The store may be starting, without a leader, or behind what it still knows: read anew.
        if matches!(watched(&local, news), Ok(())) {
            return;
        }
        std::thread::sleep(AGAIN);
    }
}

/// Ends well when nobody listens any more.
fn watched(local: &Local, news: &Sender<News>) -> Result<(), Error> {
    let keys = Keys::One(keys::NEWEST.to_owned());
    let (found, revision) = local.wait(local.client().range(keys.clone()))?;
    let newest = found.first().and_then(|(_, item)| number(&item.value));
    if news.send(News::Newest(newest.unwrap_or(0))).is_err() {
        return Ok(());
    }
    let mut watch = local.wait(local.client().watch(revision, keys))?;
    loop {
        let changes = local.wait(watch.next())?;
        let newest = changes.iter().filter_map(|change| number(change.value.as_ref()?)).next_back();
        if newest.is_some_and(|newest| news.send(News::Newest(newest)).is_err()) {
            return Ok(());
        }
    }
}
