//! Keys of the cluster: under them lies in the replicated store what only controllers may read.
//!
//! ```text
//!   roster, signed by the authority    their ids in the order in which they were made; the last one seals
//!   cluster.key, on controllers        the keys themselves, sealed as the node's own are
//! ```
//!
//! An id is a digest of its key, so that a controller may have it from any other one: what it is given is the key
//! that the authority names, or is not kept.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use crate::desk::Refusal;
use crate::files::{self, Lock};
use crate::folder::{Folder, State, TrustError};
use crate::hex;
use crate::roster::{Fingerprint, Member, Role};
use crate::secret::{FileKey, SecretError, random};
use crate::wire::Answer;

const CLUSTER_KEY: &str = "cluster.key";
/// More than generations are kept, so that each of them may have one of its own.
pub(crate) const MAX_KEYS: usize = 64;
const LENGTH: usize = 32;

/// Which key of the cluster: the first eight bytes of a digest over it.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct KeyId(pub [u8; 8]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for KeyId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = hex::decode(text).and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or("the id of a key has 16 hexadecimal digits")
    }
}

impl Serialize for KeyId {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeyId {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// That there is a key of the cluster.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Made {
    pub id: KeyId,
    /// Milliseconds since 1970.
    pub made_ms: u64,
}

/// A key of the cluster. Never shown.
#[derive(Clone)]
pub struct ClusterKey {
    pub id: KeyId,
    key: Zeroizing<[u8; LENGTH]>,
}

impl fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClusterKey({})", self.id)
    }
}

impl ClusterKey {
    fn of(key: Zeroizing<[u8; LENGTH]>) -> Self {
        let digest =
            Sha256::new().chain_update(b"outlast cluster key 1\n").chain_update(key.as_slice());
        let mut id = [0; 8];
        id.copy_from_slice(&digest.finalize()[..8]);
        Self { id: KeyId(id), key }
    }

    fn make() -> Result<Self, SecretError> {
        Ok(Self::of(random()?))
    }

    /// One after the other; none where something is left over.
    pub(crate) fn read_all(bytes: &[u8]) -> Option<Vec<Self>> {
        bytes.chunks(LENGTH).map(Self::read).collect()
    }

    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let bytes = <&[u8; LENGTH]>::try_from(bytes).ok()?;
        Some(Self::of(Zeroizing::new(*bytes)))
    }

    #[must_use]
    pub fn secret(&self) -> &[u8; LENGTH] {
        &self.key
    }
}

/// Keys on their way to a controller, in hexadecimal digits. Never shown, and forgotten where they are dropped.
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize)]
pub struct Handed {
    keys: Vec<String>,
}

impl fmt::Debug for Handed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handed({} keys)", self.keys.len())
    }
}

impl Drop for Handed {
    fn drop(&mut self) {
        self.keys.zeroize();
    }
}

impl Handed {
    pub(crate) fn new(keys: &[ClusterKey]) -> Self {
        Self { keys: keys.iter().map(|key| hex::encode(&*key.key)).collect() }
    }

    /// What makes no sense is no key.
    fn read(&self) -> Vec<ClusterKey> {
        let read = |text: &String| ClusterKey::read(&Zeroizing::new(hex::decode(text)?));
        self.keys.iter().take(MAX_KEYS).filter_map(read).collect()
    }
}

/// The keys of the cluster that a node has, and the one under which it seals.
#[derive(Clone, Debug, Default)]
pub struct Ring {
    /// The oldest first.
    pub keys: Vec<ClusterKey>,
    /// As the authority says; none: there is none yet.
    pub current: Option<KeyId>,
}

impl Folder {
    /// # Errors
    /// When the folder cannot be read.
    pub fn ring(&self) -> Result<Ring, TrustError> {
        let (state, keys) = (self.load()?, self.cluster_keys()?);
        // An older release that signs again names none: nothing lies in clear for that.
        let named = state.roster.sealing.last().map(|made| made.id);
        let current = named.or_else(|| keys.last().map(|key| key.id));
        Ok(Ring { keys, current })
    }

    /// Those that this node has.
    pub(crate) fn cluster_keys(&self) -> Result<Vec<ClusterKey>, TrustError> {
        if !self.path().join(CLUSTER_KEY).exists() {
            return Ok(vec![]);
        }
        let bytes = self.secret(CLUSTER_KEY)?;
        ClusterKey::read_all(&bytes).ok_or_else(|| SecretError::Form(CLUSTER_KEY.to_owned()).into())
    }

