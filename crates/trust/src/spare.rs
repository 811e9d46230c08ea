//! The authority's key on a second node, so that it is not lost with one machine.
//!
//! ```text
//!   first node    export -> FILE, sealed under a passphrase
//!   second node   import -> authority.key: kept, not used
//!   either        take   -> this node signs from now on; the other one stops when it hears of it
//!
//!   0          8      12    28     60      len
//!   "OUTLAUT2" rounds salt  print  sealed         numbers are big-endian; `sealed` as in `secret`
//!
//!   0      4           4 + length
//!   length authority   keys of the cluster, 32 bytes each                          what is sealed
//! ```
//!
//! In "OUTLAUT1", which older releases wrote, the authority's key alone is sealed. `print` is the fingerprint of the cluster. All before `sealed` is authenticated with it. The key comes from
//! the passphrase by PBKDF2-HMAC-SHA256 (RFC 8018).

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use aws_lc_rs::pbkdf2::{self, PBKDF2_HMAC_SHA256};
use rcgen::PublicKeyData;
use zeroize::Zeroizing;

use crate::files::{self, FileError, Lock};
use crate::folder::{AUTHORITY_KEY, Folder, State, TrustError};
use crate::keys;
use crate::ring::ClusterKey;
use crate::roster::{Fingerprint, Role};
use crate::secret::{FileKey, random};

const MAGIC: &[u8; 8] = b"OUTLAUT2";
const FORMER: &[u8; 8] = b"OUTLAUT1";
const SALT: usize = 16;
const HEAD: usize = 8 + 4 + SALT + 32;
/// A third of a second of one core for each guess: what OWASP asks of PBKDF2 with SHA-256 (2023).
const ROUNDS: u32 = 600_000;
/// Of a file that is read: more would take minutes, which only a forged file asks for.
const MOST_ROUNDS: u32 = 10_000_000;
/// Shorter ones are guessed whatever the rounds.
const SHORTEST: usize = 12;
const LONGEST: usize = 1024;
/// What a node that signs again is behind: no operator orders as many changes while nobody hears of them.
/// Whoever took over is believed, not the one before.
const AHEAD: u64 = 1000;

/// Why the authority's key is not brought from one node to another.
#[derive(Debug, thiserror::Error)]
pub enum SpareError {
    #[error("a passphrase has {SHORTEST} to {LONGEST} bytes")]
    Passphrase,
    #[error("{} is there already; nothing is written over", .0.display())]
    Exists(PathBuf),
    #[error("this is no exported key of an authority")]
    Form,
    #[error("the passphrase is another one, or the file is damaged")]
    Seal,
    #[error(
        "the key is that of the cluster {found}, this node's is {expected}; nothing was changed"
    )]
    OtherCluster { expected: Fingerprint, found: Fingerprint },
    #[error("`{0}` is a compute node: only controllers may have the authority's key")]
    Compute(String),
    #[error("this node has the authority's key already")]
    Has,
    #[error("this node signs for the cluster already")]
    Signs,
    #[error("this node has no copy of the authority's key: `outlast trust import-authority` first")]
    Missing,
    #[error(transparent)]
    File(#[from] FileError),
}

/// What seals an exported key. Never shown.
pub struct Passphrase(Zeroizing<String>);

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

impl Passphrase {
    /// # Errors
    /// When it is too short or too long.
    pub fn new(text: String) -> Result<Self, SpareError> {
        let text = Zeroizing::new(text);
        let fits = (SHORTEST..=LONGEST).contains(&text.len());
        fits.then_some(Self(text)).ok_or(SpareError::Passphrase)
    }

    /// The first line of a file that nobody else may read.
    ///
    /// # Errors
    /// When it cannot be read, others can read it, or the line is too short or too long.
    pub fn read(path: &Path) -> Result<Self, SpareError> {
        let bytes = Zeroizing::new(files::read(path)?);
        let text = std::str::from_utf8(&bytes).map_err(|_| SpareError::Passphrase)?;
        Self::new(text.lines().next().unwrap_or_default().to_owned())
    }

    fn key(&self, rounds: NonZeroU32, salt: &[u8]) -> FileKey {
        let mut key = Zeroizing::new([0; 32]);
        pbkdf2::derive(PBKDF2_HMAC_SHA256, rounds, salt, self.0.as_bytes(), &mut *key);
        FileKey::of(key)
    }
}

/// `rounds` of work for each guess at the passphrase.
fn seal(
    (key, cluster): (&[u8], Fingerprint),
    passphrase: &Passphrase,
    rounds: NonZeroU32,
) -> Result<Vec<u8>, TrustError> {
    let salt = random::<SALT>()?;
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&rounds.get().to_be_bytes());
    out.extend_from_slice(&*salt);
    out.extend_from_slice(&cluster.0);
    let name = crate::hex::encode(&out);
    let sealed = passphrase.key(rounds, &*salt).seal(&name, key)?;
    out.extend_from_slice(&sealed);
    Ok(out)
}

