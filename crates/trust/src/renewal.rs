//! New keys of a node, without a pause: nodes open old and new ones for a while.
//!
//! ```text
//!   begin   node.next.key is made; this node opens what is sealed with it, and nobody knows it yet
//!   renew   the authority certifies it: the roster has it as current, the one before as former
//!   spread  who learns the roster speaks the new key; who does not speaks the former one
//!   forget  [`Roster::forget_ms`] later nobody opens the former one
//! ```
//!
//! A pair's key is named by one byte: the number of each node's key, modulo 16, that of the node whose name
//! sorts first in the upper half.

use zeroize::Zeroizing;

use crate::audit::Entry;
use crate::authority::{self, NODE_VALID_MS, fingerprint};
use crate::files::{self, Lock};
use crate::folder::{Folder, NODE_KEY, State, TrustError};
use crate::hex;
use crate::keys::{Certified, Keys};
use crate::roster::{DEFAULT_FORGET_MS, Member, RosterError, Wanted};
use crate::secret::FileKey;
use crate::signed::Signed;

const NEXT_KEY: &str = "node.next.key";
const OLD_KEY: &str = "node.old.key";
/// Clocks of two nodes may differ by this much (the limit at a join): what one no longer speaks the other
/// still opens for so long (milliseconds).
const GRACE_MS: u64 = 60_000;
/// What `outlast trust rotate` takes: at least so long that every node of a small cluster has asked the
/// authority's node for the roster, and was answered, while two of three networks and another node are dead.
pub const SHORTEST_FORGET_MS: u64 = 120_000;
pub const LONGEST_FORGET_MS: u64 = 24 * 3600 * 1000;

/// Another node's name, and what this one and that one know and nobody else.
#[derive(Clone, Debug)]
pub struct Pair {
    pub name: String,
    /// Number and secret, the oldest first.
    pub keys: Vec<(u8, Zeroizing<[u8; 32]>)>,
    /// The number of the one that is spoken until the other node was heard with a later one.
    pub speak: u8,
}

/// What this node has to do about its keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Renewal {
    Nothing,
    /// Make new ones: [`Folder::begin_renewal`].
    Due,
    /// They are made; the authority has to certify them.
    Begun,
}

