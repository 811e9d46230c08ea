//! Contents of generations on their way into the store and out of it: sealed under the keys of the cluster, which the
//! trust folder of a controller has. A cluster without a trust folder has none; there they lie in the store as they are.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use ::store::{Error, Local, Store};
use api::generation::{Content, Generation};
use base::Chain;
use config::cluster::Cluster;
use engine::generation as keys;
use engine::generation::sealed::{self, Key, NONCE, SealedError};
use engine::kv::{Item, Keys};
use trust::Folder;

/// The keeper of the trust folder asks others for a key that lacks; it may have come.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// The keys of the cluster, as the trust folder has them at the moment of a question.
#[derive(Clone, Debug)]
pub(crate) struct Ring(Option<Folder>);

/// Why a generation is not read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::agent) enum Unread {
    /// This node has not got the key, and asks for it.
    Lacks(String),
    /// It is damaged, or of a release that says more than this one knows.
    Wrong(String),
}

impl Unread {
    pub(in crate::agent) fn why(&self) -> &str {
        match self {
            Self::Lacks(why) | Self::Wrong(why) => why,
        }
    }

    /// After which time it is read again.
    pub(in crate::agent) const fn again(&self) -> Duration {
        match self {
            Self::Lacks(_) => ASK_AGAIN,
            Self::Wrong(_) => keys::TRY_AGAIN,
        }
    }
}

impl Ring {
    pub(crate) fn new(cluster: Option<&Cluster>, file: Option<&str>) -> Self {
        let folder = cluster.and_then(|cluster| cluster.trust_dir.as_ref()).zip(file);
        Self(
            folder
                .map(|(folder, file)| Folder::new(&Cluster::beside(Path::new(file), folder), None)),
        )
    }

    pub(crate) const fn of(folder: Option<Folder>) -> Self {
        Self(folder)
    }

    /// When the machine that has this name now joined, in milliseconds since 1970; 0: that is not known.
    pub(in crate::agent) fn joined_ms(&self, node: &str) -> u64 {
        let state = self.0.as_ref().and_then(|folder| folder.load().ok());
        state.and_then(|state| Some(state.roster.find(node)?.joined_ms)).unwrap_or_default()
    }

    /// The content of the generation with that number as it is to lie in the store, and the id of the key.
    ///
    /// # Errors
    /// In words for the operator: this node has not got the key.
    pub(in crate::agent) fn seal(
        &self,
        number: u64,
        clear: &[u8],
    ) -> Result<(Option<String>, Vec<u8>), String> {
        let Some(folder) = &self.0 else { return Ok((None, clear.to_vec())) };
        let ring = folder.ring().map_err(|error| Chain(&error).to_string())?;
        // Before the holder of the authority has made one.
        let Some(id) = ring.current else { return Ok((None, clear.to_vec())) };
        let key = ring.keys.iter().find(|key| key.id == id).ok_or_else(|| {
            format!(
                "nothing was committed: this node has not got the cluster's key {id}, under which generations are \
                 sealed; it asks the other controllers for it: try again in a minute, or type it on another one; if no \
                 controller has it, `outlast trust rotate-key` on the authority's node makes another one (`outlast trust \
                 take-authority --lost` where that node is gone)"
            )
        })?;
        let nonce = trust::random::<NONCE>().map_err(|error| Chain(&error).to_string())?;
        let key = Key::new(id.0, key.secret());
        let sealed =
            sealed::seal(&key, number, *nonce, clear).map_err(|error| error.to_string())?;
        Ok((Some(id.to_string()), sealed))
    }

    /// The generation of that number, read by a majority; none: this version cannot read it, or this node waits for its
    /// key.
    pub(in crate::agent) fn read(
        &self,
        local: &Local,
        number: u64,
    ) -> Result<Option<(Generation, Content)>, Error> {
        let client = local.client();
        let item = local.wait(client.get(&keys::generation_key(number)))?;
        let (parts, _) = local.wait(client.range(Keys::Prefix(keys::content_prefix(number))))?;
        Ok(item.and_then(|item| self.opened(&item, &parts).ok()))
    }