/// What an exported file says of itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Exported<'a> {
    head: &'a [u8],
    rounds: NonZeroU32,
    /// Of the cluster.
    pub fingerprint: Fingerprint,
    sealed: &'a [u8],
}

/// What an exported file holds.
struct Opened {
    authority: Zeroizing<Vec<u8>>,
    keys: Vec<ClusterKey>,
}

impl<'a> Exported<'a> {
    /// # Errors
    /// When these bytes are no exported key.
    pub fn read(bytes: &'a [u8]) -> Result<Self, SpareError> {
        let (head, sealed) = bytes.split_at_checked(HEAD).ok_or(SpareError::Form)?;
        let rest = head.strip_prefix(MAGIC).or_else(|| head.strip_prefix(FORMER));
        let rest = rest.ok_or(SpareError::Form)?;
        let (rounds, rest) = rest.split_first_chunk::<4>().ok_or(SpareError::Form)?;
        let rounds = NonZeroU32::new(u32::from_be_bytes(*rounds));
        let rounds = rounds.filter(|rounds| rounds.get() <= MOST_ROUNDS).ok_or(SpareError::Form)?;
        let print = rest.last_chunk::<32>().ok_or(SpareError::Form)?;
        Ok(Self { head, rounds, fingerprint: Fingerprint(*print), sealed })
    }

    fn open(&self, passphrase: &Passphrase) -> Result<Opened, SpareError> {
        let key = passphrase.key(self.rounds, &self.head[12..12 + SALT]);
        let opened = key.open(&crate::hex::encode(self.head), self.sealed);
        let opened = opened.map_err(|_| SpareError::Seal)?;
        if self.head.starts_with(FORMER) {
            return Ok(Opened { authority: opened, keys: vec![] });
        }
        let (length, rest) = opened.split_first_chunk::<4>().ok_or(SpareError::Form)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok();
        let parts = length.and_then(|length| rest.split_at_checked(length));
        let (authority, keys) = parts.ok_or(SpareError::Form)?;
        let keys = ClusterKey::read_all(keys).ok_or(SpareError::Form)?;
        Ok(Opened { authority: Zeroizing::new(authority.to_vec()), keys })
    }
}

impl Folder {
    /// Whether this node has the authority's key, to sign with it or to keep it.
    #[must_use]
    pub fn has_authority_key(&self) -> bool {
        self.path().join(AUTHORITY_KEY).exists()
    }

    /// Writes the authority's key to a new file, sealed under a passphrase.
    ///
    /// # Errors
    /// When this node does not have it, or the file is there or cannot be written.
    pub fn export_authority(
        &self,
        to: &Path,
        passphrase: &Passphrase,
    ) -> Result<State, TrustError> {
        let state = self.load()?;
        if !self.has_authority_key() {
            return Err(TrustError::NotAuthority(state.issuer()));
        }
        if to.exists() {
            return Err(SpareError::Exists(to.to_owned()).into());
        }
        let key = packed(&self.secret(AUTHORITY_KEY)?, &self.cluster_keys()?);
        let rounds = NonZeroU32::new(ROUNDS).unwrap_or(NonZeroU32::MIN);
        files::write(to, &seal((&key, state.fingerprint()), passphrase, rounds)?)?;
        Ok(state)
    }

    /// Keeps a copy of the authority's key that another node has exported. It is not used before
    /// [`Folder::take_authority`].
    ///
    /// # Errors
    /// When it is the key of another cluster, the passphrase is wrong, or this node may not have it.
    pub fn import_authority(
        &self,
        exported: &[u8],
        passphrase: &Passphrase,
    ) -> Result<State, TrustError> {
        self.load()?;
        let _lock = Lock::take(self.path())?;
        let state = self.load()?;
        if state.role == Role::Compute {
            return Err(SpareError::Compute(state.node).into());
        }
        if self.has_authority_key() {
            return Err(SpareError::Has.into());
        }
        let exported = Exported::read(exported)?;
        let (expected, found) = (state.fingerprint(), exported.fingerprint);
        let other = || SpareError::OtherCluster { expected, found };
        if expected != found {
            return Err(other().into());
        }
        let Opened { authority: key, keys } = exported.open(passphrase)?;
        // What the file says of itself is not enough: the key is the one in the certificate.
        let public = keys::read_signing(&key)?;
        if !is_of(&state.authority(), public.der_bytes()) {
            return Err(other().into());
        }
        self.write_secret(&FileKey::read(self.key_file())?, AUTHORITY_KEY, &key)?;
        // It has them, unless it was away since they were made.
        self.add_keys(keys)?;
        Ok(state)
    }