impl Folder {
    /// Whether new keys are due: somebody ordered it, or two thirds of the certificate's time are over.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn renewal(&self, now_ms: u64) -> Result<Renewal, TrustError> {
        let state = self.load()?;
        if self.path().join(NEXT_KEY).exists() && self.next_is_new(&state)? {
            return Ok(Renewal::Begun);
        }
        let Some(own) = state.roster.find(&state.node) else { return Ok(Renewal::Nothing) };
        let made = own.keys_ms();
        let is_old = now_ms.saturating_sub(made) > NODE_VALID_MS / 3 * 2;
        let is_ordered = made < state.roster.renew_ms;
        // One change at a time: two former keys would be too many to try.
        let is_changing =
            own.former.as_ref().is_some_and(|former| now_ms < former.until_ms + GRACE_MS);
        Ok(if (is_old || is_ordered) && !is_changing { Renewal::Due } else { Renewal::Nothing })
    }

    /// Makes the next keys, once.
    ///
    /// # Errors
    /// When they cannot be kept.
    pub fn begin_renewal(&self) -> Result<(), TrustError> {
        let _lock = Lock::take(self.path())?;
        let state = self.load()?;
        if self.path().join(NEXT_KEY).exists() && self.next_is_new(&state)? {
            return Ok(());
        }
        self.promote(&state)?;
        let key = FileKey::read(self.key_file())?;
        self.write_secret(&key, NEXT_KEY, &Keys::make()?.bytes()?)
    }

    /// Puts the keys of the certificate in their place, and those before aside.
    fn promote(&self, state: &State) -> Result<(), TrustError> {
        let before = self.secret(NODE_KEY)?;
        let current = self.keys_of_certificate(state)?;
        if Keys::read(&before)?.public()? == current.public()? {
            return Ok(());
        }
        let key = FileKey::read(self.key_file())?;
        self.write_secret(&key, OLD_KEY, &before)?;
        self.write_secret(&key, NODE_KEY, &current.bytes()?)
    }

    /// The keys for which this node's certificate is.
    pub(crate) fn keys_of_certificate(&self, state: &State) -> Result<Keys, TrustError> {
        for name in [NODE_KEY, NEXT_KEY, OLD_KEY] {
            if self.path().join(name).exists() {
                let keys = Keys::read(&self.secret(name)?)?;
                if state.is_for(keys.signing.public_key_raw()) {
                    return Ok(keys);
                }
            }
        }
        self.keys()
    }

    /// The authority's own renewal.
    ///
    /// # Errors
    /// When this node is not the authority, or the keys cannot be kept.
    pub fn renew_here(&self, now_ms: u64) -> Result<State, TrustError> {
        let next = self.next()?.public()?;
        let (certified, key) = (Certified::read(&next)?, self.authority_key()?);
        let (certificate, signed) = self.change(|state| {
            let name = state.node.clone();
            let role = state.role;
            let signer = (state.cluster.as_str(), &key);
            let certificate = authority::certify(signer, (&name, role), &certified, now_ms)?;
            let fingerprint = fingerprint(&certificate);
            let wanted = Wanted { fingerprint, public: &next, is_proven: true };
            state.roster.renew(&name, &wanted, now_ms)?;
            state.sign(&key)?;
            let signed = state.signed.clone().ok_or(RosterError::Unknown(name))?;
            Ok::<_, TrustError>((certificate, signed))
        })?;
        self.audit(&Entry {
            at_ms: now_ms,
            by: "this node".to_owned(),
            command: "trust renew".to_owned(),
            object: self.load()?.node,
            outcome: "done".to_owned(),
        })?;
        self.finish_renewal(&hex::encode(&certificate), &signed)
    }

    /// Takes the certificate of the next keys into use. The keys are found by their public half, so that a
    /// crash between two files loses nothing.
    pub(crate) fn finish_renewal(
        &self,
        certificate: &str,
        signed: &Signed,
    ) -> Result<State, TrustError> {
        let _lock = Lock::take(self.path())?;
        let mut state = self.load()?;
        let roster = signed.open(&state.authority())?;
        if roster.generation >= state.roster.generation {
            state.roster = roster;
            state.signed = Some(signed.clone());
        }
        state.take_certificate(certificate);
        self.store(&state)?;
        self.promote(&state)?;
        // It is the current one now, whether it is here or not.
        let _ = std::fs::remove_file(self.path().join(NEXT_KEY));
        Ok(state)
    }

    fn next_is_new(&self, state: &State) -> Result<bool, TrustError> {
        let public = self.next()?.public()?;
        let own = state.roster.find(&state.node);
        Ok(own.is_none_or(|own| own.agreement != public.agreement || !state.is_certificate_of(own)))
    }

    pub(crate) fn next(&self) -> Result<Keys, TrustError> {
        Ok(Keys::read(&self.secret(NEXT_KEY)?)?)
    }

    /// The keys of this node with that public half, wherever they are.
    pub(crate) fn keys_of(&self, agreement: &str) -> Result<Option<Keys>, TrustError> {
        for name in [NODE_KEY, NEXT_KEY, OLD_KEY] {
            if !self.path().join(name).exists() {
                continue;
            }
            let keys = Keys::read(&self.secret(name)?)?;
            if keys.public()?.agreement == agreement {
                return Ok(Some(keys));
            }
        }
        Ok(None)
    }

    /// The secrets that this node shares with each other one.
    ///
    /// # Errors
    /// When the keys cannot be read.
    pub fn pairs(&self, now_ms: u64) -> Result<Vec<Pair>, TrustError> {
        let state = self.load()?;
        let Some(own) = state.roster.find(&state.node) else { return Ok(vec![]) };
        let mut mine = vec![];
        if let Some(former) =
            own.former.as_ref().filter(|former| now_ms < former.until_ms + GRACE_MS)
        {
            mine.extend(self.keys_of(&former.agreement)?.map(|keys| (former.epoch, keys)));
        }
        let current = self.keys_of(&own.agreement)?;
        mine.extend(current.map(|keys| (own.epoch, keys)));
        if self.path().join(NEXT_KEY).exists() && mine.len() < 2 {
            let next = self.next()?;
            if next.public()?.agreement != own.agreement {
                mine.push((own.epoch.wrapping_add(1), next));
            }
        }
        let is_spoken = |former: &crate::roster::Former| now_ms < former.until_ms;
        let spoken = own.former.as_ref().filter(|former| is_spoken(former));
        let spoken = spoken.map_or(own.epoch, |former| former.epoch);
        let others = state.roster.valid().filter(|member| member.name != state.node);
        others.map(|member| pair(&state.node, (&mine, spoken), member, now_ms)).collect()
    }

    /// Changes when [`Self::pairs`] does; costs no key.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn stamp(&self, now_ms: u64) -> Result<Vec<u8>, TrustError> {
        use sha2::{Digest, Sha256};
        let text = files::read(&self.path().join(crate::folder::STATE))?;
        let state = self.load()?;
        let mut digest = Sha256::new();
        digest.update(&text);
        for former in state.roster.valid().filter_map(|member| member.former.as_ref()) {
            let [spoken, opened] = [0, GRACE_MS].map(|grace| now_ms < former.until_ms + grace);
            digest.update([u8::from(spoken), u8::from(opened)]);
        }
        digest.update([u8::from(self.path().join(NEXT_KEY).exists())]);
        Ok(digest.finalize().to_vec())
    }
}

fn pair(
    me: &str,
    (mine, spoken): (&[(u8, Keys)], u8),
    member: &Member,
    now_ms: u64,
) -> Result<Pair, TrustError> {
    let former = member.former.as_ref().filter(|former| now_ms < former.until_ms + GRACE_MS);
    let former = former.map(|former| (former.epoch, former.agreement.as_str()));
    let theirs = former.into_iter().chain([(member.epoch, member.agreement.as_str())]);
    let number = |mine: u8, theirs: u8| {
        let (upper, lower) = if *me < *member.name { (mine, theirs) } else { (theirs, mine) };
        (upper & 15) << 4 | lower & 15
    };
    let mut keys = vec![];
    for (their_epoch, public) in theirs {
        for (epoch, own) in mine {
            keys.push((number(*epoch, their_epoch), own.pair(public)?));
        }
    }
    Ok(Pair { name: member.name.clone(), keys, speak: number(spoken, member.epoch) })
}

/// How long the former keys are accepted if nobody said otherwise.
pub(crate) const fn forget_ms(ordered: u64) -> u64 {
    if ordered == 0 { DEFAULT_FORGET_MS } else { ordered }
}