    /// What was read from the store.
    pub(in crate::agent) fn opened(
        &self,
        item: &Item,
        parts: &[(String, Item)],
    ) -> Result<(Generation, Content), Unread> {
        let wrong = |error: api::ReadError| Unread::Wrong(Chain(&error).to_string());
        let generation: Generation = api::decode(&item.value).map_err(wrong)?;
        let parts: BTreeMap<_, _> = parts.iter().map(|(key, item)| (key, &item.value)).collect();
        let stored: Vec<u8> = parts.values().flat_map(|value| value.iter().copied()).collect();
        let known = match (sealed::key_of(&stored), &self.0) {
            (None, _) | (_, None) => vec![],
            (Some(_), Some(folder)) => {
                let ring = folder.ring();
                let ring = ring.map_err(|error| Unread::Lacks(Chain(&error).to_string()))?;
                ring.keys.iter().map(|key| Key::new(key.id.0, key.secret())).collect()
            }
        };
        let whole =
            sealed::open(&known, generation.number, &stored).map_err(|error| match error {
                SealedError::Key(_) => Unread::Lacks(error.to_string()),
                SealedError::Length | SealedError::Forged(_) | SealedError::Long => {
                    Unread::Wrong(error.to_string())
                }
            })?;
        if keys::digest(&whole) != generation.digest {
            return Err(Unread::Wrong("its digest is another one".to_owned()));
        }
        let content = api::decode(&whole).map_err(wrong)?;
        Ok((generation, content))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn item(value: &[u8]) -> Item {
        Item { value: value.to_vec().into(), created: 1, changed: 1, until: None }
    }

    #[test]
    fn a_generation_whose_key_lacks_is_named_and_read_when_the_key_is_there() {
        let path = std::env::temp_dir().join(format!("outlast-ring-{}", std::process::id()));
        let folder = Folder::new(&path, None);
        let (cluster, node) = ("cloud".to_owned(), "node01".to_owned());
        folder.init(&trust::Founding { cluster, node, address: None }, 1).unwrap();
        let ring = Ring::of(Some(folder.clone()));
        let files = BTreeMap::from([("haproxy.cfg".to_owned(), "stats auth a:hunter2".to_owned())]);
        let content = Content::new([("node01".to_owned(), files)].into());
        let mut clear = vec![];
        api::encode(&content, &mut clear);
        let (key, stored) = ring.seal(7, &clear).unwrap();
        assert!(key.is_some() && !stored.windows(6).any(|seen| seen == b"hunter"));
        let record = |number: u64| {
            let digest = keys::digest(&clear);
            let mut line = vec![];
            let of = Generation { number, digest, key: key.clone(), ..Generation::default() };
            api::encode(&of, &mut line);
            item(&line)
        };
        let (left, right) = stored.split_at(stored.len() / 2);
        let parts = [("c/01".to_owned(), item(right)), ("c/00".to_owned(), item(left))];
        assert_eq!(ring.opened(&record(7), &parts).unwrap().1, content);
        let swapped = ring.opened(&record(8), &parts).unwrap_err();
        assert!(matches!(&swapped, Unread::Wrong(why) if why.contains("another generation")));
        // One of an older release lies there as it is.
        let plain = [("c/00".to_owned(), item(&clear))];
        assert_eq!(ring.opened(&record(7), &plain).unwrap().1, content);
        let (there, away) = (path.join("cluster.key"), path.join("away"));
        std::fs::rename(&there, &away).unwrap();
        let lacks = ring.opened(&record(7), &parts).unwrap_err();
        let name = key.clone().unwrap();
        assert!(matches!(&lacks, Unread::Lacks(why) if why.contains(&name)), "{lacks:?}");
        assert!(ring.seal(8, &clear).unwrap_err().contains(&name), "nothing is written in clear");
        std::fs::rename(&away, &there).unwrap();
        assert_eq!(ring.opened(&record(7), &parts).unwrap().1, content);
        assert_eq!(Ring::of(None).seal(7, &clear).unwrap(), (None, clear.clone()));
        std::fs::remove_dir_all(path).unwrap();
    }
}