    /// From now on this node signs for the cluster. The one before stops when it hears of it; what it signed
    /// and this node has not heard of is lost.
    ///
    /// # Errors
    /// When this node has no copy of the key, or signs already.
    pub fn take_authority(&self) -> Result<State, TrustError> {
        self.load()?;
        let _lock = Lock::take(self.path())?;
        let mut state = self.load()?;
        if state.is_authority {
            return Err(SpareError::Signs.into());
        }
        if !self.has_authority_key() {
            return Err(SpareError::Missing.into());
        }
        let key = self.authority_key()?;
        state.is_authority = true;
        state.roster.generation += AHEAD;
        self.name_keys(&mut state, sys::clock::wall_ms())?;
        state.sign(&key)?;
        self.store(&state)?;
        Ok(state)
    }
}

fn packed(authority: &[u8], keys: &[ClusterKey]) -> Zeroizing<Vec<u8>> {
    let length = u32::try_from(authority.len()).unwrap_or(u32::MAX).to_be_bytes();
    let mut out =
        Zeroizing::new(Vec::with_capacity(length.len() + authority.len() + keys.len() * 32));
    out.extend_from_slice(&length);
    out.extend_from_slice(authority);
    keys.iter().for_each(|key| out.extend_from_slice(key.secret()));
    out
}

/// Whether a certificate is for the key with this public half.
fn is_of(certificate: &[u8], public: &[u8]) -> bool {
    !public.is_empty() && certificate.windows(public.len()).any(|window| window == public)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Founding;

    const NOW: u64 = 1_790_000_000_000;

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(text.to_owned()).unwrap()
    }

    fn few() -> NonZeroU32 {
        NonZeroU32::new(10).unwrap()
    }

    #[test]
    fn an_exported_key_opens_with_its_passphrase_only_and_every_changed_byte_is_noticed() {
        let (right, wrong) = (passphrase("correct horse"), passphrase("correct house"));
        let cluster = Fingerprint([7; 32]);
        let cluster_key = ClusterKey::read(&[5; 32]).unwrap();
        let sealed = seal((&packed(b"very secret", &[cluster_key]), cluster), &right, few());
        let sealed = sealed.unwrap();
        let read = Exported::read(&sealed).unwrap();
        assert_eq!(read.fingerprint, cluster);
        let opened = read.open(&right).unwrap();
        assert_eq!(**opened.authority, *b"very secret");
        assert_eq!((opened.keys.len(), opened.keys[0].secret()), (1, &[5; 32]));
        assert!(matches!(read.open(&wrong), Err(SpareError::Seal)));
        // As an older release wrote it.
        let former = [FORMER, &sealed[8..HEAD]].concat();
        let key = right.key(few(), &former[12..12 + SALT]);
        let text = key.seal(&crate::hex::encode(&former), b"very secret").unwrap();
        let former = [former, text].concat();
        let opened = Exported::read(&former).unwrap().open(&right).unwrap();
        assert_eq!((&**opened.authority, opened.keys.len()), (&b"very secret"[..], 0));
        assert!(!sealed.windows(4).any(|seen| seen == b"very"));
        // The rounds stay few: their upper bytes are looked at below.
        for at in (0..8).chain(11..sealed.len()) {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            let opened = Exported::read(&changed).and_then(|read| read.open(&right));
            assert!(opened.is_err(), "byte {at}");
        }
        let mut endless = sealed.clone();
        endless[8] = 0xff;
        assert!(matches!(Exported::read(&endless), Err(SpareError::Form)));
        endless[8..12].fill(0);
        assert!(matches!(Exported::read(&endless), Err(SpareError::Form)));
        assert!(matches!(Exported::read(&sealed[..HEAD - 1]), Err(SpareError::Form)));
        assert!(Passphrase::new("too short".to_owned()).is_err());
        assert!(Passphrase::new("x".repeat(LONGEST + 1)).is_err());
        assert_eq!(format!("{right:?}"), "Passphrase(..)");
    }

    #[test]
    fn the_key_of_another_authority_is_not_taken_whatever_the_file_says() {
        let name = format!("outlast-spare-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let found = |name: &str| {
            let found = Folder::new(&folder.join(name), None);
            let (cluster, node) = ("cloud".to_owned(), name.to_owned());
            found.init(&Founding { cluster, node, address: None }, NOW).unwrap();
            found
        };
        let [ours, theirs] = ["node01", "node02"].map(found);
        let key = theirs.secret(AUTHORITY_KEY).unwrap();
        std::fs::remove_file(ours.path().join(AUTHORITY_KEY)).unwrap();
        let state = ours.load().unwrap();
        let secret = passphrase("correct horse");
        for print in [theirs.load().unwrap().fingerprint(), state.fingerprint()] {
            let sealed = seal((&packed(&key, &[]), print), &secret, few()).unwrap();
            let refused = ours.import_authority(&sealed, &secret).unwrap_err();
            let other = matches!(refused, TrustError::Spare(SpareError::OtherCluster { .. }));
            assert!(other && !ours.has_authority_key(), "{refused}");
        }
        std::fs::remove_dir_all(folder).unwrap();
    }
}
