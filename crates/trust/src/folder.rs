//! The trust folder of a node: `trust.json`, sealed keys, the audit log.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use rcgen::KeyPair;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::audit::{self, Entry};
use crate::authority::{self, fingerprint};
use crate::files::{self, FileError, Lock};
use crate::keys::{self, Certified, KeyError, Keys};
use crate::roster::{Fingerprint, Member, Role, Roster, RosterError};
use crate::secret::{self, FileKey, SecretError};
use crate::signed::{Signed, SignedError};
use crate::spare::SpareError;
use crate::tls::Identity;
use crate::token::{Fate, Kept, Token};
use crate::{hex, renewal, roster};

/// Of `trust.json`.
const VERSION: u16 = 1;
pub(crate) const STATE: &str = "trust.json";
pub(crate) const AUTHORITY_KEY: &str = "authority.key";
pub(crate) const NODE_KEY: &str = "node.key";
/// Tokens that are kept, with those that are used up: who is in is in the roster.
const MAX_TOKENS: usize = 1000;
/// A token that lies around for longer than a day is a password.
pub(crate) const MAX_TTL_MS: u64 = 24 * 3600 * 1000;

/// Why something with the trust folder cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Roster(#[from] RosterError),
    #[error(transparent)]
    Signed(#[from] SignedError),
    #[error(transparent)]
    Spare(#[from] SpareError),
    #[error("there are {} keys of the cluster, more are not possible", crate::ring::MAX_KEYS)]
    Keys,
    #[error("former keys are accepted for 2 minutes to 24 hours")]
    Forget,
    #[error("{} belongs to the cluster `{cluster}` already (fingerprint {fingerprint}): to be in \
             another one, in another role, or again after `outlast trust revoke`, first move it away: `mv {} {}.old`", folder.display(), folder.display(), folder.display())]
    Taken { folder: PathBuf, cluster: String, fingerprint: Fingerprint },
    #[error("{} belongs to no cluster: `outlast init` founds one, `outlast join -` joins one", .0.display())]
    Nobody(PathBuf),
    #[error("{} is damaged", path.display())]
    Damaged {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    #[error("{} has version {version}, this program knows {VERSION}: a newer release wrote it", path.display())]
    Newer { path: PathBuf, version: u16 },
    #[error("`{0}` is no name of a cluster: letters, digits, dots and hyphens")]
    Cluster(String),
    #[error("this node does not have the authority's key: ask on `{0}`")]
    NotAuthority(String),
    #[error("there is no token {0}")]
    NoToken(String),
    #[error("the token {0} is used or revoked already")]
    TokenGone(String),
    #[error("a token is valid for 1 minute to 24 hours")]
    Ttl,
    #[error("`{0}` is this node itself: revoke it from another one, or remove the folder")]
    Itself(String),
    #[error("the command was carried out, but the audit log cannot be written")]
    Audit(#[source] io::Error),
}

/// What a node knows of its cluster, without secrets.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct State {
    version: u16,
    pub cluster: String,
    pub node: String,
    pub role: Role,
    /// Whether this node signs with the authority's key; others may keep a copy.
    pub is_authority: bool,
    /// DER in hexadecimal digits.
    authority: String,
    certificate: String,
    pub roster: Roster,
    /// The same as the authority signed it; none in a folder that an older release wrote.
    #[serde(default)]
    pub(crate) signed: Option<Signed>,
    pub tokens: Vec<Kept>,
}

impl State {
    pub(crate) fn joined(
        welcome: crate::wire::Welcome,
        roster: Roster,
        node: &str,
        authority: &[u8],
    ) -> Self {
        Self {
            version: VERSION,
            cluster: welcome.cluster,
            node: node.to_owned(),
            role: welcome.role,
            is_authority: false,
            authority: hex::encode(authority),
            certificate: welcome.certificate,
            roster,
            signed: Some(welcome.roster),
            tokens: vec![],
        }
    }

    pub(crate) fn sign(&mut self, key: &KeyPair) -> Result<(), KeyError> {
        self.roster.issuer.clone_from(&self.node);
        self.signed = Some(Signed::make(key, &self.roster)?);
        Ok(())
    }

    pub(crate) fn take_certificate(&mut self, certificate: &str) {
        certificate.clone_into(&mut self.certificate);
    }

    pub(crate) fn is_certificate_of(&self, member: &Member) -> bool {
        self.own_fingerprint() == member.fingerprint
    }

    /// Whether this node's certificate is for the key with this public half.
    pub(crate) fn is_for(&self, public: &[u8]) -> bool {
        let certificate = hex::decode(&self.certificate).unwrap_or_default();
        certificate.windows(public.len()).any(|window| window == public)
    }

    /// The certificate of the cluster's authority (DER): no secret.
    #[must_use]
    pub fn authority(&self) -> Vec<u8> {
        hex::decode(&self.authority).unwrap_or_default()
    }

    /// The node that has the authority's key, as far as it is known here.
    #[must_use]
    pub fn issuer(&self) -> String {
        let first = self.roster.members.first().map(|member| member.name.clone());
        Some(self.roster.issuer.clone())
            .filter(|name| !name.is_empty())
            .or(first)
            .unwrap_or_default()
    }

    /// Of the cluster: of its authority's certificate.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        fingerprint(&self.authority())
    }

    /// When the authority's certificate ends, milliseconds since 1970; none: it cannot be read.
    #[must_use]
    pub fn authority_ends_ms(&self) -> Option<u64> {
        authority::ends_ms(&self.authority())
    }

    /// Of this node's certificate.
    #[must_use]
    pub fn own_fingerprint(&self) -> Fingerprint {
        fingerprint(&hex::decode(&self.certificate).unwrap_or_default())
    }
}

/// What a new cluster begins with.
#[derive(Clone, Debug)]
pub struct Founding {
    pub cluster: String,
    /// The first node, which has the authority's key.
    pub node: String,
    pub address: Option<IpAddr>,
}

/// Where a node keeps what it knows.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
    key_file: PathBuf,
}