    /// Whether this node should have a key of the cluster that it has not.
    #[must_use]
    pub fn lacks_keys(&self, state: &State) -> bool {
        if state.role != Role::Controller || state.roster.sealing.is_empty() {
            return false;
        }
        // What cannot be read is asked for, and told where it is used.
        let keys = self.cluster_keys().unwrap_or_default();
        state.roster.sealing.iter().any(|made| keys.iter().all(|key| key.id != made.id))
    }

    /// What a controller gives another one: all keys that it has.
    pub(crate) fn hand_keys(
        &self,
        state: &State,
        (member, shown): (&Member, Option<Fingerprint>),
        now_ms: u64,
    ) -> Result<Answer, Refusal> {
        // A former key of a node may be on a disk that was thrown away.
        if member.role != Role::Controller || Some(member.fingerprint) != shown {
            return Err(Refusal::NoController);
        }
        if state.is_authority && state.roster.sealing.is_empty() {
            self.first_key(now_ms)?;
        }
        let keys = self.cluster_keys()?;
        if keys.is_empty() {
            return Err(Refusal::NoKeys);
        }
        Ok(Answer::ClusterKeys(Handed::new(&keys)))
    }

    /// Keeps what another controller has handed over, as far as the authority names it. Whether one is new.
    ///
    /// # Errors
    /// When it cannot be kept.
    pub(crate) fn keep_keys(&self, handed: &Handed) -> Result<bool, TrustError> {
        let _lock = Lock::take(self.path())?;
        let named = self.load()?.roster.sealing;
        let mut handed = handed.read();
        handed.retain(|key| named.iter().any(|made| made.id == key.id));
        let is_whole = named.iter().all(|made| handed.iter().any(|key| key.id == made.id));
        match self.cluster_keys() {
            // Damaged, and all of it is here: what was there is put aside.
            Err(TrustError::Secret(SecretError::Seal(_) | SecretError::Form(_))) if is_whole => {
                files::put_aside(&self.path().join(CLUSTER_KEY))?;
                self.write_keys(&handed)?;
                Ok(true)
            }
            Ok(_) | Err(_) => self.add_keys(handed),
        }
    }

    /// Under the folder's lock. Whether one is new.
    pub(crate) fn add_keys(&self, more: Vec<ClusterKey>) -> Result<bool, TrustError> {
        let mut keys = self.cluster_keys()?;
        let before = keys.len();
        for key in more {
            if keys.iter().all(|known| known.id != key.id) {
                keys.push(key);
            }
        }
        if keys.len() > before {
            self.write_keys(&keys)?;
        }
        Ok(keys.len() > before)
    }

    /// The first key of a cluster that has none, where this node signs.
    ///
    /// # Errors
    /// When this node is not the authority, or the key cannot be kept.
    pub fn first_key(&self, now_ms: u64) -> Result<(), TrustError> {
        self.change(|state| {
            self.name_keys(state, now_ms)?;
            if state.roster.sealing.is_empty() {
                self.make_key(state, now_ms)?;
                state.roster.generation += 1;
            }
            Ok(())
        })
    }

    /// Names what this node has and the roster does not: who signed before had no time to tell, or was of an older
    /// release. None of them seals, unless there is no other.
    pub(crate) fn name_keys(&self, state: &mut State, made_ms: u64) -> Result<(), TrustError> {
        let sealing = &mut state.roster.sealing;
        for key in self.cluster_keys()?.iter().rev() {
            if sealing.len() < MAX_KEYS && sealing.iter().all(|made| made.id != key.id) {
                sealing.insert(0, Made { id: key.id, made_ms });
                state.roster.generation += 1;
            }
        }
        Ok(())
    }

    /// A new key, under which is sealed from now on; those before stay for what they have sealed.
    ///
    /// # Errors
    /// When this node is not the authority, the key cannot be kept, or there are too many.
    pub fn rotate_key(&self, now_ms: u64) -> Result<State, TrustError> {
        self.change(|state| {
            state.roster.generation += 1;
            self.make_key(state, now_ms)
        })?;
        self.load()
    }

