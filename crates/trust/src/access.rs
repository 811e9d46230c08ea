//! Tokens of programs: `access.json` of the state folder, with digests and without secrets.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::files::{self, FileError, Lock};
use crate::hex;
use crate::roster::is_name;
use crate::secret::{SecretError, random};

const VERSION: u16 = 1;
/// A site has a handful of programs; a list that nobody reads is no list.
pub const MAX_TOKENS: usize = 64;
/// What a token begins with: who searches for lost secrets finds it.
pub const PREFIX: &str = "outlast_";
const DAY_MS: u64 = 24 * 3600 * 1000;

/// Why something with these tokens cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("{} is damaged", path.display())]
    Damaged {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    #[error("{} has version {version}, this program knows {VERSION}: a newer release wrote it", path.display())]
    Newer { path: PathBuf, version: u16 },
    #[error("`{0}` is no name of a token: letters, digits, dots and hyphens")]
    Name(String),
    #[error("a token `{0}` is there already: revoke it first, or take another name")]
    Taken(String),
    #[error("there is no token `{0}`")]
    Unknown(String),
    #[error("there are {MAX_TOKENS} tokens, more are not possible: revoke some")]
    Full,
    #[error("a token without a scope is good for nothing")]
    NoScope,
}

/// A token as it is kept.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Kept {
    pub name: String,
    /// Of 128 random bits: nobody finds them from it.
    digest: String,
    /// Words of the caller's table.
    pub scopes: Vec<String>,
    pub made_ms: u64,
    /// Milliseconds since 1970; for ever without.
    pub until_ms: Option<u64>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
struct Whole {
    version: u16,
    tokens: Vec<Kept>,
}

/// The tokens of one folder.
#[derive(Clone, Debug)]
pub struct Tokens {
    folder: PathBuf,
}

impl Tokens {
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// All that are kept, also those that have ended.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn list(&self) -> Result<Vec<Kept>, AccessError> {
        let path = self.path();
        if !path.exists() {
            return Ok(vec![]);
        }
        let bytes = files::read(&path)?;
        let damaged = |source| AccessError::Damaged { path: path.clone(), source };
        let whole: Whole = serde_json::from_slice(&bytes).map_err(damaged)?;
        if whole.version != VERSION {
            return Err(AccessError::Newer { path, version: whole.version });
        }
        Ok(whole.tokens)
    }

    /// Makes a token; its secret is in the answer and nowhere else.
    ///
    /// # Errors
    /// When the name cannot be, or the file cannot be written: then there is no new token.
    pub fn add(
        &self,
        name: &str,
        scopes: &[&str],
        days: Option<u32>,
        now_ms: u64,
    ) -> Result<Zeroizing<String>, AccessError> {
        if !is_name(name) {
            return Err(AccessError::Name(name.chars().take(64).collect()));
        }
        if scopes.is_empty() {
            return Err(AccessError::NoScope);
        }
        let _lock = Lock::take(&self.folder)?;
        let mut tokens = self.list()?;
        tokens.retain(|kept| kept.is_good(now_ms));
        if tokens.iter().any(|kept| kept.name == name) {
            return Err(AccessError::Taken(name.to_owned()));
        }
        if tokens.len() >= MAX_TOKENS {
            return Err(AccessError::Full);
        }
        let secret = random::<16>()?;
        let token = Zeroizing::new(format!("{PREFIX}{}", hex::encode(&*secret)));
        tokens.push(Kept {
            name: name.to_owned(),
            digest: digest(&token),
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            made_ms: now_ms,
            until_ms: days.map(|days| now_ms.saturating_add(u64::from(days) * DAY_MS)),
        });
        self.store(tokens)?;
        Ok(token)
    }

    /// # Errors
    /// When there is none of that name, or the file cannot be written.
    pub fn revoke(&self, name: &str) -> Result<(), AccessError> {
        let _lock = Lock::take(&self.folder)?;
        let mut tokens = self.list()?;
        let before = tokens.len();
        tokens.retain(|kept| kept.name != name);
        if tokens.len() == before {
            return Err(AccessError::Unknown(name.chars().take(64).collect()));
        }
        self.store(tokens)
    }

    /// What is kept of the token that somebody shows.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn find(&self, token: &str, now_ms: u64) -> Result<Option<Kept>, AccessError> {
        if !token.starts_with(PREFIX) {
            return Ok(None);
        }
        let digest = digest(token);
        let good = |kept: &Kept| kept.digest == digest && kept.is_good(now_ms);
        Ok(self.list()?.into_iter().find(good))
    }

    fn store(&self, tokens: Vec<Kept>) -> Result<(), AccessError> {
        let path = self.path();
        let damaged = |source| AccessError::Damaged { path: path.clone(), source };
        let whole = Whole { version: VERSION, tokens };
        let text = serde_json::to_vec_pretty(&whole).map_err(damaged)?;
        Ok(files::write(&path, &text)?)
    }

    fn path(&self) -> PathBuf {
        self.folder.join("access.json")
    }
}

impl Kept {
    fn is_good(&self, now_ms: u64) -> bool {
        self.until_ms.is_none_or(|until| now_ms < until)
    }
}

fn digest(token: &str) -> String {
    hex::encode(&Sha256::digest(token.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_of_a_program_is_good_until_it_ends_or_is_revoked_and_its_secret_is_not_kept() {
        let folder = std::env::temp_dir().join(format!("outlast-access-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let tokens = Tokens::new(&folder);
        assert!(tokens.find("outlast_00", 0).unwrap().is_none(), "there is no file yet");
        let scrape = tokens.add("prometheus", &["metrics"], None, 1).unwrap();
        let ci = tokens.add("ci", &["read", "move"], Some(1), 1).unwrap();
        let text = std::fs::read_to_string(folder.join("access.json")).unwrap();
        assert!(!text.contains(&scrape[PREFIX.len()..]) && !text.contains(&ci[PREFIX.len()..]));
        assert_eq!(tokens.find(&scrape, u64::MAX).unwrap().unwrap().name, "prometheus");
        assert_eq!(tokens.find(&ci, DAY_MS).unwrap().unwrap().scopes, ["read", "move"]);
        assert!(tokens.find(&ci, DAY_MS + 1).unwrap().is_none(), "a day is over");
        assert!(tokens.find(&ci[..ci.len() - 1], 2).unwrap().is_none());
        assert!(matches!(tokens.add("ci", &["read"], None, 2), Err(AccessError::Taken(_))));
        tokens.add("ci", &["read"], None, DAY_MS + 1).unwrap();
        tokens.revoke("prometheus").unwrap();
        assert!(tokens.find(&scrape, 2).unwrap().is_none());
        assert!(matches!(tokens.revoke("prometheus"), Err(AccessError::Unknown(_))));
        assert!(matches!(tokens.add("a b", &["read"], None, 2), Err(AccessError::Name(_))));
        assert!(matches!(tokens.add("a", &[], None, 2), Err(AccessError::NoScope)));
        let full = |at: usize| tokens.add(&format!("n{at}"), &["read"], None, DAY_MS + 2);
        assert!((1..MAX_TOKENS).all(|at| full(at).is_ok()));
        assert!(matches!(full(MAX_TOKENS), Err(AccessError::Full)));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