impl Folder {
    /// `key_file`: the key under which secrets are sealed. If none is given it is where the folder says: in it, unless
    /// `init` or `join` were given another place.
    #[must_use]
    pub fn new(path: &Path, key_file: Option<&Path>) -> Self {
        let key_file = key_file.map_or_else(|| secret::place(path), Path::to_owned);
        Self { path: path.to_owned(), key_file }
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where it is written to which cluster the folder belongs; not there: to none.
    #[must_use]
    pub fn state_file(&self) -> PathBuf {
        self.path.join(STATE)
    }

    pub(crate) fn key_file(&self) -> &Path {
        &self.key_file
    }

    /// Founds a cluster with this node as its first.
    ///
    /// # Errors
    /// When the folder belongs to a cluster, or cannot be written.
    pub fn init(&self, founding: &Founding, now_ms: u64) -> Result<State, TrustError> {
        if !roster::is_name(&founding.cluster) {
            return Err(TrustError::Cluster(founding.cluster.clone()));
        }
        files::make_folder(&self.path)?;
        let _lock = Lock::take(&self.path)?;
        self.must_be_nobodys()?;
        let key = FileKey::make(&self.path, &self.key_file)?;
        let (authority_key, keys) = (keys::signing()?, Keys::make()?);
        let authority = authority::found(&founding.cluster, &authority_key, now_ms)?;
        let public = keys.public()?;
        let certificate = authority::certify(
            (&founding.cluster, &authority_key),
            (&founding.node, Role::Controller),
            &Certified::read(&public)?,
            now_ms,
        )?;
        let mut roster = Roster::default();
        roster.add(Member {
            name: founding.node.clone(),
            role: Role::Controller,
            address: founding.address,
            fingerprint: fingerprint(&certificate),
            signing: Some(public.print()),
            agreement: public.agreement,
            joined_ms: now_ms,
            revoked: false,
            epoch: 0,
            renewed_ms: 0,
            former: None,
        })?;
        self.write_secret(&key, AUTHORITY_KEY, authority_key.serialized_der())?;
        self.write_secret(&key, NODE_KEY, &keys.bytes()?)?;
        let mut state = State {
            version: VERSION,
            cluster: founding.cluster.clone(),
            node: founding.node.clone(),
            role: Role::Controller,
            is_authority: true,
            authority: hex::encode(&authority),
            certificate: hex::encode(&certificate),
            roster,
            signed: None,
            tokens: vec![],
        };
        self.make_key(&mut state, now_ms)?;
        state.sign(&authority_key)?;
        self.store(&state)?;
        Ok(state)
    }

    /// # Errors
    /// When the folder belongs to no cluster or cannot be read.
    pub fn load(&self) -> Result<State, TrustError> {
        let path = self.path.join(STATE);
        if !path.exists() {
            return Err(TrustError::Nobody(self.path.clone()));
        }
        let bytes = files::read(&path)?;
        let damaged = |source| TrustError::Damaged { path: path.clone(), source };
        #[derive(Deserialize)]
        struct Versioned {
            version: u16,
        }
        let Versioned { version } = serde_json::from_slice(&bytes).map_err(damaged)?;
        if version != VERSION {
            return Err(TrustError::Newer { path, version });
        }
        serde_json::from_slice(&bytes).map_err(damaged)
    }

    /// Makes a token for one node; its secret is in the answer and nowhere else.
    ///
    /// # Errors
    /// When this node is not the authority, or the limits do not allow it.
    pub fn create_token(
        &self,
        wanted: (Role, Option<&str>),
        address: SocketAddr,
        ttl_ms: u64,
        now_ms: u64,
    ) -> Result<Token, TrustError> {
        if !(60_000..=MAX_TTL_MS).contains(&ttl_ms) {
            return Err(TrustError::Ttl);
        }
        let (role, node) = wanted;
        self.change(|state| {
            if let Some(node) = node {
                state.roster.admits(node, None)?;
            }
            let token = Token::make(state.fingerprint(), address, now_ms + ttl_ms)?;
            let kept = token.kept(role, node.map(str::to_owned), now_ms);
            state.tokens.retain(|token| token.expires_ms + MAX_TTL_MS > now_ms);
            if state.tokens.len() >= MAX_TOKENS {
                state.tokens.remove(0);
            }
            state.tokens.push(kept);
            Ok(token)
        })
    }

    /// # Errors
    /// When there is no such open token.
    pub fn revoke_token(&self, id: &str) -> Result<(), TrustError> {
        self.change(|state| {
            let token = state.tokens.iter_mut().find(|token| token.id == id);
            let token = token.ok_or_else(|| TrustError::NoToken(id.to_owned()))?;
            if token.fate != Fate::Open {
                return Err(TrustError::TokenGone(id.to_owned()));
            }
            token.fate = Fate::Revoked;
            Ok(())
        })
    }

    /// Puts a node out: its certificate is refused from now on.
    ///
    /// # Errors
    /// When it is not in, or is this node.
    pub fn revoke(&self, node: &str) -> Result<Fingerprint, TrustError> {
        self.change(|state| {
            if state.node == node {
                return Err(TrustError::Itself(node.to_owned()));
            }
            Ok(state.roster.revoke(node)?)
        })
    }

    /// Orders new keys of every node; the ones before are accepted for `forget_ms`.
    ///
    /// # Errors
    /// When this node is not the authority, or that time is too short or too long.
    pub fn rotate(&self, forget_ms: u64, now_ms: u64) -> Result<State, TrustError> {
        if !(renewal::SHORTEST_FORGET_MS..=renewal::LONGEST_FORGET_MS).contains(&forget_ms) {
            return Err(TrustError::Forget);
        }
        self.change(|state| {
            (state.roster.renew_ms, state.roster.forget_ms) = (now_ms, forget_ms);
            state.roster.generation += 1;
            Ok::<_, TrustError>(())
        })?;
        self.load()
    }

    /// Signs what a folder of an older release has not signed yet.
    ///
    /// # Errors
    /// When this node is not the authority.
    pub fn sign(&self) -> Result<(), TrustError> {
        self.change(|_| Ok(()))
    }

    /// Adds a command to the audit log.
    ///
    /// # Errors
    /// When it cannot be written: then the command should not be done.
    pub fn audit(&self, entry: &Entry) -> Result<(), TrustError> {
        // What cannot be locked cannot be written either, and that is told.
        let _lock = Lock::take(&self.path);
        audit::add(&self.path, entry).map_err(TrustError::Audit)
    }

    /// # Errors
    /// When the log cannot be read.
    pub fn audit_log(&self) -> io::Result<Vec<Entry>> {
        audit::read(&self.path)
    }

    /// Changes what is known, under the folder's lock, if this node is the authority.
    pub(crate) fn change<T, E: From<TrustError>>(
        &self,
        change: impl FnOnce(&mut State) -> Result<T, E>,
    ) -> Result<T, E> {
        // Made only for a folder that is there.
        self.load()?;
        let _lock = Lock::take(&self.path).map_err(TrustError::from)?;
        let mut state = self.load()?;
        if !state.is_authority {
            return Err(TrustError::NotAuthority(state.issuer()).into());
        }
        let before = state.clone();
        let done = change(&mut state)?;
        if state.signed.as_ref().is_none_or(|signed| !signed.is_of(&state.roster)) {
            let key = self.authority_key()?;
            state.sign(&key).map_err(TrustError::from)?;
        }
        if state != before {
            self.store(&state)?;
        }
        Ok(done)
    }

    /// The keys of a node that joins: made once, so that an answer that was lost can be asked for again.
    pub(crate) fn pending_keys(&self) -> Result<Keys, TrustError> {
        files::make_folder(&self.path)?;
        self.must_be_nobodys()?;
        let key = FileKey::make(&self.path, &self.key_file)?;
        if self.path.join(NODE_KEY).exists() {
            return self.keys();
        }
        let keys = Keys::make()?;
        self.write_secret(&key, NODE_KEY, &keys.bytes()?)?;
        Ok(keys)
    }

    pub(crate) fn take_in(&self, state: &State) -> Result<(), TrustError> {
        let _lock = Lock::take(&self.path)?;
        self.must_be_nobodys()?;
        self.store(state)
    }

    /// A newer roster of the own cluster, from whomever.
    pub(crate) fn learn(&self, signed: Signed) -> Result<State, TrustError> {
        let _lock = Lock::take(&self.path)?;
        let mut state = self.load()?;
        let roster = signed.open(&state.authority())?;
        if roster.generation > state.roster.generation {
            // The authority's key was brought to another node: there must not be two that sign.
            state.is_authority &= roster.issuer == state.node;
            state.roster = roster;
            state.signed = Some(signed);
            self.store(&state)?;
        }
        Ok(state)
    }

    pub(crate) fn keys(&self) -> Result<Keys, TrustError> {
        Ok(Keys::read(&self.secret(NODE_KEY)?)?)
    }

    pub(crate) fn authority_key(&self) -> Result<KeyPair, TrustError> {
        Ok(keys::read_signing(&self.secret(AUTHORITY_KEY)?)?)
    }

    /// Calls `with` with what this node shows to others.
    pub(crate) fn identity<T>(
        &self,
        state: &State,
        with: impl FnOnce(&Identity<'_>) -> T,
    ) -> Result<T, TrustError> {
        let keys = self.keys_of_certificate(state)?;
        let certificate = hex::decode(&state.certificate).unwrap_or_default();
        let authority = state.authority();
        let key = keys.signing.serialized_der();
        Ok(with(&Identity { certificate: &certificate, authority: &authority, key }))
    }

    fn must_be_nobodys(&self) -> Result<(), TrustError> {
        match self.load() {
            Ok(state) => Err(TrustError::Taken {
                folder: self.path.clone(),
                fingerprint: state.fingerprint(),
                cluster: state.cluster,
            }),
            Err(TrustError::Nobody(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn store(&self, state: &State) -> Result<(), TrustError> {
        let path = self.path.join(STATE);
        let damaged = |source| TrustError::Damaged { path: path.clone(), source };
        let text = serde_json::to_vec_pretty(state).map_err(damaged)?;
        Ok(files::write(&path, &text)?)
    }

    pub(crate) fn write_secret(
        &self,
        key: &FileKey,
        name: &str,
        secret: &[u8],
    ) -> Result<(), TrustError> {
        Ok(files::write(&self.path.join(name), &key.seal(name, secret)?)?)
    }

    pub(crate) fn secret(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, TrustError> {
        let key = FileKey::read(&self.key_file)?;
        Ok(key.open(name, &files::read(&self.path.join(name))?)?)
    }
}