    /// Under the folder's lock. The key is kept before it is named.
    pub(crate) fn make_key(&self, state: &mut State, now_ms: u64) -> Result<(), TrustError> {
        if state.roster.sealing.len() >= MAX_KEYS {
            return Err(TrustError::Keys);
        }
        let mut keys = self.cluster_keys()?;
        let key = ClusterKey::make()?;
        state.roster.sealing.push(Made { id: key.id, made_ms: now_ms });
        keys.push(key);
        self.write_keys(&keys)
    }

    fn write_keys(&self, keys: &[ClusterKey]) -> Result<(), TrustError> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(keys.len() * LENGTH));
        for key in keys {
            bytes.extend_from_slice(&*key.key);
        }
        self.write_secret(&FileKey::read(self.key_file())?, CLUSTER_KEY, &bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr, TcpListener};
    use std::path::PathBuf;
    use std::thread;

    use super::*;
    use crate::{Founding, JoinError, Joining, answer_one, ask_keys, join, pull};

    const NOW: u64 = 1_790_000_000_000;

    /// Folders of nodes; gone at the end.
    struct Nodes(PathBuf);

    impl Nodes {
        fn new(test: &str) -> Self {
            Self(std::env::temp_dir().join(format!("outlast-{test}-{}", std::process::id())))
        }

        fn at(&self, node: &str) -> Folder {
            Folder::new(&self.0.join(node), None)
        }

        fn founded(test: &str) -> (Self, Folder) {
            let nodes = Self::new(test);
            let folder = nodes.at("node01");
            let (cluster, node) = ("cloud".to_owned(), "node01".to_owned());
            folder.init(&Founding { cluster, node, address: None }, NOW).unwrap();
            (nodes, folder)
        }

        /// A node that joins at the first.
        fn joined(&self, node: &str, role: Role) -> Folder {
            let (first, folder) = (self.at("node01"), self.at(node));
            let count = if role == Role::Controller { 2 } else { 1 };
            with_desk(&first, count, |desk| {
                let token = first.create_token((role, None), desk, 600_000, NOW).unwrap();
                let node = node.to_owned();
                let joining = Joining { token, node, address: None, expected: None };
                join(&folder, &joining, NOW).unwrap();
            });
            folder
        }
    }

    impl Drop for Nodes {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    /// This node answers so many questions meanwhile.
    fn with_desk<T>(folder: &Folder, count: usize, asks: impl FnOnce(SocketAddr) -> T) -> T {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (address, folder) = (listener.local_addr().unwrap(), folder.clone());
        let answers = thread::spawn(move || {
            for _ in 0..count {
                let (stream, from) = listener.accept().unwrap();
                answer_one(&folder, stream, from.ip(), NOW).unwrap();
            }
        });
        let done = asks(address);
        answers.join().unwrap();
        done
    }

    fn refused(outcome: Result<bool, JoinError>) -> String {
        let JoinError::Refused(why) = outcome.unwrap_err() else { panic!("another error") };
        why
    }

    fn ids(folder: &Folder) -> Vec<KeyId> {
        folder.ring().unwrap().keys.iter().map(|key| key.id).collect()
    }

    #[test]
    fn a_cluster_has_a_key_from_its_beginning_sealed_as_the_nodes_own_and_never_shown() {
        let (_nodes, first) = Nodes::founded("ring-first");
        let ring = first.ring().unwrap();
        let state = first.load().unwrap();
        assert_eq!(Some(state.roster.sealing[0].id), ring.current);
        let file = std::fs::read(first.path().join(CLUSTER_KEY)).unwrap();
        let secret = ring.keys[0].secret();
        assert!(file.starts_with(b"OUTLSEC1") && !file.windows(8).any(|seen| *seen == secret[..8]));
        let shown = format!("{ring:?}{:?}", Handed::new(&ring.keys));
        assert!(!shown.contains(&hex::encode(&secret[..4])), "{shown}");
        assert_ne!(ids(&first), ids(&Nodes::founded("ring-other").1), "each has its own");
    }

    #[test]
    fn keys_are_given_to_controllers_that_are_in_and_to_nobody_else() {
        let (nodes, first) = Nodes::founded("ring-given");
        let second = nodes.joined("node02", Role::Controller);
        assert_eq!(ids(&second), ids(&first), "it came with the join");
        let compute = nodes.joined("cmp1", Role::Compute);
        let asks =
            |node: &Folder, of: &Folder| with_desk(of, 1, |desk| ask_keys(node, (desk, None), NOW));
        assert!(refused(asks(&compute, &first)).starts_with("only controllers are given"));
        assert!(ids(&compute).is_empty() && !compute.lacks_keys(&compute.load().unwrap()));
        // A controller that does not sign gives them, too.
        let third = nodes.joined("node03", Role::Controller);
        std::fs::remove_file(third.path().join(CLUSTER_KEY)).unwrap();
        assert!(third.lacks_keys(&third.load().unwrap()));
        with_desk(&first, 1, |desk| pull(&second, (desk, None), NOW)).unwrap();
        assert!(asks(&third, &second).unwrap());
        assert_eq!(ids(&third), ids(&first));
        first.revoke("node02").unwrap();
        first.rotate_key(NOW).unwrap();
        assert_eq!(refused(asks(&second, &first)), "this node was revoked");
        assert_eq!(ids(&second).len(), 1, "the new one is not for who was put out");
        with_desk(&first, 1, |desk| pull(&third, (desk, None), NOW)).unwrap();
        assert!(third.lacks_keys(&third.load().unwrap()));
        assert!(asks(&third, &first).unwrap() && !asks(&third, &first).unwrap());
        assert_eq!(ids(&third), ids(&first), "former ones stay");
        let ring = third.ring().unwrap();
        assert_eq!(ring.current, ring.keys.last().map(|key| key.id));
        let log = first.audit_log().unwrap();
        let given = log.iter().filter(|entry| entry.command == "trust give-keys");
        let given: Vec<_> = given.map(|entry| entry.object.as_str()).collect();
        assert_eq!(given, ["node02", "cmp1", "node03", "node02", "node03", "node03"]);
    }

    #[test]
    fn a_damaged_file_of_keys_is_put_aside_and_they_are_given_again() {
        let (nodes, first) = Nodes::founded("ring-damaged");
        let second = nodes.joined("node02", Role::Controller);
        let file = second.path().join(CLUSTER_KEY);
        let mut bytes = std::fs::read(&file).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&file, &bytes).unwrap();
        assert!(second.lacks_keys(&second.load().unwrap()));
        // Not for a part of them.
        assert!(second.keep_keys(&Handed { keys: vec![] }).is_err());
        assert!(with_desk(&first, 1, |desk| ask_keys(&second, (desk, None), NOW)).unwrap());
        assert_eq!(ids(&second), ids(&first));
        assert_eq!(std::fs::read(file.with_extension("damaged")).unwrap(), bytes);
    }

    #[test]
    fn a_key_that_the_authority_does_not_name_is_not_kept() {
        let (_nodes, first) = Nodes::founded("ring-named");
        let before = ids(&first);
        let foreign = ClusterKey::make().unwrap();
        let damaged = Handed { keys: vec!["00".to_owned(), "no digits".to_owned()] };
        for handed in [Handed::new(&[foreign]), damaged, Handed { keys: vec![] }] {
            assert!(!first.keep_keys(&handed).unwrap());
            assert_eq!(ids(&first), before);
        }
    }

    #[test]
    fn a_cluster_that_an_older_release_founded_or_signed_again_has_its_key_named() {
        let (_nodes, first) = Nodes::founded("ring-older");
        let key = ids(&first);
        let forget = |state: &mut State| {
            state.roster.sealing.clear();
            Ok::<_, TrustError>(())
        };
        first.change(forget).unwrap();
        assert_eq!(first.ring().unwrap().current, Some(key[0]), "nothing lies in clear for that");
        first.first_key(NOW).unwrap();
        assert_eq!(first.load().unwrap().roster.sealing[0].id, key[0], "the same as before");
        first.change(forget).unwrap();
        std::fs::remove_file(first.path().join(CLUSTER_KEY)).unwrap();
        assert!(first.ring().unwrap().current.is_none());
        first.first_key(NOW).unwrap();
        let made = first.load().unwrap();
        first.first_key(NOW).unwrap();
        assert_eq!(first.load().unwrap(), made, "once");
        assert_eq!((made.roster.sealing.len(), ids(&first).len()), (1, 1));
        assert_ne!(ids(&first), key);
    }

    #[test]
    fn there_is_a_last_key() {
        let (_nodes, first) = Nodes::founded("ring-last");
        for _ in 1..MAX_KEYS {
            first.rotate_key(NOW).unwrap();
        }
        let before = first.load().unwrap();
        assert!(matches!(first.rotate_key(NOW), Err(TrustError::Keys)));
        assert_eq!((first.load().unwrap(), ids(&first).len()), (before, MAX_KEYS));
    }
}
